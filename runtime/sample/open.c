// open.c: opens a checkpoint for sampling: maps it, checks it against the model that the sampler
// was built for, and uses the weights in place.
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/sample/sample.h"

enum { OPEN_LIST = 160, OPEN_ADVICE = 352 };

// Puts one line into error and returns false.
static bool open_fail(char error[512], const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static bool open_fail(char error[512], const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error, 512, format, arguments);
    va_end(arguments);
    return false;
}

// The baked keys in which a checkpoint's config differs, as "n_layer=4 bias=true": its values and
// ours.
struct open_difference {
    char theirs[OPEN_LIST], ours[OPEN_LIST];
    int least; // differences with less effect than this are left out
};

static void open_add_pair(char list[OPEN_LIST], const struct pair *pair) {
    size_t used = strlen(list);
    snprintf(list + used, OPEN_LIST - used, "%s%.*s=%.*s", used > 0 ? " " : "", pair->key_length,
             pair->key, pair->value_length, pair->value);
}

// The effect that a difference in a key has on a sampler: nothing if it only matters to training;
// shape if the tensors' shapes show it; function if they do not, and the same weights compute
// something else.
enum open_effect { OPEN_nothing, OPEN_shape, OPEN_function };

static enum open_effect open_effect(const struct pair *then, const struct pair *now) {
    const struct key *key = key_find(now->key, now->key_length);
    bool one_lacks = then->value == pairs_nothing || now->value == pairs_nothing;
    if (key->changes == KEY_function) {
        return one_lacks ? OPEN_shape : OPEN_function; // a value that is not stated may be the same
    }
    bool unknown = !*key->name; // a key of another version
    return key->shape || unknown ? OPEN_shape : OPEN_nothing;
}

static void open_add_difference(void *context, const struct pair *then, const struct pair *now) {
    struct open_difference *difference = context;
    if ((int)open_effect(then, now) < difference->least) {
        return;
    }
    if (then->value != pairs_nothing) {
        open_add_pair(difference->theirs, then);
    }
    open_add_pair(difference->ours, now);
}

// Collects the differences that have at least this effect. Whether there are any.
static bool open_compare(struct open_difference *difference, const struct safetensors *file,
                         enum open_effect least) {
    const char *config = safetensors_metadata(file, "config");
    *difference = (struct open_difference){.least = least};
    if (config != NULL) {
        keys_compare(config, sampler_info.config, open_add_difference, difference);
    }
    return difference->ours[0] != '\0';
}

// What to build for this checkpoint.
static void open_format_advice(char advice[OPEN_ADVICE], const struct safetensors *file) {
    struct open_difference difference;
    if (open_compare(&difference, file, OPEN_shape)) {
        snprintf(advice, OPEN_ADVICE, "%s (this one has %s)", difference.theirs, difference.ours);
    } else {
        strcpy(advice, "the config that it was trained with");
    }
}

static bool open_check_shape(const struct safetensors *file, const struct tensor_view *view,
                             const struct param *param, char error[512]) {
    if (param_fits(param, view)) {
        return true;
    }
    char found[SHAPE_TEXT], wanted[SHAPE_TEXT], advice[OPEN_ADVICE];
    shape_print(view->ndim, view->dims, found);
    shape_print(param->ndim, param->dims, wanted);
    if (param_is_positions(param) && view->ndim == 2 && view->dims[1] == param->dims[1]) {
        snprintf(advice, OPEN_ADVICE, "block_size=%lld", (long long)view->dims[0]);
    } else {
        open_format_advice(advice, file);
    }
    return open_fail(error, "%s: %s is %s, this sampler wants %s; build one with %s", file->path,
                     view->name, found, wanted, advice);
}

// Checks that a tied head equals the token table, which the sampler uses for both. If there are
// hashes, neither has to be read.
static bool open_check_copy(const struct safetensors *file, const struct tensor_view *copy,
                            char error[512]) {
    const struct tensor_view *owner =
        safetensors_find(file, param_tokens(sampler_info.params, sampler_info.params_count));
    bool hashed = owner != NULL && owner->hash[0] != '\0' && copy->hash[0] != '\0';
    if (owner == NULL || (hashed ? strcmp(owner->hash, copy->hash) == 0
                                 : owner->bytes == copy->bytes &&
                                       memcmp(owner->data, copy->data, copy->bytes) == 0)) {
        return true;
    }
    return open_fail(error,
                     "%s: %s has values of its own, this sampler ties it to %s; build one with an "
                     "untied head",
                     file->path, copy->name, owner->name);
}

static bool open_is_ours(const char *name) {
    return param_known(sampler_info.params, sampler_info.params_count, name);
}

// Refuses tensors that the model lacks, except Adam's moments, which state.safetensors has.
static bool open_check_others(const struct safetensors *file, char error[512]) {
    for (int i = 0; i < file->count; i++) {
        const char *name = file->tensors[i].name;
        bool moment = strncmp(name, "adam.m.", 7) == 0 || strncmp(name, "adam.v.", 7) == 0;
        if (!moment && !open_is_ours(name)) {
            char advice[OPEN_ADVICE];
            open_format_advice(advice, file);
            return open_fail(error, "%s: %.120s is not in this sampler's model; build one with %s",
                             file->path, name, advice);
        }
    }
    return true;
}

// Checks that every tensor of the model is there and fits; refuses a file with others.
static bool open_check_tensors(const struct safetensors *file, char error[512]) {
    int found = 0;
    for (int i = 0; i < sampler_info.params_count; i++) {
        const struct param *param = &sampler_info.params[i];
        for (int layer = 0; layer < param->layers; layer++) {
            char name[PARAM_NAME];
            param_name(param, layer, "", name);
            const struct tensor_view *view = safetensors_find(file, name);
            if (view == NULL) {
                char advice[OPEN_ADVICE];
                open_format_advice(advice, file);
                return open_fail(error, "%s: %s is missing; build a sampler with %s", file->path,
                                 name, advice);
            }
            if (!open_check_shape(file, view, param, error) ||
                (param->copy && !open_check_copy(file, view, error))) {
                return false;
            }
            found++;
        }
    }
    return found == file->count || open_check_others(file, error);
}

// The `pieces` tensors of a file that are the rows of one tensor here, as one: in place if they lie
// one behind the other, as in files of ours, else copied, into memory that the first of them owns.
static const float *open_join(struct safetensors *file, const struct param *params, int pieces,
                              int layer) {
    struct tensor_view *first = NULL;
    const char *end = NULL;
    bool adjacent = true;
    size_t bytes = 0;
    for (int k = 0; k < pieces; k++) {
        char name[PARAM_NAME];
        param_name(&params[k], layer, "", name);
        struct tensor_view *view = (struct tensor_view *)safetensors_find(file, name);
        first = first ? first : view;
        adjacent = adjacent && (!end || (const char *)view->data == end);
        end = (const char *)view->data + view->bytes;
        bytes += view->bytes;
    }
    if (adjacent) {
        return first->data;
    }
    char *joined = allocate(bytes, 1, first->name), *to = joined;
    for (int k = 0; k < pieces; k++) {
        char name[PARAM_NAME];
        param_name(&params[k], layer, "", name);
        struct tensor_view *view = (struct tensor_view *)safetensors_find(file, name);
        memcpy(to, view->data, view->bytes);
        free(view->own);
        view->own = NULL;
        view->data = (float *)(void *)to;
        to += view->bytes;
    }
    first->own = (float *)(void *)joined;
    safetensors_forget(file);
    return first->data;
}

// Points s->weight at the tensors, which were checked.
static void open_use_weights(struct sampler *s, struct safetensors *file) {
    int used = 0;
    for (int i = 0, end; i < sampler_info.params_count; i = end) {
        const struct param *param = &sampler_info.params[i];
        for (end = i + 1; end < sampler_info.params_count && sampler_info.params[end].joined;) {
            end++;
        }
        for (int layer = 0; layer < param->layers; layer++) {
            s->weight[used++] = open_join(file, param, end - i, layer);
        }
    }
}

static bool open_read_tokenizer(struct tokenizer *tokenizer, const struct safetensors *file,
                                char error[512]) {
    const char *text = safetensors_metadata(file, "tokenizer"), *problem;
    if (text == NULL) {
        return open_fail(error,
                         "%s: no tokenizer in its metadata, so its tokens cannot be written; take "
                         "a checkpoint that a trainer wrote, as one started with --init_from=%s",
                         file->path, file->path);
    }
    if (!tokenizer_parse(tokenizer, text, &problem)) {
        return open_fail(error, "%s: %s; take a checkpoint that a trainer wrote", file->path,
                         problem);
    }
    if (tokenizer->vocab_size <= sampler_info.vocab_size) {
        return true;
    }
    open_fail(error,
              "%s: its tokenizer has %d entries, this sampler's vocab_size is %d; build one with "
              "vocab_size=%d",
              file->path, tokenizer->vocab_size, sampler_info.vocab_size, tokenizer->vocab_size);
    tokenizer_free(tokenizer);
    return false;
}

// Refuses a checkpoint whose weights would compute another function in this sampler.
static bool open_check_function(const struct safetensors *file, char error[512]) {
    struct open_difference difference;
    if (open_compare(&difference, file, OPEN_function)) {
        return open_fail(error,
                         "%s: trained with %s, this sampler has %s, which computes something else; "
                         "build one with %s",
                         file->path, difference.theirs, difference.ours, difference.theirs);
    }
    return true;
}

// Whether a tensor is a tied head: open_check_copy has seen that it is the token table's, of which
// alone the values are used.
static bool open_is_copy(const char *name) {
    for (int i = 0; i < sampler_info.params_count; i++) {
        if (sampler_info.params[i].copy && !strcmp(sampler_info.params[i].name, name)) {
            return true;
        }
    }
    return false;
}

static bool open_check_value(const struct safetensors *file, int i, char error[512]) {
    const struct tensor_view *view = &file->tensors[i];
    if (!open_is_ours(view->name) || open_is_copy(view->name)) {
        return true;
    }
    if (!safetensors_verify_tensor(file, view, error)) {
        return false;
    }
    return floats_are_finite(view->data, (int64_t)(view->bytes / sizeof(float))) ||
           open_fail(error,
                     "%s: %s has a value that is not finite, so it gives no text; take "
                     "another checkpoint",
                     file->path, view->name);
}

struct open_values {
    const struct safetensors *file;
    atomic_int next, bad; // tensors: the next to be checked, the first that is bad
};

static void open_check_some(struct sampler *s, void *context, int thread) {
    struct open_values *values = context;
    char error[512];
    for (int i; (i = atomic_fetch_add(&values->next, 1)) < values->file->count;) {
        int bad = atomic_load(&values->bad);
        if (i < bad && !open_check_value(values->file, i, error)) {
            while (i < bad && !atomic_compare_exchange_weak(&values->bad, &bad, i)) {
            }
        }
    }
    (void)s, (void)thread;
}

// Refuses weights that are damaged or not finite. All threads look, since most of the time to the
// first token goes by here; what is said is of the first tensor that is bad.
static bool open_check_values(struct sampler *s, const struct safetensors *file, char error[512]) {
    struct open_values values = {.file = file};
    atomic_init(&values.next, 0);
    atomic_init(&values.bad, file->count);
    sampler_run(s, open_check_some, &values);
    const int bad = atomic_load(&values.bad);
    return bad == file->count || open_check_value(file, bad, error);
}

// Checks that the file has weights of the sampler's type.
static bool open_check_type(const struct safetensors *file, char error[512]) {
    const char *theirs = safetensors_metadata(file, SMALL_KEY);
    const char *ours = weight_type_name(sampler_info.weights);
    theirs = theirs ? theirs : weight_type_name(WEIGHT_F32);
    return !strcmp(theirs, ours) ||
           open_fail(error,
                     "%s: its weights are %.16s, this sampler computes with %s; take one of make "
                     "sampler TYPE=%.16s, or the file that make sampler TYPE=%s writes",
                     file->path, theirs, ours, theirs, ours);
}

static bool open_weights(struct sampler *s, struct safetensors *file, char error[512]) {
    if (sampler_info.open_small) {
        return open_check_function(file, error) && sampler_info.open_small(s, file, error);
    }
    if (!foreign_adapt(file, sampler_info.params, sampler_info.params_count, error) ||
        !open_check_tensors(file, error) || !open_check_function(file, error) ||
        !open_check_values(s, file, error)) {
        return false;
    }
    open_use_weights(s, file);
    return true;
}

static void open_warn(const struct safetensors *file) {
    struct open_difference difference;
    if (open_compare(&difference, file, OPEN_shape) && *difference.theirs) {
        warn("%s: trained with %s, this sampler has %s; continuing", file->path, difference.theirs,
             difference.ours);
    }
    if (safetensors_is_run(file) && !file->hashed) {
        warn("%s: its header has no hash, as of older trainers and of converted files: it is taken "
             "as "
             "it is",
             file->path);
    }
}

// Creates s with the file's weights and tokenizer; closes the file if they do not fit.
static bool open_sampler(struct sampler_file *file, struct sampler *s, int threads,
                         char error[512]) {
    sampler_create(s, threads);
    if (!open_check_type(&file->tensors, error) || !open_weights(s, &file->tensors, error) ||
        !open_read_tokenizer(&file->tokenizer, &file->tensors, error)) {
        sampler_destroy(s);
        safetensors_close(&file->tensors);
        return false;
    }
    s->vocab_size = file->tokenizer.vocab_size;
    open_warn(&file->tensors);
    return true;
}

// Apart, so that a sampler without files links none of what reads them.
bool sampler_open_bytes(struct sampler_file *file, struct sampler *s, const char *name,
                        const void *bytes, size_t length, int threads, char error[512]) {
    return safetensors_open_bytes(&file->tensors, name, bytes, length, error) &&
           open_sampler(file, s, threads, error);
}

bool sampler_open(struct sampler_file *file, struct sampler *s, const char *path, int threads,
                  char error[512], enum exit_code *code) {
    if (!path) {
        *code = EXIT_DATA;
        return sampler_open_bytes(file, s, SAMPLER_INSIDE, sampler_weights,
                                  (size_t)(sampler_weights_end - sampler_weights), threads, error);
    }
    if (!safetensors_open(&file->tensors, path, error, code)) {
        return false;
    }
    *code = EXIT_DATA;
    return open_sampler(file, s, threads, error);
}

void sampler_close(struct sampler_file *file, struct sampler *s) {
    sampler_destroy(s);
    tokenizer_free(&file->tokenizer);
    safetensors_close(&file->tensors);
}
