// Prints "kernel size channels-in channels-out kernel stride trained macs
// instructions" for int8 layers like those of MCUNet; nothing is trained.

#include <stdio.h>

#include "instruction_counter.h"
#include "tinytrain/kernels/add.h"
#include "tinytrain/kernels/conv2d.h"
#include "tinytrain/kernels/depthwise_conv2d.h"

using namespace tinytrain;  // NOLINT: a program.

namespace {

int8_t input[128 * 128 * 3];
int8_t output[64 * 64 * 16];
int8_t filter[576 * 160];
int32_t bias[1024];
int32_t multiplier[1024];
int8_t shift[1024];
uint32_t scratch[4096];

struct Layer {
  int size;
  int in;
  int out;  // 0 for a depthwise convolution.
  int kernel;
  int stride;
};

const Layer kLayers[] = {
    {128, 3, 16, 3, 2},  {64, 16, 8, 1, 1},   {32, 16, 48, 1, 1},
    {16, 24, 120, 1, 1}, {16, 120, 24, 1, 1}, {8, 40, 160, 1, 1},
    {8, 192, 48, 1, 1},  {4, 96, 384, 1, 1},  {4, 576, 160, 1, 1},
    {64, 16, 0, 3, 1},   {32, 48, 0, 3, 1},   {16, 120, 0, 3, 1},
    {8, 144, 0, 3, 1},   {4, 576, 0, 3, 1},   {32, 32, 0, 3, 2},
    {16, 80, 0, 5, 1},   {8, 160, 0, 5, 1},   {4, 384, 0, 5, 1},
    {16, 80, 0, 7, 1},   {8, 160, 0, 7, 1},   {64, 16, 0, 7, 2},
};

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
  if (depthwise &&
      DepthwiseConv2DForwardInt8ScratchBytes(w) > sizeof(scratch)) {
    printf("no_scratch 0 0 0 0 0 0 1 0\n");
    return;
  }
  const Rows<int8_t> rows = {filter, filter, {nullptr, 0}};
  const Rows<int32_t> biases = {bias, bias, {nullptr, 0}};
  const Requantization to = {multiplier, shift, -128, -128, -128, 127};
  const int macs = w.output.size() * w.taps() * (depthwise ? 1 : layer.in);
  InstructionCounter counter;
  if (depthwise) {
    DepthwiseConv2DForward(w, input, rows, biases, to, scratch, output,
                           nullptr);
  } else {
    Conv2DForward(w, input, rows, biases, to, output, nullptr);
  }
  const uint32_t instructions = counter.Count();
  printf("%s_forward_int8 %d %d %d %d %d 0 %d %lu\n",
         depthwise       ? "depthwise"
         : w.pointwise() ? "pointwise"
                         : "conv2d",
         layer.size, layer.in, layer.out, layer.kernel, layer.stride, macs,
         static_cast<unsigned long>(instructions));
}

}  // namespace

int main() {
  for (int c = 0; c < 1024; ++c) {
    const Factor factor = EncodeFactor(0.003 + c * 1e-5);
    multiplier[c] = factor.multiplier;
    shift[c] = static_cast<int8_t>(factor.shift);
  }
  for (const Layer& layer : kLayers) Measure(layer);
  const Int8Scale scale = {0.02f, -3};
  const Int8Addition how = Int8Addition::Make(scale, scale, scale, -128, 127);
  const int count = 32 * 32 * 16;
  InstructionCounter counter;
  AddForward(how, input, output, count, output, nullptr);
  printf("add_forward_int8 32 16 16 1 1 0 %d %lu\n", count,
         static_cast<unsigned long>(counter.Count()));
  return 0;
}
