// test_prepare_documents.c: prepare with documents: which tokens, whatever threads and units, and
// that a run which was broken off goes on; by a made-up list of merges.
#include "tests/runtime/preparing.h"

enum { END = 259 }; // <|endoftext|>

static const struct words {
    const char *from, *out, *unit, *threads, *val, *more;
} usual = {"in", "out", "4194304", "2", "0.4", "--newlines=keep"};

static char **documents_arguments(struct words run) {
    static char text[6][800];
    static char *argv[12] = {"prepare", "--name=abc", text[0], text[1], text[2],
                             text[3],   text[4],      text[5], NULL};
    snprintf(text[0], sizeof text[0], "--documents=%s", suite_path(run.from));
    snprintf(text[1], sizeof text[1], "--out=%s", suite_path(run.out));
    snprintf(text[2], sizeof text[2], "--gpt2=%s", suite_path("gpt2"));
    snprintf(text[3], sizeof text[3], "--unit=%s", run.unit);
    snprintf(text[4], sizeof text[4], "--threads=%s", run.threads);
    snprintf(text[5], sizeof text[5], "--val=%s", run.val);
    argv[8] = (char *)run.more;
    argv[9] = NULL;
    return argv;
}

static void prepare_aloud(void *context) {
    ck_assert_ptr_nonnull(freopen(suite_path("said"), "w", stdout));
    prepare(context);
}

// Runs it. The caller frees what it printed.
static char *makes(struct words run) {
    struct ending ending = suite_run(prepare_aloud, documents_arguments(run));
    ck_assert_msg(ending.code == 0, "%s", ending.text);
    ck_assert_str_eq(ending.text, "");
    size_t length;
    return suite_read("said", &length);
}

static void same_files(const char *a, const char *b) {
    static const char *const names[] = {"train.bin", "val.bin", "meta.json"};
    for (int i = 0; i < 3; i++) {
        char path[2][64];
        size_t length[2];
        snprintf(path[0], sizeof path[0], "%s/%s", a, names[i]);
        snprintf(path[1], sizeof path[1], "%s/%s", b, names[i]);
        char *x = suite_read(path[0], &length[0]), *y = suite_read(path[1], &length[1]);
        ck_assert_msg(length[0] == length[1] && !memcmp(x, y, length[0]), "%s differs from %s",
                      path[0], path[1]);
        free(x);
        free(y);
    }
}

// ---- which tokens -------------------------------------------------------------------------------

// The tokens of a text of single bytes, 'a' 64, newline 198, space 220, and of the made-up merges.
static void documents_begin(void) {
    write_gpt2(merges, numbered);
    mkdir(suite_path("in"), 0777);
}

START_TEST(each_document_ends_with_its_token) {
    documents_begin();
    mkdir(suite_path("in/sub"), 0777);
    suite_write_text("in/b.txt", "the the\n");
    suite_write_text("in/a", "a");
    suite_write_text("in/c.jsonl",
                     "{\"text\": \"th<|endoftext|>\"}\n\n \r\n{\"text\": \"\", \"b\": 1}\r\n"
                     "{\"id\": 3, \"text\": \"a\\na\"}");
    suite_write_text("in/sub/d", "aa");
    suite_write_text("in/.hidden", "not this");
    suite_write_text("in/empty", "");
    // With this fraction nothing is below the bound: the document with the least hash is for val.
    struct words run = usual;
    run.val = "0.0000001";
    free(makes(run));
    size_t train_length, val_length;
    uint16_t *train = (uint16_t *)suite_read("out/train.bin", &train_length);
    uint16_t *val = (uint16_t *)suite_read("out/val.bin", &val_length);
    // In the order of the files' names; the one for val is left out of it.
    static const uint16_t documents[][24] = {
        {64, END},
        {258, 257, 68, 198, END},
        {256, 27, 91, 68, 77, 67, 78, 69, 83, 68, 87, 83, 91, 29, END},
        {END},
        {64, 198, 64, END},
        {END}, // in/empty
        {64, 64, END},
    };
    size_t at = 0, of_val = 0, ends = 0;
    for (size_t i = 0; i < sizeof documents / sizeof *documents; i++) {
        size_t count = 0;
        while (documents[i][count++] != END) {
        }
        const size_t bytes = 2 * count;
        if (2 * at + bytes <= train_length && !memcmp(train + at, documents[i], bytes)) {
            at += count;
        } else {
            ck_assert(2 * of_val + bytes <= val_length);
            ck_assert_mem_eq(val + of_val, documents[i], bytes);
            of_val += count;
            ends++;
        }
    }
    ck_assert_uint_eq(2 * at, train_length);
    ck_assert_uint_eq(2 * of_val, val_length);
    ck_assert_int_ge(ends, 1);
    ck_assert_int_le(ends, 2); // two are empty, and the same documents go together
    free(train);
    free(val);
    size_t length;
    char *meta = suite_read("out/meta.json", &length);
    ck_assert_ptr_nonnull(strstr(meta, "  \"documents\": 7,\n"));
    ck_assert_ptr_nonnull(strstr(meta, "  \"val_fraction\": \"0.0000001\"\n}\n"));
    free(meta);
    struct data data;
    data_open(&data, suite_path("out"), 300, 1);
    data_close(&data);
}
END_TEST

START_TEST(line_ends_of_documents_may_be_folded) {
    documents_begin();
    suite_write_text("in/a", "a\r\na\ra\n\r");
    suite_write_text("in/b.jsonl", "{\"text\": \"a\\r\\na\\ra\\n\\r\"}\n{\"text\": \"b\"}\n");
    struct words run = usual;
    run.more = "--newlines=lf";
    free(makes(run));
    size_t length;
    char *meta = suite_read("out/meta.json", &length);
    ck_assert_ptr_nonnull(strstr(meta, "  \"newlines\": \"lf\",\n"));
    free(meta);
    static const uint16_t folded[] = {64, 198, 64, 198, 64, 198, 198, END};
    // The same document twice: both are in one file.
    char *train = suite_read("out/train.bin", &length), *val = NULL;
    if (length < sizeof folded) {
        val = suite_read("out/val.bin", &length);
    }
    ck_assert_mem_eq(val ? val : train, folded, sizeof folded);
    ck_assert_mem_eq((val ? val : train) + sizeof folded, folded, sizeof folded);
    free(train);
    free(val);
}
END_TEST

// ---- whatever units and threads -----------------------------------------------------------------

// Writes a text of what has a meaning: `kinds` of pieces that random numbers choose.
static size_t random_text(uint32_t seed, bool escaped, char *text) {
    static const char *const plain[] = {"the", " ",    "\n",           "'s",
                                        "'",   "th",   "\xc3\xa9",     "7",
                                        "  ",  "\r\n", "\xe3\x80\x80", "\xf0\x9f\x98\x80"};
    static const char *const json[] = {"the",     " ",      "\\n",          "'s",
                                       "\\u0027", "th",     "\\u00e9",      "7",
                                       "  ",      "\\r\\n", "\xe3\x80\x80", "\\ud83d\\ude00"};
    const size_t pieces = rng_below(rng_bits(9, seed, 0, 1), 40);
    size_t length = 0;
    for (uint32_t i = 0; i < pieces; i++) {
        const size_t pick = rng_below(rng_bits(9, seed, i, 0), 12);
        const char *piece = escaped ? json[pick] : plain[pick];
        memcpy(text + length, piece, strlen(piece));
        length += strlen(piece);
    }
    return length;
}

static void write_documents(void) {
    documents_begin();
    char *all = malloc(1 << 20);
    for (uint32_t file = 0; file < 12; file++) {
        char name[32];
        size_t length = 0;
        const bool lines = file % 3 == 2;
        for (uint32_t line = 0; line < (lines ? 20 : 1 + 10 * (file % 2)); line++) {
            length += lines ? (size_t)sprintf(all + length, "{\"text\": \"") : 0;
            length += random_text(file * 100 + line, lines, all + length);
            length += lines ? (size_t)sprintf(all + length, "\"}\n") : 0;
        }
        snprintf(name, sizeof name, "in/%u%s", file, lines ? ".jsonl" : "");
        suite_write(name, all, length);
    }
    free(all);
}

START_TEST(the_same_whatever_units_and_threads) {
    write_documents();
    free(makes(usual));
    static const struct {
        const char *unit, *threads;
    } cases[] = {{"1", "1"}, {"1", "3"}, {"2", "1"}, {"7", "2"}, {"50", "1"}, {"333", "8"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct words run = usual;
        char out[8];
        snprintf(out, sizeof out, "out%zu", i);
        run.out = out;
        run.unit = cases[i].unit;
        run.threads = cases[i].threads;
        free(makes(run));
        same_files(out, "out");
    }
}
END_TEST

// ---- what is refused ----------------------------------------------------------------------------

static void refused(const char *name, const char *text, enum exit_code code, const char *place,
                    const char *why) {
    char whole[800];
    snprintf(whole, sizeof whole, "%s%s", suite_path(name), place);
    suite_write_text(name, text);
    suite_dies(prepare, documents_arguments(usual), code, whole, why);
    ck_assert(!suite_exists("out/train.bin") && !suite_exists("out/meta.json"));
    unlink(suite_path(name));
}

START_TEST(a_wrong_document_is_named_by_its_line) {
    documents_begin();
    suite_write_text("in/good", "a");
    refused("in/x.jsonl", "{\"text\": \"a\"}\n\n{\"text\": 7}\n", EXIT_DATA,
            ":3: ", "without a string");
    refused("in/x.jsonl", "{\"text\": \"a\"}\n{\"texts\": \"a\"}", EXIT_DATA,
            ":2: ", "a string \"text\"");
    refused("in/x.jsonl", "[\n", EXIT_DATA, ":1: ", "broken JSON");
    refused("in/x.jsonl", "{\"text\": \"\\udc00\"}\n", EXIT_DATA, ":1: ", "half a surrogate");
    refused("in/x.jsonl", "{\"text\": \"a\"}\n{\"text\": \"\xff\"}\n", EXIT_DATA,
            ":2: ", "not UTF-8");
    refused("in/x.jsonl", "{\"text\": \"a\"} {\"text\": \"a\"}\n", EXIT_DATA, ":1: ", "follows");
    refused("in/x", "a\nb\n\xe9", EXIT_DATA, ":3: ", "offset 4 (0xe9) is not UTF-8");
    refused("in/x", "a\n\xe2\x82", EXIT_DATA, ":2: ", "offset 2 (0xe2) is not UTF-8");
    refused("in/x.parquet", "PAR1", EXIT_DATA, "", "Parquet");
    refused("in/x.jsonl.zst", "x", EXIT_DATA, "", "is compressed");
}
END_TEST

START_TEST(what_holds_no_documents) {
    write_gpt2(merges, numbered);
    suite_dies(prepare, documents_arguments(usual), EXIT_MISSING, suite_path("in"));
    mkdir(suite_path("in"), 0777);
    suite_dies(prepare, documents_arguments(usual), EXIT_DATA, suite_path("in"), "no documents");
    suite_write_text("in/a", "a");
    suite_dies(prepare, documents_arguments(usual), EXIT_DATA, suite_path("in"),
               "of its 1 documents", "train.bin");
    ck_assert_int_eq(symlink(".", suite_path("in/again")), 0);
    suite_dies(prepare, documents_arguments(usual), EXIT_DATA, suite_path("in/again"), "a link");
    unlink(suite_path("in/again"));
    ck_assert_int_eq(mkfifo(suite_path("in/pipe"), 0666), 0);
    suite_dies(prepare, documents_arguments(usual), EXIT_DATA, suite_path("in/pipe"),
               "regular file");
    unlink(suite_path("in/pipe"));
    struct words run = usual;
    run.from = "in/a";
    suite_dies(prepare, documents_arguments(run), EXIT_DATA, suite_path("in/a"), "JSON lines");
    static const char *const fractions[] = {"0", "1", "1.5", "-0.1", "nan", "0x1p-3", "", "0,1"};
    for (size_t i = 0; i < sizeof fractions / sizeof *fractions; i++) {
        run = usual;
        run.val = fractions[i];
        suite_dies(prepare, documents_arguments(run), EXIT_USAGE, fractions[i], "0.0005");
    }
    run = usual;
    run.more = "--tokenizer=char";
    suite_dies(prepare, documents_arguments(run), EXIT_USAGE, "'char'", "gpt2");
    run = usual;
    run.unit = "0";
    suite_dies(prepare, documents_arguments(run), EXIT_USAGE, "--unit", "'0'");
}
END_TEST

// Whatever is left of it, the same command then comes to what it is.
START_TEST(a_document_that_changes_while_it_is_read) {
    write_documents();
    suite_write_text("in/0", "the first one, of many words");
    struct words words = usual;
    words.threads = "1";
    changed = "in/0";
    changed_at = 3;
    suite_dies(prepare, documents_arguments(words), EXIT_IO, suite_path("in/0"),
               "changed while it was read");
    changed_at = 0;
    free(makes(words));
    words.out = "fresh";
    free(makes(words));
    same_files("out", "fresh");
}
END_TEST

START_TEST(tokens_of_others_are_kept) {
    documents_begin();
    suite_write_text("in/a", "a");
    suite_write_text("in/b", "b");
    mkdir(suite_path("out"), 0777);
    suite_write_text("out/train.bin", "abcd");
    suite_dies(prepare, documents_arguments(usual), EXIT_USAGE, suite_path("out/train.bin"),
               "was not made here");
}
END_TEST

// ---- going on -----------------------------------------------------------------------------------

// Begins in `out` what ends at a wrong line of the last file, which is mended then.
static void break_off(struct words run) {
    write_documents();
    suite_write_text("in/x.jsonl", "{\"text\": \"the end\"}\n");
    free(makes(
        (struct words){usual.from, "whole", usual.unit, usual.threads, usual.val, usual.more}));
    suite_write_text("in/x.jsonl", "{\"text\": \"the end\n");
    suite_dies(prepare, documents_arguments(run), EXIT_DATA, suite_path("in/x.jsonl"),
               "does not end");
    suite_write_text("in/x.jsonl", "{\"text\": \"the end\"}\n");
    ck_assert(suite_exists("out/documents.json") && suite_exists("out/train.bin.tmp"));
}

START_TEST(after_a_wrong_document_it_goes_on) {
    struct words run = usual;
    run.unit = "40";
    break_off(run);
    char *said = makes(run);
    ck_assert_ptr_nonnull(strstr(said, "goes on after"));
    free(said);
    same_files("out", "whole");
    ck_assert(!leftovers());
}
END_TEST

// The bytes of the documents are compared where names, sizes or times are others.
START_TEST(it_goes_on_elsewhere) {
    struct words run = usual;
    run.unit = "40";
    break_off(run);
    ck_assert_int_eq(rename(suite_path("in"), suite_path("moved")), 0);
    run.from = "moved";
    char *said = makes(run);
    ck_assert_ptr_nonnull(strstr(said, "goes on after"));
    free(said);
    same_files("out", "whole");
}
END_TEST

static void begins_anew(struct words run, const char *why) {
    char *said = makes(run);
    ck_assert_msg(strstr(said, why) && strstr(said, "anew") && !strstr(said, "goes on"), "%s",
                  said);
    free(said);
    ck_assert(!leftovers());
}

START_TEST(other_documents_begin_anew) {
    struct words run = usual;
    run.unit = "40";
    break_off(run);
    suite_write_text("in/0", "another one, the first");
    begins_anew(run, "other documents");
    struct words fresh = usual;
    fresh.out = "fresh";
    free(makes(fresh));
    same_files("out", "fresh");
}
END_TEST

START_TEST(other_settings_begin_anew) {
    struct words run = usual;
    run.unit = "40";
    break_off(run);
    run.val = "0.5";
    begins_anew(run, "other settings");
    struct words fresh = usual;
    fresh.out = "fresh";
    fresh.val = "0.5";
    free(makes(fresh));
    same_files("out", "fresh");
}
END_TEST

// Any changed byte of what is saved, and any cut, is noticed.
START_TEST(what_is_damaged_is_made_anew) {
    static const char *const names[] = {"out/documents.json", "out/train.bin.tmp",
                                        "out/val.bin.tmp"};
    struct words run = usual;
    run.unit = "40";
    break_off(run);
    for (int cut = 0; cut < 2; cut++) {
        for (int i = 0; i < 3; i++) {
            size_t length;
            char *bytes[3];
            size_t lengths[3];
            for (int f = 0; f < 3; f++) {
                bytes[f] = suite_read(names[f], &lengths[f]);
            }
            length = lengths[i];
            char *damaged = malloc(length);
            memcpy(damaged, bytes[i], length);
            // Of documents.json a digit that nothing else is compared with.
            const char *least = i ? NULL : strstr(bytes[i], "\"least\": \"");
            const size_t place = least ? (size_t)(least - bytes[i]) + 12 : length / 2;
            damaged[place] = i ? damaged[place] ^ 1 : damaged[place] == '0' ? '1' : '0';
            suite_write(names[i], damaged, cut ? length / 2 : length);
            begins_anew(run, i ? "other tokens" : "is damaged");
            same_files("out", "whole");

            unlink(suite_path("out/train.bin"));
            unlink(suite_path("out/val.bin"));
            unlink(suite_path("out/meta.json"));
            for (int f = 0; f < 3; f++) {
                suite_write(names[f], bytes[f], lengths[f]);
                free(bytes[f]);
            }
            free(damaged);
        }
    }
}
END_TEST

// What is done is done: the same command changes nothing, and where only some of the files have
// their names it gives the others theirs.
START_TEST(the_same_command_again) {
    write_documents();
    free(makes(usual));
    struct words run = usual;
    run.out = "again";
    free(makes(run));
    for (int named = 0; named < 4; named++) {
        if (!(named & 1)) {
            rename(suite_path("again/train.bin"), suite_path("again/train.bin.tmp"));
        }
        if (!(named & 2)) {
            rename(suite_path("again/val.bin"), suite_path("again/val.bin.tmp"));
        }
        if (named < 3) {
            rename(suite_path("again/meta.json"), suite_path("again/meta.json.tmp"));
        }
        char *said = makes(run);
        ck_assert_ptr_null(strstr(said, "anew"));
        ck_assert_ptr_null(strstr(said, "previous"));
        free(said);
        same_files("again", "out");
        ck_assert(!suite_exists("again/train.bin.tmp") && !suite_exists("again/val.bin.tmp"));
        ck_assert(!suite_exists("again/meta.json.tmp"));
    }
}
END_TEST

START_TEST(two_at_a_time_are_refused) {
    documents_begin();
    suite_write_text("in/a", "a");
    suite_write_text("in/b", "b");
    mkdir(suite_path("out"), 0777);
    const int fd = open(suite_path("out/train.bin.tmp"), O_RDWR | O_CREAT, 0666);
    ck_assert_int_eq(flock(fd, LOCK_EX), 0);
    suite_write_text("out/meta.json.tmp", ""); // as if it were at its end
    suite_dies(prepare, documents_arguments(usual), EXIT_IO, suite_path("out/train.bin.tmp"),
               "another program");
    close(fd);
    free(makes(usual));
}
END_TEST

int main(void) {
    setenv("DIECAST_PROCESSORS", "8", 1);
    const TTest *const tests[] = {
        each_document_ends_with_its_token,
        line_ends_of_documents_may_be_folded,
        the_same_whatever_units_and_threads,
        a_wrong_document_is_named_by_its_line,
        what_holds_no_documents,
        a_document_that_changes_while_it_is_read,
        tokens_of_others_are_kept,
        after_a_wrong_document_it_goes_on,
        it_goes_on_elsewhere,
        other_documents_begin_anew,
        other_settings_begin_anew,
        what_is_damaged_is_made_anew,
        the_same_command_again,
        two_at_a_time_are_refused,
    };
    return suite_main("prepare: documents", tests, sizeof tests / sizeof tests[0]);
}
