// test_tokenizer.c: UTF-8, vocabularies, and text to ids and back.
#include "tests/runtime/suite.h"

static int decode(const char *bytes, uint32_t *c) {
    return utf8_decode((const unsigned char *)bytes, strlen(bytes), c);
}

START_TEST(utf8_takes_each_length) {
    static const struct {
        const char *bytes;
        int length;
        uint32_t c;
    } cases[] = {
        {"a", 1, 'a'},
        {"\x7f", 1, 0x7f},
        {"\xc2\x80", 2, 0x80},
        {"\xdf\xbf", 2, 0x7ff},
        {"\xe0\xa0\x80", 3, 0x800},
        {"\xed\x9f\xbf", 3, 0xd7ff},
        {"\xee\x80\x80", 3, 0xe000},
        {"\xef\xbf\xbf", 3, 0xffff},
        {"\xf0\x90\x80\x80", 4, 0x10000},
        {"\xf4\x8f\xbf\xbf", 4, 0x10ffff},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t c = 0;
        ck_assert_int_eq(decode(cases[i].bytes, &c), cases[i].length);
        ck_assert_uint_eq(c, cases[i].c);
    }
    uint32_t c = 1;
    ck_assert_int_eq(utf8_decode((const unsigned char *)"\0", 1, &c), 1);
    ck_assert_uint_eq(c, 0);
}
END_TEST

START_TEST(utf8_refuses_all_else) {
    static const char *const bad[] = {
        "",                 // nothing
        "\x80",             // a continuation byte first
        "\xbf",             //
        "\xc0\x80",         // overlong
        "\xc1\xbf",         //
        "\xe0\x9f\xbf",     //
        "\xf0\x8f\xbf\xbf", //
        "\xed\xa0\x80",     // surrogates
        "\xed\xbf\xbf",     //
        "\xf4\x90\x80\x80", // beyond U+10FFFF
        "\xf5\x80\x80\x80", //
        "\xff",             //
        "\xc3",             // cut short
        "\xe2\x82",         //
        "\xf0\x9f\x98",     //
        "\xc3(",            // no continuation byte
        "\xe2\x82(",        //
        "\xf0\x9f\x98\xc3", //
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint32_t c;
        ck_assert_msg(decode(bad[i], &c) == 0, "took case %zu", i);
    }
}
END_TEST

START_TEST(parse_takes_a_vocabulary) {
    struct tokenizer t;
    const char *error;
    ck_assert(tokenizer_parse(&t, "char 0a 20 61 e9 20ac 1f600 10ffff", &error));
    static const uint32_t wanted[] = {0xa, 0x20, 0x61, 0xe9, 0x20ac, 0x1f600, 0x10ffff};
    ck_assert_int_eq(t.vocab_size, 7);
    ck_assert_mem_eq(t.codepoint, wanted, sizeof wanted);
    ck_assert_str_eq(t.text, "char 0a 20 61 e9 20ac 1f600 10ffff");
    tokenizer_free(&t);
    ck_assert(tokenizer_parse(&t, "char 00", &error));
    ck_assert_int_eq(t.vocab_size, 1);
    tokenizer_free(&t);
}
END_TEST

START_TEST(parse_refuses_what_is_none) {
    static const char *const bad[] = {
        "",           "char",     "char ",        "chars 61",    "byte 61",     "61",
        "char 6",     "char 061", "char 61 61",   "char 62 61",  "char 61  62", "char 61 ",
        "char 6A",    "char 6g",  "char 0x61",    "char d800",   "char dfff",   "char 110000",
        "char 61,62", "char -1",  "char 1000000", "char 61\n62", "char  61",    "char 10000000061",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct tokenizer t;
        const char *error = NULL;
        ck_assert_msg(!tokenizer_parse(&t, bad[i], &error), "took '%s'", bad[i]);
        ck_assert_ptr_nonnull(error);
    }
}
END_TEST

START_TEST(text_goes_there_and_back) {
    struct tokenizer t;
    const char *error;
    ck_assert(tokenizer_parse(&t, "char 0a 20 61 e9 20ac 1f600", &error));
    const char *text = "a \xf0\x9f\x98\x80\n\xe2\x82\xac\xc3\xa9";
    int32_t ids[32];
    size_t where;
    int64_t count = tokenizer_encode(&t, text, strlen(text), ids, &where);
    static const int32_t wanted[] = {2, 1, 5, 0, 4, 3};
    ck_assert_int_eq(count, 6);
    ck_assert_mem_eq(ids, wanted, sizeof wanted);

    char back[64];
    size_t length = 0;
    for (int64_t i = 0; i < count; i++) {
        size_t bytes;
        const char *token = tokenizer_decode(&t, ids[i], &bytes);
        memcpy(back + length, token, bytes);
        length += bytes;
    }
    ck_assert_uint_eq(length, strlen(text));
    ck_assert_mem_eq(back, text, length);
    ck_assert_int_eq(tokenizer_encode(&t, "", 0, ids, &where), 0);
    tokenizer_free(&t);
}
END_TEST

START_TEST(every_code_point_goes_there_and_back) {
    for (uint32_t c = 0; c < 0x110000; c++) {
        if (c >= 0xd800 && c < 0xe000) {
            continue;
        }
        char bytes[4];
        int length = utf8_encode(c, bytes);
        uint32_t back;
        ck_assert_int_eq(utf8_decode((unsigned char *)bytes, (size_t)length, &back), length);
        ck_assert_uint_eq(back, c);
    }
}
END_TEST

// ---- bytes that become UTF-8 --------------------------------------------------------------------

// Decodes the bytes in tokens of `step` bytes each.
static void mend_is(const char *bytes, size_t length, size_t step, const char *wanted) {
    struct utf8_mend mend = {0};
    char text[400];
    size_t made = 0;
    for (size_t at = 0; at < length; at += step) {
        size_t token = length - at < step ? length - at : step;
        size_t wrote = utf8_mend(&mend, bytes + at, token, text + made);
        ck_assert_uint_le(wrote, 3 * (token + 1));
        made += wrote;
    }
    made += utf8_mend_end(&mend, text + made);
    ck_assert_uint_eq(utf8_mend_end(&mend, text + made), 0);
    text[made] = 0;
    ck_assert_str_eq(text, wanted);
}

START_TEST(what_is_no_utf8_is_replaced) {
#define BAD "\xef\xbf\xbd"
    static const struct {
        const char *bytes, *text; // as Python's bytes.decode(errors="replace")
    } cases[] = {
        {"", ""},
        {"plain", "plain"},
        {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80.", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80."},
        {"\x80", BAD},
        {"\xff\xfe", BAD BAD},
        {"a\xc3", "a" BAD},
        {"a\xc3z", "a" BAD "z"},
        {"\xe2\x82", BAD},          // one for the beginning of a character
        {"\xe2\x82z", BAD "z"},     //
        {"\xf0\x9f\x98", BAD},      //
        {"\xf0\x9f\x98z", BAD "z"}, //
        {"\xe2\xc3\xa9", BAD "\xc3\xa9"},
        {"\xe0\x80", BAD BAD}, // overlong
        {"\xe0\x9f\xbf", BAD BAD BAD},
        {"\xed\xa0\x80", BAD BAD BAD}, // a surrogate
        {"\xf4\x90\x80\x80", BAD BAD BAD BAD},
        {"\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf"},
        {"\xc0\xaf", BAD BAD},
        {"\xf0\x9f\xf0\x9f\x98\x80", BAD "\xf0\x9f\x98\x80"},
    };
#undef BAD
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t length = strlen(cases[i].bytes);
        for (size_t step = 1; step <= 5; step++) {
            mend_is(cases[i].bytes, length, step, cases[i].text);
        }
    }
}
END_TEST

START_TEST(encode_says_where_it_stopped) {
    struct tokenizer t;
    const char *error;
    ck_assert(tokenizer_parse(&t, "char 61 62 e9", &error));
    int32_t ids[16];
    size_t where = 99;
    ck_assert_int_eq(tokenizer_encode(&t, "ab\xc3\xa9xb", 6, ids, &where), -1);
    ck_assert_uint_eq(where, 4);
    ck_assert_int_eq(tokenizer_encode(&t, "a\xc3", 2, ids, &where), -1); // cut within a character
    ck_assert_uint_eq(where, 1);
    ck_assert_int_eq(tokenizer_encode(&t, "\n", 1, ids, &where), -1); // below the first
    ck_assert_uint_eq(where, 0);
    ck_assert_int_eq(tokenizer_encode(&t, "a\xf0\x9f\x98\x80", 5, ids, &where),
                     -1); // above the last
    ck_assert_uint_eq(where, 1);
    ck_assert_int_eq(tokenizer_encode(&t, "ab\0b", 4, ids, &where), -1); // zero is a character too
    ck_assert_uint_eq(where, 2);
    tokenizer_free(&t);
}
END_TEST

START_TEST(descriptions_tell_vocabularies_apart) {
    struct tokenizer a, b;
    const char *error;
    ck_assert(tokenizer_parse(&a, "char 61 62", &error));
    ck_assert(tokenizer_parse(&b, "char 61 63", &error));
    char x[96], y[96];
    tokenizer_describe(&a, x);
    tokenizer_describe(&b, y);
    ck_assert_str_ne(x, y);
    ck_assert_ptr_eq(strstr(x, "char, 2 characters, "), x);
    tokenizer_free(&a);
    tokenizer_free(&b);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {
        utf8_takes_each_length,       utf8_refuses_all_else,
        parse_takes_a_vocabulary,     parse_refuses_what_is_none,
        text_goes_there_and_back,     every_code_point_goes_there_and_back,
        encode_says_where_it_stopped, descriptions_tell_vocabularies_apart,
        what_is_no_utf8_is_replaced,
    };
    return suite_main("tokenizer", tests, sizeof tests / sizeof *tests);
}
