// test_choose.c: from logits to a token.
#include <math.h>

#include "tests/runtime/suite.h"

static uint64_t test_bits(uint32_t stream, uint32_t i) {
    return rng_bits(7, RNG_BENCH, stream, i);
}

static int choose(const float *logits, int V, double temperature, int top_k, double top_p,
                  uint64_t draw) {
    float copy[512];
    ck_assert_int_le(V, 512);
    memcpy(copy, logits, (size_t)V * sizeof *copy);
    struct sampling sampling = {.temperature = temperature, .top_k = top_k, .top_p = top_p};
    return sampler_choose(copy, V, &sampling, draw);
}

// The ids that come up in many draws, as bits.
static unsigned choices(const float *logits, int V, double temperature, int top_k, double top_p) {
    unsigned seen = 0;
    for (uint32_t i = 0; i < 2000; i++) {
        seen |= 1u << choose(logits, V, temperature, top_k, top_p, test_bits(0, i));
    }
    seen |= 1u << choose(logits, V, temperature, top_k, top_p, 0);
    return seen | 1u << choose(logits, V, temperature, top_k, top_p, UINT64_MAX);
}

START_TEST(test_choose_greedy) {
    const float logits[] = {-1, 3, NAN, 3, 2.5f};
    ck_assert_int_eq(choose(logits, 5, 0, 0, 1, 12345), 1);
    ck_assert_int_eq(choose(logits, 5, 0, 2, 0.1, 54321), 1);
    ck_assert_int_eq(choose((float[]){-0.0f, 0.0f}, 2, 0, 0, 1, 0), 0);
    ck_assert_int_eq(choose((float[]){-INFINITY, -5}, 2, 0, 0, 1, 0), 1);
    ck_assert_int_eq(choose((float[]){1, INFINITY}, 2, 0, 0, 1, 0), 1);
}
END_TEST

START_TEST(test_choose_not_finite) {
    const float logits[] = {NAN, 1, -INFINITY, 2, NAN};
    ck_assert_uint_eq(choices(logits, 5, 1, 0, 1), 0x0a);
    ck_assert_uint_eq(choices(logits, 5, 1, 4, 0.99), 0x0a);
    ck_assert_uint_eq(choices((float[]){NAN, NAN, NAN}, 3, 1, 2, 0.5), 0x01);
    ck_assert_uint_eq(choices((float[]){1, INFINITY, INFINITY}, 3, 1, 0, 1), 0x06);
}
END_TEST

START_TEST(test_choose_top_k) {
    const float logits[] = {1, 3, 2, 2, -4, 2};
    ck_assert_uint_eq(choices(logits, 6, 1, 1, 1), 0x02);
    ck_assert_uint_eq(choices(logits, 6, 1, 2, 1), 0x2e); // all that equal the second stay
    ck_assert_uint_eq(choices(logits, 6, 1, 4, 1), 0x2e);
    ck_assert_uint_eq(choices(logits, 6, 1, 5, 1), 0x2f);
    ck_assert_uint_eq(choices(logits, 6, 3, 0, 1), 0x3f);
    ck_assert_uint_eq(choices(logits, 6, 3, 6, 1), 0x3f);
    ck_assert_uint_eq(choices(logits, 6, 3, 1000, 1), 0x3f);
    ck_assert_uint_eq(choices((float[]){-0.0f, -1, 0.0f}, 3, 1, 1, 1), 0x05); // equal numbers
}
END_TEST

START_TEST(test_choose_top_p) {
    const float equal[] = {2, 2, 2, 2}; // each 1/4
    ck_assert_uint_eq(choices(equal, 4, 1, 0, 1e-9), 0x01);
    ck_assert_uint_eq(choices(equal, 4, 1, 0, 0.25), 0x01);
    ck_assert_uint_eq(choices(equal, 4, 1, 0, 0.5), 0x03); // the lower ids of equal ones
    ck_assert_uint_eq(choices(equal, 4, 1, 0, 0.51), 0x07);
    ck_assert_uint_eq(choices(equal, 4, 1, 0, 0.999), 0x0f);
    const float falling[] = {-100, logf(2), logf(5), logf(3)}; // 0, 0.2, 0.5, 0.3
    ck_assert_uint_eq(choices(falling, 4, 1, 0, 0x1p-1022), 0x04);
    ck_assert_uint_eq(choices(falling, 4, 1, 0, 0.49), 0x04);
    ck_assert_uint_eq(choices(falling, 4, 1, 0, 0.51), 0x0c);
    ck_assert_uint_eq(choices(falling, 4, 1, 0, 0.79), 0x0c);
    ck_assert_uint_eq(choices(falling, 4, 1, 0, 0.81), 0x0e);
    ck_assert_uint_eq(choices(falling, 4, 1, 2, 0.81), 0x0c); // of top_k's: 5/8 and 3/8
    ck_assert_uint_eq(choices(falling, 4, 1, 2, 0.62), 0x04);
    ck_assert_uint_eq(choices(falling, 4, 0.5, 0, 0.65), 0x04); // 25 of 38
}
END_TEST

START_TEST(test_choose_temperature) {
    const float logits[] = {0, 1, 0.999f};
    ck_assert_uint_eq(choices(logits, 3, 1e-300, 0, 1), 0x02);
    ck_assert_uint_eq(choices(logits, 3, 1e-300, 2, 0.9), 0x02);
    ck_assert_uint_eq(choices(logits, 3, 1e6, 0, 1), 0x07);
    ck_assert_uint_eq(choices((float[]){3e38f, -3e38f}, 2, 1e6, 0, 1), 0x01);
}
END_TEST

// Draws follow the softmax: within 4.5 standard deviations of each expected count.
static void check_frequencies(double temperature) {
    const float logits[] = {0.3f, -1.2f, 2.0f, 0.0f, 1.1f, -3.0f};
    enum { V = 6, DRAWS = 200000 };
    double total = 0, p[V];
    int count[V] = {0};
    for (int v = 0; v < V; v++) {
        total += p[v] = exp(logits[v] / temperature);
    }
    for (uint32_t i = 0; i < DRAWS; i++) {
        count[choose(logits, V, temperature, 0, 1, test_bits(1, i))]++;
    }
    for (int v = 0; v < V; v++) {
        double expected = DRAWS * p[v] / total;
        double deviation = sqrt(expected * (1 - p[v] / total));
        ck_assert_double_le(fabs(count[v] - expected), 4.5 * deviation);
    }
}

START_TEST(test_choose_frequencies) {
    check_frequencies(0.8);
    check_frequencies(1);
    check_frequencies(2);
}
END_TEST

struct ranked {
    float logit;
    int id;
};

static int compare_ranked(const void *a, const void *b) {
    const struct ranked *x = a, *y = b;
    if (x->logit != y->logit) {
        return x->logit > y->logit ? -1 : 1;
    }
    return x->id - y->id;
}

// The same by sorting.
static int choose_by_sorting(const float *logits, int V, double temperature, int top_k,
                             double top_p, double u) {
    static struct ranked rank[512];
    static double p[512];
    for (int v = 0; v < V; v++) {
        rank[v] = (struct ranked){.logit = logits[v], .id = v};
        p[v] = 0;
    }
    qsort(rank, (size_t)V, sizeof *rank, compare_ranked);
    int kept = V;
    if (top_k > 0 && top_k < V) {
        for (kept = top_k; kept < V && rank[kept].logit == rank[top_k - 1].logit; kept++) {
        }
    }
    double total = 0, sum = 0;
    for (int i = 0; i < kept; i++) {
        total += exp(((double)rank[i].logit - (double)rank[0].logit) / temperature);
    }
    for (int i = 0; i < kept && (sum < top_p * total || top_p == 1); i++) {
        p[rank[i].id] = exp(((double)rank[i].logit - (double)rank[0].logit) / temperature);
        sum += p[rank[i].id];
    }
    double reached = 0;
    for (int v = 0; v < V; v++) {
        reached += p[v];
        if (reached > u * sum) {
            return v;
        }
    }
    return -1;
}

START_TEST(test_choose_as_by_sorting) {
    static float logits[512];
    uint32_t n = 0;
    for (int round = 0; round < 3000; round++) {
        int V = 1 + (int)rng_below(test_bits(2, n++), 400);
        // Every other round on a grid, so that many logits are equal.
        for (int v = 0; v < V; v++) {
            double x = 3 * rng_normal(test_bits(2, n++));
            logits[v] = (float)(round % 2 ? x : rint(x));
        }
        double temperature = 0.1 + 2 * rng_uniform(test_bits(2, n++));
        int top_k = round % 3 == 0 ? 0 : 1 + (int)rng_below(test_bits(2, n++), 450);
        double top_p = round % 5 == 0 ? 1 : 0.001 + 0.998 * rng_uniform(test_bits(2, n++));
        uint64_t draw = test_bits(2, n++);
        ck_assert_int_eq(
            choose(logits, V, temperature, top_k, top_p, draw),
            choose_by_sorting(logits, V, temperature, top_k, top_p, rng_uniform(draw)));
    }
}
END_TEST

static int by_value(const void *a, const void *b) {
    const float x = *(const float *)a, y = *(const float *)b;
    return (x < y) - (x > y);
}

// Of many logits the k largest, and their equals, are what is drawn from: as if the others were not
// there. Some on a grid, some in order, some that are mostly equal.
START_TEST(test_choose_of_many) {
    static float logits[151936], sorted[151936], left[151936];
    static const int sizes[] = {2047, 2048, 2049, 5003, 50304, 151936};
    static const int ks[] = {1, 40, 200, 1000, 2048, 30000};
    uint32_t n = 0;
    for (int round = 0; round < 24; round++) {
        const int V = sizes[round % 6], k = 1 + (ks[(round + round / 6) % 6] - 1) % V;
        for (int v = 0; v < V; v++) {
            const double x = 2 * rng_normal(test_bits(3, n++));
            const double equal = rng_below(test_bits(3, n++), 100) ? 1 : x;
            const double all[] = {x, rint(4 * x) / 4, v / 1e4, equal};
            sorted[v] = logits[v] = (float)all[round % 4];
        }
        qsort(sorted, (size_t)V, sizeof *sorted, by_value);
        for (int v = 0; v < V; v++) {
            left[v] = logits[v] >= sorted[k - 1] ? logits[v] : -INFINITY;
        }
        struct sampling sampling = {.temperature = 0.7 + round % 3, .top_p = round % 5 ? 0.9 : 1};
        const uint64_t draw = test_bits(3, n++);
        const int wanted = sampler_choose(left, V, &sampling, draw);
        sampling.top_k = k;
        ck_assert_int_eq(sampler_choose(logits, V, &sampling, draw), wanted);
    }
}
END_TEST

// The probabilities with which sampler_choose draws V tokens: a larger draw gives no earlier token,
// so bisection finds where each ends.
static void drawn_probabilities(const float *logits, int V, const struct sampling *sampling,
                                double *p) {
    double before = 0;
    for (int v = 0; v < V; v++) {
        uint64_t end = 0; // the last draw of a token up to v, if there is one
        for (int bit = 63; bit >= 0; bit--) {
            float copy[16];
            memcpy(copy, logits, (size_t)V * sizeof *copy);
            const uint64_t draw = end | (uint64_t)1 << bit;
            end = sampler_choose(copy, V, sampling, draw) <= v ? draw : end;
        }
        const double here = end > 0 ? ldexp((double)end + 1, -64) : before;
        p[v] = here - before;
        before = here;
    }
}

// Penalty, temperature, top_k, top_p, min_p and log probabilities are transformers'.
START_TEST(test_choose_as_transformers) {
    enum { V = 12, IDS = 7 };
    FILE *file = fopen("tests/runtime/choose_cases.txt", "r");
    ck_assert_ptr_nonnull(file);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(fscanf(file, "#%*[^\n]\n"), 0);
    }
    struct sampling sampling = {0};
    int cases = 0;
    while (fscanf(file, "%lf %lf %d %lf %lf", &sampling.repetition_penalty, &sampling.temperature,
                  &sampling.top_k, &sampling.top_p, &sampling.min_p) == 5) {
        bool seen[V] = {false};
        float logits[V];
        double logprob, wanted, p[V];
        for (int i = 0, id; i < IDS; i++) {
            ck_assert_int_eq(fscanf(file, "%d", &id), 1);
            seen[id] = true;
        }
        for (int v = 0; v < V; v++) {
            ck_assert_int_eq(fscanf(file, "%f", &logits[v]), 1);
        }
        const double total = logprobs_total(logits, V);
        for (int v = 0; v < V; v++) {
            ck_assert_int_eq(fscanf(file, "%lf", &logprob), 1);
            ck_assert_double_le(fabs(logits[v] - total - logprob), 1e-6);
        }
        sampler_penalise(logits, seen, V, sampling.repetition_penalty);
        drawn_probabilities(logits, V, &sampling, p);
        for (int v = 0; v < V; v++) {
            ck_assert_int_eq(fscanf(file, "%lf", &wanted), 1);
            ck_assert_msg(fabs(p[v] - wanted) < 1e-6 && (p[v] == 0) == (wanted == 0),
                          "case %d, token %d: %g and %g", cases, v, p[v], wanted);
        }
        cases++;
    }
    ck_assert_int_eq(cases, 16);
    fclose(file);
}
END_TEST

START_TEST(test_choose_min_p) {
    const float falling[] = {-100, logf(2), logf(5), logf(3)}; // 0, 0.4, 1, 0.6 of the largest
    struct sampling sampling = {.temperature = 1, .top_p = 1};
    const struct {
        double min_p;
        unsigned kept;
    } cases[] = {{0.39, 0x0e}, {0.41, 0x0c}, {0.61, 0x04}, {1, 0x04}, {0, 0x0e}};
    for (int i = 0; i < 5; i++) {
        unsigned seen = 0;
        sampling.min_p = cases[i].min_p;
        for (uint32_t n = 0; n < 2000; n++) {
            float copy[4];
            memcpy(copy, falling, sizeof copy);
            seen |= 1u << sampler_choose(copy, 4, &sampling, test_bits(0, n));
        }
        ck_assert_uint_eq(seen, cases[i].kept);
    }
}
END_TEST

START_TEST(test_logprobs_top) {
    const float logits[] = {1, 3, -2, 3, 2.5f, 7, -9};
    int32_t ids[8];
    ck_assert_int_eq(logprobs_top(logits, 7, 0, ids), 0);
    const int32_t wanted[] = {5, 1, 3, 4, 0, 2, 6}; // the lower id of equal ones first
    for (int n = 1; n <= 8; n++) {
        ck_assert_int_eq(logprobs_top(logits, 7, n, ids), n < 7 ? n : 7);
        ck_assert_mem_eq(ids, wanted, (size_t)(n < 7 ? n : 7) * sizeof *ids);
    }
    ck_assert_double_eq_tol(logprobs_total((float[]){-1e30f, 1000, 1000}, 3), 1000 + log(2), 1e-9);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {
        test_choose_greedy,        test_choose_not_finite,  test_choose_top_k,
        test_choose_top_p,         test_choose_temperature, test_choose_frequencies,
        test_choose_as_by_sorting, test_choose_of_many,     test_choose_as_transformers,
        test_choose_min_p,         test_logprobs_top,
    };
    return suite_main("choose", tests, sizeof tests / sizeof *tests);
}
