#include "tinytrain/pass.h"

#include "tinytrain/kernels/activation.h"
#include "tinytrain/kernels/pooling.h"

namespace tinytrain {

using format::kAbsent;
using format::Operation;

namespace {

uint32_t ElementBytes(const format::Tensor& tensor) {
  return tensor.type == format::kInt8 ? sizeof(int8_t) : sizeof(float);
}

// Bytes of the bits of a mask, so that floats may follow.
uint32_t AlignedMask(uint32_t size) {
  return (MaskBytes(static_cast<int>(size)) + 3) & ~3u;
}

}  // namespace

Pass::Pass(const Schedule& schedule, const Setup& setup,
           const Parameters* parameters, WorkMemory* memory)
    : schedule_(schedule),
      model_(schedule.model()),
      parameters_(parameters),
      memory_(memory),
      head_(schedule.model(), setup.classes),
      in_place_(setup.optimizer == Optimizer::kInPlace &&
                schedule.purpose() == Purpose::kTrain),
      sample_in_work_(setup.sample_in_work),
      rate_(0.0f),
      random_(nullptr),
      is_finite_(true),
      sample_(nullptr) {}

uint32_t Pass::BlockCount(const Model& model) {
  // Values, gradients, masks of the operations, head, scratch.
  return 3 * model.tensor_count() + 1;
}

uint64_t Pass::ValueBytes(uint32_t tensor) const {
  const format::Tensor& t = model_.tensor(tensor);
  return uint64_t{t.size()} * ElementBytes(t);
}

uint64_t Pass::GradientBytes(uint32_t tensor) const {
  return uint64_t{model_.tensor(tensor).size()} * sizeof(float);
}

// Bytes of what an operation keeps besides tensors: the taps of a max pooling,
// or the bits of an activation and behind them the inputs that weights learn
// from.
uint64_t Pass::KeptBytes(uint32_t operation) const {
  const uint32_t size = model_.tensor(operation + 1).size();
  if (schedule_.KeepsTaps(operation)) return size;
  uint64_t bytes = schedule_.KeepsMask(operation) ? AlignedMask(size) : 0;
  if (schedule_.KeepsInputs(operation)) {
    const Operation& op = model_.operation(operation);
    bytes += uint64_t{ElementBytes(model_.tensor(op.input))} *
             WindowOf(model_, op).input.positions() *
             schedule_.part(operation).count();
  }
  return bytes;
}

// Bytes to put rows of weights together, of `size` weights in all.
uint64_t Pass::PatchBytes(uint32_t operation, uint32_t size) const {
  if (!schedule_.Patches(operation)) return 0;
  const Operation& op = model_.operation(operation);
  return uint64_t{ElementBytes(model_.tensor(op.input))} * kPatched * size;
}

const void* Pass::Value(uint32_t tensor) const {
  return IsBlock(tensor) ? memory_->At(ValueBlock(tensor)) : sample_;
}

float* Pass::Gradient(uint32_t tensor) const {
  return static_cast<float*>(memory_->At(GradientBlock(tensor)));
}

uint8_t* Pass::Mask(uint32_t operation) const {
  return static_cast<uint8_t*>(memory_->At(KeptBlock(operation)));
}

void* Pass::KeptInputs(uint32_t operation) const {
  const uint32_t size = model_.tensor(operation + 1).size();
  const bool has_mask = schedule_.KeepsMask(operation);
  return Mask(operation) + (has_mask ? AlignedMask(size) : 0);
}

// What of the operands is there, but for scratch memory.
Operands Pass::OperandsOf(uint32_t i) const {
  const Operation& op = model_.operation(i);
  Operands operands = {};
  if (op.layer != kAbsent) operands.rows = parameters_->rows(op.layer);
  if (schedule_.KeepsTaps(i)) operands.taps = Mask(i);
  if (schedule_.KeepsMask(i)) operands.mask = Mask(i);
  return operands;
}

void Pass::Forward(const void* sample) {
  sample_ = sample;
  if (IsBlock(0)) memory_->Take(ValueBlock(0), ValueBytes(0), false);
  for (uint32_t i = 0; i < model_.operation_count();) {
    const uint32_t count = schedule_.StreamLength(i);
    if (count > 1) {
      ForwardStreamed(i, count);
    } else {
      ForwardOperation(i);
    }
    i += count;
  }
  memory_->Take(HeadBlock(), head_.bytes(), false);
  if (!memory_->counts_only()) {
    vectors_ = head_.Part(memory_->At(HeadBlock()));
    head_.Embed(static_cast<const float*>(Value(features())), vectors_);
  }
  if (schedule_.KeptUntil(features()) == kAbsent) {
    memory_->Release(ValueBlock(features()), ValueBytes(features()));
  }
}

// Operations that are computed together, `count` of them from i on.
void Pass::ForwardStreamed(uint32_t i, uint32_t count) {
  const Operation* const projection =
      count == 3 ? &model_.operation(i + 2) : nullptr;
  const Operation& depthwise = model_.operation(i + 1);
  const uint32_t output = i + count;
  const uint64_t scratch = StreamScratchBytes(model_, depthwise, projection);
  memory_->Take(ScratchBlock(), scratch, false);
  memory_->Take(ValueBlock(output), ValueBytes(output),
                schedule_.KeptUntil(output) != kAbsent);
  if (!memory_->counts_only()) {
    const Operation& made = model_.operation(i);
    Operands operands[3] = {};
    for (uint32_t k = 0; k < count; ++k) operands[k] = OperandsOf(i + k);
    operands[0].input = Value(made.input);
    operands[1].scratch = memory_->At(ScratchBlock());
    RunStreamed(model_, made, depthwise, projection, operands,
                static_cast<int8_t*>(memory_->At(ValueBlock(output))));
  }
  memory_->Release(ScratchBlock(), scratch);
  ReleaseInputs(i, kAbsent);
}

void Pass::ForwardOperation(uint32_t i) {
  const Operation& op = model_.operation(i);
  uint64_t scratch = ForwardScratchBytes(model_, op);
  if (op.layer != kAbsent) {
    scratch += PatchBytes(i, RowSize(model_.layer(op.layer)));
  }
  const uint32_t reused = schedule_.Reused(i);
  const uint64_t kept = KeptBytes(i);
  if (kept > 0) memory_->Take(KeptBlock(i), kept, true);
  if (scratch > 0) memory_->Take(ScratchBlock(), scratch, false);
  if (reused != kAbsent) {
    memory_->Rename(ValueBlock(reused), ValueBlock(op.output));
  } else {
    memory_->Take(ValueBlock(op.output), ValueBytes(op.output),
                  schedule_.KeptUntil(op.output) != kAbsent);
  }
  if (!memory_->counts_only()) {
    void* output = memory_->At(ValueBlock(op.output));
    Operands operands = OperandsOf(i);
    if (scratch > 0) {
      operands.GiveScratch(memory_->At(ScratchBlock()), ReadsInt8(model_, op));
    }
    operands.input = op.input == reused ? output : Value(op.input);
    if (schedule_.KeepsInputs(i)) {
      CopyInputs(model_, op, operands.input, parameters_->channels(op.layer),
                 KeptInputs(i));
    }
    if (op.second != kAbsent) {
      operands.second = op.second == reused ? output : Value(op.second);
    }
    RunForward(model_, op, operands, output);
  }
  if (scratch > 0) memory_->Release(ScratchBlock(), scratch);
  ReleaseInputs(i, reused);
}

// Gives up what nobody reads any more.
void Pass::ReleaseInputs(uint32_t i, uint32_t reused) {
  const Operation& op = model_.operation(i);
  const uint32_t second = op.second == op.input ? kAbsent : op.second;
  const uint32_t inputs[] = {op.input, second};
  for (uint32_t tensor : inputs) {
    if (tensor != kAbsent && IsBlock(tensor) && tensor != reused &&
        schedule_.LastReader(tensor) == i &&
        schedule_.KeptUntil(tensor) == kAbsent) {
      memory_->Release(ValueBlock(tensor), ValueBytes(tensor));
    }
  }
}

void Pass::Compare() {
  if (memory_->counts_only()) return;
  head_.Compare(parameters_->class_vectors(), vectors_);
}

float Pass::Loss(uint32_t label) {
  return memory_->counts_only() ? 0.0f : head_.Loss(label, vectors_);
}

void Pass::EndForward() { memory_->Release(HeadBlock(), head_.bytes()); }

}  // namespace tinytrain
