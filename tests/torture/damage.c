// damage.c: damages one file in every way of a kind, runs a program that reads it, and judges how
// that ends:
//
//     damage --kind=flip|cut|add --file=PATH --from=FOLDER [--result=PATH ...] [--out] [--loose]
//            [--codes=65,...] [--names=WORD] [--kept] [--sample=N] [--seed=S] -- PROGRAM ...
//
// flip: each bit; cut: each length that is less; add: bytes of some kinds behind the end. Each case
// starts with a copy of FOLDER, which is the program's working folder. --sample takes that many
// cases, at random.
//
// A case is good if the program refuses the file, with one of the codes, one line on stderr that
// names it (or says WORD), and everything left as it was; or if the damage is harmless: the program
// ends with 0 and the same results (PATHs, and what it prints with --out) as without it. --kept:
// what is good in a log that was damaged may be kept under another name, but must be somewhere.
// Prints the figures as one line; exits with 1 if a case is not good.
#include "tests/torture/stage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind { FLIP, CUT, ADD };
static const char *const kind_names[] = {"flip", "cut", "add"};
static const size_t added[] = {1, 2, 3, 4, 7, 8, 16, 64, 512, 4096};
static const char *const added_bytes[] = {"\0", "\xff", " ", "\n", "}", "0"};
enum {
    ADDED = sizeof added / sizeof added[0],
    ADDED_BYTES = sizeof added_bytes / sizeof added_bytes[0],
    MOST_CODES = 4,
    MOST_SHOWN = 10,
};

struct damage {
    enum kind kind;
    const char *path, *names;
    struct wanted wanted;
    int codes[MOST_CODES], codes_count;
    bool kept;
    uint64_t sample, seed;
    char **argv;
    struct files files;
    struct file whole; // of path, undamaged
    char *good;        // the result without damage
    size_t good_length;
    uint64_t refused, harmless, bad;
};

static uint64_t damage_cases(const struct damage *d) {
    switch (d->kind) {
    case FLIP:
        return 8 * d->whole.length;
    case CUT:
        return d->whole.length;
    default:
        return ADDED * ADDED_BYTES;
    }
}

// Damages the file in the n-th way; says how.
static void damage_make(const struct damage *d, struct file *file, uint64_t n, char what[96]) {
    size_t most = d->whole.length + added[ADDED - 1];
    file->bytes = realloc(file->bytes, most);
    memcpy(file->bytes, d->whole.bytes, d->whole.length);
    file->length = d->whole.length;
    if (d->kind == FLIP) {
        file->bytes[n / 8] ^= (char)(1 << n % 8);
        snprintf(what, 96, "byte %zu, bit %d", (size_t)(n / 8), (int)(n % 8));
    } else if (d->kind == CUT) {
        file->length = n;
        snprintf(what, 96, "cut to %zu bytes", file->length);
    } else {
        size_t bytes = added[n / ADDED_BYTES];
        const char *byte = added_bytes[n % ADDED_BYTES];
        memset(file->bytes + file->length, *byte, bytes);
        file->length += bytes;
        snprintf(what, 96, "%zu bytes %02x added", bytes, (unsigned char)*byte);
    }
}

// Whether the lines of a damaged log, but for an incomplete last one, begin a file.
static bool damage_is_kept(const struct file *log) {
    size_t lines = log->length;
    while (lines > 0 && log->bytes[lines - 1] != '\n') {
        lines--;
    }
    struct files now = stage_read(".");
    bool kept = false;
    for (int i = 0; i < now.count; i++) {
        kept =
            kept || (now.file[i].length >= lines && !memcmp(now.file[i].bytes, log->bytes, lines));
    }
    stage_free(&now);
    return kept;
}

// Judges an end; says what is wrong with it.
static bool damage_judge(struct damage *d, const struct ending *ending, char why[512]) {
    bool refused = false;
    for (int i = 0; i < d->codes_count; i++) {
        refused = refused || ending->code == d->codes[i];
    }
    if (refused) {
        d->refused++;
        return stage_one_line(ending, d->names, why) && stage_is(&d->files, why);
    }
    if (ending->code != 0) {
        snprintf(why, 512, "%s: %.400s", ending->how, ending->err);
        return false;
    }
    d->harmless++;
    size_t length;
    char *result = stage_result(&d->wanted, ending, &length);
    bool same = length == d->good_length && !memcmp(result, d->good, length);
    free(result);
    if (!same) {
        snprintf(why, 512, "not found, and the result is another: %.300s", ending->err);
    } else if (d->kept && !damage_is_kept(stage_find(&d->files, d->path))) {
        snprintf(why, 512, "the damaged log is nowhere: %.300s", ending->err);
        same = false;
    }
    return same;
}

static void damage_try(struct damage *d, uint64_t n) {
    char what[96], why[512] = "";
    damage_make(d, stage_find(&d->files, d->path), n, what);
    stage_set(&d->files);
    struct ending ending = stage_run(d->argv);
    if (!damage_judge(d, &ending, why)) {
        d->bad++;
        if (d->bad <= MOST_SHOWN) {
            why[strcspn(why, "\n")] = 0;
            printf("%s: %s: %s\n", d->path, what, why);
        }
    }
    stage_ended(&ending);
}

static struct damage damage_read(int argc, char **argv) {
    struct damage d = {.codes = {65}, .codes_count = 1};
    int i = 1;
    for (; i < argc && strcmp(argv[i], "--"); i++) {
        const char *value;
        if ((value = stage_flag(argv[i], "kind"))) {
            while (strcmp(kind_names[d.kind], value)) {
                d.kind++;
            }
        } else if ((value = stage_flag(argv[i], "file"))) {
            d.path = value;
        } else if ((value = stage_flag(argv[i], "from"))) {
            d.files = stage_read(value);
        } else if ((value = stage_flag(argv[i], "result"))) {
            d.wanted.path[d.wanted.count++] = value;
        } else if ((value = stage_flag(argv[i], "codes"))) {
            d.codes_count =
                sscanf(value, "%d,%d,%d,%d", &d.codes[0], &d.codes[1], &d.codes[2], &d.codes[3]);
        } else if ((value = stage_flag(argv[i], "names"))) {
            d.names = value;
        } else if ((value = stage_flag(argv[i], "sample"))) {
            d.sample = strtoull(value, NULL, 10);
        } else if ((value = stage_flag(argv[i], "seed"))) {
            d.seed = strtoull(value, NULL, 10);
        } else if (!strcmp(argv[i], "--out")) {
            d.wanted.out = true;
        } else if (!strcmp(argv[i], "--loose")) {
            d.wanted.loose = true;
        } else if (!strcmp(argv[i], "--kept")) {
            d.kept = true;
        } else {
            stage_die("damage: unknown argument '%s'", argv[i]);
        }
    }
    d.argv = argv + i + 1;
    if (!d.path || !stage_find(&d.files, d.path) || i + 1 >= argc) {
        stage_die("damage: --file=, --from= and a program are wanted");
    }
    if (!d.names) {
        const char *slash = strrchr(d.path, '/');
        d.names = slash ? slash + 1 : d.path;
    }
    return d;
}

int main(int argc, char **argv) {
    struct damage d = damage_read(argc, argv);
    stage_open();
    stage_set(&d.files);
    struct ending ending = stage_run(d.argv);
    if (ending.code != 0) {
        stage_die("%s: without damage: %s: %s", d.path, ending.how, ending.err);
    }
    d.good = stage_result(&d.wanted, &ending, &d.good_length);
    stage_ended(&ending);

    struct file *file = stage_find(&d.files, d.path);
    d.whole = *file;
    file->bytes = NULL;
    const uint64_t all = damage_cases(&d);
    const uint64_t tries = d.sample && d.sample < all ? d.sample : all;
    for (uint64_t n = 0; n < tries; n++) {
        damage_try(&d, tries < all ? stage_random(d.seed, n, all) : n);
    }
    printf("%s, %s: %llu of %llu tried, %llu refused, %llu harmless, %llu bad\n", d.path,
           kind_names[d.kind], (unsigned long long)tries, (unsigned long long)all,
           (unsigned long long)d.refused, (unsigned long long)d.harmless,
           (unsigned long long)d.bad);
    return d.bad > 0;
}
