#include "tinytrain/kernels/conv2d.h"
#include "tinytrain/kernels/quad.h"
#include "tinytrain/kernels/taps.h"

namespace tinytrain {
namespace {

// Four filters, of which the last may repeat.
template <typename Acc, typename Weight>
struct FilterBlock {
  const Weight* row[4];
  Quad<Acc> bias;
};

// Adds the dot products, of `count` values, of four pixels that lie `step`
// apart with four filters.
template <typename Acc, typename Input, typename Weight>
TINYTRAIN_INLINE void AddDotProducts4(const Input* x, int step,
                                      const Weight* const row[4], int offset,
                                      int count, Quad<Acc> sums[4]) {
  const Input* x0 = x;
  const Input* x1 = x0 + step;
  const Input* x2 = x1 + step;
  const Input* x3 = x2 + step;
  const Weight* w0 = row[0] + offset;
  const Weight* w1 = row[1] + offset;
  const Weight* w2 = row[2] + offset;
  const Weight* w3 = row[3] + offset;
  Quad<Acc> s0 = sums[0], s1 = sums[1], s2 = sums[2], s3 = sums[3];
  for (const Input* end = x0 + count; x0 != end;) {
    const Quad<Acc> w = {static_cast<Acc>(*w0++), static_cast<Acc>(*w1++),
                         static_cast<Acc>(*w2++), static_cast<Acc>(*w3++)};
    s0.AddProduct(static_cast<Acc>(*x0++), w);
    s1.AddProduct(static_cast<Acc>(*x1++), w);
    s2.AddProduct(static_cast<Acc>(*x2++), w);
    s3.AddProduct(static_cast<Acc>(*x3++), w);
  }
  sums[0] = s0;
  sums[1] = s1;
  sums[2] = s2;
  sums[3] = s3;
}

// The same of one pixel.
template <typename Acc, typename Input, typename Weight>
TINYTRAIN_INLINE void AddDotProducts1(const Input* x,
                                      const Weight* const row[4], int offset,
                                      int count, Quad<Acc>* sums) {
  const Weight* w0 = row[0] + offset;
  const Weight* w1 = row[1] + offset;
  const Weight* w2 = row[2] + offset;
  const Weight* w3 = row[3] + offset;
  Quad<Acc> s = *sums;
  for (const Input* end = x + count; x != end;) {
    const Quad<Acc> w = {static_cast<Acc>(*w0++), static_cast<Acc>(*w1++),
                         static_cast<Acc>(*w2++), static_cast<Acc>(*w3++)};
    s.AddProduct(static_cast<Acc>(*x++), w);
  }
  *sums = s;
}

// Computes four channels of all outputs, or `lanes` of them: the others repeat
// the last and are not stored.
template <typename Acc, typename Input, typename Weight>
void ForwardBlock(const Window& w, const Input* input,
                  const FilterBlock<Acc, Weight>& block, int lanes,
                  Acc* output) {
  const int in = w.input.channels;
  const int out = w.output.channels;
  const int step = w.stride_width * in;
  const Range inside = OutputsInside(w.kernel_width, w.stride_width, w.pad_left,
                                     w.input.width, w.output.width);
  for (int y = 0; y < w.output.height; ++y) {
    const int top = y * w.stride_height - w.pad_top;
    const Range rows = TapsInside(top, w.kernel_height, w.input.height);
    for (int x = 0; x < w.output.width;) {
      const int left = x * w.stride_width - w.pad_left;
      const bool four = x >= inside.begin && x + 4 <= inside.end;
      const Range columns = TapsInside(left, w.kernel_width, w.input.width);
      const int count = columns.size() * in;
      Quad<Acc> sums[4] = {block.bias, block.bias, block.bias, block.bias};
      for (int k = rows.begin; k < rows.end; ++k) {
        const Input* from =
            input + ((top + k) * w.input.width + left + columns.begin) * in;
        const int offset = (k * w.kernel_width + columns.begin) * in;
        if (four) {
          AddDotProducts4(from, step, block.row, offset, count, sums);
        } else {
          AddDotProducts1(from, block.row, offset, count, sums);
        }
      }
      const int pixels = four ? 4 : 1;
      for (int p = 0; p < pixels; ++p) {
        sums[p].Store(lanes, output);
        output += out;
      }
      x += pixels;
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
    FilterBlock<float, float> block;
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
