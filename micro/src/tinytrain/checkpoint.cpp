#include "tinytrain/checkpoint.h"

#include "tinytrain/checkpoint_slots.h"
#include "tinytrain/finite.h"
#include "tinytrain/stored.h"

namespace tinytrain {
namespace {

Status Unequal(Code code, uint32_t expected, uint32_t received) {
  const Status status = {code, expected, received, 0};
  return status;
}

// Returns the row of the layer with this index in the whole network, or the
// number of rows.
uint32_t RowOf(const Model& model, uint32_t index) {
  uint32_t row = 0;
  while (row < model.layer_count() && model.layer(row).index != index) ++row;
  return row;
}

// Returns what of a layer is saved, see `Parts`.
uint16_t KindOf(const format::Layer& layer, const format::SavedLayer& saved) {
  uint32_t kind = saved.by_input == 1 ? format::kByInput : 0;
  const Part part(layer, saved.count, kind);
  if (saved.biases != part.biases() && saved.biases == layer.biases) {
    kind |= format::kEveryBias;
  }
  return static_cast<uint16_t>(kind);
}

}  // namespace

Checkpoint::Checkpoint()
    : model_(nullptr), storage_(nullptr), slot_(0), header_() {}

Status Checkpoint::Open(const Model& model, const Storage& storage) {
  model_ = nullptr;
  if (!model.is_open()) return Status::Error(Code::kWrongState);
  Status status = FindNewest(model, storage, &slot_, &header_);
  if (!status.ok()) return status;
  model_ = &model;
  storage_ = &storage;
  status = CheckAll();
  if (!status.ok()) model_ = nullptr;
  return status;
}

Status Checkpoint::CheckAll() const {
  const format::CheckpointHeader& h = header_;
  const format::Head& head = model_->head();
  if (h.head != head.kind) {
    return Unequal(Code::kWrongModel, static_cast<uint32_t>(head.kind),
                   static_cast<uint32_t>(h.head));
  }
  if (h.embedding != head.embedding) {
    return Unequal(Code::kWrongModel, static_cast<uint32_t>(head.embedding),
                   static_cast<uint32_t>(h.embedding));
  }
  if (h.depth != head.depth) {
    return Unequal(Code::kWrongModel, head.depth, h.depth);
  }
  if (h.way > head.max_way) {
    return Unequal(Code::kWrongModel, head.max_way, h.way);
  }
  if (h.layer_count > model_->layer_count()) {
    return Unequal(Code::kWrongModel, model_->layer_count(), h.layer_count);
  }
  if (h.stride < sizeof(format::SavedLayer) || h.stride % 4 != 0) {
    return Unequal(Code::kBadFormat, sizeof(format::SavedLayer), h.stride);
  }
  if (!IsInside(h.header_size,
                static_cast<uint64_t>(h.stride) * h.layer_count)) {
    return Unequal(Code::kBadFormat, h.size, h.stride);
  }
  // A vector is shorter than 2^29 numbers, and so are all of them together.
  if (!IsInside(h.vectors, sizeof(float) * h.way * h.depth)) {
    return Unequal(Code::kBadFormat, h.size, h.vectors);
  }
  Status status = CheckFloats(h.vectors, h.way * h.depth);
  uint32_t least = 0;
  for (uint32_t i = 0; status.ok() && i < h.layer_count; ++i) {
    status = CheckLayer(i, &least);
  }
  return status;
}

Status Checkpoint::CheckLayer(uint32_t i, uint32_t* least) const {
  format::SavedLayer saved;
  Status status = ReadRow(i, &saved);
  if (!status.ok()) return status;
  if (saved.index < *least) {
    return Unequal(Code::kBadFormat, *least, saved.index);
  }
  *least = saved.index + 1;
  const uint32_t row = RowOf(*model_, saved.index);
  if (row == model_->layer_count()) {
    return Unequal(Code::kWrongModel, 0, saved.index);
  }
  if (saved.by_input > 1) return Unequal(Code::kBadFormat, 1, saved.by_input);
  const format::Layer& layer = model_->layer(row);
  if (saved.by_input == 1 && layer.inputs == 0) {
    return Unequal(Code::kWrongModel, 0, saved.by_input);
  }
  const uint32_t limit = saved.by_input ? layer.inputs : layer.channels;
  if (saved.count > limit) {
    return Unequal(Code::kWrongModel, limit, saved.count);
  }
  const Part part(layer, saved.count, KindOf(layer, saved));
  if (saved.weights != part.weights()) {
    return Unequal(Code::kWrongModel, part.weights(), saved.weights);
  }
  if (saved.biases != part.biases()) {
    return Unequal(Code::kWrongModel, part.biases(), saved.biases);
  }
  status = CheckIndices(saved, limit);
  if (status.ok()) status = CheckFloats(saved.kernel, saved.weights);
  if (status.ok()) status = CheckFloats(saved.bias, saved.biases);
  return status;
}

Status Checkpoint::CheckIndices(const format::SavedLayer& layer,
                                uint32_t limit) const {
  if (!IsInside(layer.indices, sizeof(uint16_t) * layer.count)) {
    return Unequal(Code::kBadFormat, header_.size, layer.indices);
  }
  uint32_t next = 0;
  for (uint32_t i = 0; i < layer.count; ++i) {
    uint16_t index;
    const Status status =
        ReadBytes(layer.indices + sizeof(index) * i, &index, sizeof(index));
    if (!status.ok()) return status;
    if (index < next) return Unequal(Code::kBadFormat, next, index);
    if (index >= limit) return Unequal(Code::kWrongModel, limit, index);
    next = index + 1u;
  }
  return Status::Ok();
}

Status Checkpoint::CheckFloats(uint32_t offset, uint32_t count) const {
  if (!IsInside(offset, static_cast<uint64_t>(sizeof(float)) * count)) {
    return Unequal(Code::kBadFormat, header_.size, offset);
  }
  float chunk[kChunkBytes / sizeof(float)];
  const uint32_t most = sizeof(chunk) / sizeof(float);
  while (count > 0) {
    const uint32_t some = count < most ? count : most;
    const uint32_t size = some * static_cast<uint32_t>(sizeof(float));
    const Status status = ReadBytes(offset, chunk, size);
    if (!status.ok()) return status;
    if (!AllFinite(chunk, some)) return Status::Error(Code::kNotFinite);
    count -= some;
    offset += size;
  }
  return Status::Ok();
}

Status Checkpoint::ReadLayer(uint32_t i, TrainedLayer* layer) const {
  format::SavedLayer saved;
  const Status status = ReadRow(i, &saved);
  if (!status.ok()) return status;
  layer->row = static_cast<uint16_t>(RowOf(*model_, saved.index));
  layer->kind = KindOf(model_->layer(layer->row), saved);
  layer->channels.index = nullptr;
  layer->channels.count = static_cast<int>(saved.count);
  layer->weights = nullptr;
  layer->biases = nullptr;
  layer->stored = nullptr;
  layer->stored_biases = nullptr;
  return Status::Ok();
}

Status Checkpoint::ReadChannels(uint32_t i, uint16_t* channels) const {
  format::SavedLayer saved;
  const Status status = ReadRow(i, &saved);
  if (!status.ok()) return status;
  return ReadBytes(saved.indices, channels, sizeof(uint16_t) * saved.count);
}

Status Checkpoint::Read(const Trained& trained) const {
  Status status = CheckSame(trained);
  for (uint32_t i = 0; status.ok() && i < trained.layer_count; ++i) {
    format::SavedLayer saved;
    status = ReadRow(i, &saved);
    const TrainedLayer& layer = trained.layers[i];
    if (status.ok() && layer.stored != nullptr) {
      const float limit = BiasLimit(*model_, model_->layer(layer.row));
      status = ReadIntegers(saved.kernel, saved.weights, kLargestWeight,
                            layer.stored);
      if (!status.ok()) return status;
      status =
          ReadIntegers(saved.bias, saved.biases, limit, layer.stored_biases);
    } else if (status.ok()) {
      status =
          ReadBytes(saved.kernel, layer.weights, sizeof(float) * saved.weights);
      if (!status.ok()) return status;
      status =
          ReadBytes(saved.bias, layer.biases, sizeof(float) * saved.biases);
    }
  }
  if (!status.ok()) return status;
  return ReadBytes(header_.vectors, trained.class_vectors,
                   sizeof(float) * header_.way * header_.depth);
}

// Reads numbers as the integers next to them.
template <typename Stored>
Status Checkpoint::ReadIntegers(uint32_t offset, uint32_t count, float limit,
                                Stored* to) const {
  for (; count > 0; --count) {
    float value = 0.0f;
    const Status status = ReadBytes(offset, &value, sizeof(value));
    if (!status.ok()) return status;
    *to++ = static_cast<Stored>(RoundedTo(value, limit));
    offset += sizeof(value);
  }
  return Status::Ok();
}

Status Checkpoint::CheckSame(const Trained& trained) const {
  if (trained.layer_count != layer_count()) {
    return Unequal(Code::kBadArgument, layer_count(), trained.layer_count);
  }
  if (trained.way != way()) {
    return Unequal(Code::kBadArgument, way(), trained.way);
  }
  for (uint32_t i = 0; i < layer_count(); ++i) {
    format::SavedLayer saved;
    Status status = ReadRow(i, &saved);
    if (!status.ok()) return status;
    const TrainedLayer& layer = trained.layers[i];
    if (layer.row >= model_->layer_count() ||
        model_->layer(layer.row).index != saved.index) {
      return Unequal(Code::kBadArgument, saved.index, layer.row);
    }
    if (static_cast<uint32_t>(layer.channels.count) != saved.count) {
      return Unequal(Code::kBadArgument, saved.count,
                     static_cast<uint32_t>(layer.channels.count));
    }
    for (uint32_t k = 0; k < saved.count; ++k) {
      uint16_t index;
      status =
          ReadBytes(saved.indices + sizeof(index) * k, &index, sizeof(index));
      if (!status.ok()) return status;
      if (layer.channels.index[k] != index) {
        return Unequal(Code::kBadArgument, index, layer.channels.index[k]);
      }
    }
  }
  return Status::Ok();
}

Status Checkpoint::ReadRow(uint32_t i, format::SavedLayer* layer) const {
  return ReadBytes(header_.header_size + header_.stride * i, layer,
                   sizeof(*layer));
}

Status Checkpoint::ReadBytes(uint32_t offset, void* bytes,
                             uint32_t size) const {
  if (size == 0) return Status::Ok();
  return storage_->read(storage_->context, slot_, offset, bytes, size);
}

bool Checkpoint::IsInside(uint32_t offset, uint64_t size) const {
  return offset % 4 == 0 && offset <= header_.size &&
         size <= header_.size - offset;
}

}  // namespace tinytrain
