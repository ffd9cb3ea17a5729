// choose.c: from logits to a token: temperature, top_k, top_p, min_p and the draw, in that order,
// as in nanoGPT and transformers. In place and without sorting, since a vocabulary may have 50,000
// entries.
#include <float.h>
#include <math.h>
#include <string.h>

#include "runtime/sample/sample.h"

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

// Replaces NaN by -infinity and +infinity by FLT_MAX. Returns the largest logit.
static float choose_clean(float *logits, int V) {
    enum { LANES = 16 }; // a fixed number at a time, so that the compiler vectorises
    float most[LANES];
    for (int l = 0; l < LANES; l++) {
        most[l] = -INFINITY;
    }
    for (int v = 0; v < V; v += LANES) {
        const int lanes = V - v < LANES ? V - v : LANES;
        for (int l = 0; l < lanes; l++) {
            float x = logits[v + l];
            x = x > FLT_MAX ? FLT_MAX : x;
            x = x >= -FLT_MAX ? x : -INFINITY;
            logits[v + l] = x;
            most[l] = x > most[l] ? x : most[l];
        }
    }
    float largest = most[0];
    for (int l = 1; l < LANES; l++) {
        largest = most[l] > largest ? most[l] : largest;
    }
    return largest;
}

static int choose_find(const float *logits, int V, float value) {
    int v = 0;
    while (v + 1 < V && logits[v] != value) {
        v++;
    }
    return v;
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

// Keeps the k largest logits and all that equal the smallest of these, as nanoGPT does. Finds that
// smallest value by bisection: counting the logits above a threshold is fast.
static void choose_top_k(float *logits, int V, int k, float largest) {
    uint32_t low = choose_to_bits(-INFINITY), high = choose_to_bits(largest);
    while (low < high) { // k or more are at or above low; fewer are above high
        const uint32_t middle = high - (high - low) / 2;
        const float threshold = choose_from_bits(middle);
        int count = 0;
        for (int v = 0; v < V; v++) {
            count += logits[v] >= threshold;
        }
        if (count >= k) {
            low = middle;
        } else {
            high = middle - 1;
        }
        if (count == k) {
            break;
        }
    }
    const float threshold = choose_from_bits(low);
    for (int v = 0; v < V; v++) {
        logits[v] = logits[v] >= threshold ? logits[v] : -INFINITY;
    }
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

int sampler_choose(float *logits, int vocab_size, const struct sampling *sampling, uint64_t draw) {
    const int V = vocab_size;
    const float largest = choose_clean(logits, V);
    const int best = choose_find(logits, V, largest);
    double temperature = sampling->temperature;
    if (temperature == 0 || largest == -INFINITY) {
        return best;
    }

    if (sampling->top_k > 0 && sampling->top_k < V) {
        choose_top_k(logits, V, sampling->top_k, largest);
    }
    if (sampling->top_p < 1) {
        choose_top_p(logits, V, largest, temperature, sampling->top_p);
    }
    if (sampling->min_p > 0) {
        choose_min_p(logits, V, largest, temperature, sampling->min_p);
    }

    double total = 0;
    for (int v = 0; v < V; v++) {
        total += choose_weigh(logits[v], largest, temperature);
    }
    double wanted = rng_uniform(draw) * total;
    double sum = 0;
    for (int v = 0; v < V; v++) {
        sum += choose_weigh(logits[v], largest, temperature);
        if (sum > wanted) {
            return v;
        }
    }
    return best; // not reached: the sum ends at the total, which is above `wanted`
}
