#include "tinytrain/model.h"

#include "tinytrain/crc32.h"

namespace tinytrain {
namespace {

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
    {sizeof(float), false, true},      // Weights, as words.
};

}  // namespace

Status Refusal::status() const {
  switch (flaw) {
    case Flaw::kNone:
      return Status::Ok();
    case Flaw::kTruncated:
      return Status::TooSmall(expected, received);
    case Flaw::kMisaligned:
      return {Code::kMisaligned, expected, received, 0};
    case Flaw::kVersion:
      return {Code::kWrongVersion, expected, received, 0};
    case Flaw::kChecksum:
      return {Code::kCorrupt, expected, received, 0};
    default:
      return {Code::kBadFormat, expected, received, 0};
  }
}

Model::Model() : blob_(nullptr), sections_() {}

Refusal Model::Open(const void* bytes, size_t size) {
  blob_ = nullptr;
  const uint32_t over = reinterpret_cast<uintptr_t>(bytes) % 4;
  if (over != 0) return Refusal::Of(Flaw::kMisaligned, 0, 4, over);
  if (bytes == nullptr || size < sizeof(format::Header)) {
    const uint32_t received = bytes == nullptr ? 0 : size;
    return Refusal::Of(Flaw::kTruncated, 0, sizeof(format::Header), received);
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
    return Refusal::Of(Flaw::kMagic, 0, format::kMagic, h.magic);
  }
  if (h.byte_order != format::kByteOrder) {
    return Refusal::Of(Flaw::kByteOrder, 0, format::kByteOrder, h.byte_order);
  }
  if (h.major != format::kMajorVersion) {
    return Refusal::Of(Flaw::kVersion, 0, format::kMajorVersion, h.major);
  }
  if (h.size > size) {
    return Refusal::Of(Flaw::kTruncated, 0, h.size,
                       static_cast<uint32_t>(size));
  }
  if (h.header_size < sizeof(format::Header) || h.header_size % 4 != 0 ||
      h.header_size > h.size) {
    return Refusal::Of(Flaw::kHeader, 0, sizeof(format::Header), h.header_size);
  }
  const uint32_t crc = FileCrc(blob_, h.size);
  if (crc != h.crc) return Refusal::Of(Flaw::kChecksum, 0, h.crc, crc);
  return Refusal::None();
}

Refusal Model::FindSections() {
  const format::Header& h = header();
  const uint32_t rows =
      (h.size - h.header_size) / static_cast<uint32_t>(sizeof(format::Section));
  if (h.section_count > rows) {
    return Refusal::Of(Flaw::kHeader, 0, rows, h.section_count);
  }
  for (int i = 0; i < kKnownCount; ++i) sections_[i] = nullptr;
  const format::Section* table =
      reinterpret_cast<const format::Section*>(blob_ + h.header_size);
  uint32_t kind = 0;
  uint32_t end = h.header_size + h.section_count * sizeof(format::Section);
  for (uint32_t i = 0; i < h.section_count; ++i) {
    const format::Section& section = table[i];
    if (section.kind <= kind ||
        (section.kind > kKnownCount && section.kind < format::kIgnorable)) {
      return Refusal::Of(Flaw::kSectionKind, i, kind + 1, section.kind);
    }
    if (section.offset < end ||
        section.offset % format::kSectionAlignment != 0 ||
        section.offset > h.size) {
      return Refusal::Of(Flaw::kSectionPlace, i, end, section.offset);
    }
    const uint64_t size = static_cast<uint64_t>(section.count) * section.stride;
    if (size != section.size || section.size > h.size - section.offset) {
      return Refusal::Of(Flaw::kSectionSize, i, section.size,
                         h.size - section.offset);
    }
    kind = section.kind;
    end = section.offset + section.size;
    if (kind > kKnownCount) continue;
    const KnownSection& known = kKnown[kind - 1];
    const bool fits =
        known.grows ? section.stride >= known.stride && section.stride % 4 == 0
                    : section.stride == known.stride;
    if (!fits) {
      return Refusal::Of(Flaw::kSectionSize, i, known.stride, section.stride);
    }
    sections_[kind - 1] = &section;
  }
  for (uint32_t i = 0; i < kKnownCount; ++i) {
    if (kKnown[i].required && sections_[i] == nullptr) {
      return Refusal::Of(Flaw::kSectionKind, h.section_count, i + 1, 0);
    }
  }
  if (has_plan() != (sections_[kPlanIndices] != nullptr)) {
    return Refusal::Of(Flaw::kSectionKind, h.section_count,
                       format::kPlanIndexSection, format::kPlanSection);
  }
  return Refusal::None();
}

Refusal Model::CheckCounts() const {
  const Known once[] = {kNetwork, kHead, kTraining};
  for (Known section : once) {
    if (Count(section) != 1) {
      return Refusal::Of(Flaw::kCount, section + 1, 1, Count(section));
    }
  }
  if (operation_count() < 1 || operation_count() > format::kMaxOperations) {
    return Refusal::Of(Flaw::kCount, format::kOperationSection,
                       format::kMaxOperations, operation_count());
  }
  if (tensor_count() != operation_count() + 1) {
    return Refusal::Of(Flaw::kCount, format::kTensorSection,
                       operation_count() + 1, tensor_count());
  }
  if (layer_count() > operation_count()) {
    return Refusal::Of(Flaw::kCount, format::kLayerSection, operation_count(),
                       layer_count());
  }
  // A zero byte at the end of the section ends any name in it.
  if (Count(kNames) == 0 || At(kNames)[Count(kNames) - 1] != 0) {
    return Refusal::Of(Flaw::kName, 0, 1, Count(kNames));
  }
  if (network().input_kind > 1) {
    return Refusal::Of(Flaw::kInputKind, 0, 1, network().input_kind);
  }
  if (!IsName(network().name) || !IsName(network().cut)) {
    const uint32_t name =
        IsName(network().name) ? network().cut : network().name;
    return Refusal::Of(Flaw::kName, 0, Count(kNames), name);
  }
  return Refusal::None();
}

}  // namespace tinytrain
