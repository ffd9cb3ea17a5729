// pretokenize.c: cuts text into pieces, within which byte-pair encoding merges, as GPT-2 does:
//
//     '(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//
// where \s is Unicode's White_Space. smollm is that of what lies between numbers, each character
// of which is a piece. llama3, and cl100k with it, is
//
//     (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}
//     | ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
//
// and qwen2 the same with \p{N} in place of \p{N}{1,3}. Every byte is in exactly one piece. Needs
// only libc, since the sampler links it.
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

// The length of 's 't 're 've 'm 'll 'd at the start of text, or 0; capitals count where `any`,
// and with them U+017F, the long s.
static size_t pretokenize_contraction(const unsigned char *text, size_t length, bool any) {
    if (length < 2 || text[0] != '\'') {
        return 0;
    }
    unsigned char a = text[1], b = length > 2 ? text[2] : 0;
    if (any && a == 0xc5 && b == 0xbf) {
        return 3;
    }
    a |= any ? 0x20 : 0;
    b |= any ? 0x20 : 0;
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

// gpt2's first piece, and smollm's, where numbers end the text.
static size_t pretokenize_gpt2(const unsigned char *text, size_t length, bool digits) {
    size_t bytes, last = 0, end = pretokenize_contraction(text, length, false);
    if (end > 0) {
        return end;
    }
    enum unicode_kind kind = pretokenize_look(text, length, &bytes);
    if (kind == UNICODE_NUMBER && digits) {
        return bytes;
    }
    if (kind != UNICODE_SPACE) {
        return pretokenize_run(text, length, bytes, kind, &last);
    }
    if (text[0] == ' ' && length > 1) { // a space joins the run after it, unless that is spaces too
        kind = pretokenize_look(text + 1, length - 1, &bytes);
        if (kind != UNICODE_SPACE && !(kind == UNICODE_NUMBER && digits)) {
            return pretokenize_run(text, length, 1 + bytes, kind, &last);
        }
    }
    // All spaces if the text ends there; otherwise all but the last one, or a single one.
    end = pretokenize_run(text, length, 0, UNICODE_SPACE, &last);
    const bool ends = end == length || (digits && pretokenize_look(text + end, length - end,
                                                                   &bytes) == UNICODE_NUMBER);
    return ends || last == 0 ? end : last;
}

static bool pretokenize_is_newline(unsigned char c) {
    return c == '\r' || c == '\n';
}

// llama3's first piece, and qwen2's, whose numbers are single characters.
static size_t pretokenize_llama3(const unsigned char *text, size_t length, int numbers) {
    size_t bytes, more = 0, last = 0, end = pretokenize_contraction(text, length, true);
    if (end > 0) {
        return end;
    }
    const enum unicode_kind kind = pretokenize_look(text, length, &bytes);
    if (kind == UNICODE_LETTER) {
        return pretokenize_run(text, length, bytes, UNICODE_LETTER, &last);
    }
    if (kind == UNICODE_NUMBER) {
        for (end = bytes; --numbers > 0 && end < length; end += bytes) {
            if (pretokenize_look(text + end, length - end, &bytes) != UNICODE_NUMBER) {
                break;
            }
        }
        return end;
    }
    const enum unicode_kind next =
        bytes < length ? pretokenize_look(text + bytes, length - bytes, &more) : UNICODE_SPACE;
    if (next == UNICODE_LETTER && !pretokenize_is_newline(*text)) { // one of anything joins letters
        return pretokenize_run(text, length, bytes + more, UNICODE_LETTER, &last);
    }
    if (kind == UNICODE_OTHER || (*text == ' ' && next == UNICODE_OTHER)) {
        end = pretokenize_run(text, length, bytes, UNICODE_OTHER, &last);
        while (end < length && pretokenize_is_newline(text[end])) {
            end++;
        }
        return end;
    }
    // Spaces up to their last newline, else as GPT-2's.
    end = pretokenize_run(text, length, 0, UNICODE_SPACE, &last);
    for (size_t at = end; at > 0; at--) {
        if (pretokenize_is_newline(text[at - 1])) {
            return at;
        }
    }
    return end == length || last == 0 ? end : last;
}

size_t pretokenize(enum pretokenizer cut, const char *string, size_t length) {
    const unsigned char *text = (const unsigned char *)string;
    switch (cut) {
    case PRETOKENIZER_LLAMA3:
        return pretokenize_llama3(text, length, 3);
    case PRETOKENIZER_QWEN2:
        return pretokenize_llama3(text, length, 1);
    default:
        return pretokenize_gpt2(text, length, cut == PRETOKENIZER_SMOLLM);
    }
}

// A run of letters or of numbers ends a piece whatever surrounds it, and so does what comes before
// white space; newlines may join what is before them. Other places, as that before a letter, may be
// within a contraction. A text of qwen2 may become another one in form C, but not what comes before
// ASCII.
size_t pretokenize_cut(enum pretokenizer cut, const char *string, size_t length, size_t at) {
    const bool joins = cut == PRETOKENIZER_LLAMA3 || cut == PRETOKENIZER_QWEN2;
    const unsigned char *text = (const unsigned char *)string;
    for (; at < length; at++) {
        if ((text[at] & 0xc0) == 0x80 || (cut == PRETOKENIZER_QWEN2 && text[at] >= 0x80)) {
            continue; // within a character
        }
        size_t before = at - 1, bytes, ignored;
        while (before > 0 && at - before < 4 && (text[before] & 0xc0) == 0x80) {
            before--;
        }
        const enum unicode_kind kind = pretokenize_look(text + before, at - before, &bytes);
        const enum unicode_kind next = pretokenize_look(text + at, length - at, &ignored);
        const bool word = kind == UNICODE_LETTER || kind == UNICODE_NUMBER;
        const bool newline = joins && pretokenize_is_newline(text[at]);
        if (bytes == at - before && kind != next &&
            (word || (next == UNICODE_SPACE && kind != UNICODE_SPACE && !newline))) {
            return at;
        }
    }
    return length;
}
