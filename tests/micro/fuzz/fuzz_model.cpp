// Any bytes, with a right start and checksum so that the checks behind them
// are reached, through `Model::Open`. `make fuzz` builds and runs it.

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tinytrain/crc32.h"
#include "tinytrain/model.h"
#include "walk_model.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using tinytrain::format::Header;
  // A block of just this size, so that a byte too far is seen.
  uint8_t* bytes = static_cast<uint8_t*>(malloc(size > 0 ? size : 1));
  if (size > 0) memcpy(bytes, data, size);
  if (size >= sizeof(Header)) {
    Header header;
    memcpy(&header, bytes, sizeof(header));
    header.magic = tinytrain::format::kMagic;
    header.byte_order = tinytrain::format::kByteOrder;
    header.major = tinytrain::format::kMajorVersion;
    header.size = static_cast<uint32_t>(size);
    memcpy(bytes, &header, sizeof(header));
    header.crc = tinytrain::FileCrc(bytes, size);
    memcpy(bytes, &header, sizeof(header));
  }
  tinytrain::Model model;
  if (model.Open(bytes, size).ok()) {
    volatile double sum = WalkModel(model);
    (void)sum;
  }
  free(bytes);
  return 0;
}
