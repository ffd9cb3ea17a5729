// test_gguf.c: the reader of GGUF files: what it finds in one, of both versions; a file that is cut
// at every byte; and each number of a file wrong. tests/train/test_gguf.sh imports whole models.
#include "runtime/files/files.h"
#include "tests/runtime/suite.h"

#include <math.h>

static struct safetensors file;
static char error[SAFETENSORS_ERROR];
static char made[4096];
static size_t length;

// ---- a file whose numbers can be made wrong, one at a time --------------------------------------

enum place {
    NOTHING,
    VERSION,
    TENSORS,
    PAIRS,
    KEY_LENGTH,
    VALUE_TYPE,
    TEXT_LENGTH,
    FLAG,
    ITEM_TYPE,
    LIST_COUNT,
    LIST_TEXT,
    NUMBERS_COUNT,
    ALIGNMENT,
    NAME_LENGTH,
    DIMENSIONS,
    ROW,
    ROWS,
    TYPE,
    FIRST_AT,
    SECOND_AT,
    THIRD_AT,
};
static enum place wrong;
static uint64_t instead;
static const char *second_key, *second_name; // other ones than the first

static void put(const void *bytes, size_t count) {
    ck_assert_uint_le(length + count, sizeof made);
    memcpy(made + length, bytes, count);
    length += count;
}

static void number(enum place place, size_t bytes, uint64_t value) {
    value = place != NOTHING && place == wrong ? instead : value;
    put(&value, bytes);
}

static void text(enum place place, const char *value) {
    number(place, 8, strlen(value));
    put(value, strlen(value));
}

static void tensor(const char *name, int dimensions, const uint64_t *sizes, uint32_t type,
                   enum place at, uint64_t offset) {
    const bool first = at == FIRST_AT;
    text(first ? NAME_LENGTH : NOTHING, name);
    number(first ? DIMENSIONS : NOTHING, 4, (uint64_t)dimensions);
    for (int d = 0; d < dimensions; d++) {
        number(!first ? NOTHING : d == 0 ? ROW : ROWS, 8, sizes[d]);
    }
    number(first ? TYPE : NOTHING, 4, type);
    number(at, 8, offset);
}

static void align(void) {
    while (length % 64) {
        put("", 1);
    }
}

// Six pairs; three tensors at 0, 128 and 192 of the data, which ends at its alignment of 64.
static void make(void) {
    static const uint64_t matrix[] = {4, 6}, row[] = {5}, blocks[] = {32, 2};
    length = 0;
    put("GGUF", 4);
    number(VERSION, 4, 3);
    number(TENSORS, 8, 3);
    number(PAIRS, 8, 6);
    text(KEY_LENGTH, "general.architecture");
    number(VALUE_TYPE, 4, GGUF_TEXT);
    text(TEXT_LENGTH, "gpt2");
    text(NOTHING, "general.alignment");
    number(NOTHING, 4, GGUF_U32);
    number(ALIGNMENT, 4, 64);
    text(NOTHING, second_key ? second_key : "a.flag");
    number(NOTHING, 4, GGUF_BOOL);
    number(FLAG, 1, 1);
    text(NOTHING, "a.list");
    number(NOTHING, 4, GGUF_LIST);
    number(ITEM_TYPE, 4, GGUF_TEXT);
    number(LIST_COUNT, 8, 2);
    text(NOTHING, "one");
    text(LIST_TEXT, "three");
    text(NOTHING, "numbers");
    number(NOTHING, 4, GGUF_LIST);
    number(NOTHING, 4, GGUF_I16);
    number(NUMBERS_COUNT, 8, 3);
    number(NOTHING, 2, 7);
    number(NOTHING, 2, (uint64_t)-7);
    number(NOTHING, 2, 9);
    text(NOTHING, "large");
    number(NOTHING, 4, GGUF_U64);
    number(NOTHING, 8, UINT64_MAX);
    tensor("matrix", 2, matrix, 0, FIRST_AT, 0);
    tensor(second_name ? second_name : "row", 1, row, 1, SECOND_AT, 128);
    tensor("blocks", 2, blocks, 8, THIRD_AT, 192);
    align();
    for (int i = 0; i < 24; i++) {
        const float x = (float)i;
        put(&x, 4);
    }
    align();
    for (int i = 0; i < 5; i++) {
        number(NOTHING, 2, 0x3c00); // 1 in float16
    }
    align();
    for (int block = 0; block < 2; block++) {
        number(NOTHING, 2, block ? 0xb800 : 0x3800); // -0.5, 0.5
        for (int i = 0; i < 32; i++) {
            number(NOTHING, 1, (uint64_t)(i - 16));
        }
    }
    align();
}

static void opens(void) {
    enum exit_code code;
    suite_write("m", made, length);
    ck_assert_msg(gguf_open(&file, suite_path("m"), error, &code), "%s", error);
}

static void refused(const char *words) {
    enum exit_code code = EXIT_DONE;
    suite_write("m", made, length);
    ck_assert_msg(!gguf_open(&file, suite_path("m"), error, &code), "%zu bytes: %s", length, words);
    ck_assert_int_eq(code, EXIT_DATA);
    ck_assert_msg(strstr(error, words) && !strchr(error, '\n'), "%s: %s", words, error);
}

// ---- what is right ------------------------------------------------------------------------------

START_TEST(pairs_and_tensors_are_found) {
    for (int version = 2; version <= 3; version++) {
        wrong = VERSION;
        instead = (uint64_t)version;
        make();
        opens();
        ck_assert_int_eq(file.count, 3);
        ck_assert_int_eq(file.pairs_count, 6);
        const struct tensor_view *matrix = safetensors_find(&file, "matrix");
        ck_assert(matrix->ndim == 2 && matrix->dims[0] == 6 && matrix->dims[1] == 4);
        ck_assert(matrix->data[23] == 23 && matrix->bytes == 96);
        ck_assert_str_eq(safetensors_find(&file, "row")->dtype, "F16");
        ck_assert_str_eq(safetensors_find(&file, "blocks")->dtype, "Q8_0");
        int64_t x;
        const struct gguf_pair *list = gguf_find(&file, "a.list"),
                               *some = gguf_find(&file, "numbers");
        struct slice *texts = gguf_texts(list);
        ck_assert(list->count == 2 && slice_is(texts[0], "one") && slice_is(texts[1], "three"));
        free(texts);
        ck_assert(gguf_integer(some, 1, &x) && x == -7);
        ck_assert(gguf_integer(some, 2, &x) && x == 9 && !gguf_integer(some, 3, &x));
        ck_assert(!gguf_integer(gguf_find(&file, "large"), 0, &x)); // above INT64_MAX
        ck_assert(!gguf_integer(gguf_find(&file, "a.flag"), 0, &x));
        ck_assert_ptr_null(gguf_find(&file, "a.fla"));
        ck_assert(foreign_adapt(&file, NULL, 0, error));
        const float *blocks = safetensors_find(&file, "blocks")->data;
        ck_assert(blocks[0] == -8 && blocks[31] == 7.5f && blocks[32] == 8 && blocks[33] == 7.5f);
        ck_assert(safetensors_find(&file, "row")->data[4] == 1);
        safetensors_close(&file);
    }
}
END_TEST

START_TEST(halves_of_a_byte_are_numbers) {
    char block[20] = {0x00, 0x40, 0x00, 0x3c}; // 2 and 1
    float x[32];
    for (int i = 0; i < 16; i++) {
        block[4 + i] = (char)(i | (15 - i) << 4);
    }
    blocks_read("Q4_1", block, 0, 32, x);
    ck_assert(x[0] == 1 && x[5] == 11 && x[15] == 31 && x[16] == 31 && x[31] == 1);
    memmove(block + 2, block + 4, 16);
    blocks_read("Q4_0", block, 0, 32, x);
    ck_assert(x[0] == -16 && x[8] == 0 && x[15] == 14 && x[16] == 14 && x[31] == -16);
    ck_assert(!blocks_are_read("Q5_0"));
    ck_assert_uint_eq(blocks_count("Q4_1", 40), 64);
}
END_TEST

START_TEST(blocks_are_stored_as_ggml_does) {
    float x[96] = {127, 0.5f, -0.5f, 2.5f, -2.5f, 1.4f, -126.6f}, y[96];
    char stored[3 * 34];
    x[64] = -4;
    x[65] = 1;
    x[95] = 0x1p-140f;
    blocks_store_q8_0(x, 96, stored);
    const signed char *q = (const signed char *)stored + 2;
    ck_assert(q[0] == 127 && q[1] == 1 && q[2] == -1 && q[3] == 3 && q[4] == -3); // halves go away
    ck_assert(q[5] == 1 && q[6] == -127 && q[31] == 0);
    ck_assert(q[34 + 0] == 0 && q[34 + 31] == 0); // a block of zeros
    ck_assert(q[68] == -127 && q[69] == 32 && q[99] == 0);
    blocks_read("Q8_0", stored, 0, 96, y);
    ck_assert(y[0] == 127 && y[3] == 3 && y[32] == 0 && fabsf(y[64] + 4) < 0.002f);
    blocks_read("Q8_0", stored, 64, 32, y);
    ck_assert(fabsf(y[1] - 1) < 0.01f);
    x[64] = x[65] = 0; // what is left is less than a scale can be
    blocks_store_q8_0(x + 64, 32, stored);
    blocks_read("Q8_0", stored, 0, 32, y);
    ck_assert(y[31] == 0);
}
END_TEST

START_TEST(halves_of_bytes_are_stored_as_ggml_does) {
    float x[96] = {8, -8, 7, -7.5f, -7.4f, 0.5f, -0.5f}, y[96];
    char stored[3 * 18];
    x[16] = 3;
    x[64] = -4;
    x[65] = 4;
    x[66] = 1;
    x[95] = 0x1p-140f;
    blocks_store_q4_0(x, 96, stored);
    const unsigned char *q = (const unsigned char *)stored + 2;
    // The first largest is -8, at a scale of -1; its opposite would be 8; halves go up.
    ck_assert((q[0] & 15) == 0 && q[1] == 0x8f && q[2] == 0x81 && q[3] == 0x8f && q[4] == 0x8f);
    ck_assert(q[5] == 0x88 && q[6] == 0x89 && q[0] >> 4 == 5);
    ck_assert(q[18] == 0x88 && q[18 + 15] == 0x88); // a block of zeros
    blocks_read("Q4_0", stored, 0, 96, y);
    ck_assert(y[0] == 8 && y[1] == -7 && y[2] == 7 && y[16] == 3 && y[31] == 0 && y[32] == 0);
    ck_assert(y[64] == -4 && y[65] == 3.5f && y[66] == 1 && y[95] == 0);
    x[64] = x[65] = x[66] = 0; // what is left is less than a scale can be
    blocks_store_q4_0(x + 64, 32, stored);
    blocks_read("Q4_0", stored, 0, 32, y);
    ck_assert(y[31] == 0);
}
END_TEST

// ---- models of the Llama family -----------------------------------------------------------------

enum { WIDTH = 8, HEADS = 2, KV = 1, HEAD = 4 };
static const char *architecture;
static const char *extra; // a key after "llama."; its value is the number 3
static const char *extra_text;

static void own_key(const char *name, uint32_t type) {
    char key[96];
    snprintf(key, sizeof key, "%s.%s", architecture, name);
    text(NOTHING, key);
    number(NOTHING, 4, type);
}

static void own_number(const char *name, uint64_t value) {
    own_key(name, GGUF_U32);
    number(NOTHING, 4, value);
}

// One layer's queries and keys, whose row r is r, r + 100 ..., and a vector.
static void make_llama(void) {
    static const uint64_t q[] = {WIDTH, HEADS * HEAD}, k[] = {WIDTH, KV * HEAD},
                          table[] = {WIDTH, 3}, row[] = {WIDTH};
    static const uint64_t bias[] = {KV * HEAD};
    const float epsilon = 1e-6f, theta = 5e5f;
    uint64_t offset = 0;
    length = 0;
    put("GGUF", 4);
    number(NOTHING, 4, 3);
    number(NOTHING, 8, 5);
    number(NOTHING, 8, 9 + (uint64_t)(extra != NULL));
    text(NOTHING, "general.architecture");
    number(NOTHING, 4, GGUF_TEXT);
    text(NOTHING, architecture);
    own_number("block_count", 1);
    own_number("context_length", 16);
    own_number("embedding_length", WIDTH);
    own_number("feed_forward_length", 24);
    own_number("attention.head_count", HEADS);
    own_number("attention.head_count_kv", KV);
    own_key("attention.layer_norm_rms_epsilon", GGUF_F32);
    put(&epsilon, 4);
    own_key("rope.freq_base", GGUF_F32);
    put(&theta, 4);
    if (extra && extra_text) {
        own_key(extra, GGUF_TEXT);
        text(NOTHING, extra_text);
    } else if (extra) {
        own_number(extra, 3);
    }
    tensor("token_embd.weight", 2, table, 0, NOTHING, offset);
    tensor("blk.0.attn_q.weight", 2, q, 0, NOTHING, offset += sizeof(float) * 3 * WIDTH);
    tensor("blk.0.attn_k.weight", 2, k, 1, NOTHING, offset += sizeof(float) * WIDTH * HEADS * HEAD);
    tensor("blk.0.attn_k.bias", 1, bias, 0, NOTHING, offset += 2 * WIDTH * KV * HEAD);
    tensor("blk.0.ffn_gate.weight", 1, row, 0, NOTHING, offset + 32);
    while (length % 32) {
        put("", 1);
    }
    for (int i = 0; i < (3 + HEADS * HEAD) * WIDTH; i++) {
        const float x = (float)(i < 3 * WIDTH ? i : (i - 3 * WIDTH) / WIDTH + i % WIDTH * 100);
        put(&x, 4);
    }
    for (int i = 0; i < KV * HEAD * WIDTH; i++) {
        number(NOTHING, 2, (uint64_t)(0x3c00 + i / WIDTH)); // 1, 1 + 2^-10 ...
    }
    for (int i = 0; i < 8 + WIDTH; i++) { // the bias, and as much to its end
        const float x = (float)i;
        put(&x, 4);
    }
}

// What is said of the model, or the line that ends the program.
static char *described(void) {
    static char said[2048];
    FILE *out = fmemopen(said, sizeof said, "w");
    opens();
    gguf_describe(&file, out);
    fclose(out);
    safetensors_close(&file);
    return said;
}

START_TEST(a_llama_is_told_in_the_words_of_hugging_face) {
    architecture = "llama";
    make_llama();
    ck_assert_str_eq(described(),
                     "{\"model_type\":\"llama\",\"num_hidden_layers\":1,"
                     "\"max_position_embeddings\":16,\"intermediate_size\":24,\"hidden_size\":8,"
                     "\"num_attention_heads\":2,\"num_key_value_heads\":1,\"head_dim\":4,"
                     "\"rms_norm_eps\":1e-06,\"rope_theta\":5e+05,\"hidden_act\":\"silu\","
                     "\"attention_bias\":false,\"mlp_bias\":false,\"vocab_size\":3,"
                     "\"tie_word_embeddings\":true,\"has_tokenizer\":false}\n");
    architecture = "arcee";
    make_llama();
    ck_assert(strstr(described(), "\"hidden_act\":\"relu2\""));
    static const char *const cases[][3] = {
        {"rope.dimension_count", NULL, ",\"partial_rotary_factor\":0.75,"},
        {"attention.value_length", NULL, "\"head_dim\":4,\"v_head_dim\":3,"},
        {"attention.key_length", NULL, "\"head_dim\":3,\"v_head_dim\":4,"},
        {"rope.scale_linear", NULL, "\"rope_scaling\":{\"rope_type\":\"linear\"}"},
        {"rope.scaling.factor", NULL, "\"rope_scaling\":{\"rope_type\":\"linear\"}"},
        {"rope.scaling.type", "yarn", "\"rope_scaling\":{\"rope_type\":\"yarn\"}"},
        {"rope.scaling.type", "none", "\"rope_theta\":5e+05,\"hidden_act\""},
        {"expert_count", NULL, "\"num_local_experts\":3"},
        {"attention.sliding_window", NULL, "\"sliding_window\":3,\"use_sliding_window\":true"},
        {"vocab_size", NULL, "\"rope_theta\":5e+05,\"hidden_act\""},
    };
    architecture = "qwen3";
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        extra = cases[i][0];
        extra_text = cases[i][1];
        make_llama();
        const char *said = described();
        ck_assert_msg(strstr(said, cases[i][2]), "%s: %s", extra, said);
    }
}
END_TEST

static void describe_it(void *context) {
    (void)context;
    described();
}

START_TEST(what_a_key_may_change_is_refused) {
    architecture = "llama";
    extra = "attention.scale";
    make_llama();
    suite_dies(describe_it, NULL, EXIT_DATA,
               "its llama.attention.scale is not known here, and may change what the model");
    extra = NULL;
    make_llama();
    memcpy(strstr(memchr(made, 'b', length), "block_count"), "clock_count", 11);
    suite_dies(describe_it, NULL, EXIT_DATA, "its llama.clock_count is not known here");
    architecture = "qwen2moe";
    make_llama();
    ck_assert_str_eq(described(), "{\"model_type\":\"qwen2moe\"}\n");
}
END_TEST

// ---- angles that are divided --------------------------------------------------------------------

// What is said of divisors that a config of this head and scaling has.
static const char *divided(const char *config, double theta, int spoilt) {
    static char said[256];
    const struct export_model model = {.config = config};
    struct tensor_out made_of;
    ck_assert(export_gguf_divisors(&model, &made_of));
    float *divisor = (float *)made_of.data;
    if (spoilt >= 0) {
        divisor[spoilt] *= 1.001f;
    }
    struct tensor_view view = {.name = made_of.name,
                               .ndim = 1,
                               .dims = {made_of.dims[0]},
                               .dtype = "F32",
                               .place = (const char *)divisor};
    const struct safetensors one = {.count = 1, .tensors = &view};
    FILE *out = fmemopen(said, sizeof said, "w");
    gguf_describe_divisors(&one, theta, out);
    fputc(0, out);
    fclose(out);
    free(divisor);
    return said;
}

// The scaling that is found is that of the config where a Llama's own low and high are its; else it
// makes the same divisors, which is all that shows.
START_TEST(scaled_angles_are_found_by_their_divisors) {
#define WORDS " n_embd=256 n_head=2 rope_scaling=llama3"
#define SAID(factor, low, high, original)                                                          \
    ",\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":" factor ",\"low_freq_factor\":" low   \
    ",\"high_freq_factor\":" high ",\"original_max_position_embeddings\":" original "}"
    static const struct {
        const char *config;
        double theta;
        const char *said;
    } cases[] = {
        {"rope_theta=500000" WORDS, 5e5, SAID("8", "1", "4", "8192")},
        {"rope_theta=500000 rope_factor=32 head_size=64" WORDS, 5e5, SAID("32", "1", "4", "8192")},
        {"rope_theta=500000 rope_factor=2.5 rope_original_context=100" WORDS, 5e5,
         SAID("2.5", "1", "4", "100")},
        {"rope_theta=500000 rope_low_freq_factor=1.5 rope_high_freq_factor=6" WORDS, 5e5,
         SAID("8", "1.5", "6", "8192")},
        {"rope_theta=500000 rope_low_freq_factor=2 rope_high_freq_factor=5" WORDS, 5e5,
         SAID("8", "0.5", "1.25", "2048")},
        {"rope_theta=10000" WORDS, 1e4, SAID("8", "1", "4", "8192")}, // none is slow
        {"rope_theta=10000 head_size=4 rope_original_context=65536" WORDS, 1e4, ""},
        {"rope_theta=10000 head_size=8 rope_original_context=64" WORDS, 1e4,
         SAID("8", "1", "4", "64")},
        {"rope_theta=100 head_size=4 rope_original_context=2" WORDS, 1e2,
         SAID("8", "1", "4", "1")}, // all are
        {"rope_theta=10000 rope_factor=1" WORDS, 1e4, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_assert_str_eq(divided(cases[i].config, cases[i].theta, -1), cases[i].said);
    }
    // One that is off by a thousandth is no such scaling, whichever it is; nor is another base.
    static const char none[] = ",\"rope_scaling\":{\"rope_type\":\"rope_freqs.weight\"}";
    for (int j = 0; j < 64; j++) {
        ck_assert_str_eq(divided(cases[0].config, 5e5, j), none);
    }
    ck_assert_str_eq(divided(cases[0].config, 4e5, -1), none);
    ck_assert_str_eq(divided(cases[0].config, -1, -1), none);
}
END_TEST

// Rows of q and k lie pairwise where llama.cpp turns neighbours.
START_TEST(rows_of_a_llama_are_put_in_halves) {
    static const char *const all[] = {"llama", "arcee", "qwen2", "qwen3"};
    for (int a = 0; a < 4; a++) {
        const bool pairwise = a < 2;
        const int order[] = {0, pairwise ? 2 : 1, pairwise ? 1 : 2, 3};
        architecture = all[a];
        make_llama();
        opens();
        gguf_rename(&file);
        ck_assert(foreign_adapt(&file, NULL, 0, error));
        const struct tensor_view *q =
            safetensors_find(&file, "model.layers.0.self_attn.q_proj.weight");
        const struct tensor_view *k =
            safetensors_find(&file, "model.layers.0.self_attn.k_proj.weight");
        const struct tensor_view *bias =
            safetensors_find(&file, "model.layers.0.self_attn.k_proj.bias");
        for (int row = 0; row < HEADS * HEAD; row++) {
            for (int c = 0; c < WIDTH; c++) {
                ck_assert(q->data[row * WIDTH + c] ==
                          (float)(row / HEAD * HEAD + order[row % HEAD] + 100 * c));
            }
        }
        for (int i = 0; i < KV * HEAD * WIDTH; i++) {
            ck_assert(k->data[i] == 1 + (float)order[i / WIDTH] / 1024);
        }
        for (int row = 0; row < KV * HEAD; row++) {
            ck_assert(bias->data[row] == (float)order[row]);
        }
        ck_assert(safetensors_find(&file, "model.embed_tokens.weight")->data[23] == 23);
        ck_assert(safetensors_find(&file, "model.layers.0.mlp.gate_proj.weight")->data[7] == 15);
        safetensors_close(&file);
    }
}
END_TEST

// Heads that do not cut the rows, and rows of no numbers, are left as they are.
START_TEST(rows_that_are_no_heads_stay) {
    architecture = "llama";
    make_llama();
    opens();
    struct tensor_view *q = (struct tensor_view *)safetensors_find(&file, "blk.0.attn_q.weight");
    q->dims[0] = 6;
    gguf_rename(&file);
    ck_assert(!q->heads);
    safetensors_close(&file);
    opens();
    q = (struct tensor_view *)safetensors_find(&file, "blk.0.attn_q.weight");
    q->dims[0] = (int64_t)1 << 60;
    q->dims[1] = 0;
    q->stored = 0;
    gguf_rename(&file);
    ck_assert(!q->heads);
    safetensors_close(&file);
}
END_TEST

START_TEST(names_go_both_ways) {
    char name[PARAM_NAME];
    gguf_name("model.layers.12.post_attention_layernorm.weight", name);
    ck_assert_str_eq(name, "blk.12.ffn_norm.weight");
    gguf_name("model.layers.0.self_attn.q_norm.weight", name);
    ck_assert_str_eq(name, "blk.0.attn_q_norm.weight");
    gguf_name("transformer.h.3.ln_2.bias", name);
    ck_assert_str_eq(name, "blk.3.ffn_norm.bias");
    gguf_name("lm_head.weight", name);
    ck_assert_str_eq(name, "output.weight");
}
END_TEST

// ---- what is not --------------------------------------------------------------------------------

START_TEST(cut_files_are_refused) {
    make();
    // The last tensor ends 60 bytes before the file, which may end there too.
    const size_t whole = length, end = whole - 60;
    for (length = 0; length < whole; length++) {
        if (length != end) {
            refused(length < 24 ? "truncated" : length > end ? "its tensors end at byte" : "");
        }
    }
    length = end;
    opens();
    safetensors_close(&file);
    length = whole;
    put("", 1);
    refused("its tensors end at byte");
}
END_TEST

START_TEST(wrong_numbers_are_refused) {
    static const struct {
        enum place place;
        uint64_t number;
        const char *words;
    } cases[] = {
        {VERSION, 1, "is of GGUF's version 1; 2 or 3 is wanted"},
        {VERSION, 4, "is of GGUF's version 4"},
        {VERSION, 0x03000000, "is a big-endian GGUF file"},
        {TENSORS, 1ull << 40, "would have 1099511627776 tensors, but has"},
        {TENSORS, UINT64_MAX, "tensors, but has"},
        {TENSORS, 4, ""},
        {TENSORS, 2, "its tensors end at byte"},
        {PAIRS, 1ull << 40, "would have 1099511627776 keys, but has"},
        {PAIRS, UINT64_MAX, "keys, but has"},
        {PAIRS, 7, ""},
        {PAIRS, 5, ""},
        {KEY_LENGTH, UINT64_MAX, "ends within a key, at byte 32"},
        {KEY_LENGTH, 1ull << 32 | 20, "ends within a key, at byte 32"},
        {KEY_LENGTH, 0, "has a key that is empty or holds a zero"},
        {KEY_LENGTH, 22, "has a key that is empty or holds a zero"},
        {VALUE_TYPE, 13, "general.architecture is of type 13, which is none"},
        {VALUE_TYPE, UINT32_MAX, "general.architecture is of type 4294967295"},
        {TEXT_LENGTH, UINT64_MAX, "text 1 of general.architecture is longer than the file"},
        {TEXT_LENGTH, 1ull << 62, "text 1 of general.architecture is longer than the file"},
        {FLAG, 2, "a.flag is neither true nor false"},
        {ITEM_TYPE, GGUF_LIST, "a.list is of type 9, which is none"},
        {ITEM_TYPE, 99, "a.list is of type 99"},
        {LIST_COUNT, UINT64_MAX, "a.list has 18446744073709551615 values, but"},
        {LIST_COUNT, 1ull << 61, "a.list has 2305843009213693952 values, but"},
        {LIST_COUNT, 60, ""},
        {LIST_TEXT, 1ull << 63, "text 2 of a.list is longer than the file"},
        {NUMBERS_COUNT, 1ull << 63, "numbers has 9223372036854775808 values, but"},
        {NUMBERS_COUNT, 1ull << 31, "numbers has 2147483648 values, but"},
        {ALIGNMENT, 0, "its general.alignment is no power of two"},
        {ALIGNMENT, 48, "its general.alignment is no power of two"},
        {ALIGNMENT, 1u << 31, "it is truncated"},
        {ALIGNMENT, 32, ""},
        {NAME_LENGTH, UINT64_MAX, "ends within a tensor's name"},
        {NAME_LENGTH, 0, "has a tensor whose name is empty or holds a zero"},
        {NAME_LENGTH, 8, "has a tensor whose name is empty or holds a zero"},
        {DIMENSIONS, 5, "tensor 'matrix' has 5 dimensions; 4 at most"},
        {DIMENSIONS, UINT32_MAX, "tensor 'matrix' has 4294967295 dimensions"},
        {ROW, UINT64_MAX, "tensor 'matrix' has a shape that is no size of anything"},
        {ROW, 1ull << 63, "tensor 'matrix' has a shape that is no size of anything"},
        {ROW, 1ull << 62, "tensor 'matrix' has a shape that is no size of anything"},
        {ROW, 3074457345618258603, "tensor 'matrix' has a shape that is no size of"}, // * 6 is 2
        {ROW, 1ull << 60, "tensor 'matrix' is larger than the file"},
        {ROW, 1ull << 32 | 4, "tensor 'matrix' is larger than the file"},
        {ROWS, 1ull << 61, "tensor 'matrix' is larger than the file"},
        {ROWS, 1ull << 60 | 6, "tensor 'matrix' is larger than the file"},
        {ROWS, 12, "tensor 'row' overlaps the one before it at byte 128"},
        {ROWS, 2, "tensor 'row' leaves a hole before it at byte 128"},
        {TYPE, 4, "tensor 'matrix' is of ggml's type 4, which is none that can be read"},
        {TYPE, 42, "tensor 'matrix' is of ggml's type 42"},
        {TYPE, UINT32_MAX, "tensor 'matrix' is of ggml's type 4294967295"},
        {TYPE, 8, "tensor 'matrix' has rows of 4 numbers, which blocks of 32 of type Q8_0"},
        {FIRST_AT, 64, "tensor 'matrix' leaves a hole before it at byte 64"},
        {SECOND_AT, 160, "tensor 'row' is at byte 160 of the data, no multiple of its alignment"},
        {SECOND_AT, 0, "tensor 'row' overlaps the one before it at byte 0"},
        {SECOND_AT, 256, "tensor 'row' leaves a hole before it at byte 256"},
        {THIRD_AT, 1ull << 32 | 192, "tensor 'blocks' leaves a hole before it"},
        {THIRD_AT, UINT64_MAX - 63, "tensor 'blocks' leaves a hole before it"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        wrong = cases[i].place;
        instead = cases[i].number;
        make();
        refused(cases[i].words);
    }
}
END_TEST

START_TEST(nothing_is_there_twice) {
    second_key = "general.alignment";
    make();
    refused("has general.alignment twice");
    second_key = NULL;
    second_name = "matrix";
    make();
    refused("has tensor 'matrix' twice");
}
END_TEST

START_TEST(other_files_are_named) {
    make();
    made[3] = 'X';
    refused("does not begin with GGUF");
    length = 0;
    put("version https://git-lfs.github.com/spec/v1\noid sha256:0", 56);
    refused("is Git LFS's pointer to a file");
    length = 0;
    put("<!doctype html><html>        ", 29);
    refused("begins with '<', as a page of the web does");
    enum exit_code code;
    ck_assert(!gguf_open(&file, suite_path("none"), error, &code) && code == EXIT_MISSING);
    ck_assert(!gguf_is(suite_path("none")) && !gguf_is(suite_path("m")) && gguf_is("m.gguf"));
    make();
    suite_write("m", made, length);
    ck_assert(gguf_is(suite_path("m")));
}
END_TEST

START_TEST(files_without_tensors_are_read) {
    for (int aligned = 0; aligned < 2; aligned++) {
        length = 0;
        put("GGUF", 4);
        number(NOTHING, 4, 3);
        number(NOTHING, 8, 0);
        number(NOTHING, 8, 0);
        put("\0\0\0\0\0\0\0", aligned ? 8 : 0);
        opens();
        ck_assert(file.count == 0 && file.pairs_count == 0);
        safetensors_close(&file);
    }
}
END_TEST

int main(void) {
    const TTest *const tests[] = {
        blocks_are_stored_as_ggml_does,
        halves_of_bytes_are_stored_as_ggml_does,
        pairs_and_tensors_are_found,
        halves_of_a_byte_are_numbers,
        a_llama_is_told_in_the_words_of_hugging_face,
        what_a_key_may_change_is_refused,
        scaled_angles_are_found_by_their_divisors,
        rows_of_a_llama_are_put_in_halves,
        rows_that_are_no_heads_stay,
        names_go_both_ways,
        cut_files_are_refused,
        wrong_numbers_are_refused,
        nothing_is_there_twice,
        other_files_are_named,
        files_without_tensors_are_read,
    };
    return suite_main("gguf", tests, sizeof tests / sizeof *tests);
}
