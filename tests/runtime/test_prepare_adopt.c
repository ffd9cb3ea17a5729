// test_prepare_adopt.c: prepare takes token files that nanoGPT left, with the vocabulary of its
// meta.pkl.
#include "tests/runtime/preparing.h"

// A pickle is put together here, opcode by opcode, as Python writes one.
static char pickled[4096];
static size_t pickled_length;

static void put(const char *opcodes, size_t length) {
    memcpy(pickled + pickled_length, opcodes, length);
    pickled_length += length;
}

// A string, of protocol 2's long form or 4's short one.
static void put_text(int protocol, const char *text) {
    unsigned char length = (unsigned char)strlen(text);
    protocol == 2 ? put((char[]){'X', (char)length, 0, 0, 0}, 5)
                  : put((char[]){'\x8c', (char)length}, 2);
    put(text, length);
}

// Stores the last string as number `place` of the memo.
static void put_memo(int protocol, int place) {
    protocol == 2 ? put((char[]){'q', (char)place}, 2) : put("\x94", 1);
}

// Writes { vocab_size: count, itos: { id: character }, stoi: { character: id } } as out/meta.pkl.
// The second dict's strings are recalled from the memo.
static void write_pickle(int protocol, int count, const char *const *characters) {
    pickled_length = 0;
    put((char[]){'\x80', (char)protocol}, 2);
    if (protocol == 4) {
        put("\x95\0\0\0\0\0\0\0\0", 9);
    }
    put("}(", 2);
    put_text(protocol, "vocab_size");
    put((char[]){'K', (char)count}, 2);
    put_text(protocol, "itos");
    put("}(", 2);
    for (int i = 0; i < count; i++) {
        put((char[]){'K', (char)i}, 2);
        put_text(protocol, characters[i]);
        put_memo(protocol, i);
    }
    put("u", 1);
    put_text(protocol, "stoi");
    put("}(", 2);
    for (int i = 0; i < count; i++) {
        put((char[]){'h', (char)i, 'K', (char)i}, 4);
    }
    put("uu.", 3);
    suite_write("out/meta.pkl", pickled, pickled_length);
}

static void write_tokens(void) {
    mkdir(suite_path("out"), 0777);
    suite_write("out/train.bin", (uint16_t[]){2, 0, 1, 2}, 8);
    suite_write("out/val.bin", (uint16_t[]){1, 2}, 4);
}

static char **adopt_arguments(void) {
    static char folder[800], gpt2[800];
    static char *argv[] = {"prepare", folder, "--name=abc", gpt2, NULL};
    snprintf(folder, sizeof folder, "--adopt=%s", suite_path("out"));
    snprintf(gpt2, sizeof gpt2, "--gpt2=%s", suite_path("gpt2"));
    return argv;
}

static const char *const three[] = {"\n", "a", "\xc3\xa9"};

START_TEST(nanogpts_vocabulary_is_read) {
    for (int protocol = 2; protocol <= 4; protocol += 2) {
        write_tokens();
        write_pickle(protocol, 3, three);
        struct ending ending = suite_run(prepare, adopt_arguments());
        ck_assert_msg(ending.code == 0, "%s", ending.text);
        tokens_are("out/train.bin", (uint16_t[]){2, 0, 1, 2}, 4);
        tokens_are("out/val.bin", (uint16_t[]){1, 2}, 2);
        struct data data;
        data_open(&data, suite_path("out"), 3, 1);
        ck_assert_str_eq(data.tokenizer.text, "char 0a 61 e9");
        data_close(&data);
        unlink(suite_path("out/meta.json"));
    }
}
END_TEST

START_TEST(without_one_the_tokens_are_gpt2s) {
    write_gpt2(merges, numbered);
    write_tokens();
    suite_write("out/val.bin", (uint16_t[]){258, 256}, 4);
    struct ending ending = suite_run(prepare, adopt_arguments());
    ck_assert_msg(ending.code == 0, "%s", ending.text);
    struct data data;
    data_open(&data, suite_path("out"), 300, 1);
    ck_assert_int_eq(data.tokenizer.vocab_size, 260);
    data_close(&data);
    unlink(suite_path("out/meta.json"));
    suite_write("out/val.bin", (uint16_t[]){258, 260}, 4);
    suite_dies(prepare, adopt_arguments(), EXIT_DATA, suite_path("out/val.bin"), "token 1 is 260");
    suite_write("out/val.bin", "abc", 3);
    suite_dies(prepare, adopt_arguments(), EXIT_DATA, suite_path("out/val.bin"), "3 bytes");
    unlink(suite_path("out/val.bin"));
    suite_dies(prepare, adopt_arguments(), EXIT_MISSING, suite_path("out/val.bin"));
    ck_assert(!suite_exists("out/meta.json") && !leftovers());
}
END_TEST

// A pickle of anything else is refused without executing any of it, and so is every cut-off one.
START_TEST(pickles_that_hold_more) {
    static const char *const unsorted[] = {"b", "a"}, *const words[] = {"ab", "c"},
                             *const twice[] = {"a", "a"}, *const broken[] = {"\xff", "a"};
    const struct {
        const char *const *characters;
        const char *why;
    } cases[] = {{unsorted, "not numbered in their order"},
                 {words, "not a character for each id"},
                 {twice, "not numbered in their order"},
                 {broken, "not a character for each id"}};
    write_tokens();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_pickle(4, 2, cases[i].characters);
        suite_dies(prepare, adopt_arguments(), EXIT_DATA, suite_path("out/meta.pkl"), cases[i].why,
                   "make data DATASET=another");
    }
    write_pickle(2, 3, three);
    for (size_t length = 0; length < pickled_length; length++) {
        suite_write("out/meta.pkl", pickled, length);
        suite_dies(prepare, adopt_arguments(), EXIT_DATA, suite_path("out/meta.pkl"));
    }
    char touch[800];
    snprintf(touch, sizeof touch, "touch %s", suite_path("called"));
    pickled_length = 0;
    put("\x80\x02"
        "cos\nsystem\n(",
        14);
    put_text(2, touch);
    put("tR.", 3);
    suite_write("out/meta.pkl", pickled, pickled_length);
    suite_dies(prepare, adopt_arguments(), EXIT_DATA, suite_path("out/meta.pkl"),
               "holds more than a dict");
    suite_write("out/meta.pkl", "}u.", 3);
    suite_dies(prepare, adopt_arguments(), EXIT_DATA, suite_path("out/meta.pkl"), "damaged");
    ck_assert(!suite_exists("called") && !suite_exists("out/meta.json"));
}
END_TEST

START_TEST(what_others_made_is_not_written_over) {
    suite_write_text("text.txt", "some text");
    write_tokens();
    suite_dies(prepare, arguments(), EXIT_USAGE, suite_path("out/train.bin"), "not made here");
    write_pickle(4, 3, three);
    ck_assert_int_eq(suite_run(prepare, adopt_arguments()).code, 0);
    suite_dies(prepare, arguments(), EXIT_USAGE, suite_path("out/train.bin"), "not made here");
    tokens_are("out/train.bin", (uint16_t[]){2, 0, 1, 2}, 4);
    ck_assert(!leftovers());
}
END_TEST

START_TEST(tokens_that_meta_does_not_speak_of_are_kept) {
    suite_write_text("text.txt", "some text");
    succeeds();
    for (int i = 0; i < 2; i++) {
        suite_write("out/train.bin", (uint16_t[]){7, (uint16_t)i}, 4);
        ck_assert_int_eq(suite_run(prepare, arguments()).code, 0);
    }
    tokens_are("out/train.previous.bin", (uint16_t[]){7, 0}, 2);
    tokens_are("out/train.previous2.bin", (uint16_t[]){7, 1}, 2);
    ck_assert(!suite_exists("out/val.previous.bin"));
    // After a crash between its files: those are ours.
    ck_assert_int_eq(rename(suite_path("out/meta.json"), suite_path("out/meta.json.tmp")), 0);
    ck_assert_int_eq(suite_run(prepare, arguments()).code, 0);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {
        nanogpts_vocabulary_is_read,
        without_one_the_tokens_are_gpt2s,
        pickles_that_hold_more,
        what_others_made_is_not_written_over,
        tokens_that_meta_does_not_speak_of_are_kept,
    };
    return suite_main("prepare: adopt", tests, sizeof tests / sizeof tests[0]);
}
