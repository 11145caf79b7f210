#include "tinytrain/kernels/exponential.h"

#include <stdint.h>
#include <string.h>

#include "tinytrain/kernels/multiply_add.h"

namespace tinytrain {
namespace {

// ln(2) in two parts, so that a small multiple of the first is exact.
const float kLn2High = 0.693145751953125f;
const float kLn2Low = 1.42860677e-6f;
const float kLog2E = 1.44269504f;
const float kSqrt2 = 1.41421356f;
const int kExponentBits = 23;
const int kExponentBias = 127;

float FromBits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof(value));
  return value;
}

uint32_t ToBits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof(bits));
  return bits;
}

}  // namespace

float ExpOfNegative(float x) {
  if (x != x) return x;
  if (x < -87.0f) return 0.0f;
  // x = n ln(2) + r, |r| <= ln(2) / 2.
  const int n = static_cast<int>(MultiplyAdd(x, kLog2E, -0.5f));
  const float r = MultiplyAdd(static_cast<float>(-n), kLn2Low,
                              MultiplyAdd(static_cast<float>(-n), kLn2High, x));
  // The Taylor series up to r^7; the next term is below 6e-9.
  float sum = 1.0f / 5040.0f;
  sum = MultiplyAdd(sum, r, 1.0f / 720.0f);
  sum = MultiplyAdd(sum, r, 1.0f / 120.0f);
  sum = MultiplyAdd(sum, r, 1.0f / 24.0f);
  sum = MultiplyAdd(sum, r, 1.0f / 6.0f);
  sum = MultiplyAdd(sum, r, 0.5f);
  sum = MultiplyAdd(sum, r, 1.0f);
  sum = MultiplyAdd(sum, r, 1.0f);
  return sum *
         FromBits(static_cast<uint32_t>(n + kExponentBias) << kExponentBits);
}

float LogAboveOne(float x) {
  const uint32_t bits = ToBits(x);
  int exponent = static_cast<int>(bits >> kExponentBits) - kExponentBias;
  if (exponent > kExponentBias) return x;
  // x = m 2^exponent, sqrt(1/2) < m <= sqrt(2).
  float m = FromBits((bits & ((1u << kExponentBits) - 1)) |
                     static_cast<uint32_t>(kExponentBias) << kExponentBits);
  if (m > kSqrt2) {
    m *= 0.5f;
    ++exponent;
  }
  // ln(m) = 2 artanh(s); the term s^11 / 11 is below 4e-10.
  const float s = (m - 1.0f) / (m + 1.0f);
  const float square = s * s;
  float sum = 1.0f / 9.0f;
  sum = MultiplyAdd(sum, square, 1.0f / 7.0f);
  sum = MultiplyAdd(sum, square, 1.0f / 5.0f);
  sum = MultiplyAdd(sum, square, 1.0f / 3.0f);
  sum = MultiplyAdd(sum, square, 1.0f);
  const float e = static_cast<float>(exponent);
  const float low = MultiplyAdd(2.0f * s, sum, e * kLn2Low);
  return MultiplyAdd(e, kLn2High, low);
}

}  // namespace tinytrain
