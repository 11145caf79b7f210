#include "tinytrain/crc32.h"

namespace tinytrain {
namespace {

// Remainders of four bits: 64 bytes of flash instead of 1 KB.
const uint32_t kTable[16] = {
    0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC, 0x76DC4190, 0x6B6B51F4,
    0x4DB26158, 0x5005713C, 0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C,
    0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C,
};

}  // namespace

uint32_t Crc32(const void* bytes, size_t size, uint32_t crc) {
  const uint8_t* data = static_cast<const uint8_t*>(bytes);
  crc = ~crc;
  for (size_t i = 0; i < size; ++i) {
    crc ^= data[i];
    crc = crc >> 4 ^ kTable[crc & 15];
    crc = crc >> 4 ^ kTable[crc & 15];
  }
  return ~crc;
}

uint32_t FileCrc(const uint8_t* bytes, size_t size) {
  const size_t behind = kCrcOffset + sizeof(uint32_t);
  return Crc32(bytes + behind, size - behind, Crc32(bytes, kCrcOffset));
}

}  // namespace tinytrain
