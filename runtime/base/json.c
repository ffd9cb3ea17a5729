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

// ---- the grammar: each function parses one thing at `at` and moves past it, or sets error -------

struct json_scan {
    const char *at, *end;
    int depth, values;
    const char *error; // the first thing wrong, or NULL
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

static bool json_take_hex(struct json_scan *scan) {
    for (int i = 0; i < 4; i++, scan->at++) {
        if (scan->at == scan->end || *scan->at == 0 ||
            !strchr("0123456789abcdefABCDEF", *scan->at)) {
            return false;
        }
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

// Parses the members or elements of an object or array, after its opening bracket.
static bool json_scan_members(struct json_scan *scan, char close) {
    json_skip_space(scan);
    if (json_take(scan, close)) {
        return true;
    }
    do {
        json_skip_space(scan);
        if (close == '}') {
            if (!json_scan_string(scan)) {
                return false;
            }
            json_skip_space(scan);
            if (!json_take(scan, ':')) {
                return json_fail(scan, "broken JSON: a ':' is wanted after a key");
            }
            json_skip_space(scan);
        }
        if (!json_scan_value(scan)) {
            return false;
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

// The value of four hexadecimal digits, or -1.
static int json_hex(const char *text, int length) {
    char digits[5] = {0};
    if (length < 4) {
        return -1;
    }
    memcpy(digits, text, 4);
    return strspn(digits, "0123456789abcdefABCDEF") == 4 ? (int)strtol(digits, NULL, 16) : -1;
}

int json_unescape(const char *text, int length, char *out) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    int made = 0;
    for (int i = 0; i < length;) {
        if (text[i] != '\\' || i + 1 == length) {
            out[made++] = text[i++];
            continue;
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

// Unescapes all strings in a copy of the text, if any has an escape. False if one escapes half a
// surrogate pair.
static bool json_plain(struct json *json, size_t length) {
    if (!memchr(json->text, '\\', length)) {
        return true;
    }
    json->text = json->plain = allocate_copy(json->text, length, "JSON with escapes");
    for (int i = 0; i < json->count; i++) {
        jsmntok_t *token = &json->token[i];
        if (token->type == JSMN_STRING) {
            char *at = json->plain + token->start;
            int made = json_unescape(at, token->end - token->start, at);
            if (made < 0) {
                return false;
            }
            token->end = token->start + made;
        }
    }
    return true;
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

struct json_slice {
    const char *text;
    size_t length;
};

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

struct json *json_parse(const char *text, size_t length, const char **error) {
    struct json_scan scan = {.at = text, .end = text + length};
    if (length > JSON_LENGTH_MAX) {
        *error = "JSON longer than 128 MB";
        return NULL;
    }
    json_skip_space(&scan);
    if (!json_scan_value(&scan)) {
        *error = scan.error;
        return NULL;
    }
    json_skip_space(&scan);
    if (scan.at != scan.end) {
        *error = "broken JSON: something follows the value";
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
    if (!json_plain(json, length)) {
        *error = "JSON with half a surrogate pair in a string";
        goto fail;
    }
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
