// test_memory.c: each allocation made while a file is opened fails, one in each process: the
// program must end with EXIT_MEMORY and one line, never as if the file were damaged. allocate.c and
// mapped.c are included here, so that they call this file's calloc, realloc and mmap.
// links: tests/runtime/fake_model.c
#ifndef _GNU_SOURCE
#define _GNU_SOURCE // for allocate.c's fopencookie, before any header is included
#endif
#include "tests/runtime/fake_model.h"
#include "tests/runtime/suite.h"

#include <errno.h>
#include <glob.h>
#include <sys/mman.h>

static int left = -1; // calls until one fails; -1: none does

static bool is_last(void) {
    return left >= 0 && left-- == 0;
}

static void *failing_calloc(size_t count, size_t size) {
    return is_last() ? NULL : calloc(count, size);
}

static void *failing_realloc(void *memory, size_t size) {
    return is_last() ? NULL : realloc(memory, size);
}

static void *failing_mmap(void *at, size_t length, int protection, int flags, int file,
                          off_t from) {
    if (is_last()) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return mmap(at, length, protection, flags, file, from);
}

#define calloc failing_calloc
#define realloc failing_realloc
#define mmap failing_mmap
#include "runtime/base/allocate.c"
#include "runtime/files/mapped.c"
#undef calloc
#undef realloc
#undef mmap

struct attempt {
    void (*open)(void);
    int fails_at;
};

static void attempt(void *context) {
    const struct attempt *a = context;
    left = a->fails_at;
    a->open();
    exit(left < 0 ? EXIT_MEMORY : EXIT_DONE); // one failed and nobody noticed
}

// Lets each of the calls that open() makes fail, one in each process. Returns their number.
static int fail_each(void (*open)(void)) {
    for (int i = 0;; i++) {
        struct attempt a = {open, i};
        struct ending ending = suite_run(attempt, &a);
        if (ending.code == EXIT_DONE) {
            ck_assert_str_eq(ending.text, "");
            return i;
        }
        ck_assert_msg(ending.code == EXIT_MEMORY, "call %d: ended with %d: %s", i, ending.code,
                      ending.text);
        ck_assert_msg(strstr(ending.text, "no memory for ") != NULL, "call %d: %s", i, ending.text);
        ck_assert_ptr_eq(strchr(ending.text, '\n'), ending.text + strlen(ending.text) - 1);
    }
}

// ---- files to open ------------------------------------------------------------------------------

static void open_checkpoint(void) {
    struct model m;
    struct progress progress;
    parallel_threads(1);
    model_create(&m, &model_info, true);
    checkpoint_load(suite_path("state"), &m, &model_info, &progress, FAKE_TOKENIZER);
    struct checkpoint_header header;
    checkpoint_read_header(suite_path("state"), &header);
    checkpoint_free_header(&header);
    model_destroy(&m);
}

static void save_checkpoint(void) {
    struct model m;
    const struct progress progress = progress_fresh();
    parallel_threads(1);
    model_create(&m, &model_info, true);
    model_init(&m, &model_info, 1);
    checkpoint_save_state(suite_path("state"), &m, &model_info, &progress, "seed=1",
                          FAKE_TOKENIZER);
    model_destroy(&m);
}

static void open_data(void) {
    struct data data;
    data_open(&data, suite_dir, FAKE_V, FAKE_T);
    data_verify(&data);
    data_close(&data);
}

static void parse_tokenizers(void) {
    // 256 bytes, and merges of each byte with the next one.
    static char text[16 + 512 + 8 * 255];
    char *at = text + sprintf(text, "bpe gpt2 ");
    for (int i = 0; i < 256; i++) {
        at += sprintf(at, "%02x", (unsigned)i);
    }
    *at++ = ' ';
    for (unsigned i = 0; i < 255; i++) {
        at += sprintf(at, "%04x%04x", i, i + 1);
    }
    const char *const texts[] = {FAKE_TOKENIZER, text};
    for (int i = 0; i < 2; i++) {
        struct tokenizer tokenizer;
        const char *error;
        if (!tokenizer_parse(&tokenizer, texts[i], &error)) {
            die(EXIT_DATA, "%s", error);
        }
        if (tokenizer.bpe) {
            static char piece[1000]; // one piece, since nothing separates it
            static int32_t ids[1000];
            bpe_encode(&tokenizer, piece, sizeof piece, ids);
        }
        tokenizer_free(&tokenizer);
    }
}

static void parse_json(void) {
    static const char text[] = "{\"a\\n\":[1,\"b\\u00e9\",{\"c\":null}],\"d\":\"e\"}";
    const char *error;
    struct json *json = json_parse(text, sizeof text - 1, &error);
    if (!json) {
        die(EXIT_DATA, "%s", error);
    }
    free(json_string(json, json_get(json, 0, "d")));
    json_free(json);
}

static void grow_a_text(void) {
    struct growing text;
    growing_begin(&text, "a text");
    for (int i = 0; i < 3000; i++) {
        fprintf(text.file, "%d\n", i);
    }
    const size_t length = growing_length(&text);
    char *whole = growing_end(&text);
    ck_assert_uint_eq(length, 13890);
    ck_assert_uint_eq(strlen(whole), length);
    ck_assert_str_eq(whole + 13885, "2999\n");
    free(whole);
}

// ---- the tests ----------------------------------------------------------------------------------

START_TEST(opening_a_checkpoint) {
    save_checkpoint();
    ck_assert_int_gt(fail_each(open_checkpoint), 100); // names and metadata, one by one
}
END_TEST

START_TEST(saving_a_checkpoint) {
    ck_assert_int_gt(fail_each(save_checkpoint), 50);
}
END_TEST

START_TEST(opening_a_data_set) {
    uint16_t tokens[100] = {0};
    suite_write("train.bin", tokens, sizeof tokens);
    suite_write("val.bin", tokens, sizeof tokens);
    suite_write_text("meta.json", "{\"tokenizer\":\"" FAKE_TOKENIZER
                                  "\",\"vocab_size\":16,\"train_tokens\":100,\"val_tokens\":100}");
    ck_assert_int_gt(fail_each(open_data), 10);
}
END_TEST

START_TEST(parsing_tokenizers) {
    ck_assert_int_gt(fail_each(parse_tokenizers), 8);
}
END_TEST

START_TEST(parsing_json) {
    ck_assert_int_gt(fail_each(parse_json), 5);
}
END_TEST

START_TEST(growing_a_text) {
    ck_assert_int_gt(fail_each(grow_a_text), 1);
}
END_TEST

// No other file calls libc's allocation functions, except those that drive a GPU, which are not
// linked here, and the library's, which stands between others and these functions.
START_TEST(all_memory_comes_from_one_place) {
    static const char *const calls[] = {"malloc(",  "calloc(",  "realloc(",       "strdup(",
                                        "strndup(", "getline(", "open_memstream("};
    glob_t sources;
    ck_assert_int_eq(glob("runtime/*/*.c", 0, NULL, &sources), 0);
    ck_assert_int_eq(glob("runtime/programs/*/*.c", GLOB_APPEND, NULL, &sources), 0);
    int files = 0;
    for (size_t i = 0; i < sources.gl_pathc; i++) {
        const char *path = sources.gl_pathv[i];
        char line[512];
        if (strstr(path, "/gpu") || !strcmp(path, "runtime/base/allocate.c") ||
            !strcmp(path, "runtime/programs/library/trap.c")) {
            continue;
        }
        FILE *file = fopen(path, "r");
        ck_assert_msg(file != NULL, "%s", path);
        while (fgets(line, sizeof line, file)) {
            for (size_t c = 0; c < sizeof calls / sizeof *calls; c++) {
                ck_assert_msg(strstr(line, calls[c]) == NULL, "%s: %s", path, line);
            }
        }
        fclose(file);
        files++;
    }
    globfree(&sources);
    ck_assert_int_gt(files, 50);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {
        opening_a_checkpoint,
        saving_a_checkpoint,
        opening_a_data_set,
        parsing_tokenizers,
        parsing_json,
        growing_a_text,
        all_memory_comes_from_one_place,
    };
    return suite_main("memory", tests, sizeof tests / sizeof *tests);
}
