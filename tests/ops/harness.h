// harness.h: the interface of the emitted cases (emit.lua), the references (NAME.c) and harness.c.
//
// A case is a small graph, twice: as the model has it, one reference after another in plain
// doubles; and as kernels, after autodiff, fusion and layout, one call after another. Both have
// the same tensors. A backend runs the kernels (backend_cpu.c, backend_cuda.c); everything else is
// the same for all backends.
#ifndef DIECAST_OPS_HARNESS_H
#define DIECAST_OPS_HARNESS_H

#include "runtime/base/base.h"
#include "runtime/model/model.h"
#include "tests/ops/call.h"

enum { OP_INPUTS = 4, OP_OUTPUTS = 4, OP_ALIASES = 4 };

// The settings of a run, and the values that kernels get.
struct settings {
    float loss_scale, dropout; // d loss / d a row's loss; a probability
    uint32_t dropout_key[2];
    bool overwrite; // gradients are overwritten, not added to (beta 0)
};

// ---- references ---------------------------------------------------------------------------------

struct dims {
    int N, B, T, C, H, KV, W, D, E, O, V, P, S;
};

// One op, in doubles, integers too. in and out are in the op's order (gen/ops/NAME.lua), NULL where
// an optional operand is absent; rows are d.N.
struct op {
    struct dims d;
    double scale, eps, theta, cap, factor, low, high, original, sign; // attributes, or 0
    int panel;     // rows that stand side by side in the op's state
    int pos;       // for the sampler
    uint32_t site; // of dropout; 0 is none
    const struct settings *settings;
    const double *in[OP_INPUTS];
    double *out[OP_OUTPUTS];
    double *loss; // mean_loss's result
};

typedef void reference_fn(const struct op *op);

// 0, or what a kept element is multiplied by. dropout.c.
double dropout_factor(const struct op *op, int64_t row, int columns, int column);
// y (count) = softmax of x (count); returns the log of the sum of exponentials. attention.c.
double softmax(double *y, const double *x, int count);

// ---- emitted tables -----------------------------------------------------------------------------

// How a backend stores a tensor's elements. In the harness they are always float or int32_t.
enum format { F32, BF16, F16, I32 };

enum role {
    GIVEN,        // random; kernels do not change it
    STATE,        // random; read and written (a cache)
    VALUE,        // kernels write what the reference writes
    INTERMEDIATE, // only in the reference: fused away
    GRADIENT,     // kernels write, or add to, the loss's derivative by a given tensor
    WORK,         // kernels write it; checked only through what is made from it
};

struct tensor {
    const char *name;
    enum role role;
    enum format format;
    int count;       // elements
    int valid;       // elements that are written: fewer if a sampler's call has fewer rows
    int columns;     // of a row
    int width, rows; // with padding: the size of its memory
    bool zero;       // padding is 0 and stays 0; else it is undefined, and kernels may write there
    int of; // VALUE: whose value it is; GRADIENT: by which tensor; GIVEN: whose image, or -1
    bool accumulate; // GRADIENT: added to the old value
    bool rounded; // GIVEN: to elem_format, since another tensor is an image of it, or as a factor
    int below;    // integers in [0, below), or, if `ignored`, in [-1, below); 0: floats
    bool ignored;
    double spread; // GIVEN, STATE: standard deviation
    int roundings; // to the type of activations on the way to this tensor
};

struct step {
    reference_fn *reference;
    struct dims d;
    double scale, eps, theta, cap, factor, low, high, original, sign;
    int panel;
    uint32_t site;
    int in[OP_INPUTS], out[OP_OUTPUTS]; // tensors, or -1
};

struct call {
    const char *name;
    call_fn *kernel;
    double flops, bytes;
    uint32_t site;
    int rows;
    size_t scratch_bytes;      // CPU: of each thread; CUDA: the workspace
    int tokens;                // CUDA: the tensor that gpu->order sorts, or -1
    bool first[OP_BETAS];      // no call before it writes this gradient
    int operands[OP_OPERANDS]; // tensors, or -1
    int aliases[OP_ALIASES];   // tensors whose memory the first operand may have; -1: no more
};

struct op_case {
    const char *name;
    double tolerance; // of a tensor, relative, in L2
    double work;      // about how many operations the reference's steps take
    bool dropout;     // run with dropout and without
    int pos;
    int loss, seed; // loss = sum of tensor `loss` times tensor `seed`, or times loss_scale (-1)
    const struct tensor *tensors;
    const struct step *steps;
    const struct call *calls;
    int tensors_count, steps_count, calls_count;
    struct gemm *const *gemms; // CUDA: products of cuBLASLt that its family's calls run
    int gemms_count;
};

struct family {
    const char *name;
    const struct op_case *cases;
    int count;
};

extern const struct family families[];
extern const int families_count;
extern const enum format elem_format; // of activations; on a CPU of products' factors

// ---- harness.c ----------------------------------------------------------------------------------

enum { POISON = 0xff }; // each byte of unwritten memory: a NaN in every format

// Fills memory with a tensor's values before kernels run: float or int32_t, no padding.
void fill_start(const struct op_case *c, int tensor, const struct settings *settings, void *at);

// ---- format.c: numbers as a backend stores them -------------------------------------------------

size_t format_bytes(enum format format);
// The largest relative error of rounding to a format: half a unit in the last place.
double format_roundoff(enum format format);
// Converts the value (a float or an int32_t, of 4 bytes) at `from` to `format` at `to`, rounded to
// nearest even; and back.
void format_store(enum format format, void *to, const void *from);
void format_load(enum format format, void *to, const void *from);

// ---- a backend: backend_cpu.c or backend_cuda.c -------------------------------------------------

extern const bool backend_overwrites; // it supports settings.overwrite
extern const double backend_work;     // operations for the central differences of one tensor
extern const double backend_seconds;  // a test's time limit

// One way of running a case: the backend's number of it, and the call whose result is written over
// an operand.
struct way {
    int number, alias_call, alias_tensor; // -1: none
};

// How many ways there are, and the name of one, as "with 4 threads".
int backend_ways(void);
const char *backend_way(int number);
// Runs all calls. results: a copy of each tensor, in fill_start's format, which the caller frees.
// Returns the mean loss, or NAN if no call computes it.
double backend_run(const struct op_case *c, const struct settings *settings, struct way way,
                   void **results);
// The name of the family of kernels that this backend has besides those of cases, or NULL; and its
// tests, added to Check's TCase.
const char *backend_family(void);
struct TCase;
void backend_add_tests(struct TCase *family);
// Prints how long each call takes.
void backend_bench(const struct op_case *c, const struct settings *settings);

#endif
