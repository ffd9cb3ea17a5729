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
