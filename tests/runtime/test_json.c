// test_json.c: reading JSON, and refusing what is not JSON.
#include "tests/runtime/suite.h"

// Parses a copy of exactly this size, so that AddressSanitizer sees a read past the end.
static bool accepts(const char *text, size_t length, const char **error) {
    char *copy = malloc(length ? length : 1);
    memcpy(copy, text, length);
    *error = NULL;
    struct json *json = json_parse(copy, length, error);
    bool good = json != NULL;
    ck_assert(good == (*error == NULL));
    json_free(json);
    free(copy);
    return good;
}

START_TEST(takes_what_is_json) {
    static const char *const good[] = {
        "{}",
        "[]",
        " [ ] ",
        "\t\r\n {\n}\n",
        "0",
        "-0",
        "12",
        "-1.5",
        "1e5",
        "1E+5",
        "1.25e-10",
        "0.5",
        "\"\"",
        "\"a\"",
        "true",
        "false",
        "null",
        "[true,false,null]",
        "[1,2,3]",
        "[[],[[]],{}]",
        "{\"a\":1}",
        "{ \"a\" : [ 1 , { \"b\" : \"c\" } ] , \"d\" : null }",
        "{\"\":0}",
        "{\"\\u0061\":1}",
        "{\"\\u0061\":1,\"b\":2}",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD83D\\uDE00\"",
        "\"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\"",
        "\"\x7f\"",
        "{\"a\":{\"a\":1},\"b\":{\"a\":2}}",
        "[{\"a\":1},{\"a\":1}]",
        "{\"a\":1,\"aa\":2,\"A\":3}",
        "\"[1,2\"",
        "[\"]\",\"}\",\",\",\":\"]",
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        const char *error;
        ck_assert_msg(accepts(good[i], strlen(good[i]), &error), "%s: %s", good[i], error);
    }
}
END_TEST

START_TEST(refuses_what_is_not) {
    static const char *const bad[] = {
        "",
        " ",
        "{",
        "[",
        "}",
        "]",
        "[}",
        "{]",
        "[1,]",
        "[,1]",
        "[,]",
        "{,}",
        "{\"a\":1,}",
        "{,\"a\":1}",
        "[1 2]",
        "[1;2]",
        "{\"a\" 1}",
        "{\"a\":}",
        "{\"a\"}",
        "{\"a\":1 \"b\":2}",
        "{\"a\":1:2}",
        "{1:2}",
        "{a:1}",
        "{'a':1}",
        "{null:1}",
        "{[]:1}",
        "[\"a\":1]",
        "{\"a\",\"b\"}",
        "1:2",
        "\"a\":1",
        "{}{}",
        "[] []",
        "1 2",
        "{} x",
        "[1],",
        ",[1]",
        "[1]]",
        "[[1]",
        "{\"a\":[1}",
        "01",
        "-01",
        "1.",
        ".5",
        "+1",
        "-",
        "--1",
        "1e",
        "1e+",
        "1.e5",
        "0x10",
        "1_000",
        "1f",
        "NaN",
        "nan",
        "Infinity",
        "-Infinity",
        "tru",
        "truee",
        "True",
        "nul",
        "nulll",
        "falsey",
        "[t]",
        "undefined",
        "'a'",
        "\"",
        "\"a",
        "\"\\\"",
        "\"\\",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\u",
        "\"\n\"",
        "\"\t\"",
        "\"\x01\"",
        "\"\x1f\"",
        "\"\xff\"",
        "\"\xc3\"",
        "\"\xc0\x80\"",
        "\"\xed\xa0\x80\"",
        "\"\xf4\x90\x80\x80\"",
        "\"\xe2\x82\"",
        "\xef\xbb\xbf{}",
        "/* c */ {}",
        "{} // c",
        "[1,/**/2]",
        "\v[]",
        "\xa0[]",
        "{\"a\":1,\"a\":2}",
        "{\"a\":{\"b\":1,\"c\":2,\"b\":3}}",
        "[{\"x\":1,\"y\":2,\"x\":1}]",
        "{\"\":1,\"\":2}",
        "[\"\\ud800\"]",
        "[\"\\udc00\"]",
        "[\"\\ud800\\u0041\"]",
        "[\"\\ud800x\"]",
        "{\"\\ud83d\":1}",
        "{\"a\":1,\"\\u0061\":2}",
        "[1\"a\"]",
        "[\"a\"\"b\"]",
        "[\"a\"1]",
        "[[]1]",
        "{}[]",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *error;
        ck_assert_msg(!accepts(bad[i], strlen(bad[i]), &error), "took: %s", bad[i]);
        ck_assert_ptr_null(strchr(error, '\n'));
    }
    const char *error;
    ck_assert(!accepts("[1]\0", 4, &error)); // a zero is not a space
    ck_assert(!accepts("[1,\0 2]", 7, &error));
    ck_assert(!accepts("\"a\0b\"", 5, &error));
    ck_assert(!accepts("\"\\\0\"", 4, &error));
    ck_assert(!accepts("\"\\u00\0061\"", 8, &error));
}
END_TEST

START_TEST(every_prefix_of_a_document_is_refused) {
    const char *text = "{\"a\":[1,-2.5e3,true,null,\"x\\n\\u0041\xc3\xa9\"],\"b\":{\"c\":{}}}";
    const char *error;
    for (size_t length = 0; length < strlen(text); length++) {
        ck_assert_msg(!accepts(text, length, &error), "took the first %zu bytes", length);
    }
    ck_assert(accepts(text, strlen(text), &error));
}
END_TEST

static void nest(char *text, int depth, const char *open, const char *close) {
    text[0] = 0;
    for (int i = 0; i < depth; i++) {
        strcat(text, open);
    }
    strcat(text, "1");
    for (int i = 0; i < depth; i++) {
        strcat(text, close);
    }
}

START_TEST(nesting_ends_at_32) {
    char text[512];
    const char *error;
    nest(text, 32, "[", "]");
    ck_assert(accepts(text, strlen(text), &error));
    nest(text, 33, "[", "]");
    ck_assert(!accepts(text, strlen(text), &error));
    ck_assert_ptr_nonnull(strstr(error, "32"));
    nest(text, 32, "{\"a\":", "}");
    ck_assert(accepts(text, strlen(text), &error));
    nest(text, 33, "{\"a\":", "}");
    ck_assert(!accepts(text, strlen(text), &error));
}
END_TEST

// Texts that would cost a careless parser its stack, hours or gigabytes.
START_TEST(hostile_texts_are_cheap) {
    enum { LENGTH = 20 << 20 };
    char *text = malloc(LENGTH);
    const char *error;
    memset(text, '[', LENGTH);
    ck_assert(!accepts(text, LENGTH, &error));
    for (int i = 0; i < LENGTH; i++) {
        text[i] = i % 2 ? '1' : ',';
    }
    text[0] = '[';
    text[LENGTH - 1] = ']';
    ck_assert(!accepts(text, LENGTH, &error)); // ten million values
    ck_assert_str_eq(error, "JSON with too many values");
    text[(4 << 20) - 2] = ']'; // two million are fine
    ck_assert_msg(accepts(text, (4 << 20) - 1, &error), "%s", error);
    free(text);
}
END_TEST

START_TEST(reads_values) {
    const char *text = "{\"name\":\"wte\",\"none\":null,\"shape\":[65,0,9223372036854775807],"
                       "\"sub\":{\"a\":{\"b\":[]},\"c\":\"x\\ny\"},\"empty\":\"\"}";
    const char *error;
    struct json *json = json_parse(text, strlen(text), &error);
    ck_assert_ptr_nonnull(json);
    ck_assert(json_is_object(json, 0));
    ck_assert(!json_is_array(json, 0));
    ck_assert_int_eq(json_count(json, 0), 5);

    char *name = json_string(json, json_get(json, 0, "name"));
    ck_assert_str_eq(name, "wte");
    free(name);
    char *empty = json_string(json, json_get(json, 0, "empty"));
    ck_assert_str_eq(empty, "");
    free(empty);
    ck_assert_int_eq(json_get(json, 0, "nam"), -1);
    ck_assert_int_eq(json_get(json, 0, "name2"), -1);
    ck_assert_int_eq(json_get(json, 0, "a"), -1);   // a deeper object's
    ck_assert_int_eq(json_get(json, 0, "wte"), -1); // a value

    int shape = json_get(json, 0, "shape");
    ck_assert(json_is_array(json, shape));
    ck_assert_int_eq(json_count(json, shape), 3);
    static const int64_t sizes[3] = {65, 0, INT64_MAX};
    for (int i = 0; i < 3; i++) {
        int64_t size;
        ck_assert(json_integer(json, json_element(json, shape, i), &size));
        ck_assert_int_eq(size, sizes[i]);
    }
    ck_assert_int_eq(json_element(json, shape, 3), -1);
    ck_assert_int_eq(json_element(json, shape, -1), -1);
    ck_assert_int_eq(json_element(json, 0, 0), -1);

    int sub = json_get(json, 0, "sub"), value;
    ck_assert_int_eq(json_count(json, sub), 2);
    ck_assert_int_eq(json_count(json, json_get(json, json_get(json, sub, "a"), "b")), 0);
    char *escaped = json_string(json, json_get(json, sub, "c"));
    ck_assert_str_eq(escaped, "x\ny");
    free(escaped);
    char *key = json_string(json, json_member(json, sub, 1, &value));
    ck_assert_str_eq(key, "c");
    free(key);
    ck_assert_int_eq(value, json_get(json, sub, "c"));
    ck_assert_int_eq(json_member(json, sub, 2, &value), -1);
    ck_assert_int_eq(value, -1);

    // A value that does not exist has no contents.
    ck_assert_ptr_null(json_string(json, -1));
    ck_assert_ptr_null(json_string(json, shape));
    ck_assert_int_eq(json_get(json, -1, "a"), -1);
    ck_assert_int_eq(json_get(json, shape, "a"), -1);
    ck_assert_int_eq(json_count(json, -1), 0);
    ck_assert(!json_is_array(json, 1000));
    json_free(json);
}
END_TEST

START_TEST(escapes_are_undone) {
    const char *text = "{\"\\u0061\\\"\":\"\\\\ \\/ \\b\\f\\n\\r\\t \\u00e9\\u20AC\\uD83D\\uDE00\","
                       "\"zero\":\"a\\u0000b\",\"plain\":\"as it is\",\"n\":[12]}";
    const char *error;
    struct json *json = json_parse(text, strlen(text), &error);
    ck_assert_msg(json != NULL, "%s", error);
    char *all = json_string(json, json_get(json, 0, "a\"")); // the key's too
    ck_assert_str_eq(all, "\\ / \b\f\n\r\t \xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
    free(all);
    ck_assert_ptr_null(json_string(json, json_get(json, 0, "zero"))); // not a C string
    char *plain = json_string(json, json_get(json, 0, "plain"));
    ck_assert_str_eq(plain, "as it is");
    free(plain);
    int64_t number;
    ck_assert(json_integer(json, json_element(json, json_get(json, 0, "n"), 0), &number));
    ck_assert_int_eq(number, 12);
    json_free(json);
}
END_TEST

START_TEST(integers_are_exact_or_refused) {
    static const struct {
        const char *text;
        bool good;
        int64_t value;
    } cases[] = {
        {"0", true, 0},
        {"7", true, 7},
        {"9223372036854775807", true, INT64_MAX},
        {"9223372036854775808", false, 0},
        {"18446744073709551616", false, 0},
        {"99999999999999999999999999", false, 0},
        {"-1", false, 0},
        {"-0", false, 0},
        {"1.0", false, 0},
        {"1e3", false, 0},
        {"true", false, 0},
        {"null", false, 0},
        {"\"1\"", false, 0},
        {"[1]", false, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *error;
        struct json *json = json_parse(cases[i].text, strlen(cases[i].text), &error);
        ck_assert_ptr_nonnull(json);
        int64_t value = 0;
        ck_assert_msg(json_integer(json, 0, &value) == cases[i].good, "%s", cases[i].text);
        ck_assert_int_eq(value, cases[i].value);
        json_free(json);
    }
}
END_TEST

// Reads everything in a document, from one value down. Returns the number of values.
static int visit(const struct json *json, int value, int depth) {
    ck_assert_int_le(depth, 32);
    int visited = 1;
    int64_t integer;
    json_integer(json, value, &integer);
    free(json_string(json, value));
    for (int i = 0; i < json_count(json, value); i++) {
        int child = json_element(json, value, i);
        if (json_is_object(json, value)) {
            char *key = json_string(json, json_member(json, value, i, &child));
            ck_assert_ptr_nonnull(key);
            ck_assert_int_eq(json_get(json, value, key), child);
            free(key);
        }
        ck_assert_int_gt(child, value);
        visited += visit(json, child, depth + 1);
    }
    return visited;
}

START_TEST(mutated_documents_do_no_harm) {
    const char *text =
        "{\"__metadata__\":{\"k\":\"v\\u0041\"},\"w\":{\"dtype\":\"F32\",\"shape\":[2,3],"
        "\"data_offsets\":[0,24]},\"n\":[-1.5e3,true,null,[[]],{\"a\":{}}]}";
    static const char alphabet[] = "{}[]\",:0123456789-+.eEtrufalsn\\ \n\x01\x80\xc3\xa9";
    size_t length = strlen(text);
    int taken = 0;
    for (uint32_t round = 0; round < 30000; round++) {
        char copy[256];
        memcpy(copy, text, length);
        size_t size = length;
        for (uint32_t edit = 0; edit <= round % 4; edit++) {
            uint64_t bits = rng_bits(1337, round, edit, 0);
            size_t at = rng_below(bits, size);
            char c = alphabet[(bits & 0xffff) % (sizeof alphabet - 1)];
            if (bits >> 16 & 1) { // overwrite, or remove
                copy[at] = c;
            } else {
                memmove(copy + at, copy + at + 1, size - at - 1);
                size--;
            }
        }
        char *exact = malloc(size);
        memcpy(exact, copy, size);
        const char *error;
        struct json *json = json_parse(exact, size, &error);
        if (json) {
            taken++;
            ck_assert_int_ge(visit(json, 0, 0), 1);
        }
        json_free(json);
        free(exact);
    }
    ck_assert_int_gt(taken, 500); // edits within strings and numbers leave JSON
    ck_assert_int_lt(taken, 15000);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {
        takes_what_is_json, refuses_what_is_not,           every_prefix_of_a_document_is_refused,
        nesting_ends_at_32, hostile_texts_are_cheap,       reads_values,
        escapes_are_undone, integers_are_exact_or_refused, mutated_documents_do_no_harm,
    };
    return suite_main("json", tests, sizeof tests / sizeof *tests);
}
