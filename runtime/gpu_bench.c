// gpu_bench.c: times a config's optimizer updates on a GPU, pipelined as in training, and each of
// its kernels, and holds them against what the device can do, measured in the same run: a large
// product of cuBLASLt's and a copy within the device's memory.
//
//     bench [--key=value ...]    the trainer's flags, and
//         --json=FILE            where the figures go; bench.json beside the program where left out
//         --tokens=FILE          raw little-endian uint16 to draw batches from, as train.bin; made up
//                                (uniform) where left out
//         --warm=N --steps=N     updates before the clock starts, and timed ones
//         --accumulation=A       micro-steps in an update; gradient_accumulation_steps where left
//                                out
#include "runtime/gemm.h"
#include "runtime/gpu.h"

#include <cublasLt.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_PROFILED = 5 };          // updates with a clock around each kernel, at most
static const double PROFILED = 2;    // seconds after which no other one begins
enum { MOST_STEPS = 1000000 };       // of --warm, --steps and --accumulation
enum { CHOICE_ROUNDS = 3 };          // of each of cuBLASLt's algorithms, before one is measured
static const double ROUND_MS = 5;    // what a round of a measurement takes, about
static const double SUSTAINED = 0.4; // seconds of rounds: clocks and power have settled then
enum { PRODUCT_FROM = 256, PRODUCT_TO = 8192 };
static const size_t COPY_FROM = 16 << 20, COPY_TO = 512 << 20; // read, and as much written
enum { RANDOM = 1000003 }; // random numbers before they repeat: odd, so that no two rows are alike

struct bench_row {
    const char *name;
    double ms, calls, flop, bytes; // an update
};

// What the device can do, in units a second.
struct bench_rates {
    double bf16, own; // FLOP of a large product: in bf16, in what the model multiplies in
    const char *type; // the latter's name
    double copied;    // bytes, read and written ones together
    int64_t product;  // rows and columns
    size_t copy;      // bytes
};

struct bench {
    const struct model_info *info;
    struct run run;
    const char *json, *tokens;
    int64_t warm, steps, accumulation;
    struct model m;
    struct split split; // of tokens
    int64_t submitted, settled, skipped;
    double last; // when the last update was settled
    double *ms;  // (steps)

    struct bench_row *rows; // (kernels)
    int rows_count;
    struct bench_rates rates;
    char device[256], products[64];
    double peak; // FLOP/s by the data sheet, or 0
    int driver, runtime;
    size_t plan_bytes, used_bytes;
};

// ---- flags --------------------------------------------------------------------------------------

static int64_t bench_integer(const char *key, const char *text, int64_t least) {
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || value < least || value > MOST_STEPS) {
        die(EXIT_USAGE, "--%s: '%s' is no integer from %lld to %d", key, text, (long long)least,
            MOST_STEPS);
    }
    return value;
}

// A flag of bench's own: takes it and its value, and returns how many words they were; else 0.
static int bench_flag(struct bench *b, int words, char **argv) {
    static const char *const names[] = {"json", "tokens", "warm", "steps", "accumulation"};
    if (strncmp(argv[0], "--", 2) != 0) {
        return 0;
    }
    const char *key = argv[0] + 2;
    const size_t length = strcspn(key, "=");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *name = names[i];
        if (strlen(name) != length || strncmp(name, key, length) != 0) {
            continue;
        }
        const bool joined = key[length] == '=';
        const char *value = joined ? key + length + 1 : words > 1 ? argv[1] : "";
        if (!*value || (!joined && !strncmp(value, "--", 2))) {
            die(EXIT_USAGE, "--%s: no value; give one as --%s=value", name, name);
        }
        if (!strcmp(name, "json")) {
            b->json = value;
        } else if (!strcmp(name, "tokens")) {
            b->tokens = value;
        } else if (!strcmp(name, "warm")) {
            b->warm = bench_integer(name, value, 0);
        } else if (!strcmp(name, "steps")) {
            b->steps = bench_integer(name, value, 1);
        } else {
            b->accumulation = bench_integer(name, value, 1);
        }
        return joined ? 1 : 2;
    }
    return 0;
}

static void bench_options(struct bench *b, int argc, char **argv) {
    static char beside[4096];
    const char *slash = strrchr(argv[0], '/');
    snprintf(beside, sizeof beside, "%.*sbench.json", slash ? (int)(slash - argv[0] + 1) : 0,
             argv[0]);
    b->json = beside;
    b->warm = 5;
    b->steps = 20;
    char **rest = calloc((size_t)argc + 1, sizeof *rest);
    if (!rest) {
        die(EXIT_MEMORY, "bench: no memory for %d flags", argc);
    }
    int count = 0;
    for (int i = 0; i < argc;) {
        const int taken = i > 0 ? bench_flag(b, argc - i, argv + i) : 0;
        if (taken == 0) {
            rest[count++] = argv[i];
        }
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
            printf("bench takes --json=FILE, --tokens=FILE, --warm=N, --steps=N and "
                   "--accumulation=A, and as the trainer:\n");
        }
        i += taken ? taken : 1;
    }
    b->run = run_defaults;
    options_parse(&b->run, count, rest);
    free(rest);
    b->accumulation = b->accumulation ? b->accumulation : b->run.gradient_accumulation_steps;
}

// ---- tokens -------------------------------------------------------------------------------------

static void bench_open_tokens(struct bench *b) {
    if (!b->tokens) {
        return;
    }
    const int file = open(b->tokens, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (file < 0 || fstat(file, &status) != 0) {
        die(errno == ENOENT ? EXIT_MISSING : EXIT_IO, "--tokens=%s: %s", b->tokens,
            strerror(errno));
    }
    const size_t bytes = (size_t)status.st_size, least = (size_t)b->info->block_size + 1;
    if (!S_ISREG(status.st_mode) || bytes % 2 != 0 || bytes / 2 < least) {
        die(EXIT_DATA, "--tokens=%s: wanted a file of at least %zu uint16, two bytes each",
            b->tokens, least);
    }
    void *map = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, file, 0);
    if (map == MAP_FAILED) {
        die(EXIT_IO, "--tokens=%s: cannot map %zu bytes: %s", b->tokens, bytes, strerror(errno));
    }
    close(file);
    b->split = (struct split){.path = (char *)b->tokens, .tokens = map, .count = bytes / 2};
}

static void bench_close_tokens(struct bench *b) {
    if (b->tokens) {
        munmap((void *)b->split.tokens, b->split.count * sizeof *b->split.tokens);
    }
}

static void bench_batch(struct bench *b, uint64_t index) {
    const struct model_info *info = b->info;
    const uint32_t seed = (uint32_t)b->run.seed;
    if (b->tokens) {
        data_batch(&b->split, seed, RNG_TRAIN, index, info->batch_size, info->block_size,
                   info->vocab_size, b->m.tokens, b->m.targets);
        return;
    }
    const int64_t rows = (int64_t)info->batch_size * info->block_size;
    for (int64_t i = 0; i < rows; i++) {
        const uint64_t bits = rng_bits(seed, RNG_BENCH, (uint32_t)i, (uint32_t)index);
        b->m.tokens[i] = (int32_t)rng_below(bits, (uint64_t)info->vocab_size);
        b->m.targets[i] = (int32_t)rng_below(bits << 32, (uint64_t)info->vocab_size);
    }
}

// ---- updates ------------------------------------------------------------------------------------

static void bench_submit(struct bench *b) {
    for (int64_t micro = 0; micro < b->accumulation; micro++) {
        const uint64_t index = (uint64_t)(b->submitted * b->accumulation + micro);
        bench_batch(b, index);
        const uint64_t key =
            rng_bits((uint32_t)b->run.seed, RNG_DROPOUT, (uint32_t)index, (uint32_t)(index >> 32));
        b->m.dropout = (float)b->run.dropout;
        b->m.dropout_key[0] = (uint32_t)key;
        b->m.dropout_key[1] = (uint32_t)(key >> 32);
        step_gradients(&b->m, b->info, (int)b->accumulation, micro == 0);
    }
    step_update(&b->m, b->info, &b->run, schedule_learning_rate(&b->run, b->submitted),
                b->submitted + 1);
    b->submitted++;
}

// Waits for the oldest update and returns how long after the one before it was done, in ms. In
// float16 some of the first are skipped while the loss scaler looks for its factor.
static double bench_settle(struct bench *b) {
    const struct step_result result = step_wait(&b->m);
    const double now = time_now(), ms = (now - b->last) * 1e3;
    if (result.skipped && strcmp(b->info->dtype, "float16") != 0) {
        die(EXIT_NUMERICS,
            "bench: loss %g and gradient norm %g in update %lld; a lower "
            "--learning_rate keeps them finite",
            result.last, result.norm, (long long)b->settled);
    }
    b->last = now;
    b->settled++;
    b->skipped += result.skipped;
    return ms;
}

static int bench_rising(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// Of numbers that rise.
static double bench_quantile(const double *values, int64_t count, double q) {
    return values[(int64_t)(q * (double)(count - 1) + 0.5)];
}

// One update is submitted before the one before it is waited for, as in training.
static void bench_time_steps(struct bench *b) {
    const int64_t all = b->warm + b->steps;
    b->last = time_now();
    while (b->settled < all) {
        if (b->submitted < all) {
            bench_submit(b);
        }
        while (step_pending(&b->m) > (b->submitted < all ? step_ahead(&b->m) : 0)) {
            const double ms = bench_settle(b);
            if (b->settled > b->warm) {
                b->ms[b->settled - b->warm - 1] = ms;
            }
        }
    }
    qsort(b->ms, (size_t)b->steps, sizeof b->ms[0], bench_rising);
}

static int bench_slower(const void *a, const void *b) {
    const struct bench_row *x = a, *y = b;
    return (x->ms < y->ms) - (x->ms > y->ms);
}

// A few more updates with a pair of events around each kernel: the rows, slowest first, of what one
// update takes. Kernels that did not run have none.
static void bench_time_kernels(struct bench *b) {
    const int count = b->info->kernels_count;
    double *seconds = calloc((size_t)count, sizeof *seconds);
    int64_t *calls = calloc((size_t)count, sizeof *calls);
    b->rows = calloc((size_t)count, sizeof *b->rows);
    if (!seconds || !calls || !b->rows) {
        die(EXIT_MEMORY, "bench: no memory for %d kernels", count);
    }
    profile_reset();
    profile_on = true;
    const double start = time_now();
    int64_t updates = 0;
    while (updates < MOST_PROFILED && (updates == 0 || time_now() - start < PROFILED)) {
        bench_submit(b);
        bench_settle(b);
        gpu_profile_collect(); // its events serve again
        updates++;
    }
    profile_on = false;
    profile_read(seconds, calls, count);
    for (int i = 0; i < count; i++) {
        const struct kernel_info *kernel = &b->info->kernels[i];
        const double each = (double)calls[i] / (double)updates;
        if (calls[i] > 0) {
            b->rows[b->rows_count++] = (struct bench_row){
                kernel->name,
                seconds[i] * 1e3 / (double)updates,
                each,
                each * kernel->flops,
                each * kernel->bytes,
            };
        }
    }
    qsort(b->rows, (size_t)b->rows_count, sizeof b->rows[0], bench_slower);
    free(seconds);
    free(calls);
}

// ---- what the device can do ---------------------------------------------------------------------

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

// Milliseconds of one run, of `repeats` after each other; never 0, since it is divided by.
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

// The median over rounds.
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

// Memory for so many operands of probe->bytes, full of random numbers in [-1, 1): power, and with
// it the clocks, depend on the data.
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
        } else { // the same as float16, whose exponents begin at 2^-14
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

// The fastest of the algorithms that cuBLASLt names.
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

// FLOP a second of out (n, n) = a (n, n) b (n, n)^T. n doubles up to PRODUCT_TO, as long as there is
// memory and a product is over soon.
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
            .b_turned = true,
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

// Bytes a second, read and written ones together; as many as there is room for and are copied soon.
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

// What the model's products multiply.
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

// After the model's memory was given back, so that the largest plan still leaves room.
static void bench_measure_device(struct bench *b) {
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

// ---- what it means ------------------------------------------------------------------------------

// A row's share of its roofline: the least time it could take, over the one it takes.
static double bench_roofline(const struct bench *b, const struct bench_row *row) {
    const double compute = row->flop / b->rates.own, memory = row->bytes / b->rates.copied;
    return row->ms > 0 ? 1e3 * (compute > memory ? compute : memory) / row->ms : 0;
}

struct bench_figures {
    double median, p10, p90, tokens_per_s;
    double flop, flop_llmc;      // an update, as nanoGPT counts and as llm.c does
    double mfu, mfu_llmc, share; // of the data sheet's peak; of the product measured
    double kernels_ms;           // all of them together
    char driver[16], runtime[16], library[32];
};

static struct bench_figures bench_figures(const struct bench *b) {
    const struct model_info *info = b->info;
    const double tokens = (double)b->accumulation * info->batch_size * info->block_size;
    const double llmc = 6.0 * (double)info->num_params +
                        6.0 * info->n_layer * (double)info->n_embd * info->block_size;
    struct bench_figures f = {
        .median = bench_quantile(b->ms, b->steps, 0.5),
        .p10 = bench_quantile(b->ms, b->steps, 0.1),
        .p90 = bench_quantile(b->ms, b->steps, 0.9),
        .flop = info->flops_per_token * tokens,
        .flop_llmc = llmc * tokens,
    };
    f.tokens_per_s = tokens / f.median * 1e3;
    if (b->peak > 0) {
        f.mfu = f.flop / f.median * 1e3 / b->peak;
        f.mfu_llmc = f.flop_llmc / f.median * 1e3 / b->peak;
    }
    f.share = f.flop_llmc / f.median * 1e3 / b->rates.own;
    for (int i = 0; i < b->rows_count; i++) {
        f.kernels_ms += b->rows[i].ms;
    }
    snprintf(f.driver, sizeof f.driver, "%d.%d", b->driver / 1000, b->driver % 1000 / 10);
    snprintf(f.runtime, sizeof f.runtime, "%d.%d", b->runtime / 1000, b->runtime % 1000 / 10);
    snprintf(f.library, sizeof f.library, "%zu", cublasLtGetVersion());
    return f;
}

static void bench_print(const struct bench *b, const struct bench_figures *f) {
    const struct model_info *info = b->info;
    const struct bench_rates *rates = &b->rates;
    printf(
        "update: median %.3f ms, p10 %.3f, p90 %.3f (%lld of %lld micro-steps of %d x %d tokens, "
        "%lld before)\n",
        f->median, f->p10, f->p90, (long long)b->steps, (long long)b->accumulation,
        info->batch_size, info->block_size, (long long)b->warm);
    printf("%.0f tokens/s, %.4g TFLOP an update by 6N + 12LHQT, %.4g by 6N + 6LCT with all "
           "parameters\n",
           f->tokens_per_s, f->flop * 1e-12, f->flop_llmc * 1e-12);
    if (b->peak > 0) {
        printf("mfu: %.2f%% and %.2f%% of the data sheet's dense bfloat16 peak of %.1f TFLOP/s\n",
               100 * f->mfu, 100 * f->mfu_llmc, b->peak * 1e-12);
    } else {
        printf("mfu: none, this device's peak is not known here\n");
    }
    printf("device: %.1f TFLOP/s in a product of %lld rows and columns in %s", rates->own * 1e-12,
           (long long)rates->product, rates->type);
    if (rates->own != rates->bf16) {
        printf(" (%.1f in bf16)", rates->bf16 * 1e-12);
    }
    printf(", %.0f GB/s in a copy of %zu MiB; the update is at %.1f%% of the product's rate\n",
           rates->copied * 1e-9, rates->copy >> 20, 100 * f->share);
    printf("memory: plan %zu bytes, in use on the device %zu bytes\n", b->plan_bytes,
           b->used_bytes);
    printf("kernels, launched one by one: %.3f ms an update\n\n", f->kernels_ms);
    printf("%-52s %7s %9s %6s %8s %8s %8s\n", "kernel", "calls", "ms", "share", "TFLOP/s", "GB/s",
           "roofline");
    for (int i = 0; i < b->rows_count; i++) {
        const struct bench_row *row = &b->rows[i];
        const double ms = row->ms > 0 ? row->ms : 1e-6;
        printf("%-52s %7.0f %9.3f %5.1f%% %8.1f %8.0f %7.0f%%\n", row->name, row->calls, row->ms,
               f->kernels_ms > 0 ? 100 * row->ms / f->kernels_ms : 0, row->flop / ms * 1e-9,
               row->bytes / ms * 1e-6, 100 * bench_roofline(b, row));
    }
}

// A string of a path's or a device's name.
static void bench_write_text(FILE *file, const char *key, const char *text) {
    fprintf(file, "  \"%s\": \"", key);
    for (const char *c = text; *c; c++) {
        if ((unsigned char)*c < 0x20) {
            fprintf(file, "\\u%04x", *c);
        } else {
            fprintf(file, "%s%c", *c == '"' || *c == '\\' ? "\\" : "", *c);
        }
    }
    fprintf(file, "\",\n");
}

// A number, or null where it is not known.
static void bench_write_known(FILE *file, const char *key, double value) {
    if (value > 0) {
        fprintf(file, "  \"%s\": %.5f,\n", key, value);
    } else {
        fprintf(file, "  \"%s\": null,\n", key);
    }
}

static void bench_write(const struct bench *b, const struct bench_figures *f) {
    FILE *file = fopen(b->json, "w");
    if (!file) {
        die(EXIT_IO, "%s: cannot be written: %s", b->json, strerror(errno));
    }
    fprintf(file, "{\n");
    bench_write_text(file, "config", b->info->config);
    bench_write_text(file, "build", b->info->hash);
    bench_write_text(file, "device", b->device);
    bench_write_text(file, "driver", f->driver);
    bench_write_text(file, "runtime", f->runtime);
    bench_write_text(file, "cublaslt", f->library);
    bench_write_text(file, "products", b->products);
    bench_write_text(file, "tokens", b->tokens ? b->tokens : "uniform");
    fprintf(file, "  \"accumulation\": %lld,\n  \"warm\": %lld,\n  \"steps\": %lld,\n",
            (long long)b->accumulation, (long long)b->warm, (long long)b->steps);
    fprintf(file, "  \"skipped\": %lld,\n", (long long)b->skipped);
    fprintf(file, "  \"ms_median\": %.4f,\n  \"ms_p10\": %.4f,\n  \"ms_p90\": %.4f,\n", f->median,
            f->p10, f->p90);
    fprintf(file, "  \"tokens_per_s\": %.1f,\n", f->tokens_per_s);
    fprintf(file, "  \"flop_per_step\": %.0f,\n  \"flop_per_step_llmc\": %.0f,\n", f->flop,
            f->flop_llmc);
    fprintf(file, "  \"peak_bf16_tflops\": %.4f,\n", b->rates.bf16 * 1e-12);
    bench_write_text(file, "product_type", b->rates.type);
    fprintf(file, "  \"product_tflops\": %.4f,\n  \"product_size\": %lld,\n", b->rates.own * 1e-12,
            (long long)b->rates.product);
    bench_write_known(file, "device_peak_tflops", b->peak * 1e-12);
    fprintf(file, "  \"copy_gbs\": %.2f,\n  \"copy_bytes\": %zu,\n", b->rates.copied * 1e-9,
            b->rates.copy);
    bench_write_known(file, "mfu", f->mfu);
    bench_write_known(file, "mfu_llmc", f->mfu_llmc);
    fprintf(file, "  \"share_of_product_rate\": %.5f,\n", f->share);
    fprintf(file, "  \"plan_bytes\": %zu,\n  \"used_bytes\": %zu,\n  \"kernels\": [\n",
            b->plan_bytes, b->used_bytes);
    for (int i = 0; i < b->rows_count; i++) {
        const struct bench_row *row = &b->rows[i];
        fprintf(file,
                "    {\"name\": \"%s\", \"calls\": %.6g, \"ms\": %.5f, \"flop\": %.0f, "
                "\"bytes\": %.0f, \"roofline\": %.4f}%s\n",
                row->name, row->calls, row->ms, row->flop, row->bytes, bench_roofline(b, row),
                i + 1 < b->rows_count ? "," : "");
    }
    fprintf(file, "  ]\n}\n");
    const bool failed = ferror(file);
    if (fclose(file) || failed) {
        remove(b->json);
        die(EXIT_IO, "%s: cannot be written; is the disk full?", b->json);
    }
    printf("\nwritten: %s\n", b->json);
}

int main(int argc, char **argv) {
    static struct bench b;
    b.info = &model_info;
    bench_options(&b, argc, argv);
    setvbuf(stdout, NULL, _IOLBF, 0);
    bench_open_tokens(&b);
    b.ms = calloc((size_t)b.steps, sizeof *b.ms);
    if (!b.ms) {
        die(EXIT_MEMORY, "bench: no memory for %lld times", (long long)b.steps);
    }
    parallel_threads((int)b.run.threads);
    model_create(&b.m, &model_info, true);
    b.peak = gpu_peak(b.device);
    snprintf(b.products, sizeof b.products, "%s", b.m.products);
    CUDA_CHECK(cudaDriverGetVersion(&b.driver));
    CUDA_CHECK(cudaRuntimeGetVersion(&b.runtime));
    printf("%s: %s\n%s, %s products; tokens: %s\n", run_config_name, model_info.title, b.device,
           b.products, b.tokens ? b.tokens : "made up, uniform");
    model_init(&b.m, &model_info, (uint64_t)b.run.seed);
    const struct progress progress = progress_fresh();
    step_begin(&b.m, &model_info, &progress);

    bench_time_steps(&b);
    bench_time_kernels(&b);
    size_t available, total;
    CUDA_CHECK(cudaMemGetInfo(&available, &total));
    b.used_bytes = total - available;
    b.plan_bytes = model_plan_bytes(&model_info, true);
    model_destroy(&b.m);
    bench_close_tokens(&b);
    bench_measure_device(&b);

    const struct bench_figures figures = bench_figures(&b);
    bench_print(&b, &figures);
    bench_write(&b, &figures);
    free(b.rows);
    free(b.ms);
    return EXIT_DONE;
}
