// pairs.c: settings as text, "key=value key=value ...", with no spaces in values: the baked keys of
// a trainer, the run keys of a run.
#include "runtime/base/base.h"

#include <string.h>

const char pairs_nothing[] = "nothing";

bool pairs_next(const char **text, struct pair *pair) {
    const char *s = *text + strspn(*text, " ");
    int length = (int)strcspn(s, " ");
    *text = s + length;
    if (length == 0) {
        return false;
    }
    const char *equals = memchr(s, '=', (size_t)length);
    pair->key = s;
    pair->key_length = equals ? (int)(equals - s) : length;
    pair->value = equals ? equals + 1 : s + length;
    pair->value_length = (int)(s + length - pair->value);
    return true;
}

bool pairs_find(const char *text, const char *key, int key_length, struct pair *pair) {
    while (pairs_next(&text, pair)) {
        if (pair->key_length == key_length && !memcmp(pair->key, key, (size_t)key_length)) {
            return true;
        }
    }
    *pair = (struct pair){key, pairs_nothing, key_length, (int)strlen(pairs_nothing)};
    return false;
}
