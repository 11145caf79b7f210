#ifndef TINYTRAIN_KERNELS_COSINE_HEAD_H_
#define TINYTRAIN_KERNELS_COSINE_HEAD_H_

namespace tinytrain {

// Logits are `scale` times the cosine between an embedding and each class
// vector.
struct CosineHead {
  int depth;
  int classes;
  float scale;  // 10 in all heads of keras_tinytrain.
};

// `inverse_norms` is what the backward pass needs besides the logits: of the
// embedding, then of the class vectors.
void CosineHeadForward(const CosineHead& head,
                       const float* embedding,      // (depth)
                       const float* class_vectors,  // (classes, depth)
                       float* inverse_norms,        // (1 + classes)
                       float* logits);              // (classes)

// Adds to the gradient of the embedding and, unless that is null as for a
// prototype head, `share` times the gradient of each class vector to
// `d_class_vectors`. This may be `class_vectors` itself, for a step.
void CosineHeadBackward(const CosineHead& head, const float* embedding,
                        const float* class_vectors, const float* inverse_norms,
                        const float* logits, const float* d_logits,
                        float* d_embedding, float share,
                        float* d_class_vectors);

// Returns the cross-entropy of the softmax, and overwrites `d_logits`, the
// gradient of the loss, unless it is null.
float SoftmaxCrossEntropy(const float* logits, int classes, int label,
                          float* d_logits);  // (classes)

}  // namespace tinytrain

#endif  // TINYTRAIN_KERNELS_COSINE_HEAD_H_
