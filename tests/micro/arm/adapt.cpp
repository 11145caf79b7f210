// A whole adaptation. Reads from the file CASE of the host: a `Case`, the blob,
// samples and labels to learn from, samples and labels to ask about. Prints
// lines that adaptation.py reads. Regions are of PERSISTENT_BYTES and
// WORK_BYTES; STORAGE is the address of memory in place of flash.

#include "count_phases.h"
#include "instruction_counter.h"
#include "semihosting.h"
#include "stack_mark.h"
#include "tinytrain/blob_plan.h"
#include "tinytrain/crc32.h"
#include "tinytrain/ram_storage.h"
#include "tinytrain/selector.h"
#include "tinytrain/trainer.h"

using namespace tinytrain;  // NOLINT: a program.

namespace {

struct Case {
  uint32_t blob_bytes;
  uint32_t classes;
  uint32_t support;
  uint32_t queries;
  uint32_t steps;
  float rate;
  uint32_t optimizer;
  uint32_t sample_in_work;
};

const uint32_t kMostCaseBytes = 12 << 20;
const uint32_t kSlotBytes = 1 << 20;

alignas(8) uint8_t persistent[PERSISTENT_BYTES];
alignas(8) uint8_t work[WORK_BYTES];
Model model;
Trainer trainer;

// What lies in place of flash.
struct Inputs {
  const Case* task;
  const uint8_t* blob;
  const uint8_t* samples;
  const uint32_t* labels;
  const uint8_t* queries;
  const uint32_t* query_labels;
  uint8_t* slots;
};

uint32_t SampleBytes(const Model& blob) {
  const format::Tensor& input = blob.tensor(0);
  return input.size() * (input.type == format::kInt8 ? 1 : sizeof(float));
}

class Adaptation {
 public:
  explicit Adaptation(const Inputs& inputs)
      : inputs_(inputs),
        size_(0),
        before_(),
        status_(Status::Ok()),
        instructions_(0) {}

  // Returns the exit code.
  int Run() {
    const bool done = Open() && Choose() && Train() && Settle() && Predict();
    return done && Save() ? 0 : 1;
  }

 private:
  const Case& task() const { return *inputs_.task; }
  const void* sample(uint32_t i) { return Placed(inputs_.samples + i * size_); }

  // Brings a sample to where the trainer wants it.
  const void* Placed(const uint8_t* sample) {
    void* const place = trainer.sample_place();
    return place == nullptr ? sample : memcpy(place, sample, size_);
  }

  // Counts the instructions of a call, and remembers how it went.
  template <typename Call>
  bool Did(const char* what, Call call) {
    const InstructionCounter counter;
    status_ = call();
    instructions_ += counter.Count();
    if (status_.ok()) return true;
    console_.Word("refused").Word(what);
    console_.Number(static_cast<uint32_t>(-static_cast<int>(status_.code)));
    console_.Number(status_.requested).Number(status_.available);
    console_.Number(status_.missing).End();
    return false;
  }

  // Prints what was counted since the last phase, and how often.
  void EndPhase(const char* what, uint32_t times) {
    const KernelInstructions& now = kernel_instructions;
    console_.Word("instructions").Word(what).Number(times);
    console_.Number(instructions_).Number(now.forward - before_.forward);
    console_.Number(now.backward_input - before_.backward_input);
    console_.Number(now.backward_filter - before_.backward_filter).End();
    instructions_ = 0;
    before_ = now;
  }

  bool Open() {
    if (!Did("open", [this] {
          return model.Open(inputs_.blob, task().blob_bytes).status();
        })) {
      return false;
    }
    size_ = SampleBytes(model);
    const Setup setup = {static_cast<uint16_t>(task().classes),
                         static_cast<Optimizer>(task().optimizer),
                         task().sample_in_work != 0};
    setup_ = setup;
    const Rates rates = {task().rate, 0.0f};
    const Regions regions = {persistent, sizeof(persistent), work,
                             sizeof(work)};
    if (!Did("init",
             [&] { return trainer.Init(&model, setup_, rates, regions); })) {
      return false;
    }
    EndPhase("open", 1);
    return true;
  }

  bool ObserveAll() {
    for (uint32_t i = 0; i < task().support; ++i) {
      if (!Did("observe",
               [&] { return trainer.Observe(sample(i), inputs_.labels[i]); })) {
        return false;
      }
    }
    EndPhase("observe", task().support);
    return true;
  }

  // Takes the plan of the host if there is one, and selects otherwise.
  bool Choose() {
    Selection selection = {{nullptr, nullptr}, nullptr};
    if (model.has_plan()) {
      return Did("read_plan",
                 [&] {
                   return ReadPlan(model, work, sizeof(work), &selection);
                 }) &&
             Plan(selection) && ObserveAll();
    }
    if (!Did("begin_scoring", [] { return trainer.BeginScoring(); }) ||
        !ObserveAll()) {
      return false;
    }
    for (uint32_t i = 0; i < task().support; ++i) {
      if (!Did("score",
               [&] { return trainer.Score(sample(i), inputs_.labels[i]); })) {
        return false;
      }
    }
    EndPhase("score", task().support);
    if (!Did("end_scoring", [] { return trainer.EndScoring(); }) ||
        !Did("select", [&] {
          return Select(model, setup_, trainer.scores(), work, sizeof(work),
                        &selection);
        })) {
      return false;
    }
    EndPhase("select", 1);
    return Plan(selection);
  }

  bool Plan(const Selection& selection) {
    if (!Did("plan", [&] { return trainer.Plan(selection); })) return false;
    EndPhase("plan", 1);
    for (uint32_t row = 0; row < model.layer_count(); ++row) {
      if (trainer.parameters().part(row).numbers() == 0) continue;
      const Channels channels = trainer.parameters().channels(row);
      console_.Word("trains").Word(model.name(model.layer(row).name));
      for (int i = 0; i < channels.count; ++i) {
        console_.Number(channels.index[i]);
      }
      console_.End();
    }
    return true;
  }

  bool Train() {
    uint64_t updates = 0;
    for (uint32_t step = 0; step < task().steps; ++step) {
      console_.Word("losses");
      for (uint32_t i = 0; i < task().support; ++i) {
        float loss = 0.0f;
        if (!Did("accumulate", [&] {
              return trainer.Accumulate(sample(i), inputs_.labels[i], &loss);
            })) {
          return false;
        }
        console_.Bits(loss);
      }
      console_.End();
      const uint64_t before = instructions_;
      if (!Did("update", [] { return trainer.Update(); })) return false;
      updates += instructions_ - before;
      instructions_ = before;
    }
    EndPhase("accumulate", task().steps * task().support);
    instructions_ = updates;
    EndPhase("update", task().steps);
    return true;
  }

  bool Settle() {
    // A linear head that trains in place keeps no means.
    if (setup_.optimizer == Optimizer::kInPlace &&
        trainer.parameters().head_trains()) {
      return true;
    }
    for (uint32_t i = 0; i < task().support; ++i) {
      if (!Did("revisit",
               [&] { return trainer.Revisit(sample(i), inputs_.labels[i]); })) {
        return false;
      }
    }
    if (!Did("settle", [] { return trainer.Settle(); })) return false;
    EndPhase("settle", task().support);
    return true;
  }

  bool Predict() {
    uint32_t right = 0;
    for (uint32_t i = 0; i < task().queries; ++i) {
      uint32_t label = 0;
      float logits[16];
      if (!Did("predict", [&] {
            return trainer.Predict(Placed(inputs_.queries + i * size_), &label,
                                   logits);
          })) {
        return false;
      }
      right += label == inputs_.query_labels[i] ? 1 : 0;
      console_.Word("predicts").Number(label);
      for (uint32_t k = 0; k < task().classes; ++k) console_.Bits(logits[k]);
      console_.End();
    }
    EndPhase("predict", task().queries);
    console_.Word("accuracy").Number(right).Number(task().queries).End();
    return true;
  }

  bool Save() {
    RamSlots slots = {{inputs_.slots, inputs_.slots + kSlotBytes}};
    const Storage storage = RamStorage(&slots, kSlotBytes);
    if (!Did("save", [&] { return trainer.Save(storage); })) return false;
    EndPhase("save", 1);
    uint32_t size;
    memcpy(&size, inputs_.slots + 12, sizeof(size));
    console_.Word("checkpoint").Number(size);
    console_.Number(Crc32(inputs_.slots, size)).End();
    return true;
  }

  const Inputs inputs_;
  semihosting::Console console_;
  Setup setup_;
  uint32_t size_;  // Bytes of a sample.
  KernelInstructions before_;
  Status status_;
  uint64_t instructions_;  // Of the phase.
};

Inputs Place(uint8_t* storage) {
  Inputs inputs = {};
  const Case* const task = reinterpret_cast<const Case*>(storage);
  inputs.task = task;
  inputs.blob = storage + sizeof(*task);
  const uint8_t* rest = inputs.blob + task->blob_bytes;
  Model blob;
  const bool opens = blob.Open(inputs.blob, task->blob_bytes).ok();
  const uint32_t size = opens ? SampleBytes(blob) : 0;
  inputs.samples = rest;
  inputs.labels =
      reinterpret_cast<const uint32_t*>(inputs.samples + task->support * size);
  inputs.queries =
      reinterpret_cast<const uint8_t*>(inputs.labels + task->support);
  inputs.query_labels =
      reinterpret_cast<const uint32_t*>(inputs.queries + task->queries * size);
  inputs.slots = storage + kMostCaseBytes;
  return inputs;
}

}  // namespace

int main() {
  uint8_t* const storage = reinterpret_cast<uint8_t*>(STORAGE);
  memset(storage + kMostCaseBytes, 0, 2 * kSlotBytes);
  if (semihosting::ReadFile(CASE, storage, kMostCaseBytes) == 0) return 2;
  const StackMark mark;
  Adaptation adaptation(Place(storage));
  const int code = adaptation.Run();
  semihosting::Console console;
  console.Word("stack").Number(mark.Bytes()).End();
  console.Word("objects").Number(sizeof(model) + sizeof(trainer)).End();
  return code;
}
