// pace.c: how fast a run is: what its steps take, as a share of the peak, and how much of it ranks
// spend in exchanges. The first steps of a process do not count.
#include "runtime/train/train.h"

#include <inttypes.h>
#include <math.h>

enum { PACE_AFTER = 5 };

void pace_begin(struct pace *pace, const struct model *m, const struct model_info *info,
                int64_t micro_steps) {
    const int64_t tokens = micro_steps * info->batch_size * info->block_size;
    *pace = (struct pace){.info = info, .tokens_per_iter = (double)tokens, .mfu = -1};
    pace->peak_flops = ranks_size() * step_peak(m, pace->peak_text);
}

static bool pace_counts(const struct pace *pace) {
    return pace->settled >= PACE_AFTER;
}

void pace_step(struct pace *pace, double seconds) {
    if (pace_counts(pace)) {
        pace->step_seconds += seconds;
        pace->step_count++;
    }
}

void pace_exchange(struct pace *pace, double seconds, double hidden) {
    if (pace_counts(pace)) {
        pace->exchange_seconds += seconds;
        pace->hidden_seconds += hidden;
    }
}

void pace_log(struct pace *pace, double seconds) {
    if (pace_counts(pace) && pace->peak_flops > 0) {
        const double mfu = pace_mfu(pace, pace->tokens_per_iter / seconds);
        pace->mfu = pace->mfu < 0 ? mfu : 0.9 * pace->mfu + 0.1 * mfu;
    }
}

double pace_mfu(const struct pace *pace, double tokens_per_s) {
    return pace->peak_flops > 0 ? pace->info->flops_per_token * tokens_per_s / pace->peak_flops
                                : NAN;
}

double pace_tokens_per_s(const struct pace *pace) {
    return pace->step_count ? pace->tokens_per_iter * (double)pace->step_count / pace->step_seconds
                            : 0;
}

void pace_print(const struct pace *pace) {
    const struct model_info *info = pace->info;
    if (pace->step_count == 0 || pace->peak_flops <= 0) {
        return;
    }
    const double rate = pace_tokens_per_s(pace);
    printf("mfu over %" PRId64 " steps: %.2f%% by 6N + 12LHQT, %.2f%% by 6N + 6LHQT with all "
           "parameters; %.0f tokens/s; of %s\n",
           pace->step_count, 100 * pace_mfu(pace, rate),
           100 * rate * model_flops_llmc(info) / pace->peak_flops, rate, pace->peak_text);
    if (ranks_size() > 1) {
        const double each = 1e3 / (double)pace->step_count;
        printf("ranks: of %.2f ms a step rank 0 spends %.2f in exchanges, waiting for others "
               "included, and %.2f more of them while it computes\n",
               pace->step_seconds * each, pace->exchange_seconds * each,
               pace->hidden_seconds * each);
    }
}
