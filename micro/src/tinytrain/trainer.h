#ifndef TINYTRAIN_TRAINER_H_
#define TINYTRAIN_TRAINER_H_

#include <stddef.h>
#include <stdint.h>

#include "tinytrain/model.h"
#include "tinytrain/optimizer.h"
#include "tinytrain/parameters.h"
#include "tinytrain/pass.h"
#include "tinytrain/planner.h"
#include "tinytrain/status.h"
#include "tinytrain/storage.h"

namespace tinytrain {

// Memory of the caller, each at a multiple of `kAlignment`. `persistent` holds
// what was learned, `work` nothing between two calls: in between it may be
// used for something else.
struct Regions {
  void* persistent;
  size_t persistent_bytes;
  void* work;
  size_t work_bytes;
};

// Learns a task, one sample at a time:
//   Init
//   BeginScoring, Observe each, Score each, EndScoring   (to select by scores)
//   Plan, Observe each                     (unless observed while scoring)
//   Accumulate each of a mini-batch, Update; as often as wanted
//   Revisit each, Settle                   (the last step of Keras' `fit`)
//   Judge                           (of samples held out before and after)
//   Predict, Save                          (as soon as all are observed)
// or, after Init, only
//   Load, Predict
// A sample is tensor 0 of the model, floats or stored int8 numbers, written to
// `sample_place` before each call if the setup says so; a label is below
// `setup.classes`. A call that is refused changes nothing, unless it says so.
// Codes of all calls:
//   kWrongState   the call is out of turn
//   kBadArgument  a label too large, a sample that is not finite, a selection
//                 of another model
//   kNotFinite    numbers overflow on the way of this sample
// Owns nothing: model and regions must outlive it.
class Trainer {
 public:
  Trainer();

  // Takes the regions, and looks at neither yet. Refuses settings that are
  // none: kBadArgument, kMisaligned. May be called again.
  Status Init(const Model* model, const Setup& setup, const Rates& rates,
              const Regions& regions);

  // Makes room for scores, or kRegionTooSmall. Drops a plan.
  Status BeginScoring();

  // Adds the embedding to the mean of its class, where class vectors start.
  // The first one after another call starts all classes anew. Not after the
  // first `Score` or `Accumulate`.
  Status Observe(const void* sample, uint32_t label);

  // Adds the squared gradient through each channel of the candidates. The
  // class vectors are held fixed.
  Status Score(const void* sample, uint32_t label);

  // Turns the sums into Fisher potentials. kNotFinite if one of them is not.
  Status EndScoring();

  // One for each channel of each candidate layer, in order, until `Plan`. Null
  // before `EndScoring`.
  const float* scores() const;

  // Places all that trains, or kRegionTooSmall; weights start as in the blob.
  // Class vectors stay that were observed while scoring. `selection` may lie
  // in `work`, not in `persistent`.
  Status Plan(const Selection& selection);

  // Adds the gradient of one sample; writes its loss. In place it takes the
  // step; after kNotFinite layers may have taken it behind the one whose
  // gradient is not finite.
  Status Accumulate(const void* sample, uint32_t label, float* loss);

  // Takes a step along the mean gradient of the samples since the last one,
  // of which there is at least one. kNotFinite drops that gradient and changes
  // no weight. In place nothing is left to do.
  Status Update();

  // Adds the embedding to the mean of its class, as the trained network makes
  // it. Not between `Accumulate` and `Update`. Only `Revisit` and `Settle` may
  // follow, or a new start. Of a linear head that trains in place there is no
  // room for means: kWrongState.
  Status Revisit(const void* sample, uint32_t label);

  // Ends the training: class vectors become the means, those of a linear head
  // a part of the way. Only predictions may follow, or a new start.
  Status Settle();

  // Adds the loss of a sample that nothing is learned from. Before the first
  // `Accumulate` under a plan it is one to compare with; later it is one of
  // what the last call of `Update` or `Settle` has made, however large. Ends
  // the observing, as a prediction does. Not between `Revisit` and `Settle`.
  Status HoldOut(const void* sample, uint32_t label);

  // Refuses a training that has made the loss of what was held out larger, with
  // kWorse, and rolls back: weights are those of the blob, and class vectors
  // are observed anew. kWrongState unless as many samples were held out before
  // and after.
  Status Judge();

  // Writes the class that is most likely, and all logits unless null.
  Status Predict(const void* sample, uint32_t* label, float* logits);

  // Writes all that was learned under the plan, see `SaveCheckpoint`. Not
  // between `Revisit` and `Settle`. Ends the observing, as a prediction does.
  // kRegionTooSmall of `work` or of a slot.
  Status Save(const Storage& storage);

  // Plans the layers of the newest checkpoint and fills in what was learned.
  // Only predictions, `Save` or a new start may follow. Refusals are those of
  // `Checkpoint::Open`, kWrongModel if it has another number of classes, and
  // kRegionTooSmall. If storage fails halfway, with kStorage, the trainer may
  // be as after `Init`.
  Status Load(const Storage& storage);

  // Whether something is planned, by `Plan` or `Load`.
  bool has_plan() const { return Trains(); }

  // Where a sample has to lie that is in `work`: at the end of what is used of
  // it, which depends on the plan. Null before there is one and before scoring,
  // and of samples elsewhere.
  void* sample_place() const;

  const Parameters& parameters() const { return parameters_; }
  float learning_rate() const { return rate_; }

 private:
  enum class State : uint8_t {
    kClosed,
    kReady,
    kScoring,
    kScored,
    kTraining,
    kRevisiting,
    kSettled,
  };
  // Sum over samples of which nothing is learned.
  struct HeldOut {
    float loss;
    uint32_t samples;
  };
  // Of the class vectors.
  enum class Vectors : uint8_t { kNone, kSums, kSet };

  Status CheckSample(const void* sample) const;
  Status CheckExample(const void* sample, uint32_t label) const;
  Status SetVectors();
  Status AddEmbedding(const void* sample, uint32_t label, float* sums,
                      bool first);
  bool Trains() const;
  void StartTraining();
  Status Send(Purpose purpose, const void* sample, uint32_t label, float* loss);
  WorkMemory Memory() const;

  const Model* model_;
  Setup setup_;
  Rates rates_;
  Regions regions_;
  State state_;
  Vectors vectors_;
  uint32_t examples_;    // Scored, or since the last update.
  uint32_t work_bytes_;  // Of the state.
  float loss_;           // Sum over `examples_`.
  float rate_;
  bool finds_rate_;  // The next update does.
  bool trained_;     // An example was accumulated under this plan.
  HeldOut before_;
  HeldOut after_;  // Since the last change.
  Parameters parameters_;
  Stepper stepper_;
  Random random_;  // For steps in place.
};

}  // namespace tinytrain

#endif  // TINYTRAIN_TRAINER_H_
