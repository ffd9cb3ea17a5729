// train.c: gpt, 3 layers, 2 heads, 10 wide, context 6, vocabulary 17.
//
//   made by      lua5.4 gen/main.lua --backend cpu --name again configs/gpt2.lua n_layer=3
//                n_head=2 n_embd=10 block_size=6 vocab_size=17 batch_size=3 bias=true
//                qkv_bias=true lm_head_bias=false tie_weights=true activation=gelu_erf
//                attn_scale=head dropout=0.1 dropout_embd=true init=nanogpt optimizer=adamw
//                decay_params=matrices recompute=none logits_rows=0 dtype=float32 isa=avx2
//   parameters   4240
//   memory       weights, gradients and moments 0.0 MiB each, packed weights 0.0 MiB,
//                activations 0.0 MiB (0.1 MiB before planning)
//   one step     623.4 kFLOP (490.3 kFLOP as nanoGPT counts), a micro-batch of
//                3 x 6 tokens
//
// In this order: kernels as they are first used, model_prepare, model_forward, model_loss,
// model_backward, and what the runtime is told. Each buffer is declared with its shape; the comment
// above a call names the line of the model that asked for it.
#include "model.h"

#include "runtime/kernel.h"

_Static_assert(VEC == 8, "this model is laid out for avx2; compile with '-march=x86-64-v3'");

enum { TILE_ROWS = 6, TILE_VECS = 2, TILE_COLS = TILE_VECS * VEC };

// acc (rows, vecs) += a (rows, depth) b (depth, vecs): element (i, k) of a lies at a[i * a_row + k
// * a_k], a row of b at b + k * b_k. rows and vecs are constants where this is inlined, so acc
// stays in registers.
VEC_INLINE void tile_multiply(vec acc[TILE_ROWS][TILE_VECS], const int rows, const int vecs,
                              int depth, const float *a, ptrdiff_t a_row, ptrdiff_t a_k,
                              const float *b, ptrdiff_t b_k) {
    for (int k = 0; k < depth; k++) {
        vec bk[TILE_VECS];
#pragma GCC unroll 4
        for (int v = 0; v < vecs; v++) {
            bk[v] = vec_load(b + v * VEC);
        }
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++) {
            vec ai = vec_splat(a[i * a_row]);
#pragma GCC unroll 4
            for (int v = 0; v < vecs; v++) {
                acc[i][v] = vec_fma(ai, bk[v], acc[i][v]);
            }
        }
        a += a_k;
        b += b_k;
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

// The last of a row's vectors holds `last` columns; what lies beyond is not touched.
VEC_INLINE void tile_load(vec acc[TILE_ROWS][TILE_VECS], const int rows, const int vecs,
                          const int last, const float *from, ptrdiff_t stride) {
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++) {
#pragma GCC unroll 4
        for (int v = 0; v < vecs; v++) {
            acc[i][v] = vec_load_n(from + i * stride + v * VEC, v == vecs - 1 ? last : VEC);
        }
    }
}

VEC_INLINE void tile_store(vec acc[TILE_ROWS][TILE_VECS], const int rows, const int vecs,
                           const int last, float *to, ptrdiff_t stride) {
#pragma GCC unroll 16
    for (int i = 0; i < rows; i++) {
#pragma GCC unroll 4
        for (int v = 0; v < vecs; v++) {
            vec_store_n(to + i * stride + v * VEC, acc[i][v], v == vecs - 1 ? last : VEC);
        }
    }
}

// Copies `columns` of each of `depth` rows into rows of `width` floats, 0 behind them.
VEC_INLINE void tile_pack(float *to, const int width, const float *from, ptrdiff_t stride,
                          int depth, const int columns) {
    for (int k = 0; k < depth; k++) {
        for (int c = 0; c < width; c += VEC) {
            vec v = c < columns ? row_load(from + k * stride, c, columns) : vec_splat(0.0f);
            row_store(to + (size_t)k * width, c, width, v);
        }
    }
}

// to (columns) += the sum of the rows of a packed tile, in order.
__attribute__((unused)) static void tile_add_rows(float *to, const float *packed, int depth,
                                                  int columns) {
    for (int c = 0; c < columns; c++) {
        float sum = to[c];
        for (int k = 0; k < depth; k++) {
            sum += packed[k * TILE_ROWS + c];
        }
        to[c] = sum;
    }
}

// Copies `rows` rows of `depth` floats, turned, into depth rows of `width` floats, 0 behind them.
__attribute__((unused)) static void tile_pack_turned(float *to, int width, const float *from,
                                                     ptrdiff_t stride, int depth, int rows) {
    for (int k = 0; k < depth; k += 4) {
        float *at = to + (size_t)k * width;
        const int fours = depth - k >= 4 ? rows / 4 * 4 : 0;
        for (int r = 0; r < fours; r += 4) {
            vec_turn_4x4(at + r, width, from + r * stride + k, stride);
        }
        for (int i = k; i < int_min(k + 4, depth); i++, at += width) {
            for (int r = fours; r < width; r++) {
                at[r] = r < rows ? from[r * stride + i] : 0.0f;
            }
        }
    }
}

// Calls tile(..., rows, vecs, last) with the constants of a whole tile, or of the last row or
// panel.
#define TILE_CASES(tile, i, p, ROWS, COLS, ...)                                                    \
    do {                                                                                           \
        enum { LAST_COLS = ((COLS)-1) % TILE_COLS + 1 };                                           \
        enum { LAST_VECS = DIVIDE_UP(LAST_COLS, VEC), LAST = LAST_COLS - (LAST_VECS - 1) * VEC };  \
        const bool rows_whole = (ROWS) % TILE_ROWS == 0 || (i) + TILE_ROWS <= (ROWS);              \
        const bool cols_whole = ((p) + 1) * TILE_COLS <= (COLS);                                   \
        if (rows_whole && cols_whole) {                                                            \
            tile(__VA_ARGS__, i, p, TILE_ROWS, TILE_VECS, VEC);                                    \
        } else if (rows_whole) {                                                                   \
            tile(__VA_ARGS__, i, p, TILE_ROWS, LAST_VECS, LAST);                                   \
        } else if (cols_whole) {                                                                   \
            tile(__VA_ARGS__, i, p, (ROWS) % TILE_ROWS, TILE_VECS, VEC);                           \
        } else {                                                                                   \
            tile(__VA_ARGS__, i, p, (ROWS) % TILE_ROWS, LAST_VECS, LAST);                          \
        }                                                                                          \
    } while (0)

// pack_17x10x2x16, from templates/cpu/matmul.c:122. Called once a step: 0 FLOP, 2.0 kB each.
static void pack_17x10x2x16(float *packed, const float *w, int thread, int threads) {
    enum { C = 10, O = 17, P = 2, S = 16 };
    const struct range mine = share(P, thread, threads);
    for (int p = mine.first; p < mine.last; p++) {
        tile_pack_turned(packed + (size_t)p * C * S, S, w + (size_t)p * S * C, C, C,
                         int_min(S, O - p * S));
    }
}

// pack_30x10x2x16, from templates/cpu/matmul.c:122. Called 3 times a step: 0 FLOP, 2.5 kB each.
static void pack_30x10x2x16(float *packed, const float *w, int thread, int threads) {
    enum { C = 10, O = 30, P = 2, S = 16 };
    const struct range mine = share(P, thread, threads);
    for (int p = mine.first; p < mine.last; p++) {
        tile_pack_turned(packed + (size_t)p * C * S, S, w + (size_t)p * S * C, C, C,
                         int_min(S, O - p * S));
    }
}

// pack_10x10x1x16, from templates/cpu/matmul.c:122. Called 3 times a step: 0 FLOP, 1.0 kB each.
static void pack_10x10x1x16(float *packed, const float *w, int thread, int threads) {
    enum { C = 10, O = 10, P = 1, S = 16 };
    const struct range mine = share(P, thread, threads);
    for (int p = mine.first; p < mine.last; p++) {
        tile_pack_turned(packed + (size_t)p * C * S, S, w + (size_t)p * S * C, C, C,
                         int_min(S, O - p * S));
    }
}

// pack_40x10x3x16, from templates/cpu/matmul.c:122. Called 3 times a step: 0 FLOP, 3.5 kB each.
static void pack_40x10x3x16(float *packed, const float *w, int thread, int threads) {
    enum { C = 10, O = 40, P = 3, S = 16 };
    const struct range mine = share(P, thread, threads);
    for (int p = mine.first; p < mine.last; p++) {
        tile_pack_turned(packed + (size_t)p * C * S, S, w + (size_t)p * S * C, C, C,
                         int_min(S, O - p * S));
    }
}

// pack_10x40x1x16, from templates/cpu/matmul.c:122. Called 3 times a step: 0 FLOP, 4.2 kB each.
static void pack_10x40x1x16(float *packed, const float *w, int thread, int threads) {
    enum { C = 40, O = 10, P = 1, S = 16 };
    const struct range mine = share(P, thread, threads);
    for (int p = mine.first; p < mine.last; p++) {
        tile_pack_turned(packed + (size_t)p * C * S, S, w + (size_t)p * S * C, C, C,
                         int_min(S, O - p * S));
    }
}

// pack_dx_17x10x1x16, from templates/cpu/matmul.c:134. Called once a step: 0 FLOP, 1.8 kB each.
static void pack_dx_17x10x1x16(float *packed, const float *w, int thread, int threads) {
    enum { C = 10, O = 17, P = 1, S = 16 };
    const struct range mine = share(P, thread, threads);
    for (int p = mine.first; p < mine.last; p++) {
        float *to = packed + (size_t)p * O * S;
        const float *from = w + (size_t)p * S;
        if ((p + 1) * S <= C) {
            tile_pack(to, S, from, C, O, S);
        } else {
            tile_pack(to, S, from, C, O, (C - 1) % S + 1);
        }
    }
}

// pack_dx_30x10x1x16, from templates/cpu/matmul.c:134. Called 3 times a step: 0 FLOP, 3.1 kB each.
static void pack_dx_30x10x1x16(float *packed, const float *w, int thread, int threads) {
    enum { C = 10, O = 30, P = 1, S = 16 };
    const struct range mine = share(P, thread, threads);
    for (int p = mine.first; p < mine.last; p++) {
        float *to = packed + (size_t)p * O * S;
        const float *from = w + (size_t)p * S;
        if ((p + 1) * S <= C) {
            tile_pack(to, S, from, C, O, S);
        } else {
            tile_pack(to, S, from, C, O, (C - 1) % S + 1);
        }
    }
}

// pack_dx_10x10x1x16, from templates/cpu/matmul.c:134. Called 3 times a step: 0 FLOP, 1.0 kB each.
static void pack_dx_10x10x1x16(float *packed, const float *w, int thread, int threads) {
    enum { C = 10, O = 10, P = 1, S = 16 };
    const struct range mine = share(P, thread, threads);
    for (int p = mine.first; p < mine.last; p++) {
        float *to = packed + (size_t)p * O * S;
        const float *from = w + (size_t)p * S;
        if ((p + 1) * S <= C) {
            tile_pack(to, S, from, C, O, S);
        } else {
            tile_pack(to, S, from, C, O, (C - 1) % S + 1);
        }
    }
}

// pack_dx_40x10x1x16, from templates/cpu/matmul.c:134. Called 3 times a step: 0 FLOP, 4.2 kB each.
static void pack_dx_40x10x1x16(float *packed, const float *w, int thread, int threads) {
    enum { C = 10, O = 40, P = 1, S = 16 };
    const struct range mine = share(P, thread, threads);
    for (int p = mine.first; p < mine.last; p++) {
        float *to = packed + (size_t)p * O * S;
        const float *from = w + (size_t)p * S;
        if ((p + 1) * S <= C) {
            tile_pack(to, S, from, C, O, S);
        } else {
            tile_pack(to, S, from, C, O, (C - 1) % S + 1);
        }
    }
}

// pack_dx_10x40x3x16, from templates/cpu/matmul.c:134. Called 3 times a step: 0 FLOP, 3.5 kB each.
static void pack_dx_10x40x3x16(float *packed, const float *w, int thread, int threads) {
    enum { C = 40, O = 10, P = 3, S = 16 };
    const struct range mine = share(P, thread, threads);
    for (int p = mine.first; p < mine.last; p++) {
        float *to = packed + (size_t)p * O * S;
        const float *from = w + (size_t)p * S;
        if ((p + 1) * S <= C) {
            tile_pack(to, S, from, C, O, S);
        } else {
            tile_pack(to, S, from, C, O, (C - 1) % S + 1);
        }
    }
}

// embed_18x17x10x6_dropout, from templates/cpu/embed.c:3.
// Called once a step: 1.1 kFLOP, 1.7 kB each.
static void embed_18x17x10x6_dropout(const struct model *m, float *y, const int32_t *tokens,
                                     const float *wte, const float *wpe, uint32_t site, int thread,
                                     int threads) {
    enum { N = 18, T = 6, C = 10, V = 17, COLS = C };
    const struct dropout drop = dropout_make(m->dropout, m->dropout_key);
    const struct range mine = share(N, thread, threads);
    for (int row = mine.first; row < mine.last; row++) {
        const float *token = wte + (size_t)tokens[row] * C;
        const float *position = wpe + (size_t)(row % T) * C;
        for (int col = 0; col < C; col += VEC) {
            vec value = row_load(token, col, C);
            value += row_load(position, col, C);
            value = value * dropout_mask(&drop, site, row, DROPOUT_CHUNKS(COLS), col);
            row_store(y + (size_t)row * C, col, C, value);
        }
    }
}

// layernorm_18x10, from templates/cpu/layernorm.c:3. Called 7 times a step: 1.4 kFLOP, 1.7 kB each.
static void layernorm_18x10(float *y, float *mean, float *rstd, const float *x, const float *scale,
                            const float *shift, int thread, int threads) {
    enum { N = 18, C = 10 };
    const struct range mine = share(N, thread, threads);
    for (int n = mine.first; n < mine.last; n++) {
        const float *xn = x + (size_t)n * C;
        vec sum = vec_splat(0.0f);
        for (int c = 0; c < C; c += VEC) {
            sum += row_load(xn, c, C);
        }
        const float mu = vec_sum(sum) / C;
        vec squares = vec_splat(0.0f);
        for (int c = 0; c < C; c += VEC) {
            const vec d = row_only(row_load(xn, c, C) - mu, c, C, 0.0f);
            squares = vec_fma(d, d, squares);
        }
        const float r = 1.0f / sqrtf(vec_sum(squares) / C + 1e-05f);
        for (int c = 0; c < C; c += VEC) {
            const vec normal = (row_load(xn, c, C) - mu) * r;
            const vec yc = vec_fma(normal, row_load(scale, c, C), row_load(shift, c, C));
            row_store(y + (size_t)n * C, c, C, yc);
        }
        mean[n] = mu;
        rstd[n] = r;
    }
}

// matmul_18x10x30_bias, from templates/cpu/matmul.c:6.
// Called 3 times a step: 11.3 kFLOP, 4.3 kB each.
VEC_INLINE void matmul_18x10x30_bias_tile(float *y, const float *x, const float *packed,
                                          const float *bias, int i, int p, const int rows,
                                          const int vecs, const int last) {
    enum { N = 18, C = 10, O = 30, K = C, COLS = O };
    vec acc[TILE_ROWS][TILE_VECS];
    tile_zero(acc, rows, vecs);
    tile_multiply(acc, rows, vecs, K, x + (size_t)i * K, K, 1, packed + (size_t)p * K * TILE_COLS,
                  TILE_COLS);
    // By way of memory: unrolled, the code below would be long and short of registers.
    _Alignas(64) float done[TILE_ROWS * TILE_COLS];
    tile_store(acc, rows, vecs, VEC, done, TILE_COLS);
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 4
        for (int v = 0; v < vecs; v++) {
            const int row = i + r, col = p * TILE_COLS + v * VEC;
            const int lanes = v == vecs - 1 ? last : VEC;
            const size_t at = (size_t)row * COLS + (size_t)col;
            vec value = vec_load(done + r * TILE_COLS + v * VEC);
            value = value + vec_load_n(bias + col, lanes);
            vec_store_n(y + at, value, lanes);
        }
    }
}

static void matmul_18x10x30_bias(float *y, const float *x, const float *packed, const float *bias,
                                 int thread, int threads) {
    enum { N = 18, C = 10, O = 30, K = C, COLS = O };
    enum { TILES = DIVIDE_UP(N, TILE_ROWS), PANELS = DIVIDE_UP(COLS, TILE_COLS) };
    // An item is a block of rows times a panel. The block's rows stay in the second-level cache
    // while the panels pass by; blocks are alike, and small enough for 64 items, so that threads
    // share evenly.
    enum { MOST = MAX(1, MIN(65536 / (K * TILE_ROWS), TILES * PANELS / 64)) };
    enum { BLOCKS = DIVIDE_UP(TILES, MOST), BLOCK = DIVIDE_UP(TILES, BLOCKS) * TILE_ROWS };
    // The larger operand is read once: rows outside where they are more than the weight.
    enum { ROWS_OUTSIDE = N >= COLS };
    const struct range mine = share(BLOCKS * PANELS, thread, threads);
    for (int item = mine.first; item < mine.last; item++) {
        const int block = ROWS_OUTSIDE ? item / PANELS : item % BLOCKS;
        const int p = ROWS_OUTSIDE ? item % PANELS : item / BLOCKS;
        for (int i = block * BLOCK; i < int_min(N, (block + 1) * BLOCK); i += TILE_ROWS) {
            TILE_CASES(matmul_18x10x30_bias_tile, i, p, N, COLS, y, x, packed, bias);
        }
    }
}

// heads_3x6x2x5, from templates/cpu/attention.c:22: what kernels of these sizes share.
// Scores of one tile of queries against one panel of keys: to (TILE_ROWS, KEYS) = q (.., D) kt (D,
// panel).
VEC_INLINE void heads_3x6x2x5_scores(float *to, const float *q, int q_stride, const float *kt,
                                     int i, int p, const int rows, const int vecs, const int last) {
    enum { N = 18, B = 3, T = 6, C = 10, H = 2, D = 5, E = 30 };
    // KEYS: T in whole panels. WIDE: D in whole panels. BLOCK: queries whose weights are held.
    enum { KEYS = DIVIDE_UP(T, TILE_COLS) * TILE_COLS, WIDE = DIVIDE_UP(D, TILE_COLS) * TILE_COLS };
    enum { BLOCK = T <= 8 * TILE_ROWS ? T : 4 * TILE_ROWS };
    (void)last;
    vec acc[TILE_ROWS][TILE_VECS];
    tile_zero(acc, rows, vecs);
    tile_multiply(acc, rows, vecs, D, q + (size_t)i * q_stride, q_stride, 1,
                  kt + (size_t)p * D * TILE_COLS, TILE_COLS);
    tile_store(acc, rows, vecs, VEC, to + (size_t)i * KEYS + p * TILE_COLS, KEYS);
}

// One tile of to (.., D) = or += weights (.., depth) rows (depth, D), weights read along or across.
VEC_INLINE void heads_3x6x2x5_mix(float *to, int to_stride, bool add, const float *weights,
                                  ptrdiff_t w_row, ptrdiff_t w_k, const float *panel, int depth,
                                  int i, int p, const int rows, const int vecs, const int last) {
    enum { N = 18, B = 3, T = 6, C = 10, H = 2, D = 5, E = 30 };
    // KEYS: T in whole panels. WIDE: D in whole panels. BLOCK: queries whose weights are held.
    enum { KEYS = DIVIDE_UP(T, TILE_COLS) * TILE_COLS, WIDE = DIVIDE_UP(D, TILE_COLS) * TILE_COLS };
    enum { BLOCK = T <= 8 * TILE_ROWS ? T : 4 * TILE_ROWS };
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
static void heads_3x6x2x5_pack(float *to, const float *from, int stride) {
    enum { N = 18, B = 3, T = 6, C = 10, H = 2, D = 5, E = 30 };
    // KEYS: T in whole panels. WIDE: D in whole panels. BLOCK: queries whose weights are held.
    enum { KEYS = DIVIDE_UP(T, TILE_COLS) * TILE_COLS, WIDE = DIVIDE_UP(D, TILE_COLS) * TILE_COLS };
    enum { BLOCK = T <= 8 * TILE_ROWS ? T : 4 * TILE_ROWS };
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
static void heads_3x6x2x5_pack_turned(float *to, const float *from, int stride) {
    enum { N = 18, B = 3, T = 6, C = 10, H = 2, D = 5, E = 30 };
    // KEYS: T in whole panels. WIDE: D in whole panels. BLOCK: queries whose weights are held.
    enum { KEYS = DIVIDE_UP(T, TILE_COLS) * TILE_COLS, WIDE = DIVIDE_UP(D, TILE_COLS) * TILE_COLS };
    enum { BLOCK = T <= 8 * TILE_ROWS ? T : 4 * TILE_ROWS };
    for (int p = 0; p < KEYS / TILE_COLS; p++) {
        tile_pack_turned(to + (size_t)p * D * TILE_COLS, TILE_COLS,
                         from + (size_t)p * TILE_COLS * stride, stride, D,
                         int_min(TILE_COLS, T - p * TILE_COLS));
    }
}

// Scores of all queries [first, last) of a block against the keys that they may see.
static void heads_3x6x2x5_block(float *to, const float *q, int q_stride, const float *kt, int first,
                                int last) {
    enum { N = 18, B = 3, T = 6, C = 10, H = 2, D = 5, E = 30 };
    // KEYS: T in whole panels. WIDE: D in whole panels. BLOCK: queries whose weights are held.
    enum { KEYS = DIVIDE_UP(T, TILE_COLS) * TILE_COLS, WIDE = DIVIDE_UP(D, TILE_COLS) * TILE_COLS };
    enum { BLOCK = T <= 8 * TILE_ROWS ? T : 4 * TILE_ROWS };
    to -= (size_t)first * KEYS;
    for (int p = 0; p < KEYS / TILE_COLS; p++) {
        for (int i = first; i < last; i += TILE_ROWS) {
            if (p * TILE_COLS <= i + TILE_ROWS - 1) {
                TILE_CASES(heads_3x6x2x5_scores, i, p, T, KEYS, to, q, q_stride, kt);
            }
        }
    }
}

// attention_3x6x2x5_dropout, from templates/cpu/attention.c:92.
// Called 3 times a step: 2.5 kFLOP, 3.0 kB each.
struct attention_3x6x2x5_dropout_scratch {
    float kt[80];          // KEYS * D, turned panels
    float v[96];           // WIDE * T, panels
    float weights[96]; // BLOCK * KEYS
};

static void attention_3x6x2x5_dropout(const struct model *m, float *y, float *lse, const float *qkv,
                                      uint32_t site, void *scratch, int thread, int threads) {
    enum { N = 18, B = 3, T = 6, C = 10, H = 2, D = 5, E = 30 };
    // KEYS: T in whole panels. WIDE: D in whole panels. BLOCK: queries whose weights are held.
    enum { KEYS = DIVIDE_UP(T, TILE_COLS) * TILE_COLS, WIDE = DIVIDE_UP(D, TILE_COLS) * TILE_COLS };
    enum { BLOCK = T <= 8 * TILE_ROWS ? T : 4 * TILE_ROWS };
    struct attention_3x6x2x5_dropout_scratch *s = scratch;
    const float scale = 0.447213595f;
    const struct dropout drop = dropout_make(m->dropout, m->dropout_key);
    const struct range mine = share(B * H, thread, threads);
    for (int item = mine.first; item < mine.last; item++) {
        const int b = item / H, h = item % H;
        const float *q = qkv + (size_t)b * T * E + h * D; // (T, D), rows E apart
        heads_3x6x2x5_pack_turned(s->kt, q + C, E);
        heads_3x6x2x5_pack(s->v, q + 2 * C, E);
        for (int first = 0; first < T; first += BLOCK) {
            const int last = int_min(first + BLOCK, T);
            heads_3x6x2x5_block(s->weights, q, E, s->kt, first, last);
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
                lse[(size_t)h * N + b * T + i] = largest + logf(sum);
                for (int j = 0; j < end; j += VEC) {
                    vec e = vec_load(w + j) * (1.0f / sum);
                    e *= dropout_mask(&drop, site, (int64_t)item * T + i, DROPOUT_CHUNKS(T), j);
                    vec_store(w + j, e);
                }
            }
            for (int i = first; i < last; i += TILE_ROWS) {
                const int depth = int_min(i + TILE_ROWS, last);
                for (int p = 0; p < WIDE / TILE_COLS; p++) {
                    TILE_CASES(heads_3x6x2x5_mix, i, p, T, D, y + (size_t)b * T * C + h * D, C,
                               false, s->weights - (size_t)first * KEYS, KEYS, 1, s->v, depth);
                }
            }
        }
    }
}

// matmul_18x10x10_bias_dropout_add, from templates/cpu/matmul.c:6.
// Called 3 times a step: 4.9 kFLOP, 2.8 kB each.
VEC_INLINE void matmul_18x10x10_bias_dropout_add_tile(const struct model *m, float *y,
                                                      const float *x, const float *packed,
                                                      const float *bias, const float *addend,
                                                      uint32_t site, int i, int p, const int rows,
                                                      const int vecs, const int last) {
    enum { N = 18, C = 10, O = 10, K = C, COLS = O };
    vec acc[TILE_ROWS][TILE_VECS];
    tile_zero(acc, rows, vecs);
    tile_multiply(acc, rows, vecs, K, x + (size_t)i * K, K, 1, packed + (size_t)p * K * TILE_COLS,
                  TILE_COLS);
    const struct dropout drop = dropout_make(m->dropout, m->dropout_key);
    // By way of memory: unrolled, the code below would be long and short of registers.
    _Alignas(64) float done[TILE_ROWS * TILE_COLS];
    tile_store(acc, rows, vecs, VEC, done, TILE_COLS);
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 4
        for (int v = 0; v < vecs; v++) {
            const int row = i + r, col = p * TILE_COLS + v * VEC;
            const int lanes = v == vecs - 1 ? last : VEC;
            const size_t at = (size_t)row * COLS + (size_t)col;
            vec value = vec_load(done + r * TILE_COLS + v * VEC);
            value = value + vec_load_n(bias + col, lanes);
            value = value * dropout_mask(&drop, site, row, DROPOUT_CHUNKS(COLS), col);
            value = value + vec_load_n(addend + at, lanes);
            vec_store_n(y + at, value, lanes);
        }
    }
}

static void matmul_18x10x10_bias_dropout_add(const struct model *m, float *y, const float *x,
                                             const float *packed, const float *bias,
                                             const float *addend, uint32_t site, int thread,
                                             int threads) {
    enum { N = 18, C = 10, O = 10, K = C, COLS = O };
    enum { TILES = DIVIDE_UP(N, TILE_ROWS), PANELS = DIVIDE_UP(COLS, TILE_COLS) };
    // An item is a block of rows times a panel. The block's rows stay in the second-level cache
    // while the panels pass by; blocks are alike, and small enough for 64 items, so that threads
    // share evenly.
    enum { MOST = MAX(1, MIN(65536 / (K * TILE_ROWS), TILES * PANELS / 64)) };
    enum { BLOCKS = DIVIDE_UP(TILES, MOST), BLOCK = DIVIDE_UP(TILES, BLOCKS) * TILE_ROWS };
    // The larger operand is read once: rows outside where they are more than the weight.
    enum { ROWS_OUTSIDE = N >= COLS };
    const struct range mine = share(BLOCKS * PANELS, thread, threads);
    for (int item = mine.first; item < mine.last; item++) {
        const int block = ROWS_OUTSIDE ? item / PANELS : item % BLOCKS;
        const int p = ROWS_OUTSIDE ? item % PANELS : item / BLOCKS;
        for (int i = block * BLOCK; i < int_min(N, (block + 1) * BLOCK); i += TILE_ROWS) {
            TILE_CASES(matmul_18x10x10_bias_dropout_add_tile, i, p, N, COLS, m, y, x, packed, bias,
                       addend, site);
        }
    }
}

// matmul_18x10x40_bias_keep_gelu_erf, from templates/cpu/matmul.c:6.
// Called 3 times a step: 36.7 kFLOP, 8.6 kB each.
VEC_INLINE void matmul_18x10x40_bias_keep_gelu_erf_tile(float *y, float *kept, const float *x,
                                                        const float *packed, const float *bias,
                                                        int i, int p, const int rows,
                                                        const int vecs, const int last) {
    enum { N = 18, C = 10, O = 40, K = C, COLS = O };
    vec acc[TILE_ROWS][TILE_VECS];
    tile_zero(acc, rows, vecs);
    tile_multiply(acc, rows, vecs, K, x + (size_t)i * K, K, 1, packed + (size_t)p * K * TILE_COLS,
                  TILE_COLS);
    // By way of memory: unrolled, the code below would be long and short of registers.
    _Alignas(64) float done[TILE_ROWS * TILE_COLS];
    tile_store(acc, rows, vecs, VEC, done, TILE_COLS);
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 4
        for (int v = 0; v < vecs; v++) {
            const int row = i + r, col = p * TILE_COLS + v * VEC;
            const int lanes = v == vecs - 1 ? last : VEC;
            const size_t at = (size_t)row * COLS + (size_t)col;
            vec value = vec_load(done + r * TILE_COLS + v * VEC);
            value = value + vec_load_n(bias + col, lanes);
            vec_store_n(kept + at, value, lanes);
            value = gelu_erf(value);
            vec_store_n(y + at, value, lanes);
        }
    }
}

static void matmul_18x10x40_bias_keep_gelu_erf(float *y, float *kept, const float *x,
                                               const float *packed, const float *bias, int thread,
                                               int threads) {
    enum { N = 18, C = 10, O = 40, K = C, COLS = O };
    enum { TILES = DIVIDE_UP(N, TILE_ROWS), PANELS = DIVIDE_UP(COLS, TILE_COLS) };
    // An item is a block of rows times a panel. The block's rows stay in the second-level cache
    // while the panels pass by; blocks are alike, and small enough for 64 items, so that threads
    // share evenly.
    enum { MOST = MAX(1, MIN(65536 / (K * TILE_ROWS), TILES * PANELS / 64)) };
    enum { BLOCKS = DIVIDE_UP(TILES, MOST), BLOCK = DIVIDE_UP(TILES, BLOCKS) * TILE_ROWS };
    // The larger operand is read once: rows outside where they are more than the weight.
    enum { ROWS_OUTSIDE = N >= COLS };
    const struct range mine = share(BLOCKS * PANELS, thread, threads);
    for (int item = mine.first; item < mine.last; item++) {
        const int block = ROWS_OUTSIDE ? item / PANELS : item % BLOCKS;
        const int p = ROWS_OUTSIDE ? item % PANELS : item / BLOCKS;
        for (int i = block * BLOCK; i < int_min(N, (block + 1) * BLOCK); i += TILE_ROWS) {
            TILE_CASES(matmul_18x10x40_bias_keep_gelu_erf_tile, i, p, N, COLS, y, kept, x, packed,
                       bias);
        }
    }
}

// matmul_18x40x10_bias_dropout_add, from templates/cpu/matmul.c:6.
// Called 3 times a step: 15.7 kFLOP, 6.9 kB each.
VEC_INLINE void matmul_18x40x10_bias_dropout_add_tile(const struct model *m, float *y,
                                                      const float *x, const float *packed,
                                                      const float *bias, const float *addend,
                                                      uint32_t site, int i, int p, const int rows,
                                                      const int vecs, const int last) {
    enum { N = 18, C = 40, O = 10, K = C, COLS = O };
    vec acc[TILE_ROWS][TILE_VECS];
    tile_zero(acc, rows, vecs);
    tile_multiply(acc, rows, vecs, K, x + (size_t)i * K, K, 1, packed + (size_t)p * K * TILE_COLS,
                  TILE_COLS);
    const struct dropout drop = dropout_make(m->dropout, m->dropout_key);
    // By way of memory: unrolled, the code below would be long and short of registers.
    _Alignas(64) float done[TILE_ROWS * TILE_COLS];
    tile_store(acc, rows, vecs, VEC, done, TILE_COLS);
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 4
        for (int v = 0; v < vecs; v++) {
            const int row = i + r, col = p * TILE_COLS + v * VEC;
            const int lanes = v == vecs - 1 ? last : VEC;
            const size_t at = (size_t)row * COLS + (size_t)col;
            vec value = vec_load(done + r * TILE_COLS + v * VEC);
            value = value + vec_load_n(bias + col, lanes);
            value = value * dropout_mask(&drop, site, row, DROPOUT_CHUNKS(COLS), col);
            value = value + vec_load_n(addend + at, lanes);
            vec_store_n(y + at, value, lanes);
        }
    }
}

static void matmul_18x40x10_bias_dropout_add(const struct model *m, float *y, const float *x,
                                             const float *packed, const float *bias,
                                             const float *addend, uint32_t site, int thread,
                                             int threads) {
    enum { N = 18, C = 40, O = 10, K = C, COLS = O };
    enum { TILES = DIVIDE_UP(N, TILE_ROWS), PANELS = DIVIDE_UP(COLS, TILE_COLS) };
    // An item is a block of rows times a panel. The block's rows stay in the second-level cache
    // while the panels pass by; blocks are alike, and small enough for 64 items, so that threads
    // share evenly.
    enum { MOST = MAX(1, MIN(65536 / (K * TILE_ROWS), TILES * PANELS / 64)) };
    enum { BLOCKS = DIVIDE_UP(TILES, MOST), BLOCK = DIVIDE_UP(TILES, BLOCKS) * TILE_ROWS };
    // The larger operand is read once: rows outside where they are more than the weight.
    enum { ROWS_OUTSIDE = N >= COLS };
    const struct range mine = share(BLOCKS * PANELS, thread, threads);
    for (int item = mine.first; item < mine.last; item++) {
        const int block = ROWS_OUTSIDE ? item / PANELS : item % BLOCKS;
        const int p = ROWS_OUTSIDE ? item % PANELS : item / BLOCKS;
        for (int i = block * BLOCK; i < int_min(N, (block + 1) * BLOCK); i += TILE_ROWS) {
            TILE_CASES(matmul_18x40x10_bias_dropout_add_tile, i, p, N, COLS, m, y, x, packed, bias,
                       addend, site);
        }
    }
}

// matmul_18x10x17, from templates/cpu/matmul.c:6. Called once a step: 6.1 kFLOP, 3.2 kB each.
VEC_INLINE void matmul_18x10x17_tile(float *y, const float *x, const float *packed, int i, int p,
                                     const int rows, const int vecs, const int last) {
    enum { N = 18, C = 10, O = 17, K = C, COLS = O };
    vec acc[TILE_ROWS][TILE_VECS];
    tile_zero(acc, rows, vecs);
    tile_multiply(acc, rows, vecs, K, x + (size_t)i * K, K, 1, packed + (size_t)p * K * TILE_COLS,
                  TILE_COLS);
    tile_store(acc, rows, vecs, last, y + (size_t)i * COLS + p * TILE_COLS, COLS);
}

static void matmul_18x10x17(float *y, const float *x, const float *packed, int thread,
                            int threads) {
    enum { N = 18, C = 10, O = 17, K = C, COLS = O };
    enum { TILES = DIVIDE_UP(N, TILE_ROWS), PANELS = DIVIDE_UP(COLS, TILE_COLS) };
    // An item is a block of rows times a panel. The block's rows stay in the second-level cache
    // while the panels pass by; blocks are alike, and small enough for 64 items, so that threads
    // share evenly.
    enum { MOST = MAX(1, MIN(65536 / (K * TILE_ROWS), TILES * PANELS / 64)) };
    enum { BLOCKS = DIVIDE_UP(TILES, MOST), BLOCK = DIVIDE_UP(TILES, BLOCKS) * TILE_ROWS };
    // The larger operand is read once: rows outside where they are more than the weight.
    enum { ROWS_OUTSIDE = N >= COLS };
    const struct range mine = share(BLOCKS * PANELS, thread, threads);
    for (int item = mine.first; item < mine.last; item++) {
        const int block = ROWS_OUTSIDE ? item / PANELS : item % BLOCKS;
        const int p = ROWS_OUTSIDE ? item % PANELS : item / BLOCKS;
        for (int i = block * BLOCK; i < int_min(N, (block + 1) * BLOCK); i += TILE_ROWS) {
            TILE_CASES(matmul_18x10x17_tile, i, p, N, COLS, y, x, packed);
        }
    }
}

// cross_entropy_18x17, from templates/cpu/cross_entropy.c:22.
// In evaluations: 7.7 kFLOP, 1.4 kB each.
static void cross_entropy_18x17_row(const float *logits, float *largest, float *sum) {
    enum { N = 18, V = 17 };
    vec high = vec_splat(-INFINITY);
    for (int v = 0; v < V; v += VEC) {
        high = vec_max(row_only(row_load(logits, v, V), v, V, -INFINITY), high);
    }
    const float top = vec_largest(high);
    vec total = vec_splat(0.0f);
    for (int v = 0; v < V; v += VEC) {
        total += row_only(vec_exp(row_load(logits, v, V) - top), v, V, 0.0f);
    }
    *largest = top;
    *sum = vec_sum(total);
}

static void cross_entropy_18x17(float *losses, const float *logits, const int32_t *targets,
                                int thread, int threads) {
    enum { N = 18, V = 17 };
    const struct range mine = share(N, thread, threads);
    for (int n = mine.first; n < mine.last; n++) {
        const float *row = logits + (size_t)n * V;
        float largest, sum;
        cross_entropy_18x17_row(row, &largest, &sum);
        losses[n] = targets[n] < 0 ? 0.0f : largest + logf(sum) - row[targets[n]];
    }
}

// mean_loss_18, from templates/cpu/cross_entropy.c:64. Called once a step: 18 FLOP, 144 B each.
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

// cross_entropy_backward_18x17, from templates/cpu/cross_entropy.c:38.
// Called once a step: 7.7 kFLOP, 2.6 kB each.
static void cross_entropy_backward_18x17_row(const float *logits, float *largest, float *sum) {
    enum { N = 18, V = 17 };
    vec high = vec_splat(-INFINITY);
    for (int v = 0; v < V; v += VEC) {
        high = vec_max(row_only(row_load(logits, v, V), v, V, -INFINITY), high);
    }
    const float top = vec_largest(high);
    vec total = vec_splat(0.0f);
    for (int v = 0; v < V; v += VEC) {
        total += row_only(vec_exp(row_load(logits, v, V) - top), v, V, 0.0f);
    }
    *largest = top;
    *sum = vec_sum(total);
}

static void cross_entropy_backward_18x17(const struct model *m, float *dlogits, float *losses,
                                         const float *logits, const int32_t *targets, int thread,
                                         int threads) {
    enum { N = 18, V = 17 };
    const struct range mine = share(N, thread, threads);
    for (int n = mine.first; n < mine.last; n++) {
        const float *row = logits + (size_t)n * V;
        float *drow = dlogits + (size_t)n * V;
        if (targets[n] < 0) {
            losses[n] = 0.0f;
            memset(drow, 0, V * sizeof(float));
            continue;
        }
        float largest, sum;
        cross_entropy_backward_18x17_row(row, &largest, &sum);
        losses[n] = largest + logf(sum) - row[targets[n]];
        const float scale = m->loss_scale / sum;
        for (int v = 0; v < V; v += VEC) {
            row_store(drow, v, V, vec_exp(row_load(row, v, V) - largest) * scale);
        }
        drow[targets[n]] -= m->loss_scale;
    }
}

// matmul_dx_18x17x10, from templates/cpu/matmul.c:6. Called once a step: 6.1 kFLOP, 3.0 kB each.
VEC_INLINE void matmul_dx_18x17x10_tile(float *dx, const float *dy, const float *packed, int i,
                                        int p, const int rows, const int vecs, const int last) {
    enum { N = 18, C = 10, O = 17, K = O, COLS = C };
    vec acc[TILE_ROWS][TILE_VECS];
    tile_zero(acc, rows, vecs);
    tile_multiply(acc, rows, vecs, K, dy + (size_t)i * K, K, 1, packed + (size_t)p * K * TILE_COLS,
                  TILE_COLS);
    tile_store(acc, rows, vecs, last, dx + (size_t)i * COLS + p * TILE_COLS, COLS);
}

static void matmul_dx_18x17x10(float *dx, const float *dy, const float *packed, int thread,
                               int threads) {
    enum { N = 18, C = 10, O = 17, K = O, COLS = C };
    enum { TILES = DIVIDE_UP(N, TILE_ROWS), PANELS = DIVIDE_UP(COLS, TILE_COLS) };
    // An item is a block of rows times a panel. The block's rows stay in the second-level cache
    // while the panels pass by; blocks are alike, and small enough for 64 items, so that threads
    // share evenly.
    enum { MOST = MAX(1, MIN(65536 / (K * TILE_ROWS), TILES * PANELS / 64)) };
    enum { BLOCKS = DIVIDE_UP(TILES, MOST), BLOCK = DIVIDE_UP(TILES, BLOCKS) * TILE_ROWS };
    // The larger operand is read once: rows outside where they are more than the weight.
    enum { ROWS_OUTSIDE = N >= COLS };
    const struct range mine = share(BLOCKS * PANELS, thread, threads);
    for (int item = mine.first; item < mine.last; item++) {
        const int block = ROWS_OUTSIDE ? item / PANELS : item % BLOCKS;
        const int p = ROWS_OUTSIDE ? item % PANELS : item / BLOCKS;
        for (int i = block * BLOCK; i < int_min(N, (block + 1) * BLOCK); i += TILE_ROWS) {
            TILE_CASES(matmul_dx_18x17x10_tile, i, p, N, COLS, dx, dy, packed);
        }
    }
}

// matmul_dw_18x17x10, from templates/cpu/matmul.c:62. Called once a step: 6.1 kFLOP, 3.3 kB each.
VEC_INLINE void matmul_dw_18x17x10_tile(float *dw, const float *a, const float *b, int depth, int o,
                                        int p, const int rows, const int vecs, const int last) {
    enum { N = 18, C = 10, O = 17 };
    float *to = dw + (size_t)o * C + (size_t)p * TILE_COLS;
    vec acc[TILE_ROWS][TILE_VECS];
    tile_load(acc, rows, vecs, last, to, C);
    tile_multiply(acc, rows, vecs, depth, a, 1, TILE_ROWS, b, TILE_COLS);
    tile_store(acc, rows, vecs, last, to, C);
}

static void matmul_dw_18x17x10(float *dw, const float *dy, const float *x, int thread,
                               int threads) {
    enum { N = 18, C = 10, O = 17, TILES = DIVIDE_UP(O, TILE_ROWS),
           PANELS = DIVIDE_UP(C, TILE_COLS) };
    // Each slice of DEPTH rows reads and writes all of dw: a longer one where dw is beyond the
    // caches.
    enum { DEPTH = MIN(N, (int64_t)O * C > 1 << 20 ? 256 : 128) };
    // a holds BLOCK tiles of a slice and stays in the second-level cache, b in the first.
    enum { BLOCK = MIN(TILES, MAX(1, 65536 / (DEPTH * TILE_ROWS))) };
    _Alignas(64) float a[BLOCK][DEPTH * TILE_ROWS], b[DEPTH * TILE_COLS];
    // Threads share the tiles of O or the panels of C, whichever leaves the busiest one less to do:
    // a tile's product with a panel costs about 20, packing the tile 3.
    const int most_tiles = DIVIDE_UP(TILES, threads), most_panels = DIVIDE_UP(PANELS, threads);
    const bool by_panels =
        (int64_t)TILES * (20 * most_panels + 3) < (int64_t)most_tiles * (20 * PANELS + 3);
    const struct range tiles = by_panels ? share(TILES, 0, 1) : share(TILES, thread, threads);
    const struct range panels = by_panels ? share(PANELS, thread, threads) : share(PANELS, 0, 1);
    for (int first = tiles.first; first < tiles.last; first += BLOCK) {
        const int last = int_min(first + BLOCK, tiles.last);
        for (int n = 0; n < N; n += DEPTH) {
            const int depth = int_min(DEPTH, N - n);
            for (int t = first; t < last; t++) {
                const float *from = dy + (size_t)n * O + (size_t)t * TILE_ROWS;
                if ((t + 1) * TILE_ROWS <= O) {
                    tile_pack(a[t - first], TILE_ROWS, from, O, depth, TILE_ROWS);
                } else {
                    tile_pack(a[t - first], TILE_ROWS, from, O, depth, (O - 1) % TILE_ROWS + 1);
                }
            }
            for (int p = panels.first; p < panels.last; p++) {
                const float *from = x + (size_t)n * C + (size_t)p * TILE_COLS;
                if ((p + 1) * TILE_COLS <= C) {
                    tile_pack(b, TILE_COLS, from, C, depth, TILE_COLS);
                } else {
                    tile_pack(b, TILE_COLS, from, C, depth, (C - 1) % TILE_COLS + 1);
                }
                for (int t = first; t < last; t++) {
                    TILE_CASES(matmul_dw_18x17x10_tile, t * TILE_ROWS, p, O, C, dw, a[t - first], b,
                               depth);
                }
            }
        }
    }
}

// layernorm_backward_18x10x16_keep_dropout, from templates/cpu/layernorm.c:43.
// Called once a step: 3.8 kFLOP, 4.5 kB each.
static void layernorm_backward_18x10x16_keep_dropout(const struct model *m, float *dx,
                                                     float *dscale, float *dshift, float *partial,
                                                     float *kept, const float *dy, const float *x,
                                                     const float *scale, const float *mean,
                                                     const float *rstd, uint32_t site, int thread,
                                                     int threads) {
    enum { N = 18, C = 10, P = 16, COLS = C, GROUPS = DIVIDE_UP(C, VEC) };
    const struct dropout drop = dropout_make(m->dropout, m->dropout_key);
    const struct range mine = share(P, thread, threads);
    for (int part = mine.first; part < mine.last; part++) {
        float *dscale_part = partial + (size_t)part * 2 * C, *dshift_part = dscale_part + C;
        for (int c = 0; c < C; c++) {
            dscale_part[c] = dshift_part[c] = 0.0f;
        }
        const struct range rows = share(N, part, P);
        for (int row = rows.first; row < rows.last; row++) {
            const float *dyn = dy + (size_t)row * C, *xn = x + (size_t)row * C;
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
                const size_t at = (size_t)row * C + (size_t)col;
                vec_store_n(kept + at, value, lanes);
                value = value * dropout_mask(&drop, site, row, DROPOUT_CHUNKS(COLS), col);
                row_store(dx + (size_t)row * C, col, C, value);
            }
        }
    }
    parallel_barrier();
    const struct range columns = share(GROUPS, thread, threads);
    for (int g = columns.first; g < columns.last; g++) {
        const int c = g * VEC;
        vec sum_scale = row_load(dscale, c, C);
        for (int part = 0; part < P; part++) {
            sum_scale += row_load(partial + (size_t)part * 2 * C, c, C);
        }
        row_store(dscale, c, C, sum_scale);
        vec sum_shift = row_load(dshift, c, C);
        for (int part = 0; part < P; part++) {
            sum_shift += row_load(partial + (size_t)(part * 2 + 1) * C, c, C);
        }
        row_store(dshift, c, C, sum_shift);
    }
}

// matmul_dx_18x10x40_gelu_erf_backward, from templates/cpu/matmul.c:6.
// Called 3 times a step: 36.7 kFLOP, 8.4 kB each.
VEC_INLINE void matmul_dx_18x10x40_gelu_erf_backward_tile(float *dx, const float *dy,
                                                          const float *packed, const float *pre,
                                                          int i, int p, const int rows,
                                                          const int vecs, const int last) {
    enum { N = 18, C = 40, O = 10, K = O, COLS = C };
    vec acc[TILE_ROWS][TILE_VECS];
    tile_zero(acc, rows, vecs);
    tile_multiply(acc, rows, vecs, K, dy + (size_t)i * K, K, 1, packed + (size_t)p * K * TILE_COLS,
                  TILE_COLS);
    // By way of memory: unrolled, the code below would be long and short of registers.
    _Alignas(64) float done[TILE_ROWS * TILE_COLS];
    tile_store(acc, rows, vecs, VEC, done, TILE_COLS);
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 4
        for (int v = 0; v < vecs; v++) {
            const int row = i + r, col = p * TILE_COLS + v * VEC;
            const int lanes = v == vecs - 1 ? last : VEC;
            const size_t at = (size_t)row * COLS + (size_t)col;
            vec value = vec_load(done + r * TILE_COLS + v * VEC);
            value = value * gelu_erf_grad(vec_load_n(pre + at, lanes));
            vec_store_n(dx + at, value, lanes);
        }
    }
}

static void matmul_dx_18x10x40_gelu_erf_backward(float *dx, const float *dy, const float *packed,
                                                 const float *pre, int thread, int threads) {
    enum { N = 18, C = 40, O = 10, K = O, COLS = C };
    enum { TILES = DIVIDE_UP(N, TILE_ROWS), PANELS = DIVIDE_UP(COLS, TILE_COLS) };
    // An item is a block of rows times a panel. The block's rows stay in the second-level cache
    // while the panels pass by; blocks are alike, and small enough for 64 items, so that threads
    // share evenly.
    enum { MOST = MAX(1, MIN(65536 / (K * TILE_ROWS), TILES * PANELS / 64)) };
    enum { BLOCKS = DIVIDE_UP(TILES, MOST), BLOCK = DIVIDE_UP(TILES, BLOCKS) * TILE_ROWS };
    // The larger operand is read once: rows outside where they are more than the weight.
    enum { ROWS_OUTSIDE = N >= COLS };
    const struct range mine = share(BLOCKS * PANELS, thread, threads);
    for (int item = mine.first; item < mine.last; item++) {
        const int block = ROWS_OUTSIDE ? item / PANELS : item % BLOCKS;
        const int p = ROWS_OUTSIDE ? item % PANELS : item / BLOCKS;
        for (int i = block * BLOCK; i < int_min(N, (block + 1) * BLOCK); i += TILE_ROWS) {
            TILE_CASES(matmul_dx_18x10x40_gelu_erf_backward_tile, i, p, N, COLS, dx, dy, packed,
                       pre);
        }
    }
}

// matmul_dw_18x10x40_dbias, from templates/cpu/matmul.c:62.
// Called 3 times a step: 14.4 kFLOP, 6.9 kB each.
VEC_INLINE void matmul_dw_18x10x40_dbias_tile(float *dw, const float *a, const float *b, int depth,
                                              int o, int p, const int rows, const int vecs,
                                              const int last) {
    enum { N = 18, C = 40, O = 10 };
    float *to = dw + (size_t)o * C + (size_t)p * TILE_COLS;
    vec acc[TILE_ROWS][TILE_VECS];
    tile_load(acc, rows, vecs, last, to, C);
    tile_multiply(acc, rows, vecs, depth, a, 1, TILE_ROWS, b, TILE_COLS);
    tile_store(acc, rows, vecs, last, to, C);
}

static void matmul_dw_18x10x40_dbias(float *dw, float *dbias, const float *dy, const float *x,
                                     int thread, int threads) {
    enum { N = 18, C = 40, O = 10, TILES = DIVIDE_UP(O, TILE_ROWS),
           PANELS = DIVIDE_UP(C, TILE_COLS) };
    // Each slice of DEPTH rows reads and writes all of dw: a longer one where dw is beyond the
    // caches.
    enum { DEPTH = MIN(N, (int64_t)O * C > 1 << 20 ? 256 : 128) };
    // a holds BLOCK tiles of a slice and stays in the second-level cache, b in the first.
    enum { BLOCK = MIN(TILES, MAX(1, 65536 / (DEPTH * TILE_ROWS))) };
    _Alignas(64) float a[BLOCK][DEPTH * TILE_ROWS], b[DEPTH * TILE_COLS];
    // Threads share the tiles of O or the panels of C, whichever leaves the busiest one less to do:
    // a tile's product with a panel costs about 20, packing the tile 3.
    const int most_tiles = DIVIDE_UP(TILES, threads), most_panels = DIVIDE_UP(PANELS, threads);
    const bool by_panels =
        (int64_t)TILES * (20 * most_panels + 3) < (int64_t)most_tiles * (20 * PANELS + 3);
    const struct range tiles = by_panels ? share(TILES, 0, 1) : share(TILES, thread, threads);
    const struct range panels = by_panels ? share(PANELS, thread, threads) : share(PANELS, 0, 1);
    for (int first = tiles.first; first < tiles.last; first += BLOCK) {
        const int last = int_min(first + BLOCK, tiles.last);
        for (int n = 0; n < N; n += DEPTH) {
            const int depth = int_min(DEPTH, N - n);
            for (int t = first; t < last; t++) {
                const float *from = dy + (size_t)n * O + (size_t)t * TILE_ROWS;
                if ((t + 1) * TILE_ROWS <= O) {
                    tile_pack(a[t - first], TILE_ROWS, from, O, depth, TILE_ROWS);
                } else {
                    tile_pack(a[t - first], TILE_ROWS, from, O, depth, (O - 1) % TILE_ROWS + 1);
                }
                if (panels.first == 0 && panels.last > 0) {
                    tile_add_rows(dbias + t * TILE_ROWS, a[t - first], depth,
                                  int_min(TILE_ROWS, O - t * TILE_ROWS));
                }
            }
            for (int p = panels.first; p < panels.last; p++) {
                const float *from = x + (size_t)n * C + (size_t)p * TILE_COLS;
                if ((p + 1) * TILE_COLS <= C) {
                    tile_pack(b, TILE_COLS, from, C, depth, TILE_COLS);
                } else {
                    tile_pack(b, TILE_COLS, from, C, depth, (C - 1) % TILE_COLS + 1);
                }
                for (int t = first; t < last; t++) {
                    TILE_CASES(matmul_dw_18x10x40_dbias_tile, t * TILE_ROWS, p, O, C, dw,
                               a[t - first], b, depth);
                }
            }
        }
    }
}

// matmul_dx_18x40x10, from templates/cpu/matmul.c:6.
// Called 3 times a step: 14.4 kFLOP, 6.2 kB each.
VEC_INLINE void matmul_dx_18x40x10_tile(float *dx, const float *dy, const float *packed, int i,
                                        int p, const int rows, const int vecs, const int last) {
    enum { N = 18, C = 10, O = 40, K = O, COLS = C };
    vec acc[TILE_ROWS][TILE_VECS];
    tile_zero(acc, rows, vecs);
    tile_multiply(acc, rows, vecs, K, dy + (size_t)i * K, K, 1, packed + (size_t)p * K * TILE_COLS,
                  TILE_COLS);
    tile_store(acc, rows, vecs, last, dx + (size_t)i * COLS + p * TILE_COLS, COLS);
}

static void matmul_dx_18x40x10(float *dx, const float *dy, const float *packed, int thread,
                               int threads) {
    enum { N = 18, C = 10, O = 40, K = O, COLS = C };
    enum { TILES = DIVIDE_UP(N, TILE_ROWS), PANELS = DIVIDE_UP(COLS, TILE_COLS) };
    // An item is a block of rows times a panel. The block's rows stay in the second-level cache
    // while the panels pass by; blocks are alike, and small enough for 64 items, so that threads
    // share evenly.
    enum { MOST = MAX(1, MIN(65536 / (K * TILE_ROWS), TILES * PANELS / 64)) };
    enum { BLOCKS = DIVIDE_UP(TILES, MOST), BLOCK = DIVIDE_UP(TILES, BLOCKS) * TILE_ROWS };
    // The larger operand is read once: rows outside where they are more than the weight.
    enum { ROWS_OUTSIDE = N >= COLS };
    const struct range mine = share(BLOCKS * PANELS, thread, threads);
    for (int item = mine.first; item < mine.last; item++) {
        const int block = ROWS_OUTSIDE ? item / PANELS : item % BLOCKS;
        const int p = ROWS_OUTSIDE ? item % PANELS : item / BLOCKS;
        for (int i = block * BLOCK; i < int_min(N, (block + 1) * BLOCK); i += TILE_ROWS) {
            TILE_CASES(matmul_dx_18x40x10_tile, i, p, N, COLS, dx, dy, packed);
        }
    }
}

// matmul_dw_18x40x10_dbias, from templates/cpu/matmul.c:62.
// Called 3 times a step: 14.4 kFLOP, 7.1 kB each.
VEC_INLINE void matmul_dw_18x40x10_dbias_tile(float *dw, const float *a, const float *b, int depth,
                                              int o, int p, const int rows, const int vecs,
                                              const int last) {
    enum { N = 18, C = 10, O = 40 };
    float *to = dw + (size_t)o * C + (size_t)p * TILE_COLS;
    vec acc[TILE_ROWS][TILE_VECS];
    tile_load(acc, rows, vecs, last, to, C);
    tile_multiply(acc, rows, vecs, depth, a, 1, TILE_ROWS, b, TILE_COLS);
    tile_store(acc, rows, vecs, last, to, C);
}

static void matmul_dw_18x40x10_dbias(float *dw, float *dbias, const float *dy, const float *x,
                                     int thread, int threads) {
    enum { N = 18, C = 10, O = 40, TILES = DIVIDE_UP(O, TILE_ROWS),
           PANELS = DIVIDE_UP(C, TILE_COLS) };
    // Each slice of DEPTH rows reads and writes all of dw: a longer one where dw is beyond the
    // caches.
    enum { DEPTH = MIN(N, (int64_t)O * C > 1 << 20 ? 256 : 128) };
    // a holds BLOCK tiles of a slice and stays in the second-level cache, b in the first.
    enum { BLOCK = MIN(TILES, MAX(1, 65536 / (DEPTH * TILE_ROWS))) };
    _Alignas(64) float a[BLOCK][DEPTH * TILE_ROWS], b[DEPTH * TILE_COLS];
    // Threads share the tiles of O or the panels of C, whichever leaves the busiest one less to do:
    // a tile's product with a panel costs about 20, packing the tile 3.
    const int most_tiles = DIVIDE_UP(TILES, threads), most_panels = DIVIDE_UP(PANELS, threads);
    const bool by_panels =
        (int64_t)TILES * (20 * most_panels + 3) < (int64_t)most_tiles * (20 * PANELS + 3);
    const struct range tiles = by_panels ? share(TILES, 0, 1) : share(TILES, thread, threads);
    const struct range panels = by_panels ? share(PANELS, thread, threads) : share(PANELS, 0, 1);
    for (int first = tiles.first; first < tiles.last; first += BLOCK) {
        const int last = int_min(first + BLOCK, tiles.last);
        for (int n = 0; n < N; n += DEPTH) {
            const int depth = int_min(DEPTH, N - n);
            for (int t = first; t < last; t++) {
                const float *from = dy + (size_t)n * O + (size_t)t * TILE_ROWS;
                if ((t + 1) * TILE_ROWS <= O) {
                    tile_pack(a[t - first], TILE_ROWS, from, O, depth, TILE_ROWS);
                } else {
                    tile_pack(a[t - first], TILE_ROWS, from, O, depth, (O - 1) % TILE_ROWS + 1);
                }
                if (panels.first == 0 && panels.last > 0) {
                    tile_add_rows(dbias + t * TILE_ROWS, a[t - first], depth,
                                  int_min(TILE_ROWS, O - t * TILE_ROWS));
                }
            }
            for (int p = panels.first; p < panels.last; p++) {
                const float *from = x + (size_t)n * C + (size_t)p * TILE_COLS;
                if ((p + 1) * TILE_COLS <= C) {
                    tile_pack(b, TILE_COLS, from, C, depth, TILE_COLS);
                } else {
                    tile_pack(b, TILE_COLS, from, C, depth, (C - 1) % TILE_COLS + 1);
                }
                for (int t = first; t < last; t++) {
                    TILE_CASES(matmul_dw_18x40x10_dbias_tile, t * TILE_ROWS, p, O, C, dw,
                               a[t - first], b, depth);
                }
            }
        }
    }
}

// layernorm_backward_18x10x16_add_keep_dropout, from templates/cpu/layernorm.c:43.
// Called 5 times a step: 4.0 kFLOP, 5.2 kB each.
static void layernorm_backward_18x10x16_add_keep_dropout(const struct model *m, float *dx,
                                                         float *dscale, float *dshift,
                                                         float *partial, float *kept,
                                                         const float *dy, const float *x,
                                                         const float *scale, const float *mean,
                                                         const float *rstd, const float *addend,
                                                         uint32_t site, int thread, int threads) {
    enum { N = 18, C = 10, P = 16, COLS = C, GROUPS = DIVIDE_UP(C, VEC) };
    const struct dropout drop = dropout_make(m->dropout, m->dropout_key);
    const struct range mine = share(P, thread, threads);
    for (int part = mine.first; part < mine.last; part++) {
        float *dscale_part = partial + (size_t)part * 2 * C, *dshift_part = dscale_part + C;
        for (int c = 0; c < C; c++) {
            dscale_part[c] = dshift_part[c] = 0.0f;
        }
        const struct range rows = share(N, part, P);
        for (int row = rows.first; row < rows.last; row++) {
            const float *dyn = dy + (size_t)row * C, *xn = x + (size_t)row * C;
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
                const size_t at = (size_t)row * C + (size_t)col;
                value = value + vec_load_n(addend + at, lanes);
                vec_store_n(kept + at, value, lanes);
                value = value * dropout_mask(&drop, site, row, DROPOUT_CHUNKS(COLS), col);
                row_store(dx + (size_t)row * C, col, C, value);
            }
        }
    }
    parallel_barrier();
    const struct range columns = share(GROUPS, thread, threads);
    for (int g = columns.first; g < columns.last; g++) {
        const int c = g * VEC;
        vec sum_scale = row_load(dscale, c, C);
        for (int part = 0; part < P; part++) {
            sum_scale += row_load(partial + (size_t)part * 2 * C, c, C);
        }
        row_store(dscale, c, C, sum_scale);
        vec sum_shift = row_load(dshift, c, C);
        for (int part = 0; part < P; part++) {
            sum_shift += row_load(partial + (size_t)(part * 2 + 1) * C, c, C);
        }
        row_store(dshift, c, C, sum_shift);
    }
}

// matmul_dx_18x10x10, from templates/cpu/matmul.c:6. Called 3 times a step: 3.6 kFLOP, 2.1 kB each.
VEC_INLINE void matmul_dx_18x10x10_tile(float *dx, const float *dy, const float *packed, int i,
                                        int p, const int rows, const int vecs, const int last) {
    enum { N = 18, C = 10, O = 10, K = O, COLS = C };
    vec acc[TILE_ROWS][TILE_VECS];
    tile_zero(acc, rows, vecs);
    tile_multiply(acc, rows, vecs, K, dy + (size_t)i * K, K, 1, packed + (size_t)p * K * TILE_COLS,
                  TILE_COLS);
    tile_store(acc, rows, vecs, last, dx + (size_t)i * COLS + p * TILE_COLS, COLS);
}

static void matmul_dx_18x10x10(float *dx, const float *dy, const float *packed, int thread,
                               int threads) {
    enum { N = 18, C = 10, O = 10, K = O, COLS = C };
    enum { TILES = DIVIDE_UP(N, TILE_ROWS), PANELS = DIVIDE_UP(COLS, TILE_COLS) };
    // An item is a block of rows times a panel. The block's rows stay in the second-level cache
    // while the panels pass by; blocks are alike, and small enough for 64 items, so that threads
    // share evenly.
    enum { MOST = MAX(1, MIN(65536 / (K * TILE_ROWS), TILES * PANELS / 64)) };
    enum { BLOCKS = DIVIDE_UP(TILES, MOST), BLOCK = DIVIDE_UP(TILES, BLOCKS) * TILE_ROWS };
    // The larger operand is read once: rows outside where they are more than the weight.
    enum { ROWS_OUTSIDE = N >= COLS };
    const struct range mine = share(BLOCKS * PANELS, thread, threads);
    for (int item = mine.first; item < mine.last; item++) {
        const int block = ROWS_OUTSIDE ? item / PANELS : item % BLOCKS;
        const int p = ROWS_OUTSIDE ? item % PANELS : item / BLOCKS;
        for (int i = block * BLOCK; i < int_min(N, (block + 1) * BLOCK); i += TILE_ROWS) {
            TILE_CASES(matmul_dx_18x10x10_tile, i, p, N, COLS, dx, dy, packed);
        }
    }
}

// matmul_dw_18x10x10_dbias, from templates/cpu/matmul.c:62.
// Called 3 times a step: 3.6 kFLOP, 2.3 kB each.
VEC_INLINE void matmul_dw_18x10x10_dbias_tile(float *dw, const float *a, const float *b, int depth,
                                              int o, int p, const int rows, const int vecs,
                                              const int last) {
    enum { N = 18, C = 10, O = 10 };
    float *to = dw + (size_t)o * C + (size_t)p * TILE_COLS;
    vec acc[TILE_ROWS][TILE_VECS];
    tile_load(acc, rows, vecs, last, to, C);
    tile_multiply(acc, rows, vecs, depth, a, 1, TILE_ROWS, b, TILE_COLS);
    tile_store(acc, rows, vecs, last, to, C);
}

static void matmul_dw_18x10x10_dbias(float *dw, float *dbias, const float *dy, const float *x,
                                     int thread, int threads) {
    enum { N = 18, C = 10, O = 10, TILES = DIVIDE_UP(O, TILE_ROWS),
           PANELS = DIVIDE_UP(C, TILE_COLS) };
    // Each slice of DEPTH rows reads and writes all of dw: a longer one where dw is beyond the
    // caches.
    enum { DEPTH = MIN(N, (int64_t)O * C > 1 << 20 ? 256 : 128) };
    // a holds BLOCK tiles of a slice and stays in the second-level cache, b in the first.
    enum { BLOCK = MIN(TILES, MAX(1, 65536 / (DEPTH * TILE_ROWS))) };
    _Alignas(64) float a[BLOCK][DEPTH * TILE_ROWS], b[DEPTH * TILE_COLS];
    // Threads share the tiles of O or the panels of C, whichever leaves the busiest one less to do:
    // a tile's product with a panel costs about 20, packing the tile 3.
    const int most_tiles = DIVIDE_UP(TILES, threads), most_panels = DIVIDE_UP(PANELS, threads);
    const bool by_panels =
        (int64_t)TILES * (20 * most_panels + 3) < (int64_t)most_tiles * (20 * PANELS + 3);
    const struct range tiles = by_panels ? share(TILES, 0, 1) : share(TILES, thread, threads);
    const struct range panels = by_panels ? share(PANELS, thread, threads) : share(PANELS, 0, 1);
    for (int first = tiles.first; first < tiles.last; first += BLOCK) {
        const int last = int_min(first + BLOCK, tiles.last);
        for (int n = 0; n < N; n += DEPTH) {
            const int depth = int_min(DEPTH, N - n);
            for (int t = first; t < last; t++) {
                const float *from = dy + (size_t)n * O + (size_t)t * TILE_ROWS;
                if ((t + 1) * TILE_ROWS <= O) {
                    tile_pack(a[t - first], TILE_ROWS, from, O, depth, TILE_ROWS);
                } else {
                    tile_pack(a[t - first], TILE_ROWS, from, O, depth, (O - 1) % TILE_ROWS + 1);
                }
                if (panels.first == 0 && panels.last > 0) {
                    tile_add_rows(dbias + t * TILE_ROWS, a[t - first], depth,
                                  int_min(TILE_ROWS, O - t * TILE_ROWS));
                }
            }
            for (int p = panels.first; p < panels.last; p++) {
                const float *from = x + (size_t)n * C + (size_t)p * TILE_COLS;
                if ((p + 1) * TILE_COLS <= C) {
                    tile_pack(b, TILE_COLS, from, C, depth, TILE_COLS);
                } else {
                    tile_pack(b, TILE_COLS, from, C, depth, (C - 1) % TILE_COLS + 1);
                }
                for (int t = first; t < last; t++) {
                    TILE_CASES(matmul_dw_18x10x10_dbias_tile, t * TILE_ROWS, p, O, C, dw,
                               a[t - first], b, depth);
                }
            }
        }
    }
}

// attention_backward_3x6x2x5_dropout, from templates/cpu/attention.c:161.
// Called 3 times a step: 6.3 kFLOP, 5.9 kB each.
struct attention_backward_3x6x2x5_dropout_scratch {
    float kt[80], vt[80];                // KEYS * D, turned panels
    float k[96], q[96], dy[96]; // WIDE * T, panels
    float dk[30], dv[30];
    float weights[96], dscores[96]; // BLOCK * KEYS
};

static void attention_backward_3x6x2x5_dropout(const struct model *m, float *dqkv, const float *dy,
                                               const float *qkv, const float *y, const float *lse,
                                               uint32_t site, void *scratch, int thread,
                                               int threads) {
    enum { N = 18, B = 3, T = 6, C = 10, H = 2, D = 5, E = 30 };
    // KEYS: T in whole panels. WIDE: D in whole panels. BLOCK: queries whose weights are held.
    enum { KEYS = DIVIDE_UP(T, TILE_COLS) * TILE_COLS, WIDE = DIVIDE_UP(D, TILE_COLS) * TILE_COLS };
    enum { BLOCK = T <= 8 * TILE_ROWS ? T : 4 * TILE_ROWS };
    struct attention_backward_3x6x2x5_dropout_scratch *s = scratch;
    const float scale = 0.447213595f;
    const struct dropout drop = dropout_make(m->dropout, m->dropout_key);
    const struct range mine = share(B * H, thread, threads);
    for (int item = mine.first; item < mine.last; item++) {
        const int b = item / H, h = item % H;
        const float *q = qkv + (size_t)b * T * E + h * D;
        const float *dyh = dy + (size_t)b * T * C + h * D, *yh = y + (size_t)b * T * C + h * D;
        float *dq = dqkv + (size_t)b * T * E + h * D;
        heads_3x6x2x5_pack_turned(s->kt, q + C, E);
        heads_3x6x2x5_pack_turned(s->vt, q + 2 * C, E);
        heads_3x6x2x5_pack(s->k, q + C, E);
        heads_3x6x2x5_pack(s->q, q, E);
        heads_3x6x2x5_pack(s->dy, dyh, C);
        memset(s->dk, 0, sizeof s->dk);
        memset(s->dv, 0, sizeof s->dv);
        for (int first = 0; first < T; first += BLOCK) {
            const int last = int_min(first + BLOCK, T);
            heads_3x6x2x5_block(s->weights, q, E, s->kt, first, last);
            heads_3x6x2x5_block(s->dscores, dyh, C, s->vt, first, last);
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
                    const vec mask =
                        dropout_mask(&drop, site, (int64_t)item * T + i, DROPOUT_CHUNKS(T), j);
                    vec_store(w + j, weight * mask);
                    dweight *= mask;
                    vec_store(ds + j, weight * (dweight - delta) * scale);
                }
            }
            const float *weights = s->weights - (size_t)first * KEYS; // row i is query i
            const float *dscores = s->dscores - (size_t)first * KEYS;
            for (int i = first; i < last; i += TILE_ROWS) {
                const int depth = int_min(i + TILE_ROWS, last);
                for (int p = 0; p < WIDE / TILE_COLS; p++) {
                    TILE_CASES(heads_3x6x2x5_mix, i, p, T, D, dq, E, false, dscores, KEYS, 1, s->k,
                               depth);
                }
            }
            // Keys j and behind are seen by queries from j on.
            for (int j = 0; j < last; j += TILE_ROWS) {
                const int from = int_max(first, j), depth = last - from;
                for (int p = 0; p < WIDE / TILE_COLS; p++) {
                    TILE_CASES(heads_3x6x2x5_mix, j, p, T, D, s->dk, D, true,
                               dscores + (size_t)from * KEYS, 1, KEYS,
                               s->q + (size_t)from * TILE_COLS, depth);
                    TILE_CASES(heads_3x6x2x5_mix, j, p, T, D, s->dv, D, true,
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

// matmul_dx_18x30x10, from templates/cpu/matmul.c:6.
// Called 3 times a step: 10.8 kFLOP, 4.8 kB each.
VEC_INLINE void matmul_dx_18x30x10_tile(float *dx, const float *dy, const float *packed, int i,
                                        int p, const int rows, const int vecs, const int last) {
    enum { N = 18, C = 10, O = 30, K = O, COLS = C };
    vec acc[TILE_ROWS][TILE_VECS];
    tile_zero(acc, rows, vecs);
    tile_multiply(acc, rows, vecs, K, dy + (size_t)i * K, K, 1, packed + (size_t)p * K * TILE_COLS,
                  TILE_COLS);
    tile_store(acc, rows, vecs, last, dx + (size_t)i * COLS + p * TILE_COLS, COLS);
}

static void matmul_dx_18x30x10(float *dx, const float *dy, const float *packed, int thread,
                               int threads) {
    enum { N = 18, C = 10, O = 30, K = O, COLS = C };
    enum { TILES = DIVIDE_UP(N, TILE_ROWS), PANELS = DIVIDE_UP(COLS, TILE_COLS) };
    // An item is a block of rows times a panel. The block's rows stay in the second-level cache
    // while the panels pass by; blocks are alike, and small enough for 64 items, so that threads
    // share evenly.
    enum { MOST = MAX(1, MIN(65536 / (K * TILE_ROWS), TILES * PANELS / 64)) };
    enum { BLOCKS = DIVIDE_UP(TILES, MOST), BLOCK = DIVIDE_UP(TILES, BLOCKS) * TILE_ROWS };
    // The larger operand is read once: rows outside where they are more than the weight.
    enum { ROWS_OUTSIDE = N >= COLS };
    const struct range mine = share(BLOCKS * PANELS, thread, threads);
    for (int item = mine.first; item < mine.last; item++) {
        const int block = ROWS_OUTSIDE ? item / PANELS : item % BLOCKS;
        const int p = ROWS_OUTSIDE ? item % PANELS : item / BLOCKS;
        for (int i = block * BLOCK; i < int_min(N, (block + 1) * BLOCK); i += TILE_ROWS) {
            TILE_CASES(matmul_dx_18x30x10_tile, i, p, N, COLS, dx, dy, packed);
        }
    }
}

// matmul_dw_18x30x10_dbias, from templates/cpu/matmul.c:62.
// Called 3 times a step: 10.8 kFLOP, 5.5 kB each.
VEC_INLINE void matmul_dw_18x30x10_dbias_tile(float *dw, const float *a, const float *b, int depth,
                                              int o, int p, const int rows, const int vecs,
                                              const int last) {
    enum { N = 18, C = 10, O = 30 };
    float *to = dw + (size_t)o * C + (size_t)p * TILE_COLS;
    vec acc[TILE_ROWS][TILE_VECS];
    tile_load(acc, rows, vecs, last, to, C);
    tile_multiply(acc, rows, vecs, depth, a, 1, TILE_ROWS, b, TILE_COLS);
    tile_store(acc, rows, vecs, last, to, C);
}

static void matmul_dw_18x30x10_dbias(float *dw, float *dbias, const float *dy, const float *x,
                                     int thread, int threads) {
    enum { N = 18, C = 10, O = 30, TILES = DIVIDE_UP(O, TILE_ROWS),
           PANELS = DIVIDE_UP(C, TILE_COLS) };
    // Each slice of DEPTH rows reads and writes all of dw: a longer one where dw is beyond the
    // caches.
    enum { DEPTH = MIN(N, (int64_t)O * C > 1 << 20 ? 256 : 128) };
    // a holds BLOCK tiles of a slice and stays in the second-level cache, b in the first.
    enum { BLOCK = MIN(TILES, MAX(1, 65536 / (DEPTH * TILE_ROWS))) };
    _Alignas(64) float a[BLOCK][DEPTH * TILE_ROWS], b[DEPTH * TILE_COLS];
    // Threads share the tiles of O or the panels of C, whichever leaves the busiest one less to do:
    // a tile's product with a panel costs about 20, packing the tile 3.
    const int most_tiles = DIVIDE_UP(TILES, threads), most_panels = DIVIDE_UP(PANELS, threads);
    const bool by_panels =
        (int64_t)TILES * (20 * most_panels + 3) < (int64_t)most_tiles * (20 * PANELS + 3);
    const struct range tiles = by_panels ? share(TILES, 0, 1) : share(TILES, thread, threads);
    const struct range panels = by_panels ? share(PANELS, thread, threads) : share(PANELS, 0, 1);
    for (int first = tiles.first; first < tiles.last; first += BLOCK) {
        const int last = int_min(first + BLOCK, tiles.last);
        for (int n = 0; n < N; n += DEPTH) {
            const int depth = int_min(DEPTH, N - n);
            for (int t = first; t < last; t++) {
                const float *from = dy + (size_t)n * O + (size_t)t * TILE_ROWS;
                if ((t + 1) * TILE_ROWS <= O) {
                    tile_pack(a[t - first], TILE_ROWS, from, O, depth, TILE_ROWS);
                } else {
                    tile_pack(a[t - first], TILE_ROWS, from, O, depth, (O - 1) % TILE_ROWS + 1);
                }
                if (panels.first == 0 && panels.last > 0) {
                    tile_add_rows(dbias + t * TILE_ROWS, a[t - first], depth,
                                  int_min(TILE_ROWS, O - t * TILE_ROWS));
                }
            }
            for (int p = panels.first; p < panels.last; p++) {
                const float *from = x + (size_t)n * C + (size_t)p * TILE_COLS;
                if ((p + 1) * TILE_COLS <= C) {
                    tile_pack(b, TILE_COLS, from, C, depth, TILE_COLS);
                } else {
                    tile_pack(b, TILE_COLS, from, C, depth, (C - 1) % TILE_COLS + 1);
                }
                for (int t = first; t < last; t++) {
                    TILE_CASES(matmul_dw_18x30x10_dbias_tile, t * TILE_ROWS, p, O, C, dw,
                               a[t - first], b, depth);
                }
            }
        }
    }
}

// layernorm_backward_18x10x16_add_dropout, from templates/cpu/layernorm.c:43.
// Called once a step: 4.0 kFLOP, 4.5 kB each.
static void layernorm_backward_18x10x16_add_dropout(const struct model *m, float *dx, float *dscale,
                                                    float *dshift, float *partial, const float *dy,
                                                    const float *x, const float *scale,
                                                    const float *mean, const float *rstd,
                                                    const float *addend, uint32_t site, int thread,
                                                    int threads) {
    enum { N = 18, C = 10, P = 16, COLS = C, GROUPS = DIVIDE_UP(C, VEC) };
    const struct dropout drop = dropout_make(m->dropout, m->dropout_key);
    const struct range mine = share(P, thread, threads);
    for (int part = mine.first; part < mine.last; part++) {
        float *dscale_part = partial + (size_t)part * 2 * C, *dshift_part = dscale_part + C;
        for (int c = 0; c < C; c++) {
            dscale_part[c] = dshift_part[c] = 0.0f;
        }
        const struct range rows = share(N, part, P);
        for (int row = rows.first; row < rows.last; row++) {
            const float *dyn = dy + (size_t)row * C, *xn = x + (size_t)row * C;
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
                const size_t at = (size_t)row * C + (size_t)col;
                value = value + vec_load_n(addend + at, lanes);
                value = value * dropout_mask(&drop, site, row, DROPOUT_CHUNKS(COLS), col);
                row_store(dx + (size_t)row * C, col, C, value);
            }
        }
    }
    parallel_barrier();
    const struct range columns = share(GROUPS, thread, threads);
    for (int g = columns.first; g < columns.last; g++) {
        const int c = g * VEC;
        vec sum_scale = row_load(dscale, c, C);
        for (int part = 0; part < P; part++) {
            sum_scale += row_load(partial + (size_t)part * 2 * C, c, C);
        }
        row_store(dscale, c, C, sum_scale);
        vec sum_shift = row_load(dshift, c, C);
        for (int part = 0; part < P; part++) {
            sum_shift += row_load(partial + (size_t)(part * 2 + 1) * C, c, C);
        }
        row_store(dshift, c, C, sum_shift);
    }
}

// embed_backward_18x10x17x6, from templates/cpu/embed.c:30.
// Called once a step: 360 FLOP, 2.6 kB each.
static void embed_backward_18x10x17x6(float *dwte, float *dwpe, const float *dy,
                                      const int32_t *tokens, int thread, int threads) {
    enum { N = 18, T = 6, C = 10, V = 17, GROUPS = DIVIDE_UP(C, VEC) };
    const struct range mine = share(GROUPS, thread, threads);
    for (int n = 0; n < N; n++) {
        float *dtoken = dwte + (size_t)tokens[n] * C;
        float *dposition = dwpe + (size_t)(n % T) * C;
        for (int g = mine.first; g < mine.last; g++) {
            const int c = g * VEC;
            const vec d = row_load(dy + (size_t)n * C, c, C);
            row_store(dtoken, c, C, row_load(dtoken, c, C) + d);
            row_store(dposition, c, C, row_load(dposition, c, C) + d);
        }
    }
}

// ---- the model ----------------------------------------------------------------------------------

enum {
    KERNEL_pack_17x10x2x16,
    KERNEL_pack_30x10x2x16,
    KERNEL_pack_10x10x1x16,
    KERNEL_pack_40x10x3x16,
    KERNEL_pack_10x40x1x16,
    KERNEL_pack_dx_17x10x1x16,
    KERNEL_pack_dx_30x10x1x16,
    KERNEL_pack_dx_10x10x1x16,
    KERNEL_pack_dx_40x10x1x16,
    KERNEL_pack_dx_10x40x3x16,
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

// Runs a kernel in all threads, waits for all of them, and charges the time to its name.
#define RUN(kernel, ...)                                                                           \
    do {                                                                                           \
        kernel(__VA_ARGS__, thread, threads);                                                      \
        kernel_done(KERNEL_##kernel, thread);                                                      \
    } while (0)

static void pack_layer(struct model *m, int l, int thread, int threads) {
    float *attn_c_attn_weight_packed = m->packed + 592 + (size_t)l * 3360; // (2, 10, 16)
    const float *attn_c_attn_weight = m->params + 272 + (size_t)l * 1392; // (30, 10)
    float *attn_c_proj_weight_packed = m->packed + 912 + (size_t)l * 3360; // (1, 10, 16)
    const float *attn_c_proj_weight = m->params + 608 + (size_t)l * 1392; // (10, 10)
    float *mlp_c_fc_weight_packed = m->packed + 1072 + (size_t)l * 3360; // (3, 10, 16)
    const float *mlp_c_fc_weight = m->params + 768 + (size_t)l * 1392; // (40, 10)
    float *mlp_c_proj_weight_packed = m->packed + 1552 + (size_t)l * 3360; // (1, 40, 16)
    const float *mlp_c_proj_weight = m->params + 1216 + (size_t)l * 1392; // (10, 40)

    // gen/models/gpt.lua:80
    RUN(pack_30x10x2x16, attn_c_attn_weight_packed, attn_c_attn_weight);
    // gen/models/gpt.lua:82
    RUN(pack_10x10x1x16, attn_c_proj_weight_packed, attn_c_proj_weight);
    // gen/models/gpt.lua:86
    RUN(pack_40x10x3x16, mlp_c_fc_weight_packed, mlp_c_fc_weight);
    // gen/models/gpt.lua:88
    RUN(pack_10x40x1x16, mlp_c_proj_weight_packed, mlp_c_proj_weight);
}

static void pack_dx_layer(struct model *m, int l, int thread, int threads) {
    float *attn_c_attn_weight_packed_dx = m->packed + 2192 + (size_t)l * 3360; // (1, 30, 16)
    const float *attn_c_attn_weight = m->params + 272 + (size_t)l * 1392; // (30, 10)
    float *attn_c_proj_weight_packed_dx = m->packed + 2672 + (size_t)l * 3360; // (1, 10, 16)
    const float *attn_c_proj_weight = m->params + 608 + (size_t)l * 1392; // (10, 10)
    float *mlp_c_fc_weight_packed_dx = m->packed + 2832 + (size_t)l * 3360; // (1, 40, 16)
    const float *mlp_c_fc_weight = m->params + 768 + (size_t)l * 1392; // (40, 10)
    float *mlp_c_proj_weight_packed_dx = m->packed + 3472 + (size_t)l * 3360; // (3, 10, 16)
    const float *mlp_c_proj_weight = m->params + 1216 + (size_t)l * 1392; // (10, 40)

    // gen/models/gpt.lua:80
    RUN(pack_dx_30x10x1x16, attn_c_attn_weight_packed_dx, attn_c_attn_weight);
    // gen/models/gpt.lua:82
    RUN(pack_dx_10x10x1x16, attn_c_proj_weight_packed_dx, attn_c_proj_weight);
    // gen/models/gpt.lua:86
    RUN(pack_dx_40x10x1x16, mlp_c_fc_weight_packed_dx, mlp_c_fc_weight);
    // gen/models/gpt.lua:88
    RUN(pack_dx_10x40x3x16, mlp_c_proj_weight_packed_dx, mlp_c_proj_weight);
}

void model_prepare(struct model *m, int thread, int threads) {
    profile_start(thread);
    float *wte_weight_packed = m->packed; // (2, 10, 16)
    const float *wte_weight = m->params; // (17, 10)
    float *wte_weight_packed_dx = m->packed + 320; // (1, 17, 16)

    // gen/models/gpt.lua:103
    RUN(pack_17x10x2x16, wte_weight_packed, wte_weight);
    for (int l = 0; l < 3; l++) {
        pack_layer(m, l, thread, threads);
    }
    // gen/models/gpt.lua:103
    RUN(pack_dx_17x10x1x16, wte_weight_packed_dx, wte_weight);
    for (int l = 0; l < 3; l++) {
        pack_dx_layer(m, l, thread, threads);
    }
}

static void forward_layer(struct model *m, int l, int thread, int threads) {
    float *ln_1_y = m->acts + 6720 + (size_t)l * 192; // (18, 10)
    float *ln_1_mean = m->acts + 10448 + (size_t)l * 32; // (18)
    float *ln_1_rstd = m->acts + 10544 + (size_t)l * 32; // (18)
    const float *x = m->acts + 5952 + (size_t)l * 192; // (18, 10)
    const float *ln_1_weight = m->params + 240 + (size_t)l * 1392; // (10)
    const float *ln_1_bias = m->params + 256 + (size_t)l * 1392; // (10)
    float *qkv_biased = m->acts + 4320 + (size_t)l * 544; // (18, 30)
    const float *attn_c_attn_weight_packed = m->packed + 592 + (size_t)l * 3360; // (2, 10, 16)
    const float *attn_c_attn_bias = m->params + 576 + (size_t)l * 1392; // (30)
    float *attention_y = m->acts + 7296 + (size_t)l * 192; // (18, 10)
    float *attention_lse = m->acts + 10304 + (size_t)l * 48; // (2, 18)
    float *x_mid = m->acts + 7872 + (size_t)l * 192; // (18, 10)
    const float *attn_c_proj_weight_packed = m->packed + 912 + (size_t)l * 3360; // (1, 10, 16)
    const float *attn_c_proj_bias = m->params + 720 + (size_t)l * 1392; // (10)
    float *ln_2_y = m->acts + 8448 + (size_t)l * 192; // (18, 10)
    float *ln_2_mean = m->acts + 10640 + (size_t)l * 32; // (18)
    float *ln_2_rstd = m->acts + 10736 + (size_t)l * 32; // (18)
    const float *ln_2_weight = m->params + 736 + (size_t)l * 1392; // (10)
    const float *ln_2_bias = m->params + 752 + (size_t)l * 1392; // (10)
    float *activated = m->acts + (size_t)l * 720; // (18, 40)
    float *fc_biased = m->acts + 2160 + (size_t)l * 720; // (18, 40)
    const float *mlp_c_fc_weight_packed = m->packed + 1072 + (size_t)l * 3360; // (3, 10, 16)
    const float *mlp_c_fc_bias = m->params + 1168 + (size_t)l * 1392; // (40)
    float *x_next = m->acts + 6144 + (size_t)l * 192; // (18, 10)
    const float *mlp_c_proj_weight_packed = m->packed + 1552 + (size_t)l * 3360; // (1, 40, 16)
    const float *mlp_c_proj_bias = m->params + 1616 + (size_t)l * 1392; // (10)
    void *scratch = model_scratch(m, thread);

    // gen/models/gpt.lua:79
    RUN(layernorm_18x10, ln_1_y, ln_1_mean, ln_1_rstd, x, ln_1_weight, ln_1_bias);
    // gen/models/gpt.lua:80
    RUN(matmul_18x10x30_bias, qkv_biased, ln_1_y, attn_c_attn_weight_packed, attn_c_attn_bias);
    // gen/models/gpt.lua:81
    RUN(attention_3x6x2x5_dropout, m, attention_y, attention_lse, qkv_biased, (uint32_t)(2 + l * 3),
        scratch);
    // gen/models/gpt.lua:82
    RUN(matmul_18x10x10_bias_dropout_add, m, x_mid, attention_y, attn_c_proj_weight_packed,
        attn_c_proj_bias, x, (uint32_t)(3 + l * 3));
    // gen/models/gpt.lua:85
    RUN(layernorm_18x10, ln_2_y, ln_2_mean, ln_2_rstd, x_mid, ln_2_weight, ln_2_bias);
    // gen/models/gpt.lua:86
    RUN(matmul_18x10x40_bias_keep_gelu_erf, activated, fc_biased, ln_2_y, mlp_c_fc_weight_packed,
        mlp_c_fc_bias);
    // gen/models/gpt.lua:88
    RUN(matmul_18x40x10_bias_dropout_add, m, x_next, activated, mlp_c_proj_weight_packed,
        mlp_c_proj_bias, x_mid, (uint32_t)(4 + l * 3));
}

void model_forward(struct model *m, int thread, int threads) {
    profile_start(thread);
    float *x_0 = m->acts + 5952; // (18, 10)
    const float *wte_weight = m->params; // (17, 10)
    const float *wpe_weight = m->params + 176; // (6, 10)
    float *ln_f_y = m->acts + 9344; // (18, 10)
    float *ln_f_mean = m->acts + 9920; // (18)
    float *ln_f_rstd = m->acts + 9952; // (18)
    const float *x_3 = m->acts + 6528; // (18, 10)
    const float *ln_f_weight = m->params + 4416; // (10)
    const float *ln_f_bias = m->params + 4432; // (10)

    // gen/models/gpt.lua:71
    RUN(embed_18x17x10x6_dropout, m, x_0, m->tokens, wte_weight, wpe_weight, 1u);
    for (int l = 0; l < 3; l++) {
        forward_layer(m, l, thread, threads);
    }
    // gen/models/gpt.lua:94
    RUN(layernorm_18x10, ln_f_y, ln_f_mean, ln_f_rstd, x_3, ln_f_weight, ln_f_bias);
}

void model_loss(struct model *m, int thread, int threads) {
    profile_start(thread);
    float *logits = m->acts + 9024; // (18, 17)
    const float *ln_f_y = m->acts + 9344; // (18, 10)
    const float *wte_weight_packed = m->packed; // (2, 10, 16)
    float *losses = m->acts + 9536; // (18)

    // gen/models/gpt.lua:103
    RUN(matmul_18x10x17, logits, ln_f_y, wte_weight_packed);
    // gen/build.lua
    RUN(cross_entropy_18x17, losses, logits, m->targets);
    RUN(mean_loss_18, m, losses, m->targets);
}

static void backward_layer(struct model *m, int l, int thread, int threads) {
    float *d_fc_biased = m->acts + 2160 + (size_t)l * 720; // (18, 40)
    const float *d_narrowed_biased = m->acts + 9344; // (18, 10)
    const float *mlp_c_proj_weight_packed_dx = m->packed + 3472 + (size_t)l * 3360; // (3, 10, 16)
    const float *fc_biased = m->acts + 2160 + (size_t)l * 720; // (18, 40)
    float *d_mlp_c_proj_weight = m->grads + 1216 + (size_t)l * 1392; // (10, 40)
    float *d_mlp_c_proj_bias = m->grads + 1616 + (size_t)l * 1392; // (10)
    const float *activated = m->acts + (size_t)l * 720; // (18, 40)
    float *d_ln_2_y = m->acts + 9344; // (18, 10)
    const float *mlp_c_fc_weight_packed_dx = m->packed + 2832 + (size_t)l * 3360; // (1, 40, 16)
    float *d_mlp_c_fc_weight = m->grads + 768 + (size_t)l * 1392; // (40, 10)
    float *d_mlp_c_fc_bias = m->grads + 1168 + (size_t)l * 1392; // (40)
    const float *ln_2_y = m->acts + 8448 + (size_t)l * 192; // (18, 10)
    float *d_projected_biased = m->acts + 9536; // (18, 10)
    float *d_ln_2_weight = m->grads + 736 + (size_t)l * 1392; // (10)
    float *d_ln_2_bias = m->grads + 752 + (size_t)l * 1392; // (10)
    float *d_x_mid_partial = m->acts + 9024; // (16, 2, 10)
    float *d_x_mid_sum = m->acts + 9920; // (18, 10)
    const float *x_mid = m->acts + 7872 + (size_t)l * 192; // (18, 10)
    const float *ln_2_weight = m->params + 736 + (size_t)l * 1392; // (10)
    const float *ln_2_mean = m->acts + 10640 + (size_t)l * 32; // (18)
    const float *ln_2_rstd = m->acts + 10736 + (size_t)l * 32; // (18)
    const float *d_x_next = m->acts + 9728; // (18, 10)
    float *d_attention_y = m->acts + 9728; // (18, 10)
    const float *attn_c_proj_weight_packed_dx = m->packed + 2672 + (size_t)l * 3360; // (1, 10, 16)
    float *d_attn_c_proj_weight = m->grads + 608 + (size_t)l * 1392; // (10, 10)
    float *d_attn_c_proj_bias = m->grads + 720 + (size_t)l * 1392; // (10)
    const float *attention_y = m->acts + 7296 + (size_t)l * 192; // (18, 10)
    float *d_qkv_biased = m->acts + 9024; // (18, 30)
    const float *qkv_biased = m->acts + 4320 + (size_t)l * 544; // (18, 30)
    const float *attention_lse = m->acts + 10304 + (size_t)l * 48; // (2, 18)
    float *d_ln_1_y = m->acts + 10112; // (18, 10)
    const float *attn_c_attn_weight_packed_dx = m->packed + 2192 + (size_t)l * 3360; // (1, 30, 16)
    float *d_attn_c_attn_weight = m->grads + 272 + (size_t)l * 1392; // (30, 10)
    float *d_attn_c_attn_bias = m->grads + 576 + (size_t)l * 1392; // (30)
    const float *ln_1_y = m->acts + 6720 + (size_t)l * 192; // (18, 10)
    float *d_narrowed_biased_before = m->acts + 9344; // (18, 10)
    float *d_ln_1_weight = m->grads + 240 + (size_t)l * 1392; // (10)
    float *d_ln_1_bias = m->grads + 256 + (size_t)l * 1392; // (10)
    float *d_x_partial = m->acts + 9024; // (16, 2, 10)
    float *d_x_sum = m->acts + 9728; // (18, 10)
    const float *x = m->acts + 5952 + (size_t)l * 192; // (18, 10)
    const float *ln_1_weight = m->params + 240 + (size_t)l * 1392; // (10)
    const float *ln_1_mean = m->acts + 10448 + (size_t)l * 32; // (18)
    const float *ln_1_rstd = m->acts + 10544 + (size_t)l * 32; // (18)
    void *scratch = model_scratch(m, thread);

    // gen/models/gpt.lua:88
    RUN(matmul_dx_18x10x40_gelu_erf_backward, d_fc_biased, d_narrowed_biased,
        mlp_c_proj_weight_packed_dx, fc_biased);
    RUN(matmul_dw_18x10x40_dbias, d_mlp_c_proj_weight, d_mlp_c_proj_bias, d_narrowed_biased,
        activated);
    // gen/models/gpt.lua:86
    RUN(matmul_dx_18x40x10, d_ln_2_y, d_fc_biased, mlp_c_fc_weight_packed_dx);
    RUN(matmul_dw_18x40x10_dbias, d_mlp_c_fc_weight, d_mlp_c_fc_bias, d_fc_biased, ln_2_y);
    // gen/models/gpt.lua:85
    RUN(layernorm_backward_18x10x16_add_keep_dropout, m, d_projected_biased, d_ln_2_weight,
        d_ln_2_bias, d_x_mid_partial, d_x_mid_sum, d_ln_2_y, x_mid, ln_2_weight, ln_2_mean,
        ln_2_rstd, d_x_next, (uint32_t)(3 + l * 3));
    // gen/models/gpt.lua:82
    RUN(matmul_dx_18x10x10, d_attention_y, d_projected_biased, attn_c_proj_weight_packed_dx);
    RUN(matmul_dw_18x10x10_dbias, d_attn_c_proj_weight, d_attn_c_proj_bias, d_projected_biased,
        attention_y);
    // gen/models/gpt.lua:81
    RUN(attention_backward_3x6x2x5_dropout, m, d_qkv_biased, d_attention_y, qkv_biased, attention_y,
        attention_lse, (uint32_t)(2 + l * 3), scratch);
    // gen/models/gpt.lua:80
    RUN(matmul_dx_18x30x10, d_ln_1_y, d_qkv_biased, attn_c_attn_weight_packed_dx);
    RUN(matmul_dw_18x30x10_dbias, d_attn_c_attn_weight, d_attn_c_attn_bias, d_qkv_biased, ln_1_y);
    // gen/models/gpt.lua:79
    RUN(layernorm_backward_18x10x16_add_keep_dropout, m, d_narrowed_biased_before, d_ln_1_weight,
        d_ln_1_bias, d_x_partial, d_x_sum, d_ln_1_y, x, ln_1_weight, ln_1_mean, ln_1_rstd,
        d_x_mid_sum, (uint32_t)(1 + l * 3));
}

static void backward_layer_0(struct model *m, int thread, int threads) {
    float *d_fc_biased = m->acts + 2160; // (18, 40)
    const float *d_narrowed_biased = m->acts + 9344; // (18, 10)
    const float *mlp_c_proj_weight_packed_dx = m->packed + 3472; // (3, 10, 16)
    const float *fc_biased = m->acts + 2160; // (18, 40)
    float *d_mlp_c_proj_weight = m->grads + 1216; // (10, 40)
    float *d_mlp_c_proj_bias = m->grads + 1616; // (10)
    const float *activated = m->acts; // (18, 40)
    float *d_ln_2_y = m->acts + 9344; // (18, 10)
    const float *mlp_c_fc_weight_packed_dx = m->packed + 2832; // (1, 40, 16)
    float *d_mlp_c_fc_weight = m->grads + 768; // (40, 10)
    float *d_mlp_c_fc_bias = m->grads + 1168; // (40)
    const float *ln_2_y = m->acts + 8448; // (18, 10)
    float *d_projected_biased = m->acts + 9536; // (18, 10)
    float *d_ln_2_weight = m->grads + 736; // (10)
    float *d_ln_2_bias = m->grads + 752; // (10)
    float *d_x_mid_partial = m->acts + 9024; // (16, 2, 10)
    float *d_x_mid_sum = m->acts; // (18, 10)
    const float *x_mid = m->acts + 7872; // (18, 10)
    const float *ln_2_weight = m->params + 736; // (10)
    const float *ln_2_mean = m->acts + 10640; // (18)
    const float *ln_2_rstd = m->acts + 10736; // (18)
    const float *d_x_sum_next = m->acts + 9728; // (18, 10)
    float *d_attention_y = m->acts + 9728; // (18, 10)
    const float *attn_c_proj_weight_packed_dx = m->packed + 2672; // (1, 10, 16)
    float *d_attn_c_proj_weight = m->grads + 608; // (10, 10)
    float *d_attn_c_proj_bias = m->grads + 720; // (10)
    const float *attention_y = m->acts + 7296; // (18, 10)
    float *d_qkv_biased = m->acts + 9024; // (18, 30)
    const float *qkv_biased = m->acts + 4320; // (18, 30)
    const float *attention_lse = m->acts + 10304; // (2, 18)
    float *d_ln_1_y = m->acts + 10112; // (18, 10)
    const float *attn_c_attn_weight_packed_dx = m->packed + 2192; // (1, 30, 16)
    float *d_attn_c_attn_weight = m->grads + 272; // (30, 10)
    float *d_attn_c_attn_bias = m->grads + 576; // (30)
    const float *ln_1_y = m->acts + 6720; // (18, 10)
    float *d_embedded = m->acts; // (18, 10)
    float *d_ln_1_weight = m->grads + 240; // (10)
    float *d_ln_1_bias = m->grads + 256; // (10)
    float *d_x_partial = m->acts + 9024; // (16, 2, 10)
    const float *x = m->acts + 5952; // (18, 10)
    const float *ln_1_weight = m->params + 240; // (10)
    const float *ln_1_mean = m->acts + 10448; // (18)
    const float *ln_1_rstd = m->acts + 10544; // (18)
    void *scratch = model_scratch(m, thread);

    // gen/models/gpt.lua:88
    RUN(matmul_dx_18x10x40_gelu_erf_backward, d_fc_biased, d_narrowed_biased,
        mlp_c_proj_weight_packed_dx, fc_biased);
    RUN(matmul_dw_18x10x40_dbias, d_mlp_c_proj_weight, d_mlp_c_proj_bias, d_narrowed_biased,
        activated);
    // gen/models/gpt.lua:86
    RUN(matmul_dx_18x40x10, d_ln_2_y, d_fc_biased, mlp_c_fc_weight_packed_dx);
    RUN(matmul_dw_18x40x10_dbias, d_mlp_c_fc_weight, d_mlp_c_fc_bias, d_fc_biased, ln_2_y);
    // gen/models/gpt.lua:85
    RUN(layernorm_backward_18x10x16_add_keep_dropout, m, d_projected_biased, d_ln_2_weight,
        d_ln_2_bias, d_x_mid_partial, d_x_mid_sum, d_ln_2_y, x_mid, ln_2_weight, ln_2_mean,
        ln_2_rstd, d_x_sum_next, 3u);
    // gen/models/gpt.lua:82
    RUN(matmul_dx_18x10x10, d_attention_y, d_projected_biased, attn_c_proj_weight_packed_dx);
    RUN(matmul_dw_18x10x10_dbias, d_attn_c_proj_weight, d_attn_c_proj_bias, d_projected_biased,
        attention_y);
    // gen/models/gpt.lua:81
    RUN(attention_backward_3x6x2x5_dropout, m, d_qkv_biased, d_attention_y, qkv_biased, attention_y,
        attention_lse, 2u, scratch);
    // gen/models/gpt.lua:80
    RUN(matmul_dx_18x30x10, d_ln_1_y, d_qkv_biased, attn_c_attn_weight_packed_dx);
    RUN(matmul_dw_18x30x10_dbias, d_attn_c_attn_weight, d_attn_c_attn_bias, d_qkv_biased, ln_1_y);
    // gen/models/gpt.lua:79
    RUN(layernorm_backward_18x10x16_add_dropout, m, d_embedded, d_ln_1_weight, d_ln_1_bias,
        d_x_partial, d_ln_1_y, x, ln_1_weight, ln_1_mean, ln_1_rstd, d_x_mid_sum, 1u);
}

void model_backward(struct model *m, int thread, int threads) {
    profile_start(thread);
    float *train_logits = m->acts + 9024; // (18, 17)
    const float *ln_f_y = m->acts + 9344; // (18, 10)
    const float *wte_weight_packed = m->packed; // (2, 10, 16)
    float *d_logits = m->acts + 9024; // (18, 17)
    float *train_losses = m->acts + 10832; // (18)
    float *d_ln_f_y = m->acts + 9536; // (18, 10)
    const float *wte_weight_packed_dx = m->packed + 320; // (1, 17, 16)
    float *d_wte_weight = m->grads; // (17, 10)
    float *d_narrowed_biased_2 = m->acts + 9344; // (18, 10)
    float *d_ln_f_weight = m->grads + 4416; // (10)
    float *d_ln_f_bias = m->grads + 4432; // (10)
    float *d_x_partial_3 = m->acts + 9024; // (16, 2, 10)
    float *d_x_3 = m->acts + 9728; // (18, 10)
    const float *x_3 = m->acts + 6528; // (18, 10)
    const float *ln_f_weight = m->params + 4416; // (10)
    const float *ln_f_mean = m->acts + 9920; // (18)
    const float *ln_f_rstd = m->acts + 9952; // (18)
    float *d_wpe_weight = m->grads + 176; // (6, 10)
    const float *d_embedded = m->acts; // (18, 10)

    // gen/models/gpt.lua:103
    RUN(matmul_18x10x17, train_logits, ln_f_y, wte_weight_packed);
    // gen/build.lua
    RUN(cross_entropy_backward_18x17, m, d_logits, train_losses, train_logits, m->targets);
    // gen/models/gpt.lua:103
    RUN(matmul_dx_18x17x10, d_ln_f_y, d_logits, wte_weight_packed_dx);
    RUN(matmul_dw_18x17x10, d_wte_weight, d_logits, ln_f_y);
    // gen/models/gpt.lua:94
    RUN(layernorm_backward_18x10x16_keep_dropout, m, d_narrowed_biased_2, d_ln_f_weight,
        d_ln_f_bias, d_x_partial_3, d_x_3, d_ln_f_y, x_3, ln_f_weight, ln_f_mean, ln_f_rstd, 10u);
    for (int l = 2; l >= 1; l--) {
        backward_layer(m, l, thread, threads);
    }
    backward_layer_0(m, thread, threads);
    // gen/models/gpt.lua:71
    RUN(embed_backward_18x10x17x6, d_wte_weight, d_wpe_weight, d_embedded, m->tokens);
    // gen/build.lua
    RUN(mean_loss_18, m, train_losses, m->targets);
}

#undef RUN

// ---- what the runtime is told
// --------------------------------------------------------------------

static const struct kernel_info model_kernels[KERNELS] = {
    {"pack_17x10x2x16", 0.0,
     1960.0},
    {"pack_30x10x2x16", 0.0,
     2480.0},
    {"pack_10x10x1x16", 0.0,
     1040.0},
    {"pack_40x10x3x16", 0.0,
     3520.0},
    {"pack_10x40x1x16", 0.0,
     4160.0},
    {"pack_dx_17x10x1x16", 0.0,
     1768.0},
    {"pack_dx_30x10x1x16", 0.0,
     3120.0},
    {"pack_dx_10x10x1x16", 0.0,
     1040.0},
    {"pack_dx_40x10x1x16", 0.0,
     4160.0},
    {"pack_dx_10x40x3x16", 0.0,
     3520.0},
    {"embed_18x17x10x6_dropout", 1080.0,
     1712.0},
    {"layernorm_18x10", 1440.0,
     1664.0},
    {"matmul_18x10x30_bias", 11340.0,
     4280.0},
    {"attention_3x6x2x5_dropout", 2520.0,
     3024.0},
    {"matmul_18x10x10_bias_dropout_add", 4860.0,
     2840.0},
    {"matmul_18x10x40_bias_keep_gelu_erf", 36720.0,
     8560.0},
    {"matmul_18x40x10_bias_dropout_add", 15660.0,
     6920.0},
    {"matmul_18x10x17", 6120.0,
     3224.0},
    {"cross_entropy_18x17", 7650.0,
     1368.0},
    {"mean_loss_18", 18.0,
     144.0},
    {"cross_entropy_backward_18x17", 7650.0,
     2592.0},
    {"matmul_dx_18x17x10", 6120.0,
     3032.0},
    {"matmul_dw_18x17x10", 6120.0,
     3304.0},
    {"layernorm_backward_18x10x16_keep_dropout", 3780.0,
     4504.0},
    {"matmul_dx_18x10x40_gelu_erf_backward", 36720.0,
     8400.0},
    {"matmul_dw_18x10x40_dbias", 14400.0,
     6880.0},
    {"matmul_dx_18x40x10", 14400.0,
     6160.0},
    {"matmul_dw_18x40x10_dbias", 14400.0,
     7120.0},
    {"layernorm_backward_18x10x16_add_keep_dropout", 3960.0,
     5224.0},
    {"matmul_dx_18x10x10", 3600.0,
     2080.0},
    {"matmul_dw_18x10x10_dbias", 3600.0,
     2320.0},
    {"attention_backward_3x6x2x5_dropout", 6300.0,
     5904.0},
    {"matmul_dx_18x30x10", 10800.0,
     4800.0},
    {"matmul_dw_18x30x10_dbias", 10800.0,
     5520.0},
    {"layernorm_backward_18x10x16_add_dropout", 3960.0,
     4504.0},
    {"embed_backward_18x10x17x6", 360.0,
     2632.0},
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
    .dropout = true,
    .params = model_params,
    .params_count = MODEL_PARAMS,
    .state_floats = 4448,
    .packed_floats = 10672,
    .acts_floats = 10864,
    .scratch_bytes = sizeof(union model_scratch),
    .dtype = "float32",
    .num_params = 4240,
    .num_params_nanogpt = 4180,
    .flops_per_token = 27240.0,
    .kernels = model_kernels,
    .kernels_count = KERNELS,
};
