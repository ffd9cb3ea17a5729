// fake_model.c: a model small enough to read, in place of an emitted train.c and sample.c: rows are
// independent, and a layer is x + tanh(W x + b).
//
//     x[0]   = dropout(wte[token] + wpe[position])
//     x[l+1] = x[l] + tanh(W[l] x[l] + b[l])
//     logits = wte (x[L] * ln_f)
//
// In the forward pass a thread computes whole rows. In the backward pass too, except for the
// gradients of the weights: each one's sum over rows is computed in order, by one thread.
#include "tests/runtime/fake_model.h"
#include "updates.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { B = FAKE_B, T = FAKE_T, C = FAKE_C, L = FAKE_L, V = FAKE_V, N = FAKE_N };

enum fake_call fake_signal_in;
int fake_signal_at = -1, fake_signal, fake_nan_from, fake_nan_to;
int fake_forwards, fake_called[FAKE_CALLS];
double fake_wrong_gradient = 1;

// ---- what emitted files state about the model ---------------------------------------------------

enum {
    WTE = 0,
    WPE = WTE + V * C,
    MIX = WPE + T * C,
    MIX_BIAS = MIX + C * C,
    LAYER = C * C + C, // from one layer's mix to the next
    LN_F = MIX + L * LAYER,
    STATE = LN_F + C,

    X = 0,                      // (L + 1, N, C)
    H = X + (L + 1) * N * C,    // (L, N, C): tanh(...)
    DH = H + L * N * C,         // (L, N, C): d loss / d (W x + b)
    DX = DH + L * N * C,        // (N, C): of x[0], before dropout
    DZ = DX + N * C,            // (N, C): of x[L] * ln_f
    DLOGITS = DZ + N * C,       // (N, V)
    ROW_LOSS = DLOGITS + N * V, // (N)
    ACTS = ROW_LOSS + N,
};

#define WEIGHT .ndim = 2, .decay = true, .init = INIT_NORMAL
static const struct param fake_params[] = {
    {.name = "transformer.wte.weight",
     .layers = 1,
     .offset = WTE,
     .dims = {V, C},
     WEIGHT,
     .init_value = 0.5f},
    {.name = "transformer.wpe.weight",
     .layers = 1,
     .offset = WPE,
     .dims = {T, C},
     WEIGHT,
     .init_value = 0.1f},
    {.name = "transformer.h.%d.mix.weight",
     .layers = L,
     .offset = MIX,
     .stride = LAYER,
     .dims = {C, C},
     WEIGHT,
     .init_value = 0.3f},
    {.name = "transformer.h.%d.mix.bias",
     .layers = L,
     .offset = MIX_BIAS,
     .stride = LAYER,
     .ndim = 1,
     .dims = {C, 1},
     .init = INIT_UNIFORM,
     .init_value = 0.1f},
    {.name = "transformer.ln_f.weight",
     .layers = 1,
     .offset = LN_F,
     .ndim = 1,
     .dims = {C, 1},
     .init = INIT_ONES},
    {.name = "lm_head.weight", .layers = 1, .offset = WTE, .ndim = 2, .dims = {V, C}, .copy = true},
};
enum { PARAMS = sizeof fake_params / sizeof fake_params[0] };

static const struct kernel_info fake_kernels[] = {{"fake_rows", 1, 1}};

#define FAKE_CONFIG                                                                                \
    "model=fake n_layer=2 n_head=1 n_embd=8 block_size=8 batch_size=4 vocab_size=16 dropout=True"

const struct model_info model_info = {
    .hash = "fa4e",
    .config = FAKE_CONFIG,
    .title = "fake 2 layers, 8 wide",
    .dtype = "float32",
    .batch_size = B,
    .block_size = T,
    .vocab_size = V,
    .n_layer = L,
    .n_head = 1,
    .n_embd = C,
    .optimizer = OPTIMIZER_ADAMW,
    .update = adamw,
    .dropout = true,
    .params = fake_params,
    .params_count = PARAMS,
    .state_floats = STATE,
    .acts_floats = ACTS,
    .losses = ROW_LOSS,
    .num_params = STATE,
    .num_params_nanogpt = STATE - T * C,
    .flops_per_token = 6 * STATE,
    .kernels = fake_kernels,
    .kernels_count = 1,
};

const struct sampler_info sampler_info = {
    .config = FAKE_CONFIG,
    .block_size = T,
    .vocab_size = V,
    .n_layer = L,
    .n_head = 1,
    .n_embd = C,
    .params = fake_params,
    .params_count = PARAMS,
    .max_rows = 1,
    .memory_floats = 2 * C,
};

const char *const run_config_name = "fake";
const char *const run_baked_keys[] = {"model=fake",   "n_layer=2",    "n_head=1",      "n_embd=8",
                                      "block_size=8", "batch_size=4", "vocab_size=16", NULL};
const struct run run_defaults = {
    .out_dir = "",
    .dataset = "letters",
    .data_dir = "",
    .init_from = "auto",
    .eval_interval = 10,
    .log_interval = 1,
    .eval_iters = 3,
    .gradient_accumulation_steps = 2,
    .reduce_groups = 1,
    .reduce = "exact",
    .zero = false,
    .comm_timeout = 60,
    .learning_rate = 1e-2,
    .max_iters = 30,
    .weight_decay = 0.1,
    .beta1 = 0.9,
    .beta2 = 0.99,
    .eps = 1e-8,
    .embd_learning_rate = -1,
    .embd_beta1 = -1,
    .embd_beta2 = -1,
    .embd_weight_decay = -1,
    .head_learning_rate = -1,
    .head_beta1 = -1,
    .head_beta2 = -1,
    .head_weight_decay = -1,
    .vector_learning_rate = -1,
    .vector_beta1 = -1,
    .vector_beta2 = -1,
    .vector_weight_decay = -1,
    .muon_adjust = "original",
    .muon_decay_schedule = "constant",
    .grad_clip = 1,
    .decay_lr = true,
    .schedule = "cosine",
    .warmdown_ratio = 0.65,
    .warmup_iters = 4,
    .lr_decay_iters = 30,
    .min_lr = 1e-3,
    .seed = 1337,
    .dropout = 0.1,
};

// By thread 0 alone.
static void count_call(enum fake_call call) {
    if (fake_called[call]++ == fake_signal_at && call == fake_signal_in) {
        for (int times = fake_signal < 0 ? 2 : 1; times > 0; times--) {
            raise(abs(fake_signal));
        }
    }
}

// ---- rows ---------------------------------------------------------------------------------------

// Dropout's factor for element c of row n.
static float mask(const struct model *m, int n, int c) {
    if (m->dropout == 0) {
        return 1;
    }
    uint64_t bits = rng_bits(m->dropout_key[0], m->dropout_key[1], (uint32_t)(n * C + c), 0);
    return rng_uniform(bits) < m->dropout ? 0 : 1 / (1 - m->dropout);
}

// out (rows) = matrix (rows, C) x
static void multiply(float *out, const float *matrix, const float *x, int rows) {
    for (int r = 0; r < rows; r++) {
        out[r] = 0;
        for (int c = 0; c < C; c++) {
            out[r] += matrix[r * C + c] * x[c];
        }
    }
}

// One row from token to x[L]; next are (C) each, L + 1 and L of them, `step` floats apart.
static void forward_row(const float *mix, const float *x0, float *x, float *h, int step) {
    memcpy(x, x0, C * sizeof *x);
    for (int l = 0; l < L; l++) {
        const float *in = x + l * step, *bias = mix + l * LAYER + C * C;
        float *out = x + (l + 1) * step, *kept = h + l * step;
        multiply(kept, mix + l * LAYER, in, C);
        for (int c = 0; c < C; c++) {
            kept[c] = tanhf(kept[c] + bias[c]);
            out[c] = in[c] + kept[c];
        }
    }
}

void model_forward(struct model *m, int thread, int threads) {
    for (int n = thread; n < N; n += threads) {
        float x0[C];
        for (int c = 0; c < C; c++) {
            x0[c] = mask(m, n, c) *
                    (m->params[WTE + m->tokens[n] * C + c] + m->params[WPE + n % T * C + c]);
        }
        forward_row(m->params + MIX, x0, m->acts + X + n * C, m->acts + H + n * C, N * C);
    }
    fake_forwards += thread == 0;
    kernel_done(0, thread);
}

// Row n's loss, 0 if its target does not count; also sets z (C) and probabilities (V).
static float row_loss(const struct model *m, int n, float *z, float *probability) {
    const float *x = m->acts + X + L * N * C + n * C;
    for (int c = 0; c < C; c++) {
        z[c] = x[c] * m->params[LN_F + c];
    }
    multiply(probability, m->params + WTE, z, V);
    float largest = probability[0], sum = 0;
    for (int v = 1; v < V; v++) {
        largest = probability[v] > largest ? probability[v] : largest;
    }
    for (int v = 0; v < V; v++) {
        probability[v] = expf(probability[v] - largest);
        sum += probability[v];
    }
    for (int v = 0; v < V; v++) {
        probability[v] /= sum;
    }
    return m->targets[n] < 0 ? 0 : -logf(probability[m->targets[n]]);
}

// By thread 0 alone, after a barrier.
static void mean_loss(struct model *m) {
    double total = 0;
    int counted = 0;
    for (int n = 0; n < N; n++) {
        total += m->acts[ROW_LOSS + n];
        counted += m->targets[n] >= 0;
    }
    m->loss = counted ? total / counted : 0;
}

void model_loss(struct model *m, int thread, int threads) {
    for (int n = thread; n < N; n += threads) {
        float z[C], probability[V];
        m->acts[ROW_LOSS + n] = row_loss(m, n, z, probability);
    }
    kernel_done(0, thread);
    if (thread == 0) {
        mean_loss(m);
        count_call(FAKE_LOSS);
    }
    kernel_done(0, thread);
}

static void backward_row(struct model *m, int n) {
    float z[C], dx[C], *dlogits = m->acts + DLOGITS + n * V;
    m->acts[ROW_LOSS + n] = row_loss(m, n, z, dlogits);
    for (int v = 0; v < V; v++) {
        dlogits[v] -= v == m->targets[n];
        dlogits[v] *= m->targets[n] < 0 ? 0 : m->loss_scale;
    }
    for (int c = 0; c < C; c++) {
        float dz = 0;
        for (int v = 0; v < V; v++) {
            dz += dlogits[v] * m->params[WTE + v * C + c];
        }
        m->acts[DZ + n * C + c] = dz;
        dx[c] = dz * m->params[LN_F + c];
    }
    for (int l = L - 1; l >= 0; l--) {
        const float *h = m->acts + H + l * N * C + n * C, *w = m->params + MIX + l * LAYER;
        float *dh = m->acts + DH + l * N * C + n * C;
        for (int c = 0; c < C; c++) {
            dh[c] = dx[c] * (1 - h[c] * h[c]);
        }
        for (int r = 0; r < C; r++) {
            for (int c = 0; c < C; c++) {
                dx[c] += dh[r] * w[r * C + c];
            }
        }
    }
    for (int c = 0; c < C; c++) {
        m->acts[DX + n * C + c] = dx[c] * mask(m, n, c);
    }
}

// The gradient of row n by element i of params.
static float row_gradient(const struct model *m, int i, int n) {
    const float *x = m->acts + X + n * C, *last = x + L * N * C;
    int c = i % C;
    if (i < WPE) {
        int v = i / C;
        float sum = m->acts[DLOGITS + n * V + v] * last[c] * m->params[LN_F + c];
        sum += m->tokens[n] == v ? m->acts[DX + n * C + c] : 0;
        return sum * (float)fake_wrong_gradient;
    }
    if (i < MIX) {
        return n % T == (i - WPE) / C ? m->acts[DX + n * C + c] : 0;
    }
    if (i >= LN_F) {
        return m->acts[DZ + n * C + c] * last[c];
    }
    int l = (i - MIX) / LAYER, place = (i - MIX) % LAYER;
    const float *dh = m->acts + DH + l * N * C + n * C;
    return place < C * C ? dh[place / C] * x[l * N * C + place % C] : dh[place - C * C];
}

void model_backward(struct model *m, int thread, int threads) {
    for (int n = thread; n < N; n += threads) {
        backward_row(m, n);
    }
    kernel_done(0, thread);
    for (int i = thread; i < STATE; i += threads) {
        m->grads[i] = m->first ? 0 : m->grads[i];
        for (int n = 0; n < N; n++) {
            m->grads[i] += row_gradient(m, i, n);
        }
    }
    if (thread == 0) {
        mean_loss(m);
        const int call = fake_called[FAKE_BACKWARD];
        if (call >= fake_nan_from && call < fake_nan_to) {
            m->loss = NAN;
        }
        count_call(FAKE_BACKWARD);
    }
    kernel_done(0, thread);
}

// Replaces peak.c's, which would measure for a second in each of a test's many runs.
double peak_gflops(int threads, bool bf16, double *held) {
    (void)bf16;
    if (held) {
        *held = 90.0 * threads;
    }
    return 100.0 * threads;
}

bool peak_has_bf16(void) {
    return false;
}

// Weights come in the table's order: wte, wpe, each layer's mix, each layer's bias, ln_f, lm_head.
void sampler_forward(struct sampler *s, const struct sampler_batch *batch, int thread) {
    if (thread == 0) {
        const float *wte = s->weight[0], *wpe = s->weight[1], *ln_f = s->weight[2 + 2 * L];
        float *x = s->memory, *h = x + C;
        for (int c = 0; c < C; c++) {
            const int last = batch->rows - 1;
            x[c] = wte[batch->tokens[last] * C + c] + wpe[batch->pos[last] * C + c];
        }
        for (int l = 0; l < L; l++) {
            multiply(h, s->weight[2 + l], x, C);
            for (int c = 0; c < C; c++) {
                x[c] += tanhf(h[c] + s->weight[2 + L + l][c]);
            }
        }
        for (int c = 0; c < C; c++) {
            x[c] *= ln_f[c];
        }
        multiply(batch->logits, wte, x, V);
        count_call(FAKE_SAMPLER);
    }
    sampler_wait(s);
}
