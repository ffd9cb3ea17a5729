// harness.h: what the emitted cases (emit.lua), the references (NAME.c) and harness.c share.
//
// A case is a small graph, twice: as the model says it, one reference after another in plain
// doubles; and as kernels, after autodiff, fusion and layout, one call after another. Both speak of
// the same tensors.
#ifndef DIECAST_OPS_HARNESS_H
#define DIECAST_OPS_HARNESS_H

#include "runtime/runtime.h"

enum { OP_INPUTS = 4, OP_OUTPUTS = 4, OP_OPERANDS = 12, OP_ALIASES = 4, OP_THREADS = 7 };

// ---- references ---------------------------------------------------------------------------------

struct dims {
    int N, B, T, C, H, D, E, O, V, P, S;
};

// One op, in doubles, integers too. in and out are in the op's order (gen/ops/NAME.lua), NULL where
// an optional operand is absent; rows are d.N.
struct op {
    struct dims d;
    double scale, eps;
    int pos;       // the sampler's
    uint32_t site; // of dropout; 0 is none
    const struct model *m;
    const double *in[OP_INPUTS];
    double *out[OP_OUTPUTS];
    double *loss; // mean_loss's result
};

typedef void reference_fn(const struct op *op);

// 0, or what a kept element is multiplied by. dropout.c.
double dropout_factor(const struct op *op, int64_t row, int columns, int column);
// exp of each of x (count) over their sum, to y; returns the log of that sum. attention.c.
double softmax(double *y, const double *x, int count);

// ---- emitted tables -----------------------------------------------------------------------------

enum role {
    GIVEN,        // random; kernels do not change it
    STATE,        // random; read and written (a cache)
    VALUE,        // kernels write what the reference writes
    INTERMEDIATE, // of the reference alone: fused away
    GRADIENT,     // kernels write, or add to, the loss's derivative by a given tensor
    WORK,         // kernels write it; judged by what is made from it
};

struct tensor {
    const char *name;
    enum role role;
    int count;       // elements
    int valid;       // elements that are written: fewer where a sampler's call has few rows
    int columns;     // of a row
    int of;          // VALUE: whose value it is; GRADIENT: by which tensor
    bool accumulate; // GRADIENT: added to what was there
    int below;       // integers in [0, below), or, where `ignored`, in [-1, below); 0: floats
    bool ignored;
    double spread; // GIVEN, STATE: standard deviation
};

struct step {
    reference_fn *reference;
    struct dims d;
    double scale, eps;
    uint32_t site;
    int in[OP_INPUTS], out[OP_OUTPUTS]; // tensors, or -1
};

// What a kernel is called with.
struct call_context {
    void *at[OP_OPERANDS];
    struct model *m;
    void *scratch[OP_THREADS];
    uint32_t site;
    int rows, pos;
};

struct call {
    const char *name;
    void (*kernel)(const struct call_context *c, int thread, int threads);
    double flops;
    uint32_t site;
    int rows;
    size_t scratch_bytes;
    int operands[OP_OPERANDS]; // tensors, or -1
    int aliases[OP_ALIASES];   // tensors whose memory the first operand may have; -1: no more
};

struct op_case {
    const char *name;
    double tolerance; // of a tensor, relative, in L2
    double work;      // operations of the reference's steps, about
    bool dropout;     // run with dropout and without
    int pos;
    int loss, seed; // loss = sum of tensor `loss` times tensor `seed`, or times loss_scale (-1)
    const struct tensor *tensors;
    const struct step *steps;
    const struct call *calls;
    int tensors_count, steps_count, calls_count;
};

struct family {
    const char *name;
    const struct op_case *cases;
    int count;
};

extern const struct family families[];
extern const int families_count;

#endif
