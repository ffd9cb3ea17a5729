// gemm.c: matrix products by cuBLASLt: descriptors, choice of the algorithm, the call.
//
// cuBLASLt is column-major: it reads a row-major (R, C) matrix as (C, R). So it computes
// out^T = b^T a^T: its A is our b, its B is our a, its D is our out:
//
//     D (cols, rows) = op(A) (cols, inner) op(B) (inner, rows)      m = cols, n = rows, k = inner
//     our b (inner, cols): A is (cols, inner), CUBLAS_OP_N; b_transposed (cols, inner): CUBLAS_OP_T
//     our a (rows, inner): B is (inner, rows), CUBLAS_OP_N; a_transposed (inner, rows): CUBLAS_OP_T
//
// Its bias, one for each row of D, is ours, one for each column of out. Leading dimensions are the
// same numbers in both views.
//
// Every run gives the same bytes: cuBLAS documents results as bitwise reproducible on the same
// device and version, for cublasLtMatmul with a workspace of the caller's, on any number of streams
// ("Results Reproducibility"). If a product is split along inner, only one reduction scheme is
// allowed: partial sums are stored as float in the workspace and added later. Of the others, one
// rounds partial sums to the type of the output, and is tried by `make tune` where that is float;
// one adds in place, in any order.
#include "runtime/gpu/gpu.h"
#include "runtime/base/base.h"

#include <cublasLt.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    SHAPE_TEXT = 160,
    ALGO_BYTES = sizeof(cublasLtMatmulAlgo_t),
    TUNE_LINE = SHAPE_TEXT + 2 * ALGO_BYTES + 32,
};

// The algorithm that `make tune` stored for one shape.
struct gemm_tuned {
    char shape[SHAPE_TEXT];
    cublasLtMatmulAlgo_t algo;
};

struct gemm_context {
    cublasLtHandle_t handle;
    void *workspace;
    size_t workspace_bytes;
    char folder[256], path[768]; // of the tune file; "" without one
    char header[384];            // its first line
    struct gemm_tuned *tuned;
    int tuned_count;
    bool any_tuned; // some product created so far uses a stored algorithm
    uint64_t hash;  // of all choices so far
    char choice[32];
};

struct gemm_setup {
    cublasLtMatmulDesc_t operation;
    cublasLtMatrixLayout_t a, b, out; // cuBLASLt's A is our b; these are ours
    cublasLtMatmulAlgo_t algo;        // the one that runs
    cublasLtMatmulAlgo_t choices[GEMM_CHOICES];
    int choices_count;
};

// ---- checked calls ------------------------------------------------------------------------------

static const char *cublas_advice(cublasStatus_t status) {
    switch (status) {
    case CUBLAS_STATUS_NOT_INITIALIZED:
        return "cuBLASLt could not start: is the driver as new as the CUDA libraries?";
    case CUBLAS_STATUS_ALLOC_FAILED:
        return "out of memory: end what else runs on the device (nvidia-smi), or a smaller "
               "batch_size";
    case CUBLAS_STATUS_ARCH_MISMATCH:
        return "the device is older than this product needs";
    case CUBLAS_STATUS_NOT_SUPPORTED:
        return "this cuBLASLt can't do this product: try another version of it";
    case CUBLAS_STATUS_EXECUTION_FAILED:
        return "the device stopped: nvidia-smi and the kernel's log say more";
    default:
        return "a fault of this program: please report this line";
    }
}

static _Noreturn void cublas_fail(const char *name, const char *call, const char *file, int line,
                                  cublasStatus_t status) {
    die(EXIT_MEMORY, "%s:%d: %s: %.*s: %s (%d): %s", file, line, name, (int)strcspn(call, "("),
        call, cublasLtGetStatusName(status), (int)status, cublas_advice(status));
}

// `name`: the product's, for the message of a failure.
#define CUBLAS_CHECK(name, call)                                                                   \
    do {                                                                                           \
        cublasStatus_t cublas_check_status = (call);                                               \
        if (cublas_check_status != CUBLAS_STATUS_SUCCESS) {                                        \
            cublas_fail(name, #call, __FILE__, __LINE__, cublas_check_status);                     \
        }                                                                                          \
    } while (0)

// ---- shapes -------------------------------------------------------------------------------------

static const struct {
    const char *name;
    cudaDataType_t type;
    cublasComputeType_t compute;
    int bytes;
} gemm_types[] = {
    [GEMM_BF16] = {"bf16", CUDA_R_16BF, CUBLAS_COMPUTE_32F, 2},
    [GEMM_F16] = {"f16", CUDA_R_16F, CUBLAS_COMPUTE_32F, 2},
    [GEMM_F32] = {"f32", CUDA_R_32F, CUBLAS_COMPUTE_32F, 4},
    [GEMM_TF32] = {"tf32", CUDA_R_32F, CUBLAS_COMPUTE_32F_FAST_TF32, 4},
};

// Everything that the choice of an algorithm depends on, as one word.
static void gemm_shape_text(const struct gemm *g, char text[SHAPE_TEXT]) {
    snprintf(text, SHAPE_TEXT,
             "%s_%" PRId64 "x%" PRId64 "x%" PRId64 "_a%s%" PRId64 "_b%s%" PRId64 "_%s%" PRId64
             "%s%s%s%s%s%s",
             gemm_types[g->type].name, g->rows, g->cols, g->inner, g->a_transposed ? "t" : "",
             g->a_ld, g->b_transposed ? "t" : "", g->b_ld, gemm_types[g->out_type].name, g->out_ld,
             g->accumulate ? "_accumulate" : "", g->residual ? "_residual" : "",
             g->bias ? "_bias" : "", g->dgelu ? "_dgelu" : "", g->gelu ? "_gelu" : "",
             g->kept ? "_kept" : "");
    if (g->batch > 1) {
        const size_t length = strlen(text);
        snprintf(text + length, SHAPE_TEXT - length, "_batch%d_%" PRId64 "_%" PRId64 "_%" PRId64,
                 g->batch, g->a_stride, g->b_stride, g->out_stride);
    }
}

static void gemm_validate(const struct gemm *g) {
    const int bytes = gemm_types[g->type].bytes, out_bytes = gemm_types[g->out_type].bytes;
    const bool sizes = g->rows > 0 && g->cols > 0 && g->inner > 0 && g->out_ld >= g->cols &&
                       g->a_ld >= (g->a_transposed ? g->rows : g->inner) &&
                       g->b_ld >= (g->b_transposed ? g->inner : g->cols);
    const bool aligned = g->a_ld * bytes % GEMM_ALIGN == 0 && g->b_ld * bytes % GEMM_ALIGN == 0 &&
                         g->out_ld * out_bytes % GEMM_ALIGN == 0;
    const bool alone = !g->residual && !g->bias && !g->gelu;
    const bool batch = g->batch <= 1 || (!g->accumulate && !g->bias && !g->gelu && !g->dgelu &&
                                         g->a_stride * bytes % GEMM_ALIGN == 0 &&
                                         g->b_stride * bytes % GEMM_ALIGN == 0 &&
                                         g->out_stride * out_bytes % GEMM_ALIGN == 0);
    const bool parts = (!g->accumulate || (alone && !g->dgelu)) && (!g->dgelu || alone) &&
                       (!g->residual || !g->gelu) && (!g->kept || g->gelu);
    if (!sizes || !aligned || !parts || !batch || g->out_type == GEMM_TF32 ||
        ((g->kept || g->dgelu) && g->out_ld % 8 != 0)) {
        char text[SHAPE_TEXT];
        gemm_shape_text(g, text);
        die(EXIT_INTERNAL, "%s: no product can be made of %s: please report this line", g->name,
            text);
    }
}

static cublasLtEpilogue_t gemm_epilogue(const struct gemm *g) {
    if (g->dgelu) {
        return CUBLASLT_EPILOGUE_DGELU;
    }
    if (g->gelu) {
        return g->kept ? (g->bias ? CUBLASLT_EPILOGUE_GELU_AUX_BIAS : CUBLASLT_EPILOGUE_GELU_AUX)
                       : (g->bias ? CUBLASLT_EPILOGUE_GELU_BIAS : CUBLASLT_EPILOGUE_GELU);
    }
    return g->bias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT;
}

// ---- the tune file ------------------------------------------------------------------------------
// One line for each shape: its text, the algorithm's bytes and a checksum, the last two in hex.

// FNV-1a, 64 bits.
static uint64_t hash_more(uint64_t hash, const void *bytes, size_t length) {
    const unsigned char *byte = bytes;
    for (size_t i = 0; i < length; i++) {
        hash = (hash ^ byte[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

static const uint64_t HASH_EMPTY = UINT64_C(0xcbf29ce484222325);

static uint64_t gemm_tuned_hash(const struct gemm_tuned *tuned, const char *header) {
    uint64_t hash = hash_more(HASH_EMPTY, header, strlen(header));
    hash = hash_more(hash, tuned->shape, strlen(tuned->shape));
    return hash_more(hash, &tuned->algo, ALGO_BYTES);
}

// Adds an entry, or replaces the entry of the same shape.
static void gemm_tuned_add(struct gemm_context *context, const struct gemm_tuned *tuned) {
    for (int i = 0; i < context->tuned_count; i++) {
        if (strcmp(context->tuned[i].shape, tuned->shape) == 0) {
            context->tuned[i] = *tuned;
            return;
        }
    }
    const size_t bytes = ((size_t)context->tuned_count + 1) * sizeof *tuned;
    struct gemm_tuned *grown = realloc(context->tuned, bytes);
    if (!grown) {
        die(EXIT_MEMORY, "no memory for %zu bytes of tuned products", bytes);
    }
    context->tuned = grown;
    context->tuned[context->tuned_count++] = *tuned;
}

static int hex_digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// Parses one line, without its newline. Returns NULL, or what is wrong with it.
static const char *gemm_tuned_parse(const char *line, const char *header,
                                    struct gemm_tuned *tuned) {
    const size_t shape = strcspn(line, " ");
    if (shape == 0 || shape >= SHAPE_TEXT) {
        return "no shape";
    }
    if (strlen(line) != shape + 1 + 2 * ALGO_BYTES + 1 + 16) {
        return "a wrong length";
    }
    memset(tuned, 0, sizeof *tuned);
    memcpy(tuned->shape, line, shape);
    const char *hex = line + shape + 1;
    for (int i = 0; i < ALGO_BYTES; i++) {
        const int high = hex_digit(hex[2 * i]), low = hex_digit(hex[2 * i + 1]);
        if (high < 0 || low < 0) {
            return "a digit that is not hex";
        }
        ((unsigned char *)&tuned->algo)[i] = (unsigned char)(high << 4 | low);
    }
    char sum[24];
    snprintf(sum, sizeof sum, " %016" PRIx64, gemm_tuned_hash(tuned, header));
    return strcmp(hex + 2 * ALGO_BYTES, sum) == 0 ? NULL : "a wrong checksum";
}

static void gemm_tuned_read(struct gemm_context *context) {
    FILE *file = fopen(context->path, "r");
    if (!file) {
        if (errno != ENOENT) {
            warn("%s: %s: products run untuned", context->path, strerror(errno));
        }
        return;
    }
    char line[TUNE_LINE];
    for (int number = 1; fgets(line, sizeof line, file); number++) {
        char *end = strchr(line, '\n');
        struct gemm_tuned tuned;
        const char *fault = NULL;
        if (!end) {
            fault = "no end";
            for (int c; (c = fgetc(file)) != EOF && c != '\n';) {
            }
        } else {
            *end = 0;
            if (number > 1) {
                fault = gemm_tuned_parse(line, context->header, &tuned);
            }
        }
        if (number == 1 && (fault || strcmp(line, context->header) != 0)) {
            warn("%s:1: not '%s': the file is ignored, make tune writes a new one", context->path,
                 context->header);
            break;
        }
        if (fault) {
            warn("%s:%d: %s: the line is ignored, make tune writes a new one", context->path,
                 number, fault);
        } else if (number > 1) {
            gemm_tuned_add(context, &tuned);
        }
    }
    fclose(file);
}

const char *gemm_tune_folder(void) {
    const char *folder = getenv("DIECAST_TUNE");
    return folder && *folder ? folder : "build/tune";
}

// Makes a folder and its parents.
static void gemm_make_folder(const char *folder) {
    char path[sizeof((struct gemm_context *)0)->folder];
    snprintf(path, sizeof path, "%s", folder);
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(path, 0777);
        *slash = '/';
    }
    if (mkdir(path, 0777) != 0 && errno != EEXIST) {
        die(EXIT_IO, "%s: %s: cannot make this folder", path, strerror(errno));
    }
}

const char *gemm_tune_save(struct gemm_context *context, struct gemm *const *gemms, int count) {
    for (int i = 0; i < count; i++) {
        struct gemm_tuned tuned = {.algo = gemms[i]->setup->algo};
        gemm_shape_text(gemms[i], tuned.shape);
        gemm_tuned_add(context, &tuned);
    }
    gemm_make_folder(context->folder);
    struct replacement r;
    replace_begin(&r, context->path);
    fprintf(r.file, "%s\n", context->header);
    for (int i = 0; i < context->tuned_count; i++) {
        const struct gemm_tuned *tuned = &context->tuned[i];
        fprintf(r.file, "%s ", tuned->shape);
        for (int b = 0; b < ALGO_BYTES; b++) {
            fprintf(r.file, "%02x", ((const unsigned char *)&tuned->algo)[b]);
        }
        fprintf(r.file, " %016" PRIx64 "\n", gemm_tuned_hash(tuned, context->header));
    }
    replace_end(&r);
    return context->path;
}

// ---- workspace ----------------------------------------------------------------------------------

size_t gemm_workspace_bytes(size_t model, size_t device) {
    const size_t room = device / 16 * 15; // the driver, and other programs' contexts, take some
    const bool large = model / 8 >= GEMM_WORKSPACE_LARGE && model + GEMM_WORKSPACE_LARGE <= room;
    return large ? GEMM_WORKSPACE_LARGE : GEMM_WORKSPACE;
}

// ---- context ------------------------------------------------------------------------------------

struct gemm_context *gemm_context_create(const struct gpu *gpu, const char *tune) {
    struct gemm_context *context = calloc(1, sizeof *context);
    if (!context) {
        die(EXIT_MEMORY, "no memory for %zu bytes of products", sizeof *context);
    }
    if ((uintptr_t)gpu->workspace % GEMM_WORKSPACE_ALIGN != 0) {
        die(EXIT_INTERNAL, "cuBLASLt's workspace is not a multiple of %d", GEMM_WORKSPACE_ALIGN);
    }
    context->workspace = gpu->workspace;
    context->workspace_bytes = gpu->workspace_bytes;
    context->hash = HASH_EMPTY;
    CUBLAS_CHECK("start", cublasLtCreate(&context->handle));
    if (tune) {
        int device = 0, driver = 0;
        struct cudaDeviceProp properties;
        CUDA_CHECK(cudaGetDevice(&device));
        CUDA_CHECK(cudaGetDeviceProperties(&properties, device));
        CUDA_CHECK(cudaDriverGetVersion(&driver));
        char name[sizeof properties.name];
        snprintf(name, sizeof name, "%s", properties.name);
        for (char *c = name; *c; c++) {
            const bool plain = (*c >= '0' && *c <= '9') || (*c >= 'A' && *c <= 'Z') ||
                               (*c >= 'a' && *c <= 'z') || *c == '.' || *c == '-';
            *c = plain ? *c : '_';
        }
        snprintf(context->header, sizeof context->header,
                 "diecast-tune 1 device %s driver %d cublaslt %zu", name, driver,
                 cublasLtGetVersion());
        const int folder = snprintf(context->folder, sizeof context->folder, "%s", tune);
        const int path =
            snprintf(context->path, sizeof context->path, "%s/%s-driver%d-cublaslt%zu.txt", tune,
                     name, driver, cublasLtGetVersion());
        if (folder >= (int)sizeof context->folder || path >= (int)sizeof context->path) {
            die(EXIT_USAGE, "%s: the path of the tune folder is too long", tune);
        }
        gemm_tuned_read(context);
    }
    return context;
}

void gemm_context_destroy(struct gemm_context *context) {
    CUBLAS_CHECK("end", cublasLtDestroy(context->handle));
    free(context->tuned);
    free(context);
}

const char *gemm_context_choice(const struct gemm_context *context) {
    return context->any_tuned ? context->choice : "heuristic";
}

// ---- products -----------------------------------------------------------------------------------

static void gemm_set(const struct gemm *g, cublasLtMatmulDescAttributes_t attribute,
                     const void *value, size_t bytes) {
    CUBLAS_CHECK(g->name,
                 cublasLtMatmulDescSetAttribute(g->setup->operation, attribute, value, bytes));
}

// Says how many matrices there are, and how far apart.
static void gemm_set_batch(const struct gemm *g, cublasLtMatrixLayout_t layout, int64_t stride) {
    const int32_t count = g->batch;
    CUBLAS_CHECK(g->name, cublasLtMatrixLayoutSetAttribute(
                              layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count, sizeof count));
    CUBLAS_CHECK(g->name,
                 cublasLtMatrixLayoutSetAttribute(
                     layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &stride, sizeof stride));
}

static void gemm_describe(const struct gemm *g) {
    struct gemm_setup *setup = g->setup;
    const cudaDataType_t type = gemm_types[g->type].type, out = gemm_types[g->out_type].type;
    CUBLAS_CHECK(g->name, cublasLtMatmulDescCreate(&setup->operation, gemm_types[g->type].compute,
                                                   CUDA_R_32F));
    const int32_t transpose_a = g->b_transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
    const int32_t transpose_b = g->a_transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
    const uint32_t epilogue = gemm_epilogue(g);
    gemm_set(g, CUBLASLT_MATMUL_DESC_TRANSA, &transpose_a, sizeof transpose_a);
    gemm_set(g, CUBLASLT_MATMUL_DESC_TRANSB, &transpose_b, sizeof transpose_b);
    gemm_set(g, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue);
    // The heuristic uses these pointers only to see how they will be aligned.
    const void *const somewhere = (const void *)(uintptr_t)GEMM_ALIGN;
    if (g->bias) {
        const int32_t bias_type = out;
        gemm_set(g, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, &bias_type, sizeof bias_type);
        gemm_set(g, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &somewhere, sizeof somewhere);
    }
    if (g->kept || g->dgelu) {
        gemm_set(g, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, &g->out_ld, sizeof g->out_ld);
        gemm_set(g, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, &somewhere, sizeof somewhere);
    }
    const int64_t a_rows = g->a_transposed ? g->inner : g->rows;
    const int64_t b_rows = g->b_transposed ? g->cols : g->inner;
    const int64_t a_cols = g->a_transposed ? g->rows : g->inner;
    const int64_t b_cols = g->b_transposed ? g->inner : g->cols;
    CUBLAS_CHECK(g->name, cublasLtMatrixLayoutCreate(&setup->a, type, a_cols, a_rows, g->a_ld));
    CUBLAS_CHECK(g->name, cublasLtMatrixLayoutCreate(&setup->b, type, b_cols, b_rows, g->b_ld));
    CUBLAS_CHECK(g->name,
                 cublasLtMatrixLayoutCreate(&setup->out, out, g->cols, g->rows, g->out_ld));
    if (g->batch > 1) {
        gemm_set_batch(g, setup->a, g->a_stride);
        gemm_set_batch(g, setup->b, g->b_stride);
        gemm_set_batch(g, setup->out, g->out_stride);
    }
}

// The reduction schemes that lose nothing, besides none at all, which is 0.
static uint32_t gemm_reductions(const struct gemm *g) {
    return CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE |
           (g->out_type == GEMM_F32 ? CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE : 0);
}

// Queries the heuristic for its best algorithms with these reduction schemes and that workspace,
// and lists those that are not listed yet. Returns what it says of the first.
static cublasStatus_t gemm_ask(const struct gemm_context *context, const struct gemm *g,
                               uint32_t reduction, uint64_t bytes) {
    struct gemm_setup *setup = g->setup;
    cublasLtMatmulPreference_t preference;
    CUBLAS_CHECK(g->name, cublasLtMatmulPreferenceCreate(&preference));
    const uint32_t align = GEMM_ALIGN;
    const struct {
        cublasLtMatmulPreferenceAttributes_t attribute;
        const void *value;
        size_t bytes;
    } wants[] = {
        {CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &bytes, sizeof bytes},
        {CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &reduction, sizeof reduction},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &align, sizeof align},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &align, sizeof align},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, &align, sizeof align},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &align, sizeof align},
    };
    for (size_t i = 0; i < sizeof wants / sizeof *wants; i++) {
        CUBLAS_CHECK(g->name, cublasLtMatmulPreferenceSetAttribute(preference, wants[i].attribute,
                                                                   wants[i].value, wants[i].bytes));
    }
    cublasLtMatmulHeuristicResult_t results[GEMM_ASKED];
    int count = 0;
    CUBLAS_CHECK(g->name, cublasLtMatmulAlgoGetHeuristic(context->handle, setup->operation,
                                                         setup->b, setup->a, setup->out, setup->out,
                                                         preference, GEMM_ASKED, results, &count));
    CUBLAS_CHECK(g->name, cublasLtMatmulPreferenceDestroy(preference));
    for (int i = 0; i < count; i++) {
        bool listed = results[i].state != CUBLAS_STATUS_SUCCESS;
        for (int c = 0; c < setup->choices_count; c++) {
            listed = listed || !memcmp(&setup->choices[c], &results[i].algo, ALGO_BYTES);
        }
        if (!listed && setup->choices_count < GEMM_CHOICES) {
            setup->choices[setup->choices_count++] = results[i].algo;
        }
    }
    return count > 0 ? results[0].state : CUBLAS_STATUS_NOT_SUPPORTED;
}

void gemm_ask_more(struct gemm_context *context, const struct gemm *g) {
    const size_t bytes = context->workspace_bytes;
    gemm_ask(context, g, gemm_reductions(g), bytes);
    gemm_ask(context, g, gemm_reductions(g), bytes < GEMM_WORKSPACE ? bytes : GEMM_WORKSPACE);
}

// Whether a stored algorithm can run here and has an allowed reduction scheme.
static bool gemm_usable(const struct gemm_context *context, const struct gemm *g,
                        const cublasLtMatmulAlgo_t *algo) {
    const struct gemm_setup *setup = g->setup;
    uint32_t scheme = 0;
    size_t written = 0;
    cublasLtMatmulHeuristicResult_t result = {.state = CUBLAS_STATUS_SUCCESS};
    return cublasLtMatmulAlgoConfigGetAttribute(algo, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME,
                                                &scheme, sizeof scheme,
                                                &written) == CUBLAS_STATUS_SUCCESS &&
           (scheme & ~gemm_reductions(g)) == 0 &&
           cublasLtMatmulAlgoCheck(context->handle, setup->operation, setup->b, setup->a,
                                   setup->out, setup->out, algo,
                                   &result) == CUBLAS_STATUS_SUCCESS &&
           result.state == CUBLAS_STATUS_SUCCESS &&
           result.workspaceSize <= context->workspace_bytes;
}

void gemm_create(struct gemm_context *context, struct gemm *gemm) {
    gemm_validate(gemm);
    gemm->setup = calloc(1, sizeof *gemm->setup);
    if (!gemm->setup) {
        die(EXIT_MEMORY, "no memory for %zu bytes of a product", sizeof *gemm->setup);
    }
    gemm_describe(gemm);
    const cublasStatus_t status =
        gemm_ask(context, gemm, CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE, context->workspace_bytes);
    if (gemm->setup->choices_count == 0) {
        cublas_fail(gemm->name, "cublasLtMatmulAlgoGetHeuristic", __FILE__, __LINE__, status);
    }
    gemm->setup->algo = gemm->setup->choices[0];

    char shape[SHAPE_TEXT];
    gemm_shape_text(gemm, shape);
    context->hash = hash_more(context->hash, shape, strlen(shape));
    for (int i = 0; i < context->tuned_count; i++) {
        const struct gemm_tuned *tuned = &context->tuned[i];
        if (strcmp(tuned->shape, shape) == 0) {
            if (gemm_usable(context, gemm, &tuned->algo)) {
                gemm->setup->algo = tuned->algo;
                context->hash = hash_more(context->hash, &tuned->algo, ALGO_BYTES);
                context->any_tuned = true;
            } else {
                warn("%s: cuBLASLt does not take the algorithm for %s: %s runs untuned",
                     context->path, shape, gemm->name);
            }
        }
    }
    snprintf(context->choice, sizeof context->choice, "tuned:%016" PRIx64, context->hash);
}

void gemm_destroy(struct gemm *gemm) {
    struct gemm_setup *setup = gemm->setup;
    CUBLAS_CHECK(gemm->name, cublasLtMatrixLayoutDestroy(setup->out));
    CUBLAS_CHECK(gemm->name, cublasLtMatrixLayoutDestroy(setup->b));
    CUBLAS_CHECK(gemm->name, cublasLtMatrixLayoutDestroy(setup->a));
    CUBLAS_CHECK(gemm->name, cublasLtMatmulDescDestroy(setup->operation));
    free(setup);
    gemm->setup = NULL;
}

int gemm_choices(const struct gemm *gemm) {
    return gemm->setup->choices_count;
}

void gemm_choose(struct gemm *gemm, int choice) {
    gemm->setup->algo = gemm->setup->choices[choice];
}

// Checks that an operand is there if and only if the product needs it, and is aligned.
static void gemm_operand(const struct gemm *g, const char *what, const void *pointer, bool needed) {
    if ((pointer != NULL) != needed || (uintptr_t)pointer % GEMM_ALIGN != 0) {
        die(EXIT_INTERNAL, "%s: %s is %p: please report this line", g->name, what, pointer);
    }
}

void gemm_run(struct gpu *gpu, const struct gemm *gemm, void *out, const void *a, const void *b,
              const struct gemm_extra *extra, float beta) {
    static const struct gemm_extra none;
    const struct gemm_setup *setup = gemm->setup;
    const struct gemm_context *context = gpu->gemm;
    extra = extra ? extra : &none;
    gemm_operand(gemm, "out", out, true);
    gemm_operand(gemm, "a", a, true);
    gemm_operand(gemm, "b", b, true);
    gemm_operand(gemm, "bias", extra->bias, gemm->bias);
    gemm_operand(gemm, "residual", extra->residual, gemm->residual);
    gemm_operand(gemm, "pre", extra->pre, gemm->dgelu);
    gemm_operand(gemm, "kept", extra->kept, gemm->kept);
    if (gemm->bias) {
        gemm_set(gemm, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &extra->bias, sizeof extra->bias);
    }
    if (gemm->kept || gemm->dgelu) {
        const void *aux = gemm->kept ? extra->kept : extra->pre;
        gemm_set(gemm, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, &aux, sizeof aux);
    }
    // C, which is multiplied by `times` and added, is the residual, or out itself; 0: it is not
    // read.
    const float factor = gemm->factor != 0.0f ? gemm->factor : 1.0f;
    const float added = gemm->residual_factor != 0.0f ? gemm->residual_factor : 1.0f;
    const float times = gemm->residual ? added : gemm->accumulate ? beta : 0.0f;
    const void *c = gemm->residual ? extra->residual : out;
    CUBLAS_CHECK(gemm->name,
                 cublasLtMatmul(context->handle, setup->operation, &factor, b, setup->b, a,
                                setup->a, &times, c, setup->out, out, setup->out, &setup->algo,
                                context->workspace, context->workspace_bytes, gpu->stream));
}
