#ifndef TINYTRAIN_PARAMETERS_H_
#define TINYTRAIN_PARAMETERS_H_

#include <stdint.h>

#include "tinytrain/kernels/rows.h"
#include "tinytrain/model.h"
#include "tinytrain/operation_kernels.h"
#include "tinytrain/planner.h"
#include "tinytrain/stored.h"

namespace tinytrain {

// Weights of one output channel's kernel.
inline uint32_t RowSize(const format::Layer& layer) {
  return layer.weights / layer.channels;
}

// Sets of numbers as large as what trains: values, gradients, moments.
inline uint32_t StateCount(Optimizer optimizer) {
  if (optimizer == Optimizer::kInPlace) return 1;
  return 2 + static_cast<uint32_t>(optimizer);
}

// Whether what trains of a layer are integers and nothing else.
inline bool TrainsIntegers(Optimizer optimizer, const format::Layer& layer) {
  return optimizer == Optimizer::kInPlace && IsInt8(layer);
}

// The region `persistent`, which it does not own. While channels are scored:
//   counts, all 0 | class vectors | scores
// and while they train:
//   counts | class vectors, slices | gradients | moments | stored biases |
//   channels | kinds | stored rows
// Counts and class vectors stay where they are; kinds are there if one is not
// 0. A slice is a layer's `Part`: rows, then biases. What trains has a gradient
// and moments in the same order: slices, and class vectors too of a linear
// head. Slices of int8 layers are numbers in steps of the integers; the
// integers that they are rounded to are the stored ones. In place there are
// these alone.
class Parameters {
 public:
  Parameters() : model_(nullptr), counts_(nullptr), kinds_(nullptr) {}
  Parameters(const Model& model, const Setup& setup, void* region);

  static uint64_t ScoringBytes(const Model& model, const Setup& setup);
  static uint64_t FixedBytes(const Model& model, const Setup& setup,
                             const Parts& parts);
  static uint64_t PartBytes(const Setup& setup, const format::Layer& layer,
                            const Part& part);

  // Sets all counts to 0: every weight is that of the blob.
  void Clear();

  // Lays the region out for `selection`, which lies elsewhere. Trained
  // channels start from the blob's, all other numbers from 0. Class vectors
  // stay as they are.
  void Place(const Selection& selection);
  // Starts again from there.
  void Restore();

  // What trains; nothing while channels are scored.
  Parts parts() const {
    const Parts parts = {counts_, kinds_};
    return parts;
  }
  Selection selection() const {
    const Selection selection = {parts(), channels_};
    return selection;
  }
  Part part(uint32_t layer) const {
    return PartOf(parts(), model_->layer(layer), layer);
  }
  float* class_vectors() const { return class_vectors_; }
  uint32_t class_vectors_size() const { return class_vectors_size_; }

  // (channels of all candidates) while they are scored.
  float* scores() const { return class_vectors_ + class_vectors_size_; }
  static uint32_t ScoreCount(const Model& model);

  // What trains in floats: `size` numbers of each set.
  uint32_t trained_size() const { return trained_size_; }
  float* trained() const { return trained_; }
  float* gradient() const { return trained_ + trained_size_; }
  float* moment(uint32_t i) const { return trained_ + (2 + i) * trained_size_; }
  bool head_trains() const { return head_trains_; }
  // Null where the class vectors have none.
  float* d_class_vectors() const {
    const bool sums = optimizer_ != Optimizer::kInPlace;
    return head_trains_ && sums ? gradient() : nullptr;
  }

  // Kernel weights that train.
  uint32_t trained_weights() const;

  bool trains_integers(uint32_t layer) const {
    return TrainsIntegers(optimizer_, model_->layer(layer));
  }

  // Rows of a layer, what is trained from its slice.
  LayerRows rows(uint32_t layer) const;
  // Rounds what trains of int8 layers, and saturates it.
  void Store();
  // What `part` counts of a layer, of outputs or inputs.
  Channels channels(uint32_t layer) const;
  // The output channels whose biases train.
  Channels biased(uint32_t layer) const;
  // Values of a layer's slice, and the integers.
  float* slice(uint32_t layer) const;
  float* bias_slice(uint32_t layer) const;
  int8_t* stored_slice(uint32_t layer) const;
  int32_t* stored_bias_slice(uint32_t layer) const;
  // Gradients of a layer's slice.
  float* d_filter(uint32_t layer) const;
  float* d_bias(uint32_t layer) const;

 private:
  void CopyBase(uint32_t layer);
  template <typename Weight, typename Bias, typename Row, typename Number>
  void CopyPart(uint32_t layer, const Weight* kernel, const Bias* bias,
                Row* rows, Number* biases);
  template <typename T>
  Rows<T> FilterOf(uint32_t layer, const T* base, const T* slice) const;
  template <typename T>
  Rows<T> BiasOf(uint32_t layer, const T* base, const T* slice) const;

  uint32_t FloatsOf(uint32_t layer) const;

  const Model* model_;
  Optimizer optimizer_;
  bool head_trains_;
  uint16_t* counts_;
  float* class_vectors_;
  uint32_t class_vectors_size_;
  float* slices_;
  float* trained_;  // The class vectors or the slices, whatever comes first.
  uint32_t trained_size_;
  int32_t* stored_biases_;
  uint16_t* channels_;
  uint8_t* kinds_;  // Null if all are 0.
  int8_t* stored_rows_;
};

}  // namespace tinytrain

#endif  // TINYTRAIN_PARAMETERS_H_
