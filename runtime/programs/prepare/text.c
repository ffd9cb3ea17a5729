// text.c: the text of a data set, memory-mapped and checked.
#include "runtime/programs/prepare/text.h"
#include "runtime/files/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PREPARE_STRIDE = 1 << 20 }; // characters between two marks

void prepare_map(struct prepare_text *text, const char *path) {
    struct stat status;
    text->path = path;
    int fd = file_open(path, O_RDONLY | O_NONBLOCK, &status); // opening a pipe must not block
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR)) {
        die(EXIT_MISSING, "%s: is not there; put a UTF-8 text in its place", path);
    }
    if (fd < 0) {
        die(exit_code_of(errno), "%s: cannot read: %s", path, strerror(errno));
    }
    if (!S_ISREG(status.st_mode)) {
        die(EXIT_DATA, "%s: is not a regular file; a UTF-8 text is wanted", path);
    }
    if (status.st_size == 0) {
        die(EXIT_DATA, "%s: is empty; a UTF-8 text is wanted", path);
    }
    text->length = (size_t)status.st_size;
    text->bytes = mapped_open(fd, text->length, path);
    text->original = text->bytes;
}

_Noreturn void prepare_changed(const struct prepare_text *text) {
    die(EXIT_IO, "%s: changed while it was read; start again", text->path);
}

static void prepare_mark(struct prepare_text *text, size_t at) {
    size_t marks = text->characters / PREPARE_STRIDE;
    if ((marks & (marks - 1)) == 0) { // at each power of two the array is full
        text->mark = allocate_again(text->mark, (marks ? 2 * marks : 1) * sizeof *text->mark,
                                    "where the text's characters lie");
    }
    text->mark[marks] = at;
}

_Noreturn static void prepare_no_utf8(const struct prepare_text *text, uint64_t line, size_t at) {
    static const unsigned char marks[2][2] = {{0xff, 0xfe}, {0xfe, 0xff}};
    if (at == 0 && text->length > 1 &&
        (!memcmp(text->bytes, marks[0], 2) || !memcmp(text->bytes, marks[1], 2))) {
        die(EXIT_DATA, "%s: is UTF-16; convert it first: iconv -f UTF-16 -t UTF-8", text->path);
    }
    die(EXIT_DATA,
        "%s:%llu: the byte at offset %zu (0x%02x) is not UTF-8; convert the text first, with iconv "
        "for one",
        text->path, (unsigned long long)line, at, text->bytes[at]);
}

void prepare_check(struct prepare_text *text) {
    text->seen = allocate(PREPARE_CODEPOINTS, sizeof *text->seen, "the text's characters");
    uint64_t line = 1;
    for (size_t at = 0; at < text->length; text->characters++) {
        uint32_t c;
        int bytes = utf8_decode(text->bytes + at, text->length - at, &c);
        if (bytes == 0) {
            prepare_no_utf8(text, line, at);
        }
        if (text->characters % PREPARE_STRIDE == 0) {
            prepare_mark(text, at);
        }
        line += c == '\n';
        if (c == '\r') {
            bool crlf = at + 1 < text->length && text->bytes[at + 1] == '\n';
            *(crlf ? &text->look.crlf : &text->look.cr) += 1;
        }
        text->look.controls[at % 2] += c < 0x20 && c != '\t' && c != '\n' && c != '\r';
        text->seen[c] = true;
        at += (size_t)bytes;
    }
    if (text->characters < 2) {
        die(EXIT_DATA, "%s: has a single character; two at least are wanted, one for each split",
            text->path);
    }
}

// Recognises UTF-16 without a byte order mark, which can be valid UTF-8 too if it is all of one
// alphabet: one of each character's two bytes is then the same control character. Returns the
// encoding's name, or NULL.
static const char *prepare_utf16(const struct prepare_text *text) {
    for (int odd = 0; odd < 2; odd++) {
        uint64_t half = text->length / 2;
        if (2 * text->look.controls[odd] > half &&
            2 * text->look.controls[!odd] < text->look.controls[odd]) {
            return odd ? "UTF-16LE" : "UTF-16BE";
        }
    }
    return NULL;
}

void prepare_note(const struct prepare_text *text, bool fold) {
    const char *order = prepare_utf16(text), *join = "";
    const struct prepare_look *look = &text->look;
    bool mark = text->length >= 3 && !memcmp(text->bytes, "\xef\xbb\xbf", 3);
    bool ends = look->crlf + look->cr > 0 && !order;
    if (!mark && !ends && !order) {
        return;
    }
    printf("%s: note: ", text->path);
    if (mark) {
        printf("it begins with a byte order mark, U+FEFF, which is a character here");
        join = "; ";
    }
    if (ends) {
        printf(
            "%s%llu line ends are CR LF and %llu are CR, %s", join, (unsigned long long)look->crlf,
            (unsigned long long)look->cr,
            fold ? "read as LF"
                 : "kept as they are; nanoGPT's Python reads them as LF, and so does NEWLINES=lf");
        join = "; ";
    }
    if (order) {
        printf("%sit looks like %s, and is taken as it is; iconv -f %s -t UTF-8 converts it", join,
               order, order);
    }
    printf("\n");
}

void prepare_fold(struct prepare_text *text, FILE *out, const char *path) {
    for (size_t at = 0; at < text->length; at++) {
        int c = text->bytes[at];
        if (c == '\r' && at + 1 < text->length && text->bytes[at + 1] == '\n') {
            continue;
        }
        putc(c == '\r' ? '\n' : c, out);
    }
    const long length = fflush(out) || ferror(out) ? -1 : ftell(out);
    if (length < 0) {
        die(exit_code_of(errno), "%s: cannot write: %s", path, strerror(errno));
    }
    int fd = file_open(path, O_RDONLY, NULL);
    if (fd < 0) {
        die(exit_code_of(errno), "%s: cannot read: %s", path, strerror(errno));
    }
    text->length = (size_t)length;
    text->bytes = mapped_open(fd, text->length, path);
    text->characters = 0;
    free(text->mark);
    free(text->seen);
    text->mark = NULL;
    prepare_check(text);
}

size_t prepare_offset(const struct prepare_text *text, uint64_t character) {
    size_t at = text->mark[character / PREPARE_STRIDE];
    for (uint64_t i = character % PREPARE_STRIDE; i > 0; i--) {
        uint32_t c;
        int bytes = utf8_decode(text->bytes + at, text->length - at, &c);
        if (bytes == 0) {
            prepare_changed(text);
        }
        at += (size_t)bytes;
    }
    return at;
}

void prepare_unmap(struct prepare_text *text) {
    if (!mapped_same(text->original)) {
        prepare_changed(text);
    }
    if (text->original != text->bytes) {
        mapped_close(text->original);
    }
    mapped_close(text->bytes);
    free(text->mark);
    free(text->seen);
}
