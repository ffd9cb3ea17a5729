// step.c: one training step and one evaluation batch: the calls into the model, a parallel region
// each.
#include "runtime/runtime.h"

#include <math.h>

struct step_job {
    struct model *m;
    const struct model_info *info;
    bool prepare;   // params changed
    bool zero;      // gradients start at 0
    bool gradients; // else the loss alone
};

static void step_run(void *context, int thread, int threads) {
    const struct step_job *job = context;
    profile_start(thread);
    if (job->prepare) {
        model_prepare(job->m, thread, threads);
    }
    if (job->zero) {
        optimizer_zero(job->m, job->info, thread, threads); // model_forward's barriers come after
    }
    model_forward(job->m, thread, threads);
    if (job->gradients) {
        model_backward(job->m, thread, threads);
    } else {
        model_loss(job->m, thread, threads);
    }
}

double step_peak(const struct model *m, char line[256]) {
    (void)m;
    double gflops = peak_gflops(parallel_count());
    snprintf(line, 256, "a multiply-add peak of %.1f GFLOP/s, measured now", gflops);
    return gflops * 1e9;
}

void step_begin(struct model *m, const struct model_info *info, const struct progress *progress) {
    (void)m, (void)info, (void)progress; // weights are computed with where they lie
}

void step_fetch(struct model *m, const struct model_info *info) {
    (void)m, (void)info;
}

void step_fetch_grads(struct model *m, const struct model_info *info) {
    (void)m, (void)info;
}

void step_gradients(struct model *m, const struct model_info *info, int micro_steps, bool first) {
    int64_t counted = 0, rows = (int64_t)info->batch_size * info->block_size;
    for (int64_t i = 0; i < rows; i++) {
        counted += m->targets[i] >= 0;
    }
    m->loss_scale = counted ? (float)(1 / ((double)counted * micro_steps)) : 0;
    parallel_run(step_run, &(struct step_job){m, info, first, first, true});
    m->total = first ? m->loss : m->total + m->loss;
}

void step_loss(struct model *m, const struct model_info *info, bool prepare, bool first) {
    parallel_run(step_run, &(struct step_job){.m = m, .info = info, .prepare = prepare});
    m->total = first ? m->loss : m->total + m->loss;
}

double step_total(struct model *m) {
    return m->total;
}

void step_update(struct model *m, const struct model_info *info, const struct run *run,
                 double learning_rate, int64_t t) {
    double norm = isfinite(m->total) ? optimizer_grad_norm(m, info) : NAN;
    bool skipped = !isfinite(norm);
    m->result = (struct step_result){
        .total = m->total,
        .last = m->loss,
        .norm = norm,
        .scale = 1,
        .t = skipped ? t - 1 : t,
        .skipped = skipped,
    };
    m->pending = 1;
    if (skipped) {
        return;
    }
    double clip = run->grad_clip > 0 ? run->grad_clip / (norm + 1e-6) : 1; // clip_grad_norm_'s 1e-6
    struct optimizer_step step = {
        .learning_rate = learning_rate,
        .beta1 = run->beta1,
        .beta2 = run->beta2,
        .eps = run->eps,
        .weight_decay = run->weight_decay,
        .t = t,
        .scale = clip < 1 ? clip : 1,
    };
    optimizer_update(m, info, &step);
}

int step_pending(const struct model *m) {
    return m->pending;
}

int step_ahead(const struct model *m) {
    (void)m;
    return 0;
}

struct step_result step_wait(struct model *m) {
    m->pending = 0;
    return m->result;
}
