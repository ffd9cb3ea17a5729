//// board.h: what main.c has of start.c.
//$ function board(k)
// board.h: what main.c has of start.c, for $(k.board.name).
#ifndef BOARD_H
#define BOARD_H

#include <stdint.h>

enum { BOARD_HZ = $(k.board.hz) }; // of the processor's clock

void board_say(const char *text);
void board_words(char *words, unsigned room); // the command line, if the debugger gives one
void board_leave(int code);
uint32_t board_ticks(void); // of the clock, in 24 bits
uint32_t board_stack(void); // the most bytes of stack that were in use

int main(void);

#endif
//$ end
