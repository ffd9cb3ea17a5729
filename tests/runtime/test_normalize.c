// test_normalize.c: Unicode's form C: cases of its rules, and each code point that has a meaning.
// The Unicode Character Database's own NormalizationTest.txt was gone through when the tables were
// made.
#include "tests/runtime/assigned.h"
#include "tests/runtime/suite.h"

static void becomes(const char *text, const char *wanted) {
    char made[256] = "";
    ck_assert_uint_le(normalize_room(strlen(text)), sizeof made);
    made[normalize(text, strlen(text), made)] = 0;
    ck_assert_str_eq(made, wanted);
}

START_TEST(marks_and_letters_compose) {
    becomes("", "");
    becomes("plain text\n", "plain text\n");
    becomes("Ame\u0301lie e\u0301", "Am\u00e9lie \u00e9");
    becomes("\u00e9", "\u00e9");
    becomes("\u0301e", "\u0301e");           // nothing before it to join
    becomes("\u1e0b\u0323", "\u1e0d\u0307"); // marks are put in order first
    becomes("d\u0307\u0323", "\u1e0d\u0307");
    becomes("a\u0315\u0300\u05ae\u0300b", "\u00e0\u05ae\u0300\u0315b");
    becomes("a\u0323\u0323\u0302", "\u1ead\u0323");      // past a mark of a lower class
    becomes("a\u0335\u0300", "\u00e0\u0335");            // nor of another
    becomes("\u212b\u2126\u037e", "\u00c5\u03a9;");      // signs that are letters
    becomes("\u0958\u0344", "\u0915\u093c\u0308\u0301"); // never composed again
    becomes("\u09c7\u09be", "\u09cb");                   // by one that is no mark
    becomes("\u1100\u1161\u11a8", "\uac01");             // Korean
    becomes("a\U00100300", "a\U00100300");               // 0x300 in its lower bits
    becomes("\uac00\u11a8\uac01\u11a8", "\uac01\uac01\u11a8");
}
END_TEST

// Of one character alone: 1,120 become others, and none does again.
START_TEST(each_code_point_once_and_again) {
    int changed = 0;
    for (size_t run = 0; run + 1 < sizeof assigned_edges / sizeof *assigned_edges; run += 2) {
        for (uint32_t c = assigned_edges[run]; c < assigned_edges[run + 1]; c++) {
            char text[4], once[16], twice[64];
            const size_t length = (size_t)utf8_encode(c, text);
            const size_t made = normalize(text, length, once);
            ck_assert(made == normalize(once, made, twice) && !memcmp(once, twice, made));
            changed += made != length || memcmp(text, once, made) != 0;
        }
    }
    ck_assert_int_eq(changed, 1120);
}
END_TEST

// As many marks as there may be take no longer than their count; they are in order then.
START_TEST(marks_alone) {
    enum { MARKS = 200000 };
    char *text = malloc(4 * MARKS + 1), *made = malloc(normalize_room(4 * MARKS + 1));
    size_t length = 0;
    text[length++] = 'q';
    for (int i = 0; i < MARKS; i++) {
        length += (size_t)utf8_encode(i % 2 ? 0x323 : 0x307, text + length);
    }
    ck_assert_uint_eq(normalize(text, length, made), length);
    ck_assert(!memcmp(made, "q\u0323\u0323", 5) && !memcmp(made + length - 4, "\u0307\u0307", 4));
    free(made);
    free(text);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {marks_and_letters_compose, each_code_point_once_and_again,
                                  marks_alone};
    return suite_main("normalize", tests, sizeof tests / sizeof *tests);
}
