#ifndef TINYTRAIN_WHEEL_MICRO_CONTEXT_H_
#define TINYTRAIN_WHEEL_MICRO_CONTEXT_H_

#include "tensorflow/lite/micro/micro_common.h"

TINYTRAIN_TFLM_BEGIN

// The first virtual functions, in the order of the wheels. Those that nobody
// calls keep their places.
class MicroContext {
 public:
  virtual ~MicroContext() {}
  virtual void* AllocatePersistentBuffer(size_t bytes) = 0;
  virtual TfLiteStatus RequestScratchBufferInArena(size_t bytes,
                                                   int* number) = 0;
  virtual void* GetScratchBuffer(int number) = 0;
  virtual void* AllocateTempTfLiteTensor(int number) = 0;
  virtual void DeallocateTempTfLiteTensor(void* tensor) = 0;
  virtual uint8_t* AllocateTempBuffer(size_t bytes, size_t alignment) = 0;
  virtual void DeallocateTempBuffer(uint8_t* buffer) = 0;
  virtual TfLiteEvalTensor* GetEvalTensor(int number) = 0;
};

inline MicroContext* GetMicroContext(const TfLiteContext* context) {
  return static_cast<MicroContext*>(context->impl_);
}

TINYTRAIN_TFLM_END

#endif  // TINYTRAIN_WHEEL_MICRO_CONTEXT_H_
