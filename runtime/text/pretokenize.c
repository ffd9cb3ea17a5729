// pretokenize.c: cuts text into pieces, within which byte-pair encoding merges, as GPT-2 does:
//
//     '(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//
// where \s is Unicode's White_Space. Every byte is in exactly one piece. Needs only libc, since the
// sampler links it.
#include "runtime/text/text.h"
#include "runtime/base/base.h"
#include "runtime/text/unicode.h"

static enum unicode_kind pretokenize_kind(uint32_t c) {
    uint32_t key = c << 2 | 3;
    size_t low = 0, high = sizeof unicode_runs / sizeof *unicode_runs; // the first run starts at 0
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (unicode_runs[middle] <= key) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return unicode_runs[low] & 3;
}

// The kind of text's first character, and its length in bytes. An invalid byte counts as a
// character, so that loops end even if a caller did not check the text.
static enum unicode_kind pretokenize_look(const unsigned char *text, size_t length, size_t *bytes) {
    *bytes = 1;
    if (*text < 0x80) {
        return unicode_ascii[*text];
    }
    uint32_t c;
    int got = utf8_decode(text, length, &c);
    if (got == 0) {
        return UNICODE_OTHER;
    }
    *bytes = (size_t)got;
    return pretokenize_kind(c);
}

// The length of 's 't 're 've 'm 'll 'd at the start of text, or 0.
static size_t pretokenize_contraction(const unsigned char *text, size_t length) {
    if (length < 2 || text[0] != '\'') {
        return 0;
    }
    unsigned char a = text[1], b = length > 2 ? text[2] : 0;
    if (a == 's' || a == 'd' || a == 'm' || a == 't') {
        return 2;
    }
    bool two = (a == 'l' && b == 'l') || (a == 'v' && b == 'e') || (a == 'r' && b == 'e');
    return two ? 3 : 0;
}

// The end of a run of one kind of character, continued from `at`; *last: where its last one starts.
static size_t pretokenize_run(const unsigned char *text, size_t length, size_t at,
                              enum unicode_kind kind, size_t *last) {
    size_t bytes;
    while (at < length && pretokenize_look(text + at, length - at, &bytes) == kind) {
        *last = at;
        at += bytes;
    }
    return at;
}

size_t pretokenize(const char *string, size_t length) {
    const unsigned char *text = (const unsigned char *)string;
    size_t bytes, last = 0, end = pretokenize_contraction(text, length);
    if (end > 0) {
        return end;
    }
    enum unicode_kind kind = pretokenize_look(text, length, &bytes);
    if (kind != UNICODE_SPACE) {
        return pretokenize_run(text, length, bytes, kind, &last);
    }
    if (text[0] == ' ' && length > 1) { // a space joins the run after it, unless that is spaces too
        kind = pretokenize_look(text + 1, length - 1, &bytes);
        if (kind != UNICODE_SPACE) {
            return pretokenize_run(text, length, 1 + bytes, kind, &last);
        }
    }
    // All spaces if the text ends there; otherwise all but the last one, or a single one.
    end = pretokenize_run(text, length, 0, UNICODE_SPACE, &last);
    return end == length || last == 0 ? end : last;
}

// A run of letters or of numbers ends a piece whatever surrounds it, and so does what comes before
// white space. Other places, as that before a letter, may be within a contraction.
size_t pretokenize_cut(const char *string, size_t length, size_t at) {
    const unsigned char *text = (const unsigned char *)string;
    for (; at < length; at++) {
        if ((text[at] & 0xc0) == 0x80) {
            continue; // within a character
        }
        size_t before = at - 1, bytes, ignored;
        while (before > 0 && at - before < 4 && (text[before] & 0xc0) == 0x80) {
            before--;
        }
        const enum unicode_kind kind = pretokenize_look(text + before, at - before, &bytes);
        const enum unicode_kind next = pretokenize_look(text + at, length - at, &ignored);
        const bool word = kind == UNICODE_LETTER || kind == UNICODE_NUMBER;
        if (bytes == at - before && kind != next &&
            (word || (next == UNICODE_SPACE && kind != UNICODE_SPACE))) {
            return at;
        }
    }
    return length;
}
