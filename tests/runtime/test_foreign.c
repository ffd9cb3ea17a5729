// test_foreign.c: checkpoints as other tools write them: which are converted and which are refused.
#include "tests/runtime/suite.h"

#include <math.h>

enum { V = 5, T = 4, C = 4, L = 2, TENSORS = 2 + 4 * L + 1, MOST = V * C + 3 * C * C };

// A GPT's tensors of all forms: tables, weights that are square and not, a vector, a tied head.
static const struct param params[] = {
    {.name = "transformer.wte.weight", .layers = 1, .ndim = 2, .dims = {V, C}},
    {.name = "transformer.wpe.weight", .layers = 1, .ndim = 2, .dims = {T, C}},
    {.name = "transformer.h.%d.attn.c_attn.weight", .layers = L, .ndim = 2, .dims = {3 * C, C}},
    {.name = "transformer.h.%d.attn.c_attn.bias", .layers = L, .ndim = 1, .dims = {3 * C, 1}},
    {.name = "transformer.h.%d.attn.c_proj.weight", .layers = L, .ndim = 2, .dims = {C, C}},
    {.name = "transformer.h.%d.mlp.c_fc.weight", .layers = L, .ndim = 2, .dims = {2 * C, C}},
    {.name = "lm_head.weight", .layers = 1, .ndim = 2, .dims = {V, C}, .copy = true},
};
enum { PARAMS = sizeof params / sizeof params[0] };

// ---- files --------------------------------------------------------------------------------------

// One tensor to write. Its numbers rise from 1000 times its place in the table.
struct piece {
    char name[128];
    const char *dtype;
    int ndim;
    int64_t dims[4];
    double first;
};
static struct piece pieces[32];
static int count;

static void fill(void) {
    count = 0;
    for (int i = 0; i < PARAMS; i++) {
        for (int layer = 0; layer < params[i].layers; layer++) {
            struct piece *piece = &pieces[count];
            *piece = (struct piece){.dtype = "F32", .ndim = params[i].ndim, .first = 10 * count};
            memcpy(piece->dims, params[i].dims, sizeof params[i].dims);
            param_name(&params[i], layer, "", piece->name);
            count++;
        }
    }
    pieces[count - 1].first = 0; // the head has the token table's numbers
}

static void add(const char *name, const char *dtype, int64_t rows, int64_t columns) {
    pieces[count] = (struct piece){.dtype = dtype, .ndim = 2, .dims = {rows, columns}};
    strcpy(pieces[count++].name, name);
}

static int piece_numbers(const struct piece *piece) {
    int64_t numbers = piece->dims[0] * (piece->ndim == 2 ? piece->dims[1] : 1);
    return (int)numbers;
}

static size_t piece_size(const struct piece *piece) {
    static const char *const two[] = {"F16", "BF16", "I16"};
    for (int i = 0; i < 3; i++) {
        if (!strcmp(piece->dtype, two[i])) {
            return 2;
        }
    }
    return !strcmp(piece->dtype, "U8") ? 1 : !strcmp(piece->dtype, "I64") ? 8 : 4;
}

// The number i of a piece: exact in all three types.
static float number(const struct piece *piece, int i) {
    return (float)(piece->first + i % 8) * 0.125f;
}

// Stores number i in the piece's type; with sixteen bits, only numbers that need no more.
static void put(char *place, const struct piece *piece, int i) {
    float x = number(piece, i);
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (!strcmp(piece->dtype, "BF16")) {
        bits >>= 16;
    } else if (!strcmp(piece->dtype, "F16")) {
        uint32_t exponent = bits >> 23 & 255;
        bits = exponent ? (exponent - 112) << 10 | (bits >> 13 & 0x3ff) : 0;
    }
    memset(place, 0, piece_size(piece));
    memcpy(place, &bits, piece_size(piece) < 4 ? piece_size(piece) : 4);
}

static void write_pieces(const char *metadata) {
    static char file[1 << 16];
    char *header = file + 8;
    int used = sprintf(header, "{%s", metadata);
    size_t at = 0;
    for (int i = 0; i < count; i++) {
        const struct piece *piece = &pieces[i];
        size_t end = at + piece_size(piece) * (size_t)piece_numbers(piece);
        used += sprintf(header + used, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[%d", // and so on
                        i || *metadata ? "," : "", piece->name, piece->dtype, (int)piece->dims[0]);
        used += piece->ndim == 2 ? sprintf(header + used, ",%d", (int)piece->dims[1]) : 0;
        used += sprintf(header + used, "],\"data_offsets\":[%zu,%zu]}", at, end);
        at = end;
    }
    used += sprintf(header + used, "}");
    while (used % 8) {
        header[used++] = ' ';
    }
    uint64_t length = (uint64_t)used;
    memcpy(file, &length, sizeof length);
    char *data = header + used;
    for (int i = 0; i < count; i++) {
        for (int k = 0; k < piece_numbers(&pieces[i]); k++) {
            put(data, &pieces[i], k);
            data += piece_size(&pieces[i]);
        }
    }
    suite_write("x", file, (size_t)(data - file));
}

static struct safetensors file;
static char error[512];

static bool adapts(void) {
    enum exit_code code;
    ck_assert_msg(safetensors_open(&file, suite_path("x"), error, &code), "%s", error);
    return foreign_adapt(&file, params, PARAMS, error);
}

// Checks that the file has all of the model's tensors, under our names, with the original numbers.
static void is_ours(void) {
    struct piece now[32];
    memcpy(now, pieces, sizeof now);
    ck_assert_msg(adapts(), "%s", error);
    fill();
    ck_assert_int_eq(file.count, TENSORS);
    for (int i = 0; i < count; i++) {
        const struct tensor_view *view = safetensors_find(&file, pieces[i].name);
        ck_assert_msg(view != NULL, "no %s", pieces[i].name);
        ck_assert_int_eq(view->ndim, pieces[i].ndim);
        ck_assert_int_eq(view->dims[0], pieces[i].dims[0]);
        ck_assert_uint_eq(view->bytes, sizeof(float) * (size_t)piece_numbers(&pieces[i]));
        for (int k = 0; k < piece_numbers(&pieces[i]); k++) {
            ck_assert_msg(view->data[k] == number(&pieces[i], k), "%s[%d] is %g, not %g",
                          pieces[i].name, k, view->data[k], number(&pieces[i], k));
        }
    }
    safetensors_close(&file);
}

static void names(const char *words) {
    ck_assert(!adapts());
    ck_assert_msg(strstr(error, words) != NULL, "no '%s' in: %s", words, error);
    ck_assert_ptr_eq(strstr(error, suite_path("x")), error);
    ck_assert_ptr_null(strchr(error, '\n'));
    safetensors_close(&file);
}

// ---- files that are read ------------------------------------------------------------------------

START_TEST(prefixes) {
    static const char *const prefix[] = {"", "_orig_mod.", "module.", "_orig_mod.module.",
                                         "module._orig_mod."};
    for (size_t p = 0; p < sizeof prefix / sizeof prefix[0]; p++) {
        fill();
        for (int i = 0; i < count; i++) {
            char name[128];
            strcpy(name, pieces[i].name);
            snprintf(pieces[i].name, sizeof name, "%s%.100s", prefix[p], name);
        }
        write_pieces("\"__metadata__\":{\"format\":\"pt\"}");
        is_ours();
    }
    fill(); // of a model without its head
    for (int i = 0; i < count - 1; i++) {
        memmove(pieces[i].name, pieces[i].name + strlen("transformer."), 100);
    }
    write_pieces("");
    is_ours();
    fill();
    strcpy(pieces[3].name, "module.transformer.wte.weight");
    write_pieces("");
    names("has both module.transformer.wte.weight and transformer.wte.weight");
}
END_TEST

START_TEST(masks_are_ignored) {
    fill();
    add("transformer.h.0.attn.bias", "U8", 8, 8);
    add("transformer.h.1.attn.bias", "F32", 8, 8);
    add("transformer.h.1.attn.masked_bias", "F32", 1, 1);
    write_pieces("");
    is_ours();
    fill();
    add("transformer.h.0.mlp.bias", "F32", 8, 8); // any other tensor is refused later
    write_pieces("");
    ck_assert(adapts());
    ck_assert_ptr_nonnull(safetensors_find(&file, "transformer.h.0.mlp.bias"));
    safetensors_close(&file);
}
END_TEST

START_TEST(either_name_of_a_tied_pair) {
    fill();
    count--; // lm_head
    write_pieces("");
    is_ours();
    fill();
    pieces[0] = pieces[--count]; // the table
    write_pieces("");
    is_ours();
    fill(); // an untied model cannot use one of the two for both
    count--;
    write_pieces("");
    struct param untied[PARAMS];
    memcpy(untied, params, sizeof untied);
    untied[PARAMS - 1].copy = false;
    enum exit_code code;
    ck_assert(safetensors_open(&file, suite_path("x"), error, &code));
    ck_assert(!foreign_adapt(&file, untied, PARAMS, error));
    ck_assert_msg(strstr(error, "build one with tie_weights=true") != NULL, "%s", error);
    safetensors_close(&file);
}
END_TEST

START_TEST(halves) {
    static const char *const types[] = {"F16", "BF16"};
    for (int t = 0; t < 2; t++) {
        fill();
        for (int i = 0; i < count; i++) {
            pieces[i].dtype = types[t];
        }
        write_pieces("");
        is_ours();
        fill(); // some, and behind a mask, so that none of the others lies at a multiple of 4 bytes
        memmove(pieces + 1, pieces, (size_t)count++ * sizeof *pieces);
        pieces[0] = (struct piece){.name = "h.0.attn.bias", .dtype = "U8", .ndim = 1, .dims = {3}};
        pieces[4].dtype = types[t];
        pieces[5].dtype = types[t];
        write_pieces("");
        is_ours();
    }
    fill(); // hashes from before the conversion mean nothing
    pieces[4].dtype = "F16";
    write_pieces("\"__metadata__\":{\"xxh3\":\"0000000000000000\",\"xxh3_of\":\"\","
                 "\"xxh3.lm_head.weight\":\"0000000000000000\"}");
    is_ours();
    fill();
    pieces[4].dtype = "I64";
    write_pieces("");
    names("is of type I64; F32, F16 or BF16 is wanted");
}
END_TEST

// Every number of 16 bits, compared with the hardware's conversion or Python's float().
START_TEST(all_halves) {
    static char bytes[8 + 64 + 2 * 65536];
    for (int brain = 0; brain < 2; brain++) {
        char header[65];
        snprintf(header, sizeof header, "%-64s",
                 brain
                     ? "{\"x\":{\"dtype\":\"BF16\",\"shape\":[65536],\"data_offsets\":[0,131072]}}"
                     : "{\"x\":{\"dtype\":\"F16\",\"shape\":[65536],\"data_offsets\":[0,131072]}}");
        uint64_t length = strlen(header);
        ck_assert_uint_eq(length, 64);
        memcpy(bytes, &length, 8);
        memcpy(bytes + 8, header, 64);
        for (uint32_t i = 0; i < 65536; i++) {
            uint16_t half = (uint16_t)i;
            memcpy(bytes + 72 + 2 * i, &half, 2);
        }
        suite_write("x", bytes, sizeof bytes);
        ck_assert_msg(adapts(), "%s", error);
        for (uint32_t i = 0; i < 65536; i++) {
            const int width = brain ? 7 : 10, bias = brain ? 127 : 15;
            const int most = brain ? 255 : 31;
            const int exponent = (int)(i & 0x7fff) >> width, digits = (int)i & ((1 << width) - 1);
            double wanted = exponent ? ldexp((1 << width) + digits, exponent - bias - width)
                                     : ldexp(digits, 1 - bias - width);
            wanted = exponent == most ? (digits ? NAN : INFINITY) : wanted;
            wanted = i & 0x8000 ? -wanted : wanted;
            const double found = file.tensors[0].data[i];
            ck_assert_msg(isnan(wanted) ? isnan(found) != 0
                                        : wanted == found && !signbit(wanted) == !signbit(found),
                          "%04x is %g, not %g", i, found, wanted);
        }
        safetensors_close(&file);
    }
}
END_TEST

// Writes some pieces transposed; is_ours then looks for the original ones.
static void transpose_and_write(int first, int step) {
    for (int i = first; i < count - 1; i += step) {
        if (pieces[i].ndim == 2 && strstr(pieces[i].name, ".h.")) {
            int64_t rows = pieces[i].dims[0];
            pieces[i].dims[0] = pieces[i].dims[1];
            pieces[i].dims[1] = rows;
        }
    }
    write_pieces("");
    size_t length;
    char *bytes = suite_read("x", &length);
    char *data = bytes + length;
    for (int i = count - 1; i >= 0; i--) {
        data -= piece_size(&pieces[i]) * (size_t)piece_numbers(&pieces[i]);
        if (i < first || (i - first) % step || i == count - 1 || pieces[i].ndim < 2 ||
            !strstr(pieces[i].name, ".h.")) {
            continue;
        }
        const int rows = (int)pieces[i].dims[0], columns = (int)pieces[i].dims[1];
        for (int r = 0; r < rows; r++) {
            for (int c = 0; c < columns; c++) {
                float x = number(&pieces[i], c * rows + r);
                memcpy(data + sizeof x * (size_t)(r * columns + c), &x, sizeof x);
            }
        }
    }
    suite_write("x", bytes, length);
    free(bytes);
}

START_TEST(transposed_weights) {
    fill();
    transpose_and_write(0, 1); // the square ones too, whose shapes do not show it
    is_ours();
    fill();
    transpose_and_write(2, 64); // only one of them
    names("transformer.h.0.attn.c_attn.weight is transposed, but transformer.h.");
    fill();
    pieces[0].dims[0] = C;
    pieces[0].dims[1] = V;
    write_pieces("");
    names("transformer.wte.weight is (4, 5), transposed; give it as (5, 4)");
}
END_TEST

int main(void) {
    const TTest *const tests[] = {
        prefixes, masks_are_ignored, either_name_of_a_tied_pair,
        halves,   all_halves,        transposed_weights,
    };
    return suite_main("foreign", tests, sizeof tests / sizeof *tests);
}
