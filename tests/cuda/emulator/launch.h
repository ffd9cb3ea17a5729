// launch.h: what a launch has, for emulator.cpp, shared.cpp and tiles.cpp.
#ifndef DIECAST_EMULATOR_LAUNCH_H
#define DIECAST_EMULATOR_LAUNCH_H

#include <functional>
#include <vector>

#include "emulator.h"
#include "memory.h"

#if defined(__SANITIZE_ADDRESS__)
#define EMULATOR_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define EMULATOR_ASAN 1
#endif
#endif
#ifdef EMULATOR_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

enum {
    STATIC_ROOM = 128 * 1024,               // room for a block's static arrays with red zones
    SHARED_ROOM = STATIC_ROOM + 256 * 1024, // and for its dynamic shared memory
    RED_ZONE = 128,                         // bytes behind each array
};

// Halves of NaN in every 16- and 32-bit type: what was never written, and what
// no one may write.
static const uint16_t unwritten = 0xffff, red = 0xfff5;

struct array { // of shared memory
    size_t offset, bytes;
    struct emulator_place at; // its declaration
};

struct launch_state {
    std::vector<struct emulator_thread> threads;
    std::vector<struct emulator_warp> warps;
    std::vector<struct emulator_block> blocks; // of the cluster
    std::function<void()> body;
    int alive;
    struct emulator_meeting cluster;
    size_t static_top, static_bytes; // with and without red zones
    std::vector<struct array> arrays;
    unsigned char *room; // shared memory of the most blocks that a cluster has
};
extern struct launch_state &emulator_run;

// Makes an array of a block's shared memory unwritten, with its red zone.
void emulator_array_start(struct emulator_block *block, size_t offset, size_t bytes);
// Ends the program where someone wrote behind an array of the block.
void emulator_shared_check(const struct emulator_block *block);

#endif
