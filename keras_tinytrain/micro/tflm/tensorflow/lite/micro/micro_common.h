#ifndef TINYTRAIN_WHEEL_MICRO_COMMON_H_
#define TINYTRAIN_WHEEL_MICRO_COMMON_H_

// Stands in for the header of TensorFlow Lite Micro, which no package has: what
// the adapter names of it, laid out as in the `tflite-micro` wheels on 64 bits.
// With TINYTRAIN_NEW_ABI as in those since October 2026.

#include <stddef.h>
#include <stdint.h>

#ifdef TINYTRAIN_NEW_ABI
#define TINYTRAIN_TFLM_BEGIN \
  namespace tflite {         \
  namespace micro {
#define TINYTRAIN_TFLM_END \
  }                        \
  }
#else
#define TINYTRAIN_TFLM_BEGIN
#define TINYTRAIN_TFLM_END
#endif

TINYTRAIN_TFLM_BEGIN

enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };

enum TfLiteType {
  kTfLiteFloat32 = 1,
  kTfLiteInt32 = 2,
  kTfLiteInt16 = 7,
  kTfLiteInt8 = 9,
};

struct TfLiteIntArray {
  int size;
  int data[1];  // As many as `size`.
};

union TfLitePtrUnion {
  float* f;
  int32_t* i32;
  int16_t* i16;
  int8_t* int8;
};

struct TfLiteEvalTensor {
  TfLitePtrUnion data;
  TfLiteIntArray* dims;
  TfLiteType type;
};

struct TfLiteNode {
  TfLiteIntArray* inputs;
  TfLiteIntArray* outputs;
  TfLiteIntArray* intermediates;
  void* user_data;
};

struct TfLiteContext {
#ifndef TINYTRAIN_NEW_ABI
  void* unused[3];
#endif
  void* impl_;
};

struct TFLMRegistration {
  void* (*init)(TfLiteContext* context, const char* buffer, size_t length);
  void (*free)(TfLiteContext* context, void* buffer);
  TfLiteStatus (*prepare)(TfLiteContext* context, TfLiteNode* node);
  TfLiteStatus (*invoke)(TfLiteContext* context, TfLiteNode* node);
  void (*reset)(TfLiteContext* context, void* buffer);
  int32_t builtin_code;
  const char* custom_name;
};

TINYTRAIN_TFLM_END

#endif  // TINYTRAIN_WHEEL_MICRO_COMMON_H_
