#ifndef TINYTRAIN_TRAINED_H_
#define TINYTRAIN_TRAINED_H_

#include <stdint.h>

#include "tinytrain/kernels/rows.h"

namespace tinytrain {

// What is trained of one layer.
struct TrainedLayer {
  uint32_t row;       // In the layers of the model.
  Channels channels;  // Trained output channels.
  float* weights;     // (channels.count, weights of a channel)
  float* biases;      // (channels.count), unused of a layer without biases.
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
