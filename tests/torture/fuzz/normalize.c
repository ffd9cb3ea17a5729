// normalize.c: a text in Unicode's form C. That is no longer than its room; of UTF-8 it is UTF-8
// and itself in form C, and of both halves of a text that is cut before ASCII what it is of the
// whole.
#include "runtime/text/text.h"
#include "tests/torture/fuzz/support/fuzz.h"

static bool is_utf8(const char *text, size_t length) {
    for (size_t at = 0; at < length;) {
        uint32_t c;
        const int bytes = utf8_decode((const unsigned char *)text + at, length - at, &c);
        if (!bytes) {
            return false;
        }
        at += (size_t)bytes;
    }
    return true;
}

// Form C of a text, in memory that is just its room.
static char *form_c(const char *text, size_t length, size_t *made) {
    char *out = malloc(normalize_room(length));
    FUZZ_MUST(out != NULL);
    *made = normalize(text, length, out);
    FUZZ_MUST(*made < normalize_room(length));
    return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    const char *text = length ? (const char *)bytes : "";
    size_t made, again, part;
    char *once = form_c(text, length, &made), *twice = form_c(once, made, &again);
    const bool good = is_utf8(text, length);
    FUZZ_MUST(!good || (is_utf8(once, made) && made == again && !memcmp(once, twice, made)));
    size_t cut = length / 2;
    while (cut < length && bytes[cut] >= 0x80) {
        cut++;
    }
    char *first = form_c(text, cut, &part), *second = form_c(text + cut, length - cut, &again);
    FUZZ_MUST(!good || (part + again == made && !memcmp(once, first, part) &&
                        !memcmp(once + part, second, again)));
    free(once);
    free(twice);
    free(first);
    free(second);
    return 0;
}
