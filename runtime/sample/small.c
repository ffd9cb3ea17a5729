// small.c: opens a file with a sampler's small weights, which export_safetensors.c writes: checks
// that it has all tensors of the model, as bytes in the layout of kernel/small.h, and uses them in
// place. Samplers with float32 weights do not link it.
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "runtime/sample/sample.h"

static bool small_fail(char error[512], const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static bool small_fail(char error[512], const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error, 512, format, arguments);
    va_end(arguments);
    return false;
}

// What the file has to have for an entry of the table and the `pieces` that are its rows.
struct small_wanted {
    enum weight_type type;
    int64_t rows, columns; // of the matrix; a vector is a column
    int64_t dims[2];       // of its bytes
};

static struct small_wanted small_want(const struct param *param, int pieces) {
    struct small_wanted wanted = {.type = weight_type_of(sampler_info.weights, sampler_info.params,
                                                         sampler_info.params_count, param),
                                  .columns = param->ndim == 2 ? param->dims[1] : 1};
    for (int k = 0; k < pieces; k++) {
        wanted.rows += param[k].dims[0];
    }
    const bool plain = wanted.type == WEIGHT_F32;
    wanted.dims[0] = plain ? wanted.rows : small_rows(wanted.rows);
    wanted.dims[1] = plain ? (int64_t)sizeof(float) * wanted.columns
                           : small_row_bytes(wanted.type, wanted.columns);
    return wanted;
}

static bool small_check_shape(const struct safetensors *file, const struct tensor_view *view,
                              const struct param *param, const struct small_wanted *wanted,
                              char error[512]) {
    const bool longer = param_is_positions(param) && view->dims[0] > wanted->dims[0];
    if (view->ndim == 2 && (view->dims[0] == wanted->dims[0] || longer) &&
        view->dims[1] == wanted->dims[1] && !strcmp(view->dtype, "U8") &&
        (uintptr_t)view->place % sizeof(float) == 0) {
        return true;
    }
    char has[SHAPE_TEXT], shape[SHAPE_TEXT];
    shape_print(view->ndim, view->dims, has);
    shape_print(2, wanted->dims, shape);
    return small_fail(error,
                      "%s: %.120s is %s of %s, this sampler wants %s of U8; write the file again, "
                      "by make sampler TYPE=%s with the config of this sampler",
                      file->path, view->name, has, view->dtype, shape,
                      weight_type_name(sampler_info.weights));
}

// Whether all numbers, or all scales of the blocks, are finite.
static bool small_is_finite(const struct tensor_view *view, const struct small_wanted *wanted) {
    const size_t blocks = (size_t)(wanted->dims[0] * small_row_bytes(WEIGHT_F32, wanted->columns)) /
                          (size_t)small_row_bytes(WEIGHT_F32, 1);
    const size_t stored = (size_t)(wanted->dims[0] * wanted->dims[1]);
    if (wanted->type == WEIGHT_F32) {
        return floats_are_finite((const float *)(const void *)view->place,
                                 (int64_t)(stored / sizeof(float)));
    }
    const char *scales = view->place + stored - blocks * sizeof(uint16_t);
    for (size_t i = 0; i < blocks; i++) {
        uint16_t half;
        memcpy(&half, scales + i * sizeof half, sizeof half);
        if (!isfinite(number_of_half(half))) {
            return false;
        }
    }
    return true;
}

// The place of one tensor, which is checked; NULL with a line in error.
static const float *small_tensor(const struct safetensors *file, const struct param *param,
                                 int layer, int pieces, char error[512]) {
    const struct small_wanted wanted = small_want(param, pieces);
    char name[PARAM_NAME];
    param_name(param, layer, "", name);
    const struct tensor_view *view = safetensors_find(file, name);
    if (!view) {
        small_fail(error, "%s: %s is missing; build a sampler with the config of this file",
                   file->path, name);
        return NULL;
    }
    if (!small_check_shape(file, view, param, &wanted, error) ||
        !safetensors_verify_tensor(file, view, error)) {
        return NULL;
    }
    if (!small_is_finite(view, &wanted)) {
        small_fail(error, "%s: %s has a value that is not finite; take another file", file->path,
                   name);
        return NULL;
    }
    return (const float *)(const void *)view->place;
}

bool sampler_open_small(struct sampler *s, const struct safetensors *file, char error[512]) {
    const struct param *params = sampler_info.params;
    const int count = sampler_info.params_count;
    int used = 0, found = 0;
    for (int i = 0, end; i < count; i = end) {
        for (end = i + 1; end < count && params[end].joined;) {
            end++;
        }
        if (params[i].copy) {
            s->weight[used++] = NULL; // its owner's is used
            continue;
        }
        for (int layer = 0; layer < params[i].layers; layer++, found++) {
            s->weight[used] = small_tensor(file, &params[i], layer, end - i, error);
            if (!s->weight[used++]) {
                return false;
            }
        }
    }
    return found == file->count ||
           small_fail(error,
                      "%s: has %d tensors, this sampler's model %d; build one with the config of "
                      "this file",
                      file->path, file->count, found);
}
