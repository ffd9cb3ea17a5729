// call.h: what is between emitted kernels and the harness; C for a CPU's, C++ for CUDA's.
#ifndef DIECAST_OPS_CALL_H
#define DIECAST_OPS_CALL_H

#include <stdint.h>

enum { OP_OPERANDS = 12, OP_BETAS = 2 };

struct call_context {
    void *at[OP_OPERANDS];
    struct model *m;      // a CPU's
    struct gpu *gpu;      // CUDA's
    void *scratch;        // a CPU's: this thread's memory; CUDA's: the kernel's workspace
    float beta[OP_BETAS]; // of each gradient that has one: 0, nothing is there yet
    uint32_t site;        // of dropout
    int rows, pos;        // the sampler's
    int thread, threads;  // a CPU's
};

typedef void call_fn(const struct call_context *c);

// CUDA: the kernels of all parameters and of a micro-step's start, for one optimizer.
struct whole_case {
    const char *name; // "adamw", "adam" or "sgd"
    int floats, decayed, rows;
    void (*take)(struct gpu *gpu);   // a staging slot to tokens, targets and order (rows)
    void (*norm)(struct gpu *gpu);   // of the gradients, and what the update is told
    void (*update)(struct gpu *gpu); // params, m, v and packed
    void (*cast)(struct gpu *gpu);   // params to packed; NULL in float32
};

#endif
