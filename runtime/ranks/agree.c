// agree.c: what all ranks have to agree on: at the start that they are the same job, and whether
// one has failed before it began.
#include "runtime/ranks/ranks.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct ranks_card *agree_cards; // of all ranks, when they last met

int64_t ranks_most(int64_t number) {
    const int size = ranks_size();
    if (size == 1) {
        return number;
    }
    int64_t *all = allocate((size_t)size, sizeof *all, "the ranks' numbers");
    all[ranks_rank()] = number;
    ranks_share(all, sizeof *all);
    for (int rank = 0; rank < size; rank++) {
        number = all[rank] > number ? all[rank] : number;
    }
    free(all);
    return number;
}

const char *ranks_host(int rank) {
    return agree_cards ? agree_cards[rank].host : "?";
}

static void agree_share(const struct ranks_card *own) {
    if (!agree_cards) {
        agree_cards =
            allocate((size_t)ranks_size(), sizeof *agree_cards, "what ranks say of themselves");
    }
    agree_cards[ranks_rank()] = *own;
    gethostname(agree_cards[ranks_rank()].host, sizeof own->host - 1);
    ranks_share(agree_cards, sizeof *agree_cards);
}

// The first rank that has ended, or -1.
static int agree_ended(void) {
    for (int rank = 0; rank < ranks_size(); rank++) {
        if (agree_cards[rank].ended) {
            return rank;
        }
    }
    return -1;
}

void ranks_leave(int code, const char *line) {
    if (ranks_size() > 1) {
        struct ranks_card own = {.ended = true, .code = code};
        snprintf(own.line, sizeof own.line, "%s", line);
        agree_share(&own);
    }
}

// Ends all ranks; rank 0 says why.
static _Noreturn void agree_end(int code, const char *line) {
    ranks_close();
    if (ranks_rank() == 0 && *line) {
        die((enum exit_code)code, "%s", line);
    }
    exit(code);
}

// Ends all ranks if two hashes differ.
static void agree_same(int rank, const char *ours, const char *theirs, int code, const char *what,
                       const char *wanted) {
    if (strcmp(ours, theirs) != 0) {
        char line[1024];
        snprintf(line, sizeof line,
                 "ranks: rank %d on %s has %s of hash %s, rank 0 on %s of %s; %s", rank,
                 agree_cards[rank].host, what, theirs, agree_cards[0].host, ours, wanted);
        agree_end(code, line);
    }
}

static void agree_hash_program(char hash[17]) {
    struct stat status;
    const int file = file_open("/proc/self/exe", O_RDONLY, &status);
    if (file < 0 || !hash_file(file, (uint64_t)status.st_size, true, hash)) {
        *hash = 0;
    }
    if (file >= 0) {
        close(file);
    }
}

void ranks_meet(struct ranks_card *own) {
    if (ranks_size() == 1) {
        return;
    }
    agree_hash_program(own->program);
    agree_share(own);
    const int ended = agree_ended();
    if (ended >= 0) {
        const struct ranks_card *card = &agree_cards[ended];
        char line[1024] = "";
        if (ended > 0 && *card->line) {
            snprintf(line, sizeof line, "rank %d on %s: %s", ended, card->host, card->line);
        }
        agree_end(card->code, line);
    }
    for (int rank = 1; rank < ranks_size(); rank++) {
        const struct ranks_card *first = &agree_cards[0], *card = &agree_cards[rank];
        agree_same(rank, first->program, card->program, EXIT_USAGE, "a program",
                   "build it once, and copy the folder");
        agree_same(rank, first->settings, card->settings, EXIT_USAGE, "settings",
                   "give all ranks the same flags");
        agree_same(rank, first->data, card->data, EXIT_DATA, "data",
                   "give all ranks the same data set");
    }
}
