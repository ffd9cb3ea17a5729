// whole.c: CUDA's kernels that are in no graph: the norm and the update of all parameters, their
// image in the type of activations, and the copy of a batch from its staging slot. Muon's are in
// muon.c.
#include "tests/ops/backend_cuda.h"
#include "tests/ops/named.h"

#include "runtime/gpu/gpu.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

extern const struct whole_case whole_cases[]; // emitted
extern const int whole_cases_count;

static const struct step_settings SETTINGS = {
    .group = {[GROUP_MATRICES] = {0.1, 0.9, 0.95, 0.1, false},
              [GROUP_EMBD] = {0.3, 0.8, 0.995, 0.05, true},
              [GROUP_HEAD] = {0.02, 0.7, 0.96, 0, true},
              [GROUP_VECTORS] = {0.05, 0.85, 0.99, 0.2, true}},
    .eps = 1e-8,
    .grad_clip = 1,
};
enum { STEPS = 3 };
// In steps after the first, gradients are large enough to be clipped, however few there are.
static const double SPREADS[STEPS] = {1e-3, 1, 4};

// ---- a model on the device ----------------------------------------------------------------------

enum part { PARAMS, GRADS, MEANS, SQUARES, IMAGE, PARTS };

struct parts {
    const struct whole_case *c;
    struct gpu *gpu;
    struct memory at[PARTS];
};

static size_t part_bytes(const struct whole_case *c, enum part part) {
    return (size_t)c->floats * (part == IMAGE ? format_bytes(elem_format) : sizeof(float));
}

static struct parts parts_new(const struct whole_case *c, size_t guard) {
    struct parts p = {.c = c, .gpu = backend_device()};
    for (int i = 0; i < PARTS; i++) {
        p.at[i] = memory_new(part_bytes(c, i), guard);
    }
    p.gpu->params = (float *)p.at[PARAMS].at;
    p.gpu->grads = (float *)p.at[GRADS].at;
    p.gpu->m = (float *)p.at[MEANS].at;
    p.gpu->v = (float *)p.at[SQUARES].at;
    p.gpu->packed = p.at[IMAGE].at;
    return p;
}

static void parts_free(struct parts *p) {
    for (int i = 0; i < PARTS; i++) {
        ck_assert_msg(memory_free(&p->at[i]), "%s: something is written beside part %d", p->c->name,
                      i);
    }
}

static void write_part(const struct parts *p, enum part part, const void *from) {
    memory_write(p->at[part].at, from, p->at[part].bytes);
}

static void *read_part(const struct parts *p, enum part part) {
    void *to = allocate(1, p->at[part].bytes, "a case");
    CUDA_CHECK(cudaMemcpy(to, p->at[part].at, p->at[part].bytes, cudaMemcpyDeviceToHost));
    return to;
}

static void write_random(const struct parts *p, enum part part, uint32_t key, double spread) {
    float *values = allocate(1, p->at[part].bytes, "a case");
    for (int i = 0; i < p->c->floats; i++) {
        const double value = rng_normal(rng_bits(key, (uint32_t)part, (uint32_t)i, 0)) * spread;
        values[i] = (float)(part == SQUARES ? fabs(value) : value);
    }
    write_part(p, part, values);
    free(values);
}

static struct step_state read_state(const struct gpu *gpu) {
    struct step_state state;
    CUDA_CHECK(cudaStreamSynchronize(gpu->stream));
    CUDA_CHECK(cudaMemcpy(&state, gpu->state, sizeof state, cudaMemcpyDeviceToHost));
    return state;
}

static void write_state(const struct gpu *gpu, const struct step_state *state) {
    memory_write(gpu->state, state, sizeof *state);
}

static struct step_state fresh_state(void) {
    return (struct step_state){
        .set = SETTINGS, .loss = 2.5, .total = 7.5, .scale = elem_format == F16 ? 1024 : 1};
}

static void fill_parts(const struct parts *p) {
    write_random(p, PARAMS, 1, 1);
    write_random(p, MEANS, 2, 0.1);
    write_random(p, SQUARES, 3, 0.1);
}

// ---- the update ---------------------------------------------------------------------------------

// torch.optim's AdamW, Adam or SGD of one weight, in doubles; t from 1.
static void update_weight(const struct whole_case *c, int i, int64_t t, double g, double *p,
                          double *m, double *v) {
    int range = 0;
    while (i / 4 >= c->ends[range]) {
        range++;
    }
    const struct group_settings *s = &SETTINGS.group[c->groups[range]];
    const double decay = i < c->decayed || s->decays ? s->weight_decay : 0;
    if (strcmp(c->name, "adamw") == 0) {
        *p *= 1 - s->learning_rate * decay;
    } else {
        g += decay * *p;
    }
    if (strcmp(c->name, "sgd") == 0) {
        *p -= s->learning_rate * g;
        return;
    }
    *m = s->beta1 * *m + (1 - s->beta1) * g;
    *v = s->beta2 * *v + (1 - s->beta2) * g * g;
    const double mean = *m / (1 - pow(s->beta1, (double)t));
    const double square = *v / (1 - pow(s->beta2, (double)t));
    *p -= s->learning_rate * mean / (sqrt(square) + SETTINGS.eps);
}

static void check_part(const struct parts *p, enum part part, const double *wanted, int step) {
    static const char *const names[PARTS] = {"params", "grads", "m", "v", "packed"};
    float *got = read_part(p, part);
    double error = 0, norm = 0;
    for (int i = 0; i < p->c->floats; i++) {
        error += (got[i] - wanted[i]) * (got[i] - wanted[i]);
        norm += wanted[i] * wanted[i];
    }
    // A few roundings of a float.
    ck_assert_msg(sqrt(error) <= 5e-7 * sqrt(norm), "%s: %s is off by %.2e in step %d", p->c->name,
                  names[part], sqrt(error / norm), step);
    free(got);
}

static void check_image(const struct parts *p) {
    if (elem_format == F32) {
        return; // kernels read the parameters themselves
    }
    const size_t size = format_bytes(elem_format);
    float *params = read_part(p, PARAMS);
    char *image = read_part(p, IMAGE);
    for (int i = 0; i < p->c->floats; i++) {
        char wanted[4];
        format_store(elem_format, wanted, &params[i]);
        ck_assert_msg(memcmp(wanted, image + (size_t)i * size, size) == 0,
                      "%s: packed[%d] is not params[%d], rounded", p->c->name, i, i);
    }
    free(params);
    free(image);
}

static double *read_doubles(const struct parts *p, enum part part) {
    float *values = read_part(p, part);
    double *doubles = allocate((size_t)p->c->floats, sizeof *doubles, "a case");
    for (int i = 0; i < p->c->floats; i++) {
        doubles[i] = values[i];
    }
    free(values);
    return doubles;
}

// One step on the device, compared with a reference step from the device's state before it.
static void check_step(const struct parts *p, int step) {
    const struct whole_case *c = p->c;
    const struct step_state before = read_state(p->gpu);
    write_random(p, GRADS, 10 + (uint32_t)step, SPREADS[step] * before.scale);
    double *weights = read_doubles(p, PARAMS), *gradients = read_doubles(p, GRADS);
    double *means = read_doubles(p, MEANS), *squares = read_doubles(p, SQUARES), norm = 0;
    for (int i = 0; i < c->floats; i++) {
        gradients[i] /= before.scale;
        norm += gradients[i] * gradients[i];
    }
    norm = sqrt(norm);
    const double clip = fmin(1, SETTINGS.grad_clip / (norm + 1e-6));
    for (int i = 0; i < c->floats; i++) {
        update_weight(c, i, before.t + 1, gradients[i] * clip, &weights[i], &means[i], &squares[i]);
    }
    c->norm(p->gpu);
    c->update(p->gpu);
    const struct step_state after = read_state(p->gpu);
    const struct step_result *result = &after.ring[before.steps % STEP_RING];
    ck_assert_int_eq(after.steps, before.steps + 1);
    ck_assert_int_eq(after.t, before.t + 1);
    ck_assert_int_eq(result->t, before.t + 1);
    ck_assert_int_eq(result->skipped, 0);
    ck_assert_int_eq(after.blocks_done, 0);
    ck_assert(result->total == before.total && result->last == before.loss);
    ck_assert(result->scale == before.scale && after.scale == before.scale);
    ck_assert_msg(fabs(result->norm - norm) <= 1e-6 * norm, "%s: the norm is %.9g, wanted %.9g",
                  c->name, result->norm, norm);
    ck_assert(step == 0 || clip < 1);
    check_part(p, PARAMS, weights, step);
    if (strcmp(c->name, "sgd") != 0) {
        check_part(p, MEANS, means, step);
        check_part(p, SQUARES, squares, step);
    }
    check_image(p);
    free(weights);
    free(gradients);
    free(means);
    free(squares);
}

START_TEST(update_follows_the_reference) {
    const struct whole_case *c = &whole_cases[_i];
    void *first[PARTS];
    for (int way = 0; way < backend_ways(); way++) {
        backend_choose(way);
        struct parts p = parts_new(c, way == 1 ? CANARY : 0);
        const struct step_state state = fresh_state();
        write_state(p.gpu, &state);
        fill_parts(&p);
        for (int step = 0; step < STEPS; step++) {
            check_step(&p, step);
        }
        for (int i = 0; i < PARTS; i++) {
            void *now = read_part(&p, i);
            if (way == 0) {
                first[i] = now;
                continue;
            }
            ck_assert_msg(memcmp(first[i], now, p.at[i].bytes) == 0, "%s: part %d differs %s",
                          c->name, i, backend_way(way));
            free(now);
        }
        parts_free(&p);
    }
    for (int i = 0; i < PARTS; i++) {
        free(first[i]);
    }
}
END_TEST

// ---- gradients and losses that are not finite ---------------------------------------------------

// A step that may change only the counters; one that only tries must not change the scaler either.
static void check_unchanged(const struct whole_case *c, float gradient, double total,
                            int32_t only_try) {
    const bool skipped = !(fabsf(gradient) < 1e20f) || !isfinite(total);
    struct parts p = parts_new(c, 0);
    struct step_state before = fresh_state();
    before.set.only_try = only_try;
    before.total = total;
    before.t = before.good = 5;
    write_state(p.gpu, &before);
    fill_parts(&p);
    write_random(&p, GRADS, 10, 1);
    const size_t last = (size_t)(c->floats - 1) * sizeof(float);
    memory_write(p.at[GRADS].at + last, &gradient, sizeof gradient);
    void *start[PARTS];
    for (int i = 0; i < PARTS; i++) {
        start[i] = read_part(&p, i);
    }
    c->norm(p.gpu);
    c->update(p.gpu);
    const struct step_state after = read_state(p.gpu);
    ck_assert_int_eq(after.ring[0].skipped, skipped);
    ck_assert_int_eq(after.ring[0].t, 5);
    ck_assert_int_eq(after.t, 5);
    ck_assert_int_eq(after.steps, 1);
    if (elem_format == F16 && !only_try) { // the loss scaler backs off
        ck_assert(after.scale == before.scale / 2);
        ck_assert(after.ring[before.steps % STEP_RING].scale == after.scale); // what is saved
        ck_assert_int_eq(after.good, 0);
    } else {
        ck_assert(after.scale == before.scale);
        ck_assert_int_eq(after.good, elem_format == F16 ? 5 : after.good);
    }
    for (int i = 0; i < PARTS; i++) {
        void *now = read_part(&p, i);
        ck_assert_msg(memcmp(start[i], now, p.at[i].bytes) == 0,
                      "%s: part %d changes in a step that is skipped", c->name, i);
        free(now);
        free(start[i]);
    }
    parts_free(&p);
}

START_TEST(not_finite_is_skipped) {
    for (int32_t only_try = 0; only_try < 2; only_try++) {
        check_unchanged(&whole_cases[_i], NAN, 7.5, only_try);
        check_unchanged(&whole_cases[_i], -INFINITY, 7.5, only_try);
        check_unchanged(&whole_cases[_i], 2e20f, 7.5, only_try); // its square overflows
        check_unchanged(&whole_cases[_i], 1, NAN, only_try);
    }
    check_unchanged(&whole_cases[_i], 1, 7.5, 1);
}
END_TEST

// As PyTorch's GradScaler: twice the factor after 2,000 updates that were not skipped.
START_TEST(loss_scaler_grows) {
    const struct whole_case *c = &whole_cases[_i];
    struct parts p = parts_new(c, 0);
    struct step_state before = fresh_state();
    before.good = 1998;
    write_state(p.gpu, &before);
    fill_parts(&p);
    write_random(&p, GRADS, 10, 1);
    const bool scaled = elem_format == F16;
    for (int step = 1; step <= 2; step++) {
        c->norm(p.gpu);
        const struct step_state after = read_state(p.gpu);
        ck_assert(after.scale == before.scale * (scaled && step == 2 ? 2 : 1));
        ck_assert_msg(!scaled || after.good == (step == 2 ? 0 : 1999), "good is %lld",
                      (long long)after.good);
    }
    parts_free(&p);
}
END_TEST

// ---- the image, and the start of a micro-step ---------------------------------------------------

START_TEST(image_is_rounded) {
    const struct whole_case *c = &whole_cases[_i];
    struct parts p = parts_new(c, CANARY);
    fill_parts(&p);
    if (c->cast) {
        c->cast(p.gpu);
        CUDA_CHECK(cudaStreamSynchronize(p.gpu->stream));
    }
    check_image(&p);
    parts_free(&p);
}
END_TEST

// Micro-steps take the two slots alternately.
START_TEST(batches_are_taken) {
    const struct whole_case *c = &whole_cases[_i];
    struct gpu *gpu = backend_device();
    const size_t batch = (size_t)c->rows * sizeof(int32_t), bytes = STEP_INPUT_BYTES + 3 * batch;
    struct memory slots[2], to[3];
    char *slot[2];
    for (int s = 0; s < 2; s++) {
        slot[s] = allocate(1, bytes, "a case");
        for (size_t i = 0; i < bytes; i++) {
            slot[s][i] = (char)rng_bits(4, (uint32_t)s, (uint32_t)i, 0);
        }
        slots[s] = memory_new(bytes, CANARY);
        memory_write(slots[s].at, slot[s], bytes);
        gpu->staging[s] = slots[s].at;
    }
    for (int i = 0; i < 3; i++) {
        to[i] = memory_new(batch, CANARY);
    }
    gpu->tokens = (int32_t *)to[0].at;
    gpu->targets = (int32_t *)to[1].at;
    gpu->order = (int32_t *)to[2].at;
    struct step_state state = fresh_state();
    state.micro = 6;
    write_state(gpu, &state);
    for (int micro = 0; micro < 4; micro++) {
        char *got = allocate(1, batch, "a case");
        backend_choose(micro % backend_ways());
        c->take(gpu);
        state = read_state(gpu);
        ck_assert_int_eq(state.micro, 7 + micro);
        ck_assert_int_eq(state.blocks_done, 0);
        ck_assert(memcmp(&state.in, slot[micro % 2], sizeof state.in) == 0);
        for (int i = 0; i < 3; i++) {
            CUDA_CHECK(cudaMemcpy(got, to[i].at, batch, cudaMemcpyDeviceToHost));
            ck_assert(memcmp(got, slot[micro % 2] + STEP_INPUT_BYTES + i * batch, batch) == 0);
        }
        free(got);
    }
    for (int i = 0; i < 3; i++) {
        ck_assert(memory_free(&to[i]));
    }
    for (int s = 0; s < 2; s++) {
        ck_assert(memory_free(&slots[s]));
        free(slot[s]);
    }
}
END_TEST

static const char *whole_name(const char *function, int i) {
    static char name[128];
    snprintf(name, sizeof name, "%s, %s", whole_cases[i].name, function);
    return name;
}

const char *backend_family(void) {
    return whole_cases_count > 0 ? "optimizer" : NULL;
}

void backend_add_tests(struct TCase *family) {
#define ADD(test) tcase_add_named_loop_test(family, test, whole_name, 0, whole_cases_count)
    ADD(update_follows_the_reference);
    ADD(not_finite_is_skipped);
    ADD(loss_scaler_grows);
    ADD(image_is_rounded);
    ADD(batches_are_taken);
#undef ADD
    muon_add_tests(family);
}
