// tune.c: times a config's matrix products with random operands, each tiled in many ways
// (gen/tune.lua). Prints a line for each product, with its name and each way's seconds.
//
//     tune [--threads=N]
#include "runtime/base/base.h"
#include "runtime/model/model.h"
#include "runtime/kernel/tune.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    TUNE_LEAST =
        7, // rounds, in each of which every way has its turn, so that all see the same clocks
    TUNE_MOST = 15,
    TUNE_WAYS = 64,
    TUNE_DATA = 1000003, // random numbers before they repeat; odd, so that rows differ
};
static const double TUNE_TURN = 2e-3; // seconds of one measurement, if a call takes less
static const double TUNE_SHAPE = 4;   // seconds for a product, if a round takes less
// Successive calls use different operands, as in a step, which cycle through so many bytes: more
// than the L2 caches hold.
static const int64_t TUNE_BYTES = 16 << 20;

// Rounded up to pages.
#define TUNE_PAGES(bytes) (((bytes) + 4095) / 4096 * 4096)

struct tuning {
    float *memory[2]; // for outs; for a and b
    char *scratch;    // of all threads
    const struct tune_shape *shape;
    tune_fn *way;
    int64_t floats[3]; // in each of out, a and b, rounded up
    int64_t sets;      // of operands in memory
    int64_t next, calls;
};

static void tune_calls(void *context, int thread, int threads) {
    const struct tuning *t = context;
    for (int64_t i = t->next; i < t->next + t->calls; i++) {
        const int64_t set = i % t->sets;
        float *a = t->memory[1] + set * (t->floats[1] + t->floats[2]);
        t->way(t->memory[0] + set * t->floats[0], a, a + t->floats[1],
               t->scratch + (size_t)thread * TUNE_PAGES(t->shape->scratch), thread, threads);
        parallel_barrier();
    }
}

// The mean seconds of a call, over `calls` calls.
static double tune_time(struct tuning *t, tune_fn *way, int64_t calls) {
    t->way = way;
    t->calls = calls;
    const double start = time_now();
    parallel_run(tune_calls, t);
    t->next += calls;
    return (time_now() - start) / (double)calls;
}

static int tune_compare(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void tune_open(struct tuning *t, const struct tune_shape *shape) {
    int64_t floats = 0;
    for (int i = 0; i < 3; i++) {
        t->floats[i] = (shape->floats[i] + 127) / 64 * 64; // and some more, for loads past the end
        floats += t->floats[i];
    }
    const int64_t sets = TUNE_BYTES / (4 * floats);
    t->shape = shape;
    t->sets = sets > 1 ? sets : 1;
    t->next = 0;
}

static void tune_shape(struct tuning *t, const struct tune_shape *shape) {
    static double seconds[TUNE_WAYS][TUNE_MOST];
    const int ways = shape->ways_count;
    if (ways > TUNE_WAYS) {
        die(EXIT_INTERNAL, "tune: %s: %d ways, room for %d", shape->name, ways, TUNE_WAYS);
    }
    tune_open(t, shape);
    int64_t calls[TUNE_WAYS];
    double round = 0;
    for (int w = 0; w < ways; w++) {
        tune_time(t, shape->ways[w], 1); // untimed: loads its code
        const double once = tune_time(t, shape->ways[w], 1);
        calls[w] = once < TUNE_TURN ? (int64_t)(TUNE_TURN / once) + 1 : 1;
        round += once * (double)calls[w];
    }
    int rounds = (int)(TUNE_SHAPE / round);
    rounds = rounds < TUNE_LEAST ? TUNE_LEAST : rounds > TUNE_MOST ? TUNE_MOST : rounds;
    for (int r = 0; r < rounds; r++) {
        for (int w = 0; w < ways; w++) {
            seconds[w][r] = tune_time(t, shape->ways[w], calls[w]);
        }
    }
    // On a shared machine other programs add to times, so the lower quartile is printed.
    printf("%s", shape->name);
    for (int w = 0; w < ways; w++) {
        qsort(seconds[w], (size_t)rounds, sizeof seconds[w][0], tune_compare);
        printf(" %.9f", seconds[w][rounds / 4]);
    }
    printf("\n");
    fflush(stdout);
}

static float *tune_allocate(int64_t floats) {
    void *memory =
        mmap(NULL, (size_t)floats * 4, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        die(EXIT_MEMORY, "tune: %lld MiB of memory cannot be had; take a smaller batch_size",
            (long long)(floats >> 18));
    }
    madvise(memory, (size_t)floats * 4, MADV_HUGEPAGE);
    return memory;
}

// A random number in [-1, 1); its halves are two in bfloat16, as an image of weights has them.
static float tune_number(uint32_t i) {
    const uint64_t bits = rng_bits(RNG_BENCH, 0, i, 0);
    uint32_t halves[2];
    for (int half = 0; half < 2; half++) {
        const float x = (float)(bits >> 32 * half & 0xffffff) / (1 << 23) - 1;
        memcpy(&halves[half], &x, sizeof x);
    }
    const uint32_t both = halves[0] >> 16 | (halves[1] & 0xffff0000);
    float number;
    memcpy(&number, &both, sizeof number);
    return number;
}

int main(int argc, char **argv) {
    streams_open();
    int threads = 0;
    if (argc > 2 || (argc == 2 && sscanf(argv[1], "--threads=%d", &threads) != 1) || threads < 0 ||
        threads > 1024) {
        die(EXIT_USAGE, "tune [--threads=N]: times the ways to cut a config's products");
    }
    parallel_choose(threads);
    struct tuning t = {0};
    int64_t most[2] = {0, 0};
    size_t scratch = 0;
    for (const struct tune_shape *const *shape = tune_shapes; *shape; shape++) {
        tune_open(&t, *shape);
        scratch = (*shape)->scratch > scratch ? (*shape)->scratch : scratch;
        const int64_t floats[2] = {t.sets * t.floats[0], t.sets * (t.floats[1] + t.floats[2])};
        for (int i = 0; i < 2; i++) {
            most[i] = floats[i] > most[i] ? floats[i] : most[i];
        }
    }
    const size_t each = TUNE_PAGES(scratch) * (size_t)parallel_count();
    t.scratch = (char *)tune_allocate((int64_t)(each / sizeof(float)) + 1);
    t.memory[0] = tune_allocate(most[0] + 1);
    t.memory[1] = tune_allocate(most[1] + 1);
    for (int64_t i = 0; i < most[1]; i++) {
        t.memory[1][i] = i < TUNE_DATA ? tune_number((uint32_t)i) : t.memory[1][i - TUNE_DATA];
    }
    for (const struct tune_shape *const *shape = tune_shapes; *shape; shape++) {
        tune_shape(&t, *shape);
    }
    return streams_close(EXIT_DONE);
}
