// test_gpt2.c: GPT-2's own tokenizer, from data/gpt2/{vocab.bpe, encoder.json}: its ids, compared
// with tiktoken's in gpt2_cases.txt, and its speed. Skipped without the two files; test_bpe.c and
// test_prepare.c test all else with a made-up list of merges.
#include "tests/runtime/suite.h"

enum { CASE = 1024, LINE = 8192 };

static struct tokenizer gpt2(void) {
    struct tokenizer t;
    const char *error;
    char *string = gpt2_files_read("data/gpt2");
    ck_assert_msg(tokenizer_parse(&t, string, &error), "%s", error);
    free(string);
    return t;
}

// "466972..." to bytes.
static size_t read_hex(const char *hex, char *bytes) {
    size_t length = 0;
    for (unsigned byte; sscanf(hex, "%2x", &byte) == 1; hex += 2) {
        bytes[length++] = (char)byte;
    }
    return length;
}

static int64_t read_ids(char *line, int32_t *ids) {
    int64_t count = 0;
    for (char *end; *line && *line != '\n'; line = end) {
        ids[count++] = (int32_t)strtol(line, &end, 10);
        ck_assert_ptr_ne(line, end);
    }
    return count;
}

START_TEST(ids_are_tiktokens) {
    struct tokenizer t = gpt2();
    FILE *file = fopen("tests/runtime/gpt2_cases.txt", "r");
    ck_assert_ptr_nonnull(file);
    static char name[LINE], line[LINE];
    int cases = 0;
    while (fgets(line, sizeof line, file)) {
        if (*line == '#') {
            strcpy(name, line);
            continue;
        }
        char text[CASE], back[CASE];
        int32_t wanted[CASE], ids[CASE];
        size_t length = read_hex(line, text), where, used = 0;
        ck_assert_ptr_nonnull(fgets(line, sizeof line, file));
        int64_t count = tokenizer_encode(&t, text, length, ids, &where);
        ck_assert_msg(count == read_ids(line, wanted), "%s: another count: %ld", name, (long)count);
        for (int64_t i = 0; i < count; i++) {
            ck_assert_msg(ids[i] == wanted[i], "%s: id %ld is %d, not %d", name, (long)i, ids[i],
                          wanted[i]);
            size_t bytes;
            const char *token = tokenizer_decode(&t, ids[i], &bytes);
            memcpy(back + used, token, bytes);
            used += bytes;
        }
        ck_assert_uint_eq(used, length);
        ck_assert_mem_eq(back, text, length);
        cases++;
    }
    ck_assert_int_ge(cases, 17);
    fclose(file);
    tokenizer_free(&t);
}
END_TEST

START_TEST(its_vocabulary_is_gpt2s) {
    struct tokenizer t = gpt2();
    ck_assert_int_eq(t.vocab_size, 50257);
    ck_assert_int_eq(bpe_end_of_text(t.bpe), 50256);
    size_t length, longest = 0;
    for (int id = 0; id < t.vocab_size; id++) {
        tokenizer_decode(&t, id, &length);
        longest = length > longest ? length : longest;
    }
    ck_assert_uint_eq(longest, 128);
    char line[96];
    tokenizer_describe(&t, line);
    ck_assert_str_eq(line, "gpt2, 50257 tokens, 30bf1a2974c14196");
    tokenizer_free(&t);
}
END_TEST

// A sampler reads the string before its first token. The limit is loose: this is built with ASan.
START_TEST(reading_it_is_quick) {
    char *string = gpt2_files_read("data/gpt2");
    struct tokenizer t;
    const char *error;
    double begun = time_now();
    ck_assert(tokenizer_parse(&t, string, &error));
    ck_assert_double_lt(time_now() - begun, 1);
    tokenizer_free(&t);
    free(string);
}
END_TEST

int main(void) {
    if (access("data/gpt2/vocab.bpe", R_OK) != 0 || access("data/gpt2/encoder.json", R_OK) != 0) {
        printf("test_gpt2: skipped: data/gpt2/vocab.bpe and encoder.json are not there; "
               "'make data DATASET=shakespeare' downloads them\n");
        return 77;
    }
    const TTest *const tests[] = {
        ids_are_tiktokens,
        its_vocabulary_is_gpt2s,
        reading_it_is_quick,
    };
    return suite_main("gpt2", tests, sizeof tests / sizeof *tests);
}
