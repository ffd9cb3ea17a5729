// backend_cuda.h: the device and its memory, for backend_cuda.c and for whole.c, which has the
// family of this backend alone.
#ifndef DIECAST_OPS_BACKEND_CUDA_H
#define DIECAST_OPS_BACKEND_CUDA_H

#include "tests/ops/harness.h"

enum { CANARY = 4096 }; // bytes

// The device with a stream, a state, a workspace and cuBLASLt. It is opened by the first test of a
// process, which is Check's child.
struct gpu *backend_device(void);
// Chooses the way in which kernels run from here on.
void backend_choose(int way);
void emulator_choose(int schedule); // emulated.cpp

struct memory {
    char *at; // the device's
    size_t bytes, guard;
};

// Memory of `bytes`, all POISON, between canaries of `guard` bytes.
struct memory memory_new(size_t bytes, size_t guard);
// False if something was written before its first byte or after its last.
bool memory_free(const struct memory *memory);
// Every copy from the host to the device: the bytes have arrived when this returns.
void memory_write(void *to, const void *from, size_t bytes);

// Muon's update: its matrices, each with the distance from row to row and its first element in the
// parameters; floats of those and of what it works in; and what is called, in this order: the norm,
// then an update whose symmetric products are computed in rows of blocks, or whole.
struct muon_case {
    const struct muon_matrix { int rows, cols, pitch, at; } * matrices;
    int matrices_count, floats, work_floats;
    struct gemm *const *gemms;
    int gemms_count;
    void (*norm)(struct gpu *gpu), (*blocks)(struct gpu *gpu), (*whole)(struct gpu *gpu);
};

// muon.c: adds Muon's tests to the family "optimizer".
struct TCase;
void muon_add_tests(struct TCase *family);

#endif
