// cublasLt.cpp: cuBLASLt on the CPU: plain products that round to the output's type, and refusals
// of what the real library's documentation refuses. As there, matrices are column-major: (rows,
// cols) with `ld` elements from one column to the next.
//
// It is stricter where that exposes faults: the algorithms that it lists require every alignment
// that was promised; the first ones split sums in ways that lose bits or differ from run to run,
// unless the caller's mask excludes them; the workspace of an algorithm, the output and the stored
// GELU input are filled with NaN before anything is read.
#include "cublasLt.h"
#include "runtime/kernel/kernel.cuh"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <vector>

struct cublasLtContext {
    int unused;
};

struct cublasLtMatmulDescOpaque {
    cublasComputeType_t compute;
    cudaDataType_t scale;
    int32_t transpose_a, transpose_b;
    uint32_t epilogue;
    const void *bias;
    int32_t bias_type; // -1: as D
    void *aux;
    int64_t aux_ld;
    int32_t aux_type; // -1: as D
};

struct cublasLtMatrixLayoutOpaque {
    cudaDataType_t type;
    int64_t rows, cols, ld;
    int32_t batch;  // matrices
    int64_t stride; // from one to the next
};

struct cublasLtMatmulPreferenceOpaque {
    uint64_t workspace;
    uint32_t reduction;
    uint32_t align[4]; // of A, B, C, D
};

namespace {

// ---- refusals -----------------------------------------------------------------------------------

char refusal[256];

cublasStatus_t refuse(cublasStatus_t status, const char *why) {
    snprintf(refusal, sizeof refusal, "%s", why);
    return status;
}

#define REFUSE_IF(condition, status, why)                                                          \
    do {                                                                                           \
        if (condition) {                                                                           \
            return refuse(CUBLAS_STATUS_##status, why);                                            \
        }                                                                                          \
    } while (0)

// ---- element types ------------------------------------------------------------------------------

size_t type_bytes(int type) {
    return type == CUDA_R_32F ? 4 : 2;
}

// Rounds to TF32: 10 bits of mantissa, to nearest, ties to even.
float tf32_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if ((bits & 0x7f800000) != 0x7f800000) { // neither infinite nor NaN
        bits = (bits + 0xfff + (bits >> 13 & 1)) & ~0x1fffu;
    }
    memcpy(&x, &bits, sizeof x);
    return x;
}

float load(const void *data, int type, int64_t at) {
    switch (type) {
    case CUDA_R_16BF:
        return to_f32(((const bf16 *)data)[at]);
    case CUDA_R_16F:
        return to_f32(((const f16 *)data)[at]);
    default:
        return ((const float *)data)[at];
    }
}

void store(void *data, int type, int64_t at, float value) {
    switch (type) {
    case CUDA_R_16BF:
        ((bf16 *)data)[at] = from_f32<bf16>(value);
        break;
    case CUDA_R_16F:
        ((f16 *)data)[at] = from_f32<f16>(value);
        break;
    default:
        ((float *)data)[at] = value;
    }
}

// ---- products -----------------------------------------------------------------------------------

// A call's arguments, by value.
struct job {
    cublasLtMatmulDescOpaque desc;
    cublasLtMatrixLayoutOpaque a, b, d;
    const void *a_data, *b_data, *c_data;
    void *d_data, *workspace;
    int64_t c_ld;
    float alpha, beta;
    uint64_t scratch; // bytes of workspace
    int slices;       // that the inner dimension is split into
};

const int64_t COLS = 8, ROWS = 8; // of a tile of D
const int64_t CHUNK = 128;        // terms that are summed as float

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) &&                             \
    !defined(__SANITIZE_ADDRESS__)
#define TILE_CLONES __attribute__((target_clones("fma", "default")))
#else
#define TILE_CLONES
#endif

// sums (COLS, ROWS) = the products of `depth` terms: b (COLS, b_ld), a (depth, ROWS).
TILE_CLONES void tile(float *sums, const float *a, const float *b, int64_t b_ld, int64_t depth) {
    typedef float row __attribute__((vector_size(ROWS * sizeof(float))));
    row acc[COLS] = {};
    for (int64_t k = 0; k < depth; k++) {
        row a_row;
        memcpy(&a_row, a + k * ROWS, sizeof a_row);
#pragma GCC unroll 8
        for (int j = 0; j < COLS; j++) {
            acc[j] += a_row * b[j * b_ld + k];
        }
    }
    memcpy(sums, acc, sizeof acc);
}

float gelu(float x) {
    const float u = 0.7978845608f * (x + 0.044715f * x * x * x);
    return 0.5f * x * (1.0f + tanhf(u));
}

float gelu_grad(float x) {
    const float t = tanhf(0.7978845608f * (x + 0.044715f * x * x * x));
    const float du = 0.7978845608f * (1.0f + 3.0f * 0.044715f * x * x);
    return 0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * du;
}

bool has_bias(const cublasLtMatmulDescOpaque &desc) {
    return desc.epilogue & CUBLASLT_EPILOGUE_BIAS;
}
bool has_gelu(const cublasLtMatmulDescOpaque &desc) {
    return desc.epilogue & CUBLASLT_EPILOGUE_GELU;
}
bool has_aux(const cublasLtMatmulDescOpaque &desc) {
    return desc.epilogue & 128;
}
bool keeps(const cublasLtMatmulDescOpaque &desc) {
    return has_gelu(desc) && has_aux(desc);
}

// Scales the sum and applies the epilogue, for one element of D.
float finish(const job &p, int64_t i, int64_t j, float sum) {
    const cublasLtMatmulDescOpaque &desc = p.desc;
    float value = p.alpha * sum;
    if (p.beta != 0.0f) {
        value += p.beta * load(p.c_data, p.d.type, j * p.c_ld + i);
    }
    if (has_bias(desc)) {
        value += load(desc.bias, p.d.type, i);
    }
    if (desc.epilogue == CUBLASLT_EPILOGUE_DGELU) {
        value *= gelu_grad(load(desc.aux, p.d.type, j * desc.aux_ld + i));
    }
    if (keeps(desc)) {
        store(desc.aux, p.d.type, j * desc.aux_ld + i, value);
    }
    return has_gelu(desc) ? gelu(value) : value;
}

// Ends the program unless the matrix is within one live allocation of device memory.
void check_matrix(const void *data, int type, int64_t rows, int64_t cols, int64_t ld,
                  const char *what) {
    const struct emulator_place nowhere = {};
    emulator_check_global(data, (size_t)((cols - 1) * ld + rows) * type_bytes(type), 1, what,
                          nowhere);
}

void poison(void *data, int type, int64_t rows, int64_t cols, int64_t ld) {
    for (int64_t j = 0; j < cols; j++) {
        memset((char *)data + (size_t)(j * ld) * type_bytes(type), 0xff,
               (size_t)rows * type_bytes(type));
    }
}

void run_one(const job &p) {
    const int64_t rows = p.d.rows, cols = p.d.cols;
    const int64_t inner = p.desc.transpose_a ? p.a.rows : p.a.cols;
    const bool tf32 = p.desc.compute == CUBLAS_COMPUTE_32F_FAST_TF32;
    check_matrix(p.a_data, p.a.type, p.a.rows, p.a.cols, p.a.ld, "cublasLtMatmul's A");
    check_matrix(p.b_data, p.b.type, p.b.rows, p.b.cols, p.b.ld, "cublasLtMatmul's B");
    check_matrix(p.d_data, p.d.type, rows, cols, p.d.ld, "cublasLtMatmul's D");
    check_matrix(p.workspace, CUDA_R_32F, (int64_t)p.scratch / 4, 1, 0,
                 "cublasLtMatmul's workspace");
    if (p.beta != 0.0f) {
        check_matrix(p.c_data, p.d.type, rows, cols, p.c_ld, "cublasLtMatmul's C");
    }
    if (has_bias(p.desc)) {
        check_matrix(p.desc.bias, p.d.type, rows, 1, 0, "cublasLtMatmul's bias");
    }
    if (has_aux(p.desc)) {
        check_matrix(p.desc.aux, p.d.type, rows, cols, p.desc.aux_ld,
                     "cublasLtMatmul's GELU input");
    }
    memset(p.workspace, 0xff, p.scratch);
    if (p.beta == 0.0f || p.c_data != p.d_data) {
        poison(p.d_data, p.d.type, rows, cols, p.d.ld);
    }
    if (keeps(p.desc)) {
        poison(p.desc.aux, p.d.type, rows, cols, p.desc.aux_ld);
    }
    const auto input = [&](const void *data, int type, int64_t at) {
        const float x = load(data, type, at);
        return tf32 ? tf32_of(x) : x;
    };
    // b: all of B (cols, inner), with cols rounded up to a tile; a: a panel of A (inner, ROWS).
    std::vector<float> b((size_t)((cols + COLS - 1) / COLS * COLS * inner)), a(inner * ROWS);
    for (int64_t j = 0; j < cols; j++) {
        for (int64_t k = 0; k < inner; k++) {
            b[(size_t)(j * inner + k)] =
                input(p.b_data, p.b.type, p.desc.transpose_b ? k * p.b.ld + j : j * p.b.ld + k);
        }
    }
    const int64_t slice = (inner + p.slices - 1) / p.slices;
    for (int64_t i0 = 0; i0 < rows; i0 += ROWS) {
        const int64_t some_rows = rows - i0 < ROWS ? rows - i0 : ROWS;
        for (int64_t k = 0; k < inner; k++) {
            for (int64_t i = 0; i < some_rows; i++) {
                a[(size_t)(k * ROWS + i)] =
                    input(p.a_data, p.a.type,
                          p.desc.transpose_a ? (i0 + i) * p.a.ld + k : k * p.a.ld + i0 + i);
            }
        }
        for (int64_t j0 = 0; j0 < cols; j0 += COLS) {
            float part[COLS * ROWS], total[COLS * ROWS] = {};
            for (int s = 0; s < p.slices; s++) {
                const int64_t last = inner < (s + 1) * slice ? inner : (s + 1) * slice;
                double sum[COLS * ROWS] = {};
                for (int64_t k = s * slice; k < last; k += CHUNK) {
                    tile(part, &a[(size_t)(k * ROWS)], &b[(size_t)(j0 * inner + k)], inner,
                         last - k < CHUNK ? last - k : CHUNK);
                    for (int t = 0; t < COLS * ROWS; t++) {
                        sum[t] += (double)part[t];
                    }
                }
                for (int t = 0; t < COLS * ROWS; t++) {
                    total[t] += (float)sum[t];
                }
            }
            for (int64_t j = j0; j < j0 + COLS && j < cols; j++) {
                for (int64_t i = i0; i < i0 + some_rows; i++) {
                    store(p.d_data, p.d.type, j * p.d.ld + i,
                          finish(p, i, j, total[(j - j0) * ROWS + i - i0]));
                }
            }
        }
    }
}

// All products of a batch, one after the other.
void run(job p) {
    const auto next = [](const void *data, const cublasLtMatrixLayoutOpaque &layout) {
        return (char *)data + (size_t)layout.stride * type_bytes(layout.type);
    };
    for (int i = 0; i < p.d.batch; i++) {
        run_one(p);
        p.a_data = next(p.a_data, p.a), p.b_data = next(p.b_data, p.b);
        p.c_data = next(p.c_data, p.d), p.d_data = next(p.d_data, p.d);
    }
}

// ---- what is refused ----------------------------------------------------------------------------

// cublasLtMatmul's table of types: A and B, C and D.
bool types_supported(cublasComputeType_t compute, int in, int out) {
    if (compute == CUBLAS_COMPUTE_32F) {
        return in == CUDA_R_32F ? out == CUDA_R_32F : out == in || out == CUDA_R_32F;
    }
    return compute == CUBLAS_COMPUTE_32F_FAST_TF32 && in == CUDA_R_32F && out == CUDA_R_32F;
}

// Checks the descriptors only, as the heuristic sees them.
cublasStatus_t check(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, cublasLtMatrixLayout_t a,
                     cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d) {
    REFUSE_IF(!handle, NOT_INITIALIZED, "no handle");
    REFUSE_IF(!desc || !a || !b || !c || !d, INVALID_VALUE, "no descriptor");
    for (cublasLtMatrixLayout_t each : {a, b, c, d}) {
        REFUSE_IF(each->ld < each->rows, INVALID_VALUE, "leading dimension below the rows");
        REFUSE_IF(each->batch != d->batch, INVALID_VALUE, "batches of different sizes");
    }
    const int64_t m = desc->transpose_a ? a->cols : a->rows,
                  k = desc->transpose_a ? a->rows : a->cols;
    const int64_t k_b = desc->transpose_b ? b->cols : b->rows,
                  n = desc->transpose_b ? b->rows : b->cols;
    REFUSE_IF(k != k_b || m != d->rows || n != d->cols || c->rows != m || c->cols != n,
              INVALID_VALUE, "sizes that do not match");
    REFUSE_IF(c->stride != d->stride, NOT_SUPPORTED, "C and D at different strides");
    REFUSE_IF(d->batch > 1 && d->stride < (d->cols - 1) * d->ld + d->rows, INVALID_VALUE,
              "matrices of a batch that overlap");
    REFUSE_IF(d->batch > 1 && desc->epilogue != CUBLASLT_EPILOGUE_DEFAULT, NOT_SUPPORTED,
              "an epilogue of a batch");
    REFUSE_IF(desc->scale != CUDA_R_32F || a->type != b->type || c->type != d->type ||
                  !types_supported(desc->compute, a->type, d->type),
              NOT_SUPPORTED, "types that are not in the table");
    switch (desc->epilogue) {
    case CUBLASLT_EPILOGUE_DEFAULT:
    case CUBLASLT_EPILOGUE_BIAS:
    case CUBLASLT_EPILOGUE_GELU:
    case CUBLASLT_EPILOGUE_GELU_BIAS:
    case CUBLASLT_EPILOGUE_GELU_AUX:
    case CUBLASLT_EPILOGUE_GELU_AUX_BIAS:
    case CUBLASLT_EPILOGUE_DGELU:
        break;
    default:
        return refuse(CUBLAS_STATUS_NOT_SUPPORTED, "an epilogue that the stand-in does not know");
    }
    if (has_bias(*desc)) {
        REFUSE_IF(!desc->bias, INVALID_VALUE, "no bias pointer");
        REFUSE_IF(desc->bias_type != -1 && desc->bias_type != (int32_t)d->type, INVALID_VALUE,
                  "a bias of another type than D");
    }
    if (has_aux(*desc)) {
        REFUSE_IF(!desc->aux, INVALID_VALUE, "no auxiliary pointer");
        REFUSE_IF(desc->aux_ld % 8 != 0, INVALID_VALUE,
                  "auxiliary leading dimension not divisible by 8");
        REFUSE_IF(desc->aux_ld < m, INVALID_VALUE, "auxiliary leading dimension below the rows");
        REFUSE_IF(desc->aux_type != -1 && desc->aux_type != (int32_t)d->type, INVALID_VALUE,
                  "auxiliary data of another type than D");
    }
    return CUBLAS_STATUS_SUCCESS;
}

// ---- algorithms ---------------------------------------------------------------------------------

// The contents of an algorithm's opaque bytes.
struct algorithm {
    uint64_t magic, problem;
    uint8_t align[6]; // powers of two: A, B, C, D, bias, auxiliary
    uint16_t id;
    uint64_t workspace;
    uint32_t reduction, slices;
    uint64_t unused[3];
};
static_assert(sizeof(algorithm) == sizeof(cublasLtMatmulAlgo_t), "64 bytes");

const uint64_t MAGIC = 0x6d756c75746f7221;

// The algorithms, in the order of the heuristic; those that a careless caller should not get are
// first.
const struct {
    uint32_t reduction;
    uint32_t slices;
} candidates[] = {
    {CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE, 4},  {CUBLASLT_REDUCTION_SCHEME_INPLACE, 4},
    {CUBLASLT_REDUCTION_SCHEME_NONE, 1},         {CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE, 2},
    {CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE, 3},
};

int power_of_two(uintptr_t value) { // the largest exponent, up to 8, whose power divides value
    int power = 0;
    while (power < 8 && value % ((uintptr_t)2 << power) == 0) {
        power++;
    }
    return power;
}

// A hash of everything that an algorithm is made for.
uint64_t problem_of(const cublasLtMatmulDescOpaque *desc, const cublasLtMatrixLayoutOpaque *a,
                    const cublasLtMatrixLayoutOpaque *b, const cublasLtMatrixLayoutOpaque *c,
                    const cublasLtMatrixLayoutOpaque *d) {
    uint64_t hash = 0xcbf29ce484222325;
    const auto add = [&](int64_t value) { hash = (hash ^ (uint64_t)value) * 0x9e3779b97f4a7c15; };
    add(desc->compute), add(desc->transpose_a), add(desc->transpose_b), add(desc->epilogue);
    for (const cublasLtMatrixLayoutOpaque *each : {a, b, c, d}) {
        add(each->type), add(each->rows), add(each->cols), add(each->ld);
        add(each->batch), add(each->stride);
    }
    return hash;
}

cublasStatus_t check_algorithm(const algorithm &algo, cublasLtMatmulDesc_t desc,
                               cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                               cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d) {
    REFUSE_IF(algo.magic != MAGIC, INVALID_VALUE, "these bytes are no algorithm");
    REFUSE_IF(algo.problem != problem_of(desc, a, b, c, d), INVALID_VALUE,
              "an algorithm for another product");
    return CUBLAS_STATUS_SUCCESS;
}

bool misaligned(const void *pointer, int power) {
    return (uintptr_t)pointer % ((uintptr_t)1 << power) != 0;
}

template <class T> bool set(T *to, const void *value, size_t bytes) {
    if (bytes != sizeof *to || !value) {
        return false;
    }
    memcpy(to, value, bytes);
    return true;
}

} // namespace

// ---- the library --------------------------------------------------------------------------------

extern "C" {

const char *cublaslt_refusal(void) {
    return refusal;
}

const char *cublasLtGetStatusName(cublasStatus_t status) {
    switch (status) {
    case CUBLAS_STATUS_SUCCESS:
        return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED:
        return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_INVALID_VALUE:
        return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_NOT_SUPPORTED:
        return "CUBLAS_STATUS_NOT_SUPPORTED";
    default:
        return "CUBLAS_STATUS_INTERNAL_ERROR";
    }
}

size_t cublasLtGetVersion(void) {
    return 130100;
}

cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle) {
    REFUSE_IF(!handle, INVALID_VALUE, "nowhere to put the handle");
    *handle = new cublasLtContext();
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
    REFUSE_IF(!handle, NOT_INITIALIZED, "no handle");
    delete handle;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *desc, cublasComputeType_t compute,
                                        cudaDataType_t scale) {
    REFUSE_IF(!desc, INVALID_VALUE, "nowhere to put the descriptor");
    *desc = new cublasLtMatmulDescOpaque{compute, scale, CUBLAS_OP_N, CUBLAS_OP_N, 1,
                                         nullptr, -1,    nullptr,     0,           -1};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc) {
    delete desc;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc,
                                              cublasLtMatmulDescAttributes_t attribute,
                                              const void *value, size_t bytes) {
    bool done = false;
    switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
        done = set(&desc->transpose_a, value, bytes) && (desc->transpose_a & ~1) == 0;
        break;
    case CUBLASLT_MATMUL_DESC_TRANSB:
        done = set(&desc->transpose_b, value, bytes) && (desc->transpose_b & ~1) == 0;
        break;
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
        done = set(&desc->epilogue, value, bytes);
        break;
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
        done = set(&desc->bias, value, bytes);
        break;
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER:
        done = set(&desc->aux, value, bytes);
        break;
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD:
        done = set(&desc->aux_ld, value, bytes);
        break;
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_DATA_TYPE:
        done = set(&desc->aux_type, value, bytes);
        break;
    case CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE:
        done = set(&desc->bias_type, value, bytes);
        break;
    }
    REFUSE_IF(!done, INVALID_VALUE, "an attribute of another size or value");
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *layout, cudaDataType type,
                                          uint64_t rows, uint64_t cols, int64_t ld) {
    REFUSE_IF(!layout || rows == 0 || cols == 0, INVALID_VALUE, "a layout of nothing");
    *layout = new cublasLtMatrixLayoutOpaque{type, (int64_t)rows, (int64_t)cols, ld, 1, 0};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
    delete layout;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout,
                                                cublasLtMatrixLayoutAttribute_t attribute,
                                                const void *value, size_t bytes) {
    bool done = false;
    switch (attribute) {
    case CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT:
        done = set(&layout->batch, value, bytes) && layout->batch > 0;
        break;
    case CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET:
        done = set(&layout->stride, value, bytes);
        break;
    }
    REFUSE_IF(!done, INVALID_VALUE, "an attribute of another size or value");
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *preference) {
    REFUSE_IF(!preference, INVALID_VALUE, "nowhere to put the preference");
    *preference =
        new cublasLtMatmulPreferenceOpaque{0, CUBLASLT_REDUCTION_SCHEME_MASK, {256, 256, 256, 256}};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
    delete preference;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void *value, size_t bytes) {
    bool done = false;
    switch (attribute) {
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
        done = set(&preference->workspace, value, bytes);
        break;
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK:
        done = set(&preference->reduction, value, bytes);
        break;
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES:
        done = set(&preference->align[attribute - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES],
                   value, bytes);
        break;
    }
    REFUSE_IF(!done, INVALID_VALUE, "an attribute of another size");
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int wanted,
                                              cublasLtMatmulHeuristicResult_t results[],
                                              int *found) {
    REFUSE_IF(wanted <= 0 || !results || !found || !preference, INVALID_VALUE, "nothing wanted");
    const cublasStatus_t status = check(handle, desc, a, b, c, d);
    *found = 0;
    if (status != CUBLAS_STATUS_SUCCESS) {
        return status;
    }
    uint16_t id = 0;
    for (const auto &candidate : candidates) {
        algorithm algo = {};
        algo.magic = MAGIC;
        algo.problem = problem_of(desc, a, b, c, d);
        for (int i = 0; i < 4; i++) {
            algo.align[i] = (uint8_t)power_of_two(preference->align[i]);
        }
        algo.align[4] = (uint8_t)power_of_two((uintptr_t)desc->bias);
        algo.align[5] = (uint8_t)power_of_two((uintptr_t)desc->aux);
        algo.id = id++;
        algo.reduction = candidate.reduction;
        algo.slices = candidate.slices;
        algo.workspace = candidate.slices == 1
                             ? 1024
                             : (uint64_t)(candidate.slices * d->rows * d->cols * 4 * d->batch);
        if ((algo.reduction & ~preference->reduction) == 0 &&
            algo.workspace <= preference->workspace && *found < wanted) {
            cublasLtMatmulHeuristicResult_t *result = &results[(*found)++];
            memset(result, 0, sizeof *result);
            memcpy(&result->algo, &algo, sizeof algo);
            result->workspaceSize = algo.workspace;
            result->wavesCount = 1.0f;
        }
    }
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                       cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                       cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                       const cublasLtMatmulAlgo_t *bytes,
                                       cublasLtMatmulHeuristicResult_t *result) {
    REFUSE_IF(!bytes || !result, INVALID_VALUE, "no algorithm");
    cublasStatus_t status = check(handle, desc, a, b, c, d);
    algorithm algo;
    memcpy(&algo, bytes, sizeof algo);
    if (status == CUBLAS_STATUS_SUCCESS) {
        status = check_algorithm(algo, desc, a, b, c, d);
    }
    result->state = status;
    result->workspaceSize = algo.workspace;
    result->wavesCount = 1.0f;
    return status;
}

cublasStatus_t cublasLtMatmulAlgoConfigGetAttribute(const cublasLtMatmulAlgo_t *bytes,
                                                    cublasLtMatmulAlgoConfigAttributes_t attribute,
                                                    void *value, size_t size, size_t *written) {
    algorithm algo;
    memcpy(&algo, bytes, sizeof algo);
    REFUSE_IF(algo.magic != MAGIC, INVALID_VALUE, "these bytes are no algorithm");
    const uint32_t found = attribute == CUBLASLT_ALGO_CONFIG_ID ? algo.id : algo.reduction;
    REFUSE_IF(size != sizeof found, INVALID_VALUE, "an attribute of another size");
    memcpy(value, &found, sizeof found);
    *written = sizeof found;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void *alpha,
                              const void *a_data, cublasLtMatrixLayout_t a, const void *b_data,
                              cublasLtMatrixLayout_t b, const void *beta, const void *c_data,
                              cublasLtMatrixLayout_t c, void *d_data, cublasLtMatrixLayout_t d,
                              const cublasLtMatmulAlgo_t *bytes, void *workspace,
                              size_t workspace_bytes, cudaStream_t stream) {
    const cublasStatus_t status = check(handle, desc, a, b, c, d);
    if (status != CUBLAS_STATUS_SUCCESS) {
        return status;
    }
    REFUSE_IF(!alpha || !beta || !a_data || !b_data || !d_data, INVALID_VALUE, "no operand");
    REFUSE_IF(!bytes, INVALID_VALUE, "the stand-in chooses no algorithm by itself");
    algorithm algo;
    memcpy(&algo, bytes, sizeof algo);
    const cublasStatus_t fits = check_algorithm(algo, desc, a, b, c, d);
    if (fits != CUBLAS_STATUS_SUCCESS) {
        return fits;
    }
    float times;
    memcpy(&times, beta, sizeof times);
    REFUSE_IF(times != 0.0f && !c_data, INVALID_VALUE, "no C");
    REFUSE_IF(c_data == d_data && c->ld != d->ld, INVALID_VALUE,
              "C and D in one place with different layouts");
    REFUSE_IF(workspace_bytes < algo.workspace || (algo.workspace > 0 && !workspace), INVALID_VALUE,
              "workspace too small");
    REFUSE_IF(algo.workspace > 0 && misaligned(workspace, 8), INVALID_VALUE,
              "workspace not aligned to 256 bytes");
    REFUSE_IF(misaligned(a_data, algo.align[0]) || misaligned(b_data, algo.align[1]) ||
                  misaligned(c_data, algo.align[2]) || misaligned(d_data, algo.align[3]) ||
                  (has_bias(*desc) && misaligned(desc->bias, algo.align[4])) ||
                  (has_aux(*desc) && misaligned(desc->aux, algo.align[5])),
              NOT_SUPPORTED, "a pointer that is less aligned than was promised");
    job p = {*desc,  *a,        *b,    *d,   a_data, b_data,         c_data,
             d_data, workspace, c->ld, 0.0f, times,  algo.workspace, (int)algo.slices};
    memcpy(&p.alpha, alpha, sizeof p.alpha);
    emulator_enqueue(stream, [p] { run(p); });
    return CUBLAS_STATUS_SUCCESS;
}
}
