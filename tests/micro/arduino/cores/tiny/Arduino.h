#ifndef TINYTRAIN_TESTS_ARDUINO_H_
#define TINYTRAIN_TESTS_ARDUINO_H_

// What the examples need of a core, on an emulated board: `Serial` is the
// terminal, and a sketch ends with the first `delay`.

#include <stdint.h>

void setup();
void loop();
void delay(unsigned long milliseconds);

class Terminal {
 public:
  void begin(unsigned long baud);
  void print(const char* text);
  void print(int number);
  void println(const char* text);
  void println(int number);
};

extern Terminal Serial;

#endif  // TINYTRAIN_TESTS_ARDUINO_H_
