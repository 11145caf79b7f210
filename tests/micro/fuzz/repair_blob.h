#ifndef TESTS_MICRO_FUZZ_REPAIR_BLOB_H_
#define TESTS_MICRO_FUZZ_REPAIR_BLOB_H_

#include <stdint.h>
#include <string.h>

#include "tinytrain/crc32.h"
#include "tinytrain/format.h"

// Gives any bytes the start and the checksum of a blob, so that the checks
// behind them are reached.
inline void RepairBlob(uint8_t* bytes, size_t size) {
  using namespace tinytrain::format;
  Header header;
  if (size < sizeof(header)) return;
  memcpy(&header, bytes, sizeof(header));
  header.magic = kMagic;
  header.byte_order = kByteOrder;
  header.major = kMajorVersion;
  header.size = static_cast<uint32_t>(size);
  memcpy(bytes, &header, sizeof(header));
  header.crc = tinytrain::FileCrc(bytes, size);
  memcpy(bytes, &header, sizeof(header));
}

#endif  // TESTS_MICRO_FUZZ_REPAIR_BLOB_H_
