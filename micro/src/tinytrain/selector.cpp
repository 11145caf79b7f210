#include "tinytrain/selector.h"

#include <string.h>

#include "tinytrain/arena.h"
#include "tinytrain/finite.h"
#include "tinytrain/heap_sort.h"

namespace tinytrain {
namespace {

using format::Layer;

// Of the paper's cost model: value, gradient and Adam's two moments.
const uint32_t kBytesPerWeight = 16;

// How many costs of `each` fit into `room`, at most `most`. Without the
// library's division of 64 bits, which would be a quarter of the code of this
// file.
uint16_t HowMany(uint32_t most, uint64_t each, uint64_t room) {
  uint32_t count = 0;
  for (int k = 15; k >= 0; --k) {
    const uint32_t more = uint32_t{1} << k;
    const uint64_t cost = each << k;
    if (cost >> k != each || cost > room || count + more > most) continue;
    room -= cost;
    count += more;
  }
  return static_cast<uint16_t>(count);
}

uint32_t Narrow(uint64_t number) {
  return number < UINT32_MAX ? static_cast<uint32_t>(number) : UINT32_MAX;
}

bool IsCandidate(const Layer& layer) {
  return (layer.flags & format::kCandidate) != 0;
}

uint32_t CandidateChannels(const Model& model) {
  uint32_t channels = 0;
  for (uint32_t i = 0; i < model.layer_count(); ++i) {
    if (IsCandidate(model.layer(i))) channels += model.layer(i).channels;
  }
  return channels;
}

// What `work` holds. Counts and channels become the selection.
struct Tables {
  uint16_t* counts;    // (layers) of the plan that is tried.
  uint16_t* channels;  // (candidate channels) best first inside a layer.
  double* merits;      // (layers)
  uint32_t* places;    // (layers) of a candidate's first channel and score.
  uint16_t* best;      // (layers) counts.
  uint16_t* order;     // (layers) those that may train, best first.
};

// Sets the tables, or only counts the bytes when `work` is null.
uint64_t SetTables(const Model& model, uint8_t* work, Tables* tables) {
  const uint64_t layers = model.layer_count();
  uint64_t offsets[] = {0, layers * sizeof(uint16_t), 0, 0, 0, 0, 0};
  offsets[2] = offsets[1] + CandidateChannels(model) * sizeof(uint16_t);
  offsets[2] = (offsets[2] + kAlignment - 1) / kAlignment * kAlignment;
  offsets[3] = offsets[2] + layers * sizeof(double);
  offsets[4] = offsets[3] + layers * sizeof(uint32_t);
  offsets[5] = offsets[4] + layers * sizeof(uint16_t);
  offsets[6] = offsets[5] + layers * sizeof(uint16_t);
  if (work != nullptr) {
    tables->counts = reinterpret_cast<uint16_t*>(work + offsets[0]);
    tables->channels = reinterpret_cast<uint16_t*>(work + offsets[1]);
    tables->merits = reinterpret_cast<double*>(work + offsets[2]);
    tables->places = reinterpret_cast<uint32_t*>(work + offsets[3]);
    tables->best = reinterpret_cast<uint16_t*>(work + offsets[4]);
    tables->order = reinterpret_cast<uint16_t*>(work + offsets[5]);
  }
  return offsets[6];
}

struct BetterChannel {
  const float* scores;
  bool operator()(uint16_t a, uint16_t b) const {
    return scores[a] != scores[b] ? scores[a] > scores[b] : a < b;
  }
};

struct BetterLayer {
  const double* merits;
  bool operator()(uint16_t a, uint16_t b) const {
    return merits[a] != merits[b] ? merits[a] > merits[b] : a < b;
  }
};

struct Ascending {
  bool operator()(uint16_t a, uint16_t b) const { return a < b; }
};

class Selector {
 public:
  Selector(const Model& model, const Setup& setup, const float* scores,
           const Tables& tables)
      : model_(model),
        training_(model.training()),
        setup_(setup),
        scores_(scores),
        tables_(tables),
        order_size_(0) {}

  Status Run() {
    Status status = CheckScores();
    if (!status.ok()) return status;
    Rank();
    if (order_size_ == 0) return Status::Error(Code::kBadArgument);
    if (!FindBest(Worth::kCriterion) && !FindBest(Worth::kNothing)) {
      return TooSmall();
    }
    Compact();
    return Status::Ok();
  }

 private:
  enum class Worth { kCriterion, kNothing };

  const Layer& layer(uint32_t row) const { return model_.layer(row); }
  bool IsPublished() const {
    return training_.criterion == format::Criterion::kTinyTrain;
  }
  bool MayTrain(const Layer& layer) const {
    return IsCandidate(layer) && (IsPublished() || layer.inputs > 0);
  }

  Status CheckScores() const {
    const uint32_t count = CandidateChannels(model_);
    if (!AllFinite(scores_, count)) return Status::Error(Code::kNotFinite);
    for (uint32_t i = 0; i < count; ++i) {
      if (scores_[i] < 0.0f) return Status::Error(Code::kBadArgument);
    }
    return Status::Ok();
  }

  // Sorts the channels inside each candidate layer, then the layers.
  void Rank() {
    uint32_t place = 0;
    for (uint32_t row = 0; row < model_.layer_count(); ++row) {
      if (!IsCandidate(layer(row))) continue;
      const uint32_t count = layer(row).channels;
      uint16_t* channels = tables_.channels + place;
      for (uint32_t c = 0; c < count; ++c) {
        channels[c] = static_cast<uint16_t>(c);
      }
      const BetterChannel better = {scores_ + place};
      HeapSort(channels, count, better);
      tables_.places[row] = place;
      tables_.merits[row] = Merit(layer(row), scores_ + place);
      place += count;
      if (!MayTrain(layer(row))) continue;
      tables_.order[order_size_++] = static_cast<uint16_t>(row);
    }
    const BetterLayer better = {tables_.merits};
    if (IsPublished()) HeapSort(tables_.order, order_size_, better);
  }

  // The published criterion, in the order of operations of selection.py, so
  // that ties are the same ones. No product is added, so nothing is fused.
  double Merit(const Layer& layer, const float* scores) const {
    double potential = 0.0;
    for (uint32_t c = 0; c < layer.channels; ++c) potential += scores[c];
    const double weights =
        static_cast<double>(layer.weights) / training_.most_weights;
    const double macs = static_cast<double>(layer.macs.value()) /
                        static_cast<double>(training_.most_macs.value());
    return potential / (weights * macs);
  }

  uint64_t ChannelMacs(const Layer& layer) const {
    const uint32_t output = model_.operation(layer.operation).output;
    return uint64_t{layer.weights / layer.channels} *
           model_.tensor(output).positions();
  }

  // MACs of the input gradients back to a layer.
  uint64_t ChainMacs(uint32_t row) const {
    uint64_t macs = 0;
    while (++row < model_.layer_count()) macs += layer(row).macs.value();
    return macs;
  }

  // The same with what is paid before any channel: of the network's first layer
  // the gradient of the image is counted too.
  uint64_t StartMacs(uint32_t row) const {
    const bool is_first = layer(row).index == 0;
    return ChainMacs(row) + (is_first ? layer(row).macs.value() : 0);
  }

  // Bytes of training the layers of `tables_.counts`, but for their channels.
  uint64_t Fixed() const {
    if (training_.cost_model == format::CostModel::kPaper) {
      return training_.peak_bytes;
    }
    const Parts parts = {tables_.counts, nullptr};
    return FixedBytes(model_, setup_, parts);
  }

  uint64_t Each(uint32_t row) const {
    if (training_.cost_model == format::CostModel::kPaper) {
      return kBytesPerWeight * (layer(row).weights / layer(row).channels);
    }
    return ChannelBytes(model_, setup_, row);
  }

  // Returns how many channels of a layer fit besides what is taken.
  uint16_t Room(uint32_t row, uint64_t bytes, uint64_t macs) {
    const uint64_t limit = training_.memory_bytes.value();
    const uint64_t macs_limit = training_.macs.value();
    if (macs > macs_limit) return 0;
    tables_.counts[row] = 1;
    bytes += Fixed();
    tables_.counts[row] = 0;
    if (bytes > limit) return 0;
    const uint16_t room =
        HowMany(layer(row).channels, Each(row), limit - bytes);
    return HowMany(room, ChannelMacs(layer(row)), macs_limit - macs);
  }

  void ClearCounts() {
    memset(tables_.counts, 0, model_.layer_count() * sizeof(uint16_t));
  }

  // Takes channels in order, of layers from `first` on or of `first` alone,
  // until one does not fit. Returns whether there is any.
  bool Fill(uint32_t first, bool is_alone) {
    ClearCounts();
    uint64_t bytes = 0;
    uint64_t macs = StartMacs(first);
    bool is_any = false;
    for (uint32_t i = 0; i < order_size_; ++i) {
      const uint32_t row = tables_.order[i];
      if (is_alone ? row != first : row < first) continue;
      const uint16_t count = Room(row, bytes, macs);
      tables_.counts[row] = count;
      is_any = is_any || count > 0;
      if (count < layer(row).channels) break;
      bytes += count * Each(row);
      macs += count * ChannelMacs(layer(row));
    }
    return is_any;
  }

  // Returns what `tables_.counts` is worth: numbers that compare as it does.
  uint64_t WorthOfCounts() const {
    if (IsPublished()) return WorthOfScores();
    uint64_t worth = 0;
    for (uint32_t i = 0; i < order_size_; ++i) {
      const uint32_t row = tables_.order[i];
      if (tables_.counts[row] == 0) continue;
      worth += tables_.counts[row] * ChannelMacs(layer(row)) * ChainMacs(row);
    }
    return worth;
  }

  uint64_t WorthOfScores() const {
    double sum = 0.0;
    for (uint32_t i = 0; i < order_size_; ++i) {
      const uint32_t row = tables_.order[i];
      const uint32_t place = tables_.places[row];
      const uint16_t* ranked = tables_.channels + place;
      for (uint32_t k = 0; k < tables_.counts[row]; ++k) {
        sum += scores_[place + ranked[k]];
      }
    }
    // Of numbers from 0 on, the bits have the order of the values.
    uint64_t bits;
    memcpy(&bits, &sum, sizeof(bits));
    return bits;
  }

  // Writes the counts of the best candidate to `tables_.best`. Worth nothing,
  // the first one is the best. Returns whether there is any.
  bool FindBest(Worth worth) {
    bool is_found = false;
    uint64_t most = 0;
    for (uint32_t row = 0; row < model_.layer_count(); ++row) {
      const bool narrows = layer(row).channels < layer(row).inputs;
      if (!MayTrain(layer(row)) ||
          (narrows && worth == Worth::kCriterion && !IsPublished())) {
        continue;
      }
      for (int alone = 0; alone < 2; ++alone) {
        if (!Fill(row, alone == 1)) continue;
        const uint64_t total = worth == Worth::kNothing ? 0 : WorthOfCounts();
        if (is_found && total <= most) continue;
        is_found = true;
        most = total;
        memcpy(tables_.best, tables_.counts,
               model_.layer_count() * sizeof(uint16_t));
      }
    }
    return is_found;
  }

  // Says which budget would do for one channel.
  Status TooSmall() {
    uint64_t bytes = UINT64_MAX;
    uint64_t macs = UINT64_MAX;
    for (uint32_t i = 0; i < order_size_; ++i) {
      const uint32_t row = tables_.order[i];
      ClearCounts();
      tables_.counts[row] = 1;
      const uint64_t own_bytes = Fixed() + Each(row);
      const uint64_t own_macs = StartMacs(row) + ChannelMacs(layer(row));
      if (own_bytes < bytes) bytes = own_bytes;
      if (own_bytes <= training_.memory_bytes.value() && own_macs < macs) {
        macs = own_macs;
      }
    }
    const bool fits = bytes <= training_.memory_bytes.value();
    const uint64_t needed = fits ? macs : bytes;
    const uint64_t given =
        fits ? training_.macs.value() : training_.memory_bytes.value();
    Status status = Status::TooSmall(Narrow(needed), Narrow(given));
    status.code = fits ? Code::kMacsBudget : Code::kMemoryBudget;
    return status;
  }

  // Leaves the channels of the best candidate, rising.
  void Compact() {
    uint16_t* to = tables_.channels;
    for (uint32_t row = 0; row < model_.layer_count(); ++row) {
      const uint16_t count = tables_.best[row];
      tables_.counts[row] = count;
      if (count == 0) continue;
      memmove(to, tables_.channels + tables_.places[row],
              count * sizeof(uint16_t));
      HeapSort(to, count, Ascending());
      to += count;
    }
  }

  const Model& model_;
  const format::Training& training_;
  const Setup& setup_;
  const float* const scores_;
  const Tables tables_;
  uint32_t order_size_;
};

}  // namespace

uint64_t SelectorBytes(const Model& model) {
  return SetTables(model, nullptr, nullptr);
}

Status Select(const Model& model, const Setup& setup, const float* scores,
              void* work, size_t work_bytes, Selection* selection) {
  Status status = CheckSetup(model, setup);
  if (!status.ok()) return status;
  Arena arena;
  status = arena.Init(work, work_bytes);
  if (!status.ok()) return status;
  const uint64_t bytes = SelectorBytes(model);
  if (bytes > work_bytes) {
    return Status::TooSmall(Narrow(bytes), Narrow(work_bytes));
  }
  Tables tables;
  SetTables(model, static_cast<uint8_t*>(work), &tables);
  status = Selector(model, setup, scores, tables).Run();
  if (!status.ok()) return status;
  selection->parts.counts = tables.counts;
  selection->parts.kinds = nullptr;
  selection->channels = tables.channels;
  return Status::Ok();
}

}  // namespace tinytrain
