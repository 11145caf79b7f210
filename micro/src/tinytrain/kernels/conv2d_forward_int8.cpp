#include <stddef.h>
#include <string.h>

#include "tinytrain/kernels/activation.h"
#include "tinytrain/kernels/conv2d.h"
#include "tinytrain/kernels/pairs.h"
#include "tinytrain/kernels/taps.h"

namespace tinytrain {
namespace {

// The part of two filters that lies over the input: `rows` pieces of `count`
// values.
struct Pieces {
  const int8_t* w0;
  const int8_t* w1;
  int32_t bias0;
  int32_t bias1;
  int rows;
  int count;
  int filter_step;
  int input_step;
  int pixel_step;  // From the input of one output to that of the next.
  int zero_point;
};

const int kChunk = 32;  // Outputs at a time.

// Sums up two channels of `outputs` neighbours whose windows lie alike, up to
// kChunk of them.
void Sum(const int8_t* input, const Pieces& pieces, int outputs, int32_t* sums0,
         int32_t* sums1);

// Computes one channel of all outputs, or two: of rows w0 and w1.
void ForwardPair(const Window& w, const int8_t* input, const int8_t* w0,
                 const int8_t* w1, Pieces pieces, const Requantization& to,
                 int channel, int channels, int8_t* output, uint8_t* mask) {
  const int in = w.input.channels;
  const int out = w.output.channels;
  const Range inside = OutputsInside(w.kernel_width, w.stride_width, w.pad_left,
                                     w.input.width, w.output.width);
  pieces.filter_step = w.kernel_width * in;
  pieces.input_step = w.input.width * in;
  pieces.pixel_step = w.stride_width * in;
  int32_t sums0[kChunk], sums1[kChunk];
  int index = channel;
  for (int y = 0; y < w.output.height; ++y) {
    const int top = y * w.stride_height - w.pad_top;
    const Range rows = TapsInside(top, w.kernel_height, w.input.height);
    pieces.rows = rows.size();
    for (int x = 0; x < w.output.width;) {
      const int left = x * w.stride_width - w.pad_left;
      const Range columns = TapsInside(left, w.kernel_width, w.input.width);
      const int begin = (rows.begin * w.kernel_width + columns.begin) * in;
      pieces.count = columns.size() * in;
      pieces.w0 = w0 + begin;
      pieces.w1 = w1 + begin;
      int count = 1;
      if (x >= inside.begin && x < inside.end) {
        count = inside.end - x < kChunk ? inside.end - x : kChunk;
      }
      const int row = top + rows.begin;
      Sum(input + (row * w.input.width + left + columns.begin) * in, pieces,
          count, sums0, sums1);
      StoreSums(to, channel, sums0, count, index, out, output, mask);
      if (channels == 2) {
        StoreSums(to, channel + 1, sums1, count, index + 1, out, output, mask);
      }
      index += count * out;
      x += count;
    }
  }
}

#if TINYTRAIN_PAIRS

// Numbers of a window, at most, that is copied; and copies at a time.
const int kThin = 32;
const int kCopies = 16;

// Copies `count` bytes, of which there are few.
TINYTRAIN_NOINLINE void CopyFew(const int8_t* from, int count, int8_t* to) {
  for (; count >= 4; count -= 4) {
    StoreWord(LoadWord(from), to);
    from += 4;
    to += 4;
  }
  for (; count > 0; --count) *to++ = *from++;
}

// Copies the window of an output, with zero points outside.
void CopyWindow(const Window& w, const int8_t* input, int top, int left,
                int size, int zero_point, int8_t* to) {
  const int in = w.input.channels;
  const Range rows = TapsInside(top, w.kernel_height, w.input.height);
  const Range columns = TapsInside(left, w.kernel_width, w.input.width);
  const int count = columns.size() * in;
  const int step = w.kernel_width * in;
  if (rows.size() * count < w.taps() * in) memset(to, zero_point, size);
  const int first = (top + rows.begin) * w.input.width + left + columns.begin;
  const int8_t* from = input + first * in;
  to += rows.begin * step + columns.begin * in;
  for (int k = rows.size(); k > 0; --k) {
    CopyFew(from, count, to);
    from += w.input.width * in;
    to += step;
  }
}

#endif

// Computes all channels. `numbers` is how many a row of the filter has; a
// window may have zero points behind them, up to a whole word.
void ForwardPairs(const Window& w, const int8_t* input, int numbers,
                  const Rows<int8_t>& filter, const Rows<int32_t>& bias,
                  const Requantization& to, int8_t* output, uint8_t* mask) {
  const int channels = w.output.channels;
  RowReader<int8_t> rows(filter, numbers);
  RowReader<int32_t> biases(bias, 1);
#if TINYTRAIN_PAIRS
  const bool is_thin = w.taps() * w.input.channels != numbers;
  int8_t weights[2][kThin] = {};
#endif
  for (int f = 0; f < channels; f += 2) {
    const int count = channels - f < 2 ? 1 : 2;
    Pieces pieces = {};
    pieces.zero_point = to.input_zero_point;
    // Of a last single channel the second is the first again.
    const int8_t* w0 = nullptr;
    const int8_t* w1 = nullptr;
    for (int k = 0; k < count; ++k) {
      w1 = rows.Next();
      pieces.bias1 = biases.NextValue();
#if TINYTRAIN_PAIRS
      if (is_thin) {
        CopyFew(w1, numbers, weights[k]);
        w1 = weights[k];
      }
#endif
      if (k > 0) continue;
      w0 = w1;
      pieces.bias0 = pieces.bias1;
    }
    ForwardPair(w, input, w0, w1, pieces, to, f, count, output, mask);
  }
}

#if TINYTRAIN_PAIRS

// Of windows with few numbers, as over pixels: copies of some of them are the
// input of a pointwise layer.
void ForwardThin(const Window& w, const int8_t* input, int numbers,
                 const Rows<int8_t>& filter, const Rows<int32_t>& bias,
                 const Requantization& to, int8_t* output) {
  const int size = (numbers + 3) & ~3;
  int8_t windows[kCopies * kThin] = {};
  Window part = {{1, 0, size}, {1, 0, w.output.channels}, 1, 1, 1, 1, 0, 0};
  for (int y = 0; y < w.output.height; ++y) {
    for (int x = 0; x < w.output.width;) {
      const int rest = w.output.width - x;
      const int count = rest < kCopies ? rest : kCopies;
      for (int i = 0; i < count; ++i, ++x) {
        CopyWindow(w, input, y * w.stride_height - w.pad_top,
                   x * w.stride_width - w.pad_left, size, to.input_zero_point,
                   windows + i * size);
      }
      part.input.width = part.output.width = count;
      ForwardPairs(part, windows, numbers, filter, bias, to, output, nullptr);
      output += count * w.output.channels;
    }
  }
}

#endif

}  // namespace

void Conv2DForward(const Window& window, const int8_t* input,
                   const Rows<int8_t>& filter, const Rows<int32_t>& bias,
                   const Requantization& to, int8_t* output, uint8_t* mask) {
  const int numbers = window.taps() * window.input.channels;
#if TINYTRAIN_PAIRS
  if (!window.pointwise() && numbers <= kThin && mask == nullptr) {
    ForwardThin(window, input, numbers, filter, bias, to, output);
    return;
  }
#endif
  if (mask != nullptr) memset(mask, 0, MaskBytes(window.output.size()));
  ForwardPairs(Flattened(window), input, numbers, filter, bias, to, output,
               mask);
}

}  // namespace tinytrain

// All above is called once for many outputs.
#include "tinytrain/kernels/for_speed.h"

namespace tinytrain {
namespace {

// Of two inputs and two filters: a tile that fits the registers of a Cortex-M.
struct Tile {
  int32_t s00, s01, s10, s11;  // Input, filter.
};

#if TINYTRAIN_PAIRS

// Adds the products of `count` values, a multiple of 4.
TINYTRAIN_INLINE void AddWords(const int8_t* x0, const int8_t* x1,
                               const int8_t* w0, const int8_t* w1, int count,
                               uint32_t offsets, Tile* tile) {
  int32_t s00 = tile->s00, s01 = tile->s01, s10 = tile->s10, s11 = tile->s11;
  // Distances, unlike pointers, need no increments.
  const ptrdiff_t ahead = x1 - x0;
  const ptrdiff_t across = w1 - w0;
  for (const int8_t* end = x0 + count; x0 != end;) {
    const uint32_t word0 = LoadWord(w0);
    const uint32_t word1 = LoadWord(w0 + across);
    const uint32_t even0 = WidenEven(word0), odd0 = WidenOdd(word0);
    const uint32_t even1 = WidenEven(word1), odd1 = WidenOdd(word1);
    uint32_t word = LoadWord(x0);
    uint32_t even = WidenEven(offsets, word), odd = WidenOdd(offsets, word);
    s00 = AddPairProducts(even, even0, s00);
    s01 = AddPairProducts(even, even1, s01);
    s00 = AddPairProducts(odd, odd0, s00);
    s01 = AddPairProducts(odd, odd1, s01);
    word = LoadWord(x0 + ahead);
    even = WidenEven(offsets, word);
    odd = WidenOdd(offsets, word);
    s10 = AddPairProducts(even, even0, s10);
    s11 = AddPairProducts(even, even1, s11);
    s10 = AddPairProducts(odd, odd0, s10);
    s11 = AddPairProducts(odd, odd1, s11);
    x0 += 4;
    w0 += 4;
  }
  tile->s00 = s00;
  tile->s01 = s01;
  tile->s10 = s10;
  tile->s11 = s11;
}

#endif

TINYTRAIN_INLINE void AddPiece(const int8_t* x0, const int8_t* x1,
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

TINYTRAIN_NOINLINE void SumPair(const int8_t* input, const Pieces& p,
                                int outputs, int32_t* sums0, int32_t* sums1) {
  for (; outputs > 0; outputs -= 2) {
    // The second one of a last single output is the first again.
    const int ahead = outputs > 1 ? p.pixel_step : 0;
    Tile tile = {p.bias0, p.bias1, p.bias0, p.bias1};
    const int8_t* x = input;
    const int8_t* w0 = p.w0;
    const int8_t* w1 = p.w1;
    for (int k = p.rows; k > 0; --k) {
      AddPiece(x, x + ahead, w0, w1, p.count, p.zero_point, &tile);
      x += p.input_step;
      w0 += p.filter_step;
      w1 += p.filter_step;
    }
    sums0[0] = tile.s00;
    sums1[0] = tile.s01;
    sums0[1] = tile.s10;
    sums1[1] = tile.s11;
    sums0 += 2;
    sums1 += 2;
    input += 2 * p.pixel_step;
  }
}

#if TINYTRAIN_PAIRS

// The same of a single piece of whole words, as pointwise layers mostly have.
TINYTRAIN_NOINLINE void SumWords(const int8_t* input, const Pieces& pieces,
                                 int outputs, int32_t* sums0, int32_t* sums1) {
  const Pieces p = pieces;
  const uint32_t offsets = MakePair(-p.zero_point, -p.zero_point);
  for (; outputs > 0; outputs -= 2) {
    const int ahead = outputs > 1 ? p.pixel_step : 0;
    Tile tile = {p.bias0, p.bias1, p.bias0, p.bias1};
    AddWords(input, input + ahead, p.w0, p.w1, p.count, offsets, &tile);
    sums0[0] = tile.s00;
    sums1[0] = tile.s01;
    sums0[1] = tile.s10;
    sums1[1] = tile.s11;
    sums0 += 2;
    sums1 += 2;
    input += 2 * p.pixel_step;
  }
}

#endif

void Sum(const int8_t* input, const Pieces& pieces, int outputs, int32_t* sums0,
         int32_t* sums1) {
#if TINYTRAIN_PAIRS
  if (pieces.rows == 1 && pieces.count % 4 == 0) {
    SumWords(input, pieces, outputs, sums0, sums1);
    return;
  }
#endif
  SumPair(input, pieces, outputs, sums0, sums1);
}

}  // namespace
}  // namespace tinytrain
