// call.h: the interface of emitted kernels and the harness; C for a CPU's kernels, C++ for CUDA's.
#ifndef DIECAST_OPS_CALL_H
#define DIECAST_OPS_CALL_H

#include <stdint.h>

enum { OP_OPERANDS = 12, OP_BETAS = 2 };

struct call_context {
    void *at[OP_OPERANDS];
    struct model *m;      // CPU
    struct gpu *gpu;      // CUDA
    void *scratch;        // CPU: this thread's memory; CUDA: the kernel's workspace
    float beta[OP_BETAS]; // for each gradient that has one; 0: it is the first to write it
    uint32_t site;        // of dropout
    int rows, pos;        // for the sampler
    int thread, threads;  // CPU
};

typedef void call_fn(const struct call_context *c);

// CUDA: the kernels of all parameters and of a micro-step's start, for one optimizer.
struct whole_case {
    const char *name; // "adamw", "adam" or "sgd"
    int floats, decayed, rows;
    int ends[4], groups[4];          // of ranges of parameters, the ends in fours
    void (*take)(struct gpu *gpu);   // a staging slot to tokens, targets and order (rows)
    void (*norm)(struct gpu *gpu);   // of the gradients, and the arguments of the update
    void (*update)(struct gpu *gpu); // params, m, v and packed
    void (*cast)(struct gpu *gpu);   // params to packed; NULL in float32
};

#endif
