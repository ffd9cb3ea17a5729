// foreign.c: converts checkpoints that other tools wrote, once they are open:
//
//     _orig_mod.NAME, module.NAME     of torch.compile and of its data parallel wrappers
//     wte.weight for transformer...   names of Hugging Face's bare GPT2Model
//     layers.0.input_layernorm...     names of its bare LlamaModel
//     h.0.attn.bias, masked_bias      masks, not weights: dropped
//     ...rotary_emb.inv_freq          rotary angles, of rope_theta: dropped
//     F16, BF16, ggml's types         converted to F32
//     rows of q and k, pairwise       as GGUF files of llama have them: put in halves
//     lm_head.weight or wte alone     of a tied pair: used for both
//     (in, out) for (out, in)         all of the layers' weights, as in Hugging Face: transposed
//
// A file that could be read in more than one way is refused. Needs only libc, since the sampler
// links it.
#include "runtime/files/files.h"
#include "runtime/kernel/emitted.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

struct foreign_file {
    struct safetensors *file;
    const struct param *params;
    int count;
    char *error;
};

static bool foreign_fail(struct foreign_file *f, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static bool foreign_fail(struct foreign_file *f, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(f->error, SAFETENSORS_ERROR, format, arguments);
    va_end(arguments);
    return false;
}

// The model's tensor of this name, or NULL.
static const struct param *foreign_param(const struct foreign_file *f, const char *name) {
    char own[PARAM_NAME];
    for (int i = 0; i < f->count; i++) {
        for (int layer = 0; layer < f->params[i].layers; layer++) {
            param_name(&f->params[i], layer, "", own);
            if (!strcmp(own, name)) {
                return &f->params[i];
            }
        }
    }
    return NULL;
}

static struct tensor_view *foreign_find(const struct foreign_file *f, const char *name) {
    return (struct tensor_view *)safetensors_find(f->file, name);
}

// ---- names --------------------------------------------------------------------------------------

static bool foreign_rename(struct foreign_file *f, struct tensor_view *view, char *name) {
    if (foreign_find(f, name)) {
        bool twice = foreign_fail(f, "%s: has both %s and %s; leave one of both out", f->file->path,
                                  view->name, name);
        free(name);
        return twice;
    }
    free(view->name);
    view->name = name;
    return true;
}

// The name of the model's tensor that has this name in a bare model's file, or NULL.
static char *foreign_whole(const struct foreign_file *f, const char *name) {
    static const char *const scopes[] = {"transformer.", "model."};
    for (int i = 0; i < 2 && !foreign_param(f, name); i++) {
        char *whole = allocate_print("a tensor's name", "%s%s", scopes[i], name);
        if (foreign_param(f, whole)) {
            return whole;
        }
        free(whole);
    }
    return NULL;
}

static bool foreign_names(struct foreign_file *f) {
    static const char *const prefixes[] = {"_orig_mod.", "module."};
    for (int i = 0; i < f->file->count; i++) {
        struct tensor_view *view = &f->file->tensors[i];
        const char *name = view->name;
        for (int p = 0; p < 2; p++) {
            if (!strncmp(name, prefixes[p], strlen(prefixes[p]))) {
                name += strlen(prefixes[p]);
                p = -1; // start over: either prefix may be inside the other
            }
        }
        char *whole = foreign_whole(f, name);
        if (!whole && name != view->name) {
            whole = allocate_copy(name, strlen(name), "a tensor's name");
        }
        if (whole && !foreign_rename(f, view, whole)) {
            return false;
        }
    }
    return true;
}

static bool foreign_ends(const char *name, const char *end) {
    size_t length = strlen(name), tail = strlen(end);
    return length >= tail && !strcmp(name + length - tail, end);
}

static void foreign_masks(struct foreign_file *f) {
    struct safetensors *file = f->file;
    int kept = 0;
    for (int i = 0; i < file->count; i++) {
        const char *name = file->tensors[i].name;
        bool mask = foreign_ends(name, ".attn.bias") || foreign_ends(name, ".attn.masked_bias") ||
                    foreign_ends(name, ".rotary_emb.inv_freq");
        if (mask && !foreign_param(f, name)) {
            free(file->tensors[i].name);
        } else {
            file->tensors[kept++] = file->tensors[i];
        }
    }
    file->count = kept;
}

// ---- a tied pair --------------------------------------------------------------------------------

// Adds a tensor that shares the data of the tensor `of`.
static void foreign_share(struct foreign_file *f, const char *name, const char *of) {
    struct safetensors *file = f->file;
    file->tensors = allocate_again(file->tensors, ((size_t)file->count + 1) * sizeof *file->tensors,
                                   "a list of tensors");
    struct tensor_view *view = &file->tensors[file->count++];
    *view = *foreign_find(f, of);
    view->name = allocate_copy(name, strlen(name), "a tensor's name");
    view->own = NULL; // freed with the tensor `of`
}

static bool foreign_ties(struct foreign_file *f) {
    const char *const table = param_tokens(f->params, f->count), *const head = "lm_head.weight";
    const struct param *param = foreign_param(f, head);
    const bool has_table = foreign_find(f, table), has_head = foreign_find(f, head);
    if (!param || has_table == has_head) {
        return true;
    }
    if (!param->copy && has_table) {
        return foreign_fail(
            f, "%s: has no %s: its head is tied to %s; build one with tie_weights=true",
            f->file->path, head, table);
    }
    if (param->copy) {
        foreign_share(f, has_table ? head : table, has_table ? table : head);
    }
    return true;
}

// ---- numbers ------------------------------------------------------------------------------------

// Puts the rows of each head, D, in halves: row j of one half and row j of the other lie next to
// each other, as rotations of neighbours want them; ours turn (j, j + D/2).
static void foreign_halves(struct tensor_view *view) {
    const size_t columns = view->ndim == 2 ? (size_t)view->dims[1] : 1;
    const size_t half = (size_t)view->dims[0] / (size_t)view->heads / 2;
    float *own = allocate(view->bytes, 1, view->name);
    for (size_t row = 0; row < (size_t)view->dims[0]; row++) {
        const size_t in_head = row % (2 * half), first = row - in_head;
        const size_t from = first + 2 * (in_head % half) + in_head / half;
        memcpy(own + row * columns, view->data + from * columns, columns * sizeof *own);
    }
    free(view->own);
    view->data = view->own = own;
    view->heads = 0;
}

static bool foreign_numbers(struct foreign_file *f) {
    for (int i = 0; i < f->file->count; i++) {
        struct tensor_view *view = &f->file->tensors[i];
        if (view->data) {
            if (view->heads) {
                foreign_halves(view);
                safetensors_forget(f->file);
            }
            continue;
        }
        if (!numbers_are_read(view->dtype)) {
            return foreign_fail(f, "%s: %.120s is of type %s; %s", f->file->path, view->name,
                                view->dtype,
                                f->file->pairs ? "F32, F16, BF16, Q8_0, Q4_0 or Q4_1 is wanted, "
                                                 "so convert it (llama-quantize --pure makes one "
                                                 "type of all)"
                                               : "F32, F16 or BF16 is wanted, so convert it");
        }
        const size_t count = numbers_count(view->dtype, view->stored);
        float *own = allocate(count, sizeof *own, view->name);
        numbers_load(view->dtype, view->place, 0, count, own);
        view->data = view->own = own;
        view->bytes = count * sizeof *own;
        if (view->heads) {
            foreign_halves(view);
        }
        safetensors_forget(f->file);
    }
    return true;
}

// ---- shapes -------------------------------------------------------------------------------------

// Whether the file has a matrix transposed.
static bool foreign_is_transposed(const struct tensor_view *view, const struct param *param) {
    return view->ndim == 2 && param->ndim == 2 && view->dims[0] == param->dims[1] &&
           view->dims[1] == param->dims[0];
}

static void foreign_transpose(struct tensor_view *view) {
    enum { TILE = 16 }; // floats in a cache line: each line is read and written once
    const int64_t rows = view->dims[0], columns = view->dims[1];
    float *own = allocate((size_t)(rows * columns), sizeof *own, view->name);
    for (int64_t first = 0; first < rows; first += TILE) {
        const int64_t last = first + TILE < rows ? first + TILE : rows;
        for (int64_t c = 0; c < columns; c++) {
            for (int64_t r = first; r < last; r++) {
                own[c * rows + r] = view->data[r * columns + c];
            }
        }
    }
    free(view->own);
    view->data = view->own = own;
    view->dims[0] = columns;
    view->dims[1] = rows;
}

// Transposes the layers' weights if they are (in, out). The shape of a square weight does not show
// this, so it is taken to be as the other weights are.
static bool foreign_shapes(struct foreign_file *f) {
    struct safetensors *file = f->file;
    const struct tensor_view *transposed = NULL, *straight = NULL;
    for (int i = 0; i < file->count; i++) {
        const struct tensor_view *view = &file->tensors[i];
        const struct param *param = foreign_param(f, view->name);
        if (!param || param->ndim != 2 || param->dims[0] == param->dims[1]) {
            continue;
        }
        const bool is_transposed = foreign_is_transposed(view, param);
        if (is_transposed && !param_is_layered(param)) {
            return foreign_fail(f, "%s: %s is (%lld, %lld), transposed; give it as (%lld, %lld)",
                                file->path, view->name, (long long)view->dims[0],
                                (long long)view->dims[1], (long long)view->dims[1],
                                (long long)view->dims[0]);
        }
        // One that is neither is refused by its shape, by whoever looks for it.
        if (param_is_layered(param)) {
            const bool is_straight =
                view->dims[0] == param->dims[0] && view->dims[1] == param->dims[1];
            transposed = is_transposed ? view : transposed;
            straight = is_straight ? view : straight;
        }
    }
    if (transposed && straight) {
        return foreign_fail(f, "%s: %.100s is transposed, but %.100s is not; give all as (out, in)",
                            file->path, transposed->name, straight->name);
    }
    for (int i = 0; i < file->count && transposed; i++) {
        const struct param *param = foreign_param(f, file->tensors[i].name);
        if (param && param_is_layered(param) && foreign_is_transposed(&file->tensors[i], param)) {
            foreign_transpose(&file->tensors[i]);
            safetensors_forget(file);
        }
    }
    if (transposed) {
        warn("%s: its layers' weights are transposed, (in, out), as Hugging Face's GPT-2 has them; "
             "they are read so",
             file->path);
    }
    return true;
}

bool foreign_adapt(struct safetensors *file, const struct param *params, int count,
                   char error[512]) {
    struct foreign_file f = {file, params, count, error};
    if (!foreign_names(&f)) {
        return false;
    }
    foreign_masks(&f);
    return foreign_numbers(&f) && foreign_shapes(&f) && foreign_ties(&f);
}
