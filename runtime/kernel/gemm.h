// gemm.h: matrix products on the device through cuBLASLt. Emitted train.cu describes each product,
// all of whose sizes are constants, and calls gemm_run; gpu/gemm.c runs it.
//
// Matrices are row-major, as everywhere here:
//
//     out (rows, cols) = a (rows, inner) b (inner, cols)
//
//     y (N, O)  = x (N, C) w^T        rows N, cols O, inner C, b_transposed: w is (O, C) in memory
//     dx (N, C) = dy (N, O) w         rows N, cols C, inner O
//     dw (O, C) = dy^T x (N, C)       rows O, cols C, inner N, a_transposed: dy is (N, O) in memory
//
// A transposed operand has its axes exchanged in memory. *_ld is the distance, in elements, from
// one row in memory to the next. Sums are in float, whatever the types.
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
    GEMM_TF32, // float in memory, rounded to 10 bits of mantissa for multiplication
};

// Pointers passed to gemm_run, and distances between rows, are multiples of this many bytes: 8 bf16
// elements, which is what tensor cores need.
enum { GEMM_ALIGN = 16 };

struct gemm {
    const char *name;                // of the emitted kernel
    int64_t rows, cols, inner;       // out (rows, cols) = a (rows, inner) b (inner, cols)
    int64_t out_ld, a_ld, b_ld;      // from row to row, in elements
    bool a_transposed, b_transposed; // in memory, a is (inner, rows); b is (cols, inner)
    enum gemm_type type, out_type;   // of a and b; of out and all of gemm_extra (never GEMM_TF32)
    float factor;                    // of the product, before its epilogue; 0: it has none

    // How many products of the same sizes are computed together, 0 for one; and elements from one
    // to the next of their operands. Those have no epilogue but a residual, which lies as out does.
    int batch;
    int64_t out_stride, a_stride, b_stride;

    // The epilogue, in this order. Operands of (rows, cols) have rows out_ld apart.
    bool accumulate;       // + beta * out; combines with nothing else
    bool residual;         // + residual (rows, cols); combines with bias only
    float residual_factor; // which multiplies it; 0: nothing does
    bool bias;             // + bias (cols)
    bool dgelu;            // * gelu'(pre (rows, cols)); combines with nothing else
    bool gelu;             // gelu in its tanh approximation
    bool kept;             // stores gelu's input to kept (rows, cols), too

    struct gemm_setup *setup; // set by gemm_create
};

// The epilogue's operands; NULL where a product has none.
struct gemm_extra {
    const void *bias, *residual, *pre;
    void *kept;
};

// ---- what emitted train.cu calls, and provides --------------------------------------------------

// gpu/gemm.c. Runs the product on gpu->stream, which may be capturing a graph. extra may be NULL.
// beta is 0 or 1 for a product that accumulates (0: out is not read), and 0 for any other.
void gemm_run(struct gpu *gpu, const struct gemm *gemm, void *out, const void *a, const void *b,
              const struct gemm_extra *extra, float beta);

// All products of the model, each once; emitted train.cu provides the table.
extern struct gemm *const model_gemms[];
extern const int model_gemms_count;

#ifdef __cplusplus
}
#endif

#endif
