#include "tinytrain/kernels/pyramid_pooling.h"

#include "tinytrain/kernels/l2_norm.h"
#include "tinytrain/kernels/pooling.h"

namespace tinytrain {
namespace {

// Part 0 is the whole, 1 to 4 are the quarters, row by row.
Region Part(const Shape& shape, int part) {
  Region region = {0, 0, shape.height, shape.width};
  if (part == 0) return region;
  region.height = (shape.height + 1) / 2;
  region.width = (shape.width + 1) / 2;
  if (part > 2) region.top = shape.height - region.height;
  if (part % 2 == 0) region.left = shape.width - region.width;
  return region;
}

// Level 0 has part 0, level 1 the other four.
int LevelBegin(int level, int channels) { return level * channels; }
int LevelSize(int level, int channels) {
  return level == 0 ? channels : (kPyramidParts - 1) * channels;
}

}  // namespace

void PyramidPoolingForward(const Shape& input_shape, const float* input,
                           float* embedding, float* inverse_norms) {
  const int channels = input_shape.channels;
  for (int part = 0; part < kPyramidParts; ++part) {
    RegionAverageForward(input_shape, Part(input_shape, part), input,
                         embedding + part * channels);
  }
  for (int level = 0; level < kPyramidLevels; ++level) {
    float* values = embedding + LevelBegin(level, channels);
    const int count = LevelSize(level, channels);
    const float inverse_norm = InverseNorm(values, count);
    for (int i = 0; i < count; ++i) values[i] *= inverse_norm;
    inverse_norms[level] = inverse_norm;
  }
}

void PyramidPoolingBackward(const Shape& input_shape, const float* embedding,
                            const float* inverse_norms, float* d_embedding,
                            float* d_input) {
  const int channels = input_shape.channels;
  for (int level = 0; level < kPyramidLevels; ++level) {
    const float* values = embedding + LevelBegin(level, channels);
    float* gradient = d_embedding + LevelBegin(level, channels);
    const int count = LevelSize(level, channels);
    const float inverse_norm = inverse_norms[level];
    // With y = x * r: d_x = r * (d_y - y (y . d_y)).
    const float along = IsConstantNorm(inverse_norm)
                            ? 0.0f
                            : DotProduct(values, gradient, count);
    for (int i = 0; i < count; ++i) {
      gradient[i] = inverse_norm * MultiplyAdd(-along, values[i], gradient[i]);
    }
  }
  for (int part = 0; part < kPyramidParts; ++part) {
    RegionAverageBackward(input_shape, Part(input_shape, part),
                          d_embedding + part * channels, d_input);
  }
}

}  // namespace tinytrain
