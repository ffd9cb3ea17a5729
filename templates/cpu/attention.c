//// attention.c: causal softmax attention. Each (batch, head) is one work item, computed in panels
//// of WIDE queries. Scores are transposed, (keys, queries): the lanes of a vector are queries, so
//// a softmax is a loop over keys and never sums across lanes. Q, K, V and dY are read in place;
//// copied are only the panels of queries, transposed, and rows whose width is no multiple of a
//// vector. Tiles and vectors wholly above the diagonal are skipped. A head's rows are E_LD floats
//// apart, so while one head is computed, the rows of the next are prefetched.
////
//// With a window W, a panel's keys begin at `from`, the tile in which its first query's window
//// begins; what is masked between there and each query's window is 0. Scores lie where they would
//// without a window.
////
//// With factors in bfloat16 (bf16.h) all operands are packed, rounded on the way: a head's rows
//// once, shared keys once for all heads that share them, and weights and their gradients panel by
//// panel. Scores, softmax and lse stay float32.

//// The sizes that forward and backward share, as Lua numbers for struct members and as a C enum
//// for functions. WIDE: queries in a panel of scores; HEAD: columns in a panel of D; WHOLE: D
//// rounded up to whole vectors.
//$ function numbers(k)
//$     local T, D, wide = k.d.T, k.d.D, 2 * k.vec
//$     local panels = (T + wide - 1) // wide
//$     -- Backward: panels in a cache block of queries, whose weights and dscores fit into L2.
//$     local factors = k.products == "bf16" and k.target.isa.bf16 and 2 or 1 -- in a float
//$     local block = math.max(1, math.min(panels, 128 // wide, factors * 65536 // (T * wide)))
//$     if not k.specialise then block = 128 // wide end
//$     -- Rows that end within a vector are copied and padded, unless there are masked loads.
//$     local whole = (D + k.vec - 1) // k.vec * k.vec
//$     local copies = k.vec < 16 and (whole > D or not k.specialise) and k.products == "f32"
//$     return T, D, wide, block, copies and T * whole
//$ end
//$ function sizes(k)
// clang-format off
//$ local vecs = k.specialise and "MIN(2, DIVIDE_UP(D, VEC))" or "2"
    enum { $(k.dims), WIDE = 2 * VEC, HEAD = $(vecs) * VEC, WHOLE = DIVIDE_UP(D, VEC) * VEC };
//$ if k.products == "bf16" then
    enum { ROW = FACTORS_WHOLE(D) }; // a packed row of D
//$ end
// clang-format on
//$ end

//// A panel's first key, its keys as parameters and as arguments, and how many most panels have.
//$ function keys_of(k)
//$     if k.d.W then return "from", "from, int keys", "from, keys", "MIN(T, 2 * W)" end
//$     return "0", "keys", "keys", "T"
//$ end

//// What forward and backward share: emitted once for each set of sizes.
//$ function heads(k)
//$ local T, _, wide, _, whole = numbers(k)
//$ local bf16 = k.products == "bf16"
//$ local from, keys = keys_of(k)
//$ local begin = k.d.W and "begin" or "0"
// Softmax numerators in place, for queries q..q+VEC: scores (keys, VEC) become
// 2^(scale2 * score - less); masked keys become 0. Returns the sum for each query.
APART vec $(k.common.weights)(float *scores, const int stride, float scale2, vec less, int q,
                              int $(keys)) {
    //$ if k.d.W then
    //$ sizes(k)
    const int begin = int_max(from, q - W);
    for (int j = from; j < begin; j++) {
        vec_store(scores + j * stride, vec_splat(0.0f));
    }
    //$ end
    vec sum = vec_splat(0.0f);
    const int seen = int_min(keys, q + VEC);
    for (int j = $(begin); j < seen; j++) {
        const vec score2 = vec_fma(vec_load(scores + j * stride), vec_splat(scale2), -less);
        vec weight = vec_exp2(score2);
        if (j > q) {
            weight = vec_select(vec_lanes() + q < j, vec_splat(0.0f), weight);
        }
        //$ if k.d.W then
        if (j < q + VEC - 1 - W) {
            weight = vec_select(vec_lanes() + (q - W) > j, vec_splat(0.0f), weight);
        }
        //$ end
        vec_store(scores + j * stride, weight);
        sum += weight;
    }
    for (int j = seen; j < keys; j++) {
        vec_store(scores + j * stride, vec_splat(0.0f));
    }
    return sum;
}

//$ if k.node.attrs.cap > 0 then
// Scores (keys, VEC) of queries q..q+VEC in place: as powers of 2, within the cap.
APART void $(k.common.capped)(float *scores, const int stride, int q, int $(keys)) {
    for (int j = $(from); j < int_min(keys, q + VEC); j++) {
        float *at = scores + j * stride;
        vec_store(at, softcap(vec_load(at) * $(k.attrs.scale), $(k.attrs.cap)) * 1.44269504f);
    }
}

//$ end
// Offset of work item `item`, a (batch, head), in an array (N, ..) whose rows are `stride` apart.
VEC_INLINE size_t $(k.common.start)(int item, int stride) {
    //$ sizes(k)
    return (size_t)(item / H) * T * stride + item % H * D;
}
//$ if k.d.KV then

// The offset of its keys, which it shares with its neighbours; its values are KV * D further.
VEC_INLINE size_t $(k.common.keys)(int item, int stride) {
    //$ sizes(k)
    return (size_t)(item / H) * T * stride + (H + item % H / (H / KV)) * D;
}
//$ end

// Prefetches the next head's rows: each tile of this head takes the next `each`, beginning at
// `row`.
struct $(k.common.next) {
    const float *qkv, *y, *dqkv, *dy; // dqkv and dy are NULL in the forward pass
    int each, row;
};

//$ -- A name with a window and a cap leaves the line no room.
//$ local gap = (k.d.W or k.node.attrs.cap > 0) and "\n    " or ""
//$ local next = gap .. "struct " .. k.common.next .. " *const next"
static void $(k.common.prefetch)($(next)) {
    //$ sizes(k)
    for (const int end = int_min(T, next->row + next->each); next->row < end; next->row++) {
        for (int d = 0; d < D; d += PREFETCH_LINE) {
            const size_t at = (size_t)next->row * E_LD + d, at_y = (size_t)next->row * C_LD + d;
            __builtin_prefetch(next->y + at_y);
            //$ if k.d.KV then
            __builtin_prefetch(next->qkv + at); // keys and values are most often there already
            if (next->dqkv != NULL) {
                __builtin_prefetch(next->dy + at_y);
                __builtin_prefetch(next->dqkv + at);
            }
            //$ else
            for (int x = 0; x < 3 * C; x += C) {
                __builtin_prefetch(next->qkv + at + x);
            }
            if (next->dqkv != NULL) {
                __builtin_prefetch(next->dy + at_y);
                for (int x = 0; x < 3 * C; x += C) {
                    __builtin_prefetch(next->dqkv + at + x);
                }
            }
            //$ end
        }
    }
}

// A tile of transposed scores (keys, queries): to = x (rows i.., D) times panel (D, WIDE), whose
// first query is q. Where `largest` is not NULL, it is raised to each query's largest unmasked
// score; query q sees keys $(k.d.W and "q - W..q" or "0..q").
VEC_INLINE void $(k.common.scores)(float *to, int stride, vec *largest, const float *x,
                                   int x_stride, const float *panel, int q, int i, int p,
                                   const int rows, const int vecs, const int last) {
    //$ sizes(k)
    (void)p, (void)last;
    vec acc[TILE_ROWS][TILE_VECS];
    tile_zero(acc, rows, vecs);
    //$ if bf16 then
    x += (size_t)i * x_stride;
    tile_multiply_bf16(acc, rows, vecs, FACTORS(D), x, x_stride, 1, panel, WIDE);
    //$ else
    tile_multiply(acc, rows, vecs, VEC, D, x + (size_t)i * x_stride, x_stride, 1, panel, WIDE, 0);
    //$ end
    tile_store(acc, rows, vecs, VEC, to + (size_t)i * stride, stride);
    const int compared = largest != NULL ? rows : 0;
#pragma GCC unroll 16
    for (int r = 0; r < compared; r++) {
#pragma GCC unroll 4
        for (int v = 0; v < vecs; v++) {
            if (i + r > q + v * VEC) {
                const vec_int hidden = vec_lanes() + (q + v * VEC) < i + r;
                acc[r][v] = vec_select(hidden, vec_splat(-INFINITY), acc[r][v]);
            }
            //$ if k.d.W then
            if (i + r < q + v * VEC + VEC - 1 - W) {
                const vec_int before = vec_lanes() + (q + v * VEC - W) > i + r;
                acc[r][v] = vec_select(before, vec_splat(-INFINITY), acc[r][v]);
            }
            //$ end
            largest[v] = vec_max(acc[r][v], largest[v]);
        }
    }
}

//$ if k.d.W then
// `from` is a multiple of TILE_ROWS in place of the 0 here:
//$ end
// Scores (keys, WIDE) of keys 0..keys-1 and queries q..q+WIDE; `keys` is a multiple of TILE_ROWS or
// T. Of the two vectors of queries, the first is skipped for keys that all its queries mask, and
// the second where it lies beyond T.
static void $(k.common.panel)(float *to, int stride, vec *largest, const float *x, int x_stride,
                              const float *panel, int q, int $(keys),
                              struct $(k.common.next) *const next) {
    //$ sizes(k)
    for (int i = $(from); i < keys; i += TILE_ROWS) {
        $(k.common.prefetch)(next);
        if (i < q + VEC && q + VEC < T) {
            TILE_CASES($(k.common.scores), i, 0, T, WIDE, 2, to, stride, largest, x, x_stride,
                       panel, q);
        } else {
            const int v = i < q + VEC ? 0 : 1;
            TILE_CASES($(k.common.scores), i, 0, T, VEC, 1, to + v * VEC, stride,
                       largest == NULL ? NULL : largest + v, x, x_stride, panel + v * VEC,
                       q + v * VEC);
        }
    }
}

// A tile of to (rows, D) = (`begins`) or += weights (rows, depth) x (depth, WHOLE). Element (i, k)
// of weights is at i * w_row + k * w_k, so they may be transposed. `scale`, if not NULL, multiplies
// rows.
VEC_INLINE void $(k.common.mix)(float *to, int to_stride, bool begins, const float *scale,
                                const float *weights, ptrdiff_t w_row, ptrdiff_t w_k,
                                const float *x, int x_stride, int depth, int i, int p,
                                const int rows, const int vecs, const int last) {
    //$ sizes(k)
    float *at = to + (size_t)i * to_stride + p * HEAD;
    vec acc[TILE_ROWS][TILE_VECS];
    if (begins) {
        tile_zero(acc, rows, vecs);
    } else {
        tile_load(acc, rows, vecs, last, at, to_stride);
    }
    //$ if bf16 then
    tile_multiply_bf16(acc, rows, vecs, FACTORS(depth), weights + i * w_row, w_row, w_k,
                       x + p * HEAD, x_stride);
    //$ else
    tile_multiply(acc, rows, vecs, $(whole and "VEC" or "last"), depth, weights + i * w_row, w_row,
                  w_k, x + p * HEAD, x_stride, 0);
    //$ end
    const int scaled = scale != NULL ? rows : 0;
#pragma GCC unroll 16
    for (int r = 0; r < scaled; r++) {
#pragma GCC unroll 4
        for (int v = 0; v < vecs; v++) {
            acc[r][v] *= scale[i + r];
        }
    }
    tile_store(acc, rows, vecs, last, at, to_stride);
}

// to (queries, D) = weights (queries, keys) x (T, WHOLE), for the panel of queries that begins at
// q, rows times `scale` if not NULL. A tile of rows reads only keys up to its last query.
//$ if k.d.W then
// and from its first query's window on.
//$ end
static void $(k.common.mixes)(float *to, int to_stride, const float *scale, const float *weights,
                              int w_k, const float *x, int x_stride, int q,
                              struct $(k.common.next) *const next) {
    //$ sizes(k)
    //$ local weights, values = k.d.W and "w" or "weights", k.d.W and "v" or "x"
    const int queries = int_min(WIDE, T - q);
    for (int i = 0; i < queries; i += TILE_ROWS) {
        $(k.common.prefetch)(next);
        //$ if k.d.W then
        //$ if bf16 then
        const int key = int_max(0, q + i - W) / 2 * 2, first = FACTORS(key); // a pair's
        const int depth = q + int_min(queries, i + TILE_ROWS) - key;
        //$ else
        const int first = int_max(0, q + i - W);
        const int depth = q + int_min(queries, i + TILE_ROWS) - first;
        //$ end
        const float *w = weights + (ptrdiff_t)first * w_k, *v = x + (size_t)first * x_stride;
        //$ else
        const int depth = q + int_min(queries, i + TILE_ROWS);
        //$ end
        for (int p = 0; p < DIVIDE_UP(D, HEAD); p++) {
            //$ if k.specialise and T % wide == 0 then
            TILE_CASES($(k.common.mix), i, p, WIDE, D, HEAD / VEC, to, to_stride, true, scale,
                       $(weights), 1, w_k, $(values), x_stride, depth);
            //$ else
            if (queries == WIDE) {
                TILE_CASES($(k.common.mix), i, p, WIDE, D, HEAD / VEC, to, to_stride, true, scale,
                           $(weights), 1, w_k, $(values), x_stride, depth);
            } else {
                TILE_CASES($(k.common.mix), i, p, T % WIDE, D, HEAD / VEC, to, to_stride, true,
                           scale, $(weights), 1, w_k, $(values), x_stride, depth);
            }
            //$ end
        }
    }
}

//$ if whole then
// to (T, WHOLE) = x (T, D), padded with 0.
static void $(k.common.copy)(float *to, const float *x, int stride) {
    //$ sizes(k)
    for (int row = 0; row < T; row++) {
        vec_store(to + (size_t)(row + 1) * WHOLE - VEC, vec_splat(0.0f));
        memcpy(to + (size_t)row * WHOLE, x + (size_t)row * stride, D * sizeof(float));
    }
}
//$ end
//$ end

//$ function attention(k)
//$ local T, D, wide, _, whole = numbers(k)
//$ local _, _, keys, span = keys_of(k)
//$ local cap, bf16 = k.node.attrs.cap > 0, k.products == "bf16"
//$ local value_ld = (whole or bf16) and "WHOLE" or "E_LD"
//$ local columns = (D + k.vec - 1) // k.vec * k.vec
//$ local ld = bf16 and "ROW" or "E_LD"
//$ if bf16 then
struct $(k.part.scratch) {
    float q[FACTORS_WHOLE($(D)) * $(wide)];  // (D, WIDE), packed
    float key[$(T) * FACTORS_WHOLE($(D))];   // (T, D), packed
    float value[FACTORS($(T)) * $(columns)]; // (T, WHOLE), packed down its columns
    float scores[$((T + T % 2) * wide)];     // (T, WIDE), in the end packed in place
    float scale[$(wide)];                    // (WIDE)
};
//$ else
struct $(k.part.scratch) {
    float q[$(D * wide)];      // (D, WIDE)
    float scores[$(T * wide)]; // (T, WIDE)
    float scale[$(wide)];      // (WIDE)
    //$ if whole then
    float value[$(whole)]; // (T, WHOLE)
    //$ end
};
//$ end

//$ local head, name = "static void", k.name
//$ if bf16 then
//$ head, name = "APART void", k.part.products
// Packs the keys and values of a head.
static void $(k.part.pack)(struct $(k.part.scratch) *const s, const float *key,
                           const float *value) {
    //$ sizes(k)
    factors_rows(s->key, ROW, key, E_LD, T, D);
    factors_columns(s->value, WHOLE, value, E_LD, T, D);
}

//$ end
$(k.sign(head, name)) {
    //$ sizes(k)
    // Rows to prefetch per tile: T over the number of tiles, which is half of backward's.
    enum { EACH = DIVIDE_UP(2 * WIDE * TILE_ROWS, $(span) + 3 * WIDE) };
    struct $(k.part.scratch) *s = scratch;
    //$ if not cap then
    const float scale2 = $(k.attrs.scale) * 1.44269504f; // scale / ln 2
    //$ end
    //$ if k.uses.dropout then
    const struct dropout drop = dropout_make(m->dropout, m->dropout_key);
    //$ end
    const struct range mine = share(B * H, thread, threads);
    for (int item = mine.first; item < mine.last; item++) {
        const float *query = qkv + $(k.common.start)(item, E_LD); // (T, D), rows E_LD apart
        //$ if k.d.KV then
        const float *key = qkv + $(k.common.keys)(item, E_LD), *value = key + KV * D;
        //$ else
        const float *key = query + C, *value = query + 2 * C;
        //$ end
        float *to = y + $(k.common.start)(item, C_LD);
        struct $(k.common.next) next = {.each = item + 1 < mine.last ? EACH : 0};
        next.qkv = qkv + $(k.common.start)(item + 1, E_LD);
        next.y = y + $(k.common.start)(item + 1, C_LD);
        //$ if whole then
        $(k.common.copy)(s->value, value, E_LD);
        value = s->value;
        //$ elseif bf16 then
        //$ if k.d.KV then
        if (item == mine.first || item % (H / KV) == 0) { // else the head before did
            $(k.part.pack)(s, key, value);
        }
        //$ else
        $(k.part.pack)(s, key, value);
        //$ end
        key = s->key, value = s->value;
        //$ end
        for (int q = 0; q < T; q += WIDE) {
            const int queries = int_min(WIDE, T - q);
            const int keys = int_min(T, DIVIDE_UP(q + WIDE, TILE_ROWS) * TILE_ROWS);
            //$ if k.d.W then
            const int from = int_max(0, q - W) / TILE_ROWS * TILE_ROWS;
            //$ end
            vec largest[2] = {vec_splat(-INFINITY), vec_splat(-INFINITY)};
            //$ local pack = bf16 and "factors" or "pack"
            $(pack.."_transposed")(s->q, WIDE, query + (size_t)q * E_LD, E_LD, D, queries);
            $(k.common.panel)(s->scores, WIDE, largest, key, $(ld), s->q, q, $(keys), &next);
            for (int c = 0; c < queries; c += VEC) {
                float *scores = s->scores + c;
                //$ if cap then
                $(k.common.capped)(scores, WIDE, q + c, $(keys));
                const vec most = softcap(largest[c / VEC] * $(k.attrs.scale), $(k.attrs.cap));
                const vec largest2 = most * 1.44269504f;
                const vec sum = $(k.common.weights)(scores, WIDE, 1.0f, largest2, q + c, $(keys));
                //$ else
                const vec largest2 = largest[c / VEC] * scale2;
                const vec sum = $(k.common.weights)(scores, WIDE, scale2, largest2, q + c, $(keys));
                //$ end
                vec_store(s->scale + c, 1.0f / sum);
                //$ if k.uses.lse then
                vec_store_n(lse + (size_t)(item % H) * N + item / H * T + q + c,
                            vec_fma(largest2, vec_splat(0.693147181f), vec_log(sum)), // ln 2
                            int_min(VEC, queries - c));
                //$ end
                //$ if k.uses.dropout then
                //$ if k.d.W then
                dropout_transposed_from(&drop, site, (int64_t)item * T + q + c, DROPOUT_CHUNKS(T),
                                        scores, WIDE, from, keys);
                //$ else
                dropout_transposed(&drop, site, (int64_t)item * T + q + c, DROPOUT_CHUNKS(T),
                                   scores, WIDE, keys);
                //$ end
                //$ end
            }
            //$ if bf16 then
            //$ local skipped = k.d.W and " + (size_t)FACTORS(from) * WIDE" or ""
            //$ local masked = k.d.W and " + (size_t)from * WIDE" or ""
            //$ local depth = k.d.W and "keys - from" or "keys"
            factors_columns(s->scores$(skipped), WIDE, s->scores$(masked), WIDE, $(depth), queries);
            //$ end
            $(k.common.mixes)
            (to + (size_t)q * C_LD, C_LD, s->scale, s->scores, WIDE, value, $(value_ld), q, &next);
        }
    }
}
//$ if bf16 then

$(k.sign("static void", k.name)) {
    const uint64_t before = flush_begin();
    $(k.part.products)($(k.all_names));
    flush_end(before);
}
//$ end
//$ end

//// With P = softmax(scale Q K^T), Y = P V:
////   dV = P^T dY,  dP = dY V^T,  dS = P (dP - rowsum(dY Y)) scale,  dQ = dS K,  dK = dS^T Q.
//// Dropout's mask M multiplies P in Y and dV, and dP. With a cap, dS is multiplied by its slope.
//$ function attention_backward(k)
//$ local T, D, wide, block, whole = numbers(k)
//$ local _, _, keys, span = keys_of(k)
//$ local cap, first_key = k.node.attrs.cap > 0, k.d.W and "first_key" or "0"
//$ local begin, until_ = "0", "last"
//$ if k.d.W then
//$ keys = "first_key, keys"
//$ begin = "int_max(0, first - W) / TILE_ROWS * TILE_ROWS"
//$ until_ = "int_min(last, j + TILE_ROWS + W)"
//$ end
//$ local bf16 = k.products == "bf16"
//$ local ld = bf16 and "WIDE" or "STRIDE" -- of a panel's scores
//$ local qk_ld, dy_ld = whole and "WHOLE" or "E_LD", whole and "WHOLE" or "C_LD"
//$ local stride = ((block * wide + 15) // 16 | 1) * 16
//$ if bf16 then
//$ stride = ("FACTORS_LD(FACTORS(%d))"):format(block * wide)
//$ local columns = (D + k.vec - 1) // k.vec * k.vec
//$ local pairs = T + T % 2
struct $(k.part.scratch) {
    // A panel: q and dy (D, WIDE), packed; scores (T, WIDE), their gradients in the end packed in
    // place; the sums of dY Y (WIDE).
    float q[FACTORS_WHOLE($(D)) * $(wide)], dy[FACTORS_WHOLE($(D)) * $(wide)];
    float scores[$(T * wide)], d_scores[$(pairs * wide)];
    float delta[$(wide)];
    // A head, packed: (T, D) for scores; (T, WHOLE), down its columns, for sums over T.
    float key[$(T) * FACTORS_WHOLE($(D))], value[$(T) * FACTORS_WHOLE($(D))];
    float key_columns[FACTORS($(T)) * $(columns)];
    float query_columns[FACTORS($(T)) * $(columns)], dy_columns[FACTORS($(T)) * $(columns)];
    // A cache block, packed: (T, BLOCK), rows STRIDE apart.
    float weights[$(T) * $(stride)], dscores[$(T) * $(stride)];
};

// delta (queries) = the sums over D of dY Y, whose rows (queries, D) are C_LD apart.
static void $(k.part.deltas)(float *delta, const float *dy, const float *y, int queries) {
    //$ sizes(k)
    for (int r = 0; r < queries; r++, dy += C_LD, y += C_LD) {
        vec sum = vec_splat(0.0f);
        for (int d = 0; d < D; d += VEC) {
            sum = vec_fma(factor_load(dy + d, D - d), factor_load(y + d, D - d), sum);
        }
        delta[r] = vec_sum(sum);
    }
}

// Packs the keys and values of a head.
static void $(k.part.pack)(struct $(k.part.scratch) *const s, const float *key,
                           const float *value) {
    //$ sizes(k)
    factors_rows(s->key, ROW, key, E_LD, T, D);
    factors_rows(s->value, ROW, value, E_LD, T, D);
    factors_columns(s->key_columns, WHOLE, key, E_LD, T, D);
}

// Packs a panel's weights and gradients of keys from..keys-1: both as rows at column `at` of the
// cache block; the gradients, in place, down their columns too.
static void $(k.part.pack_panel)(struct $(k.part.scratch) *const s, int at, int from, int keys,
                                 int queries) {
    //$ sizes(k)
    enum { STRIDE = $(stride) };
    const size_t rows = (size_t)from * STRIDE + FACTORS(at), panel = (size_t)from * WIDE;
    float *columns = s->d_scores + (size_t)FACTORS(from) * WIDE;
    factors_rows(s->weights + rows, STRIDE, s->scores + panel, WIDE, keys - from, queries);
    factors_rows(s->dscores + rows, STRIDE, s->d_scores + panel, WIDE, keys - from, queries);
    factors_columns(columns, WIDE, s->d_scores + panel, WIDE, keys - from, queries);
}

//$ else
struct $(k.part.scratch) {
    float q[$(D * wide)], dy[$(D * wide)];                // (D, WIDE)
    float weights[$(T * stride)], dscores[$(T * stride)]; // (T, BLOCK), rows STRIDE apart
    //$ if whole then
    float query[$(whole)], key[$(whole)], dy_whole[$(whole)]; // (T, WHOLE)
    //$ end
};

//$ end
//$ local head, name = "static void", k.name
//$ if bf16 then head, name = "APART void", k.part.products end
$(k.sign(head, name)) {
    //$ sizes(k)
    // STRIDE is an odd number of cache lines, so that rows spread over the sets of the cache. EACH:
    // rows to prefetch per tile; a head has about T / TILE_ROWS * (T + 3 WIDE) / WIDE tiles.
    enum { BLOCK = $(block) * WIDE, STRIDE = $(stride) };
    enum { EACH = DIVIDE_UP(WIDE * TILE_ROWS, $(span) + 3 * WIDE) };
    struct $(k.part.scratch) *s = scratch;
    //$ if cap then
    const float scale = $(k.attrs.scale);
    //$ else
    const float scale = $(k.attrs.scale), scale2 = scale * 1.44269504f; // scale / ln 2
    //$ end
    //$ if k.uses.dropout then
    const struct dropout drop = dropout_make(m->dropout, m->dropout_key);
    //$ end
    //$ if k.d.KV then
    // Heads that share keys and values are one thread's: dK and dV are their sums.
    struct range mine = share(B * KV, thread, threads);
    mine.first *= H / KV;
    mine.last *= H / KV;
    //$ else
    const struct range mine = share(B * H, thread, threads);
    //$ end
    for (int item = mine.first; item < mine.last; item++) {
        const size_t at = $(k.common.start)(item, E_LD), at_y = $(k.common.start)(item, C_LD);
        // each (T, D), rows E_LD or C_LD apart
        //$ if k.d.KV then
        const size_t at_key = $(k.common.keys)(item, E_LD);
        const float *query = qkv + at, *key = qkv + at_key, *value = key + KV * D;
        //$ else
        const float *query = qkv + at, *key = query + C, *value = query + 2 * C;
        //$ end
        const float *dyh = dy + at_y, *yh = y + at_y;
        const float *row_lse = lse + (size_t)(item % H) * N + item / H * T;
        //$ if k.d.KV then
        float *dq = dqkv + at, *dk = dqkv + at_key, *dv = dk + KV * D;
        //$ else
        float *dq = dqkv + at, *dk = dq + C, *dv = dq + 2 * C;
        //$ end
        struct $(k.common.next) next = {.each = item + 1 < mine.last ? EACH : 0};
        next.qkv = qkv + $(k.common.start)(item + 1, E_LD);
        next.y = y + $(k.common.start)(item + 1, C_LD);
        next.dqkv = dqkv + $(k.common.start)(item + 1, E_LD);
        next.dy = dy + $(k.common.start)(item + 1, C_LD);
        //$ if whole then
        $(k.common.copy)(s->query, query, E_LD);
        $(k.common.copy)(s->key, key, E_LD);
        $(k.common.copy)(s->dy_whole, dyh, C_LD);
        query = s->query, key = s->key, dyh = s->dy_whole;
        //$ elseif bf16 then
        //$ if k.d.KV then
        if (item % (H / KV) == 0) { // else the head before did
            $(k.part.pack)(s, key, value);
        }
        //$ else
        $(k.part.pack)(s, key, value);
        //$ end
        factors_columns(s->query_columns, WHOLE, query, E_LD, T, D);
        factors_columns(s->dy_columns, WHOLE, dyh, C_LD, T, D);
        //$ end
        for (int first = 0; first < T; first += BLOCK) {
            const int last = int_min(first + BLOCK, T);
            for (int q = first; q < last; q += WIDE) {
                const int queries = int_min(WIDE, T - q);
                const int keys = int_min(T, DIVIDE_UP(q + WIDE, TILE_ROWS) * TILE_ROWS);
                //$ if k.d.W then
                const int first_key = int_max(0, q - W) / TILE_ROWS * TILE_ROWS;
                //$ end
                //$ if bf16 then
                float *weights = s->scores, *dscores = s->d_scores;
                factors_transposed(s->q, WIDE, query + (size_t)q * E_LD, E_LD, D, queries);
                factors_transposed(s->dy, WIDE, dyh + (size_t)q * C_LD, C_LD, D, queries);
                $(k.common.panel)(weights, WIDE, NULL, s->key, ROW, s->q, q, $(keys), &next);
                $(k.common.panel)(dscores, WIDE, NULL, s->value, ROW, s->dy, q, $(keys), &next);
                $(k.part.deltas)(s->delta, dyh + (size_t)q * C_LD, yh + (size_t)q * C_LD, queries);
                //$ else
                float *weights = s->weights + (q - first), *dscores = s->dscores + (q - first);
                pack_transposed(s->q, WIDE, query + (size_t)q * $(qk_ld), $(qk_ld), D, queries);
                pack_transposed(s->dy, WIDE, dyh + (size_t)q * $(dy_ld), $(dy_ld), D, queries);
                $(k.common.panel)(weights, STRIDE, NULL, key, $(qk_ld), s->q, q, $(keys), &next);
                $(k.common.panel)(dscores, STRIDE, NULL, value, E_LD, s->dy, q, $(keys), &next);
                pack_transposed(s->q, WIDE, yh + (size_t)q * C_LD, C_LD, D, queries);
                //$ end
                for (int c = 0; c < queries; c += VEC) {
                    const int from = q + c, rows = int_min(VEC, queries - c);
                    const vec lse2 = vec_load_n(row_lse + from, rows) * 1.44269504f;
                    //$ if bf16 then
                    const vec delta = vec_load(s->delta + c);
                    //$ else
                    vec delta = vec_splat(0.0f);
                    for (int d = c; d < D * WIDE; d += WIDE) {
                        delta = vec_fma(vec_load(s->dy + d), vec_load(s->q + d), delta);
                    }
                    //$ end
                    //$ if k.uses.dropout then
                    //$ if k.d.W then
                    dropout_transposed_from(&drop, site, (int64_t)item * T + from,
                                            DROPOUT_CHUNKS(T), dscores + c, $(ld), $(keys));
                    //$ else
                    dropout_transposed(&drop, site, (int64_t)item * T + from, DROPOUT_CHUNKS(T),
                                       dscores + c, $(ld), keys);
                    //$ end
                    //$ end
                    //$ if cap then
                    for (int j = $(first_key); j < int_min(keys, from + VEC); j++) {
                        float *at_j = weights + c + j * $(ld), *d_at_j = dscores + c + j * $(ld);
                        const vec tanh = vec_tanh(vec_load(at_j) * (scale / $(k.attrs.cap)));
                        const vec slope = scale * (1.0f - tanh * tanh);
                        vec_store(at_j, tanh * ($(k.attrs.cap) * 1.44269504f));
                        vec_store(d_at_j, (vec_load(d_at_j) - delta) * slope);
                    }
                    $(k.common.weights)(weights + c, $(ld), 1.0f, lse2, from, $(keys));
                    //$ else
                    $(k.common.weights)(weights + c, $(ld), scale2, lse2, from, $(keys));
                    //$ end
                    for (int j = $(first_key); j < keys; j++) {
                        const vec weight = vec_load(weights + c + j * $(ld));
                        float *at_j = dscores + c + j * $(ld); // undefined where masked
                        //$ if cap then
                        const vec dscore = weight * vec_load(at_j);
                        //$ else
                        const vec dscore = weight * ((vec_load(at_j) - delta) * scale);
                        //$ end
                        vec_store(at_j, j < from + VEC ? dscore : vec_splat(0.0f));
                    }
                    //$ if k.uses.dropout then
                    //$ if k.d.W then
                    dropout_transposed_from(&drop, site, (int64_t)item * T + from,
                                            DROPOUT_CHUNKS(T), weights + c, $(ld), $(keys));
                    //$ else
                    dropout_transposed(&drop, site, (int64_t)item * T + from, DROPOUT_CHUNKS(T),
                                       weights + c, $(ld), keys);
                    //$ end
                    //$ end
                }
                //$ if bf16 then
                $(k.part.pack_panel)(s, q - first, $(first_key), keys, queries);
                $(k.common.mixes)
                (dq + (size_t)q * E_LD, E_LD, NULL, dscores, WIDE, s->key_columns, WHOLE, q, &next);
                //$ else
                $(k.common.mixes)
                (dq + (size_t)q * E_LD, E_LD, NULL, dscores, STRIDE, key, $(qk_ld), q, &next);
                //$ end
            }
            // dK and dV of key j sum over queries j and later: keys of this block begin their sums
            // here, and earlier keys add to theirs.
            //$ if k.d.W then
            // The queries end where windows no longer reach the tile of keys.
            //$ end
            //$ local at, q_ld, dys_ld = "(from - first)", qk_ld, dy_ld
            //$ local queries = "query + (size_t)from * " .. qk_ld
            //$ local dys = "dyh + (size_t)from * " .. dy_ld
            //$ if bf16 then
            //$ at, q_ld, dys_ld = "FACTORS(from - first)", "WHOLE", "WHOLE"
            //$ queries = "s->query_columns + (size_t)FACTORS(from) * WHOLE"
            //$ dys = "s->dy_columns + (size_t)FACTORS(from) * WHOLE"
            //$ end
            for (int j = $(begin); j < last; j += TILE_ROWS) {
                const int from = int_max(first, j), depth = $(until_) - from;
                //$ if k.d.KV then
                const bool begins = j >= first && item % (H / KV) == 0; // else the head before did
                //$ else
                const bool begins = j >= first;
                //$ end
                $(k.common.prefetch)(&next);
                for (int p = 0; p < DIVIDE_UP(D, HEAD); p++) {
                    TILE_CASES($(k.common.mix), j, p, T, D, HEAD / VEC, dk, E_LD, begins, NULL,
                               s->dscores + $(at), STRIDE, 1, $(queries), $(q_ld), depth);
                    TILE_CASES($(k.common.mix), j, p, T, D, HEAD / VEC, dv, E_LD, begins, NULL,
                               s->weights + $(at), STRIDE, 1, $(dys), $(dys_ld), depth);
                }
            }
        }
    }
}
//$ if bf16 then

$(k.sign("static void", k.name)) {
    const uint64_t before = flush_begin();
    $(k.part.products)($(k.all_names));
    flush_end(before);
}
//$ end
//$ end
