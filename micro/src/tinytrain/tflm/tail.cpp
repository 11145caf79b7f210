#include "tinytrain/tflm/tail.h"

#include "tinytrain/arena.h"
#include "tinytrain/blob_plan.h"
#include "tinytrain/selector.h"

namespace tinytrain {
namespace {

uint32_t Larger(uint64_t a, uint64_t b) {
  const uint64_t larger = a > b ? a : b;
  // So much is never there, and refused by whoever is asked for it.
  const uint64_t most = UINT32_MAX - kAlignment;
  return Aligned(static_cast<uint32_t>(larger < most ? larger : most));
}

}  // namespace

Tail::Tail()
    : options_(nullptr),
      setup_(),
      persistent_bytes_(0),
      work_bytes_(0),
      persistent_(nullptr),
      scratch_(nullptr),
      features_(nullptr),
      is_new_(true) {}

Status Tail::Open(const void* options, size_t options_size, const void* blob,
                  size_t blob_size, uint32_t feature_count) {
  Status status = ReadTailOptions(options, options_size, &options_);
  if (status.ok()) status = model_.Open(blob, blob_size).status();
  if (!status.ok()) return status;
  if (model_.tensor(0).size() != feature_count) {
    status = Status::Error(Code::kWrongModel);
    status.requested = model_.tensor(0).size();
    status.available = feature_count;
    return status;
  }
  const format::Tensor& input = model_.tensor(0);
  if (is_int8() && (input.scale != options_->scale ||
                    input.zero_point != options_->zero_point)) {
    return Status::Error(Code::kWrongModel);
  }
  setup_.classes = static_cast<uint16_t>(model_.head().max_way);
  setup_.optimizer = static_cast<Optimizer>(options_->optimizer);
  status = CheckSetup(model_, setup_);
  if (!status.ok()) return status;
  Bytes scoring = {0, 0};
  if (options_->flags & kTailScores) {
    scoring = ScoringBytes(model_, setup_);
    const uint64_t select = SelectorBytes(model_);
    if (scoring.work < select) scoring.work = select;
  }
  persistent_bytes_ = Larger(options_->persistent_bytes, scoring.persistent);
  work_bytes_ = Larger(options_->work_bytes, scoring.work);
  return status;
}

Status Tail::Place(void* persistent, void* scratch) {
  if (persistent == persistent_ && scratch == scratch_) return Status::Ok();
  persistent_ = static_cast<uint8_t*>(persistent);
  scratch_ = static_cast<uint8_t*>(scratch);
  return Begin(model_.head().max_way, rates());
}

Rates Tail::rates() const {
  const Rates rates = {options_->learning_rate, options_->momentum};
  return rates;
}

Status Tail::Begin(uint32_t classes, const Rates& rates) {
  if (classes > model_.head().max_way) {
    return Status::Error(Code::kBadArgument);
  }
  const Setup setup = {static_cast<uint16_t>(classes), setup_.optimizer, false};
  const Regions regions = {persistent_, persistent_bytes_, scratch_,
                           work_bytes_};
  const Status status = trainer_.Init(&model_, setup, rates, regions);
  if (!status.ok()) return status;
  setup_ = setup;
  is_new_ = true;
  return status;
}

// What the trainer reads: stored numbers as they are, or floats behind its
// region `work`.
const void* Tail::Sample() {
  if (is_int8()) return features_;
  float* const sample = reinterpret_cast<float*>(scratch_ + work_bytes_);
  const uint32_t count = feature_count();
  for (uint32_t i = 0; i < count; ++i) {
    const int32_t steps = features_[i] - options_->zero_point;
    sample[i] = options_->scale * static_cast<float>(steps);
  }
  return sample;
}

Status Tail::Choose(Selection* selection) {
  if (trainer_.scores() == nullptr) {
    const Status status = trainer_.EndScoring();
    if (!status.ok()) return status;
  }
  return Select(model_, setup_, trainer_.scores(), scratch_, work_bytes_,
                selection);
}

Status Tail::PlanOfBlob() {
  Selection selection = {{nullptr, nullptr}, nullptr};
  const Status status = ReadPlan(model_, scratch_, work_bytes_, &selection);
  return status.ok() ? trainer_.Plan(selection) : status;
}

Answer Tail::Run(Phase phase, int32_t label, const int8_t* features,
                 float* logits) {
  Answer answer = {Status::Ok(), 0, 0.0f};
  features_ = features;
  if (persistent_ == nullptr) {
    answer.status = Status::Error(Code::kWrongState);
  } else if (label < 0) {
    answer.status = Status::Error(Code::kBadArgument);
  } else {
    answer.status = Do(phase, static_cast<uint32_t>(label), logits, &answer);
  }
  return answer;
}

Status Tail::Do(Phase phase, uint32_t label, float* logits, Answer* answer) {
  switch (phase) {
    case Phase::kIdle:
      return Status::Ok();
    case Phase::kBegin:
      return Begin(label > 0 ? label : model_.head().max_way, rates());
    case Phase::kPlan:
      return PlanOfBlob();
    case Phase::kSelect: {
      Selection selection = {{nullptr, nullptr}, nullptr};
      const Status status = Choose(&selection);
      return status.ok() ? trainer_.Plan(selection) : status;
    }
    case Phase::kUpdate:
      return trainer_.Update();
    case Phase::kSettle:
      return trainer_.Settle();
    case Phase::kPredict:
      return trainer_.Predict(Sample(), &answer->label, logits);
    case Phase::kObserve:
      return Observe(label);
    case Phase::kScore:
      return trainer_.Score(Sample(), label);
    case Phase::kTrain:
      return trainer_.Accumulate(Sample(), label, &answer->loss);
    case Phase::kRevisit:
      return trainer_.Revisit(Sample(), label);
  }
  return Status::Error(Code::kBadArgument);
}

// The first one of a new task begins the scoring.
Status Tail::Observe(uint32_t label) {
  if (is_new_ && !trainer_.has_plan()) {
    const Status status = trainer_.BeginScoring();
    if (!status.ok()) return status;
    is_new_ = false;
  }
  return trainer_.Observe(Sample(), label);
}

}  // namespace tinytrain
