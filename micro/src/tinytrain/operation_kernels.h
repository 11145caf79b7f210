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

// Whether it reads stored int8 numbers, and whether a layer's weights are such.
bool ReadsInt8(const Model& model, const format::Operation& operation);
inline bool IsInt8(const format::Layer& layer) {
  return layer.type == format::kInt8;
}

// Bytes of scratch memory, of the forward pass and of the input gradient.
uint64_t ForwardScratchBytes(const Model& model,
                             const format::Operation& operation);
uint64_t BackwardScratchBytes(const Model& model,
                              const format::Operation& operation);

// Weights of a layer, either in float32 or in integers.
struct LayerRows {
  union {
    Rows<float> filter;
    Rows<int8_t> stored_filter;
  };
  union {
    Rows<float> bias;
    Rows<int32_t> stored_bias;
  };

  LayerRows() : filter(), bias() {}
};

// What an operation reads besides its window: numbers of the type of their
// tensors.
struct Operands {
  const void* input;
  const void* second;  // Of a sum.
  LayerRows rows;
  void* scratch;
  uint8_t* taps;  // Of max pooling; null when nothing is learned.
  uint8_t* mask;  // Of an activation; null when nothing is learned.

  // `stored` if the weights are integers.
  void GiveScratch(void* memory, bool stored) {
    scratch = memory;
    if (stored) {
      rows.stored_filter.patch = static_cast<int8_t*>(memory);
    } else {
      rows.filter.patch = static_cast<float*>(memory);
    }
  }
};

// Computes `output`, which may be one of the inputs where `Schedule::Reused`
// says so.
void RunForward(const Model& model, const format::Operation& operation,
                const Operands& operands, void* output);
void RunForwardInt8(const Model& model, const format::Operation& operation,
                    const Operands& operands, int8_t* output);
// The same of a part of its window.
void RunWindowInt8(const Model& model, const format::Operation& operation,
                   const Window& window, const Operands& operands,
                   int8_t* output);

// A convolution, the depthwise layer behind it and, unless null, the pointwise
// one behind that, row by row: of what lies between there are as many rows as
// a window has. `operands` are those of each; scratch memory is the second's.
uint64_t StreamScratchBytes(const Model& model,
                            const format::Operation& depthwise,
                            const format::Operation* projection);
void RunStreamed(const Model& model, const format::Operation& convolution,
                 const format::Operation& depthwise,
                 const format::Operation* projection, const Operands* operands,
                 int8_t* output);

// Turns the gradient of an int8 layer's output into that of its accumulators.
void ScaleGradient(const Model& model, const format::Operation& operation,
                   float* gradient);

// What of the output's gradient is that of `input`, of an operation that hands
// it on.
float GradientShare(const Model& model, const format::Operation& operation,
                    uint32_t input);

// Adds to `d_input`. Not of those that work in place.
void RunBackwardInput(const Model& model, const format::Operation& operation,
                      const Operands& operands, const float* d_output,
                      float* d_input);

// The same of a depthwise layer of stored numbers whose output is as large as
// its input: turns the gradient of the one into that of the other.
uint64_t BackwardInPlaceScratchBytes(const Model& model,
                                     const format::Operation& operation);
void RunBackwardInPlace(const Model& model, const format::Operation& operation,
                        const Operands& operands, float* gradient);

// Adds to `d_filter` the rows of `channels`. `window` and `input` are the
// operation's, or of some channels of its input alone.
void RunBackwardFilter(const Model& model, const format::Operation& operation,
                       const Window& window, const void* input,
                       const float* d_output, const Channels& channels,
                       float* d_filter);

// Copies some channels of what an operation with weights reads.
void CopyInputs(const Model& model, const format::Operation& operation,
                const void* input, const Channels& channels, void* to);

}  // namespace tinytrain

#endif  // TINYTRAIN_OPERATION_KERNELS_H_
