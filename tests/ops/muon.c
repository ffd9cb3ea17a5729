// muon.c: Muon's update on a device (gen/emit/muon.lua), whose kernels are in no graph: against
// doubles, and with symmetric products computed in rows of blocks against the same computed whole.
#include "tests/ops/backend_cuda.h"
#include "tests/ops/named.h"

#include "runtime/gpu/gpu.h"
#include "runtime/kernel/gemm.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

extern const struct muon_case muon_case; // emitted (tests/ops/whole/muon.lua)

enum part { PARAMS, GRADS, MEANS, IMAGE, ACTS, PARTS };

static const double RATE = 0.02, MOMENTUM = 0.9, DECAY = 0.1, SCALE = 4; // the loss scaler's

struct run {
    struct gpu *gpu;
    struct memory at[PARTS];
};

static size_t part_bytes(enum part part) {
    const size_t each = part == IMAGE ? format_bytes(elem_format) : sizeof(float);
    return (size_t)(part == ACTS ? muon_case.work_floats : muon_case.floats) * each;
}

static void *read_part(const struct run *r, enum part part) {
    void *to = allocate(1, part_bytes(part), "a case");
    CUDA_CHECK(cudaStreamSynchronize(r->gpu->stream));
    CUDA_CHECK(cudaMemcpy(to, r->at[part].at, part_bytes(part), cudaMemcpyDeviceToHost));
    return to;
}

// Random numbers in the matrices; the padding behind their rows is 0, and has to stay that.
static void write_random(const struct run *r, enum part part, double spread) {
    float *values = allocate((size_t)muon_case.floats, sizeof *values, "a case");
    for (int n = 0; n < muon_case.matrices_count; n++) {
        const struct muon_matrix *m = &muon_case.matrices[n];
        for (int i = 0; i < m->rows; i++) {
            for (int j = 0; j < m->cols; j++) {
                const int at = m->at + i * m->pitch + j;
                const double value = rng_normal(rng_bits(part, 0, (uint32_t)at, 0));
                values[at] = (float)(value * spread);
            }
        }
    }
    memory_write(r->at[part].at, values, part_bytes(part));
    free(values);
}

static struct run run_new(size_t guard, bool match) {
    struct run r = {.gpu = backend_device()};
    for (int i = 0; i < PARTS; i++) {
        r.at[i] = memory_new(part_bytes(i), guard);
    }
    r.gpu->params = (float *)r.at[PARAMS].at;
    r.gpu->grads = (float *)r.at[GRADS].at;
    r.gpu->m = (float *)r.at[MEANS].at;
    r.gpu->packed = r.at[IMAGE].at;
    r.gpu->acts = (float *)r.at[ACTS].at;
    for (int i = 0; i < muon_case.gemms_count; i++) {
        if (!muon_case.gemms[i]->setup) {
            gemm_create(r.gpu->gemm, muon_case.gemms[i]);
        }
    }
    write_random(&r, PARAMS, 1);
    write_random(&r, GRADS, SCALE * 1e-3);
    write_random(&r, MEANS, 1e-3);
    const struct step_state state = {
        .set = {.muon_rate = RATE,
                .muon_momentum = MOMENTUM,
                .muon_decay = DECAY,
                .muon_match = match},
        .loss = 2.5,
        .total = 7.5,
        .scale = SCALE,
    };
    memory_write(r.gpu->state, &state, sizeof state);
    return r;
}

static void run_free(const struct run *r) {
    for (int i = 0; i < PARTS; i++) {
        ck_assert_msg(memory_free(&r->at[i]), "something is written beside part %d", i);
    }
}

// ---- the reference ------------------------------------------------------------------------------

// y (rows, cols) = a (rows, inner) b (inner, cols)
static void multiply(double *y, const double *a, const double *b, int rows, int cols, int inner) {
    for (int i = 0; i < rows; i++) {
        double *to = y + (size_t)i * cols;
        memset(to, 0, (size_t)cols * sizeof *to);
        for (int k = 0; k < inner; k++) {
            for (int j = 0; j < cols; j++) {
                to[j] += a[(size_t)i * inner + k] * b[(size_t)k * cols + j];
            }
        }
    }
}

static void turn(double *to, const double *from, int rows, int cols) {
    for (int i = 0; i < rows; i++) {
        for (int j = 0; j < cols; j++) {
            to[(size_t)j * rows + i] = from[(size_t)i * cols + j];
        }
    }
}

// u (rows, cols), five Newton-Schulz steps towards the nearest semi-orthogonal matrix.
static void orthogonalise(double *u, int rows, int cols) {
    const int m = rows < cols ? rows : cols, k = rows < cols ? cols : rows;
    const size_t size = (size_t)m * (size_t)k;
    double *x = allocate(6 * size, sizeof *x, "a case"), *t = x + size, *a = t + size;
    double *aa = a + size, *bx = aa + size, norm = 0;
    if (rows > cols) {
        turn(x, u, rows, cols);
    } else {
        memcpy(x, u, size * sizeof *x);
    }
    for (size_t i = 0; i < size; i++) {
        norm += x[i] * x[i];
    }
    for (size_t i = 0; i < size; i++) {
        x[i] /= sqrt(norm) + 1e-7;
    }
    for (int step = 0; step < 5; step++) {
        turn(t, x, m, k);
        multiply(a, x, t, m, m, k);
        multiply(aa, a, a, m, m, m);
        for (int i = 0; i < m * m; i++) {
            a[i] = -4.7750 * a[i] + 2.0315 * aa[i];
        }
        multiply(bx, a, x, m, k, m);
        for (size_t i = 0; i < size; i++) {
            x[i] = 3.4445 * x[i] + bx[i];
        }
    }
    if (rows > cols) {
        turn(u, x, m, k);
    } else {
        memcpy(u, x, size * sizeof *x);
    }
    free(x);
}

// How far the changes of all parameters are from a reference's, relative, in L2.
static double error_of(const float *before, const float *after, const float *grads,
                       const float *means, bool match) {
    double error = 0, all = 0;
    for (int n = 0; n < muon_case.matrices_count; n++) {
        const struct muon_matrix *m = &muon_case.matrices[n];
        const int longer = m->rows > m->cols ? m->rows : m->cols;
        const double factor = match ? 0.2 * sqrt(longer) : sqrt(fmax(1, (double)m->rows / m->cols));
        double *u = allocate((size_t)m->rows * (size_t)m->cols, sizeof *u, "a case");
        for (int i = 0; i < m->rows * m->cols; i++) {
            const int at = m->at + i / m->cols * m->pitch + i % m->cols;
            const double gradient = grads[at] / SCALE, old = means[at];
            const double mean = old + (1 - MOMENTUM) * (gradient - old);
            u[i] = gradient + MOMENTUM * (mean - gradient);
        }
        orthogonalise(u, m->rows, m->cols);
        for (int i = 0; i < m->rows * m->cols; i++) {
            const int at = m->at + i / m->cols * m->pitch + i % m->cols;
            const double change = RATE * factor * u[i];
            const double got = before[at] * (1 - RATE * DECAY) - after[at];
            error += (got - change) * (got - change);
            all += change * change;
        }
        free(u);
    }
    return sqrt(error / all);
}

// ---- the test -----------------------------------------------------------------------------------

// Runs an update; results: its parts, which the caller frees.
static void update(void (*run)(struct gpu *gpu), int way, bool match, void *results[ACTS]) {
    backend_choose(way);
    struct run r = run_new(way == 1 ? CANARY : 0, match);
    muon_case.norm(r.gpu);
    run(r.gpu);
    for (int i = 0; i < ACTS; i++) {
        results[i] = read_part(&r, i);
    }
    run_free(&r);
}

// Both ways to compute symmetric products follow the reference. Under each schedule they come to
// the same bytes, both to one another's where a sum has one order whatever a product's size.
START_TEST(muon_follows_the_reference) {
    const bool match = _i == 1;
    const double limit = elem_format == F32 ? 1e-4 : 3e-2; // X in float, or in bfloat16
    struct run start = run_new(0, match);
    float *before[ACTS];
    for (int i = 0; i < ACTS; i++) {
        before[i] = read_part(&start, i);
    }
    run_free(&start);
    void *first[ACTS] = {NULL};
    for (int i = 0; i < 2 * backend_ways(); i++) {
        const bool blocks = i >= backend_ways();
        const int way = i % backend_ways();
        void *now[ACTS];
        update(blocks ? muon_case.blocks : muon_case.whole, way, match, now);
        const double error =
            error_of(before[PARAMS], now[PARAMS], before[GRADS], before[MEANS], match);
        ck_assert_msg(error <= limit, "%s, an update is off by %.2e %s",
                      blocks ? "blocks" : "whole", error, backend_way(way));
#ifdef DIECAST_EMULATED
        const bool same = i > 0;
#else
        const bool same = way > 0; // cuBLASLt's sums depend on a product's size
#endif
        for (int part = 0; part < ACTS; part++) {
            ck_assert_msg(!same || memcmp(first[part], now[part], part_bytes(part)) == 0,
                          "%s: part %d differs %s", blocks ? "blocks" : "whole", part,
                          backend_way(way));
            free(same ? now[part] : first[part]);
            first[part] = same ? first[part] : now[part];
        }
    }
    for (int i = 0; i < ACTS; i++) {
        free(first[i]);
        free(before[i]);
    }
}
END_TEST

static const char *muon_name(const char *function, int i) {
    static char name[128];
    snprintf(name, sizeof name, "muon, %s, %s", i == 1 ? "match_rms_adamw" : "original", function);
    return name;
}

void muon_add_tests(struct TCase *family) {
    tcase_add_named_loop_test(family, muon_follows_the_reference, muon_name, 0, 2);
}
