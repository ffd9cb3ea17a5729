// bench.c: times a config's training step and each of its kernels, on made-up tokens, and compares
// them with the machine's peak rates, measured in the same run.
//
//     bench [--key=value ...]    the trainer's flags, and
//         --seconds=S            how long to time steps, about; default 4. At least 7 steps are
//                                timed, or 3 if S is below 4
//         --json=FILE            where to write the figures; default bench.json beside the program
//         --serve                alternate with another program: each line on stdin is a number of
//                                seconds to run steps for; the answer is a line of JSON with the
//                                steps' times
#include "runtime/train/train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { WARM_UP = 3, MOST = 20000, MOST_PROFILED = 20 }; // steps
enum { LEVELS = 3, BENCH_ROWS = 1024 };                 // of the memory hierarchy; of the table
// The timed steps are split in so many parts; the peak is measured before each and after the last.
enum { SLOTS = 4 };
static const double LONG_STEP = 1; // seconds of a step that needs no warm caches
static const double DEFAULT_SECONDS = 4;
static const char BENCH_UPDATE[] = "grad norm and update"; // but for Muon's

#ifndef BENCH_FLAGS
#define BENCH_FLAGS "" // the compiler's flags, which the Makefile defines
#endif
#ifdef __clang__
#define BENCH_COMPILER __VERSION__
#else
#define BENCH_COMPILER "gcc " __VERSION__
#endif

struct bench_row {
    const char *name;
    double seconds, calls, flops, bytes; // per step
    bool bf16;                           // a product in bfloat16
    bool muon;                           // a part of Muon's update
};

struct bench {
    const struct model_info *info;
    struct run run;
    double seconds; // how long to time steps
    const char *json;
    bool serve;

    struct model m;
    int threads;
    int64_t index; // of the next step
    int64_t steps; // timed so far
    double ms[MOST];
    struct bench_row rows[BENCH_ROWS];
    int rows_count;

    char machine[128];
    size_t cache[2];               // bytes of a core's L2 and of the last-level cache
    double peak_gflops;            // the best of all measurements, of the type of products
    double float_gflops;           // the same in float32
    double others_busy;            // processors that other processes used meanwhile
    double held_gflops[SLOTS + 1]; // the sustained rate of each measurement, sorted at the end
    double read_gbs[LEVELS];       // the best of all measurements
    size_t rss_bytes, plan_bytes;  // resident after the steps; planned
};

// The results, from the measurements.
struct bench_figures {
    double median, p10, p90; // ms per step
    double flop, gflops, share, tokens_per_s, floor_ms;
    double held, share_of_held; // the median of held_gflops, and the steps' share of it
    double muon_ms, muon_share; // Muon's time in a step whose kernels are timed, its share of that
    double muon_gflops;         // the rate of its Newton-Schulz products
};

// ---- flags --------------------------------------------------------------------------------------

static double bench_seconds(const char *text) {
    char *end;
    const double seconds = strtod(text, &end);
    if (!*text || *end || text[strspn(text, ".0123456789")] || seconds <= 0 || seconds > 3600) {
        die(EXIT_USAGE,
            "--seconds: '%s' is not a number above 0 and up to 3600; give one, such as "
            "--seconds=%g",
            text, DEFAULT_SECONDS);
    }
    return seconds;
}

// Reads one of bench's own flags; false if it is another one.
static bool bench_flag(struct bench *b, const char *word) {
    if (!strncmp(word, "--seconds=", 10)) {
        b->seconds = bench_seconds(word + 10);
    } else if (!strncmp(word, "--json=", 7)) {
        b->json = word + 7;
        if (!*b->json) {
            die(EXIT_USAGE, "--json: no value; give a path, such as --json=bench.json");
        }
    } else if (!strcmp(word, "--serve")) {
        b->serve = true;
    } else {
        return false;
    }
    return true;
}

static void bench_options(struct bench *b, int argc, char **argv) {
    static char beside[4096];
    const char *slash = strrchr(argv[0], '/');
    snprintf(beside, sizeof beside, "%.*sbench.json", slash ? (int)(slash - argv[0] + 1) : 0,
             argv[0]);
    b->json = beside;
    b->seconds = DEFAULT_SECONDS;
    b->run = run_defaults;
    int rest = 1; // arguments left for the trainer's options
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
            printf("bench takes --seconds=S, --json=FILE and --serve, and as the trainer:\n");
        }
        if (!bench_flag(b, argv[i])) {
            argv[rest++] = argv[i];
        }
    }
    options_parse(&b->run, rest, argv);
}

// ---- the machine --------------------------------------------------------------------------------

// The size of a cache in bytes, as Linux states it ("1024K"), or `otherwise` if it does not.
static size_t bench_cache(int level, size_t otherwise) {
    for (int i = 0; i < 8; i++) {
        size_t number[2] = {0, 0};
        for (int j = 0; j < 2; j++) {
            char path[80];
            snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/%s", i,
                     j ? "size" : "level");
            FILE *file = fopen(path, "r");
            if (file) {
                if (fscanf(file, "%zu", &number[j]) != 1) {
                    number[j] = 0;
                }
                fclose(file);
            }
        }
        if (number[0] == (size_t)level && number[1] > 0) {
            return number[1] << 10;
        }
    }
    return otherwise;
}

// Bytes of the working sets for which reading speed is measured: half of all L2 caches; a set that
// only the last level holds; one beyond that.
static size_t bench_set_bytes(const struct bench *b, int level) {
    const size_t l2 = b->cache[0] * (size_t)b->threads, l3 = b->cache[1];
    const size_t mib256 = 256 << 20;
    switch (level) {
    case 0:
        return l2 / 2;
    case 1:
        return 4 * l2 < l3 / 2 ? 4 * l2 : l3 / 2;
    default:
        return 4 * l3 < mib256 ? mib256 : 4 * l3;
    }
}

// Measures the peak. On a shared host one measurement can be disturbed, so the best one counts.
static void bench_peak(struct bench *b, int slot) {
    const bool bf16 = b->info->bf16 != NULL;
    b->peak_gflops = fmax(b->peak_gflops, peak_gflops(b->threads, bf16, &b->held_gflops[slot]));
    const double in_float = bf16 ? peak_gflops(b->threads, false, NULL) : b->peak_gflops;
    b->float_gflops = fmax(b->float_gflops, in_float);
}

static void bench_reads(struct bench *b) {
    for (int level = 0; level < LEVELS; level++) {
        const double gbs = peak_read_gbs(b->threads, bench_set_bytes(b, level));
        b->read_gbs[level] = fmax(b->read_gbs[level], gbs);
    }
}

// Seconds in which processors worked for other processes than this one.
static double bench_others_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    const struct timeval *user = &usage.ru_utime, *system = &usage.ru_stime;
    return machine_busy_seconds() - (double)(user->tv_sec + system->tv_sec) -
           (double)(user->tv_usec + system->tv_usec) * 1e-6;
}

static size_t bench_rss(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (size_t)usage.ru_maxrss * 1024;
}

// ---- steps --------------------------------------------------------------------------------------

static void bench_batch(struct bench *b) {
    const int64_t rows = (int64_t)b->info->batch_size * b->info->block_size;
    for (int64_t i = 0; i < rows; i++) {
        uint64_t bits = rng_bits((uint32_t)b->run.seed, RNG_BENCH, (uint32_t)i, (uint32_t)b->index);
        b->m.tokens[i] = (int32_t)rng_below(bits, (uint64_t)b->info->vocab_size);
        b->m.targets[i] = (int32_t)rng_below(bits << 32, (uint64_t)b->info->vocab_size);
    }
}

// Bytes that the norm of the gradients and an update of all that is not Muon's take.
static double bench_update_bytes(const struct bench *b) {
    const bool moments = b->info->optimizer != OPTIMIZER_SGD;
    double floats = (double)b->info->state_floats;
    const double norm = floats;
    for (int i = 0; i < b->info->params_count; i++) {
        const struct param *param = &b->info->params[i];
        if (param->muon) {
            floats -= (double)(param->dims[0] * param->dims[1] * param->layers);
        }
    }
    return 4 * (norm + (moments ? 7 : 3) * floats);
}

// A row of the table for work that is not an emitted kernel.
static struct bench_row *bench_other(struct bench *b, const char *name, double bytes) {
    struct bench_row *row = &b->rows[b->info->kernels_count];
    for (; row < b->rows + b->rows_count; row++) {
        if (!strcmp(row->name, name)) {
            return row;
        }
    }
    *row = (struct bench_row){.name = name, .bytes = bytes};
    b->rows_count++;
    return row;
}

static double bench_charge(struct bench *b, const char *name, double bytes, double since) {
    struct bench_row *row = bench_other(b, name, bytes);
    double now = time_now();
    row->seconds += now - since;
    row->calls++;
    return now;
}

// A whole step: batch, forward, backward, clip, update. Returns its seconds.
static double bench_step(struct bench *b, bool charge) {
    const double start = time_now();
    bench_batch(b);
    if (charge) {
        bench_charge(b, "batch", 0, start);
    }
    uint64_t key = rng_bits((uint32_t)b->run.seed, RNG_DROPOUT, (uint32_t)b->index, 0);
    b->m.dropout = (float)b->run.dropout;
    b->m.dropout_key[0] = (uint32_t)key;
    b->m.dropout_key[1] = (uint32_t)(key >> 32);
    const struct step_settings settings = schedule_settings(&b->run, 1e-4, 0);
    if (charge) {
        step_gradients(&b->m, b->info, 1, true);
        const double update = time_now(); // the kernels are timed by profile.c
        step_update(&b->m, b->info, &settings, b->index + 1);
        bench_charge(b, BENCH_UPDATE, bench_update_bytes(b), update);
    } else {
        step_finish(&b->m, b->info, 1, true, &settings, b->index + 1);
    }
    if (!isfinite(b->m.loss)) {
        die(EXIT_NUMERICS, "bench: the loss of step %lld is not finite", (long long)b->index);
    }
    b->index++;
    return time_now() - start;
}

static int bench_compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double bench_quantile(const struct bench *b, double q) {
    return b->ms[(int)(q * (double)(b->steps - 1) + 0.5)];
}

// Untimed steps at the start, fewer if they are long. Returns the seconds of the last one.
static double bench_warm_up(struct bench *b) {
    double last = 0, sum = 0;
    for (int i = 0; i < WARM_UP && sum < b->seconds / 4; i++) {
        last = bench_step(b, false);
        sum += last;
    }
    return last;
}

static void bench_time_steps(struct bench *b) {
    const int64_t least = b->seconds < DEFAULT_SECONDS ? 3 : 7;
    double sum = 0, last = bench_warm_up(b);
    for (int slot = 1; slot <= SLOTS; slot++) {
        bench_peak(b, slot - 1);
        bool warm = last > LONG_STEP;
        while (b->steps < MOST &&
               (b->steps * SLOTS < least * slot || sum * SLOTS < b->seconds * slot)) {
            last = bench_step(b, false);
            if (!warm) {
                warm = true; // the first step after a measurement of the peak finds cold caches
                continue;
            }
            b->ms[b->steps++] = last * 1e3;
            sum += last;
        }
    }
    bench_peak(b, SLOTS);
    qsort(b->held_gflops, SLOTS + 1, sizeof b->held_gflops[0], bench_compare);
    qsort(b->ms, (size_t)b->steps, sizeof b->ms[0], bench_compare);
}

static void bench_time_kernels(struct bench *b) {
    const int count = b->info->kernels_count;
    if (count + 8 > BENCH_ROWS) {
        die(EXIT_INTERNAL, "bench: %d kernels, room for %d", count, BENCH_ROWS - 8);
    }
    b->rows_count = count;
    profile_reset();
    profile_on = true;
    int steps = 0;
    for (double sum = 0; steps < MOST_PROFILED && (steps == 0 || sum < b->seconds); steps++) {
        sum += bench_step(b, true);
    }
    profile_on = false;
    double seconds[BENCH_ROWS];
    int64_t calls[BENCH_ROWS];
    profile_read(seconds, calls, count);
    for (int i = 0; i < count; i++) {
        const struct kernel_info *kernel = &b->info->kernels[i];
        const double n = (double)calls[i];
        b->rows[i] = (struct bench_row){.name = kernel->name,
                                        .seconds = seconds[i],
                                        .calls = n,
                                        .flops = n * kernel->flops,
                                        .bytes = n * kernel->bytes,
                                        .bf16 = b->info->bf16 && b->info->bf16[i],
                                        .muon = i >= count - b->info->muon_kernels};
        if (b->rows[i].muon) { // its time is a part of the update's
            bench_other(b, BENCH_UPDATE, 0)->seconds -= seconds[i];
        }
    }
    for (int i = 0; i < b->rows_count; i++) {
        struct bench_row *row = &b->rows[i];
        if (i >= count) {
            row->bytes *= row->calls;
        }
        row->seconds /= steps;
        row->calls /= steps;
        row->flops /= steps;
        row->bytes /= steps;
    }
}

// ---- alternating with another program -----------------------------------------------------------

static void bench_serve(struct bench *b) {
    char line[64];
    bench_warm_up(b);
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        const double seconds = bench_seconds(line);
        bench_step(b, false); // untimed: the other program has filled the caches
        printf("{\"ms\": [");
        double sum = 0;
        for (int steps = 0; steps < 2 || sum < seconds; steps++) {
            const double last = bench_step(b, false);
            printf("%s%.4f", steps ? ", " : "", last * 1e3);
            sum += last;
        }
        printf("], \"peak_rss_bytes\": %zu}\n", bench_rss());
        fflush(stdout);
    }
}

// ---- results ------------------------------------------------------------------------------------

// The roofline's least time for a row: its FLOP at the peak rate, or its bytes at the reading speed
// of the memory level that one call's operands fit in, whichever is longer.
static double bench_floor(const struct bench *b, const struct bench_row *row) {
    const double each = row->calls > 0 ? row->bytes / row->calls : 0;
    const int level = each <= (double)bench_set_bytes(b, 0) ? 0
                      : each <= (double)b->cache[1]         ? 1
                                                            : 2;
    const double compute = row->flops / ((row->bf16 ? b->peak_gflops : b->float_gflops) * 1e9);
    const double memory = row->bytes / (b->read_gbs[level] * 1e9);
    return compute > memory ? compute : memory;
}

static int bench_slower(const void *a, const void *b) {
    const struct bench_row *x = a, *y = b;
    return (x->seconds < y->seconds) - (x->seconds > y->seconds);
}

static struct bench_figures bench_figures(const struct bench *b) {
    const double tokens = (double)b->info->batch_size * b->info->block_size;
    struct bench_figures f = {
        .median = bench_quantile(b, 0.5),
        .p10 = bench_quantile(b, 0.1),
        .p90 = bench_quantile(b, 0.9),
        .flop = b->info->flops_per_token * tokens,
    };
    f.gflops = f.flop / f.median * 1e-6;
    f.share = f.gflops / b->peak_gflops;
    f.held = b->held_gflops[SLOTS / 2];
    f.share_of_held = f.gflops / f.held;
    f.tokens_per_s = tokens / f.median * 1e3;
    for (int i = 0; i < b->rows_count; i++) {
        f.floor_ms += bench_floor(b, &b->rows[i]) * 1e3;
    }
    double all = 0, flops = 0, seconds = 0;
    for (int i = 0; i < b->rows_count; i++) {
        const struct bench_row *row = &b->rows[i];
        all += row->seconds;
        f.muon_ms += row->muon ? row->seconds * 1e3 : 0;
        flops += row->muon ? row->flops : 0;
        seconds += row->muon && row->flops > 0 ? row->seconds : 0;
    }
    f.muon_share = f.muon_ms * 1e-3 / all;
    f.muon_gflops = seconds > 0 ? flops / seconds * 1e-9 : 0;
    return f;
}

static void bench_print(const struct bench *b, const struct bench_figures *f) {
    printf("peak: %.1f GFLOP/s multiply-add%s (%.1f held), ", b->peak_gflops,
           b->info->bf16 ? " in bfloat16" : "", f->held);
    if (b->info->bf16) {
        printf("%.1f in float32, ", b->float_gflops);
    }
    printf("reads %.0f / %.0f / %.0f GB/s (L2 / L3 / memory)\n", b->read_gbs[0], b->read_gbs[1],
           b->read_gbs[2]);
    if (b->info->bf16 && !peak_has_bf16()) {
        printf("dtype: this build multiplies bfloat16 as float32; dtype=float32 is faster here\n");
    }
    printf("step: median %.3f ms, p10 %.3f, p90 %.3f (%lld steps)\n", f->median, f->p10, f->p90,
           (long long)b->steps);
    printf(
        "%.0f tokens/s, %.1f GFLOP/s, %.1f%% of peak, %.1f%% of held (%.3f GFLOP a step as nanoGPT "
        "counts)\n",
        f->tokens_per_s, f->gflops, 100 * f->share, 100 * f->share_of_held, f->flop * 1e-9);
    printf("floor: %.3f ms, the sum of the kernels' rooflines; the step is at %.1f%% of it\n",
           f->floor_ms, 100 * f->floor_ms / f->median);
    if (b->info->muon) {
        printf("muon: %.3f ms, %.1f%% of a step; its Newton-Schulz products run at %.1f GFLOP/s, "
               "%.1f%% of peak, %.1f%% of held\n",
               f->muon_ms, 100 * f->muon_share, f->muon_gflops,
               100 * f->muon_gflops / b->peak_gflops, 100 * f->muon_gflops / f->held);
    }
    if (b->others_busy > 0.1 * b->threads) {
        printf("busy: other processes used %.1f processors meanwhile; these figures are not what "
               "the machine can do\n",
               b->others_busy);
    }
    printf("memory: peak resident %.1f MiB, plan %.1f MiB\n\n", (double)b->rss_bytes / (1 << 20),
           (double)b->plan_bytes / (1 << 20));

    double total = 0;
    for (int i = 0; i < b->rows_count; i++) {
        total += b->rows[i].seconds;
    }
    printf("%-52s %6s %9s %6s %9s %9s %8s\n", "kernel", "calls", "ms/step", "share", "MFLOP", "MB",
           "roofline");
    for (int i = 0; i < b->rows_count; i++) {
        const struct bench_row *row = &b->rows[i];
        if (row->calls > 0) {
            printf("%-52s %6.0f %9.3f %5.1f%% %9.1f %9.2f %7.0f%%\n", row->name, row->calls,
                   row->seconds * 1e3, 100 * row->seconds / total, row->flops * 1e-6,
                   row->bytes * 1e-6, 100 * bench_floor(b, row) / row->seconds);
        }
    }
}

// Writes the value of isa in a config "… isa=avx2 …".
static void bench_write_isa(FILE *file, const char *config) {
    struct pair pair;
    if (pairs_find(config, "isa", 3, &pair)) {
        fprintf(file, "  \"isa\": \"%.*s\",\n", pair.value_length, pair.value);
    }
}

static void bench_write_date(FILE *file) {
    const time_t now = time(NULL);
    char date[32] = "";
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
    fprintf(file, "  \"date\": \"%s\",\n", date);
}

static void bench_write(const struct bench *b, const struct bench_figures *f) {
    struct replacement r;
    replace_begin(&r, b->json);
    FILE *file = r.file;
    fprintf(file, "{\n  \"program\": \"bench\",\n  \"name\": \"%s\",\n", run_config_name);
    fprintf(file, "  \"config\": \"%s\",\n  \"build\": \"%s\",\n", b->info->config, b->info->hash);
    fprintf(file, "  \"machine\": \"%s\",\n  \"cores\": %ld,\n", b->machine,
            sysconf(_SC_NPROCESSORS_ONLN));
    fprintf(file, "  \"compiler\": \"%s\",\n  \"flags\": \"%s\",\n", BENCH_COMPILER, BENCH_FLAGS);
    bench_write_isa(file, b->info->config);
    bench_write_date(file);
    fprintf(file, "  \"threads\": %d,\n  \"dropout\": %g,\n  \"grad_clip\": %g,\n", b->threads,
            b->run.dropout, b->run.grad_clip);
    if (isfinite(b->others_busy)) {
        fprintf(file, "  \"others_busy\": %.3f,\n", b->others_busy);
    }
    fprintf(file, "  \"params\": %lld,\n  \"steps\": %lld,\n", (long long)b->info->num_params,
            (long long)b->steps);
    fprintf(file, "  \"ms_median\": %.4f,\n  \"ms_p10\": %.4f,\n  \"ms_p90\": %.4f,\n", f->median,
            f->p10, f->p90);
    fprintf(file, "  \"tokens_per_s\": %.1f,\n  \"flop_per_step\": %.0f,\n", f->tokens_per_s,
            f->flop);
    fprintf(file, "  \"gflops\": %.2f,\n  \"peak_gflops\": %.2f,\n  \"share_of_peak\": %.4f,\n",
            f->gflops, b->peak_gflops, f->share);
    fprintf(file, "  \"held_gflops\": %.2f,\n  \"share_of_held\": %.4f,\n", f->held,
            f->share_of_held);
    fprintf(file, "  \"floor_ms\": %.4f,\n  \"share_of_floor\": %.4f,\n", f->floor_ms,
            f->floor_ms / f->median);
    if (b->info->muon) {
        fprintf(file, "  \"muon_ms\": %.4f,\n  \"muon_share\": %.4f,\n  \"muon_gflops\": %.2f,\n",
                f->muon_ms, f->muon_share, f->muon_gflops);
    }
    fprintf(file, "  \"read_gbs\": %.2f,\n  \"read_gbs_l2\": %.2f,\n  \"read_gbs_l3\": %.2f,\n",
            b->read_gbs[2], b->read_gbs[0], b->read_gbs[1]);
    fprintf(file, "  \"peak_rss_bytes\": %zu,\n  \"plan_bytes\": %zu,\n  \"kernels\": [\n",
            b->rss_bytes, b->plan_bytes);
    for (int i = 0; i < b->rows_count; i++) {
        const struct bench_row *row = &b->rows[i];
        fprintf(file,
                "    {\"name\": \"%s\", \"calls\": %.2f, \"ms\": %.5f, \"flop\": %.0f, "
                "\"bytes\": %.0f, \"roofline\": %.4f}%s\n",
                row->name, row->calls, row->seconds * 1e3, row->flops, row->bytes,
                row->seconds > 0 ? bench_floor(b, row) / row->seconds : 0.0,
                i + 1 < b->rows_count ? "," : "");
    }
    fprintf(file, "  ]\n}\n");
    replace_end(&r);
    printf("\nwritten: %s\n", b->json);
}

int main(int argc, char **argv) {
    streams_open();
    static struct bench b;
    b.info = &model_info;
    bench_options(&b, argc, argv);
    b.threads = parallel_choose((int)b.run.threads);
    b.plan_bytes = model_plan_bytes(&model_info, true);
    model_create(&b.m, &model_info, true);
    model_init(&b.m, &model_info, (uint64_t)b.run.seed);
    if (b.serve) {
        bench_serve(&b);
        model_destroy(&b.m);
        return streams_close(EXIT_DONE);
    }
    printf("%s: %s, %d threads\n", run_config_name, model_info.title, b.threads);
    machine_name(b.machine);
    b.cache[0] = bench_cache(2, 1 << 20);
    b.cache[1] = bench_cache(3, 32 << 20);

    const double others_before = bench_others_seconds(), since = time_now();
    bench_time_steps(&b);
    b.rss_bytes = bench_rss(); // before bench_reads allocates its own memory
    bench_reads(&b);
    bench_time_kernels(&b);
    bench_reads(&b);
    const double others = bench_others_seconds() - others_before;
    b.others_busy = others < 0 ? 0 : others / (time_now() - since);
    qsort(b.rows, (size_t)b.rows_count, sizeof b.rows[0], bench_slower);
    const struct bench_figures figures = bench_figures(&b);
    bench_print(&b, &figures);
    bench_write(&b, &figures);
    model_destroy(&b.m);
    return streams_close(EXIT_DONE);
}
