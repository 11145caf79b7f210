#include "tinytrain/kernels/depthwise_conv2d.h"
#include "tinytrain/kernels/depthwise_panel.h"
#include "tinytrain/kernels/for_speed.h"
#include "tinytrain/kernels/taps.h"

namespace tinytrain {
namespace {

// Computes the channels of one panel.
void ForwardPanel(const Window& w, const float* input, const float* panel,
                  const Quad<float>& bias, int lanes, float* output) {
  const int depth = w.input.channels;
  const int pair = w.stride_width * depth;
  const Range inside = OutputsInside(w.kernel_width, w.stride_width, w.pad_left,
                                     w.input.width, w.output.width);
  TapWalk walk;
  walk.source_row = w.input.width * depth;
  walk.source_column = depth;
  walk.panel_row = w.kernel_width * kPanelChannels;
  walk.panel_column = kPanelChannels;
  for (int y = 0; y < w.output.height; ++y) {
    const int top = y * w.stride_height - w.pad_top;
    const Range rows = TapsInside(top, w.kernel_height, w.input.height);
    const float* input_row = input + (top + rows.begin) * walk.source_row;
    const float* panel_row = panel + rows.begin * walk.panel_row;
    walk.rows = rows.size();
    for (int x = 0; x < w.output.width;) {
      const int left = x * w.stride_width - w.pad_left;
      Quad<float> sum0 = bias;
      if (lanes == kPanelChannels && x >= inside.begin && x + 2 <= inside.end) {
        Quad<float> sum1 = bias;
        walk.columns = w.kernel_width;
        AddTaps2(input_row + left * depth, pair, panel_row, walk, &sum0, &sum1);
        sum0.Store(kPanelChannels, output);
        sum1.Store(kPanelChannels, output + depth);
        output += 2 * depth;
        x += 2;
      } else {
        const Range columns = TapsInside(left, w.kernel_width, w.input.width);
        walk.columns = columns.size();
        AddTaps1(input_row + (left + columns.begin) * depth,
                 panel_row + columns.begin * kPanelChannels, walk, lanes,
                 &sum0);
        sum0.Store(lanes, output);
        output += depth;
        ++x;
      }
    }
  }
}

}  // namespace

size_t DepthwiseConv2DForwardScratchBytes(const Window& window) {
  return kPanelChannels * window.taps() * sizeof(float);
}

void DepthwiseConv2DForward(const Window& window, const float* input,
                            const Rows<float>& filter, const Rows<float>& bias,
                            void* scratch, float* output) {
  const int channels = window.input.channels;
  Panel<float> panel(window, filter, scratch);
  RowReader<float> biases(bias, 1);
  for (int c = 0; c < channels; c += kPanelChannels) {
    const int left = channels - c;
    const int lanes = left < kPanelChannels ? left : kPanelChannels;
    float values[kPanelChannels] = {0.0f, 0.0f, 0.0f, 0.0f};
    for (int i = 0; i < lanes; ++i) values[i] = biases.NextValue();
    Quad<float> start;
    start.Load(values, FourLanes());
    ForwardPanel(window, input + c, panel.Pack(c), start, lanes, output + c);
  }
}

}  // namespace tinytrain
