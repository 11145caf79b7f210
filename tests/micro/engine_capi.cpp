// The trainer and the planner for ctypes.

#include <string.h>

#include "tinytrain/arena.h"
#include "tinytrain/blob_plan.h"
#include "tinytrain/ram_storage.h"
#include "tinytrain/trainer.h"

using namespace tinytrain;  // NOLINT: a test.

namespace {

struct Engine {
  Model model;
  Trainer trainer;
};

Engine* Of(void* engine) { return static_cast<Engine*>(engine); }

int Write(const Status& status, uint32_t* numbers) {
  numbers[0] = status.requested;
  numbers[1] = status.available;
  numbers[2] = status.missing;
  return static_cast<int>(status.code);
}

// Added to an optimizer: the sample lies in `work`.
const int kSampleInWork = 16;

Setup SetupOf(uint32_t classes, int optimizer) {
  const bool in_work = optimizer >= kSampleInWork;
  const int kind = in_work ? optimizer - kSampleInWork : optimizer;
  const Setup setup = {static_cast<uint16_t>(classes),
                       static_cast<Optimizer>(kind), in_work};
  return setup;
}

// Puts a sample where the trainer wants it.
const void* Placed(Engine* engine, const void* sample) {
  void* const place = engine->trainer.sample_place();
  if (place == nullptr) return sample;
  const format::Tensor& input = engine->model.tensor(0);
  const uint32_t element = input.type == format::kInt8 ? 1 : 4;
  memcpy(place, sample, input.size() * element);
  return place;
}

// Slots in memory that fail after some reads.
struct WornSlots {
  RamSlots ram;
  Storage inner;
  uint32_t reads;  // Left.

  static Status Read(void* context, uint32_t slot, uint32_t offset, void* bytes,
                     uint32_t size) {
    WornSlots& self = *static_cast<WornSlots*>(context);
    if (self.reads == 0) return Status::Error(Code::kStorage);
    --self.reads;
    return self.inner.read(&self.ram, slot, offset, bytes, size);
  }
};

}  // namespace

extern "C" {

void* engine_new() { return new Engine; }
void engine_delete(void* engine) { delete Of(engine); }

int engine_open(void* engine, const void* blob, size_t size) {
  return Of(engine)->model.Open(blob, size).ok();
}

uint32_t engine_layers(void* engine) { return Of(engine)->model.layer_count(); }

// Height, width and channels of a sample, then channels of each layer.
void engine_sizes(void* engine, uint32_t* sizes) {
  const Model& model = Of(engine)->model;
  *sizes++ = model.tensor(0).height;
  *sizes++ = model.tensor(0).width;
  *sizes++ = model.tensor(0).channels;
  for (uint32_t i = 0; i < model.layer_count(); ++i) {
    *sizes++ = model.layer(i).channels;
  }
}

int engine_init(void* engine, uint32_t classes, int optimizer, float rate,
                float momentum, void* persistent, size_t persistent_bytes,
                void* work, size_t work_bytes, uint32_t* numbers) {
  const Rates rates = {rate, momentum};
  const Regions regions = {persistent, persistent_bytes, work, work_bytes};
  return Write(
      Of(engine)->trainer.Init(&Of(engine)->model, SetupOf(classes, optimizer),
                               rates, regions),
      numbers);
}

void planner_training_bytes(void* engine, uint32_t classes, int optimizer,
                            const uint16_t* counts, const uint8_t* kinds,
                            uint64_t* bytes) {
  const Parts parts = {counts, kinds};
  const Bytes found =
      TrainingBytes(Of(engine)->model, SetupOf(classes, optimizer), parts);
  bytes[0] = found.persistent;
  bytes[1] = found.work;
}

void planner_scoring_bytes(void* engine, uint32_t classes, int optimizer,
                           uint64_t* bytes) {
  const Bytes found =
      ScoringBytes(Of(engine)->model, SetupOf(classes, optimizer));
  bytes[0] = found.persistent;
  bytes[1] = found.work;
}

uint64_t planner_fixed_bytes(void* engine, uint32_t classes, int optimizer,
                             const uint16_t* counts) {
  const Parts parts = {counts, nullptr};
  return FixedBytes(Of(engine)->model, SetupOf(classes, optimizer), parts);
}

uint64_t planner_channel_bytes(void* engine, uint32_t classes, int optimizer,
                               uint32_t layer) {
  return ChannelBytes(Of(engine)->model, SetupOf(classes, optimizer), layer);
}

int engine_begin_scoring(void* engine, uint32_t* numbers) {
  return Write(Of(engine)->trainer.BeginScoring(), numbers);
}

int engine_observe(void* engine, const void* sample, uint32_t label) {
  return static_cast<int>(
      Of(engine)->trainer.Observe(Placed(Of(engine), sample), label).code);
}

// Of a sample where it is.
int engine_observe_at(void* engine, const void* sample, uint32_t label) {
  return static_cast<int>(Of(engine)->trainer.Observe(sample, label).code);
}

const void* engine_sample_place(void* engine) {
  return Of(engine)->trainer.sample_place();
}

int engine_revisit(void* engine, const void* sample, uint32_t label) {
  return static_cast<int>(
      Of(engine)->trainer.Revisit(Placed(Of(engine), sample), label).code);
}

int engine_settle(void* engine) {
  return static_cast<int>(Of(engine)->trainer.Settle().code);
}

int engine_score(void* engine, const void* sample, uint32_t label) {
  return static_cast<int>(
      Of(engine)->trainer.Score(Placed(Of(engine), sample), label).code);
}

int engine_end_scoring(void* engine) {
  return static_cast<int>(Of(engine)->trainer.EndScoring().code);
}

const float* engine_scores(void* engine) {
  return Of(engine)->trainer.scores();
}

uint32_t engine_score_count(void* engine) {
  return Parameters::ScoreCount(Of(engine)->model);
}

int engine_plan(void* engine, const uint16_t* counts, const uint16_t* channels,
                const uint8_t* kinds, uint32_t* numbers) {
  const Selection selection = {{counts, kinds}, channels};
  return Write(Of(engine)->trainer.Plan(selection), numbers);
}

// Reads the blob's plan into `work`; writes where its lists begin there.
int engine_read_plan(void* engine, uint8_t* work, size_t work_bytes,
                     uint64_t* offsets, uint32_t* numbers) {
  Selection selection = {{nullptr, nullptr}, nullptr};
  const Status status =
      ReadPlan(Of(engine)->model, work, work_bytes, &selection);
  if (status.ok()) {
    offsets[0] =
        reinterpret_cast<const uint8_t*>(selection.parts.counts) - work;
    offsets[1] = reinterpret_cast<const uint8_t*>(selection.channels) - work;
    const uint8_t* kinds = selection.parts.kinds;
    offsets[2] = kinds == nullptr ? 0 : kinds - work;
  }
  return Write(status, numbers);
}

int engine_accumulate(void* engine, const void* sample, uint32_t label,
                      float* loss) {
  return static_cast<int>(
      Of(engine)
          ->trainer.Accumulate(Placed(Of(engine), sample), label, loss)
          .code);
}

int engine_update(void* engine) {
  return static_cast<int>(Of(engine)->trainer.Update().code);
}

int engine_hold_out(void* engine, const void* sample, uint32_t label) {
  return static_cast<int>(Of(engine)->trainer.HoldOut(sample, label).code);
}

int engine_judge(void* engine) {
  return static_cast<int>(Of(engine)->trainer.Judge().code);
}

int engine_predict(void* engine, const void* sample, uint32_t* label,
                   float* logits) {
  return static_cast<int>(
      Of(engine)
          ->trainer.Predict(Placed(Of(engine), sample), label, logits)
          .code);
}

// `slots` holds both.
int engine_save(void* engine, uint8_t* slots, uint32_t slot_bytes,
                uint32_t* numbers) {
  RamSlots ram = {{slots, slots + slot_bytes}};
  return Write(Of(engine)->trainer.Save(RamStorage(&ram, slot_bytes)), numbers);
}

int engine_load(void* engine, uint8_t* slots, uint32_t slot_bytes,
                uint32_t reads, uint32_t* numbers) {
  WornSlots worn = {{{slots, slots + slot_bytes}}, Storage(), reads};
  worn.inner = RamStorage(&worn.ram, slot_bytes);
  Storage storage = worn.inner;
  storage.context = &worn;
  storage.read = WornSlots::Read;
  return Write(Of(engine)->trainer.Load(storage), numbers);
}

// Computes tensor i + 1 of the base from its inputs, which the caller has.
void engine_run(void* engine, uint32_t i, const void* input, const void* second,
                void* scratch, void* output, uint8_t* mask, uint8_t* taps) {
  const Model& model = Of(engine)->model;
  const format::Operation& op = model.operation(i);
  Operands operands = {input, second, LayerRows(), scratch, taps, mask};
  if (op.layer != format::kAbsent) {
    operands.rows = Of(engine)->trainer.parameters().rows(op.layer);
  }
  RunForward(model, op, operands, output);
}

uint32_t engine_scratch_bytes(void* engine, uint32_t i) {
  const Model& model = Of(engine)->model;
  return static_cast<uint32_t>(ForwardScratchBytes(model, model.operation(i)));
}

float engine_rate(void* engine) { return Of(engine)->trainer.learning_rate(); }

// What trains: 0 values, 1 gradients; returns how many numbers.
uint32_t engine_trained(void* engine, int gradient, const float** numbers) {
  const Parameters& parameters = Of(engine)->trainer.parameters();
  *numbers = gradient ? parameters.gradient() : parameters.trained();
  return parameters.trained_size();
}

const float* engine_class_vectors(void* engine) {
  return Of(engine)->trainer.parameters().class_vectors();
}

void poison(void* region, size_t bytes) { Poison(region, bytes); }
size_t high_water_mark(const void* region, size_t bytes) {
  return HighWaterMark(region, bytes);
}
}
