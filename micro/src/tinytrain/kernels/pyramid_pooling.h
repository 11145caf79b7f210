#ifndef TINYTRAIN_KERNELS_PYRAMID_POOLING_H_
#define TINYTRAIN_KERNELS_PYRAMID_POOLING_H_

#include "tinytrain/shape.h"

namespace tinytrain {

// The embedding of the linear head: the channel means of the whole map, and of
// its four quarters one after another. Each of the two levels has length one.
// The middle row and column of an odd number belong to both sides.
const int kPyramidParts = 5;
const int kPyramidLevels = 2;

// `inverse_norms` is what the backward pass needs besides the embedding.
void PyramidPoolingForward(const Shape& input_shape, const float* input,
                           float* embedding,       // (5 * channels)
                           float* inverse_norms);  // (2)

// Adds to `d_input`, and overwrites `d_embedding` with the gradient of the
// means.
void PyramidPoolingBackward(const Shape& input_shape, const float* embedding,
                            const float* inverse_norms, float* d_embedding,
                            float* d_input);

}  // namespace tinytrain

#endif  // TINYTRAIN_KERNELS_PYRAMID_POOLING_H_
