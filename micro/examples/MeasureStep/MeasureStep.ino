// Says what learning takes on this board: bytes, and milliseconds of each call.
//
// digits.h is what keras_tinytrain.export_micro has written of a small net. For
// your own put its header beside this file, and its name instead of `digits`,
// `DIGITS` below. What is learned is noise, which takes as long as images.

#include <TinyTrain.h>

#include "digits.h"

#define NET_BLOB tinytrain_digits
#define NET_PERSISTENT_BYTES TINYTRAIN_DIGITS_PERSISTENT_BYTES
#define NET_WORK_BYTES TINYTRAIN_DIGITS_WORK_BYTES
#define NET_SAMPLE_BYTES TINYTRAIN_DIGITS_SAMPLE_BYTES
#define NET_CLASSES TINYTRAIN_DIGITS_CLASSES

alignas(8) static uint8_t persistent[NET_PERSISTENT_BYTES];
alignas(8) static uint8_t work[NET_WORK_BYTES];
alignas(8) static uint8_t sample[NET_SAMPLE_BYTES];
static tinytrain::Model model;
static tinytrain::Trainer trainer;

// Any sample: stored numbers, or floats from 0 to 255.
void Draw(uint32_t seed) {
  const bool stored = model.tensor(0).type == tinytrain::format::kInt8;
  for (uint32_t i = 0; i < model.tensor(0).size(); ++i) {
    seed = seed * 1664525u + 1013904223u;
    sample[i] = static_cast<uint8_t>(seed >> 24);
  }
  if (stored) return;
  float* numbers = reinterpret_cast<float*>(sample);
  for (uint32_t i = model.tensor(0).size(); i > 0; --i) {
    const float number = sample[i - 1];
    numbers[i - 1] = number;
  }
}

void PrintBytes(const char* what, uint32_t bytes) {
  Serial.print(what);
  Serial.print(": ");
  Serial.print(static_cast<unsigned long>(bytes));
  Serial.println(" bytes");
}

// Prints how long a call has taken, or stops the sketch if it was refused.
void Tell(const char* call, unsigned long microseconds,
          const tinytrain::Status& status) {
  Serial.print(call);
  if (!status.ok()) {
    Serial.print(" refused, code ");
    Serial.print(static_cast<int>(status.code));
    Serial.print(", bytes missing: ");
    Serial.println(static_cast<unsigned long>(status.missing));
    while (true) delay(1000);
  }
  Serial.print(": ");
  Serial.print(microseconds / 1000.0, 3);
  Serial.println(" ms");
}

template <typename Call>
void Time(const char* name, Call call) {
  const unsigned long start = micros();
  const tinytrain::Status status = call();
  Tell(name, micros() - start, status);
}

tinytrain::Status Choose(const tinytrain::Setup& setup) {
  tinytrain::Selection selection = {{nullptr, nullptr}, nullptr};
  const tinytrain::Status status = tinytrain::Select(
      model, setup, trainer.scores(), work, sizeof(work), &selection);
  return status.ok() ? trainer.Plan(selection) : status;
}

void setup() {
  Serial.begin(115200);
  const tinytrain::Setup task = {NET_CLASSES, tinytrain::Optimizer::kAdam,
                                false};
  const tinytrain::Rates rates = {0.001f, 0.0f};
  const tinytrain::Regions regions = {persistent, sizeof(persistent), work,
                                      sizeof(work)};
  float loss = 0.0f;
  uint32_t label = 0;
  Time("open", [] { return model.Open(NET_BLOB, sizeof(NET_BLOB)).status(); });
  PrintBytes("blob, in flash", model.size());
  PrintBytes("persistent", sizeof(persistent));
  PrintBytes("work", sizeof(work));
  PrintBytes("sample", sizeof(sample));
  PrintBytes("model and trainer", sizeof(model) + sizeof(trainer));
  Time("init", [&] { return trainer.Init(&model, task, rates, regions); });
  Time("begin scoring", [] { return trainer.BeginScoring(); });
  for (uint32_t i = 0; i < NET_CLASSES; ++i) {
    Draw(i);
    Time("observe", [&] { return trainer.Observe(sample, i); });
  }
  Time("score", [] { return trainer.Score(sample, NET_CLASSES - 1); });
  Time("end scoring", [] { return trainer.EndScoring(); });
  Time("select and plan", [&] { return Choose(task); });
  Time("step of one example",
       [&] { return trainer.Accumulate(sample, NET_CLASSES - 1, &loss); });
  Time("update", [] { return trainer.Update(); });
  Time("predict", [&] { return trainer.Predict(sample, &label, nullptr); });
}

void loop() { delay(1000); }
