#include "tinytrain/kernels/depthwise_conv2d.h"

#include "tinytrain/kernels/quad.h"
#include "tinytrain/kernels/taps.h"

namespace tinytrain {
namespace {

// Brings the taps of four channels at a time together: (K, L, 4).
template <typename Weight>
class Panel {
 public:
  Panel(const Window& window, const Rows<Weight>& filter, void* scratch)
      : filter_(filter),
        taps_(window.taps()),
        channels_(window.input.channels),
        next_(0),
        panel_(static_cast<Weight*>(scratch)) {}

  // Calls come in the order of the channels.
  template <typename Lanes>
  const Weight* Pack(int first, const Lanes& lanes) {
    const Weight* from = filter_.base + first;
    for (Weight* to = panel_; to != panel_ + 4 * taps_; to += 4) {
      to[0] = from[0];
      to[1] = from[lanes.offset1];
      to[2] = from[lanes.offset2];
      to[3] = from[lanes.offset3];
      from += channels_;
    }
    for (; next_ < filter_.replaced.count; ++next_) {
      const int lane = filter_.replaced.index[next_] - first;
      if (lane >= lanes.count) break;
      const Weight* row = filter_.trained + next_ * taps_;
      for (int t = 0; t < taps_; ++t) panel_[4 * t + lane] = row[t];
    }
    return panel_;
  }

 private:
  const Rows<Weight>& filter_;
  const int taps_;
  const int channels_;
  int next_;  // The trained row that comes next.
  Weight* const panel_;
};

// Along one axis, what goes into one value of the result: `count` values of the
// source from `source` on, with the taps from `tap` on.
struct AxisTaps {
  int source;
  int tap;
  int count;
};

// Forward, the source is the input.
struct Forward {
  static Shape Source(const Window& w) { return w.input; }
  static Shape Result(const Window& w) { return w.output; }
  static int TapStep(int) { return 1; }

  static AxisTaps At(int i, int kernel, int stride, int pad, int sources) {
    const int start = i * stride - pad;
    const Range taps = TapsInside(start, kernel, sources);
    const AxisTaps found = {start + taps.begin, taps.begin, taps.size()};
    return found;
  }

  template <typename T>
  static TINYTRAIN_INLINE void Write(const Quad<T>& sums, int count, T* to) {
    sums.Store(count, to);
  }
};

// Backward, it is d_output, with the taps in reverse.
struct Backward {
  static Shape Source(const Window& w) { return w.output; }
  static Shape Result(const Window& w) { return w.input; }
  static int TapStep(int stride) { return -stride; }

  static AxisTaps At(int i, int kernel, int stride, int pad, int sources) {
    const Range outputs = OutputsOver(i, kernel, stride, pad, sources);
    const AxisTaps found = {outputs.begin, i + pad - outputs.begin * stride,
                            outputs.size()};
    return found;
  }

  static TINYTRAIN_INLINE void Write(const Quad<float>& sums, int count,
                                     float* to) {
    sums.AddTo(count, to);
  }
};

// Steps from one tap to the next, and the number of taps.
struct TapSteps {
  int rows;
  int columns;
  int source_row;
  int source_column;
  int panel_row;
  int panel_column;
};

// Sums over the taps of two results, whose sources are `pair` apart.
template <typename Acc, typename Source, typename Weight, typename Lanes>
TINYTRAIN_INLINE void AddTaps2(const Source* source, int pair,
                               const Weight* panel, const TapSteps& steps,
                               const Lanes& lanes, Quad<Acc> sums[2]) {
  Quad<Acc> s0 = sums[0], s1 = sums[1];
  for (int k = steps.rows; k > 0; --k) {
    const Source* x0 = source;
    const Source* x1 = source + pair;
    const Weight* w = panel;
    for (int l = steps.columns; l > 0; --l) {
      Quad<Acc> a, b, weights;
      a.Load(x0, lanes);
      b.Load(x1, lanes);
      weights.Load(w, FourLanes());
      s0.AddProduct(a, weights);
      s1.AddProduct(b, weights);
      x0 += steps.source_column;
      x1 += steps.source_column;
      w += steps.panel_column;
    }
    source += steps.source_row;
    panel += steps.panel_row;
  }
  sums[0] = s0;
  sums[1] = s1;
}

template <typename Acc, typename Source, typename Weight, typename Lanes>
TINYTRAIN_INLINE void AddTaps1(const Source* source, const Weight* panel,
                               const TapSteps& steps, const Lanes& lanes,
                               Quad<Acc>* sums) {
  Quad<Acc> s = *sums;
  for (int k = steps.rows; k > 0; --k) {
    const Source* x = source;
    const Weight* w = panel;
    for (int l = steps.columns; l > 0; --l) {
      Quad<Acc> a, weights;
      a.Load(x, lanes);
      weights.Load(w, FourLanes());
      s.AddProduct(a, weights);
      x += steps.source_column;
      w += steps.panel_column;
    }
    source += steps.source_row;
    panel += steps.panel_row;
  }
  *sums = s;
}

// Computes the channels of one panel, in one direction or the other.
template <typename Direction, typename Acc, typename Source, typename Weight,
          typename Lanes>
void RunPanel(const Window& w, const Source* source, const Weight* panel,
              const Quad<Acc>& start, const Lanes& lanes, Acc* result) {
  const Shape from = Direction::Source(w);
  const Shape to = Direction::Result(w);
  const int depth = from.channels;
  TapSteps steps;
  steps.source_row = from.width * depth;
  steps.source_column = depth;
  steps.panel_column = 4 * Direction::TapStep(w.stride_width);
  steps.panel_row = 4 * Direction::TapStep(w.stride_height) * w.kernel_width;
  for (int y = 0; y < to.height; ++y) {
    const AxisTaps rows = Direction::At(y, w.kernel_height, w.stride_height,
                                        w.pad_top, from.height);
    steps.rows = rows.count;
    AxisTaps next = Direction::At(0, w.kernel_width, w.stride_width, w.pad_left,
                                  from.width);
    for (int x = 0; x < to.width;) {
      const AxisTaps columns = next;
      steps.columns = columns.count;
      const Source* s =
          source + (rows.source * from.width + columns.source) * depth;
      const Weight* p = panel + 4 * (rows.tap * w.kernel_width + columns.tap);
      Quad<Acc> sums[2] = {start, start};
      next = Direction::At(++x, w.kernel_width, w.stride_width, w.pad_left,
                           from.width);
      // The same taps at the next result: both at once.
      if (x < to.width && next.tap == columns.tap &&
          next.count == columns.count) {
        AddTaps2(s, (next.source - columns.source) * depth, p, steps, lanes,
                 sums);
        Direction::Write(sums[0], lanes.count, result);
        Direction::Write(sums[1], lanes.count, result + depth);
        result += 2 * depth;
        next = Direction::At(++x, w.kernel_width, w.stride_width, w.pad_left,
                             from.width);
      } else {
        AddTaps1(s, p, steps, lanes, sums);
        Direction::Write(sums[0], lanes.count, result);
        result += depth;
      }
    }
  }
}

}  // namespace

size_t DepthwiseConv2DForwardScratchBytes(const Window& window) {
  return 4 * window.taps() * sizeof(float);
}

size_t DepthwiseConv2DBackwardInputScratchBytes(const Window& window) {
  return 4 * window.taps() * sizeof(float);
}

void DepthwiseConv2DForward(const Window& window, const float* input,
                            const Rows<float>& filter, const Rows<float>& bias,
                            void* scratch, float* output) {
  const int channels = window.input.channels;
  Panel<float> panel(window, filter, scratch);
  RowReader<float> biases(bias, 1);
  for (int c = 0; c < channels; c += 4) {
    const SomeLanes some(channels - c);
    float start[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    for (int i = 0; i < some.count; ++i) start[i] = biases.NextValue();
    const FourLanes four = {};
    Quad<float> sums;
    sums.Load(start, four);
    if (some.count == 4) {
      RunPanel<Forward>(window, input + c, panel.Pack(c, four), sums, four,
                        output + c);
    } else {
      RunPanel<Forward>(window, input + c, panel.Pack(c, some), sums, some,
                        output + c);
    }
  }
}

void DepthwiseConv2DBackwardInput(const Window& window, const float* d_output,
                                  const Rows<float>& filter, void* scratch,
                                  float* d_input) {
  const int channels = window.input.channels;
  Panel<float> panel(window, filter, scratch);
  Quad<float> zeros;
  zeros.Fill(0.0f);
  for (int c = 0; c < channels; c += 4) {
    const SomeLanes some(channels - c);
    const FourLanes four = {};
    if (some.count == 4) {
      RunPanel<Backward>(window, d_output + c, panel.Pack(c, four), zeros, four,
                         d_input + c);
    } else {
      RunPanel<Backward>(window, d_output + c, panel.Pack(c, some), zeros, some,
                         d_input + c);
    }
  }
}

}  // namespace tinytrain
