// schedule.c: an iteration's learning rates, Muon's momentum and decay, and warnings about settings
// that are probably mistakes.
#include "runtime/train/train.h"

#include <math.h>
#include <string.h>

// The way down of half a cosine: 1 at 0, 0 at 1.
static double schedule_cosine(double ratio) {
    return 0.5 * (1 + cos(3.141592653589793 * ratio));
}

double schedule_learning_rate(const struct run *run, int64_t iter) {
    if (!run->decay_lr) {
        return run->learning_rate;
    }
    if (iter < run->warmup_iters) {
        return run->learning_rate * (double)(iter + 1) / (double)(run->warmup_iters + 1);
    }
    if (!strcmp(run->schedule, "constant")) {
        return run->learning_rate;
    }
    if (iter > run->lr_decay_iters) {
        return run->min_lr;
    }
    double span = (double)(run->lr_decay_iters - run->warmup_iters);
    double share; // of the way from min_lr up to learning_rate
    if (!strcmp(run->schedule, "linear")) {
        double down = fmin(run->warmdown_ratio * (double)run->lr_decay_iters, fmax(span, 0));
        share = down > 0 ? fmin((double)(run->lr_decay_iters - iter) / down, 1) : 1;
    } else {
        double ratio = span > 0 ? (double)(iter - run->warmup_iters) / span : 0;
        share = schedule_cosine(ratio);
    }
    return run->min_lr + share * (run->learning_rate - run->min_lr);
}

static bool schedule_falls(const struct run *run) {
    return run->decay_lr && strcmp(run->schedule, "constant") != 0;
}

static double schedule_momentum(const struct run *run, int64_t iter) {
    const int64_t warmup = run->muon_momentum_warmup, warmdown = run->muon_momentum_warmdown;
    double from = run->muon_momentum, share = 1; // of the way from there to muon_momentum
    if (iter < warmup) {
        from = run->muon_momentum_start;
        share = (double)iter / (double)warmup;
    } else if (iter > run->lr_decay_iters - warmdown && warmdown > 0) {
        from = run->muon_momentum_end;
        share = fmax((double)(run->lr_decay_iters - iter), 0) / (double)warmdown;
    }
    return from + share * (run->muon_momentum - from);
}

static double schedule_decay(const struct run *run, int64_t iter) {
    if (!strcmp(run->muon_decay_schedule, "constant")) {
        return run->muon_weight_decay;
    }
    const bool on_the_way = iter < run->lr_decay_iters;
    return on_the_way ? run->muon_weight_decay *
                            schedule_cosine((double)iter / (double)run->lr_decay_iters)
                      : 0;
}

// What a run states of a group of parameters; below 0 is as all parameters'.
static struct group_settings schedule_own(const struct run *run, enum param_group group) {
    switch (group) {
    case GROUP_EMBD:
        return (struct group_settings){run->embd_learning_rate, run->embd_beta1, run->embd_beta2,
                                       run->embd_weight_decay, false};
    case GROUP_HEAD:
        return (struct group_settings){run->head_learning_rate, run->head_beta1, run->head_beta2,
                                       run->head_weight_decay, false};
    case GROUP_VECTORS:
        return (struct group_settings){run->vector_learning_rate, run->vector_beta1,
                                       run->vector_beta2, run->vector_weight_decay, false};
    default:
        return (struct group_settings){-1, -1, -1, -1, false};
    }
}

// A group's settings. `share`: of its highest learning rate, which follows the same schedule.
static struct group_settings schedule_group(const struct run *run, enum param_group group,
                                            double learning_rate, double share) {
    const struct group_settings own = schedule_own(run, group);
    return (struct group_settings){
        .learning_rate = own.learning_rate >= 0 ? own.learning_rate * share : learning_rate,
        .beta1 = own.beta1 >= 0 ? own.beta1 : run->beta1,
        .beta2 = own.beta2 >= 0 ? own.beta2 : run->beta2,
        .weight_decay = own.weight_decay >= 0 ? own.weight_decay : run->weight_decay,
        .decays = own.weight_decay >= 0,
    };
}

struct step_settings schedule_settings(const struct run *run, double learning_rate, int64_t iter) {
    const double share = run->learning_rate > 0 ? learning_rate / run->learning_rate : 0;
    struct step_settings settings = {
        .eps = run->eps,
        .grad_clip = run->grad_clip,
        .muon_rate = run->muon_learning_rate * share,
        .muon_momentum = schedule_momentum(run, iter),
        .muon_decay = schedule_decay(run, iter),
        .muon_match = !strcmp(run->muon_adjust, "match_rms_adamw"),
    };
    for (int group = 0; group < GROUPS; group++) {
        settings.group[group] = schedule_group(run, group, learning_rate, share);
    }
    return settings;
}

void schedule_warn_spent(const struct run *run, int64_t iter) {
    if (schedule_falls(run) && (double)iter < 0.75 * (double)run->lr_decay_iters) {
        warn("max_seconds = %g ended the run after %lld iterations, where the learning rate was "
             "still %.3g: it goes by iterations, so set lr_decay_iters to what the time allows",
             run->max_seconds, (long long)iter, schedule_learning_rate(run, iter));
    }
}

static bool schedule_has(const struct model_info *info, enum param_group group) {
    bool has = false;
    for (int i = 0; i < info->params_count; i++) {
        has = has || (info->params[i].group == group && !info->params[i].copy);
    }
    return has;
}

static void schedule_warn_groups(const struct run *run, const struct model_info *info) {
    static const char *const names[GROUPS] = {"", "embd", "head", "vector"};
    static const char *const keys[4] = {"learning_rate", "beta1", "beta2", "weight_decay"};
    for (int group = 1; group < GROUPS; group++) {
        const struct group_settings own = schedule_own(run, group);
        const double values[4] = {own.learning_rate, own.beta1, own.beta2, own.weight_decay};
        for (int i = 0; i < 4 && !schedule_has(info, group); i++) {
            if (values[i] >= 0) {
                warn("%s_%s = %g, but this model has no such tensor%s", names[group], keys[i],
                     values[i], group == GROUP_HEAD ? ": its head is the token embedding" : "");
            }
        }
        if (own.learning_rate > 0 && run->learning_rate == 0) {
            warn("%s_learning_rate = %g follows learning_rate, which is 0", names[group],
                 own.learning_rate);
        }
    }
}

void schedule_warn(const struct run *run, const struct model_info *info, size_t train_tokens) {
    long long max_iters = run->max_iters;
    if (run->decay_lr && run->max_iters < run->warmup_iters) {
        warn("max_iters = %lld is below warmup_iters = %lld: the learning rate never gets to "
             "learning_rate",
             max_iters, (long long)run->warmup_iters);
    }
    if (schedule_falls(run) && run->max_seconds <= 0 &&
        fabs((double)(run->lr_decay_iters - run->max_iters)) > 0.25 * (double)run->max_iters) {
        warn("lr_decay_iters = %lld is far from max_iters = %lld: the learning rate %s",
             (long long)run->lr_decay_iters, max_iters,
             run->lr_decay_iters > run->max_iters ? "is still high at the end"
                                                  : "stays at min_lr for long");
    }
    if (schedule_falls(run) && run->min_lr > run->learning_rate) {
        warn("min_lr = %g is above learning_rate = %g: the learning rate rises", run->min_lr,
             run->learning_rate);
    }
    if (run->eval_interval > run->max_iters && run->max_seconds <= 0 && !run->eval_only) {
        warn(
            "eval_interval = %lld is above max_iters = %lld: only iteration 0 is evaluated, and no "
            "ckpt.safetensors is saved",
            (long long)run->eval_interval, max_iters);
    }
    double batch = (double)info->batch_size * info->block_size;
    if ((double)train_tokens < 4 * batch) {
        warn("the training text has %s tokens, fewer than 4 batches of %s: it will be learnt by "
             "heart",
             figure_count((int64_t)train_tokens).s, figure_count((int64_t)batch).s);
    }
    schedule_warn_groups(run, info);
}
