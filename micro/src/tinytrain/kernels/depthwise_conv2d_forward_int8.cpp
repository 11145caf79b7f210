#include <string.h>

#include "tinytrain/kernels/activation.h"
#include "tinytrain/kernels/depthwise_conv2d.h"
#include "tinytrain/kernels/pairs.h"

// One channel after the other. Its last rows wait in a ring, widened and padded
// with zeros, so a product of two taps is one instruction, no border is a
// special case, and the output may lie over the input.
namespace tinytrain {
namespace {

const int kGroup = 4;  // Outputs at a time.

// Words that hold the taps of a kernel's row, from either half of a word on.
int WordsOf(const Window& w) { return w.kernel_width / 2 + 1; }

int RoundedUp(int value, int multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

// Numbers of a row of the ring: all that a group of outputs reads, and what
// lies behind the padding.
int RowSize(const Window& w) {
  const int outputs = RoundedUp(w.output.width, kGroup);
  const int read = w.stride_width * (outputs - 1) + 2 * WordsOf(w);
  const int written = w.pad_left + w.input.width;
  return RoundedUp(read > written ? read : written, 2);
}

// The taps of one channel as pairs: from the first one on, and from a zero in
// front of it on, in turns.
void PackTaps(const Window& w, const int8_t* taps, int step, uint32_t* pairs) {
  const int words = WordsOf(w);
  const int width = w.kernel_width;
  for (int k = 0; k < w.kernel_height; ++k) {
    int before = 0;
    for (int j = 0; j < words; ++j) {
      const int first = 2 * j < width ? taps[2 * j * step] : 0;
      const int second = 2 * j + 1 < width ? taps[(2 * j + 1) * step] : 0;
      *pairs++ = MakePair(first, second);
      *pairs++ = MakePair(before, first);
      before = second;
    }
    taps += width * step;
  }
}

struct Sums {
  int32_t s0, s1, s2, s3;
};

// A row's products of four outputs, word by word: written out, as loops over a
// few words cost more than what is in them. kWords is 0 at the end.
template <int kWords>
struct RowSums {
  // Of neighbouring outputs; `here` is the word at x.
  TINYTRAIN_INLINE void AddNeighbours(uint32_t here, const int16_t* x,
                                      const uint32_t* taps, Sums* s) const {
    const uint32_t next = LoadWord(x + 2);
    s->s0 = AddPairProducts(here, taps[0], s->s0);
    s->s1 = AddPairProducts(here, taps[1], s->s1);
    s->s2 = AddPairProducts(next, taps[0], s->s2);
    s->s3 = AddPairProducts(next, taps[1], s->s3);
    RowSums<kWords - 1>().AddNeighbours(next, x + 2, taps + 2, s);
  }

  // Of outputs whose windows begin `stride` apart.
  TINYTRAIN_INLINE void Add(const int16_t* x, int stride, const uint32_t* taps,
                            Sums* s) const {
    s->s0 = AddPairProducts(LoadWord(x), taps[0], s->s0);
    s->s1 = AddPairProducts(LoadWord(x + stride), taps[0], s->s1);
    s->s2 = AddPairProducts(LoadWord(x + 2 * stride), taps[0], s->s2);
    s->s3 = AddPairProducts(LoadWord(x + 3 * stride), taps[0], s->s3);
    RowSums<kWords - 1>().Add(x + 2, stride, taps + 2, s);
  }
};

template <>
struct RowSums<0> {
  TINYTRAIN_INLINE void AddNeighbours(uint32_t, const int16_t*, const uint32_t*,
                                      Sums*) const {}
  TINYTRAIN_INLINE void Add(const int16_t*, int, const uint32_t*, Sums*) const {
  }
};

// Adds a row's products; kWords is how many words its taps take or, where a
// loop has to do, 0.
template <int kWords>
TINYTRAIN_INLINE void AddRow(const int16_t* x, int stride, const uint32_t* taps,
                             int words, Sums* sums) {
  Sums s = *sums;
  if (kWords > 0 && stride == 1) {
    RowSums<kWords>().AddNeighbours(LoadWord(x), x, taps, &s);
  } else if (kWords > 0) {
    RowSums<kWords>().Add(x, stride, taps, &s);
  } else {
    for (; words > 0; --words) {
      RowSums<1>().Add(x, stride, taps, &s);
      x += 2;
      taps += 2;
    }
  }
  *sums = s;
}

// The last rows of one channel.
class Ring {
 public:
  Ring(const Window& window, int zero_point, int16_t* rows)
      : w_(window),
        zero_point_(zero_point),
        row_size_(RowSize(window)),
        rows_(rows),
        slot_(0) {}

  // Before the first row of a channel.
  void Clear() {
    memset(rows_, 0, w_.kernel_height * row_size_ * sizeof(*rows_));
    slot_ = 0;
  }

  // Replaces the oldest row by that of `input` with this number, or by zeros
  // outside.
  void Push(const int8_t* input, int row) {
    int16_t* to = rows_ + slot_ * row_size_ + w_.pad_left;
    slot_ = slot_ + 1 == w_.kernel_height ? 0 : slot_ + 1;
    if (row < 0) return;  // Cleared.
    if (row >= w_.input.height) {
      memset(to, 0, w_.input.width * sizeof(*to));
      return;
    }
    const int channels = w_.input.channels;
    const uint32_t offsets = MakePair(-zero_point_, -zero_point_);
    const int8_t* from = input + row * w_.input.width * channels;
    int x = w_.input.width;
    for (; x >= 4; x -= 4) {
      const uint32_t first = PackPair(from[0], from[channels]);
      from += 2 * channels;
      const uint32_t second = PackPair(from[0], from[channels]);
      from += 2 * channels;
      StoreWord(AddPairs(first, offsets), to);
      StoreWord(AddPairs(second, offsets), to + 2);
      to += 4;
    }
    for (; x > 0; --x) {
      *to++ = static_cast<int16_t>(*from - zero_point_);
      from += channels;
    }
  }

  // The rows from the oldest one on: up to the ring's end, and from its start.
  const int16_t* oldest() const { return rows_ + slot_ * row_size_; }
  int before_end() const { return w_.kernel_height - slot_; }
  const int16_t* start() const { return rows_; }
  int row_size() const { return row_size_; }

 private:
  const Window& w_;
  const int zero_point_;
  const int row_size_;
  int16_t* const rows_;
  int slot_;  // Of the oldest row.
};

// Sums up an output row of one channel, some sums too many at its end. kWords
// is that of the window and kStride its stride; both are 0 where a loop has to
// do.
template <int kWords, int kStride>
TINYTRAIN_NOINLINE void SumRow(const Window& w, const Ring& ring,
                               const uint32_t* taps, int32_t bias,
                               int32_t* results) {
  const int words = kWords > 0 ? kWords : WordsOf(w);
  const int stride = kStride > 0 ? kStride : w.stride_width;
  const int height = w.kernel_height;
  const int row_size = ring.row_size();
  const int before_end = ring.before_end();
  const int16_t* oldest = ring.oldest();
  const int16_t* start = ring.start();
  for (int count = w.output.width; count > 0; count -= kGroup) {
    Sums sums = {bias, bias, bias, bias};
    const uint32_t* pairs = taps;
    const int16_t* from = oldest;
    // Two runs of rows: up to the ring's end, and from its start.
    for (int k = before_end; k > 0; --k) {
      AddRow<kWords>(from, stride, pairs, words, &sums);
      pairs += 2 * words;
      from += row_size;
    }
    from = start;
    for (int k = height - before_end; k > 0; --k) {
      AddRow<kWords>(from, stride, pairs, words, &sums);
      pairs += 2 * words;
      from += row_size;
    }
    results[0] = sums.s0;
    results[1] = sums.s1;
    results[2] = sums.s2;
    results[3] = sums.s3;
    results += kGroup;
    oldest += kGroup * stride;
    start += kGroup * stride;
  }
}

typedef void (*RowFunction)(const Window&, const Ring&, const uint32_t*,
                            int32_t, int32_t*);

template <int kWords>
RowFunction OfStride(int stride) {
  return stride == 1 ? SumRow<kWords, 1> : SumRow<kWords, 2>;
}

RowFunction RowFunctionOf(const Window& w) {
  if (w.stride_width > 2) return SumRow<0, 0>;
  switch (w.kernel_width) {
    case 3:
      return OfStride<2>(w.stride_width);
    case 5:
      return OfStride<3>(w.stride_width);
    case 7:
      return OfStride<4>(w.stride_width);
    default:
      return SumRow<0, 0>;
  }
}

size_t SumBytes(const Window& w) {
  return sizeof(int32_t) * RoundedUp(w.output.width, kGroup);
}

size_t TapBytes(const Window& w) {
  return sizeof(uint32_t) * 2 * WordsOf(w) * w.kernel_height;
}

}  // namespace

size_t DepthwiseConv2DForwardInt8ScratchBytes(const Window& window) {
  return TapBytes(window) + SumBytes(window) +
         sizeof(int16_t) * RowSize(window) * window.kernel_height;
}

void DepthwiseConv2DForward(const Window& window, const int8_t* input,
                            const Rows<int8_t>& filter,
                            const Rows<int32_t>& bias, const Requantization& to,
                            void* scratch, int8_t* output, uint8_t* mask) {
  const int channels = window.input.channels;
  if (mask != nullptr) memset(mask, 0, MaskBytes(window.output.size()));
  uint32_t* const taps = static_cast<uint32_t*>(scratch);
  int32_t* const sums =
      reinterpret_cast<int32_t*>(taps) + TapBytes(window) / sizeof(*taps);
  Ring ring(
      window, to.input_zero_point,
      reinterpret_cast<int16_t*>(sums + SumBytes(window) / sizeof(*sums)));
  const RowFunction sum_row = RowFunctionOf(window);
  RowReader<int32_t> biases(bias, 1);
  int trained = 0;
  for (int c = 0; c < channels; ++c) {
    const bool replaced =
        trained < filter.replaced.count && filter.replaced.index[trained] == c;
    if (replaced) {
      PackTaps(window, filter.trained + trained * window.taps(), 1, taps);
      ++trained;
    } else {
      PackTaps(window, filter.base + c, channels, taps);
    }
    const int32_t start = biases.NextValue();
    ring.Clear();
    int next = -window.pad_top;
    for (int y = 0; y < window.output.height; ++y) {
      const int first = y * window.stride_height - window.pad_top;
      if (next < first) next = first;
      for (; next < first + window.kernel_height; ++next) {
        ring.Push(input + c, next);
      }
      sum_row(window, ring, taps, start, sums);
      StoreSums(to, c, sums, window.output.width,
                y * window.output.width * channels + c, channels, output, mask);
    }
  }
}

}  // namespace tinytrain
