// backend_cuda.h: the device and its memory, for backend_cuda.c and whole.c.
#ifndef DIECAST_OPS_BACKEND_CUDA_H
#define DIECAST_OPS_BACKEND_CUDA_H

#include "tests/ops/harness.h"

struct Suite;

enum { CANARY = 4096 }; // bytes

// With a stream, a state, a workspace and cuBLASLt. Opened by the first test of a process: Check
// runs each in its own.
struct gpu *backend_device(void);
// From here on kernels run as this way has it.
void backend_choose(int way);
void emulator_choose(int schedule); // emulated.cpp

// Of the host; never NULL.
void *allocate(size_t bytes);

struct memory {
    char *at; // the device's
    size_t bytes, guard;
};

// Of `bytes`, all POISON, between canaries of `guard` bytes.
struct memory memory_new(size_t bytes, size_t guard);
// False where something was written before its first byte or behind its last.
bool memory_free(const struct memory *memory);

// whole.c: tests of the kernels that no graph asks for.
void whole_add_tests(struct Suite *suite);

#endif
