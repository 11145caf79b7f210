#ifndef TINYTRAIN_KERNELS_CONV2D_H_
#define TINYTRAIN_KERNELS_CONV2D_H_

#include "tinytrain/kernels/requantization.h"
#include "tinytrain/kernels/rows.h"
#include "tinytrain/shape.h"

// Convolution of one example. With H x W positions and C channels of
// `window.input`, Y x X positions and F channels of `window.output`, and K x L
// taps, tensors are
//   input, d_input    (H, W, C)
//   output, d_output  (Y, X, F)
//   filter            rows of F channels, each (K, L, C)
//   bias              rows of F channels, each one value
// Gradients are added to what is there. No kernel here needs scratch memory but
// for rows with trained inputs: `Rows::patch`, kPatched rows forward, and
// kPatched weights of each tap of all filters for the input gradient.
// All trust `window` to be what `CheckWindow` lets pass.
namespace tinytrain {

void Conv2DForward(const Window& window, const float* input,
                   const Rows<float>& filter, const Rows<float>& bias,
                   float* output);

// Of stored int8 numbers. `mask` (one bit per output) may be null.
void Conv2DForward(const Window& window, const int8_t* input,
                   const Rows<int8_t>& filter, const Rows<int32_t>& bias,
                   const Requantization& to, int8_t* output, uint8_t* mask);

void Conv2DBackwardInput(const Window& window, const float* d_output,
                         const Rows<float>& filter, float* d_input);

// The same with int8 weights.
void Conv2DBackwardInput(const Window& window, const float* d_output,
                         const Rows<int8_t>& filter, float* d_input);

// Computes the rows of `channels` alone.
void Conv2DBackwardFilter(const Window& window, const float* input,
                          const float* d_output, const Channels& channels,
                          float* d_filter);  // (channels.count, K, L, C)

// The same of a stored input, less its zero point.
void Conv2DBackwardFilter(const Window& window, const int8_t* input,
                          int zero_point, const float* d_output,
                          const Channels& channels, float* d_filter);

// Of any layer with a bias: sums over positions.
void BiasBackward(const Shape& output, const float* d_output,
                  const Channels& channels,
                  float* d_bias);  // (channels.count)

// What the kernels above are tested against, bit for bit: the sums written
// down, in the same order.
namespace reference {

void Conv2DForward(const Window& window, const float* input,
                   const Rows<float>& filter, const Rows<float>& bias,
                   float* output);
void Conv2DForward(const Window& window, const int8_t* input,
                   const Rows<int8_t>& filter, const Rows<int32_t>& bias,
                   const Requantization& to, int8_t* output, uint8_t* mask);
void Conv2DBackwardInput(const Window& window, const float* d_output,
                         const Rows<float>& filter, float* d_input);
void Conv2DBackwardFilter(const Window& window, const float* input,
                          const float* d_output, const Channels& channels,
                          float* d_filter);

}  // namespace reference
}  // namespace tinytrain

#endif  // TINYTRAIN_KERNELS_CONV2D_H_
