// optimizer.c: the gradients' norm, the emitted update (templates/cpu/optimizer.c) of all tensors,
// and the image of the weights, which is rounded from a chunk right behind its update, while that
// is in a cache.
//
// Tensors are cut in chunks of a fixed size, and thread t takes chunks t, t + threads, ... So a
// value's arithmetic does not depend on the number of threads, and the norm sums one partial per
// chunk, in order.
#include "runtime/model/model.h"
#include "runtime/kernel/bf16.h"

#include <math.h>

enum { OPTIMIZER_CHUNK = 16384, NORM_SUMS = 32 };

// Iterates over the chunks of all tensors, in the table's order. Copies (tied tensors) have none.
struct chunk {
    int param, layer;
    int64_t start;       // offset in the tensor, in floats
    int64_t index;       // among all chunks
    int64_t from, count; // offset in params and size, in floats
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

// ---- a part of a model --------------------------------------------------------------------------

struct optimizer_part optimizer_part = {0, INT64_MAX};
struct optimizer_pieces optimizer_pieces;
void (*optimizer_share_norms)(double *norms, int64_t count);

bool optimizer_owns(int64_t at) {
    return at >= optimizer_part.from && at < optimizer_part.to;
}

int64_t optimizer_cut(const struct model_info *info, int64_t at) {
    int64_t cut = info->state_floats;
    for (struct chunk c = chunk_before_first(); chunk_next(&c, info);) {
        const bool within = info->params[c.param].muon && c.start > 0;
        if (c.from >= at && c.from < cut && !within) {
            cut = c.from;
        }
    }
    return cut;
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

const bool *optimizer_normed;

void optimizer_norm_early(struct model *m, const struct model_info *info, int64_t from, int64_t to,
                          bool *normed) {
    for (struct chunk c = chunk_before_first(); chunk_next(&c, info);) {
        if (c.from >= from && c.from < to && optimizer_owns(c.from)) {
            m->norms[c.index] = norm_chunk(m->grads + c.from, c.count);
            normed[c.index] = true;
        }
    }
}

void optimizer_norm_part(struct model *m, const struct model_info *info, bool of_part, int thread,
                         int threads) {
    for (struct chunk c = chunk_before_first(); chunk_next(&c, info);) {
        const bool normed = optimizer_normed && optimizer_normed[c.index];
        if (c.index % threads == thread && !normed) {
            const bool counts = !of_part || optimizer_owns(c.from);
            m->norms[c.index] = counts ? norm_chunk(m->grads + c.from, c.count) : 0;
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

// ---- the image of the weights -------------------------------------------------------------------

static void optimizer_image_chunk(struct model *m, const struct chunk *c) {
    if (m->packed) {
        image_store(m->packed + c->from, m->params + c->from, c->count);
    }
}

// Of the matrices that Muon updates, which is no chunk at a time.
static void optimizer_image_muon(struct model *m, const struct model_info *info, int thread,
                                 int threads) {
    parallel_barrier();
    for (struct chunk c = chunk_before_first(); chunk_next(&c, info);) {
        if (c.index % threads == thread && info->params[c.param].muon) {
            optimizer_image_chunk(m, &c);
        }
    }
}

void optimizer_image_part(struct model *m, const struct model_info *info, int thread, int threads) {
    if (!m->packed || m->imaged) {
        return;
    }
    for (struct chunk c = chunk_before_first(); chunk_next(&c, info);) {
        if (c.index % threads == thread) {
            optimizer_image_chunk(m, &c);
        }
    }
    parallel_barrier();
    if (thread == 0) {
        m->imaged = true;
    }
}

// ---- the update ---------------------------------------------------------------------------------

static void optimizer_update_range(struct model *m, const struct model_info *info,
                                   const struct update updates[GROUPS], struct optimizer_part part,
                                   int thread, int threads) {
    for (struct chunk c = chunk_before_first(); chunk_next(&c, info);) {
        const struct param *param = &info->params[c.param];
        const bool within = c.from >= part.from && c.from < part.to;
        if (c.index % threads == thread && !param->muon && within) {
            const struct update *u = &updates[param->group];
            info->update(u, param->decay || u->decays, m->params + c.from, m->grads + c.from,
                         m->m ? m->m + c.from : NULL, m->v ? m->v + c.from : NULL, c.count);
            optimizer_image_chunk(m, &c);
        }
    }
}

void optimizer_update_part(struct model *m, const struct model_info *info,
                           const struct update updates[GROUPS], int thread, int threads) {
    const struct optimizer_pieces *pieces = &optimizer_pieces;
    for (int i = 0; i < pieces->count; i++) {
        const struct optimizer_part piece = {pieces->cut[i], pieces->cut[i + 1]};
        optimizer_update_range(m, info, updates, piece, thread, threads);
        pieces->updated(pieces->context, i + 1);
    }
    if (!pieces->count) {
        optimizer_update_range(m, info, updates, optimizer_part, thread, threads);
    }
    if (info->muon) {
        info->muon(m, &updates[GROUP_MATRICES], thread, threads);
        if (m->packed) {
            optimizer_image_muon(m, info, thread, threads);
        }
    }
}
