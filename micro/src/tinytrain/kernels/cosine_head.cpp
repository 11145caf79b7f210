#include "tinytrain/kernels/cosine_head.h"

#include "tinytrain/kernels/exponential.h"
#include "tinytrain/kernels/l2_norm.h"

namespace tinytrain {
namespace {

// Adds the gradient of x of  scale * cos(x, y), times d: along y and x
// themselves, both not normalized.
void AddCosineGradient(float along_y, float along_x, const float* y,
                       const float* x, int count, float* d_x) {
  for (int i = 0; i < count; ++i) {
    d_x[i] = MultiplyAdd(along_y, y[i], MultiplyAdd(along_x, x[i], d_x[i]));
  }
}

}  // namespace

void CosineHeadForward(const CosineHead& head, const float* embedding,
                       const float* class_vectors, float* inverse_norms,
                       float* logits) {
  inverse_norms[0] = InverseNorm(embedding, head.depth);
  for (int k = 0; k < head.classes; ++k) {
    const float* vector = class_vectors + k * head.depth;
    inverse_norms[1 + k] = InverseNorm(vector, head.depth);
    logits[k] = DotProduct(embedding, vector, head.depth) * inverse_norms[0] *
                inverse_norms[1 + k] * head.scale;
  }
}

void CosineHeadBackward(const CosineHead& head, const float* embedding,
                        const float* class_vectors, const float* inverse_norms,
                        const float* logits, const float* d_logits,
                        float* d_embedding, float share,
                        float* d_class_vectors) {
  const float norm = inverse_norms[0];
  for (int k = 0; k < head.classes; ++k) {
    const float* vector = class_vectors + k * head.depth;
    const float vector_norm = inverse_norms[1 + k];
    // logit = scale x.v r s. With r = 1 / |x|, d_x = scale r s v - logit r r x;
    // the second part is missing where r is constant.
    const float across = d_logits[k] * head.scale * norm * vector_norm;
    const float pull = -d_logits[k] * logits[k];
    const float along = IsConstantNorm(norm) ? 0.0f : pull * norm * norm;
    AddCosineGradient(across, along, vector, embedding, head.depth,
                      d_embedding);
    if (d_class_vectors != nullptr) {
      const float own =
          IsConstantNorm(vector_norm) ? 0.0f : pull * vector_norm * vector_norm;
      AddCosineGradient(share * across, share * own, embedding, vector,
                        head.depth, d_class_vectors + k * head.depth);
    }
  }
}

float SoftmaxCrossEntropy(const float* logits, int classes, int label,
                          float* d_logits) {
  float largest = logits[0];
  for (int k = 1; k < classes; ++k) {
    if (logits[k] > largest) largest = logits[k];
  }
  float sum = 0.0f;
  for (int k = 0; k < classes; ++k) {
    const float value = ExpOfNegative(logits[k] - largest);
    sum += value;
    if (d_logits != nullptr) d_logits[k] = value;
  }
  if (d_logits != nullptr) {
    for (int k = 0; k < classes; ++k) d_logits[k] /= sum;
    d_logits[label] -= 1.0f;
  }
  return LogAboveOne(sum) + (largest - logits[label]);
}

}  // namespace tinytrain
