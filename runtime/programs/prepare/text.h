// text.h: a text that becomes a data set: mapping it, checking it, and noting what is unusual in
// it.
#ifndef DIECAST_PREPARE_TEXT_H
#define DIECAST_PREPARE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { PREPARE_CODEPOINTS = 0x110000 };

struct prepare_text {
    const char *path;
    const unsigned char *bytes;
    size_t length;
    uint64_t characters;
    size_t *mark; // offset of every 2^20th character (PREPARE_STRIDE), for prepare_offset
    bool *seen;   // (PREPARE_CODEPOINTS): whether the text has this code point
    struct prepare_look {
        uint64_t crlf, cr;    // line ends that are CR LF, and CR alone
        uint64_t controls[2]; // control characters other than line ends, at even and at odd offsets
    } look;
    const void *original; // the mapped file, if bytes is a copy with other line ends; else NULL
};

// Maps the file. Dies 65, 66, 71, 74.
void prepare_map(struct prepare_text *text, const char *path);
_Noreturn void prepare_changed(const struct prepare_text *text);
// First reading: checks that the text is UTF-8, counts its characters and records which ones occur.
void prepare_check(struct prepare_text *text);
// Prints one line about what is unusual in the text, or nothing.
void prepare_note(const struct prepare_text *text, bool fold);
// Replaces the text by a copy with CR LF and CR as LF, which is written to the empty file `out`.
void prepare_fold(struct prepare_text *text, FILE *out, const char *path);
// The offset in bytes of the text's character number `character`.
size_t prepare_offset(const struct prepare_text *text, uint64_t character);
// Unmaps the text. Dies if the file has changed since prepare_map.
void prepare_unmap(struct prepare_text *text);

#endif
