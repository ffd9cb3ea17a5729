// test_slide.c: --slide=half on a fake model without a table of positions: its text equals that of
// a plain pass over all tokens, each of which sees those that were in the context when it came;
// and no token goes through the model twice.
#define FAKE_RELATIVE
#include "tests/runtime/fake_checkpoint.h"

#include "tests/runtime/fake_sampler.c"

enum { TOKENS = 60, MOST = 2 * FAKE_T + 1 + TOKENS };

static void create(struct sampler *s, int threads) {
    fill_weights();
    sampler_create(s, threads);
    s->weight[0] = fake_storage[0];
    for (int i = 1; i < FAKE_TENSORS - 1; i++) {
        s->weight[i] = fake_storage[i + 1]; // without wpe
    }
    memset(s->memory, 0xff, (size_t)sampler_info.memory_floats * sizeof *s->memory);
    s->slide_half = true;
    fake_calls_count = 0;
}

// Where the context began when token i of a text came whose prompt has `prompt` tokens: at the
// last T of the prompt, or behind as many halves as do not fit.
static int context_begin(int i, int prompt) {
    int begin = prompt > FAKE_T ? prompt - FAKE_T : 0;
    while (i + 1 - begin > FAKE_T) {
        begin += FAKE_T / 2;
    }
    return begin;
}

// The logits behind all `count` tokens, in double, without a cache.
static void plain_logits(const int32_t *ids, int count, int prompt, float *logits) {
    enum { C = FAKE_C };
    static double x[MOST][C], kept[MOST][C];
    const int first = context_begin(0, prompt); // what came before is no part of the text
    for (int r = first; r < count; r++) {
        for (int c = 0; c < C; c++) {
            x[r][c] = (double)fake_storage[0][ids[r] * C + c];
        }
    }
    for (int l = 0; l < FAKE_L; l++) {
        for (int r = first; r < count; r++) {
            for (int c = 0; c < C; c++) {
                kept[r][c] = 0;
                for (int i = 0; i < C; i++) {
                    kept[r][c] += fake_storage[2 + l][c * C + i] * x[r][i];
                }
                kept[r][c] = tanh(kept[r][c]);
            }
        }
        for (int r = first; r < count; r++) {
            for (int j = context_begin(r, prompt); j <= r; j++) {
                for (int c = 0; c < C; c++) {
                    x[r][c] += kept[j][c] / (1 + r - j);
                }
            }
        }
    }
    for (int v = 0; v < FAKE_V; v++) {
        double sum = 0;
        for (int c = 0; c < C; c++) {
            sum += x[count - 1][c] * fake_storage[2 + FAKE_L][c] * fake_storage[0][v * C + c];
        }
        logits[v] = (float)sum;
    }
}

START_TEST(test_slide_as_plain) {
    const struct sampling sampling = {.temperature = 1.5, .top_k = 9, .top_p = 0.97, .seed = 5};
    for (int length = 1; length <= 2 * FAKE_T + 1; length++) {
        struct sampler s;
        create(&s, 1 + length % 3);
        struct sequence wanted = {0}, found = {0};
        for (int i = 0; i < length; i++) {
            sequence_append(&wanted, (i * 7 + length) % FAKE_V);
        }
        int32_t prompt[2 * FAKE_T + 1];
        memcpy(prompt, wanted.ids, sizeof prompt);
        for (uint32_t i = 0; i < TOKENS; i++) {
            float logits[FAKE_V];
            plain_logits(wanted.ids, wanted.count, length, logits);
            const uint64_t draw = rng_bits(5, RNG_SAMPLE, 3, i);
            sequence_append(&wanted, sampler_choose(logits, FAKE_V, &sampling, draw));
        }
        sampler_generate(&s, prompt, length, TOKENS, &sampling, 3, sequence_append, &found);
        ck_assert_int_eq(found.count, TOKENS);
        ck_assert_mem_eq(found.ids, wanted.ids + length, TOKENS * sizeof *found.ids);
        sampler_destroy(&s);
    }
}
END_TEST

START_TEST(test_slide_calls) {
    struct sampler s;
    create(&s, 1);
    const struct sampling greedy = {.top_p = 1};
    const int32_t prompt[3] = {1, 2, 3};
    struct sequence text = {0};
    sampler_generate(&s, prompt, 3, 40, &greedy, 0, sequence_append, &text);
    ck_assert_int_eq(fake_calls_count, 40);
    for (int i = 1; i < 40; i++) {
        ck_assert_int_eq(fake_calls[i].count, 1);
        ck_assert_int_eq(fake_calls[i].pos, 2 + i); // positions go on
    }
    sampler_destroy(&s);
}
END_TEST

// A text that comes in pieces, as a conversation's, is the same.
START_TEST(test_slide_in_pieces) {
    struct sampler s;
    create(&s, 2);
    float logits[FAKE_V];
    int32_t ids[40];
    for (int i = 0; i < 40; i++) {
        ids[i] = (i * i + 3) % FAKE_V;
    }
    plain_logits(ids, 40, 1, logits);
    for (int piece = 1; piece < FAKE_T; piece++) {
        sampler_begin(&s);
        for (int i = 0; i < 40; i += piece) {
            sampler_take(&s, ids + i, i + piece < 40 ? piece : 40 - i);
        }
        for (int v = 0; v < FAKE_V; v++) {
            ck_assert_double_eq_tol(s.logits[v], logits[v], 1e-4);
        }
    }
    sampler_destroy(&s);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {test_slide_as_plain, test_slide_calls, test_slide_in_pieces};
    return suite_main_with("sampler: slide", set_up, tests, sizeof tests / sizeof tests[0]);
}
