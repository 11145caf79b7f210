#include "tinytrain/shape.h"

#include <stdint.h>

namespace tinytrain {
namespace {

// Sizes that cannot overflow an int in any of the sums below.
const int kMaxSide = 1 << 14;
const int kMaxChannels = 1 << 16;  // Indices of channels are uint16_t.

bool Between(int value, int low, int high) {
  return low <= value && value <= high;
}

bool IsTensor(const Shape& shape) {
  if (!Between(shape.height, 1, kMaxSide) ||
      !Between(shape.width, 1, kMaxSide) ||
      !Between(shape.channels, 1, kMaxChannels)) {
    return false;
  }
  const int64_t positions = static_cast<int64_t>(shape.height) * shape.width;
  return positions * shape.channels <= INT32_MAX / 4;
}

// Along one axis.
bool IsCovered(int input, int output, int kernel, int stride, int pad) {
  if (!Between(kernel, 1, kMaxSide) || !Between(stride, 1, kMaxSide) ||
      !Between(pad, 0, kernel - 1)) {
    return false;
  }
  return static_cast<int64_t>(output - 1) * stride - pad < input;
}

int OutputSize(int input, int kernel, int stride, int before, int after) {
  return (input + before + after - kernel) / stride + 1;
}

}  // namespace

Status CheckWindow(const Window& window) {
  const bool good =
      IsTensor(window.input) && IsTensor(window.output) &&
      IsCovered(window.input.height, window.output.height, window.kernel_height,
                window.stride_height, window.pad_top) &&
      IsCovered(window.input.width, window.output.width, window.kernel_width,
                window.stride_width, window.pad_left);
  return good ? Status::Ok() : Status::Error(Code::kBadArgument);
}

Status SetOutput(int channels, const Padding& padding, Window* window) {
  const Status bad = Status::Error(Code::kBadArgument);
  if (!IsTensor(window->input) ||
      !Between(window->kernel_height, 1, kMaxSide) ||
      !Between(window->kernel_width, 1, kMaxSide) ||
      !Between(window->stride_height, 1, kMaxSide) ||
      !Between(window->stride_width, 1, kMaxSide) ||
      !Between(padding.top, 0, window->kernel_height - 1) ||
      !Between(padding.bottom, 0, window->kernel_height - 1) ||
      !Between(padding.left, 0, window->kernel_width - 1) ||
      !Between(padding.right, 0, window->kernel_width - 1) ||
      window->input.height + padding.top + padding.bottom <
          window->kernel_height ||
      window->input.width + padding.left + padding.right <
          window->kernel_width) {
    return bad;
  }
  window->pad_top = padding.top;
  window->pad_left = padding.left;
  window->output.height =
      OutputSize(window->input.height, window->kernel_height,
                 window->stride_height, padding.top, padding.bottom);
  window->output.width =
      OutputSize(window->input.width, window->kernel_width,
                 window->stride_width, padding.left, padding.right);
  window->output.channels = channels;
  return CheckWindow(*window);
}

}  // namespace tinytrain
