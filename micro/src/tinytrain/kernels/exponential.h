#ifndef TINYTRAIN_KERNELS_EXPONENTIAL_H_
#define TINYTRAIN_KERNELS_EXPONENTIAL_H_

namespace tinytrain {

// Own functions, because those of the C libraries differ in the last bits.
// Both are within 2e-7 relative (Log: of absolute, where it is below 1).

// Returns e^x for x <= 0; 0 below -87, NaN for NaN.
float ExpOfNegative(float x);

// Returns ln(x) for finite x >= 1, and x itself for infinity and NaN.
float LogAboveOne(float x);

}  // namespace tinytrain

#endif  // TINYTRAIN_KERNELS_EXPONENTIAL_H_
