// optimizer.c: AdamW, Adam and SGD, as torch.optim computes them, in float.
//
// Tensors are cut in chunks of a fixed size, and thread t takes chunks t, t + threads, ... So a
// value's arithmetic does not depend on the number of threads, and the norm sums one partial per
// chunk, in order.
#include "runtime/model/model.h"
#include "runtime/kernel/vec.h"

#include <math.h>
#include <stdlib.h>

enum { OPTIMIZER_CHUNK = 16384, NORM_SUMS = 32 };

// An iterator over all chunks of all tensors, in the table's order. Copies (tied tensors) have
// none.
struct chunk {
    int param, layer;
    int64_t start;       // offset in the tensor, in floats
    int64_t index;       // among all chunks
    int64_t from, count; // offset in params and size, in floats
    bool decay;
};

static struct chunk chunk_before_first(void) {
    return (struct chunk){.start = -OPTIMIZER_CHUNK, .index = -1};
}

static bool chunk_next(struct chunk *c, const struct model_info *info) {
    c->start += OPTIMIZER_CHUNK;
    while (c->param < info->params_count) {
        const struct param *param = &info->params[c->param];
        int64_t size = param->dims[0] * param->dims[1];
        if (!param->copy && c->layer < param->layers && c->start < size) {
            int64_t left = size - c->start;
            c->from = param->offset + c->layer * param->stride + c->start;
            c->count = left < OPTIMIZER_CHUNK ? left : OPTIMIZER_CHUNK;
            c->decay = param->decay;
            c->index++;
            return true;
        }
        c->start = 0;
        if (param->copy || ++c->layer >= param->layers) {
            c->layer = 0;
            c->param++;
        }
    }
    return false;
}

// ---- the norm -----------------------------------------------------------------------------------

// Sums the squares in double: NORM_SUMS partial sums, whatever the vectors' width, which are added
// in order at the end.
enum { NORM_LANES = VEC / 2, NORM_STREAMS = NORM_SUMS / NORM_LANES };
typedef float norm_floats __attribute__((vector_size(NORM_LANES * sizeof(float))));
typedef double norm_doubles __attribute__((vector_size(NORM_LANES * sizeof(double))));

static double norm_chunk(const float *x, int64_t count) {
    norm_doubles sum[NORM_STREAMS] = {{0}};
    int64_t i = 0;
    for (; i + NORM_SUMS <= count; i += NORM_SUMS) {
        for (int s = 0; s < NORM_STREAMS; s++) {
            norm_floats f;
            memcpy(&f, x + i + s * NORM_LANES, sizeof f);
            const norm_doubles wide = __builtin_convertvector(f, norm_doubles);
            sum[s] += wide * wide;
        }
    }
    double total = 0;
    for (int s = 0; s < NORM_STREAMS; s++) {
        for (int lane = 0; lane < NORM_LANES; lane++) {
            total += sum[s][lane];
        }
    }
    for (; i < count; i++) {
        total += (double)x[i] * x[i];
    }
    return total;
}

int64_t optimizer_chunks(const struct model_info *info) {
    int64_t chunks = 0;
    for (struct chunk c = chunk_before_first(); chunk_next(&c, info);) {
        chunks++;
    }
    return chunks;
}

void optimizer_norm_part(struct model *m, const struct model_info *info, int thread, int threads) {
    for (struct chunk c = chunk_before_first(); chunk_next(&c, info);) {
        if (c.index % threads == thread) {
            m->norms[c.index] = norm_chunk(m->grads + c.from, c.count);
        }
    }
}

double optimizer_norm_total(const struct model *m, const struct model_info *info) {
    double total = 0;
    for (int64_t i = 0, chunks = optimizer_chunks(info); i < chunks; i++) {
        total += m->norms[i];
    }
    return sqrt(total);
}

// ---- the update ---------------------------------------------------------------------------------

// The constants of one update, computed in double as PyTorch does, then rounded to float once.
struct update {
    enum optimizer_kind kind;
    float scale;         // of the gradients
    float keep;          // AdamW: 1 - learning rate * weight decay
    float l2;            // Adam and SGD: weight decay, times the weight, is added to the gradient
    float rate;          // SGD: the learning rate
    float mean_weight;   // 1 - beta1
    float square_keep;   // beta2
    float square_weight; // 1 - beta2
    float root;          // 1 / sqrt(1 - beta2^t)
    float step;          // learning rate / (1 - beta1^t)
    float eps;
};

static struct update update_numbers(enum optimizer_kind kind, const struct optimizer_step *s,
                                    bool decay) {
    double weight_decay = decay ? s->weight_decay : 0;
    return (struct update){
        .kind = kind,
        .scale = (float)s->scale,
        .keep = (float)(1 - s->learning_rate * weight_decay),
        .l2 = (float)weight_decay,
        .rate = (float)s->learning_rate,
        .mean_weight = (float)(1 - s->beta1),
        .square_keep = (float)s->beta2,
        .square_weight = (float)(1 - s->beta2),
        .root = (float)(1 / sqrt(1 - pow(s->beta2, (double)s->t))),
        .step = (float)(s->learning_rate / (1 - pow(s->beta1, (double)s->t))),
        .eps = (float)s->eps,
    };
}

VEC_INLINE void update_adam(const struct update *u, vec *p, vec g, vec *m, vec *v) {
    if (u->kind == OPTIMIZER_ADAMW) {
        *p *= u->keep;
    } else {
        g += u->l2 * *p;
    }
    *m += u->mean_weight * (g - *m);
    *v = u->square_keep * *v + u->square_weight * g * g;
    *p -= u->step * (*m / vec_fma(vec_sqrt(*v), vec_splat(u->root), vec_splat(u->eps)));
}

static void update_adam_chunk(const struct update *u, float *p, const float *g, float *m, float *v,
                              int64_t count) {
    for (int64_t i = 0; i < count; i += VEC) {
        if (i + VEC <= count) {
            vec weight = vec_load(p + i), mean = vec_load(m + i), square = vec_load(v + i);
            update_adam(u, &weight, vec_load(g + i) * u->scale, &mean, &square);
            vec_store(p + i, weight);
            vec_store(m + i, mean);
            vec_store(v + i, square);
        } else {
            int n = (int)(count - i);
            vec weight = vec_load_n(p + i, n), mean = vec_load_n(m + i, n),
                square = vec_load_n(v + i, n);
            update_adam(u, &weight, vec_load_n(g + i, n) * u->scale, &mean, &square);
            vec_store_n(p + i, weight, n);
            vec_store_n(m + i, mean, n);
            vec_store_n(v + i, square, n);
        }
    }
}

static void update_sgd_chunk(const struct update *u, float *p, const float *g, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        p[i] -= u->rate * (g[i] * u->scale + u->l2 * p[i]);
    }
}

void optimizer_update_part(struct model *m, const struct model_info *info,
                           const struct optimizer_step *step, int thread, int threads) {
    const struct update decayed = update_numbers(info->optimizer, step, true);
    const struct update plain = update_numbers(info->optimizer, step, false);
    for (struct chunk c = chunk_before_first(); chunk_next(&c, info);) {
        if (c.index % threads != thread) {
            continue;
        }
        const struct update *u = c.decay ? &decayed : &plain;
        float *p = m->params + c.from;
        const float *g = m->grads + c.from;
        if (u->kind == OPTIMIZER_SGD) {
            update_sgd_chunk(u, p, g, c.count);
        } else {
            update_adam_chunk(u, p, g, m->m + c.from, m->v + c.from, c.count);
        }
    }
}
