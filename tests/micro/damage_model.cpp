// Damages the blob in a file in every way that is a single step, opens each and
// walks over what was accepted. Built with sanitizers, which say what goes
// wrong. Prints what was refused, by flaw, and how much was accepted.

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tinytrain/crc32.h"
#include "tinytrain/model.h"
#include "walk_model.h"

namespace {

using tinytrain::Flaw;
using tinytrain::Model;
using tinytrain::Refusal;

const int kFlaws = static_cast<int>(Flaw::kOverflow) + 1;

struct Counts {
  int of[kFlaws];
};

// Opens a copy in a block of just this size.
Refusal OpenCopy(const uint8_t* data, size_t size, Counts* counts) {
  uint8_t* copy = static_cast<uint8_t*>(malloc(size > 0 ? size : 1));
  memcpy(copy, data, size);
  Model model;
  const Refusal refusal = model.Open(copy, size);
  if (refusal.ok() != model.is_open()) abort();
  if (refusal.ok()) {
    volatile double sum = WalkModel(model);
    (void)sum;
  }
  ++counts->of[static_cast<int>(refusal.flaw)];
  free(copy);
  return refusal;
}

void Seal(uint8_t* data, size_t size) {
  const uint32_t crc = tinytrain::FileCrc(data, size);
  memcpy(data + tinytrain::kCrcOffset, &crc, sizeof(crc));
}

void Print(const char* what, const Counts& counts) {
  printf("%s", what);
  for (int i = 0; i < kFlaws; ++i) printf(" %d", counts.of[i]);
  printf("\n");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  FILE* file = fopen(argv[1], "rb");
  if (file == nullptr) return 2;
  static uint8_t data[1 << 20];
  const size_t size = fread(data, 1, sizeof(data), file);
  fclose(file);

  Counts whole = {};
  OpenCopy(data, size, &whole);
  Print("whole", whole);

  Counts truncated = {};
  for (size_t n = 0; n < size; ++n) OpenCopy(data, n, &truncated);
  Print("truncated", truncated);

  Counts flipped = {};  // The checksum sees every one.
  for (size_t bit = 0; bit < 8 * size; ++bit) {
    data[bit / 8] ^= 1 << bit % 8;
    OpenCopy(data, size, &flipped);
    data[bit / 8] ^= 1 << bit % 8;
  }
  Print("flipped", flipped);

  // With a right checksum: single bits, then every byte as 0 and 255, then
  // every word as what is just too much.
  Counts sealed = {};
  for (size_t bit = 0; bit < 8 * size; ++bit) {
    data[bit / 8] ^= 1 << bit % 8;
    Seal(data, size);
    OpenCopy(data, size, &sealed);
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
      OpenCopy(data, size, &sealed);
    }
    memcpy(data + at, &before, sizeof(before));
  }
  Print("sealed", sealed);
  return 0;
}
