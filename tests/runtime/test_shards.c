// test_shards.c: data sets of llm.c's token shards: the same tokens as in one file, and every way
// in which shards and their list can be wrong.
#include "tests/runtime/suite.h"

#include <sys/resource.h>

#define TOKENIZER "ids 300"

enum { NARROW = 20240520, WIDE = 20240801 };

// Writes a shard of `count` tokens, which are `first`, first + 1 ...
static void write_shard(const char *name, int magic, int version, int first, int count) {
    static char bytes[TOKEN_SHARD_HEADER + 4 * 4096];
    const bool wide = magic == WIDE;
    const int32_t header[3] = {magic, version, count};
    memset(bytes, 0, sizeof bytes);
    memcpy(bytes, header, sizeof header);
    int32_t ids[4096];
    for (int i = 0; i < count; i++) {
        ids[i] = (first + i) % 300;
    }
    tokens_pack(ids, (size_t)count, wide, bytes + TOKEN_SHARD_HEADER);
    suite_write(name, bytes, TOKEN_SHARD_HEADER + (size_t)count * tokens_width(wide));
}

// The XXH3 of a shard's tokens, and, behind those of the shards before it, of all.
static void shard_hash(const char *name, struct hashing *all, char hash[17]) {
    size_t length;
    char *bytes = suite_read(name, &length);
    hash_bytes(bytes + TOKEN_SHARD_HEADER, length - TOKEN_SHARD_HEADER, hash);
    hashing_add(all, bytes + TOKEN_SHARD_HEADER, length - TOKEN_SHARD_HEADER);
    free(bytes);
}

// Writes meta.json for a.bin, b.bin, c.bin to train on and v.bin, as build/listing does.
static void write_list(const char *more) {
    char hash[4][17], train[17], data[17], text[2048];
    static const char *const names[] = {"a.bin", "b.bin", "c.bin", "v.bin"};
    struct hashing *all = hashing_begin(), *val = hashing_begin();
    for (int i = 0; i < 4; i++) {
        shard_hash(names[i], i < 3 ? all : val, hash[i]);
    }
    hashing_text(all, train);
    hashing_end(all);
    hashing_end(val);
    hash_data(TOKENIZER, 121, 30, train, hash[3], data);
    snprintf(text, sizeof text,
             "{\"tokenizer\":\"" TOKENIZER "\",\"vocab_size\":300,\"train_tokens\":121,"
             "\"val_tokens\":30,\"train_xxh3\":\"%s\",\"val_xxh3\":\"%s\",\"xxh3\":\"%s\"%s,"
             "\"shards\":{\"train\":["
             "{\"path\":\"a.bin\",\"tokens\":70,\"xxh3\":\"%s\"},"
             "{\"path\":\"b.bin\",\"tokens\":1,\"xxh3\":\"%s\"},"
             "{\"path\":\"%s\",\"tokens\":50,\"xxh3\":\"%s\"}],"
             "\"val\":[{\"path\":\"v.bin\",\"tokens\":30,\"xxh3\":\"%s\"}]}}",
             train, hash[3], data, more, hash[0], hash[1], suite_path("c.bin"), hash[2], hash[3]);
    suite_write_text("meta.json", text);
}

static void write_all(int magic, int version) {
    write_shard("a.bin", magic, version, 0, 70);
    write_shard("b.bin", magic, version, 70, 1);
    write_shard("c.bin", magic, version, 71, 50);
    write_shard("v.bin", magic, version, 200, 30);
    write_list(magic == WIDE ? ",\"token_type\":\"uint32\"" : "");
}

static int block_size = 8;
static void open_data(void *context) {
    (void)context;
    struct data data;
    data_open(&data, suite_dir, 300, block_size);
    data_close(&data);
}

// Ends like a trainer that cannot continue.
static void draw_all(void *context) {
    int32_t x[4], y[4];
    for (uint64_t index = 0; index < 1000; index++) {
        enum exit_code code = data_batch(context, 1, RNG_TRAIN, index, 1, 4, 300, x, y);
        if (code) {
            exit(code);
        }
    }
}

// ---- one stream ---------------------------------------------------------------------------------

// The same tokens in one file are the same data set: the same hash, and the same batches, whose
// windows may begin in one shard and end in the next but one.
START_TEST(shards_are_as_one_file) {
    for (int wide = 0; wide < 2; wide++) {
        write_all(wide ? WIDE : NARROW, wide ? 7 : 1);
        struct data shards, one;
        data_open(&shards, suite_dir, 300, 20);
        data_verify(&shards);
        ck_assert_int_eq(shards.train.shard_count, 3);
        ck_assert_uint_eq(shards.train.count, 121);
        for (uint64_t at = 0; at < 121; at++) {
            ck_assert_uint_eq(suite_token(&shards.train, at), at);
        }
        int32_t ids[121], x[2][60], y[2][60];
        uint32_t all[121];
        ck_assert_int_eq(split_tokens(&shards.train, 0, 121, all), EXIT_DONE);
        memcpy(ids, all, sizeof ids);
        char bytes[484];
        tokens_pack(ids, 121, wide, bytes);
        suite_write("train.bin", bytes, 121 * tokens_width(wide));
        ck_assert_int_eq(split_tokens(&shards.val, 0, 30, all), EXIT_DONE);
        memcpy(ids, all, sizeof ids);
        tokens_pack(ids, 30, wide, bytes);
        suite_write("val.bin", bytes, 30 * tokens_width(wide));
        char text[256];
        snprintf(text, sizeof text,
                 "{\"tokenizer\":\"" TOKENIZER "\",\"vocab_size\":300,\"train_tokens\":121,"
                 "\"val_tokens\":30%s}",
                 wide ? ",\"token_type\":\"uint32\"" : "");
        suite_write_text("meta.json", text);
        data_open(&one, suite_dir, 300, 20);
        ck_assert_int_eq(one.train.shard_count, 0);
        ck_assert_str_eq(shards.hash, one.hash);
        for (uint64_t index = 0; index < 200; index++) {
            struct data *const both[] = {&shards, &one};
            for (int i = 0; i < 2; i++) {
                ck_assert_int_eq(
                    data_batch(&both[i]->train, 7, RNG_TRAIN, index, 3, 20, 300, x[i], y[i]), 0);
            }
            ck_assert_mem_eq(x[0], x[1], sizeof x[0]);
            ck_assert_mem_eq(y[0], y[1], sizeof y[0]);
            for (int i = 0; i < 60; i++) {
                ck_assert_int_eq(y[0][i], x[0][i] + 1);
            }
        }
        data_close(&one);
        data_close(&shards);
    }
}
END_TEST

// A file is opened for each shard, and a process begins with few.
START_TEST(more_shards_than_open_files) {
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = 64;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    write_shard("a.bin", NARROW, 1, 0, 70);
    struct split split = {.file = -1};
    enum exit_code code;
    int added = 0;
    const char *problem = NULL;
    while (added < 500 && (problem = split_add_shard(&split, suite_path("a.bin"), &code)) == NULL) {
        added++;
    }
    ck_assert_msg(!problem, "%s", problem);
    ck_assert_uint_eq(split.count, 35000);
    ck_assert_uint_eq(suite_token(&split, 34999), 69);
    split_close(&split);
    limit.rlim_cur = limit.rlim_max = 64; // and no more are allowed
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    while ((problem = split_add_shard(&split, suite_path("a.bin"), &code)) == NULL) {
    }
    ck_assert(strstr(problem, "ulimit -n") && code == EXIT_IO);
    split_close(&split);
}
END_TEST

// Counts of shards add up beyond 32 bits, and the places of their bytes.
START_TEST(beyond_four_billion_tokens) {
    const int32_t header[3] = {NARROW, 1, INT32_MAX};
    suite_write("large.bin", header, sizeof header);
    const int64_t size = TOKEN_SHARD_HEADER + 2 * (int64_t)INT32_MAX;
    ck_assert_int_eq(truncate(suite_path("large.bin"), size), 0);
    struct split split = {.file = -1};
    enum exit_code code;
    for (int i = 0; i < 3; i++) {
        ck_assert_ptr_null(split_add_shard(&split, suite_path("large.bin"), &code));
    }
    ck_assert_uint_eq(split.count, 3 * (uint64_t)INT32_MAX);
    const int file = open(suite_path("large.bin"), O_WRONLY);
    ck_assert_int_eq(pwrite(file, "\x05\x01", 2, size - 2), 2);
    ck_assert_int_eq(pwrite(file, "\x06", 1, TOKEN_SHARD_HEADER), 1);
    close(file);
    uint32_t two[2];
    ck_assert_int_eq(split_tokens(&split, 2 * (uint64_t)INT32_MAX - 1, 2, two), EXIT_DONE);
    ck_assert_uint_eq(two[0], 0x105);
    ck_assert_uint_eq(two[1], 6);
    ck_assert_uint_eq(suite_token(&split, split.count - 1), 0x105);
    split_close(&split);
}
END_TEST

// ---- wrong headers ------------------------------------------------------------------------------

// What is wrong with a shard of this header and size, "" if nothing is.
static const char *problem_of(int magic, int version, int count, uint64_t size) {
    static char problem[TOKEN_SHARD_PROBLEM];
    const int32_t header[3] = {magic, version, count};
    struct token_shard shard;
    *problem = 0;
    token_shard_parse(header, sizeof header, size, &shard, problem);
    return problem;
}

START_TEST(headers) {
    ck_assert_str_eq(problem_of(NARROW, 1, 10, 1044), "");
    ck_assert_str_eq(problem_of(WIDE, 7, 10, 1064), "");
    ck_assert_str_eq(problem_of(WIDE, 1, 10, 1064), "");
    ck_assert_str_eq(problem_of(NARROW, 1, INT32_MAX, 1024 + 2 * (uint64_t)INT32_MAX), "");
    static const struct {
        int magic, version, count;
        uint64_t size;
        const char *word;
    } cases[] = {
        {NARROW, 1, 10, 1023, "header alone has 1024"},
        {NARROW, 1, 10, 0, "has 0 bytes"},
        {20240522, 1, 10, 1044, "begins with 20240522"}, // HellaSwag's
        {20240326, 3, 10, 1044, "begins with 20240326"}, // a model's
        {0, 0, 0, 1024, "no token shard"},
        {NARROW, 2, 10, 1044, "version 2"},
        {NARROW, 7, 10, 1044, "version 7"},
        {NARROW, 0, 10, 1044, "version 0"},
        {WIDE, 2, 10, 1064, "version 2"},
        {NARROW, 1, 0, 1024, "0 tokens"},
        {NARROW, 1, -1, 1022, "has 1022 bytes"},
        {NARROW, 1, -1, 1024, "-1 tokens"},
        {NARROW, 1, INT32_MIN, 1024, "-2147483648 tokens"},
        {NARROW, 1, 10, 1043, "make 1044"},
        {NARROW, 1, 10, 1045, "make 1044"},
        {NARROW, 1, 10, 1064, "make 1044"},
        {WIDE, 7, 10, 1044, "make 1064"},
        {NARROW, 1, INT32_MAX, 1024, "make 4294968318"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *problem =
            problem_of(cases[i].magic, cases[i].version, cases[i].count, cases[i].size);
        ck_assert_msg(strstr(problem, cases[i].word), "%zu: '%s'", i, problem);
    }
}
END_TEST

// A shard that is cut anywhere, or to which anything was added, is refused, with its name.
START_TEST(cut_at_every_byte) {
    write_all(NARROW, 1);
    size_t length;
    char *bytes = suite_read("c.bin", &length);
    for (size_t cut = 0; cut < length; cut++) {
        suite_write("c.bin", bytes, cut);
        struct split split = {.file = -1};
        enum exit_code code;
        const char *problem = split_add_shard(&split, suite_path("c.bin"), &code);
        ck_assert_msg(problem && code == EXIT_DATA, "cut to %zu bytes", cut);
        ck_assert_int_eq(split.shard_count, 0);
        split_close(&split);
        if (cut % 97 == 0) {
            suite_dies(open_data, NULL, EXIT_DATA, suite_path("c.bin"), suite_path("meta.json"));
        }
    }
    suite_write("c.bin", bytes, length);
    ck_assert_int_eq(suite_run(open_data, NULL).code, 0);
    ck_assert_int_eq(truncate(suite_path("c.bin"), (off_t)length + 1), 0);
    suite_dies(open_data, NULL, EXIT_DATA, suite_path("c.bin"), "not whole");
    free(bytes);
}
END_TEST

// ---- shards that are not what the list says -----------------------------------------------------

START_TEST(shards_that_changed) {
    write_all(NARROW, 1);
    ck_assert_int_eq(unlink(suite_path("b.bin")), 0);
    suite_dies(open_data, NULL, EXIT_MISSING, suite_path("b.bin"), "not there", "SHARDS=");
    write_shard("b.bin", NARROW, 1, 70, 2);
    suite_dies(open_data, NULL, EXIT_DATA, suite_path("b.bin"), "holds 2 tokens", "says 1");
    write_shard("b.bin", NARROW, 1, 71, 1); // only its hash says so
    suite_dies(open_data, NULL, EXIT_DATA, suite_path("b.bin"), "damaged or another");
    suite_dies(open_data, NULL, EXIT_DATA, "SHARDS=", suite_path("meta.json"));
    write_all(NARROW, 1);
    size_t length;
    char *list = suite_read("meta.json", &length), *stated = strstr(list, "\"train_xxh3\":\"");
    stated[14] = stated[14] == '0' ? '1' : '0'; // then no shard is to blame
    suite_write("meta.json", list, length);
    suite_dies(open_data, NULL, EXIT_DATA, suite_path("meta.json"), "has hash");
    stated[1] = 'T';
    suite_write("meta.json", list, length);
    suite_dies(open_data, NULL, EXIT_DATA, suite_path("meta.json"), "no hash 'train_xxh3'");
    free(list);
    write_all(NARROW, 1);
    write_shard("b.bin", WIDE, 7, 70, 1);
    suite_dies(open_data, NULL, EXIT_DATA, suite_path("b.bin"), "one type is wanted");
    ck_assert_int_eq(unlink(suite_path("b.bin")), 0);
    ck_assert_int_eq(mkdir(suite_path("b.bin"), 0777), 0);
    suite_dies(open_data, NULL, EXIT_DATA, suite_path("b.bin"), "regular file");
    ck_assert_int_eq(rmdir(suite_path("b.bin")), 0);
    ck_assert_int_eq(mkfifo(suite_path("b.bin"), 0777), 0); // which must not block
    suite_dies(open_data, NULL, EXIT_DATA, suite_path("b.bin"), "regular file");
}
END_TEST

// While it is read, too: one line, after which a run can save its state.
START_TEST(shards_that_become_shorter) {
    write_all(NARROW, 1);
    struct data data;
    data_open(&data, suite_dir, 300, 8);
    ck_assert_int_eq(unlink(suite_path("a.bin")), 0); // it is open
    ck_assert_int_eq(suite_run(draw_all, &data.train).code, 0);
    ck_assert_int_eq(truncate(suite_path("c.bin"), 1024 + 61), 0);
    suite_dies(draw_all, &data.train, EXIT_IO, suite_path("c.bin"), "cannot read token",
               "became shorter");
    data_close(&data);
}
END_TEST

START_TEST(ids_beyond_the_vocabulary) {
    write_all(NARROW, 1);
    struct data data;
    data_open(&data, suite_dir, 300, 8);
    int32_t x[4], y[4];
    int refused = 0;
    for (uint64_t index = 0; index < 100; index++) {
        refused += data_batch(&data.train, 1, RNG_TRAIN, index, 1, 4, 120, x, y) == EXIT_DATA;
    }
    ck_assert_int_gt(refused, 0); // c.bin's last one is 120
    data_close(&data);
}
END_TEST

START_TEST(broken_lists) {
    static const struct {
        const char *shards, *word;
    } cases[] = {
        {"7", "no object"},
        {"[]", "no object"},
        {"{}", "no train shards"},
        {"{\"train\":[]}", "no train shards"},
        {"{\"train\":{}}", "no train shards"},
        {"{\"train\":[7]}", "train shard 1"},
        {"{\"train\":[{}]}", "train shard 1"},
        {"{\"train\":[{\"path\":\"a.bin\",\"tokens\":70}]}", "train shard 1"},
        {"{\"train\":[{\"path\":\"a.bin\",\"xxh3\":\"0123456789abcdef\"}]}", "train shard 1"},
        {"{\"train\":[{\"path\":\"\",\"tokens\":70,\"xxh3\":\"0123456789abcdef\"}]}", "shard 1"},
        {"{\"train\":[{\"path\":\"a.bin\",\"tokens\":70,\"xxh3\":\"0123\"}]}", "train shard 1"},
        {"{\"train\":[{\"path\":\"a.bin\",\"tokens\":70.5,\"xxh3\":\"0123456789abcdef\"}]}",
         "train shard 1"},
        {"{\"train\":[{\"path\":\"a.bin\",\"tokens\":70,\"xxh3\":\"0123456789abcdef\"}]}",
         "no val shards"},
    };
    write_all(NARROW, 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[512];
        snprintf(text, sizeof text,
                 "{\"tokenizer\":\"" TOKENIZER "\",\"vocab_size\":300,\"train_tokens\":70,"
                 "\"val_tokens\":30,\"shards\":%s}",
                 cases[i].shards);
        suite_write_text("meta.json", text);
        suite_dies(open_data, NULL, EXIT_DATA, suite_path("meta.json"), cases[i].word, "SHARDS=");
    }
    write_list(",\"token_type\":\"uint32\"");
    suite_dies(open_data, NULL, EXIT_DATA, suite_path("meta.json"), "uint32", "a.bin");
    write_list("");
    block_size = 30;
    suite_dies(open_data, NULL, EXIT_DATA, "holds 30 tokens", "block_size=30");
    block_size = 8;
}
END_TEST

int main(void) {
    const TTest *const tests[] = {
        shards_are_as_one_file,
        more_shards_than_open_files,
        beyond_four_billion_tokens,
        headers,
        cut_at_every_byte,
        shards_that_changed,
        shards_that_become_shorter,
        ids_beyond_the_vocabulary,
        broken_lists,
    };
    return suite_main("shards", tests, sizeof tests / sizeof *tests);
}
