// gguf.c: a strict reader of GGUF files, in which llama.cpp keeps models, of versions 2 and 3:
//
//     "GGUF", version (4 bytes), count of tensors (8), count of pairs (8)
//     the pairs       key, type (4), value
//     the tensors     name, count of dimensions (4), dimensions (8 each, the row's length first),
//                     type (4), offset in the data (8)
//     the data        from the next multiple of the alignment on; each tensor begins at one
//
// A text is its length (8) and its bytes; a list is its items' type (4), their count (8), the
// items. gguf_model.c says what a GPT-2's pairs and names mean.
#include "runtime/files/files.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "GGUF files are little-endian");

enum {
    GGUF_PAIR_LEAST = 8 + 4 + 1,       // bytes in a pair at least
    GGUF_TENSOR_LEAST = 8 + 4 + 4 + 8, // bytes in a tensor's entry at least
    GGUF_ALIGNMENT = 32,               // where the file does not say
};

// ggml's types of numbers: a block is some neighbours in a row, stored in so many bytes.
static const struct gguf_type {
    const char *name;
    uint32_t block, bytes;
} gguf_types[] = {
    [0] = {"F32", 1, 4},         [1] = {"F16", 1, 2},         [2] = {"Q4_0", 32, 18},
    [3] = {"Q4_1", 32, 20},      [6] = {"Q5_0", 32, 22},      [7] = {"Q5_1", 32, 24},
    [8] = {"Q8_0", 32, 34},      [9] = {"Q8_1", 32, 40},      [10] = {"Q2_K", 256, 84},
    [11] = {"Q3_K", 256, 110},   [12] = {"Q4_K", 256, 144},   [13] = {"Q5_K", 256, 176},
    [14] = {"Q6_K", 256, 210},   [15] = {"Q8_K", 256, 292},   [16] = {"IQ2_XXS", 256, 66},
    [17] = {"IQ2_XS", 256, 74},  [18] = {"IQ3_XXS", 256, 98}, [19] = {"IQ1_S", 256, 50},
    [20] = {"IQ4_NL", 32, 18},   [21] = {"IQ3_S", 256, 110},  [22] = {"IQ2_S", 256, 82},
    [23] = {"IQ4_XS", 256, 136}, [24] = {"I8", 1, 1},         [25] = {"I16", 1, 2},
    [26] = {"I32", 1, 4},        [27] = {"I64", 1, 8},        [28] = {"F64", 1, 8},
    [29] = {"IQ1_M", 256, 56},   [30] = {"BF16", 1, 2},       [34] = {"TQ1_0", 256, 54},
    [35] = {"TQ2_0", 256, 66},   [39] = {"MXFP4", 32, 17},    [40] = {"NVFP4", 64, 36},
    [41] = {"Q1_0", 128, 18},
};
enum { GGUF_TYPES = sizeof gguf_types / sizeof *gguf_types };

uint32_t gguf_type_of(const char *dtype) {
    uint32_t type = 0;
    while (!gguf_types[type].name || strcmp(gguf_types[type].name, dtype) != 0) {
        type++; // of a name that the table has
    }
    return type;
}

// What is left of the file, and where the one line about what is wrong goes.
struct gguf_reader {
    struct safetensors *file;
    const char *at;
    size_t left;
    char *error;
};

static bool gguf_fail(struct gguf_reader *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static bool gguf_fail(struct gguf_reader *r, const char *format, ...) {
    size_t used = (size_t)snprintf(r->error, SAFETENSORS_ERROR, "%.300s: ", r->file->path);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(r->error + used, SAFETENSORS_ERROR - used, format, arguments);
    va_end(arguments);
    return false;
}

// ---- pieces ------------------------------------------------------------------------------------

static bool gguf_skip(struct gguf_reader *r, uint64_t bytes) {
    if (bytes > r->left) {
        return false;
    }
    r->at += (size_t)bytes;
    r->left -= (size_t)bytes;
    return true;
}

static bool gguf_take(struct gguf_reader *r, void *to, size_t bytes) {
    if (!gguf_skip(r, bytes)) {
        return false;
    }
    memcpy(to, r->at - bytes, bytes);
    return true;
}

static bool gguf_text(struct gguf_reader *r, struct slice *text) {
    uint64_t length;
    if (!gguf_take(r, &length, sizeof length) || !gguf_skip(r, length)) {
        return false;
    }
    *text = (struct slice){r->at - (size_t)length, (size_t)length};
    return true;
}

// How far the file is read, for messages about its end.
static size_t gguf_place(const struct gguf_reader *r) {
    return r->file->map_bytes - r->left;
}

// Sorts names and returns one that is there twice, or NULL.
static const struct slice *gguf_twice(struct slice *names, int count) {
    qsort(names, (size_t)count, sizeof *names, slice_compare);
    for (int i = 1; i < count; i++) {
        if (!slice_compare(&names[i - 1], &names[i])) {
            return &names[i];
        }
    }
    return NULL;
}

// ---- pairs -------------------------------------------------------------------------------------

// Bytes in a value of a type; 0 for texts and lists.
static size_t gguf_value_bytes(uint32_t type) {
    static const unsigned char bytes[GGUF_TYPES_OF_VALUES] = {
        [GGUF_U8] = 1,  [GGUF_I8] = 1,  [GGUF_U16] = 2, [GGUF_I16] = 2,
        [GGUF_U32] = 4, [GGUF_I32] = 4, [GGUF_F32] = 4, [GGUF_BOOL] = 1,
        [GGUF_U64] = 8, [GGUF_I64] = 8, [GGUF_F64] = 8};
    return bytes[type];
}

// Reads values of one type, and checks that they are in the file and can be.
static bool gguf_values(struct gguf_reader *r, struct slice key, uint32_t type, uint64_t count) {
    const size_t bytes = gguf_value_bytes(type);
    const char *first = r->at;
    if (count > r->left / (bytes ? bytes : 8)) { // a text has the 8 bytes of its length
        return gguf_fail(r,
                         "%.*s has %llu values, but %zu bytes are left; it is truncated or damaged",
                         SLICE_SHOWN(key), (unsigned long long)count, r->left);
    }
    struct slice text;
    for (uint64_t i = 0; !bytes && i < count; i++) {
        if (!gguf_text(r, &text)) {
            return gguf_fail(
                r, "text %llu of %.*s is longer than the file; it is truncated or damaged",
                (unsigned long long)i + 1, SLICE_SHOWN(key));
        }
    }
    for (uint64_t i = 0; type == GGUF_BOOL && i < count; i++) {
        if (first[i] != 0 && first[i] != 1) {
            return gguf_fail(r, "%.*s is neither true nor false", SLICE_SHOWN(key));
        }
    }
    return gguf_skip(r, bytes * (size_t)count);
}

static bool gguf_pair(struct gguf_reader *r, struct gguf_pair *pair) {
    if (!gguf_text(r, &pair->key) || !gguf_take(r, &pair->type, sizeof pair->type)) {
        return gguf_fail(r, "ends within a key, at byte %zu; it is truncated or damaged",
                         gguf_place(r));
    }
    if (!pair->key.length || memchr(pair->key.text, 0, pair->key.length)) {
        return gguf_fail(r, "has a key that is empty or holds a zero; it is damaged");
    }
    pair->item = pair->type;
    pair->count = 1;
    if (pair->type == GGUF_LIST && (!gguf_take(r, &pair->item, sizeof pair->item) ||
                                    !gguf_take(r, &pair->count, sizeof pair->count))) {
        return gguf_fail(r, "ends within the list %.*s; it is truncated", SLICE_SHOWN(pair->key));
    }
    if (pair->item >= GGUF_TYPES_OF_VALUES || pair->item == GGUF_LIST) {
        return gguf_fail(r, "%.*s is of type %u, which is none of a value that can be read",
                         SLICE_SHOWN(pair->key), pair->item);
    }
    pair->at = r->at;
    return gguf_values(r, pair->key, pair->item, pair->count);
}

static bool gguf_pairs(struct gguf_reader *r, uint64_t count) {
    struct safetensors *file = r->file;
    int room = 32;
    file->pairs =
        allocate((size_t)room, sizeof *file->pairs, "metadata"); // that it is one shows here
    for (uint64_t i = 0; i < count; i++) {
        if (file->pairs_count == room) { // as many as the file turns out to have
            room *= 2;
            file->pairs =
                allocate_again(file->pairs, (size_t)room * sizeof *file->pairs, "metadata");
        }
        if (!gguf_pair(r, &file->pairs[file->pairs_count])) {
            return false;
        }
        file->pairs_count++;
    }
    struct slice *keys = allocate((size_t)file->pairs_count + 1, sizeof *keys, "metadata");
    for (int i = 0; i < file->pairs_count; i++) {
        keys[i] = file->pairs[i].key;
    }
    const struct slice *twice = gguf_twice(keys, file->pairs_count);
    if (twice) {
        gguf_fail(r, "has %.*s twice; it is damaged", SLICE_SHOWN(*twice));
    }
    free(keys);
    return !twice;
}

const struct gguf_pair *gguf_find(const struct safetensors *file, const char *key) {
    for (int i = 0; i < file->pairs_count; i++) {
        if (slice_is(file->pairs[i].key, key)) {
            return &file->pairs[i];
        }
    }
    return NULL;
}

bool gguf_integer(const struct gguf_pair *pair, uint64_t index, int64_t *number) {
    const size_t bytes = gguf_value_bytes(pair->item);
    const bool is_signed = pair->item == GGUF_I8 || pair->item == GGUF_I16 ||
                           pair->item == GGUF_I32 || pair->item == GGUF_I64;
    const bool is_unsigned = pair->item == GGUF_U8 || pair->item == GGUF_U16 ||
                             pair->item == GGUF_U32 || pair->item == GGUF_U64;
    if (index >= pair->count || !(is_signed || is_unsigned)) {
        return false;
    }
    uint64_t bits = 0;
    memcpy(&bits, pair->at + index * bytes, bytes);
    if (is_signed && bytes < 8 && bits >> (8 * bytes - 1)) {
        bits |= UINT64_MAX << 8 * bytes; // extend the sign
    }
    memcpy(number, &bits, sizeof bits);
    return is_signed || bits <= INT64_MAX;
}

struct slice *gguf_texts(const struct gguf_pair *pair) {
    struct slice *texts = allocate((size_t)pair->count + 1, sizeof *texts, "a list of texts");
    const char *at = pair->at;
    for (uint64_t i = 0; i < pair->count; i++) {
        uint64_t length;
        memcpy(&length, at, sizeof length);
        texts[i] = (struct slice){at + sizeof length, (size_t)length};
        at += sizeof length + length;
    }
    return texts;
}

// ---- tensors -----------------------------------------------------------------------------------

static bool gguf_tensor(struct gguf_reader *r, struct tensor_view *view) {
    struct slice name;
    uint32_t dimensions, type;
    uint64_t sizes[4], begin, numbers = 1;
    if (!gguf_text(r, &name) || !gguf_take(r, &dimensions, sizeof dimensions)) {
        return gguf_fail(r, "ends within a tensor's name, at byte %zu; it is truncated or damaged",
                         gguf_place(r));
    }
    if (!name.length || memchr(name.text, 0, name.length)) {
        return gguf_fail(r, "has a tensor whose name is empty or holds a zero; it is damaged");
    }
    if (dimensions > 4) {
        return gguf_fail(r, "tensor '%.*s' has %u dimensions; 4 at most are wanted",
                         SLICE_SHOWN(name), dimensions);
    }
    if (!gguf_take(r, sizes, dimensions * sizeof *sizes) || !gguf_take(r, &type, sizeof type) ||
        !gguf_take(r, &begin, sizeof begin)) {
        return gguf_fail(r, "ends within the entry of tensor '%.*s'; it is truncated",
                         SLICE_SHOWN(name));
    }
    if (type >= GGUF_TYPES || !gguf_types[type].name) {
        return gguf_fail(r,
                         "tensor '%.*s' is of ggml's type %u, which is none that can be read; F32, "
                         "F16, BF16, Q8_0, Q4_0 or Q4_1 is wanted",
                         SLICE_SHOWN(name), type);
    }
    for (uint32_t d = 0; d < dimensions; d++) {
        if (sizes[d] > INT64_MAX || __builtin_mul_overflow(numbers, sizes[d], &numbers)) {
            return gguf_fail(r, "tensor '%.*s' has a shape that is no size of anything",
                             SLICE_SHOWN(name));
        }
        view->dims[dimensions - 1 - d] = (int64_t)sizes[d];
    }
    const struct gguf_type *stored = &gguf_types[type];
    uint64_t bytes;
    if ((dimensions ? sizes[0] : 1) % stored->block) {
        return gguf_fail(r,
                         "tensor '%.*s' has rows of %llu numbers, which blocks of %u of type %s do "
                         "not fill",
                         SLICE_SHOWN(name), (unsigned long long)(dimensions ? sizes[0] : 1),
                         stored->block, stored->name);
    }
    if (__builtin_mul_overflow(numbers / stored->block, (uint64_t)stored->bytes, &bytes) ||
        bytes > r->file->map_bytes) {
        return gguf_fail(r, "tensor '%.*s' is larger than the file; it is truncated or damaged",
                         SLICE_SHOWN(name));
    }
    view->ndim = (int)dimensions;
    snprintf(view->dtype, sizeof view->dtype, "%s", stored->name);
    view->stored = (size_t)bytes;
    view->begin = begin > SIZE_MAX ? SIZE_MAX : (size_t)begin; // its place is checked below
    view->name = allocate_copy(name.text, name.length, "a tensor's name");
    return true;
}

static bool gguf_tensors(struct gguf_reader *r, uint64_t count) {
    struct safetensors *file = r->file;
    int room = 0;
    for (uint64_t i = 0; i < count; i++) {
        if (file->count == room) {
            room = room ? 2 * room : 64;
            file->tensors = allocate_again(file->tensors, (size_t)room * sizeof *file->tensors,
                                           "a list of tensors");
        }
        file->tensors[file->count] = (struct tensor_view){0};
        if (!gguf_tensor(r, &file->tensors[file->count])) {
            return false;
        }
        file->count++;
    }
    struct slice *names = allocate((size_t)file->count + 1, sizeof *names, "a list of tensors");
    for (int i = 0; i < file->count; i++) {
        names[i] = (struct slice){file->tensors[i].name, strlen(file->tensors[i].name)};
    }
    const struct slice *twice = gguf_twice(names, file->count);
    if (twice) {
        gguf_fail(r, "has tensor '%.*s' twice; it is damaged", SLICE_SHOWN(*twice));
    }
    free(names);
    return !twice;
}

// ---- the data ----------------------------------------------------------------------------------

static bool gguf_alignment(struct gguf_reader *r, size_t *alignment) {
    const struct gguf_pair *pair = gguf_find(r->file, "general.alignment");
    int64_t number = GGUF_ALIGNMENT;
    if (pair && (pair->type != GGUF_U32 || !gguf_integer(pair, 0, &number) || number < 1 ||
                 (number & (number - 1)))) {
        return gguf_fail(r, "its general.alignment is no power of two; it is damaged");
    }
    *alignment = (size_t)number;
    return true;
}

// The next multiple of a power of two; all sizes here are at most the file's, and its.
static uint64_t gguf_aligned(uint64_t at, size_t alignment) {
    return (at + alignment - 1) / alignment * alignment;
}

// Points the tensors at their bytes, which must lie back to back, but for the alignment, and end
// with the file.
static bool gguf_place_tensors(struct gguf_reader *r) {
    struct safetensors *file = r->file;
    size_t alignment = 1;
    if (!gguf_alignment(r, &alignment)) {
        return false;
    }
    const uint64_t header = gguf_place(r), data = gguf_aligned(header, alignment);
    uint64_t at = data, end = header;
    for (int i = 0; i < file->count; i++) {
        struct tensor_view *view = &file->tensors[i];
        if (view->begin % alignment) {
            return gguf_fail(r,
                             "tensor '%.120s' is at byte %zu of the data, no multiple of its "
                             "alignment, %zu",
                             view->name, view->begin, alignment);
        }
        if (view->begin != at - data) {
            return gguf_fail(r, "tensor '%.120s' %s at byte %zu of the data", view->name,
                             view->begin < at - data ? "overlaps the one before it"
                                                     : "leaves a hole before it",
                             view->begin);
        }
        end = at + view->stored;
        if (end > file->map_bytes) {
            return gguf_fail(
                r, "tensor '%.120s' ends at byte %llu, but the file has %zu; it is truncated",
                view->name, (unsigned long long)end, file->map_bytes);
        }
        view->place = (const char *)file->map + at;
        if (!strcmp(view->dtype, "F32") && at % sizeof(float) == 0) {
            view->data = (const float *)view->place;
            view->bytes = view->stored;
        }
        at = gguf_aligned(end, alignment);
    }
    // Some writers fill up to the alignment behind the last tensor, and some do not.
    if (file->map_bytes != end && file->map_bytes != gguf_aligned(end, alignment)) {
        return gguf_fail(r, "its tensors end at byte %llu, but the file has %zu",
                         (unsigned long long)end, file->map_bytes);
    }
    return true;
}

// ---- the file ----------------------------------------------------------------------------------

static bool gguf_read(struct gguf_reader *r) {
    struct {
        char magic[4];
        uint32_t version;
        uint64_t tensors, pairs;
    } head;
    const char *other = safetensors_mistaken(r->at, r->left);
    if (other) {
        return gguf_fail(r, "%s", other);
    }
    if (!gguf_take(r, &head, sizeof head) || memcmp(head.magic, "GGUF", 4) != 0) {
        return gguf_fail(r, "does not begin with GGUF; it is no such file");
    }
    if (!(head.version & 0xffff)) {
        return gguf_fail(r, "is a big-endian GGUF file; convert it to little-endian, as "
                            "gguf_convert_endian.py does");
    }
    if (head.version != 2 && head.version != 3) {
        return gguf_fail(r, "is of GGUF's version %u; 2 or 3 is wanted, so convert the model again",
                         head.version);
    }
    if (head.pairs > r->left / GGUF_PAIR_LEAST) {
        return gguf_fail(r, "would have %llu keys, but has %zu bytes; it is truncated or damaged",
                         (unsigned long long)head.pairs, r->file->map_bytes);
    }
    if (head.tensors > r->left / GGUF_TENSOR_LEAST) {
        return gguf_fail(r,
                         "would have %llu tensors, but has %zu bytes; it is truncated or damaged",
                         (unsigned long long)head.tensors, r->file->map_bytes);
    }
    return gguf_pairs(r, head.pairs) && gguf_tensors(r, head.tensors) && gguf_place_tensors(r);
}

bool gguf_open(struct safetensors *file, const char *path, char error[512], enum exit_code *code) {
    *file = (struct safetensors){.path = allocate_copy(path, strlen(path), "a path")};
    *code = EXIT_DATA;
    if (safetensors_map(file, "GGUF", 24, error, code)) {
        struct gguf_reader r = {file, file->map, file->map_bytes, error};
        if (gguf_read(&r)) {
            return true;
        }
    }
    safetensors_close(file);
    return false;
}

bool gguf_is(const char *path) {
    const size_t length = strlen(path);
    if (length >= 5 && !strcmp(path + length - 5, ".gguf")) {
        return true; // opening it says what is wrong
    }
    char magic[4] = "";
    FILE *file = stream_open(path, "r");
    const bool good = file && fread(magic, sizeof magic, 1, file) == 1;
    if (file) {
        fclose(file);
    }
    return good && !memcmp(magic, "GGUF", sizeof magic);
}
