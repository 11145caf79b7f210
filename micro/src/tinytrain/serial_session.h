#ifndef TINYTRAIN_SERIAL_SESSION_H_
#define TINYTRAIN_SERIAL_SESSION_H_

#include <stdint.h>

#include "tinytrain/model.h"
#include "tinytrain/serial_frames.h"
#include "tinytrain/status.h"
#include "tinytrain/storage.h"
#include "tinytrain/trainer.h"

// Training over a serial line, see docs/serial.md.
namespace tinytrain {

const uint16_t kSerialVersion = 1;

// Types of frames from the host: mostly calls of `Trainer`.
enum class Request : uint8_t {
  kAbout = 1,
  kInit = 2,
  kBeginScoring = 3,
  kKeep = 4,
  kObserve = 5,
  kScore = 6,
  kSelect = 7,
  kPlan = 8,
  kAccumulate = 9,
  kUpdate = 10,
  kRevisit = 11,
  kSettle = 12,
  kPredict = 13,
  kSave = 14,
  kLoad = 15,
};

// Added to the type: the payload is the place of a sample that was kept.
const uint8_t kOfKept = 0x40;

// Added to the type of the answer. Alone it tells of a frame that was refused.
const uint8_t kAnswer = 0x80;

// Memory of the caller. `regions` are those of `Trainer`. `payload` holds one
// request: at least a sample, as the model takes it, at a multiple of 4. `kept`
// holds samples for many calls, as they came; it may be of 0 bytes.
struct SessionMemory {
  Regions regions;
  uint8_t* payload;
  uint32_t payload_bytes;
  uint8_t* kept;
  uint32_t kept_bytes;
};

// Where checkpoints go, and whether they are there without power too.
struct SessionStorage {
  Storage storage;
  bool lasts;
};

// Answers one host. Owns nothing: model and storage, which are open before the
// first call, and memory must outlive it.
class SerialSession {
 public:
  SerialSession(const Model& model, const SessionMemory& memory,
                const SessionStorage& storage, const ByteSink& sink);

  // Takes the next byte of the line, does what it completes, and answers.
  void Take(uint8_t byte);

  // Learns what the newest checkpoint holds, for any number of classes, or says
  // why not as `Trainer::Load`.
  Status Restore();

 private:
  // What an answer carries besides its status.
  struct Result {
    float loss;
    uint16_t label;
    const uint16_t* counts;
    const uint16_t* channels;
    uint32_t channel_count;
  };

  bool Repeats(const Frame& frame) const;
  Status Do(Request request, const Frame& frame);
  Status DoWithSample(Request request, const Frame& frame);
  Status Init(uint16_t classes, float learning_rate);
  Status Keep(const Frame& frame);
  Status FindSample(const Frame& frame);
  Status SelectNow();
  Status Plan(const Frame& frame);
  void Answer(const Frame& frame, const Status& status);
  void Refuse(const Status& status);
  uint32_t ResultBytes(Request request) const;
  void PutResult(Request request, FrameWriter* writer) const;
  void PutAbout(FrameWriter* writer) const;
  uint32_t SampleNumbers() const { return model_.tensor(0).size(); }
  bool IsStored() const { return model_.tensor(0).type == format::kInt8; }

  const Model& model_;
  const SessionMemory memory_;
  const SessionStorage& storage_;
  const ByteSink sink_;
  FrameReader reader_;
  Trainer trainer_;
  Setup setup_;
  uint16_t kept_count_;
  uint32_t kept_size_;  // Of each.
  Frame last_;          // Request that was answered.
  Status last_status_;
  Result result_;
};

}  // namespace tinytrain

#endif  // TINYTRAIN_SERIAL_SESSION_H_
