// fake_sampler.h: the sizes of the fake model, and a record of the calls to it.
#ifndef DIECAST_FAKE_SAMPLER_H
#define DIECAST_FAKE_SAMPLER_H

#include "runtime/kernel/emitted.h"

enum { FAKE_V = 12, FAKE_T = 8, FAKE_C = 6, FAKE_L = 2, FAKE_ROWS = 3, FAKE_CALLS = 64 };
#define FAKE_CONFIG                                                                                \
    "model=fake n_layer=2 n_embd=6 block_size=8 vocab_size=12 dropout=0 isa=generic "              \
    "activation=relu"

struct fake_call {
    int count, pos, texts; // pos: of the first row
};
extern struct fake_call fake_calls[FAKE_CALLS]; // the first calls of sampler_forward
extern int fake_calls_count;

#endif
