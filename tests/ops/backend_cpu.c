// backend_cpu.c: runs a case's kernels on this machine.
//
// The ways are 1, 2, 4 and 7 threads. Memory is exactly as long as its tensor. It is from malloc,
// which ASan checks, or, for accesses that ASan does not see (masked vectors), between NaNs that
// must not change and a page without access.
#include "tests/ops/harness.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MOST_THREADS = 7 };

const bool backend_overwrites = true;
const double backend_work = 1e8;
const double backend_seconds = 120;

// ---- memory -------------------------------------------------------------------------------------

struct memory {
    char *at;
    size_t bytes;
    char *pages; // NULL: from malloc
    size_t pages_bytes;
};

static void memory_need(bool there) {
    if (!there) {
        perror("harness: memory");
        abort();
    }
}

static struct memory memory_new(size_t bytes, bool in_pages) {
    struct memory memory = {.bytes = bytes};
    if (!in_pages) {
        memory.at = malloc(bytes);
        memory_need(memory.at != NULL);
        return memory;
    }
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    memory.pages_bytes = (bytes + page - 1) / page * page + page;
    memory.pages =
        mmap(NULL, memory.pages_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memory_need(memory.pages != MAP_FAILED);
    memset(memory.pages, POISON, memory.pages_bytes);
    memory_need(mprotect(memory.pages + memory.pages_bytes - page, page, PROT_NONE) == 0);
    memory.at = memory.pages + memory.pages_bytes - page - bytes;
    return memory;
}

// False if something was written before its first byte.
static bool memory_free(struct memory *memory) {
    bool intact = true;
    if (memory->pages) {
        for (char *p = memory->pages; p < memory->at; p++) {
            intact = intact && *p == (char)POISON;
        }
        munmap(memory->pages, memory->pages_bytes);
    } else {
        free(memory->at);
    }
    return intact;
}

// ---- tensors: rows with padding -----------------------------------------------------------------

// A tensor's memory, unwritten.
static struct memory tensor_new(const struct tensor *t, bool in_pages) {
    const size_t bytes = (size_t)t->rows * (size_t)t->width * format_bytes(t->format);
    struct memory memory = memory_new(bytes, in_pages);
    memset(memory.at, POISON, memory.bytes);
    return memory;
}

static char *tensor_at(const struct tensor *t, const struct memory *memory, int i) {
    return memory->at + ((size_t)(i / t->columns) * (size_t)t->width + (size_t)(i % t->columns)) *
                            format_bytes(t->format);
}

// Copies count elements without padding, floats, into a tensor's memory, and back.
static void tensor_write(const struct tensor *t, const float *dense, struct memory *memory) {
    for (int i = 0; i < t->count; i++) {
        format_store(t->format, tensor_at(t, memory, i), dense + i);
    }
}

static void tensor_read(const struct tensor *t, const struct memory *memory, float *dense) {
    for (int i = 0; i < t->count; i++) {
        format_load(t->format, dense + i, tensor_at(t, memory, i));
    }
}

// ---- kernels ------------------------------------------------------------------------------------

struct job {
    const struct call *call;
    struct call_context context;
    struct memory scratch[MOST_THREADS]; // of each thread, if the kernel has any
};

static void job_run(void *context, int thread, int threads) {
    const struct job *job = context;
    struct call_context own = job->context;
    own.scratch = job->scratch[thread].at;
    own.thread = thread;
    own.threads = threads;
    job->call->kernel(&own);
}

// A job on these buffers, one for each tensor.
static struct job job_new(const struct op_case *c, const struct call *call, struct model *m,
                          const struct settings *settings, struct memory *tensors, int threads,
                          bool in_pages) {
    struct job job = {call, {.m = m, .site = call->site, .rows = call->rows, .pos = c->pos}, {{0}}};
    for (int i = 0; i < OP_OPERANDS; i++) {
        job.context.at[i] = call->operands[i] < 0 ? NULL : tensors[call->operands[i]].at;
    }
    for (int i = 0; i < OP_BETAS; i++) {
        job.context.beta[i] = settings->overwrite && call->first[i] ? 0 : 1;
    }
    for (int t = 0; t < threads && call->scratch_bytes > 0; t++) {
        job.scratch[t] = memory_new(call->scratch_bytes, in_pages);
        memset(job.scratch[t].at, POISON, call->scratch_bytes);
    }
    return job;
}

// False if the call wrote before its scratch memory.
static bool job_free(struct job *job, int threads) {
    bool intact = true;
    for (int t = 0; t < threads && job->call->scratch_bytes > 0; t++) {
        intact = memory_free(&job->scratch[t]) && intact;
    }
    return intact;
}

// Threads and memory.
static const struct way_of {
    int threads;
    bool in_pages;
    const char *text;
} ways[] = {
    {1, false, "with 1 thread"},
    {2, false, "with 2 threads"},
    {4, true, "with 4 threads"},
    {MOST_THREADS, true, "with 7 threads"},
};

int backend_ways(void) {
    return sizeof ways / sizeof *ways;
}

const char *backend_way(int number) {
    return ways[number].text;
}

static struct model model_new(const struct settings *settings) {
    return (struct model){.loss_scale = settings->loss_scale,
                          .dropout = settings->dropout,
                          .dropout_key = {settings->dropout_key[0], settings->dropout_key[1]},
                          .loss = NAN};
}

static struct memory *tensors_new(const struct op_case *c, const struct settings *settings,
                                  bool in_pages) {
    struct memory *tensors = malloc((size_t)c->tensors_count * sizeof *tensors);
    for (int k = 0; k < c->tensors_count; k++) {
        const struct tensor *t = &c->tensors[k];
        float *dense = malloc((size_t)t->count * sizeof *dense);
        tensors[k] = tensor_new(t, in_pages);
        fill_start(c, k, settings, dense);
        tensor_write(t, dense, &tensors[k]);
        free(dense);
    }
    return tensors;
}

double backend_run(const struct op_case *c, const struct settings *settings, struct way way,
                   void **results) {
    const int threads = ways[way.number].threads;
    const bool in_pages = ways[way.number].in_pages;
    struct model m = model_new(settings);
    struct memory *tensors = tensors_new(c, settings, in_pages);
    ck_assert_int_eq(parallel_threads(threads), threads);
    for (int i = 0; i < c->calls_count; i++) {
        struct job job = job_new(c, &c->calls[i], &m, settings, tensors, threads, in_pages);
        if (i != way.alias_call) {
            parallel_run(job_run, &job);
        } else {
            // Write the result over the operand, then copy it to its own memory.
            const struct memory *operand = &tensors[way.alias_tensor];
            const int result = c->calls[i].operands[0];
            void *before = malloc(operand->bytes);
            memcpy(before, operand->at, operand->bytes);
            job.context.at[0] = operand->at;
            parallel_run(job_run, &job);
            for (int k = 0; k < c->tensors[result].valid; k++) {
                memcpy(tensor_at(&c->tensors[result], &tensors[result], k),
                       tensor_at(&c->tensors[result], operand, k), sizeof(float));
            }
            memcpy(operand->at, before, operand->bytes);
            free(before);
        }
        ck_assert_msg(job_free(&job, threads), "%s: %s writes before its scratch memory", c->name,
                      job.call->name);
    }
    for (int k = 0; k < c->tensors_count; k++) {
        results[k] = malloc((size_t)c->tensors[k].count * sizeof(float));
        tensor_read(&c->tensors[k], &tensors[k], results[k]);
        ck_assert_msg(memory_free(&tensors[k]), "%s: something is written before %s", c->name,
                      c->tensors[k].name);
    }
    free(tensors);
    return m.loss;
}

// ---- figures ------------------------------------------------------------------------------------

void backend_bench(const struct op_case *c, const struct settings *settings) {
    parallel_threads(1);
    struct model m = model_new(settings);
    struct memory *tensors = tensors_new(c, settings, false);
    for (int i = 0; i < c->calls_count; i++) {
        struct job job = job_new(c, &c->calls[i], &m, settings, tensors, 1, false);
        int runs = 0;
        double best = INFINITY;
        for (const double start = time_now(); runs < 3 || time_now() - start < 0.05; runs++) {
            const double before = time_now();
            parallel_run(job_run, &job);
            best = fmin(best, time_now() - before);
        }
        printf("    %-56s %10.2f us %8.2f GFLOP/s\n", c->calls[i].name, best * 1e6,
               c->calls[i].flops / best * 1e-9);
        job_free(&job, 1);
    }
    for (int k = 0; k < c->tensors_count; k++) {
        memory_free(&tensors[k]);
    }
    free(tensors);
}

const char *backend_family(void) {
    return NULL;
}

void backend_add_tests(struct TCase *family) {
    (void)family;
}
