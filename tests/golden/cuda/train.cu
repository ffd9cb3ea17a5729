// train.cu: gpt, 3 layers, 2 heads, 36 wide, context 24, vocabulary 65.
//
//   made by      lua5.4 gen/main.lua --backend cuda --name again configs/gpt2.lua n_layer=3
//                n_head=2 n_embd=36 block_size=24 vocab_size=65 batch_size=2 bias=true
//                qkv_bias=true lm_head_bias=false tie_weights=true activation=gelu_tanh
//                attn_scale=head dropout=0.1 dropout_embd=true init=nanogpt optimizer=adamw
//                decay_params=matrices recompute=none logits_rows=0 dtype=bfloat16 tf32=false
//                attention=mma arch=all isa=generic
//   parameters   51336
//   memory       weights, gradients and moments 0.2 MiB each in float,
//                the weights' image in bfloat16 0.1 MiB, activations
//                0.2 MiB (0.4 MiB before planning)
//   one step     16.9 MFLOP (16.0 MFLOP as nanoGPT counts), a micro-batch of
//                2 x 24 tokens
//
// In this order: kernels by first use, each with its launcher; device_forward, device_loss,
// device_backward, device_update; what the runtime needs to know. Each buffer is declared with its
// shape; the comment above a call is the name that the model gives it.
#include "model.h"

#include "runtime/kernel/gemm.h"
#include "runtime/kernel/device.h"
#include "runtime/kernel/kernel.cuh"
#include "runtime/kernel/kernel_math.cuh"
#include "runtime/kernel/update.h"

typedef bf16 elem; // the type of activations

// embed_48x65x36x24_dropout, from templates/cuda/embed.cu.
// Called once a step: 10.4 kFLOP, 14.0 kB each.
KERNEL(256) embed_48x65x36x24_dropout(const struct step_state *state, elem *y,
                                      const int32_t *tokens, const float *wte, const float *wpe,
                                      uint32_t site) {
    [[maybe_unused]] constexpr int N = 48, T = 24, C = 36, C_LD = 40, V = 65, V_LD = 128, COLS = C;
    constexpr int VECS = divide_up(C, VEC), AT_ONCE = 4;
    const struct dropout drop = dropout_make(state);
    const int first = (int)(blockIdx.x * AT_ONCE * blockDim.x + threadIdx.x);
    struct vec loaded[AT_ONCE];
#pragma unroll
    for (int a = 0; a < AT_ONCE; a++) {
        const int i = first + a * (int)blockDim.x;
        const int row = i / VECS, col = i % VECS * VEC;
        if (row < N) {
            loaded[a] = vec_load(wte + (size_t)tokens[row] * C_LD + col);
            loaded[a] = loaded[a] + vec_load(wpe + (size_t)(row % T) * C_LD + col);
        }
    }
#pragma unroll
    for (int a = 0; a < AT_ONCE; a++) {
        const int i = first + a * (int)blockDim.x;
        const int row = i / VECS, col = i % VECS * VEC;
        if (row < N) {
            const size_t at = (size_t)row * C_LD + col;
            struct vec value = loaded[a];
            for (int i = 0; i < VEC; i++) value.v[i] = value.v[i] * dropout_mask(&drop, site, row,
                DROPOUT_CHUNKS(COLS), col + i);
            vec_store(y + at, value);
        }
    }
}

static void embed_48x65x36x24_dropout_launch(struct gpu *gpu, const struct step_state *state,
                                             elem *y, const int32_t *tokens, const float *wte,
                                             const float *wpe, uint32_t site) {
    LAUNCH(embed_48x65x36x24_dropout, divide_up(240, 4 * 256), 256, 0, gpu->stream, state, y,
           tokens, wte, wpe, site);
}

// layernorm_48x36, from templates/cuda/layernorm.cu. Called once a step: 13.8 kFLOP, 7.6 kB each.
KERNEL_BLOCKS(256, 2) layernorm_48x36(elem *y, float *mean, float *rstd, const elem *x,
                                      const float *scale, const float *shift) {
    [[maybe_unused]] constexpr int N = 48, C = 36, C_LD = 40, COLS = C;
    // LANES threads hold AT_ONCE rows in PER vectors each; a block has GROUPS times as many.
    constexpr int LANES = 32, AT_ONCE = 2, GROUPS = 8;
    constexpr int VECS = divide_up(C, VEC), PER = divide_up(VECS, LANES);
    const int lane = (int)threadIdx.x % LANES;
    const int first = ((int)blockIdx.x * GROUPS + (int)threadIdx.x / LANES) * AT_ONCE;

    struct vec held[AT_ONCE][PER];
    float mu[AT_ONCE], r[AT_ONCE];
#pragma unroll
    for (int a = 0; a < AT_ONCE; a++) {
#pragma unroll
        for (int p = 0; p < PER; p++) {
            const int row = first + a, i = p * LANES + lane;
            held[a][p] =
                row < N && i < VECS ? vec_load(x + (size_t)row * C_LD + i * VEC) : vec_fill(0.0f);
        }
    }
#pragma unroll
    for (int a = 0; a < AT_ONCE; a++) {
        float sum = 0.0f;
#pragma unroll
        for (int p = 0; p < PER; p++) {
            [[maybe_unused]] const int row = first + a;
            const int i = p * LANES + lane, col = i * VEC;
            if (row < N && i < VECS) {
                struct vec value = held[a][p];
                held[a][p] = C % VEC == 0 ? value : vec_first(value, C - col, 0.0f);
            }
            sum += vec_sum(held[a][p]);
        }
        mu[a] = warp_sum(sum) / C;
    }
#pragma unroll
    for (int a = 0; a < AT_ONCE; a++) {
        float squares = 0.0f;
#pragma unroll
        for (int p = 0; p < PER; p++) {
            const int col = (p * LANES + lane) * VEC;
#pragma unroll
            for (int e = 0; e < VEC; e++) {
                const float d = held[a][p].v[e] - mu[a];
                squares += col + e < C ? d * d : 0.0f;
            }
        }
        r[a] = 1.0f / sqrtf(warp_sum(squares) / C + 1e-05f);
        if (lane == 0 && first + a < N) {
            mean[first + a] = mu[a];
            rstd[first + a] = r[a];
        }
    }
#pragma unroll
    for (int p = 0; p < PER; p++) {
        const int i = p * LANES + lane, col = i * VEC;
        if (i < VECS) {
            const struct vec s = vec_load(scale + col);
            const struct vec b = vec_load(shift + col);
#pragma unroll
            for (int a = 0; a < AT_ONCE; a++) {
                struct vec out;
#pragma unroll
                for (int e = 0; e < VEC; e++) {
                    const float normal = (held[a][p].v[e] - mu[a]) * r[a];
                    out.v[e] = normal * s.v[e] + b.v[e];
                }
                if (first + a < N) {
                    vec_store(y + (size_t)(first + a) * C_LD + col, out);
                }
            }
        }
    }
}

static void layernorm_48x36_launch(struct gpu *gpu, elem *y, float *mean, float *rstd,
                                   const elem *x, const float *scale, const float *shift) {
    constexpr int ROWS = 16; // of a block
    LAUNCH(layernorm_48x36, divide_up(48, ROWS), 256, 0, gpu->stream, y, mean, rstd, x, scale,
           shift);
}

// matmul_48x36x108_bias, from templates/cuda/matmul.cu.
// Called 3 times a step: 378.4 kFLOP, 21.8 kB each.
// y (N, O) = x (N, C) w (O, C)^T + bias
static struct gemm matmul_48x36x108_bias_gemm = {
    .name = "matmul_48x36x108_bias",
    .rows = 48,
    .cols = 108,
    .inner = 36,
    .out_ld = 112,
    .a_ld = 40,
    .b_ld = 40,
    .b_transposed = true,
    .type = GEMM_BF16,
    .out_type = GEMM_BF16,
    .bias = true,
};

static void matmul_48x36x108_bias_launch(struct gpu *gpu, elem *y, const elem *x, const elem *w,
                                         const elem *bias) {
    struct gemm_extra extra = {};
    extra.bias = bias;
    gemm_run(gpu, &matmul_48x36x108_bias_gemm, y, x, w, &extra, 0.0f);
}

// heads_2x24x2x18, from templates/cuda/attention_fma.cu: what kernels of these sizes share.
// to (DEPTH, TILE) = the transpose of from (TILE rows, D), `stride` apart, columns `column` and on;
// 0 beyond row `rows` and column D. Keys are INTERLEAVED: key 16 q + l is in column 4 l + q, so
// that the four keys that a thread reads at once share one draw of dropout's bits.
template <bool INTERLEAVED>
DEVICE void heads_2x24x2x18_load_transposed(float *to, const elem *from, int stride, int rows,
                                            int column) {
    [[maybe_unused]] constexpr int N = 48, B = 2, T = 24, C = 36, C_LD = 40, H = 2, D = 18, E = 108,
                                   E_LD = 112;
    // TILE: queries, keys and output columns of a block. DEPTH: columns of Q, K, V, dY in shared
    // memory at a time. STRIDE: of a row there, TILE + 4, so that neighbouring rows use other
    // banks.
    [[maybe_unused]] constexpr int TILE = 64, DEPTH = 32, STRIDE = TILE + 4;
    [[maybe_unused]] constexpr int BLOCKS = (T + TILE - 1) / TILE, SLICES = (D + TILE - 1) / TILE;
    [[maybe_unused]] constexpr float LOG2_E = 1.44269504f;
    // A warp reads 4 rows of 8 columns: whole sectors of global memory, and writes 32 banks.
    for (int i = threadIdx.x; i < TILE * DEPTH; i += 256) {
        const int c = i / 32 % (DEPTH / 8) * 8 + i % 8, outer = i / (4 * DEPTH), inner = i / 8 % 4;
        const int row = INTERLEAVED ? outer + 16 * inner : 4 * outer + inner;
        const bool in = row < rows && column + c < D;
        to[c * STRIDE + 4 * outer + inner] =
            in ? to_f32(from[(size_t)row * stride + column + c]) : 0.0f;
    }
}

// The same, not transposed: to (TILE, TILE) = columns `column` and on.
DEVICE void heads_2x24x2x18_load_rows(float *to, const elem *from, int stride, int rows,
                                      int column) {
    [[maybe_unused]] constexpr int N = 48, B = 2, T = 24, C = 36, C_LD = 40, H = 2, D = 18, E = 108,
                                   E_LD = 112;
    // TILE: queries, keys and output columns of a block. DEPTH: columns of Q, K, V, dY in shared
    // memory at a time. STRIDE: of a row there, TILE + 4, so that neighbouring rows use other
    // banks.
    [[maybe_unused]] constexpr int TILE = 64, DEPTH = 32, STRIDE = TILE + 4;
    [[maybe_unused]] constexpr int BLOCKS = (T + TILE - 1) / TILE, SLICES = (D + TILE - 1) / TILE;
    [[maybe_unused]] constexpr float LOG2_E = 1.44269504f;
    for (int i = threadIdx.x; i < TILE * TILE; i += 256) {
        const int row = i / TILE, c = i % TILE;
        const bool in = row < rows && column + c < D;
        to[row * STRIDE + c] = in ? to_f32(from[(size_t)row * stride + column + c]) : 0.0f;
    }
}

// acc += a^T b, with a and b (depth, TILE); acc[i][j] is row 4 y + i and column 4 x + j of the
// tile.
DEVICE void heads_2x24x2x18_multiply(float (&acc)[4][4], const float *a, const float *b,
                                     int depth) {
    [[maybe_unused]] constexpr int N = 48, B = 2, T = 24, C = 36, C_LD = 40, H = 2, D = 18, E = 108,
                                   E_LD = 112;
    // TILE: queries, keys and output columns of a block. DEPTH: columns of Q, K, V, dY in shared
    // memory at a time. STRIDE: of a row there, TILE + 4, so that neighbouring rows use other
    // banks.
    [[maybe_unused]] constexpr int TILE = 64, DEPTH = 32, STRIDE = TILE + 4;
    [[maybe_unused]] constexpr int BLOCKS = (T + TILE - 1) / TILE, SLICES = (D + TILE - 1) / TILE;
    [[maybe_unused]] constexpr float LOG2_E = 1.44269504f;
    const int y = threadIdx.x / 16, x = threadIdx.x % 16;
    for (int k = 0; k < depth; k++) {
        const struct four left = four_load(a + k * STRIDE + 4 * y);
        const struct four right = four_load(b + k * STRIDE + 4 * x);
#pragma unroll
        for (int i = 0; i < 4; i++) {
#pragma unroll
            for (int j = 0; j < 4; j++) {
                acc[i][j] += left.v[i] * right.v[j];
            }
        }
    }
}

// s[i][j] = a's row 4 y + i times b's row x + 16 j, over all D columns. a is queries or dY, with
// a_rows rows; b is keys or values in qkv, with b_rows rows. A barrier comes before tiles
// (2, DEPTH, TILE) are written.
DEVICE void heads_2x24x2x18_scores(float (&s)[4][4], float *tiles, const elem *a, int a_stride,
                                   int a_rows, const elem *b, int b_rows) {
    [[maybe_unused]] constexpr int N = 48, B = 2, T = 24, C = 36, C_LD = 40, H = 2, D = 18, E = 108,
                                   E_LD = 112;
    // TILE: queries, keys and output columns of a block. DEPTH: columns of Q, K, V, dY in shared
    // memory at a time. STRIDE: of a row there, TILE + 4, so that neighbouring rows use other
    // banks.
    [[maybe_unused]] constexpr int TILE = 64, DEPTH = 32, STRIDE = TILE + 4;
    [[maybe_unused]] constexpr int BLOCKS = (T + TILE - 1) / TILE, SLICES = (D + TILE - 1) / TILE;
    [[maybe_unused]] constexpr float LOG2_E = 1.44269504f;
#pragma unroll
    for (int i = 0; i < 4; i++) {
#pragma unroll
        for (int j = 0; j < 4; j++) {
            s[i][j] = 0.0f;
        }
    }
    for (int column = 0; column < D; column += DEPTH) {
        block_sync();
        heads_2x24x2x18_load_transposed<false>(tiles, a, a_stride, a_rows, column);
        heads_2x24x2x18_load_transposed<true>(tiles + DEPTH * STRIDE, b, E_LD, b_rows, column);
        block_sync();
        heads_2x24x2x18_multiply(s, tiles, tiles + DEPTH * STRIDE, DEPTH);
    }
}

// The largest or the sum over the 16 threads that hold a row of scores.
DEVICE float heads_2x24x2x18_row(float value, bool sum) {
    for (int mask = 8; mask > 0; mask /= 2) {
        const float other = warp_shfl_xor(value, mask);
        value = sum ? value + other : fmaxf(value, other);
    }
    return value;
}

// attention_2x24x2x18_dropout, from templates/cuda/attention_fma.cu.
// Called 3 times a step: 86.4 kFLOP, 14.2 kB each.
KERNEL(256) attention_2x24x2x18_dropout(const struct step_state *state, elem *y, float *lse,
                                        const elem *qkv, uint32_t site) {
    [[maybe_unused]] constexpr int N = 48, B = 2, T = 24, C = 36, C_LD = 40, H = 2, D = 18, E = 108,
                                   E_LD = 112;
    // TILE: queries, keys and output columns of a block. DEPTH: columns of Q, K, V, dY in shared
    // memory at a time. STRIDE: of a row there, TILE + 4, so that neighbouring rows use other
    // banks.
    [[maybe_unused]] constexpr int TILE = 64, DEPTH = 32, STRIDE = TILE + 4;
    [[maybe_unused]] constexpr int BLOCKS = (T + TILE - 1) / TILE, SLICES = (D + TILE - 1) / TILE;
    [[maybe_unused]] constexpr float LOG2_E = 1.44269504f;
    SHARED(float, tiles, [TILE * STRIDE]);   // (2, DEPTH, TILE) of Q and K, then (TILE, TILE) of V
    SHARED(float, weights, [TILE * STRIDE]); // (keys, queries)
    const int y_part = threadIdx.x / 16, x_part = threadIdx.x % 16;
    // The blocks with most work, of the last queries, come first.
    const int slice = blockIdx.x % SLICES, item = blockIdx.x / SLICES % (B * H);
    const int first = (BLOCKS - 1 - (int)blockIdx.x / (SLICES * B * H)) * TILE;
    const int b = item / H, h = item % H;
    const elem *q = qkv + (size_t)b * T * E_LD + h * D; // (T, D), rows E_LD apart
    const struct dropout drop = dropout_make(state);
    float acc[4][4] = {}, highest[4], total[4] = {};
#pragma unroll
    for (int i = 0; i < 4; i++) {
        highest[i] = -INFINITY;
    }
    for (int key = 0; key < T && key <= first; key += TILE) {
        const elem *queries = q + (size_t)first * E_LD, *keys = q + C + (size_t)key * E_LD;
        float s[4][4];
        heads_2x24x2x18_scores(s, tiles, queries, E_LD, T - first, keys, T - key);
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const int query = first + 4 * y_part + i;
            float high = -INFINITY;
#pragma unroll
            for (int j = 0; j < 4; j++) {
                s[i][j] = key + x_part + 16 * j <= query ? s[i][j] : -INFINITY;
                high = fmaxf(high, s[i][j]);
            }
            high = fmaxf(highest[i], heads_2x24x2x18_row(high, false));
            const float keep = exp2_fast((highest[i] - high) * (0.23570226f * LOG2_E));
            highest[i] = high;
            total[i] *= keep;
            const uint32_t chunk = (uint32_t)(item * T + query) * DROPOUT_CHUNKS(T) + key / TILE;
            const struct dropout_bits bits = dropout_draw(&drop, site, chunk * 16 + x_part);
#pragma unroll
            for (int j = 0; j < 4; j++) {
                acc[i][j] *= keep;
                s[i][j] = exp2_fast((s[i][j] - high) * (0.23570226f * LOG2_E));
                total[i] += s[i][j];
                s[i][j] *= dropout_quarter(&drop, bits, j);
            }
        }
#pragma unroll
        for (int i = 0; i < 4; i++) {
#pragma unroll
            for (int j = 0; j < 4; j++) {
                weights[(x_part + 16 * j) * STRIDE + 4 * y_part + i] = s[i][j];
            }
        }
        block_sync();
        heads_2x24x2x18_load_rows(tiles, keys + C, E_LD, T - key, slice * TILE);
        block_sync();
        heads_2x24x2x18_multiply(acc, weights, tiles, TILE);
    }
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const int query = first + 4 * y_part + i;
        const float sum = heads_2x24x2x18_row(total[i], true);
        if (query < T) {
#pragma unroll
            for (int j = 0; j < 4; j++) {
                const int d = slice * TILE + 4 * x_part + j;
                if (d < D) {
                    y[((size_t)b * T + query) * C_LD + h * D + d] = from_f32<elem>(acc[i][j] / sum);
                }
            }
            if (slice == 0 && x_part == 0) {
                lse[(size_t)h * N + b * T + query] = highest[i] * 0.23570226f + logf(sum);
            }
        }
    }
}

static void attention_2x24x2x18_dropout_launch(struct gpu *gpu, const struct step_state *state,
                                               elem *y, float *lse, const elem *qkv,
                                               uint32_t site) {
    [[maybe_unused]] constexpr int N = 48, B = 2, T = 24, C = 36, C_LD = 40, H = 2, D = 18, E = 108,
                                   E_LD = 112;
    // TILE: queries, keys and output columns of a block. DEPTH: columns of Q, K, V, dY in shared
    // memory at a time. STRIDE: of a row there, TILE + 4, so that neighbouring rows use other
    // banks.
    [[maybe_unused]] constexpr int TILE = 64, DEPTH = 32, STRIDE = TILE + 4;
    [[maybe_unused]] constexpr int BLOCKS = (T + TILE - 1) / TILE, SLICES = (D + TILE - 1) / TILE;
    [[maybe_unused]] constexpr float LOG2_E = 1.44269504f;
    LAUNCH(attention_2x24x2x18_dropout, BLOCKS * SLICES * B * H, 256, 0, gpu->stream, state, y, lse,
           qkv, site);
}

// matmul_48x36x36_bias, from templates/cuda/matmul.cu.
// Called 3 times a step: 126.1 kFLOP, 9.6 kB each.
// y (N, O) = x (N, C) w (O, C)^T + bias
static struct gemm matmul_48x36x36_bias_gemm = {
    .name = "matmul_48x36x36_bias",
    .rows = 48,
    .cols = 36,
    .inner = 36,
    .out_ld = 40,
    .a_ld = 40,
    .b_ld = 40,
    .b_transposed = true,
    .type = GEMM_BF16,
    .out_type = GEMM_BF16,
    .bias = true,
};

static void matmul_48x36x36_bias_launch(struct gpu *gpu, elem *y, const elem *x, const elem *w,
                                        const elem *bias) {
    struct gemm_extra extra = {};
    extra.bias = bias;
    gemm_run(gpu, &matmul_48x36x36_bias_gemm, y, x, w, &extra, 0.0f);
}

// layernorm_48x36_of_dropout_add_keep, from templates/cuda/layernorm.cu.
// Called 6 times a step: 24.2 kFLOP, 14.5 kB each.
KERNEL_BLOCKS(256, 2) layernorm_48x36_of_dropout_add_keep(const struct step_state *state, elem *y,
                                                          float *mean, float *rstd, elem *kept,
                                                          const elem *x, const float *scale,
                                                          const float *shift, const elem *addend,
                                                          uint32_t site) {
    [[maybe_unused]] constexpr int N = 48, C = 36, C_LD = 40, COLS = C;
    // LANES threads hold AT_ONCE rows in PER vectors each; a block has GROUPS times as many.
    constexpr int LANES = 32, AT_ONCE = 2, GROUPS = 8;
    constexpr int VECS = divide_up(C, VEC), PER = divide_up(VECS, LANES);
    const struct dropout drop = dropout_make(state);
    const int lane = (int)threadIdx.x % LANES;
    const int first = ((int)blockIdx.x * GROUPS + (int)threadIdx.x / LANES) * AT_ONCE;

    struct vec held[AT_ONCE][PER];
    float mu[AT_ONCE], r[AT_ONCE];
#pragma unroll
    for (int a = 0; a < AT_ONCE; a++) {
#pragma unroll
        for (int p = 0; p < PER; p++) {
            const int row = first + a, i = p * LANES + lane;
            held[a][p] =
                row < N && i < VECS ? vec_load(x + (size_t)row * C_LD + i * VEC) : vec_fill(0.0f);
        }
    }
#pragma unroll
    for (int a = 0; a < AT_ONCE; a++) {
        float sum = 0.0f;
#pragma unroll
        for (int p = 0; p < PER; p++) {
            [[maybe_unused]] const int row = first + a;
            const int i = p * LANES + lane, col = i * VEC;
            const struct vec mask = dropout_mask_warp(&drop, site, row, DROPOUT_CHUNKS(COLS), col);
            if (row < N && i < VECS) {
                struct vec value = held[a][p];
                [[maybe_unused]] const size_t at = (size_t)row * C_LD + col;
                for (int i = 0; i < VEC; i++) value.v[i] = value.v[i] * mask.v[i];
                const struct vec addend_vec = vec_load(addend + at);
                for (int i = 0; i < VEC; i++) value.v[i] = value.v[i] + addend_vec.v[i];
                value = vec_round<elem>(value);
                vec_store(kept + at, value);
                held[a][p] = C % VEC == 0 ? value : vec_first(value, C - col, 0.0f);
            }
            sum += vec_sum(held[a][p]);
        }
        mu[a] = warp_sum(sum) / C;
    }
#pragma unroll
    for (int a = 0; a < AT_ONCE; a++) {
        float squares = 0.0f;
#pragma unroll
        for (int p = 0; p < PER; p++) {
            const int col = (p * LANES + lane) * VEC;
#pragma unroll
            for (int e = 0; e < VEC; e++) {
                const float d = held[a][p].v[e] - mu[a];
                squares += col + e < C ? d * d : 0.0f;
            }
        }
        r[a] = 1.0f / sqrtf(warp_sum(squares) / C + 1e-05f);
        if (lane == 0 && first + a < N) {
            mean[first + a] = mu[a];
            rstd[first + a] = r[a];
        }
    }
#pragma unroll
    for (int p = 0; p < PER; p++) {
        const int i = p * LANES + lane, col = i * VEC;
        if (i < VECS) {
            const struct vec s = vec_load(scale + col);
            const struct vec b = vec_load(shift + col);
#pragma unroll
            for (int a = 0; a < AT_ONCE; a++) {
                struct vec out;
#pragma unroll
                for (int e = 0; e < VEC; e++) {
                    const float normal = (held[a][p].v[e] - mu[a]) * r[a];
                    out.v[e] = normal * s.v[e] + b.v[e];
                }
                if (first + a < N) {
                    vec_store(y + (size_t)(first + a) * C_LD + col, out);
                }
            }
        }
    }
}

static void layernorm_48x36_of_dropout_add_keep_launch(struct gpu *gpu,
                                                       const struct step_state *state, elem *y,
                                                       float *mean, float *rstd, elem *kept,
                                                       const elem *x, const float *scale,
                                                       const float *shift, const elem *addend,
                                                       uint32_t site) {
    constexpr int ROWS = 16; // of a block
    LAUNCH(layernorm_48x36_of_dropout_add_keep, divide_up(48, ROWS), 256, 0, gpu->stream, state, y,
           mean, rstd, kept, x, scale, shift, addend, site);
}

// matmul_48x36x144_bias_keep_gelu_tanh, from templates/cuda/matmul.cu.
// Called 3 times a step: 711.9 kFLOP, 41.8 kB each.
// y (N, O) = x (N, C) w (O, C)^T + bias, stored to kept, gelu_tanh of it
static struct gemm matmul_48x36x144_bias_keep_gelu_tanh_gemm = {
    .name = "matmul_48x36x144_bias_keep_gelu_tanh",
    .rows = 48,
    .cols = 144,
    .inner = 36,
    .out_ld = 144,
    .a_ld = 40,
    .b_ld = 40,
    .b_transposed = true,
    .type = GEMM_BF16,
    .out_type = GEMM_BF16,
    .bias = true,
    .gelu = true,
    .kept = true,
};

static void matmul_48x36x144_bias_keep_gelu_tanh_launch(struct gpu *gpu, elem *y, elem *kept,
                                                        const elem *x, const elem *w,
                                                        const elem *bias) {
    struct gemm_extra extra = {};
    extra.bias = bias;
    extra.kept = kept;
    gemm_run(gpu, &matmul_48x36x144_bias_keep_gelu_tanh_gemm, y, x, w, &extra, 0.0f);
}

// matmul_48x144x36_bias, from templates/cuda/matmul.cu.
// Called 3 times a step: 499.4 kFLOP, 27.7 kB each.
// y (N, O) = x (N, C) w (O, C)^T + bias
static struct gemm matmul_48x144x36_bias_gemm = {
    .name = "matmul_48x144x36_bias",
    .rows = 48,
    .cols = 36,
    .inner = 144,
    .out_ld = 40,
    .a_ld = 144,
    .b_ld = 144,
    .b_transposed = true,
    .type = GEMM_BF16,
    .out_type = GEMM_BF16,
    .bias = true,
};

static void matmul_48x144x36_bias_launch(struct gpu *gpu, elem *y, const elem *x, const elem *w,
                                         const elem *bias) {
    struct gemm_extra extra = {};
    extra.bias = bias;
    gemm_run(gpu, &matmul_48x144x36_bias_gemm, y, x, w, &extra, 0.0f);
}

// matmul_48x36x65, from templates/cuda/matmul.cu. Called once a step: 224.6 kFLOP, 14.4 kB each.
// y (N, O_LD) = x (N, C) w (O_LD, C)^T
static struct gemm matmul_48x36x65_gemm = {
    .name = "matmul_48x36x65",
    .rows = 48,
    .cols = 128,
    .inner = 36,
    .out_ld = 128,
    .a_ld = 40,
    .b_ld = 40,
    .b_transposed = true,
    .type = GEMM_BF16,
    .out_type = GEMM_BF16,
};

static void matmul_48x36x65_launch(struct gpu *gpu, elem *y, const elem *x, const elem *w) {
    gemm_run(gpu, &matmul_48x36x65_gemm, y, x, w, NULL, 0.0f);
}

// cross_entropy_48x65, from templates/cuda/cross_entropy.cu.
// In evaluations: 78.0 kFLOP, 6.6 kB each.
KERNEL_BLOCKS(256, 1) cross_entropy_48x65(float *losses, const elem *logits,
                                          const int32_t *targets) {
    [[maybe_unused]] constexpr int N = 48, V = 65, V_LD = 128;
    constexpr int LANES = 32, VECS = V_LD / VEC, PER = 1;
    const int lane = (int)threadIdx.x % LANES;
    const int n = (int)((blockIdx.x * blockDim.x + threadIdx.x) / LANES);
    if (n >= N) {
        return;
    }
    const elem *row = logits + (size_t)n * V_LD;
    struct softmax sums = softmax_none();
#pragma unroll 4
    for (int p = 0; p < PER; p++) {
        const int i = p * LANES + lane;
        if ((p + 1) * LANES <= VECS || i < VECS) {
            const struct vec x = vec_load(row + i * VEC);
            softmax_add(&sums, V == V_LD ? x : vec_first(x, V - i * VEC, -INFINITY));
        }
    }
    sums = softmax_warp(sums);
    if (lane == 0) {
        const int target = targets[n];
        losses[n] = target < 0 ? 0.0f : sums.largest + logf(sums.sum) - to_f32(row[target]);
    }
}

static void cross_entropy_48x65_launch(struct gpu *gpu, float *losses, const elem *logits,
                                       const int32_t *targets) {
    constexpr int ROWS = 8; // of a block
    LAUNCH(cross_entropy_48x65, divide_up(48, ROWS), 256, 0, gpu->stream, losses, logits, targets);
}

// mean_loss_48, from templates/cuda/cross_entropy.cu. Called once a step: 48 FLOP, 384 B each.
KERNEL(1024) mean_loss_48(struct step_state *state, const float *losses, const int32_t *targets,
                          float beta) {
    [[maybe_unused]] constexpr int N = 48;
    SHARED(double, sums, [1024]);
    SHARED(int, counts, [1024]);
    const int me = (int)threadIdx.x;
    double sum = 0.0;
    int counted = 0;
#pragma unroll 8
    for (int n = me; n < N; n += 1024) {
        sum += losses[n];
        counted += targets[n] >= 0;
    }
    sums[me] = sum;
    counts[me] = counted;
    for (int half = 512; half > 0; half /= 2) {
        block_sync();
        if (me < half) {
            sums[me] += sums[me + half];
            counts[me] += counts[me + half];
        }
    }
    if (me == 0) {
        state->loss = sums[0] / counts[0];
        state->total = beta == 0.0f ? state->loss : state->total + state->loss;
    }
}

static void mean_loss_48_launch(struct gpu *gpu, struct step_state *state, const float *losses,
                                const int32_t *targets, float beta) {
    LAUNCH(mean_loss_48, 1, 1024, 0, gpu->stream, state, losses, targets, beta);
}

// cross_entropy_backward_48x65, from templates/cuda/cross_entropy.cu.
// Called once a step: 78.0 kFLOP, 12.9 kB each.
KERNEL_BLOCKS(256, 1) cross_entropy_backward_48x65(const struct step_state *state, elem *dlogits,
                                                   float *losses, const elem *logits,
                                                   const int32_t *targets) {
    [[maybe_unused]] constexpr int N = 48, V = 65, V_LD = 128;
    constexpr int LANES = 32, VECS = V_LD / VEC, PER = 1, GROUPS = 8;
    const int lane = (int)threadIdx.x % LANES, step = (int)gridDim.x * GROUPS;
    const int first = (int)blockIdx.x * GROUPS + (int)threadIdx.x / LANES;
    const float loss_scale = state->in.loss_scale * (float)state->scale;
    for (int n = first; n < N; n += step) {
        const int target = targets[n];
        // Read before any thread writes dlogits; the barriers of the sum are in between.
        float at_target = 0.0f;
        if (lane == 0 && target >= 0) {
            at_target = to_f32(logits[(size_t)n * V_LD + target]);
        }
        const elem *from = logits + (size_t)n * V_LD + lane * VEC;
        struct packed<elem> kept[PER];
#pragma unroll
        for (int p = 0; p < PER; p++) {
            if ((p + 1) * LANES <= VECS || p * LANES + lane < VECS) {
                kept[p] = packed_load(from + p * LANES * VEC);
            }
        }
        struct softmax sums = softmax_none();
#pragma unroll 1
        for (int p = 0; p < PER; p++) {
            const int i = p * LANES + lane;
            if ((p + 1) * LANES <= VECS || i < VECS) {
                const struct vec x = packed_vec<elem>(kept[p]);
                softmax_add(&sums, V == V_LD ? x : vec_first(x, V - i * VEC, -INFINITY));
            }
        }
        sums = softmax_warp(sums);
        if (lane == 0) {
            losses[n] = target < 0 ? 0.0f : sums.largest + logf(sums.sum) - at_target;
        }
        const float scale = target < 0 ? 0.0f : loss_scale / sums.sum;
        elem *to = dlogits + (size_t)n * V_LD + lane * VEC;
#pragma unroll 1
        for (int p = 0; p < PER; p++) {
            const int i = p * LANES + lane, col = i * VEC;
            if ((p + 1) * LANES <= VECS || i < VECS) {
                struct vec d = packed_vec<elem>(kept[p]);
#pragma unroll
                for (int e = 0; e < VEC; e++) {
                    d.v[e] = exp_fast(d.v[e] - sums.largest) * scale;
                }
                if (target >= 0 && target / VEC == i) {
#pragma unroll
                    for (int e = 0; e < VEC; e++) {
                        d.v[e] -= col + e == target ? loss_scale : 0.0f;
                    }
                }
                const int count = target < 0 ? 0 : V == V_LD ? VEC : V - col; // what is not 0
                vec_store(to + p * LANES * VEC, vec_first(d, count, 0.0f));
            }
        }
    }
}

static void cross_entropy_backward_48x65_launch(struct gpu *gpu, const struct step_state *state,
                                                elem *dlogits, float *losses, const elem *logits,
                                                const int32_t *targets) {
    constexpr int ROWS = 8; // of a block
    LAUNCH(cross_entropy_backward_48x65, divide_up(48, ROWS), 256, 0, gpu->stream, state, dlogits,
           losses, logits, targets);
}

// matmul_dx_48x65x36, from templates/cuda/matmul.cu. Called once a step: 224.6 kFLOP, 14.4 kB each.
// dx (N, C) = dy (N, O_LD) w (O_LD, C)
static struct gemm matmul_dx_48x65x36_gemm = {
    .name = "matmul_dx_48x65x36",
    .rows = 48,
    .cols = 36,
    .inner = 128,
    .out_ld = 40,
    .a_ld = 128,
    .b_ld = 40,
    .type = GEMM_BF16,
    .out_type = GEMM_BF16,
};

static void matmul_dx_48x65x36_launch(struct gpu *gpu, elem *dx, const elem *dy, const elem *w) {
    gemm_run(gpu, &matmul_dx_48x65x36_gemm, dx, dy, w, NULL, 0.0f);
}

// matmul_dw_48x65x36, from templates/cuda/matmul.cu. Called once a step: 224.6 kFLOP, 28.4 kB each.
// dw (O_LD, C) = beta dw + dy (N, O_LD)^T x (N, C)
static struct gemm matmul_dw_48x65x36_gemm = {
    .name = "matmul_dw_48x65x36",
    .rows = 128,
    .cols = 36,
    .inner = 48,
    .out_ld = 40,
    .a_ld = 128,
    .b_ld = 40,
    .a_transposed = true,
    .type = GEMM_BF16,
    .out_type = GEMM_F32,
    .accumulate = true,
};

static void matmul_dw_48x65x36_launch(struct gpu *gpu, float *dw, const elem *dy, const elem *x,
                                      float beta) {
    gemm_run(gpu, &matmul_dw_48x65x36_gemm, dw, dy, x, NULL, beta);
}

// layernorm_backward_48x36_keep_dropout, from templates/cuda/layernorm.cu.
// Called once a step: 36.3 kFLOP, 14.9 kB each.
KERNEL_BLOCKS(256, 2) layernorm_backward_48x36_keep_dropout(const struct step_state *state,
                                                            elem *dx, float *dscale, float *dshift,
                                                            elem *kept, const elem *dy,
                                                            const elem *x, const float *scale,
                                                            const float *mean, const float *rstd,
                                                            uint32_t site, float beta,
                                                            float *workspace) {
    [[maybe_unused]] constexpr int N = 48, C = 36, C_LD = 40, COLS = C;
    constexpr int BLOCKS = 12, GROUPS = 8, WARPS = 1, PER = 1;
    constexpr int LANES = WARPS * WARP, AT_ONCE = 2, VECS = divide_up(C, VEC);
    // For the rows in flight: each warp's sums of g and of g xhat; two buffers, used alternately.
    SHARED(float, part, [2][GROUPS][WARPS][2 * AT_ONCE]);
    const struct dropout drop = dropout_make(state);
    // Used by the second kernel.
    (void)dscale, (void)beta;
    (void)dshift;
    const int group = (int)threadIdx.x / LANES, lane = (int)threadIdx.x % LANES;
    const int from = (int)((int64_t)N * blockIdx.x / BLOCKS);
    const int to = (int)((int64_t)N * (blockIdx.x + 1) / BLOCKS);

    struct vec weight[PER], sum_scale[PER], sum_shift[PER];
#pragma unroll
    for (int p = 0; p < PER; p++) {
        const int i = p * LANES + lane;
        weight[p] = i < VECS ? vec_load(scale + i * VEC) : vec_fill(0.0f);
        sum_scale[p] = sum_shift[p] = vec_fill(0.0f);
    }
    int set = 0;
    for (int first = from + group * AT_ONCE; first < to; first += GROUPS * AT_ONCE, set ^= 1) {
        struct packed<elem> held_dy[AT_ONCE][PER], held_x[AT_ONCE][PER];
        float mu[AT_ONCE], r[AT_ONCE];
#pragma unroll
        for (int a = 0; a < AT_ONCE; a++) {
            const int row = int_min(first + a, to - 1);
#pragma unroll
            for (int p = 0; p < PER; p++) {
                const int i = int_min(p * LANES + lane, VECS - 1);
                held_dy[a][p] = packed_load(dy + (size_t)row * C_LD + i * VEC);
                held_x[a][p] = packed_load(x + (size_t)row * C_LD + i * VEC);
            }
            mu[a] = mean[row];
            r[a] = rstd[row];
        }
#pragma unroll
        for (int a = 0; a < AT_ONCE; a++) {
            float sum_g = 0.0f, sum_g_xhat = 0.0f;
#pragma unroll
            for (int p = 0; p < PER; p++) {
                const int i = p * LANES + lane;
                const bool in = first + a < to && i < VECS;
                const struct vec d = packed_vec<elem>(held_dy[a][p]);
                const struct vec xn = packed_vec<elem>(held_x[a][p]);
#pragma unroll
                for (int e = 0; e < VEC; e++) {
                    const bool column = in && (C % VEC == 0 || i * VEC + e < C);
                    const float de = column ? d.v[e] : 0.0f;
                    const float xhat = column ? (xn.v[e] - mu[a]) * r[a] : 0.0f;
                    sum_g += de * weight[p].v[e];
                    sum_g_xhat += de * weight[p].v[e] * xhat;
                    sum_scale[p].v[e] += de * xhat;
                    sum_shift[p].v[e] += de;
                }
            }
            sum_g = warp_sum(sum_g);
            sum_g_xhat = warp_sum(sum_g_xhat);
            if (lane % WARP == 0) {
                part[set][group][lane / WARP][2 * a] = sum_g;
                part[set][group][lane / WARP][2 * a + 1] = sum_g_xhat;
            }
        }
        barrier_sync(1 + group, LANES);
#pragma unroll
        for (int a = 0; a < AT_ONCE; a++) {
            float mean_g = 0.0f, mean_g_xhat = 0.0f;
#pragma unroll
            for (int w = 0; w < WARPS; w++) {
                mean_g += part[set][group][w][2 * a];
                mean_g_xhat += part[set][group][w][2 * a + 1];
            }
            mean_g /= C;
            mean_g_xhat /= C;
            const int row = first + a;
#pragma unroll
            for (int p = 0; p < PER; p++) {
                const int i = p * LANES + lane, col = i * VEC;
                const struct vec mask =
                    dropout_mask_warp(&drop, site, row, DROPOUT_CHUNKS(COLS), col);
                if (row < to && i < VECS) {
                    const size_t at = (size_t)row * C_LD + col;
                    struct vec value = packed_vec<elem>(held_dy[a][p]);
                    const struct vec xn = packed_vec<elem>(held_x[a][p]);
#pragma unroll
                    for (int e = 0; e < VEC; e++) {
                        const float xhat = (xn.v[e] - mu[a]) * r[a];
                        value.v[e] =
                            (value.v[e] * weight[p].v[e] - mean_g - xhat * mean_g_xhat) * r[a];
                    }
                    value = vec_round<elem>(value);
                    vec_store(kept + at, value);
                    for (int i = 0; i < VEC; i++) value.v[i] = value.v[i] * mask.v[i];
                    vec_store(dx + at, value);
                }
            }
        }
    }

    // The first group adds the groups' sums, in order.
    SHARED(float, other, [GROUPS - 1][2][LANES * VEC]);
    if (group > 0) {
        vec_store(&other[group - 1][0][lane * VEC], sum_scale[0]);
        vec_store(&other[group - 1][1][lane * VEC], sum_shift[0]);
    }
    block_sync();
    if (group > 0) {
        return;
    }
    for (int g = 0; g < GROUPS - 1; g++) {
        sum_scale[0] = sum_scale[0] + vec_load(&other[g][0][lane * VEC]);
        sum_shift[0] = sum_shift[0] + vec_load(&other[g][1][lane * VEC]);
    }
    float *partial = workspace + (size_t)blockIdx.x * 2 * C_LD;
#pragma unroll
    for (int p = 0; p < PER; p++) {
        const int i = p * LANES + lane;
        if (i < VECS) {
            vec_store(partial + i * VEC, sum_scale[p]);
            vec_store(partial + C_LD + i * VEC, sum_shift[p]);
        }
    }
}

// Adds the partial sums (P, 2, C_LD), 32 columns in each block.
KERNEL(COLUMN_SUMS) layernorm_backward_48x36_keep_dropout_sum(float *dscale, float *dshift,
                                                               const float *partial, float beta) {
    [[maybe_unused]] constexpr int N = 48, C = 36, C_LD = 40;
    SHARED(float, shared, [COLUMN_SUMS / WARP][WARP]);
    const int col = (int)blockIdx.x * WARP + (int)threadIdx.x % WARP;
    float *to = col < C ? dscale + col : NULL;
    if (col >= C_LD) {
        to = col - C_LD < C ? dshift + col - C_LD : NULL;
    }
    const float sum = column_sum(to ? partial + col : NULL, 12, 2 * C_LD, shared);
    if (to && threadIdx.x < WARP) {
        *to = beta == 0.0f ? sum : beta * *to + sum;
    }
}

static void layernorm_backward_48x36_keep_dropout_launch(struct gpu *gpu,
                                                         const struct step_state *state, elem *dx,
                                                         float *dscale, float *dshift, elem *kept,
                                                         const elem *dy, const elem *x,
                                                         const float *scale, const float *mean,
                                                         const float *rstd, uint32_t site,
                                                         float beta, float *workspace) {
    LAUNCH(layernorm_backward_48x36_keep_dropout, 12, 256, 0, gpu->stream, state, dx, dscale,
           dshift, kept, dy, x, scale, mean, rstd, site, beta, workspace);
    LAUNCH(layernorm_backward_48x36_keep_dropout_sum, divide_up(80, WARP), COLUMN_SUMS, 0,
           gpu->stream, dscale, dshift, workspace, beta);
}

// bias_grad_48x36, from templates/cuda/bias.cu. Called 6 times a step: 1.7 kFLOP, 3.7 kB each.
KERNEL(256) bias_grad_48x36_parts(const elem *dy, float *workspace) {
    [[maybe_unused]] constexpr int N = 48, C = 36, C_LD = 40;
    constexpr int PARTS = 1, WARPS = 8;
    SHARED(float, shared, [WARPS][WARP * VEC]);
    const int lane = (int)threadIdx.x % WARP, warp = (int)threadIdx.x / WARP;
    const int col = ((int)blockIdx.x * WARP + lane) * VEC;
    const int from = (int)((int64_t)N * blockIdx.y / PARTS);
    const int to = (int)((int64_t)N * (blockIdx.y + 1) / PARTS);
    struct vec sum = vec_fill(0.0f);
    if (col < C) {
#pragma unroll 8
        for (int row = from + warp; row < to; row += WARPS) {
            sum = sum + vec_load(dy + (size_t)row * C_LD + col);
        }
    }
    vec_store(&shared[warp][lane * VEC], sum);
    block_sync();
    // One thread for each column adds the warps' sums, in order.
    const int mine = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (mine < C) {
        float total = 0.0f;
        for (int w = 0; w < WARPS; w++) {
            total += shared[w][threadIdx.x];
        }
        workspace[(size_t)blockIdx.y * C_LD + mine] = total;
    }
}

KERNEL(COLUMN_SUMS) bias_grad_48x36_sum(float *dbias, const float *partial, float beta) {
    [[maybe_unused]] constexpr int N = 48, C = 36, C_LD = 40;
    SHARED(float, shared, [COLUMN_SUMS / WARP][WARP]);
    const int col = (int)blockIdx.x * WARP + (int)threadIdx.x % WARP;
    const float sum = column_sum(col < C ? partial + col : NULL, 1, C_LD, shared);
    if (col < C && threadIdx.x < WARP) {
        dbias[col] = beta == 0.0f ? sum : beta * dbias[col] + sum;
    }
}

static void bias_grad_48x36_launch(struct gpu *gpu, float *dbias, const elem *dy, float beta,
                                   float *workspace) {
    LAUNCH(bias_grad_48x36_parts, dim3(1, 1), 256, 0, gpu->stream, dy, workspace);
    LAUNCH(bias_grad_48x36_sum, divide_up(36, WARP), COLUMN_SUMS, 0, gpu->stream, dbias, workspace,
           beta);
}

// matmul_dx_48x36x144_gelu_tanh_backward, from templates/cuda/matmul.cu.
// Called 3 times a step: 711.9 kFLOP, 41.5 kB each.
// dx (N, C) = dy (N, O) w (O, C), times gelu_tanh'(pre)
static struct gemm matmul_dx_48x36x144_gelu_tanh_backward_gemm = {
    .name = "matmul_dx_48x36x144_gelu_tanh_backward",
    .rows = 48,
    .cols = 144,
    .inner = 36,
    .out_ld = 144,
    .a_ld = 40,
    .b_ld = 144,
    .type = GEMM_BF16,
    .out_type = GEMM_BF16,
    .dgelu = true,
};

static void matmul_dx_48x36x144_gelu_tanh_backward_launch(struct gpu *gpu, elem *dx, const elem *dy,
                                                          const elem *w, const elem *pre) {
    struct gemm_extra extra = {};
    extra.pre = pre;
    gemm_run(gpu, &matmul_dx_48x36x144_gelu_tanh_backward_gemm, dx, dy, w, &extra, 0.0f);
}

// matmul_dw_48x36x144, from templates/cuda/matmul.cu.
// Called 3 times a step: 497.7 kFLOP, 58.8 kB each.
// dw (O, C) = beta dw + dy (N, O)^T x (N, C)
static struct gemm matmul_dw_48x36x144_gemm = {
    .name = "matmul_dw_48x36x144",
    .rows = 36,
    .cols = 144,
    .inner = 48,
    .out_ld = 144,
    .a_ld = 40,
    .b_ld = 144,
    .a_transposed = true,
    .type = GEMM_BF16,
    .out_type = GEMM_F32,
    .accumulate = true,
};

static void matmul_dw_48x36x144_launch(struct gpu *gpu, float *dw, const elem *dy, const elem *x,
                                       float beta) {
    gemm_run(gpu, &matmul_dw_48x36x144_gemm, dw, dy, x, NULL, beta);
}

// bias_grad_48x144, from templates/cuda/bias.cu. Called 3 times a step: 6.9 kFLOP, 15.0 kB each.
KERNEL(256) bias_grad_48x144_parts(const elem *dy, float *workspace) {
    [[maybe_unused]] constexpr int N = 48, C = 144, C_LD = 144;
    constexpr int PARTS = 1, WARPS = 8;
    SHARED(float, shared, [WARPS][WARP * VEC]);
    const int lane = (int)threadIdx.x % WARP, warp = (int)threadIdx.x / WARP;
    const int col = ((int)blockIdx.x * WARP + lane) * VEC;
    const int from = (int)((int64_t)N * blockIdx.y / PARTS);
    const int to = (int)((int64_t)N * (blockIdx.y + 1) / PARTS);
    struct vec sum = vec_fill(0.0f);
    if (col < C) {
#pragma unroll 8
        for (int row = from + warp; row < to; row += WARPS) {
            sum = sum + vec_load(dy + (size_t)row * C_LD + col);
        }
    }
    vec_store(&shared[warp][lane * VEC], sum);
    block_sync();
    // One thread for each column adds the warps' sums, in order.
    const int mine = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (mine < C) {
        float total = 0.0f;
        for (int w = 0; w < WARPS; w++) {
            total += shared[w][threadIdx.x];
        }
        workspace[(size_t)blockIdx.y * C_LD + mine] = total;
    }
}

KERNEL(COLUMN_SUMS) bias_grad_48x144_sum(float *dbias, const float *partial, float beta) {
    [[maybe_unused]] constexpr int N = 48, C = 144, C_LD = 144;
    SHARED(float, shared, [COLUMN_SUMS / WARP][WARP]);
    const int col = (int)blockIdx.x * WARP + (int)threadIdx.x % WARP;
    const float sum = column_sum(col < C ? partial + col : NULL, 1, C_LD, shared);
    if (col < C && threadIdx.x < WARP) {
        dbias[col] = beta == 0.0f ? sum : beta * dbias[col] + sum;
    }
}

static void bias_grad_48x144_launch(struct gpu *gpu, float *dbias, const elem *dy, float beta,
                                    float *workspace) {
    LAUNCH(bias_grad_48x144_parts, dim3(1, 1), 256, 0, gpu->stream, dy, workspace);
    LAUNCH(bias_grad_48x144_sum, divide_up(144, WARP), COLUMN_SUMS, 0, gpu->stream, dbias,
           workspace, beta);
}

// matmul_dx_48x144x36, from templates/cuda/matmul.cu.
// Called 3 times a step: 497.7 kFLOP, 27.6 kB each.
// dx (N, C) = dy (N, O) w (O, C)
static struct gemm matmul_dx_48x144x36_gemm = {
    .name = "matmul_dx_48x144x36",
    .rows = 48,
    .cols = 36,
    .inner = 144,
    .out_ld = 40,
    .a_ld = 144,
    .b_ld = 40,
    .type = GEMM_BF16,
    .out_type = GEMM_BF16,
};

static void matmul_dx_48x144x36_launch(struct gpu *gpu, elem *dx, const elem *dy, const elem *w) {
    gemm_run(gpu, &matmul_dx_48x144x36_gemm, dx, dy, w, NULL, 0.0f);
}

// matmul_dw_48x144x36, from templates/cuda/matmul.cu.
// Called 3 times a step: 497.7 kFLOP, 58.8 kB each.
// dw (O, C) = beta dw + dy (N, O)^T x (N, C)
static struct gemm matmul_dw_48x144x36_gemm = {
    .name = "matmul_dw_48x144x36",
    .rows = 144,
    .cols = 36,
    .inner = 48,
    .out_ld = 40,
    .a_ld = 144,
    .b_ld = 40,
    .a_transposed = true,
    .type = GEMM_BF16,
    .out_type = GEMM_F32,
    .accumulate = true,
};

static void matmul_dw_48x144x36_launch(struct gpu *gpu, float *dw, const elem *dy, const elem *x,
                                       float beta) {
    gemm_run(gpu, &matmul_dw_48x144x36_gemm, dw, dy, x, NULL, beta);
}

// layernorm_backward_48x36_add_keep_dropout, from templates/cuda/layernorm.cu.
// Called 5 times a step: 38.0 kFLOP, 18.4 kB each.
KERNEL_BLOCKS(256, 2) layernorm_backward_48x36_add_keep_dropout(const struct step_state *state,
                                                                elem *dx, float *dscale,
                                                                float *dshift, elem *kept,
                                                                const elem *dy, const elem *x,
                                                                const float *scale,
                                                                const float *mean,
                                                                const float *rstd,
                                                                const elem *addend, uint32_t site,
                                                                float beta, float *workspace) {
    [[maybe_unused]] constexpr int N = 48, C = 36, C_LD = 40, COLS = C;
    constexpr int BLOCKS = 12, GROUPS = 8, WARPS = 1, PER = 1;
    constexpr int LANES = WARPS * WARP, AT_ONCE = 2, VECS = divide_up(C, VEC);
    // For the rows in flight: each warp's sums of g and of g xhat; two buffers, used alternately.
    SHARED(float, part, [2][GROUPS][WARPS][2 * AT_ONCE]);
    const struct dropout drop = dropout_make(state);
    // Used by the second kernel.
    (void)dscale, (void)beta;
    (void)dshift;
    const int group = (int)threadIdx.x / LANES, lane = (int)threadIdx.x % LANES;
    const int from = (int)((int64_t)N * blockIdx.x / BLOCKS);
    const int to = (int)((int64_t)N * (blockIdx.x + 1) / BLOCKS);

    struct vec weight[PER], sum_scale[PER], sum_shift[PER];
#pragma unroll
    for (int p = 0; p < PER; p++) {
        const int i = p * LANES + lane;
        weight[p] = i < VECS ? vec_load(scale + i * VEC) : vec_fill(0.0f);
        sum_scale[p] = sum_shift[p] = vec_fill(0.0f);
    }
    int set = 0;
    for (int first = from + group * AT_ONCE; first < to; first += GROUPS * AT_ONCE, set ^= 1) {
        struct packed<elem> held_dy[AT_ONCE][PER], held_x[AT_ONCE][PER];
        float mu[AT_ONCE], r[AT_ONCE];
#pragma unroll
        for (int a = 0; a < AT_ONCE; a++) {
            const int row = int_min(first + a, to - 1);
#pragma unroll
            for (int p = 0; p < PER; p++) {
                const int i = int_min(p * LANES + lane, VECS - 1);
                held_dy[a][p] = packed_load(dy + (size_t)row * C_LD + i * VEC);
                held_x[a][p] = packed_load(x + (size_t)row * C_LD + i * VEC);
            }
            mu[a] = mean[row];
            r[a] = rstd[row];
        }
#pragma unroll
        for (int a = 0; a < AT_ONCE; a++) {
            float sum_g = 0.0f, sum_g_xhat = 0.0f;
#pragma unroll
            for (int p = 0; p < PER; p++) {
                const int i = p * LANES + lane;
                const bool in = first + a < to && i < VECS;
                const struct vec d = packed_vec<elem>(held_dy[a][p]);
                const struct vec xn = packed_vec<elem>(held_x[a][p]);
#pragma unroll
                for (int e = 0; e < VEC; e++) {
                    const bool column = in && (C % VEC == 0 || i * VEC + e < C);
                    const float de = column ? d.v[e] : 0.0f;
                    const float xhat = column ? (xn.v[e] - mu[a]) * r[a] : 0.0f;
                    sum_g += de * weight[p].v[e];
                    sum_g_xhat += de * weight[p].v[e] * xhat;
                    sum_scale[p].v[e] += de * xhat;
                    sum_shift[p].v[e] += de;
                }
            }
            sum_g = warp_sum(sum_g);
            sum_g_xhat = warp_sum(sum_g_xhat);
            if (lane % WARP == 0) {
                part[set][group][lane / WARP][2 * a] = sum_g;
                part[set][group][lane / WARP][2 * a + 1] = sum_g_xhat;
            }
        }
        barrier_sync(1 + group, LANES);
#pragma unroll
        for (int a = 0; a < AT_ONCE; a++) {
            float mean_g = 0.0f, mean_g_xhat = 0.0f;
#pragma unroll
            for (int w = 0; w < WARPS; w++) {
                mean_g += part[set][group][w][2 * a];
                mean_g_xhat += part[set][group][w][2 * a + 1];
            }
            mean_g /= C;
            mean_g_xhat /= C;
            const int row = first + a;
#pragma unroll
            for (int p = 0; p < PER; p++) {
                const int i = p * LANES + lane, col = i * VEC;
                const struct vec mask =
                    dropout_mask_warp(&drop, site, row, DROPOUT_CHUNKS(COLS), col);
                if (row < to && i < VECS) {
                    const size_t at = (size_t)row * C_LD + col;
                    struct vec value = packed_vec<elem>(held_dy[a][p]);
                    const struct vec xn = packed_vec<elem>(held_x[a][p]);
#pragma unroll
                    for (int e = 0; e < VEC; e++) {
                        const float xhat = (xn.v[e] - mu[a]) * r[a];
                        value.v[e] =
                            (value.v[e] * weight[p].v[e] - mean_g - xhat * mean_g_xhat) * r[a];
                    }
                    const struct vec addend_vec = vec_load(addend + at);
                    for (int i = 0; i < VEC; i++) value.v[i] = value.v[i] + addend_vec.v[i];
                    value = vec_round<elem>(value);
                    vec_store(kept + at, value);
                    for (int i = 0; i < VEC; i++) value.v[i] = value.v[i] * mask.v[i];
                    vec_store(dx + at, value);
                }
            }
        }
    }

    // The first group adds the groups' sums, in order.
    SHARED(float, other, [GROUPS - 1][2][LANES * VEC]);
    if (group > 0) {
        vec_store(&other[group - 1][0][lane * VEC], sum_scale[0]);
        vec_store(&other[group - 1][1][lane * VEC], sum_shift[0]);
    }
    block_sync();
    if (group > 0) {
        return;
    }
    for (int g = 0; g < GROUPS - 1; g++) {
        sum_scale[0] = sum_scale[0] + vec_load(&other[g][0][lane * VEC]);
        sum_shift[0] = sum_shift[0] + vec_load(&other[g][1][lane * VEC]);
    }
    float *partial = workspace + (size_t)blockIdx.x * 2 * C_LD;
#pragma unroll
    for (int p = 0; p < PER; p++) {
        const int i = p * LANES + lane;
        if (i < VECS) {
            vec_store(partial + i * VEC, sum_scale[p]);
            vec_store(partial + C_LD + i * VEC, sum_shift[p]);
        }
    }
}

// Adds the partial sums (P, 2, C_LD), 32 columns in each block.
KERNEL(COLUMN_SUMS) layernorm_backward_48x36_add_keep_dropout_sum(float *dscale, float *dshift,
                                                                   const float *partial,
                                                                  float beta) {
    [[maybe_unused]] constexpr int N = 48, C = 36, C_LD = 40;
    SHARED(float, shared, [COLUMN_SUMS / WARP][WARP]);
    const int col = (int)blockIdx.x * WARP + (int)threadIdx.x % WARP;
    float *to = col < C ? dscale + col : NULL;
    if (col >= C_LD) {
        to = col - C_LD < C ? dshift + col - C_LD : NULL;
    }
    const float sum = column_sum(to ? partial + col : NULL, 12, 2 * C_LD, shared);
    if (to && threadIdx.x < WARP) {
        *to = beta == 0.0f ? sum : beta * *to + sum;
    }
}

static void layernorm_backward_48x36_add_keep_dropout_launch(struct gpu *gpu,
                                                             const struct step_state *state,
                                                             elem *dx, float *dscale, float *dshift,
                                                             elem *kept, const elem *dy,
                                                             const elem *x, const float *scale,
                                                             const float *mean, const float *rstd,
                                                             const elem *addend, uint32_t site,
                                                             float beta, float *workspace) {
    LAUNCH(layernorm_backward_48x36_add_keep_dropout, 12, 256, 0, gpu->stream, state, dx, dscale,
           dshift, kept, dy, x, scale, mean, rstd, addend, site, beta, workspace);
    LAUNCH(layernorm_backward_48x36_add_keep_dropout_sum, divide_up(80, WARP), COLUMN_SUMS, 0,
           gpu->stream, dscale, dshift, workspace, beta);
}

// matmul_dx_48x36x36, from templates/cuda/matmul.cu.
// Called 3 times a step: 124.4 kFLOP, 9.5 kB each.
// dx (N, C) = dy (N, O) w (O, C)
static struct gemm matmul_dx_48x36x36_gemm = {
    .name = "matmul_dx_48x36x36",
    .rows = 48,
    .cols = 36,
    .inner = 36,
    .out_ld = 40,
    .a_ld = 40,
    .b_ld = 40,
    .type = GEMM_BF16,
    .out_type = GEMM_BF16,
};

static void matmul_dx_48x36x36_launch(struct gpu *gpu, elem *dx, const elem *dy, const elem *w) {
    gemm_run(gpu, &matmul_dx_48x36x36_gemm, dx, dy, w, NULL, 0.0f);
}

// matmul_dw_48x36x36, from templates/cuda/matmul.cu.
// Called 3 times a step: 124.4 kFLOP, 17.3 kB each.
// dw (O, C) = beta dw + dy (N, O)^T x (N, C)
static struct gemm matmul_dw_48x36x36_gemm = {
    .name = "matmul_dw_48x36x36",
    .rows = 36,
    .cols = 36,
    .inner = 48,
    .out_ld = 40,
    .a_ld = 40,
    .b_ld = 40,
    .a_transposed = true,
    .type = GEMM_BF16,
    .out_type = GEMM_F32,
    .accumulate = true,
};

static void matmul_dw_48x36x36_launch(struct gpu *gpu, float *dw, const elem *dy, const elem *x,
                                      float beta) {
    gemm_run(gpu, &matmul_dw_48x36x36_gemm, dw, dy, x, NULL, beta);
}

// attention_backward_2x24x2x18_dropout, from templates/cuda/attention_fma.cu.
// Called 3 times a step: 216.0 kFLOP, 28.0 kB each.
// delta (H, N) = rowsum(dY Y): a warp for each row of a head.
KERNEL(256) attention_backward_2x24x2x18_dropout_delta(float *delta, const elem *dy,
                                                       const elem *y) {
    [[maybe_unused]] constexpr int N = 48, B = 2, T = 24, C = 36, C_LD = 40, H = 2, D = 18, E = 108,
                                   E_LD = 112;
    // TILE: queries, keys and output columns of a block. DEPTH: columns of Q, K, V, dY in shared
    // memory at a time. STRIDE: of a row there, TILE + 4, so that neighbouring rows use other
    // banks.
    [[maybe_unused]] constexpr int TILE = 64, DEPTH = 32, STRIDE = TILE + 4;
    [[maybe_unused]] constexpr int BLOCKS = (T + TILE - 1) / TILE, SLICES = (D + TILE - 1) / TILE;
    [[maybe_unused]] constexpr float LOG2_E = 1.44269504f;
    const int row = blockIdx.x * 8 + threadIdx.x / 32, n = row / H, h = row % H;
    float sum = 0.0f;
    for (int d = threadIdx.x % 32; row < N * H && d < D; d += 32) {
        const size_t at = (size_t)n * C_LD + h * D + d;
        sum += to_f32(dy[at]) * to_f32(y[at]);
    }
    sum = warp_sum(sum);
    if (row < N * H && threadIdx.x % 32 == 0) {
        delta[(size_t)h * N + n] = sum;
    }
}

// Computes P (times dropout's mask) and dS / scale of this thread's queries first + 4 y + i and
// keys key + x + 16 j. queries, dys: rows of Q and dY from `first` on; keys: rows of K from `key`
// on, with V C elements behind; lse, delta: (T).
DEVICE void attention_backward_2x24x2x18_dropout_scores(float (&p)[4][4], float (&ds)[4][4],
                                                        float *tiles, const elem *queries,
                                                        const elem *dys, const elem *keys,
                                                        const float *lse, const float *delta,
                                                        int first, int key, int item,
                                                        const struct step_state *state,
                                                        uint32_t site) {
    [[maybe_unused]] constexpr int N = 48, B = 2, T = 24, C = 36, C_LD = 40, H = 2, D = 18, E = 108,
                                   E_LD = 112;
    // TILE: queries, keys and output columns of a block. DEPTH: columns of Q, K, V, dY in shared
    // memory at a time. STRIDE: of a row there, TILE + 4, so that neighbouring rows use other
    // banks.
    [[maybe_unused]] constexpr int TILE = 64, DEPTH = 32, STRIDE = TILE + 4;
    [[maybe_unused]] constexpr int BLOCKS = (T + TILE - 1) / TILE, SLICES = (D + TILE - 1) / TILE;
    [[maybe_unused]] constexpr float LOG2_E = 1.44269504f;
    const int y_part = threadIdx.x / 16, x_part = threadIdx.x % 16;
    heads_2x24x2x18_scores(p, tiles, queries, E_LD, T - first, keys, T - key);
    heads_2x24x2x18_scores(ds, tiles, dys, C_LD, T - first, keys + C, T - key);
    const struct dropout drop = dropout_make(state);
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const int query = first + 4 * y_part + i;
        const float log_sum = query < T ? lse[query] : 0.0f, mean = query < T ? delta[query] : 0.0f;
        const uint32_t chunk = (uint32_t)(item * T + query) * DROPOUT_CHUNKS(T) + key / TILE;
        const struct dropout_bits bits = dropout_draw(&drop, site, chunk * 16 + x_part);
#pragma unroll
        for (int j = 0; j < 4; j++) {
            const int column = key + x_part + 16 * j;
            const bool seen = column <= query && query < T;
            const float weight =
                seen ? exp2_fast((p[i][j] * 0.23570226f - log_sum) * LOG2_E) : 0.0f;
            const float mask = dropout_quarter(&drop, bits, j);
            p[i][j] = weight * mask;
            ds[i][j] = weight * (ds[i][j] * mask - mean);
        }
    }
}

// Stores factor * acc to rows first + 4 y + i and columns column + 4 x + j of dQ, dK or dV.
DEVICE void attention_backward_2x24x2x18_dropout_store(elem *to, const float (&acc)[4][4],
                                                       float factor, int first, int column) {
    [[maybe_unused]] constexpr int N = 48, B = 2, T = 24, C = 36, C_LD = 40, H = 2, D = 18, E = 108,
                                   E_LD = 112;
    // TILE: queries, keys and output columns of a block. DEPTH: columns of Q, K, V, dY in shared
    // memory at a time. STRIDE: of a row there, TILE + 4, so that neighbouring rows use other
    // banks.
    [[maybe_unused]] constexpr int TILE = 64, DEPTH = 32, STRIDE = TILE + 4;
    [[maybe_unused]] constexpr int BLOCKS = (T + TILE - 1) / TILE, SLICES = (D + TILE - 1) / TILE;
    [[maybe_unused]] constexpr float LOG2_E = 1.44269504f;
#pragma unroll
    for (int i = 0; i < 4; i++) {
#pragma unroll
        for (int j = 0; j < 4; j++) {
            const int row = first + 4 * (threadIdx.x / 16) + i;
            const int d = column + 4 * (threadIdx.x % 16) + j;
            if (row < T && d < D) {
                to[(size_t)row * E_LD + d] = from_f32<elem>(acc[i][j] * factor);
            }
        }
    }
}

// dQ of TILE queries.
KERNEL(256) attention_backward_2x24x2x18_dropout_queries(const struct step_state *state, elem *dqkv,
                                                         const elem *dy, const elem *qkv,
                                                         const elem *y, const float *lse,
                                                         uint32_t site, float *workspace) {
    [[maybe_unused]] constexpr int N = 48, B = 2, T = 24, C = 36, C_LD = 40, H = 2, D = 18, E = 108,
                                   E_LD = 112;
    // TILE: queries, keys and output columns of a block. DEPTH: columns of Q, K, V, dY in shared
    // memory at a time. STRIDE: of a row there, TILE + 4, so that neighbouring rows use other
    // banks.
    [[maybe_unused]] constexpr int TILE = 64, DEPTH = 32, STRIDE = TILE + 4;
    [[maybe_unused]] constexpr int BLOCKS = (T + TILE - 1) / TILE, SLICES = (D + TILE - 1) / TILE;
    [[maybe_unused]] constexpr float LOG2_E = 1.44269504f;
    (void)y; // delta, in the workspace, has it
    SHARED(float, tiles, [TILE * STRIDE]);
    SHARED(float, dscores, [TILE * STRIDE]); // (keys, queries)
    const int y_part = threadIdx.x / 16, x_part = threadIdx.x % 16;
    const int slice = blockIdx.x % SLICES, item = blockIdx.x / SLICES % (B * H);
    const int first = (BLOCKS - 1 - (int)blockIdx.x / (SLICES * B * H)) * TILE;
    const int b = item / H, h = item % H;
    const elem *q = qkv + (size_t)b * T * E_LD + h * D;
    const elem *dyh = dy + (size_t)b * T * C_LD + h * D;
    const size_t stats = (size_t)h * N + (size_t)b * T;
    float acc[4][4] = {};
    for (int key = 0; key < T && key <= first; key += TILE) {
        const elem *keys = q + C + (size_t)key * E_LD;
        float p[4][4], ds[4][4];
        attention_backward_2x24x2x18_dropout_scores(p, ds, tiles, q + (size_t)first * E_LD,
                                                    dyh + (size_t)first * C_LD, keys, lse + stats,
                                                    workspace + stats, first, key, item, state,
                                                    site);
#pragma unroll
        for (int i = 0; i < 4; i++) {
#pragma unroll
            for (int j = 0; j < 4; j++) {
                dscores[(x_part + 16 * j) * STRIDE + 4 * y_part + i] = ds[i][j];
            }
        }
        block_sync();
        heads_2x24x2x18_load_rows(tiles, keys, E_LD, T - key, slice * TILE);
        block_sync();
        heads_2x24x2x18_multiply(acc, dscores, tiles, TILE);
    }
    elem *to = dqkv + (size_t)b * T * E_LD + h * D;
    attention_backward_2x24x2x18_dropout_store(to, acc, 0.23570226f, first, slice * TILE);
}

// dK and dV of TILE keys.
KERNEL_BLOCKS(256, 1) attention_backward_2x24x2x18_dropout_keys(const struct step_state *state,
                                                                elem *dqkv, const elem *dy,
                                                                const elem *qkv, const elem *y,
                                                                const float *lse, uint32_t site,
                                                                float *workspace) {
    [[maybe_unused]] constexpr int N = 48, B = 2, T = 24, C = 36, C_LD = 40, H = 2, D = 18, E = 108,
                                   E_LD = 112;
    // TILE: queries, keys and output columns of a block. DEPTH: columns of Q, K, V, dY in shared
    // memory at a time. STRIDE: of a row there, TILE + 4, so that neighbouring rows use other
    // banks.
    [[maybe_unused]] constexpr int TILE = 64, DEPTH = 32, STRIDE = TILE + 4;
    [[maybe_unused]] constexpr int BLOCKS = (T + TILE - 1) / TILE, SLICES = (D + TILE - 1) / TILE;
    [[maybe_unused]] constexpr float LOG2_E = 1.44269504f;
    (void)y; // delta, in the workspace, has it
    SHARED(float, tiles, [TILE * STRIDE]);
    SHARED(float, weights, [TILE * STRIDE]); // (queries, keys)
    const int y_part = threadIdx.x / 16, x_part = threadIdx.x % 16;
    const int slice = blockIdx.x % SLICES, item = blockIdx.x / SLICES % (B * H);
    const int key = (int)blockIdx.x / (SLICES * B * H) * TILE;
    const int b = item / H, h = item % H;
    const elem *q = qkv + (size_t)b * T * E_LD + h * D;
    const elem *dyh = dy + (size_t)b * T * C_LD + h * D;
    const size_t stats = (size_t)h * N + (size_t)b * T;
    float dk[4][4] = {}, dv[4][4] = {};
    for (int first = key; first < T; first += TILE) {
        const elem *queries = q + (size_t)first * E_LD, *dys = dyh + (size_t)first * C_LD;
        float p[4][4], ds[4][4];
        attention_backward_2x24x2x18_dropout_scores(p, ds, tiles, queries, dys,
                                                    q + C + (size_t)key * E_LD, lse + stats,
                                                    workspace + stats, first, key, item, state,
                                                    site);
        for (int product = 0; product < 2; product++) {
            block_sync();
#pragma unroll
            for (int i = 0; i < 4; i++) {
#pragma unroll
                for (int j = 0; j < 4; j++) {
                    weights[(4 * y_part + i) * STRIDE + x_part + 16 * j] =
                        product == 0 ? p[i][j] : ds[i][j];
                }
            }
            if (product == 0) {
                heads_2x24x2x18_load_rows(tiles, dys, C_LD, T - first, slice * TILE);
                block_sync();
                heads_2x24x2x18_multiply(dv, weights, tiles, TILE);
            } else {
                heads_2x24x2x18_load_rows(tiles, queries, E_LD, T - first, slice * TILE);
                block_sync();
                heads_2x24x2x18_multiply(dk, weights, tiles, TILE);
            }
        }
    }
    elem *to = dqkv + (size_t)b * T * E_LD + h * D;
    attention_backward_2x24x2x18_dropout_store(to + C, dk, 0.23570226f, key, slice * TILE);
    attention_backward_2x24x2x18_dropout_store(to + 2 * C, dv, 1.0f, key, slice * TILE);
}

static void attention_backward_2x24x2x18_dropout_launch(struct gpu *gpu,
                                                        const struct step_state *state, elem *dqkv,
                                                        const elem *dy, const elem *qkv,
                                                        const elem *y, const float *lse,
                                                        uint32_t site, float *workspace) {
    [[maybe_unused]] constexpr int N = 48, B = 2, T = 24, C = 36, C_LD = 40, H = 2, D = 18, E = 108,
                                   E_LD = 112;
    // TILE: queries, keys and output columns of a block. DEPTH: columns of Q, K, V, dY in shared
    // memory at a time. STRIDE: of a row there, TILE + 4, so that neighbouring rows use other
    // banks.
    [[maybe_unused]] constexpr int TILE = 64, DEPTH = 32, STRIDE = TILE + 4;
    [[maybe_unused]] constexpr int BLOCKS = (T + TILE - 1) / TILE, SLICES = (D + TILE - 1) / TILE;
    [[maybe_unused]] constexpr float LOG2_E = 1.44269504f;
    constexpr int GRID = BLOCKS * SLICES * B * H;
    LAUNCH(attention_backward_2x24x2x18_dropout_delta, (N * H + 7) / 8, 256, 0, gpu->stream,
           workspace, dy, y);
    LAUNCH(attention_backward_2x24x2x18_dropout_queries, GRID, 256, 0, gpu->stream, state, dqkv, dy,
           qkv, y, lse, site, workspace);
    LAUNCH(attention_backward_2x24x2x18_dropout_keys, GRID, 256, 0, gpu->stream, state, dqkv, dy,
           qkv, y, lse, site, workspace);
}

// bias_grad_48x108, from templates/cuda/bias.cu. Called 3 times a step: 5.2 kFLOP, 11.2 kB each.
KERNEL(256) bias_grad_48x108_parts(const elem *dy, float *workspace) {
    [[maybe_unused]] constexpr int N = 48, C = 108, C_LD = 112;
    constexpr int PARTS = 1, WARPS = 8;
    SHARED(float, shared, [WARPS][WARP * VEC]);
    const int lane = (int)threadIdx.x % WARP, warp = (int)threadIdx.x / WARP;
    const int col = ((int)blockIdx.x * WARP + lane) * VEC;
    const int from = (int)((int64_t)N * blockIdx.y / PARTS);
    const int to = (int)((int64_t)N * (blockIdx.y + 1) / PARTS);
    struct vec sum = vec_fill(0.0f);
    if (col < C) {
#pragma unroll 8
        for (int row = from + warp; row < to; row += WARPS) {
            sum = sum + vec_load(dy + (size_t)row * C_LD + col);
        }
    }
    vec_store(&shared[warp][lane * VEC], sum);
    block_sync();
    // One thread for each column adds the warps' sums, in order.
    const int mine = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (mine < C) {
        float total = 0.0f;
        for (int w = 0; w < WARPS; w++) {
            total += shared[w][threadIdx.x];
        }
        workspace[(size_t)blockIdx.y * C_LD + mine] = total;
    }
}

KERNEL(COLUMN_SUMS) bias_grad_48x108_sum(float *dbias, const float *partial, float beta) {
    [[maybe_unused]] constexpr int N = 48, C = 108, C_LD = 112;
    SHARED(float, shared, [COLUMN_SUMS / WARP][WARP]);
    const int col = (int)blockIdx.x * WARP + (int)threadIdx.x % WARP;
    const float sum = column_sum(col < C ? partial + col : NULL, 1, C_LD, shared);
    if (col < C && threadIdx.x < WARP) {
        dbias[col] = beta == 0.0f ? sum : beta * dbias[col] + sum;
    }
}

static void bias_grad_48x108_launch(struct gpu *gpu, float *dbias, const elem *dy, float beta,
                                    float *workspace) {
    LAUNCH(bias_grad_48x108_parts, dim3(1, 1), 256, 0, gpu->stream, dy, workspace);
    LAUNCH(bias_grad_48x108_sum, divide_up(108, WARP), COLUMN_SUMS, 0, gpu->stream, dbias,
           workspace, beta);
}

// matmul_dx_48x108x36, from templates/cuda/matmul.cu.
// Called 3 times a step: 373.2 kFLOP, 21.6 kB each.
// dx (N, C) = dy (N, O) w (O, C)
static struct gemm matmul_dx_48x108x36_gemm = {
    .name = "matmul_dx_48x108x36",
    .rows = 48,
    .cols = 36,
    .inner = 108,
    .out_ld = 40,
    .a_ld = 112,
    .b_ld = 40,
    .type = GEMM_BF16,
    .out_type = GEMM_BF16,
};

static void matmul_dx_48x108x36_launch(struct gpu *gpu, elem *dx, const elem *dy, const elem *w) {
    gemm_run(gpu, &matmul_dx_48x108x36_gemm, dx, dy, w, NULL, 0.0f);
}

// matmul_dw_48x108x36, from templates/cuda/matmul.cu.
// Called 3 times a step: 373.2 kFLOP, 44.9 kB each.
// dw (O, C) = beta dw + dy (N, O)^T x (N, C)
static struct gemm matmul_dw_48x108x36_gemm = {
    .name = "matmul_dw_48x108x36",
    .rows = 108,
    .cols = 36,
    .inner = 48,
    .out_ld = 40,
    .a_ld = 112,
    .b_ld = 40,
    .a_transposed = true,
    .type = GEMM_BF16,
    .out_type = GEMM_F32,
    .accumulate = true,
};

static void matmul_dw_48x108x36_launch(struct gpu *gpu, float *dw, const elem *dy, const elem *x,
                                       float beta) {
    gemm_run(gpu, &matmul_dw_48x108x36_gemm, dw, dy, x, NULL, beta);
}

// layernorm_backward_48x36_add_dropout, from templates/cuda/layernorm.cu.
// Called once a step: 38.0 kFLOP, 14.9 kB each.
KERNEL_BLOCKS(256, 2) layernorm_backward_48x36_add_dropout(const struct step_state *state, elem *dx,
                                                           float *dscale, float *dshift,
                                                           const elem *dy, const elem *x,
                                                           const float *scale, const float *mean,
                                                           const float *rstd, const elem *addend,
                                                           uint32_t site, float beta,
                                                           float *workspace) {
    [[maybe_unused]] constexpr int N = 48, C = 36, C_LD = 40, COLS = C;
    constexpr int BLOCKS = 12, GROUPS = 8, WARPS = 1, PER = 1;
    constexpr int LANES = WARPS * WARP, AT_ONCE = 2, VECS = divide_up(C, VEC);
    // For the rows in flight: each warp's sums of g and of g xhat; two buffers, used alternately.
    SHARED(float, part, [2][GROUPS][WARPS][2 * AT_ONCE]);
    const struct dropout drop = dropout_make(state);
    // Used by the second kernel.
    (void)dscale, (void)beta;
    (void)dshift;
    const int group = (int)threadIdx.x / LANES, lane = (int)threadIdx.x % LANES;
    const int from = (int)((int64_t)N * blockIdx.x / BLOCKS);
    const int to = (int)((int64_t)N * (blockIdx.x + 1) / BLOCKS);

    struct vec weight[PER], sum_scale[PER], sum_shift[PER];
#pragma unroll
    for (int p = 0; p < PER; p++) {
        const int i = p * LANES + lane;
        weight[p] = i < VECS ? vec_load(scale + i * VEC) : vec_fill(0.0f);
        sum_scale[p] = sum_shift[p] = vec_fill(0.0f);
    }
    int set = 0;
    for (int first = from + group * AT_ONCE; first < to; first += GROUPS * AT_ONCE, set ^= 1) {
        struct packed<elem> held_dy[AT_ONCE][PER], held_x[AT_ONCE][PER];
        float mu[AT_ONCE], r[AT_ONCE];
#pragma unroll
        for (int a = 0; a < AT_ONCE; a++) {
            const int row = int_min(first + a, to - 1);
#pragma unroll
            for (int p = 0; p < PER; p++) {
                const int i = int_min(p * LANES + lane, VECS - 1);
                held_dy[a][p] = packed_load(dy + (size_t)row * C_LD + i * VEC);
                held_x[a][p] = packed_load(x + (size_t)row * C_LD + i * VEC);
            }
            mu[a] = mean[row];
            r[a] = rstd[row];
        }
#pragma unroll
        for (int a = 0; a < AT_ONCE; a++) {
            float sum_g = 0.0f, sum_g_xhat = 0.0f;
#pragma unroll
            for (int p = 0; p < PER; p++) {
                const int i = p * LANES + lane;
                const bool in = first + a < to && i < VECS;
                const struct vec d = packed_vec<elem>(held_dy[a][p]);
                const struct vec xn = packed_vec<elem>(held_x[a][p]);
#pragma unroll
                for (int e = 0; e < VEC; e++) {
                    const bool column = in && (C % VEC == 0 || i * VEC + e < C);
                    const float de = column ? d.v[e] : 0.0f;
                    const float xhat = column ? (xn.v[e] - mu[a]) * r[a] : 0.0f;
                    sum_g += de * weight[p].v[e];
                    sum_g_xhat += de * weight[p].v[e] * xhat;
                    sum_scale[p].v[e] += de * xhat;
                    sum_shift[p].v[e] += de;
                }
            }
            sum_g = warp_sum(sum_g);
            sum_g_xhat = warp_sum(sum_g_xhat);
            if (lane % WARP == 0) {
                part[set][group][lane / WARP][2 * a] = sum_g;
                part[set][group][lane / WARP][2 * a + 1] = sum_g_xhat;
            }
        }
        barrier_sync(1 + group, LANES);
#pragma unroll
        for (int a = 0; a < AT_ONCE; a++) {
            float mean_g = 0.0f, mean_g_xhat = 0.0f;
#pragma unroll
            for (int w = 0; w < WARPS; w++) {
                mean_g += part[set][group][w][2 * a];
                mean_g_xhat += part[set][group][w][2 * a + 1];
            }
            mean_g /= C;
            mean_g_xhat /= C;
            const int row = first + a;
#pragma unroll
            for (int p = 0; p < PER; p++) {
                const int i = p * LANES + lane, col = i * VEC;
                const struct vec mask =
                    dropout_mask_warp(&drop, site, row, DROPOUT_CHUNKS(COLS), col);
                if (row < to && i < VECS) {
                    const size_t at = (size_t)row * C_LD + col;
                    struct vec value = packed_vec<elem>(held_dy[a][p]);
                    const struct vec xn = packed_vec<elem>(held_x[a][p]);
#pragma unroll
                    for (int e = 0; e < VEC; e++) {
                        const float xhat = (xn.v[e] - mu[a]) * r[a];
                        value.v[e] =
                            (value.v[e] * weight[p].v[e] - mean_g - xhat * mean_g_xhat) * r[a];
                    }
                    const struct vec addend_vec = vec_load(addend + at);
                    for (int i = 0; i < VEC; i++) value.v[i] = value.v[i] + addend_vec.v[i];
                    for (int i = 0; i < VEC; i++) value.v[i] = value.v[i] * mask.v[i];
                    vec_store(dx + at, value);
                }
            }
        }
    }

    // The first group adds the groups' sums, in order.
    SHARED(float, other, [GROUPS - 1][2][LANES * VEC]);
    if (group > 0) {
        vec_store(&other[group - 1][0][lane * VEC], sum_scale[0]);
        vec_store(&other[group - 1][1][lane * VEC], sum_shift[0]);
    }
    block_sync();
    if (group > 0) {
        return;
    }
    for (int g = 0; g < GROUPS - 1; g++) {
        sum_scale[0] = sum_scale[0] + vec_load(&other[g][0][lane * VEC]);
        sum_shift[0] = sum_shift[0] + vec_load(&other[g][1][lane * VEC]);
    }
    float *partial = workspace + (size_t)blockIdx.x * 2 * C_LD;
#pragma unroll
    for (int p = 0; p < PER; p++) {
        const int i = p * LANES + lane;
        if (i < VECS) {
            vec_store(partial + i * VEC, sum_scale[p]);
            vec_store(partial + C_LD + i * VEC, sum_shift[p]);
        }
    }
}

// Adds the partial sums (P, 2, C_LD), 32 columns in each block.
KERNEL(COLUMN_SUMS) layernorm_backward_48x36_add_dropout_sum(float *dscale, float *dshift,
                                                              const float *partial, float beta) {
    [[maybe_unused]] constexpr int N = 48, C = 36, C_LD = 40;
    SHARED(float, shared, [COLUMN_SUMS / WARP][WARP]);
    const int col = (int)blockIdx.x * WARP + (int)threadIdx.x % WARP;
    float *to = col < C ? dscale + col : NULL;
    if (col >= C_LD) {
        to = col - C_LD < C ? dshift + col - C_LD : NULL;
    }
    const float sum = column_sum(to ? partial + col : NULL, 12, 2 * C_LD, shared);
    if (to && threadIdx.x < WARP) {
        *to = beta == 0.0f ? sum : beta * *to + sum;
    }
}

static void layernorm_backward_48x36_add_dropout_launch(struct gpu *gpu,
                                                        const struct step_state *state, elem *dx,
                                                        float *dscale, float *dshift,
                                                        const elem *dy, const elem *x,
                                                        const float *scale, const float *mean,
                                                        const float *rstd, const elem *addend,
                                                        uint32_t site, float beta,
                                                        float *workspace) {
    LAUNCH(layernorm_backward_48x36_add_dropout, 12, 256, 0, gpu->stream, state, dx, dscale, dshift,
           dy, x, scale, mean, rstd, addend, site, beta, workspace);
    LAUNCH(layernorm_backward_48x36_add_dropout_sum, divide_up(80, WARP), COLUMN_SUMS, 0,
           gpu->stream, dscale, dshift, workspace, beta);
}

// embed_backward_48x36x65x24, from templates/cuda/embed.cu.
// Called once a step: 3.5 kFLOP, 29.3 kB each.
KERNEL(32) embed_backward_48x36x65x24_runs(float *dwte, const elem *dy, const int32_t *tokens,
                                           const int32_t *order, float *workspace) {
    [[maybe_unused]] constexpr int N = 48, T = 24, C = 36, C_LD = 40, V = 65, V_LD = 128;
    constexpr int PIECE = 64, AHEAD = 8;
    SHARED(int, rows, [PIECE]);
    SHARED(int, ids, [PIECE + 2]); // the tokens of the piece's rows, and of one row on either side
    const int piece = (int)blockIdx.x, from = piece * PIECE;
    const int count = int_min(PIECE, N - from);
    for (int i = (int)threadIdx.x; i < count + 2; i += (int)blockDim.x) {
        const int place = from + i - 1; // index into order
        const bool in = place >= 0 && place < N;
        const int row = in ? order[place] : 0;
        ids[i] = in ? tokens[row] : -1;
        if (i >= 1 && i <= count) {
            rows[i - 1] = row;
        }
    }
    block_sync();
    if (threadIdx.x == 0 && blockIdx.y == 0) {
        ((int32_t *)(workspace + (size_t)gridDim.x * 2 * C_LD))[piece] = ids[1];
    }
    const int col = (int)(blockIdx.y * blockDim.x + threadIdx.x) * VEC;
    if (col >= C) {
        return;
    }
    struct vec sum = vec_fill(0.0f);
    bool head = ids[0] == ids[1];
    for (int i = 0; i < count; i += AHEAD) {
        struct packed<elem> ahead[AHEAD];
#pragma unroll
        for (int a = 0; a < AHEAD; a++) {
            ahead[a] = packed_load(dy + (size_t)rows[int_min(i + a, count - 1)] * C_LD + col);
        }
#pragma unroll
        for (int a = 0; a < AHEAD; a++) {
            if (i + a >= count) {
                break;
            }
            sum = sum + packed_vec<elem>(ahead[a]);
            const bool ends = ids[i + a + 2] != ids[i + a + 1];
            if (!ends && i + a + 1 < count) {
                continue;
            }
            if (head || !ends) {
                vec_store(workspace + ((size_t)piece * 2 + !head) * C_LD + col, sum);
            } else {
                float *to = dwte + (size_t)ids[i + a + 1] * C_LD + col;
                vec_store(to, vec_load(to) + vec_first(sum, C - col, 0.0f));
            }
            head = false;
            sum = vec_fill(0.0f);
        }
    }
}

// Sums each run that begins in a piece and extends beyond its end: eight threads for each vector of
// columns take every eighth of its heads; their sums are added in order.
KERNEL(256) embed_backward_48x36x65x24_joins(float *dwte, const int32_t *tokens,
                                             const int32_t *order, const float *workspace) {
    [[maybe_unused]] constexpr int N = 48, T = 24, C = 36, C_LD = 40, V = 65, V_LD = 128;
    constexpr int PIECE = 64, PIECES = 1, SHARES = 8, SLICE = 32;
    SHARED(struct vec, shared, [SHARES][SLICE]);
    const int piece = (int)blockIdx.x, last = (piece + 1) * PIECE - 1;
    const int32_t *firsts = (const int32_t *)(workspace + (size_t)PIECES * 2 * C_LD);
    if (last + 1 >= N) {
        return;
    }
    const int token = tokens[order[last]];
    // Nothing to do if the run ends with the piece, or began before it.
    if (firsts[piece + 1] != token ||
        (piece > 0 && firsts[piece] == token && tokens[order[piece * PIECE - 1]] == token)) {
        return;
    }
    const int share = (int)threadIdx.x / SLICE;
    const int col = (int)(blockIdx.y * SLICE + threadIdx.x % SLICE) * VEC;
    struct vec sum = vec_fill(0.0f);
    if (col < C) {
        for (int p = piece + 1 + share; p < PIECES && firsts[p] == token; p += SHARES) {
            sum = sum + vec_load(workspace + (size_t)p * 2 * C_LD + col);
        }
    }
    shared[share][threadIdx.x % SLICE] = sum;
    block_sync();
    if (share == 0 && col < C) {
        sum = vec_load(workspace + ((size_t)piece * 2 + 1) * C_LD + col);
        for (int s = 0; s < SHARES; s++) {
            sum = sum + shared[s][threadIdx.x % SLICE];
        }
        float *to = dwte + (size_t)token * C_LD + col;
        vec_store(to, vec_load(to) + vec_first(sum, C - col, 0.0f));
    }
}

// dwpe: sums each position's rows, one from each sequence, in order; one thread for each vector.
KERNEL(128) embed_backward_48x36x65x24_positions(float *dwpe, const elem *dy, float beta) {
    [[maybe_unused]] constexpr int N = 48, T = 24, C = 36, C_LD = 40, V = 65, V_LD = 128;
    constexpr int VECS = divide_up(C, VEC);
    const int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    const int t = i / VECS, col = i % VECS * VEC;
    if (t >= T) {
        return;
    }
    struct vec sum = vec_fill(0.0f);
#pragma unroll 8
    for (int row = t; row < N; row += T) {
        sum = sum + vec_load(dy + (size_t)row * C_LD + col);
    }
    sum = vec_first(sum, C - col, 0.0f);
    float *to = dwpe + (size_t)t * C_LD + col;
    vec_store(to, beta == 0.0f ? sum : vec_load(to) + sum);
}

static void embed_backward_48x36x65x24_launch(struct gpu *gpu, float *dwte, float *dwpe,
                                              const elem *dy, const int32_t *tokens, float beta,
                                              float beta2, float *workspace) {
    [[maybe_unused]] constexpr int N = 48, T = 24, C = 36, C_LD = 40, V = 65, V_LD = 128;
    constexpr int VECS = divide_up(C, VEC), PIECES = 1;
    if (beta == 0.0f) { // rows of tokens that do not occur are written by no kernel
        CUDA_CHECK(cudaMemsetAsync(dwte, 0, (size_t)V * C_LD * sizeof(float), gpu->stream));
    }
    LAUNCH(embed_backward_48x36x65x24_runs, dim3(PIECES, divide_up(VECS, 32)), 32, 0, gpu->stream,
           dwte, dy, tokens, gpu->order, workspace);
    LAUNCH(embed_backward_48x36x65x24_joins, dim3(PIECES, divide_up(VECS, 32)), 256, 0, gpu->stream,
           dwte, tokens, gpu->order, workspace);
    LAUNCH(embed_backward_48x36x65x24_positions, divide_up(T * VECS, 128), 128, 0, gpu->stream,
           dwpe, dy, beta2);
}

// step_take, from templates/cuda/step.cu. Called once a step: 0 FLOP, 1.2 kB each.
KERNEL(256)
step_take(struct step_state *state, int32_t *tokens, int32_t *targets, int32_t *order,
          const char *slot0, const char *slot1) {
    constexpr int N = 48;
    const char *slot = state->micro % 2 == 0 ? slot0 : slot1;
    const int32_t *batch = (const int32_t *)(slot + STEP_INPUT_BYTES);
    const int n = blockIdx.x * 256 + threadIdx.x;
    if (n < N) {
        tokens[n] = batch[n];
        targets[n] = batch[N + n];
        order[n] = batch[2 * N + n];
    }
    // The last block to arrive counts, as all blocks have read state->micro by then.
    block_sync();
    if (threadIdx.x == 0) {
        fence_device();
        if (atomic_add(&state->blocks_done, 1) == gridDim.x - 1) {
            state->blocks_done = 0;
            state->in = *(const struct step_input *)slot;
            state->micro++;
        }
    }
}

static void step_take_launch(struct gpu *gpu) {
    LAUNCH(step_take, 1, 256, 0, gpu->stream, gpu->state, gpu->tokens, gpu->targets, gpu->order,
           gpu->staging[0], gpu->staging[1]);
}

// grad_norm, from templates/cuda/optimizer.cu. Called once a step: 117.2 kFLOP, 234.5 kB each.
// Computes the update's factors, in double like PyTorch and rounded to float once; updates the
// float16 loss scaler; adds the step's result to the ring. `squares` is the sum of squared
// gradients, which are still multiplied by the scaler's factor.
DEVICE void optimizer_numbers(struct step_state *state, double squares) {
    const struct step_settings *set = &state->set;
    const double norm = sqrt(squares) / state->scale;
    const bool skip = !(norm < STEP_NORM_LIMIT) || !isfinite(state->total);
    state->skip = skip || set->only_try;
    if (!state->skip) {
        const double clip = set->grad_clip > 0 ? set->grad_clip / (norm + 1e-6) : 1;
        state->t++;
        for (int group = 0; group < GROUPS; group++) {
            state->update[group] =
                update_numbers(set, group, (clip < 1 ? clip : 1) / state->scale, (double)state->t);
        }
    }
    const struct step_result result = {.total = state->total,
                                       .last = state->loss,
                                       .norm = norm,
                                       .scale = state->scale,
                                       .t = state->t,
                                       .good = state->good,
                                       .skipped = skip};
    state->ring[state->steps % STEP_RING] = result;
    state->steps++;
}

// gathered: (gradients / 32), the sums in float of all ranks' shares; null: grads are whole here.
KERNEL(512)
grad_norm(struct step_state *state, const float *grads, const float *gathered, double *partial) {
    constexpr int BLOCKS = 8, THREADS = 512, AT_ONCE = 8;
    constexpr int64_t FOURS = 14656;
    SHARED(double, sums, [THREADS]);
    SHARED(uint32_t, arrived, [1]);
    const int me = (int)threadIdx.x;
    if (state->set.only_try) { // a rank's own gradients
        gathered = nullptr;
    }
    // Sums AT_ONCE accesses of four floats in float, and these sums in double.
    double sum = 0.0;
    for (int64_t i = (int64_t)blockIdx.x * AT_ONCE * THREADS + me; i < FOURS;
         i += (int64_t)BLOCKS * AT_ONCE * THREADS) {
        if (gathered) {
            sum += gathered[i / (AT_ONCE * THREADS) * THREADS + me];
            continue;
        }
        struct four g[AT_ONCE];
#pragma unroll
        for (int a = 0; a < AT_ONCE; a++) {
            const int64_t at = i + a * THREADS;
            g[a] = at < FOURS ? four_load(grads + at * 4) : four{};
        }
        float squares = 0.0f;
#pragma unroll
        for (int a = 0; a < AT_ONCE; a++) {
            squares += (g[a].v[0] * g[a].v[0] + g[a].v[1] * g[a].v[1]) +
                       (g[a].v[2] * g[a].v[2] + g[a].v[3] * g[a].v[3]);
        }
        sum += squares;
    }
    // Sums over the block's threads; then, in the last block to arrive, over all blocks.
    for (int pass = 0;; pass++) {
        sums[me] = sum;
        for (int half = THREADS / 2; half > 0; half /= 2) {
            block_sync();
            if (me < half) {
                sums[me] += sums[me + half];
            }
        }
        if (pass == 1) {
            break;
        }
        if (me == 0) {
            partial[blockIdx.x] = sums[0];
            fence_device();
            arrived[0] = atomic_add(&state->blocks_done, 1);
        }
        block_sync();
        if (arrived[0] != BLOCKS - 1) {
            return;
        }
        fence_device();
        sum = 0.0;
        for (int b = me; b < BLOCKS; b += THREADS) {
            sum += partial[b];
        }
    }
    if (me == 0) {
        state->blocks_done = 0;
        optimizer_numbers(state, sums[0]);
    }
}

static void grad_norm_launch(struct gpu *gpu) {
    // The blocks' sums use cuBLASLt's workspace, as no product runs meanwhile.
    LAUNCH(grad_norm, 8, 512, 0, gpu->stream, gpu->state, gpu->grads, (const float *)gpu->squares,
           (double *)gpu->workspace);
}

// adamw, from templates/cuda/optimizer.cu. Called once a step: 820.7 kFLOP, 1.8 MB each.
// The group that the parameters from the i-th four on are in.
DEVICE int group_at(int64_t i) {
    constexpr int RANGES = 3;
    static constexpr int64_t ENDS[RANGES] = {1520, 14096, 14656};
    static constexpr int GROUP[RANGES] = {GROUP_EMBD, GROUP_MATRICES, GROUP_VECTORS};
    int low = 0;
    for (int high = RANGES - 1; low < high;) {
        const int middle = (low + high) / 2;
        if (i < ENDS[middle]) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return GROUP[low];
}

// Parameters from four `from` up to `to`.
KERNEL(256) adamw(const struct step_state *state, float *params, const float *grads, float *means,
                  float *squares, elem *image, int64_t from, int64_t to) {
    constexpr int AT_ONCE = 2;
    constexpr int64_t DECAYED = 14096;
    if (state->skip) {
        return;
    }
    const int64_t first = from + (int64_t)blockIdx.x * AT_ONCE * blockDim.x + threadIdx.x;
    struct four p[AT_ONCE], g[AT_ONCE];
    struct four m[AT_ONCE], v[AT_ONCE];
#pragma unroll
    for (int a = 0; a < AT_ONCE; a++) {
        const int64_t i = first + a * (int)blockDim.x;
        if (i < to) {
            p[a] = four_load(params + i * 4);
            g[a] = four_load(grads + i * 4);
            m[a] = four_load(means + i * 4);
            v[a] = four_load(squares + i * 4);
        }
    }
#pragma unroll
    for (int a = 0; a < AT_ONCE; a++) {
        const int64_t i = first + a * (int)blockDim.x;
        if (i >= to) {
            break;
        }
        const struct update &u = state->update[group_at(i)];
        const float keep = i < DECAYED || u.decays ? u.keep_decayed : 1.0f;
#pragma unroll
        for (int e = 0; e < 4; e++) {
            float weight = p[a].v[e], gradient = g[a].v[e] * u.scale;
            weight *= keep;
            const float mean = m[a].v[e] + u.mean_weight * (gradient - m[a].v[e]);
            const float square = u.square_keep * v[a].v[e] + u.square_weight * gradient * gradient;
            weight -= u.step * (mean / (sqrtf(square) / u.root + u.eps));
            m[a].v[e] = mean;
            v[a].v[e] = square;
            p[a].v[e] = weight;
        }
        four_store(params + i * 4, p[a]);
        four_store(means + i * 4, m[a]);
        four_store(squares + i * 4, v[a]);
        four_round(image + i * 4, p[a]);
    }
}

static void adamw_launch(struct gpu *gpu) {
    const int64_t all = 14656;
    const int64_t from = gpu->part_from / 4 < all ? gpu->part_from / 4 : all;
    const int64_t to = gpu->part_to / 4 < all ? gpu->part_to / 4 : all;
    if (from < to) { // of several processes some may have nothing but padding
        LAUNCH(adamw, divide_up(to - from, 2 * 256), 256, 0, gpu->stream, gpu->state, gpu->params,
               gpu->grads, gpu->m, gpu->v, (elem *)gpu->packed, from, to);
    }
}

// cast, from templates/cuda/matmul.cu. Called once, where a run begins: 0 FLOP, 351.7 kB each.
KERNEL(256) cast(elem *packed, const float *params) {
    [[maybe_unused]] constexpr size_t COUNT = 58624;
    const size_t at = ((size_t)blockIdx.x * 256 + threadIdx.x) * VEC;
    if (at + VEC <= COUNT) {
        vec_store(packed + at, vec_load(params + at));
    } else {
        for (size_t i = at; i < COUNT; i++) {
            packed[i] = from_f32<elem>(params[i]);
        }
    }
}

static void cast_launch(struct gpu *gpu, elem *packed, const float *params) {
    LAUNCH(cast, dim3(29), dim3(256), 0, gpu->stream, packed, params);
}

// ---- the model ----------------------------------------------------------------------------------

enum {
    KERNEL_embed_48x65x36x24_dropout,
    KERNEL_layernorm_48x36,
    KERNEL_matmul_48x36x108_bias,
    KERNEL_attention_2x24x2x18_dropout,
    KERNEL_matmul_48x36x36_bias,
    KERNEL_layernorm_48x36_of_dropout_add_keep,
    KERNEL_matmul_48x36x144_bias_keep_gelu_tanh,
    KERNEL_matmul_48x144x36_bias,
    KERNEL_matmul_48x36x65,
    KERNEL_cross_entropy_48x65,
    KERNEL_mean_loss_48,
    KERNEL_cross_entropy_backward_48x65,
    KERNEL_matmul_dx_48x65x36,
    KERNEL_matmul_dw_48x65x36,
    KERNEL_layernorm_backward_48x36_keep_dropout,
    KERNEL_bias_grad_48x36,
    KERNEL_matmul_dx_48x36x144_gelu_tanh_backward,
    KERNEL_matmul_dw_48x36x144,
    KERNEL_bias_grad_48x144,
    KERNEL_matmul_dx_48x144x36,
    KERNEL_matmul_dw_48x144x36,
    KERNEL_layernorm_backward_48x36_add_keep_dropout,
    KERNEL_matmul_dx_48x36x36,
    KERNEL_matmul_dw_48x36x36,
    KERNEL_attention_backward_2x24x2x18_dropout,
    KERNEL_bias_grad_48x108,
    KERNEL_matmul_dx_48x108x36,
    KERNEL_matmul_dw_48x108x36,
    KERNEL_layernorm_backward_48x36_add_dropout,
    KERNEL_embed_backward_48x36x65x24,
    KERNEL_step_take,
    KERNEL_grad_norm,
    KERNEL_adamw,
    KERNEL_cast,
    KERNELS,
};

// Launches a kernel, between marks for the profile.
#define RUN(kernel, ...)                                                                           \
    do {                                                                                           \
        gpu_kernel_begin(gpu, KERNEL_##kernel);                                                    \
        kernel##_launch(gpu, ##__VA_ARGS__);                                                       \
        gpu_kernel_end(gpu, KERNEL_##kernel);                                                      \
    } while (0)

extern "C" {

static void forward_layer(struct gpu *gpu) {
    elem *ln_1_y = (elem *)(gpu->acts + 36096); // (48, 36)
    float *ln_1_mean = gpu->acts + 51840; // (48)
    float *ln_1_rstd = gpu->acts + 52032; // (48)
    const elem *x = (elem *)(gpu->acts + 28800); // (48, 36)
    const float *ln_1_weight = gpu->params + 56384; // (36)
    const float *ln_1_bias = gpu->params + 56448; // (36)
    elem *qkv_biased = (elem *)(gpu->acts + 20736); // (48, 108)
    const elem *attn_c_attn_weight_image = (elem *)gpu->packed + 6080; // (108, 36)
    const elem *attn_c_attn_bias_image = (elem *)gpu->packed + 56512; // (108)
    elem *attention_y = (elem *)(gpu->acts + 38976); // (48, 36)
    float *attention_lse = gpu->acts + 51456; // (2, 48)
    elem *projected_biased = (elem *)(gpu->acts + 32640); // (48, 36)
    const elem *attn_c_proj_weight_image = (elem *)gpu->packed + 10432; // (36, 36)
    const elem *attn_c_proj_bias_image = (elem *)gpu->packed + 56640; // (36)
    elem *ln_2_y = (elem *)(gpu->acts + 41856); // (48, 36)
    float *ln_2_mean = gpu->acts + 52224; // (48)
    float *ln_2_rstd = gpu->acts + 52416; // (48)
    elem *x_mid = (elem *)(gpu->acts + 44736); // (48, 36)
    const float *ln_2_weight = gpu->params + 56704; // (36)
    const float *ln_2_bias = gpu->params + 56768; // (36)
    elem *activated = (elem *)(gpu->acts); // (48, 144)
    elem *fc_biased = (elem *)(gpu->acts + 10368); // (48, 144)
    const elem *mlp_c_fc_weight_image = (elem *)gpu->packed + 11904; // (144, 36)
    const elem *mlp_c_fc_bias_image = (elem *)gpu->packed + 56832; // (144)
    elem *narrowed_biased = (elem *)(gpu->acts + 32640); // (48, 36)
    const elem *mlp_c_proj_weight_image = (elem *)gpu->packed + 17664; // (36, 144)
    const elem *mlp_c_proj_bias_image = (elem *)gpu->packed + 57024; // (36)

    // block.0.ln_1
    RUN(layernorm_48x36, ln_1_y, ln_1_mean, ln_1_rstd, x, ln_1_weight, ln_1_bias);
    // block.0.qkv
    RUN(matmul_48x36x108_bias, qkv_biased, ln_1_y, attn_c_attn_weight_image,
        attn_c_attn_bias_image);
    // block.0.attention
    RUN(attention_2x24x2x18_dropout, gpu->state, attention_y, attention_lse, qkv_biased, 2u);
    // block.0.projected
    RUN(matmul_48x36x36_bias, projected_biased, attention_y, attn_c_proj_weight_image,
        attn_c_proj_bias_image);
    // block.0.ln_2
    RUN(layernorm_48x36_of_dropout_add_keep, gpu->state, ln_2_y, ln_2_mean, ln_2_rstd, x_mid,
        projected_biased, ln_2_weight, ln_2_bias, x, 3u);
    // block.0.fc
    RUN(matmul_48x36x144_bias_keep_gelu_tanh, activated, fc_biased, ln_2_y, mlp_c_fc_weight_image,
        mlp_c_fc_bias_image);
    // block.0.narrowed
    RUN(matmul_48x144x36_bias, narrowed_biased, activated, mlp_c_proj_weight_image,
        mlp_c_proj_bias_image);
}

static void forward_layer_1(struct gpu *gpu, int l) {
    elem *ln_1_y = (elem *)(gpu->acts + 36096 + (size_t)l * 960); // (48, 36)
    float *ln_1_mean = gpu->acts + 51840 + (size_t)l * 64; // (48)
    float *ln_1_rstd = gpu->acts + 52032 + (size_t)l * 64; // (48)
    elem *x = (elem *)(gpu->acts + 28800 + (size_t)l * 960); // (48, 36)
    const elem *narrowed_biased_before = (elem *)(gpu->acts + 32640); // (48, 36)
    const float *ln_1_weight = gpu->params + 56384 + (size_t)l * 704; // (36)
    const float *ln_1_bias = gpu->params + 56448 + (size_t)l * 704; // (36)
    const elem *x_mid_before = (elem *)(gpu->acts + 43776 + (size_t)l * 960); // (48, 36)
    elem *qkv_biased = (elem *)(gpu->acts + 20736 + (size_t)l * 2688); // (48, 108)
    // (108, 36)
    const elem *attn_c_attn_weight_image = (elem *)gpu->packed + 6080 + (size_t)l * 16768;
    const elem *attn_c_attn_bias_image = (elem *)gpu->packed + 56512 + (size_t)l * 704; // (108)
    elem *attention_y = (elem *)(gpu->acts + 38976 + (size_t)l * 960); // (48, 36)
    float *attention_lse = gpu->acts + 51456 + (size_t)l * 128; // (2, 48)
    elem *projected_biased = (elem *)(gpu->acts + 32640); // (48, 36)
    // (36, 36)
    const elem *attn_c_proj_weight_image = (elem *)gpu->packed + 10432 + (size_t)l * 16768;
    const elem *attn_c_proj_bias_image = (elem *)gpu->packed + 56640 + (size_t)l * 704; // (36)
    elem *ln_2_y = (elem *)(gpu->acts + 41856 + (size_t)l * 960); // (48, 36)
    float *ln_2_mean = gpu->acts + 52224 + (size_t)l * 64; // (48)
    float *ln_2_rstd = gpu->acts + 52416 + (size_t)l * 64; // (48)
    elem *x_mid = (elem *)(gpu->acts + 44736 + (size_t)l * 960); // (48, 36)
    const float *ln_2_weight = gpu->params + 56704 + (size_t)l * 704; // (36)
    const float *ln_2_bias = gpu->params + 56768 + (size_t)l * 704; // (36)
    elem *activated = (elem *)(gpu->acts + (size_t)l * 3456); // (48, 144)
    elem *fc_biased = (elem *)(gpu->acts + 10368 + (size_t)l * 3456); // (48, 144)
    // (144, 36)
    const elem *mlp_c_fc_weight_image = (elem *)gpu->packed + 11904 + (size_t)l * 16768;
    const elem *mlp_c_fc_bias_image = (elem *)gpu->packed + 56832 + (size_t)l * 704; // (144)
    elem *narrowed_biased = (elem *)(gpu->acts + 32640); // (48, 36)
    // (36, 144)
    const elem *mlp_c_proj_weight_image = (elem *)gpu->packed + 17664 + (size_t)l * 16768;
    const elem *mlp_c_proj_bias_image = (elem *)gpu->packed + 57024 + (size_t)l * 704; // (36)

    // block.l.ln_1
    RUN(layernorm_48x36_of_dropout_add_keep, gpu->state, ln_1_y, ln_1_mean, ln_1_rstd, x,
        narrowed_biased_before, ln_1_weight, ln_1_bias, x_mid_before, (uint32_t)(1 + l * 3));
    // block.l.qkv
    RUN(matmul_48x36x108_bias, qkv_biased, ln_1_y, attn_c_attn_weight_image,
        attn_c_attn_bias_image);
    // block.l.attention
    RUN(attention_2x24x2x18_dropout, gpu->state, attention_y, attention_lse, qkv_biased,
        (uint32_t)(2 + l * 3));
    // block.l.projected
    RUN(matmul_48x36x36_bias, projected_biased, attention_y, attn_c_proj_weight_image,
        attn_c_proj_bias_image);
    // block.l.ln_2
    RUN(layernorm_48x36_of_dropout_add_keep, gpu->state, ln_2_y, ln_2_mean, ln_2_rstd, x_mid,
        projected_biased, ln_2_weight, ln_2_bias, x, (uint32_t)(3 + l * 3));
    // block.l.fc
    RUN(matmul_48x36x144_bias_keep_gelu_tanh, activated, fc_biased, ln_2_y, mlp_c_fc_weight_image,
        mlp_c_fc_bias_image);
    // block.l.narrowed
    RUN(matmul_48x144x36_bias, narrowed_biased, activated, mlp_c_proj_weight_image,
        mlp_c_proj_bias_image);
}

void device_forward(struct gpu *gpu) {
    elem *x_0 = (elem *)(gpu->acts + 28800); // (48, 36)
    const float *wte_weight = gpu->params; // (65, 36)
    const float *wpe_weight = gpu->params + 5120; // (24, 36)
    elem *ln_f_y = (elem *)(gpu->acts + 47616); // (48, 36)
    float *ln_f_mean = gpu->acts + 35712; // (48)
    float *ln_f_rstd = gpu->acts + 35776; // (48)
    elem *x_3 = (elem *)(gpu->acts + 31680); // (48, 36)
    const elem *narrowed_biased_2 = (elem *)(gpu->acts + 32640); // (48, 36)
    const float *ln_f_weight = gpu->params + 58496; // (36)
    const float *ln_f_bias = gpu->params + 58560; // (36)
    const elem *x_mid_2 = (elem *)(gpu->acts + 46656); // (48, 36)

    // embedded
    RUN(embed_48x65x36x24_dropout, gpu->state, x_0, gpu->tokens, wte_weight, wpe_weight, 1u);
    forward_layer(gpu);
    for (int l = 1; l < MODEL_L; l++) {
        forward_layer_1(gpu, l);
    }
    // ln_f
    RUN(layernorm_48x36_of_dropout_add_keep, gpu->state, ln_f_y, ln_f_mean, ln_f_rstd, x_3,
        narrowed_biased_2, ln_f_weight, ln_f_bias, x_mid_2, 10u);
}

void device_loss(struct gpu *gpu) {
    elem *logits = (elem *)(gpu->acts + 32640); // (48, 65)
    const elem *ln_f_y = (elem *)(gpu->acts + 47616); // (48, 36)
    const elem *wte_weight_image = (elem *)gpu->packed; // (65, 36)
    float *losses = gpu->acts + 35840; // (48)

    // logits
    RUN(matmul_48x36x65, logits, ln_f_y, wte_weight_image);
    // loss
    RUN(cross_entropy_48x65, losses, logits, gpu->targets);
    RUN(mean_loss_48, gpu->state, losses, gpu->targets, gpu->beta);
}

static void backward_layer(struct gpu *gpu, int l) {
    float *d_mlp_c_proj_bias = gpu->grads + 57024 + (size_t)l * 704; // (36)
    const elem *d_narrowed_biased = (elem *)(gpu->acts + 47616); // (48, 36)
    float *d_narrowed_biased_bias_grad_workspace = gpu->acts + 32640; // (40)
    elem *d_fc_biased = (elem *)(gpu->acts + 32640); // (48, 144)
    // (36, 144)
    const elem *mlp_c_proj_weight_image = (elem *)gpu->packed + 17664 + (size_t)l * 16768;
    const elem *fc_biased = (elem *)(gpu->acts + 10368 + (size_t)l * 3456); // (48, 144)
    float *d_mlp_c_proj_weight = gpu->grads + 17664 + (size_t)l * 16768; // (36, 144)
    const elem *activated = (elem *)(gpu->acts + (size_t)l * 3456); // (48, 144)
    float *d_mlp_c_fc_bias = gpu->grads + 56832 + (size_t)l * 704; // (144)
    float *d_fc_biased_bias_grad_workspace = gpu->acts + 47616; // (144)
    elem *d_ln_2_y = (elem *)(gpu->acts + 47616); // (48, 36)
    // (144, 36)
    const elem *mlp_c_fc_weight_image = (elem *)gpu->packed + 11904 + (size_t)l * 16768;
    float *d_mlp_c_fc_weight = gpu->grads + 11904 + (size_t)l * 16768; // (144, 36)
    const elem *ln_2_y = (elem *)(gpu->acts + 41856 + (size_t)l * 960); // (48, 36)
    elem *d_projected_biased = (elem *)(gpu->acts + 32640); // (48, 36)
    float *d_ln_2_weight = gpu->grads + 56704 + (size_t)l * 704; // (36)
    float *d_ln_2_bias = gpu->grads + 56768 + (size_t)l * 704; // (36)
    elem *d_x_mid_sum = (elem *)(gpu->acts + 48576); // (48, 36)
    const elem *x_mid = (elem *)(gpu->acts + 44736 + (size_t)l * 960); // (48, 36)
    const float *ln_2_weight = gpu->params + 56704 + (size_t)l * 704; // (36)
    const float *ln_2_mean = gpu->acts + 52224 + (size_t)l * 64; // (48)
    const float *ln_2_rstd = gpu->acts + 52416 + (size_t)l * 64; // (48)
    const elem *d_x_next = (elem *)(gpu->acts + 49536); // (48, 36)
    float *d_ln_2_y_layernorm_backward_workspace = gpu->acts + 33600; // (960)
    float *d_attn_c_proj_bias = gpu->grads + 56640 + (size_t)l * 704; // (36)
    float *d_projected_biased_bias_grad_workspace = gpu->acts + 33600; // (40)
    elem *d_attention_y = (elem *)(gpu->acts + 47616); // (48, 36)
    // (36, 36)
    const elem *attn_c_proj_weight_image = (elem *)gpu->packed + 10432 + (size_t)l * 16768;
    float *d_attn_c_proj_weight = gpu->grads + 10432 + (size_t)l * 16768; // (36, 36)
    const elem *attention_y = (elem *)(gpu->acts + 38976 + (size_t)l * 960); // (48, 36)
    elem *d_qkv_biased = (elem *)(gpu->acts + 32640); // (48, 108)
    const elem *qkv_biased = (elem *)(gpu->acts + 20736 + (size_t)l * 2688); // (48, 108)
    const float *attention_lse = gpu->acts + 51456 + (size_t)l * 128; // (2, 48)
    float *d_attention_y_attention_backward_workspace = gpu->acts + 35328; // (96)
    float *d_attn_c_attn_bias = gpu->grads + 56512 + (size_t)l * 704; // (108)
    float *d_qkv_biased_bias_grad_workspace = gpu->acts + 35328; // (112)
    elem *d_ln_1_y = (elem *)(gpu->acts + 50496); // (48, 36)
    // (108, 36)
    const elem *attn_c_attn_weight_image = (elem *)gpu->packed + 6080 + (size_t)l * 16768;
    float *d_attn_c_attn_weight = gpu->grads + 6080 + (size_t)l * 16768; // (108, 36)
    const elem *ln_1_y = (elem *)(gpu->acts + 36096 + (size_t)l * 960); // (48, 36)
    elem *d_narrowed_biased_before = (elem *)(gpu->acts + 47616); // (48, 36)
    float *d_ln_1_weight = gpu->grads + 56384 + (size_t)l * 704; // (36)
    float *d_ln_1_bias = gpu->grads + 56448 + (size_t)l * 704; // (36)
    elem *d_x_sum = (elem *)(gpu->acts + 49536); // (48, 36)
    const elem *x = (elem *)(gpu->acts + 28800 + (size_t)l * 960); // (48, 36)
    const float *ln_1_weight = gpu->params + 56384 + (size_t)l * 704; // (36)
    const float *ln_1_mean = gpu->acts + 51840 + (size_t)l * 64; // (48)
    const float *ln_1_rstd = gpu->acts + 52032 + (size_t)l * 64; // (48)
    float *d_ln_1_y_layernorm_backward_workspace = gpu->acts + 32640; // (960)

    // block.l.narrowed.biased
    RUN(bias_grad_48x36, d_mlp_c_proj_bias, d_narrowed_biased, gpu->beta,
        d_narrowed_biased_bias_grad_workspace);
    // block.l.narrowed
    RUN(matmul_dx_48x36x144_gelu_tanh_backward, d_fc_biased, d_narrowed_biased,
        mlp_c_proj_weight_image, fc_biased);
    RUN(matmul_dw_48x36x144, d_mlp_c_proj_weight, d_narrowed_biased, activated, gpu->beta);
    // block.l.fc.biased
    RUN(bias_grad_48x144, d_mlp_c_fc_bias, d_fc_biased, gpu->beta, d_fc_biased_bias_grad_workspace);
    // block.l.fc
    RUN(matmul_dx_48x144x36, d_ln_2_y, d_fc_biased, mlp_c_fc_weight_image);
    RUN(matmul_dw_48x144x36, d_mlp_c_fc_weight, d_fc_biased, ln_2_y, gpu->beta);
    // block.l.ln_2
    RUN(layernorm_backward_48x36_add_keep_dropout, gpu->state, d_projected_biased, d_ln_2_weight,
        d_ln_2_bias, d_x_mid_sum, d_ln_2_y, x_mid, ln_2_weight, ln_2_mean, ln_2_rstd, d_x_next,
        (uint32_t)(3 + l * 3), gpu->beta, d_ln_2_y_layernorm_backward_workspace);
    // block.l.projected.biased
    RUN(bias_grad_48x36, d_attn_c_proj_bias, d_projected_biased, gpu->beta,
        d_projected_biased_bias_grad_workspace);
    // block.l.projected
    RUN(matmul_dx_48x36x36, d_attention_y, d_projected_biased, attn_c_proj_weight_image);
    RUN(matmul_dw_48x36x36, d_attn_c_proj_weight, d_projected_biased, attention_y, gpu->beta);
    // block.l.attention
    RUN(attention_backward_2x24x2x18_dropout, gpu->state, d_qkv_biased, d_attention_y, qkv_biased,
        attention_y, attention_lse, (uint32_t)(2 + l * 3),
        d_attention_y_attention_backward_workspace);
    // block.l.qkv.biased
    RUN(bias_grad_48x108, d_attn_c_attn_bias, d_qkv_biased, gpu->beta,
        d_qkv_biased_bias_grad_workspace);
    // block.l.qkv
    RUN(matmul_dx_48x108x36, d_ln_1_y, d_qkv_biased, attn_c_attn_weight_image);
    RUN(matmul_dw_48x108x36, d_attn_c_attn_weight, d_qkv_biased, ln_1_y, gpu->beta);
    // block.l.ln_1
    RUN(layernorm_backward_48x36_add_keep_dropout, gpu->state, d_narrowed_biased_before,
        d_ln_1_weight, d_ln_1_bias, d_x_sum, d_ln_1_y, x, ln_1_weight, ln_1_mean, ln_1_rstd,
        d_x_mid_sum, (uint32_t)(1 + l * 3), gpu->beta, d_ln_1_y_layernorm_backward_workspace);
}

static void backward_layer_0(struct gpu *gpu) {
    float *d_mlp_c_proj_bias = gpu->grads + 57024; // (36)
    const elem *d_narrowed_biased = (elem *)(gpu->acts + 47616); // (48, 36)
    float *d_narrowed_biased_bias_grad_workspace = gpu->acts + 32640; // (40)
    elem *d_fc_biased = (elem *)(gpu->acts + 32640); // (48, 144)
    const elem *mlp_c_proj_weight_image = (elem *)gpu->packed + 17664; // (36, 144)
    const elem *fc_biased = (elem *)(gpu->acts + 10368); // (48, 144)
    float *d_mlp_c_proj_weight = gpu->grads + 17664; // (36, 144)
    const elem *activated = (elem *)(gpu->acts); // (48, 144)
    float *d_mlp_c_fc_bias = gpu->grads + 56832; // (144)
    float *d_fc_biased_bias_grad_workspace = gpu->acts + 47616; // (144)
    elem *d_ln_2_y = (elem *)(gpu->acts + 47616); // (48, 36)
    const elem *mlp_c_fc_weight_image = (elem *)gpu->packed + 11904; // (144, 36)
    float *d_mlp_c_fc_weight = gpu->grads + 11904; // (144, 36)
    const elem *ln_2_y = (elem *)(gpu->acts + 41856); // (48, 36)
    elem *d_projected_biased = (elem *)(gpu->acts + 32640); // (48, 36)
    float *d_ln_2_weight = gpu->grads + 56704; // (36)
    float *d_ln_2_bias = gpu->grads + 56768; // (36)
    elem *d_x_mid_sum = (elem *)(gpu->acts); // (48, 36)
    const elem *x_mid = (elem *)(gpu->acts + 44736); // (48, 36)
    const float *ln_2_weight = gpu->params + 56704; // (36)
    const float *ln_2_mean = gpu->acts + 52224; // (48)
    const float *ln_2_rstd = gpu->acts + 52416; // (48)
    const elem *d_x_sum_next = (elem *)(gpu->acts + 49536); // (48, 36)
    float *d_ln_2_y_layernorm_backward_workspace = gpu->acts + 33600; // (960)
    float *d_attn_c_proj_bias = gpu->grads + 56640; // (36)
    float *d_projected_biased_bias_grad_workspace = gpu->acts + 33600; // (40)
    elem *d_attention_y = (elem *)(gpu->acts + 47616); // (48, 36)
    const elem *attn_c_proj_weight_image = (elem *)gpu->packed + 10432; // (36, 36)
    float *d_attn_c_proj_weight = gpu->grads + 10432; // (36, 36)
    const elem *attention_y = (elem *)(gpu->acts + 38976); // (48, 36)
    elem *d_qkv_biased = (elem *)(gpu->acts + 32640); // (48, 108)
    const elem *qkv_biased = (elem *)(gpu->acts + 20736); // (48, 108)
    const float *attention_lse = gpu->acts + 51456; // (2, 48)
    float *d_attention_y_attention_backward_workspace = gpu->acts + 35328; // (96)
    float *d_attn_c_attn_bias = gpu->grads + 56512; // (108)
    float *d_qkv_biased_bias_grad_workspace = gpu->acts + 35328; // (112)
    elem *d_ln_1_y = (elem *)(gpu->acts + 50496); // (48, 36)
    const elem *attn_c_attn_weight_image = (elem *)gpu->packed + 6080; // (108, 36)
    float *d_attn_c_attn_weight = gpu->grads + 6080; // (108, 36)
    const elem *ln_1_y = (elem *)(gpu->acts + 36096); // (48, 36)
    elem *d_embedded = (elem *)(gpu->acts); // (48, 36)
    float *d_ln_1_weight = gpu->grads + 56384; // (36)
    float *d_ln_1_bias = gpu->grads + 56448; // (36)
    const elem *x = (elem *)(gpu->acts + 28800); // (48, 36)
    const float *ln_1_weight = gpu->params + 56384; // (36)
    const float *ln_1_mean = gpu->acts + 51840; // (48)
    const float *ln_1_rstd = gpu->acts + 52032; // (48)
    float *d_ln_1_y_layernorm_backward_workspace = gpu->acts + 32640; // (960)

    // block.0.narrowed.biased
    RUN(bias_grad_48x36, d_mlp_c_proj_bias, d_narrowed_biased, gpu->beta,
        d_narrowed_biased_bias_grad_workspace);
    // block.0.narrowed
    RUN(matmul_dx_48x36x144_gelu_tanh_backward, d_fc_biased, d_narrowed_biased,
        mlp_c_proj_weight_image, fc_biased);
    RUN(matmul_dw_48x36x144, d_mlp_c_proj_weight, d_narrowed_biased, activated, gpu->beta);
    // block.0.fc.biased
    RUN(bias_grad_48x144, d_mlp_c_fc_bias, d_fc_biased, gpu->beta, d_fc_biased_bias_grad_workspace);
    // block.0.fc
    RUN(matmul_dx_48x144x36, d_ln_2_y, d_fc_biased, mlp_c_fc_weight_image);
    RUN(matmul_dw_48x144x36, d_mlp_c_fc_weight, d_fc_biased, ln_2_y, gpu->beta);
    // block.0.ln_2
    RUN(layernorm_backward_48x36_add_keep_dropout, gpu->state, d_projected_biased, d_ln_2_weight,
        d_ln_2_bias, d_x_mid_sum, d_ln_2_y, x_mid, ln_2_weight, ln_2_mean, ln_2_rstd, d_x_sum_next,
        3u, gpu->beta, d_ln_2_y_layernorm_backward_workspace);
    // block.0.projected.biased
    RUN(bias_grad_48x36, d_attn_c_proj_bias, d_projected_biased, gpu->beta,
        d_projected_biased_bias_grad_workspace);
    // block.0.projected
    RUN(matmul_dx_48x36x36, d_attention_y, d_projected_biased, attn_c_proj_weight_image);
    RUN(matmul_dw_48x36x36, d_attn_c_proj_weight, d_projected_biased, attention_y, gpu->beta);
    // block.0.attention
    RUN(attention_backward_2x24x2x18_dropout, gpu->state, d_qkv_biased, d_attention_y, qkv_biased,
        attention_y, attention_lse, 2u, d_attention_y_attention_backward_workspace);
    // block.0.qkv.biased
    RUN(bias_grad_48x108, d_attn_c_attn_bias, d_qkv_biased, gpu->beta,
        d_qkv_biased_bias_grad_workspace);
    // block.0.qkv
    RUN(matmul_dx_48x108x36, d_ln_1_y, d_qkv_biased, attn_c_attn_weight_image);
    RUN(matmul_dw_48x108x36, d_attn_c_attn_weight, d_qkv_biased, ln_1_y, gpu->beta);
    // block.0.ln_1
    RUN(layernorm_backward_48x36_add_dropout, gpu->state, d_embedded, d_ln_1_weight, d_ln_1_bias,
        d_ln_1_y, x, ln_1_weight, ln_1_mean, ln_1_rstd, d_x_mid_sum, 1u, gpu->beta,
        d_ln_1_y_layernorm_backward_workspace);
}

void device_backward(struct gpu *gpu) {
    elem *train_logits = (elem *)(gpu->acts + 32640); // (48, 65)
    const elem *ln_f_y = (elem *)(gpu->acts + 47616); // (48, 36)
    const elem *wte_weight_image = (elem *)gpu->packed; // (65, 36)
    elem *d_logits = (elem *)(gpu->acts + 32640); // (48, 65)
    float *train_losses = gpu->acts + 52608; // (48)
    elem *d_ln_f_y = (elem *)(gpu->acts + 48576); // (48, 36)
    float *d_wte_weight = gpu->grads; // (65, 36)
    elem *d_narrowed_biased_2 = (elem *)(gpu->acts + 47616); // (48, 36)
    float *d_ln_f_weight = gpu->grads + 58496; // (36)
    float *d_ln_f_bias = gpu->grads + 58560; // (36)
    elem *d_x_3 = (elem *)(gpu->acts + 49536); // (48, 36)
    const elem *x_3 = (elem *)(gpu->acts + 31680); // (48, 36)
    const float *ln_f_weight = gpu->params + 58496; // (36)
    const float *ln_f_mean = gpu->acts + 35712; // (48)
    const float *ln_f_rstd = gpu->acts + 35776; // (48)
    float *d_ln_f_y_layernorm_backward_workspace = gpu->acts + 32640; // (960)
    float *d_wpe_weight = gpu->grads + 5120; // (24, 36)
    const elem *d_embedded = (elem *)(gpu->acts); // (48, 36)
    float *d_embedded_embed_backward_workspace = gpu->acts + 960; // (81)

    // logits
    RUN(matmul_48x36x65, train_logits, ln_f_y, wte_weight_image);
    // loss
    RUN(cross_entropy_backward_48x65, gpu->state, d_logits, train_losses, train_logits,
        gpu->targets);
    // logits
    RUN(matmul_dx_48x65x36, d_ln_f_y, d_logits, wte_weight_image);
    RUN(matmul_dw_48x65x36, d_wte_weight, d_logits, ln_f_y, gpu->beta);
    // ln_f
    RUN(layernorm_backward_48x36_keep_dropout, gpu->state, d_narrowed_biased_2, d_ln_f_weight,
        d_ln_f_bias, d_x_3, d_ln_f_y, x_3, ln_f_weight, ln_f_mean, ln_f_rstd, 10u, gpu->beta,
        d_ln_f_y_layernorm_backward_workspace);
    for (int l = MODEL_L - 1; l >= 1; l--) {
        backward_layer(gpu, l);
    }
    backward_layer_0(gpu);
    // embedded
    RUN(embed_backward_48x36x65x24, d_wte_weight, d_wpe_weight, d_embedded, gpu->tokens, 1.0f,
        gpu->beta, d_embedded_embed_backward_workspace);
    // loss
    RUN(mean_loss_48, gpu->state, train_losses, gpu->targets, gpu->beta);
}

// Copies the batch in staging slot `state->micro` to where the model reads it.
void device_take(struct gpu *gpu) {
    RUN(step_take);
}

// The norm of the gradients, the clip factor, and, if all are finite, the update.
void device_update(struct gpu *gpu) {
    RUN(grad_norm);
    RUN(adamw);
}

// Converts the parameters, after they came from the host, to the type of activations.
void device_prepare(struct gpu *gpu) {
    RUN(cast, (elem *)gpu->packed, gpu->params);
}

#undef RUN

// ---- what the runtime needs to know -------------------------------------------------------------

struct gemm *const model_gemms[] = {
    &matmul_48x36x108_bias_gemm,
    &matmul_48x36x36_bias_gemm,
    &matmul_48x36x144_bias_keep_gelu_tanh_gemm,
    &matmul_48x144x36_bias_gemm,
    &matmul_48x36x65_gemm,
    &matmul_dx_48x65x36_gemm,
    &matmul_dw_48x65x36_gemm,
    &matmul_dx_48x36x144_gelu_tanh_backward_gemm,
    &matmul_dw_48x36x144_gemm,
    &matmul_dx_48x144x36_gemm,
    &matmul_dw_48x144x36_gemm,
    &matmul_dx_48x36x36_gemm,
    &matmul_dw_48x36x36_gemm,
    &matmul_dx_48x108x36_gemm,
    &matmul_dw_48x108x36_gemm,
};
const int model_gemms_count = 15;

static const struct kernel_info model_kernels[KERNELS] = {
    {"embed_48x65x36x24_dropout", 10368.0,
     14016.0},
    {"layernorm_48x36", 13824.0,
     7584.0},
    {"matmul_48x36x108_bias", 378432.0,
     21816.0},
    {"attention_2x24x2x18_dropout", 86400.0,
     14208.0},
    {"matmul_48x36x36_bias", 126144.0,
     9576.0},
    {"layernorm_48x36_of_dropout_add_keep", 24192.0,
     14496.0},
    {"matmul_48x36x144_bias_keep_gelu_tanh", 711936.0,
     41760.0},
    {"matmul_48x144x36_bias", 499392.0,
     27720.0},
    {"matmul_48x36x65", 224640.0,
     14376.0},
    {"cross_entropy_48x65", 78000.0,
     6624.0},
    {"mean_loss_48", 48.0,
     384.0},
    {"cross_entropy_backward_48x65", 78000.0,
     12864.0},
    {"matmul_dx_48x65x36", 224640.0,
     14376.0},
    {"matmul_dw_48x65x36", 224640.0,
     28416.0},
    {"layernorm_backward_48x36_keep_dropout", 36288.0,
     14928.0},
    {"bias_grad_48x36", 1728.0,
     3744.0},
    {"matmul_dx_48x36x144_gelu_tanh_backward", 711936.0,
     41472.0},
    {"matmul_dw_48x36x144", 497664.0,
     58752.0},
    {"bias_grad_48x144", 6912.0,
     14976.0},
    {"matmul_dx_48x144x36", 497664.0,
     27648.0},
    {"matmul_dw_48x144x36", 497664.0,
     58752.0},
    {"layernorm_backward_48x36_add_keep_dropout", 38016.0,
     18384.0},
    {"matmul_dx_48x36x36", 124416.0,
     9504.0},
    {"matmul_dw_48x36x36", 124416.0,
     17280.0},
    {"attention_backward_2x24x2x18_dropout", 216000.0,
     28032.0},
    {"bias_grad_48x108", 5184.0,
     11232.0},
    {"matmul_dx_48x108x36", 373248.0,
     21600.0},
    {"matmul_dw_48x108x36", 373248.0,
     44928.0},
    {"layernorm_backward_48x36_add_dropout", 38016.0,
     14928.0},
    {"embed_backward_48x36x65x24", 3456.0,
     29280.0},
    {"step_take", 0.0,
     1152.0},
    {"grad_norm", 117248.0,
     234496.0},
    {"adamw", 820736.0,
     1758720.0},
    {"cast", 0.0,
     351744.0},
};

extern const struct model_info model_info;
const struct model_info model_info = {
    .hash = MODEL_HASH,
    .config = MODEL_CONFIG,
    .title = "gpt, 3 layers, 2 heads, 36 wide, context 24, vocabulary 65",
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
    .state_floats = 51600,
    .packed_floats = 29312,
    .acts_floats = 52672,
    .losses = 35840,
    .scratch_bytes = 0,
    .device_floats = 58624,
    .dtype = "bfloat16",
    .num_params = 51336,
    .num_params_nanogpt = 50472,
    .flops_per_token = 333936.0,
    .kernels = model_kernels,
    .kernels_count = KERNELS,
};

} // extern "C"
