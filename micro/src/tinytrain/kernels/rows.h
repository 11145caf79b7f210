#ifndef TINYTRAIN_KERNELS_ROWS_H_
#define TINYTRAIN_KERNELS_ROWS_H_

#include <stdint.h>

namespace tinytrain {

// A list of output channels, ascending and distinct: mask[c] == 1 for these.
struct Channels {
  const uint16_t* index;
  int count;
};

// The weights of a layer, a row per output channel: the trained rows come from
// a slice in RAM, the others are read in place from flash. Nothing is copied.
template <typename T>
struct Rows {
  const T* base;      // (channels, size); null for rows of zeros, of a bias.
  const T* trained;   // (replaced.count, size)
  Channels replaced;  // The channels of `trained`.
};

// Walks over the rows in the order of their channels.
template <typename T>
class RowReader {
 public:
  RowReader(const Rows<T>& rows, int size)
      : rows_(rows), size_(size), channel_(0), next_(0) {}

  // Returns the row of the next channel.
  const T* Next() {
    if (IsTrained()) {
      ++channel_;
      return rows_.trained + size_ * next_++;
    }
    return rows_.base + size_ * channel_++;
  }

  // Returns the value of the next channel, of rows of size 1.
  T NextValue() {
    if (rows_.base == nullptr && !IsTrained()) {
      ++channel_;
      return T(0);
    }
    return *Next();
  }

  // Returns the first row of a run of rows that lie one behind the other, and
  // sets `*count` to their number, at least 1. Call it while channels are left
  // of `channels`.
  const T* NextRun(int channels, int* count) {
    const bool trained = IsTrained();
    const int first = channel_;
    const T* row = Next();
    if (trained) {
      while (channel_ < channels && IsTrained()) {
        ++channel_;
        ++next_;
      }
    } else {
      channel_ =
          next_ < rows_.replaced.count ? rows_.replaced.index[next_] : channels;
    }
    *count = channel_ - first;
    return row;
  }

  int channel() const { return channel_; }

 private:
  bool IsTrained() const {
    return next_ < rows_.replaced.count &&
           rows_.replaced.index[next_] == channel_;
  }

  const Rows<T>& rows_;
  const int size_;
  int channel_;  // Of the row that comes next.
  int next_;     // The trained row that comes next.
};

}  // namespace tinytrain

#endif  // TINYTRAIN_KERNELS_ROWS_H_
