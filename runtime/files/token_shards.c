// token_shards.c: the header of llm.c's token files: 256 int32, little-endian, of which the first
// three are read: a magic number, which says the type of the tokens, a version, and how many tokens
// follow. A file has just these bytes and those tokens.
#include "runtime/files/files.h"

#include <inttypes.h>
#include <string.h>

// llm.c writes version 7 of Llama 3's; the layout is that of version 1, which others write.
static const struct token_kind {
    int32_t magic, version, first_version;
    bool wide;
    const char *type;
} token_kinds[] = {
    {20240520, 1, 1, false, "uint16"}, // GPT-2's
    {20240801, 7, 1, true, "uint32"},  // Llama 3's
};

bool token_shard_is(int32_t magic) {
    return magic == token_kinds[0].magic || magic == token_kinds[1].magic;
}

bool token_shard_parse(const void *bytes, size_t length, uint64_t size, struct token_shard *shard,
                       char problem[TOKEN_SHARD_PROBLEM]) {
    int32_t header[3]; // magic, version, tokens
    if (size < TOKEN_SHARD_HEADER || length < sizeof header) {
        snprintf(problem, TOKEN_SHARD_PROBLEM,
                 "has %" PRIu64 " bytes; a token shard's header alone has %d", size,
                 TOKEN_SHARD_HEADER);
        return false;
    }
    memcpy(header, bytes, sizeof header);
    const struct token_kind *kind = token_kinds;
    kind += header[0] != kind->magic;
    if (header[0] != kind->magic) {
        snprintf(problem, TOKEN_SHARD_PROBLEM,
                 "is no token shard of llm.c: it begins with %" PRId32 "; %" PRId32
                 " (uint16) or %" PRId32 " (uint32) is wanted",
                 header[0], token_kinds[0].magic, token_kinds[1].magic);
        return false;
    }
    if (header[1] != kind->version && header[1] != kind->first_version) {
        snprintf(problem, TOKEN_SHARD_PROBLEM,
                 "is a token shard of version %" PRId32 "; of %s tokens version %" PRId32
                 " is known",
                 header[1], kind->type, kind->version);
        return false;
    }
    if (header[2] <= 0) {
        snprintf(problem, TOKEN_SHARD_PROBLEM, "says that it has %" PRId32 " tokens", header[2]);
        return false;
    }
    const uint64_t wanted = TOKEN_SHARD_HEADER + (uint64_t)header[2] * tokens_width(kind->wide);
    if (size != wanted) {
        snprintf(problem, TOKEN_SHARD_PROBLEM,
                 "has %" PRIu64 " bytes, but %" PRId32
                 " %s tokens, as its header says, make %" PRIu64 ": it is not whole",
                 size, header[2], kind->type, wanted);
        return false;
    }
    *shard = (struct token_shard){.wide = kind->wide, .count = (uint64_t)header[2]};
    return true;
}
