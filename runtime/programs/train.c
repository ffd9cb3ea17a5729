// train.c: the trainer: nanoGPT's loop.
//
// An iteration: evaluate if it is due and keep the best weights; then micro-steps, clip, update. An
// iteration is submitted, and settled when its result is read: at once on the CPU, one iteration
// later on a device, which therefore never waits for the host. Everything random is a function of
// the seed and the iteration, so that a resumed run computes what it would have computed without
// the stop. A stop takes effect between micro-steps: an unfinished iteration has only computed
// gradients, and is repeated when the run resumes.
//
// In a job of several processes each has a part of the micro-steps and of an evaluation's batches.
// All have the same weights and progress and come to the same decisions, for which they agree on
// what one alone knows: that it is asked to stop, that time is up, that its data cannot be read.
// Rank 0 writes. There a stop takes effect between iterations.
#include "runtime/train/train.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BAD_STEPS = 10, BAD_STEPS_SCALED = 40 };

struct trainer {
    const struct run *run;
    const struct model_info *info;
    struct model m;
    struct data data;
    struct folder folder;
    struct metrics metrics;
    struct tensorboard tensorboard;
    struct report report;
    struct hellaswag hellaswag;
    struct progress progress;
    struct shares shares;
    struct reduce reduce;
    struct together together;
    struct pace pace;
    bool writes; // the one process, or rank 0
    char *run_text;
    double began;              // when this process began,
    double started, last_time; // when its loop did, and when the last step ended
    int64_t submitted;         // the next iteration to submit; progress.iter is the next to settle
    int64_t micro;             // micro-steps of it that are done
    double micro_seconds;      // of its first micro-step, if train_is_sound has done that already
    int64_t kept;              // the iteration of the state on disk; -1 if there is none
    enum exit_code failed;     // why the data could not be read, or EXIT_DONE
    double submit_time;        // when the oldest step that is not settled began
    double training_seconds;   // of all steps of the run, those of earlier processes too
    double earlier_seconds;    // of the steps and evaluations of earlier processes
    double val_bpb;            // of the last evaluation; NaN if unknown
};

// ---- before the first step ----------------------------------------------------------------------

static void train_introduce(struct trainer *t, int threads) {
    const struct model_info *info = t->info;
    const struct run *run = t->run;
    pace_begin(&t->pace, &t->m, info, run->gradient_accumulation_steps);
    char tokenizer[96];
    tokenizer_describe(&t->data.tokenizer, tokenizer);
    printf("%s: %s\n", run_config_name, info->title);
    printf("data in %s: %s training tokens, %s validation tokens; %s\n", t->folder.data,
           figure_count((int64_t)t->data.train.count).s, figure_count((int64_t)t->data.val.count).s,
           tokenizer);
    if (!run->eval_only) {
        printf("run in %s\n", t->folder.out);
    }
    printf("tokens per iteration will be: %s\n", figure_count((int64_t)t->pace.tokens_per_iter).s);
    printf("number of parameters: %.2fM\n", (double)info->num_params_nanogpt / 1e6);
    printf("parameters in all: %s; without position embeddings, as above: %s\n",
           figure_count(info->num_params).s, figure_count(info->num_params_nanogpt).s);
    size_t plan = model_plan_bytes(info, !run->eval_only), program = model_program_bytes();
    printf("planned memory: %s", figure_bytes((double)(plan + program)).s);
    if (program > 0) {
        printf(", of which %s are the program's", figure_bytes((double)program).s);
    }
    printf(", threads: %d\n", threads);
    shares_print(&t->shares, info);
    printf("mfu: 6N + 12LHQT = %.2f MFLOP a token, of %s\n", info->flops_per_token / 1e6,
           t->pace.peak_text);
    if (info->bf16 && !peak_has_bf16()) {
        printf("dtype: this build multiplies bfloat16 as float32; dtype=float32 is faster here\n");
    }
    schedule_warn(run, info, t->data.train.count);
}

// ---- what ends a loop ---------------------------------------------------------------------------

// Whether a stop is asked for: of one process at once, of several what they last agreed on.
static bool train_stops(const struct trainer *t) {
    return ranks_size() > 1 ? t->together.stop : stop_asked();
}

// Whether the run has had the training time that max_seconds allows it. A device has then one step
// more under way.
static bool train_is_over(const struct trainer *t) {
    return t->run->max_seconds > 0 && t->training_seconds >= t->run->max_seconds;
}
static bool train_is_spent(const struct trainer *t) {
    return ranks_size() > 1 ? t->together.spent : train_is_over(t);
}

// ---- evaluation ---------------------------------------------------------------------------------

// The mean loss over eval_iters batches of a split, and bits per byte. False if a stop is asked for
// or reading fails.
static bool train_estimate(struct trainer *t, const struct split *split, enum rng_stream stream,
                           double *mean, double *bpb) {
    const struct model_info *info = t->info;
    int64_t batches = t->run->eval_iters, k;
    if (ranks_size() > 1) {
        struct estimate shared = {.m = &t->m,
                                  .info = info,
                                  .tokenizer = &t->data.tokenizer,
                                  .split = split,
                                  .stream = stream,
                                  .seed = (uint64_t)t->run->seed,
                                  .iter = t->progress.iter,
                                  .batches = batches};
        ranks_at(t->progress.iter, "the weights are evaluated");
        const bool whole = estimate_shared(&shared, mean, bpb);
        t->together.stop = t->together.stop || shared.stop;
        t->failed = shared.failed;
        return whole;
    }
    struct bytes bytes;
    bytes_begin(&bytes, info, &t->data.tokenizer);
    t->m.dropout = 0;
    for (k = 0; k < batches && !stop_asked(); k++) {
        t->failed = data_batch(split, (uint64_t)t->run->seed, stream,
                               (uint64_t)(t->progress.iter * batches + k), info->batch_size,
                               info->block_size, info->vocab_size, t->m.tokens, t->m.targets);
        if (t->failed) {
            break;
        }
        bytes_take(&bytes, t->m.targets);
        step_loss(&t->m, info, k == 0);
        bytes_add(&bytes, &t->m);
        meter_show("iter %" PRId64 ": evaluating, %" PRId64 " of %" PRId64 " batches",
                   t->progress.iter, k + 1 + (stream == RNG_EVAL_VAL ? batches : 0), 2 * batches);
    }
    const double total = step_total(&t->m);
    *mean = total / (double)batches;
    *bpb = bytes_end(&bytes, total);
    return k == batches;
}

// Saves the weights by nanoGPT's rule: if the validation loss is the best so far, or always if the
// config says so; not at iteration 0. A finite loss is no proof of finite weights: relu makes 0 of
// a NaN, and an infinite moment stops its weight without a trace.
static void train_keep_best(struct trainer *t) {
    struct progress *p = &t->progress;
    char name[PARAM_NAME];
    if (!isfinite(p->val_loss) || !isfinite(p->train_loss)) {
        warn("iter %" PRId64 ": %s loss is not finite; nothing is saved", p->iter,
             isfinite(p->val_loss) ? "training" : "validation");
        return;
    }
    if (p->val_loss < p->best_val_loss || t->run->always_save_checkpoint) {
        step_fetch(&t->m, t->info);
        if (!checkpoint_is_finite(&t->m, t->info, name)) {
            warn("iter %" PRId64 ": %s has a value that is not finite; no checkpoint is saved",
                 p->iter, name);
            return;
        }
        p->best_val_loss = p->val_loss;
        if (p->iter > 0 && t->writes) {
            printf("saving checkpoint to %s\n", t->folder.out);
            p->log_lines = metrics_lines(&t->metrics, p->iter);
            p->training_seconds = t->run->max_seconds > 0 ? t->training_seconds : -1;
            checkpoint_save_weights(t->folder.ckpt, &t->m, t->info, p, t->run_text,
                                    t->data.tokenizer.text);
        }
    }
}

// Makes the page of the run so far. The time that it takes is not counted as training.
static void train_report(struct trainer *t) {
    const double seconds = report_refresh(&t->report);
    t->started += seconds;
    t->last_time += seconds;
}

// False if a stop is asked for or reading fails; nothing has changed then.
static bool train_evaluate(struct trainer *t) {
    struct progress *p = &t->progress;
    double start = time_now(), train_loss, val_loss, val_bpb;
    if (!train_estimate(t, &t->data.train, RNG_EVAL_TRAIN, &train_loss, &val_bpb) ||
        !train_estimate(t, &t->data.val, RNG_EVAL_VAL, &val_loss, &val_bpb)) {
        return false;
    }
    t->val_bpb = val_bpb;
    p->train_loss = train_loss;
    p->val_loss = val_loss;
    meter_clear();
    printf("step %" PRId64 ": train loss %.4f, val loss %.4f\n", p->iter, train_loss, val_loss);
    if (!t->run->eval_only && !t->writes) {
        train_keep_best(t);
    } else if (!t->run->eval_only) {
        const struct evaluation_record record = {.iter = p->iter,
                                                 .train_loss = train_loss,
                                                 .val_loss = val_loss,
                                                 .val_bpb = val_bpb,
                                                 .seconds = time_now() - start};
        metrics_evaluation(&t->metrics, &record);
        tensorboard_evaluation(&t->tensorboard, &record);
        train_keep_best(t);
        train_report(t);
    }
    return true;
}

// The same of HellaSwag.
static bool train_hellaswag(struct trainer *t) {
    const double start = time_now();
    ranks_at(t->progress.iter, "HellaSwag is evaluated");
    if (!together_hear(t->writes && hellaswag_run(&t->hellaswag, &t->m, t->info))) {
        t->together.stop = true;
        return false;
    }
    if (!t->writes) {
        return true;
    }
    struct hellaswag_record record = hellaswag_result(&t->hellaswag);
    record.iter = t->progress.iter;
    record.seconds = time_now() - start;
    printf("step %" PRId64 ": ", t->progress.iter);
    hellaswag_print(&t->hellaswag);
    if (!t->run->eval_only) {
        metrics_hellaswag(&t->metrics, &record);
        tensorboard_hellaswag(&t->tensorboard, &record);
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
        pace_log(&t->pace, seconds);
        meter_clear();
        printf("iter %" PRId64 ": loss %.4f, time %.2fms, mfu %.2f%%\n", iter, loss, seconds * 1e3,
               t->pace.mfu * 100);
    }
    double each = (now - t->started) / (double)(t->pace.settled + 1);
    double left = each * (double)(run->max_iters - iter);
    if (run->max_seconds > 0 && run->max_seconds - t->training_seconds < left) {
        left = fmax(0, run->max_seconds - t->training_seconds);
    }
    meter_show("iter %" PRId64 " of %" PRId64 ", loss %.4f, %.1f ms, %s to go", iter,
               run->max_iters, loss, seconds * 1e3, figure_seconds(left).s);
}

// Says which state is left when the weights in memory are not finite any more.
static void train_say_kept(const struct trainer *t, char text[600]) {
    if (t->kept < 0) {
        snprintf(text, 600, "nothing was saved before");
    } else {
        snprintf(text, 600, "%.500s is still that of iteration %" PRId64, t->folder.state, t->kept);
    }
}

// All ranks come here together; rank 0 says why.
static _Noreturn void train_give_up(const struct trainer *t, const char *why) {
    char kept[600];
    ranks_close();
    train_say_kept(t, kept);
    die(EXIT_NUMERICS, "iter %" PRId64 ": %s; %s: %slower --learning_rate or set --grad_clip",
        t->progress.iter, why, kept,
        t->kept < 0 ? "" : "to resume from there, give --init_from=resume, and ");
}

static bool train_is_scaled(const struct trainer *t) {
    return !strcmp(t->info->dtype, "float16");
}

// Reports a skipped update, and gives up after many in a row; after more in float16, where the loss
// scaler skips an update each time that it halves its factor.
static void train_skipped(struct trainer *t, const struct step_result *result, double loss) {
    struct progress *p = &t->progress;
    bool scaled = train_is_scaled(t);
    p->skipped++;
    p->bad_in_a_row++;
    meter_clear();
    warn("iter %" PRId64 ": loss %g, gradient norm %g%s: update skipped (%" PRId64
         " in a row, %" PRId64 " in all)",
         p->iter, loss, result->norm, scaled ? ", loss scale halved" : "", p->bad_in_a_row,
         p->skipped);
    if (p->bad_in_a_row >= (scaled ? BAD_STEPS_SCALED : BAD_STEPS)) {
        char why[80];
        snprintf(why, sizeof why, "no finite loss and gradients in %" PRId64 " steps",
                 p->bad_in_a_row);
        train_give_up(t, why);
    }
}

// Fills m's tokens and targets for the next micro-step. False if the data cannot be read.
static bool train_take_batch(struct trainer *t) {
    const struct run *run = t->run;
    const struct model_info *info = t->info;
    struct model *m = &t->m;
    uint64_t index =
        (uint64_t)(t->submitted * run->gradient_accumulation_steps + t->reduce.first + t->micro);
    t->failed = data_batch(&t->data.train, (uint64_t)run->seed, RNG_TRAIN, index, info->batch_size,
                           info->block_size, info->vocab_size, m->tokens, m->targets);
    uint64_t key =
        rng_bits((uint32_t)run->seed, RNG_DROPOUT, (uint32_t)index, (uint32_t)(index >> 32));
    m->dropout = (float)run->dropout;
    m->dropout_key[0] = (uint32_t)key;
    m->dropout_key[1] = (uint32_t)(key >> 32);
    return !t->failed;
}

// Computes the next micro-step's gradients from its batch.
static void train_micro_step(struct trainer *t) {
    struct reduce *r = &t->reduce;
    step_gradients(&t->m, t->info, (int)r->micro_steps, t->micro % r->each == 0);
    if (!r->plain) {
        reduce_add(r, t->micro);
    }
    t->micro++;
}

// Submits iteration t->submitted. False, without the update, if a stop is asked for before its last
// micro-step or the data cannot be read.
static bool train_submit(struct trainer *t) {
    const struct run *run = t->run;
    struct reduce *r = &t->reduce;
    const int micro_steps = (int)r->micro_steps;
    const double waited = reduce_waited(r), hidden = reduce_hidden(r);
    ranks_at(t->submitted, "gradients are computed and added");
    while (t->micro + r->plain < r->own && !train_stops(t) && train_take_batch(t)) {
        if (t->micro + 1 == r->own) {
            reduce_begin(r);
        }
        train_micro_step(t);
    }
    if (train_stops(t) || (t->failed && ranks_size() == 1)) {
        return false;
    }
    const struct step_settings settings =
        schedule_settings(run, schedule_learning_rate(run, t->submitted), t->submitted);
    const int64_t update = t->progress.updates + 1;
    if (!r->plain) {
        reduce_finish(r);
        t->failed = (enum exit_code)ranks_most(t->failed);
        if (t->failed) {
            t->micro = r->own; // on all ranks
            return false;
        }
        step_update(&t->m, t->info, &settings, update);
        reduce_return(r);
    } else if (t->micro == micro_steps) {
        step_update(&t->m, t->info, &settings, update);
    } else if (train_take_batch(t)) {
        step_finish(&t->m, t->info, micro_steps, micro_steps == 1, &settings, update);
    } else {
        return false;
    }
    pace_exchange(&t->pace, reduce_waited(r) - waited, reduce_hidden(r) - hidden);
    t->micro = 0;
    t->submitted++;
    return true;
}

// Reads the oldest result, which ends iteration t->progress.iter.
static void train_settle(struct trainer *t) {
    const struct run *run = t->run;
    struct progress *p = &t->progress;
    const struct step_result result = step_wait(&t->m);
    double now = time_now(), seconds = now - t->submit_time;
    t->submit_time = now; // when a device starts the next step, if that is submitted
    t->training_seconds += seconds;
    pace_step(&t->pace, seconds);
    double loss = result.total / (double)run->gradient_accumulation_steps;
    const double rate = seconds > 0 ? t->pace.tokens_per_iter / seconds : 0;
    const struct step_record record = {
        .iter = p->iter,
        .loss = loss,
        .learning_rate = schedule_learning_rate(run, p->iter),
        .grad_norm = result.norm,
        .skipped = result.skipped,
        .seconds = seconds,
        .tokens_per_s = rate,
        .mfu = pace_mfu(&t->pace, rate),
    };
    if (t->writes) {
        metrics_step(&t->metrics, &record);
        tensorboard_step(&t->tensorboard, &record);
    }
    if (result.skipped) {
        train_skipped(t, &result, loss);
    } else {
        p->bad_in_a_row = 0;
    }
    p->updates = result.t;
    p->loss_scale = result.scale;
    p->loss_scale_steps = result.good;
    train_log(t, result.last); // the last micro-step's loss, as nanoGPT prints it
    p->iter++;
    t->pace.settled++;
}

static void train_settle_all(struct trainer *t) {
    while (step_pending(&t->m) > 0) {
        train_settle(t);
    }
}

// ---- the loop -----------------------------------------------------------------------------------

// Whether training can continue from these weights: the next iteration's micro-steps so far, at
// least the first one, have a finite loss and finite gradients (or only a finite loss with a loss
// scaler, which may still lower its factor). The first micro-step is then done and is not computed
// again.
static bool train_is_sound(struct trainer *t) {
    if (t->micro == 0) {
        const double start = time_now();
        if (!t->failed) {
            train_take_batch(t); // if it cannot be read, the batch before will do
        }
        train_micro_step(t);
        t->failed = (enum exit_code)ranks_most(t->failed);
        step_try(&t->m, t->info);
        t->micro_seconds = time_now() - start;
    } else {
        step_try(&t->m, t->info);
    }
    const struct step_result result = step_wait(&t->m);
    return together_hear(isfinite(result.total) && (train_is_scaled(t) || !result.skipped));
}

// Saves a state, if the run can continue from it (and if this process writes); otherwise keeps the
// old one and says why. All steps must be settled.
static bool train_save_state(struct trainer *t, char why[200]) {
    char name[PARAM_NAME] = "a moment of another rank's";
    ranks_at(t->progress.iter, "a state is saved");
    bool sound = train_is_sound(t);
    step_fetch(&t->m, t->info);
    const bool whole = !ranks_most(!checkpoint_is_finite(&t->m, t->info, name));
    if (!sound) {
        snprintf(why, 200, "these weights give no finite loss and gradients");
    } else if (!whole) {
        snprintf(why, 200, "%s has a value that is not finite", name);
    } else if (!t->writes) {
        shares_bring(&t->shares, &t->m);
        t->kept = t->progress.iter;
        return true;
    } else {
        t->progress.log_lines = metrics_lines(&t->metrics, t->progress.iter);
        t->progress.training_seconds = t->run->max_seconds > 0 ? t->training_seconds : -1;
        // What a state knows of is there with it.
        metrics_sync(&t->metrics);
        tensorboard_sync(&t->tensorboard);
        shares_bring(&t->shares, &t->m);
        checkpoint_save_state(t->folder.state, &t->m, t->info, &t->progress, t->run_text,
                              t->data.tokenizer.text);
        shares_brought(&t->shares, &t->m);
        t->kept = t->progress.iter;
        return true;
    }
    return false;
}

static void train_try_to_save_state(struct trainer *t) {
    char why[200], kept[600];
    if (!train_save_state(t, why)) {
        train_say_kept(t, kept);
        meter_clear();
        warn("iter %" PRId64 ": %s, so they are not saved; %s", t->progress.iter, why, kept);
    }
}

// Samples from the current weights: to the log if `print`, and to TensorBoard. Writes nothing if a
// stop is asked for meanwhile.
static void train_sample(struct trainer *t, bool print) {
    if (!t->writes) {
        return;
    }
    size_t length;
    int64_t iter = t->progress.iter;
    step_fetch(&t->m, t->info);
    char *text =
        preview_text(&t->m, t->info, &t->data.tokenizer, (uint64_t)t->run->seed, iter, &length);
    if (stop_asked()) {
        free(text);
        return;
    }
    if (print) {
        meter_clear();
        printf("sample at iter %" PRId64 ":\n", iter);
        fwrite(text, 1, length, stdout);
        printf("\n---------------\n");
    }
    tensorboard_text(&t->tensorboard, iter, text, length);
    free(text);
}

static bool train_is_due(int64_t iter, int64_t interval) {
    return interval > 0 && iter > 0 && iter % interval == 0;
}

// Runs to the end (true) or to a stop (false). Where time ends it, one more evaluation follows: a
// stop meanwhile leaves it to the next start. Before the weights are used for anything else, all
// submitted steps are settled.
static bool train_loop(struct trainer *t) {
    const struct run *run = t->run;
    struct progress *p = &t->progress;
    t->started = t->last_time = time_now();
    t->submitted = p->iter;
    const int64_t first = p->iter;
    together_agree(&t->together, t->submitted, train_is_over(t));
    while (t->submitted <= run->max_iters && !train_is_spent(t) && !train_stops(t)) {
        if (t->submitted % run->eval_interval == 0) {
            train_settle_all(t);
            if (!train_evaluate(t)) {
                break;
            }
        }
        if (run->hellaswag_interval > 0 && t->submitted % run->hellaswag_interval == 0) {
            train_settle_all(t);
            if (!train_hellaswag(t)) {
                break;
            }
        }
        if (train_is_due(t->submitted, run->sample_interval)) {
            train_settle_all(t);
            train_sample(t, true);
        }
        // The state is saved only if the next iteration's first micro-step is finite. If a stop was
        // asked for during an evaluation or a preview, it is saved at the stop alone.
        if (train_is_due(t->submitted, run->checkpoint_interval) && t->submitted > first &&
            !train_stops(t)) {
            train_settle_all(t);
            if (p->bad_in_a_row == 0) {
                train_try_to_save_state(t);
            }
        }
        if (step_pending(&t->m) == 0) {
            t->submit_time = time_now() - (t->micro > 0 ? t->micro_seconds : 0);
        }
        if (!train_submit(t)) {
            break;
        }
        while (step_pending(&t->m) > step_ahead(&t->m)) {
            train_settle(t);
        }
        together_agree(&t->together, t->submitted, train_is_over(t));
    }
    train_settle_all(t);
    if (p->iter > run->max_iters) {
        return true;
    }
    return train_is_spent(t) && !t->failed && !train_stops(t) && train_evaluate(t) &&
           (!run->hellaswag_interval || train_hellaswag(t));
}

static struct closing train_closing(const struct trainer *t) {
    const struct progress *p = &t->progress;
    const double rate = pace_tokens_per_s(&t->pace), peak = (double)model_peak_bytes();
    return (struct closing){
        .val_loss = p->val_loss,
        .val_bpb = t->val_bpb,
        .training_seconds = t->training_seconds,
        .total_seconds = t->earlier_seconds + time_now() - t->began,
        .peak_mb = peak > 0 ? peak / (1 << 20) : NAN,
        .mfu_percent = rate > 0 ? 100 * pace_mfu(&t->pace, rate) : NAN,
        .tokens = t->pace.tokens_per_iter * (double)p->iter,
        .num_params = (double)t->info->num_params,
        .num_steps = p->iter,
    };
}

// Prints where the results are and what to type next.
static void train_farewell(const struct trainer *t) {
    const struct folder *folder = &t->folder;
    const struct progress *p = &t->progress;
    printf("done: %" PRId64 " iterations", p->iter);
    if (p->best_val_loss < 1e9) {
        printf(", best val loss %.4f", p->best_val_loss);
    }
    printf(", %s\n", figure_seconds(time_now() - t->started).s);
    pace_print(&t->pace);
    bool best = !access(folder->ckpt, F_OK);
    if (best) {
        printf("weights: %s\n", folder->ckpt);
    }
    printf("state:   %s\nmetrics: %s\n", folder->state, folder->metrics);
    if (p->iter <= t->run->max_iters) {
        schedule_warn_spent(t->run, p->iter);
    }
    const char *make = getenv("MAKELEVEL"); // under make, the Makefile prints the next command
    char sampler[MACHINE_PATH];
    if ((!make || !*make) && machine_beside("sample", X_OK, sampler)) {
        char *program = shell_word(sampler);
        char *checkpoint = shell_word(best ? folder->ckpt : folder->state);
        printf("next:    %s --checkpoint=%s\n", program, checkpoint);
        free(program);
        free(checkpoint);
    }
}

// Opens what is written during a run, and takes from it what the run has had so far.
static void train_open_logs(struct trainer *t) {
    const struct run *run = t->run;
    metrics_open(&t->metrics, &t->folder, &t->progress, run);
    const struct metrics_kept *kept = &t->metrics.kept;
    const double known = t->progress.training_seconds;
    t->training_seconds = known >= 0 ? known : kept->step_seconds;
    t->earlier_seconds = t->training_seconds + kept->evaluation_seconds;
    t->val_bpb = kept->val_bpb;
    if (run->tensorboard) {
        tensorboard_open(&t->tensorboard, t->folder.out, t->info->config, t->run_text,
                         run->max_iters, t->progress.iter, kept->best_val_loss);
    }
    if (run->report) {
        report_open(&t->report, &t->folder);
    }
}

int main(int argc, char **argv) {
    streams_open();
    ranks_open(&argc, &argv);
    struct run run = run_defaults;
    options_parse(&run, argc, argv);
    if (ranks_device && !options_given(argc, argv, "reduce")) {
        run.reduce = "fast"; // on GPUs an exact sum is for those who ask for it
    }
    setvbuf(stdout, NULL, _IOLBF, 0); // line-buffered, into files and pipes too
    stop_listen();

    struct trainer t = {
        .run = &run, .info = &model_info, .writes = ranks_rank() == 0, .began = time_now()};
    folder_name(&t.folder, &run);
    data_open(&t.data, t.folder.data, t.info->vocab_size, t.info->block_size);
    if (run.verify) {
        data_verify(&t.data);
    }
    if (run.hellaswag_interval > 0 && t.writes) {
        char *path = hellaswag_path(run.data_dir);
        hellaswag_open(&t.hellaswag, path, t.info, t.folder.data, t.data.tokenizer.text);
        free(path);
    }
    int threads = parallel_choose((int)run.threads);
    shares_create(&t.shares, t.info, !strcmp(run.reduce, "fast"), run.zero && !run.eval_only);
    model_create(&t.m, t.info, !run.eval_only);
    if (!run.eval_only && t.writes) {
        folder_lock(&t.folder);
    }
    together_meet(&run, &t.data);
    train_introduce(&t, threads);
    bool resumed = start_job(&t.m, t.info, &run, &t.folder, &t.data, &t.shares, &t.progress);
    ranks_begin(run.comm_timeout);
    reduce_create(&t.reduce, &t.m, t.info, run.gradient_accumulation_steps, run.reduce_groups,
                  &t.shares, run.overlap);
    reduce_print(&t.reduce);
    memcpy(t.progress.data, t.data.hash, sizeof t.progress.data);
    t.kept = resumed ? t.progress.iter : -1;
    step_begin(&t.m, t.info, t.progress.updates, t.progress.loss_scale,
               t.progress.loss_scale_steps);
    t.run_text = options_text(&run);

    int code = EXIT_DONE;
    if (run.eval_only) {
        const bool done = train_evaluate(&t) && (!run.hellaswag_interval || train_hellaswag(&t));
        code = done ? EXIT_DONE : t.failed ? (int)t.failed : EXIT_STOPPED;
    } else {
        struct run_json run_json = {.folder = &t.folder,
                                    .run = &run,
                                    .info = t.info,
                                    .data = &t.data,
                                    .tokens_per_iter = t.pace.tokens_per_iter,
                                    .peak_flops = t.pace.peak_flops,
                                    .hardware = t.pace.peak_text,
                                    .threads = threads};
        if (t.writes) {
            run_json_write(&run_json);
            train_open_logs(&t);
        }
        t.progress.finished = train_loop(&t);
        meter_clear();
        char why[200];
        if (!t.progress.finished) {
            train_try_to_save_state(&t);
        } else if (!train_save_state(&t, why)) {
            train_give_up(&t, why);
        }
        if (t.progress.finished) {
            if (run.tensorboard) {
                train_sample(&t, false);
            }
            const struct closing closing = train_closing(&t);
            run_json.closing = &closing;
            if (t.writes) {
                run_json_write(&run_json);
            }
            train_report(&t);
            train_farewell(&t);
            closing_print(&closing);
        } else {
            bool scratch = !strcmp(run.init_from, "scratch");
            printf("stopped before iteration %" PRId64 "; %s to resume from %s%s\n",
                   t.progress.iter,
                   scratch ? "--init_from=resume starts it again" : "start it again",
                   t.kept < 0 ? "the beginning" : t.folder.state,
                   scratch ? " (with --init_from=scratch it would start over)" : "");
            code = t.failed ? (int)t.failed : EXIT_STOPPED;
        }
        if (t.writes) {
            metrics_close(&t.metrics);
            tensorboard_close(&t.tensorboard, t.progress.finished);
            report_close(&t.report);
        }
    }
    ranks_close();
    hellaswag_close(&t.hellaswag);
    free(t.run_text);
    reduce_destroy(&t.reduce);
    shares_destroy(&t.shares);
    folder_free(&t.folder);
    data_close(&t.data);
    model_destroy(&t.m);
    return streams_close(code);
}
