// attention.h: compares the emitted attention, forward and backward, with doubles, with and without
// dropout.
#ifndef DIECAST_HOPPER_ATTENTION_H
#define DIECAST_HOPPER_ATTENTION_H

#include "tests/cuda/hopper/cases.h"

#include <atomic>
#include <thread>

template <class E> struct results {
    std::vector<E> y, dqkv;
    std::vector<float> lse;
};

template <class T> static bool same(const std::vector<T> &a, const std::vector<T> &b) {
    return !memcmp(a.data(), b.data(), a.size() * sizeof(T));
}

template <class E>
static struct results<E> run_attention(const struct attention_case<E> &c, const std::vector<E> &qkv,
                                       const std::vector<E> &dy, const struct step_state &state) {
    const size_t N = (size_t)c.B * c.T, C = (size_t)c.H * c.D;
    E *on_qkv = to_device(qkv), *on_dy = to_device(dy);
    E *y = on_device<E>(N * C), *dqkv = on_device<E>(N * 3 * C);
    float *lse = on_device<float>(N * c.H), *workspace = on_device<float>(c.workspace);
    struct step_state *on_state = to_device(std::vector<struct step_state>(1, state));
    struct gpu gpu = {};
    c.forward(&gpu, on_state, c.site, y, lse, on_qkv, NULL, NULL, NULL);
    c.backward(&gpu, on_state, c.site, y, lse, on_qkv, dqkv, on_dy, workspace);
    const struct results<E> got = {
        to_host(y, N *C), to_host(dqkv, N * 3 * C), to_host(lse, N *c.H)
    };
    release({on_qkv, on_dy, y, dqkv, lse, workspace, on_state});
    return got;
}

// kept (rows, T): 1 if dropout keeps the weight, else 0. A thread computes one.
KERNEL(256)
    draw_masks(uint8_t *kept, const struct step_state *state, uint32_t site, int rows, int T) {
    const int64_t at = (int64_t)blockIdx.x * 256 + threadIdx.x;
    if (at < (int64_t)rows * T) {
        const struct dropout drop = dropout_make(state);
        kept[at] = dropout_mask(&drop, site, at / T, DROPOUT_CHUNKS(T), (int)(at % T)) != 0.0f;
    }
}

template <class E>
static std::vector<uint8_t> masks_of(const struct attention_case<E> &c,
                                     const struct step_state &state) {
    const int rows = c.B * c.H * c.T;
    const size_t count = (size_t)rows * c.T;
    struct step_state *on_state = to_device(std::vector<struct step_state>(1, state));
    uint8_t *kept = on_device<uint8_t>(count);
    LAUNCH(draw_masks, (unsigned)((count + 255) / 256), 256, 0, 0, kept, on_state, c.site, rows,
           c.T);
    const std::vector<uint8_t> masks = to_host(kept, count);
    release({on_state, kept});
    return masks;
}

// The correct results of a case, in doubles: y (N, C), lse (H, N), then dq, dk and dv (N, C).
enum { Y, LSE, DQ, DK, DV, OUTPUTS };
struct reference {
    std::vector<double> of[OUTPUTS];
};

// One head's part, from the rounded inputs. `kept`: from draw_masks, or null; `raise`: the factor
// of a kept weight.
template <class E>
static void reference_head(const struct attention_case<E> &c, const std::vector<E> &qkv,
                           const std::vector<E> &dy, const uint8_t *kept, double raise, int head,
                           struct reference *to) {
    const int T = c.T, D = c.D, N = c.B * T, C = c.H * D, b = head / c.H, h = head % c.H;
    const double scale = 1.0 / sqrt((double)D);
    // q, k, v, dy (T, D); and k and v transposed, so that a row's sums are vectorised.
    std::vector<double> part[4], k_t((size_t)D * T), v_t((size_t)D * T);
    for (int which = 0; which < 4; which++) {
        part[which].resize((size_t)T * D);
        for (int i = 0; i < T * D; i++) {
            const size_t row = (size_t)b * T + i / D, column = (size_t)h * D + i % D;
            part[which][i] =
                to_f32(which < 3 ? qkv[row * 3 * C + which * C + column] : dy[row * C + column]);
        }
    }
    const double *q = part[0].data(), *k = part[1].data(), *v = part[2].data(), *g = part[3].data();
    for (int i = 0; i < T * D; i++) {
        k_t[(size_t)(i % D) * T + i / D] = k[i];
        v_t[(size_t)(i % D) * T + i / D] = v[i];
    }
    for (int i = 0; i < T; i++) {
        const int begin = i > c.window ? i - c.window : 0; // the first key
        std::vector<double> p(i + 1), dp(i + 1), mask(i + 1, 1.0), out(D);
        double largest = -INFINITY, sum = 0.0, delta = 0.0;
        for (int d = 0; d < D; d++) {
            const double from_q = q[i * D + d] * scale, from_g = g[i * D + d];
            for (int j = begin; j <= i; j++) {
                p[j] += from_q * k_t[d * T + j];
                dp[j] += from_g * v_t[d * T + j];
            }
        }
        for (int j = begin; j <= i; j++) {
            largest = fmax(largest, p[j]);
        }
        for (int j = begin; j <= i; j++) {
            sum += p[j] = exp(p[j] - largest);
        }
        for (int j = begin; j <= i; j++) {
            p[j] /= sum;
            if (kept) {
                mask[j] = kept[((size_t)head * T + i) * T + j] ? raise : 0.0;
            }
            for (int d = 0; d < D; d++) {
                out[d] += p[j] * mask[j] * v[j * D + d];
            }
        }
        const size_t first = (size_t)b * T * C + (size_t)h * D, row = first + (size_t)i * C;
        to->of[LSE][(size_t)h * N + b * T + i] = largest + log(sum);
        for (int d = 0; d < D; d++) {
            to->of[Y][row + d] = out[d];
            delta += out[d] * g[i * D + d];
        }
        for (int j = begin; j <= i; j++) {
            const double weight = p[j] * mask[j], ds = p[j] * (dp[j] * mask[j] - delta) * scale;
            double *dq = &to->of[DQ][row], *dk = &to->of[DK][first + (size_t)j * C];
            double *dv = &to->of[DV][first + (size_t)j * C];
            for (int d = 0; d < D; d++) {
                dq[d] += ds * k[j * D + d];
                dk[d] += ds * q[i * D + d];
                dv[d] += weight * g[i * D + d];
            }
        }
    }
}

// All heads, on all of the machine's cores.
template <class E>
static struct reference reference_of(const struct attention_case<E> &c, const std::vector<E> &qkv,
                                     const std::vector<E> &dy, const struct step_state &state) {
    const std::vector<uint8_t> masks = c.site ? masks_of(c, state) : std::vector<uint8_t>();
    const double raise = 1.0f / (1.0f - state.in.dropout);
    const size_t N = (size_t)c.B * c.T, C = (size_t)c.H * c.D;
    struct reference to;
    for (int output = 0; output < OUTPUTS; output++) {
        to.of[output].resize(output == LSE ? N * c.H : N * C);
    }
    std::atomic<int> next(0);
    std::vector<std::thread> workers;
    for (unsigned i = 0; i < std::max(1u, std::thread::hardware_concurrency()); i++) {
        workers.emplace_back([&] {
            for (int head; (head = next++) < c.B * c.H;) {
                reference_head(c, qkv, dy, c.site ? masks.data() : NULL, raise, head, &to);
            }
        });
    }
    for (std::thread &worker : workers) {
        worker.join();
    }
    return to;
}

struct distance {
    double all, row;
};

// The error of `got` relative to `wanted` in L2: of all numbers, and of the row of `width` with the
// largest error, relative to its own size and the mean row's. Infinite if a number is a NaN, or if
// a row is wrongly all zeros.
static struct distance distance(const std::vector<double> &got, const std::vector<double> &wanted,
                                size_t width) {
    double apart = 0.0, size = 1e-30, furthest = 0.0;
    for (size_t i = 0; i < got.size(); i++) {
        if (!isfinite(got[i])) {
            return {INFINITY, INFINITY};
        }
        apart += (got[i] - wanted[i]) * (got[i] - wanted[i]);
        size += wanted[i] * wanted[i];
    }
    const double mean = sqrt(size * width / got.size());
    for (size_t row = 0; row < got.size(); row += width) {
        double row_apart = 0.0, row_size = 0.0, got_size = 0.0;
        for (size_t i = row; i < row + width; i++) {
            row_apart += (got[i] - wanted[i]) * (got[i] - wanted[i]);
            row_size += wanted[i] * wanted[i];
            got_size += got[i] * got[i];
        }
        if (got_size == 0.0 && sqrt(row_size) > 1e-3 * mean) {
            return {sqrt(apart / size), INFINITY};
        }
        furthest = fmax(furthest, sqrt(row_apart) / (sqrt(row_size) + mean));
    }
    return {sqrt(apart / size), furthest};
}

template <class E> static void test_attention(const struct attention_case<E> &c) {
    const int N = c.B * c.T, C = c.H * c.D;
    std::vector<E> qkv((size_t)N * 3 * C), dy((size_t)N * C);
    for (E &x : qkv) {
        x = from_f32<E>(random_normal());
    }
    for (E &x : dy) {
        x = from_f32<E>(random_normal());
    }
    struct step_state state = {};
    state.in.dropout = c.site ? 0.2f : 0.0f;
    state.in.dropout_key[0] = 0x12345678u;
    state.in.dropout_key[1] = 99u;
    schedule(0);
    const struct results<E> got = run_attention(c, qkv, dy, state);
    for (int run = 1; run < RUNS; run++) {
        schedule(run);
        const struct results<E> again = run_attention(c, qkv, dy, state);
        check(same(got.y, again.y) && same(got.lse, again.lse) && same(got.dqkv, again.dqkv),
              "every run gives the same bytes");
    }

    std::vector<double> values[OUTPUTS];
    for (E x : got.y) {
        values[Y].push_back(to_f32(x));
    }
    values[LSE].assign(got.lse.begin(), got.lse.end());
    for (size_t i = 0; i < got.dqkv.size(); i++) {
        values[DQ + i % (3 * C) / C].push_back(to_f32(got.dqkv[i]));
    }
    const struct reference wanted = reference_of(c, qkv, dy, state);
    // The relative error of rounding to 8 bits (bf16; f16: 11) is up to 2^-9 (2^-12), 0.6 of that
    // in L2. y has two roundings, of the weights and of y; gradients have about four, of which
    // delta's (through y) can be amplified when dP - delta cancels. A row may have 16 times as
    // much: a row of few keys has such a delta, and another row's numbers are further away.
    const double unit = to_f32(from_f32<E>(1.0f + 0x1p-10f)) == 1.0f ? 0x1p-9 : 0x1p-12;
    const double bounds[OUTPUTS] = {1.3 * unit, 1e-6, 3 * unit, 3 * unit, 2 * unit};
    static const char *names[OUTPUTS] = {"y", "lse", "dq", "dk", "dv"};
    for (int i = 0; i < OUTPUTS; i++) {
        if (c.T == 1 && (i == DQ || i == DK)) {
            continue; // for one row they are 0, and the results are only delta's rounding
        }
        const struct distance apart = distance(values[i], wanted.of[i], i == LSE ? 1 : c.D);
        char text[200];
        snprintf(text, sizeof text,
                 "%s is %.2e from the reference, allowed %.2e; the furthest row %.2e, allowed %.2e",
                 names[i], apart.all, bounds[i], apart.row, 16 * bounds[i]);
        check(apart.all <= bounds[i] && apart.row <= 16 * bounds[i], text);
        if (getenv("VERBOSE")) {
            puts(text);
        }
    }
}

struct add_attention {
    template <class E> void operator()(const struct attention_case<E> &c) const {
        char name[100], window[40];
        snprintf(window, sizeof window, ", a window of %d", c.window);
        snprintf(name, sizeof name, "attention-%d%s: %dx%dx%dx%d on %d%s%s", c.D,
                 std::is_same<E, bf16>() ? "" : "-f16", c.B, c.T, c.H, c.D, c.sms,
                 c.site ? " with dropout" : "", c.window < c.T ? window : "");
        tests.push_back({name, [&c] { test_attention(c); }});
    }
};

#endif
