// A device with a session, for ctypes; and a program that plays back to one
// what a host has sent: argv is the blob and the five sizes.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "serve_session.h"

namespace {

const uint32_t kMostBytes = 1 << 20;

// What the device has sent and nobody has read.
struct Line {
  uint8_t bytes[kMostBytes];
  uint32_t size;

  static void Write(void* context, const uint8_t* bytes, uint32_t size) {
    Line* self = static_cast<Line*>(context);
    Expect(size <= kMostBytes - self->size);
    memcpy(self->bytes + self->size, bytes, size);
    self->size += size;
  }
};

struct Device {
  Device(const void* blob, uint32_t size, const SessionSizes& sizes)
      : line(), server(blob, size, sizes, {&line, Line::Write}) {}

  Line line;
  SessionServer server;
};

}  // namespace

extern "C" {

Device* session_new(const void* blob, uint32_t size,
                    const SessionSizes* sizes) {
  return new Device(blob, size, *sizes);
}

void session_delete(Device* device) { delete device; }

// Hands bytes over, and returns how many answer them.
uint32_t session_take(Device* device, const uint8_t* bytes, uint32_t size) {
  for (uint32_t i = 0; i < size; ++i) device->server.Take(bytes[i]);
  return device->line.size;
}

// Moves the answer to `bytes`.
void session_read(Device* device, uint8_t* bytes) {
  memcpy(bytes, device->line.bytes, device->line.size);
  device->line.size = 0;
}

int session_restore(Device* device) {
  return static_cast<int>(device->server.session()->Restore().code);
}

}  // extern "C"

int main(int, char** arguments) {
  FILE* file = fopen(arguments[1], "rb");
  Expect(file != nullptr);
  Block<uint8_t> blob(kMostBytes);
  const size_t size = fread(blob.get(), 1, kMostBytes, file);
  fclose(file);
  uint32_t sizes[5];
  for (int i = 0; i < 5; ++i) {
    sizes[i] = static_cast<uint32_t>(atoi(arguments[2 + i]));
  }
  Device* device = session_new(blob.get(), static_cast<uint32_t>(size),
                               reinterpret_cast<const SessionSizes*>(sizes));
  for (int byte = getchar(); byte != EOF; byte = getchar()) {
    const uint8_t one = static_cast<uint8_t>(byte);
    session_take(device, &one, 1);
    fwrite(device->line.bytes, 1, device->line.size, stdout);
    device->line.size = 0;
  }
  session_delete(device);
  return 0;
}
