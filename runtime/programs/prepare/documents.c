// documents.c: from a unit's documents to tokens. Files are read with pread(), so that one that
// becomes shorter is an error like others, and in parts, so that they may be larger than memory; a
// line of JSON lines has to fit into it.
#include "runtime/programs/prepare/documents.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    LINE_MAX_BYTES = 128 << 20, // as json_line takes
    READ_AHEAD = 1 << 16,       // for the rest of a line
    HASHED = 1 << 20,           // bytes of a document that its hash is of
};

struct documents_reading {
    const struct prepare_documents *documents;
    const struct prepare_input *input;
    struct prepare_result *result;
    int file;
    bool hash_only;
};

__attribute__((format(printf, 3, 4))) static bool
documents_fail(struct prepare_result *result, enum exit_code code, const char *format, ...) {
    char line[4096];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    result->code = code;
    result->error = allocate_copy(line, strlen(line), "a line of text");
    return false;
}

// ---- bytes --------------------------------------------------------------------------------------

static bool documents_changed(const struct documents_reading *r) {
    return documents_fail(
        r->result, EXIT_IO,
        "%s: changed while it was read; when it is whole, the same command goes on",
        r->input->path);
}

// Reads exactly [from, from + count) to the result's bytes at `to`.
static bool documents_read_part(const struct documents_reading *r, uint64_t from, size_t count,
                                size_t to) {
    struct prepare_result *result = r->result;
    if (to + count > result->bytes_room) {
        result->bytes_room = to + count + (to + count) / 4;
        result->bytes =
            allocate_again(result->bytes, result->bytes_room, "a part of the documents");
    }
    while (count > 0) {
        ssize_t got;
        UNINTERRUPTED(got, pread(r->file, result->bytes + to, count, (off_t)from));
        if (got < 0) {
            return documents_fail(result, exit_code_of(errno), "%s: cannot read: %s",
                                  r->input->path, strerror(errno));
        }
        if (got == 0) {
            return documents_changed(r);
        }
        from += (uint64_t)got;
        to += (size_t)got;
        count -= (size_t)got;
    }
    return true;
}

static bool documents_same_file(const struct documents_reading *r) {
    struct stat status;
    int failed;
    UNINTERRUPTED(failed, fstat(r->file, &status));
    return !failed && (uint64_t)status.st_size == r->input->bytes &&
           status.st_mtim.tv_sec == r->input->changed.tv_sec &&
           status.st_mtim.tv_nsec == r->input->changed.tv_nsec;
}

static void documents_add_hash(struct prepare_result *result, const char *bytes, size_t length) {
    const uint64_t both[3] = {result->hash, hash_of(bytes, length), length};
    result->hash = hash_of(both, sizeof both);
}

// The line of a place in a file, counted from 1.
static uint64_t documents_line_of(const struct documents_reading *r, uint64_t place) {
    char block[1 << 14];
    uint64_t line = 1;
    for (uint64_t at = 0; at < place;) {
        const size_t wanted = place - at < sizeof block ? (size_t)(place - at) : sizeof block;
        ssize_t got;
        UNINTERRUPTED(got, pread(r->file, block, wanted, (off_t)at));
        if (got <= 0) {
            break;
        }
        for (ssize_t i = 0; i < got; i++) {
            line += block[i] == '\n';
        }
        at += (uint64_t)got;
    }
    return line;
}

// ---- tokens -------------------------------------------------------------------------------------

static void documents_put(const struct documents_reading *r, int split, const int32_t *ids,
                          size_t count) {
    struct prepare_result *result = r->result;
    const bool wide = tokens_are_wide(r->documents->tokenizer->vocab_size);
    const size_t width = tokens_width(wide), all = result->count[split] + count;
    if (all > result->room[split]) {
        result->room[split] = all * 5 / 4 + 1024;
        result->tokens[split] =
            allocate_again(result->tokens[split], result->room[split] * width, "tokens");
    }
    tokens_pack(ids, count, wide, result->tokens[split] + width * result->count[split]);
    result->count[split] = all;
}

static size_t documents_fold(char *text, size_t length) {
    size_t made = 0;
    for (size_t at = 0; at < length; at++) {
        if (text[at] != '\r') {
            text[made++] = text[at];
        } else if (at + 1 == length || text[at + 1] != '\n') {
            text[made++] = '\n';
        }
    }
    return made;
}

// Encodes text that lies at `place` in the file.
static bool documents_pieces(const struct documents_reading *r, int split, const char *text,
                             size_t length, uint64_t place) {
    struct prepare_result *result = r->result;
    while (length > 0) {
        const size_t piece = pretokenize(r->documents->tokenizer->cut, text, length);
        if (piece > BPE_PIECE_MAX) {
            return documents_fail(
                result, EXIT_DATA,
                "%s:%llu: %zu bytes have no place to break, as a space between words is; "
                "%d at most are taken; is this text?",
                r->input->path, (unsigned long long)documents_line_of(r, place), piece,
                BPE_PIECE_MAX);
        }
        if (piece > result->piece_room) {
            result->piece_room = 2 * piece;
            free(result->piece);
            result->piece =
                allocate(result->piece_room, sizeof *result->piece, "a piece of the text");
        }
        const int64_t count = bpe_encode(r->documents->tokenizer, text, piece, result->piece);
        documents_put(r, split, result->piece, (size_t)count);
        text += piece;
        length -= piece;
    }
    return true;
}

// Encodes a document or a part of one, which lies at `place` in the file.
static bool documents_text(const struct documents_reading *r, int split, char *text, size_t length,
                           uint64_t place) {
    length = r->documents->fold ? documents_fold(text, length) : length;
    if (!bpe_has(r->documents->tokenizer->bpe, BPE_NFC)) {
        return documents_pieces(r, split, text, length, place);
    }
    char *normal = allocate(normalize_room(length), 1, "a document in Unicode's form C");
    length = normalize(text, length, normal);
    const bool good = documents_pieces(r, split, normal, length, place);
    free(normal);
    return good;
}

// Which file the document belongs to: 0 train.bin, 1 val.bin.
static int documents_split_of(const struct documents_reading *r, const char *text, size_t length) {
    const uint64_t hash = hash_of(text, length < HASHED ? length : HASHED);
    r->result->least = hash < r->result->least ? hash : r->result->least;
    return hash < r->documents->val_below;
}

static void documents_end_document(const struct documents_reading *r, int split) {
    const int32_t end = bpe_end_of_text(r->documents->tokenizer->bpe);
    documents_put(r, split, &end, 1);
    r->result->documents[split]++;
}

// ---- JSON lines ---------------------------------------------------------------------------------

static bool documents_is_blank(const char *line, size_t length) {
    for (size_t i = 0; i < length; i++) {
        if (line[i] != ' ' && line[i] != '\t' && line[i] != '\r') {
            return false;
        }
    }
    return true;
}

static bool documents_line(const struct documents_reading *r, char *line, size_t length,
                           uint64_t place) {
    char *text;
    size_t text_length;
    if (documents_is_blank(line, length)) {
        return true;
    }
    const char *error = json_line(line, length, "text", &text, &text_length);
    if (error) {
        return documents_fail(
            r->result, EXIT_DATA,
            "%s:%llu: %s; each line has to be a JSON object with a string \"text\"", r->input->path,
            (unsigned long long)documents_line_of(r, place), error);
    }
    const int split = documents_split_of(r, text, text_length);
    if (!documents_text(r, split, text, text_length, place)) {
        return false;
    }
    documents_end_document(r, split);
    return true;
}

// The lines that begin in [from, to).
static bool documents_lines(const struct documents_reading *r, uint64_t from, uint64_t to) {
    struct prepare_result *result = r->result;
    const uint64_t base = from > 0 ? from - 1 : 0; // where result->bytes begins in the file
    if (!documents_read_part(r, base, (size_t)(to - base), 0)) {
        return false;
    }
    size_t held = (size_t)(to - base), at = 0;
    if (from > 0) {
        const char *end = memchr(result->bytes, '\n', held);
        at = end ? (size_t)(end - result->bytes) + 1 : held;
    }
    // A line that begins at `to` is the next unit's.
    while (base + at < to) {
        const char *end;
        for (size_t looked = at;;) {
            end = memchr(result->bytes + looked, '\n', held - looked);
            looked = held;
            if (end || base + held == r->input->bytes) {
                break;
            }
            if (held - at > LINE_MAX_BYTES) {
                return documents_fail(
                    result, EXIT_DATA,
                    "%s:%llu: a line of more than %d bytes; are these JSON lines?", r->input->path,
                    (unsigned long long)documents_line_of(r, base + at), LINE_MAX_BYTES);
            }
            const uint64_t left = r->input->bytes - base - held, more = held - at + READ_AHEAD;
            const size_t count = (size_t)(left < more ? left : more);
            if (!documents_read_part(r, base + held, count, held)) {
                return false;
            }
            held += count;
        }
        const size_t stop = end ? (size_t)(end - result->bytes) : held;
        documents_add_hash(result, result->bytes + at, stop - at);
        if (!r->hash_only && !documents_line(r, result->bytes + at, stop - at, base + at)) {
            return false;
        }
        at = stop + 1;
    }
    return true;
}

// ---- texts --------------------------------------------------------------------------------------

// The first place at or after `place` where the file's text may be cut. False after a failure.
static bool documents_find_cut(const struct documents_reading *r, uint64_t place, uint64_t *cut) {
    enum { BEFORE = 4, FIRST = 1 << 12, MOST = 4 * BPE_PIECE_MAX };
    const uint64_t bytes = r->input->bytes;
    *cut = place;
    if (place == 0 || place >= bytes) {
        return true;
    }
    const uint64_t base = place > BEFORE ? place - BEFORE : 0;
    for (uint64_t window = FIRST;; window *= 2) {
        const size_t held = (size_t)(bytes - base < window ? bytes - base : window);
        if (!documents_read_part(r, base, held, 0)) {
            return false;
        }
        const size_t at = pretokenize_cut(r->documents->tokenizer->cut, r->result->bytes, held,
                                          (size_t)(place - base));
        *cut = base + at;
        // The character there has to be whole.
        if (at + BEFORE <= held || base + held == bytes) {
            return true;
        }
        if (window >= MOST) {
            return documents_fail(
                r->result, EXIT_DATA,
                "%s:%llu: no place to break, as a space between words is, in %llu bytes; "
                "is this text?",
                r->input->path, (unsigned long long)documents_line_of(r, place),
                (unsigned long long)window);
        }
    }
}

static bool documents_check_utf8(const struct documents_reading *r, uint64_t base, size_t length) {
    const unsigned char *text = (const unsigned char *)r->result->bytes;
    for (size_t at = 0; at < length;) {
        uint32_t c;
        const int count = text[at] < 0x80 ? 1 : utf8_decode(text + at, length - at, &c);
        if (count == 0) {
            return documents_fail(
                r->result, EXIT_DATA,
                "%s:%llu: the byte at offset %llu (0x%02x) is not UTF-8; convert the text "
                "first, with iconv for one, or move it elsewhere",
                r->input->path, (unsigned long long)documents_line_of(r, base + at),
                (unsigned long long)(base + at), text[at]);
        }
        at += (size_t)count;
    }
    return true;
}

// The text between the places to cut that are nearest to `from` and to `to`.
static bool documents_part(const struct documents_reading *r, uint64_t from, uint64_t to) {
    struct prepare_result *result = r->result;
    const uint64_t bytes = r->input->bytes;
    uint64_t begin, end;
    if (!documents_find_cut(r, from, &begin) || !documents_find_cut(r, to, &end)) {
        return false;
    }
    if (begin == bytes && from > 0) {
        return true; // an earlier part has the text's end
    }
    int split = 0;
    if (!r->hash_only) {
        const size_t head = bytes < HASHED ? (size_t)bytes : HASHED;
        if (!documents_read_part(r, 0, head, 0)) {
            return false;
        }
        split = documents_split_of(r, result->bytes, head);
    }
    const size_t length = (size_t)(end - begin);
    if (!documents_read_part(r, begin, length, 0)) {
        return false;
    }
    documents_add_hash(result, result->bytes, length);
    if (r->hash_only) {
        return true;
    }
    if (!documents_check_utf8(r, begin, length) ||
        !documents_text(r, split, result->bytes, length, begin)) {
        return false;
    }
    if (end == bytes) {
        documents_end_document(r, split);
    }
    return true;
}

// ---- a unit -------------------------------------------------------------------------------------

static bool documents_file(const struct prepare_documents *documents,
                           const struct prepare_input *input, uint64_t from, uint64_t to,
                           bool hash_only, struct prepare_result *result) {
    struct documents_reading r = {documents, input, result, -1, hash_only};
    r.file = file_open(input->path, O_RDONLY, NULL);
    if (r.file < 0) {
        return documents_fail(result, errno == ENOENT ? EXIT_MISSING : exit_code_of(errno),
                              "%s: cannot read: %s", input->path, strerror(errno));
    }
    bool good = documents_same_file(&r) || documents_changed(&r);
    good = good && (input->lines ? documents_lines(&r, from, to) : documents_part(&r, from, to));
    good = good && (documents_same_file(&r) || documents_changed(&r));
    close(r.file);
    return good;
}

static void documents_unit(const struct prepare_documents *documents, size_t number, bool hash_only,
                           struct prepare_result *result) {
    const struct prepare_unit *unit = &documents->inputs->unit[number];
    for (int split = 0; split < 2; split++) {
        result->count[split] = 0;
        result->documents[split] = 0;
    }
    result->least = UINT64_MAX;
    result->hash = 0;
    result->code = EXIT_DONE;
    free(result->error);
    result->error = NULL;
    bool good = true;
    for (size_t i = 0; i < unit->files && good; i++) {
        const struct prepare_input *input = &documents->inputs->file[unit->file + i];
        good = documents_file(documents, input, unit->files == 1 ? unit->from : 0,
                              unit->files == 1 ? unit->to : input->bytes, hash_only, result);
    }
}

void prepare_encode(const struct prepare_documents *documents, size_t unit,
                    struct prepare_result *result) {
    documents_unit(documents, unit, false, result);
}

void prepare_hash(const struct prepare_documents *documents, size_t unit,
                  struct prepare_result *result) {
    documents_unit(documents, unit, true, result);
}

void prepare_result_free(struct prepare_result *result) {
    free(result->tokens[0]);
    free(result->tokens[1]);
    free(result->error);
    free(result->bytes);
    free(result->piece);
    *result = (struct prepare_result){0};
}
