// test_parity.c: one emitted model against PyTorch. Linked with that model's train.o and the
// runtime.
//
//     test_parity GOLDEN.safetensors [once]    a golden file of the same config
//
// Batch 0's loss, each parameter's gradient, and the loss after the golden's optimizer updates must
// agree with PyTorch's; the results with 1 and 2 threads (on a device: of two runs) must be the
// same bytes, unless it is to run once. The distance of a trainer in bfloat16 or float16 may be at
// most twice that of PyTorch under autocast, which GOLDEN.autocast.json has. Prints one line for
// each problem, then a line of totals.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/sample/sample.h"
#include "runtime/train/train.h"

static const double LOSS_LIMIT = 1e-5;  // relative
static const double GRAD_LIMIT = 1e-4;  // relative, in L2, for each instance of each tensor
static const double AFTER_LIMIT = 1e-4; // relative: the loss after the updates

// A gradient that is zero except for rounding (softmax ignores what is added to all keys; attention
// over one token is constant) has no meaningful relative error. If a tensor's norm is below this
// share of the global gradient norm, its error is relative to that share.
static const double GRAD_FLOOR = 1e-3;

// How many times autocast's distance is allowed, if the model computes in less than float32.
static const double AUTOCAST_FACTOR = 2;

enum { BATCHES = 3, TENSORS = 512 };

// The distance of PyTorch under autocast from float64, and the losses in float64 that it is
// compared with.
struct autocast {
    bool used;
    double losses[BATCHES], losses_after[BATCHES]; // of each batch: at the start, after the updates
    double loss, after;                            // distances: relative, root of the mean square
    double grads[TENSORS], median;                 // of each tensor, as the golden file has them
};

struct golden {
    struct safetensors file;
    const char *name;
    const struct tensor_view *tokens, *targets; // (S, B, T): micro-step j takes batch j % S
    double loss, grad_norm, loss_after;
    int accumulation, updates;
    struct autocast autocast;
};

static int problems; // lines printed

#define problem(...) (problems++, printf(__VA_ARGS__), (void)putchar('\n'))

// ---- the golden file ----------------------------------------------------------------------------

static double golden_number(const struct golden *golden, const char *key) {
    const char *text = safetensors_metadata(&golden->file, key);
    char *end = NULL;
    double value = text ? strtod(text, &end) : 0;
    if (!text || end == text || *end || !isfinite(value)) {
        die(EXIT_DATA, "%s: metadata %s is \"%s\", wanted a number", golden->file.path, key,
            text ? text : "");
    }
    return value;
}

// A (S, B, T) tensor of whole numbers in [low, V).
static const struct tensor_view *golden_batches(const struct golden *golden, const char *name,
                                                int low) {
    const struct tensor_view *view = safetensors_find(&golden->file, name);
    if (!view || view->ndim != 3 || view->dims[0] < 1 || view->dims[1] != model_info.batch_size ||
        view->dims[2] != model_info.block_size) {
        die(EXIT_DATA, "%s: %s is missing or not (S, %d, %d)", golden->file.path, name,
            model_info.batch_size, model_info.block_size);
    }
    for (int64_t i = 0; i < (int64_t)(view->bytes / sizeof(float)); i++) {
        float value = view->data[i];
        if (!(value >= (float)low && value < (float)model_info.vocab_size) ||
            value != floorf(value)) {
            die(EXIT_DATA, "%s: %s[%lld] is %g, wanted a token below %d", golden->file.path, name,
                (long long)i, value, model_info.vocab_size);
        }
    }
    return view;
}

// The distances under autocast: GOLDEN.autocast.json.
static double autocast_number(const struct golden *golden, const struct json *json, int value) {
    int64_t billionths;
    if (!json_integer(json, value, &billionths)) {
        die(EXIT_DATA, "%s: its .autocast.json lacks a number", golden->file.path);
    }
    return (double)billionths * 1e-9;
}

static void autocast_losses(const struct golden *golden, const struct json *json, int object,
                            const char *key, double losses[BATCHES]) {
    for (int i = 0; i < BATCHES; i++) {
        int list = json_get(json, object, key);
        losses[i] = autocast_number(golden, json, list < 0 ? -1 : json_element(json, list, i));
    }
}

static double root_mean_square(const double x[BATCHES]) {
    double sum = 0;
    for (int i = 0; i < BATCHES; i++) {
        sum += x[i] * x[i];
    }
    return sqrt(sum / BATCHES);
}

static int compare_doubles(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static char *read_text(const char *path) {
    FILE *file = fopen(path, "rb");
    char *text = calloc(1, 1 << 16);
    if (!file || !text || fread(text, 1, (1 << 16) - 1, file) == 0) {
        die(EXIT_MISSING, "%s: cannot read it", path);
    }
    fclose(file);
    return text;
}

static void autocast_open(struct golden *golden, const char *path) {
    struct autocast *autocast = &golden->autocast;
    autocast->used = strcmp(model_info.dtype, "float32") != 0;
    if (!autocast->used) {
        return;
    }
    if (golden->file.count > TENSORS) {
        die(EXIT_DATA, "%s: more than %d tensors", path, TENSORS);
    }
    char name[512];
    snprintf(name, sizeof name, "%.*s.autocast.json", (int)(strlen(path) - strlen(".safetensors")),
             path);
    char *text = read_text(name);
    const char *error;
    struct json *json = json_parse(text, strlen(text), &error);
    if (!json) {
        die(EXIT_DATA, "%s: %s", name, error);
    }
    const int all = json_get(json, 0, "billionths"), type = json_get(json, all, model_info.dtype);
    const int grads = json_get(json, type, "grads");
    double sorted[TENSORS];
    autocast_losses(golden, json, all, "losses", autocast->losses);
    autocast_losses(golden, json, all, "losses_after", autocast->losses_after);
    autocast->loss = autocast_number(golden, json, json_get(json, type, "losses"));
    autocast->after = autocast_number(golden, json, json_get(json, type, "losses_after"));
    int count = 0;
    for (int i = 0; i < golden->file.count; i++) {
        const char *tensor = golden->file.tensors[i].name;
        if (strncmp(tensor, "grad.", 5) == 0) {
            autocast->grads[i] = autocast_number(golden, json, json_get(json, grads, tensor + 5));
            sorted[count++] = autocast->grads[i];
        }
    }
    qsort(sorted, (size_t)count, sizeof *sorted, compare_doubles);
    autocast->median = sorted[count / 2];
    json_free(json);
    free(text);
}

// Settings that both the golden file and the model state must agree.
static void golden_check_config(const struct golden *golden) {
    const char *text = safetensors_metadata(&golden->file, "config");
    struct pair wanted, got;
    while (text && pairs_next(&text, &wanted)) {
        if (pairs_find(model_info.config, wanted.key, wanted.key_length, &got) &&
            (got.value_length != wanted.value_length ||
             memcmp(got.value, wanted.value, (size_t)got.value_length) != 0)) {
            die(EXIT_DATA, "%s: made with %.*s, this model is built with %.*s=%.*s",
                golden->file.path, wanted.key_length + 1 + wanted.value_length, wanted.key,
                got.key_length, got.key, got.value_length, got.value);
        }
    }
}

static void golden_open(struct golden *golden, const char *path) {
    char error[512];
    enum exit_code code;
    if (!safetensors_open(&golden->file, path, error, &code)) {
        die(code, "%s", error);
    }
    golden->name = safetensors_metadata(&golden->file, "name");
    if (!golden->name) {
        die(EXIT_DATA, "%s: metadata has no name: not a golden file", path);
    }
    golden_check_config(golden);
    golden->tokens = golden_batches(golden, "tokens", 0);
    golden->targets = golden_batches(golden, "targets", -1);
    if (golden->tokens->dims[0] != BATCHES || golden->targets->dims[0] != BATCHES) {
        die(EXIT_DATA, "%s: tokens or targets are not of %d batches", path, BATCHES);
    }
    golden->loss = golden_number(golden, "loss");
    golden->grad_norm = golden_number(golden, "grad_norm");
    golden->loss_after = golden_number(golden, "loss_after");
    golden->accumulation = (int)golden_number(golden, "gradient_accumulation_steps");
    golden->updates = (int)golden_number(golden, "updates");
    if (golden->accumulation < 1 || golden->updates < 1) {
        die(EXIT_DATA, "%s: accumulation and updates are below 1", path);
    }
    autocast_open(golden, path);
}

// The settings of its updates.
static struct run golden_run(const struct golden *golden) {
    struct run run = run_defaults;
    run.learning_rate = golden_number(golden, "learning_rate");
    run.beta1 = golden_number(golden, "beta1");
    run.beta2 = golden_number(golden, "beta2");
    run.eps = golden_number(golden, "eps");
    run.weight_decay = golden_number(golden, "weight_decay");
    run.grad_clip = golden_number(golden, "grad_clip");
    if (model_info.optimizer == OPTIMIZER_MUON) {
        run.muon_learning_rate = golden_number(golden, "muon_learning_rate");
        run.muon_momentum = golden_number(golden, "muon_momentum");
        run.muon_weight_decay = golden_number(golden, "muon_weight_decay");
        run.muon_adjust = safetensors_metadata(&golden->file, "muon_adjust");
    }
    const struct {
        const char *key;
        double *value;
    } of_groups[] = {
        {"embd_learning_rate", &run.embd_learning_rate},
        {"embd_beta1", &run.embd_beta1},
        {"embd_beta2", &run.embd_beta2},
        {"embd_weight_decay", &run.embd_weight_decay},
        {"head_learning_rate", &run.head_learning_rate},
        {"head_beta1", &run.head_beta1},
        {"head_beta2", &run.head_beta2},
        {"head_weight_decay", &run.head_weight_decay},
        {"vector_learning_rate", &run.vector_learning_rate},
        {"vector_beta1", &run.vector_beta1},
        {"vector_beta2", &run.vector_beta2},
        {"vector_weight_decay", &run.vector_weight_decay},
    };
    for (size_t i = 0; i < sizeof of_groups / sizeof of_groups[0]; i++) {
        const bool stated = safetensors_metadata(&golden->file, of_groups[i].key) != NULL;
        *of_groups[i].value = stated ? golden_number(golden, of_groups[i].key) : -1;
    }
    return run;
}

// The tensor PREFIX.NAME of one instance of a parameter, which must have the parameter's shape.
static const struct tensor_view *golden_find(const struct golden *golden, const char *prefix,
                                             const struct param *param, int layer) {
    char name[256];
    size_t length = (size_t)snprintf(name, sizeof name, "%s.", prefix);
    const char *hole = strstr(param->name, "%d");
    if (hole) {
        snprintf(name + length, sizeof name - length, "%.*s%d%s", (int)(hole - param->name),
                 param->name, layer, hole + 2);
    } else {
        snprintf(name + length, sizeof name - length, "%s", param->name);
    }
    const struct tensor_view *view = safetensors_find(&golden->file, name);
    if (!view) {
        die(EXIT_DATA, "%s: no %s, which the model has; is it this config's?", golden->file.path,
            name);
    }
    bool same = view->ndim == param->ndim;
    for (int axis = 0; same && axis < param->ndim; axis++) {
        same = view->dims[axis] == param->dims[axis];
    }
    if (!same) {
        die(EXIT_DATA, "%s: %s has another shape than the model's", golden->file.path, name);
    }
    return view;
}

// Copies the weights into the model. The file must have every parameter and no other.
static void golden_load(const struct golden *golden, struct model *m) {
    int wanted = 0, found = 0;
    for (int i = 0; i < model_info.params_count; i++) {
        const struct param *param = &model_info.params[i];
        for (int layer = 0; layer < param->layers && !param->copy; layer++, found++) {
            const struct tensor_view *view = golden_find(golden, "param", param, layer);
            memcpy(m->params + param->offset + layer * param->stride, view->data, view->bytes);
        }
    }
    for (int i = 0; i < golden->file.count; i++) {
        wanted += strncmp(golden->file.tensors[i].name, "param.", 6) == 0;
    }
    if (found != wanted) {
        die(EXIT_DATA, "%s: %d parameters, the model has %d; is it this config's?",
            golden->file.path, wanted, found);
    }
}

// ---- the model ----------------------------------------------------------------------------------

static void take_batch(struct model *m, const struct golden *golden, int64_t batch) {
    int64_t rows = (int64_t)model_info.batch_size * model_info.block_size;
    const float *tokens = golden->tokens->data + batch * rows;
    const float *targets = golden->targets->data + batch * rows;
    for (int64_t i = 0; i < rows; i++) {
        m->tokens[i] = (int32_t)tokens[i];
        m->targets[i] = (int32_t)targets[i];
    }
    m->dropout = 0;
}

// The loss of each batch, without gradients.
static void evaluate(struct model *m, const struct golden *golden, double losses[BATCHES]) {
    for (int batch = 0; batch < BATCHES; batch++) {
        take_batch(m, golden, batch);
        step_loss(m, &model_info, true);
        losses[batch] = step_total(m);
    }
}

// Gradients of one update from its micro-steps. Returns the first one's loss.
static double accumulate(struct model *m, const struct golden *golden, int update) {
    double first = NAN;
    for (int micro = 0; micro < golden->accumulation; micro++) {
        int64_t step = (int64_t)update * golden->accumulation + micro;
        take_batch(m, golden, step % BATCHES);
        step_gradients(m, &model_info, golden->accumulation, micro == 0);
        if (micro == 0) {
            first = step_total(m);
        }
    }
    return first;
}

// ---- comparisons --------------------------------------------------------------------------------

static double relative(double got, double wanted) {
    return fabs(got - wanted) / fabs(wanted);
}

static void check_number(const char *name, int threads, const char *what, double got, double wanted,
                         double limit) {
    if (!(relative(got, wanted) <= limit)) { // NaN is a problem
        problem("%s: %d threads: %s is %.9g, PyTorch's is %.9g: %.1e apart, wanted %.0e", name,
                threads, what, got, wanted, relative(got, wanted), limit);
    }
}

// Under autocast: compares the batches' distances together, since one loss may be right by chance.
static double check_losses(const struct golden *golden, int threads, const char *what,
                           const double got[BATCHES], const double wanted[BATCHES], double limit) {
    double distances[BATCHES];
    for (int i = 0; i < BATCHES; i++) {
        distances[i] = relative(got[i], wanted[i]);
    }
    const double distance = root_mean_square(distances);
    if (!(distance <= limit)) {
        problem("%s: %d threads: %s are %.1e away, wanted %.1e", golden->name, threads, what,
                distance, limit);
    }
    return distance / limit;
}

// Compares each gradient tensor, and all of them together. Returns the worst relative error; under
// autocast, the worst share of the allowed distance.
static double check_grads(const struct golden *golden, const struct model *m, int threads) {
    const struct autocast *autocast = &golden->autocast;
    double worst = 0, all = 0, all_allowed = 0;
    for (int i = 0; i < model_info.params_count; i++) {
        const struct param *param = &model_info.params[i];
        for (int layer = 0; layer < param->layers && !param->copy; layer++) {
            const struct tensor_view *view = golden_find(golden, "grad", param, layer);
            const float *got = m->grads + param->offset + layer * param->stride;
            double error = 0, norm = 0, limit = GRAD_LIMIT;
            for (int64_t e = 0; e < (int64_t)(view->bytes / sizeof(float)); e++) {
                double wanted = view->data[e], apart = got[e] - wanted;
                error += apart * apart;
                norm += wanted * wanted;
            }
            const double size = fmax(sqrt(norm), GRAD_FLOOR * golden->grad_norm);
            if (autocast->used) {
                // Autocast leaves some tensors nearly exact: those that no rounded activation
                // reaches. The median is the usual distance of a tensor of this model.
                const double distance = autocast->grads[view - golden->file.tensors];
                limit = AUTOCAST_FACTOR * fmax(distance, autocast->median);
                all_allowed += pow(AUTOCAST_FACTOR * distance * size, 2);
            }
            all += error;
            error = sqrt(error) / size;
            if (!(error <= limit)) {
                problem("%s: %d threads: %s (norm %.3g) is off by %.1e, wanted %.1e", golden->name,
                        threads, view->name, sqrt(norm), error, limit);
            }
            error = autocast->used ? error / limit : error;
            worst = error > worst || isnan(error) ? error : worst;
        }
    }
    if (autocast->used && !(all <= all_allowed)) {
        problem("%s: %d threads: the gradients together are off by %.1e, wanted %.1e", golden->name,
                threads, sqrt(all) / golden->grad_norm, sqrt(all_allowed) / golden->grad_norm);
    }
    return worst;
}

// ---- one run ------------------------------------------------------------------------------------

// The results of a run, by which thread counts are compared.
struct result {
    double loss, grad_norm, losses[BATCHES], losses_after[BATCHES];
    double worst_grad, worst_loss, worst_after;
    float *grads, *params; // (state_floats): after the first accumulation, after the updates
};

static float *copy_floats(const float *from) {
    size_t bytes = sizeof(float) * (size_t)model_info.state_floats;
    float *to = malloc(bytes);
    if (!to) {
        die(EXIT_MEMORY, "test_parity: no memory for %zu bytes", bytes);
    }
    return memcpy(to, from, bytes);
}

static void check_float32(const struct golden *golden, int threads, struct result *r) {
    check_number(golden->name, threads, "the loss", r->loss, golden->loss, LOSS_LIMIT);
    check_number(golden->name, threads, "the evaluated loss", r->losses[0], golden->loss,
                 LOSS_LIMIT);
    check_number(golden->name, threads, "the gradient norm", r->grad_norm, golden->grad_norm,
                 GRAD_LIMIT);
    check_number(golden->name, threads, "the loss after the updates", r->losses_after[0],
                 golden->loss_after, AFTER_LIMIT);
    r->worst_loss = relative(r->loss, golden->loss);
    r->worst_after = relative(r->losses_after[0], golden->loss_after);
}

static void check_autocast(const struct golden *golden, int threads, struct result *r) {
    const struct autocast *autocast = &golden->autocast;
    // Training computes what evaluation does.
    check_number(golden->name, threads, "the loss", r->loss, r->losses[0], 0);
    r->worst_loss = check_losses(golden, threads, "the losses", r->losses, autocast->losses,
                                 AUTOCAST_FACTOR * autocast->loss);
    r->worst_after = check_losses(golden, threads, "the losses after the updates", r->losses_after,
                                  autocast->losses_after, AUTOCAST_FACTOR * autocast->after);
}

static struct result run(const struct golden *golden, int threads) {
    struct result result = {0};
    struct model m;
    int got = parallel_threads(threads);
    if (got != threads) {
        problem("%s: asked for %d threads, got %d", golden->name, threads, got);
    }
    model_create(&m, &model_info, true);
    golden_load(golden, &m);
    step_begin(&m, &model_info, 0, 0, 0);
    const struct run run = golden_run(golden);
    const struct step_settings settings = schedule_settings(&run, run.learning_rate, 0);

    evaluate(&m, golden, result.losses);
    for (int update = 0, skipped = 0; update < golden->updates;) {
        double loss = accumulate(&m, golden, update);
        if (update == 0) {
            step_fetch_grads(&m, &model_info);
        }
        step_update(&m, &model_info, &settings, update + 1);
        const struct step_result step = step_wait(&m);
        if (step.skipped) { // by float16's loss scaler, which then halves its scale
            if (strcmp(model_info.dtype, "float16") != 0 || ++skipped > 30) {
                problem("%s: update %d is skipped", golden->name, update);
                break;
            }
            continue;
        }
        if (update == 0) {
            result.loss = loss;
            result.grad_norm = step.norm;
            result.grads = copy_floats(m.grads);
            result.worst_grad = check_grads(golden, &m, threads);
        }
        update++;
    }
    evaluate(&m, golden, result.losses_after);
    step_fetch(&m, &model_info);
    result.params = copy_floats(m.params);
    if (golden->autocast.used) {
        check_autocast(golden, threads, &result);
    } else {
        check_float32(golden, threads, &result);
    }
    model_destroy(&m);
    return result;
}

// Which of two runs' results differ in any byte.
static void check_same(const char *name, const struct result *a, const struct result *b) {
    size_t bytes = sizeof(float) * (size_t)model_info.state_floats;
    if (memcmp(&a->loss, &b->loss, sizeof a->loss) != 0 ||
        memcmp(a->losses, b->losses, sizeof a->losses) != 0 ||
        memcmp(&a->grad_norm, &b->grad_norm, sizeof a->grad_norm) != 0 ||
        memcmp(a->losses_after, b->losses_after, sizeof a->losses_after) != 0) {
        problem("%s: a loss or the gradient norm differs between 1 and 2 threads", name);
    }
    if (!a->grads || !b->grads || memcmp(a->grads, b->grads, bytes) != 0) {
        problem("%s: the gradients differ between 1 and 2 threads", name);
    }
    if (memcmp(a->params, b->params, bytes) != 0) {
        problem("%s: the weights after the updates differ between 1 and 2 threads", name);
    }
}

int main(int argc, char **argv) {
    const bool once = argc == 3 && strcmp(argv[2], "once") == 0;
    if (argc != 2 && !once) {
        die(EXIT_USAGE, "test_parity: wanted: test_parity GOLDEN.safetensors [once]");
    }
    struct golden golden = {0};
    golden_open(&golden, argv[1]);
    struct result one = run(&golden, 1);
    if (!once) {
        struct result two = run(&golden, 2);
        check_same(golden.name, &one, &two);
        free(two.grads);
        free(two.params);
    }
    printf("%s: loss %s%.1e, worst grad %.1e, after %d %.1e: %s\n", golden.name,
           golden.autocast.used ? "of what is allowed " : "rel ", one.worst_loss, one.worst_grad,
           golden.updates, one.worst_after, problems ? "FAILED" : "ok");
    free(one.grads);
    free(one.params);
    safetensors_close(&golden.file);
    return problems ? 1 : 0;
}
