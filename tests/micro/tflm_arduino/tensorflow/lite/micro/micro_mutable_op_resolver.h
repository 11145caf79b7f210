// That this header is there, and micro_common.h is not, tells the generation.
#include "tensorflow/lite/c/common.h"
