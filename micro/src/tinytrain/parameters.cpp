#include "tinytrain/parameters.h"

#include <string.h>

namespace tinytrain {

using format::HeadKind;
using format::kCandidate;
using format::Kind;
using format::Layer;

namespace {

// Of the counts, so that floats may follow.
uint32_t CountBytes(const Model& model) {
  return (model.layer_count() * sizeof(uint16_t) + 3) & ~3u;
}

uint64_t ClassVectorsSize(const Model& model, const Setup& setup) {
  return uint64_t{setup.classes} * model.head().depth;
}

// Stored numbers of what trains: of its rows and its biases.
uint32_t StoredRows(const Layer& layer, const Part& part) {
  return IsInt8(layer) ? part.weights() : 0;
}
uint32_t StoredBiases(const Layer& layer, const Part& part) {
  return IsInt8(layer) ? part.biases() : 0;
}

// Copies rows or biases of the base.
template <typename T, typename To>
void CopyRows(const T* base, const Channels& rows, uint32_t row, uint32_t step,
              uint32_t size, To* to) {
  for (int i = 0; i < rows.count; ++i) {
    const T* from = base + rows.at(i) * row;
    for (uint32_t k = 0; k < size; ++k) {
      *to++ = static_cast<To>(from[k * step]);
    }
  }
}

// The same of chosen inputs of all rows: of every tap of `tap` values.
template <typename T, typename To>
void CopyInputs(const T* base, const Channels& inputs, uint32_t taps,
                uint32_t tap, To* to) {
  for (; taps > 0; --taps) {
    for (int i = 0; i < inputs.count; ++i) {
      *to++ = static_cast<To>(base[inputs.index[i]]);
    }
    base += tap;
  }
}

}  // namespace

Parameters::Parameters(const Model& model, const Setup& setup, void* region)
    : model_(&model),
      optimizer_(setup.optimizer),
      head_trains_(model.head().kind == HeadKind::kLinear),
      counts_(static_cast<uint16_t*>(region)),
      class_vectors_(reinterpret_cast<float*>(static_cast<uint8_t*>(region) +
                                              CountBytes(model))),
      class_vectors_size_(
          static_cast<uint32_t>(ClassVectorsSize(model, setup))),
      slices_(class_vectors_ + class_vectors_size_),
      trained_(head_trains_ ? class_vectors_ : slices_),
      trained_size_(0),
      stored_biases_(nullptr),
      channels_(nullptr),
      kinds_(nullptr),
      stored_rows_(nullptr) {}

uint64_t Parameters::ScoringBytes(const Model& model, const Setup& setup) {
  return CountBytes(model) +
         sizeof(float) * (ClassVectorsSize(model, setup) + ScoreCount(model));
}

uint64_t Parameters::FixedBytes(const Model& model, const Setup& setup,
                                const Parts& parts) {
  const bool trains = model.head().kind == HeadKind::kLinear;
  const uint32_t sets = trains ? StateCount(setup.optimizer) : 1;
  return CountBytes(model) +
         sizeof(float) * sets * ClassVectorsSize(model, setup) +
         (parts.kinds == nullptr ? 0 : model.layer_count());
}

uint64_t Parameters::PartBytes(const Setup& setup, const Layer& layer,
                               const Part& part) {
  const bool integers = TrainsIntegers(setup.optimizer, layer);
  return uint64_t{sizeof(float)} * StateCount(setup.optimizer) *
             (integers ? 0 : part.numbers()) +
         sizeof(uint16_t) * part.count() + StoredRows(layer, part) +
         sizeof(int32_t) * StoredBiases(layer, part);
}

uint32_t Parameters::ScoreCount(const Model& model) {
  uint32_t count = 0;
  for (uint32_t i = 0; i < model.layer_count(); ++i) {
    const Layer& layer = model.layer(i);
    if ((layer.flags & kCandidate) != 0) count += layer.channels;
  }
  return count;
}

void Parameters::Clear() {
  memset(counts_, 0, CountBytes(*model_));
  kinds_ = nullptr;
  trained_size_ = 0;
}

void Parameters::Place(const Selection& selection) {
  Clear();
  const uint32_t layers = model_->layer_count();
  memcpy(counts_, selection.parts.counts, layers * sizeof(counts_[0]));
  uint32_t channels = 0;
  uint32_t biases = 0;
  trained_size_ = head_trains_ ? class_vectors_size_ : 0;
  for (uint32_t i = 0; i < layers; ++i) {
    const Layer& layer = model_->layer(i);
    const Part part = PartOf(selection.parts, layer, i);
    channels += part.count();
    if (!TrainsIntegers(optimizer_, layer)) trained_size_ += part.numbers();
    biases += StoredBiases(layer, part);
  }
  const uint32_t states = StateCount(optimizer_) - 1;
  stored_biases_ =
      reinterpret_cast<int32_t*>(gradient() + states * trained_size_);
  channels_ = reinterpret_cast<uint16_t*>(stored_biases_ + biases);
  memcpy(channels_, selection.channels, channels * sizeof(channels_[0]));
  uint8_t* end = reinterpret_cast<uint8_t*>(channels_ + channels);
  if (selection.parts.kinds != nullptr) {
    kinds_ = end;
    memcpy(kinds_, selection.parts.kinds, layers);
    end += layers;
  }
  stored_rows_ = reinterpret_cast<int8_t*>(end);
  Restore();
}

void Parameters::Restore() {
  const uint32_t states = StateCount(optimizer_) - 1;
  memset(gradient(), 0, states * trained_size_ * sizeof(float));
  for (uint32_t i = 0; i < model_->layer_count(); ++i) CopyBase(i);
  Store();
}

// Copies what trains out of the blob.
void Parameters::CopyBase(uint32_t index) {
  const Layer& layer = model_->layer(index);
  const int8_t* stored = model_->stored_kernel(layer);
  if (TrainsIntegers(optimizer_, layer)) {
    CopyPart(index, stored, model_->stored_bias(layer), stored_slice(index),
             stored_bias_slice(index));
  } else if (IsInt8(layer)) {
    CopyPart(index, stored, model_->stored_bias(layer), slice(index),
             bias_slice(index));
  } else {
    CopyPart(index, model_->kernel(layer), model_->bias(layer), slice(index),
             bias_slice(index));
  }
}

template <typename Weight, typename Bias, typename Row, typename Number>
void Parameters::CopyPart(uint32_t index, const Weight* kernel,
                          const Bias* bias, Row* rows, Number* biases) {
  const Layer& layer = model_->layer(index);
  const Part own = part(index);
  const Channels chosen = channels(index);
  const uint32_t size = RowSize(layer);
  if (own.by_input()) {
    CopyInputs(kernel, chosen, layer.weights / layer.inputs, layer.inputs,
               rows);
  } else {
    const bool depthwise =
        model_->operation(layer.operation).kind == Kind::kDepthwiseConv2D;
    CopyRows(kernel, chosen, depthwise ? 1 : size,
             depthwise ? layer.channels : 1, size, rows);
  }
  CopyRows(bias, biased(index), 1, 1, 1, biases);
}

void Parameters::Store() {
  for (uint32_t i = 0; i < model_->layer_count(); ++i) {
    const Layer& layer = model_->layer(i);
    const Part own = part(i);
    if (!IsInt8(layer) || optimizer_ == Optimizer::kInPlace) continue;
    const float* values = slice(i);
    int8_t* row = stored_slice(i);
    for (uint32_t k = 0; k < own.weights(); ++k) {
      row[k] = static_cast<int8_t>(RoundedTo(*values++, kLargestWeight));
    }
    const float limit = BiasLimit(*model_, layer);
    int32_t* bias = stored_bias_slice(i);
    for (uint32_t k = 0; k < own.biases(); ++k) {
      bias[k] = static_cast<int32_t>(RoundedTo(*values++, limit));
    }
  }
}

uint32_t Parameters::trained_weights() const {
  uint32_t weights = 0;
  for (uint32_t i = 0; i < model_->layer_count(); ++i) {
    weights += part(i).weights();
  }
  return weights;
}

float* Parameters::slice(uint32_t layer) const {
  float* slice = slices_;
  for (uint32_t i = 0; i < layer; ++i) slice += FloatsOf(i);
  return slice;
}

float* Parameters::bias_slice(uint32_t layer) const {
  return slice(layer) + part(layer).weights();
}

uint32_t Parameters::FloatsOf(uint32_t layer) const {
  return trains_integers(layer) ? 0 : part(layer).numbers();
}

Channels Parameters::channels(uint32_t layer) const {
  const uint16_t* first = channels_;
  for (uint32_t i = 0; i < layer; ++i) first += counts_[i];
  const Channels channels = {first, counts_[layer]};
  return channels;
}

Channels Parameters::biased(uint32_t layer) const {
  const Part own = part(layer);
  Channels biased = channels(layer);
  if (own.every_bias()) biased.index = nullptr;
  biased.count = static_cast<int>(own.biases());
  return biased;
}

int8_t* Parameters::stored_slice(uint32_t layer) const {
  int8_t* slice = stored_rows_;
  for (uint32_t i = 0; i < layer; ++i) {
    slice += StoredRows(model_->layer(i), part(i));
  }
  return slice;
}

int32_t* Parameters::stored_bias_slice(uint32_t layer) const {
  int32_t* slice = stored_biases_;
  for (uint32_t i = 0; i < layer; ++i) {
    slice += StoredBiases(model_->layer(i), part(i));
  }
  return slice;
}

template <typename T>
Rows<T> Parameters::FilterOf(uint32_t layer, const T* base,
                             const T* slice) const {
  const Part own = part(layer);
  if (!own.by_input() || own.count() == 0) {
    return Rows<T>(base, slice, channels(layer));
  }
  // All inputs are all weights.
  if (!own.some_inputs()) return Rows<T>(slice, nullptr, Channels());
  Rows<T> rows(base, slice, channels(layer));
  rows.tap = static_cast<int>(model_->layer(layer).inputs);
  return rows;
}

template <typename T>
Rows<T> Parameters::BiasOf(uint32_t layer, const T* base,
                           const T* slice) const {
  if (part(layer).every_bias()) return Rows<T>(slice, nullptr, Channels());
  return Rows<T>(base, slice, biased(layer));
}

LayerRows Parameters::rows(uint32_t layer) const {
  const Layer& record = model_->layer(layer);
  LayerRows rows;
  if (IsInt8(record)) {
    rows.stored_filter = FilterOf<int8_t>(layer, model_->stored_kernel(record),
                                          stored_slice(layer));
    rows.stored_bias = BiasOf<int32_t>(layer, model_->stored_bias(record),
                                       stored_bias_slice(layer));
  } else {
    rows.filter = FilterOf<float>(layer, model_->kernel(record), slice(layer));
    rows.bias = BiasOf<float>(layer, model_->bias(record), bias_slice(layer));
  }
  return rows;
}

float* Parameters::d_filter(uint32_t layer) const {
  return slice(layer) + trained_size_;
}

float* Parameters::d_bias(uint32_t layer) const {
  return bias_slice(layer) + trained_size_;
}

}  // namespace tinytrain
