#include "tinytrain/planner.h"

#include "tinytrain/parameters.h"
#include "tinytrain/pass.h"

namespace tinytrain {

using format::Layer;

namespace {

// Bytes of `work` for one sample there and back.
uint64_t WorkBytes(const Model& model, const Setup& setup, Purpose purpose,
                   const Parts& parts) {
  const Schedule schedule(model, purpose, parts);
  WorkMemory memory;
  Pass pass(schedule, setup, nullptr, &memory);
  pass.Forward(nullptr);
  pass.Backward(0.0f, nullptr);
  return WorkMemory::TableBytes(Pass::BlockCount(model)) + memory.peak();
}

}  // namespace

uint64_t FixedBytes(const Model& model, const Setup& setup,
                    const Parts& parts) {
  return Parameters::FixedBytes(model, setup, parts) +
         WorkBytes(model, setup, Purpose::kTrain, parts);
}

uint64_t ChannelBytes(const Model& model, const Setup& setup, uint32_t layer) {
  const Layer& record = model.layer(layer);
  return Parameters::PartBytes(setup, record, Part(record, 1, 0));
}

Bytes TrainingBytes(const Model& model, const Setup& setup,
                    const Parts& parts) {
  Bytes bytes = {Parameters::FixedBytes(model, setup, parts),
                 WorkBytes(model, setup, Purpose::kTrain, parts)};
  for (uint32_t i = 0; i < model.layer_count(); ++i) {
    const Layer& layer = model.layer(i);
    bytes.persistent +=
        Parameters::PartBytes(setup, layer, PartOf(parts, layer, i));
  }
  return bytes;
}

Bytes ScoringBytes(const Model& model, const Setup& setup) {
  const Bytes bytes = {Parameters::ScoringBytes(model, setup),
                       WorkBytes(model, setup, Purpose::kScore, Parts())};
  return bytes;
}

Status CheckSetup(const Model& model, const Setup& setup) {
  const bool good = model.is_open() && setup.classes >= 2 &&
                    setup.classes <= model.head().max_way &&
                    setup.optimizer <= Optimizer::kInPlace;
  return good ? Status::Ok() : Status::Error(Code::kBadArgument);
}

Status CheckSelection(const Model& model, const Selection& selection) {
  const uint16_t* channel = selection.channels;
  for (uint32_t i = 0; i < model.layer_count(); ++i) {
    const Layer& layer = model.layer(i);
    const Part part = PartOf(selection.parts, layer, i);
    if (part.kind() > (format::kByInput | format::kEveryBias) ||
        (part.by_input() && layer.inputs == 0) ||
        (part.every_bias() && layer.biases == 0)) {
      return Status::Error(Code::kBadArgument);
    }
    const uint32_t limit = part.by_input() ? layer.inputs : layer.channels;
    for (uint32_t k = 0; k < part.count(); ++k, ++channel) {
      if (*channel >= limit || (k > 0 && *channel <= channel[-1])) {
        return Status::Error(Code::kBadArgument);
      }
    }
  }
  return Status::Ok();
}

Status CheckRegions(const Bytes& bytes, uint64_t persistent, uint64_t work) {
  const uint64_t needed[] = {bytes.persistent, bytes.work};
  const uint64_t given[] = {persistent, work};
  const uint64_t most = UINT32_MAX;  // What it does not hold is never enough.
  for (int i = 0; i < 2; ++i) {
    if (needed[i] <= given[i] && needed[i] <= most) continue;
    return Status::TooSmall(
        static_cast<uint32_t>(needed[i] < most ? needed[i] : most),
        static_cast<uint32_t>(given[i] < most ? given[i] : most));
  }
  return Status::Ok();
}

}  // namespace tinytrain
