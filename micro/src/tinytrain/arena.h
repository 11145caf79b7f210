#ifndef TINYTRAIN_ARENA_H_
#define TINYTRAIN_ARENA_H_

#include <stddef.h>
#include <stdint.h>

#include "tinytrain/status.h"

namespace tinytrain {

// Everything an arena hands out begins at a multiple of this.
const uint32_t kAlignment = 8;

// Rounds up to a multiple of `kAlignment`.
inline uint32_t Aligned(uint32_t bytes) {
  return (bytes + kAlignment - 1) & ~(kAlignment - 1);
}

// Hands out parts of one region, from its start on. Gives back only what came
// last, by `Rewind`. Does not own the region, which must outlive the arena and
// all it hands out.
//   region | part | padding | part | ... | free
class Arena {
 public:
  Arena() : begin_(nullptr), size_(0), used_(0) {}

  // Takes `bytes` at `region`, which must be a multiple of `kAlignment`, or
  // returns kMisaligned and stays as it was.
  Status Init(void* region, size_t bytes);

  // Sets `*part` to `count` uninitialised `T`s, or returns kRegionTooSmall and
  // changes nothing.
  template <typename T>
  Status Allocate(uint32_t count, T** part) {
    void* bytes = nullptr;
    const Status status = AllocateBytes(count, sizeof(T), &bytes);
    if (status.ok()) *part = static_cast<T*>(bytes);
    return status;
  }

  uint32_t size() const { return size_; }
  uint32_t used() const { return used_; }

  // Frees all that was handed out since `used()` was `used`.
  void Rewind(uint32_t used) {
    if (used < used_) used_ = used;
  }

 private:
  Status AllocateBytes(uint32_t count, uint32_t size, void** part);

  uint8_t* begin_;
  uint32_t size_;
  uint32_t used_;
};

// To measure what is written of a region: fill it with a pattern, run, and ask
// for the end of the last byte that differs from it.
void Poison(void* region, size_t bytes);
size_t HighWaterMark(const void* region, size_t bytes);

}  // namespace tinytrain

#endif  // TINYTRAIN_ARENA_H_
