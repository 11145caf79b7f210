#ifndef TINYTRAIN_KERNELS_DENSE_H_
#define TINYTRAIN_KERNELS_DENSE_H_

#include "tinytrain/kernels/conv2d.h"

namespace tinytrain {

// A dense layer is a pointwise convolution of one position, and of all
// positions where Keras applies it to the last axis: use the Conv2D kernels
// with this window. Its filter has a row of `in` weights per output.
inline Window DenseWindow(int positions, int in, int out) {
  const Window window = {
      {1, positions, in}, {1, positions, out}, 1, 1, 1, 1, 0, 0};
  return window;
}

}  // namespace tinytrain

#endif  // TINYTRAIN_KERNELS_DENSE_H_
