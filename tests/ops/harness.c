// harness.c: runs every case. What kernels write is held against references in doubles, gradients
// against central differences of those.
//
//     harness            as a Check suite, a test for each case
//     harness --bench    prints GFLOP/s of each kernel; asserts nothing
//
// Each case runs with 1, 2, 4 and 7 threads, and again with each result in the memory of each
// operand that it may have: all must give the same bytes. Results start as NaN, gradients as random
// numbers. Memory is exactly as long as its tensor: from malloc, for ASan to watch, or against a
// page that cannot be touched, behind NaNs that must not change, for what ASan does not see
// (masked vectors).
#include "tests/ops/harness.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const double DIFFERENCE = 1e-6;  // step of the central differences, in a tensor's spreads
static const double WORK_LIMIT = 1e8;   // operations for one tensor's differences
static const float PROBABILITY = 0.2f;  // of dropout
static const float LOSS_SCALE = 0.375f; // d loss / d a row's loss
enum { RANDOM_START = 0, RANDOM_DIRECTION = 1, POISON = 0xff }; // 0xffffffff is a NaN

// ---- random numbers: a function of (case's name, tensor, element) -------------------------------

static uint64_t random_bits(const struct op_case *c, int tensor, int kind, int element) {
    uint32_t hash = 2166136261u; // FNV-1a
    for (const char *s = c->name; *s; s++) {
        hash = (hash ^ (unsigned char)*s) * 16777619u;
    }
    return rng_bits(hash, (uint32_t)(tensor * 2 + kind), (uint32_t)element, 0);
}

// Fills memory with what a tensor holds before kernels run.
static void fill_start(const struct op_case *c, int tensor, void *at) {
    const struct tensor *t = &c->tensors[tensor];
    const bool random =
        t->role == GIVEN || t->role == STATE || (t->role == GRADIENT && t->accumulate);
    for (int i = 0; i < t->count; i++) {
        const uint64_t bits = random_bits(c, tensor, RANDOM_START, i);
        if (!random) {
            memset((float *)at + i, POISON, sizeof(float));
        } else if (t->below > 0) {
            ((int32_t *)at)[i] =
                (int32_t)rng_below(bits, (uint64_t)t->below + t->ignored) - t->ignored;
        } else {
            ((float *)at)[i] = (float)(rng_normal(bits) * t->spread);
        }
    }
    if (random && t->ignored) {
        ((int32_t *)at)[0] = t->below - 1; // one that counts, and the last one of the vocabulary
    }
}

// ---- the reference ------------------------------------------------------------------------------

struct reference {
    const struct op_case *c;
    const struct model *m;
    double **at; // of each tensor; NULL where the reference has none
    double mean_loss;
};

static struct reference reference_new(const struct op_case *c, const struct model *m) {
    struct reference r = {.c = c, .m = m, .mean_loss = NAN};
    r.at = calloc((size_t)c->tensors_count, sizeof *r.at);
    for (int k = 0; k < c->tensors_count; k++) {
        const struct tensor *t = &c->tensors[k];
        if (t->role == WORK || t->role == GRADIENT || (t->role == VALUE && t->of != k)) {
            continue;
        }
        r.at[k] = calloc((size_t)t->count, sizeof **r.at);
        if (t->role == GIVEN || t->role == STATE) {
            float *start = malloc((size_t)t->count * sizeof *start);
            fill_start(c, k, start);
            for (int i = 0; i < t->count; i++) {
                r.at[k][i] = t->below > 0 ? ((int32_t *)start)[i] : start[i];
            }
            free(start);
        }
    }
    return r;
}

static void reference_free(struct reference *r) {
    for (int k = 0; k < r->c->tensors_count; k++) {
        free(r->at[k]);
    }
    free(r->at);
}

static void reference_run(struct reference *r) {
    for (int s = 0; s < r->c->steps_count; s++) {
        const struct step *step = &r->c->steps[s];
        struct op op = {.d = step->d,
                        .scale = step->scale,
                        .eps = step->eps,
                        .pos = r->c->pos,
                        .site = step->site,
                        .m = r->m,
                        .loss = &r->mean_loss};
        for (int i = 0; i < OP_INPUTS; i++) {
            op.in[i] = step->in[i] < 0 ? NULL : r->at[step->in[i]];
        }
        for (int i = 0; i < OP_OUTPUTS; i++) {
            op.out[i] = step->out[i] < 0 ? NULL : r->at[step->out[i]];
        }
        step->reference(&op);
    }
}

static double reference_loss(struct reference *r) {
    reference_run(r);
    const double *y = r->at[r->c->loss], *dy = r->c->seed < 0 ? NULL : r->at[r->c->seed];
    double loss = 0;
    for (int i = 0; i < r->c->tensors[r->c->loss].count; i++) {
        loss += y[i] * (dy ? dy[i] : r->m->loss_scale);
    }
    return loss;
}

// The loss's slope where x moves along a direction of length 1; NULL is along element i.
static double slope(struct reference *r, int tensor, const double *direction, int i) {
    const int count = direction ? r->c->tensors[tensor].count : 1;
    const double h = DIFFERENCE * r->c->tensors[tensor].spread;
    double *x = r->at[tensor] + (direction ? 0 : i), loss[2];
    double *before = malloc((size_t)count * sizeof *before);
    memcpy(before, x, (size_t)count * sizeof *before);
    for (int side = 0; side < 2; side++) {
        for (int e = 0; e < count; e++) {
            x[e] = before[e] + (side ? h : -h) * (direction ? direction[e] : 1);
        }
        loss[side] = reference_loss(r);
    }
    memcpy(x, before, (size_t)count * sizeof *before);
    free(before);
    return (loss[1] - loss[0]) / (2 * h);
}

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

// False where something was written before its first byte.
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

// ---- kernels ------------------------------------------------------------------------------------

struct job {
    const struct call *call;
    struct call_context context;
};

static void job_run(void *context, int thread, int threads) {
    const struct job *job = context;
    job->call->kernel(&job->context, thread, threads);
}

// A job on these buffers, one for each tensor.
static struct job job_new(const struct op_case *c, const struct call *call, struct model *m,
                          struct memory *tensors, struct memory *scratch, int threads,
                          bool in_pages) {
    struct job job = {call, {.m = m, .site = call->site, .rows = call->rows, .pos = c->pos}};
    for (int i = 0; i < OP_OPERANDS; i++) {
        job.context.at[i] = call->operands[i] < 0 ? NULL : tensors[call->operands[i]].at;
    }
    for (int t = 0; t < threads && call->scratch_bytes > 0; t++) {
        scratch[t] = memory_new(call->scratch_bytes, in_pages);
        memset(scratch[t].at, POISON, call->scratch_bytes);
        job.context.scratch[t] = scratch[t].at;
    }
    return job;
}

// False where the call wrote before its scratch memory.
static bool job_free(const struct job *job, struct memory *scratch, int threads) {
    bool intact = true;
    for (int t = 0; t < threads && job->call->scratch_bytes > 0; t++) {
        intact = memory_free(&scratch[t]) && intact;
    }
    return intact;
}

// One way of running a case: threads, memory, and the call whose result takes an operand's memory.
struct way {
    int threads;
    bool in_pages;
    int alias_call, alias_tensor; // -1: none
};

// Runs all calls. results: a copy of each tensor that kernels have, for the caller to free.
static void run(const struct op_case *c, struct model *m, struct way way, void **results) {
    struct memory *tensors = malloc((size_t)c->tensors_count * sizeof *tensors);
    for (int k = 0; k < c->tensors_count; k++) {
        tensors[k] = memory_new((size_t)c->tensors[k].count * sizeof(float), way.in_pages);
        fill_start(c, k, tensors[k].at);
    }
    ck_assert_int_eq(parallel_threads(way.threads), way.threads);
    for (int i = 0; i < c->calls_count; i++) {
        struct memory scratch[OP_THREADS];
        struct job job = job_new(c, &c->calls[i], m, tensors, scratch, way.threads, way.in_pages);
        if (i != way.alias_call) {
            parallel_run(job_run, &job);
        } else {
            // The result in the operand's memory, from where it goes to its own.
            const struct memory *operand = &tensors[way.alias_tensor];
            const int result = c->calls[i].operands[0];
            void *before = malloc(operand->bytes);
            memcpy(before, operand->at, operand->bytes);
            job.context.at[0] = operand->at;
            parallel_run(job_run, &job);
            memcpy(tensors[result].at, operand->at,
                   (size_t)c->tensors[result].valid * sizeof(float));
            memcpy(operand->at, before, operand->bytes);
            free(before);
        }
        ck_assert_msg(job_free(&job, scratch, way.threads),
                      "%s: %s writes before its scratch memory", c->name, job.call->name);
    }
    for (int k = 0; k < c->tensors_count; k++) {
        results[k] = malloc(tensors[k].bytes);
        memcpy(results[k], tensors[k].at, tensors[k].bytes);
        ck_assert_msg(memory_free(&tensors[k]), "%s: something is written before %s", c->name,
                      c->tensors[k].name);
    }
    free(tensors);
}

static void free_results(const struct op_case *c, void **results) {
    for (int k = 0; k < c->tensors_count; k++) {
        free(results[k]);
    }
    free(results);
}

// Runs in this way and holds the bytes against those of the first one.
static void run_again(const struct op_case *c, struct model *m, struct way way, void **first) {
    void **results = calloc((size_t)c->tensors_count, sizeof *results);
    const double loss = m->loss;
    run(c, m, way, results);
    for (int k = 0; k < c->tensors_count; k++) {
        const size_t bytes = (size_t)c->tensors[k].count * sizeof(float);
        ck_assert_msg(memcmp(first[k], results[k], bytes) == 0,
                      "%s: %s differs with %d threads%s%s", c->name, c->tensors[k].name,
                      way.threads, way.alias_tensor < 0 ? "" : " and the result in ",
                      way.alias_tensor < 0 ? "" : c->tensors[way.alias_tensor].name);
    }
    ck_assert_msg(memcmp(&loss, &m->loss, sizeof loss) == 0, "%s: the loss differs with %d threads",
                  c->name, way.threads);
    free_results(c, results);
}

// ---- what kernels wrote, against the reference --------------------------------------------------

static void check_given(const struct op_case *c, int tensor, const void *result) {
    const size_t bytes = (size_t)c->tensors[tensor].count * sizeof(float);
    void *start = malloc(bytes);
    fill_start(c, tensor, start);
    ck_assert_msg(memcmp(start, result, bytes) == 0, "%s: %s was given, and has changed", c->name,
                  c->tensors[tensor].name);
    free(start);
}

// got (count) is within the case's tolerance of wanted, relative, in L2.
static void check_close(const struct op_case *c, const char *name, const double *got,
                        const double *wanted, int count, int columns) {
    double error = 0, norm = 0, largest = 0;
    int worst = 0;
    for (int i = 0; i < count; i++) {
        const double e = fabs(got[i] - wanted[i]);
        error += e * e;
        norm += wanted[i] * wanted[i];
        if (!(e <= largest)) {
            largest = e;
            worst = i;
        }
    }
    error = sqrt(error);
    norm = sqrt(norm);
    ck_assert_msg(error <= c->tolerance * norm,
                  "%s: %s is off by %.2e, relative in L2; allowed is %.2e; worst (%d, %d): %.9g, "
                  "wanted %.9g",
                  c->name, name, error / norm, c->tolerance, worst / columns, worst % columns,
                  got[worst], wanted[worst]);
}

static void check_value(const struct op_case *c, int tensor, const float *result,
                        const struct reference *r) {
    const struct tensor *t = &c->tensors[tensor];
    double *got = malloc((size_t)t->count * sizeof *got);
    for (int i = 0; i < t->valid; i++) {
        got[i] = result[i];
    }
    check_close(c, t->name, got, r->at[t->role == STATE ? tensor : t->of], t->valid, t->columns);
    float untouched;
    memset(&untouched, POISON, sizeof untouched);
    for (int i = t->valid; i < t->count; i++) {
        ck_assert_msg(memcmp(&untouched, result + i, sizeof untouched) == 0,
                      "%s: %s[%d] is written, behind the call's rows", c->name, t->name, i);
    }
    free(got);
}

// A gradient against central differences: every element where that is not too much work; else some,
// on a stride that meets every lane and column, and a random direction, which no element escapes.
static void check_gradient(const struct op_case *c, int tensor, const float *result,
                           struct reference *r) {
    const struct tensor *t = &c->tensors[tensor];
    const int count = t->count, stride = 7919; // a prime
    const double most = fmax(64, WORK_LIMIT / (2 * c->work));
    const int checked = count <= most ? count : (int)most;
    float *start = malloc((size_t)count * sizeof *start);
    double *gradient = malloc((size_t)count * sizeof *gradient);
    double *got = malloc((size_t)count * sizeof *got);
    double *wanted = malloc((size_t)count * sizeof *wanted);
    fill_start(c, tensor, start);
    for (int i = 0; i < count; i++) {
        gradient[i] = t->accumulate ? (double)result[i] - start[i] : result[i];
    }
    for (int n = 0; n < checked; n++) {
        const int i = checked == count ? n : (int)((int64_t)n * stride % count);
        wanted[n] = slope(r, t->of, NULL, i);
        if (t->accumulate) { // what was there rounds the sum: it belongs to what is compared
            wanted[n] += start[i];
        }
        got[n] = result[i];
    }
    check_close(c, t->name, got, wanted, checked, checked == count ? t->columns : checked);

    if (checked < count) {
        double length = 0, norm = 0, along = 0;
        for (int i = 0; i < count; i++) {
            wanted[i] = rng_normal(random_bits(c, tensor, RANDOM_DIRECTION, i));
            length += wanted[i] * wanted[i];
            norm += (double)result[i] * result[i];
        }
        for (int i = 0; i < count; i++) {
            wanted[i] /= sqrt(length);
            along += gradient[i] * wanted[i];
        }
        const double measured = slope(r, t->of, wanted, 0);
        ck_assert_msg(fabs(along - measured) <= c->tolerance * sqrt(norm),
                      "%s: %s along a random direction is %.9g, wanted %.9g", c->name, t->name,
                      along, measured);
    }
    free(start);
    free(gradient);
    free(got);
    free(wanted);
}

static void check_results(const struct op_case *c, const struct model *m, void **results) {
    struct reference r = reference_new(c, m);
    reference_run(&r);
    for (int k = 0; k < c->tensors_count; k++) {
        const enum role role = c->tensors[k].role;
        if (role == GIVEN) {
            check_given(c, k, results[k]);
        } else if (role == VALUE || role == STATE) {
            check_value(c, k, results[k], &r);
        }
    }
    if (!isnan(r.mean_loss)) {
        ck_assert_msg(fabs(m->loss - r.mean_loss) <= c->tolerance * fabs(r.mean_loss),
                      "%s: the mean loss is %.9g, wanted %.9g", c->name, m->loss, r.mean_loss);
    }
    for (int k = 0; k < c->tensors_count; k++) {
        if (c->tensors[k].role == GRADIENT) {
            check_gradient(c, k, results[k], &r);
        }
    }
    reference_free(&r);
}

// ---- one case -----------------------------------------------------------------------------------

static const struct op_case *case_at(int i) {
    for (int f = 0; f < families_count; f++) {
        if (i < families[f].count) {
            return &families[f].cases[i];
        }
        i -= families[f].count;
    }
    return NULL;
}

static struct model case_model(float dropout) {
    return (struct model){
        .loss_scale = LOSS_SCALE, .dropout = dropout, .dropout_key = {20240229, 777}, .loss = NAN};
}

static void case_run(const struct op_case *c, float dropout) {
    struct model m = case_model(dropout);
    void **results = calloc((size_t)c->tensors_count, sizeof *results);
    run(c, &m, (struct way){1, false, -1, -1}, results);
    check_results(c, &m, results);
    run_again(c, &m, (struct way){2, true, -1, -1}, results);
    run_again(c, &m, (struct way){4, false, -1, -1}, results);
    run_again(c, &m, (struct way){OP_THREADS, true, -1, -1}, results);
    for (int i = 0; i < c->calls_count; i++) {
        for (int a = 0; a < OP_ALIASES && c->calls[i].aliases[a] >= 0; a++) {
            run_again(c, &m, (struct way){2, false, i, c->calls[i].aliases[a]}, results);
        }
    }
    free_results(c, results);
}

START_TEST(case_holds) {
    const struct op_case *c = case_at(_i);
    if (c->dropout) {
        case_run(c, PROBABILITY);
    }
    case_run(c, 0);
}
END_TEST

// ---- dropout: how much is dropped ---------------------------------------------------------------

// Elements of the first value that are 0, where the case is of dropout alone and large enough.
START_TEST(dropout_has_its_rate) {
    int counted = 0;
    for (int i = 0; case_at(i); i++) {
        const struct op_case *c = case_at(i);
        const struct tensor *y = &c->tensors[c->loss];
        if (strncmp(c->name, "dropout ", 8) != 0 || y->count < 500) {
            continue;
        }
        for (int p = 0; p < 10; p++) {
            const float probability = (float)p / 10;
            struct model m = case_model(probability);
            void **results = calloc((size_t)c->tensors_count, sizeof *results);
            run(c, &m, (struct way){1, false, -1, -1}, results);
            int zeros = 0;
            for (int e = 0; e < y->count; e++) {
                zeros += ((float *)results[c->loss])[e] == 0;
            }
            const double wanted = (double)probability * y->count;
            const double deviation = sqrt(wanted * (1 - (double)probability));
            ck_assert_msg(fabs(zeros - wanted) <= 4 * deviation,
                          "%s: %d of %d are dropped; wanted %.0f +- %.0f", c->name, zeros, y->count,
                          wanted, 4 * deviation);
            free_results(c, results);
            counted++;
        }
    }
    ck_assert_int_ge(counted, 20);
}
END_TEST

// ---- figures ------------------------------------------------------------------------------------

static void bench_case(const struct op_case *c) {
    struct model m = case_model(c->dropout ? PROBABILITY : 0);
    struct memory *tensors = malloc((size_t)c->tensors_count * sizeof *tensors);
    for (int k = 0; k < c->tensors_count; k++) {
        tensors[k] = memory_new((size_t)c->tensors[k].count * sizeof(float), false);
        fill_start(c, k, tensors[k].at);
    }
    printf("%s\n", c->name);
    for (int i = 0; i < c->calls_count; i++) {
        struct memory scratch[OP_THREADS];
        struct job job = job_new(c, &c->calls[i], &m, tensors, scratch, 1, false);
        int runs = 0;
        double best = INFINITY;
        for (const double start = time_now(); runs < 3 || time_now() - start < 0.05; runs++) {
            const double before = time_now();
            parallel_run(job_run, &job);
            best = fmin(best, time_now() - before);
        }
        printf("    %-56s %10.2f us %8.2f GFLOP/s\n", c->calls[i].name, best * 1e6,
               c->calls[i].flops / best * 1e-9);
        job_free(&job, scratch, 1);
    }
    for (int k = 0; k < c->tensors_count; k++) {
        memory_free(&tensors[k]);
    }
    free(tensors);
}

int main(int argc, char **argv) {
    if (argc > 1 && strcmp(argv[1], "--bench") == 0) {
        parallel_threads(1);
        for (int i = 0; case_at(i); i++) {
            bench_case(case_at(i));
        }
        return 0;
    }
    Suite *suite = suite_create("ops");
    int first = 0;
    for (int f = 0; f < families_count; f++) {
        TCase *family = tcase_create(families[f].name);
        tcase_set_timeout(family, 120);
        tcase_add_loop_test(family, case_holds, first, first + families[f].count);
        first += families[f].count;
        suite_add_tcase(suite, family);
    }
    TCase *rate = tcase_create("dropout's rate");
    tcase_add_test(rate, dropout_has_its_rate);
    suite_add_tcase(suite, rate);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
