#ifndef TINYTRAIN_MODEL_H_
#define TINYTRAIN_MODEL_H_

#include <stddef.h>
#include <stdint.h>

#include "tinytrain/format.h"
#include "tinytrain/status.h"

namespace tinytrain {

// What is wrong with a blob. `Refusal` has the numbers.
enum class Flaw : uint8_t {
  kNone = 0,
  kMisaligned,     // The blob is not at a multiple of 4.
  kTruncated,      // Fewer bytes than the header says.
  kMagic,          // No blob.
  kByteOrder,      // Of a machine with another byte order.
  kVersion,        // Another major version.
  kHeader,         // A header too small, too large or not aligned.
  kChecksum,       // Damaged bytes.
  kSectionKind,    // Unknown, out of order, or missing.
  kSectionPlace,   // Outside, overlapping or not aligned.
  kSectionSize,    // Stride, count and size do not fit together.
  kCount,          // Of the records of a section.
  kInputKind,      // Neither pixels nor features.
  kName,           // Outside the names, or names without an end.
  kTensorShape,    // Empty or too large.
  kTensorType,     // Unknown, or none of the operation.
  kOperationKind,  // Unknown.
  kActivation,     // Unknown, or none of this kind of operation.
  kInput,          // A tensor that is not there before the operation.
  kOutput,         // Not the number of the operation + 1.
  kWindow,         // A kernel, stride or padding that does not fit.
  kOutputShape,    // Not what the operation gives.
  kFactor,         // Not finite.
  kUnread,         // A tensor that nobody reads.
  kLayerLink,      // Layer and operation do not name each other.
  kLayerOrder,     // Indices that do not rise, or too large.
  kWeightType,     // Not that of the tensors.
  kChannels,       // Of a layer and its operation differ.
  kWeightCount,    // Kernel, biases or scales of another shape.
  kWeightPlace,    // Outside the weights or not aligned.
  kMacs,           // Not those of the layer.
  kHeadKind,       // Unknown head or embedding.
  kDepth,          // Not that of the features.
  kWay,            // Fewer than 2 classes, or too many.
  kScale,          // Not finite and positive, or factors of others.
  kCriterion,      // Unknown criterion or cost model.
  kPlanLayer,      // Not there, or not in order.
  kPlanIndices,    // Not rising, too large, or outside their section.
  kZeroPoint,      // Outside of int8.
  kOverflow,       // Accumulators may leave 32 bits.
};

struct Refusal {
  Flaw flaw;
  uint32_t record;    // Which section, tensor, operation, layer or choice.
  uint32_t expected;  // A bound or a value; 0 where there is none to name.
  uint32_t received;

  bool ok() const { return flaw == Flaw::kNone; }

  // The same in the codes of the engine, without the record.
  Status status() const;

  static Refusal None() { return Of(Flaw::kNone, 0, 0, 0); }

  static Refusal Of(Flaw flaw, uint32_t record, uint32_t expected,
                    uint32_t received) {
    const Refusal refusal = {flaw, record, expected, received};
    return refusal;
  }
};

// A view of a blob of docs/format.md, in place. Does not own the bytes, which
// must stay as they are for as long as the view and all it returned are used.
// `Open` checks everything, once: all that the other functions return can be
// trusted, and they check nothing, neither their arguments.
class Model {
 public:
  Model();

  // Takes the blob at `bytes`, a multiple of 4, or refuses it and stays closed.
  // What follows the blob inside `size` bytes does not matter.
  Refusal Open(const void* bytes, size_t size);

  bool is_open() const { return blob_ != nullptr; }

  // Names the base model; checkpoints carry it.
  uint64_t base() const { return header().base.value(); }
  uint32_t size() const { return header().size; }

  // Names the blob.
  uint32_t crc() const { return header().crc; }

  const format::Network& network() const {
    return Record<format::Network>(kNetwork, 0);
  }

  // Tensor 0 is the input, the last one the features.
  uint32_t tensor_count() const { return Count(kTensors); }
  const format::Tensor& tensor(uint32_t i) const {
    return Record<format::Tensor>(kTensors, i);
  }
  const format::Tensor& features() const { return tensor(tensor_count() - 1); }

  uint32_t operation_count() const { return Count(kOperations); }
  const format::Operation& operation(uint32_t i) const {
    return Record<format::Operation>(kOperations, i);
  }

  // Layers with weights.
  uint32_t layer_count() const { return Count(kLayers); }
  const format::Layer& layer(uint32_t i) const {
    return Record<format::Layer>(kLayers, i);
  }

  // Rows of output channels; of a depthwise layer (kernel row, kernel column,
  // channel).
  const float* kernel(const format::Layer& layer) const {
    return reinterpret_cast<const float*>(blob_ + layer.kernel);
  }

  // One for each channel, or null without.
  const float* bias(const format::Layer& layer) const {
    if (layer.biases == 0) return nullptr;
    return reinterpret_cast<const float*>(blob_ + layer.bias);
  }

  // The same of an int8 layer, and for each channel the scale of its weights
  // and the factor (see `Requantization`) of its accumulators.
  const int8_t* stored_kernel(const format::Layer& layer) const {
    return reinterpret_cast<const int8_t*>(blob_ + layer.kernel);
  }
  const int32_t* stored_bias(const format::Layer& layer) const {
    if (layer.biases == 0) return nullptr;
    return reinterpret_cast<const int32_t*>(blob_ + layer.bias);
  }
  const float* scales(const format::Layer& layer) const {
    return reinterpret_cast<const float*>(blob_ + layer.scale);
  }
  const int32_t* multipliers(const format::Layer& layer) const {
    return reinterpret_cast<const int32_t*>(blob_ + layer.scale) +
           layer.channels;
  }
  const int8_t* shifts(const format::Layer& layer) const {
    return reinterpret_cast<const int8_t*>(multipliers(layer) + layer.channels);
  }

  // Text of a field `name` or `cut`.
  const char* name(uint32_t offset) const {
    return reinterpret_cast<const char*>(At(kNames) + offset);
  }

  const format::Head& head() const { return Record<format::Head>(kHead, 0); }
  const format::Training& training() const {
    return Record<format::Training>(kTraining, 0);
  }

  // What the host chose to train. Without a plan there are no choices.
  bool has_plan() const { return sections_[kPlan] != nullptr; }
  uint32_t choice_count() const { return has_plan() ? Count(kPlan) : 0; }
  const format::Choice& choice(uint32_t i) const {
    return Record<format::Choice>(kPlan, i);
  }
  const uint16_t* indices(const format::Choice& choice) const {
    return reinterpret_cast<const uint16_t*>(At(kPlanIndices)) + choice.first;
  }

 private:
  // Sections that this version knows, by kind - 1.
  enum Known {
    kNetwork,
    kTensors,
    kOperations,
    kLayers,
    kNames,
    kHead,
    kTraining,
    kPlan,
    kPlanIndices,
    kWeights,
    kKnownCount,
  };

  const format::Header& header() const {
    return *reinterpret_cast<const format::Header*>(blob_);
  }
  const uint8_t* At(Known section) const {
    return blob_ + sections_[section]->offset;
  }
  uint32_t Count(Known section) const { return sections_[section]->count; }

  template <typename T>
  const T& Record(Known section, uint32_t i) const {
    const uint8_t* record = At(section) + sections_[section]->stride * i;
    return *reinterpret_cast<const T*>(record);
  }

  // Each trusts what the ones above it have checked.
  Refusal CheckAll(size_t size);
  Refusal CheckHeader(size_t size) const;
  Refusal FindSections();
  Refusal CheckCounts() const;
  Refusal CheckTensor(uint32_t i) const;
  Refusal CheckOperation(uint32_t i) const;
  Refusal CheckTypes(uint32_t i) const;
  Refusal CheckOutputShape(uint32_t i) const;
  Refusal CheckRead(uint32_t tensor) const;
  Refusal CheckLayer(uint32_t i) const;
  Refusal CheckWeights(uint32_t i) const;
  Refusal CheckFactors(uint32_t i) const;
  Refusal CheckHead() const;
  Refusal CheckTraining() const;
  Refusal CheckChoice(uint32_t i) const;
  bool IsName(uint32_t offset) const { return offset < Count(kNames); }
  bool AreWeights(uint32_t offset, uint64_t bytes) const;

  const uint8_t* blob_;                           // Null while closed.
  const format::Section* sections_[kKnownCount];  // Null if not there.
};

}  // namespace tinytrain

#endif  // TINYTRAIN_MODEL_H_
