// gemm_test.h: what the files of this program share: a count of checks, matrices on both sides, and
// a product's operands, whose result is held against doubles.
#ifndef DIECAST_GEMM_TEST_H
#define DIECAST_GEMM_TEST_H

#include "runtime/base/base.h"
#include "runtime/gpu/gpu.h"
#include "runtime/kernel/gemm.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#ifdef DIECAST_EMULATED
enum { WORKSPACE = 1 << 20 }; // the emulator shields all of device memory, page by page
#else
enum { WORKSPACE = GEMM_WORKSPACE };
#endif

extern struct gpu gpu;
extern const char *tune_folder; // to put tune files in

void check(bool good, const char *what);
// fn in a process of its own; its exit code, and the first line of what it said. For the emulator
// alone: a process that has a device open can't be forked.
int ended(void (*fn)(void *), void *argument, char line[512]);

// ---- matrices -----------------------------------------------------------------------------------

extern const char *const type_name[];
extern const int type_bits[]; // of a mantissa, the leading one too

bool is_half(enum gemm_type type);
// To the nearest number with so many bits, ties to even.
double round_to(double x, enum gemm_type type);
// An element of the type.
void put(void *data, enum gemm_type type, size_t at, double x);
double get(const void *data, enum gemm_type type, size_t at);

// On both sides: what the host holds goes over with matrix_send and comes back with matrix_fetch.
struct matrix {
    enum gemm_type type;
    int rows, cols, ld; // as it lies
    void *host, *device;
};

enum content { RANDOM, POISON };

// Padding holds NaN, and so does all of it where poison is asked for.
struct matrix matrix_make(enum gemm_type type, int rows, int cols, int ld, enum content content);
void matrix_send(const struct matrix *m);
void matrix_fetch(struct matrix *m);
void matrix_free(struct matrix *m);
// Element (i, j) of the operand as the product sees it.
double seen(const struct matrix *m, bool transposed, int i, int j);
bool padding_is_nan(const struct matrix *m);

// ---- one product --------------------------------------------------------------------------------

// The operands of a product, made for it.
struct operands {
    struct matrix out, a, b, bias, residual, pre, kept;
    struct gemm_extra extra;
};

// `beyond`: columns of padding beside what alignment takes.
struct operands operands_make(struct gemm *g, int beyond);
void operands_free(struct operands *o);
void run(const struct gemm *g, struct operands *o, float beta);
// How often an element is off by more than its bound; before: what out held, or NULL for nothing.
int count_wrong(const struct gemm *g, const struct operands *o, const double *before);

// ---- the program's parts ------------------------------------------------------------------------

void check_products(struct gemm_context *context); // products.c
void check_rounding(struct gemm_context *context);
void check_nan(struct gemm_context *context);
void check_graph(struct gemm_context *context);
void check_faults(void);   // faults.c: what ends the program; emulated alone
void check_refusals(void); // refusals.c: what the stand-in refuses; emulated alone
void check_tune(void);     // tune.c: the tune file

#endif
