#ifndef TINYTRAIN_CHECKPOINT_H_
#define TINYTRAIN_CHECKPOINT_H_

#include <stdint.h>

#include "tinytrain/format.h"
#include "tinytrain/model.h"
#include "tinytrain/status.h"
#include "tinytrain/storage.h"
#include "tinytrain/trained.h"

namespace tinytrain {

// Returns the bytes of the checkpoint of `trained`, of which only numbers are
// read: indices and counts, no weights. A slot has to hold as many, rounded up
// to `Storage::write_bytes`.
uint64_t CheckpointBytes(const Model& model, const Trained& trained);

// Writes `trained` over the older slot, as docs/format.md says: if power fails
// at any byte, the newest complete checkpoint is the one before or this one.
// Nothing is written and kBadArgument returned if `trained` is not of the
// model, kNotFinite if a number is not finite, kRegionTooSmall if a slot is too
// small. What was written is read again: kCorrupt if other bytes came back.
Status SaveCheckpoint(const Model& model, const Trained& trained,
                      const Storage& storage);

// The newest complete checkpoint of a model. Does not own model and storage,
// which must outlive it and stay as they are.
//
// A life: Open; Layer and ReadChannels say what is trained; with memory for
// that, Read fetches it.
class Checkpoint {
 public:
  Checkpoint();

  // Finds the checkpoint and checks all of it, or stays closed and says why:
  //   kNoCheckpoint    neither slot holds any: start from the base model
  //   kWrongModel      of another model, head or number of classes
  //   kBadFormat, kWrongVersion, kCorrupt, kRegionTooSmall (truncated),
  //   kNotFinite, kStorage
  Status Open(const Model& model, const Storage& storage);

  bool is_open() const { return model_ != nullptr; }
  uint32_t sequence() const { return header_.sequence; }
  uint32_t layer_count() const { return header_.layer_count; }
  uint32_t way() const { return header_.way; }

  // Fills in row, kind and count of a layer, with null pointers. `i` is below
  // `layer_count`, here and below.
  Status ReadLayer(uint32_t i, TrainedLayer* layer) const;

  // Writes as many channels as `ReadLayer` counts.
  Status ReadChannels(uint32_t i, uint16_t* channels) const;

  // Writes all weights, biases and class vectors to where `trained` points.
  // Its layers, channels and classes must be those of the checkpoint, otherwise
  // it returns kBadArgument and writes nothing. After kStorage what was written
  // is of no use.
  Status Read(const Trained& trained) const;

 private:
  Status CheckAll() const;
  // Indices of layers are at least `*least`, which it raises.
  Status CheckLayer(uint32_t i, uint32_t* least) const;
  Status CheckIndices(const format::SavedLayer& layer, uint32_t limit) const;
  Status CheckFloats(uint32_t offset, uint32_t count) const;
  Status CheckSame(const Trained& trained) const;
  Status ReadRow(uint32_t i, format::SavedLayer* layer) const;
  template <typename Stored>
  Status ReadIntegers(uint32_t offset, uint32_t count, float limit,
                      Stored* to) const;
  Status ReadBytes(uint32_t offset, void* bytes, uint32_t size) const;
  bool IsInside(uint32_t offset, uint64_t size) const;

  const Model* model_;  // Null while closed.
  const Storage* storage_;
  uint32_t slot_;
  format::CheckpointHeader header_;
};

}  // namespace tinytrain

#endif  // TINYTRAIN_CHECKPOINT_H_
