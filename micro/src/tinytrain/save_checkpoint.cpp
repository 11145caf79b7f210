#include <string.h>

#include "tinytrain/checkpoint.h"
#include "tinytrain/checkpoint_slots.h"
#include "tinytrain/crc32.h"
#include "tinytrain/finite.h"

namespace tinytrain {
namespace {

// Of indices, the parts whose bytes may be no multiple of it.
const uint32_t kPartAlignment = 4;

// Takes all that lies behind the header, piece by piece and in order; adds it
// to a checksum or stores it.
class Body {
 public:
  // Without storage it is only summed up.
  Body(const Storage* storage, uint32_t slot, uint32_t crc)
      : storage_(storage),
        slot_(slot),
        crc_(crc),
        offset_(kChunkBytes),
        filled_(0),
        status_(Status::Ok()) {}

  void Append(const void* bytes, uint32_t size) {
    const uint8_t* data = static_cast<const uint8_t*>(bytes);
    if (storage_ == nullptr) {
      crc_ = Crc32(data, size, crc_);
      return;
    }
    while (size > 0 && status_.ok()) {
      const uint32_t room = kChunkBytes - filled_;
      const uint32_t some = size < room ? size : room;
      memcpy(chunk_ + filled_, data, some);
      filled_ += some;
      data += some;
      size -= some;
      if (filled_ == kChunkBytes) Flush();
    }
  }

  // Stores what is left, filled up to a whole unit.
  Status Finish() {
    if (filled_ > 0 && status_.ok()) Flush();
    return status_;
  }

  uint32_t crc() const { return crc_; }

 private:
  void Flush() {
    const uint32_t unit = storage_->write_bytes;
    const uint32_t size = (filled_ + unit - 1) / unit * unit;
    memset(chunk_ + filled_, 0, size - filled_);
    status_ = storage_->write(storage_->context, slot_, offset_, chunk_, size);
    offset_ += size;
    filled_ = 0;
  }

  const Storage* const storage_;
  const uint32_t slot_;
  uint32_t crc_;
  uint32_t offset_;  // Of the chunk.
  uint32_t filled_;
  Status status_;
  uint8_t chunk_[kChunkBytes];
};

uint32_t Padding(uint32_t bytes) { return -bytes % kPartAlignment; }

// Returns the row of a layer whose parts begin at `*place`, and moves that
// behind them.
format::SavedLayer Place(const Model& model, const TrainedLayer& trained,
                         uint64_t* place) {
  const format::Layer& layer = model.layer(trained.row);
  format::SavedLayer saved = {};
  saved.index = layer.index;
  const Part part = trained.part(model);
  saved.by_input = part.by_input() ? 1 : 0;
  saved.count = part.count();
  saved.biases = part.biases();
  saved.weights = part.weights();
  saved.indices = static_cast<uint32_t>(*place);
  const uint32_t bytes = sizeof(uint16_t) * saved.count;
  *place += bytes + Padding(bytes);
  saved.kernel = static_cast<uint32_t>(*place);
  *place += sizeof(float) * static_cast<uint64_t>(saved.weights);
  saved.bias = static_cast<uint32_t>(*place);
  *place += sizeof(float) * static_cast<uint64_t>(saved.biases);
  return saved;
}

uint64_t RowsEnd(const Trained& trained) {
  return sizeof(format::CheckpointHeader) +
         sizeof(format::SavedLayer) *
             static_cast<uint64_t>(trained.layer_count);
}

uint32_t VectorBytes(const Model& model, const Trained& trained) {
  return sizeof(float) * trained.way * model.head().depth;
}

template <typename Stored>
void AppendIntegers(const Stored* values, uint32_t count, Body* body) {
  for (; count > 0; --count) {
    const float value = static_cast<float>(*values++);
    body->Append(&value, sizeof(value));
  }
}

void AppendAll(const Model& model, const Trained& trained, Body* body) {
  uint64_t place = RowsEnd(trained) + VectorBytes(model, trained);
  for (uint32_t i = 0; i < trained.layer_count; ++i) {
    const format::SavedLayer row = Place(model, trained.layers[i], &place);
    body->Append(&row, sizeof(row));
  }
  body->Append(trained.class_vectors, VectorBytes(model, trained));
  const uint32_t zeros = 0;
  for (uint32_t i = 0; i < trained.layer_count; ++i) {
    const TrainedLayer& layer = trained.layers[i];
    const format::SavedLayer row = Place(model, layer, &place);
    const uint32_t bytes = sizeof(uint16_t) * row.count;
    body->Append(layer.channels.index, bytes);
    body->Append(&zeros, Padding(bytes));
    if (layer.stored != nullptr) {
      AppendIntegers(layer.stored, row.weights, body);
      AppendIntegers(layer.stored_biases, row.biases, body);
      continue;
    }
    body->Append(layer.weights, sizeof(float) * row.weights);
    body->Append(layer.biases, sizeof(float) * row.biases);
  }
}

Status Bad(uint32_t expected, uint32_t received) {
  const Status status = {Code::kBadArgument, expected, received, 0};
  return status;
}

// What `Checkpoint` would refuse is not written.
Status CheckLayer(const Model& model, const TrainedLayer& trained) {
  const format::Layer& layer = model.layer(trained.row);
  const Part part = trained.part(model);
  if (part.kind() > (format::kByInput | format::kEveryBias) ||
      (part.by_input() && layer.inputs == 0)) {
    return Bad(0, part.kind());
  }
  const uint32_t count = part.count();
  const uint32_t limit = part.by_input() ? layer.inputs : layer.channels;
  if (count > limit) return Bad(limit, count);
  uint32_t next = 0;
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t index = trained.channels.index[i];
    if (index < next || index >= limit) return Bad(next, index);
    next = index + 1;
  }
  if (trained.stored != nullptr) return Status::Ok();
  if (!AllFinite(trained.weights, part.weights()) ||
      !AllFinite(trained.biases, part.biases())) {
    return Status::Error(Code::kNotFinite);
  }
  return Status::Ok();
}

Status CheckTrained(const Model& model, const Trained& trained) {
  const format::Head& head = model.head();
  if (trained.way > head.max_way) return Bad(head.max_way, trained.way);
  if (!AllFinite(trained.class_vectors, trained.way * head.depth)) {
    return Status::Error(Code::kNotFinite);
  }
  uint32_t least = 0;
  for (uint32_t i = 0; i < trained.layer_count; ++i) {
    const uint32_t row = trained.layers[i].row;
    if (row < least || row >= model.layer_count()) return Bad(least, row);
    least = row + 1;
    const Status status = CheckLayer(model, trained.layers[i]);
    if (!status.ok()) return status;
  }
  return Status::Ok();
}

Status CheckStorage(const Storage& storage, uint64_t bytes) {
  const uint32_t unit = storage.write_bytes;
  if (unit == 0 || unit > kMaxWriteBytes || (unit & (unit - 1)) != 0) {
    return Bad(kMaxWriteBytes, unit);
  }
  const uint64_t rounded = (bytes + unit - 1) & ~uint64_t{unit - 1};
  if (rounded > storage.slot_bytes) {
    return Status::TooSmall(
        rounded < UINT32_MAX ? static_cast<uint32_t>(rounded) : UINT32_MAX,
        storage.slot_bytes);
  }
  return Status::Ok();
}

// Writes all but the unit that holds the magic, then that.
Status Write(const Model& model, const Trained& trained,
             const format::CheckpointHeader& header, const Storage& storage,
             uint32_t slot) {
  void* const context = storage.context;
  Status status = storage.erase(context, slot);
  if (status.ok()) status = storage.sync(context);
  const uint32_t first = storage.write_bytes < sizeof(header.magic)
                             ? sizeof(header.magic)
                             : storage.write_bytes;
  const uint8_t* bytes = reinterpret_cast<const uint8_t*>(&header);
  if (status.ok() && first < sizeof(header)) {
    status = storage.write(context, slot, first, bytes + first,
                           sizeof(header) - first);
  }
  if (!status.ok()) return status;
  Body body(&storage, slot, 0);
  AppendAll(model, trained, &body);
  status = body.Finish();
  if (status.ok()) status = storage.sync(context);
  if (status.ok()) status = storage.write(context, slot, 0, bytes, first);
  if (status.ok()) status = storage.sync(context);
  return status;
}

}  // namespace

uint64_t CheckpointBytes(const Model& model, const Trained& trained) {
  uint64_t place = RowsEnd(trained) + VectorBytes(model, trained);
  for (uint32_t i = 0; i < trained.layer_count; ++i) {
    Place(model, trained.layers[i], &place);
  }
  return place;
}

Status SaveCheckpoint(const Model& model, const Trained& trained,
                      const Storage& storage) {
  if (!model.is_open()) return Status::Error(Code::kWrongState);
  Status status = CheckTrained(model, trained);
  if (!status.ok()) return status;
  const uint64_t bytes = CheckpointBytes(model, trained);
  status = CheckStorage(storage, bytes);
  if (!status.ok()) return status;

  uint32_t newest = kSlotCount - 1;  // Without any, slot 0 is written.
  format::CheckpointHeader before = {};
  status = FindNewest(model, storage, &newest, &before);
  if (status.code == Code::kStorage) return status;

  format::CheckpointHeader header = {};
  header.magic = format::kCheckpointMagic;
  header.major = format::kMajorVersion;
  header.byte_order = format::kByteOrder;
  header.size = static_cast<uint32_t>(bytes);
  header.header_size = sizeof(header);
  header.base.low = static_cast<uint32_t>(model.base());
  header.base.high = static_cast<uint32_t>(model.base() >> 32);
  header.sequence = before.sequence + 1;
  header.layer_count = trained.layer_count;
  header.head = model.head().kind;
  header.embedding = model.head().embedding;
  header.way = trained.way;
  header.depth = model.head().depth;
  header.vectors = static_cast<uint32_t>(RowsEnd(trained));
  header.stride = sizeof(format::SavedLayer);
  Body sum(nullptr, 0, HeaderCrc(header));
  AppendAll(model, trained, &sum);
  header.crc = sum.crc();

  const uint32_t slot = kSlotCount - 1 - newest;
  status = Write(model, trained, header, storage, slot);
  if (!status.ok()) return status;
  format::CheckpointHeader after;
  status = InspectSlot(model, storage, slot, &after);
  if (!status.ok() && status.code != Code::kStorage) {
    status.code = Code::kCorrupt;
  }
  return status;
}

}  // namespace tinytrain
