// split.c: a split of a data set as one stream of tokens: those of one file, as nanoGPT writes it,
// or of llm.c's shards, one behind the other. A shard's end is no end of the stream: whoever reads
// sees the tokens as if they lay in one file. Each reading takes only what it needs, so that files
// may be larger than memory, and by pread(), so that a file which becomes shorter is an error after
// which a run can still save its state.
#include "runtime/files/files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

uint64_t split_bytes(const struct split *split) {
    return split->count * tokens_width(split->wide);
}

// The shard that has a token, by its place in the stream.
static const struct token_file *split_shard(const struct split *split, uint64_t at) {
    int low = 0, high = split->shard_count;
    while (high - low > 1) {
        const int middle = low + (high - low) / 2;
        if (split->shards[middle].first <= at) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return &split->shards[low];
}

struct token_place split_place(const struct split *split, uint64_t at) {
    if (split->shard_count == 0) {
        return (struct token_place){split->path, at};
    }
    const struct token_file *shard = split_shard(split, at);
    return (struct token_place){shard->path, at - shard->first};
}

// Reads bytes of the stream, from `at` on. False with errno, 0 if a file became shorter, and *at of
// the first byte that could not be read.
static bool split_read(const struct split *split, uint64_t *at, size_t bytes, char *to) {
    const size_t width = tokens_width(split->wide);
    while (bytes > 0) {
        uint64_t from = *at;
        size_t some = bytes;
        int file = split->file;
        if (split->shard_count > 0) {
            const struct token_file *shard = split_shard(split, *at / width);
            const uint64_t begin = shard->first * width, left = begin + shard->count * width - *at;
            from = TOKEN_SHARD_HEADER + *at - begin;
            some = left < some ? (size_t)left : some;
            file = shard->file;
        }
        const ssize_t got = pread(file, to, some, (off_t)from);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            errno = got < 0 ? errno : 0;
            return false;
        }
        to += got;
        *at += (uint64_t)got;
        bytes -= (size_t)got;
    }
    return true;
}

enum exit_code split_tokens(const struct split *split, uint64_t at, size_t count,
                            uint32_t *tokens) {
    enum { PIECE = 4096 };
    uint32_t piece[PIECE]; // at most so many tokens of the widest type
    const size_t width = tokens_width(split->wide);
    for (size_t done = 0; done < count && !split->tokens;) {
        const size_t some = count - done < PIECE ? count - done : PIECE;
        uint64_t byte = (at + done) * width;
        if (!split_read(split, &byte, some * width, (char *)piece)) {
            const int reason = errno;
            const struct token_place place = split_place(split, byte / width);
            warn("%s: cannot read token %" PRIu64 ": %s; put the file back as it was, then start "
                 "again",
                 place.path, place.at, reason ? strerror(reason) : "the file became shorter");
            return reason ? exit_code_of(reason) : EXIT_IO;
        }
        tokens_unpack(piece, some, split->wide, tokens + done);
        done += some;
    }
    if (split->tokens) {
        tokens_unpack(split->tokens + at, count, false, tokens);
    }
    return EXIT_DONE;
}

struct split_hashing {
    const struct split *split;
    uint64_t at; // of the last byte that was wanted
};

static bool split_hash_read(void *context, uint64_t at, size_t bytes, void *to) {
    struct split_hashing *hashing = context;
    hashing->at = at;
    return split_read(hashing->split, &hashing->at, bytes, to);
}

void split_hash(const struct split *split, bool whole, char hash[17]) {
    struct split_hashing hashing = {split, 0};
    if (!hash_stream(split_hash_read, &hashing, split_bytes(split), whole, hash)) {
        const int reason = errno;
        die(exit_code_of(reason), "%s: cannot read: %s",
            split_place(split, hashing.at / tokens_width(split->wide)).path,
            reason ? strerror(reason) : "it became shorter meanwhile");
    }
}

// ---- shards -------------------------------------------------------------------------------------

// Allows the process some more open files than it needs, as far as the system does.
static void split_allow_files(int wanted) {
    struct rlimit limit;
    const rlim_t some = (rlim_t)wanted + 64;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < some &&
        limit.rlim_cur < limit.rlim_max) {
        // In steps, so that it is not done for each file.
        limit.rlim_cur = 2 * some < limit.rlim_max ? 2 * some : limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

// Opens a file and reads its header. Returns NULL, or a problem.
static const char *split_open_shard(struct token_file *shard, struct token_shard *is,
                                    enum exit_code *code) {
    static char problem[TOKEN_SHARD_PROBLEM];
    struct stat status;
    char header[TOKEN_SHARD_HEADER];
    *code = EXIT_DATA;
    // Opening a pipe must not block.
    shard->file = file_open(shard->path, O_RDONLY | O_NONBLOCK, &status);
    if (shard->file < 0 && (errno == ENOENT || errno == ENOTDIR)) {
        *code = EXIT_MISSING;
        return "is not there";
    }
    if (shard->file < 0 && (errno == EMFILE || errno == ENFILE)) {
        *code = exit_code_of(errno);
        return "cannot be opened too: so many open files are not allowed; ulimit -n allows more";
    }
    ssize_t got = -1;
    if (shard->file >= 0) {
        if (!S_ISREG(status.st_mode)) {
            return "is not a regular file";
        }
        UNINTERRUPTED(got, pread(shard->file, header, sizeof header, 0));
    }
    if (got < 0) {
        *code = exit_code_of(errno);
        snprintf(problem, sizeof problem, "cannot be read: %s", strerror(errno));
        return problem;
    }
    return token_shard_parse(header, (size_t)got, (uint64_t)status.st_size, is, problem) ? NULL
                                                                                         : problem;
}

const char *split_add_shard(struct split *split, const char *path, enum exit_code *code) {
    const int n = split->shard_count;
    if ((n & (n - 1)) == 0) { // at each power of two the array is full
        split->shards = allocate_again(
            split->shards, (n ? 2 * (size_t)n : 1) * sizeof *split->shards, "a list of shards");
        split_allow_files(2 * n);
    }
    struct token_file *shard = &split->shards[n];
    struct token_shard is;
    *shard = (struct token_file){.path = allocate_copy(path, strlen(path), "a path")};
    const char *problem = split_open_shard(shard, &is, code);
    if (!problem && n > 0 && is.wide != split->wide) {
        *code = EXIT_DATA;
        problem = is.wide ? "has uint32 tokens, but the shard before it uint16; one type is wanted"
                          : "has uint16 tokens, but the shard before it uint32; one type is wanted";
    }
    if (problem) {
        if (shard->file >= 0) {
            close(shard->file);
        }
        free(shard->path);
        return problem;
    }
    shard->first = split->count;
    shard->count = is.count;
    split->wide = is.wide;
    split->count += is.count;
    split->shard_count++;
    return NULL;
}

void split_close(struct split *split) {
    if (split->file >= 0) {
        close(split->file);
    }
    for (int i = 0; i < split->shard_count; i++) {
        close(split->shards[i].file);
        free(split->shards[i].path);
    }
    free(split->shards);
    free(split->path);
    memset(split, 0, sizeof *split);
    split->file = -1;
}
