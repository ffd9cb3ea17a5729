// hellaswag.c: a program that makes llm.c's file of an evaluation (files/choices.c) from HellaSwag
// as it is published:
//
//     hellaswag --text=FILE.jsonl --out=NAME.bin [--gpt2=FOLDER]
//
// Each line is {"ctx": "...", "label": 0 to 3, "endings": ["...", "...", "...", "..."], ...}. The
// tokens are GPT-2's, from FOLDER (default data/gpt2), and each ending begins with a space. Beside
// NAME.bin it writes NAME.json: the tokenizer, and the file's hash. The same lines make the same
// bytes, which are llm.c's. A NAME.bin without a NAME.json was made elsewhere, and is kept.
#include "runtime/files/files.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct maker {
    const char *text, *out, *gpt2;
    struct tokenizer tokenizer;
    FILE *lines;
    int64_t number;  // of the line that was read last, from 1
    uint16_t *words; // the file
    size_t count, room;
    int items;
    size_t longest; // bytes of an item
};

static _Noreturn void maker_wrong(const struct maker *m, const char *what) {
    die(EXIT_DATA, "%s:%" PRId64 ": %s; a line of HellaSwag is wanted: ctx, label, endings",
        m->text, m->number, what);
}

static void maker_put(struct maker *m, uint16_t word) {
    if (m->count == m->room) {
        m->room = m->room ? 2 * m->room : 1 << 16;
        m->words = allocate_again(m->words, m->room * sizeof *m->words, "an evaluation's items");
    }
    m->words[m->count++] = word;
}

// Puts the number of a text's tokens, and those.
static void maker_put_text(struct maker *m, const char *text) {
    const size_t length = strlen(text);
    int32_t *ids = allocate(length + 1, sizeof *ids, "a text's tokens");
    size_t where;
    const int64_t count = tokenizer_encode(&m->tokenizer, text, length, ids, &where);
    if (count < 0) {
        maker_wrong(m, "has bytes that are not UTF-8");
    }
    if (count == 0 || count > CHOICES_ITEM_MAX / 2) {
        maker_wrong(m, count ? "has more tokens than the file's format can hold"
                             : "has a text of no tokens");
    }
    maker_put(m, (uint16_t)count);
    for (int64_t i = 0; i < count; i++) {
        if (ids[i] == bpe_end_of_text(m->tokenizer.bpe)) {
            maker_wrong(m, "has " TOKENIZER_END_OF_TEXT " in a text");
        }
        maker_put(m, (uint16_t)ids[i]);
    }
    free(ids);
}

static void maker_put_item(struct maker *m, const struct json *json) {
    const size_t begin = m->count;
    const int endings = json_get(json, 0, "endings");
    int64_t label;
    if (!json_integer(json, json_get(json, 0, "label"), &label) || label >= CHOICES) {
        maker_wrong(m, "has no label from 0 to 3");
    }
    if (endings < 0 || !json_is_array(json, endings) || json_count(json, endings) != CHOICES) {
        maker_wrong(m, "has no list of four endings");
    }
    if (m->items == CHOICES_MOST) {
        maker_wrong(m, "is an item more than the file's format can hold, 65535");
    }
    const uint16_t before[] = {CHOICES_MARK, 0, (uint16_t)m->items, (uint16_t)label, CHOICES};
    for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
        maker_put(m, before[i]);
    }
    for (int part = 0; part <= CHOICES; part++) {
        char *text = json_string(json, part ? json_element(json, endings, part - 1)
                                            : json_get(json, 0, "ctx"));
        if (!text) {
            maker_wrong(m, part ? "has an ending that is no text" : "has no text ctx");
        }
        char *whole = allocate_print("a text", "%s%s", part ? " " : "", text);
        maker_put_text(m, whole);
        free(whole);
        free(text);
    }
    const size_t bytes = 2 * (m->count - begin);
    if (bytes > CHOICES_ITEM_MAX) {
        maker_wrong(m, "has more tokens than the file's format can hold");
    }
    m->words[begin + 1] = (uint16_t)bytes;
    m->longest = bytes > m->longest ? bytes : m->longest;
    m->items++;
}

// Reads all lines; those of white space are passed over.
static void maker_read(struct maker *m) {
    char *line = NULL;
    size_t room = 0;
    ssize_t length;
    m->lines = stream_open(m->text, "r");
    if (!m->lines) {
        die(errno == ENOENT || errno == ENOTDIR ? EXIT_MISSING : exit_code_of(errno),
            "%s: cannot open: %s", m->text, strerror(errno));
    }
    while ((length = allocate_line(&line, &room, m->lines, "a line")) > 0) {
        const char *problem;
        m->number++;
        if (strspn(line, " \t\r\n") == (size_t)length) {
            continue;
        }
        struct json *json = json_parse(line, (size_t)length, &problem);
        if (!json || !json_is_object(json, 0)) {
            die(EXIT_DATA, "%s:%" PRId64 ": is %s; a line of HellaSwag is wanted", m->text,
                m->number, json ? "no JSON object" : problem);
        }
        maker_put_item(m, json);
        json_free(json);
    }
    if (ferror(m->lines)) {
        die(exit_code_of(errno), "%s: cannot read after line %" PRId64 ": %s", m->text, m->number,
            strerror(errno));
    }
    if (m->items == 0) {
        die(EXIT_DATA, "%s: has no line; HellaSwag's lines are wanted", m->text);
    }
    free(line);
    fclose(m->lines);
}

static void maker_write(const struct maker *m) {
    char *meta = choices_meta_path(m->out), hash[17];
    struct replacement r;
    if (path_is_there(m->out) && !path_is_there(meta)) {
        die(EXIT_USAGE,
            "%s: was not made here, as no %s is beside it, and is not written over; move it away",
            m->out, meta);
    }
    hash_bytes(m->words, 2 * m->count, hash);
    // Where only the first is written, its hash is not the other's, and the same command writes it.
    replace_begin(&r, meta);
    fprintf(r.file,
            "{\n  \"items\": %d,\n  \"vocab_size\": %d,\n  \"xxh3\": \"%s\",\n"
            "  \"tokenizer\": \"%s\"\n}\n",
            m->items, m->tokenizer.vocab_size, hash, m->tokenizer.text);
    replace_end(&r);
    replace_begin(&r, m->out);
    fwrite(m->words, sizeof *m->words, m->count, r.file);
    replace_end(&r);
    free(meta);
}

int main(int argc, char **argv) {
    streams_open();
    static const char wanted[] = "--text= and --out= are wanted, --gpt2= may be given";
    struct maker m = {.gpt2 = "data/gpt2"};
    const struct text_flag flags[] = {
        {"--text=", &m.text}, {"--out=", &m.out}, {"--gpt2=", &m.gpt2}};
    flags_read("hellaswag", wanted, flags, sizeof flags / sizeof *flags, argc, argv);
    if (!m.text || !*m.text || !m.out || !*m.out) {
        die(EXIT_USAGE, "hellaswag: %s", wanted);
    }
    signal(SIGXFSZ, SIG_IGN); // writing beyond a file size limit then fails as on a full disk
    char *string = gpt2_files_read(m.gpt2);
    const char *problem;
    if (!tokenizer_parse(&m.tokenizer, string, &problem)) {
        die(EXIT_DATA, "%s: %s", m.gpt2, problem);
    }
    free(string);
    for (int i = 0; i < CHOICES_HEADER / 2; i++) {
        maker_put(&m, 0);
    }
    maker_read(&m);
    const int32_t header[] = {CHOICES_MAGIC, CHOICES_VERSION, m.items, (int32_t)m.longest};
    memcpy(m.words, header, sizeof header);
    maker_write(&m);
    printf("%s: %s items, %s\n", m.out, figure_count(m.items).s,
           figure_bytes(2.0 * (double)m.count).s);
    tokenizer_free(&m.tokenizer);
    free(m.words);
    return streams_close(EXIT_DONE);
}
