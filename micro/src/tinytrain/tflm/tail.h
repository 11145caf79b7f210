#ifndef TINYTRAIN_TFLM_TAIL_H_
#define TINYTRAIN_TFLM_TAIL_H_

#include <stddef.h>
#include <stdint.h>

#include "tinytrain/model.h"
#include "tinytrain/status.h"
#include "tinytrain/tflm/tail_options.h"
#include "tinytrain/trainer.h"

namespace tinytrain {

// The first number of the control input: what to do with these features. The
// second one is the label, or the number of classes for `kBegin`.
enum class Phase : int32_t {
  kPredict = 0,
  kObserve = 1,
  kScore = 2,
  kSelect = 3,  // Ends the scoring, selects and plans. Ignores features.
  kTrain = 4,   // Adds the gradient of this example.
  kUpdate = 5,  // Ignores features.
  kRevisit = 6,
  kSettle = 7,  // Ignores features.
  kBegin = 8,   // A new task, of so many classes; 0: as many as exported.
  kPlan = 9,    // The plan of the blob. Ignores features.
  kIdle = 10,   // Nothing: the features are all that is wanted.
};

// What a phase came to. Loss and label are 0 where there are none.
struct Answer {
  Status status;
  uint32_t label;
  float loss;
};

// A trainer behind a frozen int8 prefix: reads int8 features and does what a
// control input says. Knows nothing of TensorFlow Lite Micro, which gives it
// memory and features (tail_op.h). Owns nothing: options, blob and memory must
// outlive it. A life:
//   Open, then memory as it says, Place, Run, Run, ...
class Tail {
 public:
  Tail();

  // Takes custom options and blob, which stay where they are, and the size of
  // the features. Refuses what is none of these or does not fit together.
  Status Open(const void* options, size_t options_size, const void* blob,
              size_t blob_size, uint32_t feature_count);

  // What `Place` takes. `scratch` need not survive from one call of `Run` to
  // the next.
  uint32_t persistent_bytes() const { return persistent_bytes_; }
  uint32_t scratch_bytes() const { return work_bytes_ + SampleBytes(); }

  // Both at a multiple of `kAlignment`. A new tail begins, but for the same
  // memory again.
  Status Place(void* persistent, void* scratch);

  // Forgets everything, for a task of so many classes that is learned at these
  // rates. kBadArgument and nothing, if there are no such tasks or rates.
  Status Begin(uint32_t classes, const Rates& rates);

  // Does one phase. Writes `classes()` logits of a prediction, unless `logits`
  // is null, and leaves them as they are otherwise.
  Answer Run(Phase phase, int32_t label, const int8_t* features, float* logits);

  // Those of the last `Run`, where the caller had them.
  const int8_t* features() const { return features_; }
  uint32_t feature_count() const { return model_.tensor(0).size(); }
  uint32_t classes() const { return setup_.classes; }

  // To save and load, and to plan something else.
  Trainer& trainer() { return trainer_; }
  const Model& model() const { return model_; }
  const Setup& setup() const { return setup_; }
  Rates rates() const;

  // Ends the scoring, if that goes on, and selects. The selection lies in
  // scratch.
  Status Choose(Selection* selection);

 private:
  bool is_int8() const { return model_.tensor(0).type == format::kInt8; }
  uint32_t SampleBytes() const { return is_int8() ? 0 : feature_count() * 4; }
  Status PlanOfBlob();
  const void* Sample();
  Status Observe(uint32_t label);
  Status Do(Phase phase, uint32_t label, float* logits, Answer* answer);

  const TailOptions* options_;
  Model model_;
  Trainer trainer_;
  Setup setup_;
  uint32_t persistent_bytes_;
  uint32_t work_bytes_;
  uint8_t* persistent_;
  uint8_t* scratch_;  // work | sample, of a float32 tail
  const int8_t* features_;
  bool is_new_;  // No scoring has begun.
};

}  // namespace tinytrain

#endif  // TINYTRAIN_TFLM_TAIL_H_
