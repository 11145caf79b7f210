#ifndef TINYTRAIN_FILE_STORAGE_H_
#define TINYTRAIN_FILE_STORAGE_H_

#include <stdio.h>
#include <string.h>

#include "tinytrain/storage.h"

// Needs a C library with files: a host, or a device with a file system.
namespace tinytrain {

// Two slots, one after the other, in a file open for reading and writing in
// binary ("r+b" or "w+b"). What is not there yet reads as zeros. Does not own
// the file.
struct FileSlots {
  FILE* file;
  uint32_t slot_bytes;

  bool Seek(uint32_t slot, uint32_t offset) const {
    const uint64_t place = static_cast<uint64_t>(slot) * slot_bytes + offset;
    return place <= INT32_MAX &&
           fseek(file, static_cast<long>(place), SEEK_SET) == 0;
  }

  static Status Read(void* context, uint32_t slot, uint32_t offset, void* bytes,
                     uint32_t size) {
    const FileSlots& self = *static_cast<FileSlots*>(context);
    if (!self.Seek(slot, offset)) return Status::Error(Code::kStorage);
    clearerr(self.file);
    const size_t count = fread(bytes, 1, size, self.file);
    if (ferror(self.file)) return Status::Error(Code::kStorage);
    memset(static_cast<char*>(bytes) + count, 0, size - count);
    return Status::Ok();
  }

  static Status Erase(void* context, uint32_t slot) {
    const FileSlots& self = *static_cast<FileSlots*>(context);
    // A file of both slots in full, so that a reader knows where the second is.
    const long size = 2 * static_cast<long>(self.slot_bytes);
    if (fseek(self.file, 0, SEEK_END) != 0) {
      return Status::Error(Code::kStorage);
    }
    if (ftell(self.file) < size) {
      const Status status = Write(context, 1, self.slot_bytes - 1, "", 1);
      if (!status.ok()) return status;
    }
    return Write(context, slot, 0, "\0\0\0", sizeof(uint32_t));
  }

  static Status Write(void* context, uint32_t slot, uint32_t offset,
                      const void* bytes, uint32_t size) {
    const FileSlots& self = *static_cast<FileSlots*>(context);
    const bool done =
        self.Seek(slot, offset) && fwrite(bytes, 1, size, self.file) == size;
    return done ? Status::Ok() : Status::Error(Code::kStorage);
  }

  static Status Sync(void* context) {
    const FileSlots& self = *static_cast<FileSlots*>(context);
    const bool done = fflush(self.file) == 0;
    return done ? Status::Ok() : Status::Error(Code::kStorage);
  }
};

// Returns storage in `*slots`.
inline Storage FileStorage(FileSlots* slots) {
  const Storage storage = {slots,           slots->slot_bytes, 1,
                           FileSlots::Read, FileSlots::Erase,  FileSlots::Write,
                           FileSlots::Sync};
  return storage;
}

}  // namespace tinytrain

#endif  // TINYTRAIN_FILE_STORAGE_H_
