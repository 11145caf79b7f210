#ifndef TINYTRAIN_KERNELS_DEPTHWISE_PANEL_H_
#define TINYTRAIN_KERNELS_DEPTHWISE_PANEL_H_

#include "tinytrain/kernels/quad.h"
#include "tinytrain/kernels/rows.h"
#include "tinytrain/shape.h"

namespace tinytrain {

const int kPanelChannels = 4;

// Brings the taps of four channels at a time together, trained ones from their
// slice: (K, L, 4).
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
  TINYTRAIN_NOINLINE const Weight* Pack(int first) {
    const SomeLanes lanes(channels_ - first);
    const Weight* from = filter_.base + first;
    Weight* to = panel_;
    for (int t = taps_; t > 0; --t) {
      to[0] = from[0];
      to[1] = from[lanes.offset1];
      to[2] = from[lanes.offset2];
      to[3] = from[lanes.offset3];
      from += channels_;
      to += kPanelChannels;
    }
    for (; next_ < filter_.replaced.count; ++next_) {
      const int lane = filter_.replaced.index[next_] - first;
      if (lane >= lanes.count) break;
      const Weight* row = filter_.trained + next_ * taps_;
      for (int t = 0; t < taps_; ++t)
        panel_[kPanelChannels * t + lane] = row[t];
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

// How to walk over the taps of one result: their number, and the steps from one
// to the next in the source and in the panel.
struct TapWalk {
  int rows;
  int columns;
  int source_row;
  int source_column;
  int panel_row;
  int panel_column;
};

// Sums over the taps of two results whose sources are `pair` apart.
template <typename Weight>
TINYTRAIN_INLINE void AddTaps2(const float* source, int pair,
                               const Weight* panel, const TapWalk& walk,
                               Quad<float>* sum0, Quad<float>* sum1) {
  Quad<float> s0 = *sum0, s1 = *sum1;
  for (int k = walk.rows; k > 0; --k) {
    const float* x0 = source;
    const float* x1 = source + pair;
    const Weight* w = panel;
    for (int l = walk.columns; l > 0; --l) {
      Quad<float> a, b, weights;
      weights.Load(w, FourLanes());
      a.Load(x0, FourLanes());
      b.Load(x1, FourLanes());
      s0.AddProduct(a, weights);
      s1.AddProduct(b, weights);
      x0 += walk.source_column;
      x1 += walk.source_column;
      w += walk.panel_column;
    }
    source += walk.source_row;
    panel += walk.panel_row;
  }
  *sum0 = s0;
  *sum1 = s1;
}

// The same of one result.
template <typename Weight, typename Lanes>
TINYTRAIN_INLINE void AddTaps(const float* source, const Weight* panel,
                              const TapWalk& walk, const Lanes& lanes,
                              Quad<float>* sum) {
  Quad<float> s = *sum;
  for (int k = walk.rows; k > 0; --k) {
    const float* x = source;
    const Weight* w = panel;
    for (int l = walk.columns; l > 0; --l) {
      Quad<float> a, weights;
      weights.Load(w, FourLanes());
      a.Load(x, lanes);
      s.AddProduct(a, weights);
      x += walk.source_column;
      w += walk.panel_column;
    }
    source += walk.source_row;
    panel += walk.panel_row;
  }
  *sum = s;
}

template <typename Weight>
TINYTRAIN_NOINLINE void AddSomeTaps(const float* source, const Weight* panel,
                                    const TapWalk& walk, int lanes,
                                    Quad<float>* sum) {
  AddTaps(source, panel, walk, SomeLanes(lanes), sum);
}

// The same of the first `lanes` channels of a panel.
template <typename Weight>
TINYTRAIN_INLINE void AddTaps1(const float* source, const Weight* panel,
                               const TapWalk& walk, int lanes,
                               Quad<float>* sum) {
  if (lanes == kPanelChannels) {
    AddTaps(source, panel, walk, FourLanes(), sum);
  } else {
    AddSomeTaps(source, panel, walk, lanes, sum);
  }
}

}  // namespace tinytrain

#endif  // TINYTRAIN_KERNELS_DEPTHWISE_PANEL_H_
