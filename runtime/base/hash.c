// hash.c: XXH3-64 of bytes and of files, as the 16 hexadecimal digits that `xxhsum -H3` prints.
#include "runtime/base/base.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { HASH_BLOCK = 1 << 20, HASH_BLOCKS = HASH_WHOLE / HASH_BLOCK };

uint64_t hash_of(const void *bytes, size_t length) {
    return XXH3_64bits(bytes, length);
}

static void hash_print(uint64_t hash, char text[17]) {
    snprintf(text, 17, "%016llx", (unsigned long long)hash);
}

void hash_bytes(const void *bytes, size_t length, char text[17]) {
    hash_print(hash_of(bytes, length), text);
}

// Reads of a file.
static bool hash_read_file(void *context, uint64_t at, size_t bytes, void *to) {
    const int file = *(const int *)context;
    while (bytes > 0) {
        ssize_t got = pread(file, to, bytes, (off_t)at);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            errno = got < 0 ? errno : 0;
            return false;
        }
        to = (char *)to + got;
        at += (uint64_t)got;
        bytes -= (size_t)got;
    }
    return true;
}

// Adds `bytes` bytes, from offset `at` on, to the hash.
static bool hash_part(XXH3_state_t *state, hash_read *read, void *context, uint64_t at,
                      uint64_t bytes, char *block) {
    while (bytes > 0) {
        const size_t some = bytes < HASH_BLOCK ? (size_t)bytes : HASH_BLOCK;
        if (!read(context, at, some, block)) {
            return false;
        }
        XXH3_64bits_update(state, block, some);
        at += some;
        bytes -= some;
    }
    return true;
}

bool hash_stream(hash_read *read, void *context, uint64_t bytes, bool whole, char text[17]) {
    char *block = allocate(bytes < HASH_BLOCK ? (size_t)bytes : HASH_BLOCK, 1, "a block of a file");
    XXH3_state_t state;
    XXH3_64bits_reset(&state);
    bool good = true;
    if (whole || bytes <= HASH_WHOLE) {
        good = hash_part(&state, read, context, 0, bytes, block);
    } else {
        XXH3_64bits_update(&state, &bytes, sizeof bytes);
        for (uint64_t i = 0; i < HASH_BLOCKS && good; i++) {
            uint64_t at = (bytes - HASH_BLOCK) / (HASH_BLOCKS - 1) * i;
            if (i == HASH_BLOCKS - 1) {
                at = bytes - HASH_BLOCK;
            }
            good = hash_part(&state, read, context, at, HASH_BLOCK, block);
        }
    }
    int reason = errno;
    free(block);
    errno = reason;
    hash_print(XXH3_64bits_digest(&state), text);
    return good;
}

bool hash_file(int file, uint64_t bytes, bool whole, char text[17]) {
    return hash_stream(hash_read_file, &file, bytes, whole, text);
}

// ---- bytes that come in parts -------------------------------------------------------------------

struct hashing *hashing_begin(void) {
    XXH3_state_t *state = XXH3_createState();
    if (!state) {
        die(EXIT_MEMORY, "no memory for a hash");
    }
    XXH3_64bits_reset(state);
    return (struct hashing *)state;
}

void hashing_add(struct hashing *hashing, const void *bytes, size_t length) {
    XXH3_64bits_update((XXH3_state_t *)hashing, bytes, length);
}

bool hashing_add_file(struct hashing *hashing, int file, size_t bytes) {
    char *block = allocate(HASH_BLOCK, 1, "a block of a file");
    bool good = hash_part((XXH3_state_t *)hashing, hash_read_file, &file, 0, bytes, block);
    int reason = errno;
    free(block);
    errno = reason;
    return good;
}

void hashing_text(const struct hashing *hashing, char text[17]) {
    hash_print(XXH3_64bits_digest((const XXH3_state_t *)hashing), text);
}

void hashing_end(struct hashing *hashing) {
    XXH3_freeState((XXH3_state_t *)hashing);
}
