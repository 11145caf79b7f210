#ifndef TINYTRAIN_CLASS_VECTORS_H_
#define TINYTRAIN_CLASS_VECTORS_H_

#include <stdint.h>

namespace tinytrain {

// Gives each of (classes, depth) vectors a length. Sums of embeddings become
// class means by this, of which the direction is all that matters.
void SetLengths(uint32_t classes, uint32_t depth, float length, float* vectors);

// Moves class vectors as far towards class means as
// keras_tinytrain.training.MEANS_SHARE says, both of a length.
//   sums  of embeddings, (classes, depth); 0 afterwards
void MoveToMeans(uint32_t classes, uint32_t depth, float length, float* sums,
                 float* vectors);

}  // namespace tinytrain

#endif  // TINYTRAIN_CLASS_VECTORS_H_
