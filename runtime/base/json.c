// json.c: strict JSON. jsmn finds where the values lie, but accepts much that is not JSON; so a
// text is first checked against the grammar of RFC 8259, and jsmn only sees what has passed.
#include "runtime/base/base.h"

#include <stdlib.h>
#include <string.h>

#define JSMN_STATIC
#define JSMN_PARENT_LINKS // without them jsmn takes quadratic time
#include <jsmn.h>

enum {
    JSON_DEPTH_MAX = 32,
    JSON_VALUES_MAX = 4 << 20,   // keys included; bounds the memory that a hostile file can claim
    JSON_LENGTH_MAX = 128 << 20, // jsmn's offsets are int
    JSON_KEY_MAX = 32,           // of json_line
};

struct json {
    const char *text;
    char *plain; // if strings have escapes: a copy of the text in which they are undone; else NULL
    int count;
    jsmntok_t *token; // (count), in the order of the text; a key comes right before its value
    int *next;        // (count): the first token after this one and all that it contains
    int *first;       // (count): where a container's members or elements start in child
    int *child;       // keys of objects, elements of arrays
};

struct json_slice {
    const char *text;
    size_t length;
};

// ---- the grammar: each function parses one thing at `at` and moves past it, or sets error -------

struct json_scan {
    const char *at, *end;
    int depth, values;
    const char *error; // the first thing wrong, or NULL
    bool half;         // a string escapes half a surrogate pair
    // json_line: the key that is looked for in the outermost object, and what its value is.
    const char *key;
    struct json_slice value;
    int found;
};

static bool json_fail(struct json_scan *scan, const char *error) {
    if (!scan->error) {
        scan->error = error;
    }
    return false;
}

static void json_skip_space(struct json_scan *scan) {
    while (scan->at < scan->end &&
           (*scan->at == ' ' || *scan->at == '\t' || *scan->at == '\n' || *scan->at == '\r')) {
        scan->at++;
    }
}

static bool json_take(struct json_scan *scan, char c) {
    if (scan->at < scan->end && *scan->at == c) {
        scan->at++;
        return true;
    }
    return false;
}

// Moves past digits; false if there are none.
static bool json_take_digits(struct json_scan *scan) {
    const char *start = scan->at;
    while (scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9') {
        scan->at++;
    }
    return scan->at > start;
}

// The value of four hexadecimal digits, or -1.
static int json_hex(const char *text, int length) {
    int value = 0;
    for (int i = 0; i < 4; i++) {
        const char c = length < 4 ? 0 : text[i], letter = (char)(c | 0x20);
        if (c >= '0' && c <= '9') {
            value = value << 4 | (c - '0');
        } else if (letter >= 'a' && letter <= 'f') {
            value = value << 4 | (letter - 'a' + 10);
        } else {
            return -1;
        }
    }
    return value;
}

// Moves past the digits of "\u", and past the other half of a surrogate pair.
static bool json_take_hex(struct json_scan *scan) {
    const ptrdiff_t left = scan->end - scan->at;
    const int high = json_hex(scan->at, left < 4 ? (int)left : 4);
    if (high < 0) {
        return false;
    }
    scan->at += 4;
    if (high >= 0xd800 && high < 0xe000) {
        const int low = left < 10 || memcmp(scan->at, "\\u", 2) ? -1 : json_hex(scan->at + 2, 4);
        const bool pair = high < 0xdc00 && low >= 0xdc00 && low < 0xe000;
        scan->half = scan->half || !pair;
        scan->at += pair ? 6 : 0;
    }
    return true;
}

static bool json_scan_string(struct json_scan *scan) {
    if (!json_take(scan, '"')) {
        return json_fail(scan, "broken JSON: a key in quotes is wanted");
    }
    if (++scan->values > JSON_VALUES_MAX) {
        return json_fail(scan, "JSON with too many values");
    }
    while (scan->at < scan->end) {
        unsigned char c = (unsigned char)*scan->at;
        if (c == '"') {
            scan->at++;
            return true;
        }
        if (c < 0x20) {
            return json_fail(scan, "broken JSON: a control character in a string");
        }
        if (c < 0x80 && c != '\\') {
            scan->at++;
            continue;
        }
        if (c == '\\') {
            scan->at++;
            bool known = scan->at < scan->end && *scan->at && strchr("\"\\/bfnrtu", *scan->at);
            if (!known || (*scan->at++ == 'u' && !json_take_hex(scan))) {
                return json_fail(scan, "broken JSON: a bad escape in a string");
            }
            continue;
        }
        uint32_t codepoint;
        int bytes = utf8_decode((const unsigned char *)scan->at, (size_t)(scan->end - scan->at),
                                &codepoint);
        if (bytes == 0) {
            return json_fail(scan, "broken JSON: a string that is not UTF-8");
        }
        scan->at += bytes;
    }
    return json_fail(scan, "broken JSON: a string does not end");
}

static bool json_scan_number(struct json_scan *scan) {
    json_take(scan, '-');
    bool good = json_take(scan, '0') || json_take_digits(scan);
    if (good && json_take(scan, '.')) {
        good = json_take_digits(scan);
    }
    if (good && (json_take(scan, 'e') || json_take(scan, 'E'))) {
        if (!json_take(scan, '-')) {
            json_take(scan, '+');
        }
        good = json_take_digits(scan);
    }
    return good || json_fail(scan, "broken JSON: something is not a value");
}

static bool json_scan_word(struct json_scan *scan, const char *word) {
    size_t length = strlen(word);
    if ((size_t)(scan->end - scan->at) < length || memcmp(scan->at, word, length) != 0) {
        return false;
    }
    scan->at += length;
    return true;
}

static bool json_scan_value(struct json_scan *scan);

// Whether a string in quotes, which may have escapes, is this key.
static bool json_is_key(const char *key, struct json_slice quoted) {
    char plain[6 * JSON_KEY_MAX]; // "\u0074" for each character
    const size_t length = strlen(key);
    if (quoted.length < 2 || quoted.length - 2 > 6 * length || length > JSON_KEY_MAX) {
        return false;
    }
    const int made = json_unescape(quoted.text + 1, (int)quoted.length - 2, plain);
    return made == (int)length && !memcmp(plain, key, length);
}

// Parses the members or elements of an object or array, after its opening bracket.
static bool json_scan_members(struct json_scan *scan, char close) {
    json_skip_space(scan);
    if (json_take(scan, close)) {
        return true;
    }
    do {
        json_skip_space(scan);
        struct json_slice key = {scan->at, 0};
        if (close == '}') {
            if (!json_scan_string(scan)) {
                return false;
            }
            key.length = (size_t)(scan->at - key.text);
            json_skip_space(scan);
            if (!json_take(scan, ':')) {
                return json_fail(scan, "broken JSON: a ':' is wanted after a key");
            }
            json_skip_space(scan);
        }
        const char *value = scan->at;
        if (!json_scan_value(scan)) {
            return false;
        }
        if (scan->key && scan->depth == 1 && json_is_key(scan->key, key)) {
            scan->value = (struct json_slice){value, (size_t)(scan->at - value)};
            scan->found++;
        }
        json_skip_space(scan);
    } while (json_take(scan, ','));
    return json_take(scan, close) ||
           json_fail(scan, "broken JSON: an object or array does not end where it should");
}

static bool json_scan_value(struct json_scan *scan) {
    if (scan->at < scan->end && *scan->at == '"') {
        return json_scan_string(scan);
    }
    if (++scan->values > JSON_VALUES_MAX) {
        return json_fail(scan, "JSON with too many values");
    }
    bool object = json_take(scan, '{');
    if (object || json_take(scan, '[')) {
        if (++scan->depth > JSON_DEPTH_MAX) {
            return json_fail(scan, "JSON nested deeper than 32");
        }
        bool good = json_scan_members(scan, object ? '}' : ']');
        scan->depth--;
        return good;
    }
    return json_scan_word(scan, "true") || json_scan_word(scan, "false") ||
           json_scan_word(scan, "null") || json_scan_number(scan);
}

// ---- escapes ------------------------------------------------------------------------------------

int json_unescape(const char *text, int length, char *out) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    int made = 0;
    for (int i = 0; i < length;) {
        const char *escape = memchr(text + i, '\\', (size_t)(length - i));
        const int plain = escape ? (int)(escape - text) - i : length - i;
        memmove(out + made, text + i, (size_t)plain);
        made += plain;
        i += plain;
        if (i == length) {
            break;
        }
        if (i + 1 == length) {
            out[made++] = text[i++];
            break;
        }
        const char *found = text[i + 1] ? strchr(from, text[i + 1]) : NULL;
        if (found) {
            out[made++] = to[found - from];
            i += 2;
            continue;
        }
        int high = json_hex(text + i + 2, length - i - 2), low = -1;
        i += 6;
        if (high >= 0xd800 && high < 0xdc00 && i + 6 <= length && !memcmp(text + i, "\\u", 2)) {
            low = json_hex(text + i + 2, 4);
            i += 6;
        }
        bool pair = low >= 0xdc00 && low < 0xe000;
        if (high < 0 || (high >= 0xd800 && high < 0xe000 && !pair)) {
            return -1;
        }
        char bytes[4]; // not written to out at once: out may be text
        int count = utf8_encode(pair ? 0x10000 + ((uint32_t)(high - 0xd800) << 10) +
                                           (uint32_t)(low - 0xdc00)
                                     : (uint32_t)high,
                                bytes);
        memcpy(out + made, bytes, (size_t)count);
        made += count;
    }
    return made;
}

// Unescapes all strings in a copy of the text, if any has an escape.
static void json_plain(struct json *json, size_t length) {
    if (!memchr(json->text, '\\', length)) {
        return;
    }
    json->text = json->plain = allocate_copy(json->text, length, "JSON with escapes");
    for (int i = 0; i < json->count; i++) {
        jsmntok_t *token = &json->token[i];
        if (token->type == JSMN_STRING) {
            char *at = json->plain + token->start;
            token->end = token->start + json_unescape(at, token->end - token->start, at);
        }
    }
}

// ---- the index over jsmn's tokens ---------------------------------------------------------------

// Fills next, first and child. jsmn's `size` counts an object's keys, a key's one value, an array's
// elements.
static void json_link(struct json *json) {
    for (int i = json->count - 1; i >= 0; i--) {
        int next = i + 1;
        for (int c = 0; c < json->token[i].size; c++) {
            next = json->next[next];
        }
        json->next[i] = next;
    }
    int used = 0;
    for (int i = 0; i < json->count; i++) {
        json->first[i] = used;
        if (json->token[i].type == JSMN_OBJECT || json->token[i].type == JSMN_ARRAY) {
            for (int c = i + 1; c < json->next[i]; c = json->next[c]) {
                json->child[used++] = c;
            }
        }
    }
}

static struct json_slice json_slice(const struct json *json, int value) {
    const jsmntok_t *token = &json->token[value];
    return (struct json_slice){json->text + token->start, (size_t)(token->end - token->start)};
}

static int json_compare(const void *a, const void *b) {
    const struct json_slice *x = a, *y = b;
    int order = memcmp(x->text, y->text, x->length < y->length ? x->length : y->length);
    return order ? order : (x->length > y->length) - (x->length < y->length);
}

// Whether the keys within each object differ; keys is scratch with room for all tokens.
static bool json_keys_differ(const struct json *json, struct json_slice *keys) {
    for (int i = 0; i < json->count; i++) {
        if (json->token[i].type != JSMN_OBJECT) {
            continue;
        }
        int size = json->token[i].size;
        for (int k = 0; k < size; k++) {
            keys[k] = json_slice(json, json->child[json->first[i] + k]);
        }
        qsort(keys, (size_t)size, sizeof *keys, json_compare);
        for (int k = 1; k < size; k++) {
            if (json_compare(&keys[k - 1], &keys[k]) == 0) {
                return false;
            }
        }
    }
    return true;
}

// Checks the grammar of a whole text. Returns NULL or what is wrong.
static const char *json_scan_text(struct json_scan *scan) {
    if ((size_t)(scan->end - scan->at) > JSON_LENGTH_MAX) {
        return "JSON longer than 128 MB";
    }
    json_skip_space(scan);
    if (!json_scan_value(scan)) {
        return scan->error;
    }
    json_skip_space(scan);
    if (scan->at != scan->end) {
        return "broken JSON: something follows the value";
    }
    return scan->half ? "JSON with half a surrogate pair in a string" : NULL;
}

const char *json_line(char *text, size_t length, const char *key, char **string,
                      size_t *string_length) {
    struct json_scan scan = {.at = text, .end = text + length, .key = key};
    const char *error = json_scan_text(&scan);
    if (error) {
        return error;
    }
    if (scan.found != 1 || *scan.value.text != '"') {
        return scan.found > 1 ? "JSON with the key twice" : "JSON without a string under the key";
    }
    *string = text + (scan.value.text - text) + 1;
    *string_length = (size_t)json_unescape(*string, (int)scan.value.length - 2, *string);
    return NULL;
}

struct json *json_parse(const char *text, size_t length, const char **error) {
    struct json_scan scan = {.at = text, .end = text + length};
    *error = json_scan_text(&scan);
    if (*error) {
        return NULL;
    }

    size_t count = (size_t)scan.values;
    struct json *json = allocate(1, sizeof *json, "JSON");
    struct json_slice *keys = allocate(count, sizeof *keys, "JSON's keys");
    json->text = text;
    json->count = scan.values;
    json->token = allocate(count, sizeof *json->token, "JSON's values");
    json->next = allocate(3 * count, sizeof *json->next, "JSON's order");
    json->first = json->next + count;
    json->child = json->first + count;
    jsmn_parser parser;
    jsmn_init(&parser);
    if (jsmn_parse(&parser, text, length, json->token, (unsigned)count) != json->count) {
        *error = "JSON that cannot be indexed"; // a bug: jsmn and the grammar above disagree
        goto fail;
    }
    json_link(json);
    json_plain(json, length);
    if (!json_keys_differ(json, keys)) {
        *error = "JSON with a key twice in one object";
        goto fail;
    }
    free(keys);
    return json;
fail:
    free(keys);
    json_free(json);
    return NULL;
}

void json_free(struct json *json) {
    if (json) {
        free(json->plain);
        free(json->token);
        free(json->next); // first and child are in the same allocation
        free(json);
    }
}

// ---- reading ------------------------------------------------------------------------------------

static bool json_is(const struct json *json, int value, jsmntype_t type) {
    return value >= 0 && value < json->count && json->token[value].type == type;
}

bool json_is_object(const struct json *json, int value) {
    return json_is(json, value, JSMN_OBJECT);
}

bool json_is_array(const struct json *json, int value) {
    return json_is(json, value, JSMN_ARRAY);
}

static bool json_is_word(const struct json *json, int value, const char *word) {
    if (!json_is(json, value, JSMN_PRIMITIVE)) {
        return false;
    }
    const struct json_slice slice = json_slice(json, value);
    return slice.length == strlen(word) && !memcmp(slice.text, word, slice.length);
}

bool json_is_null(const struct json *json, int value) {
    return json_is_word(json, value, "null");
}

bool json_is_true(const struct json *json, int value) {
    return json_is_word(json, value, "true");
}

int json_size(const struct json *json) {
    return json->count;
}

int json_count(const struct json *json, int value) {
    bool container = json_is_object(json, value) || json_is_array(json, value);
    return container ? json->token[value].size : 0;
}

int json_element(const struct json *json, int array, int i) {
    bool there = json_is_array(json, array) && i >= 0 && i < json->token[array].size;
    return there ? json->child[json->first[array] + i] : -1;
}

int json_member(const struct json *json, int object, int i, int *value) {
    bool there = json_is_object(json, object) && i >= 0 && i < json->token[object].size;
    int key = there ? json->child[json->first[object] + i] : -1;
    *value = there ? key + 1 : -1;
    return key;
}

int json_get(const struct json *json, int object, const char *key) {
    struct json_slice wanted = {key, strlen(key)};
    int value;
    for (int i = 0, member; (member = json_member(json, object, i, &value)) >= 0; i++) {
        struct json_slice slice = json_slice(json, member);
        if (json_compare(&slice, &wanted) == 0) {
            return value;
        }
    }
    return -1;
}

char *json_string(const struct json *json, int value) {
    if (!json_is(json, value, JSMN_STRING)) {
        return NULL;
    }
    struct json_slice slice = json_slice(json, value);
    return memchr(slice.text, 0, slice.length)
               ? NULL
               : allocate_copy(slice.text, slice.length, "a string of JSON");
}

char *json_bytes(const struct json *json, int value, size_t *length) {
    if (!json_is(json, value, JSMN_STRING)) {
        return NULL;
    }
    struct json_slice slice = json_slice(json, value);
    *length = slice.length;
    return allocate_copy(slice.text, slice.length, "a string of JSON");
}

char *json_word(const struct json *json, int value) {
    if (!json_is(json, value, JSMN_PRIMITIVE)) {
        return NULL;
    }
    const struct json_slice slice = json_slice(json, value);
    return allocate_copy(slice.text, slice.length, "a value of JSON");
}

bool json_integer(const struct json *json, int value, int64_t *out) {
    if (!json_is(json, value, JSMN_PRIMITIVE)) {
        return false;
    }
    struct json_slice slice = json_slice(json, value);
    int64_t sum = 0;
    for (size_t i = 0; i < slice.length; i++) {
        int digit = slice.text[i] - '0';
        if (digit < 0 || digit > 9 || sum > (INT64_MAX - digit) / 10) {
            return false;
        }
        sum = sum * 10 + digit;
    }
    *out = sum;
    return true;
}
