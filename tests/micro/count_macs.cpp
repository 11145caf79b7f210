// Counts the MACs of convolutions. Linked with --wrap=SYMBOL for each of the
// symbols below, each kernel is called through its counter here.

#include "tinytrain/kernels/conv2d.h"
#include "tinytrain/kernels/depthwise_conv2d.h"

namespace {

using tinytrain::Channels;
using tinytrain::Rows;
using tinytrain::Window;

// Of forward passes, input gradients and filter gradients.
uint64_t counted[3];

uint64_t Macs(const Window& w, int in, int out) {
  return static_cast<uint64_t>(w.output.positions()) * w.taps() * in * out;
}

}  // namespace

#define CONV2D_FORWARD \
  "_ZN9tinytrain13Conv2DForwardERKNS_6WindowEPKfRKNS_4RowsIfEES8_Pf"
#define CONV2D_BACKWARD_INPUT \
  "_ZN9tinytrain19Conv2DBackwardInputERKNS_6WindowEPKfRKNS_4RowsIfEEPf"
#define CONV2D_BACKWARD_FILTER \
  "_ZN9tinytrain20Conv2DBackwardFilterERKNS_6WindowEPKfS4_RKNS_8ChannelsEPf"
#define DEPTHWISE_FORWARD                                                   \
  "_ZN9tinytrain22DepthwiseConv2DForwardERKNS_6WindowEPKfRKNS_4RowsIfEES8_" \
  "PvPf"
#define DEPTHWISE_BACKWARD_INPUT                                      \
  "_ZN9tinytrain28DepthwiseConv2DBackwardInputERKNS_6WindowEPKfRKNS_" \
  "4RowsIfEEPvPf"
#define DEPTHWISE_BACKWARD_FILTER                                         \
  "_ZN9tinytrain29DepthwiseConv2DBackwardFilterERKNS_6WindowEPKfS4_RKNS_" \
  "8ChannelsEPf"

void Real1(const Window& w, const float* input, const Rows<float>& filter,
           const Rows<float>& bias,
           float* output) asm("__real_" CONV2D_FORWARD);
void Wrap1(const Window& w, const float* input, const Rows<float>& filter,
           const Rows<float>& bias,
           float* output) asm("__wrap_" CONV2D_FORWARD);
void Wrap1(const Window& w, const float* input, const Rows<float>& filter,
           const Rows<float>& bias, float* output) {
  counted[0] += Macs(w, w.input.channels, w.output.channels);
  Real1(w, input, filter, bias, output);
}

void Real2(const Window& w, const float* d_output, const Rows<float>& filter,
           float* d_input) asm("__real_" CONV2D_BACKWARD_INPUT);
void Wrap2(const Window& w, const float* d_output, const Rows<float>& filter,
           float* d_input) asm("__wrap_" CONV2D_BACKWARD_INPUT);
void Wrap2(const Window& w, const float* d_output, const Rows<float>& filter,
           float* d_input) {
  counted[1] += Macs(w, w.input.channels, w.output.channels);
  Real2(w, d_output, filter, d_input);
}

void Real3(const Window& w, const float* input, const float* d_output,
           const Channels& channels,
           float* d_filter) asm("__real_" CONV2D_BACKWARD_FILTER);
void Wrap3(const Window& w, const float* input, const float* d_output,
           const Channels& channels,
           float* d_filter) asm("__wrap_" CONV2D_BACKWARD_FILTER);
void Wrap3(const Window& w, const float* input, const float* d_output,
           const Channels& channels, float* d_filter) {
  counted[2] += Macs(w, w.input.channels, channels.count);
  Real3(w, input, d_output, channels, d_filter);
}

void Real4(const Window& w, const float* input, const Rows<float>& filter,
           const Rows<float>& bias, void* scratch,
           float* output) asm("__real_" DEPTHWISE_FORWARD);
void Wrap4(const Window& w, const float* input, const Rows<float>& filter,
           const Rows<float>& bias, void* scratch,
           float* output) asm("__wrap_" DEPTHWISE_FORWARD);
void Wrap4(const Window& w, const float* input, const Rows<float>& filter,
           const Rows<float>& bias, void* scratch, float* output) {
  counted[0] += Macs(w, 1, w.output.channels);
  Real4(w, input, filter, bias, scratch, output);
}

void Real5(const Window& w, const float* d_output, const Rows<float>& filter,
           void* scratch,
           float* d_input) asm("__real_" DEPTHWISE_BACKWARD_INPUT);
void Wrap5(const Window& w, const float* d_output, const Rows<float>& filter,
           void* scratch,
           float* d_input) asm("__wrap_" DEPTHWISE_BACKWARD_INPUT);
void Wrap5(const Window& w, const float* d_output, const Rows<float>& filter,
           void* scratch, float* d_input) {
  counted[1] += Macs(w, 1, w.output.channels);
  Real5(w, d_output, filter, scratch, d_input);
}

void Real6(const Window& w, const float* input, const float* d_output,
           const Channels& channels,
           float* d_filter) asm("__real_" DEPTHWISE_BACKWARD_FILTER);
void Wrap6(const Window& w, const float* input, const float* d_output,
           const Channels& channels,
           float* d_filter) asm("__wrap_" DEPTHWISE_BACKWARD_FILTER);
void Wrap6(const Window& w, const float* input, const float* d_output,
           const Channels& channels, float* d_filter) {
  counted[2] += Macs(w, 1, channels.count);
  Real6(w, input, d_output, channels, d_filter);
}

extern "C" {

// Writes the MACs since the last call.
void take_macs(uint64_t* macs) {
  for (int i = 0; i < 3; ++i) {
    macs[i] = counted[i];
    counted[i] = 0;
  }
}
}
