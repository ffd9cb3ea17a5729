// gpu_tune.c: the program `tune`: times the algorithms that cuBLASLt lists for each of a model's
// products, on random data, and stores the fastest for every program that runs these products. It
// takes no arguments; the folder is gemm_tune_folder's.
#include "runtime/base/base.h"
#include "runtime/gpu/gpu.h"

#include <stdlib.h>
#include <string.h>

enum {
    TUNE_ROUNDS = 9,     // each times every algorithm, so that all see the same clock rates
    TUNE_REPEATS = 64,   // the most runs of a product between two events
    TUNE_MS = 3,         // that these runs should take together
    TUNE_NOISE = 1,      // percent by which another algorithm must beat the first
    TUNE_DATA = 1000003, // random numbers before they repeat: odd, so that no two rows are equal
};

// The operands of a product.
enum { OUT, A, B, BIAS, AUX, OPERANDS };

static size_t round_up(size_t bytes) {
    return (bytes + 255) / 256 * 256;
}

static size_t type_bytes(enum gemm_type type) {
    return type == GEMM_BF16 || type == GEMM_F16 ? 2 : 4;
}

// Bytes of each operand. AUX is the residual, pre or kept: a product has one of them at most.
static void operand_bytes(const struct gemm *g, size_t bytes[OPERANDS]) {
    const size_t in = type_bytes(g->type), out = type_bytes(g->out_type);
    const int64_t more = g->batch > 1 ? g->batch - 1 : 0;
    const int64_t a_rows = g->a_transposed ? g->inner : g->rows;
    const int64_t b_rows = g->b_transposed ? g->cols : g->inner;
    bytes[OUT] = round_up((size_t)(more * g->out_stride + g->rows * g->out_ld) * out);
    bytes[A] = round_up((size_t)(more * g->a_stride + a_rows * g->a_ld) * in);
    bytes[B] = round_up((size_t)(more * g->b_stride + b_rows * g->b_ld) * in);
    bytes[BIAS] = g->bias ? round_up((size_t)g->cols * out) : 0;
    bytes[AUX] = g->kept || g->dgelu || g->residual ? bytes[OUT] : 0;
}

// Fills `bytes` bytes of the device with random numbers in [-1, 1) of a type.
static void fill(const struct gpu *gpu, char *to, size_t bytes, enum gemm_type type) {
    static uint32_t data[TUNE_DATA];
    uint16_t *half = (uint16_t *)data;
    for (uint64_t i = 0; i < TUNE_DATA; i++) {
        const uint32_t random = (uint32_t)rng_bits(RNG_BENCH, 0, (uint32_t)i, 0);
        // A sign, an exponent distributed as in uniform numbers, and a mantissa.
        const uint32_t down = (uint32_t)__builtin_ctz(random | 1 << 7);
        const uint32_t sign = random >> 31;
        if (type == GEMM_BF16) {
            half[i] = (uint16_t)(sign << 15 | (126 - down) << 7 | (random >> 8 & 0x7f));
        } else if (type == GEMM_F16) {
            half[i] = (uint16_t)(sign << 15 | (14 - down) << 10 | (random >> 8 & 0x3ff));
        } else {
            data[i] = sign << 31 | (126 - down) << 23 | (random >> 8 & 0x7fffff);
        }
    }
    size_t filled = TUNE_DATA * type_bytes(type);
    filled = filled < bytes ? filled : bytes;
    CUDA_CHECK(cudaMemcpyAsync(to, data, filled, cudaMemcpyHostToDevice, gpu->stream));
    while (filled < bytes) {
        const size_t more = filled < bytes - filled ? filled : bytes - filled;
        CUDA_CHECK(cudaMemcpyAsync(to + filled, to, more, cudaMemcpyDeviceToDevice, gpu->stream));
        filled += more;
    }
    CUDA_CHECK(cudaStreamSynchronize(gpu->stream)); // before the next call overwrites `data`
}

struct tuning {
    struct gpu *gpu;
    char *at[OPERANDS]; // of the current product
    cudaEvent_t start, stop;
};

// Milliseconds of one run of the product, as the mean of `repeats` runs.
static double time_runs(struct tuning *tuning, const struct gemm *g, int repeats) {
    struct gemm_extra extra = {0};
    extra.bias = g->bias ? tuning->at[BIAS] : NULL;
    extra.residual = g->residual ? tuning->at[AUX] : NULL;
    extra.pre = g->dgelu ? tuning->at[AUX] : NULL;
    extra.kept = g->kept ? tuning->at[AUX] : NULL;
    CUDA_CHECK(cudaEventRecord(tuning->start, tuning->gpu->stream));
    for (int i = 0; i < repeats; i++) {
        gemm_run(tuning->gpu, g, tuning->at[OUT], tuning->at[A], tuning->at[B], &extra,
                 g->accumulate ? 1.0f : 0.0f);
    }
    CUDA_CHECK(cudaEventRecord(tuning->stop, tuning->gpu->stream));
    CUDA_CHECK(cudaEventSynchronize(tuning->stop));
    float ms = 0.0f;
    CUDA_CHECK(cudaEventElapsedTime(&ms, tuning->start, tuning->stop));
    return ms > 1e-6f ? (double)ms / repeats : 1e-6 / repeats; // never 0: it is divided by
}

static int by_size(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// Chooses the fastest algorithm and prints a line of the table.
static void tune(struct tuning *tuning, struct gemm *g) {
    const int count = gemm_choices(g);
    double ms[GEMM_CHOICES][TUNE_ROUNDS], median[GEMM_CHOICES];
    int repeats = TUNE_REPEATS;
    for (int c = 0; c < count; c++) {
        gemm_choose(g, c);
        time_runs(tuning, g, 1); // loads its code
        const double once = time_runs(tuning, g, 1);
        if (once * repeats > TUNE_MS) {
            repeats = once < TUNE_MS ? (int)(TUNE_MS / once) : 1;
        }
    }
    for (int round = 0; round < TUNE_ROUNDS; round++) {
        for (int c = 0; c < count; c++) {
            gemm_choose(g, c);
            ms[c][round] = time_runs(tuning, g, repeats);
        }
    }
    int best = 0;
    for (int c = 0; c < count; c++) {
        qsort(ms[c], TUNE_ROUNDS, sizeof ms[c][0], by_size);
        median[c] = ms[c][TUNE_ROUNDS / 2];
        if (median[c] < median[best] && median[c] < median[0] * (100 - TUNE_NOISE) / 100) {
            best = c;
        }
    }
    gemm_choose(g, best);
    const double tflop = 2e-12 * (double)g->rows * (double)g->cols * (double)g->inner *
                         (g->batch > 1 ? g->batch : 1);
    printf("%-52s %10.1f %10.1f %5d of %d\n", g->name, tflop / (median[0] / 1e3),
           tflop / (median[best] / 1e3), best + 1, count);
    fflush(stdout);
}

int main(int argc, char **argv) {
    streams_open();
    if (argc > 1) {
        die(EXIT_USAGE,
            "tune: '%s': takes no arguments; it times a model's products and remembers the fastest "
            "algorithms in the folder DIECAST_TUNE of the environment (build/tune)",
            argv[1]);
    }
    struct gpu gpu = {0};
    gpu_open(&gpu);

    // Memory for the operands of the largest product, one after the other.
    size_t most = 0;
    for (int i = 0; i < model_gemms_count; i++) {
        size_t bytes[OPERANDS], sum = 0;
        operand_bytes(model_gemms[i], bytes);
        for (int o = 0; o < OPERANDS; o++) {
            sum += bytes[o];
        }
        most = sum > most ? sum : most;
    }
    void *memory = NULL;
    size_t available, total;
    CUDA_CHECK(cudaMemGetInfo(&available, &total));
    gpu.workspace_bytes = gpu_workspace_bytes(&model_info, total); // as in the trainer
    CUDA_CHECK(cudaMalloc(&gpu.workspace, gpu.workspace_bytes));
    CUDA_CHECK(cudaMalloc(&memory, most > 0 ? most : 1));

    gpu.gemm = gemm_context_create(&gpu, gemm_tune_folder());
    struct tuning tuning = {.gpu = &gpu};
    CUDA_CHECK(cudaEventCreate(&tuning.start));
    CUDA_CHECK(cudaEventCreate(&tuning.stop));
    printf("%-52s %10s %10s %10s\n", "product, in TFLOP/s", "first", "best", "choice");
    for (int i = 0; i < model_gemms_count; i++) {
        struct gemm *g = model_gemms[i];
        size_t bytes[OPERANDS];
        operand_bytes(g, bytes);
        char *at = memory;
        for (int o = 0; o < OPERANDS; o++) {
            tuning.at[o] = at;
            if (bytes[o] > 0) {
                fill(&gpu, at, bytes[o], o == A || o == B ? g->type : g->out_type);
            }
            at += bytes[o];
        }
        gemm_create(gpu.gemm, g);
        gemm_ask_more(gpu.gemm, g);
        tune(&tuning, g);
    }
    printf("%s\n", gemm_tune_save(gpu.gemm, model_gemms, model_gemms_count));

    for (int i = 0; i < model_gemms_count; i++) {
        gemm_destroy(model_gemms[i]);
    }
    gemm_context_destroy(gpu.gemm);
    CUDA_CHECK(cudaEventDestroy(tuning.stop));
    CUDA_CHECK(cudaEventDestroy(tuning.start));
    CUDA_CHECK(cudaFree(memory));
    CUDA_CHECK(cudaFree(gpu.workspace));
    gpu_close(&gpu);
    return streams_close(EXIT_DONE);
}
