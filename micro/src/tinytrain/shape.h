#ifndef TINYTRAIN_SHAPE_H_
#define TINYTRAIN_SHAPE_H_

#include "tinytrain/status.h"

namespace tinytrain {

// Of one example's tensor (height, width, channels), channels innermost.
struct Shape {
  int height;
  int width;
  int channels;

  int positions() const { return height * width; }
  int size() const { return height * width * channels; }
};

// How windows lie over a tensor: of a convolution or a pooling. Output (y, x)
// sees the input from (y * stride_height - pad_top, x * stride_width -
// pad_left) on; what lies outside counts as zero, or not at all in a pooling.
// The padding below and on the right is what `output` leaves for it, so
// "valid", "same" and symmetric padding differ in numbers only.
struct Window {
  Shape input;
  Shape output;
  int kernel_height;
  int kernel_width;
  int stride_height;
  int stride_width;
  int pad_top;
  int pad_left;

  int taps() const { return kernel_height * kernel_width; }

  // Whether positions map one to one: a matrix product over all of them.
  bool pointwise() const {
    return taps() == 1 && stride_height == 1 && stride_width == 1 &&
           pad_top == 0 && pad_left == 0 && input.height == output.height &&
           input.width == output.width;
  }
};

struct Padding {
  int top;
  int bottom;
  int left;
  int right;
};

// Fills in `window->output` from the rest of it, `bottom` and `right`, or
// returns kBadArgument: a size below 1, a negative padding, a padding as large
// as the kernel, a window that fits nowhere, or a tensor of 2^31 bytes.
Status SetOutput(int channels, const Padding& padding, Window* window);

// Returns kBadArgument unless the kernels can rely on `window`: what
// `SetOutput` gives, with every window at least partly over the input.
Status CheckWindow(const Window& window);

}  // namespace tinytrain

#endif  // TINYTRAIN_SHAPE_H_
