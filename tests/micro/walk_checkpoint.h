#ifndef TESTS_MICRO_WALK_CHECKPOINT_H_
#define TESTS_MICRO_WALK_CHECKPOINT_H_

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "block.h"
#include "tinytrain/checkpoint.h"
#include "tinytrain/ram_storage.h"

// Reads all that an open checkpoint holds, as a trainer would, saves it, and
// reads it again. Aborts where something is not as promised.
inline void WalkCheckpoint(const tinytrain::Model& model,
                           const tinytrain::Checkpoint& checkpoint) {
  using tinytrain::TrainedLayer;
  const uint32_t count = checkpoint.layer_count();
  Block<TrainedLayer> layers(count);
  for (uint32_t i = 0; i < count; ++i) {
    TrainedLayer& layer = layers.get()[i];
    Expect(checkpoint.ReadLayer(i, &layer).ok());
    Expect(layer.row < model.layer_count());
    const tinytrain::format::Layer& row = model.layer(layer.row);
    const tinytrain::Part part = layer.part(model);
    const uint32_t channels = part.count();
    const uint32_t limit = part.by_input() ? row.inputs : row.channels;
    Expect(channels <= limit);
    uint16_t* index =
        static_cast<uint16_t*>(malloc(channels > 0 ? 2 * channels : 1));
    Expect(checkpoint.ReadChannels(i, index).ok());
    for (uint32_t k = 0; k < channels; ++k) {
      Expect(index[k] < limit && (k == 0 || index[k - 1] < index[k]));
    }
    layer.channels.index = index;
    layer.weights =
        static_cast<float*>(calloc(part.weights() + 1, sizeof(float)));
    layer.biases =
        static_cast<float*>(calloc(part.biases() + 1, sizeof(float)));
  }
  Block<float> vectors(checkpoint.way() * model.head().depth);
  const tinytrain::Trained trained = {layers.get(), count, vectors.get(),
                                      checkpoint.way()};
  Expect(checkpoint.Read(trained).ok());
  const uint32_t bytes = static_cast<uint32_t>(CheckpointBytes(model, trained));
  Block<uint8_t> first(bytes);
  Block<uint8_t> second(bytes);
  tinytrain::RamSlots slots = {{first.get(), second.get()}};
  const tinytrain::Storage storage = RamStorage(&slots, bytes);
  Expect(SaveCheckpoint(model, trained, storage).ok());
  Expect(SaveCheckpoint(model, trained, storage).ok());
  tinytrain::Checkpoint again;
  Expect(again.Open(model, storage).ok() && again.sequence() == 2);
  Expect(again.Read(trained).ok());
  // All but the sequence number, at 32, and the checksum, at 16.
  Expect(memcmp(first.get() + 36, second.get() + 36, bytes - 36) == 0);
  for (uint32_t i = 0; i < count; ++i) {
    free(const_cast<uint16_t*>(layers.get()[i].channels.index));
    free(layers.get()[i].weights);
    free(layers.get()[i].biases);
  }
}

#endif  // TESTS_MICRO_WALK_CHECKPOINT_H_
