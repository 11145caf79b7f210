#ifndef TINYTRAIN_WORK_MEMORY_H_
#define TINYTRAIN_WORK_MEMORY_H_

#include <stdint.h>

namespace tinytrain {

// Blocks of the region `work` during one pass, by number. A block that finds
// no gap makes the others move together, so what a pass needs is the largest
// sum of its blocks at any time, whatever their order and lifetimes are. And
// that can be counted without a region: a counting memory takes the same calls
// and places nothing.
//   region | table | blocks that stay long | gap | others
// Every block is a multiple of 4 bytes and begins at one.
class WorkMemory {
 public:
  // Counts only.
  WorkMemory();

  // Places blocks 0 to `blocks` - 1 in `bytes` at `region`, a multiple of 4,
  // which are at least what a counting memory has found, `TableBytes` included.
  WorkMemory(uint32_t blocks, void* region, uint32_t bytes);

  // Of the table, which the peak does not count.
  static uint64_t TableBytes(uint32_t blocks);

  bool counts_only() const { return region_ == nullptr; }

  // Places a block of `bytes`. All others may move, so pointers to them are
  // asked for afterwards.
  void Take(uint32_t block, uint64_t bytes, bool stays_long);

  // Gives up a block that was taken with `bytes`.
  void Release(uint32_t block, uint64_t bytes);

  // Turns block `from` into block `to`, which is not there yet.
  void Rename(uint32_t from, uint32_t to);

  // Lets `block` be another name for `owner`. It needs no release.
  void Borrow(uint32_t block, uint32_t owner);

  // Where a block lies until the next `Take`. Not of a counting memory.
  void* At(uint32_t block) const;

  // The largest sum of all blocks so far.
  uint64_t peak() const { return peak_; }

 private:
  struct Block {
    uint32_t offset;  // The owner of one that is borrowed.
    uint32_t size;
  };

  uint32_t End(uint32_t place) const;
  uint32_t Place(uint32_t bytes, bool stays_long, uint32_t* offset) const;
  void MoveTogether();

  uint64_t live_;
  uint64_t peak_;
  uint8_t* region_;  // Without the table.
  uint32_t size_;
  uint32_t placed_;  // Number of blocks that are there.
  Block* blocks_;
  uint16_t* order_;  // Their numbers by offset.
};

}  // namespace tinytrain

#endif  // TINYTRAIN_WORK_MEMORY_H_
