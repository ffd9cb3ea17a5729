// test_prepare.c: the program prepare: token files of a text's characters, and the texts and
// folders that it refuses.
#include "tests/runtime/preparing.h"

#include <sys/resource.h>

// ---- the files that it makes --------------------------------------------------------------------

START_TEST(characters_are_sorted_and_split) {
    suite_write_text("text.txt", "b\na\xc3\xa9 b\xf0\x9f\x98\x80\xe2\x82\xac"
                                 "a\n\n"); // 11 characters
    succeeds();
    tokens_are("out/train.bin", (uint16_t[]){3, 0, 2, 4, 1, 3, 6, 5, 2}, 9);
    tokens_are("out/val.bin", (uint16_t[]){0, 0}, 2);
    size_t length;
    char *meta = suite_read("out/meta.json", &length);
    ck_assert_str_eq(meta, "{\n"
                           "  \"dataset\": \"abc\",\n"
                           "  \"tokenizer\": \"char 0a 20 61 62 e9 20ac 1f600\",\n"
                           "  \"vocab_size\": 7,\n"
                           "  \"train_tokens\": 9,\n"
                           "  \"val_tokens\": 2,\n"
                           "  \"train_xxh3\": \"cc62a5d8c6747642\",\n"
                           "  \"val_xxh3\": \"48b2c92616fc193d\",\n"
                           "  \"xxh3\": \"43333d7e09c54a98\",\n"
                           "  \"text_sha256\": "
                           "\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"\n"
                           "}\n");
    free(meta);
    ck_assert(!leftovers());
}
END_TEST

START_TEST(the_split_is_pythons) {
    // int(n * 0.9): rounding of the product must not move a character.
    static const struct {
        int characters, train;
    } cases[] = {{2, 1}, {3, 2}, {9, 8}, {10, 9}, {11, 9}, {70, 63}, {190, 171}, {1000, 900}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[1001];
        memset(text, 'x', sizeof text);
        suite_write("text.txt", text, (size_t)cases[i].characters);
        succeeds();
        size_t train, val;
        free(suite_read("out/train.bin", &train));
        free(suite_read("out/val.bin", &val));
        ck_assert_uint_eq(train, 2 * (size_t)cases[i].train);
        ck_assert_uint_eq(val, 2 * (size_t)(cases[i].characters - cases[i].train));
    }
}
END_TEST

START_TEST(byte_order_mark_and_zero_are_characters) {
    suite_write("text.txt",
                "\xef\xbb\xbf"
                "a\0\r\n",
                7);
    succeeds();
    tokens_are("out/train.bin", (uint16_t[]){4, 3, 0, 2}, 4);
    tokens_are("out/val.bin", (uint16_t[]){1}, 1);
}
END_TEST

// Line ends are read as in Python's text mode; unusual ones are mentioned in one line.
START_TEST(line_ends_may_be_folded) {
    static char *argv[8];
    memcpy(argv, arguments(), 5 * sizeof *argv);
    argv[5] = "--newlines=lf";
    suite_write_text("text.txt", "a\r\nb\rc\n\r\r\nd"); // a \n b \n c \n \n \n d
    struct ending ending = suite_run(prepare, argv);
    ck_assert_msg(ending.code == 0, "%s", ending.text);
    tokens_are("out/train.bin", (uint16_t[]){1, 0, 2, 0, 3, 0, 0, 0}, 8);
    tokens_are("out/val.bin", (uint16_t[]){4}, 1);
    size_t length;
    char *meta = suite_read("out/meta.json", &length);
    ck_assert_ptr_nonnull(strstr(meta, "\"newlines\": \"lf\",\n"));
    free(meta);
    ck_assert(!leftovers() && !suite_exists("out/text.tmp"));
    argv[5] = "--newlines=crlf";
    suite_dies(prepare, argv, EXIT_USAGE, "'crlf'", "keep, lf");
}
END_TEST

static void prepare_loudly(void *context) {
    (void)context;
    ck_assert_ptr_nonnull(freopen(suite_path("said"), "w", stdout));
    prepare(arguments());
}

START_TEST(what_is_unusual_is_said) {
    static const struct {
        const char *text;
        size_t length;
        const char *note;
    } cases[] = {
        {"a plain text\nof two lines\n", 26, NULL},
        {"\xef\xbb\xbfwith a mark", 14, "begins with a byte order mark"},
        {"two\r\nkinds\rof ends", 18, "1 line ends are CR LF and 1 are CR"},
        {"t\0w\0o\0\r\0\n\0", 10, "looks like UTF-16LE"},
        {"\0t\0w\0o\0\r\0\n", 10, "looks like UTF-16BE"},
        {"\x1f\x04\x40\x04\x38\x04\x32\x04", 8, "looks like UTF-16LE"}, // Cyrillic
        {"a few\0 zeros\0 are no UTF-16\n", 28, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        suite_write("text.txt", cases[i].text, cases[i].length);
        ck_assert_int_eq(suite_run(prepare_loudly, NULL).code, 0);
        size_t length;
        char *said = suite_read("said", &length), *note = strstr(said, ": note: ");
        ck_assert_msg(!note == !cases[i].note, "%zu: %s", i, said);
        ck_assert_msg(!note || strstr(said, cases[i].note), "%zu: %s", i, said);
        ck_assert(!note || !strstr(note + 1, ": note: "));
        free(said);
    }
    suite_write("text.txt", "\xff\xfet\0w\0", 6);
    suite_dies(prepare, arguments(), EXIT_DATA, suite_path("text.txt"), "is UTF-16",
               "iconv -f UTF-16");
}
END_TEST

START_TEST(data_takes_what_is_made) {
    // Longer than the buffer, which ends within both splits.
    enum { CHARACTERS = 800000 };
    char *text = malloc(CHARACTERS);
    for (uint32_t i = 0; i < CHARACTERS; i++) {
        text[i] = (char)('a' + rng_below(rng_bits(1, 2, i, 0), 26));
    }
    suite_write("text.txt", text, CHARACTERS);
    succeeds();
    struct data data;
    data_open(&data, suite_path("out"), 26, 256);
    ck_assert_uint_eq(data.train.count, 720000);
    ck_assert_uint_eq(data.val.count, 80000);
    for (size_t i = 0; i < CHARACTERS; i++) {
        uint16_t id = i < 720000 ? suite_token(&data.train, i) : suite_token(&data.val, i - 720000);
        ck_assert_int_eq(id, text[i] - 'a');
    }
    data_close(&data);
    free(text);
}
END_TEST

// Writes the first `count` code points of UTF-8, from U+0001 on.
static void write_code_points(int count) {
    char *text = malloc((size_t)count * 4);
    size_t length = 0;
    uint32_t c = 1;
    for (int i = 0; i < count; i++, c++) {
        c = c == 0xd800 ? 0xe000 : c;
        length += (size_t)utf8_encode(c, text + length);
    }
    suite_write("text.txt", text, length);
    free(text);
}

// Up to 65,536 characters ids take two bytes, one more and they take four.
START_TEST(as_many_bytes_as_the_vocabulary_needs) {
    for (int more = 0; more < 2; more++) {
        const int count = 65536 + more;
        write_code_points(count);
        succeeds();
        struct data data;
        data_open(&data, suite_path("out"), count, 256);
        ck_assert_int_eq(data.tokenizer.vocab_size, count);
        ck_assert_uint_eq(data.train.count + data.val.count, count);
        ck_assert_uint_eq(suite_token(&data.train, 0), 0);
        ck_assert_uint_eq(suite_token(&data.val, data.val.count - 1), count - 1);
        data_verify(&data);
        size_t length;
        free(suite_read("out/train.bin", &length));
        ck_assert_uint_eq(length, data.train.count * (more ? 4 : 2));
        char *meta = suite_read("out/meta.json", &length);
        ck_assert_int_eq(strstr(meta, "\"token_type\": \"uint32\"") != NULL, more);
        free(meta);
        data_close(&data);
        succeeds(); // nothing of ours is set aside
        ck_assert(!suite_exists("out/train.previous.bin"));
    }
    write_code_points(TOKENS_VOCAB_MAX + 1);
    suite_dies(prepare, arguments(), EXIT_DATA, suite_path("text.txt"), "1048577", "1048576");
}
END_TEST

START_TEST(same_text_same_bytes) {
    suite_write_text("text.txt", "to be or not to be\n");
    succeeds();
    size_t first_length, second_length;
    char *first = suite_read("out/meta.json", &first_length);
    succeeds(); // over existing files
    char *second = suite_read("out/meta.json", &second_length);
    ck_assert_str_eq(first, second);
    free(first);
    free(second);
}
END_TEST

// ---- what it refuses ----------------------------------------------------------------------------

START_TEST(texts_that_are_none) {
    suite_dies(prepare, arguments(), EXIT_MISSING, suite_path("text.txt"));
    suite_write("text.txt", "", 0);
    suite_dies(prepare, arguments(), EXIT_DATA, suite_path("text.txt"), "empty");
    suite_write("text.txt", "\xe2\x82\xac", 3);
    suite_dies(prepare, arguments(), EXIT_DATA, suite_path("text.txt"), "single character");
    unlink(suite_path("text.txt"));
    ck_assert_int_eq(mkdir(suite_path("text.txt"), 0777), 0);
    suite_dies(prepare, arguments(), EXIT_DATA, suite_path("text.txt"), "regular file");
    ck_assert_int_eq(rmdir(suite_path("text.txt")), 0);
    ck_assert_int_eq(mkfifo(suite_path("text.txt"), 0666), 0); // a pipe without a writer
    suite_dies(prepare, arguments(), EXIT_DATA, suite_path("text.txt"), "regular file");
    ck_assert(!suite_exists("out"));
}
END_TEST

START_TEST(no_utf8_is_named_by_offset_and_line) {
    char place[800];
    suite_write("text.txt", "abc\nd\xc3\xa9\n\xff\n", 10);
    snprintf(place, sizeof place, "%s:3:", suite_path("text.txt"));
    suite_dies(prepare, arguments(), EXIT_DATA, place, "offset 8", "0xff");
    suite_write("text.txt", "\xe9t\xe9", 3); // Latin-1
    snprintf(place, sizeof place, "%s:1:", suite_path("text.txt"));
    suite_dies(prepare, arguments(), EXIT_DATA, place, "offset 0", "0xe9");
    suite_write("text.txt", "a\nb\xe2\x82", 5); // ends within a character
    snprintf(place, sizeof place, "%s:2:", suite_path("text.txt"));
    suite_dies(prepare, arguments(), EXIT_DATA, place, "offset 3");
    ck_assert(!suite_exists("out"));
}
END_TEST

START_TEST(wrong_arguments) {
    char *none[] = {"prepare", NULL};
    suite_dies(prepare, none, EXIT_USAGE, "--text=");
    char *unknown[] = {"prepare", "--txt=a", NULL};
    suite_dies(prepare, unknown, EXIT_USAGE, "'--txt=a'");
    char *lines[] = {"prepare", "--\n\x1b[2Jx\xc2\x9b", NULL}; // must not break or steer the line
    suite_dies(prepare, lines, EXIT_USAGE, "'--??[2Jx?");
    char *empty[] = {"prepare", "--text=a", "--out=", "--name=x", SHA, NULL};
    suite_dies(prepare, empty, EXIT_USAGE, "--out=");
    char *name[] = {"prepare", "--text=a", "--out=b", "--name=x\"y", SHA, NULL};
    suite_dies(prepare, name, EXIT_USAGE, "x\"y");
    char *hash[] = {"prepare", "--text=a", "--out=b", "--name=x", "--sha256=123", NULL};
    suite_dies(prepare, hash, EXIT_USAGE, "'123'");
    char *kind[] = {"prepare", "--text=a", "--out=b", "--name=x", SHA, "--tokenizer=bpe", NULL};
    suite_dies(prepare, kind, EXIT_USAGE, "'bpe'", "char, gpt2");
}
END_TEST

START_TEST(folders_that_cannot_be_written) {
    suite_write_text("text.txt", "some text");
    suite_write_text("out", "a file");
    suite_dies(prepare, arguments(), EXIT_IO, suite_path("out"));
    unlink(suite_path("out"));
    char **argv = arguments();
    argv[2] = "--out=/proc";
    suite_dies(prepare, argv, EXIT_IO, "/proc/train.bin");
    argv[2] = "--out=/no/such/folder";
    suite_dies(prepare, argv, EXIT_IO, "/no/such/folder");
}
END_TEST

// While it is read for the first time, and for the second, when there are half-written files.
START_TEST(a_text_that_becomes_shorter) {
    enum { BYTES = 20000 };
    static char text[BYTES];
    memset(text, 'x', sizeof text);
    for (int reading = 0; reading < 2; reading++) {
        suite_write("text.txt", text, sizeof text);
        emptied_at = reading * BYTES + BYTES / 2;
        suite_dies(prepare, arguments(), EXIT_IO, suite_path("text.txt"), "became shorter");
        ck_assert(!leftovers() && !suite_exists("out/meta.json"));
    }
    emptied_at = 0;
    suite_write("text.txt", text, sizeof text);
    succeeds();
}
END_TEST

// If the disk fills up at any of the three files, the three old ones are left, and nothing else.
START_TEST(a_full_disk_leaves_the_old_files) {
    static const char *const names[] = {"out/train.bin", "out/val.bin", "out/meta.json"};
    suite_write_text("text.txt", "abcabcabca");
    succeeds();
    suite_write_text("text.txt", "xyzxyzxyzxyzxyzxyzxyz");
    for (int i = 0; i < 3; i++) {
        char temporary[64];
        snprintf(temporary, sizeof temporary, "%s.tmp", names[i]);
        ck_assert_int_eq(symlink("/dev/full", suite_path(temporary)), 0);
        suite_dies(prepare, arguments(), EXIT_IO, suite_path(names[i]), strerror(ENOSPC));
        ck_assert(!leftovers());
        tokens_are("out/train.bin", (uint16_t[]){0, 1, 2, 0, 1, 2, 0, 1, 2}, 9);
        tokens_are("out/val.bin", (uint16_t[]){0}, 1);
        size_t length;
        char *meta = suite_read("out/meta.json", &length);
        ck_assert_ptr_nonnull(strstr(meta, "char 61 62 63"));
        free(meta);
    }
}
END_TEST

static void prepare_within_limit(void *context) {
    struct rlimit limit = {.rlim_cur = 1000, .rlim_max = 1000};
    setrlimit(RLIMIT_FSIZE, &limit);
    prepare(context);
}

START_TEST(a_file_size_limit_is_an_error) {
    char text[10000];
    memset(text, 'a', sizeof text);
    suite_write("text.txt", text, sizeof text);
    suite_dies(prepare_within_limit, arguments(), EXIT_IO, suite_path("out/train.bin"),
               strerror(EFBIG));
    ck_assert(!leftovers());
    ck_assert(!suite_exists("out/train.bin"));
}
END_TEST

int main(void) {
    const TTest *const tests[] = {
        characters_are_sorted_and_split,
        the_split_is_pythons,
        byte_order_mark_and_zero_are_characters,
        line_ends_may_be_folded,
        what_is_unusual_is_said,
        data_takes_what_is_made,
        as_many_bytes_as_the_vocabulary_needs,
        same_text_same_bytes,
        texts_that_are_none,
        no_utf8_is_named_by_offset_and_line,
        wrong_arguments,
        folders_that_cannot_be_written,
        a_text_that_becomes_shorter,
        a_full_disk_leaves_the_old_files,
        a_file_size_limit_is_an_error,
    };
    return suite_main("prepare", tests, sizeof tests / sizeof tests[0]);
}
