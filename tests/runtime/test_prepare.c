// test_prepare.c: the program prepare: token files from a text, and the texts and folders that it
// refuses. prepare.c is included here and runs in a child process each time.
#include "tests/runtime/suite.h"

// The text is emptied before this call of utf8_decode, counted from 1; 0: never.
static int emptied_at, decoded;

static int decode(const unsigned char *text, size_t length, uint32_t *codepoint) {
    if (++decoded == emptied_at && truncate(suite_path("text.txt"), 0)) {
        _exit(99);
    }
    return utf8_decode(text, length, codepoint);
}

int prepare_main(int argc, char **argv);
#define main prepare_main
#define utf8_decode decode
#include "runtime/programs/prepare/text.c"
#include "runtime/programs/prepare.c"
#undef utf8_decode
#undef main

#include <sys/resource.h>

#define SHA "--sha256=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// Runs prepare with these arguments, NULL at the end.
static void prepare(void *context) {
    char **argv = context;
    int argc = 0;
    while (argv[argc]) {
        argc++;
    }
    exit(prepare_main(argc, argv));
}

// The arguments for text.txt and the folder out.
static char **arguments(void) {
    static char text[800], folder[800];
    static char *argv[] = {"prepare", text, folder, "--name=abc", SHA, NULL};
    snprintf(text, sizeof text, "--text=%s", suite_path("text.txt"));
    snprintf(folder, sizeof folder, "--out=%s", suite_path("out"));
    return argv;
}

static void succeeds(void) {
    struct ending ending = suite_run(prepare, arguments());
    ck_assert_msg(ending.code == 0, "%s", ending.text);
    ck_assert_str_eq(ending.text, "");
}

static void tokens_are(const char *name, const uint16_t *wanted, size_t count) {
    size_t length;
    char *bytes = suite_read(name, &length);
    ck_assert_uint_eq(length, 2 * count);
    ck_assert_mem_eq(bytes, wanted, length);
    free(bytes);
}

static bool leftovers(void) {
    return suite_exists("out/train.bin.tmp") || suite_exists("out/val.bin.tmp") ||
           suite_exists("out/meta.json.tmp");
}

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

START_TEST(as_many_characters_as_fit_into_two_bytes) {
    write_code_points(65536);
    succeeds();
    struct data data;
    data_open(&data, suite_path("out"), 65536, 256);
    ck_assert_int_eq(data.tokenizer.vocab_size, 65536);
    ck_assert_int_eq(suite_token(&data.train, 0), 0);
    ck_assert_int_eq(suite_token(&data.val, data.val.count - 1), 65535);
    data_close(&data);
    write_code_points(65537);
    suite_dies(prepare, arguments(), EXIT_DATA, suite_path("text.txt"), "65537", "65536");
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

// ---- GPT-2's tokens, with a made-up list --------------------------------------------------------

// The published vocab.bpe and encoder.json write a byte as a character.
static size_t shown(int byte, char text[4]) {
    uint32_t c = (uint32_t)byte, hidden = 0x100;
    bool seen = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte != 0xad);
    for (int b = 0; b < byte && !seen; b++) {
        hidden += b < 0x21 || (b > 0x7e && b < 0xa1) || b == 0xad;
    }
    return (size_t)utf8_encode(seen ? c : hidden, text);
}

// Tokens: 256 bytes, "th" 256, " th" 257, "the" 258 and <|endoftext|> 259.
static const char merges[] = "#version: 0.2\nt h\n\xc4\xa0 th\nth e\n";

static void write_gpt2(const char *vocab, const char *tail) {
    mkdir(suite_path("gpt2"), 0777);
    suite_write_text("gpt2/vocab.bpe", vocab);
    char json[8192];
    size_t used = (size_t)sprintf(json, "{");
    int id = 0;
    for (int hidden = 0; hidden < 2; hidden++) {
        for (int byte = 0; byte < 256; byte++) {
            char text[5] = {0};
            size_t length = shown(byte, text);
            uint32_t c;
            utf8_decode((unsigned char *)text, length, &c);
            if ((c >= 0x100) != hidden) {
                continue;
            }
            // Escapes of each kind, as Python's json.dumps writes them, and plain UTF-8.
            if (c == '"' || c == '\\') {
                used += (size_t)sprintf(json + used, "\"\\%c\": %d, ", (int)c, id++);
            } else if (c >= 0x80 && c % 3) {
                used += (size_t)sprintf(json + used, "\"\\u%04x\": %d, ", (unsigned)c, id++);
            } else {
                used += (size_t)sprintf(json + used, "\"%s\": %d, ", text, id++);
            }
        }
    }
    sprintf(json + used, "%s}", tail);
    suite_write_text("gpt2/encoder.json", json);
}

static const char numbered[] =
    "\"th\": 256, \"\\u0120th\": 257, \"the\": 258, \"<|endoftext|>\": 259";

static char **gpt2_arguments(void) {
    static char folder[800];
    static char *argv[8];
    memcpy(argv, arguments(), 5 * sizeof *argv);
    snprintf(folder, sizeof folder, "--gpt2=%s", suite_path("gpt2"));
    argv[5] = "--tokenizer=gpt2";
    argv[6] = folder;
    return argv;
}

START_TEST(gpt2_tokens_are_made_of_each_part) {
    write_gpt2(merges, numbered);
    // 20 characters, so 18 to train on: the split is within a word.
    suite_write_text("text.txt", "the the\nth\xc3\xa9 <|e> the");
    struct ending ending = suite_run(prepare, gpt2_arguments());
    ck_assert_msg(ending.code == 0, "%s", ending.text);
    // Ids of bytes: '!' is 0, so 'e' is 68; the space is 220, newline 198.
    tokens_are("out/train.bin",
               (uint16_t[]){258, 257, 68, 198, 256, 127, 102, 220, 27, 91, 68, 29, 220, 83}, 14);
    tokens_are("out/val.bin", (uint16_t[]){71, 68}, 2);
    size_t length;
    char *meta = suite_read("out/meta.json", &length);
    ck_assert_ptr_nonnull(strstr(meta, "\"tokenizer\": \"bpe gpt2 2122"));
    ck_assert_ptr_nonnull(strstr(meta, " 0053004700dc010001000044 <|endoftext|>\""));
    free(meta);
    struct data data;
    data_open(&data, suite_path("out"), 300, 1);
    data_close(&data);
}
END_TEST

START_TEST(gpt2_files_that_disagree) {
    static const struct {
        const char *merges, *numbers, *why;
    } cases[] = {
        {"t h\n", numbered, "#version"},
        {"", numbered, "#version"},
        {"#version: 0.2\nth e\n", numbered, "vocab.bpe:2: is not a merge"},
        {"#version: 0.2\nt h\nth\n", numbered, "vocab.bpe:3: is not a merge"},
        {"#version: 0.2\nt h\n\nth e\n", numbered, "vocab.bpe:3: is not a merge"},
        {"#version: 0.2\nt h\nt h\n", numbered, "vocab.bpe:3: makes a token that is there"},
        {merges, "\"th\": 256", "not a JSON object of 260 tokens"},
        {merges, "\"th\": 256, ", "encoder.json: is broken JSON"},
        {merges, "\"th\": 257, \"\\u0120th\": 256, \"the\": 258, \"<|endoftext|>\": 259", "'th'"},
        {merges, "\"th\": 256, \"th\": 256, \"the\": 258, \"<|endoftext|>\": 259", "a key twice"},
        {merges, "\"th\": 256, \"\\u012\": 257, \"the\": 258, \"<|endoftext|>\": 259",
         "encoder.json"},
        {merges, "\"th\": 256, \"\\u0120th\": \"257\", \"the\": 258, \"<|endoftext|>\": 259", "th"},
        {merges, "\"th\": 256, \"\\u0120th\": [257], \"the\": 258", "encoder.json"},
    };
    suite_write_text("text.txt", "the the");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_gpt2(cases[i].merges, cases[i].numbers);
        suite_dies(prepare, gpt2_arguments(), EXIT_DATA, suite_path("gpt2"), cases[i].why);
        ck_assert(!suite_exists("out"));
    }
    unlink(suite_path("gpt2/encoder.json"));
    suite_dies(prepare, gpt2_arguments(), EXIT_MISSING, suite_path("gpt2/encoder.json"));
}
END_TEST

// The three ways in which a folder has GPT-2's tokenizer make the same data.
START_TEST(gpt2_files_of_other_names) {
    suite_write_text("text.txt", "the the\nth\xc3\xa9 <|e> the");
    write_gpt2(merges, numbered);
    ck_assert_int_eq(suite_run(prepare, gpt2_arguments()).code, 0);
    size_t length;
    char *published = suite_read("out/meta.json", &length);

    rename(suite_path("gpt2/vocab.bpe"), suite_path("gpt2/merges.txt"));
    rename(suite_path("gpt2/encoder.json"), suite_path("gpt2/vocab.json"));
    ck_assert_int_eq(suite_run(prepare, gpt2_arguments()).code, 0);
    char *stored = suite_read("out/meta.json", &length);
    ck_assert_str_eq(stored, published);
    free(stored);

    static const char *const lists[] = {
        "\"t h\", \"\\u0120 th\", \"th e\"",
        "[\"t\", \"h\"], [\"\\u0120\", \"th\"], [\"th\", \"e\"]",
    };
    char *vocab = suite_read("gpt2/vocab.json", &length);
    unlink(suite_path("gpt2/merges.txt"));
    for (int i = 0; i < 2; i++) {
        char json[12288];
        snprintf(json, sizeof json,
                 "{\"pre_tokenizer\": {\"type\": \"ByteLevel\"}, \"model\": {\"type\": \"BPE\", "
                 "\"vocab\": %s, \"merges\": [%s]}}",
                 vocab, lists[i]);
        suite_write_text("gpt2/tokenizer.json", json);
        struct ending ending = suite_run(prepare, gpt2_arguments());
        ck_assert_msg(ending.code == 0, "%s", ending.text);
        stored = suite_read("out/meta.json", &length);
        ck_assert_str_eq(stored, published);
        free(stored);
    }
    free(vocab);
    free(published);
}
END_TEST

// A tokenizer.json of another kind, or with less in it.
START_TEST(tokenizer_json_that_is_not_gpt2s) {
    static const struct {
        const char *json, *why;
    } cases[] = {
        {"[]", "GPT-2's, BPE and ByteLevel, is wanted"},
        {"{\"model\": {\"type\": \"Unigram\"}, \"pre_tokenizer\": {\"type\": \"Metaspace\"}}",
         "is a tokenizer of type Unigram that cuts text by Metaspace"},
        {"{\"model\": {\"type\": \"BPE\"}, \"pre_tokenizer\": {\"type\": \"Sequence\"}}",
         "of type BPE that cuts text by Sequence"},
        {"{\"model\": {\"type\": \"BPE\"}, \"pre_tokenizer\": {\"type\": \"ByteLevel\"}}",
         "no list of at most 65536 merges"},
        {"{\"model\": {\"type\": \"BPE\", \"merges\": [7]}, \"pre_tokenizer\": {\"type\": "
         "\"ByteLevel\"}}",
         "merge 1 is no text of two tokens"},
        {"{\"model\": {\"type\": \"BPE\", \"merges\": [\"t h\", [\"th\", \"q u\"]]}, "
         "\"pre_tokenizer\": {\"type\": \"ByteLevel\"}}",
         " merge 2: is not a merge of two earlier tokens"},
        {"{\"model\": {\"type\": \"BPE\", \"merges\": [\"t h\"]}, \"pre_tokenizer\": {\"type\": "
         "\"ByteLevel\"}}",
         "not a JSON object of 258 tokens"},
    };
    suite_write_text("text.txt", "the the");
    mkdir(suite_path("gpt2"), 0777);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        suite_write_text("gpt2/tokenizer.json", cases[i].json);
        suite_dies(prepare, gpt2_arguments(), EXIT_DATA, suite_path("gpt2/tokenizer.json"),
                   cases[i].why);
        ck_assert(!suite_exists("out"));
    }
}
END_TEST

START_TEST(gpt2_tokens_of_any_text_come_back) {
    // Longer than a stride of characters, so that the split is found from a mark.
    enum { CHARACTERS = 2500000, SPLIT = 2250000 };
    write_gpt2(merges, numbered);
    char *text = malloc(CHARACTERS * 2), *back = malloc(CHARACTERS * 2);
    size_t length = 0, split = 0;
    for (uint32_t i = 0; i < CHARACTERS; i++) {
        split = i == SPLIT ? length : split;
        uint64_t pick = rng_below(rng_bits(3, 4, i, 0), 9);
        length +=
            (size_t)utf8_encode(pick == 8 ? 0xe9 : (uint32_t) "the th \n"[pick], text + length);
    }
    suite_write("text.txt", text, length);
    struct ending ending = suite_run(prepare, gpt2_arguments());
    ck_assert_msg(ending.code == 0, "%s", ending.text);
    struct data data;
    data_open(&data, suite_path("out"), 300, 256);
    const struct split *parts[] = {&data.train, &data.val};
    size_t at = 0;
    for (int part = 0; part < 2; part++) {
        for (size_t i = 0; i < parts[part]->count; i++) {
            size_t bytes;
            const char *token =
                tokenizer_decode(&data.tokenizer, suite_token(parts[part], i), &bytes);
            memcpy(back + at, token, bytes);
            at += bytes;
        }
        ck_assert_uint_eq(at, part ? length : split);
    }
    ck_assert_mem_eq(back, text, length);
    data_close(&data);
    free(text);
    free(back);
}
END_TEST

// ---- tokens that nanoGPT left -------------------------------------------------------------------

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
        as_many_characters_as_fit_into_two_bytes,
        same_text_same_bytes,
        gpt2_tokens_are_made_of_each_part,
        gpt2_files_that_disagree,
        gpt2_files_of_other_names,
        tokenizer_json_that_is_not_gpt2s,
        gpt2_tokens_of_any_text_come_back,
        nanogpts_vocabulary_is_read,
        without_one_the_tokens_are_gpt2s,
        pickles_that_hold_more,
        what_others_made_is_not_written_over,
        tokens_that_meta_does_not_speak_of_are_kept,
        texts_that_are_none,
        no_utf8_is_named_by_offset_and_line,
        wrong_arguments,
        folders_that_cannot_be_written,
        a_text_that_becomes_shorter,
        a_full_disk_leaves_the_old_files,
        a_file_size_limit_is_an_error,
    };
    return suite_main("prepare", tests, sizeof tests / sizeof *tests);
}
