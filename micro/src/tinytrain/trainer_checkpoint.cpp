// How what a trainer has learned outlives it.

#include <string.h>

#include "tinytrain/checkpoint.h"
#include "tinytrain/trainer.h"

namespace tinytrain {
namespace {

// The lists of a checkpoint lie in `work`, dead between two calls.
Status CheckLists(uint64_t bytes, size_t work_bytes) {
  if (bytes <= work_bytes) return Status::Ok();
  return Status::TooSmall(static_cast<uint32_t>(bytes),
                          static_cast<uint32_t>(work_bytes));
}

TrainedLayer LayerOf(const Parameters& parameters, uint32_t row) {
  TrainedLayer layer = {};
  layer.row = static_cast<uint16_t>(row);
  layer.kind = static_cast<uint16_t>(parameters.part(row).kind());
  layer.channels = parameters.channels(row);
  if (parameters.trains_integers(row)) {
    layer.stored = parameters.stored_slice(row);
    layer.stored_biases = parameters.stored_bias_slice(row);
  } else {
    layer.weights = parameters.slice(row);
    layer.biases = parameters.bias_slice(row);
  }
  return layer;
}

}  // namespace

Status Trainer::Save(const Storage& storage) {
  if (!Trains() || state_ == State::kRevisiting) {
    return Status::Error(Code::kWrongState);
  }
  uint32_t count = 0;
  for (uint32_t i = 0; i < model_->layer_count(); ++i) {
    if (parameters_.part(i).numbers() > 0) ++count;
  }
  Status status =
      CheckLists(uint64_t{count} * sizeof(TrainedLayer), regions_.work_bytes);
  if (status.ok()) status = SetVectors();
  if (!status.ok()) return status;
  TrainedLayer* const layers = static_cast<TrainedLayer*>(regions_.work);
  TrainedLayer* layer = layers;
  for (uint32_t i = 0; i < model_->layer_count(); ++i) {
    if (parameters_.part(i).numbers() > 0) {
      *layer++ = LayerOf(parameters_, i);
    }
  }
  const Trained trained = {layers, count, parameters_.class_vectors(),
                           setup_.classes};
  return SaveCheckpoint(*model_, trained, storage);
}

Status Trainer::Load(const Storage& storage) {
  if (state_ == State::kClosed) return Status::Error(Code::kWrongState);
  Checkpoint checkpoint;
  Status status = checkpoint.Open(*model_, storage);
  if (!status.ok()) return status;
  if (checkpoint.way() != setup_.classes) {
    status = Status::Error(Code::kWrongModel);
    status.requested = setup_.classes;
    status.available = checkpoint.way();
    return status;
  }
  // layers | counts | channels | kinds
  const uint32_t count = checkpoint.layer_count();
  const uint32_t rows = model_->layer_count();
  uint64_t bytes =
      uint64_t{count} * sizeof(TrainedLayer) + rows * sizeof(uint16_t);
  status = CheckLists(bytes, regions_.work_bytes);
  if (!status.ok()) return status;
  TrainedLayer* const layers = static_cast<TrainedLayer*>(regions_.work);
  uint16_t* const counts = reinterpret_cast<uint16_t*>(layers + count);
  uint16_t* const channels = counts + rows;
  memset(counts, 0, rows * sizeof(counts[0]));
  uint32_t chosen = 0;
  bool has_kinds = false;
  for (uint32_t i = 0; i < count; ++i) {
    status = checkpoint.ReadLayer(i, &layers[i]);
    if (!status.ok()) return status;
    counts[layers[i].row] = static_cast<uint16_t>(layers[i].channels.count);
    chosen += counts[layers[i].row];
    has_kinds = has_kinds || layers[i].kind != 0;
  }
  bytes += chosen * sizeof(uint16_t) + (has_kinds ? rows : 0);
  status = CheckLists(bytes, regions_.work_bytes);
  uint32_t place = 0;
  for (uint32_t i = 0; status.ok() && i < count; ++i) {
    status = checkpoint.ReadChannels(i, channels + place);
    place += static_cast<uint32_t>(layers[i].channels.count);
  }
  if (!status.ok()) return status;
  Selection selection = {{counts, nullptr}, channels};
  if (has_kinds) {
    uint8_t* const kinds = reinterpret_cast<uint8_t*>(channels + chosen);
    memset(kinds, 0, rows);
    for (uint32_t i = 0; i < count; ++i) {
      kinds[layers[i].row] = static_cast<uint8_t>(layers[i].kind);
    }
    selection.parts.kinds = kinds;
  }
  status = Plan(selection);
  if (!status.ok()) return status;
  for (uint32_t i = 0; i < count; ++i) {
    layers[i] = LayerOf(parameters_, layers[i].row);
  }
  const Trained trained = {layers, count, parameters_.class_vectors(),
                           setup_.classes};
  status = checkpoint.Read(trained);
  if (status.ok()) parameters_.Store();
  // All or nothing: half of a checkpoint must not predict.
  state_ = status.ok() ? State::kSettled : State::kReady;
  vectors_ = status.ok() ? Vectors::kSet : Vectors::kNone;
  return status;
}

}  // namespace tinytrain
