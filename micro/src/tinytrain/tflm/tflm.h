#ifndef TINYTRAIN_TFLM_TFLM_H_
#define TINYTRAIN_TFLM_TFLM_H_

// TensorFlow Lite Micro, if it is there. Its sources come in generations:
//   1  Arduino_TensorFlowLite 2.4: `TfLiteRegistration`, calls by pointers of
//      the context
//   2  from 2023 on: `TFLMRegistration`, calls by `MicroContext`; since October
//      2026 in `namespace tflite::micro` instead of the global one
//   0  none: the adapter is left out
#if defined(__has_include)
#if __has_include("tensorflow/lite/micro/micro_common.h")
#include "tensorflow/lite/micro/micro_common.h"
#include "tensorflow/lite/micro/micro_context.h"
#include "tensorflow/lite/micro/micro_log.h"
#define TINYTRAIN_TFLM 2
#elif __has_include("tensorflow/lite/micro/micro_mutable_op_resolver.h")
#include "tensorflow/lite/c/common.h"
#define TINYTRAIN_TFLM 1
#endif
#endif

#ifndef TINYTRAIN_TFLM
#define TINYTRAIN_TFLM 0
#endif

#endif  // TINYTRAIN_TFLM_TFLM_H_
