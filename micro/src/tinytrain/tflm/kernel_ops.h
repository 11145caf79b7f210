#ifndef TINYTRAIN_TFLM_KERNEL_OPS_H_
#define TINYTRAIN_TFLM_KERNEL_OPS_H_

#include <stdint.h>

#include "tinytrain/tflm/op_calls.h"

#if TINYTRAIN_TFLM

namespace tinytrain {

// Custom options of the operators on windows: little-endian. Padding below and
// on the right is what the shapes leave for it.
struct KernelOptions {
  int32_t stride_height;
  int32_t stride_width;
  int32_t pad_top;
  int32_t pad_left;
};

}  // namespace tinytrain

namespace tflite {
namespace micro {
namespace tinytrain_op {

// A backward kernel as an operator. Tensors are float32 of n examples, with the
// letters of kernels/conv2d.h; `channels` are (m) int16, rising and distinct:
// which output channels have a gradient computed.
//   TinyTrainConv2DBackwardInput
//     d_output (n, Y, X, F), filter (F, K, L, C) -> d_input (n, H, W, C)
//   TinyTrainConv2DBackwardFilter
//     input (n, H, W, C), d_output, channels -> d_filter (m, K, L, C)
//   TinyTrainDepthwiseConv2DBackwardInput
//     d_output (n, Y, X, C), filter (1, K, L, C) -> d_input (n, H, W, C)
//   TinyTrainDepthwiseConv2DBackwardFilter
//     input (n, H, W, C), d_output, channels -> d_filter (m, K, L)
//   TinyTrainDenseBackwardInput
//     d_output (n, F), filter (F, C) -> d_input (n, C)
//   TinyTrainDenseBackwardFilter
//     input (n, C), d_output (n, F), channels -> d_filter (m, C)
//   TinyTrainBiasBackward
//     d_output (n, ..., F), channels -> d_bias (m)
// The first four have `KernelOptions`, the others none. Gradients of weights
// are sums over examples.
struct KernelOp {
  const char* name;
  TfLiteStatus (*prepare)(TfLiteContext* context, TfLiteNode* node);
  TfLiteStatus (*invoke)(TfLiteContext* context, TfLiteNode* node);

  Registration MakeRegistration() const;
};

const int kKernelOps = 7;
const KernelOp& KernelOpOf(int i);

template <typename Resolver>
bool RegisterAll(Resolver* resolver) {
  for (int i = 0; i < kKernelOps; ++i) {
    Registration registration = KernelOpOf(i).MakeRegistration();
    if (resolver->AddCustom(KernelOpOf(i).name, &registration) != kTfLiteOk) {
      return false;
    }
  }
  return true;
}

}  // namespace tinytrain_op
}  // namespace micro
}  // namespace tflite

namespace tinytrain {

// Adds the backward kernels, one operator each, to a `MicroMutableOpResolver`:
// for graphs that compute gradients themselves. `TinyTrainTail` needs none of
// them. False if the resolver has no room, or has one of them already.
template <typename Resolver>
bool RegisterKernels(Resolver& resolver) {
  return tflite::micro::tinytrain_op::RegisterAll(&resolver);
}

}  // namespace tinytrain

#endif  // TINYTRAIN_TFLM

#endif  // TINYTRAIN_TFLM_KERNEL_OPS_H_
