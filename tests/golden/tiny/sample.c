// sample.c: a model's forward pass for sampling.
//
//   gpt, 3 layers, 2 heads, 10 wide, context 6, vocabulary 17
//   made by      lua5.4 gen/main.lua --backend cpu --name again configs/gpt2.lua n_layer=3
//                n_head=2 n_embd=10 block_size=6 vocab_size=17 batch_size=3 bias=true
//                qkv_bias=true lm_head_bias=false tie_weights=true activation=gelu_erf
//                attn_scale=head dropout=0.1 dropout_embd=true init=nanogpt optimizer=adamw
//                decay_params=matrices recompute=none logits_rows=0 dtype=float32 isa=avx2
//   memory       3008 bytes beside the weights, which stay in the checkpoint's mapping
//
// Kernels as they are first used, then sampler_forward. Weights are as nanoGPT's checkpoint has
// them; the letters are model.h's, but N is the most tokens that one call takes.
#include "model.h"

#include "runtime/kernel.h"

_Static_assert(VEC == 8, "this model is laid out for avx2; compile with '-march=x86-64-v3'");

// embed_decode_6x17x10x6, from templates/cpu/embed.c:51.
static void embed_decode_6x17x10x6(float *y, const int32_t *tokens, const float *wte,
                                   const float *wpe, int pos, int rows, int thread, int threads) {
    enum { N = 6, T = 6, C = 10, V = 17 };
    const struct range mine = share(rows, thread, threads);
    for (int row = mine.first; row < mine.last; row++) {
        const float *token = wte + (size_t)tokens[row] * C;
        const float *position = wpe + (size_t)(pos + row) * C;
        for (int col = 0; col < C; col += VEC) {
            vec value = row_load(token, col, C);
            value += row_load(position, col, C);
            row_store(y + (size_t)row * C, col, C, value);
        }
    }
}

// layernorm_decode_6x10, from templates/cpu/layernorm.c:3.
static void layernorm_decode_6x10(float *y, const float *x, const float *scale, const float *shift,
                                  int rows, int thread, int threads) {
    enum { N = 6, C = 10 };
    const struct range mine = share(rows, thread, threads);
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
    }
}

// matmul_decode_6x10x30_bias, from templates/cpu/matmul_decode.c:5.
static void matmul_decode_6x10x30_bias(float *y, const float *x, const float *w, const float *bias,
                                       int rows, int thread, int threads) {
    enum { N = 6, C = 10, O = 30, GROUPS = DIVIDE_UP(O, VEC), FEW = 4 };
    const struct range mine = share(GROUPS, thread, threads);
    for (int g = mine.first; g < mine.last; g++) {
        const int col = g * VEC, lanes = LANES(col, O);
        for (int row0 = 0; row0 < rows; row0 += FEW) {
            const int few = int_min(FEW, rows - row0);
            float sums[FEW][VEC] = {{0.0f}};
            for (int l = 0; l < lanes; l++) {
                const float *w_row = w + (size_t)(col + l) * C;
                vec acc[FEW];
                for (int r = 0; r < FEW; r++) {
                    acc[r] = vec_splat(0.0f);
                }
                if (few == FEW) {
                    for (int c = 0; c < C; c += VEC) {
                        const vec wc = row_load(w_row, c, C);
#pragma GCC unroll 4
                        for (int r = 0; r < FEW; r++) {
                            acc[r] =
                                vec_fma(row_load(x + (size_t)(row0 + r) * C, c, C), wc, acc[r]);
                        }
                    }
                } else {
                    for (int r = 0; r < few; r++) {
                        for (int c = 0; c < C; c += VEC) {
                            acc[r] = vec_fma(row_load(x + (size_t)(row0 + r) * C, c, C),
                                             row_load(w_row, c, C), acc[r]);
                        }
                    }
                }
                for (int r = 0; r < few; r++) {
                    sums[r][l] = vec_sum(acc[r]);
                }
            }
            for (int r = 0; r < few; r++) {
                const int row = row0 + r;
                const size_t at = (size_t)row * O + (size_t)col;
                vec value = vec_load(sums[r]);
                value = value + vec_load_n(bias + col, lanes);
                vec_store_n(y + at, value, lanes);
            }
        }
    }
}

// attention_decode_6x2x5, from templates/cpu/attention_decode.c:5.
static void attention_decode_6x2x5(float *y, float *weights, const float *qkv, float *cache,
                                   int pos, int rows, int thread, int threads) {
    enum { N = 6, B = 1, T = 6, C = 10, H = 2, D = 5, E = 30, S = 16 };
    const struct range mine = share(H, thread, threads);
    for (int h = mine.first; h < mine.last; h++) {
        float *w = weights + (size_t)h * S;
        for (int row = 0; row < rows; row++) {
            const float *q = qkv + (size_t)row * E + h * D;
            float *keys = cache + h * D, *values = keys + (size_t)T * C; // rows C apart
            const int i = pos + row;
            memcpy(keys + (size_t)i * C, q + C, D * sizeof(float));
            memcpy(values + (size_t)i * C, q + 2 * C, D * sizeof(float));
            float largest = -INFINITY;
            for (int j = 0; j <= i; j++) {
                vec dots = vec_splat(0.0f);
                for (int d = 0; d < D; d += VEC) {
                    dots = vec_fma(row_load(q, d, D), row_load(keys + (size_t)j * C, d, D), dots);
                }
                w[j] = vec_sum(dots) * 0.447213595f;
                largest = w[j] > largest ? w[j] : largest;
            }
            for (int j = i + 1; j < DIVIDE_UP(i + 1, VEC) * VEC; j++) {
                w[j] = -INFINITY;
            }
            vec total = vec_splat(0.0f);
            for (int j = 0; j <= i; j += VEC) {
                const vec e = vec_exp(vec_load(w + j) - largest);
                vec_store(w + j, e);
                total += e;
            }
            const float scale = 1.0f / vec_sum(total);
            float *to = y + (size_t)row * C + h * D;
            for (int d = 0; d < D; d += VEC) {
                vec sum = vec_splat(0.0f);
                for (int j = 0; j <= i; j++) {
                    sum = vec_fma(vec_splat(w[j]), row_load(values + (size_t)j * C, d, D), sum);
                }
                row_store(to, d, D, sum * scale);
            }
        }
    }
}

// matmul_decode_6x10x10_bias_add, from templates/cpu/matmul_decode.c:5.
static void matmul_decode_6x10x10_bias_add(float *y, const float *x, const float *w,
                                           const float *bias, const float *addend, int rows,
                                           int thread, int threads) {
    enum { N = 6, C = 10, O = 10, GROUPS = DIVIDE_UP(O, VEC), FEW = 4 };
    const struct range mine = share(GROUPS, thread, threads);
    for (int g = mine.first; g < mine.last; g++) {
        const int col = g * VEC, lanes = LANES(col, O);
        for (int row0 = 0; row0 < rows; row0 += FEW) {
            const int few = int_min(FEW, rows - row0);
            float sums[FEW][VEC] = {{0.0f}};
            for (int l = 0; l < lanes; l++) {
                const float *w_row = w + (size_t)(col + l) * C;
                vec acc[FEW];
                for (int r = 0; r < FEW; r++) {
                    acc[r] = vec_splat(0.0f);
                }
                if (few == FEW) {
                    for (int c = 0; c < C; c += VEC) {
                        const vec wc = row_load(w_row, c, C);
#pragma GCC unroll 4
                        for (int r = 0; r < FEW; r++) {
                            acc[r] =
                                vec_fma(row_load(x + (size_t)(row0 + r) * C, c, C), wc, acc[r]);
                        }
                    }
                } else {
                    for (int r = 0; r < few; r++) {
                        for (int c = 0; c < C; c += VEC) {
                            acc[r] = vec_fma(row_load(x + (size_t)(row0 + r) * C, c, C),
                                             row_load(w_row, c, C), acc[r]);
                        }
                    }
                }
                for (int r = 0; r < few; r++) {
                    sums[r][l] = vec_sum(acc[r]);
                }
            }
            for (int r = 0; r < few; r++) {
                const int row = row0 + r;
                const size_t at = (size_t)row * O + (size_t)col;
                vec value = vec_load(sums[r]);
                value = value + vec_load_n(bias + col, lanes);
                value = value + vec_load_n(addend + at, lanes);
                vec_store_n(y + at, value, lanes);
            }
        }
    }
}

// matmul_decode_6x10x40_bias_gelu_erf, from templates/cpu/matmul_decode.c:5.
static void matmul_decode_6x10x40_bias_gelu_erf(float *y, const float *x, const float *w,
                                                const float *bias, int rows, int thread,
                                                int threads) {
    enum { N = 6, C = 10, O = 40, GROUPS = DIVIDE_UP(O, VEC), FEW = 4 };
    const struct range mine = share(GROUPS, thread, threads);
    for (int g = mine.first; g < mine.last; g++) {
        const int col = g * VEC, lanes = LANES(col, O);
        for (int row0 = 0; row0 < rows; row0 += FEW) {
            const int few = int_min(FEW, rows - row0);
            float sums[FEW][VEC] = {{0.0f}};
            for (int l = 0; l < lanes; l++) {
                const float *w_row = w + (size_t)(col + l) * C;
                vec acc[FEW];
                for (int r = 0; r < FEW; r++) {
                    acc[r] = vec_splat(0.0f);
                }
                if (few == FEW) {
                    for (int c = 0; c < C; c += VEC) {
                        const vec wc = row_load(w_row, c, C);
#pragma GCC unroll 4
                        for (int r = 0; r < FEW; r++) {
                            acc[r] =
                                vec_fma(row_load(x + (size_t)(row0 + r) * C, c, C), wc, acc[r]);
                        }
                    }
                } else {
                    for (int r = 0; r < few; r++) {
                        for (int c = 0; c < C; c += VEC) {
                            acc[r] = vec_fma(row_load(x + (size_t)(row0 + r) * C, c, C),
                                             row_load(w_row, c, C), acc[r]);
                        }
                    }
                }
                for (int r = 0; r < few; r++) {
                    sums[r][l] = vec_sum(acc[r]);
                }
            }
            for (int r = 0; r < few; r++) {
                const int row = row0 + r;
                const size_t at = (size_t)row * O + (size_t)col;
                vec value = vec_load(sums[r]);
                value = value + vec_load_n(bias + col, lanes);
                value = gelu_erf(value);
                vec_store_n(y + at, value, lanes);
            }
        }
    }
}

// matmul_decode_6x40x10_bias_add, from templates/cpu/matmul_decode.c:5.
static void matmul_decode_6x40x10_bias_add(float *y, const float *x, const float *w,
                                           const float *bias, const float *addend, int rows,
                                           int thread, int threads) {
    enum { N = 6, C = 40, O = 10, GROUPS = DIVIDE_UP(O, VEC), FEW = 4 };
    const struct range mine = share(GROUPS, thread, threads);
    for (int g = mine.first; g < mine.last; g++) {
        const int col = g * VEC, lanes = LANES(col, O);
        for (int row0 = 0; row0 < rows; row0 += FEW) {
            const int few = int_min(FEW, rows - row0);
            float sums[FEW][VEC] = {{0.0f}};
            for (int l = 0; l < lanes; l++) {
                const float *w_row = w + (size_t)(col + l) * C;
                vec acc[FEW];
                for (int r = 0; r < FEW; r++) {
                    acc[r] = vec_splat(0.0f);
                }
                if (few == FEW) {
                    for (int c = 0; c < C; c += VEC) {
                        const vec wc = row_load(w_row, c, C);
#pragma GCC unroll 4
                        for (int r = 0; r < FEW; r++) {
                            acc[r] =
                                vec_fma(row_load(x + (size_t)(row0 + r) * C, c, C), wc, acc[r]);
                        }
                    }
                } else {
                    for (int r = 0; r < few; r++) {
                        for (int c = 0; c < C; c += VEC) {
                            acc[r] = vec_fma(row_load(x + (size_t)(row0 + r) * C, c, C),
                                             row_load(w_row, c, C), acc[r]);
                        }
                    }
                }
                for (int r = 0; r < few; r++) {
                    sums[r][l] = vec_sum(acc[r]);
                }
            }
            for (int r = 0; r < few; r++) {
                const int row = row0 + r;
                const size_t at = (size_t)row * O + (size_t)col;
                vec value = vec_load(sums[r]);
                value = value + vec_load_n(bias + col, lanes);
                value = value + vec_load_n(addend + at, lanes);
                vec_store_n(y + at, value, lanes);
            }
        }
    }
}

// last_row_decode_6x10, from templates/cpu/last_row.c:1.
static void last_row_decode_6x10(float *y, const float *x, int rows, int thread, int threads) {
    enum { N = 6, C = 10 };
    const struct range mine = share(C, thread, threads);
    for (int c = mine.first; c < mine.last; c++) {
        y[c] = x[(size_t)(rows - 1) * C + c];
    }
}

// matmul_decode_1x10x17, from templates/cpu/matmul_decode.c:5.
static void matmul_decode_1x10x17(float *y, const float *x, const float *w, int rows, int thread,
                                  int threads) {
    enum { N = 1, C = 10, O = 17, GROUPS = DIVIDE_UP(O, VEC), FEW = 4 };
    const struct range mine = share(GROUPS, thread, threads);
    for (int g = mine.first; g < mine.last; g++) {
        const int col = g * VEC, lanes = LANES(col, O);
        for (int row0 = 0; row0 < rows; row0 += FEW) {
            const int few = int_min(FEW, rows - row0);
            float sums[FEW][VEC] = {{0.0f}};
            for (int l = 0; l < lanes; l++) {
                const float *w_row = w + (size_t)(col + l) * C;
                vec acc[FEW];
                for (int r = 0; r < FEW; r++) {
                    acc[r] = vec_splat(0.0f);
                }
                if (few == FEW) {
                    for (int c = 0; c < C; c += VEC) {
                        const vec wc = row_load(w_row, c, C);
#pragma GCC unroll 4
                        for (int r = 0; r < FEW; r++) {
                            acc[r] =
                                vec_fma(row_load(x + (size_t)(row0 + r) * C, c, C), wc, acc[r]);
                        }
                    }
                } else {
                    for (int r = 0; r < few; r++) {
                        for (int c = 0; c < C; c += VEC) {
                            acc[r] = vec_fma(row_load(x + (size_t)(row0 + r) * C, c, C),
                                             row_load(w_row, c, C), acc[r]);
                        }
                    }
                }
                for (int r = 0; r < few; r++) {
                    sums[r][l] = vec_sum(acc[r]);
                }
            }
            for (int r = 0; r < few; r++) {
                const int row = row0 + r;
                const size_t at = (size_t)row * O + (size_t)col;
                vec value = vec_load(sums[r]);
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
        sampler_wait(s);                                                                           \
    } while (0)

static void sampler_layer(struct sampler *s, int l, int rows, int pos, int thread) {
    float *ln_1_y = s->memory + 688; // (6, 10)
    const float *x = s->memory + 624; // (6, 10)
    const float *ln_1_weight = s->weight[2 + l]; // (10)
    const float *ln_1_bias = s->weight[5 + l]; // (10)
    float *qkv_biased = s->memory + 384; // (6, 30)
    const float *attn_c_attn_weight = s->weight[8 + l]; // (30, 10)
    const float *attn_c_attn_bias = s->weight[11 + l]; // (30)
    float *attention_y = s->memory + 688; // (6, 10)
    float *attention_weights = s->memory + 576; // (2, 16)
    float *cache = s->memory + (size_t)l * 128; // (2, 6, 10)
    float *x_mid = s->memory + 624; // (6, 10)
    const float *attn_c_proj_weight = s->weight[14 + l]; // (10, 10)
    const float *attn_c_proj_bias = s->weight[17 + l]; // (10)
    float *ln_2_y = s->memory + 688; // (6, 10)
    const float *ln_2_weight = s->weight[20 + l]; // (10)
    const float *ln_2_bias = s->weight[23 + l]; // (10)
    float *activated = s->memory + 384; // (6, 40)
    const float *mlp_c_fc_weight = s->weight[26 + l]; // (40, 10)
    const float *mlp_c_fc_bias = s->weight[29 + l]; // (40)
    float *x_next = s->memory + 624; // (6, 10)
    const float *mlp_c_proj_weight = s->weight[32 + l]; // (10, 40)
    const float *mlp_c_proj_bias = s->weight[35 + l]; // (10)

    // gen/models/gpt.lua:79
    RUN(layernorm_decode_6x10, ln_1_y, x, ln_1_weight, ln_1_bias, rows);
    // gen/models/gpt.lua:80
    RUN(matmul_decode_6x10x30_bias, qkv_biased, ln_1_y, attn_c_attn_weight, attn_c_attn_bias, rows);
    // gen/models/gpt.lua:81
    RUN(attention_decode_6x2x5, attention_y, attention_weights, qkv_biased, cache, pos, rows);
    // gen/models/gpt.lua:82
    RUN(matmul_decode_6x10x10_bias_add, x_mid, attention_y, attn_c_proj_weight, attn_c_proj_bias, x,
        rows);
    // gen/models/gpt.lua:85
    RUN(layernorm_decode_6x10, ln_2_y, x_mid, ln_2_weight, ln_2_bias, rows);
    // gen/models/gpt.lua:86
    RUN(matmul_decode_6x10x40_bias_gelu_erf, activated, ln_2_y, mlp_c_fc_weight, mlp_c_fc_bias,
        rows);
    // gen/models/gpt.lua:88
    RUN(matmul_decode_6x40x10_bias_add, x_next, activated, mlp_c_proj_weight, mlp_c_proj_bias,
        x_mid, rows);
}

void sampler_forward(struct sampler *s, const int32_t *tokens, int rows, int pos, float *logits,
                     int thread) {
    float *x_0 = s->memory + 624; // (6, 10)
    const float *wte_weight = s->weight[0]; // (17, 10)
    const float *wpe_weight = s->weight[1]; // (6, 10)
    float *ln_f_y = s->memory + 384; // (6, 10)
    const float *x_3 = s->memory + 624; // (6, 10)
    const float *ln_f_weight = s->weight[38]; // (10)
    const float *ln_f_bias = s->weight[39]; // (10)
    float *last = s->memory + 448; // (1, 10)

    // gen/models/gpt.lua:71
    RUN(embed_decode_6x17x10x6, x_0, tokens, wte_weight, wpe_weight, pos, rows);
    for (int l = 0; l < 3; l++) {
        sampler_layer(s, l, rows, pos, thread);
    }
    // gen/models/gpt.lua:94
    RUN(layernorm_decode_6x10, ln_f_y, x_3, ln_f_weight, ln_f_bias, rows);
    // gen/models/gpt.lua:95
    RUN(last_row_decode_6x10, last, ln_f_y, rows);
    // gen/models/gpt.lua:103
    RUN(matmul_decode_1x10x17, logits, last, wte_weight, 1);
}

#undef RUN

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
    .memory_floats = 752,
};
