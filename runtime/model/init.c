// init.c: a model's initial weights.
#include "runtime/model/model.h"
#include "runtime/base/base.h"

enum { INIT_CHUNK = 16384 };

struct init {
    struct model *m;
    const struct model_info *info;
    uint64_t seed;
};

// Of one element; normal ones are made many at a time.
static float init_value(const struct param *param, uint64_t bits) {
    switch (param->init) {
    case INIT_ONES:
        return 1;
    case INIT_UNIFORM:
        return (float)(param->init_value * (2 * rng_uniform(bits) - 1));
    default:
        return 0;
    }
}

// Fills this thread's chunks: tensors are cut in chunks, which are dealt to the threads in turn. An
// element's counter is the low 32 bits of its index, then the tensor's number with the index's high
// bits above bit 24.
static void init_run(void *context, int thread, int threads) {
    const struct init *init = context;
    uint32_t tensor = 0;
    int64_t chunk = 0;
    for (int i = 0; i < init->info->params_count; i++) {
        const struct param *param = &init->info->params[i];
        int64_t count = param->dims[0] * param->dims[1];
        for (int layer = 0; layer < param->layers; layer++, tensor++) {
            if (param->copy) {
                continue;
            }
            float *out = init->m->params + param->offset + layer * param->stride;
            for (int64_t from = 0; from < count; from += INIT_CHUNK, chunk++) {
                if (chunk % threads != thread) {
                    continue;
                }
                const int64_t to = from + INIT_CHUNK < count ? from + INIT_CHUNK : count;
                const uint32_t seed = (uint32_t)init->seed;
                const uint32_t high = (uint32_t)(from >> 32) << 24 | tensor; // of the whole chunk
                if (param->init == INIT_NORMAL) {
                    normals_fill(out + from, to - from, seed, (uint32_t)from, high,
                                 param->init_value);
                    continue;
                }
                for (int64_t e = from; e < to; e++) {
                    out[e] = init_value(param, rng_bits(seed, RNG_INIT, (uint32_t)e, high));
                }
            }
        }
    }
}

void model_init(struct model *m, const struct model_info *info, uint64_t seed) {
    parallel_run(init_run, &(struct init){m, info, seed});
}
