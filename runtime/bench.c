// bench.c: times a config's whole training step and each of its kernels, on made-up tokens, and
// holds them against what the machine can do, measured in the same run. Writes bench.json beside
// itself.
#include "runtime/runtime.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { WARM_UP = 3, LEAST = 7, MOST = 500, BENCH_ROWS = 1024 };

struct bench_row {
    const char *name;
    double seconds, calls, flops, bytes; // a step
};

struct bench {
    const struct model_info *info;
    const struct run *run;
    struct model m;
    int threads;
    int64_t steps;
    double ms[MOST];
    double peak_gflops, read_gbs[3];
    struct bench_row rows[BENCH_ROWS];
    int rows_count;
};

// Working sets for which reading speed is measured: in the second-level cache of each core, in the
// last-level cache, in memory.
static size_t bench_set_bytes(const struct bench *b, int level) {
    const size_t bytes[3] = {(size_t)(512 << 10) * (size_t)b->threads, 8 << 20, 256 << 20};
    return bytes[level];
}

// ---- steps --------------------------------------------------------------------------------------

static void bench_batch(struct bench *b, int64_t index) {
    const int64_t rows = (int64_t)b->info->batch_size * b->info->block_size;
    for (int64_t i = 0; i < rows; i++) {
        uint64_t bits = rng_bits((uint32_t)b->run->seed, RNG_BENCH, (uint32_t)i, (uint32_t)index);
        b->m.tokens[i] = (int32_t)rng_below(bits, (uint64_t)b->info->vocab_size);
        b->m.targets[i] = (int32_t)rng_below(bits << 32, (uint64_t)b->info->vocab_size);
    }
}

// One row of the table for work that is no emitted kernel.
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

// A whole step: batch, forward, backward, clip, update.
static void bench_step(struct bench *b, int64_t index, bool charge) {
    const double floats = (double)b->info->state_floats;
    const bool moments = b->info->optimizer != OPTIMIZER_SGD;
    double t = time_now();
    bench_batch(b, index);
    t = charge ? bench_charge(b, "batch", 0, t) : t;
    uint64_t key = rng_bits((uint32_t)b->run->seed, RNG_DROPOUT, (uint32_t)index, 0);
    b->m.dropout = (float)b->run->dropout;
    b->m.dropout_key[0] = (uint32_t)key;
    b->m.dropout_key[1] = (uint32_t)(key >> 32);
    step_gradients(&b->m, b->info, 1, true);
    t = time_now(); // the kernels have their own clock
    step_update(&b->m, b->info, b->run, 1e-4, index + 1);
    if (charge) {
        bench_charge(b, "grad norm and update", floats * 4 * (moments ? 8 : 4), t);
    }
    if (!isfinite(b->m.loss)) {
        die(EXIT_NUMERICS, "bench: the loss of step %lld is not finite", (long long)index);
    }
}

static int bench_compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double bench_quantile(const struct bench *b, double q) {
    return b->ms[(int)(q * (double)(b->steps - 1) + 0.5)];
}

static void bench_time_steps(struct bench *b, double seconds) {
    int64_t index = 0;
    for (; index < WARM_UP; index++) {
        bench_step(b, index, false);
    }
    const double start = time_now();
    double t = start;
    while (b->steps < MOST && (b->steps < LEAST || t - start < seconds)) {
        bench_step(b, index++, false);
        double now = time_now();
        b->ms[b->steps++] = (now - t) * 1e3;
        t = now;
    }
    qsort(b->ms, (size_t)b->steps, sizeof b->ms[0], bench_compare);
}

static void bench_time_kernels(struct bench *b, int64_t steps) {
    const int count = b->info->kernels_count;
    if (count + 8 > BENCH_ROWS) {
        die(EXIT_INTERNAL, "bench: %d kernels, room for %d", count, BENCH_ROWS - 8);
    }
    b->rows_count = count;
    profile_reset();
    profile_on = true;
    for (int64_t s = 0; s < steps; s++) {
        bench_step(b, WARM_UP + MOST + s, true);
    }
    profile_on = false;
    double seconds[BENCH_ROWS];
    int64_t calls[BENCH_ROWS];
    profile_read(seconds, calls, count);
    for (int i = 0; i < count; i++) {
        const struct kernel_info *kernel = &b->info->kernels[i];
        const double n = (double)calls[i];
        b->rows[i] =
            (struct bench_row){kernel->name, seconds[i], n, n * kernel->flops, n * kernel->bytes};
    }
    for (int i = 0; i < b->rows_count; i++) {
        struct bench_row *row = &b->rows[i];
        if (i >= count) {
            row->bytes *= row->calls;
        }
        row->seconds /= (double)steps;
        row->calls /= (double)steps;
        row->flops /= (double)steps;
        row->bytes /= (double)steps;
    }
}

// ---- what it means ------------------------------------------------------------------------------

// The least time for a row: its operations at the peak, or its bytes at the speed of the level
// where one call's operands fit.
static double bench_floor(const struct bench *b, const struct bench_row *row) {
    const double each = row->calls > 0 ? row->bytes / row->calls : 0;
    const int level = each <= (double)bench_set_bytes(b, 0) ? 0 : each <= (32 << 20) ? 1 : 2;
    const double compute = row->flops / (b->peak_gflops * 1e9);
    const double memory = row->bytes / (b->read_gbs[level] * 1e9);
    return compute > memory ? compute : memory;
}

static int bench_slower(const void *a, const void *b) {
    const struct bench_row *x = a, *y = b;
    return (x->seconds < y->seconds) - (x->seconds > y->seconds);
}

static void bench_print(struct bench *b, double flop_per_step, size_t rss, size_t plan) {
    const double median = bench_quantile(b, 0.5);
    const double gflops = flop_per_step / median * 1e-6;
    const double tokens = (double)b->info->batch_size * b->info->block_size;
    printf("peak: %.1f GFLOP/s multiply-add, reads %.0f / %.0f / %.0f GB/s (L2 / L3 / memory)\n",
           b->peak_gflops, b->read_gbs[0], b->read_gbs[1], b->read_gbs[2]);
    printf("step: median %.3f ms, p10 %.3f, p90 %.3f (%lld steps)\n", median,
           bench_quantile(b, 0.1), bench_quantile(b, 0.9), (long long)b->steps);
    printf("%.0f tokens/s, %.1f GFLOP/s, %.1f%% of peak (%.3f GFLOP a step as nanoGPT counts)\n",
           tokens / median * 1e3, gflops, 100 * gflops / b->peak_gflops, flop_per_step * 1e-9);
    printf("memory: peak resident %.1f MiB, plan %.1f MiB\n\n", (double)rss / (1 << 20),
           (double)plan / (1 << 20));

    double total = 0;
    for (int i = 0; i < b->rows_count; i++) {
        total += b->rows[i].seconds;
    }
    qsort(b->rows, (size_t)b->rows_count, sizeof b->rows[0], bench_slower);
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

static void bench_write(const struct bench *b, const char *program, double flop_per_step,
                        size_t rss, size_t plan) {
    char path[4096];
    const char *slash = strrchr(program, '/');
    snprintf(path, sizeof path, "%.*sbench.json", slash ? (int)(slash - program + 1) : 0, program);
    FILE *file = fopen(path, "w");
    if (!file) {
        die(EXIT_IO, "%s: cannot be written; free the folder's rights", path);
    }
    const double median = bench_quantile(b, 0.5);
    const double gflops = flop_per_step / median * 1e-6;
    const double tokens = (double)b->info->batch_size * b->info->block_size;
    fprintf(file, "{\n  \"config\": \"%s\",\n  \"build\": \"%s\",\n", b->info->config,
            b->info->hash);
    fprintf(file, "  \"threads\": %d,\n  \"steps\": %lld,\n", b->threads, (long long)b->steps);
    fprintf(file, "  \"ms_median\": %.4f,\n  \"ms_p10\": %.4f,\n  \"ms_p90\": %.4f,\n", median,
            bench_quantile(b, 0.1), bench_quantile(b, 0.9));
    fprintf(file, "  \"tokens_per_s\": %.1f,\n  \"flop_per_step\": %.0f,\n", tokens / median * 1e3,
            flop_per_step);
    fprintf(file, "  \"gflops\": %.2f,\n  \"peak_gflops\": %.2f,\n  \"share_of_peak\": %.4f,\n",
            gflops, b->peak_gflops, gflops / b->peak_gflops);
    fprintf(file, "  \"read_gbs\": %.2f,\n  \"read_gbs_l2\": %.2f,\n  \"read_gbs_l3\": %.2f,\n",
            b->read_gbs[2], b->read_gbs[0], b->read_gbs[1]);
    fprintf(file, "  \"peak_rss_bytes\": %zu,\n  \"plan_bytes\": %zu,\n  \"kernels\": [\n", rss,
            plan);
    for (int i = 0; i < b->rows_count; i++) {
        const struct bench_row *row = &b->rows[i];
        const double floor = bench_floor(b, row);
        fprintf(file,
                "    {\"name\": \"%s\", \"calls\": %.2f, \"ms\": %.5f, \"flop\": %.0f, "
                "\"bytes\": %.0f, \"roofline\": %.4f}%s\n",
                row->name, row->calls, row->seconds * 1e3, row->flops, row->bytes,
                row->seconds > 0 ? floor / row->seconds : 0.0, i + 1 < b->rows_count ? "," : "");
    }
    fprintf(file, "  ]\n}\n");
    bool failed = ferror(file);
    if (fclose(file) || failed) {
        remove(path);
        die(EXIT_IO, "%s: cannot be written; is the disk full?", path);
    }
    printf("\nwritten: %s\n", path);
}

int main(int argc, char **argv) {
    struct run run = run_defaults;
    options_parse(&run, argc, argv);
    static struct bench b;
    b.info = &model_info;
    b.run = &run;
    b.threads = parallel_threads((int)run.threads);
    printf("%s: %s, %d threads\n", run_config_name, model_info.title, b.threads);
    model_create(&b.m, &model_info, true);
    model_init(&b.m, &model_info, (uint64_t)run.seed);

    b.peak_gflops = peak_gflops(b.threads);
    bench_time_steps(&b, 4.0);
    const double after = peak_gflops(b.threads); // the better of before and after
    b.peak_gflops = after > b.peak_gflops ? after : b.peak_gflops;
    const int64_t profiled = b.steps < 20 ? b.steps : 20;
    bench_time_kernels(&b, profiled);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    const size_t rss = (size_t)usage.ru_maxrss * 1024;
    for (int level = 0; level < 3; level++) {
        b.read_gbs[level] = peak_read_gbs(b.threads, bench_set_bytes(&b, level));
    }
    const double flop_per_step =
        model_info.flops_per_token * model_info.batch_size * model_info.block_size;
    const size_t plan = model_plan_bytes(&model_info, true);
    bench_print(&b, flop_per_step, rss, plan);
    bench_write(&b, argv[0], flop_per_step, rss, plan);
    model_destroy(&b.m);
    return EXIT_DONE;
}
