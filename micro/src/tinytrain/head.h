#ifndef TINYTRAIN_HEAD_H_
#define TINYTRAIN_HEAD_H_

#include <stdint.h>

#include "tinytrain/model.h"
#include "tinytrain/shape.h"

namespace tinytrain {

// Parts of the head's memory during one pass.
struct HeadVectors {
  float* embedding;      // (depth)
  float* d_embedding;    // (depth)
  float* level_norms;    // (2), of the levels of a pyramid.
  float* inverse_norms;  // (1 + classes)
  float* logits;         // (classes)
  float* d_logits;       // (classes)
};

// The head of a model: features to embedding, embedding to logits and loss.
class Head {
 public:
  Head(const Model& model, uint32_t classes);

  uint64_t bytes() const;
  HeadVectors Part(void* memory) const;

  void Embed(const float* features, const HeadVectors& vectors) const;
  void Compare(const float* class_vectors, const HeadVectors& vectors) const;
  float Loss(uint32_t label, const HeadVectors& vectors) const;

  // Adds to `d_class_vectors`, a share of their gradient, and to `d_features`,
  // both null if not wanted.
  void Backward(const float* class_vectors, const HeadVectors& vectors,
                float share, float* d_class_vectors, float* d_features) const;

 private:
  const format::Head& record_;
  const Shape features_;
  const uint32_t classes_;
};

}  // namespace tinytrain

#endif  // TINYTRAIN_HEAD_H_
