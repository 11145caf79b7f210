#include "tinytrain/arena.h"

#include <string.h>

namespace tinytrain {
namespace {

// Four in a row are a float that nobody computes, a NaN of odd payload.
const uint8_t kPoison = 0xFF;

}  // namespace

Status Arena::Init(void* region, size_t bytes) {
  if (region == nullptr && bytes > 0) return Status::Error(Code::kBadArgument);
  if (reinterpret_cast<uintptr_t>(region) % kAlignment != 0) {
    Status status = Status::Error(Code::kMisaligned);
    status.requested = kAlignment;
    return status;
  }
  begin_ = static_cast<uint8_t*>(region);
  size_ = bytes < UINT32_MAX ? static_cast<uint32_t>(bytes) : UINT32_MAX;
  used_ = 0;
  return Status::Ok();
}

Status Arena::AllocateBytes(uint32_t count, uint32_t size, void** part) {
  const uint64_t bytes = static_cast<uint64_t>(count) * size;
  const uint64_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  const uint32_t available = size_ - used_;
  if (rounded > available) {
    const uint32_t requested =
        rounded < UINT32_MAX ? static_cast<uint32_t>(rounded) : UINT32_MAX;
    return Status::TooSmall(requested, available);
  }
  *part = begin_ + used_;
  used_ += static_cast<uint32_t>(rounded);
  return Status::Ok();
}

void Poison(void* region, size_t bytes) { memset(region, kPoison, bytes); }

size_t HighWaterMark(const void* region, size_t bytes) {
  const uint8_t* begin = static_cast<const uint8_t*>(region);
  while (bytes > 0 && begin[bytes - 1] == kPoison) --bytes;
  return bytes;
}

}  // namespace tinytrain
