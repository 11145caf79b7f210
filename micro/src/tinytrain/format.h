#ifndef TINYTRAIN_FORMAT_H_
#define TINYTRAIN_FORMAT_H_

#include <stddef.h>
#include <stdint.h>

// The records of docs/format.md, as they lie in blob and checkpoint.
// Little-endian machines read them in place; others refuse the byte order mark.
namespace tinytrain {
namespace format {

const uint32_t kMagic = 0x424E5454;  // "TTNB"
const uint32_t kByteOrder = 0x01020304;
const uint16_t kMajorVersion = 1;
const uint32_t kAbsent = 0xFFFFFFFF;
const uint64_t kNoLimit = 0xFFFFFFFFFFFFFFFF;
const uint32_t kSectionAlignment = 16;   // Of kernels and biases too.
const uint32_t kIgnorable = 0x80000000;  // Of the kinds of sections.
const uint32_t kMaxOperations = 4096;
const uint32_t kMaxSide = 16384;
const uint32_t kMaxChannels = 65535;
const uint32_t kMaxSize = 0x1FFFFFFF;  // Numbers of a tensor.
const uint32_t kMaxPooled = 256;       // Numbers of a window of kMaxPool.

// An 8-byte integer at a multiple of 4.
struct Uint64 {
  uint32_t low;
  uint32_t high;

  uint64_t value() const { return low | static_cast<uint64_t>(high) << 32; }
};

struct Header {
  uint32_t magic;
  uint16_t major;
  uint16_t minor;
  uint32_t byte_order;
  uint32_t size;  // Bytes of the blob.
  uint32_t crc;
  uint32_t header_size;
  Uint64 base;
  uint32_t section_count;
  uint32_t reserved[3];
};

struct Section {
  uint32_t kind;
  uint32_t offset;
  uint32_t size;
  uint32_t count;
  uint32_t stride;
};

enum SectionKind {
  kNetworkSection = 1,
  kTensorSection = 2,
  kOperationSection = 3,
  kLayerSection = 4,
  kNameSection = 5,
  kHeadSection = 6,
  kTrainingSection = 7,
  kPlanSection = 8,
  kPlanIndexSection = 9,
  kWeightSection = 10,
};

struct Network {
  uint32_t input_kind;  // 0 pixels, 1 features.
  uint32_t name;
  uint32_t cut;
  uint32_t layer_count;  // Of the whole network.
};

struct Tensor {
  uint32_t height;
  uint32_t width;
  uint32_t channels;
  uint16_t type;
  uint16_t reserved;
  float scale;
  int32_t zero_point;

  uint32_t positions() const { return height * width; }
  uint32_t size() const { return height * width * channels; }
};

const uint16_t kFloat32 = 0;
const uint16_t kInt8 = 1;

enum class Kind : uint16_t {
  kConv2D = 1,
  kDepthwiseConv2D = 2,
  kDense = 3,
  kAdd = 4,
  kGlobalAveragePool = 5,
  kAveragePool = 6,
  kMaxPool = 7,
  kActivation = 8,
  kRescale = 9,
  kDequantize = 10,
};

enum class Activation : uint16_t { kNone = 0, kRelu = 1, kRelu6 = 2 };

struct Operation {
  Kind kind;
  Activation activation;
  uint32_t input;
  uint32_t second;  // kAbsent but for kAdd.
  uint32_t output;
  uint32_t layer;  // kAbsent without weights.
  uint16_t kernel_height;
  uint16_t kernel_width;
  uint16_t stride_down;
  uint16_t stride_across;
  uint16_t top;  // Padding.
  uint16_t bottom;
  uint16_t left;
  uint16_t right;
  float factor;
  float summand;
};

const uint16_t kCandidate = 1;

struct Layer {
  uint32_t name;
  uint32_t index;  // In the whole network.
  uint32_t operation;
  uint16_t type;
  uint16_t flags;
  uint32_t channels;
  uint32_t inputs;  // 0 of a depthwise layer.
  uint32_t kernel;  // Offset.
  uint32_t weights;
  uint32_t bias;
  uint32_t biases;
  uint32_t scale;
  uint32_t scales;
  Uint64 macs;
  uint32_t input_bytes;
  uint32_t output_bytes;
};

enum class HeadKind : uint16_t { kPrototype = 0, kLinear = 1 };
enum class Embedding : uint16_t { kFeatures = 0, kMean = 1, kPyramid = 2 };

struct Head {
  HeadKind kind;
  Embedding embedding;
  uint32_t depth;
  uint32_t max_way;
  float scale;
  float vector_length;
};

enum class CostModel : uint16_t { kArena = 0, kPaper = 1 };
enum class Criterion : uint16_t { kEarliest = 0, kTinyTrain = 1 };

struct Training {
  CostModel cost_model;
  Criterion criterion;
  Uint64 memory_bytes;  // kNoLimit for none.
  Uint64 macs;          // kNoLimit for none.
  Uint64 full_macs;
  uint32_t peak_bytes;
  uint32_t most_weights;
  Uint64 most_macs;
  uint32_t weights;  // Of all kernels of the whole network.
};

const uint32_t kByInput = 1;
const uint32_t kEveryBias = 2;

struct Choice {
  uint32_t layer;
  uint32_t flags;
  uint32_t count;
  uint32_t first;  // In the section of plan indices.
};

const uint32_t kCheckpointMagic = 0x4B435454;  // "TTCK"

struct CheckpointHeader {
  uint32_t magic;
  uint16_t major;
  uint16_t minor;
  uint32_t byte_order;
  uint32_t size;  // Bytes of the checkpoint.
  uint32_t crc;
  uint32_t header_size;
  Uint64 base;
  uint32_t sequence;
  uint32_t layer_count;
  HeadKind head;
  Embedding embedding;
  uint32_t way;
  uint32_t depth;
  uint32_t vectors;  // Offset.
  uint32_t stride;
  uint32_t reserved;
};

struct SavedLayer {
  uint32_t index;  // In the whole network.
  uint16_t by_input;
  uint16_t reserved;
  uint32_t count;
  uint32_t biases;
  uint32_t weights;
  uint32_t indices;  // Offsets.
  uint32_t kernel;
  uint32_t bias;
};

static_assert(sizeof(Header) == 48, "docs/format.md");
static_assert(sizeof(Section) == 20, "docs/format.md");
static_assert(sizeof(Network) == 16, "docs/format.md");
static_assert(sizeof(Tensor) == 24, "docs/format.md");
static_assert(sizeof(Operation) == 44, "docs/format.md");
static_assert(sizeof(Layer) == 64, "docs/format.md");
static_assert(sizeof(Head) == 20, "docs/format.md");
static_assert(sizeof(Training) == 48, "docs/format.md");
static_assert(sizeof(Choice) == 16, "docs/format.md");
static_assert(sizeof(CheckpointHeader) == 64, "docs/format.md");
static_assert(sizeof(SavedLayer) == 32, "docs/format.md");
static_assert(offsetof(Header, base) == 24, "docs/format.md");
static_assert(offsetof(Operation, factor) == 36, "docs/format.md");
static_assert(offsetof(Layer, macs) == 48, "docs/format.md");

}  // namespace format
}  // namespace tinytrain

#endif  // TINYTRAIN_FORMAT_H_
