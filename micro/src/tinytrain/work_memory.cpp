#include "tinytrain/work_memory.h"

#include <string.h>

namespace tinytrain {
namespace {

const uint32_t kBorrowed = 0xFFFFFFFF;  // As a size.

uint64_t Rounded(uint64_t bytes) { return (bytes + 3) & ~uint64_t{3}; }

}  // namespace

WorkMemory::WorkMemory()
    : live_(0),
      peak_(0),
      region_(nullptr),
      size_(0),
      placed_(0),
      blocks_(nullptr),
      order_(nullptr) {}

WorkMemory::WorkMemory(uint32_t blocks, void* region, uint32_t bytes)
    : live_(0),
      peak_(0),
      region_(static_cast<uint8_t*>(region) + TableBytes(blocks)),
      size_(bytes - static_cast<uint32_t>(TableBytes(blocks))),
      placed_(0),
      blocks_(static_cast<Block*>(region)),
      order_(reinterpret_cast<uint16_t*>(blocks_ + blocks)) {}

uint64_t WorkMemory::TableBytes(uint32_t blocks) {
  return Rounded(uint64_t{blocks} * (sizeof(Block) + sizeof(uint16_t)));
}

void WorkMemory::Take(uint32_t block, uint64_t bytes, bool stays_long) {
  bytes = Rounded(bytes);
  live_ += bytes;
  if (live_ > peak_) peak_ = live_;
  if (counts_only()) return;
  const uint32_t size = static_cast<uint32_t>(bytes);
  uint32_t offset = 0;
  uint32_t place = Place(size, stays_long, &offset);
  if (place > placed_) {
    MoveTogether();
    place = Place(size, stays_long, &offset);
  }
  memmove(order_ + place + 1, order_ + place,
          (placed_ - place) * sizeof(order_[0]));
  order_[place] = static_cast<uint16_t>(block);
  ++placed_;
  blocks_[block].offset = offset;
  blocks_[block].size = size;
}

void WorkMemory::Release(uint32_t block, uint64_t bytes) {
  live_ -= Rounded(bytes);
  if (counts_only()) return;
  uint32_t place = 0;
  while (order_[place] != block) ++place;
  --placed_;
  memmove(order_ + place, order_ + place + 1,
          (placed_ - place) * sizeof(order_[0]));
}

void WorkMemory::Rename(uint32_t from, uint32_t to) {
  if (counts_only()) return;
  uint32_t place = 0;
  while (order_[place] != from) ++place;
  order_[place] = static_cast<uint16_t>(to);
  blocks_[to] = blocks_[from];
}

void WorkMemory::Borrow(uint32_t block, uint32_t owner) {
  if (counts_only()) return;
  blocks_[block].offset = owner;
  blocks_[block].size = kBorrowed;
}

void* WorkMemory::At(uint32_t block) const {
  const Block& found = blocks_[block];
  if (found.size == kBorrowed) return At(found.offset);
  return region_ + found.offset;
}

// The end of the block in front of a place of the order, of the region's start.
uint32_t WorkMemory::End(uint32_t place) const {
  if (place == 0) return 0;
  const Block& block = blocks_[order_[place - 1]];
  return block.offset + block.size;
}

// Returns the place in the order of a new block, in the lowest gap if it stays
// long and else at the end of the highest. There is none above `placed_`.
uint32_t WorkMemory::Place(uint32_t bytes, bool stays_long,
                           uint32_t* offset) const {
  for (uint32_t i = 0; i <= placed_; ++i) {
    const uint32_t place = stays_long ? i : placed_ - i;
    const uint32_t begin = End(place);
    const uint32_t end =
        place == placed_ ? size_ : blocks_[order_[place]].offset;
    if (end - begin >= bytes) {
      *offset = stays_long ? begin : end - bytes;
      return place;
    }
  }
  return placed_ + 1;
}

void WorkMemory::MoveTogether() {
  for (uint32_t i = 0; i < placed_; ++i) {
    Block& block = blocks_[order_[i]];
    const uint32_t begin = End(i);
    memmove(region_ + begin, region_ + block.offset, block.size);
    block.offset = begin;
  }
}

}  // namespace tinytrain
