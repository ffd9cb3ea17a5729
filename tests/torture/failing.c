// failing.c: lets each of a program's calls fail, one in each run, and judges how that ends:
//
//     failing --from=FOLDER [--result=PATH ...] [--out] [--codes=71,...] [--final] [--notes]
//             [--show] [--sample=N] [--seed=S] -- PREFIX ... -- PROGRAM ...
//
// Each run starts with a copy of FOLDER, which is the program's working folder. PREFIX makes the
// K-th call fail: in its words @K stands for the number, and @HIT for a file where it says which
// call that was, as "7 write 4096 /path", if the program made as many; K of 0 lets all be, and @HIT
// gets their number. --sample takes that many calls, at random. --show prints how each run ended.
//
// A run is good if the program
//   - carries on: it ends with 0 and the same results as undisturbed (PATHs, and with --out what it
//     prints); or
//   - ends with one of the codes and one line on stderr (--notes: others may stand before it),
//     which names the file of the call if that is one of the folder's. The same command again,
//     undisturbed, then ends with 0 and the same results, and leaves no temporary file. --final:
//     before that each PATH is as at the start, as at the end, or not there.
// A log that cannot be read may be set aside, as it is: then the first PATH alone must be the same.
// Prints the figures as one line; exits with 1 if a run is not good.
#define _GNU_SOURCE
#include "tests/torture/stage.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_CODES = 4, MOST_WORDS = 64, MOST_SHOWN = 10 };

struct failing {
    struct wanted wanted;
    int codes[MOST_CODES], codes_count;
    bool final, show, notes;
    uint64_t sample, seed;
    char **prefix, **argv; // each ends with NULL
    struct files files;
    char *good, *good_first; // all results when nothing fails; the first one, --loose (stage.h)
    size_t good_length, good_first_length;
    struct files after; // the files then
    char hit[600];      // the path of @HIT
    uint64_t carried_on, ended, bad;
};

// The words of a run whose k-th call fails.
static void failing_words(const struct failing *f, uint64_t k, char *words[MOST_WORDS],
                          char room[MOST_WORDS][640]) {
    int count = 0;
    for (char **from = f->prefix; *from; from++, count++) {
        char *to = room[count], *end = to + sizeof room[count];
        for (const char *c = *from; *c && to < end - 1;) {
            if (!strncmp(c, "@K", 2)) {
                to += snprintf(to, (size_t)(end - to), "%llu", (unsigned long long)k);
                c += 2;
            } else if (!strncmp(c, "@HIT", 4)) {
                to += snprintf(to, (size_t)(end - to), "%s", f->hit);
                c += 4;
            } else {
                *to++ = *c++;
            }
        }
        *to = 0;
        words[count] = room[count];
    }
    for (char **from = f->argv; *from; from++) {
        words[count++] = *from;
    }
    words[count] = NULL;
}

// The line in @HIT, or "".
static void failing_hit(const struct failing *f, char line[512]) {
    int fd = open(f->hit, O_RDONLY);
    ssize_t got = fd < 0 ? 0 : read(fd, line, 511);
    line[got > 0 ? got : 0] = 0;
    line[strcspn(line, "\n")] = 0;
    close(fd);
}

// What a message must name: the file of the call, if it is in this folder; "" otherwise.
static void failing_file(const char *hit, char name[256]) {
    char here[512];
    *name = 0;
    const char *path = getcwd(here, sizeof here) ? strstr(hit, here) : NULL;
    if (path && path[strlen(here)] == '/') {
        const char *word = path + strlen(here) + 1;
        snprintf(name, 256, "%.*s", (int)strcspn(word, " "), word);
        char *slash = strrchr(name, '/');
        memmove(name, slash ? slash + 1 : name, strlen(slash ? slash + 1 : name) + 1);
        char *temporary = strstr(name, ".tmp");
        *(temporary ? temporary : name + strlen(name)) = 0;
    }
}

static bool failing_no_temporary(char why[512]) {
    struct files now = stage_read(".");
    bool none = true;
    for (int i = 0; i < now.count; i++) {
        if (strstr(now.file[i].path, ".tmp")) {
            snprintf(why, 512, "%s is left", now.file[i].path);
            none = false;
        }
    }
    stage_free(&now);
    return none;
}

static bool failing_same_file(const struct file *a, const struct file *b) {
    return a && b && a->length == b->length && !memcmp(a->bytes, b->bytes, a->length);
}

// Whether each result is as at the start, as at the end, or not there.
static bool failing_is_final(const struct failing *f, char why[512]) {
    struct files now = stage_read(".");
    bool final = true;
    for (int i = 0; i < f->wanted.count; i++) {
        const char *path = f->wanted.path[i];
        const struct file *is = stage_find(&now, path);
        if (is && !failing_same_file(is, stage_find(&f->files, path)) &&
            !failing_same_file(is, stage_find(&f->after, path))) {
            snprintf(why, 512, "%s is half written", path);
            final = false;
        }
    }
    stage_free(&now);
    return final;
}

// Whether a log that could not be read has been set aside, as it was.
static bool failing_log_is_kept(const struct failing *f) {
    struct files now = stage_read(".");
    bool kept = failing_same_file(stage_find(&now, "out/metrics.damaged.jsonl"),
                                  stage_find(&f->files, "out/metrics.jsonl"));
    stage_free(&now);
    return kept;
}

// A run whose log was set aside goes on with a new one, and its first result counts.
static bool failing_same(const struct failing *f, const struct ending *ending, char why[512]) {
    const bool kept = failing_log_is_kept(f);
    const struct wanted first = {
        .path = {f->wanted.path[0]}, .count = f->wanted.count > 0, .loose = true};
    const char *good = kept ? f->good_first : f->good;
    size_t length, good_length = kept ? f->good_first_length : f->good_length;
    char *result = stage_result(kept ? &first : &f->wanted, ending, &length);
    bool same = length == good_length && !memcmp(result, good, length);
    free(result);
    if (!same) {
        snprintf(why, 512, "ends with 0, and the result is another: %.300s", ending->err);
    }
    return same;
}

static bool failing_again(const struct failing *f, char why[512]) {
    struct ending ending = stage_run(f->argv);
    bool good = ending.code == 0;
    if (!good) {
        snprintf(why, 512, "the next start: %s: %.400s", ending.how, ending.err);
    }
    good = good && failing_same(f, &ending, why) && failing_no_temporary(why);
    stage_ended(&ending);
    return good;
}

static bool failing_judge(struct failing *f, const struct ending *ending, const char *hit,
                          char why[512]) {
    char name[256];
    if (ending->code == 0) {
        f->carried_on++;
        return failing_same(f, ending, why) && failing_no_temporary(why);
    }
    bool right = false;
    for (int i = 0; i < f->codes_count; i++) {
        right = right || ending->code == f->codes[i];
    }
    if (!right) {
        snprintf(why, 512, "%s: %.400s", ending->how, ending->err);
        return false;
    }
    f->ended++;
    failing_file(hit, name);
    struct ending last = *ending;
    if (f->notes && ending->err_length > 0) {
        char *line = memrchr(ending->err, '\n', ending->err_length - 1);
        last.err = line ? line + 1 : ending->err;
        last.err_length = ending->err_length - (size_t)(last.err - ending->err);
    }
    return stage_one_line(&last, name, why) && (!f->final || failing_is_final(f, why)) &&
           failing_again(f, why);
}

// False if the program makes fewer calls than k.
static bool failing_try(struct failing *f, uint64_t k) {
    char *words[MOST_WORDS], room[MOST_WORDS][640], hit[512], why[512] = "";
    failing_words(f, k, words, room);
    stage_set(&f->files);
    unlink(f->hit);
    struct ending ending = stage_run(words);
    failing_hit(f, hit);
    if (*hit && !failing_judge(f, &ending, hit, why)) {
        f->bad++;
        if (f->bad <= MOST_SHOWN) {
            why[strcspn(why, "\n")] = 0;
            printf("%s: %s\n", hit, why);
        }
    }
    if (f->show && *hit) {
        printf("%s: %s\n", hit, ending.how);
    }
    stage_ended(&ending);
    return *hit;
}

// How many calls there are.
static uint64_t failing_count(struct failing *f) {
    char *words[MOST_WORDS], room[MOST_WORDS][640], hit[512];
    failing_words(f, 0, words, room);
    stage_set(&f->files);
    unlink(f->hit);
    struct ending ending = stage_run(words);
    failing_hit(f, hit);
    stage_ended(&ending);
    uint64_t count = strtoull(hit, NULL, 10);
    if (count == 0) {
        stage_die("%s: does not say how many calls there are", f->prefix[0]);
    }
    return count;
}

static struct failing failing_read(int argc, char **argv) {
    struct failing f = {.codes = {71}, .codes_count = 1};
    int i = 1;
    for (; i < argc && strcmp(argv[i], "--"); i++) {
        const char *value;
        if ((value = stage_flag(argv[i], "from"))) {
            f.files = stage_read(value);
        } else if ((value = stage_flag(argv[i], "result"))) {
            f.wanted.path[f.wanted.count++] = value;
        } else if ((value = stage_flag(argv[i], "codes"))) {
            f.codes_count =
                sscanf(value, "%d,%d,%d,%d", &f.codes[0], &f.codes[1], &f.codes[2], &f.codes[3]);
        } else if ((value = stage_flag(argv[i], "sample"))) {
            f.sample = strtoull(value, NULL, 10);
        } else if ((value = stage_flag(argv[i], "seed"))) {
            f.seed = strtoull(value, NULL, 10);
        } else if (!strcmp(argv[i], "--out")) {
            f.wanted.out = true;
        } else if (!strcmp(argv[i], "--final")) {
            f.final = true;
        } else if (!strcmp(argv[i], "--notes")) {
            f.notes = true;
        } else if (!strcmp(argv[i], "--show")) {
            f.show = true;
        } else {
            stage_die("failing: unknown argument '%s'", argv[i]);
        }
    }
    f.prefix = argv + i + 1;
    for (i++; i < argc && strcmp(argv[i], "--"); i++) {
    }
    if (i + 1 >= argc) {
        stage_die("failing: a prefix and a program are wanted");
    }
    argv[i] = NULL;
    f.argv = argv + i + 1;
    return f;
}

int main(int argc, char **argv) {
    struct failing f = failing_read(argc, argv);
    stage_open();
    char here[512];
    snprintf(f.hit, sizeof f.hit, "%s.hit", getcwd(here, sizeof here)); // beside the stage
    stage_set(&f.files);
    struct ending ending = stage_run(f.argv);
    if (ending.code != 0) {
        stage_die("undisturbed: %s: %s", ending.how, ending.err);
    }
    f.good = stage_result(&f.wanted, &ending, &f.good_length);
    const struct wanted first = {
        .path = {f.wanted.path[0]}, .count = f.wanted.count > 0, .loose = true};
    f.good_first = stage_result(&first, &ending, &f.good_first_length);
    f.after = stage_read(".");
    stage_ended(&ending);

    uint64_t tries = 0, all = 0;
    if (f.sample) {
        all = failing_count(&f);
    }
    if (f.sample && f.sample < all) {
        for (; tries < f.sample; tries++) {
            failing_try(&f, 1 + stage_random(f.seed, tries, all));
        }
    } else {
        while (failing_try(&f, 1 + tries)) {
            tries++;
        }
        all = tries;
    }
    unlink(f.hit);
    printf("%llu of %llu calls failed: %llu carried on, %llu ended well, %llu bad\n",
           (unsigned long long)tries, (unsigned long long)all, (unsigned long long)f.carried_on,
           (unsigned long long)f.ended, (unsigned long long)f.bad);
    return f.bad > 0;
}
