#include "tinytrain/tflm/tail_op.h"

#if TINYTRAIN_TFLM

#include <string.h>

#include <new>

namespace tinytrain {

Tail* TailOf(const int32_t* status) {
  Tail* tail = nullptr;
  memcpy(&tail, status + kStatusHandle, sizeof(tail));
  return tail;
}

}  // namespace tinytrain

namespace tflite {
namespace micro {
namespace tinytrain_op {

using tinytrain::Answer;
using tinytrain::Code;
using tinytrain::Phase;
using tinytrain::Status;
using tinytrain::Tail;

namespace {

// What the interpreter keeps for each operator.
struct Operator {
  Tail tail;
  const char* options;
  size_t options_size;
  void* persistent;
  int scratch;  // Number of the scratch buffer.
};

bool Is(const TfLiteEvalTensor* tensor, TfLiteType type, uint32_t least) {
  return tensor != nullptr && tensor->type == type && Size(tensor) >= least;
}

// Whether inputs and outputs are those of the operator.
bool CheckTensors(TfLiteContext* context, TfLiteNode* node) {
  if (node->inputs->size != 3 || node->outputs->size != 3) return false;
  return Is(Input(context, node, tinytrain::kTailFeatures), kTfLiteInt8, 1) &&
         Is(Input(context, node, tinytrain::kTailControl), kTfLiteInt32, 2) &&
         Is(Input(context, node, tinytrain::kTailBlob), kTfLiteInt8, 1) &&
         Is(Output(context, node, tinytrain::kTailLogits), kTfLiteFloat32, 2) &&
         Is(Output(context, node, tinytrain::kTailLoss), kTfLiteFloat32, 1) &&
         Is(Output(context, node, tinytrain::kTailStatus), kTfLiteInt32,
            tinytrain::kStatusNumbers);
}

TfLiteStatus Refuse(TfLiteContext* context, const Status& status) {
  (void)context;
  TINYTRAIN_LOG(
      context, "TinyTrainTail: code %d, requested %u, available %u, missing %u",
      static_cast<int>(status.code), static_cast<unsigned>(status.requested),
      static_cast<unsigned>(status.available),
      static_cast<unsigned>(status.missing));
  return kTfLiteError;
}

void* Init(TfLiteContext* context, const char* buffer, size_t length) {
  void* const place = Allocate(context, sizeof(Operator));
  if (place == nullptr) return nullptr;
  Operator* const op = new (place) Operator();
  op->options = buffer;
  op->options_size = length;
  op->persistent = nullptr;
  return op;
}

// Checks, sizes and places. The blob is constant, so it is there already.
TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
  Operator* const op = static_cast<Operator*>(node->user_data);
  if (op == nullptr) return kTfLiteError;
  if (!CheckTensors(context, node)) {
    return Refuse(context, Status::Error(Code::kBadFormat));
  }
  const TfLiteEvalTensor* const blob =
      Input(context, node, tinytrain::kTailBlob);
  const uint32_t feature_count =
      Size(Input(context, node, tinytrain::kTailFeatures));
  Status status = op->tail.Open(op->options, op->options_size, blob->data.int8,
                                Size(blob), feature_count);
  if (status.ok() && Size(Output(context, node, tinytrain::kTailLogits)) !=
                         op->tail.classes()) {
    status = Status::Error(Code::kWrongModel);
  }
  if (!status.ok()) return Refuse(context, status);
  op->persistent = Allocate(context, op->tail.persistent_bytes());
  // The interpreter says what it lacks.
  if (op->persistent == nullptr) return kTfLiteError;
  return RequestScratch(context, op->tail.scratch_bytes(), &op->scratch);
}

// A refusal is an answer, too: the next call may be another one.
TfLiteStatus Invoke(TfLiteContext* context, TfLiteNode* node) {
  Operator* const op = static_cast<Operator*>(node->user_data);
  Tail* const tail = &op->tail;
  const int32_t* const control =
      Input(context, node, tinytrain::kTailControl)->data.i32;
  const int8_t* const features =
      Input(context, node, tinytrain::kTailFeatures)->data.int8;
  TfLiteEvalTensor* const logits =
      Output(context, node, tinytrain::kTailLogits);
  memset(logits->data.f, 0, Size(logits) * sizeof(float));
  Answer answer = {tail->Place(op->persistent, Scratch(context, op->scratch)),
                   0, 0.0f};
  if (answer.status.ok()) {
    answer = tail->Run(static_cast<Phase>(control[0]), control[1], features,
                       logits->data.f);
  }
  Output(context, node, tinytrain::kTailLoss)->data.f[0] = answer.loss;
  int32_t* const numbers =
      Output(context, node, tinytrain::kTailStatus)->data.i32;
  memset(numbers, 0, tinytrain::kStatusNumbers * sizeof(int32_t));
  numbers[tinytrain::kStatusCode] = static_cast<int32_t>(answer.status.code);
  numbers[tinytrain::kStatusRequested] =
      static_cast<int32_t>(answer.status.requested);
  numbers[tinytrain::kStatusAvailable] =
      static_cast<int32_t>(answer.status.available);
  numbers[tinytrain::kStatusMissing] =
      static_cast<int32_t>(answer.status.missing);
  numbers[tinytrain::kStatusLabel] = static_cast<int32_t>(answer.label);
  memcpy(numbers + tinytrain::kStatusHandle, &tail, sizeof(tail));
  return kTfLiteOk;
}

}  // namespace

// There is no `reset`: it is called after allocation too, and on an interpreter
// that is reset, what was learned stays. `Phase::kBegin` forgets it.
Registration TailRegistration() {
  Registration registration = Registration();
  registration.init = Init;
  registration.prepare = Prepare;
  registration.invoke = Invoke;
  registration.custom_name = tinytrain::kTailName;
  return registration;
}

}  // namespace tinytrain_op
}  // namespace micro
}  // namespace tflite

#endif  // TINYTRAIN_TFLM
