// json.c: strict JSON. A text is refused as broken exactly where an independent reader, which keeps
// a stack and a state instead of calling itself, refuses it; the index over an accepted one is
// whole; and what it says, written as JSON again, is accepted and says the same.
#include "tests/torture/fuzz/support/fuzz.h"

// ---- the independent reader ---------------------------------------------------------------------

static size_t string_end(const uint8_t *text, size_t at, size_t length) { // at: behind the quote
    while (at < length && text[at] != '"') {
        uint32_t c;
        if (text[at] == '\\') {
            static const char hex[] = "0123456789abcdefABCDEF", plain[] = "\"\\/bfnrt";
            size_t digits = 0;
            if (at + 1 >= length) {
                return 0;
            }
            if (text[at + 1] == 'u') {
                while (digits < 4 && at + 2 + digits < length &&
                       memchr(hex, text[at + 2 + digits], sizeof hex - 1)) {
                    digits++;
                }
            } else if (!memchr(plain, text[at + 1], sizeof plain - 1)) {
                return 0;
            }
            if (text[at + 1] == 'u' && digits < 4) {
                return 0;
            }
            at += 2 + digits;
            continue;
        }
        int bytes = text[at] < 0x20 ? 0 : utf8_decode(text + at, length - at, &c);
        if (bytes == 0) {
            return 0;
        }
        at += (size_t)bytes;
    }
    return at < length ? at + 1 : 0;
}

static size_t digits_end(const uint8_t *text, size_t at, size_t length) {
    while (at < length && text[at] >= '0' && text[at] <= '9') {
        at++;
    }
    return at;
}

// The end of a number, true, false or null; 0 if none is at `at`.
static size_t plain_end(const uint8_t *text, size_t at, size_t length) {
    static const char *const words[] = {"true", "false", "null"};
    for (int i = 0; i < 3; i++) {
        size_t word = strlen(words[i]);
        if (length - at >= word && !memcmp(text + at, words[i], word)) {
            return at + word;
        }
    }
    size_t begin = at + (text[at] == '-'), end = digits_end(text, begin, length);
    if (end == begin) {
        return 0;
    }
    if (text[begin] == '0') {
        end = begin + 1;
    }
    if (end < length && text[end] == '.') {
        begin = end + 1;
        end = digits_end(text, begin, length);
        if (end == begin) {
            return 0;
        }
    }
    if (end < length && (text[end] == 'e' || text[end] == 'E')) {
        begin = end + 1;
        begin += begin < length && (text[begin] == '+' || text[begin] == '-');
        end = digits_end(text, begin, length);
        if (end == begin) {
            return 0;
        }
    }
    return end;
}

enum { DEPTH = 4096 };

// Whether a text is JSON; depth: the deepest nesting so far.
static bool is_json(const uint8_t *text, size_t length, int *deepest) {
    enum { VALUE, FIRST_VALUE, KEY, FIRST_KEY, COLON, AFTER } state = VALUE;
    static char stack[DEPTH];
    int depth = 0;
    for (size_t at = 0;;) {
        while (at < length && strchr(" \t\r\n", text[at] ? text[at] : 'x')) {
            at++;
        }
        if (at == length) {
            return state == AFTER && depth == 0;
        }
        uint8_t c = text[at];
        bool close = depth > 0 && c == stack[depth - 1];
        if (close && (state == AFTER || (state == FIRST_VALUE && c == ']') ||
                      (state == FIRST_KEY && c == '}'))) {
            depth--;
            at++;
            state = AFTER;
        } else if (state == AFTER) {
            if (c != ',' || depth == 0) {
                return false;
            }
            at++;
            state = stack[depth - 1] == '}' ? KEY : VALUE;
        } else if (state == COLON) {
            if (c != ':') {
                return false;
            }
            at++;
            state = VALUE;
        } else if (state == KEY || state == FIRST_KEY) {
            at = c == '"' ? string_end(text, at + 1, length) : 0;
            state = COLON;
        } else if (c == '{' || c == '[') {
            if (depth == DEPTH) {
                return false;
            }
            stack[depth++] = c == '{' ? '}' : ']';
            *deepest = depth > *deepest ? depth : *deepest;
            at++;
            state = c == '{' ? FIRST_KEY : FIRST_VALUE;
        } else {
            at = c == '"' ? string_end(text, at + 1, length) : plain_end(text, at, length);
            state = AFTER;
        }
        if (at == 0) {
            return false;
        }
    }
}

// ---- the index ----------------------------------------------------------------------------------

// Writes what can be known of a value, and checks the index below it.
static void write(const struct json *json, int value, FILE *out) {
    bool object = json_is_object(json, value), array = json_is_array(json, value);
    int count = json_count(json, value), inside;
    int64_t number;
    if (object || array) {
        fputc(object ? '{' : '[', out);
        for (int i = 0; i < count; i++) {
            int key = object ? json_member(json, value, i, &inside) : value;
            inside = object ? inside : json_element(json, value, i);
            FUZZ_MUST(key >= value && inside > value);
            fputs(i ? "," : "", out);
            if (object) {
                char *text = json_string(json, key); // NULL where it holds a zero
                FUZZ_MUST(!text || json_get(json, value, text) == inside);
                if (text) {
                    json_write_string(out, text, strlen(text));
                } else {
                    fprintf(out, "\"a key with a zero, %d\"", i);
                }
                free(text);
                fputc(':', out);
            }
            write(json, inside, out);
        }
        FUZZ_MUST(json_element(json, value, count) < 0 && json_element(json, value, -1) < 0);
        FUZZ_MUST(json_member(json, value, count, &inside) < 0 && inside < 0);
        fputc(object ? '}' : ']', out);
        return;
    }
    char *text = json_string(json, value);
    FUZZ_MUST(count == 0 && json_get(json, value, "a") < 0);
    if (text) {
        FUZZ_MUST(!json_integer(json, value, &number));
        json_write_string(out, text, strlen(text));
    } else if (json_integer(json, value, &number)) {
        FUZZ_MUST(number >= 0);
        fprintf(out, "%lld", (long long)number);
    } else {
        fputs("null", out);
    }
    free(text);
}

static char *written(const struct json *json, size_t *length) {
    char *text = NULL;
    FILE *out = open_memstream(&text, length);
    FUZZ_MUST(out != NULL);
    write(json, 0, out);
    FUZZ_MUST(fclose(out) == 0);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    const char *error = NULL;
    int deepest = 0;
    struct json *json = json_parse((const char *)bytes, length, &error);
    bool grammar = is_json(bytes, length, &deepest);
    if (!json) {
        FUZZ_MUST(error != NULL && strcmp(error, "JSON that cannot be indexed") != 0);
        bool broken = strstr(error, "broken JSON") != NULL;
        bool deep = strstr(error, "deeper") != NULL;
        FUZZ_MUST(deep ? deepest > 32 : broken ? !grammar : grammar);
        return 0;
    }
    FUZZ_MUST(grammar && deepest <= 32);
    size_t once_length, twice_length;
    char *once = written(json, &once_length);
    struct json *again = json_parse(once, once_length, &error);
    // Of keys with a zero, some may come to the name of another.
    FUZZ_MUST(again || strstr(once, "\"a key with a zero, "));
    if (again) {
        char *twice = written(again, &twice_length);
        FUZZ_MUST(once_length == twice_length && !memcmp(once, twice, once_length));
        free(twice);
        json_free(again);
    }
    free(once);
    json_free(json);
    return 0;
}
