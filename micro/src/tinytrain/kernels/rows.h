#ifndef TINYTRAIN_KERNELS_ROWS_H_
#define TINYTRAIN_KERNELS_ROWS_H_

#include <stdint.h>

#include "tinytrain/kernels/multiply_add.h"

namespace tinytrain {

// A list of channels, ascending and distinct: mask[c] == 1 for these.
struct Channels {
  const uint16_t* index;  // Null: the first `count`.
  int count;

  int at(int i) const { return index == nullptr ? i : index[i]; }
};

// Rows, or columns, that are put together at a time.
const int kPatched = 4;

// The weights of a layer, a row per output channel: the trained rows come from
// a slice in RAM, the others are read in place from flash. Nothing is copied,
// unless input channels train: these are a part of every row.
template <typename T>
struct Rows {
  const T* base;      // (channels, size); null for rows of zeros, of a bias.
  const T* trained;   // (replaced.count, size), or (channels, taps, inputs)
  Channels replaced;  // The channels of `trained`,
  int tap;            // of inputs if this is not 0: of so many in a tap.
  T* patch;           // Scratch for these: kPatched rows or columns.

  Rows() : Rows(nullptr, nullptr, Channels()) {}
  Rows(const T* rows, const T* slice, const Channels& channels)
      : base(rows),
        trained(slice),
        replaced(channels),
        tap(0),
        patch(nullptr) {}

  // Copies `count` channels of a tap from `first` on, of the row of an output
  // channel, with what is trained.
  TINYTRAIN_NOINLINE void CopyTap(int channel, int size, int t, int first,
                                  int count, T* to) const {
    const T* from = base + channel * size + t * tap + first;
    for (int c = 0; c < count; ++c) to[c] = from[c];
    const T* slice = trained + (channel * (size / tap) + t) * replaced.count;
    for (int i = 0; i < replaced.count; ++i) {
      const int c = replaced.index[i] - first;
      if (c >= count) break;
      if (c >= 0) to[c] = slice[i];
    }
  }
};

// Walks over the rows in the order of their channels.
template <typename T>
class RowReader {
 public:
  RowReader(const Rows<T>& rows, int size)
      : rows_(rows), size_(size), channel_(0), next_(0) {}

  // Returns the row of the next channel. The last kPatched stay.
  const T* Next() {
    if (rows_.tap > 0) return Patched();
    if (IsTrained()) {
      ++channel_;
      return rows_.trained + size_ * next_++;
    }
    return rows_.base + size_ * channel_++;
  }

  // Returns the value of the next channel, of rows of size 1.
  T NextValue() {
    const int channel = channel_;
    const bool is_trained = IsTrained();
    ++channel_;
    if (is_trained) return rows_.trained[next_++];
    return rows_.base == nullptr ? T(0) : rows_.base[channel];
  }

 private:
  TINYTRAIN_NOINLINE const T* Patched() {
    T* const row = rows_.patch + channel_ % kPatched * size_;
    for (int t = 0; t < size_ / rows_.tap; ++t) {
      rows_.CopyTap(channel_, size_, t, 0, rows_.tap, row + t * rows_.tap);
    }
    ++channel_;
    return row;
  }

  TINYTRAIN_INLINE bool IsTrained() const {
    return next_ < rows_.replaced.count &&
           rows_.replaced.index[next_] == channel_;
  }

  const Rows<T>& rows_;
  const int size_;
  int channel_;  // Of the row that comes next.
  int next_;     // The trained row that comes next.
};

// Calls `visitor->Visit(row + offset)` for each row of `size` values, in the
// order of their channels. In a loop that holds a tile in registers, a base row
// costs as if there were no others.
template <typename T, typename Visitor>
TINYTRAIN_INLINE void VisitRows(const Rows<T>& rows, int channels, int size,
                                int offset, Visitor* visitor) {
  const T* base = rows.base + offset;
  const T* trained = rows.replaced.count > 0 ? rows.trained + offset : nullptr;
  const uint16_t* index = rows.replaced.index;
  const uint16_t* const end = index + rows.replaced.count;
  for (int c = 0;;) {
    const int stop = index == end ? channels : *index;
    for (; c < stop; ++c) {
      visitor->Visit(base);
      base += size;
    }
    if (index == end) return;
    visitor->Visit(trained);
    trained += size;
    base += size;
    ++c;
    ++index;
  }
}

}  // namespace tinytrain

#endif  // TINYTRAIN_KERNELS_ROWS_H_
