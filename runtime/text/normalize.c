// normalize.c: Unicode's form C, which some tokenizers bring texts into first: characters and marks
// that are one letter become one character. Needs only libc, since the sampler links it.
//
// A stretch that may change is decomposed, its marks are put in the order of their classes, and
// what composes is composed. It ends before a character below U+0300: those compose with nothing
// before them, and two of them in a row are what they are. So most text is copied.
#include "runtime/base/base.h"
#include "runtime/text/composition.h"
#include "runtime/text/text.h"

#include <stdlib.h>
#include <string.h>

enum { // of Korean syllables, which no table has
    HANGUL_FIRST = 0xac00,
    HANGUL_L = 0x1100,
    HANGUL_V = 0x1161,
    HANGUL_T = 0x11a7,
    HANGUL_LS = 19,
    HANGUL_VS = 21,
    HANGUL_TS = 28,
    HANGUL_COUNT = HANGUL_LS * HANGUL_VS * HANGUL_TS,
};

struct normalize {
    uint32_t *code, *spare; // (room): a stretch's code points
    size_t count, room;
};

// The last place of a rising table whose value is at most `value`; the first one is.
#define NORMALIZE_SEARCH(table, value_of, value, place)                                            \
    size_t place = 0;                                                                              \
    for (size_t high = sizeof table / sizeof *table; high - place > 1;) {                          \
        const size_t middle = place + (high - place) / 2;                                          \
        *(value_of(table[middle]) <= (value) ? &place : &high) = middle;                           \
    }

#define NORMALIZE_ITSELF(entry) (entry)
#define NORMALIZE_CODE(entry) ((entry) >> 36)
#define NORMALIZE_PARTS(entry) (composition_parts[entry] & ((UINT64_C(1) << 36) - 1))

static uint32_t normalize_class(uint32_t c) {
    NORMALIZE_SEARCH(composition_classes, NORMALIZE_ITSELF, c << 8 | 0xff, at)
    return composition_classes[at] & 0xff;
}

// Appends a code point's decomposition.
static void normalize_decompose(struct normalize *n, uint32_t c) {
    if (c >= HANGUL_FIRST && c < HANGUL_FIRST + HANGUL_COUNT) {
        const uint32_t syllable = c - HANGUL_FIRST, last = syllable % HANGUL_TS;
        n->code[n->count++] = HANGUL_L + syllable / (HANGUL_VS * HANGUL_TS);
        n->code[n->count++] = HANGUL_V + syllable % (HANGUL_VS * HANGUL_TS) / HANGUL_TS;
        n->code[n->count] = HANGUL_T + last;
        n->count += last > 0;
        return;
    }
    NORMALIZE_SEARCH(composition_parts, NORMALIZE_CODE, c, at)
    if (NORMALIZE_CODE(composition_parts[at]) != c) {
        n->code[n->count++] = c;
        return;
    }
    const uint32_t first = composition_parts[at] >> 18 & 0x3ffff;
    const uint32_t second = composition_parts[at] & 0x3ffff;
    normalize_decompose(n, first); // a few deep
    if (second) {
        n->code[n->count++] = second; // which has no parts
    }
}

// The code point that two compose into, or 0.
static uint32_t normalize_pair(uint32_t first, uint32_t second) {
    if (first - HANGUL_L < HANGUL_LS && second - HANGUL_V < HANGUL_VS) {
        return HANGUL_FIRST +
               ((first - HANGUL_L) * HANGUL_VS + second - HANGUL_V) * (uint32_t)HANGUL_TS;
    }
    if (first - HANGUL_FIRST < HANGUL_COUNT && (first - HANGUL_FIRST) % HANGUL_TS == 0 &&
        second > HANGUL_T && second < HANGUL_T + HANGUL_TS) {
        return first + second - HANGUL_T;
    }
    if (second > 0x3ffff) { // beyond what the table's parts are
        return 0;
    }
    const uint64_t wanted = (uint64_t)first << 18 | second;
    NORMALIZE_SEARCH(composition_pairs, NORMALIZE_PARTS, wanted, at)
    const uint16_t place = composition_pairs[at];
    return NORMALIZE_PARTS(place) == wanted ? (uint32_t)NORMALIZE_CODE(composition_parts[place])
                                            : 0;
}

// Puts marks in the order of their classes, those of one class as they were: counted, so that a
// text of marks alone takes no longer.
static void normalize_order(struct normalize *n, size_t from, size_t to) {
    size_t start[257] = {0};
    for (size_t i = from; i < to; i++) {
        start[normalize_class(n->code[i]) + 1]++;
    }
    for (int class = 0; class < 256; class ++) {
        start[class + 1] += start[class];
    }
    for (size_t i = from; i < to; i++) {
        n->spare[start[normalize_class(n->code[i])]++] = n->code[i];
    }
    memcpy(n->code + from, n->spare, (to - from) * sizeof *n->code);
}

static void normalize_order_all(struct normalize *n) {
    for (size_t from = 0, to; from < n->count; from = to) {
        to = from + 1;
        if (normalize_class(n->code[from])) {
            while (to < n->count && normalize_class(n->code[to])) {
                to++;
            }
            if (to - from > 1) {
                normalize_order(n, from, to);
            }
        }
    }
}

static void normalize_compose(struct normalize *n) {
    size_t kept = 0, first = 0;   // the last one that marks may join
    uint32_t before = UINT32_MAX; // the class of the last one kept; none joins before the first
    for (size_t i = 0; i < n->count; i++) {
        const uint32_t c = n->code[i], class = normalize_class(c);
        // One that stands right behind, or behind marks of lower classes alone.
        const bool reaches = before == 0 || (before != UINT32_MAX && before < class);
        const uint32_t both = reaches ? normalize_pair(n->code[first], c) : 0;
        if (both) {
            n->code[first] = both;
            continue;
        }
        if (class == 0) {
            first = kept;
        }
        before = class == 0 || before != UINT32_MAX ? class : UINT32_MAX;
        n->code[kept++] = c;
    }
    n->count = kept;
}

// Whether a character at or above U+0300 begins with this byte.
static bool normalize_is_high(char byte) {
    return (unsigned char)byte >= 0xcc;
}

// The bytes from `at` on up to the next character that begins.
static size_t normalize_next(const char *text, size_t length, size_t at) {
    for (at++; at < length && ((unsigned char)text[at] & 0xc0) == 0x80; at++) {
    }
    return at;
}

static size_t normalize_stretch(struct normalize *n, const char *text, size_t length, char *out) {
    if (2 * length > n->room) { // a byte has two code points at most
        n->room = 2 * length;
        free(n->code);
        n->code = allocate(n->room, 2 * sizeof *n->code, "a text in Unicode's form C");
        n->spare = n->code + n->room;
    }
    n->count = 0;
    for (size_t at = 0; at < length;) {
        uint32_t c;
        const int bytes = utf8_decode((const unsigned char *)text + at, length - at, &c);
        normalize_decompose(n, bytes ? c : 0xfffd);
        at += bytes ? (size_t)bytes : 1;
    }
    normalize_order_all(n);
    normalize_compose(n);
    size_t used = 0;
    for (size_t i = 0; i < n->count; i++) {
        used += (size_t)utf8_encode(n->code[i], out + used);
    }
    return used;
}

size_t normalize_room(size_t length) {
    return 3 * length + 1;
}

size_t normalize(const char *text, size_t length, char *out) {
    struct normalize n = {0};
    size_t used = 0;
    for (size_t at = 0; at < length;) {
        size_t end = normalize_next(text, length, at);
        const bool high = normalize_is_high(text[at]);
        if (!high && (end == length || !normalize_is_high(text[end]))) {
            memcpy(out + used, text + at, end - at);
            used += end - at;
            at = end;
            continue;
        }
        while (end < length && normalize_is_high(text[end])) {
            end = normalize_next(text, length, end);
        }
        used += normalize_stretch(&n, text + at, end - at, out + used);
        at = end;
    }
    free(n.code);
    return used;
}
