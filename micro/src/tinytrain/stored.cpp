#include "tinytrain/stored.h"

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
  if (value >= limit) return limit;
  if (value <= -limit) return -limit;
  // Halves to the even one, without a library.
  const int32_t whole = static_cast<int32_t>(value);
  const float rest = value - static_cast<float>(whole);
  const bool is_odd = (whole & 1) != 0;
  if (rest > 0.5f || (rest == 0.5f && is_odd)) {
    return static_cast<float>(whole + 1);
  }
  if (rest < -0.5f || (rest == -0.5f && is_odd)) {
    return static_cast<float>(whole - 1);
  }
  return static_cast<float>(whole);
}

}  // namespace tinytrain
