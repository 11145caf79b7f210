#include <string.h>

#include "tinytrain/kernels/activation.h"
#include "tinytrain/kernels/conv2d.h"
#include "tinytrain/kernels/pairs.h"
#include "tinytrain/kernels/taps.h"

namespace tinytrain {
namespace {

// Of two inputs and two filters: a tile that fits the registers of a Cortex-M.
struct Tile {
  int32_t s00, s01, s10, s11;  // Input, filter.
};

// The part of the filters that lies over the input: `rows` pieces of `count`
// values.
struct Pieces {
  int rows;
  int count;
  int filter_step;
  int input_step;
};

#if TINYTRAIN_PAIRS

// Adds the products of `count` values, a multiple of 4.
TINYTRAIN_INLINE void AddWords(const int8_t* x0, const int8_t* x1,
                               const int8_t* w0, const int8_t* w1, int count,
                               uint32_t offsets, Tile* tile) {
  int32_t s00 = tile->s00, s01 = tile->s01, s10 = tile->s10, s11 = tile->s11;
  for (const int8_t* end = x0 + count; x0 != end;) {
    const uint32_t word0 = LoadWord(w0);
    const uint32_t word1 = LoadWord(w1);
    const uint32_t even0 = WidenEven(word0), odd0 = WidenOdd(word0);
    const uint32_t even1 = WidenEven(word1), odd1 = WidenOdd(word1);
    uint32_t word = LoadWord(x0);
    uint32_t even = WidenEven(offsets, word), odd = WidenOdd(offsets, word);
    s00 = AddPairProducts(even, even0, s00);
    s01 = AddPairProducts(even, even1, s01);
    s00 = AddPairProducts(odd, odd0, s00);
    s01 = AddPairProducts(odd, odd1, s01);
    word = LoadWord(x1);
    even = WidenEven(offsets, word);
    odd = WidenOdd(offsets, word);
    s10 = AddPairProducts(even, even0, s10);
    s11 = AddPairProducts(even, even1, s11);
    s10 = AddPairProducts(odd, odd0, s10);
    s11 = AddPairProducts(odd, odd1, s11);
    x0 += 4;
    x1 += 4;
    w0 += 4;
    w1 += 4;
  }
  tile->s00 = s00;
  tile->s01 = s01;
  tile->s10 = s10;
  tile->s11 = s11;
}

#endif

TINYTRAIN_NOINLINE void AddPiece(const int8_t* x0, const int8_t* x1,
                                 const int8_t* w0, const int8_t* w1, int count,
                                 int zero_point, Tile* tile) {
#if TINYTRAIN_PAIRS
  const int whole = count & ~3;
  AddWords(x0, x1, w0, w1, whole, MakePair(-zero_point, -zero_point), tile);
  x0 += whole;
  x1 += whole;
  w0 += whole;
  w1 += whole;
  count -= whole;
#endif
  Tile sums = *tile;
  for (; count > 0; --count) {
    const int32_t a = *x0++ - zero_point;
    const int32_t b = *x1++ - zero_point;
    const int32_t v = *w0++;
    const int32_t w = *w1++;
    sums.s00 += a * v;
    sums.s01 += a * w;
    sums.s10 += b * v;
    sums.s11 += b * w;
  }
  *tile = sums;
}

// Two channels of a convolution; of a last single one, the same twice.
struct FilterPair {
  const int8_t* row[2];
  int32_t bias[2];
  int count;
};

// Computes two channels of all outputs.
void ForwardPair(const Window& window, const int8_t* input,
                 const FilterPair& filters, const ChannelStore& first,
                 const ChannelStore& second, int zero_point, int channel,
                 int8_t* output, uint8_t* mask) {
  // Copies: what is stored through `output` might be any of the originals.
  const ChannelStore store0 = first, store1 = second;
  const Window w = window;
  const FilterPair pair = filters;
  const int in = w.input.channels;
  const int out = w.output.channels;
  const int step = w.stride_width * in;
  const Range inside = OutputsInside(w.kernel_width, w.stride_width, w.pad_left,
                                     w.input.width, w.output.width);
  Pieces pieces;
  pieces.filter_step = w.kernel_width * in;
  pieces.input_step = w.input.width * in;
  int index = channel;
  for (int y = 0; y < w.output.height; ++y) {
    const int top = y * w.stride_height - w.pad_top;
    const Range rows = TapsInside(top, w.kernel_height, w.input.height);
    pieces.rows = rows.size();
    for (int x = 0; x < w.output.width;) {
      const int left = x * w.stride_width - w.pad_left;
      const Range columns = TapsInside(left, w.kernel_width, w.input.width);
      const bool two = x >= inside.begin && x + 2 <= inside.end;
      const int8_t* from =
          input +
          ((top + rows.begin) * w.input.width + left + columns.begin) * in;
      const int begin = (rows.begin * w.kernel_width + columns.begin) * in;
      const int8_t* w0 = pair.row[0] + begin;
      const int8_t* w1 = pair.row[1] + begin;
      const int ahead = two ? step : 0;
      Tile tile = {pair.bias[0], pair.bias[1], pair.bias[0], pair.bias[1]};
      for (int k = pieces.rows; k > 0; --k) {
        AddPiece(from, from + ahead, w0, w1, columns.size() * in, zero_point,
                 &tile);
        from += pieces.input_step;
        w0 += pieces.filter_step;
        w1 += pieces.filter_step;
      }
      store0.Store(tile.s00, index, output, mask);
      if (pair.count == 2) store1.Store(tile.s01, index + 1, output, mask);
      index += out;
      ++x;
      if (two) {
        store0.Store(tile.s10, index, output, mask);
        if (pair.count == 2) store1.Store(tile.s11, index + 1, output, mask);
        index += out;
        ++x;
      }
    }
  }
}

}  // namespace

void Conv2DForward(const Window& window, const int8_t* input,
                   const Rows<int8_t>& filter, const Rows<int32_t>& bias,
                   const Requantization& to, int8_t* output, uint8_t* mask) {
  const Window flat = Flattened(window);
  const int channels = window.output.channels;
  if (mask != nullptr) memset(mask, 0, MaskBytes(window.output.size()));
  RowReader<int8_t> rows(filter, window.taps() * window.input.channels);
  RowReader<int32_t> biases(bias, 1);
  for (int f = 0; f < channels; f += 2) {
    FilterPair pair;
    pair.count = channels - f < 2 ? 1 : 2;
    pair.row[0] = pair.row[1] = rows.Next();
    pair.bias[0] = pair.bias[1] = biases.NextValue();
    if (pair.count == 2) {
      pair.row[1] = rows.Next();
      pair.bias[1] = biases.NextValue();
    }
    const ChannelStore store0(to, f);
    const ChannelStore store1(to, f + pair.count - 1);
    ForwardPair(flat, input, pair, store0, store1, to.input_zero_point, f,
                output, mask);
  }
}

}  // namespace tinytrain
