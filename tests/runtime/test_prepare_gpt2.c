// test_prepare_gpt2.c: prepare with GPT-2's tokens, by a made-up list of merges.
#include "tests/runtime/preparing.h"

static char **gpt2_arguments(void) {
    static char folder[800];
    static char *argv[8];
    memcpy(argv, arguments(), 5 * sizeof *argv);
    snprintf(folder, sizeof folder, "--gpt2=%s", suite_path("gpt2"));
    argv[5] = "--tokenizer=gpt2";
    argv[6] = folder;
    return argv;
}

START_TEST(gpt2_tokens_are_made_of_each_part) {
    write_gpt2(merges, numbered);
    // 20 characters, so 18 to train on: the split is within a word.
    suite_write_text("text.txt", "the the\nth\xc3\xa9 <|e> the");
    struct ending ending = suite_run(prepare, gpt2_arguments());
    ck_assert_msg(ending.code == 0, "%s", ending.text);
    // Ids of bytes: '!' is 0, so 'e' is 68; the space is 220, newline 198.
    tokens_are("out/train.bin",
               (uint16_t[]){258, 257, 68, 198, 256, 127, 102, 220, 27, 91, 68, 29, 220, 83}, 14);
    tokens_are("out/val.bin", (uint16_t[]){71, 68}, 2);
    size_t length;
    char *meta = suite_read("out/meta.json", &length);
    ck_assert_ptr_nonnull(strstr(meta, "\"tokenizer\": \"bpe gpt2 2122"));
    ck_assert_ptr_nonnull(strstr(meta, " 0053004700dc010001000044 <|endoftext|>\""));
    free(meta);
    struct data data;
    data_open(&data, suite_path("out"), 300, 1);
    data_close(&data);
}
END_TEST

START_TEST(gpt2_files_that_disagree) {
    static const struct {
        const char *merges, *numbers, *why;
    } cases[] = {
        {"t h\n", numbered, "#version"},
        {"", numbered, "#version"},
        {"#version: 0.2\nth e\n", numbered, "vocab.bpe:2: is not a merge"},
        {"#version: 0.2\nt h\nth\n", numbered, "vocab.bpe:3: is not a merge"},
        {"#version: 0.2\nt h\n\nth e\n", numbered, "vocab.bpe:3: is not a merge"},
        {"#version: 0.2\nt h\nt h\n", numbered, "vocab.bpe:3: makes a token that is there"},
        {merges, "\"th\": 256", "not a JSON object of 260 tokens"},
        {merges, "\"th\": 256, ", "encoder.json: is broken JSON"},
        {merges, "\"th\": 257, \"\\u0120th\": 256, \"the\": 258, \"<|endoftext|>\": 259", "'th'"},
        {merges, "\"th\": 256, \"th\": 256, \"the\": 258, \"<|endoftext|>\": 259", "a key twice"},
        {merges, "\"th\": 256, \"\\u012\": 257, \"the\": 258, \"<|endoftext|>\": 259",
         "encoder.json"},
        {merges, "\"th\": 256, \"\\u0120th\": \"257\", \"the\": 258, \"<|endoftext|>\": 259", "th"},
        {merges, "\"th\": 256, \"\\u0120th\": [257], \"the\": 258", "encoder.json"},
    };
    suite_write_text("text.txt", "the the");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_gpt2(cases[i].merges, cases[i].numbers);
        suite_dies(prepare, gpt2_arguments(), EXIT_DATA, suite_path("gpt2"), cases[i].why);
        ck_assert(!suite_exists("out"));
    }
    unlink(suite_path("gpt2/encoder.json"));
    suite_dies(prepare, gpt2_arguments(), EXIT_MISSING, suite_path("gpt2/encoder.json"));
}
END_TEST

// Another vocabulary, by its path: a token that the text names is ordinary text, digits are cut one
// by one, and of what has no token is said how much it is.
START_TEST(tokens_of_a_path) {
    suite_write_text(
        "own.json",
        "{\"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": "
        "\"Digits\", \"individual_digits\": true}, {\"type\": \"ByteLevel\", "
        "\"add_prefix_space\": false}]}, \"added_tokens\": [{\"id\": 7, \"content\": "
        "\"<e>\", \"special\": true}], \"model\": {\"vocab\": {\"1\": 0, \"11\": 1, \"<\": "
        "2, \"e\": 3, \">\": 4, \"\\u0120\": 5, \"<e\": 8}, \"merges\": [\"1 1\", \"< e\"]}}");
    suite_write_text("text.txt", "11 <e>x e1e1e1 <e>11");
    static char place[800];
    char **argv = gpt2_arguments();
    snprintf(place, sizeof place, "--tokenizer=%s", suite_path("own.json"));
    argv[5] = place;
    const struct ending ending = suite_run(prepare, argv);
    ck_assert_msg(ending.code == 0, "%s", ending.text);
    tokens_are("out/train.bin", (uint16_t[]){0, 0, 5, 2, 3, 4, 5, 3, 0, 3, 0, 3, 0, 5, 2, 3, 4},
               17);
    tokens_are("out/val.bin", (uint16_t[]){0, 0}, 2);
    size_t length;
    char *meta = suite_read("out/meta.json", &length);
    ck_assert_ptr_nonnull(
        strstr(meta, "\"tokenizer\": \"bpe-smollm 31,3131,3c,65,3e,20,,!3c653e,3c65 "));
    free(meta);
    suite_write_text("own.json", "{\"version\": 1}");
    suite_dies(prepare, argv, EXIT_DATA, suite_path("own.json"), "its model is of no type");
    suite_write_text("out.safetensors", "");
    snprintf(place, sizeof place, "--tokenizer=%s", suite_path("out.safetensors"));
    suite_dies(prepare, argv, EXIT_DATA, suite_path("out.safetensors"));
}
END_TEST

// The three ways in which a folder has GPT-2's tokenizer make the same data.
START_TEST(gpt2_files_of_other_names) {
    suite_write_text("text.txt", "the the\nth\xc3\xa9 <|e> the");
    write_gpt2(merges, numbered);
    ck_assert_int_eq(suite_run(prepare, gpt2_arguments()).code, 0);
    size_t length;
    char *published = suite_read("out/meta.json", &length);

    rename(suite_path("gpt2/vocab.bpe"), suite_path("gpt2/merges.txt"));
    rename(suite_path("gpt2/encoder.json"), suite_path("gpt2/vocab.json"));
    ck_assert_int_eq(suite_run(prepare, gpt2_arguments()).code, 0);
    char *stored = suite_read("out/meta.json", &length);
    ck_assert_str_eq(stored, published);
    free(stored);

    static const char *const lists[] = {
        "\"t h\", \"\\u0120 th\", \"th e\"",
        "[\"t\", \"h\"], [\"\\u0120\", \"th\"], [\"th\", \"e\"]",
    };
    static const char *const said[] = {
        "}",
        ", \"add_prefix_space\": false}, \"added_tokens\": [{\"id\": 259, \"content\": "
        "\"<|endoftext|>\", \"special\": true}]",
    };
    char *vocab = suite_read("gpt2/vocab.json", &length);
    unlink(suite_path("gpt2/merges.txt"));
    for (int i = 0; i < 2; i++) {
        char json[12288];
        snprintf(json, sizeof json,
                 "{\"pre_tokenizer\": {\"type\": \"ByteLevel\"%s, \"model\": {\"type\": \"BPE\", "
                 "\"vocab\": %s, \"merges\": [%s]}}",
                 said[i], vocab, lists[i]);
        suite_write_text("gpt2/tokenizer.json", json);
        struct ending ending = suite_run(prepare, gpt2_arguments());
        ck_assert_msg(ending.code == 0, "%s", ending.text);
        stored = suite_read("out/meta.json", &length);
        ck_assert_str_eq(stored, published);
        free(stored);
    }
    free(vocab);
    free(published);
}
END_TEST

// A tokenizer.json of another kind, or with less in it.
START_TEST(tokenizer_json_that_is_not_gpt2s) {
    static const struct {
        const char *json, *why;
    } cases[] = {
        {"[]", "its model is of no type"},
        {"{\"model\": {\"type\": \"Unigram\"}}", "its model is Unigram"},
        {"{\"model\": {\"type\": \"BPE\"}}", "no object of tokens, vocab, and list of merges"},
        {"{\"model\": {\"vocab\": {}, \"merges\": []}, \"pre_tokenizer\": {\"type\": "
         "\"Metaspace\"}}",
         "its pre_tokenizer is Metaspace"},
        {"{\"model\": {\"vocab\": {}, \"merges\": []}, \"pre_tokenizer\": {\"type\": "
         "\"ByteLevel\", \"add_prefix_space\": true}}",
         "its pre_tokenizer is ByteLevel"},
        {"{\"model\": {\"vocab\": {}, \"merges\": []}, \"normalizer\": {\"type\": \"NFKC\"}}",
         "its normalizer is NFKC"},
        {"{\"model\": {\"vocab\": {\"t\": 0}, \"merges\": [7]}, \"pre_tokenizer\": {\"type\": "
         "\"ByteLevel\", \"add_prefix_space\": false}}",
         "merge 1 is not two tokens"},
        {"{\"model\": {\"vocab\": {\"t\": 0, \"h\": 1, \"th\": 2}, \"merges\": [\"t h\", [\"th\", "
         "\"q u\"]]}, \"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false}}",
         "merge 2, 'th q u', is not of two tokens that make a third"},
        {"{\"model\": {\"vocab\": {\"t\": 0, \"h\": 0}, \"merges\": []}, \"pre_tokenizer\": "
         "{\"type\": \"ByteLevel\", \"add_prefix_space\": false}}",
         "are both token 0"},
        {"{\"model\": {\"vocab\": {\"t\": 0, \"h\": 1, \"th\": 2}, \"merges\": [\"t h\"]}, "
         "\"added_tokens\": [{\"id\": 3, \"content\": \"th\"}], \"pre_tokenizer\": {\"type\": "
         "\"ByteLevel\", \"add_prefix_space\": false}}",
         "tokens 2 and 3 are both 'th'"},
        {"{\"model\": {\"vocab\": {\"t\": 0, \"h\": 1, \"th\": 2}, \"merges\": [\"t h\"]}, "
         "\"added_tokens\": [{\"id\": 3, \"content\": \"x\"}, {\"id\": 4, \"content\": \"x\"}], "
         "\"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false}}",
         "tokens 3 and 4 are both 'x'"},
    };
    suite_write_text("text.txt", "the the");
    mkdir(suite_path("gpt2"), 0777);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        suite_write_text("gpt2/tokenizer.json", cases[i].json);
        suite_dies(prepare, gpt2_arguments(), EXIT_DATA, suite_path("gpt2/tokenizer.json"),
                   cases[i].why);
        ck_assert(!suite_exists("out"));
    }
}
END_TEST

START_TEST(gpt2_tokens_of_any_text_come_back) {
    // Longer than a stride of characters, so that the split is found from a mark.
    enum { CHARACTERS = 2500000, SPLIT = 2250000 };
    write_gpt2(merges, numbered);
    char *text = malloc(CHARACTERS * 2), *back = malloc(CHARACTERS * 2);
    size_t length = 0, split = 0;
    for (uint32_t i = 0; i < CHARACTERS; i++) {
        split = i == SPLIT ? length : split;
        uint64_t pick = rng_below(rng_bits(3, 4, i, 0), 9);
        length +=
            (size_t)utf8_encode(pick == 8 ? 0xe9 : (uint32_t) "the th \n"[pick], text + length);
    }
    suite_write("text.txt", text, length);
    struct ending ending = suite_run(prepare, gpt2_arguments());
    ck_assert_msg(ending.code == 0, "%s", ending.text);
    struct data data;
    data_open(&data, suite_path("out"), 300, 256);
    const struct split *parts[] = {&data.train, &data.val};
    size_t at = 0;
    for (int part = 0; part < 2; part++) {
        for (size_t i = 0; i < parts[part]->count; i++) {
            size_t bytes;
            const char *token =
                tokenizer_decode(&data.tokenizer, suite_token(parts[part], i), &bytes);
            memcpy(back + at, token, bytes);
            at += bytes;
        }
        ck_assert_uint_eq(at, part ? length : split);
    }
    ck_assert_mem_eq(back, text, length);
    data_close(&data);
    free(text);
    free(back);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {
        gpt2_tokens_are_made_of_each_part, gpt2_files_that_disagree,
        gpt2_files_of_other_names,         tokens_of_a_path,
        tokenizer_json_that_is_not_gpt2s,  gpt2_tokens_of_any_text_come_back,
    };
    return suite_main("prepare: GPT-2", tests, sizeof tests / sizeof tests[0]);
}
