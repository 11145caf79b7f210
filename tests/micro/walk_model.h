#ifndef TESTS_MICRO_WALK_MODEL_H_
#define TESTS_MICRO_WALK_MODEL_H_

#include <stdint.h>
#include <string.h>

#include "tinytrain/model.h"

// Reads everything that an open model offers, as code that trusts it would, and
// returns a sum that keeps the compiler from leaving it out. A sanitizer sees
// any byte that is not there.
inline double WalkModel(const tinytrain::Model& model) {
  using namespace tinytrain::format;
  double sum = strlen(model.name(model.network().name)) +
               strlen(model.name(model.network().cut)) + model.base();
  for (uint32_t i = 0; i < model.tensor_count(); ++i) {
    sum += model.tensor(i).size();
  }
  for (uint32_t i = 0; i < model.operation_count(); ++i) {
    const Operation& op = model.operation(i);
    sum += model.tensor(op.input).size() + model.tensor(op.output).size();
    if (op.kind == Kind::kAdd) sum += model.tensor(op.second).size();
    if (op.layer == kAbsent) continue;
    const Layer& layer = model.layer(op.layer);
    sum += strlen(model.name(layer.name));
    const uint32_t row = layer.weights / layer.channels;
    for (uint32_t c = 0; c < layer.channels && layer.type == kInt8; ++c) {
      const int8_t* kernel = model.stored_kernel(layer) + row * c;
      for (uint32_t k = 0; k < row; ++k) sum += kernel[k];
      sum += model.scales(layer)[c] + model.multipliers(layer)[c] +
             model.shifts(layer)[c];
      if (layer.biases > 0) sum += model.stored_bias(layer)[c];
    }
    for (uint32_t c = 0; c < layer.channels && layer.type != kInt8; ++c) {
      const float* kernel = model.kernel(layer) + row * c;
      for (uint32_t k = 0; k < row; ++k) sum += kernel[k];
      if (model.bias(layer) != nullptr) sum += model.bias(layer)[c];
    }
  }
  for (uint32_t i = 0; i < model.choice_count(); ++i) {
    const Choice& choice = model.choice(i);
    const Layer& layer = model.layer(choice.layer);
    const bool by_input = choice.flags & kByInput;
    const uint32_t size = by_input ? layer.inputs : layer.channels;
    for (uint32_t k = 0; k < choice.count; ++k) {
      const uint32_t index = model.indices(choice)[k];
      sum += index;
      // A plan's index is one of the layer's.
      if (index >= size) __builtin_trap();
    }
  }
  return sum + model.head().depth * model.head().max_way +
         model.training().macs.value();
}

#endif  // TESTS_MICRO_WALK_MODEL_H_
