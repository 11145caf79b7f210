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
      channels_(nullptr) {}

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
  return uint64_t{sizeof(float)} * StateCount(setup.optimizer) *
             ChannelSize(model.layer(layer)) +
         sizeof(uint16_t);
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
  trained_size_ = head_trains_ ? class_vectors_size_ : 0;
  for (uint32_t i = 0; i < model_->layer_count(); ++i) {
    channels += counts_[i];
    trained_size_ += counts_[i] * ChannelSize(model_->layer(i));
  }
  const uint32_t states = StateCount(optimizer_) - 1;
  memset(gradient(), 0, states * trained_size_ * sizeof(float));
  channels_ = reinterpret_cast<uint16_t*>(gradient() + states * trained_size_);
  memcpy(channels_, selection.channels, channels * sizeof(channels_[0]));
  for (uint32_t i = 0; i < model_->layer_count(); ++i) CopyBase(i);
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
  const float* kernel = model_->kernel(layer);
  const float* bias = model_->bias(layer);
  float* to = slice(index);
  for (int i = 0; i < chosen.count; ++i) {
    const float* from = kernel + chosen.index[i] * row;
    for (uint32_t k = 0; k < size; ++k) *to++ = from[k * step];
  }
  for (int i = 0; bias != nullptr && i < chosen.count; ++i) {
    *to++ = bias[chosen.index[i]];
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

Rows<float> Parameters::filter(uint32_t layer) const {
  const Rows<float> rows = {model_->kernel(model_->layer(layer)), slice(layer),
                            channels(layer)};
  return rows;
}

Rows<float> Parameters::bias(uint32_t layer) const {
  const Layer& record = model_->layer(layer);
  const uint32_t count = record.biases > 0 ? counts_[layer] : 0;
  const Rows<float> rows = {model_->bias(record),
                            bias_slice(layer),
                            {channels(layer).index, static_cast<int>(count)}};
  return rows;
}

float* Parameters::d_filter(uint32_t layer) const {
  return slice(layer) + trained_size_;
}

float* Parameters::d_bias(uint32_t layer) const {
  return bias_slice(layer) + trained_size_;
}

}  // namespace tinytrain
