// flags.h: the sampler's command line.
#ifndef DIECAST_SAMPLE_FLAGS_H
#define DIECAST_SAMPLE_FLAGS_H

#include <stdbool.h>
#include <stdint.h>

enum { SAMPLE_STOPS = 16 }; // --stop= at most
struct sample_texts {
    const char *text[SAMPLE_STOPS];
    int count;
};

struct sample_flags {
    const char *checkpoint;
    bool inside;       // no checkpoint: the weights are in the program, and checkpoint names them
    const char *start; // text, or FILE:path; NULL for the tokenizer's default
    int64_t num_samples;
    int64_t together; // texts at a time; 0: as many as fit
    int64_t lookup;   // tokens of a draft; 0: none is tried
    int64_t max_new_tokens;
    double repetition_penalty;
    double temperature;
    int64_t top_k;
    double top_p, min_p;
    int64_t seed; // -1: any
    struct sample_texts stop;
    bool slide_half; // --slide=half
    bool json;
    int64_t logprobs;
    bool timing, interactive, tokens;
    const char *prompts; // the path of a file of prompts; "" for none
    const char *score;   // the path of a text; "" for none
    int64_t threads;     // 0: as many as help
    bool verify;
    const char *attention; // path for the prompt's attention weights; "" for none
};

// Reads --key=value, --key value and a checkpoint's path. --help prints the table and exits 0.
// Dies with EXIT_USAGE.
void sample_flags_parse(struct sample_flags *flags, int argc, char **argv);
// Sets a flag that a prompt may have of its own; keeps `text` of --stop. False, with what is wrong.
enum { FLAG_PROBLEM = 256 };
bool sample_flags_own(struct sample_flags *flags, const char *name, const char *text,
                      char problem[FLAG_PROBLEM]);

#endif
