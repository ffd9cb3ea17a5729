// gemm_test.h: shared by the files of this program: a count of checks, matrices on host and device,
// and a product's operands, whose result is compared with doubles.
#ifndef DIECAST_GEMM_TEST_H
#define DIECAST_GEMM_TEST_H

#include "runtime/base/base.h"
#include "runtime/gpu/gpu.h"
#include "runtime/kernel/gemm.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#ifdef DIECAST_EMULATED
enum { WORKSPACE = 1 << 20 }; // small, since the emulator protects device memory page by page
#else
enum { WORKSPACE = GEMM_WORKSPACE };
#endif

extern struct gpu gpu;
extern const char *tune_folder; // for tune files

void check(bool good, const char *what);
// Runs fn in a child process; returns its exit code and the first line of its output. Only on the
// emulator: a process that has a device open can't be forked.
int ended(void (*fn)(void *), void *argument, char line[512]);

// ---- matrices -----------------------------------------------------------------------------------

extern const char *const type_name[];
extern const int type_bits[]; // of the mantissa, with the leading one

bool is_half(enum gemm_type type);
// Rounds to the type, ties to even.
double round_to(double x, enum gemm_type type);
// Stores an element of the type.
void put(void *data, enum gemm_type type, size_t at, double x);
double get(const void *data, enum gemm_type type, size_t at);

// A matrix on host and device: matrix_send copies it to the device and matrix_fetch back.
struct matrix {
    enum gemm_type type;
    int rows, cols, ld; // in memory
    void *host, *device;
};

enum content { RANDOM, POISON };

// Padding is NaN, and so is everything if the content is poison.
struct matrix matrix_make(enum gemm_type type, int rows, int cols, int ld, enum content content);
void matrix_send(const struct matrix *m);
void matrix_fetch(struct matrix *m);
void matrix_free(struct matrix *m);
// Element (i, j) of the operand, or of its transpose.
double seen(const struct matrix *m, bool transposed, int i, int j);
bool padding_is_nan(const struct matrix *m);

// ---- one product --------------------------------------------------------------------------------

// The operands of a product.
struct operands {
    struct matrix out, a, b, bias, residual, pre, kept;
    struct gemm_extra extra;
};

// `beyond`: columns of padding in addition to those for alignment.
struct operands operands_make(struct gemm *g, int beyond);
void operands_free(struct operands *o);
void run(const struct gemm *g, struct operands *o, float beta);
// Counts the elements whose error is above the bound; before: out's values before, or NULL.
int count_wrong(const struct gemm *g, const struct operands *o, const double *before);

// ---- the program's parts ------------------------------------------------------------------------

void check_products(struct gemm_context *context); // products.c
void check_batch(struct gemm_context *context);
void check_rounding(struct gemm_context *context);
void check_nan(struct gemm_context *context);
void check_graph(struct gemm_context *context);
void check_faults(void);   // faults.c: errors that end the program; only emulated
void check_refusals(void); // refusals.c: requests that the stand-in refuses; only emulated
void check_tune(void);     // tune.c: the tune file

#endif
