#ifndef TINYTRAIN_OPTIMIZER_H_
#define TINYTRAIN_OPTIMIZER_H_

#include <stdint.h>

#include "tinytrain/kernels/multiply_add.h"
#include "tinytrain/planner.h"

namespace tinytrain {

// How fast to learn, for the optimizers of Keras at their defaults.
struct Rates {
  // 0 is the rule of `LearningRate`, for Adam alone: the first step is one of
  // `kFirstRate`, and its loss gives the rate of all others.
  float learning_rate;
  float momentum;  // Of kMomentum, from 0 to 1.
};

const float kFirstRate = 1e-3f;

// As keras_tinytrain.training.learning_rate: how much is wrong at the start,
// and how few weights there are to change it, give the rate of Adam.
//   loss   mean cross-entropy before training
//   share  trained weights as a share of all of the network
float LearningRate(float loss, uint32_t classes, float share);

// What some of the numbers that train mean.
struct Unit {
  float step;      // Real value of 1.0; 0 of numbers that are real themselves.
  float limit;     // Of integers: their largest magnitude.
  uint32_t count;  // How many numbers in a row it is that of.
};

// Tells this of all numbers, in order.
class Units {
 public:
  // The first `floats` are real, those of the selected layers follow.
  Units(const Model& model, uint32_t floats, const Selection& selection);

  // Returns that of the next numbers.
  Unit Next();

 private:
  void Enter();

  const Model& model_;
  const Parts parts_;
  const uint16_t* channel_;  // The first one of the layer.
  uint32_t floats_;          // Left of the ones that are real.
  uint32_t layer_;
  // Of the layer: its rows and biases are those of the channels listed, or of
  // all when null.
  uint32_t row_size_;
  uint32_t weights_;
  uint32_t numbers_;
  const uint16_t* row_channel_;
  const uint16_t* bias_channel_;
  uint32_t place_;  // In the slice of the layer.
};

// The numbers that train, `size` in each set: where and how they change.
struct TrainedNumbers {
  float* values;
  float* gradient;  // Sums over the examples of a mini-batch.
  float* moments;   // (`StateCount` - 2, size)
  uint32_t size;
};

// One step of the optimizers of Keras.
class Stepper {
 public:
  Stepper()
      : optimizer_(Optimizer::kSgd),
        momentum_(0.0f),
        power1_(1.0f),
        power2_(1.0f) {}

  // Starts afresh, with moments that are 0.
  void Reset(Optimizer optimizer, float momentum);

  // Moves `numbers` against the mean gradient of `examples` and sets that to
  // 0. If any new value or moment is not finite, no value and no moment
  // changes, and it returns kNotFinite.
  // The optimizer sees integers as the real weights that they stand for, whose
  // gradient is that of the integer / step: quantisation-aware scaling. At the
  // end of its range an integer has no gradient that points further out.
  Status Step(float learning_rate, uint32_t examples, const Units& units,
              const TrainedNumbers& numbers);

 private:
  struct Number {
    float value;
    float moment;
    float square;  // Adam's moment of the squares.
  };

  TINYTRAIN_INLINE Number NextIn(const Unit& unit, float rate, float gradient,
                                 const Number& now) const;
  TINYTRAIN_INLINE Number Next(float rate, float gradient,
                               const Number& now) const;

  Optimizer optimizer_;
  float momentum_;
  float power1_;  // Adam's decays to the power of the number of steps.
  float power2_;
};

}  // namespace tinytrain

#endif  // TINYTRAIN_OPTIMIZER_H_
