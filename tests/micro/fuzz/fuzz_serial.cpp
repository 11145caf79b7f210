// Any bytes on the line of a device: as they are, or as requests in whole
// frames, so that what is behind the checksum is reached. Whatever comes, a
// request about the device has one answer afterwards. `make fuzz` builds and
// runs it, with KERAS_TINYTRAIN_BLOB naming block.ttnb of the seeds.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "serve_session.h"

namespace {

const SessionSizes kSizes = {4096, 4096, 400, 1000, 2000};

// What begins a request: its type, its number, its argument and the size of its
// payload, 2 bytes each of these.
const size_t kHeadBytes = 6;

struct Answers {
  Answers() : reader(payload, sizeof(payload)), count(0) {}

  uint8_t payload[4096];
  tinytrain::FrameReader reader;
  uint32_t count;

  static void Write(void* context, const uint8_t* bytes, uint32_t size) {
    Answers* self = static_cast<Answers*>(context);
    for (uint32_t i = 0; i < size; ++i) {
      const tinytrain::FrameEvent event = self->reader.Take(bytes[i]);
      Expect(event != tinytrain::FrameEvent::kRefused);
      if (event == tinytrain::FrameEvent::kFrame) ++self->count;
    }
  }
};

void ToServer(void* context, const uint8_t* bytes, uint32_t size) {
  SessionServer* server = static_cast<SessionServer*>(context);
  for (uint32_t i = 0; i < size; ++i) server->Take(bytes[i]);
}

void Send(SessionServer* server, const tinytrain::Frame& frame,
          const uint8_t* payload) {
  const tinytrain::ByteSink line = {server, ToServer};
  tinytrain::FrameWriter writer(line, frame);
  writer.Put(payload, frame.size);
  writer.End();
}

void SendRequests(SessionServer* server, const uint8_t* data, size_t size) {
  while (size >= kHeadBytes) {
    tinytrain::Frame frame = {data[0], data[1], 0, 0};
    memcpy(&frame.argument, data + 2, 2);
    memcpy(&frame.size, data + 4, 2);
    data += kHeadBytes;
    size -= kHeadBytes;
    if (frame.size > size) frame.size = static_cast<uint32_t>(size);
    Send(server, frame, data);
    data += frame.size;
    size -= frame.size;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static uint8_t blob[1 << 16];
  static size_t blob_size = 0;
  if (blob_size == 0) {
    FILE* file = fopen(getenv("KERAS_TINYTRAIN_BLOB"), "rb");
    if (file == nullptr) abort();
    blob_size = fread(blob, 1, sizeof(blob), file);
    fclose(file);
  }
  if (size == 0) return 0;
  Answers answers;
  SessionServer server(blob, static_cast<uint32_t>(blob_size), kSizes,
                       {&answers, Answers::Write});
  if (data[0] & 1) {
    SendRequests(&server, data + 1, size - 1);
  } else {
    ToServer(&server, data + 1, static_cast<uint32_t>(size - 1));
  }
  // A mark ends what was cut off, and may have an answer of its own.
  const uint8_t mark = 0;
  ToServer(&server, &mark, 1);
  const uint32_t before = answers.count;
  const tinytrain::Frame about = {1, 0, 0, 0};
  Send(&server, about, nullptr);
  Expect(answers.count == before + 1);
  return 0;
}
