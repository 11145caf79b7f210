#ifndef TINYTRAIN_PARTS_H_
#define TINYTRAIN_PARTS_H_

#include <stdint.h>

#include "tinytrain/format.h"

namespace tinytrain {

// How much trains of the layers of a model, as many numbers as there are
// layers.
struct Parts {
  // Output channels, or input channels, by kind; 0 for none.
  const uint16_t* counts;
  // Bits of `format::Choice::flags`. Null if all are 0: output channels with
  // their biases.
  const uint8_t* kinds;
};

// What trains of a layer: output channels with their biases, or input channels,
// which are a part of every output channel; and all biases, alone or with
// either.
class Part {
 public:
  Part(const format::Layer& layer, uint32_t count, uint32_t kind)
      : layer_(layer), count_(count), kind_(kind) {}

  // Number of chosen channels, of outputs or inputs.
  uint32_t count() const { return count_; }
  uint32_t kind() const { return kind_; }
  bool by_input() const { return (kind_ & format::kByInput) != 0; }
  bool every_bias() const { return (kind_ & format::kEveryBias) != 0; }

  // Whether it reads chosen inputs, but not all there are.
  bool some_inputs() const {
    return by_input() && count_ > 0 && count_ < layer_.inputs;
  }

  // Weights lie in rows, one for an output channel.
  uint32_t rows() const { return by_input() ? layer_.channels : count_; }
  uint32_t row_size() const {
    const uint32_t size = layer_.weights / layer_.channels;
    return by_input() ? size / layer_.inputs * count_ : size;
  }
  uint32_t weights() const { return rows() * row_size(); }
  uint32_t biases() const {
    if (layer_.biases == 0) return 0;
    if (every_bias()) return layer_.biases;
    return by_input() ? 0 : count_;
  }

  // All that trains: rows, then biases.
  uint32_t numbers() const { return weights() + biases(); }

 private:
  const format::Layer& layer_;
  const uint32_t count_;
  const uint32_t kind_;
};

inline Part PartOf(const Parts& parts, const format::Layer& layer, uint32_t i) {
  const uint32_t kind = parts.kinds == nullptr ? 0 : parts.kinds[i];
  return Part(layer, parts.counts[i], kind);
}

}  // namespace tinytrain

#endif  // TINYTRAIN_PARTS_H_
