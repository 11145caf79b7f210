#ifndef TESTS_MICRO_SERVE_SESSION_H_
#define TESTS_MICRO_SERVE_SESSION_H_

#include "block.h"
#include "tinytrain/ram_storage.h"
#include "tinytrain/serial_session.h"

// How large the memory of a device is.
struct SessionSizes {
  uint32_t persistent;
  uint32_t work;
  uint32_t payload;
  uint32_t kept;
  uint32_t slot;
};

// A device with a session on its line, all in memory of just these sizes.
class SessionServer {
 public:
  SessionServer(const void* blob, uint32_t size, const SessionSizes& sizes,
                const tinytrain::ByteSink& sink)
      : blob_(size),
        persistent_(sizes.persistent),
        work_(sizes.work),
        payload_(sizes.payload),
        kept_(sizes.kept),
        first_(sizes.slot),
        second_(sizes.slot),
        slots_{{first_.get(), second_.get()}},
        storage_{tinytrain::RamStorage(&slots_, sizes.slot), false},
        session_(
            model_,
            {{persistent_.get(), sizes.persistent, work_.get(), sizes.work},
             payload_.get(),
             sizes.payload,
             kept_.get(),
             sizes.kept},
            storage_, sink) {
    for (uint32_t i = 0; i < size; ++i) {
      blob_.get()[i] = static_cast<const uint8_t*>(blob)[i];
    }
    Expect(model_.Open(blob_.get(), size).ok());
  }

  void Take(uint8_t byte) { session_.Take(byte); }
  tinytrain::SerialSession* session() { return &session_; }

 private:
  Block<uint8_t> blob_;
  Block<uint8_t> persistent_;
  Block<uint8_t> work_;
  Block<uint8_t> payload_;
  Block<uint8_t> kept_;
  Block<uint8_t> first_;
  Block<uint8_t> second_;
  tinytrain::RamSlots slots_;
  const tinytrain::SessionStorage storage_;
  tinytrain::Model model_;
  tinytrain::SerialSession session_;
};

#endif  // TESTS_MICRO_SERVE_SESSION_H_
