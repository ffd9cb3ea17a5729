// json_line.c: a line of JSON lines. What the index of the whole text (json_parse) finds under
// "text" is found in one pass too, and what it refuses is refused, except for other keys that are
// there twice.
#include "tests/torture/fuzz/support/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    char *line = malloc(length + 1), *text = NULL;
    FUZZ_MUST(line != NULL);
    memcpy(line, bytes, length);
    size_t text_length = 0;
    const char *error = NULL;
    const char *problem = json_line(line, length, "text", &text, &text_length);
    struct json *json = json_parse((const char *)bytes, length, &error);
    const int value = json ? json_get(json, 0, "text") : -1;
    if (problem) {
        char *string = json_string(json, value);
        FUZZ_MUST(!json || !string);
        free(string);
    } else {
        FUZZ_MUST(text >= line && text + text_length <= line + length);
        FUZZ_MUST(json || strstr(error, "a key twice") != NULL);
        for (size_t at = 0; at < text_length;) {
            uint32_t c;
            int count = utf8_decode((const unsigned char *)text + at, text_length - at, &c);
            FUZZ_MUST(count > 0);
            at += (size_t)count;
        }
        if (json) {
            char *string = json_string(json, value); // NULL where it holds a zero
            FUZZ_MUST(string || memchr(text, 0, text_length) != NULL);
            FUZZ_MUST(!string ||
                      (strlen(string) == text_length && !memcmp(string, text, text_length)));
            free(string);
        }
    }
    json_free(json);
    free(line);
    return 0;
}
