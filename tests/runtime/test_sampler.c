// test_sampler.c: the sampler's text on a fake model equals that of full forward passes without a
// cache; and its threads.
// links: tests/runtime/fake_sampler.c
#include "tests/runtime/fake_checkpoint.h"

#include <stdatomic.h>
#include <sys/syscall.h>

static void create(struct sampler *s, int threads) {
    fill_weights();
    sampler_create(s, threads);
    for (int i = 0; i < FAKE_TENSORS; i++) {
        s->weight[i] = fake_storage[i];
    }
    // Unwritten memory is poison.
    memset(s->memory, 0xff, (size_t)sampler_info.memory_floats * sizeof *s->memory);
    fake_calls_count = 0;
}

static void assert_same_text(const struct sequence *a, const struct sequence *b) {
    ck_assert_int_eq(a->count, b->count);
    for (int i = 0; i < a->count; i++) {
        ck_assert_msg(a->ids[i] == b->ids[i], "token %d: %d and %d", i, a->ids[i], b->ids[i]);
    }
}

// Greedy and drawn text equals that of full forward passes: within the context, past its end, and
// for prompts of all lengths (in pieces of 3, at the block's end, longer than the block).
static void generate_as_by_recomputing(int threads) {
    struct sampler s;
    create(&s, threads);
    ck_assert_int_eq(s.threads, threads);
    for (int length = 1; length <= 2 * FAKE_T + 1; length++) {
        for (int greedy = 0; greedy < 2; greedy++) {
            struct sampling sampling = {
                .temperature = greedy ? 0 : 1.5, .top_k = 9, .top_p = 0.97, .seed = 5};
            struct sequence found = {0}, wanted = {0};
            for (int i = 0; i < length; i++) {
                sequence_append(&found, (i * 7 + length) % FAKE_V);
                sequence_append(&wanted, (i * 7 + length) % FAKE_V);
            }
            uint32_t sample = (uint32_t)length;
            generate_by_recomputing(&wanted, 30, &sampling, FAKE_V, sample);
            int32_t prompt[2 * FAKE_T + 1];
            memcpy(prompt, found.ids, sizeof prompt);
            sampler_generate(&s, prompt, length, 30, &sampling, sample, sequence_append, &found);
            assert_same_text(&found, &wanted);
        }
    }
    sampler_destroy(&s);
}

START_TEST(test_generate_by_one_thread) {
    generate_as_by_recomputing(1);
}
END_TEST

START_TEST(test_generate_by_two_threads) {
    generate_as_by_recomputing(2);
}
END_TEST

START_TEST(test_generate_by_four_threads) {
    generate_as_by_recomputing(4);
}
END_TEST

// Texts that are written together.
struct several {
    struct sequence text[FAKE_ROWS];
    int length[FAKE_ROWS]; // of each; 0: to the end
    int looks, ended;
    bool finite;
};

static void several_look(void *context, int text, const float *logits) {
    struct several *several = context;
    ck_assert(text < FAKE_ROWS && isfinite(logits[0]));
    several->looks++;
}

static bool several_emit(void *context, int text, int32_t id) {
    struct several *several = context;
    sequence_append(&several->text[text], id);
    return several->text[text].count != several->length[text];
}

static void several_end(void *context, int text, bool finite) {
    struct several *several = context;
    ck_assert_int_lt(text, FAKE_ROWS);
    several->ended++;
    several->finite = several->finite && finite;
}

static const struct sampler_reader several_reader(struct several *several) {
    *several = (struct several){.finite = true};
    return (struct sampler_reader){several, NULL, several_look, several_emit, several_end};
}

// --slide=half: as by recomputing what is left, also together with others.
START_TEST(test_generate_by_halves) {
    for (int length = 1; length <= 2 * FAKE_T + 1; length++) {
        struct sampler s;
        create(&s, 1 + length % 3);
        s.slide_half = true;
        const struct sampling sampling = {.temperature = 1.5, .top_k = 9, .top_p = 0.97, .seed = 5};
        struct sequence wanted[FAKE_ROWS] = {0}, found = {0};
        int32_t prompt[2 * FAKE_T + 1];
        for (int i = 0; i < length; i++) {
            prompt[i] = (i * 7 + length) % FAKE_V;
            for (int text = 0; text < FAKE_ROWS; text++) {
                sequence_append(&wanted[text], prompt[i]);
            }
        }
        for (int text = 0; text < FAKE_ROWS; text++) {
            generate_by_halves(&wanted[text], 30, &sampling, FAKE_V, (uint32_t)text);
            wanted[text].count -= length;
            memmove(wanted[text].ids, wanted[text].ids + length, sizeof(int32_t) * 30);
        }
        sampler_generate(&s, prompt, length, 30, &sampling, 0, sequence_append, &found);
        assert_same_text(&found, &wanted[0]);
        sampler_make_room(&s, FAKE_ROWS);
        struct several several;
        const struct sampler_reader reader = several_reader(&several);
        sampler_together(&s, prompt, length, 30, &sampling, 0, FAKE_ROWS, &reader);
        for (int text = 0; text < FAKE_ROWS; text++) {
            assert_same_text(&several.text[text], &wanted[text]);
        }
        sampler_destroy(&s);
    }
}
END_TEST

// Past the context only one token in half of it takes more than a call.
START_TEST(test_half_calls) {
    struct sampler s;
    create(&s, 1);
    s.slide_half = true;
    const struct sampling greedy = {.top_p = 1};
    const int32_t prompt[7] = {1, 2, 3, 4, 5, 6, 7};
    struct sequence text = {0};
    sampler_generate(&s, prompt, 7, 8, &greedy, 0, sequence_append, &text);
    const struct fake_call wanted[] = {{3, 0, 1}, {3, 3, 1}, {1, 6, 1}, {1, 7, 1}, {3, 0, 1},
                                       {2, 3, 1}, {1, 5, 1}, {1, 6, 1}, {1, 7, 1}, {3, 0, 1}};
    for (int i = 0; i < 10; i++) {
        ck_assert_int_eq(fake_calls[i].count, wanted[i].count);
        ck_assert_int_eq(fake_calls[i].pos, wanted[i].pos);
    }
    sampler_destroy(&s);
}
END_TEST

START_TEST(test_generate_calls) {
    struct sampler s;
    create(&s, 1);
    struct sampling greedy = {.top_p = 1};
    struct sequence text = {0};
    const int32_t prompt[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0};
    sampler_generate(&s, prompt, 7, 0, &greedy, 0, sequence_append, &text);
    ck_assert_int_eq(fake_calls_count, 0);
    ck_assert_int_eq(text.count, 0);
    // The prompt in pieces of 3, one token into the cache, and then the window slides.
    sampler_generate(&s, prompt, 7, 3, &greedy, 0, sequence_append, &text);
    const struct fake_call wanted[] = {{3, 0}, {3, 3}, {1, 6}, {1, 7}, {3, 0}, {3, 3}, {2, 6}};
    ck_assert_int_eq(fake_calls_count, 7);
    ck_assert_int_eq(text.count, 3);
    for (int i = 0; i < 7; i++) {
        ck_assert_int_eq(fake_calls[i].count, wanted[i].count);
        ck_assert_int_eq(fake_calls[i].pos, wanted[i].pos);
    }
    sampler_destroy(&s);
}
END_TEST

// Each text is what it is alone, also past the context, if others end before it, if the prompt is
// longer than the context, and if there is room for fewer at a time.
START_TEST(test_together_as_alone) {
    for (int threads = 1; threads <= 3; threads++) {
        struct sampler s;
        create(&s, threads);
        const struct sampling sampling = {.temperature = 1.5, .top_k = 9, .top_p = 0.97, .seed = 5};
        for (int length = 1; length <= 2 * FAKE_T + 1; length++) {
            int32_t prompt[2 * FAKE_T + 1];
            for (int i = 0; i < length; i++) {
                prompt[i] = (i * 7 + length) % FAKE_V;
            }
            for (int n = 1; n <= FAKE_ROWS; n++) {
                for (int room = 1; room <= FAKE_ROWS; room++) {
                    struct several found;
                    sampler_make_room(&s, room);
                    const struct sampler_reader reader = several_reader(&found);
                    found.length[1] = 3;
                    sampler_together(&s, prompt, length, 20, &sampling, 2, n, &reader);
                    ck_assert_int_eq(found.ended, n);
                    ck_assert_int_eq(found.looks, 20 * n - (n > 1 ? 17 : 0));
                    ck_assert(found.finite);
                    for (int i = 0; i < n; i++) {
                        struct sequence wanted = {0};
                        struct sampler alone;
                        create(&alone, 1);
                        sampler_generate(&alone, prompt, length, i == 1 ? 3 : 20, &sampling,
                                         2 + (uint32_t)i, sequence_append, &wanted);
                        sampler_destroy(&alone);
                        assert_same_text(&found.text[i], &wanted);
                    }
                }
            }
        }
        sampler_destroy(&s);
    }
}
END_TEST

// Drafts change no text, greedy, drawn or penalised, and where they are right save calls.
START_TEST(test_lookup) {
    static const struct sampling ways[] = {
        {.top_p = 1},
        {.temperature = 1.5, .top_p = 1, .seed = 4},
        {.temperature = 0.2, .top_p = 1},
        {.temperature = 0.5, .top_p = 1, .repetition_penalty = 1.1}};
    int calls[2] = {0, 0};
    int64_t right = 0;
    for (int i = 0; i < 4 * 2 * FAKE_T * FAKE_ROWS; i++) {
        const int way = i % 4, length = 1 + i / 4 % (2 * FAKE_T), n = 1 + i / 8 / FAKE_T;
        int32_t prompt[2 * FAKE_T];
        for (int k = 0; k < length; k++) {
            prompt[k] = k * 5 % 3;
        }
        struct several found[2];
        for (int lookup = 0; lookup < 2; lookup++) {
            struct sampler s;
            create(&s, 1 + i % 2);
            s.lookup = 2 * lookup;
            s.slide_half = i % 3 > 0;
            sampler_make_room(&s, 1 + i % n);
            const struct sampler_reader reader = several_reader(&found[lookup]);
            found[lookup].length[0] = i % 5 ? 0 : 6;
            sampler_together(&s, prompt, length, 20, &ways[way], 1, n, &reader);
            calls[lookup] += fake_calls_count;
            right += s.right;
            ck_assert(s.drafted >= s.right);
            sampler_destroy(&s);
        }
        ck_assert_int_eq(found[0].ended, found[1].ended);
        ck_assert_int_eq(found[0].looks, found[1].looks);
        for (int k = 0; k < n; k++) {
            assert_same_text(&found[0].text[k], &found[1].text[k]);
        }
    }
    ck_assert_int_gt(right, 100);
    ck_assert_int_lt(calls[1], calls[0] - 100);
}
END_TEST

// Weights are read once a token for all texts, and the prompt is taken in once.
START_TEST(test_together_calls) {
    struct sampler s;
    create(&s, 1);
    sampler_make_room(&s, 3);
    const struct sampling greedy = {.top_p = 1};
    const int32_t prompt[5] = {1, 2, 3, 4, 5};
    struct several found;
    const struct sampler_reader reader = several_reader(&found);
    found.length[0] = 2; // of the other two, the last one's positions are 5 and 6
    sampler_together(&s, prompt, 5, 3, &greedy, 0, 3, &reader);
    const struct fake_call wanted[] = {{3, 0, 1}, {2, 3, 1}, {3, 5, 3}, {2, 6, 2}};
    ck_assert_int_eq(fake_calls_count, 4);
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(fake_calls[i].count, wanted[i].count);
        ck_assert_int_eq(fake_calls[i].pos, wanted[i].pos);
        ck_assert_int_eq(fake_calls[i].texts, wanted[i].texts);
    }
    sampler_destroy(&s);
}
END_TEST

// A conversation: `found` has the tokens that are taken in bit by bit and the answers between.
// Returns how many tokens of drafts were right.
static int64_t converse(struct sequence *found, int lookup, bool half, double temperature) {
    struct sampler s;
    create(&s, 2);
    s.lookup = lookup;
    s.slide_half = half;
    sampler_make_room(&s, 1);
    const struct sampling sampling = {.temperature = temperature, .top_p = 1, .seed = 9};
    struct several several;
    const struct sampler_reader reader = several_reader(&several);
    int32_t ids[2 * FAKE_T] = {0};
    int held = 0; // tokens that are not taken in yet
    for (uint32_t turn = 0; turn < 12; turn++) {
        const int added = 1 + (int)(turn * 5 % 11), answer = 1 + (int)(turn * 3 % 4);
        for (int i = 0; i < added; i++) {
            ids[held + i] = (int32_t)(turn + 7 * (uint32_t)i) % (half ? 2 : FAKE_V);
            sequence_append(&several.text[0], ids[held + i]);
        }
        const struct sampler_request request = {.ids = ids,
                                                .count = held + added,
                                                .max_new_tokens = answer,
                                                .sampling = &sampling,
                                                .sample = turn};
        sampler_answer(&s, &request, &reader);
        ck_assert_int_eq(several.ended, (int)turn + 1);
        ids[0] = several.text[0].ids[several.text[0].count - 1];
        held = 1;
    }
    ck_assert(several.finite);
    *found = several.text[0];
    const int64_t right = s.right;
    sampler_destroy(&s);
    return right;
}

START_TEST(test_answer_as_by_recomputing) {
    const struct sampling sampling = {.temperature = 1.2, .top_p = 1, .seed = 9};
    struct sequence wanted = {0}, found;
    for (uint32_t turn = 0; turn < 12; turn++) {
        for (int i = 0; i < 1 + (int)(turn * 5 % 11); i++) {
            sequence_append(&wanted, (int32_t)(turn + 7 * (uint32_t)i) % FAKE_V);
        }
        generate_by_recomputing(&wanted, 1 + (int)(turn * 3 % 4), &sampling, FAKE_V, turn);
    }
    for (int lookup = 0; lookup < 3; lookup++) {
        converse(&found, lookup, false, 1.2);
        assert_same_text(&found, &wanted);
    }
}
END_TEST

START_TEST(test_answer_with_drafts) {
    int64_t right = 0;
    for (int i = 0; i < 12; i++) {
        struct sequence wanted, found;
        const double temperature = 0.2 * (i / 3);
        ck_assert_int_eq(converse(&wanted, 0, true, temperature), 0);
        right += converse(&found, 1 + i % 3, true, temperature);
        assert_same_text(&found, &wanted);
    }
    ck_assert_int_gt(right, 0);
}
END_TEST

// The penalty is on all tokens of the text, also those that have left the context.
START_TEST(test_generate_penalty) {
    struct sampler s;
    create(&s, 1);
    struct sampling sampling = {.temperature = 0, .top_p = 1, .repetition_penalty = 1e6};
    const int32_t prompt[12] = {0, 1, 2, 3, 3, 3, 3, 3, 3, 3, 3, 3};
    struct sequence text = {0};
    sampler_generate(&s, prompt, 12, 20, &sampling, 0, sequence_append, &text);
    bool seen[FAKE_V] = {true, true, true, true};
    for (int i = 0; i < text.count; i++) {
        // While there is a token that was not said, of a positive logit, none comes again.
        float logits[FAKE_V];
        int32_t all[12 + 20];
        memcpy(all, prompt, sizeof prompt);
        memcpy(all + 12, text.ids, sizeof text.ids[0] * 20);
        full_logits(all + 12 + i - FAKE_T, FAKE_T, logits);
        bool another = false;
        for (int v = 0; v < FAKE_V; v++) {
            another = another || (!seen[v] && logits[v] > 0.01f);
        }
        ck_assert(!another || !seen[text.ids[i]]);
        seen[text.ids[i]] = true;
    }
    sampler_destroy(&s);
}
END_TEST

START_TEST(test_generate_padding) {
    struct sampler s;
    create(&s, 1);
    struct sampling sampling = {.temperature = 1e6, .top_p = 1, .seed = 3};
    const int32_t prompt[1] = {0};
    for (int limit = 4; limit <= FAKE_V; limit += FAKE_V - 4) {
        s.vocab_size = limit;
        struct sequence text = {0};
        sampler_generate(&s, prompt, 1, 200, &sampling, 0, sequence_append, &text);
        int most = 0;
        for (int i = 0; i < text.count; i++) {
            most = text.ids[i] > most ? text.ids[i] : most;
        }
        ck_assert_int_eq(most, limit - 1);
    }
    sampler_destroy(&s);
}
END_TEST

START_TEST(test_generate_samples) {
    struct sampler s;
    create(&s, 2);
    const int32_t prompt[1] = {0};
    struct sequence text[4] = {0};
    const uint32_t sample[4] = {0, 1, 0, 0};
    const uint64_t seed[4] = {1, 1, 1, 2};
    for (int i = 0; i < 4; i++) {
        struct sampling sampling = {.temperature = 2, .top_p = 1, .seed = seed[i]};
        sampler_generate(&s, prompt, 1, 50, &sampling, sample[i], sequence_append, &text[i]);
    }
    ck_assert_mem_ne(text[0].ids, text[1].ids, sizeof text[0].ids); // another sample
    assert_same_text(&text[0], &text[2]);
    ck_assert_mem_ne(text[0].ids, text[3].ids, sizeof text[0].ids); // another seed
    sampler_destroy(&s);
}
END_TEST

static atomic_int yields;

// Replaces libc's: threads that yield lose their time slices to programs that never do.
int sched_yield(void) {
    atomic_fetch_add(&yields, 1);
    return (int)syscall(SYS_sched_yield);
}

START_TEST(test_waits_sleep) {
    const char *const processors[] = {"1", "1024"}; // threads that share them, and that need not
    for (int i = 0; i < 2; i++) {
        setenv("DIECAST_PROCESSORS", processors[i], 1);
        struct sampler s;
        create(&s, 4);
        struct sampling greedy = {.top_p = 1};
        struct sequence text = {0};
        sampler_generate(&s, (const int32_t[]){1}, 1, 30, &greedy, 0, sequence_append, &text);
        ck_assert_msg(suite_all_asleep(3), "without work, %s processors", processors[i]);
        ck_assert_int_eq(yields, 0);
        sampler_destroy(&s);
    }
}
END_TEST

START_TEST(test_create) {
    struct sampler s;
    for (int threads = 1; threads <= 8; threads++) {
        create(&s, threads);
        ck_assert_uint_eq((uintptr_t)s.memory % 64, 0);
        ck_assert_int_eq(s.vocab_size, FAKE_V);
        sampler_destroy(&s); // threads that never had work end too
        ck_assert_ptr_null(s.weight);
    }
}
END_TEST

int main(void) {
    const TTest *const tests[] = {
        test_generate_by_one_thread,
        test_generate_by_two_threads,
        test_generate_by_four_threads,
        test_generate_by_halves,
        test_half_calls,
        test_generate_calls,
        test_together_as_alone,
        test_lookup,
        test_together_calls,
        test_answer_as_by_recomputing,
        test_answer_with_drafts,
        test_generate_penalty,
        test_generate_padding,
        test_generate_samples,
        test_waits_sleep,
        test_create,
    };
    return suite_main_with("sampler", set_up, tests, sizeof tests / sizeof tests[0]);
}
