#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "Arduino.h"

namespace {

// Microseconds, of the FPGA of the mps2 boards: 20 MHz divided by 20.
volatile uint32_t& counter = *reinterpret_cast<uint32_t*>(0x40028018);
volatile uint32_t& prescale = *reinterpret_cast<uint32_t*>(0x4002801C);

}  // namespace

Terminal Serial;

void Terminal::begin(unsigned long) {}

int Terminal::available() {
  if (next_ < count_) return count_ - next_;
  next_ = 0;
  count_ = static_cast<int>(::read(0, bytes_, sizeof(bytes_)));
  if (count_ <= 0) exit(0);
  return count_;
}

int Terminal::read() { return available() > 0 ? bytes_[next_++] : -1; }

size_t Terminal::write(const uint8_t* bytes, size_t size) {
  return static_cast<size_t>(::write(1, bytes, size));
}

void Terminal::print(const char* text) { fputs(text, stdout); }
void Terminal::print(int number) { printf("%d", number); }
void Terminal::print(unsigned long number) { printf("%lu", number); }

void Terminal::print(double number, int digits) {
  int parts = 1;
  for (int i = 0; i < digits; ++i) parts *= 10;
  const long whole = static_cast<long>(number * parts + 0.5);
  printf("%ld.%0*ld", whole / parts, digits, whole % parts);
}

void Terminal::println(const char* text) { puts(text); }
void Terminal::println(int number) { printf("%d\n", number); }
void Terminal::println(unsigned long number) { printf("%lu\n", number); }

void delay(unsigned long) { exit(0); }
unsigned long micros() { return counter; }

int main(int, char**) {
  prescale = 19;
  setup();
  while (true) loop();
}
