// sampler_choose.c: from logits to a token: temperature, top_k, top_p and the draw, in that order,
// as nanoGPT and its kin. In place and without sorting, since a vocabulary may have 50,000 entries.
#include <float.h>
#include <math.h>
#include <string.h>

#include "runtime/runtime.h"

// An integer that rises with x (no NaN); -0 is just below 0.
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

static int choose_largest(const float *logits, int V) {
    int best = 0;
    for (int v = 1; v < V; v++) {
        if (logits[v] > logits[best]) {
            best = v;
        }
    }
    return best;
}

// A token's share before normalisation: 1 for the largest logit.
static double choose_weigh(float logit, float largest, double temperature) {
    return exp(((double)logit - (double)largest) / temperature);
}

// The largest value such that the tokens at or above it weigh `wanted` or more together: each 1
// where temperature is 0, else its share. Finds the value's bits eight at a time from the top: each
// pass sorts the tokens that have the bits found so far into 256 bins.
static float choose_threshold(const float *logits, int V, float largest, double temperature,
                              double wanted) {
    uint32_t found = 0;
    double above = 0; // weight of the tokens above all that have the bits found so far
    for (int shift = 24; shift >= 0; shift -= 8) {
        double bins[256] = {0};
        int lowest = 255;
        for (int v = 0; v < V; v++) {
            uint32_t bits = choose_to_bits(logits[v]);
            if ((uint64_t)(bits ^ found) >> (shift + 8) != 0) {
                continue;
            }
            int bin = bits >> shift & 255;
            bins[bin] += temperature == 0 ? 1 : choose_weigh(logits[v], largest, temperature);
            lowest = bin < lowest ? bin : lowest;
        }
        int bin = 255;
        // Where rounding keeps the sum below `wanted`, the lowest bin that has a token will do.
        for (; bin > lowest && above + bins[bin] < wanted; bin--) {
            above += bins[bin];
        }
        found |= (uint32_t)bin << shift;
    }
    return choose_from_bits(found);
}

// Keeps the k largest, and whatever equals the smallest of these, as nanoGPT.
static void choose_top_k(float *logits, int V, int k) {
    float threshold = choose_threshold(logits, V, 0, 0, k);
    for (int v = 0; v < V; v++) {
        if (logits[v] < threshold) {
            logits[v] = -INFINITY;
        }
    }
}

// Keeps the fewest tokens, most likely first, whose probability together reaches top_p.
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

int sampler_choose(float *logits, int vocab_size, const struct sampling *sampling, uint64_t draw) {
    const int V = vocab_size;
    // From here on there is no NaN and no +infinity.
    for (int v = 0; v < V; v++) {
        logits[v] = isnan(logits[v]) ? -INFINITY : fminf(logits[v], FLT_MAX);
    }
    int best = choose_largest(logits, V);
    float largest = logits[best];
    double temperature = sampling->temperature;
    if (temperature == 0 || largest == -INFINITY) {
        return best;
    }

    if (sampling->top_k > 0 && sampling->top_k < V) {
        choose_top_k(logits, V, sampling->top_k);
    }
    if (sampling->top_p < 1) {
        choose_top_p(logits, V, largest, temperature, sampling->top_p);
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
    return best; // never: the sum is the total again, and that is above `wanted`
}
