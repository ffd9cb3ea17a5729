// nearest.c: which name was probably meant. gen/base/nearest.lua has the same rule in Lua;
// tests/runtime/nearest_cases.txt holds both to it.
#include "runtime/base/base.h"

#include <ctype.h>
#include <stdlib.h>

enum { MOST_EDITS = 3 };

static bool same_letter(char a, char b) {
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

// Edits (one character inserted, deleted or replaced) that turn a into b: Levenshtein's distance.
static int edits(const char *a, int a_length, const char *b, int b_length) {
    int row[b_length + 1];
    for (int j = 0; j <= b_length; j++) {
        row[j] = j;
    }
    for (int i = 1; i <= a_length; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= b_length; j++) {
            const int replaced = diagonal + !same_letter(a[i - 1], b[j - 1]);
            const int other = 1 + (row[j] < row[j - 1] ? row[j] : row[j - 1]);
            diagonal = row[j];
            row[j] = replaced < other ? replaced : other;
        }
    }
    return row[b_length];
}

struct nearest nearest_to(const char *word, int length) {
    const int third = (length + 2) / 3;
    return (struct nearest){word, length, .edits = (third < MOST_EDITS ? third : MOST_EDITS) + 1};
}

void nearest_try(struct nearest *nearest, const char *name, int length) {
    if (abs(length - nearest->word_length) >= nearest->edits) {
        return; // also of words so long that the row would be
    }
    const int count = edits(nearest->word, nearest->word_length, name, length);
    if (count < nearest->edits) {
        nearest->edits = count;
        nearest->name = name;
        nearest->name_length = length;
    }
}
