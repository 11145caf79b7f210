#include "tinytrain/parameters.h"

#include <string.h>

#include <cmath>

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

// Stored numbers of a trained channel: of its row, and its bias.
uint32_t StoredRowSize(const Layer& layer) {
  return IsInt8(layer) ? RowSize(layer) : 0;
}
uint32_t StoredBiases(const Layer& layer) {
  return IsInt8(layer) && layer.biases > 0 ? 1 : 0;
}

float RoundedTo(float value, float limit) {
  const float rounded = std::nearbyint(value);
  return rounded < -limit ? -limit : rounded > limit ? limit : rounded;
}

// Copies rows or biases of the base, as floats.
template <typename T>
float* CopyRows(const T* base, const Channels& chosen, uint32_t row,
                uint32_t step, uint32_t size, float* to) {
  for (int i = 0; i < chosen.count; ++i) {
    const T* from = base + chosen.index[i] * row;
    for (uint32_t k = 0; k < size; ++k) {
      *to++ = static_cast<float>(from[k * step]);
    }
  }
  return to;
}

}  // namespace

float BiasLimit(const Model& model, const Layer& layer) {
  const uint32_t input = model.operation(layer.operation).input;
  const int zero_point = model.tensor(input).zero_point;
  const int largest = zero_point < 0 ? 127 - zero_point : 128 + zero_point;
  // What float32 holds exactly, less the products unless they leave no room.
  const int64_t exact = 1 << 24;
  const int64_t left = exact - int64_t{RowSize(layer)} * largest * 127;
  return static_cast<float>(left < 1 << 22 ? exact : left);
}

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
      stored_rows_(nullptr) {}

uint64_t Parameters::ScoringBytes(const Model& model, const Setup& setup) {
  return CountBytes(model) +
         sizeof(float) * (ClassVectorsSize(model, setup) + ScoreCount(model));
}

uint64_t Parameters::FixedBytes(const Model& model, const Setup& setup) {
  const bool trains = model.head().kind == HeadKind::kLinear;
  const uint32_t sets = trains ? StateCount(setup.optimizer) : 1;
  return CountBytes(model) +
         sizeof(float) * sets * ClassVectorsSize(model, setup);
}

uint64_t Parameters::ChannelBytes(const Model& model, const Setup& setup,
                                  uint32_t layer) {
  const Layer& record = model.layer(layer);
  return uint64_t{sizeof(float)} * StateCount(setup.optimizer) *
             ChannelSize(record) +
         sizeof(uint16_t) + StoredRowSize(record) +
         sizeof(int32_t) * StoredBiases(record);
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
  trained_size_ = 0;
}

void Parameters::Place(const Selection& selection) {
  Clear();
  memcpy(counts_, selection.counts, model_->layer_count() * sizeof(counts_[0]));
  uint32_t channels = 0;
  uint32_t biases = 0;
  trained_size_ = head_trains_ ? class_vectors_size_ : 0;
  for (uint32_t i = 0; i < model_->layer_count(); ++i) {
    channels += counts_[i];
    trained_size_ += counts_[i] * ChannelSize(model_->layer(i));
    biases += counts_[i] * StoredBiases(model_->layer(i));
  }
  const uint32_t states = StateCount(optimizer_) - 1;
  stored_biases_ =
      reinterpret_cast<int32_t*>(gradient() + states * trained_size_);
  channels_ = reinterpret_cast<uint16_t*>(stored_biases_ + biases);
  stored_rows_ = reinterpret_cast<int8_t*>(channels_ + channels);
  memcpy(channels_, selection.channels, channels * sizeof(channels_[0]));
  Restore();
}

void Parameters::Restore() {
  const uint32_t states = StateCount(optimizer_) - 1;
  memset(gradient(), 0, states * trained_size_ * sizeof(float));
  for (uint32_t i = 0; i < model_->layer_count(); ++i) CopyBase(i);
  Store();
}

// Copies the rows of the trained channels out of the blob.
void Parameters::CopyBase(uint32_t index) {
  const Layer& layer = model_->layer(index);
  const Channels chosen = channels(index);
  const uint32_t size = RowSize(layer);
  const bool depthwise =
      model_->operation(layer.operation).kind == Kind::kDepthwiseConv2D;
  const uint32_t row = depthwise ? 1 : size;
  const uint32_t step = depthwise ? layer.channels : 1;
  float* to = slice(index);
  if (IsInt8(layer)) {
    to = CopyRows(model_->stored_kernel(layer), chosen, row, step, size, to);
    if (layer.biases == 0) return;
    CopyRows(model_->stored_bias(layer), chosen, 1, 1, 1, to);
  } else {
    to = CopyRows(model_->kernel(layer), chosen, row, step, size, to);
    if (layer.biases == 0) return;
    CopyRows(model_->bias(layer), chosen, 1, 1, 1, to);
  }
}

void Parameters::Store() {
  for (uint32_t i = 0; i < model_->layer_count(); ++i) {
    const Layer& layer = model_->layer(i);
    if (!IsInt8(layer) || counts_[i] == 0) continue;
    const uint32_t weights = counts_[i] * RowSize(layer);
    const float* values = slice(i);
    int8_t* row = stored_slice(i);
    for (uint32_t k = 0; k < weights; ++k) {
      row[k] = static_cast<int8_t>(RoundedTo(*values++, kLargestWeight));
    }
    if (layer.biases == 0) continue;
    const float limit = BiasLimit(*model_, layer);
    int32_t* bias = stored_bias_slice(i);
    for (uint32_t k = 0; k < counts_[i]; ++k) {
      bias[k] = static_cast<int32_t>(RoundedTo(*values++, limit));
    }
  }
}

uint32_t Parameters::trained_weights() const {
  uint32_t weights = 0;
  for (uint32_t i = 0; i < model_->layer_count(); ++i) {
    weights += counts_[i] * RowSize(model_->layer(i));
  }
  return weights;
}

float* Parameters::slice(uint32_t layer) const {
  float* slice = slices_;
  for (uint32_t i = 0; i < layer; ++i) {
    slice += counts_[i] * ChannelSize(model_->layer(i));
  }
  return slice;
}

float* Parameters::bias_slice(uint32_t layer) const {
  return slice(layer) + counts_[layer] * RowSize(model_->layer(layer));
}

Channels Parameters::channels(uint32_t layer) const {
  const uint16_t* first = channels_;
  for (uint32_t i = 0; i < layer; ++i) first += counts_[i];
  const Channels channels = {first, counts_[layer]};
  return channels;
}

int8_t* Parameters::stored_slice(uint32_t layer) const {
  int8_t* slice = stored_rows_;
  for (uint32_t i = 0; i < layer; ++i) {
    slice += counts_[i] * StoredRowSize(model_->layer(i));
  }
  return slice;
}

int32_t* Parameters::stored_bias_slice(uint32_t layer) const {
  int32_t* slice = stored_biases_;
  for (uint32_t i = 0; i < layer; ++i) {
    slice += counts_[i] * StoredBiases(model_->layer(i));
  }
  return slice;
}

LayerRows Parameters::rows(uint32_t layer) const {
  const Layer& record = model_->layer(layer);
  const Channels trained = channels(layer);
  const Channels biased = {trained.index,
                           record.biases > 0 ? trained.count : 0};
  LayerRows rows = {};
  if (IsInt8(record)) {
    const Rows<int8_t> filter = {model_->stored_kernel(record),
                                 stored_slice(layer), trained};
    const Rows<int32_t> bias = {model_->stored_bias(record),
                                stored_bias_slice(layer), biased};
    rows.stored_filter = filter;
    rows.stored_bias = bias;
  } else {
    const Rows<float> filter = {model_->kernel(record), slice(layer), trained};
    const Rows<float> bias = {model_->bias(record), bias_slice(layer), biased};
    rows.filter = filter;
    rows.bias = bias;
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
