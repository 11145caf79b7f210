#ifndef TINYTRAIN_KERNELS_DEPTHWISE_CONV2D_H_
#define TINYTRAIN_KERNELS_DEPTHWISE_CONV2D_H_

#include <stddef.h>

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

size_t DepthwiseConv2DBackwardInputScratchBytes(const Window& window);
void DepthwiseConv2DBackwardInput(const Window& window, const float* d_output,
                                  const Rows<float>& filter, void* scratch,
                                  float* d_input);

// Computes the rows of `channels` alone; needs no scratch memory.
void DepthwiseConv2DBackwardFilter(const Window& window, const float* input,
                                   const float* d_output,
                                   const Channels& channels,
                                   float* d_filter);  // (channels.count, K, L)

// What the kernels above are tested against, bit for bit.
namespace reference {

void DepthwiseConv2DForward(const Window& window, const float* input,
                            const Rows<float>& filter, const Rows<float>& bias,
                            float* output);
void DepthwiseConv2DBackwardInput(const Window& window, const float* d_output,
                                  const Rows<float>& filter, float* d_input);
void DepthwiseConv2DBackwardFilter(const Window& window, const float* input,
                                   const float* d_output,
                                   const Channels& channels, float* d_filter);

}  // namespace reference
}  // namespace tinytrain

#endif  // TINYTRAIN_KERNELS_DEPTHWISE_CONV2D_H_
