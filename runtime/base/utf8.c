// utf8.c: decodes and encodes UTF-8, and makes valid UTF-8 of bytes that come in pieces.
#include "runtime/base/base.h"

#include <string.h>

int utf8_decode(const unsigned char *text, size_t length, uint32_t *codepoint) {
    if (length == 0) {
        return 0;
    }
    unsigned char first = text[0];
    int bytes = first < 0x80   ? 1
                : first < 0xc2 ? 0 // a continuation byte, or an overlong form
                : first < 0xe0 ? 2
                : first < 0xf0 ? 3
                : first < 0xf5 ? 4
                               : 0; // beyond U+10FFFF
    if (bytes == 0 || (size_t)bytes > length) {
        return 0;
    }
    uint32_t c = bytes == 1 ? first : first & (0x7fu >> bytes);
    for (int i = 1; i < bytes; i++) {
        if ((text[i] & 0xc0) != 0x80) {
            return 0;
        }
        c = c << 6 | (text[i] & 0x3f);
    }
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    if (c < least[bytes] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) {
        return 0;
    }
    *codepoint = c;
    return bytes;
}

int utf8_encode(uint32_t c, char bytes[4]) {
    if (c < 0x80) {
        bytes[0] = (char)c;
        return 1;
    }
    int count = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (int i = count - 1; i > 0; i--) {
        bytes[i] = (char)(0x80 | (c & 0x3f));
        c >>= 6;
    }
    bytes[0] = (char)((0xf00u >> count) | c); // 110xxxxx, 1110xxxx, 11110xxx
    return count;
}

// ---- valid UTF-8 from pieces --------------------------------------------------------------------

// Whether `held` bytes can be the start of a character: returns `held` if so, 0 if not, -1 if they
// are a whole character.
static int utf8_start(const unsigned char *bytes, int held) {
    uint32_t c;
    if (utf8_decode(bytes, (size_t)held, &c) == held) {
        return -1;
    }
    // A start can be completed with continuation bytes: the least or the greatest ones will do.
    for (int last = 0x80; last <= 0xbf; last += 0x3f) {
        unsigned char whole[4] = {(unsigned char)last, (unsigned char)last, (unsigned char)last,
                                  (unsigned char)last};
        memcpy(whole, bytes, (size_t)held);
        if (held < 4 && utf8_decode(whole, 4, &c) > held) {
            return held;
        }
    }
    return 0;
}

size_t utf8_mend(struct utf8_mend *mend, const char *bytes, size_t length, char *text) {
    static const char replacement[3] = {'\xef', '\xbf', '\xbd'}; // U+FFFD
    size_t written = 0;
    for (size_t i = 0; i < length; i++) {
        mend->held[mend->count++] = (unsigned char)bytes[i];
        int start = utf8_start(mend->held, mend->count);
        if (start == 0 && mend->count > 1) { // this byte does not continue the held character
            memcpy(text + written, replacement, sizeof replacement);
            written += sizeof replacement;
            mend->held[0] = (unsigned char)bytes[i];
            mend->count = 1;
            start = utf8_start(mend->held, 1);
        }
        if (start < 0) {
            memcpy(text + written, mend->held, (size_t)mend->count);
            written += (size_t)mend->count;
            mend->count = 0;
        } else if (start == 0) {
            memcpy(text + written, replacement, sizeof replacement);
            written += sizeof replacement;
            mend->count = 0;
        }
    }
    return written;
}

size_t utf8_mend_end(struct utf8_mend *mend, char text[3]) {
    if (mend->count == 0) {
        return 0;
    }
    mend->count = 0;
    memcpy(text, "\xef\xbf\xbd", 3);
    return 3;
}
