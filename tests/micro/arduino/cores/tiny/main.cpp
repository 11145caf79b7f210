#include <stdio.h>
#include <stdlib.h>

#include "Arduino.h"

Terminal Serial;

void Terminal::begin(unsigned long) {}
void Terminal::print(const char* text) { fputs(text, stdout); }
void Terminal::print(int number) { printf("%d", number); }
void Terminal::println(const char* text) { puts(text); }
void Terminal::println(int number) { printf("%d\n", number); }

void delay(unsigned long) { exit(0); }

int main(int, char**) {
  setup();
  while (true) loop();
}
