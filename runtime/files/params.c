// params.c: the names of a model's tensors, their order in files, and which shapes they may have
// there.
#include "runtime/files/files.h"
#include "runtime/kernel/emitted.h"

#include <string.h>

bool param_is_layered(const struct param *param) {
    return strchr(param->name, '%') != NULL;
}

void param_name(const struct param *param, int layer, const char *prefix, char name[PARAM_NAME]) {
    const char *mark = strchr(param->name, '%');
    if (mark) {
        snprintf(name, PARAM_NAME, "%s%.*s%d%s", prefix, (int)(mark - param->name), param->name,
                 layer, mark + 2);
    } else {
        snprintf(name, PARAM_NAME, "%s%s", prefix, param->name);
    }
}

struct tensor_at *param_tensors(const struct param *params, int params_count, int *count) {
    size_t most = 0;
    for (int i = 0; i < params_count; i++) {
        most += (size_t)params[i].layers;
    }
    struct tensor_at *tensors = allocate(most, sizeof *tensors, "a list of tensors");
    *count = 0;
    for (int i = 0, end; i < params_count; i = end) {
        int layers = params[i].layers;
        const bool layered = param_is_layered(&params[i]);
        end = i + 1;
        while (layered && end < params_count && param_is_layered(&params[end])) {
            end++;
        }
        for (int layer = 0; layer < layers; layer++) {
            for (int k = i; k < end; k++) {
                tensors[(*count)++] = (struct tensor_at){&params[k], layer};
            }
        }
    }
    return tensors;
}

bool param_known(const struct param *params, int params_count, const char *name) {
    char own[PARAM_NAME];
    for (int i = 0; i < params_count; i++) {
        for (int layer = 0; layer < params[i].layers; layer++) {
            param_name(&params[i], layer, "", own);
            if (!strcmp(name, own)) {
                return true;
            }
        }
    }
    return false;
}

// By nanoGPT's names or Hugging Face's.
bool param_is_positions(const struct param *param) {
    return !strcmp(param->name, "transformer.wpe.weight") ||
           !strcmp(param->name, "model.embed_positions.weight");
}

const char *param_tokens(const struct param *params, int params_count) {
    static const char *const names[] = {"transformer.wte.weight", "model.embed_tokens.weight"};
    const bool other = param_known(params, params_count, names[1]);
    return names[other];
}

bool param_fits(const struct param *param, const struct tensor_view *view) {
    bool fits = view->ndim == param->ndim;
    for (int i = 0; fits && i < view->ndim; i++) {
        bool longer = i == 0 && param_is_positions(param) && view->dims[0] > param->dims[0];
        fits = view->dims[i] == param->dims[i] || longer;
    }
    return fits;
}

void shape_print(int ndim, const int64_t *dims, char text[SHAPE_TEXT]) {
    size_t used = (size_t)snprintf(text, SHAPE_TEXT, "(");
    for (int i = 0; i < ndim; i++) {
        used += (size_t)snprintf(text + used, SHAPE_TEXT - used, "%s%lld", i > 0 ? ", " : "",
                                 (long long)dims[i]);
    }
    snprintf(text + used, SHAPE_TEXT - used, ")");
}
