//// sampler_core.h: what a program on a microcontroller calls.
//$ function sampler_core(k)
// sampler_core.h: a model that writes text on a microcontroller: $(k.title).
// Made by $(k.command).
//
// To use it, add sampler_core.c, sampler_core.h and sampler_weights.c to a project, and compile the
// first with -Os -ffp-contract=off (the second so that it writes what a computer writes). It needs
// C11 by gcc or clang, a little-endian processor, and of C's library mem* and libm: no allocation,
// files, threads or start-up code. Weights are $(k.weight_bytes) bytes of constants; all that it
// keeps is one static struct of $(k.arena) bytes, but for some of padding. There is one text at a
// time; nothing here may be called from an interrupt.
//
//     int32_t ids[16];
//$ if k.characters then
//     sampler_core_begin();
//     sampler_core_take(ids, sampler_core_encode("Once", ids, 16));
//     const struct sampler_core_sampling how = {.temperature = 0.8, .top_p = 1, .seed = 1};
//     for (int i = 0, id; i < 200 && (id = sampler_core_next(&how)) >= 0; i++) {
//         char text[5];
//         sampler_core_decode(id, text);
//         uart_puts(text);
//     }
//$ else
//     sampler_core_begin();
//     sampler_core_take(ids, count); // ids of the prompt: `sample --tokens` prints a text's
//     const struct sampler_core_sampling how = {.temperature = 0.8, .top_p = 1, .seed = 1};
//     for (int i = 0, id; i < 200 && (id = sampler_core_next(&how)) >= 0; i++) {
//         uart_print_number(id); // its tokenizer has byte pairs, and stays on the computer
//     }
//$ end
//
// At the end of the context the older half of the tokens is dropped, as by --slide=half.
#ifndef SAMPLER_CORE_H
#define SAMPLER_CORE_H

#include <stdbool.h>
#include <stdint.h>

// Tokens that the model sees, and how many there are: ids are below that.
enum { SAMPLER_CORE_CONTEXT = $(k.c.block_size), SAMPLER_CORE_VOCABULARY = $(k.vocab_size) };

// How a token is chosen. All zeros but top_p = 1 is greedy.
struct sampler_core_sampling {
    double temperature;        // 0 is greedy
    double top_p;              // 1 is off
    double min_p;              // 0 is off
    double repetition_penalty; // 0 and 1 are off
    int top_k;                 // 0 is off
    uint32_t seed;
};

// Begins a new text.
void sampler_core_begin(void);
// Takes tokens in, a prompt's or what somebody says between two answers. Of more than fit into the
// context the last ones count. False, and nothing is taken in, if an id is not in the vocabulary.
bool sampler_core_take(const int32_t *ids, int count);
// Chooses the next token, which goes into the text too. -1: nothing was taken in yet, or a logit is
// not finite.
int sampler_core_next(const struct sampler_core_sampling *how);
//$ if k.characters then
// The ids of a text in UTF-8, at most `most`; returns how many. Characters that the model does not
// know are left out.
int sampler_core_encode(const char *text, int32_t *ids, int most);
// A token's text, in UTF-8 with a 0 behind it.
void sampler_core_decode(int32_t id, char text[5]);
//$ end

#endif
//$ end
