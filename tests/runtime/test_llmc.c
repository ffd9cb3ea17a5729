// test_llmc.c: llm.c's files: weights of both versions, tokens of both; cut at every byte, and with
// each number of their headers wrong.
#include "runtime/files/files.h"
#include "tests/runtime/suite.h"

// A model of one head, C = 2, three layers, four positions, five tokens padded to eight.
enum { T = 4, V = 5, L = 3, H = 1, C = 2, PADDED = 8, NUMBERS = (PADDED + T + 2) * C + L * 74 };

static struct safetensors file;
static char error[SAFETENSORS_ERROR];

// Number i of the data is i; wte's padding begins at V * C.
static size_t make_model(char *bytes, int version) {
    const int32_t header[8] = {LLMC_MODEL, version, T, V, L, H, C, PADDED};
    const size_t size = version == LLMC_BFLOAT16 ? 2 : 4;
    memset(bytes, 0, LLMC_HEADER);
    memcpy(bytes, header, sizeof header);
    for (int i = 0; i < NUMBERS; i++) {
        const float x = (float)i;
        memcpy(bytes + LLMC_HEADER + size * (size_t)i, (const char *)&x + 4 - size, size);
    }
    return LLMC_HEADER + size * NUMBERS;
}

static char model[LLMC_HEADER + 4 * NUMBERS + 4];

static void refused(size_t length, const char *words) {
    enum exit_code code = EXIT_DONE;
    ck_assert_msg(!llmc_open(&file, suite_path("m.bin"), error, &code), "%zu bytes", length);
    ck_assert_int_eq(code, EXIT_DATA);
    ck_assert_msg(strstr(error, words) && !strchr(error, '\n'), "%s", error);
}

static void wants(size_t length, const char *words) {
    suite_write("m.bin", model, length);
    refused(length, words);
}

static float first(const char *name) {
    const struct tensor_view *view = safetensors_find(&file, name);
    ck_assert_msg(view != NULL, "no %s", name);
    return *view->data;
}

START_TEST(weights_are_where_llmc_writes_them) {
    enum exit_code code;
    suite_write("m.bin", model, make_model(model, LLMC_FLOAT32));
    ck_assert_int_eq(llmc_magic(suite_path("m.bin")), LLMC_MODEL);
    ck_assert_msg(llmc_open(&file, suite_path("m.bin"), error, &code), "%s", error);
    ck_assert_int_eq(file.count, 4 + 12 * L);
    const struct tensor_view *table = safetensors_find(&file, "transformer.wte.weight");
    ck_assert_int_eq(table->dims[0], V); // its padding is cut
    ck_assert_int_eq(table->dims[1], C);
    const struct {
        const char *name;
        int at; // numbers before it
    } wanted[] = {{"wte.weight", 0},
                  {"wpe.weight", 16},
                  {"h.0.ln_1.weight", 24},
                  {"h.2.ln_1.weight", 28},
                  {"h.0.ln_1.bias", 30},
                  {"h.1.attn.c_attn.weight", 48},
                  {"h.0.attn.c_attn.bias", 72},
                  {"h.0.attn.c_proj.weight", 90},
                  {"h.0.attn.c_proj.bias", 102},
                  {"h.0.ln_2.weight", 108},
                  {"h.0.ln_2.bias", 114},
                  {"h.0.mlp.c_fc.weight", 120},
                  {"h.0.mlp.c_fc.bias", 168},
                  {"h.1.mlp.c_proj.weight", 208},
                  {"h.2.mlp.c_proj.bias", 244},
                  {"ln_f.weight", 246},
                  {"ln_f.bias", 248}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        char name[PARAM_NAME];
        snprintf(name, sizeof name, "transformer.%s", wanted[i].name);
        ck_assert_msg(first(name) == (float)wanted[i].at, "%s: %g", name, (double)first(name));
    }
    ck_assert_int_eq(NUMBERS, 250);
    ck_assert_str_eq(safetensors_metadata(&file, "n_head"), "1");
    ck_assert_str_eq(safetensors_metadata(&file, "activation_function"), "gelu_new");
    safetensors_close(&file);
}
END_TEST

START_TEST(bfloat16_is_read) {
    enum exit_code code;
    suite_write("m.bin", model, make_model(model, LLMC_BFLOAT16));
    ck_assert_msg(llmc_open(&file, suite_path("m.bin"), error, &code), "%s", error);
    const struct tensor_view *last = safetensors_find(&file, "transformer.ln_f.bias");
    ck_assert_str_eq(last->dtype, "BF16");
    ck_assert_uint_eq(last->stored, 2 * C);
    ck_assert_ptr_eq(last->place, (const char *)file.map + LLMC_HEADER + 2 * 248);
    ck_assert(foreign_adapt(&file, NULL, 0, error));
    ck_assert(last->data[0] == 248 && first("transformer.wpe.weight") == 16);
    safetensors_close(&file);
}
END_TEST

START_TEST(cut_files_are_refused) {
    for (int version = LLMC_FLOAT32; version <= LLMC_BFLOAT16; version += 2) {
        const size_t whole = make_model(model, version);
        wants(whole + 1, "but the sizes in its header take");
        for (size_t length = whole; length-- > 0;) {
            ck_assert_int_eq(truncate(suite_path("m.bin"), (off_t)length), 0);
            refused(length, "truncated");
        }
    }
}
END_TEST

START_TEST(wrong_headers_are_refused) {
    static const int32_t numbers[] = {0, -1, INT32_MIN, INT32_MAX, 1 << 30, 65537};
    static const char *const names[] = {"",           "version",   "max_seq_len", "vocab_size",
                                        "num_layers", "num_heads", "channels",    "padded_vocab"};
    const size_t whole = make_model(model, LLMC_FLOAT32);
    for (int at = 1; at < 8; at++) {
        for (size_t n = 0; n < sizeof numbers / sizeof *numbers; n++) {
            const bool read = numbers[n] == 65537 && (at == 2 || at == 3 || at == 7);
            make_model(model, LLMC_FLOAT32);
            memcpy(model + 4 * at, &numbers[n], 4);
            wants(whole, at == 3 && read ? "below vocab_size" : read ? "truncated" : names[at]);
        }
    }
    make_model(model, LLMC_FLOAT32);
    model[4 * 5] = 3;
    wants(whole, "num_heads 3 does not divide channels 2");
    make_model(model, LLMC_FLOAT32);
    model[4 * 7] = V - 1;
    wants(whole, "padded_vocab_size 4 is below vocab_size 5");
    make_model(model, 1);
    wants(whole, "is of version 1; 3, float32, and 5, bfloat16, are read");
    make_model(model, LLMC_FLOAT32);
    model[0]++;
    wants(whole, "begins with 20240327; llm.c's file of weights begins with 20240326");
}
END_TEST

START_TEST(no_file_is_missing) {
    enum exit_code code;
    ck_assert(!llmc_open(&file, suite_path("none"), error, &code));
    ck_assert_int_eq(code, EXIT_MISSING);
    ck_assert_int_eq(llmc_magic(suite_path("none")), 0);
    ck_assert_int_eq(llmc_magic(suite_dir), 0);
}
END_TEST

// ---- tokens -------------------------------------------------------------------------------------

static char tokens_bytes[LLMC_HEADER + 4096];
static struct llmc_tokens tokens;

// The bytes 0 to 255, "ab", and <|endoftext|>, as "bpe gpt2" of this order has them.
static size_t make_tokens(struct tokenizer *tokenizer) {
    char text[1024], *at = text + sprintf(text, "bpe gpt2 ");
    for (int i = 0; i < 256; i++) {
        at += sprintf(at, "%02x", (unsigned)i);
    }
    sprintf(at, " 00610062 <|endoftext|>");
    const char *problem;
    ck_assert_msg(tokenizer_parse(tokenizer, text, &problem), "%s", problem);
    const int32_t header[4] = {LLMC_TOKENS, 2, 258, 257};
    memset(tokens_bytes, 0, LLMC_HEADER);
    memcpy(tokens_bytes, header, sizeof header);
    size_t length = LLMC_HEADER;
    for (int id = 0; id < tokenizer->vocab_size; id++) {
        size_t bytes;
        const char *token = tokenizer_decode(tokenizer, id, &bytes);
        tokens_bytes[length++] = (char)bytes;
        memcpy(tokens_bytes + length, token, bytes);
        length += bytes;
    }
    return length;
}

static void refused_tokens(size_t length, const char *words) {
    enum exit_code code = EXIT_DONE;
    ck_assert_msg(!llmc_tokens_open(&tokens, suite_path("t.bin"), error, &code), "%zu", length);
    ck_assert_int_eq(code, EXIT_DATA);
    ck_assert_msg(strstr(error, words) && !strchr(error, '\n'), "%s", error);
}

static void wants_tokens(size_t length, const char *words) {
    suite_write("t.bin", tokens_bytes, length);
    refused_tokens(length, words);
}

START_TEST(tokens_are_compared) {
    enum exit_code code;
    struct tokenizer own;
    const size_t whole = make_tokens(&own);
    suite_write("t.bin", tokens_bytes, whole);
    ck_assert_msg(llmc_tokens_open(&tokens, suite_path("t.bin"), error, &code), "%s", error);
    ck_assert_msg(llmc_tokens_are(&tokens, "t.bin", &own, error), "%s", error);
    llmc_tokens_close(&tokens);
    tokenizer_free(&own);
    const struct {
        size_t at;
        int value;
        const char *words;
    } other[] = {{12, 0, "<|endoftext|> is 1, the tokenizer's is 257"},
                 {LLMC_HEADER + 2 * 256 + 1, 'x', "token 256 has other bytes"}};
    for (int i = 0; i < 2; i++) {
        make_tokens(&own);
        tokens_bytes[other[i].at] = (char)(i == 0 ? 1 : other[i].value);
        tokens_bytes[13] = (char)(i == 0 ? 0 : 1);
        suite_write("t.bin", tokens_bytes, whole);
        ck_assert_msg(llmc_tokens_open(&tokens, suite_path("t.bin"), error, &code), "%s", error);
        ck_assert(!llmc_tokens_are(&tokens, "t.bin", &own, error));
        ck_assert_msg(strstr(error, other[i].words), "%s", error);
        llmc_tokens_close(&tokens);
        tokenizer_free(&own);
    }
}
END_TEST

START_TEST(wrong_tokens_are_refused) {
    struct tokenizer own;
    const size_t whole = make_tokens(&own);
    wants_tokens(whole + 1, "1 bytes follow its 258 tokens");
    for (size_t length = whole; length-- > 0;) {
        ck_assert_int_eq(truncate(suite_path("t.bin"), (off_t)length), 0);
        refused_tokens(length, "truncated");
    }
    tokens_bytes[LLMC_HEADER + 20] = 0;
    wants_tokens(whole, "has no bytes");
    static const struct {
        int at;
        int32_t number;
        const char *words;
    } wrong[] = {{1, 3, "is of version 3"},
                 {1, 1, "is of version 1, which has 50257 tokens, but states 258"},
                 {2, 0, "states 0 tokens"},
                 {2, -1, "states -1 tokens"},
                 {2, INT32_MAX, "states 2147483647 tokens"},
                 {2, 257, "<|endoftext|> is token 257 of 257"},
                 {3, 258, "<|endoftext|> is token 258 of 258"},
                 {3, -1, "<|endoftext|> is token -1"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        tokenizer_free(&own);
        make_tokens(&own);
        memcpy(tokens_bytes + 4 * wrong[i].at, &wrong[i].number, 4);
        wants_tokens(whole, wrong[i].words);
    }
    tokenizer_free(&own);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {
        weights_are_where_llmc_writes_them, bfloat16_is_read,   cut_files_are_refused,
        wrong_headers_are_refused,          no_file_is_missing, tokens_are_compared,
        wrong_tokens_are_refused,
    };
    return suite_main("llmc", tests, sizeof tests / sizeof *tests);
}
