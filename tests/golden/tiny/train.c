// train.c: gpt, 3 layers, 2 heads, 10 wide, context 6, vocabulary 17.
//
//   made by      lua5.4 gen/main.lua --backend cpu --name again configs/gpt2.lua n_layer=3
//                n_head=2 n_embd=10 block_size=6 vocab_size=17 batch_size=3 bias=true
//                qkv_bias=true lm_head_bias=false tie_weights=true activation=gelu_erf
//                attn_scale=head dropout=0.1 dropout_embd=true init=nanogpt optimizer=adamw
//                decay_params=matrices recompute=none logits_rows=0 dtype=float32 isa=avx2
//                tiling=model
//   parameters   4240
//   memory       weights, gradients and moments 0.0 MiB each, activations 0.1 MiB
//                (0.1 MiB before planning)
//   one step     623.4 kFLOP (490.3 kFLOP as nanoGPT counts), a micro-batch of
//                3 x 6 tokens
//
// In this order: kernels by first use, model_forward, model_loss, model_backward, the update of the
// parameters, and what the runtime needs to know. Each buffer is declared with its shape; the
// comment above a call is the name that the model gives it.
#include "model.h"

#include "runtime/kernel/kernel.h"
#include "runtime/kernel/panel.h"

_Static_assert(VEC == 8, "this model is laid out for avx2; compile with '-march=x86-64-v3'");

// The largest register tile; a product may use fewer vectors.
enum { TILE_ROWS = 6, TILE_VECS = 2 };

// acc (rows, vecs) += a (rows, depth) b (depth, vecs): element (i, k) of a is a[i * a_row + k *
// a_k], row k of b begins at b + k * b_k. rows and vecs are constants where this is inlined, so acc
// stays in registers. Of b's last vector only `last` lanes are read. If `ahead` is not 0, a[ahead]
// is prefetched at each step, for the next tile.
VEC_INLINE void tile_multiply(vec acc[TILE_ROWS][TILE_VECS], const int rows, const int vecs,
                              const int last, int depth, const float *a, ptrdiff_t a_row,
                              ptrdiff_t a_k, const float *b, ptrdiff_t b_k, const int ahead) {
    for (int k = 0; k < depth; k++) {
        vec bk[TILE_VECS];
#pragma GCC unroll 4
        for (int v = 0; v < vecs; v++) {
            const bool whole = last == VEC || v < vecs - 1;
            bk[v] = whole ? vec_load(b + v * VEC) : vec_load_n(b + v * VEC, last);
        }
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++) {
            vec ai = vec_splat(a[i * a_row]);
#pragma GCC unroll 4
            for (int v = 0; v < vecs; v++) {
                acc[i][v] = vec_fma(ai, bk[v], acc[i][v]);
            }
        }
        if (ahead) {
            __builtin_prefetch(a + ahead);
        }
        a += a_k;
        b += b_k;
    }
}

// Prefetches a tile (rows, columns) of memory.
VEC_INLINE void tile_prefetch(const float *from, const int rows, const int columns,
                              ptrdiff_t stride) {
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++) {
        for (int c = 0; c < columns; c += PREFETCH_LINE) {
            __builtin_prefetch(from + r * stride + c);
        }
    }
}

VEC_INLINE void tile_zero(vec acc[TILE_ROWS][TILE_VECS], const int rows, const int vecs) {
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++) {
#pragma GCC unroll 4
        for (int v = 0; v < vecs; v++) {
            acc[i][v] = vec_splat(0.0f);
        }
    }
}

// The last vector of a row has `last` columns; tile_load and tile_store touch nothing beyond them.
VEC_INLINE void tile_load(vec acc[TILE_ROWS][TILE_VECS], const int rows, const int vecs,
                          const int last, const float *from, ptrdiff_t stride) {
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++) {
#pragma GCC unroll 4
        for (int v = 0; v < vecs; v++) {
            const bool whole = last == VEC || v < vecs - 1;
            const float *at = from + i * stride + v * VEC;
            acc[i][v] = whole ? vec_load(at) : vec_load_n(at, last);
        }
    }
}

VEC_INLINE void tile_store(vec acc[TILE_ROWS][TILE_VECS], const int rows, const int vecs,
                           const int last, float *to, ptrdiff_t stride) {
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++) {
#pragma GCC unroll 4
        for (int v = 0; v < vecs; v++) {
            float *at = to + i * stride + v * VEC;
            if (last == VEC || v < vecs - 1) {
                vec_store(at, acc[i][v]);
            } else {
                vec_store_n(at, acc[i][v], last);
            }
        }
    }
}

// Calls tile(..., i, p, rows, vecs, last) with constant sizes: of a whole tile, or of one at the
// bottom or right edge of (ROWS, COLS). i is the tile's first row; panel p is VECS vectors wide.
#define TILE_CASES(tile, i, p, ROWS, COLS, VECS, ...)                                              \
    do {                                                                                           \
        enum { WIDE_ = (VECS)*VEC, LAST_COLS = ((COLS)-1) % WIDE_ + 1 };                           \
        enum { LAST_VECS = DIVIDE_UP(LAST_COLS, VEC), LAST = LAST_COLS - (LAST_VECS - 1) * VEC };  \
        const bool rows_whole = (ROWS) % TILE_ROWS == 0 || (i) + TILE_ROWS <= (ROWS);              \
        const bool cols_whole = ((p) + 1) * WIDE_ <= (COLS);                                       \
        if (rows_whole && cols_whole) {                                                            \
            tile(__VA_ARGS__, i, p, TILE_ROWS, VECS, VEC);                                         \
        } else if (rows_whole) {                                                                   \
            tile(__VA_ARGS__, i, p, TILE_ROWS, LAST_VECS, LAST);                                   \
        } else if (cols_whole) {                                                                   \
            tile(__VA_ARGS__, i, p, (ROWS) % TILE_ROWS, VECS, VEC);                                \
        } else {                                                                                   \
            tile(__VA_ARGS__, i, p, (ROWS) % TILE_ROWS, LAST_VECS, LAST);                          \
        }                                                                                          \
    } while (0)

// embed_18x17x10x6_dropout, from templates/cpu/embed.c. Called once a step: 1.1 kFLOP, 1.7 kB each.
static void embed_18x17x10x6_dropout(const struct model *m, float *y, const int32_t *tokens,
                                     const float *wte, const float *wpe, uint32_t site, int thread,
                                     int threads) {
    enum { N = 18, T = 6, C = 10, C_LD = 16, V = 17, V_LD = 48, COLS = C };
    const struct dropout drop = dropout_make(m->dropout, m->dropout_key);
    const struct range mine = share(N, thread, threads);
    for (int row = mine.first; row < mine.last; row++) {
        const float *token = wte + (size_t)tokens[row] * C;
        const float *position = wpe + (size_t)(row % T) * C;
        for (int col = 0; col < C; col += VEC) {
            vec value = row_load(token, col, C);
            value += row_load(position, col, C);
            value = value * dropout_mask(&drop, site, row, DROPOUT_CHUNKS(COLS), col);
            row_store(y + (size_t)row * C_LD, col, C, value);
        }
    }
}

// layernorm_18x10, from templates/cpu/layernorm.c. Called 7 times a step: 1.4 kFLOP, 1.7 kB each.
static void layernorm_18x10(float *y, float *mean, float *rstd, const float *x, const float *scale,
                            const float *shift, int thread, int threads) {
    enum { N = 18, C = 10, C_LD = 16, SUMS = 4, WIDE = SUMS * VEC };
    const struct range mine = share(N, thread, threads);
    for (int n = mine.first; n < mine.last; n++) {
        const float *xn = x + (size_t)n * C_LD;
        vec sum[SUMS] = {{0}}, squares[SUMS] = {{0}};
        for (int from = 0; from < C; from += WIDE) {
            for (int s = 0, c = from; s < SUMS && (C % WIDE == 0 || c < C); s++, c += VEC) {
                sum[s] += row_load(xn, c, C);
            }
        }
        const float mu = vec_sum((sum[0] + sum[1]) + (sum[2] + sum[3])) / C;
        for (int from = 0; from < C; from += WIDE) {
            for (int s = 0, c = from; s < SUMS && (C % WIDE == 0 || c < C); s++, c += VEC) {
                const vec d = row_only(row_load(xn, c, C) - mu, c, C, 0.0f);
                squares[s] = vec_fma(d, d, squares[s]);
            }
        }
        const vec square = (squares[0] + squares[1]) + (squares[2] + squares[3]);
        const float r = 1.0f / sqrtf(vec_sum(square) / C + 1e-05f);
        for (int c = 0; c < C; c += VEC) {
            const vec normal = (row_load(xn, c, C) - mu) * r;
            const vec yc = vec_fma(normal, row_load(scale, c, C), row_load(shift, c, C));
            row_store(y + (size_t)n * C_LD, c, C, yc);
        }
        mean[n] = mu;
        rstd[n] = r;
    }
}

// matmul_18x10x30_bias, from templates/cpu/matmul.c.
// Called 3 times a step: 11.3 kFLOP, 4.2 kB each.
VEC_INLINE void matmul_18x10x30_bias_tile(float *y, const float *x, const float *w,
                                          const float *bias, const float *panel, int from,
                                          int depth, int i, int p, const int rows, const int vecs,
                                          const int last) {
    enum { N = 18, C = 10, C_LD = 16, O = 30, O_LD = 48, K = C, K_LD = C_LD };
    enum { COLS = O, COLS_LD = O_LD, WIDE = 2 * VEC };
    (void)w;
    const size_t first_at = (size_t)i * COLS_LD + p * WIDE;
    float *to = y + first_at;
    vec acc[TILE_ROWS][TILE_VECS];
    if (from == 0) {
        tile_zero(acc, rows, vecs);
        tile_prefetch(to, rows, (vecs - 1) * VEC + last, COLS_LD);
    } else {
        tile_load(acc, rows, vecs, last, to, COLS_LD);
    }
    tile_multiply(acc, rows, vecs, VEC, depth, x + (size_t)i * K_LD + from, K_LD, 1, panel, WIDE,
                  0);
    if (from + depth < K) {
        tile_store(acc, rows, vecs, last, to, COLS_LD);
        return;
    }
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 4
        for (int v = 0; v < vecs; v++) {
            const int row = i + r, col = p * WIDE + v * VEC;
            const int lanes = v == vecs - 1 ? last : VEC;
            const size_t at = (size_t)row * COLS_LD + (size_t)col;
            vec value = acc[r][v];
            value = value + vec_load_n(bias + col, lanes);
            vec_store_n(y + at, value, lanes);
        }
    }
}

// Maps work item `item` to a panel of w: its first column is p * WIDE, its slice of K begins at
// `from`. If SLICES_OUTSIDE, K is the outer loop and L2 holds a slice of the first operand;
// otherwise columns are outer and L2 holds the result.
static inline struct piece matmul_18x10x30_bias_piece(struct range panels, int item) {
    enum { N = 18, C = 10, C_LD = 16, O = 30, O_LD = 48, K = C, COLS = O, WIDE = 2 * VEC };
    enum { DEPTH = 10, SLICES = DIVIDE_UP(K, DEPTH), SLICES_OUTSIDE = 0 };
    const int count = panels.last - panels.first;
    const int p = panels.first + (SLICES_OUTSIDE ? item % count : item / SLICES);
    const int from = (SLICES_OUTSIDE ? item / count : item % SLICES) * DEPTH;
    return (struct piece){p, from, int_min(DEPTH, K - from), int_min(WIDE, COLS - p * WIDE),
                          (size_t)p * WIDE * K + from};
}

static void matmul_18x10x30_bias(float *y, const float *x, const float *w, const float *bias,
                                 int thread, int threads) {
    enum { N = 18, C = 10, C_LD = 16, O = 30, O_LD = 48, K = C, COLS = O, VECS = 2,
           WIDE = VECS * VEC };
    enum { DEPTH = 10, SLICES = DIVIDE_UP(K, DEPTH) };
    enum { TILES = DIVIDE_UP(N, TILE_ROWS), PANELS = DIVIDE_UP(COLS, WIDE) };
    // BLOCK tiles of rows share a packed panel. The tuned block is evened out over all TILES.
    enum { BLOCK = DIVIDE_UP(TILES, DIVIDE_UP(TILES, 1639)) };
    _Alignas(64) float panel[DEPTH * WIDE];
    const struct part mine = part_of(TILES, PANELS, thread, threads);
    const int items = SLICES * (mine.cols.last - mine.cols.first);
    for (int block = mine.rows.first; block < mine.rows.last; block += BLOCK) {
        const int end = int_min(N, int_min(block + BLOCK, mine.rows.last) * TILE_ROWS);
        for (int item = 0; item < items; item++) {
            const struct piece at = matmul_18x10x30_bias_piece(mine.cols, item);
            pack_transposed(panel, WIDE, w + at.offset, K, at.depth, at.wide);
            // Prefetches the next panel of the weight beside the products with this one.
            const struct piece after =
                matmul_18x10x30_bias_piece(mine.cols, item + 1 < items ? item + 1 : item);
            struct prefetch next = prefetch_of(w + after.offset, K, after.wide, after.depth,
                                               DIVIDE_UP(end, TILE_ROWS) - block);
            for (int i = block * TILE_ROWS; i < end; i += TILE_ROWS) {
                prefetch_some(&next);
                TILE_CASES(matmul_18x10x30_bias_tile, i, at.p, N, COLS, VECS, y, x, w, bias, panel,
                           at.from, at.depth);
            }
        }
    }
}

// heads_3x6x2x5, from templates/cpu/attention.c: what kernels of these sizes share.
// Softmax numerators in place, for queries q..q+VEC: scores (keys, VEC) become
// 2^(scale2 * score - less); masked keys become 0. Returns the sum for each query.
APART vec heads_3x6x2x5_weights(float *scores, const int stride, float scale2, vec less, int q,
                                int keys) {
    vec sum = vec_splat(0.0f);
    const int seen = int_min(keys, q + VEC);
    for (int j = 0; j < seen; j++) {
        const vec score2 = vec_fma(vec_load(scores + j * stride), vec_splat(scale2), -less);
        vec weight = vec_exp2(score2);
        if (j > q) {
            weight = vec_select(vec_lanes() + q < j, vec_splat(0.0f), weight);
        }
        vec_store(scores + j * stride, weight);
        sum += weight;
    }
    for (int j = seen; j < keys; j++) {
        vec_store(scores + j * stride, vec_splat(0.0f));
    }
    return sum;
}

// Offset of work item `item`, a (batch, head), in an array (N, ..) whose rows are `stride` apart.
VEC_INLINE size_t heads_3x6x2x5_start(int item, int stride) {
    enum { N = 18, B = 3, T = 6, C = 10, C_LD = 16, H = 2, D = 5, E = 30, E_LD = 48, WIDE = 2 * VEC,
           HEAD = MIN(2, DIVIDE_UP(D, VEC)) * VEC, WHOLE = DIVIDE_UP(D, VEC) * VEC };
    return (size_t)(item / H) * T * stride + item % H * D;
}

// Prefetches the next head's rows: each tile of this head takes the next `each`, beginning at
// `row`.
struct heads_3x6x2x5_next {
    const float *qkv, *y, *dqkv, *dy; // dqkv and dy are NULL in the forward pass
    int each, row;
};

static void heads_3x6x2x5_prefetch(struct heads_3x6x2x5_next *const next) {
    enum { N = 18, B = 3, T = 6, C = 10, C_LD = 16, H = 2, D = 5, E = 30, E_LD = 48, WIDE = 2 * VEC,
           HEAD = MIN(2, DIVIDE_UP(D, VEC)) * VEC, WHOLE = DIVIDE_UP(D, VEC) * VEC };
    for (const int end = int_min(T, next->row + next->each); next->row < end; next->row++) {
        for (int d = 0; d < D; d += PREFETCH_LINE) {
            const size_t at = (size_t)next->row * E_LD + d, at_y = (size_t)next->row * C_LD + d;
            __builtin_prefetch(next->y + at_y);
            for (int x = 0; x < 3 * C; x += C) {
                __builtin_prefetch(next->qkv + at + x);
            }
            if (next->dqkv != NULL) {
                __builtin_prefetch(next->dy + at_y);
                for (int x = 0; x < 3 * C; x += C) {
                    __builtin_prefetch(next->dqkv + at + x);
                }
            }
        }
    }
}

// A tile of transposed scores (keys, queries): to = x (rows i.., D) times panel (D, WIDE), whose
// first query is q. Where `largest` is not NULL, it is raised to each query's largest unmasked
// score; query q sees keys 0..q.
VEC_INLINE void heads_3x6x2x5_scores(float *to, int stride, vec *largest, const float *x,
                                     int x_stride, const float *panel, int q, int i, int p,
                                     const int rows, const int vecs, const int last) {
    enum { N = 18, B = 3, T = 6, C = 10, C_LD = 16, H = 2, D = 5, E = 30, E_LD = 48, WIDE = 2 * VEC,
           HEAD = MIN(2, DIVIDE_UP(D, VEC)) * VEC, WHOLE = DIVIDE_UP(D, VEC) * VEC };
    (void)p, (void)last;
    vec acc[TILE_ROWS][TILE_VECS];
    tile_zero(acc, rows, vecs);
    tile_multiply(acc, rows, vecs, VEC, D, x + (size_t)i * x_stride, x_stride, 1, panel, WIDE, 0);
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
            largest[v] = vec_max(acc[r][v], largest[v]);
        }
    }
}

// Scores (keys, WIDE) of keys 0..keys-1 and queries q..q+WIDE; `keys` is a multiple of TILE_ROWS or
// T. Of the two vectors of queries, the first is skipped for keys that all its queries mask, and
// the second where it lies beyond T.
static void heads_3x6x2x5_panel(float *to, int stride, vec *largest, const float *x, int x_stride,
                                const float *panel, int q, int keys,
                                struct heads_3x6x2x5_next *const next) {
    enum { N = 18, B = 3, T = 6, C = 10, C_LD = 16, H = 2, D = 5, E = 30, E_LD = 48, WIDE = 2 * VEC,
           HEAD = MIN(2, DIVIDE_UP(D, VEC)) * VEC, WHOLE = DIVIDE_UP(D, VEC) * VEC };
    for (int i = 0; i < keys; i += TILE_ROWS) {
        heads_3x6x2x5_prefetch(next);
        if (i < q + VEC && q + VEC < T) {
            TILE_CASES(heads_3x6x2x5_scores, i, 0, T, WIDE, 2, to, stride, largest, x, x_stride,
                       panel, q);
        } else {
            const int v = i < q + VEC ? 0 : 1;
            TILE_CASES(heads_3x6x2x5_scores, i, 0, T, VEC, 1, to + v * VEC, stride,
                       largest == NULL ? NULL : largest + v, x, x_stride, panel + v * VEC,
                       q + v * VEC);
        }
    }
}

// A tile of to (rows, D) = (`begins`) or += weights (rows, depth) x (depth, WHOLE). Element (i, k)
// of weights is at i * w_row + k * w_k, so they may be transposed. `scale`, if not NULL, multiplies
// rows.
VEC_INLINE void heads_3x6x2x5_mix(float *to, int to_stride, bool begins, const float *scale,
                                  const float *weights, ptrdiff_t w_row, ptrdiff_t w_k,
                                  const float *x, int x_stride, int depth, int i, int p,
                                  const int rows, const int vecs, const int last) {
    enum { N = 18, B = 3, T = 6, C = 10, C_LD = 16, H = 2, D = 5, E = 30, E_LD = 48, WIDE = 2 * VEC,
           HEAD = MIN(2, DIVIDE_UP(D, VEC)) * VEC, WHOLE = DIVIDE_UP(D, VEC) * VEC };
    float *at = to + (size_t)i * to_stride + p * HEAD;
    vec acc[TILE_ROWS][TILE_VECS];
    if (begins) {
        tile_zero(acc, rows, vecs);
    } else {
        tile_load(acc, rows, vecs, last, at, to_stride);
    }
    tile_multiply(acc, rows, vecs, VEC, depth, weights + i * w_row, w_row, w_k, x + p * HEAD,
                  x_stride, 0);
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
static void heads_3x6x2x5_mixes(float *to, int to_stride, const float *scale, const float *weights,
                                int w_k, const float *x, int x_stride, int q,
                                struct heads_3x6x2x5_next *const next) {
    enum { N = 18, B = 3, T = 6, C = 10, C_LD = 16, H = 2, D = 5, E = 30, E_LD = 48, WIDE = 2 * VEC,
           HEAD = MIN(2, DIVIDE_UP(D, VEC)) * VEC, WHOLE = DIVIDE_UP(D, VEC) * VEC };
    const int queries = int_min(WIDE, T - q);
    for (int i = 0; i < queries; i += TILE_ROWS) {
        heads_3x6x2x5_prefetch(next);
        const int depth = q + int_min(queries, i + TILE_ROWS);
        for (int p = 0; p < DIVIDE_UP(D, HEAD); p++) {
            if (queries == WIDE) {
                TILE_CASES(heads_3x6x2x5_mix, i, p, WIDE, D, HEAD / VEC, to, to_stride, true, scale,
                           weights, 1, w_k, x, x_stride, depth);
            } else {
                TILE_CASES(heads_3x6x2x5_mix, i, p, T % WIDE, D, HEAD / VEC, to, to_stride, true,
                           scale, weights, 1, w_k, x, x_stride, depth);
            }
        }
    }
}

// to (T, WHOLE) = x (T, D), padded with 0.
static void heads_3x6x2x5_copy(float *to, const float *x, int stride) {
    enum { N = 18, B = 3, T = 6, C = 10, C_LD = 16, H = 2, D = 5, E = 30, E_LD = 48, WIDE = 2 * VEC,
           HEAD = MIN(2, DIVIDE_UP(D, VEC)) * VEC, WHOLE = DIVIDE_UP(D, VEC) * VEC };
    for (int row = 0; row < T; row++) {
        vec_store(to + (size_t)(row + 1) * WHOLE - VEC, vec_splat(0.0f));
        memcpy(to + (size_t)row * WHOLE, x + (size_t)row * stride, D * sizeof(float));
    }
}

// attention_3x6x2x5_dropout, from templates/cpu/attention.c.
// Called 3 times a step: 2.5 kFLOP, 3.0 kB each.
struct attention_3x6x2x5_dropout_scratch {
    float q[80];      // (D, WIDE)
    float scores[96]; // (T, WIDE)
    float scale[16];      // (WIDE)
    float value[48]; // (T, WHOLE)
};

static void attention_3x6x2x5_dropout(const struct model *m, float *y, float *lse, const float *qkv,
                                      uint32_t site, void *scratch, int thread, int threads) {
    enum { N = 18, B = 3, T = 6, C = 10, C_LD = 16, H = 2, D = 5, E = 30, E_LD = 48, WIDE = 2 * VEC,
           HEAD = MIN(2, DIVIDE_UP(D, VEC)) * VEC, WHOLE = DIVIDE_UP(D, VEC) * VEC };
    // Rows to prefetch per tile: T over the number of tiles, which is half of backward's.
    enum { EACH = DIVIDE_UP(2 * WIDE * TILE_ROWS, T + 3 * WIDE) };
    struct attention_3x6x2x5_dropout_scratch *s = scratch;
    const float scale2 = 0.447213595f * 1.44269504f; // scale / ln 2
    const struct dropout drop = dropout_make(m->dropout, m->dropout_key);
    const struct range mine = share(B * H, thread, threads);
    for (int item = mine.first; item < mine.last; item++) {
        const float *query = qkv + heads_3x6x2x5_start(item, E_LD); // (T, D), rows E_LD apart
        const float *key = query + C, *value = query + 2 * C;
        float *to = y + heads_3x6x2x5_start(item, C_LD);
        struct heads_3x6x2x5_next next = {.each = item + 1 < mine.last ? EACH : 0};
        next.qkv = qkv + heads_3x6x2x5_start(item + 1, E_LD);
        next.y = y + heads_3x6x2x5_start(item + 1, C_LD);
        heads_3x6x2x5_copy(s->value, value, E_LD);
        value = s->value;
        for (int q = 0; q < T; q += WIDE) {
            const int queries = int_min(WIDE, T - q);
            const int keys = int_min(T, DIVIDE_UP(q + WIDE, TILE_ROWS) * TILE_ROWS);
            vec largest[2] = {vec_splat(-INFINITY), vec_splat(-INFINITY)};
            pack_transposed(s->q, WIDE, query + (size_t)q * E_LD, E_LD, D, queries);
            heads_3x6x2x5_panel(s->scores, WIDE, largest, key, E_LD, s->q, q, keys, &next);
            for (int c = 0; c < queries; c += VEC) {
                float *scores = s->scores + c;
                const vec largest2 = largest[c / VEC] * scale2;
                const vec sum = heads_3x6x2x5_weights(scores, WIDE, scale2, largest2, q + c, keys);
                vec_store(s->scale + c, 1.0f / sum);
                // ln 2
                vec_store_n(lse + (size_t)(item % H) * N + item / H * T + q + c,
                            vec_fma(largest2, vec_splat(0.693147181f), vec_log(sum)),
                            int_min(VEC, queries - c));
                dropout_transposed(&drop, site, (int64_t)item * T + q + c, DROPOUT_CHUNKS(T),
                                   scores, WIDE, keys);
            }
            heads_3x6x2x5_mixes
            (to + (size_t)q * C_LD, C_LD, s->scale, s->scores, WIDE, value, WHOLE, q, &next);
        }
    }
}

// matmul_18x10x10_bias_dropout_add, from templates/cpu/matmul.c.
// Called 3 times a step: 4.9 kFLOP, 2.6 kB each.
// The epilogue of a tile, applied to its sums `done` (rows, WIDE). Not inlined, since its constants
// would take registers from the product.
APART void matmul_18x10x10_bias_dropout_add_store(const struct model *m, float *y, const float *x,
                                                  const float *w, const float *bias,
                                                  const float *addend, uint32_t site,
                                                  const float *done, int i, int p, int rows,
                                                  int cols) {
    enum { N = 18, C = 10, C_LD = 16, O = 10, O_LD = 16, COLS = O, COLS_LD = O_LD, WIDE = 2 * VEC };
    (void)x, (void)w;
    const struct dropout drop = dropout_make(m->dropout, m->dropout_key);
    for (int r = 0; r < rows; r++) {
        for (int c = 0; c < cols; c += VEC) {
            const int row = i + r, col = p * WIDE + c, lanes = int_min(VEC, cols - c);
            const size_t at = (size_t)row * COLS_LD + (size_t)col;
            vec value = vec_load(done + r * WIDE + c);
            value = value + vec_load_n(bias + col, lanes);
            value = value * dropout_mask(&drop, site, row, DROPOUT_CHUNKS(COLS), col);
            value = value + vec_load_n(addend + at, lanes);
            vec_store_n(y + at, value, lanes);
        }
    }
}

VEC_INLINE void matmul_18x10x10_bias_dropout_add_tile(const struct model *m, float *y,
                                                      const float *x, const float *w,
                                                      const float *bias, const float *addend,
                                                      uint32_t site, const float *panel, int from,
                                                      int depth, int i, int p, const int rows,
                                                      const int vecs, const int last) {
    enum { N = 18, C = 10, C_LD = 16, O = 10, O_LD = 16, K = C, K_LD = C_LD };
    enum { COLS = O, COLS_LD = O_LD, WIDE = 2 * VEC };
    (void)w;
    const size_t first_at = (size_t)i * COLS_LD + p * WIDE;
    float *to = y + first_at;
    vec acc[TILE_ROWS][TILE_VECS];
    if (from == 0) {
        tile_zero(acc, rows, vecs);
        tile_prefetch(to, rows, (vecs - 1) * VEC + last, COLS_LD);
    } else {
        tile_load(acc, rows, vecs, last, to, COLS_LD);
    }
    // Prefetches the epilogue's operands, to arrive while the tile is computed.
    if (from + depth == K) {
        tile_prefetch(addend + first_at, rows, (vecs - 1) * VEC + last, COLS_LD);
    }
    tile_multiply(acc, rows, vecs, VEC, depth, x + (size_t)i * K_LD + from, K_LD, 1, panel, WIDE,
                  0);
    if (from + depth < K) {
        tile_store(acc, rows, vecs, last, to, COLS_LD);
        return;
    }
    _Alignas(64) float done[TILE_ROWS * WIDE];
    tile_store(acc, rows, vecs, VEC, done, WIDE);
    matmul_18x10x10_bias_dropout_add_store(m, y, x, w, bias, addend, site, done, i, p, rows,
                                           (vecs - 1) * VEC + last);
}

// Maps work item `item` to a panel of w: its first column is p * WIDE, its slice of K begins at
// `from`. If SLICES_OUTSIDE, K is the outer loop and L2 holds a slice of the first operand;
// otherwise columns are outer and L2 holds the result.
static inline struct piece matmul_18x10x10_bias_dropout_add_piece(struct range panels, int item) {
    enum { N = 18, C = 10, C_LD = 16, O = 10, O_LD = 16, K = C, COLS = O, WIDE = 2 * VEC };
    enum { DEPTH = 10, SLICES = DIVIDE_UP(K, DEPTH), SLICES_OUTSIDE = 0 };
    const int count = panels.last - panels.first;
    const int p = panels.first + (SLICES_OUTSIDE ? item % count : item / SLICES);
    const int from = (SLICES_OUTSIDE ? item / count : item % SLICES) * DEPTH;
    return (struct piece){p, from, int_min(DEPTH, K - from), int_min(WIDE, COLS - p * WIDE),
                          (size_t)p * WIDE * K + from};
}

static void matmul_18x10x10_bias_dropout_add(const struct model *m, float *y, const float *x,
                                             const float *w, const float *bias, const float *addend,
                                             uint32_t site, int thread, int threads) {
    enum { N = 18, C = 10, C_LD = 16, O = 10, O_LD = 16, K = C, COLS = O, VECS = 2,
           WIDE = VECS * VEC };
    enum { DEPTH = 10, SLICES = DIVIDE_UP(K, DEPTH) };
    enum { TILES = DIVIDE_UP(N, TILE_ROWS), PANELS = DIVIDE_UP(COLS, WIDE) };
    // BLOCK tiles of rows share a packed panel. The tuned block is evened out over all TILES.
    enum { BLOCK = DIVIDE_UP(TILES, DIVIDE_UP(TILES, 1639)) };
    _Alignas(64) float panel[DEPTH * WIDE];
    const struct part mine = part_of(TILES, PANELS, thread, threads);
    const int items = SLICES * (mine.cols.last - mine.cols.first);
    for (int block = mine.rows.first; block < mine.rows.last; block += BLOCK) {
        const int end = int_min(N, int_min(block + BLOCK, mine.rows.last) * TILE_ROWS);
        for (int item = 0; item < items; item++) {
            const struct piece at = matmul_18x10x10_bias_dropout_add_piece(mine.cols, item);
            pack_transposed(panel, WIDE, w + at.offset, K, at.depth, at.wide);
            // Prefetches the next panel of the weight beside the products with this one.
            const struct piece after =
                matmul_18x10x10_bias_dropout_add_piece(mine.cols,
                                                       item + 1 < items ? item + 1 : item);
            struct prefetch next = prefetch_of(w + after.offset, K, after.wide, after.depth,
                                               DIVIDE_UP(end, TILE_ROWS) - block);
            for (int i = block * TILE_ROWS; i < end; i += TILE_ROWS) {
                prefetch_some(&next);
                TILE_CASES(matmul_18x10x10_bias_dropout_add_tile, i, at.p, N, COLS, VECS, m, y, x,
                           w, bias, addend, site, panel, at.from, at.depth);
            }
        }
    }
}

// matmul_18x10x40_bias_keep_gelu_erf, from templates/cpu/matmul.c.
// Called 3 times a step: 36.7 kFLOP, 8.2 kB each.
// The epilogue of a tile, applied to its sums `done` (rows, WIDE). Not inlined, since its constants
// would take registers from the product.
APART void matmul_18x10x40_bias_keep_gelu_erf_store(float *y, float *kept, const float *x,
                                                    const float *w, const float *bias,
                                                    const float *done, int i, int p, int rows,
                                                    int cols) {
    enum { N = 18, C = 10, C_LD = 16, O = 40, O_LD = 48, COLS = O, COLS_LD = O_LD, WIDE = 2 * VEC };
    (void)x, (void)w;
    for (int r = 0; r < rows; r++) {
        for (int c = 0; c < cols; c += VEC) {
            const int row = i + r, col = p * WIDE + c, lanes = int_min(VEC, cols - c);
            const size_t at = (size_t)row * COLS_LD + (size_t)col;
            vec value = vec_load(done + r * WIDE + c);
            value = value + vec_load_n(bias + col, lanes);
            vec_store_n(kept + at, value, lanes);
            value = gelu_erf(value);
            vec_store_n(y + at, value, lanes);
        }
    }
}

VEC_INLINE void matmul_18x10x40_bias_keep_gelu_erf_tile(float *y, float *kept, const float *x,
                                                        const float *w, const float *bias,
                                                        const float *panel, int from, int depth,
                                                        int i, int p, const int rows,
                                                        const int vecs, const int last) {
    enum { N = 18, C = 10, C_LD = 16, O = 40, O_LD = 48, K = C, K_LD = C_LD };
    enum { COLS = O, COLS_LD = O_LD, WIDE = 2 * VEC };
    (void)w;
    const size_t first_at = (size_t)i * COLS_LD + p * WIDE;
    float *to = y + first_at;
    vec acc[TILE_ROWS][TILE_VECS];
    if (from == 0) {
        tile_zero(acc, rows, vecs);
        tile_prefetch(to, rows, (vecs - 1) * VEC + last, COLS_LD);
    } else {
        tile_load(acc, rows, vecs, last, to, COLS_LD);
    }
    // Prefetches the epilogue's operands, to arrive while the tile is computed.
    if (from + depth == K) {
        tile_prefetch(kept + first_at, rows, (vecs - 1) * VEC + last, COLS_LD);
    }
    tile_multiply(acc, rows, vecs, VEC, depth, x + (size_t)i * K_LD + from, K_LD, 1, panel, WIDE,
                  0);
    if (from + depth < K) {
        tile_store(acc, rows, vecs, last, to, COLS_LD);
        return;
    }
    _Alignas(64) float done[TILE_ROWS * WIDE];
    tile_store(acc, rows, vecs, VEC, done, WIDE);
    matmul_18x10x40_bias_keep_gelu_erf_store(y, kept, x, w, bias, done, i, p, rows,
                                             (vecs - 1) * VEC + last);
}

// Maps work item `item` to a panel of w: its first column is p * WIDE, its slice of K begins at
// `from`. If SLICES_OUTSIDE, K is the outer loop and L2 holds a slice of the first operand;
// otherwise columns are outer and L2 holds the result.
static inline struct piece matmul_18x10x40_bias_keep_gelu_erf_piece(struct range panels, int item) {
    enum { N = 18, C = 10, C_LD = 16, O = 40, O_LD = 48, K = C, COLS = O, WIDE = 2 * VEC };
    enum { DEPTH = 10, SLICES = DIVIDE_UP(K, DEPTH), SLICES_OUTSIDE = 0 };
    const int count = panels.last - panels.first;
    const int p = panels.first + (SLICES_OUTSIDE ? item % count : item / SLICES);
    const int from = (SLICES_OUTSIDE ? item / count : item % SLICES) * DEPTH;
    return (struct piece){p, from, int_min(DEPTH, K - from), int_min(WIDE, COLS - p * WIDE),
                          (size_t)p * WIDE * K + from};
}

static void matmul_18x10x40_bias_keep_gelu_erf(float *y, float *kept, const float *x,
                                               const float *w, const float *bias, int thread,
                                               int threads) {
    enum { N = 18, C = 10, C_LD = 16, O = 40, O_LD = 48, K = C, COLS = O, VECS = 2,
           WIDE = VECS * VEC };
    enum { DEPTH = 10, SLICES = DIVIDE_UP(K, DEPTH) };
    enum { TILES = DIVIDE_UP(N, TILE_ROWS), PANELS = DIVIDE_UP(COLS, WIDE) };
    // BLOCK tiles of rows share a packed panel. The tuned block is evened out over all TILES.
    enum { BLOCK = DIVIDE_UP(TILES, DIVIDE_UP(TILES, 1639)) };
    _Alignas(64) float panel[DEPTH * WIDE];
    const struct part mine = part_of(TILES, PANELS, thread, threads);
    const int items = SLICES * (mine.cols.last - mine.cols.first);
    for (int block = mine.rows.first; block < mine.rows.last; block += BLOCK) {
        const int end = int_min(N, int_min(block + BLOCK, mine.rows.last) * TILE_ROWS);
        for (int item = 0; item < items; item++) {
            const struct piece at = matmul_18x10x40_bias_keep_gelu_erf_piece(mine.cols, item);
            pack_transposed(panel, WIDE, w + at.offset, K, at.depth, at.wide);
            // Prefetches the next panel of the weight beside the products with this one.
            const struct piece after =
                matmul_18x10x40_bias_keep_gelu_erf_piece(mine.cols,
                                                         item + 1 < items ? item + 1 : item);
            struct prefetch next = prefetch_of(w + after.offset, K, after.wide, after.depth,
                                               DIVIDE_UP(end, TILE_ROWS) - block);
            for (int i = block * TILE_ROWS; i < end; i += TILE_ROWS) {
                prefetch_some(&next);
                TILE_CASES(matmul_18x10x40_bias_keep_gelu_erf_tile, i, at.p, N, COLS, VECS, y, kept,
                           x, w, bias, panel, at.from, at.depth);
            }
        }
    }
}

// matmul_18x40x10_bias_dropout_add, from templates/cpu/matmul.c.
// Called 3 times a step: 15.7 kFLOP, 6.0 kB each.
// The epilogue of a tile, applied to its sums `done` (rows, WIDE). Not inlined, since its constants
// would take registers from the product.
APART void matmul_18x40x10_bias_dropout_add_store(const struct model *m, float *y, const float *x,
                                                  const float *w, const float *bias,
                                                  const float *addend, uint32_t site,
                                                  const float *done, int i, int p, int rows,
                                                  int cols) {
    enum { N = 18, C = 40, C_LD = 48, O = 10, O_LD = 16, COLS = O, COLS_LD = O_LD, WIDE = 2 * VEC };
    (void)x, (void)w;
    const struct dropout drop = dropout_make(m->dropout, m->dropout_key);
    for (int r = 0; r < rows; r++) {
        for (int c = 0; c < cols; c += VEC) {
            const int row = i + r, col = p * WIDE + c, lanes = int_min(VEC, cols - c);
            const size_t at = (size_t)row * COLS_LD + (size_t)col;
            vec value = vec_load(done + r * WIDE + c);
            value = value + vec_load_n(bias + col, lanes);
            value = value * dropout_mask(&drop, site, row, DROPOUT_CHUNKS(COLS), col);
            value = value + vec_load_n(addend + at, lanes);
            vec_store_n(y + at, value, lanes);
        }
    }
}

VEC_INLINE void matmul_18x40x10_bias_dropout_add_tile(const struct model *m, float *y,
                                                      const float *x, const float *w,
                                                      const float *bias, const float *addend,
                                                      uint32_t site, const float *panel, int from,
                                                      int depth, int i, int p, const int rows,
                                                      const int vecs, const int last) {
    enum { N = 18, C = 40, C_LD = 48, O = 10, O_LD = 16, K = C, K_LD = C_LD };
    enum { COLS = O, COLS_LD = O_LD, WIDE = 2 * VEC };
    (void)w;
    const size_t first_at = (size_t)i * COLS_LD + p * WIDE;
    float *to = y + first_at;
    vec acc[TILE_ROWS][TILE_VECS];
    if (from == 0) {
        tile_zero(acc, rows, vecs);
        tile_prefetch(to, rows, (vecs - 1) * VEC + last, COLS_LD);
    } else {
        tile_load(acc, rows, vecs, last, to, COLS_LD);
    }
    // Prefetches the epilogue's operands, to arrive while the tile is computed.
    if (from + depth == K) {
        tile_prefetch(addend + first_at, rows, (vecs - 1) * VEC + last, COLS_LD);
    }
    tile_multiply(acc, rows, vecs, VEC, depth, x + (size_t)i * K_LD + from, K_LD, 1, panel, WIDE,
                  0);
    if (from + depth < K) {
        tile_store(acc, rows, vecs, last, to, COLS_LD);
        return;
    }
    _Alignas(64) float done[TILE_ROWS * WIDE];
    tile_store(acc, rows, vecs, VEC, done, WIDE);
    matmul_18x40x10_bias_dropout_add_store(m, y, x, w, bias, addend, site, done, i, p, rows,
                                           (vecs - 1) * VEC + last);
}

// Maps work item `item` to a panel of w: its first column is p * WIDE, its slice of K begins at
// `from`. If SLICES_OUTSIDE, K is the outer loop and L2 holds a slice of the first operand;
// otherwise columns are outer and L2 holds the result.
static inline struct piece matmul_18x40x10_bias_dropout_add_piece(struct range panels, int item) {
    enum { N = 18, C = 40, C_LD = 48, O = 10, O_LD = 16, K = C, COLS = O, WIDE = 2 * VEC };
    enum { DEPTH = 40, SLICES = DIVIDE_UP(K, DEPTH), SLICES_OUTSIDE = 0 };
    const int count = panels.last - panels.first;
    const int p = panels.first + (SLICES_OUTSIDE ? item % count : item / SLICES);
    const int from = (SLICES_OUTSIDE ? item / count : item % SLICES) * DEPTH;
    return (struct piece){p, from, int_min(DEPTH, K - from), int_min(WIDE, COLS - p * WIDE),
                          (size_t)p * WIDE * K + from};
}

static void matmul_18x40x10_bias_dropout_add(const struct model *m, float *y, const float *x,
                                             const float *w, const float *bias, const float *addend,
                                             uint32_t site, int thread, int threads) {
    enum { N = 18, C = 40, C_LD = 48, O = 10, O_LD = 16, K = C, COLS = O, VECS = 2,
           WIDE = VECS * VEC };
    enum { DEPTH = 40, SLICES = DIVIDE_UP(K, DEPTH) };
    enum { TILES = DIVIDE_UP(N, TILE_ROWS), PANELS = DIVIDE_UP(COLS, WIDE) };
    // BLOCK tiles of rows share a packed panel. The tuned block is evened out over all TILES.
    enum { BLOCK = DIVIDE_UP(TILES, DIVIDE_UP(TILES, 410)) };
    _Alignas(64) float panel[DEPTH * WIDE];
    const struct part mine = part_of(TILES, PANELS, thread, threads);
    const int items = SLICES * (mine.cols.last - mine.cols.first);
    for (int block = mine.rows.first; block < mine.rows.last; block += BLOCK) {
        const int end = int_min(N, int_min(block + BLOCK, mine.rows.last) * TILE_ROWS);
        for (int item = 0; item < items; item++) {
            const struct piece at = matmul_18x40x10_bias_dropout_add_piece(mine.cols, item);
            pack_transposed(panel, WIDE, w + at.offset, K, at.depth, at.wide);
            // Prefetches the next panel of the weight beside the products with this one.
            const struct piece after =
                matmul_18x40x10_bias_dropout_add_piece(mine.cols,
                                                       item + 1 < items ? item + 1 : item);
            struct prefetch next = prefetch_of(w + after.offset, K, after.wide, after.depth,
                                               DIVIDE_UP(end, TILE_ROWS) - block);
            for (int i = block * TILE_ROWS; i < end; i += TILE_ROWS) {
                prefetch_some(&next);
                TILE_CASES(matmul_18x40x10_bias_dropout_add_tile, i, at.p, N, COLS, VECS, m, y, x,
                           w, bias, addend, site, panel, at.from, at.depth);
            }
        }
    }
}

// matmul_18x10x17, from templates/cpu/matmul.c. Called once a step: 6.1 kFLOP, 2.6 kB each.
VEC_INLINE void matmul_18x10x17_tile(float *y, const float *x, const float *w, const float *panel,
                                     int from, int depth, int i, int p, const int rows,
                                     const int vecs, const int last) {
    enum { N = 18, C = 10, C_LD = 16, O = 17, O_LD = 48, K = C, K_LD = C_LD };
    enum { COLS = O, COLS_LD = O_LD, WIDE = 2 * VEC };
    (void)w;
    const size_t first_at = (size_t)i * COLS_LD + p * WIDE;
    float *to = y + first_at;
    vec acc[TILE_ROWS][TILE_VECS];
    if (from == 0) {
        tile_zero(acc, rows, vecs);
        tile_prefetch(to, rows, (vecs - 1) * VEC + last, COLS_LD);
    } else {
        tile_load(acc, rows, vecs, last, to, COLS_LD);
    }
    tile_multiply(acc, rows, vecs, VEC, depth, x + (size_t)i * K_LD + from, K_LD, 1, panel, WIDE,
                  0);
    tile_store(acc, rows, vecs, last, to, COLS_LD);
}

// Maps work item `item` to a panel of w: its first column is p * WIDE, its slice of K begins at
// `from`. If SLICES_OUTSIDE, K is the outer loop and L2 holds a slice of the first operand;
// otherwise columns are outer and L2 holds the result.
static inline struct piece matmul_18x10x17_piece(struct range panels, int item) {
    enum { N = 18, C = 10, C_LD = 16, O = 17, O_LD = 48, K = C, COLS = O, WIDE = 2 * VEC };
    enum { DEPTH = 10, SLICES = DIVIDE_UP(K, DEPTH), SLICES_OUTSIDE = 0 };
    const int count = panels.last - panels.first;
    const int p = panels.first + (SLICES_OUTSIDE ? item % count : item / SLICES);
    const int from = (SLICES_OUTSIDE ? item / count : item % SLICES) * DEPTH;
    return (struct piece){p, from, int_min(DEPTH, K - from), int_min(WIDE, COLS - p * WIDE),
                          (size_t)p * WIDE * K + from};
}

static void matmul_18x10x17(float *y, const float *x, const float *w, int thread, int threads) {
    enum { N = 18, C = 10, C_LD = 16, O = 17, O_LD = 48, K = C, COLS = O, VECS = 2,
           WIDE = VECS * VEC };
    enum { DEPTH = 10, SLICES = DIVIDE_UP(K, DEPTH) };
    enum { TILES = DIVIDE_UP(N, TILE_ROWS), PANELS = DIVIDE_UP(COLS, WIDE) };
    // BLOCK tiles of rows share a packed panel. The tuned block is evened out over all TILES.
    enum { BLOCK = DIVIDE_UP(TILES, DIVIDE_UP(TILES, 1639)) };
    _Alignas(64) float panel[DEPTH * WIDE];
    const struct part mine = part_of(TILES, PANELS, thread, threads);
    const int items = SLICES * (mine.cols.last - mine.cols.first);
    for (int block = mine.rows.first; block < mine.rows.last; block += BLOCK) {
        const int end = int_min(N, int_min(block + BLOCK, mine.rows.last) * TILE_ROWS);
        for (int item = 0; item < items; item++) {
            const struct piece at = matmul_18x10x17_piece(mine.cols, item);
            pack_transposed(panel, WIDE, w + at.offset, K, at.depth, at.wide);
            // Prefetches the next panel of the weight beside the products with this one.
            const struct piece after =
                matmul_18x10x17_piece(mine.cols, item + 1 < items ? item + 1 : item);
            struct prefetch next = prefetch_of(w + after.offset, K, after.wide, after.depth,
                                               DIVIDE_UP(end, TILE_ROWS) - block);
            for (int i = block * TILE_ROWS; i < end; i += TILE_ROWS) {
                prefetch_some(&next);
                TILE_CASES(matmul_18x10x17_tile, i, at.p, N, COLS, VECS, y, x, w, panel, at.from,
                           at.depth);
            }
        }
    }
}

// softmax_18x17, from templates/cpu/cross_entropy.c: what kernels of these sizes share.
VEC_INLINE float softmax_18x17_exp_sum(const float *row, float *tops, const bool keep, float *to) {
    enum { N = 18, V = 17, V_LD = 48, BLOCK = 1024, BLOCKS = DIVIDE_UP(V, BLOCK) };
    float sum = 0.0f, top = -3.4e38f; // finite, so that -inf - top is -inf
    vec high = vec_splat(top);
    for (int v = 0; v < MIN(BLOCK, V); v += VEC) {
        high = vec_max(row_only(row_load(row, v, V), v, V, -INFINITY), high);
    }
    for (int b = 0; b < BLOCKS; b++) {
        const float before = top;
        top = tops[b] = vec_largest(high);
        vec total = vec_splat(0.0f);
        for (int v = b * BLOCK; v < MIN((b + 1) * BLOCK, V); v += VEC) {
            const int next = v + BLOCK;
            if (next < V) {
                high = vec_max(row_only(row_load(row, next, V), next, V, -INFINITY), high);
            }
            const vec e = row_only(vec_exp_to_40(row_load(row, v, V) - top), v, V, 0.0f);
            if (keep) {
                row_store(to, v, V, e);
            }
            total += e;
        }
        sum = b > 0 ? sum * vec_exp(vec_splat(before - top))[0] : 0.0f;
        sum += vec_sum(total);
    }
    return sum;
}

// cross_entropy_18x17, from templates/cpu/cross_entropy.c. In evaluations: 7.7 kFLOP, 1.4 kB each.
static void cross_entropy_18x17(float *losses, const float *logits, const int32_t *targets,
                                int thread, int threads) {
    enum { N = 18, V = 17, V_LD = 48, BLOCK = 1024, BLOCKS = DIVIDE_UP(V, BLOCK) };
    const struct range mine = share(N, thread, threads);
    for (int n = mine.first; n < mine.last; n++) {
        const float *row = logits + (size_t)n * V_LD;
        float tops[BLOCKS];
        const float sum = softmax_18x17_exp_sum(row, tops, false, NULL), top = tops[BLOCKS - 1];
        losses[n] = targets[n] < 0 ? 0.0f : top + logf(sum) - row[targets[n]];
    }
}

// mean_loss_18, from templates/cpu/cross_entropy.c. Called once a step: 18 FLOP, 144 B each.
static void mean_loss_18(struct model *m, const float *losses, const int32_t *targets, int thread,
                         int threads) {
    enum { N = 18 };
    (void)threads;
    if (thread != 0) {
        return;
    }
    double sum = 0.0;
    int counted = 0;
    for (int n = 0; n < N; n++) {
        sum += losses[n];
        counted += targets[n] >= 0;
    }
    m->loss = sum / counted;
}

// cross_entropy_backward_18x17, from templates/cpu/cross_entropy.c.
// Called once a step: 7.7 kFLOP, 2.6 kB each.
static void cross_entropy_backward_18x17(const struct model *m, float *dlogits, float *losses,
                                         const float *logits, const int32_t *targets, int thread,
                                         int threads) {
    enum { N = 18, V = 17, V_LD = 48, BLOCK = 1024, BLOCKS = DIVIDE_UP(V, BLOCK) };
    const struct range mine = share(N, thread, threads);
    for (int n = mine.first; n < mine.last; n++) {
        const float *row = logits + (size_t)n * V_LD;
        float *drow = dlogits + (size_t)n * V_LD;
        if (targets[n] < 0) {
            losses[n] = 0.0f;
            memset(drow, 0, V * sizeof(float));
            continue;
        }
        float tops[BLOCKS];
        const float logit = row[targets[n]], sum = softmax_18x17_exp_sum(row, tops, true, drow);
        const float top = tops[BLOCKS - 1], scale = m->loss_scale / sum;
        losses[n] = top + logf(sum) - logit;
        for (int b = 0; b < BLOCKS; b++) {
            const bool last = b == BLOCKS - 1;
            const float factor = last ? scale : vec_exp(vec_splat(tops[b] - top))[0] * scale;
            for (int v = b * BLOCK; v < MIN((b + 1) * BLOCK, V); v += VEC) {
                row_store(drow, v, V, row_load(drow, v, V) * factor);
            }
        }
        drow[targets[n]] -= m->loss_scale;
    }
}

// matmul_dx_18x17x10, from templates/cpu/matmul.c. Called once a step: 6.1 kFLOP, 2.6 kB each.
VEC_INLINE void matmul_dx_18x17x10_tile(float *dx, const float *dy, const float *w,
                                        const float *panel, int from, int depth, int i, int p,
                                        const int rows, const int vecs, const int last) {
    enum { N = 18, C = 10, C_LD = 16, O = 17, O_LD = 48, K = O, K_LD = O_LD };
    enum { COLS = C, COLS_LD = C_LD, WIDE = 2 * VEC };
    (void)w;
    const size_t first_at = (size_t)i * COLS_LD + p * WIDE;
    float *to = dx + first_at;
    vec acc[TILE_ROWS][TILE_VECS];
    if (from == 0) {
        tile_zero(acc, rows, vecs);
        tile_prefetch(to, rows, (vecs - 1) * VEC + last, COLS_LD);
    } else {
        tile_load(acc, rows, vecs, last, to, COLS_LD);
    }
    tile_multiply(acc, rows, vecs, VEC, depth, dy + (size_t)i * K_LD + from, K_LD, 1, panel, WIDE,
                  0);
    tile_store(acc, rows, vecs, last, to, COLS_LD);
}

// Maps work item `item` to a panel of w: its first column is p * WIDE, its slice of K begins at
// `from`. If SLICES_OUTSIDE, K is the outer loop and L2 holds a slice of the first operand;
// otherwise columns are outer and L2 holds the result.
static inline struct piece matmul_dx_18x17x10_piece(struct range panels, int item) {
    enum { N = 18, C = 10, C_LD = 16, O = 17, O_LD = 48, K = O, COLS = C, WIDE = 2 * VEC };
    enum { DEPTH = 17, SLICES = DIVIDE_UP(K, DEPTH), SLICES_OUTSIDE = 0 };
    const int count = panels.last - panels.first;
    const int p = panels.first + (SLICES_OUTSIDE ? item % count : item / SLICES);
    const int from = (SLICES_OUTSIDE ? item / count : item % SLICES) * DEPTH;
    return (struct piece){p, from, int_min(DEPTH, K - from), int_min(WIDE, COLS - p * WIDE),
                          (size_t)from * COLS + p * WIDE};
}

static void matmul_dx_18x17x10(float *dx, const float *dy, const float *w, int thread,
                               int threads) {
    enum { N = 18, C = 10, C_LD = 16, O = 17, O_LD = 48, K = O, COLS = C, VECS = 2,
           WIDE = VECS * VEC };
    enum { DEPTH = 17, SLICES = DIVIDE_UP(K, DEPTH) };
    enum { TILES = DIVIDE_UP(N, TILE_ROWS), PANELS = DIVIDE_UP(COLS, WIDE) };
    // BLOCK tiles of rows share a packed panel. The tuned block is evened out over all TILES.
    enum { BLOCK = DIVIDE_UP(TILES, DIVIDE_UP(TILES, 964)) };
    _Alignas(64) float panel[DEPTH * WIDE];
    const struct part mine = part_of(TILES, PANELS, thread, threads);
    const int items = SLICES * (mine.cols.last - mine.cols.first);
    for (int block = mine.rows.first; block < mine.rows.last; block += BLOCK) {
        const int end = int_min(N, int_min(block + BLOCK, mine.rows.last) * TILE_ROWS);
        for (int item = 0; item < items; item++) {
            const struct piece at = matmul_dx_18x17x10_piece(mine.cols, item);
            pack_rows(panel, WIDE, w + at.offset, COLS, at.depth, at.wide);
            // Prefetches the next panel of the weight beside the products with this one.
            const struct piece after =
                matmul_dx_18x17x10_piece(mine.cols, item + 1 < items ? item + 1 : item);
            struct prefetch next = prefetch_of(w + after.offset, COLS, after.depth, after.wide,
                                               DIVIDE_UP(end, TILE_ROWS) - block);
            for (int i = block * TILE_ROWS; i < end; i += TILE_ROWS) {
                prefetch_some(&next);
                TILE_CASES(matmul_dx_18x17x10_tile, i, at.p, N, COLS, VECS, dx, dy, w, panel,
                           at.from, at.depth);
            }
        }
    }
}

// matmul_dw_18x17x10, from templates/cpu/matmul.c. Called once a step: 6.1 kFLOP, 3.3 kB each.
VEC_INLINE void matmul_dw_18x17x10_tile(float *dw, const float *dy, const float *x, bool begins,
                                        int depth, int o, int p, const int rows, const int vecs,
                                        const int last) {
    enum { N = 18, C = 10, C_LD = 16, O = 17, O_LD = 48, WIDE = 2 * VEC };
    float *to = dw + (size_t)o * C + p * WIDE;
    vec acc[TILE_ROWS][TILE_VECS];
    if (begins) {
        tile_zero(acc, rows, vecs);
    } else {
        tile_load(acc, rows, vecs, last, to, C);
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++) {
            __builtin_prefetch(to + (TILE_ROWS + r) * C, 1); // the next tile's
        }
    }
    tile_multiply(acc, rows, vecs, VEC, depth, dy + o, 1, O_LD, x + p * WIDE, C_LD, 16);
    tile_store(acc, rows, vecs, last, to, C);
}

static void matmul_dw_18x17x10(float *dw, const float *dy, const float *x, bool first, int thread,
                               int threads) {
    enum { N = 18, C = 10, C_LD = 16, O = 17, O_LD = 48, VECS = 2, WIDE = VECS * VEC };
    enum { TILES = DIVIDE_UP(O, TILE_ROWS), PANELS = DIVIDE_UP(C, WIDE) };
    // A block (ROWS tiles, COLS panels) of dw stays in L2 over all slices of DEPTH rows; a panel of
    // x's slice stays in L1 while it meets the block's rows.
    enum { DEPTH = 18, ROWS = 1093, COLS = 1 };
    const struct part mine = part_of(TILES, PANELS, thread, threads);
    for (int row = mine.rows.first; row < mine.rows.last; row += ROWS) {
        const int end = int_min(O, int_min(row + ROWS, mine.rows.last) * TILE_ROWS);
        for (int col = mine.cols.first; col < mine.cols.last; col += COLS) {
            const int last = int_min(col + COLS, mine.cols.last);
            for (int n = 0; n < N; n += DEPTH) {
                const int depth = int_min(DEPTH, N - n);
                const float *dys = dy + (size_t)n * O_LD, *xs = x + (size_t)n * C_LD;
                for (int p = col; p < last; p++) {
                    struct prefetch next =
                        prefetch_of(xs + (p + 1) * WIDE, C_LD, p + 1 < last ? depth : 0, WIDE,
                                    DIVIDE_UP(end, TILE_ROWS) - row);
                    for (int o = row * TILE_ROWS; o < end; o += TILE_ROWS) {
                        prefetch_some(&next);
                        TILE_CASES(matmul_dw_18x17x10_tile, o, p, O, C, VECS, dw, dys, xs,
                                   first && n == 0, depth);
                    }
                }
            }
        }
    }
}

// layernorm_backward_18x10x16_keep_dropout, from templates/cpu/layernorm.c.
// Called once a step: 3.8 kFLOP, 4.5 kB each.
static void layernorm_backward_18x10x16_keep_dropout(const struct model *m, float *dx,
                                                     float *dscale, float *dshift, float *partial,
                                                     float *kept, const float *dy, const float *x,
                                                     const float *scale, const float *mean,
                                                     const float *rstd, uint32_t site, bool first,
                                                     int thread, int threads) {
    enum { N = 18, C = 10, C_LD = 16, P = 16, COLS = C, GROUPS = DIVIDE_UP(C, VEC) };
    const struct dropout drop = dropout_make(m->dropout, m->dropout_key);
    const struct range mine = share(P, thread, threads);
    for (int part = mine.first; part < mine.last; part++) {
        float *dscale_part = partial + (size_t)part * 2 * C, *dshift_part = dscale_part + C;
        for (int c = 0; c < C; c++) {
            dscale_part[c] = dshift_part[c] = 0.0f;
        }
        const struct range rows = share(N, part, P);
        for (int row = rows.first; row < rows.last; row++) {
            const float *dyn = dy + (size_t)row * C_LD, *xn = x + (size_t)row * C_LD;
            const float mu = mean[row], r = rstd[row];
            vec sum_g = vec_splat(0.0f), sum_g_xhat = vec_splat(0.0f);
            for (int c = 0; c < C; c += VEC) {
                const vec d = row_load(dyn, c, C);
                const vec g = d * row_load(scale, c, C);
                const vec xhat = (row_load(xn, c, C) - mu) * r;
                sum_g += g;
                sum_g_xhat = vec_fma(g, xhat, sum_g_xhat); // g is 0 beyond the row
                row_store(dscale_part, c, C, vec_fma(d, xhat, row_load(dscale_part, c, C)));
                row_store(dshift_part, c, C, row_load(dshift_part, c, C) + d);
            }
            const float mean_g = vec_sum(sum_g) / C, mean_g_xhat = vec_sum(sum_g_xhat) / C;
            for (int col = 0; col < C; col += VEC) {
                const vec g = row_load(dyn, col, C) * row_load(scale, col, C);
                const vec xhat = (row_load(xn, col, C) - mu) * r;
                vec value = (g - mean_g - xhat * mean_g_xhat) * r;
                const int lanes = LANES(col, C);
                const size_t at = (size_t)row * C_LD + (size_t)col;
                vec_store_n(kept + at, value, lanes);
                value = value * dropout_mask(&drop, site, row, DROPOUT_CHUNKS(COLS), col);
                row_store(dx + (size_t)row * C_LD, col, C, value);
            }
        }
    }
    parallel_barrier();
    const struct range columns = share(GROUPS, thread, threads);
    for (int g = columns.first; g < columns.last; g++) {
        const int c = g * VEC;
        vec sum_scale = first ? vec_splat(0.0f) : row_load(dscale, c, C);
        for (int part = 0; part < P; part++) {
            sum_scale += row_load(partial + (size_t)part * 2 * C, c, C);
        }
        row_store(dscale, c, C, sum_scale);
        vec sum_shift = first ? vec_splat(0.0f) : row_load(dshift, c, C);
        for (int part = 0; part < P; part++) {
            sum_shift += row_load(partial + (size_t)(part * 2 + 1) * C, c, C);
        }
        row_store(dshift, c, C, sum_shift);
    }
}

// matmul_dx_18x10x40_gelu_erf_backward, from templates/cpu/matmul.c.
// Called 3 times a step: 36.7 kFLOP, 8.1 kB each.
// The epilogue of a tile, applied to its sums `done` (rows, WIDE). Not inlined, since its constants
// would take registers from the product.
APART void matmul_dx_18x10x40_gelu_erf_backward_store(float *dx, const float *dy, const float *w,
                                                      const float *pre, const float *done, int i,
                                                      int p, int rows, int cols) {
    enum { N = 18, C = 40, C_LD = 48, O = 10, O_LD = 16, COLS = C, COLS_LD = C_LD, WIDE = 2 * VEC };
    (void)dy, (void)w;
    for (int r = 0; r < rows; r++) {
        for (int c = 0; c < cols; c += VEC) {
            const int row = i + r, col = p * WIDE + c, lanes = int_min(VEC, cols - c);
            const size_t at = (size_t)row * COLS_LD + (size_t)col;
            vec value = vec_load(done + r * WIDE + c);
            value = value * gelu_erf_grad(vec_load_n(pre + at, lanes));
            vec_store_n(dx + at, value, lanes);
        }
    }
}

VEC_INLINE void matmul_dx_18x10x40_gelu_erf_backward_tile(float *dx, const float *dy,
                                                          const float *w, const float *pre,
                                                          const float *panel, int from, int depth,
                                                          int i, int p, const int rows,
                                                          const int vecs, const int last) {
    enum { N = 18, C = 40, C_LD = 48, O = 10, O_LD = 16, K = O, K_LD = O_LD };
    enum { COLS = C, COLS_LD = C_LD, WIDE = 2 * VEC };
    (void)w;
    const size_t first_at = (size_t)i * COLS_LD + p * WIDE;
    float *to = dx + first_at;
    vec acc[TILE_ROWS][TILE_VECS];
    if (from == 0) {
        tile_zero(acc, rows, vecs);
        tile_prefetch(to, rows, (vecs - 1) * VEC + last, COLS_LD);
    } else {
        tile_load(acc, rows, vecs, last, to, COLS_LD);
    }
    // Prefetches the epilogue's operands, to arrive while the tile is computed.
    if (from + depth == K) {
        tile_prefetch(pre + first_at, rows, (vecs - 1) * VEC + last, COLS_LD);
    }
    tile_multiply(acc, rows, vecs, VEC, depth, dy + (size_t)i * K_LD + from, K_LD, 1, panel, WIDE,
                  0);
    if (from + depth < K) {
        tile_store(acc, rows, vecs, last, to, COLS_LD);
        return;
    }
    _Alignas(64) float done[TILE_ROWS * WIDE];
    tile_store(acc, rows, vecs, VEC, done, WIDE);
    matmul_dx_18x10x40_gelu_erf_backward_store(dx, dy, w, pre, done, i, p, rows,
                                               (vecs - 1) * VEC + last);
}

// Maps work item `item` to a panel of w: its first column is p * WIDE, its slice of K begins at
// `from`. If SLICES_OUTSIDE, K is the outer loop and L2 holds a slice of the first operand;
// otherwise columns are outer and L2 holds the result.
static inline struct piece matmul_dx_18x10x40_gelu_erf_backward_piece(struct range panels,
                                                                      int item) {
    enum { N = 18, C = 40, C_LD = 48, O = 10, O_LD = 16, K = O, COLS = C, WIDE = 2 * VEC };
    enum { DEPTH = 10, SLICES = DIVIDE_UP(K, DEPTH), SLICES_OUTSIDE = 0 };
    const int count = panels.last - panels.first;
    const int p = panels.first + (SLICES_OUTSIDE ? item % count : item / SLICES);
    const int from = (SLICES_OUTSIDE ? item / count : item % SLICES) * DEPTH;
    return (struct piece){p, from, int_min(DEPTH, K - from), int_min(WIDE, COLS - p * WIDE),
                          (size_t)from * COLS + p * WIDE};
}

static void matmul_dx_18x10x40_gelu_erf_backward(float *dx, const float *dy, const float *w,
                                                 const float *pre, int thread, int threads) {
    enum { N = 18, C = 40, C_LD = 48, O = 10, O_LD = 16, K = O, COLS = C, VECS = 2,
           WIDE = VECS * VEC };
    enum { DEPTH = 10, SLICES = DIVIDE_UP(K, DEPTH) };
    enum { TILES = DIVIDE_UP(N, TILE_ROWS), PANELS = DIVIDE_UP(COLS, WIDE) };
    // BLOCK tiles of rows share a packed panel. The tuned block is evened out over all TILES.
    enum { BLOCK = DIVIDE_UP(TILES, DIVIDE_UP(TILES, 1639)) };
    _Alignas(64) float panel[DEPTH * WIDE];
    const struct part mine = part_of(TILES, PANELS, thread, threads);
    const int items = SLICES * (mine.cols.last - mine.cols.first);
    for (int block = mine.rows.first; block < mine.rows.last; block += BLOCK) {
        const int end = int_min(N, int_min(block + BLOCK, mine.rows.last) * TILE_ROWS);
        for (int item = 0; item < items; item++) {
            const struct piece at = matmul_dx_18x10x40_gelu_erf_backward_piece(mine.cols, item);
            pack_rows(panel, WIDE, w + at.offset, COLS, at.depth, at.wide);
            // Prefetches the next panel of the weight beside the products with this one.
            const struct piece after =
                matmul_dx_18x10x40_gelu_erf_backward_piece(mine.cols,
                                                           item + 1 < items ? item + 1 : item);
            struct prefetch next = prefetch_of(w + after.offset, COLS, after.depth, after.wide,
                                               DIVIDE_UP(end, TILE_ROWS) - block);
            for (int i = block * TILE_ROWS; i < end; i += TILE_ROWS) {
                prefetch_some(&next);
                TILE_CASES(matmul_dx_18x10x40_gelu_erf_backward_tile, i, at.p, N, COLS, VECS, dx,
                           dy, w, pre, panel, at.from, at.depth);
            }
        }
    }
}

// matmul_dw_18x10x40_dbias, from templates/cpu/matmul.c.
// Called 3 times a step: 14.4 kFLOP, 6.9 kB each.
VEC_INLINE void matmul_dw_18x10x40_dbias_tile(float *dw, const float *dy, const float *x,
                                              bool begins, int depth, int o, int p, const int rows,
                                              const int vecs, const int last) {
    enum { N = 18, C = 40, C_LD = 48, O = 10, O_LD = 16, WIDE = 2 * VEC };
    float *to = dw + (size_t)o * C + p * WIDE;
    vec acc[TILE_ROWS][TILE_VECS];
    if (begins) {
        tile_zero(acc, rows, vecs);
    } else {
        tile_load(acc, rows, vecs, last, to, C);
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++) {
            __builtin_prefetch(to + (TILE_ROWS + r) * C, 1); // the next tile's
        }
    }
    tile_multiply(acc, rows, vecs, VEC, depth, dy + o, 1, O_LD, x + p * WIDE, C_LD, 16);
    tile_store(acc, rows, vecs, last, to, C);
}

static void matmul_dw_18x10x40_dbias(float *dw, float *dbias, const float *dy, const float *x,
                                     bool first, bool first2, int thread, int threads) {
    enum { N = 18, C = 40, C_LD = 48, O = 10, O_LD = 16, VECS = 2, WIDE = VECS * VEC };
    enum { TILES = DIVIDE_UP(O, TILE_ROWS), PANELS = DIVIDE_UP(C, WIDE) };
    // A block (ROWS tiles, COLS panels) of dw stays in L2 over all slices of DEPTH rows; a panel of
    // x's slice stays in L1 while it meets the block's rows.
    enum { DEPTH = 18, ROWS = 273, COLS = 3 };
    const struct part mine = part_of(TILES, PANELS, thread, threads);
    for (int row = mine.rows.first; row < mine.rows.last; row += ROWS) {
        const int end = int_min(O, int_min(row + ROWS, mine.rows.last) * TILE_ROWS);
        for (int col = mine.cols.first; col < mine.cols.last; col += COLS) {
            const int last = int_min(col + COLS, mine.cols.last);
            for (int n = 0; n < N; n += DEPTH) {
                const int depth = int_min(DEPTH, N - n);
                const float *dys = dy + (size_t)n * O_LD, *xs = x + (size_t)n * C_LD;
                for (int p = col; p < last; p++) {
                    struct prefetch next =
                        prefetch_of(xs + (p + 1) * WIDE, C_LD, p + 1 < last ? depth : 0, WIDE,
                                    DIVIDE_UP(end, TILE_ROWS) - row);
                    for (int o = row * TILE_ROWS; o < end; o += TILE_ROWS) {
                        prefetch_some(&next);
                        TILE_CASES(matmul_dw_18x10x40_dbias_tile, o, p, O, C, VECS, dw, dys, xs,
                                   first && n == 0, depth);
                    }
                }
            }
        }
    }
    // dbias (O) += the sum of dy's rows, in order.
    const struct range groups = share(DIVIDE_UP(O, VEC), thread, threads);
    sum_rows(dbias, dy, N, O, O_LD, first2, groups);
}

// matmul_dx_18x40x10, from templates/cpu/matmul.c. Called 3 times a step: 14.4 kFLOP, 5.2 kB each.
VEC_INLINE void matmul_dx_18x40x10_tile(float *dx, const float *dy, const float *w,
                                        const float *panel, int from, int depth, int i, int p,
                                        const int rows, const int vecs, const int last) {
    enum { N = 18, C = 10, C_LD = 16, O = 40, O_LD = 48, K = O, K_LD = O_LD };
    enum { COLS = C, COLS_LD = C_LD, WIDE = 2 * VEC };
    (void)w;
    const size_t first_at = (size_t)i * COLS_LD + p * WIDE;
    float *to = dx + first_at;
    vec acc[TILE_ROWS][TILE_VECS];
    if (from == 0) {
        tile_zero(acc, rows, vecs);
        tile_prefetch(to, rows, (vecs - 1) * VEC + last, COLS_LD);
    } else {
        tile_load(acc, rows, vecs, last, to, COLS_LD);
    }
    tile_multiply(acc, rows, vecs, VEC, depth, dy + (size_t)i * K_LD + from, K_LD, 1, panel, WIDE,
                  0);
    tile_store(acc, rows, vecs, last, to, COLS_LD);
}

// Maps work item `item` to a panel of w: its first column is p * WIDE, its slice of K begins at
// `from`. If SLICES_OUTSIDE, K is the outer loop and L2 holds a slice of the first operand;
// otherwise columns are outer and L2 holds the result.
static inline struct piece matmul_dx_18x40x10_piece(struct range panels, int item) {
    enum { N = 18, C = 10, C_LD = 16, O = 40, O_LD = 48, K = O, COLS = C, WIDE = 2 * VEC };
    enum { DEPTH = 40, SLICES = DIVIDE_UP(K, DEPTH), SLICES_OUTSIDE = 0 };
    const int count = panels.last - panels.first;
    const int p = panels.first + (SLICES_OUTSIDE ? item % count : item / SLICES);
    const int from = (SLICES_OUTSIDE ? item / count : item % SLICES) * DEPTH;
    return (struct piece){p, from, int_min(DEPTH, K - from), int_min(WIDE, COLS - p * WIDE),
                          (size_t)from * COLS + p * WIDE};
}

static void matmul_dx_18x40x10(float *dx, const float *dy, const float *w, int thread,
                               int threads) {
    enum { N = 18, C = 10, C_LD = 16, O = 40, O_LD = 48, K = O, COLS = C, VECS = 2,
           WIDE = VECS * VEC };
    enum { DEPTH = 40, SLICES = DIVIDE_UP(K, DEPTH) };
    enum { TILES = DIVIDE_UP(N, TILE_ROWS), PANELS = DIVIDE_UP(COLS, WIDE) };
    // BLOCK tiles of rows share a packed panel. The tuned block is evened out over all TILES.
    enum { BLOCK = DIVIDE_UP(TILES, DIVIDE_UP(TILES, 410)) };
    _Alignas(64) float panel[DEPTH * WIDE];
    const struct part mine = part_of(TILES, PANELS, thread, threads);
    const int items = SLICES * (mine.cols.last - mine.cols.first);
    for (int block = mine.rows.first; block < mine.rows.last; block += BLOCK) {
        const int end = int_min(N, int_min(block + BLOCK, mine.rows.last) * TILE_ROWS);
        for (int item = 0; item < items; item++) {
            const struct piece at = matmul_dx_18x40x10_piece(mine.cols, item);
            pack_rows(panel, WIDE, w + at.offset, COLS, at.depth, at.wide);
            // Prefetches the next panel of the weight beside the products with this one.
            const struct piece after =
                matmul_dx_18x40x10_piece(mine.cols, item + 1 < items ? item + 1 : item);
            struct prefetch next = prefetch_of(w + after.offset, COLS, after.depth, after.wide,
                                               DIVIDE_UP(end, TILE_ROWS) - block);
            for (int i = block * TILE_ROWS; i < end; i += TILE_ROWS) {
                prefetch_some(&next);
                TILE_CASES(matmul_dx_18x40x10_tile, i, at.p, N, COLS, VECS, dx, dy, w, panel,
                           at.from, at.depth);
            }
        }
    }
}

// matmul_dw_18x40x10_dbias, from templates/cpu/matmul.c.
// Called 3 times a step: 14.4 kFLOP, 7.1 kB each.
VEC_INLINE void matmul_dw_18x40x10_dbias_tile(float *dw, const float *dy, const float *x,
                                              bool begins, int depth, int o, int p, const int rows,
                                              const int vecs, const int last) {
    enum { N = 18, C = 10, C_LD = 16, O = 40, O_LD = 48, WIDE = 2 * VEC };
    float *to = dw + (size_t)o * C + p * WIDE;
    vec acc[TILE_ROWS][TILE_VECS];
    if (begins) {
        tile_zero(acc, rows, vecs);
    } else {
        tile_load(acc, rows, vecs, last, to, C);
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++) {
            __builtin_prefetch(to + (TILE_ROWS + r) * C, 1); // the next tile's
        }
    }
    tile_multiply(acc, rows, vecs, VEC, depth, dy + o, 1, O_LD, x + p * WIDE, C_LD, 16);
    tile_store(acc, rows, vecs, last, to, C);
}

static void matmul_dw_18x40x10_dbias(float *dw, float *dbias, const float *dy, const float *x,
                                     bool first, bool first2, int thread, int threads) {
    enum { N = 18, C = 10, C_LD = 16, O = 40, O_LD = 48, VECS = 2, WIDE = VECS * VEC };
    enum { TILES = DIVIDE_UP(O, TILE_ROWS), PANELS = DIVIDE_UP(C, WIDE) };
    // A block (ROWS tiles, COLS panels) of dw stays in L2 over all slices of DEPTH rows; a panel of
    // x's slice stays in L1 while it meets the block's rows.
    enum { DEPTH = 18, ROWS = 1093, COLS = 1 };
    const struct part mine = part_of(TILES, PANELS, thread, threads);
    for (int row = mine.rows.first; row < mine.rows.last; row += ROWS) {
        const int end = int_min(O, int_min(row + ROWS, mine.rows.last) * TILE_ROWS);
        for (int col = mine.cols.first; col < mine.cols.last; col += COLS) {
            const int last = int_min(col + COLS, mine.cols.last);
            for (int n = 0; n < N; n += DEPTH) {
                const int depth = int_min(DEPTH, N - n);
                const float *dys = dy + (size_t)n * O_LD, *xs = x + (size_t)n * C_LD;
                for (int p = col; p < last; p++) {
                    struct prefetch next =
                        prefetch_of(xs + (p + 1) * WIDE, C_LD, p + 1 < last ? depth : 0, WIDE,
                                    DIVIDE_UP(end, TILE_ROWS) - row);
                    for (int o = row * TILE_ROWS; o < end; o += TILE_ROWS) {
                        prefetch_some(&next);
                        TILE_CASES(matmul_dw_18x40x10_dbias_tile, o, p, O, C, VECS, dw, dys, xs,
                                   first && n == 0, depth);
                    }
                }
            }
        }
    }
    // dbias (O) += the sum of dy's rows, in order.
    const struct range groups = share(DIVIDE_UP(O, VEC), thread, threads);
    sum_rows(dbias, dy, N, O, O_LD, first2, groups);
}

// layernorm_backward_18x10x16_add_keep_dropout, from templates/cpu/layernorm.c.
// Called 5 times a step: 4.0 kFLOP, 5.2 kB each.
static void layernorm_backward_18x10x16_add_keep_dropout(const struct model *m, float *dx,
                                                         float *dscale, float *dshift,
                                                         float *partial, float *kept,
                                                         const float *dy, const float *x,
                                                         const float *scale, const float *mean,
                                                         const float *rstd, const float *addend,
                                                         uint32_t site, bool first, int thread,
                                                         int threads) {
    enum { N = 18, C = 10, C_LD = 16, P = 16, COLS = C, GROUPS = DIVIDE_UP(C, VEC) };
    const struct dropout drop = dropout_make(m->dropout, m->dropout_key);
    const struct range mine = share(P, thread, threads);
    for (int part = mine.first; part < mine.last; part++) {
        float *dscale_part = partial + (size_t)part * 2 * C, *dshift_part = dscale_part + C;
        for (int c = 0; c < C; c++) {
            dscale_part[c] = dshift_part[c] = 0.0f;
        }
        const struct range rows = share(N, part, P);
        for (int row = rows.first; row < rows.last; row++) {
            const float *dyn = dy + (size_t)row * C_LD, *xn = x + (size_t)row * C_LD;
            const float mu = mean[row], r = rstd[row];
            vec sum_g = vec_splat(0.0f), sum_g_xhat = vec_splat(0.0f);
            for (int c = 0; c < C; c += VEC) {
                const vec d = row_load(dyn, c, C);
                const vec g = d * row_load(scale, c, C);
                const vec xhat = (row_load(xn, c, C) - mu) * r;
                sum_g += g;
                sum_g_xhat = vec_fma(g, xhat, sum_g_xhat); // g is 0 beyond the row
                row_store(dscale_part, c, C, vec_fma(d, xhat, row_load(dscale_part, c, C)));
                row_store(dshift_part, c, C, row_load(dshift_part, c, C) + d);
            }
            const float mean_g = vec_sum(sum_g) / C, mean_g_xhat = vec_sum(sum_g_xhat) / C;
            for (int col = 0; col < C; col += VEC) {
                const vec g = row_load(dyn, col, C) * row_load(scale, col, C);
                const vec xhat = (row_load(xn, col, C) - mu) * r;
                vec value = (g - mean_g - xhat * mean_g_xhat) * r;
                const int lanes = LANES(col, C);
                const size_t at = (size_t)row * C_LD + (size_t)col;
                value = value + vec_load_n(addend + at, lanes);
                vec_store_n(kept + at, value, lanes);
                value = value * dropout_mask(&drop, site, row, DROPOUT_CHUNKS(COLS), col);
                row_store(dx + (size_t)row * C_LD, col, C, value);
            }
        }
    }
    parallel_barrier();
    const struct range columns = share(GROUPS, thread, threads);
    for (int g = columns.first; g < columns.last; g++) {
        const int c = g * VEC;
        vec sum_scale = first ? vec_splat(0.0f) : row_load(dscale, c, C);
        for (int part = 0; part < P; part++) {
            sum_scale += row_load(partial + (size_t)part * 2 * C, c, C);
        }
        row_store(dscale, c, C, sum_scale);
        vec sum_shift = first ? vec_splat(0.0f) : row_load(dshift, c, C);
        for (int part = 0; part < P; part++) {
            sum_shift += row_load(partial + (size_t)(part * 2 + 1) * C, c, C);
        }
        row_store(dshift, c, C, sum_shift);
    }
}

// matmul_dx_18x10x10, from templates/cpu/matmul.c. Called 3 times a step: 3.6 kFLOP, 1.8 kB each.
VEC_INLINE void matmul_dx_18x10x10_tile(float *dx, const float *dy, const float *w,
                                        const float *panel, int from, int depth, int i, int p,
                                        const int rows, const int vecs, const int last) {
    enum { N = 18, C = 10, C_LD = 16, O = 10, O_LD = 16, K = O, K_LD = O_LD };
    enum { COLS = C, COLS_LD = C_LD, WIDE = 2 * VEC };
    (void)w;
    const size_t first_at = (size_t)i * COLS_LD + p * WIDE;
    float *to = dx + first_at;
    vec acc[TILE_ROWS][TILE_VECS];
    if (from == 0) {
        tile_zero(acc, rows, vecs);
        tile_prefetch(to, rows, (vecs - 1) * VEC + last, COLS_LD);
    } else {
        tile_load(acc, rows, vecs, last, to, COLS_LD);
    }
    tile_multiply(acc, rows, vecs, VEC, depth, dy + (size_t)i * K_LD + from, K_LD, 1, panel, WIDE,
                  0);
    tile_store(acc, rows, vecs, last, to, COLS_LD);
}

// Maps work item `item` to a panel of w: its first column is p * WIDE, its slice of K begins at
// `from`. If SLICES_OUTSIDE, K is the outer loop and L2 holds a slice of the first operand;
// otherwise columns are outer and L2 holds the result.
static inline struct piece matmul_dx_18x10x10_piece(struct range panels, int item) {
    enum { N = 18, C = 10, C_LD = 16, O = 10, O_LD = 16, K = O, COLS = C, WIDE = 2 * VEC };
    enum { DEPTH = 10, SLICES = DIVIDE_UP(K, DEPTH), SLICES_OUTSIDE = 0 };
    const int count = panels.last - panels.first;
    const int p = panels.first + (SLICES_OUTSIDE ? item % count : item / SLICES);
    const int from = (SLICES_OUTSIDE ? item / count : item % SLICES) * DEPTH;
    return (struct piece){p, from, int_min(DEPTH, K - from), int_min(WIDE, COLS - p * WIDE),
                          (size_t)from * COLS + p * WIDE};
}

static void matmul_dx_18x10x10(float *dx, const float *dy, const float *w, int thread,
                               int threads) {
    enum { N = 18, C = 10, C_LD = 16, O = 10, O_LD = 16, K = O, COLS = C, VECS = 2,
           WIDE = VECS * VEC };
    enum { DEPTH = 10, SLICES = DIVIDE_UP(K, DEPTH) };
    enum { TILES = DIVIDE_UP(N, TILE_ROWS), PANELS = DIVIDE_UP(COLS, WIDE) };
    // BLOCK tiles of rows share a packed panel. The tuned block is evened out over all TILES.
    enum { BLOCK = DIVIDE_UP(TILES, DIVIDE_UP(TILES, 1639)) };
    _Alignas(64) float panel[DEPTH * WIDE];
    const struct part mine = part_of(TILES, PANELS, thread, threads);
    const int items = SLICES * (mine.cols.last - mine.cols.first);
    for (int block = mine.rows.first; block < mine.rows.last; block += BLOCK) {
        const int end = int_min(N, int_min(block + BLOCK, mine.rows.last) * TILE_ROWS);
        for (int item = 0; item < items; item++) {
            const struct piece at = matmul_dx_18x10x10_piece(mine.cols, item);
            pack_rows(panel, WIDE, w + at.offset, COLS, at.depth, at.wide);
            // Prefetches the next panel of the weight beside the products with this one.
            const struct piece after =
                matmul_dx_18x10x10_piece(mine.cols, item + 1 < items ? item + 1 : item);
            struct prefetch next = prefetch_of(w + after.offset, COLS, after.depth, after.wide,
                                               DIVIDE_UP(end, TILE_ROWS) - block);
            for (int i = block * TILE_ROWS; i < end; i += TILE_ROWS) {
                prefetch_some(&next);
                TILE_CASES(matmul_dx_18x10x10_tile, i, at.p, N, COLS, VECS, dx, dy, w, panel,
                           at.from, at.depth);
            }
        }
    }
}

// matmul_dw_18x10x10_dbias, from templates/cpu/matmul.c.
// Called 3 times a step: 3.6 kFLOP, 2.3 kB each.
VEC_INLINE void matmul_dw_18x10x10_dbias_tile(float *dw, const float *dy, const float *x,
                                              bool begins, int depth, int o, int p, const int rows,
                                              const int vecs, const int last) {
    enum { N = 18, C = 10, C_LD = 16, O = 10, O_LD = 16, WIDE = 2 * VEC };
    float *to = dw + (size_t)o * C + p * WIDE;
    vec acc[TILE_ROWS][TILE_VECS];
    if (begins) {
        tile_zero(acc, rows, vecs);
    } else {
        tile_load(acc, rows, vecs, last, to, C);
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++) {
            __builtin_prefetch(to + (TILE_ROWS + r) * C, 1); // the next tile's
        }
    }
    tile_multiply(acc, rows, vecs, VEC, depth, dy + o, 1, O_LD, x + p * WIDE, C_LD, 16);
    tile_store(acc, rows, vecs, last, to, C);
}

static void matmul_dw_18x10x10_dbias(float *dw, float *dbias, const float *dy, const float *x,
                                     bool first, bool first2, int thread, int threads) {
    enum { N = 18, C = 10, C_LD = 16, O = 10, O_LD = 16, VECS = 2, WIDE = VECS * VEC };
    enum { TILES = DIVIDE_UP(O, TILE_ROWS), PANELS = DIVIDE_UP(C, WIDE) };
    // A block (ROWS tiles, COLS panels) of dw stays in L2 over all slices of DEPTH rows; a panel of
    // x's slice stays in L1 while it meets the block's rows.
    enum { DEPTH = 18, ROWS = 1093, COLS = 1 };
    const struct part mine = part_of(TILES, PANELS, thread, threads);
    for (int row = mine.rows.first; row < mine.rows.last; row += ROWS) {
        const int end = int_min(O, int_min(row + ROWS, mine.rows.last) * TILE_ROWS);
        for (int col = mine.cols.first; col < mine.cols.last; col += COLS) {
            const int last = int_min(col + COLS, mine.cols.last);
            for (int n = 0; n < N; n += DEPTH) {
                const int depth = int_min(DEPTH, N - n);
                const float *dys = dy + (size_t)n * O_LD, *xs = x + (size_t)n * C_LD;
                for (int p = col; p < last; p++) {
                    struct prefetch next =
                        prefetch_of(xs + (p + 1) * WIDE, C_LD, p + 1 < last ? depth : 0, WIDE,
                                    DIVIDE_UP(end, TILE_ROWS) - row);
                    for (int o = row * TILE_ROWS; o < end; o += TILE_ROWS) {
                        prefetch_some(&next);
                        TILE_CASES(matmul_dw_18x10x10_dbias_tile, o, p, O, C, VECS, dw, dys, xs,
                                   first && n == 0, depth);
                    }
                }
            }
        }
    }
    // dbias (O) += the sum of dy's rows, in order.
    const struct range groups = share(DIVIDE_UP(O, VEC), thread, threads);
    sum_rows(dbias, dy, N, O, O_LD, first2, groups);
}

// attention_backward_3x6x2x5_dropout, from templates/cpu/attention.c.
// Called 3 times a step: 6.3 kFLOP, 5.9 kB each.
struct attention_backward_3x6x2x5_dropout_scratch {
    float q[80], dy[80];                // (D, WIDE)
    float weights[96], dscores[96]; // (T, BLOCK), rows STRIDE apart
    float query[48], key[48], dy_whole[48]; // (T, WHOLE)
};

static void attention_backward_3x6x2x5_dropout(const struct model *m, float *dqkv, const float *dy,
                                               const float *qkv, const float *y, const float *lse,
                                               uint32_t site, void *scratch, int thread,
                                               int threads) {
    enum { N = 18, B = 3, T = 6, C = 10, C_LD = 16, H = 2, D = 5, E = 30, E_LD = 48, WIDE = 2 * VEC,
           HEAD = MIN(2, DIVIDE_UP(D, VEC)) * VEC, WHOLE = DIVIDE_UP(D, VEC) * VEC };
    // STRIDE is an odd number of cache lines, so that rows spread over the sets of the cache. EACH:
    // rows to prefetch per tile; a head has about T / TILE_ROWS * (T + 3 WIDE) / WIDE tiles.
    enum { BLOCK = 1 * WIDE, STRIDE = 16 };
    enum { EACH = DIVIDE_UP(WIDE * TILE_ROWS, T + 3 * WIDE) };
    struct attention_backward_3x6x2x5_dropout_scratch *s = scratch;
    const float scale = 0.447213595f, scale2 = scale * 1.44269504f; // scale / ln 2
    const struct dropout drop = dropout_make(m->dropout, m->dropout_key);
    const struct range mine = share(B * H, thread, threads);
    for (int item = mine.first; item < mine.last; item++) {
        const size_t at = heads_3x6x2x5_start(item, E_LD), at_y = heads_3x6x2x5_start(item, C_LD);
        // each (T, D), rows E_LD or C_LD apart
        const float *query = qkv + at, *key = query + C, *value = query + 2 * C;
        const float *dyh = dy + at_y, *yh = y + at_y;
        const float *row_lse = lse + (size_t)(item % H) * N + item / H * T;
        float *dq = dqkv + at, *dk = dq + C, *dv = dq + 2 * C;
        struct heads_3x6x2x5_next next = {.each = item + 1 < mine.last ? EACH : 0};
        next.qkv = qkv + heads_3x6x2x5_start(item + 1, E_LD);
        next.y = y + heads_3x6x2x5_start(item + 1, C_LD);
        next.dqkv = dqkv + heads_3x6x2x5_start(item + 1, E_LD);
        next.dy = dy + heads_3x6x2x5_start(item + 1, C_LD);
        heads_3x6x2x5_copy(s->query, query, E_LD);
        heads_3x6x2x5_copy(s->key, key, E_LD);
        heads_3x6x2x5_copy(s->dy_whole, dyh, C_LD);
        query = s->query, key = s->key, dyh = s->dy_whole;
        for (int first = 0; first < T; first += BLOCK) {
            const int last = int_min(first + BLOCK, T);
            for (int q = first; q < last; q += WIDE) {
                const int queries = int_min(WIDE, T - q);
                const int keys = int_min(T, DIVIDE_UP(q + WIDE, TILE_ROWS) * TILE_ROWS);
                float *weights = s->weights + (q - first), *dscores = s->dscores + (q - first);
                pack_transposed(s->q, WIDE, query + (size_t)q * WHOLE, WHOLE, D, queries);
                pack_transposed(s->dy, WIDE, dyh + (size_t)q * WHOLE, WHOLE, D, queries);
                heads_3x6x2x5_panel(weights, STRIDE, NULL, key, WHOLE, s->q, q, keys, &next);
                heads_3x6x2x5_panel(dscores, STRIDE, NULL, value, E_LD, s->dy, q, keys, &next);
                pack_transposed(s->q, WIDE, yh + (size_t)q * C_LD, C_LD, D, queries);
                for (int c = 0; c < queries; c += VEC) {
                    const int from = q + c, rows = int_min(VEC, queries - c);
                    const vec lse2 = vec_load_n(row_lse + from, rows) * 1.44269504f;
                    vec delta = vec_splat(0.0f);
                    for (int d = c; d < D * WIDE; d += WIDE) {
                        delta = vec_fma(vec_load(s->dy + d), vec_load(s->q + d), delta);
                    }
                    dropout_transposed(&drop, site, (int64_t)item * T + from, DROPOUT_CHUNKS(T),
                                       dscores + c, STRIDE, keys);
                    heads_3x6x2x5_weights(weights + c, STRIDE, scale2, lse2, from, keys);
                    for (int j = 0; j < keys; j++) {
                        const vec weight = vec_load(weights + c + j * STRIDE);
                        float *at_j = dscores + c + j * STRIDE; // undefined where masked
                        const vec dscore = weight * ((vec_load(at_j) - delta) * scale);
                        vec_store(at_j, j < from + VEC ? dscore : vec_splat(0.0f));
                    }
                    dropout_transposed(&drop, site, (int64_t)item * T + from, DROPOUT_CHUNKS(T),
                                       weights + c, STRIDE, keys);
                }
                heads_3x6x2x5_mixes
                (dq + (size_t)q * E_LD, E_LD, NULL, dscores, STRIDE, key, WHOLE, q, &next);
            }
            // dK and dV of key j sum over queries j and later: keys of this block begin their sums
            // here, and earlier keys add to theirs.
            for (int j = 0; j < last; j += TILE_ROWS) {
                const int from = int_max(first, j), depth = last - from;
                const bool begins = j >= first;
                heads_3x6x2x5_prefetch(&next);
                for (int p = 0; p < DIVIDE_UP(D, HEAD); p++) {
                    TILE_CASES(heads_3x6x2x5_mix, j, p, T, D, HEAD / VEC, dk, E_LD, begins, NULL,
                               s->dscores + (from - first), STRIDE, 1, query + (size_t)from * WHOLE,
                               WHOLE, depth);
                    TILE_CASES(heads_3x6x2x5_mix, j, p, T, D, HEAD / VEC, dv, E_LD, begins, NULL,
                               s->weights + (from - first), STRIDE, 1, dyh + (size_t)from * WHOLE,
                               WHOLE, depth);
                }
            }
        }
    }
}

// matmul_dx_18x30x10, from templates/cpu/matmul.c. Called 3 times a step: 10.8 kFLOP, 4.1 kB each.
VEC_INLINE void matmul_dx_18x30x10_tile(float *dx, const float *dy, const float *w,
                                        const float *panel, int from, int depth, int i, int p,
                                        const int rows, const int vecs, const int last) {
    enum { N = 18, C = 10, C_LD = 16, O = 30, O_LD = 48, K = O, K_LD = O_LD };
    enum { COLS = C, COLS_LD = C_LD, WIDE = 2 * VEC };
    (void)w;
    const size_t first_at = (size_t)i * COLS_LD + p * WIDE;
    float *to = dx + first_at;
    vec acc[TILE_ROWS][TILE_VECS];
    if (from == 0) {
        tile_zero(acc, rows, vecs);
        tile_prefetch(to, rows, (vecs - 1) * VEC + last, COLS_LD);
    } else {
        tile_load(acc, rows, vecs, last, to, COLS_LD);
    }
    tile_multiply(acc, rows, vecs, VEC, depth, dy + (size_t)i * K_LD + from, K_LD, 1, panel, WIDE,
                  0);
    tile_store(acc, rows, vecs, last, to, COLS_LD);
}

// Maps work item `item` to a panel of w: its first column is p * WIDE, its slice of K begins at
// `from`. If SLICES_OUTSIDE, K is the outer loop and L2 holds a slice of the first operand;
// otherwise columns are outer and L2 holds the result.
static inline struct piece matmul_dx_18x30x10_piece(struct range panels, int item) {
    enum { N = 18, C = 10, C_LD = 16, O = 30, O_LD = 48, K = O, COLS = C, WIDE = 2 * VEC };
    enum { DEPTH = 30, SLICES = DIVIDE_UP(K, DEPTH), SLICES_OUTSIDE = 0 };
    const int count = panels.last - panels.first;
    const int p = panels.first + (SLICES_OUTSIDE ? item % count : item / SLICES);
    const int from = (SLICES_OUTSIDE ? item / count : item % SLICES) * DEPTH;
    return (struct piece){p, from, int_min(DEPTH, K - from), int_min(WIDE, COLS - p * WIDE),
                          (size_t)from * COLS + p * WIDE};
}

static void matmul_dx_18x30x10(float *dx, const float *dy, const float *w, int thread,
                               int threads) {
    enum { N = 18, C = 10, C_LD = 16, O = 30, O_LD = 48, K = O, COLS = C, VECS = 2,
           WIDE = VECS * VEC };
    enum { DEPTH = 30, SLICES = DIVIDE_UP(K, DEPTH) };
    enum { TILES = DIVIDE_UP(N, TILE_ROWS), PANELS = DIVIDE_UP(COLS, WIDE) };
    // BLOCK tiles of rows share a packed panel. The tuned block is evened out over all TILES.
    enum { BLOCK = DIVIDE_UP(TILES, DIVIDE_UP(TILES, 546)) };
    _Alignas(64) float panel[DEPTH * WIDE];
    const struct part mine = part_of(TILES, PANELS, thread, threads);
    const int items = SLICES * (mine.cols.last - mine.cols.first);
    for (int block = mine.rows.first; block < mine.rows.last; block += BLOCK) {
        const int end = int_min(N, int_min(block + BLOCK, mine.rows.last) * TILE_ROWS);
        for (int item = 0; item < items; item++) {
            const struct piece at = matmul_dx_18x30x10_piece(mine.cols, item);
            pack_rows(panel, WIDE, w + at.offset, COLS, at.depth, at.wide);
            // Prefetches the next panel of the weight beside the products with this one.
            const struct piece after =
                matmul_dx_18x30x10_piece(mine.cols, item + 1 < items ? item + 1 : item);
            struct prefetch next = prefetch_of(w + after.offset, COLS, after.depth, after.wide,
                                               DIVIDE_UP(end, TILE_ROWS) - block);
            for (int i = block * TILE_ROWS; i < end; i += TILE_ROWS) {
                prefetch_some(&next);
                TILE_CASES(matmul_dx_18x30x10_tile, i, at.p, N, COLS, VECS, dx, dy, w, panel,
                           at.from, at.depth);
            }
        }
    }
}

// matmul_dw_18x30x10_dbias, from templates/cpu/matmul.c.
// Called 3 times a step: 10.8 kFLOP, 5.5 kB each.
VEC_INLINE void matmul_dw_18x30x10_dbias_tile(float *dw, const float *dy, const float *x,
                                              bool begins, int depth, int o, int p, const int rows,
                                              const int vecs, const int last) {
    enum { N = 18, C = 10, C_LD = 16, O = 30, O_LD = 48, WIDE = 2 * VEC };
    float *to = dw + (size_t)o * C + p * WIDE;
    vec acc[TILE_ROWS][TILE_VECS];
    if (begins) {
        tile_zero(acc, rows, vecs);
    } else {
        tile_load(acc, rows, vecs, last, to, C);
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++) {
            __builtin_prefetch(to + (TILE_ROWS + r) * C, 1); // the next tile's
        }
    }
    tile_multiply(acc, rows, vecs, VEC, depth, dy + o, 1, O_LD, x + p * WIDE, C_LD, 16);
    tile_store(acc, rows, vecs, last, to, C);
}

static void matmul_dw_18x30x10_dbias(float *dw, float *dbias, const float *dy, const float *x,
                                     bool first, bool first2, int thread, int threads) {
    enum { N = 18, C = 10, C_LD = 16, O = 30, O_LD = 48, VECS = 2, WIDE = VECS * VEC };
    enum { TILES = DIVIDE_UP(O, TILE_ROWS), PANELS = DIVIDE_UP(C, WIDE) };
    // A block (ROWS tiles, COLS panels) of dw stays in L2 over all slices of DEPTH rows; a panel of
    // x's slice stays in L1 while it meets the block's rows.
    enum { DEPTH = 18, ROWS = 1093, COLS = 1 };
    const struct part mine = part_of(TILES, PANELS, thread, threads);
    for (int row = mine.rows.first; row < mine.rows.last; row += ROWS) {
        const int end = int_min(O, int_min(row + ROWS, mine.rows.last) * TILE_ROWS);
        for (int col = mine.cols.first; col < mine.cols.last; col += COLS) {
            const int last = int_min(col + COLS, mine.cols.last);
            for (int n = 0; n < N; n += DEPTH) {
                const int depth = int_min(DEPTH, N - n);
                const float *dys = dy + (size_t)n * O_LD, *xs = x + (size_t)n * C_LD;
                for (int p = col; p < last; p++) {
                    struct prefetch next =
                        prefetch_of(xs + (p + 1) * WIDE, C_LD, p + 1 < last ? depth : 0, WIDE,
                                    DIVIDE_UP(end, TILE_ROWS) - row);
                    for (int o = row * TILE_ROWS; o < end; o += TILE_ROWS) {
                        prefetch_some(&next);
                        TILE_CASES(matmul_dw_18x30x10_dbias_tile, o, p, O, C, VECS, dw, dys, xs,
                                   first && n == 0, depth);
                    }
                }
            }
        }
    }
    // dbias (O) += the sum of dy's rows, in order.
    const struct range groups = share(DIVIDE_UP(O, VEC), thread, threads);
    sum_rows(dbias, dy, N, O, O_LD, first2, groups);
}

// layernorm_backward_18x10x16_add_dropout, from templates/cpu/layernorm.c.
// Called once a step: 4.0 kFLOP, 4.5 kB each.
static void layernorm_backward_18x10x16_add_dropout(const struct model *m, float *dx, float *dscale,
                                                    float *dshift, float *partial, const float *dy,
                                                    const float *x, const float *scale,
                                                    const float *mean, const float *rstd,
                                                    const float *addend, uint32_t site, bool first,
                                                    int thread, int threads) {
    enum { N = 18, C = 10, C_LD = 16, P = 16, COLS = C, GROUPS = DIVIDE_UP(C, VEC) };
    const struct dropout drop = dropout_make(m->dropout, m->dropout_key);
    const struct range mine = share(P, thread, threads);
    for (int part = mine.first; part < mine.last; part++) {
        float *dscale_part = partial + (size_t)part * 2 * C, *dshift_part = dscale_part + C;
        for (int c = 0; c < C; c++) {
            dscale_part[c] = dshift_part[c] = 0.0f;
        }
        const struct range rows = share(N, part, P);
        for (int row = rows.first; row < rows.last; row++) {
            const float *dyn = dy + (size_t)row * C_LD, *xn = x + (size_t)row * C_LD;
            const float mu = mean[row], r = rstd[row];
            vec sum_g = vec_splat(0.0f), sum_g_xhat = vec_splat(0.0f);
            for (int c = 0; c < C; c += VEC) {
                const vec d = row_load(dyn, c, C);
                const vec g = d * row_load(scale, c, C);
                const vec xhat = (row_load(xn, c, C) - mu) * r;
                sum_g += g;
                sum_g_xhat = vec_fma(g, xhat, sum_g_xhat); // g is 0 beyond the row
                row_store(dscale_part, c, C, vec_fma(d, xhat, row_load(dscale_part, c, C)));
                row_store(dshift_part, c, C, row_load(dshift_part, c, C) + d);
            }
            const float mean_g = vec_sum(sum_g) / C, mean_g_xhat = vec_sum(sum_g_xhat) / C;
            for (int col = 0; col < C; col += VEC) {
                const vec g = row_load(dyn, col, C) * row_load(scale, col, C);
                const vec xhat = (row_load(xn, col, C) - mu) * r;
                vec value = (g - mean_g - xhat * mean_g_xhat) * r;
                const int lanes = LANES(col, C);
                const size_t at = (size_t)row * C_LD + (size_t)col;
                value = value + vec_load_n(addend + at, lanes);
                value = value * dropout_mask(&drop, site, row, DROPOUT_CHUNKS(COLS), col);
                row_store(dx + (size_t)row * C_LD, col, C, value);
            }
        }
    }
    parallel_barrier();
    const struct range columns = share(GROUPS, thread, threads);
    for (int g = columns.first; g < columns.last; g++) {
        const int c = g * VEC;
        vec sum_scale = first ? vec_splat(0.0f) : row_load(dscale, c, C);
        for (int part = 0; part < P; part++) {
            sum_scale += row_load(partial + (size_t)part * 2 * C, c, C);
        }
        row_store(dscale, c, C, sum_scale);
        vec sum_shift = first ? vec_splat(0.0f) : row_load(dshift, c, C);
        for (int part = 0; part < P; part++) {
            sum_shift += row_load(partial + (size_t)(part * 2 + 1) * C, c, C);
        }
        row_store(dshift, c, C, sum_shift);
    }
}

// embed_backward_18x10x17x6, from templates/cpu/embed.c. Called once a step: 360 FLOP, 2.6 kB each.
static void embed_backward_18x10x17x6(float *dwte, float *dwpe, const float *dy,
                                      const int32_t *tokens, bool first, bool first2, int thread,
                                      int threads) {
    enum { N = 18, T = 6, C = 10, C_LD = 16, V = 17, V_LD = 48, GROUPS = DIVIDE_UP(C, VEC) };
    const struct range mine = share(GROUPS, thread, threads);
    clear_columns(dwte, first ? V : 0, C, C, mine);
    clear_columns(dwpe, first2 ? T : 0, C, C, mine);
    for (int n = 0; n < N; n++) {
        float *dtoken = dwte + (size_t)tokens[n] * C;
        float *dposition = dwpe + (size_t)(n % T) * C;
        for (int g = mine.first; g < mine.last; g++) {
            const int c = g * VEC;
            const vec d = row_load(dy + (size_t)n * C_LD, c, C);
            row_store(dtoken, c, C, row_load(dtoken, c, C) + d);
            row_store(dposition, c, C, row_load(dposition, c, C) + d);
        }
    }
}

// ---- the model ----------------------------------------------------------------------------------

enum {
    KERNEL_embed_18x17x10x6_dropout,
    KERNEL_layernorm_18x10,
    KERNEL_matmul_18x10x30_bias,
    KERNEL_attention_3x6x2x5_dropout,
    KERNEL_matmul_18x10x10_bias_dropout_add,
    KERNEL_matmul_18x10x40_bias_keep_gelu_erf,
    KERNEL_matmul_18x40x10_bias_dropout_add,
    KERNEL_matmul_18x10x17,
    KERNEL_cross_entropy_18x17,
    KERNEL_mean_loss_18,
    KERNEL_cross_entropy_backward_18x17,
    KERNEL_matmul_dx_18x17x10,
    KERNEL_matmul_dw_18x17x10,
    KERNEL_layernorm_backward_18x10x16_keep_dropout,
    KERNEL_matmul_dx_18x10x40_gelu_erf_backward,
    KERNEL_matmul_dw_18x10x40_dbias,
    KERNEL_matmul_dx_18x40x10,
    KERNEL_matmul_dw_18x40x10_dbias,
    KERNEL_layernorm_backward_18x10x16_add_keep_dropout,
    KERNEL_matmul_dx_18x10x10,
    KERNEL_matmul_dw_18x10x10_dbias,
    KERNEL_attention_backward_3x6x2x5_dropout,
    KERNEL_matmul_dx_18x30x10,
    KERNEL_matmul_dw_18x30x10_dbias,
    KERNEL_layernorm_backward_18x10x16_add_dropout,
    KERNEL_embed_backward_18x10x17x6,
    KERNELS,
};

// Runs a kernel in all threads, waits for all of them, and adds the time to the kernel's profile.
#define RUN(kernel, ...)                                                                           \
    do {                                                                                           \
        kernel(__VA_ARGS__, thread, threads);                                                      \
        kernel_done(KERNEL_##kernel, thread);                                                      \
    } while (0)

static void forward_layer(struct model *m, int l, int thread, int threads) {
    float *ln_1_y = m->acts + 8928 + (size_t)l * 288; // (18, 10)
    float *ln_1_mean = m->acts + 14544 + (size_t)l * 32; // (18)
    float *ln_1_rstd = m->acts + 14640 + (size_t)l * 32; // (18)
    const float *x = m->acts + 7776 + (size_t)l * 288; // (18, 10)
    const float *ln_1_weight = m->params + 240 + (size_t)l * 1392; // (10)
    const float *ln_1_bias = m->params + 256 + (size_t)l * 1392; // (10)
    float *qkv_biased = m->acts + (size_t)l * 864; // (18, 30)
    const float *attn_c_attn_weight = m->params + 272 + (size_t)l * 1392; // (30, 10)
    const float *attn_c_attn_bias = m->params + 576 + (size_t)l * 1392; // (30)
    float *attention_y = m->acts + 9792 + (size_t)l * 288; // (18, 10)
    float *attention_lse = m->acts + 14400 + (size_t)l * 48; // (2, 18)
    float *x_mid = m->acts + 10656 + (size_t)l * 288; // (18, 10)
    const float *attn_c_proj_weight = m->params + 608 + (size_t)l * 1392; // (10, 10)
    const float *attn_c_proj_bias = m->params + 720 + (size_t)l * 1392; // (10)
    float *ln_2_y = m->acts + 11520 + (size_t)l * 288; // (18, 10)
    float *ln_2_mean = m->acts + 14736 + (size_t)l * 32; // (18)
    float *ln_2_rstd = m->acts + 14832 + (size_t)l * 32; // (18)
    const float *ln_2_weight = m->params + 736 + (size_t)l * 1392; // (10)
    const float *ln_2_bias = m->params + 752 + (size_t)l * 1392; // (10)
    float *activated = m->acts + 2592 + (size_t)l * 864; // (18, 40)
    float *fc_biased = m->acts + 5184 + (size_t)l * 864; // (18, 40)
    const float *mlp_c_fc_weight = m->params + 768 + (size_t)l * 1392; // (40, 10)
    const float *mlp_c_fc_bias = m->params + 1168 + (size_t)l * 1392; // (40)
    float *x_next = m->acts + 8064 + (size_t)l * 288; // (18, 10)
    const float *mlp_c_proj_weight = m->params + 1216 + (size_t)l * 1392; // (10, 40)
    const float *mlp_c_proj_bias = m->params + 1616 + (size_t)l * 1392; // (10)
    void *scratch = model_scratch(m, thread);

    // block.l.ln_1
    RUN(layernorm_18x10, ln_1_y, ln_1_mean, ln_1_rstd, x, ln_1_weight, ln_1_bias);
    // block.l.qkv
    RUN(matmul_18x10x30_bias, qkv_biased, ln_1_y, attn_c_attn_weight, attn_c_attn_bias);
    // block.l.attention
    RUN(attention_3x6x2x5_dropout, m, attention_y, attention_lse, qkv_biased, (uint32_t)(2 + l * 3),
        scratch);
    // block.l.projected
    RUN(matmul_18x10x10_bias_dropout_add, m, x_mid, attention_y, attn_c_proj_weight,
        attn_c_proj_bias, x, (uint32_t)(3 + l * 3));
    // block.l.ln_2
    RUN(layernorm_18x10, ln_2_y, ln_2_mean, ln_2_rstd, x_mid, ln_2_weight, ln_2_bias);
    // block.l.fc
    RUN(matmul_18x10x40_bias_keep_gelu_erf, activated, fc_biased, ln_2_y, mlp_c_fc_weight,
        mlp_c_fc_bias);
    // block.l.narrowed
    RUN(matmul_18x40x10_bias_dropout_add, m, x_next, activated, mlp_c_proj_weight, mlp_c_proj_bias,
        x_mid, (uint32_t)(4 + l * 3));
}

void model_forward(struct model *m, int thread, int threads) {
    profile_start(thread);
    float *x_0 = m->acts + 7776; // (18, 10)
    const float *wte_weight = m->params; // (17, 10)
    const float *wpe_weight = m->params + 176; // (6, 10)
    float *ln_f_y = m->acts + 13248; // (18, 10)
    float *ln_f_mean = m->acts + 14112; // (18)
    float *ln_f_rstd = m->acts + 14144; // (18)
    const float *x_3 = m->acts + 8640; // (18, 10)
    const float *ln_f_weight = m->params + 4416; // (10)
    const float *ln_f_bias = m->params + 4432; // (10)

    // embedded
    RUN(embed_18x17x10x6_dropout, m, x_0, m->tokens, wte_weight, wpe_weight, 1u);
    for (int l = 0; l < MODEL_L; l++) {
        forward_layer(m, l, thread, threads);
    }
    // ln_f
    RUN(layernorm_18x10, ln_f_y, ln_f_mean, ln_f_rstd, x_3, ln_f_weight, ln_f_bias);
}

void model_loss(struct model *m, int thread, int threads) {
    profile_start(thread);
    float *logits = m->acts + 12384; // (18, 17)
    const float *ln_f_y = m->acts + 13248; // (18, 10)
    const float *wte_weight = m->params; // (17, 10)
    float *losses = m->acts + 13536; // (18)

    // logits
    RUN(matmul_18x10x17, logits, ln_f_y, wte_weight);
    // loss
    RUN(cross_entropy_18x17, losses, logits, m->targets);
    RUN(mean_loss_18, m, losses, m->targets);
}

static void backward_layer(struct model *m, int l, int thread, int threads) {
    float *d_fc_biased = m->acts + 12384; // (18, 40)
    const float *d_narrowed_biased = m->acts + 13248; // (18, 10)
    const float *mlp_c_proj_weight = m->params + 1216 + (size_t)l * 1392; // (10, 40)
    const float *fc_biased = m->acts + 5184 + (size_t)l * 864; // (18, 40)
    float *d_mlp_c_proj_weight = m->grads + 1216 + (size_t)l * 1392; // (10, 40)
    float *d_mlp_c_proj_bias = m->grads + 1616 + (size_t)l * 1392; // (10)
    const float *activated = m->acts + 2592 + (size_t)l * 864; // (18, 40)
    float *d_ln_2_y = m->acts + 13248; // (18, 10)
    const float *mlp_c_fc_weight = m->params + 768 + (size_t)l * 1392; // (40, 10)
    float *d_mlp_c_fc_weight = m->grads + 768 + (size_t)l * 1392; // (40, 10)
    float *d_mlp_c_fc_bias = m->grads + 1168 + (size_t)l * 1392; // (40)
    const float *ln_2_y = m->acts + 11520 + (size_t)l * 288; // (18, 10)
    float *d_projected_biased = m->acts + 12896; // (18, 10)
    float *d_ln_2_weight = m->grads + 736 + (size_t)l * 1392; // (10)
    float *d_ln_2_bias = m->grads + 752 + (size_t)l * 1392; // (10)
    float *d_x_mid_partial = m->acts + 12384; // (16, 2, 10)
    float *d_x_mid_sum = m->acts + 13536; // (18, 10)
    const float *x_mid = m->acts + 10656 + (size_t)l * 288; // (18, 10)
    const float *ln_2_weight = m->params + 736 + (size_t)l * 1392; // (10)
    const float *ln_2_mean = m->acts + 14736 + (size_t)l * 32; // (18)
    const float *ln_2_rstd = m->acts + 14832 + (size_t)l * 32; // (18)
    const float *d_x_next = m->acts + 13824; // (18, 10)
    float *d_attention_y = m->acts + 13248; // (18, 10)
    const float *attn_c_proj_weight = m->params + 608 + (size_t)l * 1392; // (10, 10)
    float *d_attn_c_proj_weight = m->grads + 608 + (size_t)l * 1392; // (10, 10)
    float *d_attn_c_proj_bias = m->grads + 720 + (size_t)l * 1392; // (10)
    const float *attention_y = m->acts + 9792 + (size_t)l * 288; // (18, 10)
    float *d_qkv_biased = m->acts + 12384; // (18, 30)
    const float *qkv_biased = m->acts + (size_t)l * 864; // (18, 30)
    const float *attention_lse = m->acts + 14400 + (size_t)l * 48; // (2, 18)
    float *d_ln_1_y = m->acts + 14112; // (18, 10)
    const float *attn_c_attn_weight = m->params + 272 + (size_t)l * 1392; // (30, 10)
    float *d_attn_c_attn_weight = m->grads + 272 + (size_t)l * 1392; // (30, 10)
    float *d_attn_c_attn_bias = m->grads + 576 + (size_t)l * 1392; // (30)
    const float *ln_1_y = m->acts + 8928 + (size_t)l * 288; // (18, 10)
    float *d_narrowed_biased_before = m->acts + 13248; // (18, 10)
    float *d_ln_1_weight = m->grads + 240 + (size_t)l * 1392; // (10)
    float *d_ln_1_bias = m->grads + 256 + (size_t)l * 1392; // (10)
    float *d_x_partial = m->acts + 12384; // (16, 2, 10)
    float *d_x_sum = m->acts + 13824; // (18, 10)
    const float *x = m->acts + 7776 + (size_t)l * 288; // (18, 10)
    const float *ln_1_weight = m->params + 240 + (size_t)l * 1392; // (10)
    const float *ln_1_mean = m->acts + 14544 + (size_t)l * 32; // (18)
    const float *ln_1_rstd = m->acts + 14640 + (size_t)l * 32; // (18)
    void *scratch = model_scratch(m, thread);

    // block.l.narrowed
    RUN(matmul_dx_18x10x40_gelu_erf_backward, d_fc_biased, d_narrowed_biased, mlp_c_proj_weight,
        fc_biased);
    RUN(matmul_dw_18x10x40_dbias, d_mlp_c_proj_weight, d_mlp_c_proj_bias, d_narrowed_biased,
        activated, m->first, m->first);
    // block.l.fc
    RUN(matmul_dx_18x40x10, d_ln_2_y, d_fc_biased, mlp_c_fc_weight);
    RUN(matmul_dw_18x40x10_dbias, d_mlp_c_fc_weight, d_mlp_c_fc_bias, d_fc_biased, ln_2_y, m->first,
        m->first);
    // block.l.ln_2
    RUN(layernorm_backward_18x10x16_add_keep_dropout, m, d_projected_biased, d_ln_2_weight,
        d_ln_2_bias, d_x_mid_partial, d_x_mid_sum, d_ln_2_y, x_mid, ln_2_weight, ln_2_mean,
        ln_2_rstd, d_x_next, (uint32_t)(3 + l * 3), m->first);
    // block.l.projected
    RUN(matmul_dx_18x10x10, d_attention_y, d_projected_biased, attn_c_proj_weight);
    RUN(matmul_dw_18x10x10_dbias, d_attn_c_proj_weight, d_attn_c_proj_bias, d_projected_biased,
        attention_y, m->first, m->first);
    // block.l.attention
    RUN(attention_backward_3x6x2x5_dropout, m, d_qkv_biased, d_attention_y, qkv_biased, attention_y,
        attention_lse, (uint32_t)(2 + l * 3), scratch);
    // block.l.qkv
    RUN(matmul_dx_18x30x10, d_ln_1_y, d_qkv_biased, attn_c_attn_weight);
    RUN(matmul_dw_18x30x10_dbias, d_attn_c_attn_weight, d_attn_c_attn_bias, d_qkv_biased, ln_1_y,
        m->first, m->first);
    // block.l.ln_1
    RUN(layernorm_backward_18x10x16_add_keep_dropout, m, d_narrowed_biased_before, d_ln_1_weight,
        d_ln_1_bias, d_x_partial, d_x_sum, d_ln_1_y, x, ln_1_weight, ln_1_mean, ln_1_rstd,
        d_x_mid_sum, (uint32_t)(1 + l * 3), m->first);
}

static void backward_layer_0(struct model *m, int thread, int threads) {
    float *d_fc_biased = m->acts + 12384; // (18, 40)
    const float *d_narrowed_biased = m->acts + 13248; // (18, 10)
    const float *mlp_c_proj_weight = m->params + 1216; // (10, 40)
    const float *fc_biased = m->acts + 5184; // (18, 40)
    float *d_mlp_c_proj_weight = m->grads + 1216; // (10, 40)
    float *d_mlp_c_proj_bias = m->grads + 1616; // (10)
    const float *activated = m->acts + 2592; // (18, 40)
    float *d_ln_2_y = m->acts + 13248; // (18, 10)
    const float *mlp_c_fc_weight = m->params + 768; // (40, 10)
    float *d_mlp_c_fc_weight = m->grads + 768; // (40, 10)
    float *d_mlp_c_fc_bias = m->grads + 1168; // (40)
    const float *ln_2_y = m->acts + 11520; // (18, 10)
    float *d_projected_biased = m->acts + 12896; // (18, 10)
    float *d_ln_2_weight = m->grads + 736; // (10)
    float *d_ln_2_bias = m->grads + 752; // (10)
    float *d_x_mid_partial = m->acts + 12384; // (16, 2, 10)
    float *d_x_mid_sum = m->acts + 2592; // (18, 10)
    const float *x_mid = m->acts + 10656; // (18, 10)
    const float *ln_2_weight = m->params + 736; // (10)
    const float *ln_2_mean = m->acts + 14736; // (18)
    const float *ln_2_rstd = m->acts + 14832; // (18)
    const float *d_x_sum_next = m->acts + 13824; // (18, 10)
    float *d_attention_y = m->acts + 13248; // (18, 10)
    const float *attn_c_proj_weight = m->params + 608; // (10, 10)
    float *d_attn_c_proj_weight = m->grads + 608; // (10, 10)
    float *d_attn_c_proj_bias = m->grads + 720; // (10)
    const float *attention_y = m->acts + 9792; // (18, 10)
    float *d_qkv_biased = m->acts + 12384; // (18, 30)
    const float *qkv_biased = m->acts; // (18, 30)
    const float *attention_lse = m->acts + 14400; // (2, 18)
    float *d_ln_1_y = m->acts + 14112; // (18, 10)
    const float *attn_c_attn_weight = m->params + 272; // (30, 10)
    float *d_attn_c_attn_weight = m->grads + 272; // (30, 10)
    float *d_attn_c_attn_bias = m->grads + 576; // (30)
    const float *ln_1_y = m->acts + 8928; // (18, 10)
    float *d_embedded = m->acts + 2592; // (18, 10)
    float *d_ln_1_weight = m->grads + 240; // (10)
    float *d_ln_1_bias = m->grads + 256; // (10)
    float *d_x_partial = m->acts + 12384; // (16, 2, 10)
    const float *x = m->acts + 7776; // (18, 10)
    const float *ln_1_weight = m->params + 240; // (10)
    const float *ln_1_mean = m->acts + 14544; // (18)
    const float *ln_1_rstd = m->acts + 14640; // (18)
    void *scratch = model_scratch(m, thread);

    // block.0.narrowed
    RUN(matmul_dx_18x10x40_gelu_erf_backward, d_fc_biased, d_narrowed_biased, mlp_c_proj_weight,
        fc_biased);
    RUN(matmul_dw_18x10x40_dbias, d_mlp_c_proj_weight, d_mlp_c_proj_bias, d_narrowed_biased,
        activated, m->first, m->first);
    // block.0.fc
    RUN(matmul_dx_18x40x10, d_ln_2_y, d_fc_biased, mlp_c_fc_weight);
    RUN(matmul_dw_18x40x10_dbias, d_mlp_c_fc_weight, d_mlp_c_fc_bias, d_fc_biased, ln_2_y, m->first,
        m->first);
    // block.0.ln_2
    RUN(layernorm_backward_18x10x16_add_keep_dropout, m, d_projected_biased, d_ln_2_weight,
        d_ln_2_bias, d_x_mid_partial, d_x_mid_sum, d_ln_2_y, x_mid, ln_2_weight, ln_2_mean,
        ln_2_rstd, d_x_sum_next, 3u, m->first);
    // block.0.projected
    RUN(matmul_dx_18x10x10, d_attention_y, d_projected_biased, attn_c_proj_weight);
    RUN(matmul_dw_18x10x10_dbias, d_attn_c_proj_weight, d_attn_c_proj_bias, d_projected_biased,
        attention_y, m->first, m->first);
    // block.0.attention
    RUN(attention_backward_3x6x2x5_dropout, m, d_qkv_biased, d_attention_y, qkv_biased, attention_y,
        attention_lse, 2u, scratch);
    // block.0.qkv
    RUN(matmul_dx_18x30x10, d_ln_1_y, d_qkv_biased, attn_c_attn_weight);
    RUN(matmul_dw_18x30x10_dbias, d_attn_c_attn_weight, d_attn_c_attn_bias, d_qkv_biased, ln_1_y,
        m->first, m->first);
    // block.0.ln_1
    RUN(layernorm_backward_18x10x16_add_dropout, m, d_embedded, d_ln_1_weight, d_ln_1_bias,
        d_x_partial, d_ln_1_y, x, ln_1_weight, ln_1_mean, ln_1_rstd, d_x_mid_sum, 1u, m->first);
}

void model_backward(struct model *m, int thread, int threads) {
    profile_start(thread);
    float *train_logits = m->acts + 12384; // (18, 17)
    const float *ln_f_y = m->acts + 13248; // (18, 10)
    const float *wte_weight = m->params; // (17, 10)
    float *d_logits = m->acts + 12384; // (18, 17)
    float *train_losses = m->acts + 14928; // (18)
    float *d_ln_f_y = m->acts + 13536; // (18, 10)
    float *d_wte_weight = m->grads; // (17, 10)
    float *d_narrowed_biased_2 = m->acts + 13248; // (18, 10)
    float *d_ln_f_weight = m->grads + 4416; // (10)
    float *d_ln_f_bias = m->grads + 4432; // (10)
    float *d_x_partial_3 = m->acts + 12384; // (16, 2, 10)
    float *d_x_3 = m->acts + 13824; // (18, 10)
    const float *x_3 = m->acts + 8640; // (18, 10)
    const float *ln_f_weight = m->params + 4416; // (10)
    const float *ln_f_mean = m->acts + 14112; // (18)
    const float *ln_f_rstd = m->acts + 14144; // (18)
    float *d_wpe_weight = m->grads + 176; // (6, 10)
    const float *d_embedded = m->acts + 2592; // (18, 10)

    // logits
    RUN(matmul_18x10x17, train_logits, ln_f_y, wte_weight);
    // loss
    RUN(cross_entropy_backward_18x17, m, d_logits, train_losses, train_logits, m->targets);
    // logits
    RUN(matmul_dx_18x17x10, d_ln_f_y, d_logits, wte_weight);
    RUN(matmul_dw_18x17x10, d_wte_weight, d_logits, ln_f_y, m->first);
    // ln_f
    RUN(layernorm_backward_18x10x16_keep_dropout, m, d_narrowed_biased_2, d_ln_f_weight,
        d_ln_f_bias, d_x_partial_3, d_x_3, d_ln_f_y, x_3, ln_f_weight, ln_f_mean, ln_f_rstd, 10u,
        m->first);
    for (int l = MODEL_L - 1; l >= 1; l--) {
        backward_layer(m, l, thread, threads);
    }
    backward_layer_0(m, thread, threads);
    // embedded
    RUN(embed_backward_18x10x17x6, d_wte_weight, d_wpe_weight, d_embedded, m->tokens, false,
        m->first);
    // loss
    RUN(mean_loss_18, m, train_losses, m->targets);
}

#undef RUN

// ---- the update, from templates/cpu/optimizer.c -------------------------------------------------

// One vector of parameters p, gradients g, and moments: m of the gradients, v of their squares.
VEC_INLINE void adamw_vec(const struct update *u, bool decay, vec *p, vec g, vec *m, vec *v) {
    g *= u->scale;
    *p *= decay ? u->keep_decayed : 1.0f;
    *m += u->mean_weight * (g - *m);
    *v = u->square_keep * *v + u->square_weight * g * g;
    const vec root = vec_fma(vec_sqrt(*v), vec_splat(u->inverse_root), vec_splat(u->eps));
    *p -= u->step * (*m / root);
}

// `count` neighbours of one tensor; the runtime calls it for each piece of the parameters in a
// step.
static void adamw(const struct update *u, bool decay, float *params, const float *grads,
                  float *means, float *squares, int64_t count) {
    int64_t i = 0;
    for (; i + VEC <= count; i += VEC) {
        vec p = vec_load(params + i), m = vec_load(means + i), v = vec_load(squares + i);
        adamw_vec(u, decay, &p, vec_load(grads + i), &m, &v);
        vec_store(params + i, p);
        vec_store(means + i, m);
        vec_store(squares + i, v);
    }
    if (i < count) {
        const int n = (int)(count - i);
        vec p = vec_load_n(params + i, n), m = vec_load_n(means + i, n),
            v = vec_load_n(squares + i, n);
        adamw_vec(u, decay, &p, vec_load_n(grads + i, n), &m, &v);
        vec_store_n(params + i, p, n);
        vec_store_n(means + i, m, n);
        vec_store_n(squares + i, v, n);
    }
}

// ---- what the runtime needs to know -------------------------------------------------------------

static const struct kernel_info model_kernels[KERNELS] = {
    {"embed_18x17x10x6_dropout", 1080.0, 1712.0},
    {"layernorm_18x10", 1440.0, 1664.0},
    {"matmul_18x10x30_bias", 11340.0, 4200.0},
    {"attention_3x6x2x5_dropout", 2520.0, 3024.0},
    {"matmul_18x10x10_bias_dropout_add", 4860.0, 2600.0},
    {"matmul_18x10x40_bias_keep_gelu_erf", 36720.0, 8240.0},
    {"matmul_18x40x10_bias_dropout_add", 15660.0, 5960.0},
    {"matmul_18x10x17", 6120.0, 2624.0},
    {"cross_entropy_18x17", 7650.0, 1368.0},
    {"mean_loss_18", 18.0, 144.0},
    {"cross_entropy_backward_18x17", 7650.0, 2592.0},
    {"matmul_dx_18x17x10", 6120.0, 2624.0},
    {"matmul_dw_18x17x10", 6120.0, 3304.0},
    {"layernorm_backward_18x10x16_keep_dropout", 3780.0, 4504.0},
    {"matmul_dx_18x10x40_gelu_erf_backward", 36720.0, 8080.0},
    {"matmul_dw_18x10x40_dbias", 14400.0, 6880.0},
    {"matmul_dx_18x40x10", 14400.0, 5200.0},
    {"matmul_dw_18x40x10_dbias", 14400.0, 7120.0},
    {"layernorm_backward_18x10x16_add_keep_dropout", 3960.0, 5224.0},
    {"matmul_dx_18x10x10", 3600.0, 1840.0},
    {"matmul_dw_18x10x10_dbias", 3600.0, 2320.0},
    {"attention_backward_3x6x2x5_dropout", 6300.0, 5904.0},
    {"matmul_dx_18x30x10", 10800.0, 4080.0},
    {"matmul_dw_18x30x10_dbias", 10800.0, 5520.0},
    {"layernorm_backward_18x10x16_add_dropout", 3960.0, 4504.0},
    {"embed_backward_18x10x17x6", 360.0, 2632.0},
};

union model_scratch {
    struct attention_3x6x2x5_dropout_scratch attention_3x6x2x5_dropout;
    struct attention_backward_3x6x2x5_dropout_scratch attention_backward_3x6x2x5_dropout;
};

const struct model_info model_info = {
    .hash = MODEL_HASH,
    .config = MODEL_CONFIG,
    .title = "gpt, 3 layers, 2 heads, 10 wide, context 6, vocabulary 17",
    .batch_size = MODEL_B,
    .block_size = MODEL_T,
    .vocab_size = MODEL_V,
    .n_layer = MODEL_L,
    .n_head = MODEL_H,
    .n_embd = MODEL_C,
    .optimizer = OPTIMIZER_ADAMW,
    .update = adamw,
    .dropout = true,
    .params = model_params,
    .params_count = MODEL_PARAMS,
    .state_floats = 4448,
    .acts_floats = 14960,
    .losses = 13536,
    .scratch_bytes = sizeof(union model_scratch),
    .dtype = "float32",
    .num_params = 4240,
    .num_params_nanogpt = 4180,
    .flops_per_token = 27240.0,
    .kernels = model_kernels,
    .kernels_count = KERNELS,
};
