// text.h: a text that becomes a data set: mapped, checked, and what is unusual in it.
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
    size_t *mark; // where each of many characters starts, for prepare_offset
    bool *seen;   // (PREPARE_CODEPOINTS)
    struct prepare_look {
        uint64_t crlf, cr; // line ends that are CR LF, and CR alone
        uint64_t
            controls[2]; // control characters that end no line, at even offsets and at odd ones
    } look;
    const void *original; // the file, where bytes are a copy of other line ends
};

// Dies 65, 66, 71, 74.
void prepare_map(struct prepare_text *text, const char *path);
_Noreturn void prepare_changed(const struct prepare_text *text);
// First reading: checks that it is UTF-8, counts its characters and remembers which there are.
void prepare_check(struct prepare_text *text);
// One line of what a person may not know of the text; nothing where there is nothing.
void prepare_note(const struct prepare_text *text, bool fold);
// Reads CR LF and CR as LF from here on: a copy of the text, written to an empty file.
void prepare_fold(struct prepare_text *text, FILE *out, const char *path);
// Where in the text its character number `character` starts.
size_t prepare_offset(const struct prepare_text *text, uint64_t character);
// Dies where the file has changed since prepare_map.
void prepare_unmap(struct prepare_text *text);

#endif
