// params.c: the names of a model's tensors.
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
