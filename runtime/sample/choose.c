// choose.c: from logits to a token: temperature, top_k, top_p, min_p and the draw, in that order,
// as in nanoGPT and transformers. In place and without sorting, since a vocabulary may have 50,000
// entries, which two passes read: the first finds a bound below the k-th largest logit, the second
// collects the few that reach it.
#include <float.h>
#include <math.h>
#include <string.h>

#include "runtime/kernel/vec.h"
#include "runtime/sample/sample.h"

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

enum {
    CHOOSE_LANES = 16,          // neighbours that are looked at together, in whole vectors
    CHOOSE_MOST = 2048,         // tokens that are collected
    CHOOSE_GROUPS = 2048,       // of which the largest logits give a bound, at most
    CHOOSE_GROUPS_PER_TOKEN = 8 // that is wanted: then few have two
};

// Maps a float (not NaN) to an integer that has the same order; -0 comes just below 0.
static uint32_t choose_to_bits(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

static float choose_from_bits(uint32_t bits) {
    bits = bits & 0x80000000u ? bits & 0x7fffffffu : ~bits;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

// Replaces NaN by -infinity and +infinity by FLT_MAX.
static void choose_clean(float *logits, int V) {
    for (int v = 0; v < V; v++) {
        float x = logits[v];
        x = x > FLT_MAX ? FLT_MAX : x;
        logits[v] = x >= -FLT_MAX ? x : -INFINITY;
    }
}

// Writes the largest logit of each of `groups` groups, which are those at the same place in LANES
// neighbours: a group's logits are in `each` such neighbourhoods, one after another. Returns
// whether all logits are finite.
static bool choose_largest(const float *logits, int V, int groups, int each, float *most) {
    enum { VECS = CHOOSE_LANES / VEC };
    vec odd[VECS] = {0}; // becomes NaN by a logit that is not finite
    float odd_lanes[CHOOSE_LANES], ends = 0;
    for (int g = 0; g < groups; g += CHOOSE_LANES) {
        vec lanes[VECS];
        for (int i = 0; i < VECS; i++) {
            lanes[i] = vec_splat(-INFINITY);
        }
        int v = g * each;
        for (int n = 0; n < each && v + CHOOSE_LANES <= V; n++, v += CHOOSE_LANES) {
#pragma GCC unroll 4
            for (int i = 0; i < VECS; i++) {
                const vec x = vec_load(logits + v + i * VEC);
                lanes[i] = vec_max(x, lanes[i]);
                odd[i] += x * vec_splat(0.0f);
            }
        }
        memcpy(most + g, lanes, sizeof lanes);
        for (int l = 0; v + l < V && v < (g + CHOOSE_LANES) * each; l++) { // the last few
            most[g + l] = logits[v + l] > most[g + l] ? logits[v + l] : most[g + l];
            ends += logits[v + l] * 0.0f;
        }
    }
    memcpy(odd_lanes, odd, sizeof odd);
    for (int l = 0; l < CHOOSE_LANES; l++) {
        ends += odd_lanes[l];
    }
    return !isnan(ends);
}

// Bit l is set where lane l is not below the bound.
static inline unsigned choose_reach(vec v, float bound) {
    const vec_int reach = v >= vec_splat(bound);
#if defined(__AVX512F__)
    return _mm512_test_epi32_mask((__m512i)reach, (__m512i)reach);
#elif defined(__AVX2__) && defined(__FMA__)
    return (unsigned)_mm256_movemask_ps((__m256)reach);
#elif defined(__SSE2__)
    return (unsigned)_mm_movemask_ps((__m128)reach);
#else
    unsigned bits = 0;
    for (int l = 0; l < VEC; l++) {
        bits |= (unsigned)(reach[l] & 1) << l;
    }
    return bits;
#endif
}

// The first token with that logit, which is the largest; the last one if there is none.
static int choose_find(const float *logits, int V, float value) {
    int v = 0;
    while (v + VEC <= V && choose_reach(vec_load(logits + v), value) == 0) {
        v += VEC;
    }
    while (v + 1 < V && logits[v] != value) {
        v++;
    }
    return v < V ? v : V - 1;
}

// A token's unnormalised probability: 1 for the largest logit.
static double choose_weigh(float logit, float largest, double temperature) {
    return logit == -INFINITY ? 0 : exp(((double)logit - (double)largest) / temperature);
}

// The largest value such that the weights of the tokens at or above it sum to `wanted` or more. A
// radix select: it finds the value's bits eight at a time from the top; each pass adds the weights
// of the tokens that match the bits found so far into 256 bins.
static float choose_threshold(const float *logits, int V, float largest, double temperature,
                              double wanted) {
    uint32_t found = 0;
    double above = 0; // weight of the tokens above those that match the bits found so far
    for (int shift = 24; shift >= 0; shift -= 8) {
        double bins[256] = {0};
        int lowest = 255;
        for (int v = 0; v < V; v++) {
            uint32_t bits = choose_to_bits(logits[v]);
            if ((uint64_t)(bits ^ found) >> (shift + 8) != 0) {
                continue;
            }
            int bin = bits >> shift & 255;
            bins[bin] += choose_weigh(logits[v], largest, temperature);
            lowest = bin < lowest ? bin : lowest;
        }
        int bin = 255;
        // If rounding keeps the sum below `wanted`, take the lowest bin that has a token.
        for (; bin > lowest && above + bins[bin] < wanted; bin--) {
            above += bins[bin];
        }
        found |= (uint32_t)bin << shift;
    }
    return choose_from_bits(found);
}

// A value that k or more of these numbers reach, and no others than the k-th largest and all above
// it. Finds it by bisection: counting the numbers above a threshold is fast.
static float choose_kth(const float *numbers, int count, int k, float largest) {
    uint32_t low = choose_to_bits(-INFINITY), high = choose_to_bits(largest);
    while (low < high) { // k or more are at or above low; fewer are above high
        const uint32_t middle = high - (high - low) / 2;
        const float threshold = choose_from_bits(middle);
        int reached = 0;
        for (int i = 0; i < count; i++) {
            reached += numbers[i] >= threshold;
        }
        if (reached >= k) {
            low = middle;
        } else {
            high = middle - 1;
        }
        if (reached == k) {
            break;
        }
    }
    return choose_from_bits(low);
}

// Replaces all logits but the k largest, and all that equal the smallest of these, by -infinity, as
// nanoGPT does.
static void choose_top_k(float *logits, int V, int k, float largest) {
    const float threshold = choose_kth(logits, V, k, largest);
    for (int v = 0; v < V; v++) {
        logits[v] = logits[v] >= threshold ? logits[v] : -INFINITY;
    }
}

// Tokens that may be chosen, in their order.
struct choose_pool {
    float logit[CHOOSE_MOST + 1];
    int id[CHOOSE_MOST];
    int count;
};

// Collects the tokens whose logits reach a bound. False if there are too many.
static bool choose_collect(struct choose_pool *pool, const float *logits, int V, float bound) {
    int count = 0;
    pool->logit[0] = -INFINITY; // or gcc finds the pool not written, for aarch64
    for (int v = 0; v < V; v += VEC) {
        const bool last = V - v < VEC;
        unsigned bits =
            choose_reach(last ? vec_load_n(logits + v, V - v) : vec_load(logits + v), bound);
        bits &= last ? (1u << (V - v)) - 1 : ~0u;
        if (count > CHOOSE_MOST - VEC) {
            return false;
        }
        for (; bits != 0; bits &= bits - 1, count++) {
            const int id = v + __builtin_ctz(bits);
            pool->logit[count] = logits[id];
            pool->id[count] = id;
        }
    }
    pool->count = count;
    return true;
}

// The k largest logits, and all that equal the smallest of these, are in the pool: k or more of all
// reach its bound. One of -infinity stands behind them for those that are not, as if they were
// replaced.
static void choose_top_k_of(struct choose_pool *pool, int k, float largest) {
    const float threshold = choose_kth(pool->logit, pool->count, k, largest);
    int count = 0;
    for (int i = 0; i < pool->count; i++) {
        pool->logit[count] = pool->logit[i];
        pool->id[count] = pool->id[i];
        count += pool->logit[i] >= threshold;
    }
    pool->logit[count] = -INFINITY;
    pool->count = count;
}

// Keeps the fewest tokens, most likely first, whose probabilities sum to top_p or more.
static void choose_top_p(float *logits, int V, float largest, double temperature, double top_p) {
    double total = 0;
    for (int v = 0; v < V; v++) {
        total += choose_weigh(logits[v], largest, temperature);
    }
    double wanted = top_p * total;
    float threshold = choose_threshold(logits, V, largest, temperature, wanted);

    double kept = 0;
    for (int v = 0; v < V; v++) {
        if (logits[v] > threshold) {
            kept += choose_weigh(logits[v], largest, temperature);
        }
    }
    double each = choose_weigh(threshold, largest, temperature);
    bool first = kept == 0; // at least one is kept
    for (int v = 0; v < V; v++) {
        if (logits[v] == threshold && (first || kept < wanted)) {
            kept += each;
            first = false;
        } else if (logits[v] <= threshold) {
            logits[v] = -INFINITY;
        }
    }
}

// Keeps the tokens that are at least min_p times as likely as the likeliest one.
static void choose_min_p(float *logits, int V, float largest, double temperature, double min_p) {
    for (int v = 0; v < V; v++) {
        if (choose_weigh(logits[v], largest, temperature) < min_p) {
            logits[v] = -INFINITY;
        }
    }
}

// Draws one of V tokens by their logits, what is left of them by top_p and min_p.
static int choose_draw(float *logits, int V, float largest, const struct sampling *sampling,
                       uint64_t draw) {
    const double temperature = sampling->temperature;
    if (sampling->top_p < 1) {
        choose_top_p(logits, V, largest, temperature, sampling->top_p);
    }
    if (sampling->min_p > 0) {
        choose_min_p(logits, V, largest, temperature, sampling->min_p);
    }
    double total = 0, weight[CHOOSE_MOST];
    for (int v = 0; v < V; v++) {
        const double each = choose_weigh(logits[v], largest, temperature);
        if (v < CHOOSE_MOST) {
            weight[v] = each;
        }
        total += each;
    }
    const double wanted = rng_uniform(draw) * total;
    double sum = 0;
    for (int v = 0; v < V; v++) {
        sum += v < CHOOSE_MOST ? weight[v] : choose_weigh(logits[v], largest, temperature);
        if (sum > wanted) {
            return v;
        }
    }
    return choose_find(logits, V, largest); // not reached: the sum ends at the total
}

int sampler_choose(float *logits, int vocab_size, const struct sampling *sampling, uint64_t draw) {
    const int V = vocab_size, k = sampling->top_k > 0 && sampling->top_k < V ? sampling->top_k : 0;
    // Groups of `each` neighbourhoods: about so many of them as give a good bound.
    const int wanted =
        k > CHOOSE_GROUPS / CHOOSE_GROUPS_PER_TOKEN ? CHOOSE_GROUPS : k * CHOOSE_GROUPS_PER_TOKEN;
    const int lines = (V + CHOOSE_LANES - 1) / CHOOSE_LANES, blocks = wanted / CHOOSE_LANES + 1;
    const int each = (lines + blocks - 1) / blocks,
              groups = (lines + each - 1) / each * CHOOSE_LANES;
    float most[CHOOSE_GROUPS + CHOOSE_LANES], largest = -INFINITY;
    if (!choose_largest(logits, V, groups, each, most)) {
        choose_clean(logits, V);
        choose_largest(logits, V, groups, each, most);
    }
    for (int g = 0; g < groups; g++) {
        largest = most[g] > largest ? most[g] : largest;
    }
    if (sampling->temperature == 0 || largest == -INFINITY) {
        return choose_find(logits, V, largest);
    }
    if (k > 0) {
        struct choose_pool pool;
        const float bound = groups < k ? -INFINITY : choose_kth(most, groups, k, largest);
        if (choose_collect(&pool, logits, V, bound)) {
            choose_top_k_of(&pool, k, largest);
            return pool.id[choose_draw(pool.logit, pool.count + (pool.count < V), largest, sampling,
                                       draw)];
        }
        choose_top_k(logits, V, k, largest);
    }
    return choose_draw(logits, V, largest, sampling, draw);
}
