#ifndef TINYTRAIN_STORED_H_
#define TINYTRAIN_STORED_H_

#include "tinytrain/model.h"

// Integers of int8 layers.
namespace tinytrain {

// The largest magnitude of a weight, and of a bias of a layer, as
// keras_tinytrain.quantization.scales.
const float kLargestWeight = 127.0f;
float BiasLimit(const Model& model, const format::Layer& layer);

// Returns the integer next to `value`, of magnitude `limit` at most, which is
// an integer up to 2^24.
float RoundedTo(float value, float limit);

}  // namespace tinytrain

#endif  // TINYTRAIN_STORED_H_
