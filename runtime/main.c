// main.c: the trainer: nanoGPT's loop.
//
// An iteration: evaluate where it is time and keep the best weights; then micro-steps, clip,
// update. Everything random is a function of the seed and the iteration, so that a run which is
// stopped and started again computes what it would have computed.
#include "runtime/runtime.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BAD_STEPS = 10, MFU_AFTER = 5 };

struct trainer {
    const struct run *run;
    const struct model_info *info;
    struct model m;
    struct data data;
    struct folder folder;
    struct metrics metrics;
    struct progress progress;
    char *run_text;
    double tokens_per_iter, peak_flops;
    double started, last_time; // of this process, of the last step's end
    double mfu;                // running mean, -1 before there is one
    int64_t local_iter;        // steps of this process
};

// ---- before the first step ----------------------------------------------------------------------

static void train_introduce(struct trainer *t, int threads) {
    const struct model_info *info = t->info;
    const struct run *run = t->run;
    int64_t tokens = run->gradient_accumulation_steps * info->batch_size * info->block_size;
    t->tokens_per_iter = (double)tokens;
    t->peak_flops = peak_gflops(threads) * 1e9;
    char tokenizer[96];
    tokenizer_describe(&t->data.tokenizer, tokenizer);
    printf("%s: %s\n", run_config_name, info->title);
    printf("data in %s: %s training tokens, %s validation tokens; %s\n", t->folder.data,
           text_count((int64_t)t->data.train.count).s, text_count((int64_t)t->data.val.count).s,
           tokenizer);
    if (!run->eval_only) {
        printf("run in %s\n", t->folder.out);
    }
    printf("tokens per iteration will be: %s\n", text_count(tokens).s);
    printf("number of parameters: %.2fM\n", (double)info->num_params_nanogpt / 1e6);
    printf("parameters in all: %s; without position embeddings, as above: %s\n",
           text_count(info->num_params).s, text_count(info->num_params_nanogpt).s);
    printf("planned memory: %s, threads: %d\n",
           text_bytes((double)model_plan_bytes(info, !run->eval_only)).s, threads);
    printf(
        "mfu: 6N + 12LHQT = %.2f MFLOP a token, of a multiply-add peak of %.1f GFLOP/s, measured "
        "now\n",
        info->flops_per_token / 1e6, t->peak_flops / 1e9);
    schedule_warn(run, info, t->data.train.count);
}

// ---- evaluation ---------------------------------------------------------------------------------

// The mean loss over eval_iters batches of one split. False where a stop was asked in between.
static bool train_estimate(struct trainer *t, const struct split *split, enum rng_stream stream,
                           bool prepare, double *mean) {
    const struct model_info *info = t->info;
    int64_t batches = t->run->eval_iters;
    double total = 0;
    t->m.dropout = 0;
    for (int64_t k = 0; k < batches; k++) {
        if (stop_asked()) {
            return false;
        }
        data_batch(split, (uint64_t)t->run->seed, stream,
                   (uint64_t)(t->progress.iter * batches + k), info->batch_size, info->block_size,
                   info->vocab_size, t->m.tokens, t->m.targets);
        step_loss(&t->m, prepare && k == 0);
        total += t->m.loss;
        meter_show("iter %" PRId64 ": evaluating, %" PRId64 " of %" PRId64 " batches",
                   t->progress.iter, k + 1 + (stream == RNG_EVAL_VAL ? batches : 0), 2 * batches);
    }
    *mean = total / (double)batches;
    return true;
}

// nanoGPT's rule: the best validation loss so far, or every time; not at iteration 0.
static void train_keep_best(struct trainer *t) {
    struct progress *p = &t->progress;
    if (!isfinite(p->val_loss)) {
        warn("iter %" PRId64 ": validation loss is not finite; nothing is saved", p->iter);
        return;
    }
    if (p->val_loss < p->best_val_loss || t->run->always_save_checkpoint) {
        p->best_val_loss = p->val_loss;
        if (p->iter > 0) {
            printf("saving checkpoint to %s\n", t->folder.out);
            checkpoint_save_weights(t->folder.ckpt, &t->m, t->info, p, t->run_text,
                                    t->data.tokenizer.text);
        }
    }
}

// False where a stop was asked; nothing has then changed.
static bool train_evaluate(struct trainer *t) {
    struct progress *p = &t->progress;
    double start = time_now(), train_loss, val_loss;
    if (!train_estimate(t, &t->data.train, RNG_EVAL_TRAIN, true, &train_loss) ||
        !train_estimate(t, &t->data.val, RNG_EVAL_VAL, false, &val_loss)) {
        return false;
    }
    p->train_loss = train_loss;
    p->val_loss = val_loss;
    meter_clear();
    printf("step %" PRId64 ": train loss %.4f, val loss %.4f\n", p->iter, train_loss, val_loss);
    if (!t->run->eval_only) {
        metrics_evaluation(&t->metrics, p->iter, train_loss, val_loss, time_now() - start);
        train_keep_best(t);
    }
    return true;
}

// ---- a step -------------------------------------------------------------------------------------

static void train_log(struct trainer *t, double loss) {
    const struct run *run = t->run;
    double now = time_now(), seconds = now - t->last_time;
    t->last_time = now;
    int64_t iter = t->progress.iter;
    if (iter % run->log_interval == 0) {
        if (t->local_iter >= MFU_AFTER) {
            double mfu = t->info->flops_per_token * t->tokens_per_iter / seconds / t->peak_flops;
            t->mfu = t->mfu < 0 ? mfu : 0.9 * t->mfu + 0.1 * mfu;
        }
        meter_clear();
        printf("iter %" PRId64 ": loss %.4f, time %.2fms, mfu %.2f%%\n", iter, loss, seconds * 1e3,
               t->mfu * 100);
    }
    double each = (now - t->started) / (double)(t->local_iter + 1);
    meter_show("iter %" PRId64 " of %" PRId64 ", loss %.4f, %.1f ms, %s to go", iter,
               run->max_iters, loss, seconds * 1e3,
               text_seconds(each * (double)(run->max_iters - iter)).s);
}

// An update was skipped: say so, and give up after BAD_STEPS in a row.
static void train_skipped(struct trainer *t, double loss, double norm) {
    struct progress *p = &t->progress;
    p->skipped++;
    p->bad_in_a_row++;
    meter_clear();
    warn("iter %" PRId64 ": loss %g, gradient norm %g: update skipped (%" PRId64
         " in a row, %" PRId64 " in all)",
         p->iter, loss, norm, p->bad_in_a_row, p->skipped);
    if (p->bad_in_a_row >= BAD_STEPS) {
        die(EXIT_NUMERICS,
            "iter %" PRId64 ": no finite loss in %d steps; the checkpoints in %s are as they were; "
            "lower --learning_rate or set --grad_clip",
            p->iter, BAD_STEPS, t->folder.out);
    }
}

static void train_step(struct trainer *t) {
    const struct run *run = t->run;
    const struct model_info *info = t->info;
    struct model *m = &t->m;
    struct progress *p = &t->progress;
    int64_t micro_steps = run->gradient_accumulation_steps;
    double start = time_now(), total = 0;
    double learning_rate = schedule_learning_rate(run, p->iter);
    for (int64_t micro = 0; micro < micro_steps; micro++) {
        uint64_t index = (uint64_t)(p->iter * micro_steps + micro);
        data_batch(&t->data.train, (uint64_t)run->seed, RNG_TRAIN, index, info->batch_size,
                   info->block_size, info->vocab_size, m->tokens, m->targets);
        uint64_t key =
            rng_bits((uint32_t)run->seed, RNG_DROPOUT, (uint32_t)index, (uint32_t)(index >> 32));
        m->dropout = (float)run->dropout;
        m->dropout_key[0] = (uint32_t)key;
        m->dropout_key[1] = (uint32_t)(key >> 32);
        step_gradients(m, info, (int)micro_steps, micro == 0);
        total += m->loss;
    }
    double norm = NAN;
    if (isfinite(total)) {
        norm = step_update(m, info, run, learning_rate, p->updates + 1);
    }
    bool skipped = !isfinite(norm);
    metrics_step(&t->metrics, p->iter, total / (double)micro_steps, learning_rate, norm, skipped,
                 time_now() - start, t->tokens_per_iter);
    if (skipped) {
        train_skipped(t, total / (double)micro_steps, norm);
    } else {
        p->updates++;
        p->bad_in_a_row = 0;
    }
    train_log(t, m->loss); // of the last micro-step, as nanoGPT's
}

// ---- the loop -----------------------------------------------------------------------------------

static void train_save_state(struct trainer *t) {
    checkpoint_save_state(t->folder.state, &t->m, t->info, &t->progress, t->run_text,
                          t->data.tokenizer.text);
}

// Runs to the end or to a stop, and says which: true at the end.
static bool train_loop(struct trainer *t) {
    const struct run *run = t->run;
    struct progress *p = &t->progress;
    t->started = t->last_time = time_now();
    while (p->iter <= run->max_iters) {
        if (p->iter % run->eval_interval == 0 && !train_evaluate(t)) {
            return false;
        }
        if (run->sample_interval > 0 && p->iter > 0 && p->iter % run->sample_interval == 0) {
            meter_clear();
            preview_print(&t->m, t->info, &t->data.tokenizer, (uint64_t)run->seed, p->iter);
        }
        train_step(t);
        p->iter++;
        t->local_iter++;
        if (stop_asked()) {
            return p->iter > run->max_iters;
        }
        if (run->checkpoint_interval > 0 && p->iter % run->checkpoint_interval == 0 &&
            p->bad_in_a_row == 0) {
            train_save_state(t);
        }
    }
    return true;
}

// Where the results lie and what to type next.
static void train_farewell(const struct trainer *t) {
    const struct folder *folder = &t->folder;
    const struct progress *p = &t->progress;
    printf("done: %" PRId64 " iterations", p->iter);
    if (p->best_val_loss < 1e9) {
        printf(", best val loss %.4f", p->best_val_loss);
    }
    printf(", %s\n", text_seconds(time_now() - t->started).s);
    bool best = !access(folder->ckpt, F_OK);
    if (best) {
        printf("weights: %s\n", folder->ckpt);
    }
    printf("state:   %s\nmetrics: %s\n", folder->state, folder->metrics);
    const char *make = getenv("MAKELEVEL"); // make says its own next command, in its own words
    if (!make || !*make) {
        printf("next:    build/%s/cpu/sample --checkpoint=%s\n", run_config_name,
               best ? folder->ckpt : folder->state);
    }
}

int main(int argc, char **argv) {
    struct run run = run_defaults;
    options_parse(&run, argc, argv);
    setvbuf(stdout, NULL, _IOLBF, 0); // a line at a time, into files and pipes too
    stop_listen();

    struct trainer t = {.run = &run, .info = &model_info, .mfu = -1};
    folder_name(&t.folder, &run);
    data_open(&t.data, t.folder.data, t.info->vocab_size, t.info->block_size);
    int threads = parallel_threads((int)run.threads);
    model_create(&t.m, t.info, !run.eval_only);
    if (!run.eval_only) {
        folder_lock(&t.folder);
    }
    train_introduce(&t, threads);
    start_run(&t.m, t.info, &run, &t.folder, t.data.tokenizer.text, &t.progress);
    t.run_text = options_text(&run);

    int code = EXIT_DONE;
    if (run.eval_only) {
        code = train_evaluate(&t) ? EXIT_DONE : EXIT_STOPPED;
    } else {
        metrics_open(&t.metrics, t.folder.metrics, t.progress.iter);
        t.progress.finished = train_loop(&t);
        meter_clear();
        train_save_state(&t);
        if (t.progress.finished) {
            train_farewell(&t);
        } else {
            printf("stopped before iteration %" PRId64 "; start it again to go on from %s\n",
                   t.progress.iter, t.folder.state);
            code = EXIT_STOPPED;
        }
        metrics_close(&t.metrics);
    }
    free(t.run_text);
    folder_free(&t.folder);
    data_close(&t.data);
    model_destroy(&t.m);
    return code;
}
