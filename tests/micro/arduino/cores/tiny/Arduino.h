#ifndef TINYTRAIN_TESTS_ARDUINO_H_
#define TINYTRAIN_TESTS_ARDUINO_H_

// What the examples need of a core, on an emulated board: `Serial` is standard
// input and output, and a sketch ends with the first `delay` or with the input.

#include <stddef.h>
#include <stdint.h>

void setup();
void loop();
void delay(unsigned long milliseconds);
unsigned long micros();

class Terminal {
 public:
  void begin(unsigned long baud);
  int available();  // Waits for a byte, as nothing else happens on the board.
  int read();
  size_t write(const uint8_t* bytes, size_t size);
  void print(const char* text);
  void print(int number);
  void print(unsigned long number);
  void print(double number, int digits);
  void println(const char* text);
  void println(int number);
  void println(unsigned long number);

 private:
  uint8_t bytes_[256];
  int count_;
  int next_;
};

extern Terminal Serial;

#endif  // TINYTRAIN_TESTS_ARDUINO_H_
