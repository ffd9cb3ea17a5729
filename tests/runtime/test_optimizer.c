// test_optimizer.c: compares the optimizers with the same formulas in double, element by element,
// on tensors that end within a vector and within a chunk; the norm; any number of threads.
#include "tests/runtime/suite.h"

#include "runtime/kernel/update.h"
#include "updates.h" // templates/cpu/optimizer.c's functions, emitted for each optimizer

#include <math.h>

enum { A = 16384 + 37, C = 5, LAYERS = 2, STATE = 33664, STEPS = 7 };

// Two layers of a long tensor at a stride with padding between, a short one, and a copy.
static const struct param params[] = {
    {.name = "a.%d",
     .layers = LAYERS,
     .offset = 16,
     .stride = 16432,
     .ndim = 2,
     .dims = {A, 1},
     .decay = true},
    {.name = "c", .layers = 1, .offset = 33600, .ndim = 1, .dims = {C, 1}, .group = GROUP_VECTORS},
    {.name = "d", .layers = 1, .offset = 16, .ndim = 2, .dims = {A, 1}, .copy = true},
};

static struct model_info info_of(enum optimizer_kind kind) {
    static update_fn *const updates[] = {
        [OPTIMIZER_ADAMW] = adamw, [OPTIMIZER_ADAM] = adam, [OPTIMIZER_SGD] = sgd};
    return (struct model_info){.batch_size = 1,
                               .block_size = 1,
                               .optimizer = kind,
                               .update = updates[kind],
                               .params = params,
                               .params_count = 3,
                               .state_floats = STATE};
}

// For profile.c.
const struct model_info model_info = {.kernels_count = 0};

static bool used(int64_t i) {
    for (int layer = 0; layer < LAYERS; layer++) {
        int64_t start = params[0].offset + layer * params[0].stride;
        if (i >= start && i < start + A) {
            return true;
        }
    }
    return i >= params[1].offset && i < params[1].offset + C;
}

static double random_at(int64_t i, uint32_t step) {
    return rng_normal(rng_bits(1, RNG_BENCH, (uint32_t)i, step));
}

static struct step_settings settings_of(int t) {
    return (struct step_settings){.group = {[GROUP_MATRICES] = {0.01 / t, 0.9, 0.95, 0.1, false},
                                            [GROUP_VECTORS] = {0.03 / t, 0.8, 0.99, 0.2, t > 2}},
                                  .eps = 1e-8};
}

static double scale_of(int t) {
    return t == 3 ? 0.25 : 1;
}

static void fill(struct model *m) {
    for (int64_t i = 0; i < STATE; i++) {
        m->params[i] = (float)random_at(i, 0);
    }
}

static void fill_gradients(struct model *m, int t) {
    for (int64_t i = 0; i < STATE; i++) {
        m->grads[i] = (float)(random_at(i, (uint32_t)t) * (i % 3 ? 1e-3 : 1));
    }
}

// torch.optim's AdamW, Adam and SGD for one element, in double.
static double reference(enum optimizer_kind kind, double p, int64_t i, bool decay) {
    double m = 0, v = 0;
    for (int t = 1; t <= STEPS; t++) {
        const struct step_settings settings = settings_of(t);
        const struct group_settings s = settings.group[decay ? GROUP_MATRICES : GROUP_VECTORS];
        double wd = decay || s.decays ? s.weight_decay : 0;
        double g = (float)(random_at(i, (uint32_t)t) * (i % 3 ? 1e-3 : 1)) * scale_of(t);
        if (kind == OPTIMIZER_ADAMW) {
            p -= s.learning_rate * wd * p;
        } else {
            g += wd * p;
        }
        if (kind == OPTIMIZER_SGD) {
            p -= s.learning_rate * g;
            continue;
        }
        m = s.beta1 * m + (1 - s.beta1) * g;
        v = s.beta2 * v + (1 - s.beta2) * g * g;
        double m_hat = m / (1 - pow(s.beta1, t)), v_hat = v / (1 - pow(s.beta2, t));
        p -= s.learning_rate * m_hat / (sqrt(v_hat) + settings.eps);
    }
    return p;
}

struct job {
    struct model *m;
    const struct model_info *info;
    const struct update *updates;
};

static void update_run(void *context, int thread, int threads) {
    struct job *job = context;
    optimizer_update_part(job->m, job->info, job->updates, thread, threads);
}

static void norm_run(void *context, int thread, int threads) {
    struct job *job = context;
    optimizer_norm_part(job->m, job->info, false, thread, threads);
}

static double grad_norm_of(struct model *m, const struct model_info *info) {
    parallel_run(norm_run, &(struct job){m, info, NULL});
    return optimizer_norm_total(m, info);
}

static void run_optimizer(struct model *m, const struct model_info *info, int threads) {
    ck_assert_int_eq(parallel_threads(threads), threads);
    model_create(m, info, true);
    fill(m);
    for (int t = 1; t <= STEPS; t++) {
        fill_gradients(m, t);
        const struct step_settings set = settings_of(t);
        struct update updates[GROUPS];
        for (int group = 0; group < GROUPS; group++) {
            updates[group] = update_numbers(&set, group, scale_of(t), t);
        }
        parallel_run(update_run, &(struct job){m, info, updates});
    }
}

static void compare_with_reference(enum optimizer_kind kind) {
    struct model_info info = info_of(kind);
    struct model m;
    run_optimizer(&m, &info, 2);
    ck_assert((m.m == NULL) == (kind == OPTIMIZER_SGD));
    for (int64_t i = 0; i < STATE; i++) {
        float start = (float)random_at(i, 0);
        if (!used(i)) {
            ck_assert_msg(m.params[i] == start, "padding at %lld changed", (long long)i);
            continue;
        }
        double wanted = reference(kind, start, i, i < params[1].offset);
        ck_assert_msg(fabs(m.params[i] - wanted) < 1e-6 * (1 + fabs(wanted)), "%lld is %g, not %g",
                      (long long)i, m.params[i], wanted);
    }
    model_destroy(&m);
}

START_TEST(adamw_is_torchs) {
    compare_with_reference(OPTIMIZER_ADAMW);
}
END_TEST

START_TEST(adam_is_torchs) {
    compare_with_reference(OPTIMIZER_ADAM);
}
END_TEST

START_TEST(sgd_is_torchs) {
    compare_with_reference(OPTIMIZER_SGD);
}
END_TEST

START_TEST(any_number_of_threads) {
    struct model_info info = info_of(OPTIMIZER_ADAMW);
    struct model one, other;
    run_optimizer(&one, &info, 1);
    double norm = grad_norm_of(&one, &info);
    for (int threads = 2; threads <= 5; threads++) {
        run_optimizer(&other, &info, threads);
        ck_assert_mem_eq(one.params, other.params, STATE * sizeof(float));
        ck_assert_mem_eq(one.m, other.m, STATE * sizeof(float));
        ck_assert_mem_eq(one.v, other.v, STATE * sizeof(float));
        ck_assert(grad_norm_of(&other, &info) == norm);
        model_destroy(&other);
    }
    model_destroy(&one);
}
END_TEST

// The nearest bfloat16 number of a normal one, ties to even.
static uint16_t nearest_bfloat16(float x) {
    int exponent;
    const double fraction = frexp((double)x, &exponent); // 0.5 <= |fraction| < 1
    const float near = (float)ldexp(nearbyint(fraction * 256), exponent - 8);
    uint32_t bits;
    memcpy(&bits, &near, sizeof bits);
    return (uint16_t)(bits >> 16);
}

static void check_image(const struct model *m) {
    for (int64_t i = 0; i < STATE; i++) {
        const uint16_t wanted = used(i) ? nearest_bfloat16(m->params[i]) : 0;
        ck_assert_msg(m->packed[i] == wanted, "%lld, %a, is %04x, not %04x", (long long)i,
                      m->params[i], m->packed[i], wanted);
    }
}

static void image_run(void *context, int thread, int threads) {
    const struct job *job = context;
    optimizer_image_part(job->m, job->info, thread, threads);
}

// Of a model whose products are in bfloat16, in the memory that it plans; in float32 there is none.
START_TEST(image_is_of_the_weights) {
    static const bool bf16[1];
    struct model_info info = info_of(OPTIMIZER_ADAMW);
    const size_t without = model_plan_bytes(&info, true);
    struct model m;
    run_optimizer(&m, &info, 3);
    ck_assert(m.packed == NULL);
    model_destroy(&m);

    info.bf16 = bf16;
    ck_assert_uint_ge(model_plan_bytes(&info, true), without + STATE * sizeof(uint16_t));
    for (int kind = 0; kind < 2; kind++) {
        info.optimizer = kind ? OPTIMIZER_SGD : OPTIMIZER_ADAMW;
        info.update = info_of(info.optimizer).update;
        run_optimizer(&m, &info, 3);
        check_image(&m); // which the update has written
        memset(m.packed, 0, STATE * sizeof *m.packed);
        fill(&m);
        m.params[params[0].offset] = 0x1.01p0f; // in the middle: to even
        m.params[params[0].offset + 1] = 0x1.03p0f;
        m.imaged = false;
        parallel_run(image_run, &(struct job){&m, &info, NULL});
        check_image(&m);
        ck_assert(m.imaged);
        m.params[params[0].offset] = 2; // not known to have changed
        parallel_run(image_run, &(struct job){&m, &info, NULL});
        ck_assert_uint_eq(m.packed[params[0].offset], 0x3f80);
        model_destroy(&m);
    }
}
END_TEST

START_TEST(grad_norm) {
    struct model_info info = info_of(OPTIMIZER_ADAMW);
    struct model m;
    parallel_threads(2);
    model_create(&m, &info, true);
    fill_gradients(&m, 1);
    long double sum = 0;
    for (int64_t i = 0; i < STATE; i++) {
        sum += used(i) ? (long double)m.grads[i] * m.grads[i] : 0; // each element once, no padding
    }
    double wanted = (double)sqrtl(sum);
    ck_assert_double_eq_tol(grad_norm_of(&m, &info), wanted, 1e-12 * wanted);
    m.grads[params[1].offset + C - 1] = INFINITY;
    ck_assert(isinf(grad_norm_of(&m, &info)));
    m.grads[params[1].offset + C - 1] = NAN;
    ck_assert(isnan(grad_norm_of(&m, &info)));
    model_destroy(&m);
}
END_TEST

// ---- memory.c -----------------------------------------------------------------------------------

START_TEST(parts_do_not_overlap) {
    struct model_info info = info_of(OPTIMIZER_ADAMW);
    info.acts_floats = 3;
    struct model m;
    model_create(&m, &info, true);
    const char *start[] = {(char *)m.params, (char *)m.grads,  (char *)m.m,       (char *)m.v,
                           (char *)m.acts,   (char *)m.tokens, (char *)m.targets, (char *)m.norms};
    const int64_t floats[] = {STATE, STATE, STATE, STATE, 3, 1, 1, 2};
    for (int i = 0; i < 8; i++) {
        const char *next = i < 7 ? start[i + 1] : (char *)m.memory + m.memory_bytes;
        ck_assert_uint_eq((uintptr_t)start[i] % 4096, 0);
        ck_assert_int_ge(next - start[i], floats[i] * 4);
    }
    ck_assert_uint_eq(m.memory_bytes, model_plan_bytes(&info, true));
    ck_assert_uint_lt(model_plan_bytes(&info, false), model_plan_bytes(&info, true));
    model_destroy(&m);
}
END_TEST

static void create_too_large(void *context) {
    (void)context;
    struct model_info info = info_of(OPTIMIZER_ADAMW);
    info.acts_floats = (int64_t)1 << 50;
    struct model m;
    model_create(&m, &info, true);
}

START_TEST(more_than_there_is) {
    suite_dies(create_too_large, NULL, EXIT_MEMORY, "this model takes 4.5 PB (45035996",
               "available");
}
END_TEST

START_TEST(initial_weights) {
    enum { N = 40000 };
    const struct param kinds[] = {
        {.name = "zeros", .layers = 1, .offset = 0, .dims = {N, 1}, .init = INIT_ZEROS},
        {.name = "ones", .layers = 1, .offset = N, .dims = {N, 1}, .init = INIT_ONES},
        {.name = "normal",
         .layers = 1,
         .offset = 2 * N,
         .dims = {N, 1},
         .init = INIT_NORMAL,
         .init_value = 0.02f},
        {.name = "uniform.%d",
         .layers = 2,
         .offset = 3 * N,
         .stride = N,
         .dims = {N, 1},
         .init = INIT_UNIFORM,
         .init_value = 0.5f},
        {.name = "again",
         .layers = 1,
         .offset = 0,
         .dims = {N, 1},
         .copy = true,
         .init = INIT_ONES},
    };
    struct model_info info = info_of(OPTIMIZER_SGD);
    info.params = kinds;
    info.params_count = 5;
    info.state_floats = 5 * N;
    struct model m, other;
    parallel_threads(2);
    model_create(&m, &info, true);
    model_init(&m, &info, 7);
    double square = 0, sum = 0;
    for (int i = 0; i < N; i++) {
        ck_assert(m.params[i] == 0);
        ck_assert(m.params[N + i] == 1);
        square += (double)m.params[2 * N + i] * m.params[2 * N + i];
        sum += m.params[3 * N + i];
        ck_assert(fabsf(m.params[3 * N + i]) <= 0.5f);
    }
    ck_assert_double_eq_tol(sqrt(square / N), 0.02, 0.0005);
    ck_assert_double_eq_tol(sum / N, 0, 0.01);
    ck_assert(memcmp(m.params + 3 * N, m.params + 4 * N, N * sizeof(float)) !=
              0); // each layer its own

    parallel_threads(3);
    model_create(&other, &info, true);
    model_init(&other, &info, 7);
    ck_assert_mem_eq(m.params, other.params, 5 * N * sizeof(float));
    model_init(&other, &info, 8);
    ck_assert(memcmp(m.params + 2 * N, other.params + 2 * N, N * sizeof(float)) != 0);
    model_destroy(&m);
    model_destroy(&other);
}
END_TEST

// 2 layers of 3 heads of 16 in a model 32 wide, context 10: nanoGPT's count is 6 * 900 +
// 12 * 2 * 3 * 16 * 10, llm.c's 6 * 1000 + 6 * 2 * 3 * 16 * 10.
START_TEST(flops_as_llmc_counts_them) {
    const struct model_info info = {.n_layer = 2,
                                    .n_head = 3,
                                    .n_embd = 32,
                                    .block_size = 10,
                                    .num_params = 1000,
                                    .num_params_nanogpt = 900,
                                    .flops_per_token = 16920};
    ck_assert_double_eq(model_flops_llmc(&info), 11760);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {
        adamw_is_torchs,           adam_is_torchs,          sgd_is_torchs,
        any_number_of_threads,     image_is_of_the_weights, grad_norm,
        parts_do_not_overlap,      more_than_there_is,      initial_weights,
        flops_as_llmc_counts_them,
    };
    return suite_main("optimizer", tests, sizeof tests / sizeof tests[0]);
}
