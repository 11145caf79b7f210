#include "tinytrain/class_vectors.h"

#include "tinytrain/kernels/l2_norm.h"

namespace tinytrain {
namespace {

const float kMeansShare = 0.4f;

}  // namespace

void SetLengths(uint32_t classes, uint32_t depth, float length,
                float* vectors) {
  for (; classes > 0; --classes) {
    const float factor = length * InverseNorm(vectors, static_cast<int>(depth));
    for (uint32_t i = 0; i < depth; ++i) *vectors++ *= factor;
  }
}

void MoveToMeans(uint32_t classes, uint32_t depth, float length, float* sums,
                 float* vectors) {
  SetLengths(classes, depth, kMeansShare * length, sums);
  SetLengths(classes, depth, (1.0f - kMeansShare) * length, vectors);
  for (uint32_t i = 0; i < classes * depth; ++i) {
    vectors[i] += sums[i];
    sums[i] = 0.0f;
  }
}

}  // namespace tinytrain
