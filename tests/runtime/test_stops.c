// test_stops.c: the texts that end an answer, in text that comes in pieces of any size.
#include "tests/runtime/suite.h"

// Passes text on in pieces of so many bytes.
static void pass(struct stops *stops, const char *text, size_t piece, char *out) {
    size_t length = strlen(text), written = 0;
    for (size_t at = 0; at < length; at += piece) {
        size_t bytes = length - at < piece ? length - at : piece;
        written += stops_pass(stops, text + at, bytes, out + written);
        for (int i = 0; i < stops->count; i++) { // none of it is out before it is known
            out[written] = 0;
            ck_assert_ptr_null(strstr(out, stops->text[i]));
        }
    }
    written += stops_rest(stops, out + written);
    out[written] = 0;
}

static void check(const char *text, const char *wanted, bool met, const char *const *texts,
                  int count) {
    for (size_t piece = 1; piece <= strlen(text); piece++) {
        struct stops stops = {.text = texts, .count = count};
        char out[1024];
        pass(&stops, text, piece, out);
        ck_assert_str_eq(out, wanted);
        ck_assert(stops.met == met);
    }
}

#define CHECK(text, wanted, met, ...)                                                              \
    check(text, wanted, met, (const char *const[]){__VA_ARGS__},                                   \
          sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

START_TEST(test_stops_one) {
    CHECK("one two three", "one ", true, "two");
    CHECK("one two three", "one two three", false, "twx");
    CHECK("aaab", "", true, "aa");
    CHECK("ababac", "ab", true, "abac");
    CHECK("one tw", "one tw", false, "two"); // the beginning of one at the end
    CHECK("two", "", true, "two");
    CHECK("x", "", true, "x");
}
END_TEST

START_TEST(test_stops_several) {
    CHECK("xabcd", "xa", true, "abcd", "bc"); // the one that is complete first
    CHECK("xabcd", "x", true, "cd", "abcd");  // the longest of those that end at once
    CHECK("xabce", "xabce", false, "abcd", "bd", "f");
    CHECK("a\n\nQ: b", "a", true, "Q:", "\n\n");
}
END_TEST

START_TEST(test_stops_characters) {
    CHECK("a\xe4\xb8\xad\xe6\x96\x87 b", "a\xe4\xb8\xad", true, "\xe6\x96\x87");
    CHECK("a\xe4\xb8\xad\xe4\xb8\xae", "a\xe4\xb8\xad", true, "\xe4\xb8\xae");
}
END_TEST

START_TEST(test_stops_long) {
    char stop[STOPS_LENGTH + 1], text[2 * STOPS_LENGTH + 1];
    memset(stop, 'a', STOPS_LENGTH);
    stop[STOPS_LENGTH] = 0;
    memset(text, 'a', STOPS_LENGTH - 1);
    strcpy(text + STOPS_LENGTH - 1, "b");
    strcat(text, stop);
    char wanted[STOPS_LENGTH + 1];
    strcpy(wanted, stop);
    wanted[STOPS_LENGTH - 1] = 'b';
    CHECK(text, wanted, true, stop);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {test_stops_one, test_stops_several, test_stops_characters,
                                  test_stops_long};
    return suite_main("stops", tests, sizeof tests / sizeof *tests);
}
