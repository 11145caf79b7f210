// Learns a task from images or features that come over Serial, and predicts.
//
// digits.h is what keras_tinytrain.export_micro has written of a small net,
// which knows the handwritten digits 0 to 4. In a clone of keras_tinytrain,
// with the board at your port, this teaches it 5 to 9:
//
//   python examples/digits.py
//   python examples/send_samples.py --port=/dev/ttyACM0 --way=5
//     --export=micro/examples/AdaptToTask/digits.h
//     --dataset=build/digits/digits_5_to_9
//
// For your own net put its header beside this file, and its name instead of
// `digits`, `DIGITS` below. docs/serial.md says what goes over the line.

#include <TinyTrain.h>

#include "board_storage.h"
#include "digits.h"

#define NET_BLOB tinytrain_digits
#define NET_PERSISTENT_BYTES TINYTRAIN_DIGITS_PERSISTENT_BYTES
#define NET_WORK_BYTES TINYTRAIN_DIGITS_WORK_BYTES
#define NET_SAMPLE_BYTES TINYTRAIN_DIGITS_SAMPLE_BYTES

// For samples that stay here: all that are observed, as far as there is room.
// The others cross the line for every call.
const uint32_t kKeptBytes = 32 * 1024;

// Of a checkpoint. What trains takes Adam four numbers, and one of them stays.
const uint32_t kSlotBytes = NET_PERSISTENT_BYTES / 2 + 1024;

alignas(8) static uint8_t persistent[NET_PERSISTENT_BYTES];
alignas(8) static uint8_t work[NET_WORK_BYTES];
alignas(8) static uint8_t payload[NET_SAMPLE_BYTES];
static uint8_t kept[kKeptBytes];

static tinytrain::SessionStorage storage;
static tinytrain::Model model;

void Send(void*, const uint8_t* bytes, uint32_t size) {
  Serial.write(bytes, size);
}

static tinytrain::SerialSession session(model,
                                        {{persistent, sizeof(persistent), work,
                                          sizeof(work)},
                                         payload,
                                         sizeof(payload),
                                         kept,
                                         sizeof(kept)},
                                        storage, {nullptr, Send});

void setup() {
  Serial.begin(115200);
  const tinytrain::Status opened =
      model.Open(NET_BLOB, sizeof(NET_BLOB)).status();
  while (!opened.ok()) {
    Serial.print("blob refused, code ");
    Serial.println(static_cast<int>(opened.code));
    delay(1000);
  }
  storage = OpenStorage<kSlotBytes>();
  // What was learned before the power went. Without any it waits for samples.
  session.Restore();
}

void loop() {
  while (Serial.available() > 0) {
    session.Take(static_cast<uint8_t>(Serial.read()));
  }
}
