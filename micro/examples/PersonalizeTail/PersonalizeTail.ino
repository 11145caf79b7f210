// Learns three classes from features, without TensorFlow Lite Micro.
//
// tail_blob.h is what keras_tinytrain.export_micro has written of a net: the
// part that may train. Replace it by yours, and `Draw` by what gives you the
// features in front of it: a frozen network, a filter bank, a sensor.

#include <TinyTrain.h>

#include "tail_blob.h"

const uint32_t kClasses = 3, kShots = 5, kSteps = 10, kFeatures = 256;

// Of report.md, and what scoring takes.
alignas(8) static uint8_t persistent[2100];
alignas(8) static uint8_t work[1200];
static float features[kFeatures];
static tinytrain::Model model;
static tinytrain::Trainer trainer;

// Features of one example: a pattern of its class, and noise.
void Draw(uint32_t label, uint32_t number) {
  uint32_t pattern = 7 * label + 1, noise = 1000 * label + number + 1;
  for (uint32_t i = 0; i < kFeatures; ++i) {
    pattern = pattern * 1664525u + 1013904223u;
    noise = noise * 1664525u + 1013904223u;
    features[i] = static_cast<float>(pattern >> 24) / 255.0f - 0.5f +
                  0.5f * static_cast<float>(noise >> 24) / 255.0f;
  }
}

// Stops the sketch unless a call has succeeded.
void Check(const char* call, const tinytrain::Status& status) {
  if (status.ok()) return;
  Serial.print(call);
  Serial.print(" refused, code ");
  Serial.print(static_cast<int>(status.code));
  Serial.print(", bytes missing: ");
  Serial.println(static_cast<int>(status.missing));
  while (true) delay(1000);
}

void Learn() {
  const tinytrain::Setup setup = {kClasses, tinytrain::Optimizer::kAdam,
                                  false};
  const tinytrain::Rates rates = {0.0f, 0.9f};  // 0 finds the learning rate.
  const tinytrain::Regions regions = {persistent, sizeof(persistent), work,
                                      sizeof(work)};
  Check("Open", model.Open(tail_blob, sizeof(tail_blob)).status());
  Check("Init", trainer.Init(&model, setup, rates, regions));
  Check("BeginScoring", trainer.BeginScoring());
  for (uint32_t i = 0; i < kClasses * kShots; ++i) {
    Draw(i % kClasses, i);
    Check("Observe", trainer.Observe(features, i % kClasses));
  }
  for (uint32_t i = 0; i < kClasses * kShots; ++i) {
    Draw(i % kClasses, i);
    Check("Score", trainer.Score(features, i % kClasses));
  }
  Check("EndScoring", trainer.EndScoring());
  tinytrain::Selection selection = {{nullptr, nullptr}, nullptr};
  Check("Select", tinytrain::Select(model, setup, trainer.scores(), work,
                                    sizeof(work), &selection));
  Check("Plan", trainer.Plan(selection));
  for (uint32_t step = 0; step < kSteps; ++step) {
    float sum = 0.0f;
    for (uint32_t i = 0; i < kClasses * kShots; ++i) {
      float loss = 0.0f;
      Draw(i % kClasses, i);
      Check("Accumulate", trainer.Accumulate(features, i % kClasses, &loss));
      sum += loss;
    }
    Check("Update", trainer.Update());
    Serial.print("loss in thousandths: ");
    Serial.println(static_cast<int>(1000.0f * sum / (kClasses * kShots)));
  }
}

void setup() {
  Serial.begin(115200);
  Learn();
  uint32_t right = 0;
  const uint32_t kQueries = 30;
  for (uint32_t i = 0; i < kQueries; ++i) {
    uint32_t label = 0;
    Draw(i % kClasses, 500 + i);
    Check("Predict", trainer.Predict(features, &label, nullptr));
    if (label == i % kClasses) ++right;
  }
  Serial.print("right of 30: ");
  Serial.println(static_cast<int>(right));
}

void loop() { delay(1000); }
