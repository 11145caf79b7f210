// Flash of boards, in front of what stands in for it: writes both slots, then
// prints what is refused.

#include <stdio.h>

#include "block.h"
#include "tinytrain/esp_partition_storage.h"
#include "tinytrain/flash_iap_storage.h"

using tinytrain::Code;
using tinytrain::Status;
using tinytrain::Storage;

namespace {

void Print(const char* what, const Status& status) {
  printf("%s %d %u %u %u\n", what, static_cast<int>(status.code),
         status.requested, status.available, status.missing);
}

void FillSlots(const Storage& storage) {
  const uint32_t unit = storage.write_bytes;
  Block<uint8_t> bytes(unit);
  for (uint32_t slot = 0; slot < tinytrain::kSlotCount; ++slot) {
    Expect(storage.erase(storage.context, slot).ok());
    for (uint32_t at = 0; at < storage.slot_bytes; at += unit) {
      for (uint32_t i = 0; i < unit; ++i) {
        bytes.get()[i] = static_cast<uint8_t>(slot + (at + i) % 251);
      }
      Expect(storage.write(storage.context, slot, at, bytes.get(), unit).ok());
    }
  }
  Expect(storage.sync(storage.context).ok());
}

// Counts the bytes of a slot that are as they were written.
uint32_t Intact(const Storage& storage, uint32_t slot) {
  uint32_t count = 0;
  for (uint32_t at = 0; at < storage.slot_bytes; ++at) {
    uint8_t byte;
    Expect(storage.read(storage.context, slot, at, &byte, 1).ok());
    count += byte == static_cast<uint8_t>(slot + at % 251) ? 1 : 0;
  }
  return count;
}

void Exercise(const char* name, const Storage& storage) {
  FillSlots(storage);
  printf("%s %u %u %u %u\n", name, storage.slot_bytes, storage.write_bytes,
         Intact(storage, 0), Intact(storage, 1));
  const uint8_t byte[64] = {};
  Print("again", storage.write(storage.context, 1, 0, byte, 64));
  Expect(storage.erase(storage.context, 1).ok());
  printf("erased %u\n", Intact(storage, 0));
  uint8_t found;
  Expect(storage.read(storage.context, 1, 0, &found, 1).ok());
  Expect(found == 0xFF);
  Print("behind", storage.write(storage.context, 1, storage.slot_bytes, byte,
                                storage.write_bytes));
}

}  // namespace

int main() {
  Storage storage;
  tinytrain::FlashIapSlots flash;
  Print("large", flash.Open(9000, &storage));
  Print("small", flash.Open(5000, &storage));
  Exercise("flash", storage);
  tinytrain::EspPartitionSlots partition;
  Print("none", partition.Open("nvs2", 5000, &storage));
  Print("large", partition.Open("spiffs", 4 * 4096 + 1, &storage));
  Print("small", partition.Open("spiffs", 4 * 4096, &storage));
  Exercise("partition", storage);
  return 0;
}
