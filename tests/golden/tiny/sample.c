// sample.c: a model's forward pass for sampling.
//
//   gpt, 3 layers, 2 heads, 10 wide, context 6, vocabulary 17
//   made by      lua5.4 gen/main.lua --backend cpu --name again configs/gpt2.lua n_layer=3
//                n_head=2 n_embd=10 block_size=6 vocab_size=17 batch_size=3 bias=true
//                qkv_bias=true lm_head_bias=false tie_weights=true activation=gelu_erf
//                attn_scale=head dropout=0.1 dropout_embd=true init=nanogpt optimizer=adamw
//                decay_params=matrices recompute=none logits_rows=0 dtype=float32 isa=avx2
//                tiling=model
//   memory       16832 bytes beside the weights, which stay in the checkpoint's mapping,
//                and 15360 for each further text that is written at a time
//
// Kernels in order of first use, then sampler_forward. Weights are laid out as in nanoGPT's
// checkpoint; the letters are model.h's, but N is the most tokens that one call takes.
#include "model.h"

#include "runtime/kernel/kernel.h"
#include "runtime/kernel/product.h"

_Static_assert(VEC == 8, "this model is laid out for avx2; compile with '-march=x86-64-v3'");

// embed_decode_6x17x10x6, from templates/cpu/embed.c.
static void embed_decode_6x17x10x6(float *y, const int32_t *tokens, const float *wte,
                                   const float *wpe, const int *pos, int rows, int thread,
                                   int threads) {
    enum { N = 6, T = 6, C = 10, C_LD = 10, V = 17, V_LD = 17 };
    const struct range mine = share(rows, thread, threads);
    for (int row = mine.first; row < mine.last; row++) {
        const float *token = wte + (size_t)tokens[row] * C;
        const float *position = wpe + (size_t)pos[row] * C;
        for (int col = 0; col < C; col += VEC) {
            vec value = row_load(token, col, C);
            value += row_load(position, col, C);
            row_store(y + (size_t)row * C_LD, col, C, value);
        }
    }
}

// layernorm_decode_6x10, from templates/cpu/layernorm.c.
static void layernorm_decode_6x10(float *y, const float *x, const float *scale, const float *shift,
                                  int rows, int thread, int threads) {
    enum { N = 6, C = 10, C_LD = 10, SUMS = 4, WIDE = SUMS * VEC };
    const struct range mine = share(rows, thread, threads);
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
    }
}

// matmul_decode_6x10x30_bias, from templates/cpu/matmul_decode.c.
static void matmul_decode_6x10x30_bias(float *y, const float *x, const float *w, const float *bias,
                                       int rows, int thread, int threads) {
    enum { N = 6, C = 10, C_LD = 10, O = 30, O_LD = 30 };
    _Alignas(64) float sums[DIVIDE_UP(N, DOT_ROWS) * DOT_ROWS * DOT_PANEL];
    const struct range mine = product_share(O, thread, threads);
    for (int from = mine.first; from < mine.last; from += DOT_PANEL) {
        const int to = int_min(from + DOT_PANEL, mine.last);
        product_panel(sums, x, rows, w + (size_t)from * C, to - from, C, to < mine.last);
        for (int row = 0; row < rows; row++) {
            for (int col = from; col < to; col += VEC) {
                const int lanes = LANES(col, O);
                const size_t at = (size_t)row * O + (size_t)col;
                vec value = vec_load(sums + row * DOT_PANEL + col - from);
                value = value + vec_load_n(bias + col, lanes);
                vec_store_n(y + at, value, lanes);
            }
        }
    }
}

// attention_decode_6x2x5, from templates/cpu/attention_decode.c.
static void attention_decode_6x2x5_rows(float *y, const float *qkv, float *cache, int pos, int rows,
                                        int h) {
    enum { N = 6, B = 1, T = 6, C = 10, C_LD = 10, H = 2, D = 5, E = 30, E_LD = 30, S = 64,
           COLS = PRODUCT_COLS, ROWS = PRODUCT_ROWS, KEYS = 256, WIDTH = 32 };
    enum { DEPTH = D < (int)PRODUCT_DEPTH ? (int)D : (int)PRODUCT_DEPTH };
    _Alignas(64) float q[ROWS * DEPTH] = {0}, weights[ROWS * KEYS], sums[ROWS * COLS];
    const float *keys = cache + (size_t)h * S * D, *values = cache + (size_t)(H + h) * S * D;
    float largest[ROWS], total[ROWS], shrink[ROWS];
    for (int r = 0; r < rows; r++) {
        largest[r] = -INFINITY;
        total[r] = 0.0f;
    }
    for (int j = 0, count; j < pos + rows; j += count) {
        count = int_min(KEYS, pos + rows - j);
        for (int d = 0; d < D; d += DEPTH) {
            const int depth = int_min(DEPTH, D - d);
            for (int r = 0; r < rows; r++) {
                for (int i = 0; i < depth; i++) {
                    q[r * DEPTH + i] = qkv[(size_t)r * E + h * D + d + i] * 0.447213595f;
                }
            }
            for (int p = 0; p < count; p += COLS) {
                product_add(weights + p, KEYS, rows, d > 0, q, DEPTH, depth,
                            keys + ((size_t)(j + p) / WIDTH * D + d) * WIDTH + p % WIDTH, WIDTH);
            }
        }
        for (int r = 0; r < rows; r++) {
            float *w = weights + r * KEYS;
            const int seen = int_max(0, int_min(count, pos + r + 1 - j));
            const int end = DIVIDE_UP(count, VEC) * VEC;
            for (int i = seen; i < end; i++) {
                w[i] = -INFINITY;
            }
            vec most = vec_splat(largest[r]);
            for (int i = 0; i < end; i += VEC) {
                most = vec_max(most, vec_load(w + i));
            }
            const float before = largest[r];
            largest[r] = vec_largest(most);
            vec sum = vec_splat(0.0f);
            for (int i = 0; i < end; i += VEC) {
                const vec e = vec_exp(vec_load(w + i) - largest[r]);
                vec_store(w + i, e);
                sum += e;
            }
            shrink[r] = j > 0 ? expf(before - largest[r]) : 0.0f;
            total[r] = total[r] * shrink[r] + vec_sum(sum);
        }
        const bool last = j + count == pos + rows;
        for (int d = 0; d < D; d += COLS) {
            product_add(sums, COLS, rows, false, weights, KEYS, count, values + (size_t)j * D + d,
                        D);
            for (int r = 0; r < rows; r++) {
                const float scale = last ? 1.0f / total[r] : 1.0f;
                for (int i = d; i < int_min(d + COLS, D); i += VEC) {
                    float *to = y + (size_t)r * C + h * D;
                    vec value = vec_load(sums + r * COLS + i - d);
                    if (j > 0) {
                        value = vec_fma(row_load(to, i, D), vec_splat(shrink[r]), value);
                    }
                    row_store(to, i, D, value * scale);
                }
            }
        }
    }
}

static void attention_decode_6x2x5_weights(float *weights, int tokens, const float *qkv,
                                           const float *cache, int pos, int rows, int h) {
    enum { N = 6, B = 1, T = 6, C = 10, C_LD = 10, H = 2, D = 5, E = 30, E_LD = 30, S = 64,
           WIDTH = 32 };
    const float *keys = cache + (size_t)h * S * D;
    for (int r = 0; r < rows; r++) {
        const float *q = qkv + (size_t)r * E + h * D;
        float *row = weights + ((size_t)h * tokens + (pos + r)) * tokens;
        double largest = -INFINITY, total = 0.0;
        for (int pass = 0; pass < 2; pass++) {
            for (int j = 0; j <= pos + r; j++) {
                const float *key = keys + (size_t)j / WIDTH * D * WIDTH + j % WIDTH;
                double score = 0.0;
                for (int d = 0; d < D; d++) {
                    score += (double)q[d] * key[(size_t)d * WIDTH];
                }
                score *= 0.447213595f;
                if (pass == 1) {
                    row[j] = (float)(exp(score - largest) / total);
                } else if (score > largest) {
                    total = total * exp(largest - score) + 1.0;
                    largest = score;
                } else {
                    total += exp(score - largest);
                }
            }
        }
    }
}

static void attention_decode_6x2x5(float *y, const float *qkv, float *cache, float *weights,
                                   int tokens, const struct sampler_run *runs, int count,
                                   int thread, int threads) {
    enum { N = 6, B = 1, T = 6, C = 10, C_LD = 10, H = 2, D = 5, E = 30, E_LD = 30, S = 64,
           WIDTH = 32 };
    const struct range mine = share(count * H, thread, threads);
    for (int i = mine.first; i < mine.last; i++) {
        const struct sampler_run *run = &runs[i / H];
        const int h = i % H, pos = run->pos, rows = run->rows;
        const float *from = qkv + (size_t)run->first * E;
        float *to = y + (size_t)run->first * C, *own = cache + run->cache;
        float *keys = own + (size_t)h * S * D, *values = own + (size_t)(H + h) * S * D;
        for (int row = 0; row < rows; row++) {
            const float *key = from + (size_t)row * E + C + h * D;
            const int j = pos + row;
            for (int d = 0; d < D; d++) {
                keys[((size_t)j / WIDTH * D + d) * WIDTH + j % WIDTH] = key[d];
            }
            memcpy(values + (size_t)j * D, key + C, D * sizeof(float));
        }
        for (int row = 0; row < rows; row += PRODUCT_ROWS) {
            attention_decode_6x2x5_rows
            (to + (size_t)row * C, from + (size_t)row * E, own, pos + row,
             int_min(PRODUCT_ROWS, rows - row), h);
        }
        if (weights != NULL) {
            attention_decode_6x2x5_weights(weights, tokens, from, own, pos, rows, h);
        }
    }
}

// matmul_decode_6x10x10_bias_add, from templates/cpu/matmul_decode.c.
static void matmul_decode_6x10x10_bias_add(float *y, const float *x, const float *w,
                                           const float *bias, const float *addend, int rows,
                                           int thread, int threads) {
    enum { N = 6, C = 10, C_LD = 10, O = 10, O_LD = 10 };
    _Alignas(64) float sums[DIVIDE_UP(N, DOT_ROWS) * DOT_ROWS * DOT_PANEL];
    const struct range mine = product_share(O, thread, threads);
    for (int from = mine.first; from < mine.last; from += DOT_PANEL) {
        const int to = int_min(from + DOT_PANEL, mine.last);
        product_panel(sums, x, rows, w + (size_t)from * C, to - from, C, to < mine.last);
        for (int row = 0; row < rows; row++) {
            for (int col = from; col < to; col += VEC) {
                const int lanes = LANES(col, O);
                const size_t at = (size_t)row * O + (size_t)col;
                vec value = vec_load(sums + row * DOT_PANEL + col - from);
                value = value + vec_load_n(bias + col, lanes);
                value = value + vec_load_n(addend + at, lanes);
                vec_store_n(y + at, value, lanes);
            }
        }
    }
}

// matmul_decode_6x10x40_bias_gelu_erf, from templates/cpu/matmul_decode.c.
static void matmul_decode_6x10x40_bias_gelu_erf(float *y, const float *x, const float *w,
                                                const float *bias, int rows, int thread,
                                                int threads) {
    enum { N = 6, C = 10, C_LD = 10, O = 40, O_LD = 40 };
    _Alignas(64) float sums[DIVIDE_UP(N, DOT_ROWS) * DOT_ROWS * DOT_PANEL];
    const struct range mine = product_share(O, thread, threads);
    for (int from = mine.first; from < mine.last; from += DOT_PANEL) {
        const int to = int_min(from + DOT_PANEL, mine.last);
        product_panel(sums, x, rows, w + (size_t)from * C, to - from, C, to < mine.last);
        for (int row = 0; row < rows; row++) {
            for (int col = from; col < to; col += VEC) {
                const int lanes = LANES(col, O);
                const size_t at = (size_t)row * O + (size_t)col;
                vec value = vec_load(sums + row * DOT_PANEL + col - from);
                value = value + vec_load_n(bias + col, lanes);
                value = gelu_erf(value);
                vec_store_n(y + at, value, lanes);
            }
        }
    }
}

// matmul_decode_6x40x10_bias_add, from templates/cpu/matmul_decode.c.
static void matmul_decode_6x40x10_bias_add(float *y, const float *x, const float *w,
                                           const float *bias, const float *addend, int rows,
                                           int thread, int threads) {
    enum { N = 6, C = 40, C_LD = 40, O = 10, O_LD = 10 };
    _Alignas(64) float sums[DIVIDE_UP(N, DOT_ROWS) * DOT_ROWS * DOT_PANEL];
    const struct range mine = product_share(O, thread, threads);
    for (int from = mine.first; from < mine.last; from += DOT_PANEL) {
        const int to = int_min(from + DOT_PANEL, mine.last);
        product_panel(sums, x, rows, w + (size_t)from * C, to - from, C, to < mine.last);
        for (int row = 0; row < rows; row++) {
            for (int col = from; col < to; col += VEC) {
                const int lanes = LANES(col, O);
                const size_t at = (size_t)row * O + (size_t)col;
                vec value = vec_load(sums + row * DOT_PANEL + col - from);
                value = value + vec_load_n(bias + col, lanes);
                value = value + vec_load_n(addend + at, lanes);
                vec_store_n(y + at, value, lanes);
            }
        }
    }
}

// last_row_decode_6x10x6, from templates/cpu/last_row.c.
static void last_row_decode_6x10x6(float *y, const float *x, const struct sampler_run *runs,
                                   int count, int thread, int threads) {
    enum { N = 6, C = 10, C_LD = 10 };
    const struct range mine = share(C, thread, threads);
    for (int i = 0; i < count; i++) {
        const float *last = x + (size_t)(runs[i].first + runs[i].rows - 1) * C;
        for (int c = mine.first; c < mine.last; c++) {
            y[(size_t)i * C + c] = last[c];
        }
    }
}

// matmul_decode_6x10x17, from templates/cpu/matmul_decode.c.
static void matmul_decode_6x10x17(float *y, const float *x, const float *w, int rows, int thread,
                                  int threads) {
    enum { N = 6, C = 10, C_LD = 10, O = 17, O_LD = 17 };
    _Alignas(64) float sums[DIVIDE_UP(N, DOT_ROWS) * DOT_ROWS * DOT_PANEL];
    const struct range mine = product_share(O, thread, threads);
    for (int from = mine.first; from < mine.last; from += DOT_PANEL) {
        const int to = int_min(from + DOT_PANEL, mine.last);
        product_panel(sums, x, rows, w + (size_t)from * C, to - from, C, to < mine.last);
        for (int row = 0; row < rows; row++) {
            for (int col = from; col < to; col += VEC) {
                const int lanes = LANES(col, O);
                const size_t at = (size_t)row * O + (size_t)col;
                vec value = vec_load(sums + row * DOT_PANEL + col - from);
                vec_store_n(y + at, value, lanes);
            }
        }
    }
}

// ---- the model ----------------------------------------------------------------------------------

// Runs a kernel in all threads and waits for all of them.
#define RUN(kernel, ...)                                                                           \
    do {                                                                                           \
        kernel(__VA_ARGS__, thread, s->threads);                                                   \
        sampler_wait_prefetching(s, thread);                                                       \
    } while (0)

// From here on, a waiting thread prefetches its part of w (O, C), which a product reads next.
#define PREFETCH(w, O, C) sampler_prefetch(s, thread, product_part(w, O, C, thread, s->threads))

static void sampler_layer(struct sampler *s, int l, const struct sampler_batch *batch, int thread) {
    const float *attn_c_attn_weight = s->weight[8 + l]; // (30, 10)
    float *ln_1_y = s->memory + 4144; // (6, 10)
    const float *x = s->memory + 4080; // (6, 10)
    const float *ln_1_weight = s->weight[2 + l]; // (10)
    const float *ln_1_bias = s->weight[5 + l]; // (10)
    const float *attn_c_proj_weight = s->weight[14 + l]; // (10, 10)
    float *qkv_biased = s->memory + 3840; // (6, 30)
    const float *attn_c_attn_bias = s->weight[11 + l]; // (30)
    float *attention_y = s->memory + 4144; // (6, 10)
    float *cache = s->memory + (size_t)l * 1280; // (2, 64, 10)
    const float *mlp_c_fc_weight = s->weight[26 + l]; // (40, 10)
    float *x_mid = s->memory + 4080; // (6, 10)
    const float *attn_c_proj_bias = s->weight[17 + l]; // (10)
    float *ln_2_y = s->memory + 4144; // (6, 10)
    const float *ln_2_weight = s->weight[20 + l]; // (10)
    const float *ln_2_bias = s->weight[23 + l]; // (10)
    const float *mlp_c_proj_weight = s->weight[32 + l]; // (10, 40)
    float *activated = s->memory + 3840; // (6, 40)
    const float *mlp_c_fc_bias = s->weight[29 + l]; // (40)
    float *x_next = s->memory + 4080; // (6, 10)
    const float *mlp_c_proj_bias = s->weight[35 + l]; // (10)

    PREFETCH(attn_c_attn_weight, 30, 10);
    // block.l.ln_1
    RUN(layernorm_decode_6x10, ln_1_y, x, ln_1_weight, ln_1_bias, batch->rows);
    PREFETCH(attn_c_proj_weight, 10, 10);
    // block.l.qkv
    RUN(matmul_decode_6x10x30_bias, qkv_biased, ln_1_y, attn_c_attn_weight, attn_c_attn_bias,
        batch->rows);
    // block.l.attention
    RUN(attention_decode_6x2x5, attention_y, qkv_biased, cache, sampler_layer_weights(s, l),
        s->weights_tokens, batch->runs, batch->count);
    PREFETCH(mlp_c_fc_weight, 40, 10);
    // block.l.projected
    RUN(matmul_decode_6x10x10_bias_add, x_mid, attention_y, attn_c_proj_weight, attn_c_proj_bias, x,
        batch->rows);
    // block.l.ln_2
    RUN(layernorm_decode_6x10, ln_2_y, x_mid, ln_2_weight, ln_2_bias, batch->rows);
    PREFETCH(mlp_c_proj_weight, 10, 40);
    // block.l.fc
    RUN(matmul_decode_6x10x40_bias_gelu_erf, activated, ln_2_y, mlp_c_fc_weight, mlp_c_fc_bias,
        batch->rows);
    // block.l.narrowed
    RUN(matmul_decode_6x40x10_bias_add, x_next, activated, mlp_c_proj_weight, mlp_c_proj_bias,
        x_mid, batch->rows);
}

void sampler_forward(struct sampler *s, const struct sampler_batch *batch, int thread) {
    float *x_0 = s->memory + 4080; // (6, 10)
    const float *wte_weight = s->weight[0]; // (17, 10)
    const float *wpe_weight = s->weight[1]; // (6, 10)
    float *ln_f_y = s->memory + 3840; // (6, 10)
    const float *x_3 = s->memory + 4080; // (6, 10)
    const float *ln_f_weight = s->weight[38]; // (10)
    const float *ln_f_bias = s->weight[39]; // (10)
    float *last = s->memory + 3904; // (6, 10)

    // block.0.x
    RUN(embed_decode_6x17x10x6, x_0, batch->tokens, wte_weight, wpe_weight, batch->pos,
        batch->rows);
    for (int l = 0; l < MODEL_L; l++) {
        sampler_layer(s, l, batch, thread);
    }
    PREFETCH(wte_weight, 17, 10);
    // ln_f
    RUN(layernorm_decode_6x10, ln_f_y, x_3, ln_f_weight, ln_f_bias, batch->rows);
    // last
    RUN(last_row_decode_6x10x6, last, ln_f_y, batch->asked, batch->asks);
    // logits
    RUN(matmul_decode_6x10x17, batch->logits, last, wte_weight, batch->asks);
}

#undef RUN
#undef PREFETCH

const struct sampler_info sampler_info = {
    .config = MODEL_CONFIG,
    .block_size = MODEL_T,
    .vocab_size = MODEL_V,
    .n_layer = MODEL_L,
    .n_head = MODEL_H,
    .n_embd = MODEL_C,
    .params = model_params,
    .params_count = MODEL_PARAMS,
    .max_rows = 6,
    .memory_floats = 4208,
    .cache_floats = 3840,
    .cache_rows = 64,
    .cache_width = 5,
};
