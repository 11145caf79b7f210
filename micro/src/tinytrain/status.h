#ifndef TINYTRAIN_STATUS_H_
#define TINYTRAIN_STATUS_H_

#include <stdint.h>

namespace tinytrain {

enum class Code : int8_t {
  kOk = 0,
  kRegionTooSmall = -1,  // `Status` says by how many bytes.
  kMisaligned = -2,      // A pointer or an offset; `requested` is a multiple.
  kBadArgument = -3,     // The caller's.
  kBadFormat = -4,       // Not what docs/format.md says.
  kWrongVersion = -5,    // Of a format; `available` is the one it has.
  kCorrupt = -6,         // A checksum differs.
  kWrongModel = -7,      // A checkpoint or plan of another model.
  kNotFinite = -8,       // A loss or gradient; nothing was changed.
  kWrongState = -9,      // A call out of turn, such as Train before Plan.
  kNoCheckpoint = -10,   // Neither slot holds any.
  kStorage = -11,        // What holds the slots cannot read, erase or write.
  kUnsupported = -12,    // Of a request or storage that nobody knows here.
  kMemoryBudget = -13,   // Of selection, below what one channel takes.
  kMacsBudget = -14,     // The same; numbers are MACs of a backward pass.
  kWorse = -15,          // A training, of samples held out; it is undone.
};

// What a call came to. Numbers are bytes, unless the code says otherwise.
struct Status {
  Code code;
  uint32_t requested;
  uint32_t available;
  uint32_t missing;

  bool ok() const { return code == Code::kOk; }

  static Status Ok() { return Error(Code::kOk); }

  static Status Error(Code code) {
    const Status status = {code, 0, 0, 0};
    return status;
  }

  // For `requested` > `available`.
  static Status TooSmall(uint32_t requested, uint32_t available) {
    const Status status = {Code::kRegionTooSmall, requested, available,
                           requested - available};
    return status;
  }
};

}  // namespace tinytrain

#endif  // TINYTRAIN_STATUS_H_
