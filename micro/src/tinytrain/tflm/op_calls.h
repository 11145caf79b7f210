#ifndef TINYTRAIN_TFLM_OP_CALLS_H_
#define TINYTRAIN_TFLM_OP_CALLS_H_

#include <stddef.h>
#include <stdint.h>

#include "tinytrain/tflm/tflm.h"

#if TINYTRAIN_TFLM

// What operators ask of TensorFlow Lite Micro, in any generation. In here its
// names are found in whichever of its namespaces they are.
namespace tflite {
namespace micro {
namespace tinytrain_op {

#if TINYTRAIN_TFLM == 1
typedef TfLiteRegistration Registration;

inline void* Allocate(TfLiteContext* context, size_t bytes) {
  return context->AllocatePersistentBuffer(context, bytes);
}
inline TfLiteStatus RequestScratch(TfLiteContext* context, size_t bytes,
                                   int* number) {
  return context->RequestScratchBufferInArena(context, bytes, number);
}
inline void* Scratch(TfLiteContext* context, int number) {
  return context->GetScratchBuffer(context, number);
}
inline TfLiteEvalTensor* Tensor(TfLiteContext* context, int number) {
  return context->GetEvalTensor(context, number);
}
#define TINYTRAIN_LOG(context, ...) (context)->ReportError(context, __VA_ARGS__)
#else
typedef TFLMRegistration Registration;

inline void* Allocate(TfLiteContext* context, size_t bytes) {
  return GetMicroContext(context)->AllocatePersistentBuffer(bytes);
}
inline TfLiteStatus RequestScratch(TfLiteContext* context, size_t bytes,
                                   int* number) {
  return GetMicroContext(context)->RequestScratchBufferInArena(bytes, number);
}
inline void* Scratch(TfLiteContext* context, int number) {
  return GetMicroContext(context)->GetScratchBuffer(number);
}
inline TfLiteEvalTensor* Tensor(TfLiteContext* context, int number) {
  return GetMicroContext(context)->GetEvalTensor(number);
}
#define TINYTRAIN_LOG(context, ...) MicroPrintf(__VA_ARGS__)
#endif

inline TfLiteEvalTensor* Input(TfLiteContext* context, TfLiteNode* node,
                               int i) {
  return Tensor(context, node->inputs->data[i]);
}

inline TfLiteEvalTensor* Output(TfLiteContext* context, TfLiteNode* node,
                                int i) {
  return Tensor(context, node->outputs->data[i]);
}

inline uint32_t Size(const TfLiteEvalTensor* tensor) {
  uint32_t size = 1;
  for (int i = 0; i < tensor->dims->size; ++i) {
    size *= static_cast<uint32_t>(tensor->dims->data[i]);
  }
  return size;
}

}  // namespace tinytrain_op
}  // namespace micro
}  // namespace tflite

#endif  // TINYTRAIN_TFLM

#endif  // TINYTRAIN_TFLM_OP_CALLS_H_
