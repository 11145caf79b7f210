#ifndef TINYTRAIN_TFLM_TAIL_OPTIONS_H_
#define TINYTRAIN_TFLM_TAIL_OPTIONS_H_

#include <stddef.h>
#include <stdint.h>

#include "tinytrain/status.h"

namespace tinytrain {

// The custom options of an operator `TinyTrainTail`, see docs/tflm.md. What a
// blob does not say: how much memory to take, how to train, and how the frozen
// prefix stores what it hands over.
struct TailOptions {
  uint32_t magic;
  uint16_t major;
  uint16_t minor;
  uint32_t byte_order;
  uint32_t size;
  uint32_t crc;
  uint32_t header_size;
  uint32_t persistent_bytes;  // For training; scoring may take more.
  uint32_t work_bytes;
  uint16_t optimizer;
  uint16_t flags;
  float learning_rate;  // 0 is the rule of `LearningRate`.
  float momentum;
  float scale;         // Real value of one step of the features, > 0.
  int32_t zero_point;  // Stored value that means 0.0.
  float factor;        // A pixel times this, plus `summand`, is what the
  float summand;       // prefix stores as its input.
};

const uint32_t kTailMagic = 0x4F4E5454;  // "TTNO"
const uint16_t kTailVersion = 1;
const uint16_t kTailScores = 1;  // Of `flags`: channels are chosen here.

// Points `*options` to the options at `bytes`, or refuses them: kBadFormat,
// kWrongVersion, kCorrupt.
Status ReadTailOptions(const void* bytes, size_t size,
                       const TailOptions** options);

}  // namespace tinytrain

#endif  // TINYTRAIN_TFLM_TAIL_OPTIONS_H_
