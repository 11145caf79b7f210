#ifndef TINYTRAIN_TESTS_FLASH_IAP_H_
#define TINYTRAIN_TESTS_FLASH_IAP_H_

// In place of Mbed's class of that name: flash that refuses what real flash
// does not bear. Written by its documentation.

#include <stdint.h>
#include <string.h>

namespace mbed {

class FlashIAP {
 public:
  FlashIAP() { memset(bytes_, 0, sizeof(bytes_)); }

  int init() { return 0; }
  uint32_t get_page_size() const { return kPage; }
  uint32_t get_sector_size(uint32_t address) const {
    return address - kStart < sizeof(bytes_) ? kSector : 0;
  }
  uint32_t get_flash_start() const { return kStart; }
  uint32_t get_flash_size() const { return sizeof(bytes_); }

  int read(void* buffer, uint32_t address, uint32_t size) {
    if (!IsInside(address, size, 1)) return -1;
    memcpy(buffer, bytes_ + (address - kStart), size);
    return 0;
  }

  int erase(uint32_t address, uint32_t size) {
    if (!IsInside(address, size, kSector)) return -1;
    memset(bytes_ + (address - kStart), 0xFF, size);
    return 0;
  }

  // Each unit once.
  int program(const void* buffer, uint32_t address, uint32_t size) {
    if (!IsInside(address, size, kPage)) return -1;
    uint8_t* const to = bytes_ + (address - kStart);
    for (uint32_t i = 0; i < size; ++i) {
      if (to[i] != 0xFF) return -1;
    }
    memcpy(to, buffer, size);
    return 0;
  }

 private:
  static const uint32_t kStart = 0x08000000, kPage = 32, kSector = 4096;

  static bool IsInside(uint32_t address, uint32_t size, uint32_t unit) {
    const uint32_t end = 16 * kSector;
    return address >= kStart && size <= end && address - kStart <= end - size &&
           address % unit == 0 && size % unit == 0;
  }

  uint8_t bytes_[16 * kSector];
};

}  // namespace mbed

#endif  // TINYTRAIN_TESTS_FLASH_IAP_H_
