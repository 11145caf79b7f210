#ifndef TINYTRAIN_H_
#define TINYTRAIN_H_

// All that a sketch includes. With TensorFlow Lite Micro in the sketch also its
// operator, `tinytrain::RegisterTail`: include that library first.
#include "tinytrain/ram_storage.h"
#include "tinytrain/selector.h"
#include "tinytrain/serial_session.h"
#include "tinytrain/tflm/tail_op.h"
#include "tinytrain/trainer.h"

#endif  // TINYTRAIN_H_
