// export_safetensors.c: a model as one safetensors file with the checkpoint's names and shapes,
// which nanoGPT's load_state_dict, the sampler, and make import of this project take; and the same
// without the second name of a tied head, for a sampler to have inside. For a sampler with small
// weights all tensors are bytes: matrices (rows, bytes of a row) in the layout of its kernels, all
// else (numbers, 4) or (rows, 4 columns) as it is, in float32; rows that are one tensor in memory
// are one here, with the first one's name. sample/small.c reads it.
#include "runtime/files/files.h"
#include "runtime/kernel/emitted.h"

#include <stdlib.h>
#include <string.h>

static bool export_tensors(const struct export_model *model, const struct tensor_out *tensors,
                           int count, const char *path, char error[512]) {
    const char *metadata[10] = {"format", "pt", "config", model->config, "exported", "yes"};
    int pairs = 3;
    if (model->weights != WEIGHT_F32) {
        metadata[2 * pairs] = SMALL_KEY;
        metadata[2 * pairs++ + 1] = weight_type_name(model->weights);
    }
    if (model->tokenizer_text) {
        metadata[2 * pairs] = "tokenizer";
        metadata[2 * pairs++ + 1] = model->tokenizer_text;
    }
    return safetensors_write(path, tensors, count, metadata, pairs, error);
}

bool export_safetensors(const struct export_model *model, const char *path, char error[512]) {
    return export_tensors(model, model->tensors, model->count, path, error);
}

// Tensor i with all `pieces` that are joined to it, as bytes.
static struct tensor_out export_small_tensor(const struct export_model *model, int i, int pieces) {
    const struct param *param = model->at[i].param;
    const enum weight_type type =
        weight_type_of(model->weights, model->params, model->params_count, param);
    const int64_t columns = param->ndim == 2 ? model->tensors[i].dims[1] : 1;
    int64_t rows = 0;
    for (int k = 0; k < pieces; k++) {
        rows += model->tensors[i + k].dims[0];
    }
    float *w = allocate((size_t)rows, (size_t)columns * sizeof *w, model->tensors[i].name), *to = w;
    for (int k = 0; k < pieces; k++) {
        const size_t count = (size_t)(model->tensors[i + k].dims[0] * columns);
        memcpy(to, model->tensors[i + k].data, count * sizeof *w);
        to += count;
    }
    struct tensor_out out = model->tensors[i];
    out.type = NUMBER_U8;
    out.ndim = 2;
    out.dims[0] = type == WEIGHT_F32 ? rows : small_rows(rows);
    out.dims[1] = type == WEIGHT_F32 ? 4 * columns : small_row_bytes(type, columns);
    out.data = w;
    if (type != WEIGHT_F32) {
        void *stored = allocate((size_t)out.dims[0], (size_t)out.dims[1], out.name);
        small_store(type, w, rows, columns, stored);
        free(w);
        out.data = stored;
    }
    return out;
}

// Those in blocks come first, so that most begin at multiples of 64 bytes.
static bool export_small(const struct export_model *model, const char *path, char error[512]) {
    struct tensor_out *tensors =
        allocate((size_t)model->count, sizeof *tensors, "a list of tensors");
    int count = 0;
    for (int plain = 0; plain < 2; plain++) {
        for (int i = 0, pieces; i < model->count; i += pieces) {
            const struct param *param = model->at[i].param;
            for (pieces = 1; i + pieces < model->count && model->at[i + pieces].param->joined;) {
                pieces++;
            }
            const enum weight_type type =
                weight_type_of(model->weights, model->params, model->params_count, param);
            if (!param->copy && (type == WEIGHT_F32) == plain) {
                tensors[count++] = export_small_tensor(model, i, pieces);
            }
        }
    }
    const bool good = export_tensors(model, tensors, count, path, error);
    for (int i = 0; i < count; i++) {
        free((void *)tensors[i].data);
    }
    free(tensors);
    return good;
}

bool export_sampler(const struct export_model *model, const char *path, char error[512]) {
    if (model->weights != WEIGHT_F32) {
        return export_small(model, path, error);
    }
    struct tensor_out *tensors =
        allocate((size_t)model->count, sizeof *tensors, "a list of tensors");
    int count = 0;
    for (int i = 0; i < model->count; i++) {
        if (!model->at[i].param->copy) {
            tensors[count++] = model->tensors[i];
        }
    }
    const bool good = export_tensors(model, tensors, count, path, error);
    free(tensors);
    return good;
}
