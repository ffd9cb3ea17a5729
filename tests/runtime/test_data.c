// test_data.c: token files and batches, and every way in which token files can be wrong.
#include "tests/runtime/suite.h"

#define TOKENIZER "char 61 62 63 64"

static void write_meta(const char *tokenizer, int vocab_size, long train, long val) {
    char text[512];
    snprintf(text, sizeof text,
             "{\"dataset\":\"abcd\",\"tokenizer\":\"%s\",\"vocab_size\":%d,\"train_tokens\":%ld,"
             "\"val_tokens\":%ld,\"text_sha256\":\"00\"}",
             tokenizer, vocab_size, train, val);
    suite_write_text("meta.json", text);
}

// 100 and 20 tokens: 0 1 2 3 0 1 2 3 ...
static void write_good(void) {
    uint16_t tokens[100];
    for (int i = 0; i < 100; i++) {
        tokens[i] = (uint16_t)(i % 4);
    }
    suite_write("train.bin", tokens, 200);
    suite_write("val.bin", tokens, 40);
    write_meta(TOKENIZER, 4, 100, 20);
}

struct sizes {
    int vocab_size, block_size;
};

static void open_data(void *context) {
    const struct sizes *sizes = context;
    struct data data;
    data_open(&data, suite_dir, sizes->vocab_size, sizes->block_size);
    data_close(&data);
}

static struct sizes usual = {4, 8};
static char dataset[64]; // as in the command that the messages name

static const char *remedy(void) {
    snprintf(dataset, sizeof dataset, "make data DATASET=%s", strrchr(suite_dir, '/') + 1);
    return dataset;
}

// ---- valid files --------------------------------------------------------------------------------

START_TEST(opens_what_is_good) {
    write_good();
    struct data data;
    data_open(&data, suite_dir, 4, 19); // val has just 19 + 1 tokens
    ck_assert_uint_eq(data.train.count, 100);
    ck_assert_uint_eq(data.val.count, 20);
    ck_assert_int_eq(suite_token(&data.train, 99), 3);
    ck_assert_str_eq(data.tokenizer.text, TOKENIZER);
    ck_assert_str_eq(data.val.path, suite_path("val.bin"));
    data_close(&data);
    data_open(&data, suite_dir, 50304, 8); // a model may know more tokens than the data has
    data_close(&data);
}
END_TEST

START_TEST(batches_are_windows_of_the_tokens) {
    uint16_t tokens[1000];
    for (int i = 0; i < 1000; i++) {
        tokens[i] = (uint16_t)i;
    }
    const struct split split = {.path = "made up", .tokens = tokens, .count = 1000};
    enum { B = 5, T = 17 };
    int32_t x[B * T], y[B * T];
    for (uint64_t index = 0; index < 200; index++) {
        data_batch(&split, 1337, RNG_TRAIN, index, B, T, 1000, x, y);
        for (int b = 0; b < B; b++) {
            ck_assert_int_ge(x[b * T], 0);
            ck_assert_int_lt(x[b * T], 1000 - T);
            for (int t = 0; t < T; t++) {
                ck_assert_int_eq(x[b * T + t], x[b * T] + t);
                ck_assert_int_eq(y[b * T + t], x[b * T] + t + 1);
            }
        }
    }
}
END_TEST

START_TEST(every_offset_and_no_other_is_drawn) {
    enum { COUNT = 12, T = 4 };
    uint16_t tokens[COUNT];
    for (int i = 0; i < COUNT; i++) {
        tokens[i] = (uint16_t)i;
    }
    const struct split split = {.path = "made up", .tokens = tokens, .count = COUNT};
    int32_t x[T], y[T];
    int drawn[COUNT] = {0};
    for (uint64_t index = 0; index < 8000; index++) {
        data_batch(&split, 7, RNG_EVAL_VAL, index, 1, T, COUNT, x, y);
        drawn[x[0]]++;
    }
    for (int i = 0; i < COUNT; i++) { // 0..7: the last target is the last token
        ck_assert_int_ge(drawn[i], i < COUNT - T ? 850 : 0);
        ck_assert_int_le(drawn[i], i < COUNT - T ? 1150 : 0);
    }
    // The shortest split there can be: T + 1 tokens, one offset.
    const struct split shortest = {.path = "made up", .tokens = tokens, .count = T + 1};
    data_batch(&shortest, 7, RNG_TRAIN, 3, 1, T, COUNT, x, y);
    ck_assert_int_eq(x[0], 0);
    ck_assert_int_eq(y[T - 1], T);
}
END_TEST

START_TEST(a_batch_depends_on_seed_stream_and_index_alone) {
    uint16_t tokens[5000];
    for (int i = 0; i < 5000; i++) {
        tokens[i] = (uint16_t)i;
    }
    const struct split split = {.path = "made up", .tokens = tokens, .count = 5000};
    int32_t a[8], b[8], targets[8];
    data_batch(&split, 1, RNG_TRAIN, 5, 4, 2, 5000, a, targets);
    data_batch(&split, 1, RNG_TRAIN, 5, 4, 2, 5000, b, targets);
    ck_assert_mem_eq(a, b, sizeof a);
    data_batch(&split, 2, RNG_TRAIN, 5, 4, 2, 5000, b, targets);
    ck_assert_mem_ne(a, b, sizeof a);
    data_batch(&split, 1, RNG_EVAL_TRAIN, 5, 4, 2, 5000, b, targets);
    ck_assert_mem_ne(a, b, sizeof a);
    data_batch(&split, 1, RNG_TRAIN, 6, 4, 2, 5000, b, targets);
    ck_assert_mem_ne(a, b, sizeof a);
    // Stored once, so that no later change moves the batches of runs in progress.
    data_batch(&split, 1337, RNG_TRAIN, 0, 4, 2, 5000, a, targets);
    for (int row = 0; row < 4; row++) {
        ck_assert_int_eq(a[2 * row],
                         (int32_t)rng_below(rng_bits(1337, 0, (uint32_t)row, 0), 5000 - 2));
    }
    // Rows beyond 2^32 have other counters.
    data_batch(&split, 1337, RNG_TRAIN, 1ull << 40, 4, 2, 5000, b, targets);
    ck_assert_mem_ne(a, b, sizeof a);
}
END_TEST

// A file of 12 GiB, almost all of it holes.
START_TEST(files_beyond_four_billion_tokens) {
    enum { T = 16 };
    const size_t count = 6442450944; // tokens
    write_good();
    write_meta(TOKENIZER, 4, (long)count, 20);
    int file = open(suite_path("train.bin"), O_RDWR | O_TRUNC);
    ck_assert_int_eq(ftruncate(file, (off_t)(2 * count)), 0);
    uint64_t index = 0, offset = 0; // the first batch that starts beyond 2^32 tokens
    while (offset <= UINT32_MAX) {
        offset = rng_below(rng_bits(1337, RNG_TRAIN, (uint32_t)++index, 0), count - T);
    }
    uint16_t pattern[T + 1];
    for (int t = 0; t <= T; t++) {
        pattern[t] = (uint16_t)(t % 3 + 1);
    }
    ck_assert_int_eq(pwrite(file, pattern, sizeof pattern, (off_t)(2 * offset)), sizeof pattern);
    close(file);

    struct data data;
    data_open(&data, suite_dir, 4, T);
    ck_assert_uint_eq(data.train.count, count);
    int32_t x[T], y[T];
    data_batch(&data.train, 1337, RNG_TRAIN, index, 1, T, 4, x, y);
    for (int t = 0; t < T; t++) {
        ck_assert_int_eq(x[t], pattern[t]);
        ck_assert_int_eq(y[t], pattern[t + 1]);
    }
    ck_assert_int_eq(suite_token(&data.train, count - 1), 0);
    data_close(&data);
}
END_TEST

// 50 tokens of uint32 for training and 10 for validation, from 70,000 on.
static void write_wide(const char *type) {
    uint32_t tokens[50];
    for (int i = 0; i < 50; i++) {
        tokens[i] = (uint32_t)(70000 + i);
    }
    suite_write("train.bin", tokens, sizeof tokens);
    suite_write("val.bin", tokens, 40);
    char text[256];
    snprintf(text, sizeof text,
             "{\"tokenizer\":\"" TOKENIZER "\",\"vocab_size\":4,\"train_tokens\":50,"
             "\"val_tokens\":10%s}",
             type);
    suite_write_text("meta.json", text);
}

START_TEST(wide_tokens) {
    write_wide(",\"token_type\":\"uint32\"");
    struct data data;
    data_open(&data, suite_dir, 70050, 8);
    ck_assert_uint_eq(data.train.count, 50);
    ck_assert_uint_eq(data.val.count, 10);
    ck_assert_uint_eq(suite_token(&data.train, 49), 70049);
    int32_t x[8], y[8];
    ck_assert_int_eq(data_batch(&data.train, 1, RNG_TRAIN, 3, 2, 4, 70050, x, y), EXIT_DONE);
    for (int i = 0; i < 8; i++) {
        ck_assert_int_eq(y[i], x[i / 4 * 4] + i % 4 + 1);
    }
    ck_assert_int_eq(data_batch(&data.train, 1, RNG_TRAIN, 3, 2, 4, 70000, x, y), EXIT_DATA);
    data_close(&data);
    ck_assert_int_eq(truncate(suite_path("val.bin"), 38), 0); // two bytes are a uint16, but no more
    suite_dies(open_data, &usual, EXIT_DATA, suite_path("val.bin"), "38 bytes", "uint32", remedy());
    write_wide(",\"token_type\":\"uint16\""); // then they are 100 tokens
    suite_dies(open_data, &usual, EXIT_DATA, suite_path("train.bin"), "100", "says 50");
    write_wide("");
    suite_dies(open_data, &usual, EXIT_DATA, suite_path("train.bin"), "100", "says 50");
    write_wide(",\"token_type\":\"int32\"");
    suite_dies(open_data, &usual, EXIT_DATA, suite_path("meta.json"), "token_type", "uint32");
    write_wide(",\"token_type\":4");
    suite_dies(open_data, &usual, EXIT_DATA, suite_path("meta.json"), "token_type", "uint32");
}
END_TEST

// ---- wrong files --------------------------------------------------------------------------------

START_TEST(missing_files) {
    static const char *const names[] = {"train.bin", "val.bin", "meta.json"};
    for (int i = 0; i < 3; i++) {
        write_good();
        unlink(suite_path(names[i]));
        suite_dies(open_data, &usual, EXIT_MISSING, suite_path(names[i]), remedy());
    }
}
END_TEST

START_TEST(folders_in_place_of_files) {
    static const char *const names[] = {"train.bin", "meta.json"};
    for (int i = 0; i < 2; i++) {
        write_good();
        unlink(suite_path(names[i]));
        ck_assert_int_eq(mkdir(suite_path(names[i]), 0777), 0);
        suite_dies(open_data, &usual, EXIT_DATA, suite_path(names[i]), "regular file");
        rmdir(suite_path(names[i]));
    }
}
END_TEST

START_TEST(empty_odd_and_short_files) {
    static const char *const names[] = {"train.bin", "val.bin"};
    uint16_t tokens[8] = {0};
    for (int i = 0; i < 2; i++) {
        write_good();
        suite_write(names[i], "", 0);
        suite_dies(open_data, &usual, EXIT_DATA, suite_path(names[i]), "empty", remedy());
        suite_write(names[i], "abc", 3);
        suite_dies(open_data, &usual, EXIT_DATA, suite_path(names[i]), "3 bytes", remedy());
        suite_write(names[i], tokens, 16); // 8 tokens; 8 + 1 are wanted
        suite_dies(open_data, &usual, EXIT_DATA, suite_path(names[i]), "8 tokens", "block_size=8",
                   "at least 9");
    }
}
END_TEST

START_TEST(sizes_that_meta_does_not_say) {
    write_good();
    write_meta(TOKENIZER, 4, 99, 20);
    suite_dies(open_data, &usual, EXIT_DATA, suite_path("train.bin"), suite_path("meta.json"),
               "100", "99", remedy());
    write_meta(TOKENIZER, 4, 100, 21);
    suite_dies(open_data, &usual, EXIT_DATA, suite_path("val.bin"), suite_path("meta.json"), "20",
               "21", remedy());
}
END_TEST

START_TEST(a_vocabulary_larger_than_the_trainers) {
    write_good();
    struct sizes sizes = {3, 8};
    suite_dies(open_data, &sizes, EXIT_DATA, suite_path("meta.json"), "vocabulary is 4", "is 3",
               "vocab_size=4");
}
END_TEST

START_TEST(broken_meta) {
    static const struct {
        const char *text;
        const char *word;
    } cases[] = {
        {"", "JSON"},
        {"{", "JSON"},
        {"[]", "object"},
        {"{}", "'tokenizer'"},
        {"{\"tokenizer\":7}", "'tokenizer'"},
        {"{\"tokenizer\":\"char 61\\u0000\",\"vocab_size\":1}", "'tokenizer'"},
        {"{\"tokenizer\":\"char 62 61\",\"vocab_size\":2}", "rise"},
        {"{\"tokenizer\":\"bpe\",\"vocab_size\":2}", "tokenizer"},
        {"{\"tokenizer\":\"char 61 62\"}", "'vocab_size'"},
        {"{\"tokenizer\":\"char 61 62\",\"vocab_size\":\"2\"}", "'vocab_size'"},
        {"{\"tokenizer\":\"char 61 62\",\"vocab_size\":3}", "3"},
        {"{\"tokenizer\":\"char 61 62\",\"vocab_size\":2}", "'train_tokens'"},
        {"{\"tokenizer\":\"char 61 62\",\"vocab_size\":2,\"train_tokens\":100}", "'val_tokens'"},
        {"{\"tokenizer\":\"char 61 62\",\"vocab_size\":2,\"train_tokens\":-1,\"val_tokens\":20}",
         "'train_tokens'"},
    };
    write_good();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        suite_write_text("meta.json", cases[i].text);
        suite_dies(open_data, &usual, EXIT_DATA, suite_path("meta.json"), cases[i].word, remedy());
    }
    int file = open(suite_path("meta.json"), O_WRONLY);
    ck_assert_int_eq(ftruncate(file, 1 << 30), 0);
    close(file);
    suite_dies(open_data, &usual, EXIT_DATA, suite_path("meta.json"), "bytes");
}
END_TEST

// Ends like a trainer that cannot continue.
static void draw_all(void *context) {
    int32_t x[4], y[4];
    for (uint64_t index = 0; index < 1000; index++) {
        enum exit_code code = data_batch(context, 1, RNG_TRAIN, index, 1, 4, 10, x, y);
        if (code) {
            exit(code);
        }
    }
}

START_TEST(ids_beyond_the_vocabulary) {
    uint16_t tokens[40] = {0};
    struct split split = {.path = "folder/train.bin", .tokens = tokens, .count = 40};
    tokens[31] = 9;
    ck_assert_int_eq(suite_run(draw_all, &split).code, 0);
    tokens[31] = 10;
    suite_dies(draw_all, &split, EXIT_DATA, "folder/train.bin", "token 31 is 10", "has 10");
    tokens[31] = 65535;
    suite_dies(draw_all, &split, EXIT_DATA, "token 31 is 65535");
}
END_TEST

// A file that is emptied or cut while it is trained on: one line, and the process continues, to
// save.
START_TEST(files_that_become_shorter) {
    write_good();
    struct data data;
    data_open(&data, suite_dir, 10, 4);
    ck_assert_int_eq(suite_run(draw_all, &data.train).code, 0);
    ck_assert_int_eq(truncate(suite_path("train.bin"), 101), 0); // in the middle of a token
    suite_dies(draw_all, &data.train, EXIT_IO, suite_path("train.bin"), "became shorter");
    ck_assert_int_eq(truncate(suite_path("train.bin"), 0), 0);
    suite_dies(draw_all, &data.train, EXIT_IO, suite_path("train.bin"), "became shorter");
    ck_assert_int_eq(suite_run(draw_all, &data.val).code, 0);
    data_close(&data);
}
END_TEST

// A context longer than the part that is read at a time.
START_TEST(long_rows) {
    enum { COUNT = 30000, T = 9001 };
    static uint16_t tokens[COUNT];
    static int32_t x[2 * T], y[2 * T];
    for (int i = 0; i < COUNT; i++) {
        tokens[i] = (uint16_t)i;
    }
    suite_write("train.bin", tokens, sizeof tokens);
    int file = open(suite_path("train.bin"), O_RDONLY);
    const struct split split = {.path = "train.bin", .file = file, .count = COUNT};
    for (uint64_t index = 0; index < 20; index++) {
        ck_assert_int_eq(data_batch(&split, 1, RNG_TRAIN, index, 2, T, COUNT, x, y), 0);
        for (int i = 0; i < 2 * T; i++) {
            ck_assert_int_eq(x[i], x[i / T * T] + i % T);
            ck_assert_int_eq(y[i], x[i] + 1);
        }
    }
    close(file);
}
END_TEST

// ---- hashes -------------------------------------------------------------------------------------

// Writes meta.json with the hashes of the present files.
static void write_hashes(const char *hash) {
    struct data data;
    data_open(&data, suite_dir, 65536, 8);
    char text[1024];
    snprintf(text, sizeof text,
             "{\"tokenizer\":\"%s\",\"vocab_size\":4,\"train_tokens\":%zu,\"val_tokens\":%zu,"
             "\"train_xxh3\":\"%s\",\"val_xxh3\":\"%s\",\"xxh3\":\"%s\"}",
             TOKENIZER, data.train.count, data.val.count, data.train.hash, data.val.hash,
             hash ? hash : data.hash);
    data_close(&data);
    suite_write_text("meta.json", text);
}

START_TEST(the_same_tokens_have_the_same_hash) {
    struct data a, b;
    write_good();
    data_open(&a, suite_dir, 4, 8); // of an older version: without hashes
    write_hashes(NULL);
    data_open(&b, suite_dir, 4, 8);
    ck_assert_uint_eq(strlen(a.hash), 16);
    ck_assert_str_eq(a.hash, b.hash);
    ck_assert_str_eq(b.train.hash, b.train.stated);
    data_verify(&a);
    data_verify(&b);
    data_close(&a);
    data_close(&b);

    uint16_t tokens[20];
    memset(tokens, 0, sizeof tokens);
    suite_write("val.bin", tokens, sizeof tokens);
    write_meta(TOKENIZER, 4, 100, 20);
    data_open(&b, suite_dir, 4, 8);
    ck_assert_str_ne(a.hash, b.hash);
    data_close(&b);
    write_good();
    write_meta("char 61 62 63 65", 4, 100, 20); // another text of the same tokens
    data_open(&b, suite_dir, 4, 8);
    ck_assert_str_ne(a.hash, b.hash);
    data_close(&b);
}
END_TEST

static void verify(void *context) {
    data_verify(context);
}

// Only --verify finds wrong tokens in a part of a large file that is not checked otherwise.
START_TEST(all_of_the_data_are_verified) {
    static const char *const names[] = {"train.bin", "val.bin"};
    for (int i = 0; i < 2; i++) {
        struct data data;
        write_good();
        write_hashes(NULL);
        data_open(&data, suite_dir, 4, 8);
        int file = open(suite_path(names[i]), O_WRONLY);
        ck_assert_int_eq(pwrite(file, "\x03", 1, 32), 1);
        close(file);
        suite_dies(verify, &data, EXIT_DATA, names[i], "it is damaged");
        data_close(&data);
    }
}
END_TEST

START_TEST(files_that_are_not_what_meta_says) {
    static const char *const names[] = {"train.bin", "val.bin"};
    for (int i = 0; i < 2; i++) {
        write_good();
        write_hashes(NULL);
        int file = open(suite_path(names[i]), O_WRONLY);
        ck_assert_int_eq(pwrite(file, "\3", 1, 0), 1); // was 0
        close(file);
        suite_dies(open_data, &usual, EXIT_DATA, suite_path(names[i]), "has hash",
                   suite_path("meta.json"), remedy());
    }
    write_good();
    write_hashes("0123456789abcdef");
    suite_dies(open_data, &usual, EXIT_DATA, suite_path("meta.json"), "0123456789abcdef", remedy());
    // None of the three may be left out or change its name.
    static const char *const keys[] = {"\"xxh3\"", "\"train_xxh3\"", "\"val_xxh3\""};
    for (int i = 0; i < 3; i++) {
        write_good();
        write_hashes(NULL);
        size_t length;
        char *meta = suite_read("meta.json", &length);
        strstr(meta, keys[i])[2] ^= 1;
        suite_write("meta.json", meta, length);
        free(meta);
        suite_dies(open_data, &usual, EXIT_DATA, suite_path("meta.json"), "has no hash", remedy());
    }
}
END_TEST

// A file of 300 MiB, all holes: checked in places, or as a whole if that is asked for.
START_TEST(large_files_in_places) {
    const size_t bytes = 300 << 20, between = (bytes - (1 << 20)) / 255 + (1 << 20) + 999;
    suite_write("x", "", 0);
    int file = open(suite_path("x"), O_RDWR);
    ck_assert_int_eq(ftruncate(file, (off_t)bytes), 0);
    char quick[17], whole[17], now[17];
    ck_assert(hash_file(file, bytes, false, quick));
    ck_assert(hash_file(file, bytes, true, whole));
    ck_assert_str_ne(quick, whole);
    ck_assert_int_eq(pwrite(file, "x", 1, (off_t)between), 1); // behind the second block
    ck_assert(hash_file(file, bytes, false, now));
    ck_assert_str_eq(now, quick);
    ck_assert(hash_file(file, bytes, true, now));
    ck_assert_str_ne(now, whole);
    ck_assert_int_eq(pwrite(file, "", 1, (off_t)between), 1);
    ck_assert_int_eq(pwrite(file, "x", 1, (off_t)bytes - 1), 1); // the last byte counts
    ck_assert(hash_file(file, bytes, false, now));
    ck_assert_str_ne(now, quick);
    ck_assert_int_eq(ftruncate(file, (off_t)bytes - 1), 0);
    ck_assert(!hash_file(file, bytes, false, now));
    close(file);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {
        opens_what_is_good,
        batches_are_windows_of_the_tokens,
        every_offset_and_no_other_is_drawn,
        a_batch_depends_on_seed_stream_and_index_alone,
        files_beyond_four_billion_tokens,
        wide_tokens,
        missing_files,
        folders_in_place_of_files,
        empty_odd_and_short_files,
        sizes_that_meta_does_not_say,
        a_vocabulary_larger_than_the_trainers,
        broken_meta,
        ids_beyond_the_vocabulary,
        files_that_become_shorter,
        long_rows,
        the_same_tokens_have_the_same_hash,
        all_of_the_data_are_verified,
        files_that_are_not_what_meta_says,
        large_files_in_places,
    };
    return suite_main("data", tests, sizeof tests / sizeof *tests);
}
