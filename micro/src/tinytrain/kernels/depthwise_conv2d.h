#ifndef TINYTRAIN_KERNELS_DEPTHWISE_CONV2D_H_
#define TINYTRAIN_KERNELS_DEPTHWISE_CONV2D_H_

#include <stddef.h>

#include "tinytrain/kernels/requantization.h"
#include "tinytrain/kernels/rows.h"
#include "tinytrain/shape.h"

// Depthwise convolution of one example, of multiplier 1: `window.input` and
// `window.output` have the same C channels. Tensors are as in conv2d.h, but
//   filter.base     (K, L, C), channels innermost, as they are read
//   filter.trained  (replaced.count, K, L), a row per trained channel
// A few channels of the filter at a time are brought together in `scratch`,
// which has the bytes of the ...ScratchBytes twin. Gradients are added to what
// is there. All trust `window` to be what `CheckWindow` lets pass.
namespace tinytrain {

size_t DepthwiseConv2DForwardScratchBytes(const Window& window);
void DepthwiseConv2DForward(const Window& window, const float* input,
                            const Rows<float>& filter, const Rows<float>& bias,
                            void* scratch, float* output);

// Of stored int8 numbers. `mask` (one bit per output) may be null; `output` may
// be `input` where both have one shape and strides are 1.
size_t DepthwiseConv2DForwardInt8ScratchBytes(const Window& window);
void DepthwiseConv2DForward(const Window& window, const int8_t* input,
                            const Rows<int8_t>& filter,
                            const Rows<int32_t>& bias, const Requantization& to,
                            void* scratch, int8_t* output, uint8_t* mask);

size_t DepthwiseConv2DBackwardInputScratchBytes(const Window& window);
void DepthwiseConv2DBackwardInput(const Window& window, const float* d_output,
                                  const Rows<float>& filter, void* scratch,
                                  float* d_input);

// The same with int8 weights.
size_t DepthwiseConv2DBackwardInputInt8ScratchBytes(const Window& window);
void DepthwiseConv2DBackwardInput(const Window& window, const float* d_output,
                                  const Rows<int8_t>& filter, void* scratch,
                                  float* d_input);

// The same of an output as large as the input, stride 1: `gradient` is that of
// the output, and becomes that of the input.
size_t DepthwiseConv2DBackwardInPlaceScratchBytes(const Window& window);
void DepthwiseConv2DBackwardInPlace(const Window& window,
                                    const Rows<int8_t>& filter, void* scratch,
                                    float* gradient);

// Computes the rows of `channels` alone; needs no scratch memory.
void DepthwiseConv2DBackwardFilter(const Window& window, const float* input,
                                   const float* d_output,
                                   const Channels& channels,
                                   float* d_filter);  // (channels.count, K, L)

// The same of a stored input, less its zero point.
void DepthwiseConv2DBackwardFilter(const Window& window, const int8_t* input,
                                   int zero_point, const float* d_output,
                                   const Channels& channels, float* d_filter);

// What the kernels above are tested against, bit for bit.
namespace reference {

void DepthwiseConv2DForward(const Window& window, const float* input,
                            const Rows<float>& filter, const Rows<float>& bias,
                            float* output);
void DepthwiseConv2DForward(const Window& window, const int8_t* input,
                            const Rows<int8_t>& filter,
                            const Rows<int32_t>& bias, const Requantization& to,
                            int8_t* output, uint8_t* mask);
void DepthwiseConv2DBackwardInput(const Window& window, const float* d_output,
                                  const Rows<float>& filter, float* d_input);
void DepthwiseConv2DBackwardFilter(const Window& window, const float* input,
                                   const float* d_output,
                                   const Channels& channels, float* d_filter);

}  // namespace reference
}  // namespace tinytrain

#endif  // TINYTRAIN_KERNELS_DEPTHWISE_CONV2D_H_
