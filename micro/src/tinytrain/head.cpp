#include "tinytrain/head.h"

#include <string.h>

#include "tinytrain/kernels/add.h"
#include "tinytrain/kernels/cosine_head.h"
#include "tinytrain/kernels/pooling.h"
#include "tinytrain/kernels/pyramid_pooling.h"
#include "tinytrain/operation_kernels.h"

namespace tinytrain {

using format::Embedding;

namespace {

CosineHead CosineOf(const format::Head& record, uint32_t classes) {
  const CosineHead head = {static_cast<int>(record.depth),
                           static_cast<int>(classes), record.scale};
  return head;
}

}  // namespace

Head::Head(const Model& model, uint32_t classes)
    : record_(model.head()),
      features_(ShapeOf(model.features())),
      classes_(classes) {}

uint64_t Head::bytes() const {
  return sizeof(float) * (2 * uint64_t{record_.depth} + kPyramidLevels + 1 +
                          3 * uint64_t{classes_});
}

HeadVectors Head::Part(void* memory) const {
  HeadVectors vectors;
  vectors.embedding = static_cast<float*>(memory);
  vectors.d_embedding = vectors.embedding + record_.depth;
  vectors.level_norms = vectors.d_embedding + record_.depth;
  vectors.inverse_norms = vectors.level_norms + kPyramidLevels;
  vectors.logits = vectors.inverse_norms + 1 + classes_;
  vectors.d_logits = vectors.logits + classes_;
  return vectors;
}

void Head::Embed(const float* features, const HeadVectors& vectors) const {
  switch (record_.embedding) {
    case Embedding::kFeatures:
      memcpy(vectors.embedding, features, record_.depth * sizeof(float));
      break;
    case Embedding::kMean:
      GlobalAveragePoolingForward(features_, features, vectors.embedding);
      break;
    case Embedding::kPyramid:
      PyramidPoolingForward(features_, features, vectors.embedding,
                            vectors.level_norms);
      break;
  }
}

void Head::Compare(const float* class_vectors,
                   const HeadVectors& vectors) const {
  CosineHeadForward(CosineOf(record_, classes_), vectors.embedding,
                    class_vectors, vectors.inverse_norms, vectors.logits);
}

float Head::Loss(uint32_t label, const HeadVectors& vectors) const {
  return SoftmaxCrossEntropy(vectors.logits, static_cast<int>(classes_),
                             static_cast<int>(label), vectors.d_logits);
}

void Head::Backward(const float* class_vectors, const HeadVectors& vectors,
                    float share, float* d_class_vectors,
                    float* d_features) const {
  memset(vectors.d_embedding, 0, record_.depth * sizeof(float));
  CosineHeadBackward(CosineOf(record_, classes_), vectors.embedding,
                     class_vectors, vectors.inverse_norms, vectors.logits,
                     vectors.d_logits, vectors.d_embedding, share,
                     d_class_vectors);
  if (d_features == nullptr) return;
  switch (record_.embedding) {
    case Embedding::kFeatures:
      Add(vectors.d_embedding, static_cast<int>(record_.depth), d_features);
      break;
    case Embedding::kMean:
      GlobalAveragePoolingBackward(features_, vectors.d_embedding, d_features);
      break;
    case Embedding::kPyramid:
      PyramidPoolingBackward(features_, vectors.embedding, vectors.level_norms,
                             vectors.d_embedding, d_features);
      break;
  }
}

}  // namespace tinytrain
