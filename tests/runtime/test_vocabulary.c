// test_vocabulary.c: byte-pair encodings of other vocabularies than GPT-2's, each a tokenizer's
// string written out here: how their texts are cut, which tokens texts may name, and what is no
// such string. The pieces are those of Hugging Face's tokenizers library.
#include "tests/runtime/suite.h"

// The pieces of a text with '|' between.
static void cut(enum pretokenizer how, const char *text, const char *wanted) {
    char pieces[256] = "";
    const size_t length = strlen(text);
    for (size_t at = 0; at < length;) {
        const size_t piece = pretokenize(how, text + at, length - at);
        ck_assert(piece > 0 && piece <= length - at);
        strcat(pieces, at ? "|" : "");
        strncat(pieces, text + at, piece);
        at += piece;
    }
    ck_assert_str_eq(pieces, wanted);
}

START_TEST(texts_are_cut_in_each_way) {
    cut(PRETOKENIZER_GPT2, "it's 2024  now", "it|'s| 2024| | now");
    cut(PRETOKENIZER_SMOLLM, "it's 2024  now", "it|'s| |2|0|2|4| | now");
    cut(PRETOKENIZER_SMOLLM, "a1b", "a|1|b");
    cut(PRETOKENIZER_LLAMA3, "it's 2024  now", "it|'s| |202|4| | now");
    cut(PRETOKENIZER_LLAMA3, "IT'S (me)!\n\n x", "IT|'S| (|me|)!\n\n| x");
    cut(PRETOKENIZER_LLAMA3, "1234567 \n  y", "123|456|7| \n| | y");
    cut(PRETOKENIZER_QWEN2, "it's 2024  now", "it|'s| |2|0|2|4| | now");
}
END_TEST

// Tokens a, b, none, ab, "!x" that texts may name; as they begin a text with token 4.
static const char small[] = "bpe-llama3 61,62,,6162,!2178 0000000001 begin=4 end=4 add_begin";

START_TEST(a_number_in_the_middle_may_be_without_a_token) {
    struct tokenizer t;
    const char *error = "";
    ck_assert_msg(tokenizer_parse(&t, small, &error), "%s", error);
    ck_assert_int_eq(t.vocab_size, 5);
    ck_assert_int_eq(bpe_kind(t.bpe, 2), BPE_UNUSED);
    ck_assert_uint_eq(tokenizer_bytes(&t, 2), 0);
    ck_assert_uint_eq(tokenizer_bytes(&t, 3), 2);
    ck_assert_uint_eq(tokenizer_bytes(&t, 4), 0); // stands for no text
    ck_assert_int_eq(tokenizer_begin(&t), 4);
    int32_t ids[8];
    size_t where;
    ck_assert_int_eq(tokenizer_encode(&t, "abb!xa", 6, ids, &where), 4);
    const int32_t wanted[] = {3, 1, 4, 0};
    ck_assert_mem_eq(ids, wanted, sizeof wanted);
    tokenizer_free(&t);
}
END_TEST

// Tokens e, the two bytes of e with an acute and what they make, one that texts may name.
START_TEST(a_text_may_be_in_form_c_first) {
    static const char *const strings[] = {
        "bpe-qwen2 65,c3,a9,c3a9,cc,81,!3c65cc813e 0000100002 nfc",
        "bpe-qwen2 65,c3,a9,c3a9,cc,81,!3c65cc813e 0000100002"};
    static const int32_t wanted[2][8] = {{3, 3, 6, 0}, {0, 4, 5, 3, 6, 0}};
    static const int count[] = {4, 6};
    static const char text[] = "e\xcc\x81\xc3\xa9<e\xcc\x81>e"; // a named token is as it is
    for (int i = 0; i < 2; i++) {
        struct tokenizer t;
        const char *error = "";
        int32_t ids[64];
        size_t where;
        ck_assert_msg(tokenizer_parse(&t, strings[i], &error), "%s", error);
        ck_assert_uint_le(tokenizer_room(&t, strlen(text)), 64);
        ck_assert_int_eq(tokenizer_encode(&t, text, strlen(text), ids, &where), count[i]);
        ck_assert_mem_eq(ids, wanted[i], (size_t)count[i] * sizeof *ids);
        tokenizer_free(&t);
    }
}
END_TEST

// A string that ends early is refused, or is a shorter one: it never reads past its end.
START_TEST(strings_cut_at_each_byte) {
    for (size_t length = 0; length < sizeof small; length++) {
        char *string = malloc(length + 1); // to the byte, for the sanitizers
        memcpy(string, small, length);
        string[length] = 0;
        struct tokenizer t;
        const char *error = NULL;
        if (tokenizer_parse(&t, string, &error)) {
            ck_assert_str_eq(t.text, string);
            tokenizer_free(&t);
        } else {
            ck_assert_ptr_nonnull(error);
        }
        free(string);
    }
}
END_TEST

int main(void) {
    const TTest *const tests[] = {
        texts_are_cut_in_each_way,
        a_number_in_the_middle_may_be_without_a_token,
        a_text_may_be_in_form_c_first,
        strings_cut_at_each_byte,
    };
    return suite_main("vocabulary", tests, sizeof tests / sizeof *tests);
}
