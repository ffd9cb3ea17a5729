// utf8.c: UTF-8 against Unicode's table 3-7 (well-formed byte sequences): the same characters, and
// the same U+FFFD for each maximal part of an ill-formed sequence, however the bytes come in
// pieces. The first byte says how the rest is cut.
#include "tests/torture/fuzz/support/fuzz.h"

// A row of the table: the first byte, the second byte, and how many bytes there are.
static const struct row {
    uint8_t first, last, second, second_last;
    int count;
} rows[] = {
    {0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
    {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
    {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
};

// The length of the character at the start, or minus that of the maximal part that is ill-formed.
static int reference(const uint8_t *bytes, size_t length, uint32_t *codepoint) {
    const struct row *row = rows, *end = rows + sizeof rows / sizeof *rows;
    while (row < end && (bytes[0] < row->first || bytes[0] > row->last)) {
        row++;
    }
    if (row == end) {
        return -1;
    }
    static const uint8_t bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    *codepoint = bytes[0] & bits[row->count];
    for (int i = 1; i < row->count; i++) {
        uint8_t least = i == 1 ? row->second : 0x80, most = i == 1 ? row->second_last : 0xbf;
        if ((size_t)i == length || bytes[i] < least || bytes[i] > most) {
            return -i;
        }
        *codepoint = *codepoint * 64 + bytes[i] % 64;
    }
    return row->count;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t input_length) {
    if (input_length == 0) {
        return 0;
    }
    const uint8_t *bytes = input + 1;
    size_t length = input_length - 1, wanted = 0, made = 0;
    char *whole = malloc(3 * length + 3), *mended = malloc(3 * (length + 1) * 2 + 3);
    FUZZ_MUST(whole && mended);
    for (size_t at = 0; at < length;) {
        uint32_t ours = 0, theirs = 0;
        char again[4];
        int count = reference(bytes + at, length - at, &theirs);
        FUZZ_MUST(utf8_decode(bytes + at, length - at, &ours) == (count > 0 ? count : 0));
        if (count > 0) {
            FUZZ_MUST(ours == theirs && utf8_encode(ours, again) == count);
            FUZZ_MUST(!memcmp(again, bytes + at, (size_t)count));
            memcpy(whole + wanted, bytes + at, (size_t)count);
            wanted += (size_t)count;
        } else {
            memcpy(whole + wanted, "\xef\xbf\xbd", 3);
            wanted += 3;
        }
        at += (size_t)abs(count);
    }

    struct utf8_mend mend = {0};
    uint32_t cut = input[0];
    for (size_t at = 0; at < length;) {
        cut = cut * 1103515245 + 12345;
        size_t piece = input[0] == 0 ? length : cut >> 16 & 3;
        piece = piece < length - at ? piece : length - at;
        // A buffer of the size that the header promises to be enough.
        char *out = malloc(3 * (piece + 1));
        FUZZ_MUST(out != NULL);
        size_t got = utf8_mend(&mend, (const char *)bytes + at, piece, out);
        FUZZ_MUST(got <= 3 * (piece + 1) && made + got <= wanted);
        memcpy(mended + made, out, got);
        made += got;
        at += piece;
        free(out);
    }
    made += utf8_mend_end(&mend, mended + made);
    FUZZ_MUST(made == wanted && !memcmp(mended, whole, made));
    free(whole);
    free(mended);
    return 0;
}
