// update.h: the factors of one update of a group of parameters, with the bias correction of Adam's
// moments. They are computed in double, as torch.optim does, and rounded to float once. Both C and,
// included after kernel.cuh, CUDA's kernels use this file.
#ifndef DIECAST_UPDATE_H
#define DIECAST_UPDATE_H

#include "runtime/kernel/emitted.h"

#include <math.h>

#ifdef DEVICE
#define UPDATE_FUNCTION DEVICE
#else
#define UPDATE_FUNCTION static inline
#endif

// scale: the factor of the gradients; t: the number of this update, from 1.
UPDATE_FUNCTION struct update update_numbers(const struct step_settings *set, int group,
                                             double scale, double t) {
    const struct group_settings *own = &set->group[group];
    struct update u;
    u.scale = (float)scale;
    u.decays = own->decays;
    u.keep_decayed = (float)(1 - own->learning_rate * own->weight_decay);
    u.l2_decayed = (float)own->weight_decay;
    u.rate = (float)own->learning_rate;
    u.mean_weight = (float)(1 - own->beta1);
    u.square_keep = (float)own->beta2;
    u.square_weight = (float)(1 - own->beta2);
    u.root = (float)sqrt(1 - pow(own->beta2, t));
    u.inverse_root = (float)(1 / sqrt(1 - pow(own->beta2, t)));
    u.step = (float)(own->learning_rate / (1 - pow(own->beta1, t)));
    u.eps = (float)set->eps;
    u.muon_rate = (float)set->muon_rate;
    u.muon_keep = (float)(1 - set->muon_rate * set->muon_decay);
    u.muon_momentum = (float)set->muon_momentum;
    u.muon_mean_weight = (float)(1 - set->muon_momentum);
    u.muon_match = set->muon_match;
    return u;
}

#endif
