//// start.c: what runs before main on a Cortex-M, and how it speaks.
//$ function start(k)
// start.c: what runs before main on a Cortex-M, and semihosting: a debugger, or qemu, prints what
// the program says. For a board of your own put its UART into board_say.
#include "board.h"

#include <stddef.h>

extern uint32_t data_begin[], data_end[], bss_begin[], bss_end[], stack_begin[], stack_end[];
extern const uint32_t data_from[];

static int semihosting(int operation, const void *argument) {
    register int r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

void board_say(const char *text) {
    semihosting(0x04, text); // SYS_WRITE0
}

void board_words(char *words, unsigned room) {
    const uint32_t block[2] = {(uint32_t)(uintptr_t)words, room};
    if (semihosting(0x15, block) != 0) { // SYS_GET_CMDLINE
        words[0] = '\0';
    }
}

void board_leave(int code) {
    // SYS_EXIT_EXTENDED with ADP_Stopped_ApplicationExit
    const uint32_t block[2] = {0x20026, (uint32_t)code};
    semihosting(0x20, block);
    for (;;) {
    }
}

// SysTick counts the processor's clock down from 2^24.
uint32_t board_ticks(void) {
    return 0xffffff - *(volatile uint32_t *)0xe000e018;
}

enum { STACK_PAINT = 0x57ac57ac };

uint32_t board_stack(void) {
    const uint32_t *at = stack_begin;
    while (*at == STACK_PAINT) {
        at++;
    }
    return (uint32_t)((const char *)stack_end - (const char *)at);
}

static void fault(void) {
    board_say("\nfault\n");
    board_leave(1);
}

static void reset(void) {
    *(volatile uint32_t *)0xe000ed88 |= 0xfu << 20; // CPACR: the floating-point unit is on
    __asm__ volatile("dsb\nisb");
    for (size_t i = 0; i < (size_t)(data_end - data_begin); i++) {
        data_begin[i] = data_from[i];
    }
    for (uint32_t *at = bss_begin; at < bss_end; at++) {
        *at = 0;
    }
    uint32_t *const here = __builtin_frame_address(0);
    for (uint32_t *at = stack_begin; at < here - 16; at++) {
        *at = STACK_PAINT;
    }
    *(volatile uint32_t *)0xe000e014 = 0xffffff; // SysTick: reload, value, on
    *(volatile uint32_t *)0xe000e018 = 0;
    *(volatile uint32_t *)0xe000e010 = 5;
    board_leave(main());
}

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    stack_end,           (const void *)reset, (const void *)fault, (const void *)fault,
    (const void *)fault, (const void *)fault, (const void *)fault,
};
//$ end
