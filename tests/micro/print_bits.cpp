// Runs every kernel on numbers that are the same everywhere, and prints a hash
// of each result's bits. Two builds agree when they print the same.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tinytrain/kernels/activation.h"
#include "tinytrain/kernels/add.h"
#include "tinytrain/kernels/conv2d.h"
#include "tinytrain/kernels/cosine_head.h"
#include "tinytrain/kernels/depthwise_conv2d.h"
#include "tinytrain/kernels/pooling.h"
#include "tinytrain/kernels/pyramid_pooling.h"

using namespace tinytrain;  // NOLINT: a program.

namespace {

uint32_t state = 1;

// Exactly `count` values, so that sanitizers see who goes beyond: drawn between
// -2 and 2, with all 24 bits in use.
class Values {
 public:
  explicit Values(int count)
      : data_(static_cast<float*>(malloc(count * sizeof(float)))) {
    for (int i = 0; i < count; ++i) {
      state = state * 1664525u + 1013904223u;
      data_[i] =
          static_cast<float>(static_cast<int32_t>(state)) / 1073741824.0f;
    }
  }
  ~Values() { free(data_); }
  Values(const Values&) = delete;
  Values& operator=(const Values&) = delete;

  operator float*() { return data_; }

  // The same memory, as bytes.
  uint8_t* bytes() { return reinterpret_cast<uint8_t*>(data_); }
  int8_t* stored() { return reinterpret_cast<int8_t*>(data_); }

 private:
  float* data_;
};

int WordsOf(size_t bytes) { return static_cast<int>((bytes + 3) / 4); }

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
  const int half = kernel / 2;
  const Padding padding = {half, half, half, half};
  Window w = {{7, 6, in}, {0, 0, 0}, kernel, kernel, stride, stride, 0, 0};
  if (!SetOutput(out, padding, &w).ok()) return;
  const uint16_t index[] = {1, 2, 5};
  const Channels trained = {index, 3};
  const int row_size = w.taps() * (depthwise ? 1 : in);
  Values input(w.input.size()), output(w.output.size());
  Values filter(out * row_size), slice(trained.count * row_size);
  Values bias(out), bias_slice(trained.count);
  Values d_input(w.input.size()), d_filter(trained.count * row_size);
  Values d_bias(trained.count);
  const Rows<float> rows = {filter, slice, trained};
  const Rows<float> biases = {bias, bias_slice, trained};
  if (depthwise) {
    Values forward(WordsOf(DepthwiseConv2DForwardScratchBytes(w)));
    Values backward(WordsOf(DepthwiseConv2DBackwardInputScratchBytes(w)));
    DepthwiseConv2DForward(w, input, rows, biases, forward, output);
    DepthwiseConv2DBackwardInput(w, output, rows, backward, d_input);
    DepthwiseConv2DBackwardFilter(w, input, output, trained, d_filter);
  } else {
    Conv2DForward(w, input, rows, biases, output);
    Conv2DBackwardInput(w, output, rows, d_input);
    Conv2DBackwardFilter(w, input, output, trained, d_filter);
  }
  BiasBackward(w.output, output, trained, d_bias);
  printf("depthwise %d kernel %d stride %d\n", depthwise, kernel, stride);
  Print("output", output, w.output.size());
  Print("d_input", d_input, w.input.size());
  Print("d_filter", d_filter, trained.count * row_size);
  Print("d_bias", d_bias, trained.count);
}

// The forward pass in int8: in pairs where the core has them. Without a mask
// all of int8 is left of the output.
void PrintInt8(bool depthwise, int kernel, int stride, int in, bool masked) {
  const int out = depthwise ? in : 7;
  const int half = kernel / 2;
  const Padding padding = {half, half, half, half};
  Window w = {{7, 6, in}, {0, 0, 0}, kernel, kernel, stride, stride, 0, 0};
  if (!SetOutput(out, padding, &w).ok()) return;
  const uint16_t index[] = {1, 2, 5};
  const int row_size = w.taps() * (depthwise ? 1 : in);
  const int words = WordsOf(w.output.size());
  Values input(WordsOf(w.input.size())), output(words), sum(words);
  Values filter(WordsOf(out * row_size)), slice(WordsOf(3 * row_size));
  Values mask(WordsOf(MaskBytes(w.output.size())));
  memset(sum, 0, 4 * words);
  memset(output, 0, 4 * words);
  memset(mask, 0, 4 * WordsOf(MaskBytes(w.output.size())));
  const int32_t biases[] = {-9000, 800, 5, 70000, 0, -1, 3, 9, -30000, 12345};
  int32_t multipliers[10];
  int8_t shifts[10];
  for (int c = 0; c < 10; ++c) {
    const Factor factor = EncodeFactor((c + 0.3) / (3000.0 + 7000.0 * (c % 3)));
    multipliers[c] = factor.multiplier;
    shifts[c] = static_cast<int8_t>(factor.shift);
  }
  const Rows<int8_t> rows = {filter.stored(), slice.stored(), {index, 3}};
  const Rows<int32_t> bias = {biases, biases + 4, {index, 3}};
  const Requantization to = {multipliers,         shifts, -3, -20,
                             masked ? -20 : -128, 127};
  uint8_t* const bits = masked ? mask.bytes() : nullptr;
  if (depthwise) {
    Values scratch(WordsOf(DepthwiseConv2DForwardInt8ScratchBytes(w)));
    DepthwiseConv2DForward(w, input.stored(), rows, bias, to, scratch,
                           output.stored(), bits);
  } else {
    Conv2DForward(w, input.stored(), rows, bias, to, output.stored(), bits);
  }
  const Int8Scale scales[] = {{0.02f, -20}, {0.013f, 4}, {0.03f, -1}};
  AddForward(
      Int8Addition::Make(scales[0], scales[1], scales[2], -100, 100),
      output.stored(), input.stored(),
      w.output.size() < w.input.size() ? w.output.size() : w.input.size(),
      sum.stored(), nullptr);
  printf("int8: depthwise %d kernel %d stride %d\n", depthwise, kernel, stride);
  Print("output", output, words);
  Print("mask", mask, WordsOf(MaskBytes(w.output.size())));
  Print("sum", sum, words);
}

void PrintHead() {
  const Shape shape = {5, 4, 11};
  const CosineHead head = {kPyramidParts * shape.channels, 6, 10.0f};
  const int size = head.classes * head.depth;
  Values input(shape.size()), mask(WordsOf(MaskBytes(shape.size())));
  Values embedding(head.depth), embedding_norms(kPyramidLevels);
  Values vectors(size), norms(1 + head.classes);
  Values logits(head.classes), d_logits(head.classes);
  Values d_vectors(size), d_embedding(head.depth), d_input(shape.size());
  Relu6Forward(shape.size(), input, mask.bytes());
  PyramidPoolingForward(shape, input, embedding, embedding_norms);
  CosineHeadForward(head, embedding, vectors, norms, logits);
  const float loss = SoftmaxCrossEntropy(logits, head.classes, 2, d_logits);
  CosineHeadBackward(head, embedding, vectors, norms, logits, d_logits,
                     d_embedding, 1.0f, d_vectors);
  PyramidPoolingBackward(shape, embedding, embedding_norms, d_embedding,
                         d_input);
  ReluBackward(mask.bytes(), shape.size(), d_input);
  Print("logits", logits, head.classes);
  Print("loss", &loss, 1);
  Print("d_vectors", d_vectors, size);
  Print("d_input", d_input, shape.size());
}

void PrintPooling() {
  const Padding padding = {1, 1, 0, 1};
  Window w = {{9, 8, 5}, {0, 0, 0}, 3, 3, 2, 2, 0, 0};
  if (!SetOutput(5, padding, &w).ok()) return;
  Values input(w.input.size()), d_input(w.input.size());
  Values output(w.output.size()), mean(w.input.channels);
  Values taps(WordsOf(MaxPoolingTapsBytes(w)));
  AveragePoolingForward(w, input, output);
  AveragePoolingBackward(w, output, d_input);
  Print("average", d_input, w.input.size());
  MaxPoolingForward(w, input, output, taps.bytes());
  MaxPoolingBackward(w, taps.bytes(), output, d_input);
  Print("max", d_input, w.input.size());
  GlobalAveragePoolingForward(w.input, input, mean);
  GlobalAveragePoolingBackward(w.input, mean, d_input);
  Print("global", d_input, w.input.size());
}

}  // namespace

int main() {
  const int kernels[] = {1, 3, 5, 7};
  for (int kernel : kernels) {
    for (int stride = 1; stride <= 2; ++stride) {
      PrintConvolution(false, kernel, stride);
      PrintConvolution(true, kernel, stride);
      PrintInt8(false, kernel, stride, 10, true);
      PrintInt8(true, kernel, stride, 10, true);
      PrintInt8(false, kernel, stride, 3, false);
      PrintInt8(true, kernel, stride, 10, false);
    }
  }
  PrintHead();
  PrintPooling();
  return 0;
}
