#ifndef TINYTRAIN_KERNELS_ACTIVATION_H_
#define TINYTRAIN_KERNELS_ACTIVATION_H_

#include <stddef.h>
#include <stdint.h>

namespace tinytrain {

// Of a mask with one bit per value, lowest first.
inline size_t MaskBytes(int count) { return (count + 7) / 8; }

// Cut `values` off in place, below at 0 and above at 6 or not at all; NaN stays
// NaN. Bit i of `mask` says whether value i lay strictly between: the gradient
// passes there. `mask` is null when nothing is learned from it.
void ReluForward(int count, float* values, uint8_t* mask);
void Relu6Forward(int count, float* values, uint8_t* mask);

// Of both: turns d_output into d_input in place.
void ReluBackward(const uint8_t* mask, int count, float* gradient);

// Cuts stored int8 numbers off, from `low` to `high`. Here the bounds pass too.
// `output` may be `input`; `mask` may be null.
void ClampForward(const int8_t* input, int count, int low, int high,
                  int8_t* output, uint8_t* mask);

}  // namespace tinytrain

#endif  // TINYTRAIN_KERNELS_ACTIVATION_H_
