#ifndef TINYTRAIN_TRAINED_H_
#define TINYTRAIN_TRAINED_H_

#include <stdint.h>

#include "tinytrain/kernels/rows.h"
#include "tinytrain/model.h"
#include "tinytrain/parts.h"

namespace tinytrain {

// What is trained of one layer, a `Part` of it.
struct TrainedLayer {
  uint16_t row;       // In the layers of the model.
  uint16_t kind;      // See `Parts`.
  Channels channels;  // Of outputs, or of inputs.
  float* weights;     // Rows of the part,
  float* biases;
  int8_t* stored;  // or, if not null, integers.
  int32_t* stored_biases;

  Part part(const Model& model) const {
    return Part(model.layer(row), static_cast<uint32_t>(channels.count), kind);
  }
};

// All that training changes. Owns nothing.
struct Trained {
  TrainedLayer* layers;  // Their rows rise.
  uint32_t layer_count;
  float* class_vectors;  // (way, depth of the head)
  uint32_t way;          // 0 before the first training.
};

}  // namespace tinytrain

#endif  // TINYTRAIN_TRAINED_H_
