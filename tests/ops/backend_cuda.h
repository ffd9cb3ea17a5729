// backend_cuda.h: the device and its memory, for backend_cuda.c and whole.c, which has the
// backend's own family.
#ifndef DIECAST_OPS_BACKEND_CUDA_H
#define DIECAST_OPS_BACKEND_CUDA_H

#include "tests/ops/harness.h"

enum { CANARY = 4096 }; // bytes

// With a stream, a state, a workspace and cuBLASLt. Opened by the first test of a process, which is
// Check's child.
struct gpu *backend_device(void);
// From here on kernels run as this way has it.
void backend_choose(int way);
void emulator_choose(int schedule); // emulated.cpp

struct memory {
    char *at; // the device's
    size_t bytes, guard;
};

// Of `bytes`, all POISON, between canaries of `guard` bytes.
struct memory memory_new(size_t bytes, size_t guard);
// False where something was written before its first byte or behind its last.
bool memory_free(const struct memory *memory);
// All that goes from the host to the device: it has arrived when this returns.
void memory_write(void *to, const void *from, size_t bytes);

#endif
