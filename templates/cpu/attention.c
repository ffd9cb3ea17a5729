//// attention.c: causal attention, a head at a time. K, V, Q and dY of one (batch, head) are packed
//// into panels for the register tile; weights exist for BLOCK queries at a time; tiles above the
//// diagonal are skipped. An item of work is one (batch, head).

//// The sizes that forward and backward share, as C has them and as numbers (a struct needs those:
//// an enum within it would reach beyond it).
//$ function numbers(k)
//$     local T, D, rows, cols = k.d.T, k.d.D, k.tile_rows, k.tile_vecs * k.vec
//$     local keys, wide = (T + cols - 1) // cols * cols, (D + cols - 1) // cols * cols
//$     return T, D, keys, wide, T <= 8 * rows and T or 4 * rows
//$ end
//$ function sizes(k)
// clang-format off
    enum { $(k.dims) };
    // KEYS: T in whole panels. WIDE: D in whole panels. BLOCK: queries whose weights are held.
    enum { KEYS = DIVIDE_UP(T, TILE_COLS) * TILE_COLS, WIDE = DIVIDE_UP(D, TILE_COLS) * TILE_COLS };
    enum { BLOCK = T <= 8 * TILE_ROWS ? T : 4 * TILE_ROWS };
// clang-format on
//$ end

//// What forward and backward share: emitted once for each set of sizes.
//$ function heads(k)
// Scores of one tile of queries against one panel of keys: to (TILE_ROWS, KEYS) = q (.., D) kt (D,
// panel).
VEC_INLINE void $(k.common.scores)(float *to, const float *q, int q_stride, const float *kt, int i,
                                   int p, const int rows, const int vecs, const int last) {
    //$ sizes(k)
    (void)last;
    vec acc[TILE_ROWS][TILE_VECS];
    tile_zero(acc, rows, vecs);
    tile_multiply(acc, rows, vecs, D, q + (size_t)i * q_stride, q_stride, 1,
                  kt + (size_t)p * D * TILE_COLS, TILE_COLS);
    tile_store(acc, rows, vecs, VEC, to + (size_t)i * KEYS + p * TILE_COLS, KEYS);
}

// One tile of to (.., D) = or += weights (.., depth) rows (depth, D), weights read along or across.
VEC_INLINE void $(k.common.mix)(float *to, int to_stride, bool add, const float *weights,
                                ptrdiff_t w_row, ptrdiff_t w_k, const float *panel, int depth,
                                int i, int p, const int rows, const int vecs, const int last) {
    //$ sizes(k)
    float *at = to + (size_t)i * to_stride + p * TILE_COLS;
    vec acc[TILE_ROWS][TILE_VECS];
    if (add) {
        tile_load(acc, rows, vecs, last, at, to_stride);
    } else {
        tile_zero(acc, rows, vecs);
    }
    tile_multiply(acc, rows, vecs, depth, weights + i * w_row, w_row, w_k,
                  panel + (size_t)p * T * TILE_COLS, TILE_COLS);
    tile_store(acc, rows, vecs, last, at, to_stride);
}

// (T, D) at a stride -> panels (WIDE / TILE_COLS, T, TILE_COLS)
static void $(k.common.pack)(float *to, const float *from, int stride) {
    //$ sizes(k)
    for (int p = 0; p < WIDE / TILE_COLS; p++) {
        if ((p + 1) * TILE_COLS <= D) {
            tile_pack(to + (size_t)p * T * TILE_COLS, TILE_COLS, from + p * TILE_COLS, stride, T,
                      TILE_COLS);
        } else {
            tile_pack(to + (size_t)p * T * TILE_COLS, TILE_COLS, from + p * TILE_COLS, stride, T,
                      (D - 1) % TILE_COLS + 1);
        }
    }
}

// (T, D) at a stride -> turned panels (KEYS / TILE_COLS, D, TILE_COLS)
static void $(k.common.pack_turned)(float *to, const float *from, int stride) {
    //$ sizes(k)
    for (int p = 0; p < KEYS / TILE_COLS; p++) {
        tile_pack_turned(to + (size_t)p * D * TILE_COLS, TILE_COLS,
                         from + (size_t)p * TILE_COLS * stride, stride, D,
                         int_min(TILE_COLS, T - p * TILE_COLS));
    }
}

// Scores of all queries [first, last) of a block against the keys that they may see.
static void $(k.common.block)(float *to, const float *q, int q_stride, const float *kt, int first,
                              int last) {
    //$ sizes(k)
    to -= (size_t)first * KEYS;
    for (int p = 0; p < KEYS / TILE_COLS; p++) {
        for (int i = first; i < last; i += TILE_ROWS) {
            if (p * TILE_COLS <= i + TILE_ROWS - 1) {
                TILE_CASES($(k.common.scores), i, p, T, KEYS, to, q, q_stride, kt);
            }
        }
    }
}
//$ end

//$ function attention(k)
//$ local T, D, keys, wide, block = numbers(k)
struct $(k.part.scratch) {
    float kt[$(keys * D)];          // KEYS * D, turned panels
    float v[$(wide * T)];           // WIDE * T, panels
    float weights[$(block * keys)]; // BLOCK * KEYS
};

$(k.sign("static void", k.name, "void *scratch, int thread, int threads")) {
    //$ sizes(k)
    struct $(k.part.scratch) *s = scratch;
    const float scale = $(k.attrs.scale);
    //$ if k.uses.dropout then
    const struct dropout drop = dropout_make(m->dropout, m->dropout_key);
    //$ end
    const struct range mine = share(B * H, thread, threads);
    for (int item = mine.first; item < mine.last; item++) {
        const int b = item / H, h = item % H;
        const float *q = qkv + (size_t)b * T * E + h * D; // (T, D), rows E apart
        $(k.common.pack_turned)(s->kt, q + C, E);
        $(k.common.pack)(s->v, q + 2 * C, E);
        for (int first = 0; first < T; first += BLOCK) {
            const int last = int_min(first + BLOCK, T);
            $(k.common.block)(s->weights, q, E, s->kt, first, last);
            for (int i = first; i < last; i++) {
                // Softmax over the keys 0 .. i; 0 behind them, to the end of this row's tiles.
                float *w = s->weights + (size_t)(i - first) * KEYS;
                const int seen = i + 1, end = int_min(KEYS, DIVIDE_UP(last, VEC) * VEC);
                for (int j = seen; j < end; j++) {
                    w[j] = -INFINITY;
                }
                vec high = vec_splat(-INFINITY);
                for (int j = 0; j < seen; j += VEC) {
                    high = vec_max(vec_load(w + j), high);
                }
                const float largest = vec_largest(high) * scale;
                vec total = vec_splat(0.0f);
                for (int j = 0; j < end; j += VEC) {
                    const vec e = vec_exp(vec_load(w + j) * scale - largest);
                    vec_store(w + j, e);
                    total += e;
                }
                const float sum = vec_sum(total);
                //$ if k.uses.lse then
                lse[(size_t)h * N + b * T + i] = largest + logf(sum);
                //$ end
                for (int j = 0; j < end; j += VEC) {
                    vec e = vec_load(w + j) * (1.0f / sum);
                    //$ if k.uses.dropout then
                    e *= dropout_mask(&drop, site, (int64_t)item * T + i, DROPOUT_CHUNKS(T), j);
                    //$ end
                    vec_store(w + j, e);
                }
            }
            for (int i = first; i < last; i += TILE_ROWS) {
                const int depth = int_min(i + TILE_ROWS, last);
                for (int p = 0; p < WIDE / TILE_COLS; p++) {
                    TILE_CASES($(k.common.mix), i, p, T, D, y + (size_t)b * T * C + h * D, C, false,
                               s->weights - (size_t)first * KEYS, KEYS, 1, s->v, depth);
                }
            }
        }
    }
}
//$ end

//// With P = softmax(scale Q K^T), Y = P V:
////   dV = P^T dY,  dP = dY V^T,  dS = P (dP - rowsum(dY Y)) scale,  dQ = dS K,  dK = dS^T Q.
//// Dropout's mask M multiplies P in Y and dV, and dP.
//$ function attention_backward(k)
//$ local T, D, keys, wide, block = numbers(k)
struct $(k.part.scratch) {
    float kt[$(keys * D)], vt[$(keys * D)];                // KEYS * D, turned panels
    float k[$(wide * T)], q[$(wide * T)], dy[$(wide * T)]; // WIDE * T, panels
    float dk[$(T * D)], dv[$(T * D)];
    float weights[$(block * keys)], dscores[$(block * keys)]; // BLOCK * KEYS
};

$(k.sign("static void", k.name, "void *scratch, int thread, int threads")) {
    //$ sizes(k)
    struct $(k.part.scratch) *s = scratch;
    const float scale = $(k.attrs.scale);
    //$ if k.uses.dropout then
    const struct dropout drop = dropout_make(m->dropout, m->dropout_key);
    //$ end
    const struct range mine = share(B * H, thread, threads);
    for (int item = mine.first; item < mine.last; item++) {
        const int b = item / H, h = item % H;
        const float *q = qkv + (size_t)b * T * E + h * D;
        const float *dyh = dy + (size_t)b * T * C + h * D, *yh = y + (size_t)b * T * C + h * D;
        float *dq = dqkv + (size_t)b * T * E + h * D;
        $(k.common.pack_turned)(s->kt, q + C, E);
        $(k.common.pack_turned)(s->vt, q + 2 * C, E);
        $(k.common.pack)(s->k, q + C, E);
        $(k.common.pack)(s->q, q, E);
        $(k.common.pack)(s->dy, dyh, C);
        memset(s->dk, 0, sizeof s->dk);
        memset(s->dv, 0, sizeof s->dv);
        for (int first = 0; first < T; first += BLOCK) {
            const int last = int_min(first + BLOCK, T);
            $(k.common.block)(s->weights, q, E, s->kt, first, last);
            $(k.common.block)(s->dscores, dyh, C, s->vt, first, last);
            for (int i = first; i < last; i++) {
                float *w = s->weights + (size_t)(i - first) * KEYS;
                float *ds = s->dscores + (size_t)(i - first) * KEYS;
                const int seen = i + 1, end = int_min(KEYS, DIVIDE_UP(last, VEC) * VEC);
                vec dots = vec_splat(0.0f);
                for (int d = 0; d < D; d += VEC) {
                    dots = vec_fma(row_load(dyh + (size_t)i * C, d, D),
                                   row_load(yh + (size_t)i * C, d, D), dots);
                }
                const float delta = vec_sum(dots), log_sum = lse[(size_t)h * N + b * T + i];
                for (int j = seen; j < end; j++) {
                    w[j] = -INFINITY;
                    ds[j] = 0.0f;
                }
                for (int j = 0; j < end; j += VEC) {
                    vec weight = vec_exp(vec_load(w + j) * scale - log_sum);
                    vec dweight = vec_load(ds + j);
                    //$ if k.uses.dropout then
                    const vec mask =
                        dropout_mask(&drop, site, (int64_t)item * T + i, DROPOUT_CHUNKS(T), j);
                    vec_store(w + j, weight * mask);
                    dweight *= mask;
                    //$ else
                    vec_store(w + j, weight);
                    //$ end
                    vec_store(ds + j, weight * (dweight - delta) * scale);
                }
            }
            const float *weights = s->weights - (size_t)first * KEYS; // row i is query i
            const float *dscores = s->dscores - (size_t)first * KEYS;
            for (int i = first; i < last; i += TILE_ROWS) {
                const int depth = int_min(i + TILE_ROWS, last);
                for (int p = 0; p < WIDE / TILE_COLS; p++) {
                    TILE_CASES($(k.common.mix), i, p, T, D, dq, E, false, dscores, KEYS, 1, s->k,
                               depth);
                }
            }
            // Keys j and behind are seen by queries from j on.
            for (int j = 0; j < last; j += TILE_ROWS) {
                const int from = int_max(first, j), depth = last - from;
                for (int p = 0; p < WIDE / TILE_COLS; p++) {
                    TILE_CASES($(k.common.mix), j, p, T, D, s->dk, D, true,
                               dscores + (size_t)from * KEYS, 1, KEYS,
                               s->q + (size_t)from * TILE_COLS, depth);
                    TILE_CASES($(k.common.mix), j, p, T, D, s->dv, D, true,
                               weights + (size_t)from * KEYS, 1, KEYS,
                               s->dy + (size_t)from * TILE_COLS, depth);
                }
            }
        }
        for (int t = 0; t < T; t++) {
            memcpy(dq + C + (size_t)t * E, s->dk + (size_t)t * D, D * sizeof(float));
            memcpy(dq + 2 * C + (size_t)t * E, s->dv + (size_t)t * D, D * sizeof(float));
        }
    }
}
//$ end
