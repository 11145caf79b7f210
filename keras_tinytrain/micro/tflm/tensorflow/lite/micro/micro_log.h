#ifndef TINYTRAIN_WHEEL_MICRO_LOG_H_
#define TINYTRAIN_WHEEL_MICRO_LOG_H_

#include <stdio.h>

// The wheels write to the same stream.
#define MicroPrintf(...) (fprintf(stderr, __VA_ARGS__), fputc('\n', stderr))

#endif  // TINYTRAIN_WHEEL_MICRO_LOG_H_
