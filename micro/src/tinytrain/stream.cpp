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

// Of a row that the projection reads.
uint64_t RowBytes(const Window& depthwise, const Operation* projection) {
  if (projection == nullptr) return 0;
  const uint64_t bytes =
      uint64_t{1} * depthwise.output.width * depthwise.output.channels;
  return (bytes + 3) & ~uint64_t{3};
}

}  // namespace

uint64_t StreamScratchBytes(const Model& model, const Operation& depthwise,
                            const Operation* projection) {
  const Window window = WindowOf(model, depthwise);
  return ForwardScratchBytes(model, depthwise) + RowsBytes(window) +
         RowBytes(window, projection);
}

void RunStreamed(const Model& model, const Operation& convolution,
                 const Operation& depthwise, const Operation* projection,
                 const Operands* operands, int8_t* output) {
  const Window expand = WindowOf(model, convolution);
  const Window window = WindowOf(model, depthwise);
  const int input_row = expand.input.width * expand.input.channels;
  const int row = window.input.width * window.input.channels;
  const int8_t* input = static_cast<const int8_t*>(operands[0].input);
  int8_t* rows = static_cast<int8_t*>(operands[1].scratch) +
                 ForwardScratchBytes(model, depthwise);
  int8_t* const between = rows + RowsBytes(window);
  const Operation& last = projection == nullptr ? depthwise : *projection;
  const Shape to = ShapeOf(model.tensor(last.output));
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
      Operands first = operands[0];
      first.input = input + made.begin * input_row;
      RunWindowInt8(model, convolution, made.window, first,
                    rows + (end - begin) * row);
    }
    int8_t* const output_row = output + y * to.width * to.channels;
    Operands second = operands[1];
    second.input = rows;
    RunWindowInt8(model, depthwise, needed.window, second,
                  projection == nullptr ? output_row : between);
    if (projection == nullptr) continue;
    Window window_row = WindowOf(model, *projection);
    window_row.input.height = window_row.output.height = 1;
    Operands third = operands[2];
    third.input = between;
    RunWindowInt8(model, *projection, window_row, third, output_row);
  }
}

}  // namespace tinytrain
