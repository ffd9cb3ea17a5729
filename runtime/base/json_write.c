// json_write.c: values as JSON text (RFC 8259), valid whatever bytes a string holds.
#include "runtime/base/base.h"

#include <math.h>

void json_write_string(FILE *out, const char *text, size_t length) {
    static const char replacement[] = "\xef\xbf\xbd"; // U+FFFD
    putc('"', out);
    for (size_t at = 0; at < length;) {
        unsigned char c = (unsigned char)text[at];
        uint32_t codepoint;
        int bytes = utf8_decode((const unsigned char *)text + at, length - at, &codepoint);
        if (c == '"' || c == '\\') {
            fprintf(out, "\\%c", c);
        } else if (c < 0x20 || c == 0x7f) {
            fprintf(out, "\\u%04x", c);
        } else if (bytes == 0) {
            fputs(replacement, out);
        } else {
            fwrite(text + at, 1, (size_t)bytes, out);
        }
        at += bytes ? (size_t)bytes : 1;
    }
    putc('"', out);
}

void json_write_number(FILE *out, double x) {
    if (isfinite(x)) {
        fprintf(out, "%.9g", x);
    } else {
        fputs("null", out);
    }
}
