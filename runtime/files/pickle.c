// pickle.c: the vocabulary in nanoGPT's meta.pkl. A pickle is a program of opcodes that may call
// any Python function; this reader knows only those that build a dict of strings and integers, and
// stops at any other. Nothing is executed.
#include "runtime/files/files.h"

#include <stdlib.h>
#include <string.h>

enum {
    PICKLE_MOST_BYTES = 4 << 20, // 65,536 characters take 1.3 MB
    PICKLE_MOST_TOKENS = 65536,  // ids are uint16
    PICKLE_NO_TOKEN = 0x110000,  // above all code points
};

enum pickle_kind { PICKLE_NOTHING, PICKLE_MARK, PICKLE_INTEGER, PICKLE_TEXT, PICKLE_DICT };

struct pickle_value {
    enum pickle_kind kind;
    int64_t number;            // an integer, or the number of a dict
    const unsigned char *text; // in the file's bytes
    size_t length;
};

struct pickle_item {
    int64_t dict;
    struct pickle_value key, value;
};

// An opcode takes at least one byte and adds at most one value, so each array has as many entries
// as the file has bytes.
struct pickle {
    const unsigned char *bytes;
    size_t length, at;
    struct pickle_value *stack, *memo;
    struct pickle_item *items;
    size_t depth, memos, count;
    int64_t dicts;
    bool good; // false after an opcode read past the file's end, the stack or the memo
};

// ---- opcodes ------------------------------------------------------------------------------------

// Reads a little-endian number of `size` bytes.
static uint64_t pickle_number(struct pickle *p, size_t size) {
    if (p->length - p->at < size) {
        p->good = false;
        return 0;
    }
    uint64_t number = 0;
    for (size_t i = 0; i < size; i++) {
        number |= (uint64_t)p->bytes[p->at++] << 8 * i;
    }
    return number;
}

static void pickle_push(struct pickle *p, struct pickle_value value) {
    p->stack[p->depth++] = value;
}

static void pickle_push_integer(struct pickle *p, int64_t number) {
    pickle_push(p, (struct pickle_value){.kind = PICKLE_INTEGER, .number = number});
}

static void pickle_push_text(struct pickle *p, uint64_t length) {
    if (!p->good || length > p->length - p->at) {
        p->good = false;
        return;
    }
    pickle_push(p, (struct pickle_value){
                       .kind = PICKLE_TEXT, .text = p->bytes + p->at, .length = (size_t)length});
    p->at += (size_t)length;
}

static void pickle_remember(struct pickle *p, uint64_t place) {
    if (!p->good || p->depth == 0 || place >= p->length) {
        p->good = false;
        return;
    }
    p->memo[place] = p->stack[p->depth - 1];
}

static void pickle_recall(struct pickle *p, uint64_t place) {
    if (!p->good || place >= p->length || p->memo[place].kind == PICKLE_NOTHING) {
        p->good = false;
        return;
    }
    pickle_push(p, p->memo[place]);
}

// Moves the stack's values from `first` on, as pairs of key and value, into the dict at `below`.
static void pickle_set_items(struct pickle *p, size_t first, size_t below) {
    if (below >= p->depth || first > p->depth || (p->depth - first) % 2 ||
        p->stack[below].kind != PICKLE_DICT) {
        p->good = false;
        return;
    }
    for (size_t i = first; i < p->depth; i += 2) {
        p->items[p->count++] =
            (struct pickle_item){p->stack[below].number, p->stack[i], p->stack[i + 1]};
    }
    p->depth = below + 1;
}

static size_t pickle_last_mark(const struct pickle *p) {
    size_t i = p->depth;
    while (i > 0 && p->stack[i - 1].kind != PICKLE_MARK) {
        i--;
    }
    return i; // the first value after the mark, or 0 without a mark
}

// Interprets one opcode. False if it is not one of those in nanoGPT's files.
static bool pickle_step(struct pickle *p, unsigned char opcode) {
    size_t mark;
    switch (opcode) {
    case 0x80: { // PROTO
        uint64_t protocol = pickle_number(p, 1);
        return protocol >= 2 && protocol <= 5;
    }
    case 0x95: // FRAME
        pickle_number(p, 8);
        return true;
    case '}': // EMPTY_DICT
        pickle_push(p, (struct pickle_value){.kind = PICKLE_DICT, .number = p->dicts++});
        return true;
    case '(': // MARK
        pickle_push(p, (struct pickle_value){.kind = PICKLE_MARK});
        return true;
    case 'K': // BININT1
        pickle_push_integer(p, (int64_t)pickle_number(p, 1));
        return true;
    case 'M': // BININT2
        pickle_push_integer(p, (int64_t)pickle_number(p, 2));
        return true;
    case 'J': // BININT
        pickle_push_integer(p, (int32_t)pickle_number(p, 4));
        return true;
    case 0x8c: // SHORT_BINUNICODE
        pickle_push_text(p, pickle_number(p, 1));
        return true;
    case 'X': // BINUNICODE
        pickle_push_text(p, pickle_number(p, 4));
        return true;
    case 0x94: // MEMOIZE
        pickle_remember(p, p->memos++);
        return true;
    case 'q': // BINPUT
        pickle_remember(p, pickle_number(p, 1));
        return true;
    case 'r': // LONG_BINPUT
        pickle_remember(p, pickle_number(p, 4));
        return true;
    case 'h': // BINGET
        pickle_recall(p, pickle_number(p, 1));
        return true;
    case 'j': // LONG_BINGET
        pickle_recall(p, pickle_number(p, 4));
        return true;
    case 's': // SETITEM
        p->good = p->good && p->depth >= 3;
        if (p->good) {
            pickle_set_items(p, p->depth - 2, p->depth - 3);
        }
        return true;
    case 'u': // SETITEMS
        mark = pickle_last_mark(p);
        p->good = p->good && mark >= 2;
        if (p->good) {
            pickle_set_items(p, mark, mark - 2);
        }
        return true;
    default:
        return false;
    }
}

// Interprets all opcodes; returns the value left on the stack, or NULL with *problem set.
static const struct pickle_value *pickle_run(struct pickle *p, const char **problem) {
    while (p->at < p->length) {
        unsigned char opcode = p->bytes[p->at++];
        if (opcode == '.' && p->depth == 1) { // STOP
            return &p->stack[0];
        }
        if (!pickle_step(p, opcode)) {
            *problem = "holds more than a dict of strings and integers, and nothing else of a "
                       "pickle is read";
            return NULL;
        }
        if (!p->good) {
            break;
        }
    }
    *problem = "is damaged: no pickle that ends as it should";
    return NULL;
}

// ---- the vocabulary -----------------------------------------------------------------------------

static bool pickle_is_word(const struct pickle_value *value, const char *word) {
    return value->kind == PICKLE_TEXT && value->length == strlen(word) &&
           memcmp(value->text, word, value->length) == 0;
}

// The value, of this kind, that a dict has under a name, or NULL.
static const struct pickle_value *pickle_find(const struct pickle *p, int64_t dict,
                                              const char *name, enum pickle_kind kind) {
    for (size_t i = 0; i < p->count; i++) {
        if (p->items[i].dict == dict && pickle_is_word(&p->items[i].key, name)) {
            return p->items[i].value.kind == kind ? &p->items[i].value : NULL;
        }
    }
    return NULL;
}

// Reads an id and its character, of itos or stoi; false if the pair is not one.
static bool pickle_pair(const struct pickle_value *id, const struct pickle_value *text,
                        int64_t size, uint32_t *c) {
    return id->kind == PICKLE_INTEGER && id->number >= 0 && id->number < size &&
           text->kind == PICKLE_TEXT && utf8_decode(text->text, text->length, c) != 0 &&
           utf8_decode(text->text, text->length, c) == (int)text->length;
}

// Fills codepoint (size) from itos, and checks that stoi agrees.
static bool pickle_characters(const struct pickle *p, int64_t itos, int64_t stoi, int64_t size,
                              uint32_t *codepoint, const char **problem) {
    int64_t back = 0;
    uint32_t c;
    for (int64_t i = 0; i < size; i++) {
        codepoint[i] = PICKLE_NO_TOKEN;
    }
    *problem = "its itos is not a character for each id";
    for (size_t i = 0; i < p->count; i++) {
        const struct pickle_item *item = &p->items[i];
        if (item->dict == itos) {
            if (!pickle_pair(&item->key, &item->value, size, &c)) {
                return false;
            }
            codepoint[item->key.number] = c;
        }
    }
    for (int64_t i = 0; i < size; i++) {
        if (codepoint[i] == PICKLE_NO_TOKEN) {
            return false;
        }
        if (i > 0 && codepoint[i] <= codepoint[i - 1]) {
            *problem = "its characters are not numbered in their order";
            return false;
        }
    }
    *problem = "its stoi contradicts its itos";
    for (size_t i = 0; i < p->count; i++) {
        const struct pickle_item *item = &p->items[i];
        if (item->dict == stoi) {
            if (!pickle_pair(&item->value, &item->key, size, &c) ||
                codepoint[item->value.number] != c) {
                return false;
            }
            back++;
        }
    }
    return back == size;
}

// Makes the string "char 0a 20 ..." from the outermost dict.
static char *pickle_string(const struct pickle *p, const struct pickle_value *top,
                           const char **problem) {
    *problem = "is not a dict of vocab_size, itos and stoi";
    if (top->kind != PICKLE_DICT) {
        return NULL;
    }
    const struct pickle_value *size = pickle_find(p, top->number, "vocab_size", PICKLE_INTEGER);
    const struct pickle_value *itos = pickle_find(p, top->number, "itos", PICKLE_DICT);
    const struct pickle_value *stoi = pickle_find(p, top->number, "stoi", PICKLE_DICT);
    if (!size || !itos || !stoi) {
        return NULL;
    }
    if (size->number < 1 || size->number > PICKLE_MOST_TOKENS) {
        *problem = "its vocab_size is not from 1 to 65536";
        return NULL;
    }
    size_t count = (size_t)size->number;
    uint32_t *codepoint = allocate(count, sizeof *codepoint, "the vocabulary");
    char *string = allocate(count + 1, 8, "the vocabulary"), *at = string; // " 10ffff"
    if (pickle_characters(p, itos->number, stoi->number, size->number, codepoint, problem)) {
        at += sprintf(at, "char");
        for (size_t i = 0; i < count; i++) {
            at += sprintf(at, " %02x", (unsigned)codepoint[i]);
        }
        *problem = NULL;
    } else {
        free(string);
        string = NULL;
    }
    free(codepoint);
    return string;
}

char *pickle_tokenizer(const char *bytes, size_t length, const char **problem) {
    if (length > PICKLE_MOST_BYTES) {
        *problem = "is larger than any such file";
        return NULL;
    }
    struct pickle p = {.bytes = (const unsigned char *)bytes, .length = length, .good = true};
    p.stack = allocate(length + 1, sizeof *p.stack, "a pickle");
    p.memo = allocate(length + 1, sizeof *p.memo, "a pickle");
    p.items = allocate(length + 1, sizeof *p.items, "a pickle");
    const struct pickle_value *top = pickle_run(&p, problem);
    char *string = top ? pickle_string(&p, top, problem) : NULL;
    free(p.stack);
    free(p.memo);
    free(p.items);
    return string;
}
