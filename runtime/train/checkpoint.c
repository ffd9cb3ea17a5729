// checkpoint.c: saves and loads a run: its weights, with nanoGPT's names, Adam's moments, progress.
#include "runtime/train/train.h"

#include <errno.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CHECKPOINT_ITER_MAX = 1000000001 }; // the highest max_iters plus one
static const double CHECKPOINT_SECONDS_MAX = 1e12;
enum { CHECKPOINT_PAIRS = 32 }; // room for metadata

struct progress progress_fresh(void) {
    return (struct progress){
        .best_val_loss = 1e9, .train_loss = NAN, .val_loss = NAN, .training_seconds = -1};
}

// ---- the tensors of a model ---------------------------------------------------------------------

static float *checkpoint_place(float *base, const struct tensor_at *t) {
    return base + t->param->offset + t->layer * t->param->stride;
}

bool checkpoint_is_finite(const struct model *m, const struct model_info *info,
                          char name[PARAM_NAME]) {
    static const char *const prefixes[] = {"", "adam.m.", "adam.v."};
    float *const bases[] = {m->params, m->m, m->v};
    for (int i = 0; i < info->params_count; i++) {
        const struct param *param = &info->params[i];
        for (int layer = 0; layer < param->layers; layer++) {
            for (int k = 0; k < 3 && bases[k]; k++) {
                const struct tensor_at tensor = {param, layer};
                if (!floats_are_finite(checkpoint_place(bases[k], &tensor),
                                       param->dims[0] * param->dims[1])) {
                    param_name(param, layer, prefixes[k], name);
                    return false;
                }
            }
        }
    }
    return true;
}

// ---- writing ------------------------------------------------------------------------------------

static struct tensor_out checkpoint_out(const struct tensor_at *t, const char *prefix,
                                        float *base) {
    struct tensor_out out = {.ndim = t->param->ndim,
                             .dims = {t->param->dims[0], t->param->dims[1]},
                             .data = checkpoint_place(base, t)};
    param_name(t->param, t->layer, prefix, out.name);
    return out;
}

// Adds a pair if it has a value.
static void checkpoint_add(const char **metadata, int *pairs, const char *key, const char *value) {
    if (value) {
        metadata[2 * *pairs] = key;
        metadata[2 * (*pairs)++ + 1] = value;
    }
}

static void checkpoint_save(const char *path, const struct model *m, const struct model_info *info,
                            const struct progress *p, const char *run_text, const char *tokenizer,
                            bool moments) {
    int count, outs = 0;
    struct tensor_at *tensors = param_tensors(info->params, info->params_count, &count);
    struct tensor_out *out = allocate((size_t)count * 3, sizeof *out, "a list of tensors");
    for (int i = 0; i < count; i++) {
        out[outs++] = checkpoint_out(&tensors[i], "", m->params);
    }
    for (int i = 0; i < count && moments; i++) {
        if (!tensors[i].param->copy) {
            out[outs++] = checkpoint_out(&tensors[i], "adam.m.", m->m);
            out[outs++] = checkpoint_out(&tensors[i], "adam.v.", m->v);
        }
    }
    char number[11][32];
    snprintf(number[0], 32, "%" PRId64, p->iter);
    snprintf(number[1], 32, "%" PRId64, p->updates);
    snprintf(number[2], 32, "%" PRId64, p->skipped);
    snprintf(number[3], 32, "%" PRId64, p->bad_in_a_row);
    snprintf(number[4], 32, "%.17g", p->best_val_loss);
    snprintf(number[5], 32, "%.17g", p->train_loss);
    snprintf(number[6], 32, "%.17g", p->val_loss);
    snprintf(number[7], 32, "%.17g", p->loss_scale);
    snprintf(number[8], 32, "%" PRId64, p->loss_scale_steps);
    snprintf(number[9], 32, "%" PRId64, p->log_lines);
    snprintf(number[10], 32, "%.17g", p->training_seconds);
    const char *metadata[2 * CHECKPOINT_PAIRS] = {
        "format", // what transformers and others ask for: tensors as PyTorch has them
        "pt",
        "config",
        info->config,
        "run",
        run_text,
        "build",
        info->hash,
        "tokenizer",
        tokenizer,
        "iter",
        number[0],
        "updates",
        number[1],
        "skipped",
        number[2],
        "bad_in_a_row",
        number[3],
        "best_val_loss",
        number[4],
        "train_loss",
        number[5],
        "val_loss",
        number[6],
        "finished",
        p->finished ? "true" : "false",
        "loss_scale",
        number[7],
        "loss_scale_steps",
        number[8],
        "log_lines",
        number[9],
        "from",
        p->from,
        "from_path",
        p->from_path,
        "data",
        p->data,
    };
    int pairs = 0;
    while (metadata[2 * pairs]) {
        pairs++;
    }
    checkpoint_add(metadata, &pairs, "products", m->products); // only a device has it
    checkpoint_add(metadata, &pairs, "training_seconds",
                   p->training_seconds >= 0 ? number[10] : NULL);
    char error[512];
    if (!safetensors_write(path, out, outs, metadata, pairs, error)) {
        die(exit_code_of(errno), "%s", error);
    }
    free(out);
    free(tensors);
}

void checkpoint_save_weights(const char *path, const struct model *m, const struct model_info *info,
                             const struct progress *progress, const char *run_text,
                             const char *tokenizer) {
    checkpoint_save(path, m, info, progress, run_text, tokenizer, false);
}

void checkpoint_save_state(const char *path, const struct model *m, const struct model_info *info,
                           const struct progress *progress, const char *run_text,
                           const char *tokenizer) {
    checkpoint_save(path, m, info, progress, run_text, tokenizer, m->m != NULL);
}

// ---- reading ------------------------------------------------------------------------------------

static void checkpoint_open(struct safetensors *file, const char *path) {
    char error[512];
    enum exit_code code;
    if (!safetensors_open(file, path, error, &code)) {
        die(code, "%s", error);
    }
}

// ---- numbers in the metadata: checked for form and range ----------------------------------------

static _Noreturn void checkpoint_damaged(const struct safetensors *file, const char *key,
                                         const char *wanted) {
    die(EXIT_DATA, "%s: metadata %s is '%s', not %s; the file is damaged", file->path, key,
        safetensors_metadata(file, key), wanted);
}

// Reads an integer from 0 to `most`.
static int64_t checkpoint_count(const struct safetensors *file, const char *key, int64_t most) {
    const char *text = safetensors_metadata(file, key);
    char *end = NULL;
    errno = 0;
    long long value = text ? strtoll(text, &end, 10) : 0;
    char wanted[64];
    snprintf(wanted, sizeof wanted, "a count up to %" PRId64, most);
    if (text && (*text < '0' || *text > '9' || *end || errno || value > most)) {
        checkpoint_damaged(file, key, wanted);
    }
    return value;
}

// Reads a decimal number from 0 to `most`; `missing` if the key is absent.
static double checkpoint_number(const struct safetensors *file, const char *key, double most,
                                double missing) {
    const char *text = safetensors_metadata(file, key);
    char *end = NULL;
    double value = text ? strtod(text, &end) : missing;
    if (text && (*text < '0' || *text > '9' || text[strspn(text, "0123456789.e+-")] || *end ||
                 !(value <= most))) {
        char wanted[64];
        snprintf(wanted, sizeof wanted, "a number from 0 to %g", most);
        checkpoint_damaged(file, key, wanted);
    }
    return value;
}

// Reads a loss, which may be absent, NaN or infinite.
static double checkpoint_loss(const struct safetensors *file, const char *key) {
    const char *text = safetensors_metadata(file, key);
    if (!text || !strcmp(text, "nan") || !strcmp(text, "-nan")) {
        return NAN;
    }
    return strcmp(text, "inf") ? checkpoint_number(file, key, DBL_MAX, NAN) : INFINITY;
}

static bool checkpoint_bool(const struct safetensors *file, const char *key) {
    const char *text = safetensors_metadata(file, key);
    if (text && strcmp(text, "true") && strcmp(text, "false")) {
        checkpoint_damaged(file, key, "true or false");
    }
    return text && !strcmp(text, "true");
}

// Keys that every version of the trainer writes. Later ones need no list: a file of ours names all
// of its keys in xxh3_of, and the reader checks that they are there.
static const char *const checkpoint_keys[] = {
    "iter",          "updates",    "skipped",  "bad_in_a_row",
    "best_val_loss", "train_loss", "val_loss", "finished",
};
enum { CHECKPOINT_KEYS = sizeof checkpoint_keys / sizeof checkpoint_keys[0] };

// Whether the file has a run's progress, written by a trainer of ours. Then all keys must be there.
static bool checkpoint_has_progress(const struct safetensors *file) {
    const char *missing = NULL;
    bool ours = safetensors_is_run(file);
    for (int i = 0; i < CHECKPOINT_KEYS; i++) {
        if (safetensors_metadata(file, checkpoint_keys[i])) {
            ours = true;
        } else if (!missing) {
            missing = checkpoint_keys[i];
        }
    }
    if (ours && missing) {
        die(EXIT_DATA, "%s: has no metadata %s; the file is damaged, so take another", file->path,
            missing);
    }
    return ours;
}

static void checkpoint_from(const struct safetensors *file, struct progress *p) {
    const char *from = safetensors_metadata(file, "from");
    const char *path = safetensors_metadata(file, "from_path");
    bool hash = from && strlen(from) == 16 && strspn(from, "0123456789abcdef") == 16;
    if (from && *from && !hash && strcmp(from, "scratch")) {
        checkpoint_damaged(file, "from", "scratch or 16 hexadecimal digits");
    }
    snprintf(p->from, sizeof p->from, "%s", from ? from : "");
    snprintf(p->from_path, sizeof p->from_path, "%s", path ? path : "");
}

static struct progress checkpoint_progress(const struct safetensors *file) {
    if (!checkpoint_has_progress(file)) {
        return progress_fresh();
    }
    struct progress p = {
        .iter = checkpoint_count(file, "iter", CHECKPOINT_ITER_MAX),
        .best_val_loss = checkpoint_number(file, "best_val_loss", DBL_MAX, 1e9),
        .train_loss = checkpoint_loss(file, "train_loss"),
        .val_loss = checkpoint_loss(file, "val_loss"),
        .finished = checkpoint_bool(file, "finished"),
        .data = "",
        .loss_scale = checkpoint_number(file, "loss_scale", DBL_MAX, 0),
        .training_seconds = checkpoint_number(file, "training_seconds", CHECKPOINT_SECONDS_MAX, -1),
    };
    p.updates = checkpoint_count(file, "updates", p.iter); // at most one per iteration
    p.skipped = checkpoint_count(file, "skipped", p.iter);
    p.bad_in_a_row = checkpoint_count(file, "bad_in_a_row", p.skipped);
    p.loss_scale_steps = checkpoint_count(file, "loss_scale_steps", p.iter);
    p.log_lines = safetensors_metadata(file, "log_lines")
                      ? checkpoint_count(file, "log_lines", (int64_t)2 * CHECKPOINT_ITER_MAX)
                      : -1;
    checkpoint_from(file, &p);
    const char *data = safetensors_metadata(file, "data");
    if (data && *data && (strlen(data) != 16 || strspn(data, "0123456789abcdef") != 16)) {
        checkpoint_damaged(file, "data", "16 hexadecimal digits");
    }
    snprintf(p.data, sizeof p.data, "%s", data ? data : "");
    return p;
}

static char *checkpoint_text(const struct safetensors *file, const char *key) {
    const char *text = safetensors_metadata(file, key);
    return allocate_copy(text ? text : "", text ? strlen(text) : 0, key);
}

void checkpoint_read_header(const char *path, struct checkpoint_header *header) {
    struct safetensors file;
    checkpoint_open(&file, path);
    *header = (struct checkpoint_header){
        .config = checkpoint_text(&file, "config"),
        .run = checkpoint_text(&file, "run"),
        .tokenizer = checkpoint_text(&file, "tokenizer"),
        .products = checkpoint_text(&file, "products"),
        .progress = checkpoint_progress(&file),
        .has_progress = checkpoint_has_progress(&file),
    };
    const char *hash = safetensors_metadata(&file, "xxh3");
    snprintf(header->hash, sizeof header->hash, "%s", hash ? hash : "");
    safetensors_close(&file);
}

void checkpoint_free_header(struct checkpoint_header *header) {
    free(header->config);
    free(header->run);
    free(header->tokenizer);
    free(header->products);
}

static void checkpoint_describe(const char *text, char line[96]) {
    struct tokenizer tokenizer;
    const char *error;
    if (tokenizer_parse(&tokenizer, text, &error)) {
        tokenizer_describe(&tokenizer, line);
        tokenizer_free(&tokenizer);
    } else {
        snprintf(line, 96, "one that cannot be read (%s)", error);
    }
}

static void checkpoint_check_tokenizer(const struct safetensors *file, const char *data) {
    const char *own = safetensors_metadata(file, "tokenizer");
    if (own && data && strcmp(own, data)) {
        char theirs[96], ours[96];
        checkpoint_describe(own, theirs);
        checkpoint_describe(data, ours);
        die(EXIT_DATA,
            "%s: its tokenizer is %s, the data's is %s; train on the data it was made from, or "
            "start over with --init_from=scratch",
            file->path, theirs, ours);
    }
}

struct checkpoint_hint {
    char set[256];  // key=value key=value ...
    char text[288]; // advice for a message
};

static void checkpoint_add_hint(void *context, const struct pair *then, const struct pair *now) {
    struct checkpoint_hint *hint = context;
    const struct key *key = key_find(then->key, then->key_length);
    (void)now;
    if ((key->shape || key->changes == KEY_function) && then->value != pairs_nothing) {
        size_t length = strlen(hint->set);
        snprintf(hint->set + length, sizeof hint->set - length, "%s%.*s=%.*s", length ? " " : "",
                 then->key_length, then->key, then->value_length, then->value);
    }
}

// Advice on what to build for this file, from the baked keys in which it differs.
static struct checkpoint_hint checkpoint_hint(const struct safetensors *file,
                                              const struct model_info *info) {
    struct checkpoint_hint hint = {"", ""};
    const char *config = safetensors_metadata(file, "config");
    if (config) {
        keys_compare(config, info->config, checkpoint_add_hint, &hint);
    }
    if (*hint.set) {
        snprintf(hint.text, sizeof hint.text, "build one with SET=\"%s\"", hint.set);
    } else {
        snprintf(hint.text, sizeof hint.text, "take a checkpoint of this trainer's model");
    }
    return hint;
}

// Finds the tensor prefix + t's name and checks its shape.
static const struct tensor_view *checkpoint_find(const struct safetensors *file,
                                                 const struct model_info *info,
                                                 const struct tensor_at *t, const char *prefix) {
    char name[PARAM_NAME], theirs[SHAPE_TEXT], ours[SHAPE_TEXT];
    param_name(t->param, t->layer, prefix, name);
    const struct tensor_view *view = safetensors_find(file, name);
    shape_print(t->param->ndim, t->param->dims, ours);
    if (!view) {
        die(EXIT_DATA, "%s: has no %s, this trainer wants it as %s; %s", file->path, name, ours,
            checkpoint_hint(file, info).text);
    }
    if (!param_fits(t->param, view)) {
        shape_print(view->ndim, view->dims, theirs);
        die(EXIT_DATA, "%s: %s is %s, this trainer wants %s; %s", file->path, name, theirs, ours,
            checkpoint_hint(file, info).text);
    }
    return view;
}

static void checkpoint_copy(const struct safetensors *file, const struct model_info *info,
                            const struct tensor_at *t, const char *prefix, float *base) {
    const struct tensor_view *view = checkpoint_find(file, info, t, prefix);
    size_t bytes = (size_t)(t->param->dims[0] * t->param->dims[1]) * sizeof(float);
    float *place = checkpoint_place(base, t);
    // A file can be as large as the weights in memory: free the pages that were read before.
    mapped_forget(file->map);
    if (!t->param->copy) {
        memcpy(place, view->data, bytes);
    } else if (memcmp(place, view->data, bytes)) {
        die(EXIT_DATA,
            "%s: %s has values of its own, this trainer ties it to %s; build one with an untied "
            "head",
            file->path, view->name, param_tokens(info->params, info->params_count));
    }
}

bool checkpoint_load(const char *path, struct model *m, const struct model_info *info,
                     struct progress *progress, const char *tokenizer) {
    struct safetensors file;
    checkpoint_open(&file, path);
    checkpoint_check_tokenizer(&file, tokenizer);
    char error[512];
    if (!foreign_adapt(&file, info->params, info->params_count, error)) {
        die(EXIT_DATA, "%s", error);
    }
    int count;
    struct tensor_at *tensors = param_tensors(info->params, info->params_count, &count);
    bool moments = false;
    for (int i = 0; i < count; i++) {
        checkpoint_find(&file, info, &tensors[i], "");
    }
    for (int i = 0; i < file.count; i++) {
        const char *name = file.tensors[i].name;
        bool moment = !strncmp(name, "adam.m.", 7) || !strncmp(name, "adam.v.", 7);
        moments = moments || !strncmp(name, "adam.", 5);
        if (!param_known(info->params, info->params_count, name + (moment ? 7 : 0))) {
            die(EXIT_DATA, "%s: this trainer has no %s; %s", path, name,
                checkpoint_hint(&file, info).text);
        }
    }
    if (!safetensors_verify(&file, error)) {
        die(EXIT_DATA, "%s", error);
    }
    if (checkpoint_has_progress(&file) && !file.hashed) {
        warn("%s: its header has no hash, as of older trainers and of converted files: it is taken "
             "as "
             "it is",
             path);
    }
    moments = moments && m->m;
    for (int i = 0; i < count; i++) {
        checkpoint_copy(&file, info, &tensors[i], "", m->params);
        if (moments && !tensors[i].param->copy) {
            checkpoint_copy(&file, info, &tensors[i], "adam.m.", m->m);
            checkpoint_copy(&file, info, &tensors[i], "adam.v.", m->v);
        }
    }
    char name[PARAM_NAME];
    if (!checkpoint_is_finite(m, info, name)) {
        bool moment = !strncmp(name, "adam.", 5);
        die(EXIT_DATA, "%s: %s has a value that is not finite; %s", path, name,
            moment ? "another folder and --init_from with this path take its weights alone"
                   : "take another checkpoint");
    }
    *progress = checkpoint_progress(&file);
    if (!mapped_same(file.map)) {
        die(EXIT_IO, "%s: changed while it was read; start again", path);
    }
    free(tensors);
    safetensors_close(&file);
    return moments;
}
