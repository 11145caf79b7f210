// The operator for the `tflite-micro` wheels, and its tail for ctypes. Calls
// return a code and write three numbers.

#include <string.h>

#include "tinytrain/ram_storage.h"
#include "tinytrain/tflm/kernel_ops.h"
#include "tinytrain/tflm/tail_op.h"

using tinytrain::Answer;
using tinytrain::Bytes;
using tinytrain::Phase;
using tinytrain::RamSlots;
using tinytrain::Rates;
using tinytrain::Selection;
using tinytrain::Status;
using tinytrain::Tail;

namespace {

int Tell(const Status& status, uint32_t* numbers) {
  numbers[0] = status.requested;
  numbers[1] = status.available;
  numbers[2] = status.missing;
  return static_cast<int>(status.code);
}

const unsigned kSlots = 200;
const int kCustom = 32;  // `builtin_code` of an operator with a name.

// How the wheels lay out their resolver, with those operators that they have.
struct Resolver {
  void* functions;
  tflite::micro::tinytrain_op::Registration registrations[kSlots];
  unsigned length;

  // 0 is success.
  int AddCustom(const char* name,
                tflite::micro::tinytrain_op::Registration* added) {
    // Another layout would hardly have these.
    if (length == 0 || length >= kSlots) return 1;
    if (registrations[length - 1].invoke == nullptr) return 1;
    registrations[length] = *added;
    registrations[length].builtin_code = kCustom;
    registrations[length].custom_name = name;
    ++length;
    return 0;
  }
};

}  // namespace

// All else stays inside of the library.
#pragma GCC visibility push(default)
extern "C" {

// What `custom_op_registerers` of the wheel names.
bool TinyTrain_Register(Resolver* resolver) {
  return tinytrain::RegisterTail(*resolver);
}

// The backward kernels as operators.
bool TinyTrain_RegisterKernels(Resolver* resolver) {
  return tinytrain::RegisterKernels(*resolver);
}

Tail* tinytrain_tail_of(const int32_t* status) {
  return tinytrain::TailOf(status);
}

void tinytrain_bytes(Tail* tail, uint64_t* bytes) {
  bytes[0] = tail->persistent_bytes();
  bytes[1] = tail->scratch_bytes();
}

// Features of the last invocation.
void tinytrain_features(Tail* tail, int8_t* features) {
  memcpy(features, tail->features(), tail->feature_count());
}

int tinytrain_begin(Tail* tail, uint32_t classes, float rate, float momentum,
                    uint32_t* numbers) {
  const Rates rates = {rate, momentum};
  return Tell(tail->Begin(classes, rates), numbers);
}

int tinytrain_run(Tail* tail, int32_t phase, int32_t label,
                  const int8_t* features, float* logits, float* loss,
                  uint32_t* numbers) {
  const Answer answer =
      tail->Run(static_cast<Phase>(phase), label, features, logits);
  *loss = answer.loss;
  return Tell(answer.status, numbers);
}

int tinytrain_begin_scoring(Tail* tail, uint32_t* numbers) {
  return Tell(tail->trainer().BeginScoring(), numbers);
}

// Both lists have room for all there is.
int tinytrain_select(Tail* tail, uint16_t* counts, uint16_t* channels,
                     uint32_t* numbers) {
  Selection selection = {{nullptr, nullptr}, nullptr};
  const Status status = tail->Choose(&selection);
  if (!status.ok()) return Tell(status, numbers);
  const uint16_t* channel = selection.channels;
  for (uint32_t i = 0; i < tail->model().layer_count(); ++i) {
    counts[i] = selection.parts.counts[i];
    for (uint32_t k = 0; k < counts[i]; ++k) *channels++ = *channel++;
  }
  return Tell(status, numbers);
}

int tinytrain_plan(Tail* tail, const uint16_t* counts, const uint16_t* channels,
                   const uint8_t* kinds, uint32_t* numbers) {
  const Selection selection = {{counts, kinds}, channels};
  return Tell(tail->trainer().Plan(selection), numbers);
}

// What is planned; both lists have room for all there is.
void tinytrain_planned(Tail* tail, uint16_t* counts, uint16_t* channels) {
  const tinytrain::Parameters& parameters = tail->trainer().parameters();
  for (uint32_t i = 0; i < tail->model().layer_count(); ++i) {
    counts[i] = 0;
    if (!tail->trainer().has_plan()) continue;
    const tinytrain::Channels trained = parameters.channels(i);
    counts[i] = static_cast<uint16_t>(trained.count);
    for (int k = 0; k < trained.count; ++k) *channels++ = trained.index[k];
  }
}

void tinytrain_training_bytes(Tail* tail, const uint16_t* counts,
                              const uint8_t* kinds, uint64_t* bytes) {
  const tinytrain::Parts parts = {counts, kinds};
  const Bytes found = TrainingBytes(tail->model(), tail->setup(), parts);
  bytes[0] = found.persistent;
  bytes[1] = found.work;
}

int tinytrain_update(Tail* tail, uint32_t* numbers) {
  return Tell(tail->trainer().Update(), numbers);
}

int tinytrain_settle(Tail* tail, uint32_t* numbers) {
  return Tell(tail->trainer().Settle(), numbers);
}

// `slots` holds both.
int tinytrain_save(Tail* tail, uint8_t* slots, uint32_t slot_bytes,
                   uint32_t* numbers) {
  RamSlots ram = {{slots, slots + slot_bytes}};
  return Tell(tail->trainer().Save(RamStorage(&ram, slot_bytes)), numbers);
}

int tinytrain_load(Tail* tail, uint8_t* slots, uint32_t slot_bytes,
                   uint32_t* numbers) {
  RamSlots ram = {{slots, slots + slot_bytes}};
  return Tell(tail->trainer().Load(RamStorage(&ram, slot_bytes)), numbers);
}

}  // extern "C"
#pragma GCC visibility pop
