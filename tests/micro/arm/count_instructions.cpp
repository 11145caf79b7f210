// Prints "kernel size channels-in channels-out kernel stride trained macs
// instructions" for layers like those of MCUNet.

#include <stdio.h>

#include "instruction_counter.h"
#include "tinytrain/kernels/activation.h"
#include "tinytrain/kernels/conv2d.h"
#include "tinytrain/kernels/depthwise_conv2d.h"

using namespace tinytrain;  // NOLINT: a program.

namespace {

const int kMaxValues = 64 * 64 * 16;
float input[kMaxValues];
float output[kMaxValues];
float filter[576 * 160];
float slice[576 * 160];
float bias[1024];
float scratch[4 * 49];
uint8_t mask[kMaxValues / 8];
uint16_t channels[1024];

struct Layer {
  int size;
  int in;
  int out;  // 0 for a depthwise convolution.
  int kernel;
  int stride;
  int trained;  // Per mille of the output channels, evenly spread.
};

const Layer kLayers[] = {
    {64, 3, 16, 3, 2, 0},     {32, 16, 48, 1, 1, 0},    {16, 24, 120, 1, 1, 0},
    {16, 120, 24, 1, 1, 0},   {8, 40, 160, 1, 1, 0},    {8, 192, 48, 1, 1, 0},
    {8, 48, 240, 1, 1, 500},  {4, 240, 96, 1, 1, 500},  {4, 96, 384, 1, 1, 0},
    {4, 96, 384, 1, 1, 1000}, {4, 96, 384, 1, 1, 500},  {4, 96, 384, 1, 1, 250},
    {4, 576, 160, 1, 1, 500}, {1, 160, 10, 1, 1, 1000}, {32, 48, 0, 3, 1, 0},
    {32, 32, 0, 3, 2, 0},     {16, 120, 0, 3, 1, 0},    {8, 144, 0, 3, 1, 500},
    {4, 576, 0, 3, 1, 500},   {8, 160, 0, 5, 1, 500},   {4, 384, 0, 5, 1, 500},
    {8, 160, 0, 7, 1, 500},   {8, 240, 0, 7, 2, 500},
};

void Print(const char* name, const Layer& layer, int macs, uint32_t count) {
  printf("%s %d %d %d %d %d %d %d %lu\n", name, layer.size, layer.in, layer.out,
         layer.kernel, layer.stride, layer.trained, macs,
         static_cast<unsigned long>(count));
}

void Measure(const Layer& layer) {
  const bool depthwise = layer.out == 0;
  const int out = depthwise ? layer.in : layer.out;
  Window w = {{layer.size, layer.size, layer.in},
              {0, 0, 0},
              layer.kernel,
              layer.kernel,
              layer.stride,
              layer.stride,
              0,
              0};
  const int half = layer.kernel / 2;
  const Padding padding = {half, half, half, half};
  if (!SetOutput(out, padding, &w).ok()) return;
  int count = 0;
  for (int c = 0; c < out; ++c) {
    if ((c + 1) * layer.trained / 1000 > c * layer.trained / 1000) {
      channels[count++] = static_cast<uint16_t>(c);
    }
  }
  const Channels trained = {channels, count};
  const Rows<float> rows = {filter, slice, trained};
  const Rows<float> biases = {bias, bias, trained};
  const int macs = w.output.size() * w.taps() * (depthwise ? 1 : layer.in);
  const int trained_macs = macs / out * count;
  const char* kind = depthwise                   ? "depthwise"
                     : w.output.positions() == 1 ? "dense"
                     : w.pointwise()             ? "pointwise"
                                                 : "conv2d";
  char name[64];
  {
    InstructionCounter counter;
    if (depthwise) {
      DepthwiseConv2DForward(w, input, rows, biases, scratch, output);
    } else {
      Conv2DForward(w, input, rows, biases, output);
    }
    const uint32_t instructions = counter.Count();
    snprintf(name, sizeof(name), "%s_forward", kind);
    Print(name, layer, macs, instructions);
  }
  {
    InstructionCounter counter;
    if (depthwise) {
      DepthwiseConv2DBackwardInput(w, output, rows, scratch, input);
    } else {
      Conv2DBackwardInput(w, output, rows, input);
    }
    const uint32_t instructions = counter.Count();
    snprintf(name, sizeof(name), "%s_backward_input", kind);
    Print(name, layer, macs, instructions);
  }
  if (count == 0) return;
  InstructionCounter counter;
  if (depthwise) {
    DepthwiseConv2DBackwardFilter(w, input, output, trained, slice);
  } else {
    Conv2DBackwardFilter(w, input, output, trained, slice);
  }
  const uint32_t instructions = counter.Count();
  snprintf(name, sizeof(name), "%s_backward_filter", kind);
  Print(name, layer, trained_macs, instructions);
}

}  // namespace

int main() {
  for (const Layer& layer : kLayers) Measure(layer);
  const Layer values = {32, 48, 48, 1, 1, 0};
  const int count = 32 * 32 * 48;
  // Every third value passes.
  for (int i = 0; i < count; ++i) input[i] = static_cast<float>(i % 3 - 1);
  InstructionCounter forward;
  Relu6Forward(count, input, mask);
  const uint32_t instructions = forward.Count();
  Print("relu6_forward", values, count, instructions);
  InstructionCounter backward;
  ReluBackward(mask, count, input);
  const uint32_t backward_instructions = backward.Count();
  Print("relu6_backward", values, count, backward_instructions);
  return 0;
}
