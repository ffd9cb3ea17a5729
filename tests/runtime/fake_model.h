// fake_model.h: the sizes of the fake model, and faults that a test can switch on.
#ifndef DIECAST_FAKE_MODEL_H
#define DIECAST_FAKE_MODEL_H

#include "runtime/train/train.h"

enum { FAKE_B = 4, FAKE_T = 8, FAKE_C = 8, FAKE_L = 2, FAKE_V = 16, FAKE_N = FAKE_B * FAKE_T };

#define FAKE_TOKENIZER "char 61 62 63 64 65 66 67 68 69 6a 6b 6c 6d 6e 6f 70"

// Calls of model_backward, model_loss and sampler_forward are counted from 0. At fake_signal_at of
// one of them, the process sends itself fake_signal, twice if that is negative; from
// fake_nan_from to before fake_nan_to of model_backward, the loss is not a number.
enum fake_call { FAKE_BACKWARD, FAKE_LOSS, FAKE_SAMPLER, FAKE_CALLS };
extern enum fake_call fake_signal_in;
extern int fake_signal_at, fake_signal, fake_nan_from, fake_nan_to;
extern int fake_forwards, fake_called[FAKE_CALLS]; // so far
extern double fake_wrong_gradient;                 // a factor of wte's gradient; 1 is right

#endif
