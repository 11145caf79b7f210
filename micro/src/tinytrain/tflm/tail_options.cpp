#include "tinytrain/tflm/tail_options.h"

#include "tinytrain/crc32.h"
#include "tinytrain/finite.h"
#include "tinytrain/format.h"

namespace tinytrain {
namespace {

Status BadFormat(uint32_t expected, uint32_t received) {
  Status status = Status::Error(Code::kBadFormat);
  status.requested = expected;
  status.available = received;
  return status;
}

}  // namespace

Status ReadTailOptions(const void* bytes, size_t size,
                       const TailOptions** options) {
  const uint32_t least = sizeof(TailOptions);
  if (bytes == nullptr || size < least) {
    return BadFormat(least, static_cast<uint32_t>(size));
  }
  if (reinterpret_cast<uintptr_t>(bytes) % 4 != 0) {
    return Status::Error(Code::kMisaligned);
  }
  const TailOptions* found = static_cast<const TailOptions*>(bytes);
  if (found->magic != kTailMagic) return BadFormat(kTailMagic, found->magic);
  if (found->byte_order != format::kByteOrder) {
    return BadFormat(format::kByteOrder, found->byte_order);
  }
  if (found->major != kTailVersion) {
    Status status = Status::Error(Code::kWrongVersion);
    status.requested = kTailVersion;
    status.available = found->major;
    return status;
  }
  if (found->size < least || found->size > size) {
    return BadFormat(found->size, static_cast<uint32_t>(size));
  }
  if (FileCrc(static_cast<const uint8_t*>(bytes), found->size) != found->crc) {
    return Status::Error(Code::kCorrupt);
  }
  if (!IsFinite(found->scale) || found->scale <= 0.0f ||
      found->zero_point < -128 || found->zero_point > 127) {
    return BadFormat(0, 0);
  }
  *options = found;
  return Status::Ok();
}

}  // namespace tinytrain
