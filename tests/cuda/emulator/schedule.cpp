// schedule.cpp: in which order warps, lanes and blocks run; which device is emulated; and how a
// fault ends the program.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string>
#include <unistd.h>

#include "launch.h"

struct emulator_schedule_state emulator_schedule_now;

static uint32_t random_next(uint32_t *state) {
    uint32_t x = *state; // xorshift32
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return *state = x;
}

uint32_t emulator_random_bits(void) {
    return random_next(&emulator_schedule_now.state);
}

void emulator_schedule(enum emulator_order order, unsigned seed) {
    emulator_schedule_now.order = order;
    emulator_schedule_now.seed = seed;
    emulator_schedule_now.streams = seed * 2654435761u | 1;
    emulator_schedule_now.set = true;
}

void emulator_schedule_read(void) {
    if (emulator_schedule_now.set)
        return;
    const char *word = getenv("EMULATOR_SCHEDULE");
    const std::string text = word ? word : "ascending";
    if (text == "ascending")
        emulator_schedule(EMULATOR_ASCENDING, 1);
    else if (text == "descending")
        emulator_schedule(EMULATOR_DESCENDING, 1);
    else if (text.substr(0, 6) == "random" && (text.size() == 6 || text[6] == ':'))
        emulator_schedule(EMULATOR_RANDOM,
                          text.size() > 7 ? (unsigned)strtoul(&text[7], nullptr, 10) : 1);
    else
        emulator_fail({"environment", 0},
                      "EMULATOR_SCHEDULE=%s: wanted ascending, descending or "
                      "random:SEED",
                      text.c_str());
}

enum emulator_order emulator_order_now(void) {
    emulator_schedule_read();
    return emulator_schedule_now.order;
}

uint32_t emulator_random(void) {
    emulator_schedule_read();
    return random_next(&emulator_schedule_now.streams);
}

int emulator_arch(void) {
    static int arch;
    if (!arch) {
        const char *word = getenv("EMULATOR_ARCH");
        arch = word ? atoi(word) : 80;
        if (arch < 10 || arch > 129)
            emulator_fail({"environment", 0}, "EMULATOR_ARCH=%s: wanted a number such as 80", word);
    }
    return arch;
}

// The most shared memory, static and dynamic together, that a block can have.
size_t emulator_shared_limit(void) {
    switch (emulator_arch()) {
    case 75:
        return 64 * 1024;
    case 80:
    case 87:
        return 163 * 1024;
    case 86:
    case 89:
    case 120:
        return 99 * 1024;
    default:
        return emulator_arch() >= 90 ? 227 * 1024 : 48 * 1024;
    }
}

// ---- errors -------------------------------------------------------------------------------------

void emulator_fail(struct emulator_place at, const char *format, ...) {
    fflush(stdout);
    const struct emulator_thread *t = emulator_self;
    if (emulator_grid.name)
        fprintf(stderr, "%s: ", emulator_grid.name);
    fprintf(stderr, "%s:%d: ", at.file, at.line);
    va_list list;
    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    if (t && t->block)
        fprintf(stderr, " (block %u %u %u, thread %u %u %u)", t->block->index.x, t->block->index.y,
                t->block->index.z, t->index.x, t->index.y, t->index.z);
    fputc('\n', stderr);
    fflush(stderr);
    _exit(70);
}

bool emulator_same_place(struct emulator_place a, struct emulator_place b) {
    return a.line == b.line && (a.file == b.file || !strcmp(a.file, b.file));
}
