// harness.h: what the emitted cases (emit.lua), the references (NAME.c) and harness.c share.
//
// A case is a small graph, twice: as the model says it, one reference after another in plain
// doubles; and as kernels, after autodiff, fusion and layout, one call after another. Both speak of
// the same tensors. A backend runs the kernels (backend_cpu.c, backend_cuda.c); all else is the
// same for every backend.
#ifndef DIECAST_OPS_HARNESS_H
#define DIECAST_OPS_HARNESS_H

#include "runtime/base/base.h"
#include "runtime/model/model.h"
#include "tests/ops/call.h"

enum { OP_INPUTS = 4, OP_OUTPUTS = 4, OP_ALIASES = 4 };

// How a run is set, and what kernels are told of it.
struct settings {
    float loss_scale, dropout; // d loss / d a row's loss; a probability
    uint32_t dropout_key[2];
    bool overwrite; // gradients are overwritten, not added to (beta 0)
};

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
    const struct settings *settings;
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

// How a backend stores a tensor's elements. The harness's own are always float or int32_t.
enum format { F32, BF16, F16, I32 };

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
    enum format format;
    int count;       // elements
    int valid;       // elements that are written: fewer where a sampler's call has few rows
    int columns;     // of a row
    int width, rows; // of a row and of the whole with padding: those of its memory
    bool zero;       // padding is 0 and stays so; else it is anything, and kernels may write there
    int of; // VALUE: whose value it is; GRADIENT: by which tensor; GIVEN: whose image, or -1
    bool accumulate; // GRADIENT: added to what was there
    bool rounded;    // GIVEN: to the type of activations, since another tensor is an image of it
    int below;       // integers in [0, below), or, where `ignored`, in [-1, below); 0: floats
    bool ignored;
    double spread; // GIVEN, STATE: standard deviation
    int roundings; // to the type of activations on the way to this tensor
};

struct step {
    reference_fn *reference;
    struct dims d;
    double scale, eps;
    uint32_t site;
    int in[OP_INPUTS], out[OP_OUTPUTS]; // tensors, or -1
};

struct call {
    const char *name;
    call_fn *kernel;
    double flops, bytes;
    uint32_t site;
    int rows;
    size_t scratch_bytes;      // a CPU's: of each thread; CUDA's: the workspace
    int tokens;                // CUDA: the tensor that gpu->order sorts, or -1
    bool first[OP_BETAS];      // no call before it writes this gradient
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
extern const enum format elem_format; // of activations

// ---- harness.c ----------------------------------------------------------------------------------

enum { POISON = 0xff }; // each byte of what nobody has written: a NaN in every format

// Fills memory with what a tensor holds before kernels run: float or int32_t, no padding.
void fill_start(const struct op_case *c, int tensor, const struct settings *settings, void *at);

// ---- format.c: numbers as a backend stores them -------------------------------------------------

size_t format_bytes(enum format format);
// How far, relative, rounding to a format may move a number: half a unit in the last place.
double format_roundoff(enum format format);
// The value (a float or an int32_t, of 4 bytes) at `from` as `format` at `to`, rounded to nearest
// even; and back.
void format_store(enum format format, void *to, const void *from);
void format_load(enum format format, void *to, const void *from);

// ---- a backend: backend_cpu.c or backend_cuda.c -------------------------------------------------

extern const bool backend_overwrites; // it knows settings.overwrite
extern const double backend_work;     // operations for the central differences of one tensor
extern const double backend_seconds;  // that a test may take

// One way of running a case: the backend's number, and the call whose result takes an operand's
// memory.
struct way {
    int number, alias_call, alias_tensor; // -1: none
};

// How many there are, and what sets one apart, "with 4 threads".
int backend_ways(void);
const char *backend_way(int number);
// Runs all calls. results: a copy of each tensor for the caller to free, as fill_start fills it.
// Returns the mean loss, NAN where no call computes it.
double backend_run(const struct op_case *c, const struct settings *settings, struct way way,
                   void **results);
// The name of the family of what a backend has beyond the cases, or NULL; and its tests, to Check's
// TCase.
const char *backend_family(void);
struct TCase;
void backend_add_tests(struct TCase *family);
// Prints how long each call takes.
void backend_bench(const struct op_case *c, const struct settings *settings);

#endif
