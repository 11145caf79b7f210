#ifndef TINYTRAIN_KERNELS_POOLING_H_
#define TINYTRAIN_KERNELS_POOLING_H_

#include <stddef.h>
#include <stdint.h>

#include "tinytrain/shape.h"

// Pooling of one example. Tensors are (height, width, channels), of as many
// channels in as out. Gradients are added to what is there.
namespace tinytrain {

// Averages a rectangle of positions: all of them for global average pooling.
struct Region {
  int top;
  int left;
  int height;
  int width;
};

void RegionAverageForward(const Shape& input_shape, const Region& region,
                          const float* input, float* output);  // (channels)
void RegionAverageBackward(const Shape& input_shape, const Region& region,
                           const float* d_output, float* d_input);

void GlobalAveragePoolingForward(const Shape& input_shape, const float* input,
                                 float* output);  // (channels)
// Of stored int8 numbers, which input and output store alike: rounds halves
// away from zero.
void GlobalAveragePoolingForward(const Shape& input_shape, const int8_t* input,
                                 int8_t* output);
void GlobalAveragePoolingBackward(const Shape& input_shape,
                                  const float* d_output, float* d_input);

// Averages the values of a window that lie over the input; padding does not
// count, as in Keras.
void AveragePoolingForward(const Window& window, const float* input,
                           float* output);
void AveragePoolingForward(const Window& window, const int8_t* input,
                           int8_t* output);
void AveragePoolingBackward(const Window& window, const float* d_output,
                            float* d_input);

// Takes the largest value of a window, the first of equals; NaN when there is
// one. `taps` says which, one byte per output: windows of at most 256 taps. It
// is null when nothing is learned from it.
const int kMaxPoolingTaps = 256;
inline size_t MaxPoolingTapsBytes(const Window& window) {
  return window.output.size();
}
void MaxPoolingForward(const Window& window, const float* input, float* output,
                       uint8_t* taps);
void MaxPoolingForward(const Window& window, const int8_t* input,
                       int8_t* output, uint8_t* taps);
void MaxPoolingBackward(const Window& window, const uint8_t* taps,
                        const float* d_output, float* d_input);

}  // namespace tinytrain

#endif  // TINYTRAIN_KERNELS_POOLING_H_
