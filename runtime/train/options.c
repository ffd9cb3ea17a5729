// options.c: the flags of a trainer: run keys, which have nanoGPT's names.
#include "runtime/train/train.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum option_type { OPTION_int, OPTION_float, OPTION_bool, OPTION_string };

struct option {
    const char *name;
    enum option_type type;
    size_t offset; // in struct run
    double min, max;
    bool changes_results;
    const char *const *values; // of a string that has a few: these, then NULL
    const char *help;
};

#define RUN_VALUES(name, ...) static const char *const name##_values[] = {__VA_ARGS__, NULL};
#include "run_keys.h"
#undef RUN_VALUES

static const struct option options[] = {
#define RUN_KEY(type, name, min, max, changes_results, values, help)                               \
    {#name, OPTION_##type, offsetof(struct run, name), min, max, changes_results, values, help},
#include "run_keys.h"
#undef RUN_KEY
};
enum { OPTIONS = sizeof options / sizeof options[0] };

// nanoGPT's keys that have no effect here, and what to use instead.
#define FOREIGN_KEY(name, instead) {#name, instead},
static const struct foreign {
    const char *name, *instead;
} foreign_keys[] = {
#include "run_keys.h"
};
#undef FOREIGN_KEY
enum { FOREIGN = sizeof foreign_keys / sizeof foreign_keys[0] };

// Names that other tools use, too different from ours for the edit distance.
#define OTHER_NAME(name, ours) {#name, #ours},
static const struct {
    const char *name, *ours;
} other_names[] = {
#include "run_keys.h"
};
#undef OTHER_NAME
enum { OTHER_NAMES = sizeof other_names / sizeof other_names[0] };

static void *option_value(const struct option *option, const struct run *run) {
    return (char *)run + option->offset;
}

// Prints with the fewest digits that read back as the same number.
static void option_print_float(double x, char text[32]) {
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, 32, "%.*g", digits, x);
        if (strtod(text, NULL) == x) {
            return;
        }
    }
}

// A value as text, in `text` or, for a string, in place.
static const char *option_print(const struct option *option, const struct run *run, char text[32]) {
    const void *value = option_value(option, run);
    switch (option->type) {
    case OPTION_int:
        snprintf(text, 32, "%lld", (long long)*(const int64_t *)value);
        return text;
    case OPTION_float:
        option_print_float(*(const double *)value, text);
        return text;
    case OPTION_bool:
        return *(const bool *)value ? "True" : "False";
    case OPTION_string:
        return *(const char *const *)value;
    }
    return "";
}

static _Noreturn void options_help(const struct run *run) {
    static const char *const type[] = {"int", "float", "bool", "string"};
    printf("%s: trains %s\n\nFlags, as --key=value or --key value:\n\n", run_config_name,
           model_info.title);
    for (int i = 0; i < OPTIONS; i++) {
        char text[32];
        const char *value = option_print(&options[i], run, text);
        printf("  --%-28s %-7s %-16s %s\n", options[i].name, type[options[i].type],
               *value ? value : "\"\"", options[i].help);
    }
    char *words = options_words("key=value");
    printf("\nBaked in (another value is another trainer: make train %s):\n", words);
    free(words);
    int column = 100;
    for (int i = 0; run_baked_keys[i]; i++) {
        int length = (int)strlen(run_baked_keys[i]) + 1;
        bool wrap = column + length > 100;
        printf("%s%s", wrap ? "\n  " : " ", run_baked_keys[i]);
        column = wrap ? 2 + length : column + length;
    }
    printf("\n");
    exit(streams_close(EXIT_DONE));
}

// ---- suggestions --------------------------------------------------------------------------------

static _Noreturn void option_unknown(const char *key) {
    for (int i = 0; i < OTHER_NAMES; i++) {
        if (!strcmp(key, other_names[i].name)) {
            die(EXIT_USAGE, "--%s: unknown key '%s'; did you mean '%s'?", key, key,
                other_names[i].ours);
        }
    }
    struct nearest nearest = nearest_to(key, (int)strlen(key));
    for (int i = 0; i < OPTIONS; i++) {
        nearest_try(&nearest, options[i].name, (int)strlen(options[i].name));
    }
    for (int i = 0; run_baked_keys[i]; i++) {
        nearest_try(&nearest, run_baked_keys[i], (int)strcspn(run_baked_keys[i], "="));
    }
    if (nearest.name) {
        die(EXIT_USAGE, "--%s: unknown key '%s'; did you mean '%.*s'?", key, key,
            nearest.name_length, nearest.name);
    }
    die(EXIT_USAGE, "--%s: unknown key '%s'; --help lists all", key, key);
}

// ---- values -------------------------------------------------------------------------------------

static void option_range(const struct option *option, const char *text, double value) {
    if (value < option->min || value > option->max) {
        die(EXIT_USAGE, "--%s: %s is out of range; give a value from %.15g to %.15g", option->name,
            text, option->min, option->max);
    }
}

static void option_set_int(const struct option *option, const char *text, int64_t *out) {
    const char *digits = text + (*text == '-' || *text == '+');
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (*digits < '0' || *digits > '9' || *end) {
        die(EXIT_USAGE, "--%s: '%s' is not an integer; give one, such as --%s=%.0f", option->name,
            text, option->name, option->max < 100 ? option->max : 100);
    }
    option_range(option, text, errno ? (*text == '-' ? -HUGE_VAL : HUGE_VAL) : (double)value);
    *out = value;
}

static void option_set_float(const struct option *option, const char *text, double *out) {
    char *end;
    double value = strtod(text, &end);
    // decimal only: strtod also takes hexadecimal, nan and inf
    if (!*text || *end || text[strspn(text, "+-.0123456789eE")] || !isfinite(value)) {
        die(EXIT_USAGE, "--%s: '%s' is not a number; give one, such as --%s=1e-3", option->name,
            text, option->name);
    }
    option_range(option, text, value);
    *out = value;
}

static void option_set_bool(const struct option *option, const char *text, bool *out) {
    static const char *const words[] = {"False", "True", "false", "true", "0", "1"};
    for (int i = 0; i < 6; i++) {
        if (!strcmp(text, words[i])) {
            *out = i % 2;
            return;
        }
    }
    die(EXIT_USAGE, "--%s: '%s' is neither True nor False; give --%s=True or --%s=False",
        option->name, text, option->name, option->name);
}

static void option_check_value(const struct option *option, const char *text) {
    int i = 0;
    while (option->values[i] && strcmp(option->values[i], text) != 0) {
        i++;
    }
    if (option->values[i]) {
        return;
    }
    char list[256] = "";
    for (i = 0; option->values[i]; i++) {
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s",
                 i == 0                  ? ""
                 : option->values[i + 1] ? ", "
                                         : " or ",
                 option->values[i]);
    }
    die(EXIT_USAGE, "--%s: '%s' is none of its values; give %s", option->name, text, list);
}

// Strings go into checkpoints' metadata, where nothing is escaped.
static void option_set_string(const struct option *option, const char *text, const char **out) {
    if (option->values) {
        option_check_value(option, text);
    }
    for (const char *c = text; *c; c++) {
        bool space = *c == ' ' && option->changes_results;
        if ((unsigned char)*c < 0x20 || *c == 0x7f || *c == '"' || *c == '\\' || space) {
            die(EXIT_USAGE,
                "--%s: '%s' holds a quote, a backslash, a control character%s; leave it "
                "out",
                option->name, text, option->changes_results ? " or a space" : "");
        }
    }
    *out = text;
}

static void option_set(const struct option *option, const char *text, struct run *run) {
    void *value = option_value(option, run);
    switch (option->type) {
    case OPTION_int:
        option_set_int(option, text, value);
        break;
    case OPTION_float:
        option_set_float(option, text, value);
        break;
    case OPTION_bool:
        option_set_bool(option, text, value);
        break;
    case OPTION_string:
        option_set_string(option, text, value);
        break;
    }
}

// Why one of nanoGPT's keys, at this value, has no effect here; NULL if that does not apply.
static const char *option_instead(const char *key, const char *value) {
    if (!strcmp(key, "dtype")) {
        return strcmp(value, model_info.dtype) ? NULL : "this trainer computes in it, always";
    }
    if (!strcmp(key, "backend") && strcmp(value, "nccl") && strcmp(value, "gloo") &&
        strcmp(value, "mpi")) {
        return NULL; // our baked key backend is meant
    }
    for (int i = 0; i < FOREIGN; i++) {
        if (!strcmp(key, foreign_keys[i].name)) {
            return foreign_keys[i].instead;
        }
    }
    return NULL;
}

// Handles a key that is not a run key: one of nanoGPT's, a baked key, or a typing error.
static void option_other(const char *key, const char *value) {
    const char *instead = option_instead(key, value);
    if (instead) {
        warn("--%s=%s has no effect: %s", key, value, instead);
        return;
    }
    for (int i = 0; run_baked_keys[i]; i++) {
        size_t length = strcspn(run_baked_keys[i], "=");
        if (strlen(key) == length && !strncmp(key, run_baked_keys[i], length)) {
            char *setting = allocate_print("a setting", "%s=%s", key, value);
            die(EXIT_USAGE, "--%s: baked into this trainer as %s; build another: make train %s",
                setting, run_baked_keys[i], options_words(setting));
        }
    }
    option_unknown(key);
}

void options_parse(struct run *run, int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (!strcmp(word, "--help") || !strcmp(word, "-h")) {
            options_help(run);
        }
        if (strncmp(word, "--", 2)) {
            die(EXIT_USAGE, "%s: no flag; flags are --key=value (the config, %s, is built in)",
                word, run_config_name);
        }
        char key[64];
        size_t length = strcspn(word + 2, "=");
        if (length >= sizeof key) {
            option_unknown(word + 2);
        }
        snprintf(key, sizeof key, "%.*s", (int)length, word + 2);
        const char *value = word + 2 + length;
        if (*value == '=') {
            value++;
        } else if (i + 1 < argc && strncmp(argv[i + 1], "--", 2)) {
            value = argv[++i];
        } else {
            value = NULL;
        }
        const struct option *option = NULL;
        for (int k = 0; k < OPTIONS; k++) {
            option = !strcmp(options[k].name, key) ? &options[k] : option;
        }
        if (!option) {
            option_other(key, value ? value : "");
        } else if (!value && option->type == OPTION_bool && !*(bool *)option_value(option, run)) {
            option_set(option, "True", run); // --key alone switches it on
        } else if (!value) {
            die(EXIT_USAGE, "--%s: no value; give one as --%s=value", key, key);
        } else {
            option_set(option, value, run);
        }
    }
    if (run->dropout > 0 && !model_info.dropout) {
        die(EXIT_USAGE,
            "--dropout=%g: this trainer is built without dropout; build one with it: make train %s",
            run->dropout, options_words(allocate_print("a setting", "dropout=%g", run->dropout)));
    }
}

bool options_given(int argc, char **argv, const char *key) {
    const size_t length = strlen(key);
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (!strncmp(word, "--", 2) && !strncmp(word + 2, key, length) &&
            (word[2 + length] == '=' || !word[2 + length])) {
            return true;
        }
    }
    return false;
}

// Reads a line without its newline; "" if there is none.
static void options_line(FILE *file, char line[MACHINE_PATH]) {
    if (!file || !fgets(line, MACHINE_PATH, file)) {
        *line = 0;
    }
    line[strcspn(line, "\n")] = 0;
}

char *options_words(const char *setting) {
    char path[MACHINE_PATH], config[MACHINE_PATH], settings[MACHINE_PATH], *set = NULL;
    FILE *beside = machine_beside("words", R_OK, path) ? stream_open(path, "r") : NULL;
    options_line(beside, config); // CONFIG=... BACKEND=...
    options_line(beside, settings);
    if (beside) {
        fclose(beside);
    }
    const char *gap = "";
    struct growing out;
    growing_begin(&out, "the words of make");
    struct pair pair;
    for (const char *rest = settings; pairs_next(&rest, &pair);) {
        bool same =
            !strncmp(setting, pair.key, (size_t)pair.key_length) && setting[pair.key_length] == '=';
        if (!same) {
            fprintf(out.file, "%s%.*s=%.*s", gap, pair.key_length, pair.key, pair.value_length,
                    pair.value);
            gap = " ";
        }
    }
    fprintf(out.file, "%s%s", *setting ? gap : "", setting);
    set = growing_end(&out);
    char *words = allocate_print("the words of make", "%s%s%s%s%s",
                                 *config ? "" : "CONFIG=", *config ? config : run_config_name,
                                 *set ? " SET=\"" : "", set, *set ? "\"" : "");
    free(set);
    return words;
}

void options_write_json(const struct run *run, FILE *out) {
    for (int i = 0; i < OPTIONS; i++) {
        const struct option *option = &options[i];
        char number[32];
        const char *value = option_print(option, run, number);
        fprintf(out, "%s\"%s\": ", i ? ", " : "{", option->name);
        if (option->type == OPTION_string) {
            json_write_string(out, value, strlen(value));
        } else if (option->type == OPTION_bool) {
            fputs(*value == 'T' ? "true" : "false", out);
        } else {
            fputs(value, out);
        }
    }
    putc('}', out);
}

char *options_text(const struct run *run) {
    const char *gap = "";
    struct growing out;
    growing_begin(&out, "the run's settings");
    for (int i = 0; i < OPTIONS; i++) {
        char number[32];
        const char *value = option_print(&options[i], run, number);
        if (options[i].changes_results && !key_is_absent(options[i].name, value)) {
            fprintf(out.file, "%s%s=%s", gap, options[i].name, value);
            gap = " ";
        }
    }
    return growing_end(&out);
}
