// flags.c: the sampler's command line, with nanoGPT's names and defaults, from one table.
#include "runtime/programs/sample/flags.h"
#include "runtime/base/base.h"
#include "runtime/sample/sample.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum flag_kind { FLAG_TEXT, FLAG_INT, FLAG_REAL, FLAG_SWITCH, FLAG_TEXTS, FLAG_SLIDE };

struct flag {
    const char *name;
    enum flag_kind kind;
    size_t offset; // in struct sample_flags
    const char *value;
    const char *help;
    double least, most;
    const char *wanted;
};

static const struct flag flag_table[] = {
    {"checkpoint", FLAG_TEXT, offsetof(struct sample_flags, checkpoint), "",
     "out/NAME/ckpt.safetensors; the path alone is enough", 0, 0, "a path"},
    {"start", FLAG_TEXT, offsetof(struct sample_flags, start), "\n",
     "the prompt, or FILE:path; by default \"\\n\", or token 0", 0, 0, "text"},
    {"num_samples", FLAG_INT, offsetof(struct sample_flags, num_samples), "10",
     "how many texts to write", 0, 1e9, "a whole number from 0 to 1000000000"},
    {"together", FLAG_INT, offsetof(struct sample_flags, together), "0",
     "of them at a time; 0: up to 64 that fit in half of the memory", 0, 1e9,
     "a whole number from 0 to 1000000000"},
    {"lookup", FLAG_INT, offsetof(struct sample_flags, lookup), "0",
     "tokens to try at once, as they followed earlier: the same text", 0, 64,
     "a whole number from 0 to 64"},
    {"max_new_tokens", FLAG_INT, offsetof(struct sample_flags, max_new_tokens), "500",
     "tokens after the prompt, in each", 0, 1e9, "a whole number from 0 to 1000000000"},
    {"repetition_penalty", FLAG_REAL, offsetof(struct sample_flags, repetition_penalty), "1",
     "above 1: tokens that are there already are less likely", SAMPLING_PENALTY_LEAST,
     SAMPLING_PENALTY_MOST, "a number from 0.000001 to 1000000"},
    {"temperature", FLAG_REAL, offsetof(struct sample_flags, temperature), "0.8",
     "below 1: safer text; above 1: wilder; 0: the likeliest token", 0, SAMPLING_TEMPERATURE_MOST,
     "a number from 0 to 1000000"},
    {"top_k", FLAG_INT, offsetof(struct sample_flags, top_k), "200",
     "choose among the k likeliest tokens; 0: all", 0, 1e9, "a whole number from 0 to 1000000000"},
    {"top_p", FLAG_REAL, offsetof(struct sample_flags, top_p), "1",
     "choose among the likeliest that together reach this; 1: all", 0x1p-1022, 1,
     "a number above 0 and at most 1"},
    {"min_p", FLAG_REAL, offsetof(struct sample_flags, min_p), "0",
     "leave out tokens less than this times as likely as the likeliest", 0, 1,
     "a number from 0 to 1"},
    {"seed", FLAG_INT, offsetof(struct sample_flags, seed), "1337",
     "the same seed gives the same texts; -1: any, which is said", -1, 4294967295.0,
     "a whole number from -1 to 4294967295"},
    {"stop", FLAG_TEXTS, offsetof(struct sample_flags, stop), "",
     "end before this text; may be given several times", 0, 0,
     "UTF-8 text of 1 to 256 bytes, 16 times at most"},
    {"slide", FLAG_SLIDE, offsetof(struct sample_flags, slide_half), "one",
     "what a text loses when its context is full: one token, or half", 0, 0, "one or half"},
    {"json", FLAG_SWITCH, offsetof(struct sample_flags, json), "False",
     "a line of JSON each: text, tokens, their log probabilities, times", 0, 0,
     "True, False, 1 or 0"},
    {"logprobs", FLAG_INT, offsetof(struct sample_flags, logprobs), "0",
     "in JSON: also those of so many likeliest tokens in each place", 0, 100,
     "a whole number from 0 to 100"},
    {"timing", FLAG_SWITCH, offsetof(struct sample_flags, timing), "False",
     "say how fast the prompt and the tokens were", 0, 0, "True, False, 1 or 0"},
    {"interactive", FLAG_SWITCH, offsetof(struct sample_flags, interactive), "False",
     "go on with each line of the input; Ctrl-C ends an answer", 0, 0, "True, False, 1 or 0"},
    {"prompts", FLAG_TEXT, offsetof(struct sample_flags, prompts), "",
     "a file of prompts, a line each: a line of JSON for each text", 0, 0, "a path"},
    {"score", FLAG_TEXT, offsetof(struct sample_flags, score), "",
     "a text's file: its loss and perplexity instead of samples", 0, 0, "a path"},
    {"tokens", FLAG_SWITCH, offsetof(struct sample_flags, tokens), "False",
     "the ids of --start instead of samples", 0, 0, "True, False, 1 or 0"},
    {"threads", FLAG_INT, offsetof(struct sample_flags, threads), "0",
     "0: as many as help; the texts do not depend on it", 0, 256, "a whole number from 0 to 256"},
    {"verify", FLAG_SWITCH, offsetof(struct sample_flags, verify), "False",
     "check a state's moments too, and say how many tensors have a hash", 0, 0,
     "True, False, 1 or 0"},
    {"attention", FLAG_TEXT, offsetof(struct sample_flags, attention), "",
     "JSON file for the prompt's attention; text if --num_samples", 0, 0, "a path"},
};
enum { FLAGS = sizeof flag_table / sizeof flag_table[0] };

// Those that a prompt of --prompts may have of its own.
static const char *const own_flags[] = {
    "num_samples", "max_new_tokens", "repetition_penalty", "temperature", "top_k", "top_p", "min_p",
    "seed",        "stop",           "logprobs",
};
enum { OWN_FLAGS = sizeof own_flags / sizeof own_flags[0] };

// Flags of nanoGPT's sample.py that have no effect here; the last member: whether they are refused.
static const struct {
    const char *name, *instead;
    bool refused;
} foreign_flags[] = {
    {"device", "this sampler runs on the CPU; ignored", false},
    {"dtype", "this sampler computes in 32 bits; ignored", false},
    {"compile", "this sampler is compiled already; ignored", false},
    {"init_from", "give the file: --checkpoint=out/NAME/ckpt.safetensors", true},
    {"out_dir", "give the file: --checkpoint=out/NAME/ckpt.safetensors", true},
};
enum { FOREIGN_FLAGS = sizeof foreign_flags / sizeof foreign_flags[0] };

static void print_help(void) {
    printf("usage: %s [--flag=value ...]\n"
           "Writes text with a trained model%s. Built for this one:\n  %s\n\n",
           sampler_weights ? "sampler" : "sample CHECKPOINT",
           sampler_weights ? ", which is inside" : "", sampler_info.config);
    static const char *const kinds[] = {"text", "int", "float", "bool", "text", "text"};
    for (int i = 0; i < FLAGS; i++) {
        const struct flag *flag = &flag_table[i];
        const char *value = strcmp(flag->value, "\n") == 0 ? "\"\\n\"" : flag->value;
        printf("  --%-18s %-5s %-5s %s\n", flag->name, kinds[flag->kind], value, flag->help);
    }
    printf("  --%-18s %-5s %-5s %s\n", "help", "", "", "print this");
}

static bool is_switch_value(const char *text) {
    static const char *const values[] = {"True", "true", "1", "False", "false", "0"};
    for (int i = 0; i < 6; i++) {
        if (strcmp(text, values[i]) == 0) {
            return true;
        }
    }
    return false;
}

// Adds a text to those given before.
static bool add_text(struct sample_texts *texts, const char *text) {
    if (!stops_takes(text) || texts->count == SAMPLE_STOPS) {
        return false;
    }
    texts->text[texts->count++] = text;
    return true;
}

// False if the text is no value of the flag.
static bool try_flag(struct sample_flags *flags, const struct flag *flag, const char *text) {
    char *field = (char *)flags + flag->offset, *end = (char *)text;
    bool good = *text != '\0';
    errno = 0;
    if (flag->kind == FLAG_TEXT) {
        good = true;
        *(const char **)field = text;
    } else if (flag->kind == FLAG_INT) {
        long long value = strtoll(text, &end, 10);
        good = good && *end == '\0' && errno == 0 && value >= flag->least && value <= flag->most;
        *(int64_t *)field = value;
    } else if (flag->kind == FLAG_REAL) {
        double value = strtod(text, &end);
        good = good && *end == '\0' && value >= flag->least && value <= flag->most; // refuses NaN
        *(double *)field = value;
    } else if (flag->kind == FLAG_TEXTS) {
        good = add_text((struct sample_texts *)field, text);
    } else if (flag->kind == FLAG_SLIDE) {
        *(bool *)field = strcmp(text, "half") == 0;
        good = *(bool *)field || strcmp(text, "one") == 0;
    } else {
        good = is_switch_value(text);
        *(bool *)field = strchr("Tt1", *text) != NULL;
    }
    return good;
}

static void set_flag(struct sample_flags *flags, const struct flag *flag, const char *text) {
    if (!try_flag(flags, flag, text)) {
        die(EXIT_USAGE, "--%s: found '%s', wanted %s; --help lists the flags", flag->name, text,
            flag->wanted);
    }
}

static _Noreturn void refuse_unknown(const char *name, int length) {
    struct nearest nearest = nearest_to(name, length);
    for (int i = 0; i < FLAGS; i++) {
        nearest_try(&nearest, flag_table[i].name, (int)strlen(flag_table[i].name));
    }
    if (nearest.name != NULL) {
        die(EXIT_USAGE, "--%.*s: unknown flag; did you mean --%s?", length, name, nearest.name);
    }
    die(EXIT_USAGE, "--%.*s: unknown flag; --help lists the flags", length, name);
}

// Whether name is one of nanoGPT's flags that have no effect here; says what to use instead.
static bool flag_is_foreign(const char *name, int length) {
    for (int i = 0; i < FOREIGN_FLAGS; i++) {
        if (strncmp(name, foreign_flags[i].name, length) != 0 ||
            foreign_flags[i].name[length] != '\0') {
            continue;
        }
        if (foreign_flags[i].refused) {
            die(EXIT_USAGE, "--%.*s: %s", length, name, foreign_flags[i].instead);
        }
        warn("--%.*s: %s", length, name, foreign_flags[i].instead);
        return true;
    }
    return false;
}

static const struct flag *find_flag(const char *name, int length) {
    for (int i = 0; i < FLAGS; i++) {
        if (strncmp(name, flag_table[i].name, length) == 0 && flag_table[i].name[length] == '\0') {
            return &flag_table[i];
        }
    }
    return NULL;
}

// What is asked for must fit together.
static void check_together(const struct sample_flags *flags) {
    if (flags->logprobs > 0 && !flags->json) {
        die(EXIT_USAGE, "--logprobs: only JSON has them; add --json");
    }
    const char *const instead[] = {
        flags->interactive ? "interactive" : NULL, flags->score[0] ? "score" : NULL,
        flags->tokens ? "tokens" : NULL, flags->attention[0] ? "attention" : NULL,
        flags->prompts[0] ? "prompts" : NULL};
    const char *first = NULL;
    for (int i = 0; i < 5; i++) {
        if (first != NULL && instead[i] != NULL) {
            die(EXIT_USAGE, "--%s beside --%s: wanted one of them", first, instead[i]);
        }
        first = instead[i] != NULL ? instead[i] : first;
    }
}

bool sample_flags_own(struct sample_flags *flags, const char *name, const char *text,
                      char problem[FLAG_PROBLEM]) {
    const struct flag *flag = find_flag(name, (int)strlen(name));
    struct nearest nearest = nearest_to(name, (int)strlen(name));
    char shown[80];
    nearest_try(&nearest, "prompt", (int)strlen("prompt"));
    for (int i = 0; i < OWN_FLAGS; i++) {
        if (strcmp(own_flags[i], name) == 0) {
            slice_show((struct slice){text, strlen(text)}, 60, shown);
            snprintf(problem, FLAG_PROBLEM, "\"%s\": found '%s', wanted %s", name, shown,
                     flag->wanted);
            return try_flag(flags, flag, text);
        }
        nearest_try(&nearest, own_flags[i], (int)strlen(own_flags[i]));
    }
    slice_show((struct slice){name, strlen(name)}, 60, shown);
    if (flag) {
        snprintf(problem, FLAG_PROBLEM, "\"%s\" is of the whole run; give --%s", name, name);
    } else {
        snprintf(problem, FLAG_PROBLEM,
                 nearest.name ? "unknown \"%s\"; did you mean \"%s\"?"
                              : "unknown \"%s\"; wanted \"prompt\" and names of flags",
                 shown, nearest.name);
    }
    return false;
}

void sample_flags_parse(struct sample_flags *flags, int argc, char **argv) {
    for (int i = 0; i < FLAGS; i++) {
        if (flag_table[i].kind != FLAG_TEXTS) {
            set_flag(flags, &flag_table[i], flag_table[i].value);
        }
    }
    flags->start = NULL;
    flags->stop.count = 0;
    const char *path = NULL;
    bool texts = false; // whether --num_samples was given
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            print_help();
            exit(streams_close(EXIT_DONE));
        }
        if (strncmp(argv[i], "--", 2) != 0) {
            if (argv[i][0] == '-') {
                die(EXIT_USAGE, "%s: unknown flag; flags start with --, --help lists them",
                    argv[i]);
            }
            if (path != NULL) {
                die(EXIT_USAGE, "'%s' and '%s': wanted one path; quote a prompt of several words",
                    path, argv[i]);
            }
            path = argv[i];
            continue;
        }
        const char *name = argv[i] + 2, *value = strchr(name, '=');
        int length = value != NULL ? (int)(value - name) : (int)strlen(name);
        const char *next = i + 1 < argc && strncmp(argv[i + 1], "--", 2) != 0 ? argv[i + 1] : NULL;
        const struct flag *flag = find_flag(name, length);
        if (flag == NULL && !flag_is_foreign(name, length)) {
            refuse_unknown(name, length);
        }
        if (value != NULL) {
            value++;
        } else if (flag != NULL && flag->kind == FLAG_SWITCH &&
                   (next == NULL || !is_switch_value(next))) {
            value = "True";
        } else if (next != NULL) {
            value = next;
            i++;
        } else {
            die(EXIT_USAGE, "--%s: no value; write --%s=VALUE", name, name);
        }
        if (flag != NULL) {
            set_flag(flags, flag, value);
            texts = texts || strcmp(flag->name, "num_samples") == 0;
            if (*value == '\0' && strcmp(flag->name, "attention") == 0) {
                die(EXIT_USAGE, "--attention: no path; write --attention=FILE.json");
            }
            if (*value == '\0' &&
                (strcmp(flag->name, "score") == 0 || strcmp(flag->name, "prompts") == 0)) {
                die(EXIT_USAGE, "--%s: no path; write --%s=FILE", flag->name, flag->name);
            }
        }
    }
    if (flags->attention[0] != '\0' && !texts) {
        flags->num_samples = 0;
    }
    if (flags->prompts[0] != '\0') {
        flags->num_samples = texts ? flags->num_samples : 1;
        flags->json = true;
        if (flags->start) {
            die(EXIT_USAGE, "--start beside --prompts: wanted one of them");
        }
    }
    check_together(flags);
    if (path != NULL && flags->checkpoint[0] != '\0') {
        die(EXIT_USAGE, "'%s' beside --checkpoint=%s: wanted one; quote a prompt of several words",
            path, flags->checkpoint);
    }
    if (path != NULL) {
        flags->checkpoint = path;
    }
    flags->inside = flags->checkpoint[0] == '\0' && sampler_weights != NULL;
    if (flags->inside) {
        flags->checkpoint = SAMPLER_INSIDE;
    }
    if (flags->checkpoint[0] == '\0') {
        die(EXIT_USAGE, "usage: sample CHECKPOINT [--flag=value ...]; --help lists the flags");
    }
}
