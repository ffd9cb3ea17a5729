// gpt2_files.c: GPT-2's tokenizer, as published or as Hugging Face stores it in a model's folder:
//
//     vocab.bpe, or merges.txt    "#version: 0.2", then one merge a line: two tokens with a space
//                                 between
//     encoder.json, or vocab.json {"token": id, ...}
//     tokenizer.json              both, as model.merges, a list of "left right" or of pairs, and
//                                 model.vocab
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

// Reads folder/name. The caller frees the text and *path.
static char *gpt2_read(const char *folder, const char *name, char **path, size_t *length) {
    *path = allocate_print("a path", "%s/%s", folder, name);
    FILE *file = stream_open(*path, "r");
    if (!file) {
        die(errno == ENOENT || errno == ENOTDIR ? EXIT_MISSING : exit_code_of(errno),
            "%s: cannot open: %s; data/prepare.sh says where it comes from", *path,
            strerror(errno));
    }
    char *text = NULL;
    size_t room = 0;
    *length = 0;
    do { // until there is room that the file does not fill
        room = room ? 4 * room : 4096;
        text = allocate_again(text, room, name);
        *length += fread(text + *length, 1, room - *length, file);
    } while (*length == room && room <= GPT2_FILE_MAX);
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

// The same, parsed: values are slices of *text.
static struct json *gpt2_read_json(const char *folder, const char *name, char **path, char **text) {
    size_t length;
    const char *problem;
    *text = gpt2_read(folder, name, path, &length);
    struct json *json = json_parse(*text, length, &problem);
    if (!json) {
        die(EXIT_DATA, "%s: is %s", *path, problem);
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

// Where a merge stands, for messages: "PATH:LINE", or "PATH: merge NUMBER" of a list in JSON.
struct gpt2_place {
    const char *path, *unit;
    int number;
};
#define GPT2_PLACE "%s:%s%d: "
#define GPT2_OF(place) place.path, place.unit, place.number

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
    struct gpt2_place place = {path, "", 2}; // the first line is the version
    for (const char *at = text + sizeof first - 1; at < end; place.number++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop ? stop : end;
        struct slice left, right;
        gpt2_cut(at, (size_t)(stop - at), &left, &right);
        gpt2_add_merge(files, place, left, right);
        at = stop < end ? stop + 1 : end;
    }
}

// The same of a list in JSON, whose elements are "left right" or ["left", "right"].
static void gpt2_add_list(struct gpt2_files *files, const char *path, const struct json *json,
                          int list) {
    gpt2_make_room(files, (size_t)json_count(json, list));
    gpt2_add_bytes(files);
    for (int i = 0; i < json_count(json, list); i++) {
        const int merge = json_element(json, list, i);
        const bool pair = json_is_array(json, merge) && json_count(json, merge) == 2;
        char *first = json_string(json, pair ? json_element(json, merge, 0) : merge);
        char *second = pair ? json_string(json, json_element(json, merge, 1)) : NULL;
        if (!first || (pair && !second)) {
            die(EXIT_DATA, "%s: merge %d is not two tokens", path, i + 1);
        }
        struct slice left = {first, strlen(first)}, right = {second, pair ? strlen(second) : 0};
        if (!pair) {
            gpt2_cut(first, strlen(first), &left, &right);
        }
        gpt2_add_merge(files, (struct gpt2_place){path, " merge ", i + 1}, left, right);
        free(first);
        free(second);
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

// Checks that a list has the same tokens in the order of their ids.
static void gpt2_check_list(const struct gpt2_files *files, const char *path,
                            const struct slice *tokens, size_t count) {
    if (count != (size_t)files->count) {
        die(EXIT_DATA, "%s: has %zu tokens, but its merges make %d", path, count, files->count);
    }
    for (size_t i = 0; i < count; i++) {
        const struct gpt2_token *token = &files->token[i];
        if (token->length != tokens[i].length ||
            memcmp(files->text + token->at, tokens[i].text, token->length) != 0) {
            die(EXIT_DATA, "%s: token %zu is '%.*s', but its merges make it '%.*s'", path, i,
                SLICE_SHOWN(tokens[i]), (int)token->length, files->text + token->at);
        }
    }
}

// ---- both ---------------------------------------------------------------------------------------

// The three ways in which a folder can have it.
struct gpt2_names {
    const char *merges, *ids;
};
static const struct gpt2_names gpt2_names[] = {
    {"vocab.bpe", "encoder.json"}, {"merges.txt", "vocab.json"}, {"tokenizer.json", NULL}};
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

// Refuses a tokenizer.json that cuts text otherwise than GPT-2, or is no byte-pair encoding.
static int gpt2_check_kind(const char *path, const struct json *json) {
    const int model = json_is_object(json, 0) ? json_get(json, 0, "model") : -1;
    const int before = model >= 0 ? json_get(json, 0, "pre_tokenizer") : -1;
    char *type =
        json_is_object(json, model) ? json_string(json, json_get(json, model, "type")) : NULL;
    char *cut =
        json_is_object(json, before) ? json_string(json, json_get(json, before, "type")) : NULL;
    if (!type || strcmp(type, "BPE") || !cut || strcmp(cut, "ByteLevel")) {
        die(EXIT_DATA,
            "%s: is a tokenizer of type %.32s that cuts text by %.32s; GPT-2's, BPE and ByteLevel, "
            "is wanted",
            path, type ? type : "(none)", cut ? cut : "(nothing)");
    }
    free(type);
    free(cut);
    return model;
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
    struct gpt2_files *files = allocate(1, sizeof *files, "GPT-2's tokenizer");
    char *merges_path, *ids_path = NULL, *json_text;
    struct json *json;
    int ids = 0;
    if (names->ids) {
        size_t length;
        char *lines = gpt2_read(folder, names->merges, &merges_path, &length);
        gpt2_add_lines(files, merges_path, lines, length);
        free(lines);
        json = gpt2_read_json(folder, names->ids, &ids_path, &json_text);
    } else {
        json = gpt2_read_json(folder, names->merges, &merges_path, &json_text);
        char *characters = hf_characters(merges_path, json);
        if (characters) {
            json_free(json);
            free(json_text);
            free(merges_path);
            free(files);
            return characters;
        }
        const int model = gpt2_check_kind(merges_path, json);
        const int merges = json_get(json, model, "merges");
        if (!json_is_array(json, merges) || json_count(json, merges) > GPT2_TOKENS_MAX) {
            die(EXIT_DATA, "%s: its model has no list of at most %d merges", merges_path,
                GPT2_TOKENS_MAX);
        }
        gpt2_add_list(files, merges_path, json, merges);
        ids = json_get(json, model, "vocab");
    }
    gpt2_add_end(files, merges_path);
    gpt2_check_ids(files, ids_path ? ids_path : merges_path, json, ids);
    json_free(json);
    free(json_text);
    free(merges_path);
    free(ids_path);
    return gpt2_end(files);
}

char *gpt2_lists_read(const char *path, const struct slice *merges, size_t merges_count,
                      const struct slice *tokens, size_t tokens_count) {
    static const char end[] = TOKENIZER_END_OF_TEXT;
    if (!merges_count) {
        die(EXIT_DATA, "%s: its tokens are no rising list of characters, and no merges make others",
            path);
    }
    struct gpt2_files *files = allocate(1, sizeof *files, "GPT-2's tokenizer");
    gpt2_make_room(files, merges_count);
    gpt2_add_bytes(files);
    for (size_t i = 0; i < merges_count; i++) {
        struct slice left, right;
        gpt2_cut(merges[i].text, merges[i].length, &left, &right);
        gpt2_add_merge(files, (struct gpt2_place){path, " merge ", (int)i + 1}, left, right);
    }
    if (tokens_count > 256 + merges_count && slice_is(tokens[256 + merges_count], end)) {
        gpt2_add_end(files, path);
    }
    gpt2_check_list(files, path, tokens, tokens_count);
    return gpt2_end(files);
}
