// Runs every kernel on numbers that are the same everywhere, and prints a hash
// of each result's bits. Two builds agree when they print the same.

#include <stdio.h>
#include <string.h>

#include "tinytrain/kernels/activation.h"
#include "tinytrain/kernels/conv2d.h"
#include "tinytrain/kernels/cosine_head.h"
#include "tinytrain/kernels/depthwise_conv2d.h"
#include "tinytrain/kernels/pooling.h"
#include "tinytrain/kernels/pyramid_pooling.h"

using namespace tinytrain;  // NOLINT: a program.

namespace {

const int kMaxValues = 4096;
float input[kMaxValues];
float output[kMaxValues];
float d_input[kMaxValues];
float filter[kMaxValues];
float slice[kMaxValues];
float gradient[kMaxValues];
float bias[64];
float scratch[4 * 49];
uint8_t mask[kMaxValues];
uint32_t state = 1;

// Between -2 and 2, with all 24 bits in use.
void Draw(int count, float* values) {
  for (int i = 0; i < count; ++i) {
    state = state * 1664525u + 1013904223u;
    values[i] = static_cast<float>(static_cast<int32_t>(state)) / 1073741824.0f;
  }
}

void Print(const char* name, const float* values, int count) {
  uint32_t hash = 2166136261u;  // FNV-1a.
  for (int i = 0; i < count; ++i) {
    uint32_t bits;
    memcpy(&bits, values + i, sizeof(bits));
    for (int b = 0; b < 4; ++b)
      hash = (hash ^ (bits >> 8 * b & 255)) * 16777619u;
  }
  printf("%s %08lx\n", name, static_cast<unsigned long>(hash));
}

void PrintConvolution(bool depthwise, int kernel, int stride) {
  const int in = 10;
  const int out = depthwise ? in : 7;
  Window w = {{7, 6, in}, {0, 0, 0}, kernel, kernel, stride, stride, 0, 0};
  const int half = kernel / 2;
  const Padding padding = {half, half, half, half};
  if (!SetOutput(out, padding, &w).ok()) return;
  const uint16_t index[] = {1, 2, 5};
  const Channels trained = {index, 3};
  const Rows<float> rows = {filter, slice, trained};
  const Rows<float> biases = {bias, slice, trained};
  Draw(kMaxValues, input);
  Draw(kMaxValues, filter);
  Draw(kMaxValues, slice);
  Draw(kMaxValues, d_input);
  Draw(kMaxValues, gradient);
  Draw(64, bias);
  const int row_size = w.taps() * (depthwise ? 1 : in);
  if (depthwise) {
    DepthwiseConv2DForward(w, input, rows, biases, scratch, output);
    DepthwiseConv2DBackwardInput(w, output, rows, scratch, d_input);
    DepthwiseConv2DBackwardFilter(w, input, output, trained, gradient);
  } else {
    Conv2DForward(w, input, rows, biases, output);
    Conv2DBackwardInput(w, output, rows, d_input);
    Conv2DBackwardFilter(w, input, output, trained, gradient);
  }
  printf("depthwise %d kernel %d stride %d\n", depthwise, kernel, stride);
  Print("forward", output, w.output.size());
  Print("backward input", d_input, w.input.size());
  Print("backward filter", gradient, trained.count * row_size);
  BiasBackward(w.output, output, trained, bias);
  Print("bias", bias, trained.count);
}

void PrintHead() {
  const Shape shape = {5, 4, 12};
  const CosineHead head = {5 * shape.channels, 6, 10.0f};
  float norms[7], logits[6], d_logits[6], embedding_norms[2];
  Draw(shape.size(), input);
  Draw(head.classes * head.depth, filter);
  memset(gradient, 0, sizeof(gradient));
  memset(slice, 0, sizeof(slice));
  Relu6Forward(shape.size(), input, mask);
  PyramidPoolingForward(shape, input, output, embedding_norms);
  CosineHeadForward(head, output, filter, norms, logits);
  const float loss = SoftmaxCrossEntropy(logits, head.classes, 2, d_logits);
  CosineHeadBackward(head, output, filter, norms, logits, d_logits, gradient,
                     slice);
  Print("vectors", slice, head.classes * head.depth);
  memset(d_input, 0, sizeof(d_input));
  PyramidPoolingBackward(shape, output, embedding_norms, gradient, d_input);
  ReluBackward(mask, shape.size(), d_input);
  Print("logits", logits, head.classes);
  Print("loss", &loss, 1);
  Print("d_input", d_input, shape.size());
}

void PrintPooling() {
  Window w = {{9, 8, 5}, {0, 0, 0}, 3, 3, 2, 2, 0, 0};
  const Padding padding = {1, 1, 0, 1};
  if (!SetOutput(5, padding, &w).ok()) return;
  Draw(w.input.size(), input);
  Draw(w.input.size(), d_input);
  AveragePoolingForward(w, input, output);
  AveragePoolingBackward(w, output, d_input);
  Print("average", d_input, w.input.size());
  MaxPoolingForward(w, input, output, mask);
  MaxPoolingBackward(w, mask, output, d_input);
  Print("max", d_input, w.input.size());
}

}  // namespace

int main() {
  const int kernels[] = {1, 3, 5, 7};
  for (int kernel : kernels) {
    for (int stride = 1; stride <= 2; ++stride) {
      PrintConvolution(false, kernel, stride);
      PrintConvolution(true, kernel, stride);
    }
  }
  PrintHead();
  PrintPooling();
  return 0;
}
