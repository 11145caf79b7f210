#include "tinytrain/tflm/kernel_ops.h"

#if TINYTRAIN_TFLM

#include <string.h>

#include "tinytrain/kernels/conv2d.h"
#include "tinytrain/kernels/dense.h"
#include "tinytrain/kernels/depthwise_conv2d.h"

namespace tflite {
namespace micro {
namespace tinytrain_op {

using tinytrain::Channels;
using tinytrain::KernelOptions;
using tinytrain::Rows;
using tinytrain::Window;

namespace {

enum Layer { kConv2D, kDepthwiseConv2D, kDense };

// What the interpreter keeps for each operator.
struct Kernel {
  KernelOptions options;
  bool has_options;
  Window window;  // Of one example; of dense layers, of all.
  int examples;
  int scratch;  // Number of the scratch buffer.
};

Kernel* KernelOf(TfLiteNode* node) {
  return static_cast<Kernel*>(node->user_data);
}

TfLiteStatus Refuse(TfLiteContext* context, const char* reason) {
  (void)context;
  TINYTRAIN_LOG(context, "TinyTrain kernel: %s", reason);
  return kTfLiteError;
}

void* Init(TfLiteContext* context, const char* buffer, size_t length) {
  void* const place = Allocate(context, sizeof(Kernel));
  if (place == nullptr) return nullptr;
  Kernel* const kernel = static_cast<Kernel*>(place);
  memset(kernel, 0, sizeof(Kernel));
  kernel->has_options = length == sizeof(KernelOptions);
  if (kernel->has_options) memcpy(&kernel->options, buffer, length);
  return kernel;
}

bool IsFloat(const TfLiteEvalTensor* tensor, int rank) {
  return tensor->type == kTfLiteFloat32 && tensor->dims->size == rank;
}

bool HasArity(const TfLiteNode* node, int inputs) {
  return node->inputs->size == inputs && node->outputs->size == 1;
}

// How a layer goes from `input` to `output`; false if it cannot.
bool SetWindow(Layer layer, const TfLiteEvalTensor* input,
               const TfLiteEvalTensor* output, const TfLiteEvalTensor* filter,
               Kernel* kernel) {
  const int* const in = input->dims->data;
  const int* const out = output->dims->data;
  if (in[0] != out[0] || in[0] < 1) return false;
  if (layer == kDense) {
    kernel->examples = 1;
    kernel->window = tinytrain::DenseWindow(in[0], in[1], out[1]);
  } else {
    const KernelOptions& options = kernel->options;
    const Window window = {{in[1], in[2], in[3]}, {out[1], out[2], out[3]},
                           filter->dims->data[1], filter->dims->data[2],
                           options.stride_height, options.stride_width,
                           options.pad_top,       options.pad_left};
    kernel->examples = in[0];
    kernel->window = window;
    if (!kernel->has_options) return false;
    if (layer == kDepthwiseConv2D && in[3] != out[3]) return false;
  }
  return CheckWindow(kernel->window).ok();
}

// Sizes behind the first one: those of a row of the filter of an output channel
// are `taps` times the channels that it reads.
bool HasRows(const TfLiteEvalTensor* filter, int rows, uint32_t row) {
  return filter->dims->data[0] == rows &&
         Size(filter) == static_cast<uint32_t>(rows) * row;
}

bool HasChannels(const TfLiteEvalTensor* channels) {
  return channels->type == kTfLiteInt16 && channels->dims->size == 1 &&
         channels->dims->data[0] >= 1;
}

// False if they are not rising and distinct, or too large.
bool ReadChannels(const TfLiteEvalTensor* tensor, int most,
                  Channels* channels) {
  channels->index = reinterpret_cast<const uint16_t*>(tensor->data.i16);
  channels->count = tensor->dims->data[0];
  int least = 0;
  for (int i = 0; i < channels->count; ++i) {
    if (channels->index[i] < least || channels->index[i] >= most) return false;
    least = channels->index[i] + 1;
  }
  return true;
}

void Clear(TfLiteEvalTensor* tensor) {
  memset(tensor->data.f, 0, Size(tensor) * sizeof(float));
}

// Inputs: d_output, filter. Output: d_input.
template <Layer layer>
TfLiteStatus PrepareInput(TfLiteContext* context, TfLiteNode* node) {
  const int rank = layer == kDense ? 2 : 4;
  Kernel* const kernel = KernelOf(node);
  if (kernel == nullptr) return kTfLiteError;
  if (!HasArity(node, 2)) return Refuse(context, "wrong number of tensors");
  const TfLiteEvalTensor* const d_output = Input(context, node, 0);
  const TfLiteEvalTensor* const filter = Input(context, node, 1);
  const TfLiteEvalTensor* const d_input = Output(context, node, 0);
  if (!IsFloat(d_output, rank) || !IsFloat(filter, rank) ||
      !IsFloat(d_input, rank)) {
    return Refuse(context, "wrong types or ranks");
  }
  if (!SetWindow(layer, d_input, d_output, filter, kernel)) {
    return Refuse(context, "wrong shapes or options");
  }
  const Window& window = kernel->window;
  const bool fits =
      layer == kDepthwiseConv2D
          ? HasRows(filter, 1, window.taps() * window.input.channels)
          : HasRows(filter, window.output.channels,
                    window.taps() * window.input.channels);
  if (!fits || filter->dims->data[rank - 1] != window.input.channels) {
    return Refuse(context, "a filter of another layer");
  }
  if (layer != kDepthwiseConv2D) return kTfLiteOk;
  return RequestScratch(context,
                        DepthwiseConv2DBackwardInputScratchBytes(window),
                        &kernel->scratch);
}

template <Layer layer>
TfLiteStatus InvokeInput(TfLiteContext* context, TfLiteNode* node) {
  const Kernel& kernel = *KernelOf(node);
  const Window& window = kernel.window;
  const float* d_output = Input(context, node, 0)->data.f;
  const Rows<float> filter = {
      Input(context, node, 1)->data.f, nullptr, {nullptr, 0}};
  Clear(Output(context, node, 0));
  float* d_input = Output(context, node, 0)->data.f;
  for (int n = 0; n < kernel.examples; ++n) {
    if (layer == kDepthwiseConv2D) {
      void* const scratch = Scratch(context, kernel.scratch);
      DepthwiseConv2DBackwardInput(window, d_output, filter, scratch, d_input);
    } else {
      Conv2DBackwardInput(window, d_output, filter, d_input);
    }
    d_output += window.output.size();
    d_input += window.input.size();
  }
  return kTfLiteOk;
}

// Inputs: input, d_output, channels. Output: d_filter.
template <Layer layer>
TfLiteStatus PrepareFilter(TfLiteContext* context, TfLiteNode* node) {
  const int rank = layer == kDense ? 2 : 4;
  Kernel* const kernel = KernelOf(node);
  if (kernel == nullptr) return kTfLiteError;
  if (!HasArity(node, 3)) return Refuse(context, "wrong number of tensors");
  const TfLiteEvalTensor* const input = Input(context, node, 0);
  const TfLiteEvalTensor* const d_output = Input(context, node, 1);
  const TfLiteEvalTensor* const channels = Input(context, node, 2);
  const TfLiteEvalTensor* const d_filter = Output(context, node, 0);
  if (!IsFloat(input, rank) || !IsFloat(d_output, rank) ||
      !IsFloat(d_filter, layer == kDepthwiseConv2D ? 3 : rank) ||
      !HasChannels(channels)) {
    return Refuse(context, "wrong types or ranks");
  }
  if (!SetWindow(layer, input, d_output, d_filter, kernel)) {
    return Refuse(context, "wrong shapes or options");
  }
  const Window& window = kernel->window;
  const int inputs = layer == kDepthwiseConv2D ? 1 : window.input.channels;
  if (!HasRows(d_filter, channels->dims->data[0], window.taps() * inputs)) {
    return Refuse(context, "a filter of another layer");
  }
  return kTfLiteOk;
}

template <Layer layer>
TfLiteStatus InvokeFilter(TfLiteContext* context, TfLiteNode* node) {
  const Kernel& kernel = *KernelOf(node);
  const Window& window = kernel.window;
  Channels channels;
  if (!ReadChannels(Input(context, node, 2), window.output.channels,
                    &channels)) {
    return Refuse(context, "no rising channels of this layer");
  }
  const float* input = Input(context, node, 0)->data.f;
  const float* d_output = Input(context, node, 1)->data.f;
  Clear(Output(context, node, 0));
  float* const d_filter = Output(context, node, 0)->data.f;
  for (int n = 0; n < kernel.examples; ++n) {
    if (layer == kDepthwiseConv2D) {
      DepthwiseConv2DBackwardFilter(window, input, d_output, channels,
                                    d_filter);
    } else {
      Conv2DBackwardFilter(window, input, d_output, channels, d_filter);
    }
    input += window.input.size();
    d_output += window.output.size();
  }
  return kTfLiteOk;
}

// Inputs: d_output, channels. Output: d_bias.
TfLiteStatus PrepareBias(TfLiteContext* context, TfLiteNode* node) {
  Kernel* const kernel = KernelOf(node);
  if (kernel == nullptr) return kTfLiteError;
  if (!HasArity(node, 2)) return Refuse(context, "wrong number of tensors");
  const TfLiteEvalTensor* const d_output = Input(context, node, 0);
  const TfLiteEvalTensor* const channels = Input(context, node, 1);
  const TfLiteEvalTensor* const d_bias = Output(context, node, 0);
  const int rank = d_output->dims->size;
  if (rank < 1 || !IsFloat(d_output, rank) || !IsFloat(d_bias, 1) ||
      !HasChannels(channels)) {
    return Refuse(context, "wrong types or ranks");
  }
  const int depth = d_output->dims->data[rank - 1];
  if (depth < 1 || d_bias->dims->data[0] != channels->dims->data[0]) {
    return Refuse(context, "wrong shapes");
  }
  const int positions = static_cast<int>(Size(d_output)) / depth;
  kernel->window = tinytrain::DenseWindow(positions, 1, depth);
  return kTfLiteOk;
}

TfLiteStatus InvokeBias(TfLiteContext* context, TfLiteNode* node) {
  const tinytrain::Shape& output = KernelOf(node)->window.output;
  Channels channels;
  if (!ReadChannels(Input(context, node, 1), output.channels, &channels)) {
    return Refuse(context, "no rising channels of this layer");
  }
  Clear(Output(context, node, 0));
  BiasBackward(output, Input(context, node, 0)->data.f, channels,
               Output(context, node, 0)->data.f);
  return kTfLiteOk;
}

const KernelOp kOps[kKernelOps] = {
    {"TinyTrainConv2DBackwardInput", PrepareInput<kConv2D>,
     InvokeInput<kConv2D>},
    {"TinyTrainConv2DBackwardFilter", PrepareFilter<kConv2D>,
     InvokeFilter<kConv2D>},
    {"TinyTrainDepthwiseConv2DBackwardInput", PrepareInput<kDepthwiseConv2D>,
     InvokeInput<kDepthwiseConv2D>},
    {"TinyTrainDepthwiseConv2DBackwardFilter", PrepareFilter<kDepthwiseConv2D>,
     InvokeFilter<kDepthwiseConv2D>},
    {"TinyTrainDenseBackwardInput", PrepareInput<kDense>, InvokeInput<kDense>},
    {"TinyTrainDenseBackwardFilter", PrepareFilter<kDense>,
     InvokeFilter<kDense>},
    {"TinyTrainBiasBackward", PrepareBias, InvokeBias},
};

}  // namespace

const KernelOp& KernelOpOf(int i) { return kOps[i]; }

Registration KernelOp::MakeRegistration() const {
  Registration registration = Registration();
  registration.init = Init;
  registration.prepare = prepare;
  registration.invoke = invoke;
  registration.custom_name = name;
  return registration;
}

}  // namespace tinytrain_op
}  // namespace micro
}  // namespace tflite

#endif  // TINYTRAIN_TFLM
