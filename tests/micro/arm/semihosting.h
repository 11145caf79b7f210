#ifndef TESTS_MICRO_ARM_SEMIHOSTING_H_
#define TESTS_MICRO_ARM_SEMIHOSTING_H_

#include <stdint.h>
#include <string.h>

// Files and the console of the host, without stdio and hence without a heap.
namespace semihosting {

enum Call { kOpen = 1, kClose = 2, kWrite = 5, kRead = 6 };
enum Mode { kReadBinary = 1, kWriteText = 4 };

inline int32_t Do(Call call, const uintptr_t* arguments) {
  register int32_t r0 __asm__("r0") = call;
  register const uintptr_t* r1 __asm__("r1") = arguments;
  __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

// Returns a handle, or -1.
inline int32_t Open(const char* path, Mode mode) {
  const uintptr_t arguments[] = {reinterpret_cast<uintptr_t>(path),
                                 static_cast<uintptr_t>(mode), strlen(path)};
  return Do(kOpen, arguments);
}

// Returns how many bytes of the file at `path` there are, all read if they
// are fewer than `most`.
inline uint32_t ReadFile(const char* path, void* bytes, uint32_t most) {
  const int32_t file = Open(path, kReadBinary);
  if (file < 0) return 0;
  const uintptr_t arguments[] = {static_cast<uintptr_t>(file),
                                 reinterpret_cast<uintptr_t>(bytes), most};
  // Returns the bytes that are missing.
  const uint32_t read = most - static_cast<uint32_t>(Do(kRead, arguments));
  Do(kClose, arguments);
  return read;
}

// Prints lines of words.
class Console {
 public:
  Console() : size_(0), file_(Open(":tt", kWriteText)) {}

  Console& Word(const char* word) {
    while (*word != 0) Put(*word++);
    Put(' ');
    return *this;
  }

  Console& Number(uint64_t number) {
    char digits[24];
    char* digit = digits + sizeof(digits);
    *--digit = 0;
    do {
      *--digit = static_cast<char>('0' + number % 10);
      number /= 10;
    } while (number > 0);
    return Word(digit);
  }

  // The bits of a float as a number.
  Console& Bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return Number(bits);
  }

  void End() {
    if (size_ > 0) --size_;  // The last blank.
    Put('\n');
    Flush();
  }

 private:
  void Put(char letter) {
    if (size_ == sizeof(line_)) Flush();
    line_[size_++] = letter;
  }

  void Flush() {
    const uintptr_t arguments[] = {static_cast<uintptr_t>(file_),
                                   reinterpret_cast<uintptr_t>(line_), size_};
    Do(kWrite, arguments);
    size_ = 0;
  }

  char line_[256];
  uint32_t size_;
  int32_t file_;
};

}  // namespace semihosting

#endif  // TESTS_MICRO_ARM_SEMIHOSTING_H_
