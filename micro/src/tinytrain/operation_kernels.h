#ifndef TINYTRAIN_OPERATION_KERNELS_H_
#define TINYTRAIN_OPERATION_KERNELS_H_

#include <stdint.h>

#include "tinytrain/kernels/rows.h"
#include "tinytrain/model.h"
#include "tinytrain/shape.h"

// The kernels of an operation of a blob.
namespace tinytrain {

Shape ShapeOf(const format::Tensor& tensor);

// How an operation's window lies over its input; of a dense layer that of one
// position.
Window WindowOf(const Model& model, const format::Operation& operation);

// Bytes of scratch memory, of the forward pass and of the input gradient.
uint64_t ScratchBytes(const Model& model, const format::Operation& operation);

// What an operation reads besides its window.
struct Operands {
  const float* input;
  const float* second;  // Of a sum.
  Rows<float> filter;
  Rows<float> bias;
  void* scratch;
  uint8_t* taps;  // Of max pooling; null when nothing is learned.
  uint8_t* mask;  // Of an activation; null when nothing is learned.
};

// Computes `output`, which may be one of the inputs where `Schedule::Reused`
// says so.
void RunForward(const Model& model, const format::Operation& operation,
                const Operands& operands, float* output);

// Adds to `d_input`. Not of those that work in place.
void RunBackwardInput(const Model& model, const format::Operation& operation,
                      const Operands& operands, const float* d_output,
                      float* d_input);

// Adds to `d_filter` the rows of `channels`.
void RunBackwardFilter(const Model& model, const format::Operation& operation,
                       const float* input, const float* d_output,
                       const Channels& channels, float* d_filter);

}  // namespace tinytrain

#endif  // TINYTRAIN_OPERATION_KERNELS_H_
