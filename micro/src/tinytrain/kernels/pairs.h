#ifndef TINYTRAIN_KERNELS_PAIRS_H_
#define TINYTRAIN_KERNELS_PAIRS_H_

#include <stdint.h>
#include <string.h>

#include "tinytrain/kernels/multiply_add.h"

// Two 16-bit integers in a word, the first one low. Cortex-M4 and M7 multiply
// and add both at once; the same in plain C++ for all other cores, and
// wherever TINYTRAIN_PORTABLE is defined.
#if defined(__ARM_FEATURE_SIMD32) && !defined(TINYTRAIN_PORTABLE)
#define TINYTRAIN_PAIRS 1
#else
#define TINYTRAIN_PAIRS 0
#endif

namespace tinytrain {

// Reads a word, which may lie anywhere.
TINYTRAIN_INLINE uint32_t LoadWord(const void* from) {
  uint32_t word;
  memcpy(&word, from, sizeof(word));
  return word;
}

TINYTRAIN_INLINE void StoreWord(uint32_t word, void* to) {
  memcpy(to, &word, sizeof(word));
}

TINYTRAIN_INLINE uint32_t MakePair(int first, int second) {
  return static_cast<uint16_t>(first) | static_cast<uint32_t>(second) << 16;
}

#if TINYTRAIN_PAIRS

// Returns sum + a.first * b.first + a.second * b.second.
TINYTRAIN_INLINE int32_t AddPairProducts(uint32_t a, uint32_t b, int32_t sum) {
  __asm__("smlad %0, %1, %2, %0" : "+r"(sum) : "r"(a), "r"(b));
  return sum;
}

// `MakePair` of two integers, and the sum of two pairs.
TINYTRAIN_INLINE uint32_t PackPair(int32_t first, int32_t second) {
  uint32_t pair;
  __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(pair) : "r"(first), "r"(second));
  return pair;
}
TINYTRAIN_INLINE uint32_t AddPairs(uint32_t a, uint32_t b) {
  uint32_t sum;
  __asm__("sadd16 %0, %1, %2" : "=r"(sum) : "r"(a), "r"(b));
  return sum;
}

// Of four int8 numbers in a word: the first and third, or the second and
// fourth, as a pair, each with that of `offsets` added.
TINYTRAIN_INLINE uint32_t WidenEven(uint32_t offsets, uint32_t bytes) {
  uint32_t pair;
  __asm__("sxtab16 %0, %1, %2" : "=r"(pair) : "r"(offsets), "r"(bytes));
  return pair;
}
TINYTRAIN_INLINE uint32_t WidenOdd(uint32_t offsets, uint32_t bytes) {
  uint32_t pair;
  __asm__("sxtab16 %0, %1, %2, ror #8" : "=r"(pair) : "r"(offsets), "r"(bytes));
  return pair;
}
TINYTRAIN_INLINE uint32_t WidenEven(uint32_t bytes) {
  uint32_t pair;
  __asm__("sxtb16 %0, %1" : "=r"(pair) : "r"(bytes));
  return pair;
}
TINYTRAIN_INLINE uint32_t WidenOdd(uint32_t bytes) {
  uint32_t pair;
  __asm__("sxtb16 %0, %1, ror #8" : "=r"(pair) : "r"(bytes));
  return pair;
}

// Returns sum + a * b / 2^32, rounded, halves upwards.
TINYTRAIN_INLINE int32_t AddHighProduct(int32_t a, int32_t b, int32_t sum) {
  __asm__("smmlar %0, %1, %2, %0" : "+r"(sum) : "r"(a), "r"(b));
  return sum;
}

// Returns a + b, cut off at the ends of int32.
TINYTRAIN_INLINE int32_t AddSaturated(int32_t a, int32_t b) {
  int32_t sum;
  __asm__("qadd %0, %1, %2" : "=r"(sum) : "r"(a), "r"(b));
  return sum;
}

// Returns what of a number is left in int8.
TINYTRAIN_INLINE int32_t CutOffInt8(int32_t value) {
  int32_t kept;
  __asm__("ssat %0, #8, %1" : "=r"(kept) : "r"(value));
  return kept;
}

#else

TINYTRAIN_INLINE int32_t AddPairProducts(uint32_t a, uint32_t b, int32_t sum) {
  const int32_t low = static_cast<int16_t>(a) * static_cast<int16_t>(b);
  const int32_t high =
      static_cast<int16_t>(a >> 16) * static_cast<int16_t>(b >> 16);
  return sum + low + high;
}

TINYTRAIN_INLINE uint32_t PackPair(int32_t first, int32_t second) {
  return MakePair(first, second);
}
TINYTRAIN_INLINE uint32_t AddPairs(uint32_t a, uint32_t b) {
  const uint32_t high = (a & 0xFFFF0000u) + (b & 0xFFFF0000u);
  return high | ((a + b) & 0xFFFFu);
}

#endif

}  // namespace tinytrain

#endif  // TINYTRAIN_KERNELS_PAIRS_H_
