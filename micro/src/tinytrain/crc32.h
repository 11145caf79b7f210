#ifndef TINYTRAIN_CRC32_H_
#define TINYTRAIN_CRC32_H_

#include <stddef.h>
#include <stdint.h>

namespace tinytrain {

// CRC-32 as in zlib. To go on where another call ended, pass what it returned.
uint32_t Crc32(const void* bytes, size_t size, uint32_t crc = 0);

// CRC of a whole blob or checkpoint of docs/format.md: of all its bytes but
// those that hold the CRC, which begin at `kCrcOffset`.
uint32_t FileCrc(const uint8_t* bytes, size_t size);
const size_t kCrcOffset = 16;

}  // namespace tinytrain

#endif  // TINYTRAIN_CRC32_H_
