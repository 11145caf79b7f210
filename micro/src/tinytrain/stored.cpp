#include "tinytrain/stored.h"

#include <cmath>

namespace tinytrain {

using format::Layer;

float BiasLimit(const Model& model, const Layer& layer) {
  const uint32_t input = model.operation(layer.operation).input;
  const int zero_point = model.tensor(input).zero_point;
  const int largest = zero_point < 0 ? 127 - zero_point : 128 + zero_point;
  // What float32 holds exactly, less the products unless they leave no room.
  const int64_t exact = 1 << 24;
  const int64_t left =
      exact - int64_t{layer.weights / layer.channels} * largest * 127;
  return static_cast<float>(left < 1 << 22 ? exact : left);
}

float RoundedTo(float value, float limit) {
  const float rounded = std::nearbyint(value);
  return rounded < -limit ? -limit : rounded > limit ? limit : rounded;
}

}  // namespace tinytrain
