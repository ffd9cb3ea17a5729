// keys.c: the schema of keys (gen/config/keys.lua), and in which keys two texts differ.
#include "runtime/files/files.h"

#include <string.h>

static const struct key keys[] = {
#define KEY(name, changes, shape, absent) {#name, KEY_##changes, shape, absent},
#include "run_keys.h"
#undef KEY
};

const struct key *key_find(const char *name, int length) {
    static const struct key unknown = {"", KEY_results, false, NULL};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        if ((int)strlen(keys[i].name) == length && !memcmp(keys[i].name, name, (size_t)length)) {
            return &keys[i];
        }
    }
    return &unknown;
}

bool key_is_absent(const char *name, const char *value) {
    const char *absent = key_find(name, (int)strlen(name))->absent;
    return absent && !strcmp(absent, value);
}

// Finds the key of `other` in a text. If the text lacks it, returns false and *pair is the key's
// `absent`, or pairs_nothing.
static bool keys_look_up(const char *text, const struct pair *other, struct pair *pair) {
    if (pairs_find(text, other->key, other->key_length, pair)) {
        return true;
    }
    const char *absent = key_find(other->key, other->key_length)->absent;
    if (absent) {
        pair->value = absent;
        pair->value_length = (int)strlen(absent);
    }
    return false;
}

static bool keys_are_same(const struct pair *a, const struct pair *b) {
    return a->value_length == b->value_length &&
           !memcmp(a->value, b->value, (size_t)a->value_length);
}

int keys_compare(const char *then, const char *now,
                 void (*differ)(void *context, const struct pair *then, const struct pair *now),
                 void *context) {
    int count = 0;
    struct pair ours, theirs;
    for (const char *rest = now; pairs_next(&rest, &ours);) {
        bool found = keys_look_up(then, &ours, &theirs);
        if ((!found && theirs.value == pairs_nothing) || !keys_are_same(&ours, &theirs)) {
            differ(context, &theirs, &ours);
            count++;
        }
    }
    for (const char *rest = then; pairs_next(&rest, &theirs);) {
        bool found = keys_look_up(now, &theirs, &ours);
        if (!found && (ours.value == pairs_nothing || !keys_are_same(&ours, &theirs))) {
            differ(context, &theirs, &ours);
            count++;
        }
    }
    return count;
}
