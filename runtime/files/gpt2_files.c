// gpt2_files.c: GPT-2's tokenizer from the two files in which it was published:
//
//     vocab.bpe      "#version: 0.2", then one merge a line: two tokens with a space between
//     encoder.json   {"token": id, ...}
//
// In both files each byte is written as a printable character: itself if it is printable in
// Latin-1, else one from U+0100 on (U+0120 for a space). vocab.bpe determines the ids: first the
// bytes, in the order of their characters, then a token for each merge, then <|endoftext|>.
// encoder.json must agree.
#include "runtime/files/files.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define JSMN_STATIC
#define JSMN_PARENT_LINKS
#include <jsmn.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
    GPT2_FILE_MAX = 16 << 20,
    GPT2_TOKENS_MAX = 65536, // ids are uint16 in token files
    GPT2_SLOTS = 4 * GPT2_TOKENS_MAX,
};

// A slice of one of the files, or of an unescaped copy of a JSON string.
struct gpt2_word {
    const char *text;
    size_t length;
};

struct gpt2_files {
    char *merges_path, *ids_path, *merges, *ids;
    size_t merges_length, ids_length;
    char *text; // of all tokens, concatenated
    size_t used, room;
    struct gpt2_token {
        size_t at, length;    // in text
    } token[GPT2_TOKENS_MAX]; // (count)
    int count;
    int32_t slot[GPT2_SLOTS]; // a hash table from a token's text to id + 1; 0 is a free slot
};

static char *gpt2_read(const char *folder, const char *name, char **path, size_t *length) {
    *path = allocate_print("a path", "%s/%s", folder, name);
    char *text = allocate(GPT2_FILE_MAX + 1, 1, name);
    FILE *file = fopen(*path, "rb");
    if (!file) {
        die(errno == ENOENT || errno == ENOTDIR ? EXIT_MISSING : exit_code_of(errno),
            "%s: cannot open: %s; data/prepare.sh says where it comes from", *path,
            strerror(errno));
    }
    *length = fread(text, 1, GPT2_FILE_MAX + 1, file);
    if (ferror(file)) {
        die(EXIT_IO, "%s: cannot read: %s", *path, strerror(errno));
    }
    fclose(file);
    if (*length > GPT2_FILE_MAX) {
        die(EXIT_DATA, "%s: has more than %d bytes; a file of GPT-2's tokenizer is wanted", *path,
            GPT2_FILE_MAX);
    }
    return text;
}

// ---- tokens by their text -----------------------------------------------------------------------

// The slot of the token with this text, or the free slot where it would go.
static int32_t *gpt2_slot(struct gpt2_files *files, struct gpt2_word word) {
    size_t at = XXH3_64bits(word.text, word.length) % GPT2_SLOTS;
    for (;; at = (at + 1) % GPT2_SLOTS) {
        int32_t id = files->slot[at] - 1;
        if (id < 0 || (files->token[id].length == word.length &&
                       memcmp(files->text + files->token[id].at, word.text, word.length) == 0)) {
            return &files->slot[at];
        }
    }
}

static int32_t gpt2_id(struct gpt2_files *files, struct gpt2_word word) {
    return *gpt2_slot(files, word) - 1;
}

// Gives this text the next id. False if the text has an id already or there is no id left.
static bool gpt2_add(struct gpt2_files *files, struct gpt2_word word) {
    int32_t *slot = gpt2_slot(files, word);
    if (*slot != 0 || files->count == GPT2_TOKENS_MAX) {
        return false;
    }
    while (files->used + word.length > files->room) {
        files->room = files->room ? 2 * files->room : 1 << 16;
        files->text = allocate_again(files->text, files->room, "GPT-2's tokens");
    }
    memcpy(files->text + files->used, word.text, word.length);
    files->token[files->count] = (struct gpt2_token){files->used, word.length};
    files->used += word.length;
    *slot = ++files->count;
    return true;
}

// ---- vocab.bpe ----------------------------------------------------------------------------------

static bool gpt2_is_seen(int byte) {
    return (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte != 0xad);
}

// Adds the 256 bytes as tokens, printable ones first, and appends them to the tokenizer's string.
static char *gpt2_add_bytes(struct gpt2_files *files, char *out) {
    for (int hidden = 0; hidden < 2; hidden++) {
        uint32_t shown = 0x100;
        for (int byte = 0; byte < 256; byte++) {
            if (gpt2_is_seen(byte) == (hidden == 0)) {
                char text[4];
                uint32_t c = hidden ? shown++ : (uint32_t)byte;
                gpt2_add(files, (struct gpt2_word){text, (size_t)utf8_encode(c, text)});
                out += sprintf(out, "%02x", (unsigned)byte);
            }
        }
    }
    return out;
}

// Adds a token for each line "left right", and appends both ids of each merge to the string.
static char *gpt2_add_merges(struct gpt2_files *files, char *out) {
    static const char first[] = "#version: 0.2\n";
    const char *at = files->merges, *end = at + files->merges_length;
    int line = 1;
    if (files->merges_length < sizeof first || memcmp(at, first, sizeof first - 1) != 0) {
        die(EXIT_DATA, "%s: does not start with '#version: 0.2'; GPT-2's list of merges is wanted",
            files->merges_path);
    }
    for (at += sizeof first - 1; at < end; line++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop ? stop : end;
        const char *space = memchr(at, ' ', (size_t)(stop - at));
        struct gpt2_word left = {at, space ? (size_t)(space - at) : 0};
        struct gpt2_word right = {space ? space + 1 : at, space ? (size_t)(stop - space - 1) : 0};
        int32_t a = gpt2_id(files, left), b = gpt2_id(files, right);
        if (a < 0 || b < 0) {
            die(EXIT_DATA, "%s:%d: is not a merge of two earlier tokens", files->merges_path,
                line + 1);
        }
        char both[2 * 4 * 256];
        if (left.length + right.length > sizeof both) {
            die(EXIT_DATA, "%s:%d: makes a token of more than 256 bytes", files->merges_path,
                line + 1);
        }
        memcpy(both, left.text, left.length);
        memcpy(both + left.length, right.text, right.length);
        if (!gpt2_add(files, (struct gpt2_word){both, left.length + right.length})) {
            die(EXIT_DATA, "%s:%d: makes a token that is there already, or more than %d",
                files->merges_path, line + 1, GPT2_TOKENS_MAX);
        }
        out += sprintf(out, "%04x%04x", (unsigned)a, (unsigned)b);
        at = stop < end ? stop + 1 : end;
    }
    return out;
}

// ---- encoder.json -------------------------------------------------------------------------------

// Checks that encoder.json gives each token the id that vocab.bpe does.
static void gpt2_check_ids(struct gpt2_files *files) {
    const char *path = files->ids_path;
    int most = 2 * GPT2_TOKENS_MAX + 2;
    jsmntok_t *token = allocate((size_t)most, sizeof *token, "GPT-2's encoder.json");
    char *word = allocate(files->ids_length + 1, 1, "GPT-2's encoder.json");
    jsmn_parser parser;
    jsmn_init(&parser);
    int count = jsmn_parse(&parser, files->ids, files->ids_length, token, (unsigned)most);
    if (count < 1 || token[0].type != JSMN_OBJECT || count != 2 * files->count + 1 ||
        token[0].size != files->count) {
        die(EXIT_DATA, "%s: is not a JSON object of %d tokens, as many as vocab.bpe makes", path,
            files->count);
    }
    bool *seen = allocate((size_t)files->count, sizeof *seen, "GPT-2's encoder.json");
    for (int i = 1; i < count; i += 2) {
        const jsmntok_t *key = &token[i], *value = &token[i + 1];
        int length = json_unescape(files->ids + key->start, key->end - key->start, word);
        int32_t wanted = length < 0 ? -1 : gpt2_id(files, (struct gpt2_word){word, (size_t)length});
        char number[16] = "";
        if (value->type == JSMN_PRIMITIVE) {
            snprintf(number, sizeof number, "%.*s", value->end - value->start,
                     files->ids + value->start);
        }
        char stated[16];
        snprintf(stated, sizeof stated, "%d", wanted);
        if (key->type != JSMN_STRING || wanted < 0 || seen[wanted] || strcmp(number, stated) != 0) {
            die(EXIT_DATA,
                "%s: '%.*s' is '%.*s', but vocab.bpe makes it %d; both from one place "
                "are wanted",
                path, key->end - key->start > 64 ? 64 : key->end - key->start,
                files->ids + key->start,
                value->end - value->start > 16 ? 16 : value->end - value->start,
                files->ids + value->start, wanted);
        }
        seen[wanted] = true;
    }
    free(seen);
    free(word);
    free(token);
}

// ---- both ---------------------------------------------------------------------------------------

char *gpt2_files_read(const char *folder) {
    struct gpt2_files *files = allocate(1, sizeof *files, "GPT-2's tokenizer");
    char *text = allocate(16 + 2 * 256 + 8 * (size_t)GPT2_TOKENS_MAX + 16, 1, "GPT-2's tokenizer");
    files->merges = gpt2_read(folder, "vocab.bpe", &files->merges_path, &files->merges_length);
    files->ids = gpt2_read(folder, "encoder.json", &files->ids_path, &files->ids_length);
    char *at = text + sprintf(text, "bpe gpt2 ");
    at = gpt2_add_bytes(files, at);
    *at++ = ' ';
    at = gpt2_add_merges(files, at);
    sprintf(at, " %s", TOKENIZER_END_OF_TEXT);
    struct gpt2_word special = {TOKENIZER_END_OF_TEXT, sizeof TOKENIZER_END_OF_TEXT - 1};
    if (!gpt2_add(files, special)) {
        die(EXIT_DATA, "%s: leaves no id for %s", files->merges_path, TOKENIZER_END_OF_TEXT);
    }
    gpt2_check_ids(files);
    free(files->merges_path);
    free(files->ids_path);
    free(files->merges);
    free(files->ids);
    free(files->text);
    free(files);
    return text;
}
