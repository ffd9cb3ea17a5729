// token_shards.c: llm.c's token shards: the header's first 12 bytes, how many bytes of the rest are
// cut, and the tokens; the rest of the header is zeros. What is accepted is as long as it says, and
// all its tokens are read, alone and behind another shard.
#include "runtime/files/files.h"
#include "tests/torture/fuzz/support/fuzz.h"

enum { STATED = 12, MOST = 4096 };

struct reading {
    const char *path, *before;
    struct split split;
    const char *problem;
    enum exit_code code;
    uint32_t tokens[MOST];
    char hash[17];
};

static void read_shard(void *context) {
    struct reading *reading = context;
    struct split *split = &reading->split;
    *split = (struct split){.file = -1};
    reading->problem = NULL;
    if (reading->before) {
        reading->problem = split_add_shard(split, reading->before, &reading->code);
        FUZZ_MUST(!reading->problem);
    }
    const uint64_t first = split->count;
    reading->problem = split_add_shard(split, reading->path, &reading->code);
    if (!reading->problem) {
        const uint64_t count = split->count - first;
        FUZZ_MUST(count > 0 && count <= MOST);
        FUZZ_MUST(split_tokens(split, first, count, reading->tokens) == EXIT_DONE);
        split_hash(split, true, reading->hash);
    }
    split_close(split);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    static struct reading reading;
    if (length < STATED + 1 || length > STATED + 2 * MOST) {
        return 0;
    }
    const size_t data = length - STATED - 1;
    uint8_t *made = calloc(TOKEN_SHARD_HEADER + data, 1);
    FUZZ_MUST(made != NULL);
    memcpy(made, bytes, STATED);
    memcpy(made + TOKEN_SHARD_HEADER, bytes + STATED + 1, data);
    const size_t whole = TOKEN_SHARD_HEADER + data, cut = 8 * (size_t)bytes[STATED];
    reading.path = fuzz_file("a.bin", made, cut < whole ? whole - cut : 0);
    free(made);
    reading.before = NULL;
    FUZZ_MUST(fuzz_survives(read_shard, &reading));
    FUZZ_MUST(!reading.problem || (reading.code == EXIT_DATA && *reading.problem));
    if (!reading.problem) {
        int32_t magic, count;
        memcpy(&magic, bytes, sizeof magic);
        memcpy(&count, bytes + 8, sizeof count);
        FUZZ_MUST(token_shard_is(magic) && count > 0);
        const size_t width = magic == 20240520 ? 2 : 4;
        FUZZ_MUST(whole - cut == TOKEN_SHARD_HEADER + width * (size_t)count);
        char hash[17];
        hash_bytes(bytes + STATED + 1, width * (size_t)count, hash);
        FUZZ_MUST(!strcmp(hash, reading.hash));
        uint32_t last = 0;
        memcpy(&last, bytes + STATED + 1 + width * ((size_t)count - 1), width);
        FUZZ_MUST(reading.tokens[count - 1] == last);
        const uint32_t first = reading.tokens[0];
        reading.before = reading.path;
        FUZZ_MUST(fuzz_survives(read_shard, &reading) && !reading.problem);
        FUZZ_MUST(reading.tokens[0] == first && reading.tokens[count - 1] == last);
    }
    return 0;
}
