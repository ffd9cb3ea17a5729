// rates.c: what a device can do, for the program `bench` (gpu_bench.c): the rates of a large
// product by cuBLASLt and of a copy within its memory.
#include "runtime/programs/gpu_bench/bench.h"
#include "runtime/gpu/gpu.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CHOICE_ROUNDS = 3 };          // runs of each of cuBLASLt's algorithms, to choose one
static const double ROUND_MS = 5;    // about what a round of a measurement takes
static const double SUSTAINED = 0.4; // seconds of rounds, until clock rates and power settle
enum { PRODUCT_FROM = 256, PRODUCT_TO = 8192 };
static const size_t COPY_FROM = 16 << 20, COPY_TO = 512 << 20; // bytes read, and as many written
enum { RANDOM = 1000003 }; // random numbers before they repeat: odd, so that no two rows are equal

int bench_rising(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_quantile(const double *values, int64_t count, double q) {
    return values[(int64_t)(q * (double)(count - 1) + 0.5)];
}

struct probe {
    struct gpu *gpu;
    struct gemm *gemm; // of a product
    char *memory;      // product: out, a, b; copy: to, from
    size_t bytes;      // of each of them
    cudaEvent_t begin, end;
};

typedef void probe_fn(struct probe *probe);

static void probe_product(struct probe *p) {
    gemm_run(p->gpu, p->gemm, p->memory, p->memory + p->bytes, p->memory + 2 * p->bytes, NULL,
             0.0f);
}

static void probe_copy(struct probe *p) {
    CUDA_CHECK(cudaMemcpyAsync(p->memory, p->memory + p->bytes, p->bytes, cudaMemcpyDeviceToDevice,
                               p->gpu->stream));
}

// Milliseconds of one run, as the mean of `repeats` runs; never 0, since it is a divisor.
static double probe_ms(struct probe *p, probe_fn *run, int repeats) {
    CUDA_CHECK(cudaEventRecord(p->begin, p->gpu->stream));
    for (int i = 0; i < repeats; i++) {
        run(p);
    }
    CUDA_CHECK(cudaEventRecord(p->end, p->gpu->stream));
    CUDA_CHECK(cudaEventSynchronize(p->end));
    float ms;
    CUDA_CHECK(cudaEventElapsedTime(&ms, p->begin, p->end));
    return ms > 1e-6f ? (double)ms / repeats : 1e-6 / repeats;
}

// Milliseconds of one run, as the median over rounds of some SUSTAINED seconds.
static double probe_sustained_ms(struct probe *p, probe_fn *run) {
    enum { ROUNDS = 1000 };
    static double rounds[ROUNDS];
    const double once = probe_ms(p, run, 1);
    const int repeats = once < ROUND_MS ? (int)fmin(ROUND_MS / once, 64) : 1;
    const double start = time_now();
    int count = 0;
    while (count < ROUNDS && (count == 0 || time_now() - start < SUSTAINED)) {
        rounds[count++] = probe_ms(p, run, repeats);
    }
    qsort(rounds, (size_t)count, sizeof rounds[0], bench_rising);
    return bench_quantile(rounds, count, 0.5);
}

// Allocates `operands` times p->bytes, filled with random numbers in [-1, 1): power, and so clock
// rates, depend on the data.
static void probe_memory(struct probe *p, int operands, enum gemm_type type) {
    const size_t bytes = (size_t)operands * p->bytes;
    void *memory;
    CUDA_CHECK(cudaMalloc(&memory, bytes));
    p->memory = memory;
    static uint32_t data[RANDOM];
    const bool is_float = type == GEMM_F32 || type == GEMM_TF32;
    for (uint32_t i = 0; i < RANDOM; i++) {
        const float value = (float)(2 * rng_uniform(rng_bits(0, RNG_BENCH, i, 0)) - 1);
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        if (is_float) {
            data[i] = bits;
        } else if (type == GEMM_BF16) {
            ((uint16_t *)data)[i] = (uint16_t)(bits >> 16);
        } else { // converted to float16, whose exponents begin at 2^-14
            const uint32_t exponent = bits >> 23 & 255;
            const uint32_t half = exponent < 113 ? 0 : (exponent - 112) << 10 | (bits >> 13 & 1023);
            ((uint16_t *)data)[i] = (uint16_t)(bits >> 16 & 0x8000) | (uint16_t)half;
        }
    }
    size_t filled = RANDOM * (is_float ? 4 : 2);
    filled = filled < bytes ? filled : bytes;
    cudaStream_t stream = p->gpu->stream;
    CUDA_CHECK(cudaMemcpyAsync(p->memory, data, filled, cudaMemcpyHostToDevice, stream));
    while (filled < bytes) {
        const size_t more = filled < bytes - filled ? filled : bytes - filled;
        CUDA_CHECK(
            cudaMemcpyAsync(p->memory + filled, p->memory, more, cudaMemcpyDeviceToDevice, stream));
        filled += more;
    }
    CUDA_CHECK(cudaStreamSynchronize(stream));
}

static bool probe_room(size_t bytes) {
    size_t available, total;
    CUDA_CHECK(cudaMemGetInfo(&available, &total));
    return bytes <= available / 10 * 9;
}

// Chooses the fastest of the algorithms that cuBLASLt lists.
static void probe_choose(struct probe *p) {
    int best = 0;
    double least = HUGE_VAL;
    for (int c = 0; c < gemm_choices(p->gemm); c++) {
        gemm_choose(p->gemm, c);
        probe_ms(p, probe_product, 1); // loads its code
        const double ms = probe_ms(p, probe_product, CHOICE_ROUNDS);
        best = ms < least ? c : best;
        least = ms < least ? ms : least;
    }
    gemm_choose(p->gemm, best);
}

// FLOP per second of out (n, n) = a (n, n) b (n, n)^T. n doubles up to PRODUCT_TO, as long as
// memory suffices and a product is fast enough.
static double bench_product_rate(struct probe *p, enum gemm_type type, int64_t *size) {
    const bool is_float = type == GEMM_F32 || type == GEMM_TF32;
    for (int64_t n = PRODUCT_FROM;; n *= 2) {
        struct gemm gemm = {
            .name = "bench",
            .rows = n,
            .cols = n,
            .inner = n,
            .out_ld = n,
            .a_ld = n,
            .b_ld = n,
            .b_transposed = true,
            .type = type,
            .out_type = is_float ? GEMM_F32 : type,
        };
        p->gemm = &gemm;
        p->bytes = (size_t)(n * n) * (is_float ? 4 : 2);
        probe_memory(p, 3, type);
        gemm_create(p->gpu->gemm, &gemm);
        probe_ms(p, probe_product, 1);
        const bool last = n == PRODUCT_TO || probe_ms(p, probe_product, 1) >= ROUND_MS ||
                          !probe_room(3 * 4 * p->bytes);
        double ms = 0;
        if (last) {
            probe_choose(p);
            ms = probe_sustained_ms(p, probe_product);
        }
        gemm_destroy(&gemm);
        CUDA_CHECK(cudaFree(p->memory));
        if (last) {
            *size = n;
            return 2e3 * (double)n * (double)n * (double)n / ms;
        }
    }
}

// Bytes per second of a copy, read and written ones together. Its size doubles up to COPY_TO, as
// long as memory suffices and a copy is fast enough.
static double bench_copy_rate(struct probe *p, size_t *bytes) {
    for (p->bytes = COPY_FROM;; p->bytes *= 2) {
        probe_memory(p, 2, GEMM_F32);
        probe_ms(p, probe_copy, 1);
        const bool last = p->bytes == COPY_TO || probe_ms(p, probe_copy, 1) >= ROUND_MS ||
                          !probe_room(2 * 2 * p->bytes);
        const double ms = last ? probe_sustained_ms(p, probe_copy) : 0;
        CUDA_CHECK(cudaFree(p->memory));
        if (last) {
            *bytes = p->bytes;
            return 2e3 * (double)p->bytes / ms;
        }
    }
}

// The type of the model's products.
static enum gemm_type bench_type(const struct model_info *info) {
    struct pair tf32;
    if (!strcmp(info->dtype, "bfloat16")) {
        return GEMM_BF16;
    }
    if (!strcmp(info->dtype, "float16")) {
        return GEMM_F16;
    }
    const bool found = pairs_find(info->config, "tf32", 4, &tf32);
    return found && !strncmp(tf32.value, "true", 4) ? GEMM_TF32 : GEMM_F32;
}

void bench_measure_device(struct bench *b) {
    static const char *const names[] = {
        [GEMM_BF16] = "bf16", [GEMM_F16] = "f16", [GEMM_F32] = "f32", [GEMM_TF32] = "tf32"};
    struct gpu gpu = {0};
    gpu_open(&gpu);
    CUDA_CHECK(cudaMalloc(&gpu.workspace, GEMM_WORKSPACE));
    gpu.workspace_bytes = GEMM_WORKSPACE;
    gpu.gemm = gemm_context_create(&gpu, NULL);
    struct probe probe = {.gpu = &gpu};
    CUDA_CHECK(cudaEventCreate(&probe.begin));
    CUDA_CHECK(cudaEventCreate(&probe.end));

    const enum gemm_type type = bench_type(b->info);
    struct bench_rates *rates = &b->rates;
    rates->type = names[type];
    rates->own = rates->bf16 = bench_product_rate(&probe, GEMM_BF16, &rates->product);
    if (type != GEMM_BF16) {
        rates->own = bench_product_rate(&probe, type, &rates->product);
    }
    rates->copied = bench_copy_rate(&probe, &rates->copy);

    CUDA_CHECK(cudaEventDestroy(probe.begin));
    CUDA_CHECK(cudaEventDestroy(probe.end));
    gemm_context_destroy(gpu.gemm);
    CUDA_CHECK(cudaFree(gpu.workspace));
    gpu_close(&gpu);
}
