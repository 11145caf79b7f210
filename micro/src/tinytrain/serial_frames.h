#ifndef TINYTRAIN_SERIAL_FRAMES_H_
#define TINYTRAIN_SERIAL_FRAMES_H_

#include <stdint.h>

#include "tinytrain/status.h"

// Frames of docs/serial.md: messages on a line that loses and garbles bytes. A
// zero byte begins a frame and is never inside of one, so whatever happens to a
// frame, the next one is read.
namespace tinytrain {

const uint32_t kFrameHeaderBytes = 8;
const uint32_t kFrameCrcBytes = 4;

// What a frame begins with.
struct Frame {
  uint8_t type;
  uint8_t number;     // Of the request; its answer has the same.
  uint16_t argument;  // What it means depends on the type.
  uint32_t size;      // Bytes of the payload.
};

enum class FrameEvent : uint8_t {
  kNone,     // Inside of a frame, or between two.
  kFrame,    // `frame` is complete, and the payload with it.
  kRefused,  // `status` says why.
};

// Finds frames in bytes as they come. Does not own the memory of the payload,
// which it writes to as soon as a frame has begun.
class FrameReader {
 public:
  FrameReader(uint8_t* payload, uint32_t payload_bytes);

  // Takes the next byte of the line. Refused are:
  //   kRegionTooSmall  a payload that is too long
  //   kBadFormat       a frame that was cut off: how many bytes of it came
  //   kCorrupt         another checksum
  // A refused frame changes nothing but the memory of the payload. Bytes
  // between frames are passed over without a word.
  FrameEvent Take(uint8_t byte);

  const Frame& frame() const { return frame_; }
  const uint8_t* payload() const { return payload_; }
  const Status& status() const { return status_; }

 private:
  void Begin();
  FrameEvent Decode(uint8_t byte);
  FrameEvent EndHeader();
  FrameEvent End();
  FrameEvent Refuse(const Status& status);
  uint32_t Expected() const;

  uint8_t* const payload_;
  const uint32_t payload_bytes_;
  bool inside_;     // Of a frame.
  bool zero_;       // Follows the block, unless the frame ends there.
  uint8_t left_;    // Bytes of the block to come.
  uint32_t count_;  // Decoded bytes of the frame.
  uint8_t header_[kFrameHeaderBytes];
  uint8_t crc_[kFrameCrcBytes];
  Frame frame_;
  Status status_;
};

// Takes the bytes of a frame on their way.
struct ByteSink {
  void* context;  // The first argument of the call.
  void (*write)(void* context, const uint8_t* bytes, uint32_t size);
};

// Writes one frame: `frame.size` bytes by `Put`, in any pieces, then `End`.
class FrameWriter {
 public:
  FrameWriter(const ByteSink& sink, const Frame& frame);

  void Put(const void* bytes, uint32_t size);
  void End();

 private:
  void Encode(const uint8_t* bytes, uint32_t size);
  void WriteBlock(bool zero);

  const ByteSink& sink_;
  uint32_t crc_;
  bool zero_;     // The last block stands for a zero behind it.
  uint8_t size_;  // Bytes of `block_`, the first of which is its size.
  uint8_t block_[255];
};

}  // namespace tinytrain

#endif  // TINYTRAIN_SERIAL_FRAMES_H_
