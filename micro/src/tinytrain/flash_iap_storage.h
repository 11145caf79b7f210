#ifndef TINYTRAIN_FLASH_IAP_STORAGE_H_
#define TINYTRAIN_FLASH_IAP_STORAGE_H_

#include <FlashIAP.h>

#include "tinytrain/storage.h"

// Needs Mbed OS: Portenta H7, GIGA R1, Nicla Vision, Nano 33 BLE.
namespace tinytrain {

// Two slots in the last sectors of the flash that the program is in, which it
// must not reach itself.
class FlashIapSlots {
 public:
  // Makes `storage` of slots of at least so many bytes. kRegionTooSmall if the
  // program is there, kUnsupported if flash is written in larger units than
  // `kMaxWriteBytes`, kStorage if there is none.
  Status Open(uint32_t slot_bytes, Storage* storage) {
    if (flash_.init() != 0) return Status::Error(Code::kStorage);
    const uint32_t unit = flash_.get_page_size();
    if (unit > kMaxWriteBytes) return Status::Error(Code::kUnsupported);
    const uint32_t end = flash_.get_flash_start() + flash_.get_flash_size();
    const uint32_t sector = flash_.get_sector_size(end - 1);
    slot_bytes_ = (slot_bytes + sector - 1) / sector * sector;
    const uint32_t taken = kSlotCount * slot_bytes_;
    const uint32_t there = end - ProgramEnd();
    if (taken > there) return Status::TooSmall(taken, there);
    start_ = end - taken;
    const Storage found = {this, slot_bytes_, unit, Read, Erase, Write, Sync};
    *storage = found;
    return Status::Ok();
  }

 private:
  uint32_t ProgramEnd() const {
#ifdef FLASHIAP_APP_ROM_END_ADDR
    return FLASHIAP_APP_ROM_END_ADDR;
#else
    return flash_.get_flash_start();
#endif
  }

  uint32_t At(uint32_t slot, uint32_t offset) const {
    return start_ + slot * slot_bytes_ + offset;
  }

  static Status Told(int result) {
    return result == 0 ? Status::Ok() : Status::Error(Code::kStorage);
  }

  static Status Read(void* context, uint32_t slot, uint32_t offset, void* bytes,
                     uint32_t size) {
    FlashIapSlots* self = static_cast<FlashIapSlots*>(context);
    return Told(self->flash_.read(bytes, self->At(slot, offset), size));
  }

  static Status Erase(void* context, uint32_t slot) {
    FlashIapSlots* self = static_cast<FlashIapSlots*>(context);
    return Told(self->flash_.erase(self->At(slot, 0), self->slot_bytes_));
  }

  static Status Write(void* context, uint32_t slot, uint32_t offset,
                      const void* bytes, uint32_t size) {
    FlashIapSlots* self = static_cast<FlashIapSlots*>(context);
    return Told(self->flash_.program(bytes, self->At(slot, offset), size));
  }

  static Status Sync(void*) { return Status::Ok(); }

  mbed::FlashIAP flash_;
  uint32_t start_;
  uint32_t slot_bytes_;
};

}  // namespace tinytrain

#endif  // TINYTRAIN_FLASH_IAP_STORAGE_H_
