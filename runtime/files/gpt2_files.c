// gpt2_files.c: GPT-2's tokenizer, as published or as Hugging Face stores it in a model's folder:
//
//     vocab.bpe, or merges.txt    "#version: 0.2", then one merge a line: two tokens with a space
//                                 between
//     encoder.json, or vocab.json {"token": id, ...}
//     tokenizer.json              both, and more (hf_bpe.c); it goes before merges.txt
//
// In all of them each byte is written as a printable character: itself if it is printable in
// Latin-1, else one from U+0100 on (U+0120 for a space). The merges determine the ids: first the
// bytes, in the order of their characters, then a token for each merge, then <|endoftext|>. The
// stated ids must agree.
#include "runtime/files/files.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
    GPT2_FILE_MAX = 64 << 20, // bytes
    GPT2_TOKENS_MAX = 65536,  // ids are uint16 in token files
};

struct gpt2_files {
    char *text; // of all tokens, concatenated
    size_t used, room;
    struct gpt2_token {
        size_t at, length; // in text
    } * token;             // (count)
    int count, most;       // tokens that there are, and room for
    int32_t *slot;         // (slots): a hash table from a token's text to id + 1; 0 is a free slot
    size_t slots;
    char *string, *out; // the tokenizer's string, and its end
};

// Makes room for the bytes, this many merges and <|endoftext|>.
static void gpt2_make_room(struct gpt2_files *files, size_t merges) {
    const size_t most = 256 + merges + 1;
    files->most = most < GPT2_TOKENS_MAX ? (int)most : GPT2_TOKENS_MAX;
    files->slots = 4 * (size_t)files->most;
    files->token = allocate((size_t)files->most, sizeof *files->token, "GPT-2's tokens");
    files->slot = allocate(files->slots, sizeof *files->slot, "GPT-2's tokens");
    // "bpe gpt2 ", two digits a byte, a space, eight a merge, " <|endoftext|>"
    files->string = allocate(32 + 2 * 256 + 8 * (size_t)files->most, 1, "GPT-2's tokenizer");
    files->out = files->string + sprintf(files->string, "bpe gpt2 ");
}

// Reads a file. The caller frees.
static char *gpt2_read(const char *path, size_t *length) {
    FILE *file = stream_open(path, "r");
    if (!file) {
        die(errno == ENOENT || errno == ENOTDIR ? EXIT_MISSING : exit_code_of(errno),
            "%s: cannot open: %s; data/prepare.sh says where it comes from", path, strerror(errno));
    }
    char *text = NULL;
    size_t room = 0;
    *length = 0;
    do { // until there is room that the file does not fill
        room = room ? 4 * room : 4096;
        text = allocate_again(text, room, path);
        *length += fread(text + *length, 1, room - *length, file);
    } while (*length == room && room <= GPT2_FILE_MAX);
    if (ferror(file)) {
        die(EXIT_IO, "%s: cannot read: %s", path, strerror(errno));
    }
    fclose(file);
    if (*length > GPT2_FILE_MAX) {
        die(EXIT_DATA, "%s: has more than %d bytes; a file of GPT-2's tokenizer is wanted", path,
            GPT2_FILE_MAX);
    }
    return text;
}

struct json *hf_json_read(const char *path, char **text) {
    size_t length;
    const char *problem;
    *text = gpt2_read(path, &length);
    struct json *json = json_parse(*text, length, &problem);
    if (!json) {
        die(EXIT_DATA, "%s: is %s", path, problem);
    }
    return json;
}

// ---- tokens by their text -----------------------------------------------------------------------

// The slot of the token with this text, or the free slot where it would go.
static int32_t *gpt2_slot(struct gpt2_files *files, struct slice word) {
    size_t at = XXH3_64bits(word.text, word.length) % files->slots;
    for (;; at = (at + 1) % files->slots) {
        int32_t id = files->slot[at] - 1;
        if (id < 0 || (files->token[id].length == word.length &&
                       memcmp(files->text + files->token[id].at, word.text, word.length) == 0)) {
            return &files->slot[at];
        }
    }
}

static int32_t gpt2_id(struct gpt2_files *files, struct slice word) {
    return *gpt2_slot(files, word) - 1;
}

// Gives this text the next id. False if the text has an id already or there is no id left.
static bool gpt2_add(struct gpt2_files *files, struct slice word) {
    int32_t *slot = gpt2_slot(files, word);
    if (*slot != 0 || files->count == files->most) {
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

bool gpt2_byte_of(uint32_t shown, uint32_t *byte) {
    uint32_t hidden = 0x100;
    for (*byte = 0; *byte < 256; ++*byte) {
        if (gpt2_is_seen((int)*byte) ? *byte == shown : hidden++ == shown) {
            return true;
        }
    }
    return false;
}

size_t gpt2_show(const char *bytes, size_t length, char *shown) {
    uint32_t character[256], hidden = 0x100;
    for (int byte = 0; byte < 256; byte++) {
        character[byte] = gpt2_is_seen(byte) ? (uint32_t)byte : hidden++;
    }
    size_t used = 0;
    for (size_t i = 0; i < length; i++) {
        used += (size_t)utf8_encode(character[(unsigned char)bytes[i]], shown + used);
    }
    return used;
}

// Adds the 256 bytes as tokens, printable ones first, and appends them to the tokenizer's string.
static void gpt2_add_bytes(struct gpt2_files *files) {
    for (int hidden = 0; hidden < 2; hidden++) {
        uint32_t shown = 0x100;
        for (int byte = 0; byte < 256; byte++) {
            if (gpt2_is_seen(byte) == (hidden == 0)) {
                char text[4];
                uint32_t c = hidden ? shown++ : (uint32_t)byte;
                gpt2_add(files, (struct slice){text, (size_t)utf8_encode(c, text)});
                files->out += sprintf(files->out, "%02x", (unsigned)byte);
            }
        }
    }
    *files->out++ = ' ';
}

// Where a merge stands, for messages.
struct gpt2_place {
    const char *path;
    int line;
};
#define GPT2_PLACE "%s:%d: "
#define GPT2_OF(place) place.path, place.line

// Adds a token that joins two, and appends their ids to the tokenizer's string.
static void gpt2_add_merge(struct gpt2_files *files, struct gpt2_place place, struct slice left,
                           struct slice right) {
    int32_t a = gpt2_id(files, left), b = gpt2_id(files, right);
    if (a < 0 || b < 0) {
        die(EXIT_DATA, GPT2_PLACE "is not a merge of two earlier tokens", GPT2_OF(place));
    }
    char both[2 * 4 * 256];
    if (left.length + right.length > sizeof both) {
        die(EXIT_DATA, GPT2_PLACE "makes a token of more than 256 bytes", GPT2_OF(place));
    }
    memcpy(both, left.text, left.length);
    memcpy(both + left.length, right.text, right.length);
    if (!gpt2_add(files, (struct slice){both, left.length + right.length})) {
        die(EXIT_DATA, GPT2_PLACE "makes a token that is there already, or more than %d",
            GPT2_OF(place), GPT2_TOKENS_MAX);
    }
    files->out += sprintf(files->out, "%04x%04x", (unsigned)a, (unsigned)b);
}

// "left right": two words with one space between; empty ones where there is none.
static void gpt2_cut(const char *text, size_t length, struct slice *left, struct slice *right) {
    const char *space = memchr(text, ' ', length);
    *left = (struct slice){text, space ? (size_t)(space - text) : 0};
    *right =
        (struct slice){space ? space + 1 : text, space ? length - (size_t)(space + 1 - text) : 0};
}

static void gpt2_add_lines(struct gpt2_files *files, const char *path, const char *text,
                           size_t length) {
    static const char first[] = "#version: 0.2\n";
    if (length < sizeof first || memcmp(text, first, sizeof first - 1) != 0) {
        die(EXIT_DATA, "%s: does not start with '#version: 0.2'; GPT-2's list of merges is wanted",
            path);
    }
    gpt2_make_room(files, length / 4 + 1); // "a b\n" is the shortest merge
    gpt2_add_bytes(files);
    const char *end = text + length;
    struct gpt2_place place = {path, 2}; // the first line is the version
    for (const char *at = text + sizeof first - 1; at < end; place.line++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop ? stop : end;
        struct slice left, right;
        gpt2_cut(at, (size_t)(stop - at), &left, &right);
        gpt2_add_merge(files, place, left, right);
        at = stop < end ? stop + 1 : end;
    }
}

// ---- ids ----------------------------------------------------------------------------------------

// Checks that an object gives each token the id that the merges do.
static void gpt2_check_ids(struct gpt2_files *files, const char *path, const struct json *json,
                           int object) {
    if (!json_is_object(json, object) || json_count(json, object) != files->count) {
        die(EXIT_DATA, "%s: is not a JSON object of %d tokens, as many as the merges make", path,
            files->count);
    }
    for (int i = 0; i < files->count; i++) { // as many, and no key twice: each token is there once
        int value;
        char *text = json_string(json, json_member(json, object, i, &value));
        int64_t stated;
        const bool number = json_integer(json, value, &stated);
        int32_t wanted = text ? gpt2_id(files, (struct slice){text, strlen(text)}) : -1;
        if (wanted < 0 || !number || stated != wanted) {
            die(EXIT_DATA,
                "%s: '%.64s' is %lld, but the merges make it %d; both from one place are wanted",
                path, text ? text : "", number ? (long long)stated : -1LL, wanted);
        }
        free(text);
    }
}

// ---- both ---------------------------------------------------------------------------------------

// The three ways in which a folder can have it.
struct gpt2_names {
    const char *merges, *ids;
};
static const struct gpt2_names gpt2_names[] = {
    {"vocab.bpe", "encoder.json"}, {"tokenizer.json", NULL}, {"merges.txt", "vocab.json"}};
enum { GPT2_NAMES = sizeof gpt2_names / sizeof *gpt2_names };

static const struct gpt2_names *gpt2_find(const char *folder) {
    for (int i = 0; i < GPT2_NAMES; i++) {
        char *path = allocate_print("a path", "%s/%s", folder, gpt2_names[i].merges);
        const bool there = path_is_there(path);
        free(path);
        if (there) {
            return &gpt2_names[i];
        }
    }
    return NULL;
}

bool gpt2_files_are_in(const char *folder) {
    return gpt2_find(folder) != NULL;
}

// Adds <|endoftext|>, the last token.
static void gpt2_add_end(struct gpt2_files *files, const char *path) {
    static const char end[] = TOKENIZER_END_OF_TEXT;
    sprintf(files->out, " %s", end);
    if (!gpt2_add(files, (struct slice){end, sizeof end - 1})) {
        die(EXIT_DATA, "%s: leaves no id for %s", path, end);
    }
}

// The tokenizer's string; all else is freed.
static char *gpt2_end(struct gpt2_files *files) {
    char *text = files->string;
    free(files->token);
    free(files->slot);
    free(files->text);
    free(files);
    return text;
}

char *gpt2_files_read(const char *folder) {
    const struct gpt2_names *names = gpt2_find(folder);
    names = names ? names : &gpt2_names[0]; // reading it says what is missing
    char *merges_path = allocate_print("a path", "%s/%s", folder, names->merges);
    if (!names->ids) {
        char *string = hf_bpe_read(merges_path);
        free(merges_path);
        return string;
    }
    struct gpt2_files *files = allocate(1, sizeof *files, "GPT-2's tokenizer");
    char *ids_path = allocate_print("a path", "%s/%s", folder, names->ids), *json_text;
    size_t length;
    char *lines = gpt2_read(merges_path, &length);
    gpt2_add_lines(files, merges_path, lines, length);
    free(lines);
    struct json *json = hf_json_read(ids_path, &json_text);
    gpt2_add_end(files, merges_path);
    gpt2_check_ids(files, ids_path, json, 0);
    json_free(json);
    free(json_text);
    free(merges_path);
    free(ids_path);
    return gpt2_end(files);
}
