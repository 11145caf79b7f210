#include "tinytrain/serial_session.h"

#include <string.h>

#include "tinytrain/checkpoint.h"
#include "tinytrain/selector.h"

namespace tinytrain {
namespace {

const uint32_t kStatusBytes = 16;
const uint32_t kAboutBytes = 40;

// Flags of `kAbout`.
const uint16_t kLasts = 1;
const uint16_t kPredicts = 2;

Status BadArgument() { return Status::Error(Code::kBadArgument); }

uint32_t Limited(size_t bytes) {
  return bytes < UINT32_MAX ? static_cast<uint32_t>(bytes) : UINT32_MAX;
}

// Whether doing it again would be a second time.
bool IsOnce(Request request) {
  switch (request) {
    case Request::kObserve:
    case Request::kScore:
    case Request::kAccumulate:
    case Request::kUpdate:
    case Request::kRevisit:
    case Request::kSettle:
      return true;
    default:
      return false;
  }
}

Request RequestOf(const Frame& frame) {
  return static_cast<Request>(frame.type & ~kOfKept);
}

}  // namespace

SerialSession::SerialSession(const Model& model, const SessionMemory& memory,
                             const SessionStorage& storage,
                             const ByteSink& sink)
    : model_(model),
      memory_(memory),
      storage_(storage),
      sink_(sink),
      reader_(memory.payload, memory.payload_bytes),
      setup_(),
      kept_count_(0),
      kept_size_(0),
      last_(),
      last_status_(Status::Ok()),
      result_() {}

void SerialSession::Take(uint8_t byte) {
  switch (reader_.Take(byte)) {
    case FrameEvent::kNone:
      return;
    case FrameEvent::kRefused:
      return Refuse(reader_.status());
    case FrameEvent::kFrame:
      break;
  }
  const Frame& frame = reader_.frame();
  if (!Repeats(frame)) {
    last_status_ = Do(RequestOf(frame), frame);
    last_ = frame;
  }
  Answer(frame, last_status_);
}

Status SerialSession::Restore() {
  Checkpoint checkpoint;
  Status status = checkpoint.Open(model_, storage_.storage);
  if (!status.ok()) return status;
  status = Init(static_cast<uint16_t>(checkpoint.way()), 0.0f);
  return status.ok() ? trainer_.Load(storage_.storage) : status;
}

// A host that has missed an answer asks again with the same number.
bool SerialSession::Repeats(const Frame& frame) const {
  return frame.number != 0 && frame.number == last_.number &&
         frame.type == last_.type && IsOnce(RequestOf(frame));
}

Status SerialSession::Do(Request request, const Frame& frame) {
  switch (request) {
    case Request::kAbout:
      return Status::Ok();
    case Request::kInit: {
      float rate = 0.0f;
      if (frame.size != sizeof(rate)) return BadArgument();
      memcpy(&rate, memory_.payload, sizeof(rate));
      return Init(frame.argument, rate);
    }
    case Request::kBeginScoring:
      return trainer_.BeginScoring();
    case Request::kKeep:
      return Keep(frame);
    case Request::kSelect:
      return SelectNow();
    case Request::kPlan:
      return Plan(frame);
    case Request::kUpdate:
      return trainer_.Update();
    case Request::kSettle:
      return trainer_.Settle();
    case Request::kSave:
      return trainer_.Save(storage_.storage);
    case Request::kLoad:
      return trainer_.Load(storage_.storage);
    case Request::kObserve:
    case Request::kScore:
    case Request::kAccumulate:
    case Request::kRevisit:
    case Request::kPredict:
      return DoWithSample(request, frame);
  }
  return Status::Error(Code::kUnsupported);
}

Status SerialSession::DoWithSample(Request request, const Frame& frame) {
  const Status status = FindSample(frame);
  if (!status.ok()) return status;
  const void* sample = memory_.payload;
  const uint16_t label = frame.argument;
  switch (request) {
    case Request::kObserve:
      return trainer_.Observe(sample, label);
    case Request::kScore:
      return trainer_.Score(sample, label);
    case Request::kAccumulate:
      return trainer_.Accumulate(sample, label, &result_.loss);
    case Request::kRevisit:
      return trainer_.Revisit(sample, label);
    default:
      break;
  }
  // Logits take the place of the sample.
  const uint32_t bytes = setup_.classes * sizeof(float);
  if (bytes > memory_.payload_bytes) {
    return Status::TooSmall(bytes, memory_.payload_bytes);
  }
  uint32_t found = 0;
  const Status done = trainer_.Predict(
      sample, &found, reinterpret_cast<float*>(memory_.payload));
  result_.label = static_cast<uint16_t>(found);
  return done;
}

Status SerialSession::Init(uint16_t classes, float learning_rate) {
  const Setup setup = {classes, Optimizer::kAdam, false};
  const Rates rates = {learning_rate, 0.0f};
  const Status status = trainer_.Init(&model_, setup, rates, memory_.regions);
  if (!status.ok()) return status;
  setup_ = setup;
  kept_count_ = 0;
  return status;
}

// Places follow each other, and samples are all of a size.
Status SerialSession::Keep(const Frame& frame) {
  const uint16_t place = frame.argument;
  if (frame.size == 0 || place > kept_count_ ||
      (kept_count_ > 0 && frame.size != kept_size_)) {
    return BadArgument();
  }
  const uint64_t end = (place + uint64_t{1}) * frame.size;
  if (end > memory_.kept_bytes) {
    return Status::TooSmall(Limited(static_cast<size_t>(end)),
                            memory_.kept_bytes);
  }
  kept_size_ = frame.size;
  if (place == kept_count_) ++kept_count_;
  memcpy(memory_.kept + place * kept_size_, memory_.payload, kept_size_);
  return Status::Ok();
}

// Brings the sample of a request to where its payload is: stored numbers as
// they are, floats, or pixels that become floats.
Status SerialSession::FindSample(const Frame& frame) {
  uint32_t size = frame.size;
  if (frame.type & kOfKept) {
    uint16_t place;
    if (size != sizeof(place)) return BadArgument();
    memcpy(&place, memory_.payload, sizeof(place));
    if (place >= kept_count_) return BadArgument();
    size = kept_size_;
    memcpy(memory_.payload, memory_.kept + place * kept_size_, kept_size_);
  }
  const uint32_t count = SampleNumbers();
  const uint32_t bytes = IsStored() ? count : count * sizeof(float);
  if (bytes > memory_.payload_bytes) {
    return Status::TooSmall(bytes, memory_.payload_bytes);
  }
  if (size == bytes) return Status::Ok();
  if (size != count) return BadArgument();
  // From the last one on, as the floats lie over the pixels.
  for (uint32_t i = count; i > 0; --i) {
    const float pixel = memory_.payload[i - 1];
    memcpy(memory_.payload + (i - 1) * sizeof(pixel), &pixel, sizeof(pixel));
  }
  return Status::Ok();
}

Status SerialSession::SelectNow() {
  if (trainer_.scores() == nullptr) {
    const Status status = trainer_.EndScoring();
    if (!status.ok()) return status;
  }
  const Regions& regions = memory_.regions;
  Selection selection = {{nullptr, nullptr}, nullptr};
  const Status status = Select(model_, setup_, trainer_.scores(), regions.work,
                               regions.work_bytes, &selection);
  if (!status.ok()) return status;
  result_.counts = selection.parts.counts;
  result_.channels = selection.channels;
  result_.channel_count = 0;
  for (uint32_t i = 0; i < model_.layer_count(); ++i) {
    result_.channel_count += selection.parts.counts[i];
  }
  return Status::Ok();
}

Status SerialSession::Plan(const Frame& frame) {
  const uint32_t layers = model_.layer_count();
  uint32_t numbers = layers;
  const uint16_t* counts = reinterpret_cast<const uint16_t*>(memory_.payload);
  for (uint32_t i = 0; i < layers && numbers <= frame.size; ++i) {
    if (frame.size >= layers * sizeof(uint16_t)) numbers += counts[i];
  }
  if (frame.size != numbers * sizeof(uint16_t)) return BadArgument();
  const Selection selection = {{counts, nullptr}, counts + layers};
  return trainer_.Plan(selection);
}

void SerialSession::Answer(const Frame& frame, const Status& status) {
  const Request request = RequestOf(frame);
  const uint32_t more = status.ok() ? ResultBytes(request) : 0;
  const uint16_t label =
      status.ok() && request == Request::kPredict ? result_.label : uint16_t{0};
  const Frame answer = {static_cast<uint8_t>(frame.type | kAnswer),
                        frame.number, label, kStatusBytes + more};
  FrameWriter writer(sink_, answer);
  const int32_t code = static_cast<int32_t>(status.code);
  const uint32_t numbers[] = {static_cast<uint32_t>(code), status.requested,
                              status.available, status.missing};
  static_assert(sizeof(numbers) == kStatusBytes, "docs/serial.md");
  writer.Put(numbers, sizeof(numbers));
  if (more > 0) PutResult(request, &writer);
  writer.End();
}

// Tells of a frame that nobody can answer.
void SerialSession::Refuse(const Status& status) {
  const Frame none = {0, 0, 0, 0};
  Answer(none, status);
}

uint32_t SerialSession::ResultBytes(Request request) const {
  switch (request) {
    case Request::kAbout:
      return kAboutBytes;
    case Request::kSelect:
      return (model_.layer_count() + result_.channel_count) * sizeof(uint16_t);
    case Request::kAccumulate:
      return sizeof(float);
    case Request::kPredict:
      return setup_.classes * sizeof(float);
    default:
      return 0;
  }
}

void SerialSession::PutResult(Request request, FrameWriter* writer) const {
  switch (request) {
    case Request::kAbout:
      return PutAbout(writer);
    case Request::kSelect:
      writer->Put(result_.counts, model_.layer_count() * sizeof(uint16_t));
      return writer->Put(result_.channels,
                         result_.channel_count * sizeof(uint16_t));
    case Request::kAccumulate:
      return writer->Put(&result_.loss, sizeof(result_.loss));
    default:
      return writer->Put(memory_.payload, setup_.classes * sizeof(float));
  }
}

void SerialSession::PutAbout(FrameWriter* writer) const {
  const bool predicts = trainer_.has_plan();
  const uint16_t flags = static_cast<uint16_t>((storage_.lasts ? kLasts : 0) |
                                               (predicts ? kPredicts : 0));
  const uint32_t head = kSerialVersion | static_cast<uint32_t>(flags) << 16;
  const uint64_t base = model_.base();
  const uint32_t about[] = {
      head,
      static_cast<uint32_t>(base),
      static_cast<uint32_t>(base >> 32),
      model_.size(),
      model_.crc(),
      setup_.classes,
      memory_.payload_bytes,
      memory_.kept_bytes,
      Limited(memory_.regions.persistent_bytes),
      Limited(memory_.regions.work_bytes),
  };
  static_assert(sizeof(about) == kAboutBytes, "docs/serial.md");
  writer->Put(about, sizeof(about));
}

}  // namespace tinytrain
