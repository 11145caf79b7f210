#include "tinytrain/kernels/conv2d.h"
#include "tinytrain/kernels/quad.h"
#include "tinytrain/kernels/taps.h"

namespace tinytrain {
namespace {

// Adds the products of d_output of four pixels, `step` apart, with four
// channels of the filters, for `count` filters `row_size` apart.
template <typename Weight, typename Lanes>
TINYTRAIN_INLINE void AddFilters4(const float* d_output, int step,
                                  const Weight* filter, int row_size,
                                  const Lanes& lanes, int count,
                                  Quad<float> sums[4]) {
  const float* d0 = d_output;
  const float* d1 = d0 + step;
  const float* d2 = d1 + step;
  const float* d3 = d2 + step;
  Quad<float> s0 = sums[0], s1 = sums[1], s2 = sums[2], s3 = sums[3];
  for (const float* end = d0 + count; d0 != end; filter += row_size) {
    Quad<float> w;
    w.Load(filter, lanes);
    s0.AddProduct(*d0++, w);
    s1.AddProduct(*d1++, w);
    s2.AddProduct(*d2++, w);
    s3.AddProduct(*d3++, w);
  }
  sums[0] = s0;
  sums[1] = s1;
  sums[2] = s2;
  sums[3] = s3;
}

// The same of one pixel.
template <typename Weight, typename Lanes>
TINYTRAIN_INLINE void AddFilters1(const float* d_output, const Weight* filter,
                                  int row_size, const Lanes& lanes, int count,
                                  Quad<float>* sums) {
  Quad<float> s = *sums;
  for (const float* end = d_output + count; d_output != end;
       filter += row_size) {
    Quad<float> w;
    w.Load(filter, lanes);
    s.AddProduct(*d_output++, w);
  }
  *sums = s;
}

// Four channels, from `first` on, of a matrix product over all positions.
template <typename Weight, typename Lanes>
void BackwardPointwise(const Window& w, const float* d_output,
                       const Rows<Weight>& filter, int first,
                       const Lanes& lanes, float* d_input) {
  const int in = w.input.channels;
  const int out = w.output.channels;
  const int positions = w.input.positions();
  for (int p = 0; p < positions;) {
    const int pixels = positions - p < 4 ? 1 : 4;
    Quad<float> sums[4];
    for (int i = 0; i < 4; ++i) sums[i].Fill(0.0f);
    RowReader<Weight> rows(filter, in);
    while (rows.channel() < out) {
      const float* from = d_output + p * out + rows.channel();
      int count;
      const Weight* row = rows.NextRun(out, &count) + first;
      if (pixels == 4) {
        AddFilters4(from, out, row, in, lanes, count, sums);
      } else {
        AddFilters1(from, row, in, lanes, count, sums);
      }
    }
    for (int i = 0; i < pixels; ++i, ++p) {
      sums[i].AddTo(lanes.count, d_input + p * in + first);
    }
  }
}

// Four channels of the input at (row, column): gathers from all outputs over
// it.
template <typename Weight, typename Lanes>
Quad<float> BackwardPixel(const Window& w, const float* d_output,
                          const Rows<Weight>& filter, int row, int column,
                          int first, const Lanes& lanes) {
  const int in = w.input.channels;
  const int out = w.output.channels;
  const Range ys = OutputsOver(row, w.kernel_height, w.stride_height, w.pad_top,
                               w.output.height);
  const Range xs = OutputsOver(column, w.kernel_width, w.stride_width,
                               w.pad_left, w.output.width);
  Quad<float> sums;
  sums.Fill(0.0f);
  for (int y = ys.begin; y < ys.end; ++y) {
    const int k = row + w.pad_top - y * w.stride_height;
    for (int x = xs.begin; x < xs.end; ++x) {
      const int l = column + w.pad_left - x * w.stride_width;
      const float* from = d_output + (y * w.output.width + x) * out;
      const int offset = (k * w.kernel_width + l) * in + first;
      RowReader<Weight> rows(filter, w.taps() * in);
      while (rows.channel() < out) {
        const float* d = from + rows.channel();
        int count;
        const Weight* filters = rows.NextRun(out, &count) + offset;
        AddFilters1(d, filters, w.taps() * in, lanes, count, &sums);
      }
    }
  }
  return sums;
}

template <typename Weight, typename Lanes>
void BackwardBlock(const Window& w, const float* d_output,
                   const Rows<Weight>& filter, int first, const Lanes& lanes,
                   float* d_input) {
  if (w.pointwise()) {
    BackwardPointwise(w, d_output, filter, first, lanes, d_input);
    return;
  }
  float* to = d_input + first;
  for (int row = 0; row < w.input.height; ++row) {
    for (int column = 0; column < w.input.width; ++column) {
      BackwardPixel(w, d_output, filter, row, column, first, lanes)
          .AddTo(lanes.count, to);
      to += w.input.channels;
    }
  }
}

}  // namespace

void Conv2DBackwardInput(const Window& window, const float* d_output,
                         const Rows<float>& filter, float* d_input) {
  const int in = window.input.channels;
  int c = 0;
  for (; c + 4 <= in; c += 4) {
    BackwardBlock(window, d_output, filter, c, FourLanes(), d_input);
  }
  if (c < in) {
    BackwardBlock(window, d_output, filter, c, SomeLanes(in - c), d_input);
  }
}

}  // namespace tinytrain
