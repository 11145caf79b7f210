#include "tinytrain/trainer.h"

#include <string.h>

#include "tinytrain/arena.h"
#include "tinytrain/finite.h"

namespace tinytrain {
namespace {

Status WrongState() { return Status::Error(Code::kWrongState); }
Status BadArgument() { return Status::Error(Code::kBadArgument); }
Status NotFinite() { return Status::Error(Code::kNotFinite); }

bool AreRates(const Setup& setup, const Rates& rates) {
  const bool finds = rates.learning_rate == 0.0f;
  if (!IsFinite(rates.learning_rate) || rates.learning_rate < 0.0f) {
    return false;
  }
  if (setup.optimizer == Optimizer::kMomentum &&
      !(rates.momentum >= 0.0f && rates.momentum < 1.0f)) {
    return false;
  }
  return !finds || setup.optimizer == Optimizer::kAdam;
}

}  // namespace

Trainer::Trainer()
    : model_(nullptr),
      setup_(),
      rates_(),
      regions_(),
      state_(State::kClosed),
      vectors_(Vectors::kNone),
      examples_(0),
      work_bytes_(0),
      loss_(0.0f),
      rate_(0.0f),
      finds_rate_(false),
      trained_(false),
      before_(),
      after_() {}

Status Trainer::Init(const Model* model, const Setup& setup, const Rates& rates,
                     const Regions& regions) {
  if (model == nullptr) return BadArgument();
  Status status = CheckSetup(*model, setup);
  if (!status.ok()) return status;
  if (!AreRates(setup, rates)) return BadArgument();
  Arena arena;
  status = arena.Init(regions.persistent, regions.persistent_bytes);
  if (!status.ok()) return status;
  status = arena.Init(regions.work, regions.work_bytes);
  if (!status.ok()) return status;
  model_ = model;
  setup_ = setup;
  rates_ = rates;
  regions_ = regions;
  parameters_ = Parameters(*model, setup, regions.persistent);
  state_ = State::kReady;
  vectors_ = Vectors::kNone;
  return Status::Ok();
}

Status Trainer::BeginScoring() {
  if (state_ == State::kClosed) return WrongState();
  const Bytes bytes = ScoringBytes(*model_, setup_);
  const Status status =
      CheckRegions(bytes, regions_.persistent_bytes, regions_.work_bytes);
  if (!status.ok()) return status;
  parameters_.Clear();
  memset(parameters_.scores(), 0,
         Parameters::ScoreCount(*model_) * sizeof(float));
  state_ = State::kScoring;
  vectors_ = Vectors::kNone;
  examples_ = 0;
  work_bytes_ = static_cast<uint32_t>(bytes.work);
  return Status::Ok();
}

Status Trainer::Score(const void* sample, uint32_t label) {
  if (state_ != State::kScoring) return WrongState();
  float loss = 0.0f;
  const Status status = Send(Purpose::kScore, sample, label, &loss);
  if (status.ok()) ++examples_;
  return status;
}

Status Trainer::EndScoring() {
  if (state_ != State::kScoring || examples_ == 0) return WrongState();
  const uint32_t count = Parameters::ScoreCount(*model_);
  float* scores = parameters_.scores();
  if (!AllFinite(scores, count)) return NotFinite();
  const float half = 2.0f * static_cast<float>(examples_);
  for (uint32_t i = 0; i < count; ++i) scores[i] /= half;
  state_ = State::kScored;
  return Status::Ok();
}

const float* Trainer::scores() const {
  return state_ == State::kScored ? parameters_.scores() : nullptr;
}

Status Trainer::Plan(const Selection& selection) {
  if (state_ == State::kClosed) return WrongState();
  Status status = CheckSelection(*model_, selection);
  if (!status.ok()) return status;
  const Bytes bytes = TrainingBytes(*model_, setup_, selection.parts);
  status = CheckRegions(bytes, regions_.persistent_bytes, regions_.work_bytes);
  if (!status.ok()) return status;
  // Those of another plan may have been trained.
  if (Trains()) vectors_ = Vectors::kNone;
  parameters_.Place(selection);
  work_bytes_ = static_cast<uint32_t>(bytes.work);
  StartTraining();
  return Status::Ok();
}

// With the weights of the blob, which are in place.
void Trainer::StartTraining() {
  stepper_.Reset(setup_.optimizer, rates_.momentum);
  random_ = Random();
  state_ = State::kTraining;
  examples_ = 0;
  loss_ = 0.0f;
  finds_rate_ = rates_.learning_rate == 0.0f;
  rate_ = finds_rate_ ? kFirstRate : rates_.learning_rate;
  trained_ = false;
  before_ = after_ = HeldOut();
}

Status Trainer::Accumulate(const void* sample, uint32_t label, float* loss) {
  if (state_ != State::kTraining) return WrongState();
  if (loss == nullptr) return BadArgument();
  const Status status = Send(Purpose::kTrain, sample, label, loss);
  if (!status.ok()) return status;
  trained_ = true;
  loss_ += *loss;
  ++examples_;
  return status;
}

Status Trainer::Update() {
  if (state_ != State::kTraining || examples_ == 0) return WrongState();
  if (setup_.optimizer == Optimizer::kInPlace) {
    examples_ = 0;
    after_ = HeldOut();
    return Status::Ok();
  }
  const TrainedNumbers numbers = {parameters_.trained(), parameters_.gradient(),
                                  parameters_.moment(0),
                                  parameters_.trained_size()};
  const uint32_t floats =
      parameters_.d_class_vectors() ? parameters_.class_vectors_size() : 0;
  const Units units(*model_, floats, parameters_.selection());
  const Status status = stepper_.Step(rate_, examples_, units, numbers);
  if (status.ok()) {
    parameters_.Store();
    after_ = HeldOut();
  }
  if (status.ok() && finds_rate_) {
    const uint32_t weights = parameters_.trained_weights();
    const float share = static_cast<float>(weights > 0 ? weights : 1) /
                        static_cast<float>(model_->training().weights);
    rate_ = LearningRate(loss_ / static_cast<float>(examples_), setup_.classes,
                         share);
    finds_rate_ = false;
  }
  examples_ = 0;
  loss_ = 0.0f;
  return status;
}

Status Trainer::Predict(const void* sample, uint32_t* label, float* logits) {
  if (state_ == State::kClosed || state_ == State::kReady ||
      state_ == State::kRevisiting) {
    return WrongState();
  }
  Status status = CheckSample(sample);
  if (!status.ok()) return status;
  status = SetVectors();
  if (!status.ok()) return status;
  const Schedule schedule(*model_, Purpose::kPredict, parameters_.parts());
  WorkMemory memory = Memory();
  Pass pass(schedule, setup_, &parameters_, &memory);
  pass.Forward(sample);
  pass.Compare();
  if (!AllFinite(pass.logits(), setup_.classes)) return NotFinite();
  uint32_t best = 0;
  for (uint32_t k = 1; k < setup_.classes; ++k) {
    if (pass.logits()[k] > pass.logits()[best]) best = k;
  }
  *label = best;
  if (logits != nullptr) {
    memcpy(logits, pass.logits(), setup_.classes * sizeof(float));
  }
  return Status::Ok();
}

// Sends a sample there and, unless nothing is wanted but its loss, back.
Status Trainer::Send(Purpose purpose, const void* sample, uint32_t label,
                     float* loss) {
  Status status = CheckExample(sample, label);
  if (!status.ok()) return status;
  status = SetVectors();
  if (!status.ok()) return status;
  const Schedule schedule(*model_, purpose, parameters_.parts());
  WorkMemory memory = Memory();
  Pass pass(schedule, setup_, &parameters_, &memory);
  pass.Forward(sample);
  pass.Compare();
  const float found = pass.Loss(label);
  if (!IsFinite(found)) return NotFinite();
  *loss = found;
  if (purpose == Purpose::kPredict) return Status::Ok();
  return pass.Backward(rate_, &random_) ? Status::Ok() : NotFinite();
}

void* Trainer::sample_place() const {
  if (!setup_.sample_in_work || state_ == State::kClosed ||
      state_ == State::kReady) {
    return nullptr;
  }
  const format::Tensor& input = model_->tensor(0);
  const uint32_t element = input.type == format::kInt8 ? 1 : sizeof(float);
  const uint32_t bytes = (input.size() * element + 3) & ~3u;
  return static_cast<uint8_t*>(regions_.work) + (work_bytes_ - bytes);
}

WorkMemory Trainer::Memory() const {
  return WorkMemory(Pass::BlockCount(*model_), regions_.work, work_bytes_);
}

Status Trainer::CheckSample(const void* sample) const {
  const bool elsewhere = setup_.sample_in_work && sample != sample_place();
  if (sample == nullptr || elsewhere) return BadArgument();
  const format::Tensor& input = model_->tensor(0);
  const bool good = input.type == format::kInt8 ||
                    AllFinite(static_cast<const float*>(sample), input.size());
  return good ? Status::Ok() : BadArgument();
}

Status Trainer::CheckExample(const void* sample, uint32_t label) const {
  return label < setup_.classes ? CheckSample(sample) : BadArgument();
}

}  // namespace tinytrain
