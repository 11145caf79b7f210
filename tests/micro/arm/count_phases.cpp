// Counts the instructions of kernels. Linked with --wrap=SYMBOL for each of the
// symbols below, each kernel is called through its counter here.

#include "count_phases.h"

#include "instruction_counter.h"
#include "tinytrain/operation_kernels.h"

using namespace tinytrain;  // NOLINT: a program.
using format::Operation;

KernelInstructions kernel_instructions;

#define FORWARD                                                        \
  "_ZN9tinytrain10RunForwardERKNS_5ModelERKNS_6format9OperationERKNS_" \
  "8OperandsEPv"
#define BACKWARD_INPUT                                                       \
  "_ZN9tinytrain16RunBackwardInputERKNS_5ModelERKNS_6format9OperationERKNS_" \
  "8OperandsEPKfPf"
#define BACKWARD_FILTER                                                       \
  "_ZN9tinytrain17RunBackwardFilterERKNS_5ModelERKNS_6format9OperationERKNS_" \
  "6WindowEPKvPKfRKNS_8ChannelsEPf"
#define STREAMED                                \
  "_ZN9tinytrain11RunStreamedERKNS_5ModelERKNS" \
  "_6format9OperationES6_PS5_PKNS_8OperandsEPa"
#define BACKWARD_IN_PLACE                       \
  "_ZN9tinytrain18RunBackwardInPlaceERKNS_5Mod" \
  "elERKNS_6format9OperationERKNS_8OperandsEPf"

void Real1(const Model& model, const Operation& operation,
           const Operands& operands, void* output) asm("__real_" FORWARD);
void Wrap1(const Model& model, const Operation& operation,
           const Operands& operands, void* output) asm("__wrap_" FORWARD);
void Wrap1(const Model& model, const Operation& operation,
           const Operands& operands, void* output) {
  const InstructionCounter counter;
  Real1(model, operation, operands, output);
  kernel_instructions.forward += counter.Count();
}

void Real2(const Model& model, const Operation& operation,
           const Operands& operands, const float* d_output,
           float* d_input) asm("__real_" BACKWARD_INPUT);
void Wrap2(const Model& model, const Operation& operation,
           const Operands& operands, const float* d_output,
           float* d_input) asm("__wrap_" BACKWARD_INPUT);
void Wrap2(const Model& model, const Operation& operation,
           const Operands& operands, const float* d_output, float* d_input) {
  const InstructionCounter counter;
  Real2(model, operation, operands, d_output, d_input);
  kernel_instructions.backward_input += counter.Count();
}

void Real3(const Model& model, const Operation& operation, const Window& window,
           const void* input, const float* d_output, const Channels& channels,
           float* d_filter) asm("__real_" BACKWARD_FILTER);
void Wrap3(const Model& model, const Operation& operation, const Window& window,
           const void* input, const float* d_output, const Channels& channels,
           float* d_filter) asm("__wrap_" BACKWARD_FILTER);
void Wrap3(const Model& model, const Operation& operation, const Window& window,
           const void* input, const float* d_output, const Channels& channels,
           float* d_filter) {
  const InstructionCounter counter;
  Real3(model, operation, window, input, d_output, channels, d_filter);
  kernel_instructions.backward_filter += counter.Count();
}

void Real4(const Model& model, const Operation& convolution,
           const Operation& depthwise, const Operation* projection,
           const Operands* operands, int8_t* output) asm("__real_" STREAMED);
void Wrap4(const Model& model, const Operation& convolution,
           const Operation& depthwise, const Operation* projection,
           const Operands* operands, int8_t* output) asm("__wrap_" STREAMED);
void Wrap4(const Model& model, const Operation& convolution,
           const Operation& depthwise, const Operation* projection,
           const Operands* operands, int8_t* output) {
  const InstructionCounter counter;
  Real4(model, convolution, depthwise, projection, operands, output);
  kernel_instructions.forward += counter.Count();
}

void Real5(const Model& model, const Operation& operation,
           const Operands& operands,
           float* gradient) asm("__real_" BACKWARD_IN_PLACE);
void Wrap5(const Model& model, const Operation& operation,
           const Operands& operands,
           float* gradient) asm("__wrap_" BACKWARD_IN_PLACE);
void Wrap5(const Model& model, const Operation& operation,
           const Operands& operands, float* gradient) {
  const InstructionCounter counter;
  Real5(model, operation, operands, gradient);
  kernel_instructions.backward_input += counter.Count();
}
