// Reads frames with payloads of up to argv[1] bytes from standard input. Prints
// each as it is written again, with the payload in pieces of argv[2] bytes, or
// the numbers of its refusal.

#include <stdio.h>
#include <stdlib.h>

#include "block.h"
#include "tinytrain/serial_frames.h"

namespace {

void Print(void*, const uint8_t* bytes, uint32_t size) {
  for (uint32_t i = 0; i < size; ++i) printf("%02x", bytes[i]);
}

void Echo(const tinytrain::FrameReader& reader, uint32_t piece) {
  const tinytrain::Frame& frame = reader.frame();
  const tinytrain::ByteSink sink = {nullptr, Print};
  tinytrain::FrameWriter writer(sink, frame);
  for (uint32_t at = 0; at < frame.size; at += piece) {
    const uint32_t left = frame.size - at;
    writer.Put(reader.payload() + at, left < piece ? left : piece);
  }
  writer.End();
}

}  // namespace

int main(int, char** arguments) {
  const uint32_t capacity = static_cast<uint32_t>(atoi(arguments[1]));
  const uint32_t piece = static_cast<uint32_t>(atoi(arguments[2]));
  // Of just that size, so that a byte next to it is found out.
  Block<uint8_t> payload(capacity);
  tinytrain::FrameReader reader(payload.get(), capacity);
  for (int byte = getchar(); byte != EOF; byte = getchar()) {
    switch (reader.Take(static_cast<uint8_t>(byte))) {
      case tinytrain::FrameEvent::kNone:
        continue;
      case tinytrain::FrameEvent::kFrame:
        printf("frame ");
        Echo(reader, piece);
        break;
      case tinytrain::FrameEvent::kRefused:
        printf("refused %d %u %u %u", static_cast<int>(reader.status().code),
               reader.status().requested, reader.status().available,
               reader.status().missing);
        break;
    }
    printf("\n");
  }
  return 0;
}
