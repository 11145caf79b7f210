#ifndef BOARD_STORAGE_H_
#define BOARD_STORAGE_H_

// Where this board keeps what it has learned: two slots of `kSlotBytes`. If
// flash cannot be had, slots of 0 bytes, and whoever saves is told so.

#include <TinyTrain.h>

// The flash of RP2040 is written in units of 256 bytes, which are too many.
#if defined(ARDUINO_ARCH_MBED) && !defined(ARDUINO_ARCH_RP2040) && \
    !defined(ARDUINO_ARCH_MBED_RP2040)
#include <tinytrain/flash_iap_storage.h>

static tinytrain::FlashIapSlots flash_slots;

template <uint32_t kSlotBytes>
tinytrain::SessionStorage OpenStorage() {
  tinytrain::SessionStorage found = {tinytrain::RamStorage(nullptr, 0), true};
  flash_slots.Open(kSlotBytes, &found.storage);
  return found;
}

#elif defined(ARDUINO_ARCH_ESP32)
#include <tinytrain/esp_partition_storage.h>

static tinytrain::EspPartitionSlots flash_slots;

// In the partition of the file system, which is overwritten.
template <uint32_t kSlotBytes>
tinytrain::SessionStorage OpenStorage() {
  tinytrain::SessionStorage found = {tinytrain::RamStorage(nullptr, 0), true};
  flash_slots.Open("spiffs", kSlotBytes, &found.storage);
  return found;
}

#else

// There is no driver for the flash of this board, so it is RAM, which forgets
// when the power goes. tinytrain/storage.h says what a driver has to do.
template <uint32_t kSlotBytes>
tinytrain::SessionStorage OpenStorage() {
  static uint8_t bytes[2][kSlotBytes];
  static tinytrain::RamSlots slots = {{bytes[0], bytes[1]}};
  return {tinytrain::RamStorage(&slots, kSlotBytes), false};
}

#endif

#endif  // BOARD_STORAGE_H_
