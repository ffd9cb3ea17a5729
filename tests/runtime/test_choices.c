// test_choices.c: llm.c's file of an evaluation: what it holds is read, and what is wrong is one
// line; and the program that makes one from HellaSwag's lines.
#include "tests/runtime/choosing.h"
#include "tests/runtime/preparing.h"

int maker_main(int argc, char **argv);
#define main maker_main
#include "runtime/programs/hellaswag.c"
#undef main

static struct choosing good;

// Three items: of 5, 2 and 9 tokens of context.
static void write_good(void) {
    static const uint16_t tokens[] = {7, 3, 0, 11, 299, 5, 1, 2, 8};
    choosing_begin(&good);
    for (int i = 0; i < 3; i++) {
        choosing_item(&good, i + 1);
        choosing_part(&good, tokens, (int[]){5, 2, 9}[i]);
        for (int ending = 0; ending < CHOICES; ending++) {
            choosing_part(&good, tokens + ending, 1 + (i + ending) % 4);
        }
    }
    choosing_write(&good, "eval.bin");
}

// Opens the scratch folder's eval.bin; its error line ends up in `line`.
static char line[CHOICES_ERROR];
static enum exit_code opens(void) {
    struct choices choices;
    enum exit_code code = EXIT_DONE;
    if (choices_open(&choices, suite_path("eval.bin"), line, &code)) {
        choices_close(&choices);
        return EXIT_DONE;
    }
    ck_assert_int_ne(code, EXIT_DONE);
    ck_assert_ptr_nonnull(strstr(line, suite_dir));
    ck_assert_ptr_null(strchr(line, '\n'));
    return code;
}

static void refuses(const char *words) {
    ck_assert_msg(opens() == EXIT_DATA, "it is accepted: %s", words);
    ck_assert_msg(strstr(line, words) != NULL, "no '%s' in: %s", words, line);
}

START_TEST(items_are_read) {
    write_good();
    struct choices choices;
    enum exit_code code;
    ck_assert(choices_open(&choices, suite_path("eval.bin"), line, &code));
    ck_assert_int_eq(choices.count, 3);
    ck_assert_int_eq(choices.largest, 299);
    ck_assert_ptr_null(choices.tokenizer);
    const struct choice item = choices_item(&choices, 1);
    ck_assert_int_eq(item.right, 2);
    ck_assert_int_eq(item.part[0].count, 2);
    ck_assert_int_eq(item.part[0].tokens[1], 3);
    ck_assert_int_eq(item.part[4].count, 1);
    ck_assert_int_eq(item.part[3].count, 4);
    ck_assert_int_eq(item.part[3].tokens[0], 0);
    choices_close(&choices);
}
END_TEST

START_TEST(every_number_is_checked) {
    enum { FIRST = CHOICES_HEADER / 2 };
    static const struct {
        int at, value;
        const char *words;
    } cases[] = {
        {FIRST, 65534, "item 0 begins with 65534 and has index 0"},
        {FIRST + 1, 65535, "item 0 states that it has 65535 bytes"},
        {FIRST + 1, 2, "item 0 states that it has 2 bytes"},
        {FIRST + 1, 65534, "item 0 states that it has 65534 bytes"},
        {FIRST + 1, 40, "item 0 states"},
        {FIRST + 2, 1, "item 0 begins with 65535 and has index 1"},
        {FIRST + 3, 4, "ending 4 of 4 is right"},
        {FIRST + 3, 65535, "ending 65535 of 4 is right"},
        {FIRST + 4, 3, "ending 1 of 3 is right"},
        {FIRST + 4, 5, "ending 1 of 5 is right"},
        {FIRST + 5, 0, "item 0 states 0 tokens for its context"},
        {FIRST + 5, 65535, "item 0 states 65535 tokens for its context"},
        {FIRST + 5, 4, "item 0"},
        {FIRST + 11, 0, "item 0 states 0 tokens for its ending"},
        {FIRST + 11, 200, "item 0 states 200 tokens for its ending"},
        {FIRST + 6, 65535, "item 0 has the token 65535"},
        {FIRST + 12, 65535, "item 0 has the token 65535"},
        {0, 0, "begins with "},
        {2, 2, "begins with 20240522, 2"},
        {4, 0, "states 0 items"},
        {4, 2, "bytes after its 2 items"},
        {4, 4, "ends before item 3 of 4"},
        {5, 1, "states 65539 items"},
        {5, 65535, "states -65533 items"},
        {6, 0, "states that its longest item has 0 bytes"},
        {7, 32768, "states that its longest item has -2147483590 bytes"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_good();
        good.words[cases[i].at] = (uint16_t)cases[i].value;
        choosing_write(&good, "eval.bin");
        refuses(cases[i].words);
    }
}
END_TEST

START_TEST(no_part_of_it_is_enough) {
    write_good();
    ck_assert_int_eq(opens(), EXIT_DONE);
    for (size_t bytes = 0; bytes < 2 * (size_t)good.count; bytes++) {
        suite_write("eval.bin", good.words, bytes);
        ck_assert_msg(opens() == EXIT_DATA, "%zu bytes are accepted", bytes);
    }
    suite_write("eval.bin", good.words, 2 * (size_t)good.count + 1);
    ck_assert_int_eq(opens(), EXIT_DATA);
    suite_write("eval.bin", good.words, 2 * (size_t)good.count + 2);
    refuses("has 2 bytes after its 3 items");
}
END_TEST

// A file that states few items is not read where it has more bytes than they can have.
START_TEST(a_large_file_is_not_read) {
    write_good();
    ck_assert_int_eq(truncate(suite_path("eval.bin"), (off_t)1 << 40), 0);
    refuses("states 3 items, where 1099511626752 bytes are left");
}
END_TEST

START_TEST(no_such_file) {
    ck_assert_int_eq(opens(), EXIT_MISSING);
    ck_assert_ptr_nonnull(strstr(line, "make data EVAL=hellaswag"));
    mkdir(suite_path("eval.bin"), 0777);
    refuses("is not a regular file");
}
END_TEST

// ---- its tokenizer ------------------------------------------------------------------------------

START_TEST(what_is_stated_beside_it) {
    char characters[3000] = "char";
    for (int i = 0; i < 300; i++) {
        sprintf(characters + strlen(characters), " %x", 256 + i);
    }
    write_good();
    char *text = allocate_print("a text", "{\"xxh3\": \"%s\", \"tokenizer\": \"%s\"}",
                                "0123456789abcdef", characters);
    suite_write_text("eval.json", text);
    free(text);
    refuses("states another: it is damaged");
    char hash[17];
    hash_bytes(good.words, 2 * (size_t)good.count, hash);
    text = allocate_print("a text", "{\"xxh3\": \"%s\", \"tokenizer\": \"%s\"}", hash, characters);
    suite_write_text("eval.json", text);
    struct choices choices;
    enum exit_code code;
    ck_assert(choices_open(&choices, suite_path("eval.bin"), line, &code));
    ck_assert_str_eq(choices.tokenizer, characters);
    ck_assert(choices_fit(&choices, "it", characters, 300, line));
    ck_assert(choices_fit(&choices, "it", "", 300, line)); // unknown
    ck_assert(!choices_fit(&choices, "it", characters, 299, line));
    ck_assert_ptr_nonnull(strstr(line, "has the token 299, where the vocabulary of it has 299"));
    ck_assert(!choices_fit(&choices, "it", "char 61 62", 300, line));
    ck_assert_ptr_nonnull(strstr(line, "those of it are of "));
    choices_close(&choices);
    for (size_t bytes = 0; bytes < strlen(text); bytes++) {
        suite_write("eval.json", text, bytes);
        ck_assert_msg(opens() == EXIT_DATA, "%zu bytes are accepted", bytes);
    }
    free(text);
    suite_write_text("eval.json", "[]");
    refuses("eval.json: is not a JSON object");
    suite_write_text("eval.json", "{\"tokenizer\": 7}");
    refuses("eval.json: has no tokenizer and xxh3");
    choosing_write_meta(&good, "eval.json", "char 61 62");
    refuses("has the token 299, where the tokenizer in ");
    choosing_write_meta(&good, "eval.json", "char 61 61");
    refuses("eval.json: ");
}
END_TEST

// Without a NAME.json the tokens are GPT-2's.
START_TEST(llmcs_own_file) {
    write_good();
    struct choices choices;
    enum exit_code code;
    ck_assert(choices_open(&choices, suite_path("eval.bin"), line, &code));
    ck_assert(choices_fit(&choices, "it", "", 50257, line));
    ck_assert(!choices_fit(&choices, "it", "char 61 62", 50257, line));
    ck_assert_ptr_nonnull(strstr(line, "30bf1a2974c14196 (GPT-2's)"));
    choices_close(&choices);
}
END_TEST

// ---- from HellaSwag's lines ---------------------------------------------------------------------

static char **maker_arguments(void) {
    static char text[800], out[800], folder[800];
    static char *argv[] = {"hellaswag", text, out, folder, NULL};
    snprintf(text, sizeof text, "--text=%s", suite_path("lines.jsonl"));
    snprintf(out, sizeof out, "--out=%s", suite_path("val.bin"));
    snprintf(folder, sizeof folder, "--gpt2=%s", suite_path("gpt2"));
    return argv;
}

static void make(void *context) {
    char **argv = context;
    exit(maker_main(4, argv));
}

static const char lines_text[] =
    "{\"ind\": 24, \"ctx_a\": \"\", \"ctx\": \"the th\", \"label\": 3, \"endings\": "
    "[\"e\", \"the\", \"\\u00e9\", \"th th\"], \"source_id\": \"x\"}\n"
    "\n"
    "{\"endings\": [\"th\", \"the e\", \"e\", \"\"], \"ctx\": \"e\", \"label\": 0}\n";

// Ids of bytes: 'e' is 68, the space 220; " th" is 257, "the" 258, "th" 256.
START_TEST(lines_make_llmcs_bytes) {
    write_gpt2(merges, numbered);
    suite_write_text("lines.jsonl", lines_text);
    struct choosing c;
    choosing_begin(&c);
    choosing_item(&c, 3);
    choosing_part(&c, (uint16_t[]){258, 257}, 2);
    choosing_part(&c, (uint16_t[]){220, 68}, 2);
    choosing_part(&c, (uint16_t[]){257, 68}, 2);
    choosing_part(&c, (uint16_t[]){220, 127, 102}, 3);
    choosing_part(&c, (uint16_t[]){257, 257}, 2);
    choosing_item(&c, 0);
    choosing_part(&c, (uint16_t[]){68}, 1);
    choosing_part(&c, (uint16_t[]){257}, 1);
    choosing_part(&c, (uint16_t[]){257, 68, 220, 68}, 4);
    choosing_part(&c, (uint16_t[]){220, 68}, 2);
    choosing_part(&c, (uint16_t[]){220}, 1);
    for (int again = 0; again < 2; again++) {
        struct ending ending = suite_run(make, maker_arguments());
        ck_assert_msg(ending.code == 0, "%s", ending.text);
        size_t length;
        char *made = suite_read("val.bin", &length);
        ck_assert_uint_eq(length, 2 * (size_t)c.count);
        ck_assert_mem_eq(made, c.words, length);
        free(made);
    }
    struct choices choices;
    enum exit_code code;
    ck_assert(choices_open(&choices, suite_path("val.bin"), line, &code));
    ck_assert_ptr_nonnull(strstr(choices.tokenizer, "bpe gpt2 2122"));
    choices_close(&choices);
    // one that has no NAME.json is not ours
    unlink(suite_path("val.json"));
    suite_dies(make, maker_arguments(), EXIT_USAGE, "val.bin: was not made here");
}
END_TEST

START_TEST(lines_that_are_wrong) {
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"", "has no line"},
        {"\n \n", "has no line"},
        {"{\"ctx\": \"a\"", ":3: is broken JSON"},
        {"7", ":3: is no JSON object"},
        {"[]", ":3: is no JSON object"},
        {"{}", ":3: has no label from 0 to 3"},
        {"{\"label\": 4}", ":3: has no label from 0 to 3"},
        {"{\"label\": -1}", ":3: has no label from 0 to 3"},
        {"{\"label\": \"\"}", ":3: has no label from 0 to 3"},
        {"{\"label\": 1.5}", ":3: has no label from 0 to 3"},
        {"{\"label\": 1}", ":3: has no list of four endings"},
        {"{\"label\": 1, \"endings\": {}}", ":3: has no list of four endings"},
        {"{\"label\": 1, \"endings\": [\"a\", \"b\", \"c\"]}", ":3: has no list of four endings"},
        {"{\"label\": 1, \"endings\": [\"a\", \"b\", \"c\", \"d\"]}", ":3: has no text ctx"},
        {"{\"label\": 1, \"ctx\": 1, \"endings\": [\"a\", \"b\", \"c\", \"d\"]}",
         ":3: has no text ctx"},
        {"{\"label\": 1, \"ctx\": \"\", \"endings\": [\"a\", \"b\", \"c\", \"d\"]}",
         ":3: has a text of no tokens"},
        {"{\"label\": 1, \"ctx\": \"x\", \"endings\": [\"a\", \"b\", \"c\", null]}",
         ":3: has an ending that is no text"},
        {"{\"label\": 1, \"ctx\": \"x\", \"endings\": [\"a\", \"<|endoftext|>\", \"c\", \"d\"]}",
         ":3: has <|endoftext|> in a text"},
        {"{\"label\": 1, \"ctx\": \"\xff\", \"endings\": [\"a\", \"b\", \"c\", \"d\"]}", ":3: "},
    };
    write_gpt2(merges, numbered);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const bool whole = strstr(cases[i].why, "has no line") != NULL;
        char *text = allocate_print("a text", "%s%s", whole ? "" : lines_text, cases[i].text);
        if (!whole) { // the third line in place of what was the third
            memmove(strstr(text, "\n\n") + 2, cases[i].text, strlen(cases[i].text) + 1);
        }
        suite_write_text("lines.jsonl", text);
        free(text);
        suite_dies(make, maker_arguments(), EXIT_DATA, "lines.jsonl", cases[i].why);
        ck_assert(!suite_exists("val.bin") && !suite_exists("val.json"));
    }
    unlink(suite_path("lines.jsonl"));
    suite_dies(make, maker_arguments(), EXIT_MISSING, "lines.jsonl: cannot open");
}
END_TEST

START_TEST(an_item_that_is_too_long) {
    write_gpt2(merges, numbered);
    char *text = malloc(200000);
    for (int room = 0; room < 3; room++) { // one part, then all of them
        const int count = (int[]){32766, 32768, 8000}[room];
        char *at = text + sprintf(text, "{\"label\": 1, \"ctx\": \"");
        at = (char *)memset(at, '!', (size_t)count) + count;
        at += sprintf(at, "\", \"endings\": [");
        for (int ending = 0; ending < CHOICES; ending++) {
            at += sprintf(at, "%s\"", ending ? ", " : "");
            at = (char *)memset(at, '!', 8000) + (room == 2 ? 8000 : 1);
            *at++ = '"';
        }
        strcpy(at, "]}\n");
        suite_write_text("lines.jsonl", text);
        suite_dies(make, maker_arguments(), EXIT_DATA,
                   "lines.jsonl:1: has more tokens than the file's format can hold");
    }
    free(text);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {
        items_are_read,
        every_number_is_checked,
        no_part_of_it_is_enough,
        a_large_file_is_not_read,
        no_such_file,
        what_is_stated_beside_it,
        llmcs_own_file,
        lines_make_llmcs_bytes,
        lines_that_are_wrong,
        an_item_that_is_too_long,
    };
    return suite_main("choices", tests, sizeof tests / sizeof tests[0]);
}
