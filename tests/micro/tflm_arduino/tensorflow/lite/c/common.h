#ifndef TINYTRAIN_TESTS_ARDUINO_COMMON_H_
#define TINYTRAIN_TESTS_ARDUINO_COMMON_H_

// What the adapter names of Arduino_TensorFlowLite 2.4.

#include <stddef.h>
#include <stdint.h>

enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };

enum TfLiteType {
  kTfLiteFloat32 = 1,
  kTfLiteInt32 = 2,
  kTfLiteInt16 = 7,
  kTfLiteInt8 = 9,
};

struct TfLiteIntArray {
  int size;
  int data[4];
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
  void* user_data;
};

struct TfLiteContext {
  void* impl_;
  void (*ReportError)(TfLiteContext* context, const char* format, ...);
  void* (*AllocatePersistentBuffer)(TfLiteContext* context, size_t bytes);
  TfLiteStatus (*RequestScratchBufferInArena)(TfLiteContext* context,
                                              size_t bytes, int* number);
  void* (*GetScratchBuffer)(TfLiteContext* context, int number);
  TfLiteEvalTensor* (*GetEvalTensor)(const TfLiteContext* context, int number);
};

struct TfLiteRegistration {
  void* (*init)(TfLiteContext* context, const char* buffer, size_t length);
  void (*free)(TfLiteContext* context, void* buffer);
  TfLiteStatus (*prepare)(TfLiteContext* context, TfLiteNode* node);
  TfLiteStatus (*invoke)(TfLiteContext* context, TfLiteNode* node);
  const char* (*profiling_string)(const TfLiteContext* context,
                                  const TfLiteNode* node);
  int32_t builtin_code;
  const char* custom_name;
  int version;
};

#endif  // TINYTRAIN_TESTS_ARDUINO_COMMON_H_
