#ifndef TINYTRAIN_TFLM_TAIL_OP_H_
#define TINYTRAIN_TFLM_TAIL_OP_H_

#include "tinytrain/tflm/op_calls.h"
#include "tinytrain/tflm/tail.h"

#if TINYTRAIN_TFLM

namespace tinytrain {

// The operator of a `model.tflite`: the trainable tail of a network.
const char kTailName[] = "TinyTrainTail";

// Its inputs and outputs.
enum TailTensor {
  kTailFeatures = 0,  // int8, what the frozen prefix computes.
  kTailControl = 1,   // int32 (2): `Phase` and label.
  kTailBlob = 2,      // int8, constant: the blob of docs/format.md.

  kTailLogits = 0,  // float32, as many as classes were exported.
  kTailLoss = 1,    // float32 (1), of `kTrain`.
  kTailStatus = 2,  // int32, see `StatusNumber`.
};

// What the output `kTailStatus` holds.
enum StatusNumber {
  kStatusCode = 0,  // `Code`; the next three are those of `Status`.
  kStatusRequested = 1,
  kStatusAvailable = 2,
  kStatusMissing = 3,
  kStatusLabel = 4,   // The most likely class, of a prediction.
  kStatusHandle = 6,  // And 7: for `TailOf`.
  kStatusNumbers = 8,
};

// The tail whose status output this is; null before the first `Invoke`. Lives
// as long as the interpreter. To be used between two calls of `Invoke`: it
// writes to what the prefix uses meanwhile, the model's input included.
Tail* TailOf(const int32_t* status);

}  // namespace tinytrain

// Where its types are, whichever namespace TensorFlow Lite Micro has them in.
namespace tflite {
namespace micro {
namespace tinytrain_op {

Registration TailRegistration();

// The same for any resolver, to see what `AddCustom` returns.
template <typename Resolver>
bool Register(Resolver* resolver) {
  Registration registration = TailRegistration();
  return resolver->AddCustom(tinytrain::kTailName, &registration) == kTfLiteOk;
}

}  // namespace tinytrain_op
}  // namespace micro
}  // namespace tflite

namespace tinytrain {

// Adds the operator to a `MicroMutableOpResolver`. All that a sketch has to do
// besides registering the builtin operators of the prefix. False if the
// resolver has no room, or has it already.
template <typename Resolver>
bool RegisterTail(Resolver& resolver) {
  return tflite::micro::tinytrain_op::Register(&resolver);
}

}  // namespace tinytrain

#endif  // TINYTRAIN_TFLM

#endif  // TINYTRAIN_TFLM_TAIL_OP_H_
