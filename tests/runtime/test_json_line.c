// test_json_line.c: a line of JSON lines: the string under a key, unescaped in its place.
#include "tests/runtime/suite.h"

// Reads a copy of exactly this size, so that AddressSanitizer sees a read past the end. The caller
// frees the copy.
static const char *read_line(const char *line, size_t length, char **copy, char **text,
                             size_t *text_length) {
    *copy = malloc(length ? length : 1);
    memcpy(*copy, line, length);
    return json_line(*copy, length, "text", text, text_length);
}

static void gives_bytes(const char *line, size_t length, const char *wanted, size_t wanted_length) {
    char *copy, *text;
    size_t text_length;
    const char *error = read_line(line, length, &copy, &text, &text_length);
    ck_assert_msg(!error, "%s: %s", line, error);
    ck_assert_uint_eq(text_length, wanted_length);
    ck_assert_mem_eq(text, wanted, wanted_length);
    ck_assert(text >= copy && text + text_length <= copy + length);
    free(copy);
}

static void gives(const char *line, const char *wanted) {
    gives_bytes(line, strlen(line), wanted, strlen(wanted));
}

static void refuses(const char *line, const char *why) {
    char *copy, *text;
    size_t length;
    const char *error = read_line(line, strlen(line), &copy, &text, &length);
    ck_assert_msg(error != NULL, "%s", line);
    ck_assert_msg(strstr(error, why) != NULL, "%s: %s", line, error);
    free(copy);
}

START_TEST(the_text_is_found) {
    gives("{\"text\":\"a\"}", "a");
    gives(" { \"text\" : \"a b\" } \r", "a b");
    gives("{\"text\":\"\"}", "");
    gives("{\"id\":7,\"meta\":{\"text\":\"no\"},\"text\":\"yes\",\"list\":[{\"text\":3}]}", "yes");
    gives("{\"texts\":\"no\",\"tex\":\"no\",\"Text\":\"no\",\"text\":\"yes\"}", "yes");
    gives("{\"\\u0074\\u0065\\u0078\\u0074\":\"by escapes\"}", "by escapes");
    gives("{\"t\\/ext\":1,\"te\\\\xt\":1,\"text\":\"yes\"}", "yes");
    gives("{\"text\":\"\\\"text\\\":\\\"no\\\"\"}", "\"text\":\"no\"");
    gives("{\"a\":1,\"a\":2,\"text\":\"of others twice\"}", "of others twice");
}
END_TEST

START_TEST(escapes_are_undone) {
    gives("{\"text\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}", "\"\\/\b\f\n\r\t");
    gives("{\"text\":\"a\\u00e9b\\u20ACc\\ud83d\\uDE00d\"}", "a\xc3\xa9"
                                                             "b\xe2\x82\xac"
                                                             "c\xf0\x9f\x98\x80"
                                                             "d");
    gives("{\"text\":\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"}",
          "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
    gives("{\"text\":\"\\\\ud83d\"}", "\\ud83d");
    static const char zero[] = "{\"text\":\"a\\u0000b\"}";
    gives_bytes(zero, sizeof zero - 1, "a\0b", 3);
}
END_TEST

START_TEST(other_lines_are_refused) {
    refuses("", "broken JSON");
    refuses("{\"text\":\"a\"", "broken JSON");
    refuses("{\"text\":\"a\"} {", "broken JSON: something follows");
    refuses("{\"text\":\"a\"},", "broken JSON: something follows");
    refuses("{'text':'a'}", "broken JSON");
    refuses("text", "broken JSON");
    refuses("\xef\xbb\xbf{\"text\":\"a\"}", "broken JSON");
    refuses("{\"text\":\"a\tb\"}", "control character");
    refuses("{\"text\":\"a\\x\"}", "bad escape");
    refuses("{\"text\":\"a\\u12\"}", "bad escape");
    refuses("{\"text\":\"a\\u12g4\"}", "bad escape");
    refuses("{\"text\":\"\xff\"}", "not UTF-8");
    refuses("{\"text\":\"\xed\xa0\x80\"}", "not UTF-8");
    refuses("{\"text\":\"a\",\"id\":\"\xc3\"}", "not UTF-8");
    refuses("{\"text\":\"a\",\"id\":01}", "broken JSON");
    refuses("{}", "without a string");
    refuses("[\"text\"]", "without a string");
    refuses("[{\"text\":\"a\"}]", "without a string");
    refuses("\"text\"", "without a string");
    refuses("{\"content\":\"a\"}", "without a string");
    refuses("{\"text\":null}", "without a string");
    refuses("{\"text\":[\"a\"]}", "without a string");
    refuses("{\"text\":\"a\",\"te\\u0078t\":\"b\"}", "the key twice");
}
END_TEST

// Wherever in the line.
START_TEST(half_a_surrogate_pair_is_refused) {
    static const char *const halves[] = {"\\ud83d",         "\\ude00",        "\\ud83d\\ud83d",
                                         "\\ud83dx\\ude00", "\\ud83d\\u0041", "\\ude00\\ud83d",
                                         "\\ud83d\\n"};
    for (size_t i = 0; i < sizeof halves / sizeof *halves; i++) {
        char line[128];
        snprintf(line, sizeof line, "{\"text\":\"a%sb\"}", halves[i]);
        refuses(line, "half a surrogate pair");
        snprintf(line, sizeof line, "{\"text\":\"a\",\"other\":[\"%s\"]}", halves[i]);
        refuses(line, "half a surrogate pair");
        snprintf(line, sizeof line, "{\"text\":\"a\",\"%s\":1}", halves[i]);
        refuses(line, "half a surrogate pair");
    }
}
END_TEST

START_TEST(every_prefix_is_refused) {
    static const char line[] =
        "{\"id\": [1, 2.5e3, true], \"text\": \"a\\u00e9\\ud83d\\ude00 \xe2\x82\xac\"}";
    for (size_t length = 0; length + 1 < sizeof line; length++) {
        char *copy, *text;
        size_t text_length;
        ck_assert(read_line(line, length, &copy, &text, &text_length) != NULL);
        free(copy);
    }
}
END_TEST

int main(void) {
    const TTest *const tests[] = {the_text_is_found, escapes_are_undone, other_lines_are_refused,
                                  half_a_surrogate_pair_is_refused, every_prefix_is_refused};
    return suite_main("JSON lines", tests, sizeof tests / sizeof *tests);
}
