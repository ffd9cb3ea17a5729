// test_safetensors.c: writing and reading files, and every way in which a file can be wrong.
#include "tests/runtime/suite.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

static const float weights[6] = {1, 2, 3, 4, 5, 6};
static const struct tensor_out out[3] = {
    {.name = "wte.weight", .ndim = 2, .dims = {2, 3}, .data = weights},
    {.name = "bias", .ndim = 1, .dims = {1}, .data = weights + 4},
    {.name = "none", .ndim = 2, .dims = {0, 4}, .data = weights},
};
static const char *const metadata[] = {"tokenizer", "char 61 62", "format", "diecast"};

static void write_good(const char *name) {
    char error[512] = "";
    ck_assert_msg(safetensors_write(suite_path(name), out, 3, metadata, 2, error), "%s", error);
}

// ---- writing and reading ------------------------------------------------------------------------

START_TEST(what_is_written_is_read) {
    write_good("a");
    struct safetensors file;
    char error[512];
    enum exit_code code;
    ck_assert_msg(safetensors_open(&file, suite_path("a"), error, &code), "%s", error);
    ck_assert_int_eq(file.count, 3);
    for (int i = 0; i < 3; i++) {
        const struct tensor_view *tensor = safetensors_find(&file, out[i].name);
        ck_assert_ptr_nonnull(tensor);
        ck_assert_int_eq(tensor->ndim, out[i].ndim);
        ck_assert_mem_eq(tensor->dims, out[i].dims, sizeof out[i].dims);
        ck_assert_mem_eq(tensor->data, out[i].data, tensor->bytes);
        ck_assert_uint_eq(strlen(tensor->hash), 16);
    }
    ck_assert_uint_eq(safetensors_find(&file, "wte.weight")->bytes, 24);
    ck_assert_uint_eq(safetensors_find(&file, "none")->bytes, 0);
    ck_assert_ptr_null(safetensors_find(&file, "wte"));
    ck_assert_str_eq(safetensors_metadata(&file, "tokenizer"), "char 61 62");
    ck_assert_str_eq(safetensors_metadata(&file, "format"), "diecast");
    ck_assert_ptr_null(safetensors_metadata(&file, "forma"));
    ck_assert_ptr_eq((const char *)file.tensors[0].data,
                     (const char *)file.map + file.map_bytes - 28);
    ck_assert_uint_eq((file.map_bytes - 28) % 64, 0); // data starts at a multiple of 64
    ck_assert(safetensors_verify(&file, error));
    safetensors_close(&file);
    ck_assert_int_eq(suite_count(), 1); // and nothing else is in the folder
}
END_TEST

START_TEST(same_tensors_same_bytes) {
    write_good("a");
    write_good("b");
    size_t a_length, b_length;
    char *a = suite_read("a", &a_length), *b = suite_read("b", &b_length);
    ck_assert_uint_eq(a_length, b_length);
    ck_assert_mem_eq(a, b, a_length);
    free(a);
    free(b);
}
END_TEST

START_TEST(a_file_without_tensors_or_metadata) {
    char error[512];
    enum exit_code code;
    struct safetensors file;
    ck_assert(safetensors_write(suite_path("a"), NULL, 0, NULL, 0, error));
    ck_assert_msg(safetensors_open(&file, suite_path("a"), error, &code), "%s", error);
    ck_assert_int_eq(file.count, 0);
    ck_assert_ptr_null(safetensors_metadata(&file, "x"));
    ck_assert_ptr_null(safetensors_find(&file, "x"));
    safetensors_close(&file);
}
END_TEST

// ---- files of other programs --------------------------------------------------------------------

// Writes a file with this header, padded with spaces to a multiple of 4, and so many bytes of data.
static void write_header(const char *header, size_t data_bytes) {
    uint64_t length = (strlen(header) + 3) / 4 * 4;
    char *bytes = calloc(1, 8 + length + data_bytes);
    memcpy(bytes, &length, 8);
    memset(bytes + 8, ' ', length);
    memcpy(bytes + 8, header, strlen(header));
    suite_write("x", bytes, 8 + length + data_bytes);
    free(bytes);
}

static void refuses(const char *name, enum exit_code wanted, const char *word) {
    struct safetensors file;
    char error[512] = "";
    enum exit_code code = EXIT_DONE;
    ck_assert_msg(!safetensors_open(&file, suite_path(name), error, &code), "took it: %s", word);
    ck_assert_int_eq(code, wanted);
    ck_assert_msg(strstr(error, suite_path(name)) == error, "no place in: %s", error);
    ck_assert_msg(strstr(error, word) != NULL, "no '%s' in: %s", word, error);
    ck_assert_ptr_null(strchr(error, '\n'));
    ck_assert_ptr_null(file.map); // nothing to close
}

START_TEST(takes_what_others_write) {
    // Keys in any order, spaces, tensors listed in another order, no metadata, a scalar.
    write_header("{ \"b\" : {\"data_offsets\":[8,20],\"shape\":[3,1,1,1],\"dtype\":\"F32\"},\n"
                 " \"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
                 "\"s\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[20,24]}}",
                 24);
    struct safetensors file;
    char error[512];
    enum exit_code code;
    ck_assert_msg(safetensors_open(&file, suite_path("x"), error, &code), "%s", error);
    ck_assert_int_eq(file.count, 3);
    ck_assert_str_eq(file.tensors[0].name, "a"); // in the file's order
    ck_assert_str_eq(file.tensors[1].name, "b");
    ck_assert_str_eq(file.tensors[2].name, "s");
    ck_assert_int_eq(file.tensors[2].ndim, 0);
    ck_assert_uint_eq(file.tensors[2].bytes, 4);
    ck_assert_str_eq(file.tensors[0].hash, "");
    ck_assert(safetensors_verify(&file, error)); // nothing to check
    safetensors_close(&file);
}
END_TEST

START_TEST(refuses_files_that_are_none) {
    refuses("missing", EXIT_MISSING, "No such file");
    refuses("missing/deeper", EXIT_MISSING, "No such file");
    ck_assert_int_eq(mkdir(suite_path("dir"), 0777), 0);
    refuses("dir", EXIT_DATA, "regular file");
    suite_write("x", "", 0);
    refuses("x", EXIT_DATA, "truncated");
    suite_write("x", "\x02\0\0\0\0\0\0\0{", 9);
    refuses("x", EXIT_DATA, "truncated");
    suite_write_text("x", "this is a text and no such file");
    refuses("x", EXIT_DATA, "header");
    suite_write_text("x", "<!DOCTYPE html><html>404 not found</html>");
    refuses("x", EXIT_DATA, "a page of the web");
    suite_write_text("x",
                     "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n");
    refuses("x", EXIT_DATA, "git lfs pull");
}
END_TEST

START_TEST(refuses_absurd_header_lengths) {
    static const uint64_t lengths[] = {3,          1000,       100000001,     1ull << 32,
                                       1ull << 63, UINT64_MAX, UINT64_MAX - 7};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        char bytes[10] = "........{}";
        memcpy(bytes, &lengths[i], 8);
        suite_write("x", bytes, 10);
        refuses("x", EXIT_DATA, "truncated");
    }
    suite_write("x", "\0\0\0\0\0\0\0\0{}", 10);
    refuses("x", EXIT_DATA, "JSON");
    suite_write("x", "\x02\0\0\0\0\0\0\0{}", 10);
    refuses("x", EXIT_DATA, "multiple of 4");
    // A header longer than the format allows, in a file that has as many bytes (a sparse one).
    uint64_t length = 100000004;
    suite_write("x", &length, 8);
    int file = open(suite_path("x"), O_WRONLY);
    ck_assert_int_eq(pwrite(file, "{", 1, 8), 1);
    ck_assert_int_eq(ftruncate(file, 200000000), 0);
    close(file);
    refuses("x", EXIT_DATA, "100000004");
}
END_TEST

#define A "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}"

START_TEST(refuses_wrong_headers) {
    static const struct {
        const char *header;
        const char *word;
        size_t data_bytes;
    } cases[] = {
        {"[1,2,3]", "'{'", 0},
        {" {}", "'{'", 0},
        {"{" A "", "JSON", 8},
        {"{" A ",}", "JSON", 8},
        {"{" A "} {}", "JSON", 8},
        {"{" A "," A "}", "twice", 8},
        {"{\"__metadata__\":{},\"__metadata__\":{}," A "}", "twice", 8},
        {"{\"__metadata__\":{\"k\":\"v\",\"k\":\"w\"}," A "}", "twice", 8},
        {"{\"__metadata__\":[]," A "}", "__metadata__", 8},
        {"{\"__metadata__\":{\"k\":1}," A "}", "'k'", 8},
        {"{\"__metadata__\":{\"k\":\"a\\u0000b\"}," A "}", "'k'", 8},
        {"{\"__metadata__\":{\"k\":{\"l\":\"m\"}}," A "}", "'k'", 8},
        {"{\"__metadata__\":{\"xxh3.a\":\"12\"}," A "}", "hash", 8},
        {"{\"__metadata__\":{\"xxh3.a\":\"000000000000000G\"}," A "}", "hash", 8},
        {"{" A "}", "truncated", 7},
        {"{" A "}", "truncated", 0},
        {"{" A "}", "12 are there", 12},
        {"{}", "are there", 4},
        {"{\"a\":1}", "'a'", 0},
        {"{\"a\":{}}", "'a'", 0},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", "data_offsets", 8},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"x\":1}}", "'a'", 8},
        {"{\"a\":{\"dtype\":7,\"shape\":[2],\"data_offsets\":[0,8]}}", "dtype", 8},
        {"{\"a\":{\"dtype\":\"F4\",\"shape\":[16],\"data_offsets\":[0,8]}}", "F4", 8},
        {"{\"a\":{\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[0,8]}}", "takes 16", 8},
        {"{\"__metadata__\":{\"xxh3.b\":\"0000000000000000\"}," A "}", "'a' has no hash", 8},
        {"{\"__metadata__\":{\"xxh3.a\":\"0000000000000000\",\"xxh3.b\":\"0000000000000000\"}," A
         "}",
         "of a tensor that is not there", 8},
        {"{\"__metadata__\":{\"xxh3\":\"0000000000000000\"}," A "}", "xxh3_of", 8},
        {"{\"__metadata__\":{\"xxh3_of\":\"\"}," A "}", "no metadata xxh3", 8},
        {"{\"__metadata__\":{\"xxh3\":\"0000000000000000\",\"xxh3_of\":\"iter\"}," A "}",
         "no metadata iter", 8},
        {"{\"__metadata__\":{\"xxh3\":\"0000000000000000\",\"xxh3_of\":\"\"}," A "}",
         "has hash 0000000000000000", 8},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":2,\"data_offsets\":[0,8]}}", "shape", 8},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2.0],\"data_offsets\":[0,8]}}", "shape", 8},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", "shape", 8},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[\"2\"],\"data_offsets\":[0,8]}}", "shape", 8},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,2],\"data_offsets\":[0,8]}}", "dimensions",
         8},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", "takes 12", 8},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8,16]}}", "data_offsets", 8},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", "data_offsets", 8},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[-8,0]}}", "data_offsets", 8},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8e0]}}", "data_offsets", 8},
        // Products that wrap to the right number of bytes in 64 bits.
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387906],\"data_offsets\":[0,8]}}",
         "shape", 8},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}",
         "shape", 0},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[9223372036854775800,"
         "9223372036854775807]}}",
         "truncated", 8},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,18446744073709551624]}}",
         "data_offsets", 8},
        {"{" A ",\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}", "overlaps", 12},
        {"{" A ",\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", "overlaps", 8},
        {"{" A ",\"b\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[4,4]}}", "overlaps", 8},
        {"{" A ",\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[12,20]}}", "hole", 20},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}", "hole", 12},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_header(cases[i].header, cases[i].data_bytes);
        refuses("x", EXIT_DATA, cases[i].word);
    }
    write_header("{" A "}", 8); // what the cases start from is fine
    struct safetensors file;
    char error[512];
    enum exit_code code;
    ck_assert(safetensors_open(&file, suite_path("x"), error, &code));
    safetensors_close(&file);
}
END_TEST

// The header of file "a", without the padding. The caller frees.
static char *header_of_a(void) {
    size_t length;
    char *bytes = suite_read("a", &length);
    uint64_t header_bytes;
    memcpy(&header_bytes, bytes, 8);
    memmove(bytes, bytes + 8, header_bytes);
    while (bytes[header_bytes - 1] == ' ') {
        header_bytes--;
    }
    bytes[header_bytes] = 0;
    return bytes;
}

// "x" is "a" with another header.
static void write_x(const char *header) {
    write_header(header, 28);
    size_t length, x_length;
    char *a = suite_read("a", &length), *x = suite_read("x", &x_length);
    memcpy(x + x_length - 28, a + length - 28, 28);
    suite_write("x", x, x_length);
    free(a);
    free(x);
}

// Removes the part of a text that begins with `from` and ends with `to`.
static void cut(char *text, const char *from, const char *to) {
    char *begin = strstr(text, from);
    ck_assert_ptr_nonnull(begin);
    char *end = strstr(begin + strlen(from), to) + strlen(to);
    memmove(begin, end, strlen(end) + 1);
}

static void opens(bool hashed) {
    struct safetensors file;
    char error[512] = "";
    enum exit_code code;
    ck_assert_msg(safetensors_open(&file, suite_path("x"), error, &code), "%s", error);
    ck_assert_int_eq(file.hashed, hashed);
    ck_assert_msg(safetensors_verify(&file, error), "%s", error);
    safetensors_close(&file);
}

static void flip_bits_of_the_header(size_t data) { // bytes
    size_t length;
    char *bytes = suite_read("a", &length);
    for (size_t bit = 0; bit < 8 * (length - data); bit++) {
        bytes[bit / 8] ^= (char)(1 << bit % 8);
        suite_write("x", bytes, length);
        refuses("x", EXIT_DATA, "");
        bytes[bit / 8] ^= (char)(1 << bit % 8);
    }
    free(bytes);
}

// Every changed bit of the header is noticed, even of its padding: a tab or a line break differs
// from a space in more than one.
START_TEST(every_bit_of_the_header_counts) {
    write_good("a");
    flip_bits_of_the_header(28);
}
END_TEST

static void write_type(enum number_type type) {
    struct tensor_out other[2] = {out[0], out[1]};
    char error[512] = "";
    for (int i = 0; i < 2; i++) {
        other[i].type = type;
        other[i].transposed = i == 0;
    }
    ck_assert_msg(safetensors_write(suite_path("a"), other, 2, metadata, 2, error), "%s", error);
}

START_TEST(other_types_have_hashes_too) {
    static const struct {
        enum number_type type;
        const char *dtype;
        uint16_t bits[7]; // of 1 3 5, 2 4 6 transposed, and of 5
    } types[] = {
        {NUMBER_F16, "F16", {0x3c00, 0x4200, 0x4500, 0x4000, 0x4400, 0x4600, 0x4500}},
        {NUMBER_BF16, "BF16", {0x3f80, 0x4040, 0x40a0, 0x4000, 0x4080, 0x40c0, 0x40a0}},
    };
    for (int i = 0; i < 2; i++) {
        write_type(types[i].type);
        struct safetensors file;
        char error[512] = "";
        enum exit_code code;
        ck_assert_msg(safetensors_open(&file, suite_path("a"), error, &code), "%s", error);
        ck_assert(file.hashed);
        ck_assert(safetensors_verify(&file, error));
        ck_assert_mem_eq(file.tensors[0].place, types[i].bits, 12);
        ck_assert_mem_eq(file.tensors[1].place, types[i].bits + 6, 2);
        for (int t = 0; t < 2; t++) {
            ck_assert_str_eq(file.tensors[t].dtype, types[i].dtype);
            ck_assert_uint_eq(strlen(file.tensors[t].hash), 16);
        }
        safetensors_close(&file);
    }
    flip_bits_of_the_header(14);
    size_t length;
    char *bytes = suite_read("a", &length);
    bytes[length - 1] ^= 1;
    suite_write("x", bytes, length);
    free(bytes);
    struct safetensors file;
    char error[512] = "";
    enum exit_code code;
    ck_assert_msg(safetensors_open(&file, suite_path("x"), error, &code), "%s", error);
    ck_assert(!safetensors_verify(&file, error));
    safetensors_close(&file);
}
END_TEST

// Another order, other spaces, unnecessary escapes, and metadata of other tools are accepted.
START_TEST(the_same_header_written_otherwise) {
    write_good("a");
    char *header = header_of_a();
    write_x(header);
    opens(true);
    char *table = strstr(header, "},\"wte.weight\""), otherwise[4096], *at = otherwise;
    at += sprintf(otherwise, "{%.*s, %.*s, \"note\":\"of \\\"mine\\\"\"}\n}",
                  (int)strlen(table + 2) - 1, table + 2, (int)(table - header) - 1, header + 1);
    for (char *c = otherwise; c < at; c++) { // before names: the one place that may have "] ,"
        if (*c == ']' && c[1] == ',') {
            memmove(c + 2, c + 1, strlen(c + 1) + 1);
            c[1] = '\t';
            at++;
        }
    }
    char *escaped = strstr(otherwise, "char 61");
    memmove(escaped + 9, escaped + 4, strlen(escaped + 4) + 1);
    memcpy(escaped + 3, "\\u0072", 6);
    write_x(otherwise);
    opens(true);
    escaped[8] = '3'; // but not with another value
    write_x(otherwise);
    refuses("x", EXIT_DATA, "what it says gives");
    free(header);
}
END_TEST

START_TEST(files_of_older_trainers) {
    write_good("a");
    char *header = header_of_a();
    cut(header, "\"xxh3\":", ",");
    cut(header, "\"xxh3_of\":", "\",");
    write_x(header);
    opens(false);
    char *key = strstr(header, "xxh3.bias"); // a changed key does not switch a check off
    key[2] = 'i';
    write_x(header);
    refuses("x", EXIT_DATA, "'bias' has no hash");
    key[2] = 'h';
    key[5] = 'B';
    write_x(header);
    refuses("x", EXIT_DATA, "'bias' has no hash");
    free(header);
}
END_TEST

// A file that is cut off anywhere is refused.
START_TEST(refuses_every_truncation) {
    write_good("a");
    size_t length;
    char *bytes = suite_read("a", &length);
    for (size_t cut = 0; cut < length; cut++) {
        suite_write("x", bytes, cut);
        refuses("x", EXIT_DATA, "truncated");
    }
    free(bytes);
}
END_TEST

START_TEST(verify_finds_a_changed_bit) {
    write_good("a");
    size_t length;
    char *bytes = suite_read("a", &length);
    for (size_t at = length - 28; at < length; at++) {
        bytes[at] ^= 0x10;
        suite_write("x", bytes, length);
        bytes[at] ^= 0x10;
        struct safetensors file;
        char error[512] = "";
        enum exit_code code;
        ck_assert(safetensors_open(&file, suite_path("x"), error, &code));
        ck_assert(!safetensors_verify(&file, error));
        ck_assert_ptr_nonnull(strstr(error, at < length - 4 ? "'wte.weight'" : "'bias'"));
        safetensors_close(&file);
    }
    free(bytes);
}
END_TEST

START_TEST(mutated_headers_do_no_harm) {
    write_good("a");
    char *header = header_of_a(); // of an older file, whose header has no hash
    cut(header, "\"xxh3\":", ",");
    cut(header, "\"xxh3_of\":", "\",");
    strcat(header, "                                "); // some padding
    write_x(header);
    free(header);
    size_t length;
    char *bytes = suite_read("x", &length);
    size_t data_start = length - 28;
    static const char alphabet[] = "{}[]\",:0123456789-.eFab_ \\\x01\xff";
    int taken = 0;
    for (uint32_t round = 0; round < 6000; round++) {
        char copy[2048];
        memcpy(copy, bytes, length);
        for (uint32_t edit = 0; edit <= round % 3; edit++) {
            uint64_t bits = rng_bits(1337, round, edit, 0);
            size_t at = rng_below(bits, data_start);
            copy[at] =
                round % 5 ? alphabet[(bits & 0xffff) % (sizeof alphabet - 1)] : (char)(bits & 0xff);
        }
        suite_write("x", copy, length);
        struct safetensors file;
        char error[512] = "";
        enum exit_code code;
        if (!safetensors_open(&file, suite_path("x"), error, &code)) {
            ck_assert_int_eq(code, EXIT_DATA);
            ck_assert_int_ne(error[0], 0);
            continue;
        }
        taken++;
        double sum = 0;
        for (int t = 0; t < file.count; t++) { // everything that it lists can be read
            for (size_t i = 0; i < file.tensors[t].bytes / 4; i++) {
                sum += file.tensors[t].data[i];
            }
        }
        ck_assert_double_eq(sum, 26);
        safetensors_verify(&file, error);
        safetensors_close(&file);
    }
    ck_assert_int_gt(taken, 100); // names, values and padding may change
    ck_assert_int_lt(taken, 5000);
    free(bytes);
}
END_TEST

// ---- writing that fails -------------------------------------------------------------------------

START_TEST(refuses_what_would_need_escapes) {
    char error[512];
    static const char *const bad[] = {"a\"b", "a\\b", "a\nb", "\x01", "\xff"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *const value[] = {"key", bad[i]};
        ck_assert(!safetensors_write(suite_path("x"), out, 3, value, 1, error));
        const char *const key[] = {bad[i], "value"};
        ck_assert(!safetensors_write(suite_path("x"), out, 3, key, 1, error));
        struct tensor_out tensor = out[0];
        strcpy(tensor.name, bad[i]);
        ck_assert(!safetensors_write(suite_path("x"), &tensor, 1, metadata, 2, error));
    }
    const struct tensor_out twice[2] = {out[0], out[0]};
    ck_assert(!safetensors_write(suite_path("x"), twice, 2, metadata, 2, error));
    ck_assert_ptr_nonnull(strstr(error, "twice"));
    const char *const keys[] = {"k", "1", "k", "2"};
    ck_assert(!safetensors_write(suite_path("x"), out, 3, keys, 2, error));
    ck_assert_int_eq(suite_count(), 0);
}
END_TEST

// The old file must still be complete, and be the only one.
static void old_file_is_whole(const char *old, size_t old_length) {
    size_t length;
    char *bytes = suite_read("a", &length);
    ck_assert_uint_eq(length, old_length);
    ck_assert_mem_eq(bytes, old, length);
    free(bytes);
    ck_assert_int_eq(suite_count(), 1);
}

START_TEST(a_full_disk_leaves_the_old_file) {
    write_good("a");
    size_t length;
    char *old = suite_read("a", &length);
    char error[512] = "";
    ck_assert_int_eq(symlink("/dev/full", suite_path("a.tmp")), 0);
    ck_assert(!safetensors_write(suite_path("a"), out, 1, metadata, 1, error));
    ck_assert_ptr_nonnull(strstr(error, strerror(ENOSPC)));
    old_file_is_whole(old, length);
    free(old);
}
END_TEST

START_TEST(a_file_that_may_not_grow_leaves_the_old_one) {
    write_good("a");
    size_t length;
    char *old = suite_read("a", &length);
    signal(SIGXFSZ, SIG_IGN);
    static float many[100000];
    const struct tensor_out big = {.name = "big", .ndim = 1, .dims = {100000}, .data = many};
    // The limit is in the header, between header and data, and in the data.
    static const rlim_t limits[] = {0, 10, 192, 4096, 100001};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        struct rlimit limit;
        getrlimit(RLIMIT_FSIZE, &limit);
        limit.rlim_cur = limits[i];
        ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
        char error[512] = "";
        bool good = safetensors_write(suite_path("a"), &big, 1, metadata, 2, error);
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_FSIZE, &limit);
        ck_assert(!good);
        ck_assert_ptr_nonnull(strstr(error, strerror(EFBIG)));
        ck_assert_ptr_eq(strstr(error, suite_path("a")), error);
        old_file_is_whole(old, length);
    }
    free(old);
}
END_TEST

START_TEST(unwritable_places_are_named) {
    char error[512] = "";
    ck_assert(!safetensors_write(suite_path("no/such/folder"), out, 3, metadata, 2, error));
    ck_assert_ptr_nonnull(strstr(error, strerror(ENOENT)));
    ck_assert(!safetensors_write("/proc/ckpt.safetensors", out, 3, metadata, 2, error));
    ck_assert_ptr_eq(strstr(error, "/proc/ckpt.safetensors: cannot write"), error);
    ck_assert_int_eq(mkdir(suite_path("dir"), 0777), 0);
    ck_assert(!safetensors_write(suite_path("dir"), out, 3, metadata, 2, error));
    ck_assert_ptr_nonnull(strstr(error, strerror(EISDIR)));
    ck_assert(!suite_exists("dir.tmp"));
}
END_TEST

START_TEST(a_path_without_a_folder_is_in_this_one) {
    char error[512] = "";
    ck_assert_int_eq(chdir(suite_dir), 0);
    ck_assert_msg(safetensors_write("here", out, 3, metadata, 2, error), "%s", error);
    ck_assert(suite_exists("here"));
}
END_TEST

int main(void) {
    const TTest *const tests[] = {
        what_is_written_is_read,
        same_tensors_same_bytes,
        a_file_without_tensors_or_metadata,
        takes_what_others_write,
        refuses_files_that_are_none,
        refuses_absurd_header_lengths,
        refuses_wrong_headers,
        every_bit_of_the_header_counts,
        other_types_have_hashes_too,
        the_same_header_written_otherwise,
        files_of_older_trainers,
        refuses_every_truncation,
        verify_finds_a_changed_bit,
        mutated_headers_do_no_harm,
        refuses_what_would_need_escapes,
        a_full_disk_leaves_the_old_file,
        a_file_that_may_not_grow_leaves_the_old_one,
        unwritable_places_are_named,
        a_path_without_a_folder_is_in_this_one,
    };
    return suite_main("safetensors", tests, sizeof tests / sizeof *tests);
}
