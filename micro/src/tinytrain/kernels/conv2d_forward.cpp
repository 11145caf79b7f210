#include "tinytrain/kernels/conv2d.h"
#include "tinytrain/kernels/for_speed.h"
#include "tinytrain/kernels/quad.h"
#include "tinytrain/kernels/taps.h"

namespace tinytrain {
namespace {

// Four filters, of which the last may repeat, and their biases.
struct FilterBlock {
  const float* row[4];
  Quad<float> bias;
};

// The part of the filters that lies over the input: `rows` pieces of `count`
// values.
struct Pieces {
  int rows;
  int count;
  int filter_begin;
  int filter_step;
  int input_step;
};

// Computes four outputs whose inputs lie `pixel_step` apart.
TINYTRAIN_INLINE void ForwardPixels4(const float* input, int pixel_step,
                                     const FilterBlock& block,
                                     const Pieces& pieces, int lanes,
                                     int channels, float* output) {
  Quad<float> s0 = block.bias, s1 = s0, s2 = s0, s3 = s0;
  int begin = pieces.filter_begin;
  for (int k = pieces.rows; k > 0; --k) {
    const float* w0 = block.row[0] + begin;
    const float* w1 = block.row[1] + begin;
    const float* w2 = block.row[2] + begin;
    const float* w3 = block.row[3] + begin;
    const float* x0 = input;
    const float* x1 = x0 + pixel_step;
    const float* x2 = x1 + pixel_step;
    const float* x3 = x2 + pixel_step;
    for (const float* end = x0 + pieces.count; x0 != end;) {
      const Quad<float> w = {*w0++, *w1++, *w2++, *w3++};
      s0.AddProduct(*x0++, w);
      s1.AddProduct(*x1++, w);
      s2.AddProduct(*x2++, w);
      s3.AddProduct(*x3++, w);
    }
    input += pieces.input_step;
    begin += pieces.filter_step;
  }
  s0.Store(lanes, output);
  s1.Store(lanes, output + channels);
  s2.Store(lanes, output + 2 * channels);
  s3.Store(lanes, output + 3 * channels);
}

// The same of one output.
TINYTRAIN_INLINE void ForwardPixel(const float* input, const FilterBlock& block,
                                   const Pieces& pieces, int lanes,
                                   float* output) {
  Quad<float> sums = block.bias;
  int begin = pieces.filter_begin;
  for (int k = pieces.rows; k > 0; --k) {
    const float* w0 = block.row[0] + begin;
    const float* w1 = block.row[1] + begin;
    const float* w2 = block.row[2] + begin;
    const float* w3 = block.row[3] + begin;
    const float* x = input;
    for (const float* end = x + pieces.count; x != end;) {
      const Quad<float> w = {*w0++, *w1++, *w2++, *w3++};
      sums.AddProduct(*x++, w);
    }
    input += pieces.input_step;
    begin += pieces.filter_step;
  }
  sums.Store(lanes, output);
}

// Computes four channels of all outputs, or the first `lanes` of them.
void ForwardBlock(const Window& w, const float* input, const FilterBlock& block,
                  int lanes, float* output) {
  const int in = w.input.channels;
  const int out = w.output.channels;
  const Range inside = OutputsInside(w.kernel_width, w.stride_width, w.pad_left,
                                     w.input.width, w.output.width);
  Pieces pieces;
  pieces.filter_step = w.kernel_width * in;
  pieces.input_step = w.input.width * in;
  for (int y = 0; y < w.output.height; ++y) {
    const int top = y * w.stride_height - w.pad_top;
    const Range rows = TapsInside(top, w.kernel_height, w.input.height);
    pieces.rows = rows.size();
    for (int x = 0; x < w.output.width;) {
      const int left = x * w.stride_width - w.pad_left;
      const Range columns = TapsInside(left, w.kernel_width, w.input.width);
      const float* from =
          input +
          ((top + rows.begin) * w.input.width + left + columns.begin) * in;
      pieces.count = columns.size() * in;
      pieces.filter_begin = (rows.begin * w.kernel_width + columns.begin) * in;
      if (x >= inside.begin && x + 4 <= inside.end) {
        ForwardPixels4(from, w.stride_width * in, block, pieces, lanes, out,
                       output);
        output += 4 * out;
        x += 4;
      } else {
        ForwardPixel(from, block, pieces, lanes, output);
        output += out;
        ++x;
      }
    }
  }
}

}  // namespace

void Conv2DForward(const Window& window, const float* input,
                   const Rows<float>& filter, const Rows<float>& bias,
                   float* output) {
  const Window flat = Flattened(window);
  const int channels = window.output.channels;
  RowReader<float> rows(filter, window.taps() * window.input.channels);
  RowReader<float> biases(bias, 1);
  for (int f = 0; f < channels; f += 4) {
    const int lanes = channels - f < 4 ? channels - f : 4;
    FilterBlock block;
    float values[4];
    for (int i = 0; i < 4; ++i) {
      block.row[i] = i < lanes ? rows.Next() : block.row[i - 1];
      values[i] = i < lanes ? biases.NextValue() : 0.0f;
    }
    block.bias.Load(values, FourLanes());
    ForwardBlock(flat, input, block, lanes, output + f);
  }
}

}  // namespace tinytrain
