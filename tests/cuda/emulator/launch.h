// launch.h: what the files of the emulator share of a launch: its state and its schedule, and how
// its threads stop and continue.
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
    MAX_CLUSTER = 16,                       // blocks
    STATIC_ROOM = 128 * 1024,               // room for a block's static arrays with red zones
    SHARED_ROOM = STATIC_ROOM + 256 * 1024, // and for its dynamic shared memory
    RED_ZONE = 128,                         // bytes behind each array
};

// Patterns that are NaN in every 16- and 32-bit type: for memory that was never written, and for
// red zones.
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
    size_t static_top, static_bytes; // of static arrays, with and without red zones
    std::vector<struct array> arrays;
    unsigned char *room; // shared memory for a cluster of the largest size
};
extern struct launch_state &emulator_run;

// ---- schedule.cpp -------------------------------------------------------------------------------

struct emulator_schedule_state {
    enum emulator_order order;
    uint32_t seed, state, streams; // the generator's state, in a launch and between launches
    bool set;
};
extern struct emulator_schedule_state emulator_schedule_now;

// Reads EMULATOR_SCHEDULE, once, where emulator_schedule was not called.
void emulator_schedule_read(void);
// The next number of the launch.
uint32_t emulator_random_bits(void);
bool emulator_same_place(struct emulator_place a, struct emulator_place b);

// ---- fibers.cpp ---------------------------------------------------------------------------------

// Stops the current thread until its lane's ready bit is set.
void emulator_suspend(const char *waits_for, struct emulator_place at);
void emulator_make_ready(struct emulator_thread *t);
// Runs the threads of emulator_run's blocks until all have returned.
void emulator_run_blocks(void);

// ---- shared.cpp ---------------------------------------------------------------------------------

// Marks an array of a block's shared memory as unwritten, and sets its red zone.
void emulator_array_start(struct emulator_block *block, size_t offset, size_t bytes);
// Ends the program if a red zone behind an array of the block was written.
void emulator_shared_check(const struct emulator_block *block);

#endif
