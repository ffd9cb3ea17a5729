// step.c: training steps and evaluation batches. Each micro-step, and each evaluation batch, is one
// parallel region.
#include "runtime/kernel/update.h"
#include "runtime/model/model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct step_job {
    struct model *m;
    const struct model_info *info;
    bool evaluate;  // compute the micro-batch's loss alone
    bool gradients; // compute its loss and gradients
    bool judge;     // compute the gradients' norm and the step's result
    bool update;    // then clip and update, unless the step is skipped
    const struct step_settings *settings;
    int64_t t;                     // this update's number, from 1
    struct update numbers[GROUPS]; // step_judge sets them
};

// Makes the step's result from the norm, in one thread: whether the step is skipped, and the clip
// factor, as clip_grad_norm_ computes it, 1e-6 included.
static void step_judge(struct step_job *job) {
    struct model *m = job->m;
    double norm = isfinite(m->total) ? optimizer_norm_total(m, job->info) : NAN;
    bool skipped = !(norm < STEP_NORM_LIMIT); // also if norm is NaN
    double grad_clip = job->settings->grad_clip;
    double clip = grad_clip > 0 ? grad_clip / (norm + 1e-6) : 1;
    for (int group = 0; group < GROUPS; group++) {
        job->numbers[group] =
            update_numbers(job->settings, group, clip < 1 ? clip : 1, (double)job->t);
    }
    m->result = (struct step_result){
        .total = m->total,
        .last = m->loss,
        .norm = norm,
        .scale = 1,
        .t = skipped ? job->t - 1 : job->t,
        .skipped = skipped,
    };
    m->pending = 1;
}

static void step_run(void *context, int thread, int threads) {
    struct step_job *job = context;
    struct model *m = job->m;
    if (job->evaluate || job->gradients) {
        optimizer_image_part(m, job->info, thread, threads);
        profile_start(thread);
        model_forward(m, thread, threads);
        (job->gradients ? model_backward : model_loss)(m, thread, threads);
        if (thread == 0) {
            m->total = m->first ? m->loss : m->total + m->loss;
        }
    }
    if (job->judge) {
        const bool of_part = job->update && optimizer_share_norms;
        optimizer_norm_part(m, job->info, of_part, thread, threads);
        parallel_barrier();
        if (thread == 0) {
            if (of_part) {
                optimizer_share_norms(m->norms, optimizer_chunks(job->info));
            }
            step_judge(job);
        }
        parallel_barrier();
        if (job->update && !m->result.skipped) {
            optimizer_update_part(m, job->info, job->numbers, thread, threads);
        }
    }
}

double step_peak(const struct model *m, char line[256]) {
    (void)m;
    const bool bf16 = model_info.bf16 != NULL;
    double gflops = peak_gflops(parallel_count(), bf16, NULL);
    snprintf(line, 256, "a multiply-add peak of %.1f GFLOP/s%s, measured now", gflops,
             bf16 ? " in bfloat16" : "");
    return gflops * 1e9;
}

void step_begin(struct model *m, const struct model_info *info, int64_t updates, double loss_scale,
                int64_t loss_scale_steps) {
    (void)info;
    m->imaged = false; // else kernels read the weights where the host has put them
    (void)updates, (void)loss_scale, (void)loss_scale_steps;
}

void step_fetch(struct model *m, const struct model_info *info) {
    (void)m, (void)info;
}

void step_fetch_grads(struct model *m, const struct model_info *info) {
    (void)m, (void)info;
}

// Sets what the kernels need to know of a micro-batch: how many targets count, and whether its
// gradients overwrite grads.
static void step_take(struct model *m, const struct model_info *info, int micro_steps, bool first) {
    int64_t counted = 0, rows = (int64_t)info->batch_size * info->block_size;
    for (int64_t i = 0; i < rows; i++) {
        counted += m->targets[i] >= 0;
    }
    m->loss_scale = counted ? (float)(1 / ((double)counted * micro_steps)) : 0;
    m->first = first;
}

static struct step_job step_of_update(struct model *m, const struct model_info *info,
                                      const struct step_settings *settings, int64_t t) {
    return (struct step_job){
        .m = m,
        .info = info,
        .judge = true,
        .update = true,
        .settings = settings,
        .t = t,
    };
}

void step_gradients(struct model *m, const struct model_info *info, int micro_steps, bool first) {
    step_take(m, info, micro_steps, first);
    parallel_run(step_run, &(struct step_job){.m = m, .info = info, .gradients = true});
}

void step_update(struct model *m, const struct model_info *info,
                 const struct step_settings *settings, int64_t t) {
    struct step_job job = step_of_update(m, info, settings, t);
    parallel_run(step_run, &job);
}

void step_try(struct model *m, const struct model_info *info) {
    const struct step_settings settings = {.grad_clip = 0};
    struct step_job job = {.m = m, .info = info, .judge = true, .settings = &settings};
    parallel_run(step_run, &job);
}

void step_finish(struct model *m, const struct model_info *info, int micro_steps, bool first,
                 const struct step_settings *settings, int64_t t) {
    struct step_job job = step_of_update(m, info, settings, t);
    job.gradients = true;
    step_take(m, info, micro_steps, first);
    parallel_run(step_run, &job);
}

void step_loss(struct model *m, const struct model_info *info, bool first) {
    m->first = first;
    parallel_run(step_run, &(struct step_job){.m = m, .info = info, .evaluate = true});
}

double step_total(struct model *m) {
    return m->total;
}

void step_losses(struct model *m, const struct model_info *info, float *losses) {
    const size_t rows = (size_t)info->batch_size * (size_t)info->block_size;
    memcpy(losses, m->acts + info->losses, rows * sizeof *losses);
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
