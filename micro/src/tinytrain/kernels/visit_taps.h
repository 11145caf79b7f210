#ifndef TINYTRAIN_KERNELS_VISIT_TAPS_H_
#define TINYTRAIN_KERNELS_VISIT_TAPS_H_

#include "tinytrain/shape.h"

namespace tinytrain {
namespace reference {

// Calls `visit(output position, input position, tap)` for each output and each
// of its taps over the input, in the order that every sum follows.
template <typename Visitor>
void VisitTaps(const Window& w, const Visitor& visit) {
  for (int y = 0; y < w.output.height; ++y) {
    for (int x = 0; x < w.output.width; ++x) {
      for (int k = 0; k < w.kernel_height; ++k) {
        for (int l = 0; l < w.kernel_width; ++l) {
          const int row = y * w.stride_height - w.pad_top + k;
          const int column = x * w.stride_width - w.pad_left + l;
          if (row >= 0 && row < w.input.height && column >= 0 &&
              column < w.input.width) {
            visit(y * w.output.width + x, row * w.input.width + column,
                  k * w.kernel_width + l);
          }
        }
      }
    }
  }
}

}  // namespace reference
}  // namespace tinytrain

#endif  // TINYTRAIN_KERNELS_VISIT_TAPS_H_
