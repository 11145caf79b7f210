#ifndef TINYTRAIN_HEAP_SORT_H_
#define TINYTRAIN_HEAP_SORT_H_

#include <stdint.h>

namespace tinytrain {

// Sorts numbers in place, without recursion, in O(count log count). `before`
// says whether one number goes before another, and tells all of them apart, so
// that there is one result.
template <typename Before>
void HeapSort(uint16_t* numbers, uint32_t count, const Before& before) {
  // The last number stands on top of the heap [0, end).
  uint32_t end = count;
  uint32_t root = count / 2;
  while (end > 1) {
    uint16_t sinking;
    if (root > 0) {
      sinking = numbers[--root];
    } else {
      --end;
      sinking = numbers[end];
      numbers[end] = numbers[0];
    }
    uint32_t at = root;
    for (uint32_t child = 2 * at + 1; child < end; child = 2 * at + 1) {
      if (child + 1 < end && before(numbers[child], numbers[child + 1])) {
        ++child;
      }
      if (!before(sinking, numbers[child])) break;
      numbers[at] = numbers[child];
      at = child;
    }
    numbers[at] = sinking;
  }
}

}  // namespace tinytrain

#endif  // TINYTRAIN_HEAP_SORT_H_
