// gradcheck.c: compares a trainer's gradients with finite differences of its own loss, tensor by
// tensor.
//
// For a change d of one tensor, the loss should change by the sum of gradient * d. Kinds of d:
//   along    the gradient, in a random half of its entries: a sharp test of their sizes
//   signs    the same size everywhere with random signs: finds missing gradients
//   entries  single entries: the one with the largest gradient, and random ones
// The loss is computed in float, so a change must be large to stand out from rounding, and is then
// no longer linear. Two step sizes are combined so that the cubic term cancels (Richardson:
// (8 f(h) - f(2h)) / 6, with f(h) the loss at +h minus the loss at -h).
//
// A trainer whose products round their factors has a loss that is constant between its steps, so
// that differences say nothing: it is refused, and held against PyTorch's numbers instead.
//
// A tensor is right if the predicted and the measured change differ by less than TOLERANCE of the
// change's expected size plus NOISE of the loss, which allows for float's rounding. relu has a
// wider TOLERANCE, since every step crosses some of its kinks. The weights are random and larger
// than a fresh model's, so that all gradients are large enough to measure.
#include "runtime/train/train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double GRADCHECK_TOLERANCE = 0.02, GRADCHECK_TOLERANCE_KINKS = 0.08;
static const double GRADCHECK_NOISE = 1e-6;
static const double GRADCHECK_CHANGE = 0.01; // target change of the loss along the gradient
static const double GRADCHECK_SMALLER = 3;   // factor from one step size to the next

enum { GRADCHECK_ENTRIES = 3 };

struct gradcheck {
    struct model m;
    const struct model_info *info;
    double tolerance;
    uint32_t seed, draws;
    float *kept, *change;  // the tensor's values, and d
    float *values;         // the tensor, in m.params
    const float *gradient; // in m.grads
    int64_t count;         // its elements
    double size;           // root mean square of its values
    double norm;           // L2 norm of its gradient
};

static uint64_t gradcheck_random(struct gradcheck *g) {
    return rng_bits(g->seed, RNG_BENCH, g->draws++, 1);
}

// The loss at kept + h * d minus the loss at kept - h * d. *predicted is the sum of gradient times
// the change, as float rounds it.
static double gradcheck_difference(struct gradcheck *g, double h, double *predicted) {
    *predicted = 0;
    double loss[2];
    for (int side = 0; side < 2; side++) {
        double sign = side == 0 ? 1 : -1;
        for (int64_t i = 0; i < g->count; i++) {
            g->values[i] = (float)(g->kept[i] + sign * h * g->change[i]);
            *predicted += sign * ((double)g->values[i] - g->kept[i]) * g->gradient[i];
        }
        g->m.imaged = false;
        step_loss(&g->m, g->info, true);
        loss[side] = g->m.loss;
    }
    memcpy(g->values, g->kept, (size_t)g->count * sizeof(float));
    return loss[0] - loss[1];
}

// The difference of measured and predicted change as a fraction of what is allowed: right up to 1.
// `expected` is the typical size of a predicted change of this kind at step h. Smaller steps are
// tried while rounding is at most TOLERANCE of the change: a right gradient agrees at one of them,
// a wrong one at none.
static double gradcheck_error(struct gradcheck *g, double h, double expected) {
    const double noise = GRADCHECK_NOISE * (1 + fabs(g->m.loss));
    double least = HUGE_VAL;
    do {
        double near_predicted, far_predicted;
        double near = gradcheck_difference(g, h, &near_predicted);
        double far = gradcheck_difference(g, 2 * h, &far_predicted);
        double measured = (8 * near - far) / 6,
               predicted = (8 * near_predicted - far_predicted) / 6;
        double error = fabs(measured - predicted) / (g->tolerance * expected + noise);
        least = isfinite(error) && error < least ? error : least;
        h /= GRADCHECK_SMALLER;
        expected /= GRADCHECK_SMALLER;
    } while (least > 1 && noise <= g->tolerance * expected);
    return least;
}

static double gradcheck_along(struct gradcheck *g) {
    double most = 0.05 * g->size * sqrt((double)g->count) + 1e-3; // small compared with the tensor
    double h = g->norm > 0 ? GRADCHECK_CHANGE / g->norm : most;
    for (int64_t i = 0; i < g->count; i++) {
        bool in = gradcheck_random(g) & 1;
        g->change[i] = in && g->norm > 0 ? (float)(g->gradient[i] / g->norm) : 0;
    }
    h = h < most ? h : most;
    return gradcheck_error(g, h, h * g->norm);
}

static double gradcheck_signs(struct gradcheck *g) {
    double h = 0.05 * g->size + 1e-3;
    for (int64_t i = 0; i < g->count; i++) {
        g->change[i] = gradcheck_random(g) & 1 ? 1 : -1;
    }
    return gradcheck_error(g, h, 2 * h * g->norm);
}

static double gradcheck_entries(struct gradcheck *g) {
    int64_t largest = 0;
    for (int64_t i = 1; i < g->count; i++) {
        largest = fabsf(g->gradient[i]) > fabsf(g->gradient[largest]) ? i : largest;
    }
    double worst = 0, h = 0.3 * g->size + 1e-3;
    double typical = g->norm / sqrt((double)g->count);
    for (int entry = 0; entry < GRADCHECK_ENTRIES; entry++) {
        int64_t i =
            entry == 0 ? largest : (int64_t)rng_below(gradcheck_random(g), (uint64_t)g->count);
        memset(g->change, 0, (size_t)g->count * sizeof(float));
        g->change[i] = 1;
        double error = gradcheck_error(g, h, 2 * h * (fabs(g->gradient[i]) + typical));
        worst = error > worst ? error : worst;
    }
    return worst;
}

// Checks one tensor and prints a line. Returns whether it is right.
static bool gradcheck_tensor(struct gradcheck *g, const struct param *param, int layer) {
    int64_t place = param->offset + layer * param->stride;
    g->count = param->dims[0] * param->dims[1];
    g->values = g->m.params + place;
    g->gradient = g->m.grads + place;
    memcpy(g->kept, g->values, (size_t)g->count * sizeof(float));
    double squares = 0, gradient_squares = 0;
    for (int64_t i = 0; i < g->count; i++) {
        squares += (double)g->kept[i] * g->kept[i];
        gradient_squares += (double)g->gradient[i] * g->gradient[i];
    }
    g->size = sqrt(squares / (double)g->count);
    g->norm = sqrt(gradient_squares);
    double along = gradcheck_along(g), signs = gradcheck_signs(g), entries = gradcheck_entries(g);
    bool right = along <= 1 && signs <= 1 && entries <= 1 && isfinite(g->norm);
    char name[PARAM_NAME];
    param_name(param, layer, "", name);
    printf("%-5s %-40s norm %.3e  along %.2f  signs %.2f  entries %.2f\n", right ? "ok" : "WRONG",
           name, g->norm, along, signs, entries);
    return right;
}

// Sets the weights: matrices with rows of length about 1, vectors near their initial values.
static void gradcheck_weights(struct gradcheck *g) {
    const struct model_info *info = g->info;
    model_init(&g->m, info, g->seed);
    for (int i = 0; i < info->params_count; i++) {
        const struct param *param = &info->params[i];
        for (int layer = 0; layer < param->layers && !param->copy; layer++) {
            float *values = g->m.params + param->offset + layer * param->stride;
            for (int64_t e = 0; e < param->dims[0] * param->dims[1]; e++) {
                double x = rng_normal(gradcheck_random(g));
                values[e] = param->ndim == 2 ? (float)(x / sqrt((double)param->dims[1]))
                                             : values[e] + (float)(0.1 * x);
            }
        }
    }
}

// Makes random tokens and targets; every seventh target is ignored.
static void gradcheck_batch(struct gradcheck *g) {
    uint64_t vocab_size = (uint64_t)g->info->vocab_size;
    for (int i = 0; i < g->info->batch_size * g->info->block_size; i++) {
        g->m.tokens[i] = (int32_t)rng_below(gradcheck_random(g), vocab_size);
        g->m.targets[i] = i % 7 == 6 ? -1 : (int32_t)rng_below(gradcheck_random(g), vocab_size);
    }
}

int main(int argc, char **argv) {
    streams_open();
    struct run run = run_defaults;
    if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
        printf("gradcheck takes the trainer's flags, of which --seed, --threads and --dropout have "
               "an effect:\n");
    }
    options_parse(&run, argc, argv);
    if (model_info.bf16) {
        die(EXIT_USAGE,
            "gradcheck: dtype is %s, whose loss is too coarse for differences; build "
            "it with dtype=float32",
            model_info.dtype);
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    parallel_choose((int)run.threads);
    struct gradcheck g = {.info = &model_info, .seed = (uint32_t)run.seed};
    const bool kinks = strstr(g.info->config, "activation=relu") != NULL;
    g.tolerance = kinks ? GRADCHECK_TOLERANCE_KINKS : GRADCHECK_TOLERANCE;
    model_create(&g.m, g.info, false);
    int64_t largest = 0;
    for (int i = 0; i < g.info->params_count; i++) {
        int64_t count = g.info->params[i].dims[0] * g.info->params[i].dims[1];
        largest = count > largest ? count : largest;
    }
    g.kept = allocate((size_t)largest, sizeof(float), "a copy of a tensor");
    g.change = allocate((size_t)largest, sizeof(float), "a copy of a tensor");
    gradcheck_weights(&g);
    gradcheck_batch(&g);
    g.m.dropout = g.info->dropout ? (float)(run.dropout > 0 ? run.dropout : 0.1) : 0;
    g.m.dropout_key[0] = g.seed; // the same dropout masks for every loss
    g.m.dropout_key[1] = RNG_DROPOUT;
    step_gradients(&g.m, g.info, 1, true);
    printf("%s: %s\nloss %.6f; errors of 1 are the largest allowed\n", run_config_name,
           g.info->title, g.m.loss);
    int tensors = 0, wrong = 0;
    for (int i = 0; i < g.info->params_count; i++) {
        const struct param *param = &g.info->params[i];
        for (int layer = 0; layer < param->layers && !param->copy; layer++) {
            wrong += !gradcheck_tensor(&g, param, layer);
            tensors++;
        }
    }
    printf("%d of %d tensors are right\n", tensors - wrong, tensors);
    free(g.kept);
    free(g.change);
    model_destroy(&g.m);
    return streams_close(wrong ? EXIT_INTERNAL : EXIT_DONE);
}
