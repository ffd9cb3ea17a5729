// gemm.h: matrix products on the device through cuBLASLt, every shape a constant of the program;
// what emitted train.cu (C++) says of them and calls. gpu/gemm.c runs them.
//
// A product is in row-major terms, as everywhere here:
//
//     out (rows, cols) = a (rows, inner) b (inner, cols)
//
//     y (N, O)  = x (N, C) w^T        rows N, cols O, inner C, b_transposed: w lies as (O, C)
//     dx (N, C) = dy (N, O) w         rows N, cols C, inner O
//     dw (O, C) = dy^T x (N, C)       rows O, cols C, inner N, a_transposed: dy lies as (N, O)
//
// `turned` says that the operand lies in memory with its axes exchanged; *_ld is the distance in
// elements from one row to the next as it lies. Sums are in float whatever the types.
#ifndef DIECAST_GEMM_H
#define DIECAST_GEMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
// As in C, what a designated initializer leaves out is 0, and that is meant.
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
extern "C" {
#endif

struct gpu;

enum gemm_type {
    GEMM_BF16,
    GEMM_F16,
    GEMM_F32,  // float, multiplied as float
    GEMM_TF32, // float in memory; the multiplier sees 10 bits of each mantissa
};

// Every pointer that gemm_run is given is a multiple of this many bytes, and so is the distance
// between rows; it is what a bf16 row of 8 columns takes, and all that tensor cores ask for.
enum { GEMM_ALIGN = 16 };

struct gemm {
    const char *name;                // of the emitted kernel
    int64_t rows, cols, inner;       // out (rows, cols) = a (rows, inner) b (inner, cols)
    int64_t out_ld, a_ld, b_ld;      // from row to row, in elements
    bool a_transposed, b_transposed; // a lies as (inner, rows); b lies as (cols, inner)
    enum gemm_type type, out_type;   // of a and b; of out and all of gemm_extra (never GEMM_TF32)

    // What happens to the sums before they are stored, in this order. Operands of (rows, cols)
    // have rows out_ld apart.
    bool accumulate; // + beta * what out holds; with nothing else
    bool residual;   // + residual (rows, cols); beside bias at most
    bool bias;       // + bias (cols)
    bool dgelu;      // * gelu'(pre (rows, cols)); with nothing else
    bool gelu;       // gelu in its tanh approximation
    bool kept;       // and what went into gelu is stored to kept (rows, cols) too

    struct gemm_plan *plan; // gemm_create's
};

// The operands that only some products have; the others are NULL.
struct gemm_extra {
    const void *bias, *residual, *pre;
    void *kept;
};

// ---- what emitted train.cu calls, and provides --------------------------------------------------

// gpu/gemm.c. Puts the product on gpu->stream, which may be in capture. extra may be NULL. beta: of a product
// that accumulates, 0 or 1 (0: out is not read); of any other 0.
void gemm_run(struct gpu *gpu, const struct gemm *gemm, void *out, const void *a, const void *b,
              const struct gemm_extra *extra, float beta);

// All products of the program, each once: emitted train.cu provides them.
extern struct gemm *const model_gemms[];
extern const int model_gemms_count;

#ifdef __cplusplus
}
#endif

#endif
