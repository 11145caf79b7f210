// Damages a checkpoint in every way that is a single step, opens each and walks
// over what was accepted. Built with sanitizers, which say what goes wrong.
// Prints how often each code of `Status` was returned, from 0 to -12.

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tinytrain/crc32.h"
#include "walk_checkpoint.h"

namespace {

const int kCodes = 13;

struct Counts {
  int of[kCodes];
};

size_t Load(const char* path, uint8_t* data, size_t size) {
  FILE* file = fopen(path, "rb");
  if (file == nullptr) exit(2);
  const size_t count = fread(data, 1, size, file);
  fclose(file);
  return count;
}

// Opens copies in blocks of just this size: in both slots in turn.
void OpenCopy(const tinytrain::Model& model, const uint8_t* data, size_t size,
              Counts* counts) {
  for (int slot = 0; slot < 2; ++slot) {
    Block<uint8_t> copy(size);
    Block<uint8_t> empty(size);
    memcpy(copy.get(), data, size);
    tinytrain::RamSlots slots = {{copy.get(), empty.get()}};
    if (slot == 1) {
      slots.slots[0] = empty.get();
      slots.slots[1] = copy.get();
    }
    const tinytrain::Storage storage =
        RamStorage(&slots, static_cast<uint32_t>(size));
    tinytrain::Checkpoint checkpoint;
    const tinytrain::Status status = checkpoint.Open(model, storage);
    Expect(status.ok() == checkpoint.is_open());
    if (status.ok()) WalkCheckpoint(model, checkpoint);
    ++counts->of[-static_cast<int>(status.code)];
  }
}

void Seal(uint8_t* data, size_t size) {
  const uint32_t crc = tinytrain::FileCrc(data, size);
  memcpy(data + tinytrain::kCrcOffset, &crc, sizeof(crc));
}

void Print(const char* what, const Counts& counts) {
  printf("%s", what);
  for (int count : counts.of) printf(" %d", count);
  printf("\n");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  alignas(16) static uint8_t blob[1 << 20];
  static uint8_t data[1 << 20];
  tinytrain::Model model;
  Expect(model.Open(blob, Load(argv[1], blob, sizeof(blob))).ok());
  const size_t size = Load(argv[2], data, sizeof(data));

  Counts whole = {};
  OpenCopy(model, data, size, &whole);
  Print("whole", whole);

  Counts truncated = {};
  for (size_t n = 0; n < size; ++n) OpenCopy(model, data, n, &truncated);
  Print("truncated", truncated);

  Counts flipped = {};  // The checksum sees every one.
  for (size_t bit = 0; bit < 8 * size; ++bit) {
    data[bit / 8] ^= 1 << bit % 8;
    OpenCopy(model, data, size, &flipped);
    data[bit / 8] ^= 1 << bit % 8;
  }
  Print("flipped", flipped);

  // With a right checksum: single bits, then every word as what is just too
  // much.
  Counts sealed = {};
  for (size_t bit = 0; bit < 8 * size; ++bit) {
    data[bit / 8] ^= 1 << bit % 8;
    Seal(data, size);
    OpenCopy(model, data, size, &sealed);
    data[bit / 8] ^= 1 << bit % 8;
  }
  const uint32_t words[] = {0,          1,          0x7FFFFFFF, 0x80000000,
                            0xFFFFFFFF, 0xFFFFFFF0, 0x10001,    0x40000000};
  for (size_t at = 0; at + 4 <= size; at += 2) {
    uint32_t before;
    memcpy(&before, data + at, sizeof(before));
    for (uint32_t word : words) {
      memcpy(data + at, &word, sizeof(word));
      if (at < 16 || at > 19) Seal(data, size);
      OpenCopy(model, data, size, &sealed);
    }
    memcpy(data + at, &before, sizeof(before));
  }
  Print("sealed", sealed);
  return 0;
}
