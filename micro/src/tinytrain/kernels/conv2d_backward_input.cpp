#include "tinytrain/kernels/conv2d.h"
#include "tinytrain/kernels/for_speed.h"
#include "tinytrain/kernels/quad.h"
#include "tinytrain/kernels/taps.h"

namespace tinytrain {
namespace {

// Four channels of four positions of a matrix product, in registers: adds up,
// filter by filter, d_output times that row.
template <typename Weight>
struct Tile4 {
  const float* d0;
  const float* d1;
  const float* d2;
  const float* d3;
  Quad<float> s0, s1, s2, s3;

  TINYTRAIN_INLINE Tile4(const float* d_output, int step)
      : d0(d_output), d1(d0 + step), d2(d1 + step), d3(d2 + step) {
    s0.Fill(0.0f);
    s1 = s2 = s3 = s0;
  }

  TINYTRAIN_INLINE void Visit(const Weight* row) {
    Quad<float> w;
    w.Load(row, FourLanes());
    s0.AddProduct(*d0++, w);
    s1.AddProduct(*d1++, w);
    s2.AddProduct(*d2++, w);
    s3.AddProduct(*d3++, w);
  }
};

// The same of one position.
template <typename Weight, typename Lanes>
struct Tile1 {
  const float* d;
  Quad<float> sums;
  const Lanes& lanes;

  TINYTRAIN_INLINE void Visit(const Weight* row) {
    Quad<float> w;
    w.Load(row, lanes);
    sums.AddProduct(*d++, w);
  }
};

// Some channels of the input: where they are in a row of weights.
struct Columns {
  int tap;    // Weights of a tap.
  int first;  // The first one's place in a tap.
};

template <typename Weight>
TINYTRAIN_NOINLINE void BackwardPixels4(const float* d_output, int out,
                                        const Rows<Weight>& filter, int in,
                                        const Columns& columns,
                                        float* d_input) {
  Tile4<Weight> tile(d_output, out);
  VisitRows(filter, out, columns.tap, columns.first, &tile);
  tile.s0.AddTo(4, d_input);
  tile.s1.AddTo(4, d_input + in);
  tile.s2.AddTo(4, d_input + 2 * in);
  tile.s3.AddTo(4, d_input + 3 * in);
}

// Adds the products of one position with all filters, from `offset` in each.
template <typename Weight, typename Lanes>
TINYTRAIN_NOINLINE void AddFilters(const float* d_output, int out,
                                   const Rows<Weight>& filter, int row_size,
                                   int offset, const Lanes& lanes,
                                   Quad<float>* sums) {
  Tile1<Weight, Lanes> tile = {d_output, *sums, lanes};
  VisitRows(filter, out, row_size, offset, &tile);
  *sums = tile.sums;
}

// Gathers what reaches the input at (row, column) from all outputs over it, in
// the first `lanes` of four channels.
template <typename Weight>
Quad<float> BackwardPixel(const Window& w, const float* d_output,
                          const Rows<Weight>& filter, int row, int column,
                          const Columns& columns, int lanes) {
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
      const int row_size = w.taps() * columns.tap;
      const int offset = (k * w.kernel_width + l) * columns.tap + columns.first;
      if (lanes == 4) {
        AddFilters(from, out, filter, row_size, offset, FourLanes(), &sums);
      } else {
        AddFilters(from, out, filter, row_size, offset, SomeLanes(lanes),
                   &sums);
      }
    }
  }
  return sums;
}

template <typename Weight>
TINYTRAIN_NOINLINE void BackwardPixels(const Window& w, const float* d_output,
                                       const Rows<Weight>& filter,
                                       const Columns& columns, int lanes,
                                       float* d_input) {
  for (int row = 0; row < w.input.height; ++row) {
    for (int column = 0; column < w.input.width; ++column) {
      BackwardPixel(w, d_output, filter, row, column, columns, lanes)
          .AddTo(lanes, d_input);
      d_input += w.input.channels;
    }
  }
}

// The weights of `count` channels from `first` on, with what is trained.
template <typename Weight>
TINYTRAIN_NOINLINE Rows<Weight> ColumnsOf(const Window& w,
                                          const Rows<Weight>& filter, int first,
                                          int count) {
  const int taps = w.taps();
  for (int f = 0; f < w.output.channels; ++f) {
    for (int t = 0; t < taps; ++t) {
      filter.CopyTap(f, taps * filter.tap, t, first, count,
                     filter.patch + (f * taps + t) * kPatched);
    }
  }
  return Rows<Weight>(filter.patch, nullptr, Channels());
}

template <typename Weight>
TINYTRAIN_NOINLINE void BackwardPointwise(const Window& w,
                                          const float* d_output,
                                          const Rows<Weight>& filter,
                                          const Columns& columns,
                                          float* d_input) {
  const int in = w.input.channels;
  const int out = w.output.channels;
  int left = w.input.positions();
  for (; left >= 4; left -= 4) {
    BackwardPixels4(d_output, out, filter, in, columns, d_input);
    d_output += 4 * out;
    d_input += 4 * in;
  }
  for (; left > 0; --left) {
    Quad<float> sums;
    sums.Fill(0.0f);
    AddFilters(d_output, out, filter, columns.tap, columns.first, FourLanes(),
               &sums);
    sums.AddTo(4, d_input);
    d_output += out;
    d_input += in;
  }
}

template <typename Weight>
void BackwardInput(const Window& window, const float* d_output,
                   const Rows<Weight>& filter, float* d_input) {
  const int in = window.input.channels;
  for (int c = 0; c < in; c += 4) {
    const int lanes = in - c < 4 ? in - c : 4;
    const bool patched = filter.tap > 0;
    const Columns columns = {patched ? kPatched : in, patched ? 0 : c};
    const Rows<Weight> rows =
        patched ? ColumnsOf(window, filter, c, lanes) : filter;
    if (window.pointwise() && lanes == 4) {
      BackwardPointwise(window, d_output, rows, columns, d_input + c);
    } else {
      BackwardPixels(window, d_output, rows, columns, lanes, d_input + c);
    }
  }
}

}  // namespace

void Conv2DBackwardInput(const Window& window, const float* d_output,
                         const Rows<float>& filter, float* d_input) {
  BackwardInput(window, d_output, filter, d_input);
}

void Conv2DBackwardInput(const Window& window, const float* d_output,
                         const Rows<int8_t>& filter, float* d_input) {
  BackwardInput(window, d_output, filter, d_input);
}

}  // namespace tinytrain
