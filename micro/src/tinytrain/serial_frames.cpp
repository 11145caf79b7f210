#include "tinytrain/serial_frames.h"

#include <string.h>

#include "tinytrain/crc32.h"

namespace tinytrain {
namespace {

// Begins a frame.
const uint8_t kMark = 0;

// First byte of a block of 254 bytes without a zero behind them.
const uint8_t kFullBlock = 255;

uint32_t Little(const uint8_t* bytes, uint32_t size) {
  uint32_t value = 0;
  for (uint32_t i = size; i > 0; --i) value = value << 8 | bytes[i - 1];
  return value;
}

void PutLittle(uint32_t value, uint32_t size, uint8_t* bytes) {
  for (uint32_t i = 0; i < size; ++i) {
    bytes[i] = static_cast<uint8_t>(value >> 8 * i);
  }
}

}  // namespace

FrameReader::FrameReader(uint8_t* payload, uint32_t payload_bytes)
    : payload_(payload),
      payload_bytes_(payload_bytes),
      inside_(false),
      zero_(false),
      left_(0),
      count_(0),
      header_(),
      crc_(),
      frame_(),
      status_(Status::Ok()) {}

FrameEvent FrameReader::Take(uint8_t byte) {
  if (byte == kMark) {
    const bool cut = inside_ && (count_ > 0 || left_ > 0);
    const Status status = {Code::kBadFormat, Expected(), count_,
                           Expected() - count_};
    Begin();
    if (!cut) return FrameEvent::kNone;
    status_ = status;
    return FrameEvent::kRefused;
  }
  if (!inside_) return FrameEvent::kNone;
  if (left_ > 0) {
    --left_;
    return Decode(byte);
  }
  const bool zero = zero_;
  left_ = static_cast<uint8_t>(byte - 1);
  zero_ = byte != kFullBlock;
  return zero ? Decode(0) : FrameEvent::kNone;
}

void FrameReader::Begin() {
  inside_ = true;
  zero_ = false;
  left_ = 0;
  count_ = 0;
}

FrameEvent FrameReader::Decode(uint8_t byte) {
  const uint32_t at = count_++;
  if (at < kFrameHeaderBytes) {
    header_[at] = byte;
    return count_ == kFrameHeaderBytes ? EndHeader() : FrameEvent::kNone;
  }
  const uint32_t place = at - kFrameHeaderBytes;
  if (place < frame_.size) {
    payload_[place] = byte;
    return FrameEvent::kNone;
  }
  crc_[place - frame_.size] = byte;
  return count_ == Expected() ? End() : FrameEvent::kNone;
}

FrameEvent FrameReader::EndHeader() {
  frame_.type = header_[0];
  frame_.number = header_[1];
  frame_.argument = static_cast<uint16_t>(Little(header_ + 2, 2));
  frame_.size = Little(header_ + 4, 4);
  if (frame_.size <= payload_bytes_) return FrameEvent::kNone;
  return Refuse(Status::TooSmall(frame_.size, payload_bytes_));
}

FrameEvent FrameReader::End() {
  const uint32_t crc =
      Crc32(payload_, frame_.size, Crc32(header_, kFrameHeaderBytes));
  // A block may not go on behind the frame.
  if (left_ > 0 || crc != Little(crc_, kFrameCrcBytes)) {
    return Refuse(Status::Error(Code::kCorrupt));
  }
  inside_ = false;
  return FrameEvent::kFrame;
}

FrameEvent FrameReader::Refuse(const Status& status) {
  inside_ = false;
  status_ = status;
  return FrameEvent::kRefused;
}

// Bytes of the frame, as far as is known.
uint32_t FrameReader::Expected() const {
  if (count_ < kFrameHeaderBytes) return kFrameHeaderBytes;
  return kFrameHeaderBytes + frame_.size + kFrameCrcBytes;
}

FrameWriter::FrameWriter(const ByteSink& sink, const Frame& frame)
    : sink_(sink), crc_(0), zero_(false), size_(1) {
  uint8_t header[kFrameHeaderBytes] = {frame.type, frame.number};
  PutLittle(frame.argument, 2, header + 2);
  PutLittle(frame.size, 4, header + 4);
  sink_.write(sink_.context, &kMark, 1);
  Put(header, sizeof(header));
}

void FrameWriter::Put(const void* bytes, uint32_t size) {
  crc_ = Crc32(bytes, size, crc_);
  Encode(static_cast<const uint8_t*>(bytes), size);
}

void FrameWriter::End() {
  uint8_t crc[kFrameCrcBytes];
  PutLittle(crc_, sizeof(crc), crc);
  Encode(crc, sizeof(crc));
  // Of a full block nothing is left.
  if (size_ > 1 || zero_) WriteBlock(false);
}

void FrameWriter::Encode(const uint8_t* bytes, uint32_t size) {
  for (uint32_t i = 0; i < size; ++i) {
    if (bytes[i] == 0) {
      WriteBlock(true);
      continue;
    }
    block_[size_++] = bytes[i];
    if (size_ == kFullBlock) WriteBlock(false);
  }
}

void FrameWriter::WriteBlock(bool zero) {
  block_[0] = size_;
  sink_.write(sink_.context, block_, size_);
  size_ = 1;
  zero_ = zero;
}

}  // namespace tinytrain
