// The engine for ctypes. Calls return a code and write three numbers.

#include <new>

#include "tinytrain/ram_storage.h"
#include "tinytrain/selector.h"
#include "tinytrain/trainer.h"

using tinytrain::Bytes;
using tinytrain::Model;
using tinytrain::RamSlots;
using tinytrain::Selection;
using tinytrain::Setup;
using tinytrain::Status;

namespace {

// What the Python side holds; it owns blob and regions.
struct Engine {
  Model model;
  tinytrain::Trainer trainer;
  Setup setup;
  tinytrain::Regions regions;
};

int Tell(const Status& status, uint32_t* numbers) {
  numbers[0] = status.requested;
  numbers[1] = status.available;
  numbers[2] = status.missing;
  return static_cast<int>(status.code);
}

void Write(const Bytes& found, uint64_t* bytes) {
  bytes[0] = found.persistent;
  bytes[1] = found.work;
}

}  // namespace

extern "C" {

Engine* tinytrain_new() { return new (std::nothrow) Engine(); }
void tinytrain_delete(Engine* engine) { delete engine; }

int tinytrain_open(Engine* engine, const void* blob, size_t size,
                   uint32_t classes, uint32_t optimizer, uint32_t* numbers) {
  const Status status = engine->model.Open(blob, size).status();
  engine->setup.classes = static_cast<uint16_t>(classes);
  engine->setup.optimizer = static_cast<tinytrain::Optimizer>(optimizer);
  return Tell(status.ok() ? CheckSetup(engine->model, engine->setup) : status,
              numbers);
}

void tinytrain_scoring_bytes(Engine* engine, uint64_t* bytes) {
  Write(ScoringBytes(engine->model, engine->setup), bytes);
}

void tinytrain_training_bytes(Engine* engine, const uint16_t* counts,
                              const uint8_t* kinds, uint64_t* bytes) {
  const tinytrain::Parts parts = {counts, kinds};
  Write(TrainingBytes(engine->model, engine->setup, parts), bytes);
}

uint64_t tinytrain_selector_bytes(Engine* engine) {
  return SelectorBytes(engine->model);
}

int tinytrain_init(Engine* engine, float rate, float momentum, void* persistent,
                   size_t persistent_bytes, void* work, size_t work_bytes,
                   uint32_t* numbers) {
  const tinytrain::Rates rates = {rate, momentum};
  engine->regions = {persistent, persistent_bytes, work, work_bytes};
  return Tell(engine->trainer.Init(&engine->model, engine->setup, rates,
                                   engine->regions),
              numbers);
}

int tinytrain_begin_scoring(Engine* engine, uint32_t* numbers) {
  return Tell(engine->trainer.BeginScoring(), numbers);
}

int tinytrain_observe(Engine* engine, const float* sample, uint32_t label,
                      uint32_t* numbers) {
  return Tell(engine->trainer.Observe(sample, label), numbers);
}

int tinytrain_score(Engine* engine, const float* sample, uint32_t label,
                    uint32_t* numbers) {
  return Tell(engine->trainer.Score(sample, label), numbers);
}

// Ends the scoring if that goes on. Both lists have room for all there is.
int tinytrain_select(Engine* engine, uint16_t* counts, uint16_t* channels,
                     uint32_t* numbers) {
  tinytrain::Trainer& trainer = engine->trainer;
  Status status = Status::Ok();
  if (trainer.scores() == nullptr) status = trainer.EndScoring();
  Selection selection = {{nullptr, nullptr}, nullptr};
  if (status.ok()) {
    status =
        Select(engine->model, engine->setup, trainer.scores(),
               engine->regions.work, engine->regions.work_bytes, &selection);
  }
  if (!status.ok()) return Tell(status, numbers);
  const uint16_t* channel = selection.channels;
  for (uint32_t i = 0; i < engine->model.layer_count(); ++i) {
    counts[i] = selection.parts.counts[i];
    for (uint32_t k = 0; k < counts[i]; ++k) *channels++ = *channel++;
  }
  return Tell(status, numbers);
}

int tinytrain_plan(Engine* engine, const uint16_t* counts,
                   const uint16_t* channels, const uint8_t* kinds,
                   uint32_t* numbers) {
  const Selection selection = {{counts, kinds}, channels};
  return Tell(engine->trainer.Plan(selection), numbers);
}

int tinytrain_accumulate(Engine* engine, const float* sample, uint32_t label,
                         float* loss, uint32_t* numbers) {
  return Tell(engine->trainer.Accumulate(sample, label, loss), numbers);
}

int tinytrain_update(Engine* engine, uint32_t* numbers) {
  return Tell(engine->trainer.Update(), numbers);
}

int tinytrain_revisit(Engine* engine, const float* sample, uint32_t label,
                      uint32_t* numbers) {
  return Tell(engine->trainer.Revisit(sample, label), numbers);
}

int tinytrain_settle(Engine* engine, uint32_t* numbers) {
  return Tell(engine->trainer.Settle(), numbers);
}

int tinytrain_hold_out(Engine* engine, const float* sample, uint32_t label,
                       uint32_t* numbers) {
  return Tell(engine->trainer.HoldOut(sample, label), numbers);
}

int tinytrain_judge(Engine* engine, uint32_t* numbers) {
  return Tell(engine->trainer.Judge(), numbers);
}

int tinytrain_predict(Engine* engine, const float* sample, float* logits,
                      uint32_t* numbers) {
  uint32_t label;
  return Tell(engine->trainer.Predict(sample, &label, logits), numbers);
}

// `slots` holds both.
int tinytrain_save(Engine* engine, uint8_t* slots, uint32_t slot_bytes,
                   uint32_t* numbers) {
  RamSlots ram = {{slots, slots + slot_bytes}};
  return Tell(engine->trainer.Save(RamStorage(&ram, slot_bytes)), numbers);
}

int tinytrain_load(Engine* engine, uint8_t* slots, uint32_t slot_bytes,
                   uint32_t* numbers) {
  RamSlots ram = {{slots, slots + slot_bytes}};
  return Tell(engine->trainer.Load(RamStorage(&ram, slot_bytes)), numbers);
}

}  // extern "C"
