#include "tinytrain/model.h"

#include <string.h>

#include "tinytrain/crc32.h"

namespace tinytrain {
namespace {

using format::Kind;

Refusal Ok() {
  const Refusal refusal = {Flaw::kNone, 0, 0, 0};
  return refusal;
}

Refusal Refuse(Flaw flaw, uint32_t record, uint32_t expected,
               uint32_t received) {
  const Refusal refusal = {flaw, record, expected, received};
  return refusal;
}

// Stride of each known section, and whether it may be longer.
struct KnownSection {
  uint32_t stride;
  bool grows;
  bool required;
};

const KnownSection kKnown[] = {
    {sizeof(format::Network), true, true},
    {sizeof(format::Tensor), true, true},
    {sizeof(format::Operation), true, true},
    {sizeof(format::Layer), true, true},
    {1, false, true},  // Names.
    {sizeof(format::Head), true, true},
    {sizeof(format::Training), true, true},
    {sizeof(format::Choice), true, false},
    {sizeof(uint16_t), false, false},  // Plan indices.
    {sizeof(float), false, true},      // Weights.
};

// By its bits, which -ffast-math does not reason away.
bool IsFinite(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof(bits));
  return (bits & 0x7F800000) != 0x7F800000;
}

bool IsPositive(float value) { return IsFinite(value) && value > 0.0f; }

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
bool IsWindow(uint32_t input, uint32_t kernel, uint32_t stride,
              uint32_t before, uint32_t after) {
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

Model::Model() : blob_(nullptr), sections_() {}

Refusal Model::Open(const void* bytes, size_t size) {
  blob_ = nullptr;
  const uint32_t over = reinterpret_cast<uintptr_t>(bytes) % 4;
  if (over != 0) return Refuse(Flaw::kMisaligned, 0, 4, over);
  if (bytes == nullptr || size < sizeof(format::Header)) {
    const uint32_t received = bytes == nullptr ? 0 : size;
    return Refuse(Flaw::kTruncated, 0, sizeof(format::Header), received);
  }
  blob_ = static_cast<const uint8_t*>(bytes);
  const Refusal refusal = CheckAll(size);
  if (!refusal.ok()) blob_ = nullptr;
  return refusal;
}

Refusal Model::CheckAll(size_t size) {
  Refusal refusal = CheckHeader(size);
  if (refusal.ok()) refusal = FindSections();
  if (refusal.ok()) refusal = CheckCounts();
  for (uint32_t i = 0; refusal.ok() && i < tensor_count(); ++i) {
    refusal = CheckTensor(i);
  }
  for (uint32_t i = 0; refusal.ok() && i < operation_count(); ++i) {
    refusal = CheckOperation(i);
  }
  for (uint32_t i = 0; refusal.ok() && i + 1 < tensor_count(); ++i) {
    refusal = CheckRead(i);
  }
  for (uint32_t i = 0; refusal.ok() && i < layer_count(); ++i) {
    refusal = CheckLayer(i);
  }
  if (refusal.ok()) refusal = CheckHead();
  if (refusal.ok()) refusal = CheckTraining();
  for (uint32_t i = 0; refusal.ok() && i < choice_count(); ++i) {
    refusal = CheckChoice(i);
  }
  return refusal;
}

Refusal Model::CheckHeader(size_t size) const {
  const format::Header& h = header();
  if (h.magic != format::kMagic) {
    return Refuse(Flaw::kMagic, 0, format::kMagic, h.magic);
  }
  if (h.byte_order != format::kByteOrder) {
    return Refuse(Flaw::kByteOrder, 0, format::kByteOrder, h.byte_order);
  }
  if (h.major != format::kMajorVersion) {
    return Refuse(Flaw::kVersion, 0, format::kMajorVersion, h.major);
  }
  if (h.size > size) {
    return Refuse(Flaw::kTruncated, 0, h.size, static_cast<uint32_t>(size));
  }
  if (h.header_size < sizeof(format::Header) || h.header_size % 4 != 0 ||
      h.header_size > h.size) {
    return Refuse(Flaw::kHeader, 0, sizeof(format::Header), h.header_size);
  }
  const uint32_t crc = FileCrc(blob_, h.size);
  if (crc != h.crc) return Refuse(Flaw::kChecksum, 0, h.crc, crc);
  return Ok();
}

Refusal Model::FindSections() {
  const format::Header& h = header();
  const uint32_t rows =
      (h.size - h.header_size) / static_cast<uint32_t>(sizeof(format::Section));
  if (h.section_count > rows) {
    return Refuse(Flaw::kHeader, 0, rows, h.section_count);
  }
  for (int i = 0; i < kKnownCount; ++i) sections_[i] = nullptr;
  const format::Section* table =
      reinterpret_cast<const format::Section*>(blob_ + h.header_size);
  uint32_t kind = 0;
  uint32_t end = h.header_size + h.section_count * sizeof(format::Section);
  for (uint32_t i = 0; i < h.section_count; ++i) {
    const format::Section& section = table[i];
    if (section.kind <= kind || (section.kind > kKnownCount &&
                                 section.kind < format::kIgnorable)) {
      return Refuse(Flaw::kSectionKind, i, kind + 1, section.kind);
    }
    if (section.offset < end ||
        section.offset % format::kSectionAlignment != 0 ||
        section.offset > h.size) {
      return Refuse(Flaw::kSectionPlace, i, end, section.offset);
    }
    const uint64_t size = static_cast<uint64_t>(section.count) * section.stride;
    if (size != section.size || section.size > h.size - section.offset) {
      return Refuse(Flaw::kSectionSize, i, section.size,
                    h.size - section.offset);
    }
    kind = section.kind;
    end = section.offset + section.size;
    if (kind > kKnownCount) continue;
    const KnownSection& known = kKnown[kind - 1];
    const bool fits = known.grows ? section.stride >= known.stride &&
                                        section.stride % 4 == 0
                                  : section.stride == known.stride;
    if (!fits) {
      return Refuse(Flaw::kSectionSize, i, known.stride, section.stride);
    }
    sections_[kind - 1] = &section;
  }
  for (uint32_t i = 0; i < kKnownCount; ++i) {
    if (kKnown[i].required && sections_[i] == nullptr) {
      return Refuse(Flaw::kSectionKind, h.section_count, i + 1, 0);
    }
  }
  if (has_plan() != (sections_[kPlanIndices] != nullptr)) {
    return Refuse(Flaw::kSectionKind, h.section_count,
                  format::kPlanIndexSection, format::kPlanSection);
  }
  return Ok();
}

Refusal Model::CheckCounts() const {
  const Known once[] = {kNetwork, kHead, kTraining};
  for (Known section : once) {
    if (Count(section) != 1) {
      return Refuse(Flaw::kCount, section + 1, 1, Count(section));
    }
  }
  if (operation_count() < 1 || operation_count() > format::kMaxOperations) {
    return Refuse(Flaw::kCount, format::kOperationSection,
                  format::kMaxOperations, operation_count());
  }
  if (tensor_count() != operation_count() + 1) {
    return Refuse(Flaw::kCount, format::kTensorSection, operation_count() + 1,
                  tensor_count());
  }
  if (layer_count() > operation_count()) {
    return Refuse(Flaw::kCount, format::kLayerSection, operation_count(),
                  layer_count());
  }
  // A zero byte at the end of the section ends any name in it.
  if (Count(kNames) == 0 || At(kNames)[Count(kNames) - 1] != 0) {
    return Refuse(Flaw::kName, 0, 1, Count(kNames));
  }
  if (network().input_kind > 1) {
    return Refuse(Flaw::kInputKind, 0, 1, network().input_kind);
  }
  if (!IsName(network().name) || !IsName(network().cut)) {
    const uint32_t name =
        IsName(network().name) ? network().cut : network().name;
    return Refuse(Flaw::kName, 0, Count(kNames), name);
  }
  return Ok();
}

Refusal Model::CheckTensor(uint32_t i) const {
  const format::Tensor& t = tensor(i);
  const uint32_t sides[] = {t.height, t.width};
  for (uint32_t side : sides) {
    if (side < 1 || side > format::kMaxSide) {
      return Refuse(Flaw::kTensorShape, i, format::kMaxSide, side);
    }
  }
  if (t.channels < 1 || t.channels > format::kMaxChannels) {
    return Refuse(Flaw::kTensorShape, i, format::kMaxChannels, t.channels);
  }
  if (t.channels > format::kMaxSize / t.positions()) {
    return Refuse(Flaw::kTensorShape, i, format::kMaxSize / t.positions(),
                  t.channels);
  }
  if (t.type != format::kFloat32) {
    return Refuse(Flaw::kTensorType, i, format::kFloat32, t.type);
  }
  return Ok();
}

Refusal Model::CheckOperation(uint32_t i) const {
  const format::Operation& op = operation(i);
  const uint32_t kind = static_cast<uint32_t>(op.kind);
  const uint32_t last = static_cast<uint32_t>(Kind::kRescale);
  if (kind < 1 || kind > last) {
    return Refuse(Flaw::kOperationKind, i, last, kind);
  }
  if (!Clamps(op.kind, op.activation)) {
    return Refuse(Flaw::kActivation, i, kind,
                  static_cast<uint32_t>(op.activation));
  }
  if (op.output != i + 1) return Refuse(Flaw::kOutput, i, i + 1, op.output);
  if (op.input > i) return Refuse(Flaw::kInput, i, i, op.input);
  const bool adds = op.kind == Kind::kAdd;
  if (adds ? op.second > i : op.second != format::kAbsent) {
    return Refuse(Flaw::kInput, i, adds ? i : format::kAbsent, op.second);
  }
  if (HasWeights(op.kind)) {
    if (op.layer >= layer_count() || layer(op.layer).operation != i) {
      return Refuse(Flaw::kLayerLink, i, layer_count(), op.layer);
    }
  } else if (op.layer != format::kAbsent) {
    return Refuse(Flaw::kLayerLink, i, format::kAbsent, op.layer);
  }
  if (!IsFinite(op.factor) || !IsFinite(op.summand)) {
    return Refuse(Flaw::kFactor, i, 0, 0);
  }
  return CheckOutputShape(i);
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
      return Refuse(Flaw::kWindow, i, height, op.kernel_height);
    }
    if (!IsWindow(width, op.kernel_width, op.stride_across, op.left,
                  op.right)) {
      return Refuse(Flaw::kWindow, i, width, op.kernel_width);
    }
    height = Outputs(height, op.kernel_height, op.stride_down, op.top,
                     op.bottom);
    width = Outputs(width, op.kernel_width, op.stride_across, op.left,
                    op.right);
  }
  if (op.kind == Kind::kDense || op.kind == Kind::kGlobalAveragePool) {
    height = width = 1;
  }
  if (op.kind == Kind::kAdd) {
    const format::Tensor& second = tensor(op.second);
    if (second.height != height || second.width != width ||
        second.channels != channels) {
      return Refuse(Flaw::kOutputShape, i, in.size(), second.size());
    }
  }
  // What a convolution or dense layer makes of the channels, its weights say.
  if (op.kind == Kind::kConv2D || op.kind == Kind::kDense) {
    channels = out.channels;
  }
  if (op.kind == Kind::kDepthwiseConv2D) {
    if (out.channels % channels != 0) {
      return Refuse(Flaw::kChannels, i, channels, out.channels);
    }
    channels = out.channels;
  }
  if (out.height != height || out.width != width || out.channels != channels) {
    return Refuse(Flaw::kOutputShape, i, height * width * channels,
                  out.size());
  }
  return Ok();
}

Refusal Model::CheckRead(uint32_t tensor) const {
  for (uint32_t i = tensor; i < operation_count(); ++i) {
    const format::Operation& op = operation(i);
    if (op.input == tensor || op.second == tensor) return Ok();
  }
  return Refuse(Flaw::kUnread, tensor, tensor, format::kAbsent);
}

bool Model::AreWeights(uint32_t offset, uint32_t count) const {
  const format::Section& weights = *sections_[kWeights];
  return offset >= weights.offset &&
         offset % format::kSectionAlignment == 0 &&
         offset - weights.offset <= weights.size &&
         count <= (weights.size - (offset - weights.offset)) / sizeof(float);
}

Refusal Model::CheckLayer(uint32_t i) const {
  const format::Layer& l = layer(i);
  if (!IsName(l.name)) return Refuse(Flaw::kName, i, Count(kNames), l.name);
  if (l.operation >= operation_count() || operation(l.operation).layer != i) {
    return Refuse(Flaw::kLayerLink, i, operation_count(), l.operation);
  }
  const uint32_t least = i == 0 ? 0 : layer(i - 1).index + 1;
  if (l.index < least || l.index >= network().layer_count) {
    return Refuse(Flaw::kLayerOrder, i, least, l.index);
  }
  if (i > 0 && l.operation <= layer(i - 1).operation) {
    return Refuse(Flaw::kLayerOrder, i, layer(i - 1).operation + 1,
                  l.operation);
  }
  if (l.type != format::kFloat32) {
    return Refuse(Flaw::kWeightType, i, format::kFloat32, l.type);
  }
  const format::Operation& op = operation(l.operation);
  const format::Tensor& in = tensor(op.input);
  const format::Tensor& out = tensor(op.output);
  uint32_t inputs = in.channels;
  if (op.kind == Kind::kDepthwiseConv2D) inputs = 0;
  if (op.kind == Kind::kDense) inputs = in.size();
  if (l.channels != out.channels) {
    return Refuse(Flaw::kChannels, i, out.channels, l.channels);
  }
  if (l.inputs != inputs) return Refuse(Flaw::kChannels, i, inputs, l.inputs);
  uint64_t of_channel = inputs == 0 ? 1 : inputs;
  if (op.kind != Kind::kDense) {
    of_channel *= static_cast<uint32_t>(op.kernel_height) * op.kernel_width;
  }
  if (l.channels * of_channel != l.weights) {
    return Refuse(Flaw::kWeightCount, i,
                  static_cast<uint32_t>(l.channels * of_channel), l.weights);
  }
  if (l.biases != 0 && l.biases != l.channels) {
    return Refuse(Flaw::kWeightCount, i, l.channels, l.biases);
  }
  if (l.scales != 0) return Refuse(Flaw::kWeightCount, i, 0, l.scales);
  if (!AreWeights(l.kernel, l.weights)) {
    return Refuse(Flaw::kWeightPlace, i, sections_[kWeights]->offset,
                  l.kernel);
  }
  if (l.biases != 0 && !AreWeights(l.bias, l.biases)) {
    return Refuse(Flaw::kWeightPlace, i, sections_[kWeights]->offset, l.bias);
  }
  const uint64_t macs = static_cast<uint64_t>(l.weights) * out.positions();
  if (l.macs.value() != macs) {
    return Refuse(Flaw::kMacs, i, static_cast<uint32_t>(macs), l.macs.low);
  }
  return Ok();
}

Refusal Model::CheckHead() const {
  const format::Head& h = head();
  const format::Tensor& map = features();
  const uint32_t kind = static_cast<uint32_t>(h.kind);
  const uint32_t embedding = static_cast<uint32_t>(h.embedding);
  if (kind > 1) return Refuse(Flaw::kHeadKind, 0, 1, kind);
  if (embedding > 2) return Refuse(Flaw::kHeadKind, 1, 2, embedding);
  uint32_t depth = map.channels;
  if (h.embedding == format::Embedding::kFeatures) depth = map.size();
  if (h.embedding == format::Embedding::kPyramid) depth = 5 * map.channels;
  if (h.depth != depth) return Refuse(Flaw::kDepth, 0, depth, h.depth);
  if (h.max_way < 2 || h.max_way > format::kMaxChannels ||
      h.max_way > format::kMaxSize / depth) {
    return Refuse(Flaw::kWay, 0, format::kMaxSize / depth, h.max_way);
  }
  if (!IsPositive(h.scale)) return Refuse(Flaw::kScale, 0, 0, 0);
  if (!IsPositive(h.vector_length)) return Refuse(Flaw::kScale, 1, 0, 0);
  return Ok();
}

Refusal Model::CheckTraining() const {
  const uint32_t cost_model = static_cast<uint32_t>(training().cost_model);
  const uint32_t criterion = static_cast<uint32_t>(training().criterion);
  if (cost_model > 1) return Refuse(Flaw::kCriterion, 0, 1, cost_model);
  if (criterion > 1) return Refuse(Flaw::kCriterion, 1, 1, criterion);
  return Ok();
}

Refusal Model::CheckChoice(uint32_t i) const {
  const format::Choice& c = choice(i);
  const uint32_t least = i == 0 ? 0 : choice(i - 1).layer + 1;
  if (c.layer < least || c.layer >= layer_count()) {
    return Refuse(Flaw::kPlanLayer, i, least, c.layer);
  }
  const uint32_t indices_left =
      c.first > Count(kPlanIndices) ? 0 : Count(kPlanIndices) - c.first;
  if (c.count > indices_left) {
    return Refuse(Flaw::kPlanIndices, i, indices_left, c.count);
  }
  const format::Layer& l = layer(c.layer);
  const uint32_t limit = c.flags & format::kByInput ? l.inputs : l.channels;
  if (c.flags & format::kEveryBias && l.biases == 0) {
    return Refuse(Flaw::kPlanLayer, i, 0, c.flags);
  }
  uint32_t next = 0;
  for (uint32_t k = 0; k < c.count; ++k) {
    const uint32_t index = indices(c)[k];
    if (index < next || index >= limit) {
      return Refuse(Flaw::kPlanIndices, i, next, index);
    }
    next = index + 1;
  }
  return Ok();
}

}  // namespace tinytrain
