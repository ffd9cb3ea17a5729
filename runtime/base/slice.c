// slice.c: parts of a text, or of a file in memory, that have no zero behind them.
#include "runtime/base/base.h"

#include <string.h>

bool slice_is(struct slice slice, const char *text) {
    return slice.length == strlen(text) && !memcmp(slice.text, text, slice.length);
}

int slice_compare(const void *a, const void *b) {
    const struct slice *x = a, *y = b;
    const size_t least = x->length < y->length ? x->length : y->length;
    const int order = least ? memcmp(x->text, y->text, least) : 0;
    return order ? order : (x->length > y->length) - (x->length < y->length);
}

void slice_show(struct slice slice, size_t most, char *shown) {
    const unsigned char *c = (const unsigned char *)slice.text;
    size_t i = 0;
    for (; i < slice.length && i < most; i++) {
        // The second byte of U+0080 to U+009F is the one that a terminal would act on.
        const bool wide = i > 0 && c[i - 1] == 0xc2 && c[i] >= 0x80 && c[i] < 0xa0;
        if (wide) {
            shown[i - 1] = '?';
        }
        shown[i] = (char)(c[i] < 0x20 || c[i] == 0x7f || wide ? '?' : c[i]);
    }
    strcpy(shown + i, i < slice.length ? "..." : "");
}
