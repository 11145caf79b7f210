#include "tinytrain/kernels/depthwise_conv2d.h"
#include "tinytrain/kernels/depthwise_panel.h"
#include "tinytrain/kernels/for_speed.h"
#include "tinytrain/kernels/taps.h"

namespace tinytrain {
namespace {

// Computes the channels of one panel. An input gathers from the outputs over
// it, whose taps run in reverse; the taps are the same again `stride` inputs
// further on, with the next outputs. Positions of d_output are `from_depth`
// numbers apart.
template <typename Weight>
TINYTRAIN_NOINLINE void BackwardPanel(const Window& w, const float* d_output,
                                      int from_depth, const Weight* panel,
                                      int lanes, float* d_input) {
  const int depth = w.input.channels;
  const int stride = w.stride_width;
  TapWalk walk;
  walk.source_row = w.output.width * from_depth;
  walk.source_column = from_depth;
  walk.panel_row = -w.stride_height * w.kernel_width * kPanelChannels;
  walk.panel_column = -stride * kPanelChannels;
  for (int row = 0; row < w.input.height; ++row) {
    const Range ys = OutputsOver(row, w.kernel_height, w.stride_height,
                                 w.pad_top, w.output.height);
    const int k = row + w.pad_top - ys.begin * w.stride_height;
    const float* d_output_row = d_output + ys.begin * walk.source_row;
    const Weight* panel_row = panel + k * w.kernel_width * kPanelChannels;
    walk.rows = ys.size();
    for (int phase = 0; phase < stride; ++phase) {
      for (int column = phase; column < w.input.width;) {
        const Range xs = OutputsOver(column, w.kernel_width, stride, w.pad_left,
                                     w.output.width);
        const int l = column + w.pad_left - xs.begin * stride;
        const float* from = d_output_row + xs.begin * from_depth;
        const Weight* taps = panel_row + l * kPanelChannels;
        float* to = d_input + column * depth;
        walk.columns = xs.size();
        Quad<float> sum0;
        sum0.Fill(0.0f);
        // Neither end cuts a tap off.
        if (lanes == kPanelChannels && l + stride >= w.kernel_width &&
            xs.end < w.output.width && column + stride < w.input.width) {
          Quad<float> sum1 = sum0;
          AddTaps2(from, from_depth, taps, walk, &sum0, &sum1);
          sum0.AddTo(kPanelChannels, to);
          sum1.AddTo(kPanelChannels, to + stride * depth);
          column += 2 * stride;
        } else {
          AddTaps1(from, taps, walk, lanes, &sum0);
          sum0.AddTo(lanes, to);
          column += stride;
        }
      }
    }
    d_input += w.input.width * depth;
  }
}

template <typename Weight>
void BackwardInput(const Window& window, const float* d_output,
                   const Rows<Weight>& filter, void* scratch, float* d_input) {
  const int channels = window.input.channels;
  Panel<Weight> panel(window, filter, scratch);
  for (int c = 0; c < channels; c += kPanelChannels) {
    const int left = channels - c;
    BackwardPanel(window, d_output + c, channels, panel.Pack(c),
                  left < kPanelChannels ? left : kPanelChannels, d_input + c);
  }
}

// Moves up to four channels of a gradient out of the way, and leaves 0.
void TakeChannels(int positions, int channels, int count, float* gradient,
                  float* plane) {
  for (; positions > 0; --positions) {
    for (int c = 0; c < count; ++c) {
      plane[c] = gradient[c];
      gradient[c] = 0.0f;
    }
    gradient += channels;
    plane += kPanelChannels;
  }
}

}  // namespace

size_t DepthwiseConv2DBackwardInputScratchBytes(const Window& window) {
  return kPanelChannels * window.taps() * sizeof(float);
}

void DepthwiseConv2DBackwardInput(const Window& window, const float* d_output,
                                  const Rows<float>& filter, void* scratch,
                                  float* d_input) {
  BackwardInput(window, d_output, filter, scratch, d_input);
}

size_t DepthwiseConv2DBackwardInputInt8ScratchBytes(const Window& window) {
  return kPanelChannels * window.taps() * sizeof(int8_t);
}

void DepthwiseConv2DBackwardInput(const Window& window, const float* d_output,
                                  const Rows<int8_t>& filter, void* scratch,
                                  float* d_input) {
  BackwardInput(window, d_output, filter, scratch, d_input);
}

size_t DepthwiseConv2DBackwardInPlaceScratchBytes(const Window& window) {
  return kPanelChannels * window.output.positions() * sizeof(float) +
         DepthwiseConv2DBackwardInputInt8ScratchBytes(window);
}

void DepthwiseConv2DBackwardInPlace(const Window& window,
                                    const Rows<int8_t>& filter, void* scratch,
                                    float* gradient) {
  const int channels = window.input.channels;
  const int positions = window.output.positions();
  float* const plane = static_cast<float*>(scratch);
  Panel<int8_t> panel(window, filter, plane + kPanelChannels * positions);
  for (int c = 0; c < channels; c += kPanelChannels) {
    const int left = channels - c;
    const int lanes = left < kPanelChannels ? left : kPanelChannels;
    TakeChannels(positions, channels, lanes, gradient + c, plane);
    BackwardPanel(window, plane, kPanelChannels, panel.Pack(c), lanes,
                  gradient + c);
  }
}

}  // namespace tinytrain
