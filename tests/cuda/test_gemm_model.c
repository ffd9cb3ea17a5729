// test_gemm_model.c: products without a model, for the tune program (gpu_tune.c).
#include "runtime/kernel/emitted.h"
#include "runtime/kernel/gemm.h"
#include "runtime/model/model.h"

struct optimizer_part optimizer_part = {0, INT64_MAX}; // all of it

static struct gemm forward = {
    .name = "forward", // y (48, 64) = gelu (x (48, 40) w (64, 40)^T + bias)
    .rows = 48,
    .cols = 64,
    .inner = 40,
    .out_ld = 64,
    .a_ld = 40,
    .b_ld = 40,
    .b_transposed = true,
    .type = GEMM_BF16,
    .out_type = GEMM_BF16,
    .bias = true,
    .gelu = true,
    .kept = true,
};

static struct gemm backward = {
    .name = "backward", // dx (48, 40) = dy (48, 64) w (64, 40) + residual
    .rows = 48,
    .cols = 40,
    .inner = 64,
    .out_ld = 40,
    .a_ld = 64,
    .b_ld = 40,
    .type = GEMM_F16,
    .out_type = GEMM_F16,
    .residual = true,
};

static struct gemm weight = {
    .name = "weight", // dw (64, 40) += dy (48, 64)^T x (48, 40)
    .rows = 64,
    .cols = 40,
    .inner = 48,
    .out_ld = 40,
    .a_ld = 64,
    .b_ld = 40,
    .a_transposed = true,
    .type = GEMM_TF32,
    .out_type = GEMM_F32,
    .accumulate = true,
};

struct gemm *const model_gemms[] = {&forward, &backward, &weight};
const int model_gemms_count = sizeof model_gemms / sizeof *model_gemms;

// Of which tune wants the size of a trainer's memory.
const struct model_info model_info = {.batch_size = 2, .block_size = 8, .optimizer = OPTIMIZER_SGD};
