// test_parity.c: one emitted model against PyTorch. Linked with that model's train.o and the runtime.
//
//     test_parity GOLDEN.safetensors     a golden file of the same config, from tests/reference
//
// Batch 0's loss, each parameter's gradient, and the loss after the golden's optimizer updates must
// be PyTorch's; the same with 1 and 2 threads, to the byte. One line a problem, then one line in all.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/runtime.h"

static const double LOSS_LIMIT = 1e-5;  // relative
static const double GRAD_LIMIT = 1e-4;  // relative, in L2, for each instance of each tensor
static const double AFTER_LIMIT = 1e-4; // relative: the loss after the updates

// A gradient that is zero but for rounding (softmax ignores what is added to all keys; attention
// over one token is constant) has no relative error of its own. Below this share of the global
// gradient norm, a tensor's error is measured against that share.
static const double GRAD_FLOOR = 1e-3;

struct golden {
    struct safetensors file;
    const char *name;
    const struct tensor_view *tokens, *targets; // (S, B, T): micro-step j takes batch j % S
    double loss, grad_norm, loss_after;
    double learning_rate, beta1, beta2, eps, weight_decay, grad_clip;
    int accumulation, updates;
};

static int problems; // lines printed

#define problem(...) (problems++, printf(__VA_ARGS__), (void)putchar('\n'))

// ---- the golden file -----------------------------------------------------------------------------

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

// What golden and model both say of the config must agree.
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
    if (golden->tokens->dims[0] != golden->targets->dims[0]) {
        die(EXIT_DATA, "%s: tokens and targets have different numbers of batches", path);
    }
    golden->loss = golden_number(golden, "loss");
    golden->grad_norm = golden_number(golden, "grad_norm");
    golden->loss_after = golden_number(golden, "loss_after");
    golden->learning_rate = golden_number(golden, "learning_rate");
    golden->beta1 = golden_number(golden, "beta1");
    golden->beta2 = golden_number(golden, "beta2");
    golden->eps = golden_number(golden, "eps");
    golden->weight_decay = golden_number(golden, "weight_decay");
    golden->grad_clip = golden_number(golden, "grad_clip");
    golden->accumulation = (int)golden_number(golden, "gradient_accumulation_steps");
    golden->updates = (int)golden_number(golden, "updates");
    if (golden->accumulation < 1 || golden->updates < 1) {
        die(EXIT_DATA, "%s: accumulation and updates are below 1", path);
    }
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

// Copies the weights in. Every parameter is in the file, and the file has no other.
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

// ---- the model -----------------------------------------------------------------------------------

enum pass { PASS_EVALUATE, PASS_TRAIN };
struct pass_context {
    struct model *model;
    enum pass pass;
};

static void pass_thread(void *context, int thread, int threads) {
    const struct pass_context *c = context;
    model_prepare(c->model, thread, threads);
    model_forward(c->model, thread, threads);
    if (c->pass == PASS_TRAIN) {
        model_backward(c->model, thread, threads);
    } else {
        model_loss(c->model, thread, threads);
    }
}

// Runs one batch and returns its loss.
static double pass_run(struct model *m, const struct golden *golden, int64_t batch,
                       enum pass pass) {
    int64_t rows = (int64_t)model_info.batch_size * model_info.block_size, counted = 0;
    const float *tokens = golden->tokens->data + batch * rows;
    const float *targets = golden->targets->data + batch * rows;
    for (int64_t i = 0; i < rows; i++) {
        m->tokens[i] = (int32_t)tokens[i];
        m->targets[i] = (int32_t)targets[i];
        counted += m->targets[i] >= 0;
    }
    m->loss_scale = (float)(1.0 / ((double)counted * golden->accumulation));
    m->dropout = 0;
    m->loss = NAN;
    parallel_run(pass_thread, &(struct pass_context){m, pass});
    return m->loss;
}

// Gradients of one update from its micro-steps. Returns the first one's loss.
static double accumulate(struct model *m, const struct golden *golden, int update) {
    double first = NAN;
    memset(m->grads, 0, sizeof(float) * (size_t)model_info.state_floats);
    for (int micro = 0; micro < golden->accumulation; micro++) {
        int64_t step = (int64_t)update * golden->accumulation + micro;
        double loss = pass_run(m, golden, step % golden->tokens->dims[0], PASS_TRAIN);
        first = micro == 0 ? loss : first;
    }
    return first;
}

// ---- what is compared ----------------------------------------------------------------------------

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

// Compares each gradient tensor and returns the worst relative error.
static double check_grads(const struct golden *golden, const struct model *m, int threads) {
    double worst = 0;
    for (int i = 0; i < model_info.params_count; i++) {
        const struct param *param = &model_info.params[i];
        for (int layer = 0; layer < param->layers && !param->copy; layer++) {
            const struct tensor_view *view = golden_find(golden, "grad", param, layer);
            const float *got = m->grads + param->offset + layer * param->stride;
            double error = 0, norm = 0;
            for (int64_t e = 0; e < (int64_t)(view->bytes / sizeof(float)); e++) {
                double wanted = view->data[e], apart = got[e] - wanted;
                error += apart * apart;
                norm += wanted * wanted;
            }
            error = sqrt(error) / fmax(sqrt(norm), GRAD_FLOOR * golden->grad_norm);
            if (!(error <= GRAD_LIMIT)) {
                problem("%s: %d threads: %s (norm %.3g) is off by %.1e, wanted %.0e", golden->name,
                        threads, view->name, sqrt(norm), error, GRAD_LIMIT);
            }
            worst = error > worst || isnan(error) ? error : worst;
        }
    }
    return worst;
}

// ---- one run -------------------------------------------------------------------------------------

// What a run leaves behind, to compare thread counts by.
struct result {
    double loss, eval_loss, grad_norm, loss_after;
    double worst_grad;
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

static struct result run(const struct golden *golden, int threads) {
    struct result result = {0};
    struct model m;
    int got = parallel_threads(threads);
    if (got != threads) {
        problem("%s: asked for %d threads, got %d", golden->name, threads, got);
    }
    model_create(&m, &model_info, true);
    golden_load(golden, &m);

    result.eval_loss = pass_run(&m, golden, 0, PASS_EVALUATE);
    for (int update = 0; update < golden->updates; update++) {
        double loss = accumulate(&m, golden, update);
        double norm = optimizer_grad_norm(&m, &model_info);
        if (update == 0) {
            result.loss = loss;
            result.grad_norm = norm;
            result.grads = copy_floats(m.grads);
            result.worst_grad = check_grads(golden, &m, threads);
        }
        // As torch.nn.utils.clip_grad_norm_; a clip of 0 is none.
        double clip = golden->grad_clip > 0 ? fmin(1.0, golden->grad_clip / (norm + 1e-6)) : 1.0;
        struct optimizer_step step = {.learning_rate = golden->learning_rate,
                                      .beta1 = golden->beta1,
                                      .beta2 = golden->beta2,
                                      .eps = golden->eps,
                                      .weight_decay = golden->weight_decay,
                                      .t = update + 1,
                                      .scale = clip};
        optimizer_update(&m, &model_info, &step);
    }
    result.loss_after = pass_run(&m, golden, 0, PASS_EVALUATE);
    result.params = copy_floats(m.params);
    model_destroy(&m);

    check_number(golden->name, threads, "the loss", result.loss, golden->loss, LOSS_LIMIT);
    check_number(golden->name, threads, "the evaluated loss", result.eval_loss, golden->loss,
                 LOSS_LIMIT);
    check_number(golden->name, threads, "the gradient norm", result.grad_norm, golden->grad_norm,
                 GRAD_LIMIT);
    check_number(golden->name, threads, "the loss after the updates", result.loss_after,
                 golden->loss_after, AFTER_LIMIT);
    return result;
}

// Which of two runs' results differ in any byte.
static void check_same(const char *name, const struct result *a, const struct result *b) {
    size_t bytes = sizeof(float) * (size_t)model_info.state_floats;
    if (memcmp(&a->loss, &b->loss, sizeof a->loss) != 0 ||
        memcmp(&a->eval_loss, &b->eval_loss, sizeof a->eval_loss) != 0 ||
        memcmp(&a->grad_norm, &b->grad_norm, sizeof a->grad_norm) != 0 ||
        memcmp(&a->loss_after, &b->loss_after, sizeof a->loss_after) != 0) {
        problem("%s: a loss or the gradient norm differs between 1 and 2 threads", name);
    }
    if (memcmp(a->grads, b->grads, bytes) != 0) {
        problem("%s: the gradients differ between 1 and 2 threads", name);
    }
    if (memcmp(a->params, b->params, bytes) != 0) {
        problem("%s: the weights after the updates differ between 1 and 2 threads", name);
    }
}

int main(int argc, char **argv) {
    if (argc != 2) {
        die(EXIT_USAGE, "test_parity: wanted one golden file: test_parity GOLDEN.safetensors");
    }
    struct golden golden = {0};
    golden_open(&golden, argv[1]);
    struct result one = run(&golden, 1), two = run(&golden, 2);
    check_same(golden.name, &one, &two);
    printf("%s: loss rel %.1e, worst grad %.1e, after %d %.1e: %s\n", golden.name,
           relative(one.loss, golden.loss), one.worst_grad, golden.updates,
           relative(one.loss_after, golden.loss_after), problems ? "FAILED" : "ok");
    free(one.grads);
    free(one.params);
    free(two.grads);
    free(two.params);
    safetensors_close(&golden.file);
    return problems ? 1 : 0;
}
