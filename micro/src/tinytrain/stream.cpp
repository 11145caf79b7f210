#include <string.h>

#include "tinytrain/operation_kernels.h"

namespace tinytrain {

using format::Operation;

namespace {

// One output row of a window, from the input rows that it sees.
struct RowView {
  Window window;
  int begin;  // Of the input rows,
  int end;    // which may be behind the last.

  RowView(const Window& whole, int row) : window(whole) {
    const int top = row * whole.stride_height - whole.pad_top;
    const int bottom = top + whole.kernel_height;
    begin = top > 0 ? top : 0;
    end = bottom < whole.input.height ? bottom : whole.input.height;
    window.pad_top = begin - top;
    window.input.height = end - begin;
    window.output.height = 1;
  }
};

uint64_t RowsBytes(const Window& depthwise) {
  const uint64_t bytes = uint64_t{1} * depthwise.kernel_height *
                         depthwise.input.width * depthwise.input.channels;
  return (bytes + 3) & ~uint64_t{3};
}

}  // namespace

uint64_t StreamScratchBytes(const Model& model, const Operation& depthwise) {
  return ForwardScratchBytes(model, depthwise) +
         RowsBytes(WindowOf(model, depthwise));
}

void RunStreamed(const Model& model, const Operation& convolution,
                 const Operation& depthwise, const Operands& first,
                 const Operands& second, int8_t* output) {
  const Window expand = WindowOf(model, convolution);
  const Window window = WindowOf(model, depthwise);
  const int input_row = expand.input.width * expand.input.channels;
  const int row = window.input.width * window.input.channels;
  const int output_row = window.output.width * window.output.channels;
  const int8_t* input = static_cast<const int8_t*>(first.input);
  int8_t* rows = static_cast<int8_t*>(second.scratch) +
                 ForwardScratchBytes(model, depthwise);
  int begin = 0;  // Of the rows that are there.
  int end = 0;
  for (int y = 0; y < window.output.height; ++y) {
    const RowView needed(window, y);
    if (needed.begin >= end) {
      begin = end = needed.begin;
    } else if (needed.begin > begin) {
      memmove(rows, rows + (needed.begin - begin) * row,
              (end - needed.begin) * row);
      begin = needed.begin;
    }
    for (; end < needed.end; ++end) {
      const RowView made(expand, end);
      Operands operands = first;
      operands.input = input + made.begin * input_row;
      RunWindowInt8(model, convolution, made.window, operands,
                    rows + (end - begin) * row);
    }
    Operands operands = second;
    operands.input = rows;
    RunWindowInt8(model, depthwise, needed.window, operands,
                  output + y * output_row);
  }
}

}  // namespace tinytrain
