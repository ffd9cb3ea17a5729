//// attention.c: causal attention, one (batch, head) at a time, a block of queries after another.
//// Scores are held turned, (keys, queries): a vector is as many queries, so that a softmax is a loop
//// over keys without sums across a vector. Q, K, V and dY are read where they lie, but for those that
//// the turned scores want turned. What lies above the diagonal is not computed.

//// The sizes that forward and backward share, as C has them and as numbers (a struct needs those:
//// an enum within it would reach beyond it). WIDE: queries of a panel of scores; HEAD: columns of a
//// panel of D.
//$ function numbers(k)
//$     local T, D, wide = k.d.T, k.d.D, 2 * k.vec
//$     local panels = (T + wide - 1) // wide
//$     -- Backward: panels of a block, so that two blocks of scores fit into the second-level cache.
//$     local block = math.max(1, math.min(panels, 128 // wide, 65536 // (T * wide)))
//$     if not k.specialise then block = 128 // wide end
//$     return T, D, wide, block
//$ end
//$ function sizes(k)
// clang-format off
//$ local vecs = k.specialise and "MIN(2, DIVIDE_UP(D, VEC))" or "2"
    enum { $(k.dims), WIDE = 2 * VEC, HEAD = $(vecs) * VEC };
// clang-format on
//$ end

//// What forward and backward share: emitted once for each set of sizes.
//$ function heads(k)
// A tile of turned scores (keys, WIDE): to = rows of x (.., D) from key i on, times a turned panel
// (D, WIDE).
VEC_INLINE void $(k.common.scores)(float *to, int stride, const float *x, int x_stride,
                                   const float *turned, int i, int p, const int rows,
                                   const int vecs, const int last) {
    //$ sizes(k)
    (void)p, (void)last;
    vec acc[TILE_ROWS][TILE_VECS];
    tile_zero(acc, rows, vecs);
    tile_multiply(acc, rows, vecs, VEC, D, x + (size_t)i * x_stride, x_stride, 1, turned, WIDE, 0);
    tile_store(acc, rows, vecs, VEC, to + (size_t)i * stride, stride);
}

// A tile of to (.., D) = or += weights (.., depth) x (depth, D), weights read along or across.
VEC_INLINE void $(k.common.mix)(float *to, int to_stride, bool begins, const float *weights,
                                ptrdiff_t w_row, ptrdiff_t w_k, const float *x, int x_stride,
                                int depth, int i, int p, const int rows, const int vecs,
                                const int last) {
    //$ sizes(k)
    float *at = to + (size_t)i * to_stride + p * HEAD;
    vec acc[TILE_ROWS][TILE_VECS];
    if (begins) {
        tile_zero(acc, rows, vecs);
    } else {
        tile_load(acc, rows, vecs, last, at, to_stride);
    }
    tile_multiply(acc, rows, vecs, last, depth, weights + i * w_row, w_row, w_k, x + p * HEAD,
                  x_stride, 0);
    tile_store(acc, rows, vecs, last, at, to_stride);
}

// Scores of keys 0 .. keys - 1, whole tiles or all of T: (keys, WIDE) at a stride.
static void $(k.common.panel)(float *to, int stride, const float *x, int x_stride,
                              const float *turned, int keys) {
    //$ sizes(k)
    for (int i = 0; i < keys; i += TILE_ROWS) {
        TILE_CASES($(k.common.scores), i, 0, T, WIDE, 2, to, stride, x, x_stride, turned);
    }
}

// Rows i .. i + rows - 1 of to (.., D) = weights (.., depth) x (depth, D): a tile, what a panel of
// queries has over after its tiles, or what the last one has.
static void $(k.common.rows)(float *to, int to_stride, const float *weights, int w_k,
                             const float *x, int x_stride, int depth, int i, int rows) {
    //$ sizes(k)
    //$ if k.specialise then
    enum { EDGE = WIDE % TILE_ROWS, TAIL = T % WIDE % TILE_ROWS };
    //$ end
    for (int p = 0; p < DIVIDE_UP(D, HEAD); p++) {
        //$ if not k.specialise then
        TILE_CASES($(k.common.mix), i, p, i + rows, D, HEAD / VEC, to, to_stride, true, weights, 1,
                   w_k, x, x_stride, depth);
        //$ else
        if (rows == TILE_ROWS) {
            TILE_CASES($(k.common.mix), i, p, TILE_ROWS, D, HEAD / VEC, to, to_stride, true,
                       weights, 1, w_k, x, x_stride, depth);
        } else if (EDGE > 0 && rows == EDGE) {
            TILE_CASES($(k.common.mix), i, p, EDGE, D, HEAD / VEC, to, to_stride, true, weights, 1,
                       w_k, x, x_stride, depth);
        } else {
            TILE_CASES($(k.common.mix), i, p, TAIL, D, HEAD / VEC, to, to_stride, true, weights, 1,
                       w_k, x, x_stride, depth);
        }
        //$ end
    }
}

// Turns WIDE rows of x (T, D) from row q on, times `scale`, to (D, WIDE); 0 for rows behind T.
static void $(k.common.turn)(float *to, const float *x, int stride, int q, float scale) {
    //$ sizes(k)
    pack_turned(to, WIDE, x + (size_t)q * stride, stride, D, int_min(WIDE, T - q));
    for (int c = 0; c < D * WIDE; c += VEC) {
        vec_store(to + c, vec_load(to + c) * scale);
    }
}
//$ end

//$ function attention(k)
//$ local T, D, wide = numbers(k)
struct $(k.part.scratch) {
    float q[$(D * wide)];      // (D, WIDE)
    float scores[$(T * wide)]; // (T, WIDE)
    float scale[$(wide)];      // (WIDE)
};

$(k.sign("static void", k.name, "void *scratch, int thread, int threads")) {
    //$ sizes(k)
    struct $(k.part.scratch) *s = scratch;
    //$ if k.uses.dropout then
    const struct dropout drop = dropout_make(m->dropout, m->dropout_key);
    //$ end
    const struct range mine = share(B * H, thread, threads);
    for (int item = mine.first; item < mine.last; item++) {
        const int b = item / H, h = item % H;
        const float *query = qkv + (size_t)b * T * E_LD + h * D; // (T, D), rows E_LD apart
        const float *key = query + C, *value = query + 2 * C;
        float *to = y + (size_t)b * T * C_LD + h * D;
        for (int q = 0; q < T; q += WIDE) {
            const int queries = int_min(WIDE, T - q);
            const int keys = int_min(T, DIVIDE_UP(q + WIDE, TILE_ROWS) * TILE_ROWS);
            $(k.common.turn)(s->q, query, E_LD, q, $(k.attrs.scale));
            $(k.common.panel)(s->scores, WIDE, key, E_LD, s->q, keys);
            for (int c = 0; c < WIDE; c += VEC) {
                float *scores = s->scores + c;
                // Key j is seen by queries j and on.
                vec largest = vec_splat(-INFINITY), sum = vec_splat(0.0f);
                for (int j = 0; j < keys; j++) {
                    vec score = vec_load(scores + j * WIDE);
                    if (j > q + c) {
                        score = vec_select(vec_lanes() + (q + c) < j, vec_splat(-INFINITY), score);
                        vec_store(scores + j * WIDE, score);
                    }
                    largest = vec_max(score, largest);
                }
                for (int j = 0; j < keys; j++) {
                    const vec e = vec_exp(vec_load(scores + j * WIDE) - largest);
                    vec_store(scores + j * WIDE, e);
                    sum += e;
                }
                vec_store(s->scale + c, 1.0f / sum);
                //$ if k.uses.lse then
                if (q + c < T) {
                    const vec value_lse = largest + vec_log(sum);
                    vec_store_n(lse + (size_t)h * N + b * T + q + c, value_lse,
                                int_min(VEC, T - q - c));
                }
                //$ end
                //$ if k.uses.dropout then
                dropout_turned(&drop, site, (int64_t)item * T + q + c, DROPOUT_CHUNKS(T), scores,
                               WIDE, keys);
                //$ end
            }
            for (int i = 0; i < queries; i += TILE_ROWS) {
                const int rows = int_min(TILE_ROWS, queries - i);
                float *rows_to = to + (size_t)q * C_LD;
                $(k.common.rows)
                (rows_to, C_LD, s->scores, WIDE, value, E_LD, q + i + rows, i, rows);
                for (int row = i; row < i + rows; row++) {
                    for (int d = 0; d < D; d += VEC) {
                        const vec yd = row_load(rows_to + (size_t)row * C_LD, d, D);
                        row_store(rows_to + (size_t)row * C_LD, d, D, yd * s->scale[row]);
                    }
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
//$ local T, D, wide, block = numbers(k)
//$ local stride = ((block * wide + 15) // 16 | 1) * 16
struct $(k.part.scratch) {
    float q[$(D * wide)], dy[$(D * wide)];                // (D, WIDE)
    float weights[$(T * stride)], dscores[$(T * stride)]; // (T, BLOCK), rows STRIDE apart
    float delta[$(wide)];                                 // (WIDE)
};

$(k.sign("static void", k.name, "void *scratch, int thread, int threads")) {
    //$ sizes(k)
    // STRIDE: an odd number of cache lines, as rows of activations have.
    enum { BLOCK = $(block) * WIDE, STRIDE = $(stride) };
    struct $(k.part.scratch) *s = scratch;
    const float scale = $(k.attrs.scale);
    //$ if k.uses.dropout then
    const struct dropout drop = dropout_make(m->dropout, m->dropout_key);
    //$ end
    const struct range mine = share(B * H, thread, threads);
    for (int item = mine.first; item < mine.last; item++) {
        const int b = item / H, h = item % H;
        const float *query = qkv + (size_t)b * T * E_LD + h * D; // (T, D), rows E_LD apart
        const float *key = query + C, *value = query + 2 * C;
        const float *dyh = dy + (size_t)b * T * C_LD + h * D,
                    *yh = y + (size_t)b * T * C_LD + h * D;
        float *dq = dqkv + (size_t)b * T * E_LD + h * D, *dk = dq + C, *dv = dq + 2 * C;
        for (int first = 0; first < T; first += BLOCK) {
            const int last = int_min(first + BLOCK, T);
            for (int q = first; q < last; q += WIDE) {
                const int queries = int_min(WIDE, T - q);
                const int keys = int_min(T, DIVIDE_UP(q + WIDE, TILE_ROWS) * TILE_ROWS);
                float *weights = s->weights + (q - first), *dscores = s->dscores + (q - first);
                $(k.common.turn)(s->q, query, E_LD, q, scale);
                $(k.common.turn)(s->dy, dyh, C_LD, q, 1.0f);
                $(k.common.panel)(weights, STRIDE, key, E_LD, s->q, keys);
                $(k.common.panel)(dscores, STRIDE, value, E_LD, s->dy, keys);
                for (int row = q; row < q + WIDE; row++) {
                    vec dots = vec_splat(0.0f);
                    for (int d = 0; d < D && row < T; d += VEC) {
                        const vec g = row_load(dyh + (size_t)row * C_LD, d, D);
                        const vec v = row_load(yh + (size_t)row * C_LD, d, D);
                        dots = vec_fma(row_only(g, d, D, 0.0f), v, dots);
                    }
                    s->delta[row - q] = vec_sum(dots);
                }
                for (int c = 0; c < WIDE && q + c < T; c += VEC) {
                    const vec row_lse =
                        vec_load_n(lse + (size_t)h * N + b * T + q + c, int_min(VEC, T - q - c));
                    const vec delta = vec_load(s->delta + c);
                    //$ if k.uses.dropout then
                    dropout_turned(&drop, site, (int64_t)item * T + q + c, DROPOUT_CHUNKS(T),
                                   dscores + c, STRIDE, keys);
                    //$ end
                    for (int j = 0; j < keys; j++) {
                        vec weight = vec_exp(vec_load(weights + c + j * STRIDE) - row_lse);
                        if (j > q + c) {
                            weight = vec_select(vec_lanes() + (q + c) < j, vec_splat(0.0f), weight);
                        }
                        const vec dweight = vec_load(dscores + c + j * STRIDE);
                        vec_store(weights + c + j * STRIDE, weight);
                        vec_store(dscores + c + j * STRIDE, weight * (dweight - delta) * scale);
                    }
                    //$ if k.uses.dropout then
                    dropout_turned(&drop, site, (int64_t)item * T + q + c, DROPOUT_CHUNKS(T),
                                   weights + c, STRIDE, keys);
                    //$ end
                }
                for (int i = 0; i < queries; i += TILE_ROWS) {
                    const int rows = int_min(TILE_ROWS, queries - i);
                    $(k.common.rows)
                    (dq + (size_t)q * E_LD, E_LD, dscores, STRIDE, key, E_LD, q + i + rows, i,
                     rows);
                }
            }
            // Keys are seen by queries from themselves on; those of this block for the first time.
            for (int j = 0; j < last; j += TILE_ROWS) {
                const int from = int_max(first, j), depth = last - from;
                const bool begins = j >= first;
                for (int p = 0; p < DIVIDE_UP(D, HEAD); p++) {
                    TILE_CASES($(k.common.mix), j, p, T, D, HEAD / VEC, dk, E_LD, begins,
                               s->dscores + (from - first), STRIDE, 1, query + (size_t)from * E_LD,
                               E_LD, depth);
                    TILE_CASES($(k.common.mix), j, p, T, D, HEAD / VEC, dv, E_LD, begins,
                               s->weights + (from - first), STRIDE, 1, dyh + (size_t)from * C_LD,
                               C_LD, depth);
                }
            }
        }
    }
}
//$ end
