// gpu_bench.c: times a config's steps on a GPU, pipelined as in training, and each of its kernels,
// and compares them with what the device can do, measured in the same run: a large product by
// cuBLASLt and a copy within the device's memory. The figures are rewritten after each of these
// parts, so that a run that is cut short leaves what it has.
//
//     bench [--key=value ...]    the trainer's flags, and
//         --json=FILE            where the figures go; by default bench.json beside the program
//         --tokens=FILE          raw little-endian uint16 (uint32 for a vocabulary above 65,536) to
//                                draw batches from, like train.bin, or a token shard of llm.c's; by
//                                default uniform random ones
//         --warm=N --steps=N     steps before the clock starts, and timed ones
//         --accumulation=A       micro-steps in a step; by default gradient_accumulation_steps
#include "runtime/programs/gpu_bench/bench.h"
#include "runtime/gpu/gpu.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_PROFILED = 5 };       // the most steps in which kernels are timed
static const double PROFILED = 2; // seconds after which no further one begins
enum { MOST_STEPS = 1000000 };    // of --warm, --steps and --accumulation

// ---- flags --------------------------------------------------------------------------------------

static int64_t bench_integer(const char *key, const char *text, int64_t least) {
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || value < least || value > MOST_STEPS) {
        die(EXIT_USAGE, "--%s: '%s' is not an integer from %lld to %d", key, text, (long long)least,
            MOST_STEPS);
    }
    return value;
}

// If argv[0] is a flag of bench's own, takes it and its value. Returns how many words it took, or
// 0.
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
    if (token_shard_is(llmc_magic(b->tokens))) {
        enum exit_code code;
        b->split.file = -1;
        const char *problem = split_add_shard(&b->split, b->tokens, &code);
        if (!problem && b->split.count <= (uint64_t)b->info->block_size) {
            code = EXIT_DATA;
            problem = "has too few tokens for block_size";
        }
        if (problem) {
            die(code, "--tokens=%s: %s", b->tokens, problem);
        }
        return;
    }
    const int file = open(b->tokens, O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (file < 0 || fstat(file, &status) != 0) {
        die(errno == ENOENT ? EXIT_MISSING : EXIT_IO, "--tokens=%s: %s", b->tokens,
            strerror(errno));
    }
    const bool wide = tokens_are_wide(b->info->vocab_size);
    const uint64_t bytes = (uint64_t)status.st_size, count = bytes / tokens_width(wide);
    const int least = b->info->block_size + 1;
    if (!S_ISREG(status.st_mode) || bytes % tokens_width(wide) != 0 || count < (uint64_t)least) {
        die(EXIT_DATA, "--tokens=%s: wanted a file of at least %d %s", b->tokens, least,
            wide ? "uint32, four bytes each" : "uint16, two bytes each");
    }
    b->split =
        (struct split){.path = (char *)b->tokens, .file = file, .wide = wide, .count = count};
}

static void bench_close_tokens(struct bench *b) {
    if (b->split.shard_count) {
        split_close(&b->split);
    } else if (b->tokens) {
        close(b->split.file);
    }
}

static void bench_batch(struct bench *b, uint64_t index) {
    const struct model_info *info = b->info;
    const uint32_t seed = (uint32_t)b->run.seed;
    if (b->tokens) {
        const enum exit_code code =
            data_batch(&b->split, seed, RNG_TRAIN, index, info->batch_size, info->block_size,
                       info->vocab_size, b->m.tokens, b->m.targets);
        if (code) {
            exit(code);
        }
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
    const struct step_settings settings =
        schedule_settings(&b->run, schedule_learning_rate(&b->run, b->submitted), b->submitted);
    step_update(&b->m, b->info, &settings, b->submitted + 1);
    b->submitted++;
}

// Waits for the oldest step, and returns the ms since the step before it was done. In float16 some
// of the first steps are skipped while the loss scaler searches for its factor.
static double bench_settle(struct bench *b) {
    const struct step_result result = step_wait(&b->m);
    const double now = time_now(), ms = (now - b->settled_at) * 1e3;
    if (result.skipped && strcmp(b->info->dtype, "float16") != 0) {
        die(EXIT_NUMERICS,
            "bench: loss %g and gradient norm %g in update %lld; a lower "
            "--learning_rate keeps them finite",
            result.last, result.norm, (long long)b->settled);
    }
    if (b->settled < b->warm + b->steps) { // not a step in which kernels are timed
        b->first = b->settled == 0 ? result : b->first;
        b->last = result;
    }
    b->settled_at = now;
    b->settled++;
    b->skipped += result.skipped;
    return ms;
}

// Submits each step before it waits for the previous one, as in training.
static void bench_time_steps(struct bench *b) {
    const int64_t all = b->warm + b->steps;
    b->settled_at = time_now();
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

static void bench_measure_memory(struct bench *b) {
    size_t available, total;
    CUDA_CHECK(cudaMemGetInfo(&available, &total));
    b->used_bytes = total - available;
    b->plan_bytes = model_plan_bytes(b->info, true);
}

static int bench_slower(const void *a, const void *b) {
    const struct bench_row *x = a, *y = b;
    return (x->ms < y->ms) - (x->ms > y->ms);
}

// Runs a few more steps with a pair of events around each kernel. Makes the table's rows, slowest
// first, of what kernels take in one step; kernels that did not run have none.
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
        gpu_profile_collect(); // so that its events are reused
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
                i >= count - b->info->muon_kernels,
            };
        }
    }
    qsort(b->rows, (size_t)b->rows_count, sizeof b->rows[0], bench_slower);
    free(seconds);
    free(calls);
}

int main(int argc, char **argv) {
    streams_open();
    static struct bench b;
    b.info = &model_info;
    bench_options(&b, argc, argv);
    setvbuf(stdout, NULL, _IOLBF, 0);
    bench_open_tokens(&b);
    b.ms = calloc((size_t)b.steps, sizeof *b.ms);
    if (!b.ms) {
        die(EXIT_MEMORY, "bench: no memory for %lld times", (long long)b.steps);
    }
    parallel_choose((int)b.run.threads);
    model_create(&b.m, &model_info, true);
    b.peak = gpu_peak(b.device);
    snprintf(b.products, sizeof b.products, "%s", b.m.products);
    CUDA_CHECK(cudaDriverGetVersion(&b.driver));
    CUDA_CHECK(cudaRuntimeGetVersion(&b.runtime));
    printf("%s: %s\n%s, %s products; tokens: %s\n", run_config_name, model_info.title, b.device,
           b.products, b.tokens ? b.tokens : "made up, uniform");
    model_init(&b.m, &model_info, (uint64_t)b.run.seed);
    step_begin(&b.m, &model_info, 0, 0, 0);

    bench_time_steps(&b);
    bench_measure_memory(&b);
    bench_write(&b);
    bench_time_kernels(&b);
    bench_write(&b);
    model_destroy(&b.m);
    bench_close_tokens(&b);
    bench_measure_device(&b);
    b.complete = true;
    bench_write(&b);
    bench_print(&b);
    free(b.rows);
    free(b.ms);
    return streams_close(EXIT_DONE);
}
