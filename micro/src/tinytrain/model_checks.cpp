// What `Model::Open` checks of each record.

#include "tinytrain/finite.h"
#include "tinytrain/kernels/requantization.h"
#include "tinytrain/model.h"

namespace tinytrain {
namespace {

using format::Kind;

const float kLeastScale = 1.17549435e-38f;  // Below, float32 loses digits.
// Of the scales of a summand and the sum: what the arithmetic has room for.
const float kMaxAddRatio = 65536.0f;
const int kLeastShift = -13;  // Of factors from 2^-14
const int kMostShift = 7;     // to 2^6.

bool IsPositive(float value) { return IsFinite(value) && value > 0.0f; }

// Whether it is the scale of stored numbers.
bool IsScale(float value) { return IsFinite(value) && value >= kLeastScale; }

bool HasWeights(Kind kind) {
  return kind == Kind::kConv2D || kind == Kind::kDepthwiseConv2D ||
         kind == Kind::kDense;
}

bool HasWindow(Kind kind) {
  return kind == Kind::kConv2D || kind == Kind::kDepthwiseConv2D ||
         kind == Kind::kAveragePool || kind == Kind::kMaxPool;
}

// Whether the operation may have this activation.
bool Clamps(Kind kind, format::Activation activation) {
  const uint16_t number = static_cast<uint16_t>(activation);
  if (kind == Kind::kActivation) return number == 1 || number == 2;
  const bool may = HasWeights(kind) || kind == Kind::kAdd;
  return number <= (may ? 2 : 0);
}

// Along one axis: whether kernel, stride and padding are possible. Every window
// then sees some of the input.
bool IsWindow(uint32_t input, uint32_t kernel, uint32_t stride, uint32_t before,
              uint32_t after) {
  return 1 <= kernel && kernel <= format::kMaxSide && 1 <= stride &&
         stride <= format::kMaxSide && before < kernel && after < kernel &&
         kernel <= input + before + after;
}

// Along one axis: the outputs of a possible window.
uint32_t Outputs(uint32_t input, uint32_t kernel, uint32_t stride,
                 uint32_t before, uint32_t after) {
  return (input + before + after - kernel) / stride + 1;
}

}  // namespace

Refusal Model::CheckTensor(uint32_t i) const {
  const format::Tensor& t = tensor(i);
  const uint32_t sides[] = {t.height, t.width};
  for (uint32_t side : sides) {
    if (side < 1 || side > format::kMaxSide) {
      return Refusal::Of(Flaw::kTensorShape, i, format::kMaxSide, side);
    }
  }
  if (t.channels < 1 || t.channels > format::kMaxChannels) {
    return Refusal::Of(Flaw::kTensorShape, i, format::kMaxChannels, t.channels);
  }
  if (t.channels > format::kMaxSize / t.positions()) {
    return Refusal::Of(Flaw::kTensorShape, i, format::kMaxSize / t.positions(),
                       t.channels);
  }
  if (t.type > format::kInt8) {
    return Refusal::Of(Flaw::kTensorType, i, format::kInt8, t.type);
  }
  if (t.type == format::kFloat32) return Refusal::None();
  if (!IsScale(t.scale)) return Refusal::Of(Flaw::kScale, i, 0, 0);
  if (t.zero_point < -128 || t.zero_point > 127) {
    return Refusal::Of(Flaw::kZeroPoint, i, 127,
                       static_cast<uint32_t>(t.zero_point));
  }
  return Refusal::None();
}

Refusal Model::CheckOperation(uint32_t i) const {
  const format::Operation& op = operation(i);
  const uint32_t kind = static_cast<uint32_t>(op.kind);
  const uint32_t last = static_cast<uint32_t>(Kind::kDequantize);
  if (kind < 1 || kind > last) {
    return Refusal::Of(Flaw::kOperationKind, i, last, kind);
  }
  if (!Clamps(op.kind, op.activation)) {
    return Refusal::Of(Flaw::kActivation, i, kind,
                       static_cast<uint32_t>(op.activation));
  }
  if (op.output != i + 1) {
    return Refusal::Of(Flaw::kOutput, i, i + 1, op.output);
  }
  if (op.input > i) return Refusal::Of(Flaw::kInput, i, i, op.input);
  const bool adds = op.kind == Kind::kAdd;
  if (adds ? op.second > i : op.second != format::kAbsent) {
    return Refusal::Of(Flaw::kInput, i, adds ? i : format::kAbsent, op.second);
  }
  if (HasWeights(op.kind)) {
    if (op.layer >= layer_count() || layer(op.layer).operation != i) {
      return Refusal::Of(Flaw::kLayerLink, i, layer_count(), op.layer);
    }
  } else if (op.layer != format::kAbsent) {
    return Refusal::Of(Flaw::kLayerLink, i, format::kAbsent, op.layer);
  }
  if (!IsFinite(op.factor) || !IsFinite(op.summand)) {
    return Refusal::Of(Flaw::kFactor, i, 0, 0);
  }
  const Refusal refusal = CheckTypes(i);
  return refusal.ok() ? CheckOutputShape(i) : refusal;
}

Refusal Model::CheckTypes(uint32_t i) const {
  const format::Operation& op = operation(i);
  const format::Tensor& in = tensor(op.input);
  const format::Tensor& out = tensor(op.output);
  uint16_t from = in.type;
  uint16_t to = in.type;
  if (op.kind == Kind::kRescale) from = to = format::kFloat32;
  if (op.kind == Kind::kDequantize) {
    from = format::kInt8;
    to = format::kFloat32;
  }
  if (in.type != from) return Refusal::Of(Flaw::kTensorType, i, from, in.type);
  if (out.type != to) return Refusal::Of(Flaw::kTensorType, i, to, out.type);
  if (op.kind == Kind::kAdd && tensor(op.second).type != from) {
    return Refusal::Of(Flaw::kTensorType, i, from, tensor(op.second).type);
  }
  if (out.type == format::kFloat32 || HasWeights(op.kind)) {
    return Refusal::None();
  }
  if (op.kind == Kind::kAdd) {
    const float second = tensor(op.second).scale;
    const float largest = in.scale > second ? in.scale : second;
    const bool fits = largest / out.scale <= kMaxAddRatio;
    return fits ? Refusal::None() : Refusal::Of(Flaw::kScale, i, 0, 0);
  }
  // All others move numbers that stay as they are stored.
  if (in.scale != out.scale) return Refusal::Of(Flaw::kScale, i, 0, 0);
  if (in.zero_point != out.zero_point) {
    return Refusal::Of(Flaw::kZeroPoint, i,
                       static_cast<uint32_t>(in.zero_point),
                       static_cast<uint32_t>(out.zero_point));
  }
  return Refusal::None();
}

Refusal Model::CheckOutputShape(uint32_t i) const {
  const format::Operation& op = operation(i);
  const format::Tensor& in = tensor(op.input);
  const format::Tensor& out = tensor(op.output);
  uint32_t height = in.height;
  uint32_t width = in.width;
  uint32_t channels = in.channels;
  if (HasWindow(op.kind)) {
    if (!IsWindow(height, op.kernel_height, op.stride_down, op.top,
                  op.bottom)) {
      return Refusal::Of(Flaw::kWindow, i, height, op.kernel_height);
    }
    if (!IsWindow(width, op.kernel_width, op.stride_across, op.left,
                  op.right)) {
      return Refusal::Of(Flaw::kWindow, i, width, op.kernel_width);
    }
    height =
        Outputs(height, op.kernel_height, op.stride_down, op.top, op.bottom);
    width =
        Outputs(width, op.kernel_width, op.stride_across, op.left, op.right);
  }
  const uint32_t taps =
      static_cast<uint32_t>(op.kernel_height) * op.kernel_width;
  if (op.kind == Kind::kMaxPool && taps > format::kMaxPooled) {
    return Refusal::Of(Flaw::kWindow, i, format::kMaxPooled, taps);
  }
  if (op.kind == Kind::kDense && in.size() > format::kMaxChannels) {
    return Refusal::Of(Flaw::kWindow, i, format::kMaxChannels, in.size());
  }
  if (op.kind == Kind::kDense || op.kind == Kind::kGlobalAveragePool) {
    height = width = 1;
  }
  if (op.kind == Kind::kAdd) {
    const format::Tensor& second = tensor(op.second);
    if (second.height != height || second.width != width ||
        second.channels != channels) {
      return Refusal::Of(Flaw::kOutputShape, i, in.size(), second.size());
    }
  }
  // What a convolution or dense layer makes of the channels, its weights say.
  if (op.kind == Kind::kConv2D || op.kind == Kind::kDense) {
    channels = out.channels;
  }
  if (out.height != height || out.width != width || out.channels != channels) {
    return Refusal::Of(Flaw::kOutputShape, i, height * width * channels,
                       out.size());
  }
  return Refusal::None();
}

Refusal Model::CheckRead(uint32_t tensor) const {
  for (uint32_t i = tensor; i < operation_count(); ++i) {
    const format::Operation& op = operation(i);
    if (op.input == tensor || op.second == tensor) return Refusal::None();
  }
  return Refusal::Of(Flaw::kUnread, tensor, tensor, format::kAbsent);
}

bool Model::AreWeights(uint32_t offset, uint64_t bytes) const {
  const format::Section& weights = *sections_[kWeights];
  return offset >= weights.offset && offset % format::kSectionAlignment == 0 &&
         offset - weights.offset <= weights.size &&
         bytes <= weights.size - (offset - weights.offset);
}

Refusal Model::CheckLayer(uint32_t i) const {
  const format::Layer& l = layer(i);
  if (!IsName(l.name)) {
    return Refusal::Of(Flaw::kName, i, Count(kNames), l.name);
  }
  if (l.operation >= operation_count() || operation(l.operation).layer != i) {
    return Refusal::Of(Flaw::kLayerLink, i, operation_count(), l.operation);
  }
  const uint32_t least = i == 0 ? 0 : layer(i - 1).index + 1;
  if (l.index < least || l.index >= network().layer_count) {
    return Refusal::Of(Flaw::kLayerOrder, i, least, l.index);
  }
  if (i > 0 && l.operation <= layer(i - 1).operation) {
    return Refusal::Of(Flaw::kLayerOrder, i, layer(i - 1).operation + 1,
                       l.operation);
  }
  const format::Operation& op = operation(l.operation);
  const format::Tensor& in = tensor(op.input);
  const format::Tensor& out = tensor(op.output);
  if (l.type != in.type) {
    return Refusal::Of(Flaw::kWeightType, i, in.type, l.type);
  }
  uint32_t inputs = in.channels;
  if (op.kind == Kind::kDepthwiseConv2D) inputs = 0;
  if (op.kind == Kind::kDense) inputs = in.size();
  if (l.channels != out.channels) {
    return Refusal::Of(Flaw::kChannels, i, out.channels, l.channels);
  }
  if (l.inputs != inputs) {
    return Refusal::Of(Flaw::kChannels, i, inputs, l.inputs);
  }
  uint64_t of_channel = inputs == 0 ? 1 : inputs;
  if (op.kind != Kind::kDense) {
    of_channel *= static_cast<uint32_t>(op.kernel_height) * op.kernel_width;
  }
  if (l.channels * of_channel != l.weights) {
    return Refusal::Of(Flaw::kWeightCount, i,
                       static_cast<uint32_t>(l.channels * of_channel),
                       l.weights);
  }
  if (l.biases != 0 && l.biases != l.channels) {
    return Refusal::Of(Flaw::kWeightCount, i, l.channels, l.biases);
  }
  const Refusal refusal = CheckWeights(i);
  if (!refusal.ok()) return refusal;
  const uint64_t macs = static_cast<uint64_t>(l.weights) * out.positions();
  if (l.macs.value() != macs) {
    return Refusal::Of(Flaw::kMacs, i, static_cast<uint32_t>(macs), l.macs.low);
  }
  return Refusal::None();
}

// Where kernel, biases and factors lie, and what the latter are.
Refusal Model::CheckWeights(uint32_t i) const {
  const format::Layer& l = layer(i);
  const bool stored = l.type == format::kInt8;
  const uint32_t scales = stored ? l.channels : 0;
  if (l.scales != scales) {
    return Refusal::Of(Flaw::kWeightCount, i, scales, l.scales);
  }
  const uint32_t start = sections_[kWeights]->offset;
  const uint64_t size = stored ? sizeof(int8_t) : sizeof(float);
  if (!AreWeights(l.kernel, size * l.weights)) {
    return Refusal::Of(Flaw::kWeightPlace, i, start, l.kernel);
  }
  if (l.biases != 0 && !AreWeights(l.bias, uint64_t{4} * l.biases)) {
    return Refusal::Of(Flaw::kWeightPlace, i, start, l.bias);
  }
  if (!stored) return Refusal::None();
  if (!AreWeights(l.scale, uint64_t{9} * l.channels)) {
    return Refusal::Of(Flaw::kWeightPlace, i, start, l.scale);
  }
  return CheckFactors(i);
}

// The factors are input scale * weight scale / output scale, and neither they
// nor the accumulators leave what the kernels compute exactly.
Refusal Model::CheckFactors(uint32_t i) const {
  const format::Layer& l = layer(i);
  const format::Operation& op = operation(l.operation);
  const format::Tensor& in = tensor(op.input);
  const uint32_t above = static_cast<uint32_t>(127 - in.zero_point);
  const uint32_t below = static_cast<uint32_t>(128 + in.zero_point);
  const uint64_t products =
      uint64_t{l.weights / l.channels} * 128 * (above > below ? above : below);
  for (uint32_t c = 0; c < l.channels; ++c) {
    const float scale = scales(l)[c];
    if (!IsScale(scale)) return Refusal::Of(Flaw::kScale, i, 0, c);
    const int32_t multiplier = multipliers(l)[c];
    const int shift = shifts(l)[c];
    if (multiplier < 1 << 30 || shift < kLeastShift || shift > kMostShift) {
      return Refusal::Of(Flaw::kScale, i, 1, c);
    }
    const float factor = FactorOf(multiplier, shift);
    const float real = in.scale * scale / tensor(op.output).scale;
    if (!(real > factor * 0.9999f && real < factor * 1.0001f)) {
      return Refusal::Of(Flaw::kScale, i, 2, c);
    }
    uint64_t sum = products;
    if (l.biases != 0) {
      const int64_t bias = stored_bias(l)[c];
      sum += static_cast<uint64_t>(bias < 0 ? -bias : bias);
    }
    if (sum > (uint64_t{INT32_MAX} >> (shift > 0 ? shift : 0))) {
      return Refusal::Of(Flaw::kOverflow, i, INT32_MAX, c);
    }
  }
  return Refusal::None();
}

Refusal Model::CheckHead() const {
  const format::Head& h = head();
  const format::Tensor& map = features();
  const uint32_t kind = static_cast<uint32_t>(h.kind);
  const uint32_t embedding = static_cast<uint32_t>(h.embedding);
  if (map.type != format::kFloat32) {
    return Refusal::Of(Flaw::kTensorType, tensor_count() - 1, format::kFloat32,
                       map.type);
  }
  if (kind > 1) return Refusal::Of(Flaw::kHeadKind, 0, 1, kind);
  if (embedding > 2) return Refusal::Of(Flaw::kHeadKind, 1, 2, embedding);
  uint32_t depth = map.channels;
  if (h.embedding == format::Embedding::kFeatures) depth = map.size();
  if (h.embedding == format::Embedding::kPyramid) depth = 5 * map.channels;
  if (h.depth != depth) return Refusal::Of(Flaw::kDepth, 0, depth, h.depth);
  if (h.max_way < 2 || h.max_way > format::kMaxChannels ||
      h.max_way > format::kMaxSize / depth) {
    return Refusal::Of(Flaw::kWay, 0, format::kMaxSize / depth, h.max_way);
  }
  if (!IsPositive(h.scale)) return Refusal::Of(Flaw::kScale, 0, 0, 0);
  if (!IsPositive(h.vector_length)) return Refusal::Of(Flaw::kScale, 1, 0, 0);
  return Refusal::None();
}

Refusal Model::CheckTraining() const {
  const uint32_t cost_model = static_cast<uint32_t>(training().cost_model);
  const uint32_t criterion = static_cast<uint32_t>(training().criterion);
  if (cost_model > 1) return Refusal::Of(Flaw::kCriterion, 0, 1, cost_model);
  if (criterion > 1) return Refusal::Of(Flaw::kCriterion, 1, 1, criterion);
  uint64_t weights = 0;
  for (uint32_t i = 0; i < layer_count(); ++i) weights += layer(i).weights;
  if (training().weights == 0 || training().weights < weights) {
    return Refusal::Of(Flaw::kWeightCount, layer_count(),
                       static_cast<uint32_t>(weights), training().weights);
  }
  return Refusal::None();
}

Refusal Model::CheckChoice(uint32_t i) const {
  const format::Choice& c = choice(i);
  const uint32_t least = i == 0 ? 0 : choice(i - 1).layer + 1;
  if (c.layer < least || c.layer >= layer_count()) {
    return Refusal::Of(Flaw::kPlanLayer, i, least, c.layer);
  }
  const uint32_t indices_left =
      c.first > Count(kPlanIndices) ? 0 : Count(kPlanIndices) - c.first;
  if (c.count > indices_left) {
    return Refusal::Of(Flaw::kPlanIndices, i, indices_left, c.count);
  }
  const format::Layer& l = layer(c.layer);
  const uint32_t limit = c.flags & format::kByInput ? l.inputs : l.channels;
  if (c.flags > (format::kByInput | format::kEveryBias) ||
      (c.flags & format::kEveryBias && l.biases == 0)) {
    return Refusal::Of(Flaw::kPlanLayer, i, 0, c.flags);
  }
  uint32_t next = 0;
  for (uint32_t k = 0; k < c.count; ++k) {
    const uint32_t index = indices(c)[k];
    if (index < next || index >= limit) {
      return Refusal::Of(Flaw::kPlanIndices, i, next, index);
    }
    next = index + 1;
  }
  if (c.flags & format::kByInput && l.inputs == 0) {
    return Refusal::Of(Flaw::kPlanLayer, i, 0, c.flags);
  }
  return Refusal::None();
}

}  // namespace tinytrain
