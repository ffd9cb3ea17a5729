// kind.c: what kind of sampler this is, as its files are named: the type of its weights, and that
// of its keys and values if it is not float32.
#include "runtime/sample/sample.h"

const char *sampler_kind(void) {
    static char kind[32];
    snprintf(kind, sizeof kind, "%s%s", weight_type_name(sampler_info.weights),
             sampler_info.cache_bfloat16 ? "-kv_bfloat16" : "");
    return kind;
}
