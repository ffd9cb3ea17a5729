// params.c: the names of a model's tensors, and their order in files.
#include "runtime/files/files.h"
#include "runtime/kernel/emitted.h"

#include <string.h>

void param_name(const struct param *param, int layer, const char *prefix, char name[PARAM_NAME]) {
    const char *mark = strstr(param->name, "%d");
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
        bool layered = strstr(params[i].name, "%d");
        end = i + 1;
        while (layered && end < params_count && strstr(params[end].name, "%d")) {
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
