// refusals.c: requests that the stand-in for cuBLASLt refuses.
#include "tests/cuda/gemm/gemm_test.h"

#ifdef DIECAST_EMULATED

#include <cublasLt.h>

// A correct product in cuBLASLt's terms, which tests change: D (40, 20) = A (24, 40)^T B.
struct request {
    cublasComputeType_t compute;
    cudaDataType_t a, b, c, d;
    int64_t a_cols, c_rows, a_ld, c_ld, d_ld;
    uint32_t epilogue;
    int32_t bias_type, aux_type;
    int64_t aux_ld;
    uint32_t align;      // promised
    int bias_by, aux_by; // bytes after an aligned address, or -1: no pointer
    int a_by, d_by, workspace_by;
    size_t workspace_less; // than the algorithm asks for
    bool in_place, scratch, other_algorithm;
};

static cublasStatus_t refused(const struct request *r, char *memory) {
    cublasLtHandle_t handle;
    cublasLtMatmulDesc_t desc;
    cublasLtMatmulPreference_t preference;
    cublasLtMatrixLayout_t a, b, c, d;
    const int32_t transposed = CUBLAS_OP_T;
    char *bias = r->bias_by < 0 ? NULL : memory + 0x10000 + r->bias_by;
    char *aux = r->aux_by < 0 ? NULL : memory + 0x20000 + r->aux_by;
    cublasLtCreate(&handle);
    cublasLtMatmulDescCreate(&desc, r->compute, CUDA_R_32F);
    cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_TRANSA, &transposed,
                                   sizeof transposed);
    cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_EPILOGUE, &r->epilogue, 4);
    cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &r->bias_type, 4);
    cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_DATA_TYPE, &r->aux_type,
                                   4);
    cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, &r->aux_ld, 8);
    cublasLtMatrixLayoutCreate(&a, r->a, 24, (uint64_t)r->a_cols, r->a_ld);
    cublasLtMatrixLayoutCreate(&b, r->b, 24, 20, 24);
    cublasLtMatrixLayoutCreate(&c, r->c, (uint64_t)r->c_rows, 20, r->c_ld);
    cublasLtMatrixLayoutCreate(&d, r->d, 40, 20, r->d_ld);
    cublasLtMatmulPreferenceCreate(&preference);
    const uint64_t most = 1 << 20;
    const uint32_t reduction =
        r->scratch ? CUBLASLT_REDUCTION_SCHEME_MASK : CUBLASLT_REDUCTION_SCHEME_NONE;
    cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                         &most, sizeof most);
    cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
                                         &reduction, sizeof reduction);
    for (int i = 0; i < 4; i++) {
        cublasLtMatmulPreferenceSetAttribute(
            preference,
            (cublasLtMatmulPreferenceAttributes_t)(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES + i),
            &r->align, sizeof r->align);
    }
    // The heuristic gets pointers that are aligned as promised, the call those of the request.
    const void *aligned = memory + 0x10000;
    cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &aligned, 8);
    cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, &aligned, 8);
    cublasLtMatmulHeuristicResult_t result;
    int found = 0;
    cublasStatus_t status =
        cublasLtMatmulAlgoGetHeuristic(handle, desc, a, b, c, d, preference, 1, &result, &found);
    if (status == CUBLAS_STATUS_SUCCESS) {
        if (r->other_algorithm) {
            const int32_t straight = CUBLAS_OP_N;
            result.algo.data[1] ^= (uint64_t)straight + 1;
        }
        cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, 8);
        cublasLtMatmulDescSetAttribute(desc, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, &aux, 8);
        const float one = 1.0f;
        char *to = memory + 0x30000 + r->d_by;
        const char *from = r->in_place ? to : memory + 0x40000;
        status = cublasLtMatmul(handle, desc, &one, memory + r->a_by, a, memory + 0x8000, b, &one,
                                from, c, to, d, &result.algo, memory + 0x50000 + r->workspace_by,
                                result.workspaceSize - r->workspace_less, gpu.stream);
    }
    CUDA_CHECK(cudaStreamSynchronize(gpu.stream));
    cublasLtMatmulPreferenceDestroy(preference);
    cublasLtMatrixLayoutDestroy(a);
    cublasLtMatrixLayoutDestroy(b);
    cublasLtMatrixLayoutDestroy(c);
    cublasLtMatrixLayoutDestroy(d);
    cublasLtMatmulDescDestroy(desc);
    cublasLtDestroy(handle);
    return status;
}

void check_refusals(void) {
    void *memory;
    CUDA_CHECK(cudaMalloc(&memory, 1 << 20));
    CUDA_CHECK(cudaMemsetAsync(memory, 0, 1 << 20, gpu.stream));
    const cudaDataType_t bf16 = CUDA_R_16BF, f16 = CUDA_R_16F, f32 = CUDA_R_32F;
    const struct request fine = {.compute = CUBLAS_COMPUTE_32F,
                                 .a = bf16,
                                 .b = bf16,
                                 .c = bf16,
                                 .d = bf16,
                                 .a_cols = 40,
                                 .c_rows = 40,
                                 .a_ld = 24,
                                 .c_ld = 40,
                                 .d_ld = 40,
                                 .epilogue = CUBLASLT_EPILOGUE_GELU_AUX_BIAS,
                                 .bias_type = bf16,
                                 .aux_type = bf16,
                                 .aux_ld = 40,
                                 .align = 16,
                                 .scratch = true};
    check(refused(&fine, memory) == CUBLAS_STATUS_SUCCESS, "a product without a fault runs");
    struct request in_place = fine;
    in_place.in_place = true;
    check(refused(&in_place, memory) == CUBLAS_STATUS_SUCCESS, "C and D may be one matrix");

    enum { INVALID = CUBLAS_STATUS_INVALID_VALUE, UNSUPPORTED = CUBLAS_STATUS_NOT_SUPPORTED };
    struct {
        int status;
        const char *why;
        struct request r;
    } cases[24];
    int count = 0;
#define REFUSES(wanted, reason, ...)                                                               \
    do {                                                                                           \
        struct request r = fine;                                                                   \
        __VA_ARGS__;                                                                               \
        cases[count].status = wanted, cases[count].why = reason, cases[count++].r = r;             \
    } while (0)
    REFUSES(INVALID, "auxiliary leading dimension not divisible by 8", r.aux_ld = 44);
    REFUSES(INVALID, "auxiliary leading dimension below the rows", r.aux_ld = 32);
    REFUSES(INVALID, "no auxiliary pointer", r.aux_by = -1);
    REFUSES(INVALID, "auxiliary data of another type than D", r.aux_type = f32);
    REFUSES(INVALID, "no bias pointer", r.bias_by = -1);
    REFUSES(INVALID, "a bias of another type than D", r.bias_type = f32);
    REFUSES(INVALID, "leading dimension below the rows", r.a_ld = 16);
    REFUSES(INVALID, "leading dimension below the rows", r.d_ld = 32);
    REFUSES(INVALID, "leading dimension below the rows", r.c_ld = 32);
    REFUSES(INVALID, "sizes that do not match", r.a_cols = 32);
    REFUSES(INVALID, "sizes that do not match", r.c_rows = 32);
    REFUSES(UNSUPPORTED, "types that are not in the table", r.b = f16);
    REFUSES(UNSUPPORTED, "types that are not in the table", r.c = f32);
    REFUSES(UNSUPPORTED, "types that are not in the table", r.c = r.d = f16);
    REFUSES(UNSUPPORTED, "types that are not in the table", r.a = r.b = f32);
    REFUSES(UNSUPPORTED, "types that are not in the table", r.compute = CUBLAS_COMPUTE_16F);
    REFUSES(UNSUPPORTED, "an epilogue that the stand-in does not know", r.epilogue = 208);
    REFUSES(UNSUPPORTED, "a pointer that is less aligned than was promised", r.a_by = 8);
    REFUSES(UNSUPPORTED, "a pointer that is less aligned than was promised", r.align = 256,
            r.d_by = 16);
    REFUSES(UNSUPPORTED, "a pointer that is less aligned than was promised", r.bias_by = 2);
    REFUSES(UNSUPPORTED, "a pointer that is less aligned than was promised", r.aux_by = 8);
    REFUSES(INVALID, "workspace too small", r.workspace_less = 1);
    REFUSES(INVALID, "workspace not aligned to 256 bytes", r.workspace_by = 128);
    REFUSES(INVALID, "C and D in one place with different layouts", r.in_place = true, r.c_ld = 48);
#undef REFUSES
    for (int i = 0; i < count; i++) {
        char what[256];
        const cublasStatus_t status = refused(&cases[i].r, memory);
        snprintf(what, sizeof what, "refused with %d: %s; it was %d: %s", cases[i].status,
                 cases[i].why, status, cublaslt_refusal());
        check(status == (cublasStatus_t)cases[i].status &&
                  strcmp(cublaslt_refusal(), cases[i].why) == 0,
              what);
    }
    struct request other = fine;
    other.other_algorithm = true;
    check(refused(&other, memory) == CUBLAS_STATUS_INVALID_VALUE,
          "an algorithm runs the product alone that it was made for");
    CUDA_CHECK(cudaFree(memory));
}

#endif
