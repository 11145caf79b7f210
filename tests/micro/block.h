#ifndef TESTS_MICRO_BLOCK_H_
#define TESTS_MICRO_BLOCK_H_

#include <stdlib.h>

// One array of the heap, of just the size, so that a sanitizer sees any byte
// too far.
template <typename T>
class Block {
 public:
  explicit Block(size_t count)
      : data_(static_cast<T*>(calloc(count > 0 ? count : 1, sizeof(T)))) {}
  ~Block() { free(data_); }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  T* get() const { return data_; }

 private:
  T* const data_;
};

inline void Expect(bool holds) {
  if (!holds) abort();
}

#endif  // TESTS_MICRO_BLOCK_H_
