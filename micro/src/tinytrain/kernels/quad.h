#ifndef TINYTRAIN_KERNELS_QUAD_H_
#define TINYTRAIN_KERNELS_QUAD_H_

#include "tinytrain/kernels/multiply_add.h"

namespace tinytrain {

// How many values of a Quad are there in memory, and where from a pointer on:
// all four,
struct FourLanes {
  static const int count = 4;
  static const int offset1 = 1;
  static const int offset2 = 2;
  static const int offset3 = 3;
};

// or fewer; the first is then read again for each that is not. There are at
// most three such channels in a layer: kernels have no tiles of several
// positions for them, which would be as large again as for the others.
struct SomeLanes {
  int count;
  int offset1;
  int offset2;
  int offset3;

  explicit SomeLanes(int available)
      : count(available < 4 ? available : 4),
        offset1(available > 1 ? 1 : 0),
        offset2(available > 2 ? 2 : 0),
        offset3(available > 3 ? 3 : 0) {}
};

// Four accumulators, or four factors, kept in registers. The tiles of all
// kernels are a few of these, and their one operation is `AddProduct`.
template <typename T>
struct Quad {
  T v0, v1, v2, v3;

  TINYTRAIN_INLINE void Fill(T value) { v0 = v1 = v2 = v3 = value; }

  template <typename Stored, typename Lanes>
  TINYTRAIN_INLINE void Load(const Stored* from, const Lanes& lanes) {
    v0 = static_cast<T>(from[0]);
    v1 = static_cast<T>(from[lanes.offset1]);
    v2 = static_cast<T>(from[lanes.offset2]);
    v3 = static_cast<T>(from[lanes.offset3]);
  }

  TINYTRAIN_INLINE void AddProduct(T factor, const Quad& values) {
    v0 = MultiplyAdd(factor, values.v0, v0);
    v1 = MultiplyAdd(factor, values.v1, v1);
    v2 = MultiplyAdd(factor, values.v2, v2);
    v3 = MultiplyAdd(factor, values.v3, v3);
  }

  TINYTRAIN_INLINE void AddProduct(const Quad& a, const Quad& b) {
    v0 = MultiplyAdd(a.v0, b.v0, v0);
    v1 = MultiplyAdd(a.v1, b.v1, v1);
    v2 = MultiplyAdd(a.v2, b.v2, v2);
    v3 = MultiplyAdd(a.v3, b.v3, v3);
  }

  TINYTRAIN_INLINE void Store(int count, T* to) const {
    to[0] = v0;
    if (count > 1) to[1] = v1;
    if (count > 2) to[2] = v2;
    if (count > 3) to[3] = v3;
  }

  TINYTRAIN_INLINE void AddTo(int count, T* to) const {
    to[0] += v0;
    if (count > 1) to[1] += v1;
    if (count > 2) to[2] += v2;
    if (count > 3) to[3] += v3;
  }
};

// Eight of them.
template <typename T>
struct Octet {
  Quad<T> low, high;

  TINYTRAIN_INLINE void Fill(T value) {
    low.Fill(value);
    high.Fill(value);
  }

  template <typename Stored>
  TINYTRAIN_INLINE void Load(const Stored* from, const FourLanes& lanes) {
    low.Load(from, lanes);
    high.Load(from + 4, lanes);
  }

  TINYTRAIN_INLINE void AddProduct(T factor, const Octet& values) {
    low.AddProduct(factor, values.low);
    high.AddProduct(factor, values.high);
  }

  TINYTRAIN_INLINE void AddTo(int, T* to) const {
    low.AddTo(4, to);
    high.AddTo(4, to + 4);
  }
};

}  // namespace tinytrain

#endif  // TINYTRAIN_KERNELS_QUAD_H_
