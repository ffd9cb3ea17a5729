// train.h: a run: its settings, its start and stop, its files. It stands on all wings before it.
//
//     the emitted defaults.c defines run_defaults, run_config_name, run_baked_keys
#ifndef DIECAST_TRAIN_H
#define DIECAST_TRAIN_H

#include "runtime/files/files.h"
#include "runtime/model/model.h"
#include "runtime/ranks/ranks.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

// ---- options.c: run keys, the settings that are not baked ---------------------------------------
// run_keys.h is generated from the schema (gen/config/keys.lua):
//     RUN_KEY(type, name, min, max, changes_results, values, "help")
// type is one of int, float, bool, string; min and max are the smallest and largest value allowed
// (0, 0 for bool and string); values lists those of a string that is one of a few words (RUN_VALUES
// makes the list), else it is NULL; changes_results says whether the key enters options_text.
// defaults.c holds this config's values. An empty out_dir means out/NAME; data_dir holds a folder
// per data set.

#define RUN_TYPE_int int64_t
#define RUN_TYPE_float double
#define RUN_TYPE_bool bool
#define RUN_TYPE_string const char *
struct run {
#define RUN_KEY(type, name, min, max, changes_results, values, help) RUN_TYPE_##type name;
#include "run_keys.h"
#undef RUN_KEY
};
extern const struct run run_defaults;
extern const char *const run_config_name;  // the config's name, and its folder in out/
extern const char *const run_baked_keys[]; // "n_layer=4", ..., NULL: keys that flags cannot change

// Reads --key=value, --key value, True/False/1/0 into run, which holds the defaults. --help prints
// the table and exits 0. Dies with EXIT_USAGE and a suggestion for unknown or baked keys and bad
// values. Warns of nanoGPT's keys that have no effect here and ignores them. Strings in run point
// into argv.
void options_parse(struct run *run, int argc, char **argv);
// Whether a flag of that key is among them.
bool options_given(int argc, char **argv, const char *key);
// The keys that change results, as "key=value key=value ...", for checkpoints; without keys at the
// value that is assumed where they are absent. The caller frees.
char *options_text(const struct run *run);
// The arguments of make for another build: this build's, which make left beside the program, and
// one more setting, "key=value" or "". The caller frees.
char *options_words(const char *setting);
// All keys as one JSON object with typed values.
void options_write_json(const struct run *run, FILE *out);

// ---- checkpoint.c -------------------------------------------------------------------------------

struct progress {    // of a run; stored in the metadata of both of its files
    int64_t iter;    // the next iteration to run
    int64_t updates; // optimizer updates so far (Adam's t)
    int64_t skipped; // updates skipped for non-finite numbers, in all
    int64_t bad_in_a_row;
    double loss_scale;        // float16: the loss scaler's factor; 0 if it was never set
    int64_t loss_scale_steps; // updates since it last changed
    double best_val_loss, train_loss, val_loss; // of the last evaluation; 1e9 and NaN before one
    bool finished;
    double training_seconds; // of a run with a budget: what its steps took; -1 if unknown
    int64_t log_lines;       // lines in metrics.jsonl of iterations before iter; -1 if unknown
    char from[17];       // the XXH3 of the checkpoint it began from, "scratch", or "" if unknown
    char from_path[256]; // the path of that checkpoint, for people
    char data[17];       // the hash of the data that it trains on; "" if unknown
};
// ckpt.safetensors: the weights, with nanoGPT's names and shapes. state.safetensors: those, and
// "adam.m.NAME", "adam.v.NAME". Metadata: format "pt", model_info.config as "config",
// options_text as "run", model_info.hash as "build", the tokenizer, progress; training_seconds only
// if it is known, so that a run without a budget has the same bytes however fast it was. Both die
// with EXIT_IO if writing fails; the old file is then untouched.
void checkpoint_save_weights(const char *path, const struct model *m, const struct model_info *info,
                             const struct progress *progress, const char *run_text,
                             const char *tokenizer);
void checkpoint_save_state(const char *path, const struct model *m, const struct model_info *info,
                           const struct progress *progress, const char *run_text,
                           const char *tokenizer);
// Reads the weights (and the moments, if the file and m have them) and checks their shapes; a
// longer wpe is cropped. Returns whether there were moments. Dies 66 if the file is missing, 65 if
// it does not fit or a value is not finite.
bool checkpoint_load(const char *path, struct model *m, const struct model_info *info,
                     struct progress *progress, const char *tokenizer);

// Whether all of m's weights and moments are finite; if not, name is a tensor that has one which is
// not.
bool checkpoint_is_finite(const struct model *m, const struct model_info *info,
                          char name[PARAM_NAME]);

// A checkpoint's metadata. Files of other tools have none: texts are then "", and progress is that
// of a fresh run.
struct checkpoint_header {
    char *config, *run, *tokenizer;
    char *products; // on a device: how the algorithms of its products were chosen
    char hash[17];  // of the file's header, which has those of its tensors; "" in files of others
    struct progress progress;
    bool has_progress; // the file was written by a trainer of ours
};
// Dies 65, 66, 74.
void checkpoint_read_header(const char *path, struct checkpoint_header *header);
void checkpoint_free_header(struct checkpoint_header *header);
struct progress progress_fresh(void);

// ---- schedule.c ---------------------------------------------------------------------------------

// nanoGPT's get_lr: a linear warm-up, a cosine down to min_lr, or learning_rate throughout.
double schedule_learning_rate(const struct run *run, int64_t iter);
// The settings of an iteration's update at that learning rate.
struct step_settings schedule_settings(const struct run *run, double learning_rate, int64_t iter);
// Warns, of a run that max_seconds ends before iteration `iter`, if its learning rate was still to
// fall.
void schedule_warn_spent(const struct run *run, int64_t iter);
// Warns in one line of each setting that is probably a mistake.
void schedule_warn(const struct run *run, const struct model_info *info, size_t train_tokens);

// ---- folder.c: a run's files --------------------------------------------------------------------

struct folder {
    char *out, *data;                        // out/NAME and data/DATASET
    char *ckpt, *state, *metrics, *run_json; // in out
    char *steps_csv, *evaluations_csv, *report;
};
void folder_name(struct folder *folder, const struct run *run);
// Makes the folder `out`, locks it (one process at a time; dies with EXIT_IO if another has it) and
// removes temporary files of a killed process.
void folder_lock(const struct folder *folder);
// Before a new run starts: renames the files of an earlier one to ckpt.previous.safetensors and so
// on, or all of them to ckpt.previous.2.safetensors and so on if one of those exists. Prints the
// new names.
void folder_set_aside(const struct folder *folder);
// Gives a damaged file the name NAME.damaged.EXT, or NAME.damaged.2.EXT and so on if that exists.
// It keeps the old name too, where the file system can, so that its lines are under that name until
// the caller replaces it by a rename. Returns the new name, which the caller frees; NULL if there
// is no such file.
char *folder_keep_aside(const char *path);
void folder_free(struct folder *folder);

// ---- start.c: how a run starts ------------------------------------------------------------------

// Fills m's weights (and moments) and progress as init_from says, or exits with a message. Returns
// whether the run resumes from the folder's state. Where the run's reduce_groups is 1 it becomes
// that of the state or, on several ranks that reduce exactly, of a new run.
bool start_run(struct model *m, const struct model_info *info, struct run *run,
               const struct folder *folder, const struct data *data, struct progress *progress);
// The same of a job: rank 0 reads the files, and all get what it has.
bool start_job(struct model *m, const struct model_info *info, struct run *run,
               const struct folder *folder, const struct data *data, const struct shares *shares,
               struct progress *progress);

// ---- stop.c: signals ----------------------------------------------------------------------------

// From now on SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGXCPU and SIGPIPE ask for a stop, unless they
// were ignored when the program started; SIGINT or SIGTERM two seconds later ends the process at
// once. A write beyond the file size limit fails instead of ending the process.
void stop_listen(void);
bool stop_asked(void);

// ---- csv.c: metrics.csv and evaluations.csv, from the lines of metrics.jsonl --------------------

struct csv {
    FILE *steps, *evaluations; // NULL if csv is off
    const char *steps_path, *evaluations_path;
    bool hellaswag; // evaluations have columns of it
};
// Rewrites both from the lines of metrics.jsonl; `keep` renames the old ones; `hellaswag` is
// whether the run evaluates it. Dies with EXIT_IO, as the next ones do.
void csv_open(struct csv *csv, const struct folder *folder, bool hellaswag, bool keep);
void csv_add(struct csv *csv, const char *line);
void csv_sync(const struct csv *csv);
void csv_close(struct csv *csv);

// ---- metrics.c: metrics.jsonl, one JSON object a line -------------------------------------------

struct metrics_kept { // of a log that a run continues
    int64_t lines;
    double step_seconds, evaluation_seconds; // what its steps and evaluations took
    double val_bpb;                          // of its last evaluation; NaN if it has none
    double best_val_loss; // the lowest of its evaluations; INFINITY if none is finite
};
struct metrics {
    FILE *file;
    const char *path;
    int64_t lines;         // how many there are
    int64_t last, at_last; // the last one's iteration, and how many lines there are of that
    struct metrics_kept kept;
    struct csv csv;
};
// The metrics of a step, and of an evaluation.
struct step_record {
    int64_t iter;
    double loss; // the mean over the step's micro-steps
    double learning_rate, grad_norm;
    bool skipped;
    double seconds, tokens_per_s;
    double mfu; // model FLOP utilisation, a fraction; NaN if the peak is unknown
};
struct evaluation_record {
    int64_t iter;
    double train_loss, val_loss;
    double val_bpb; // bits per byte; NaN if no target stands for bytes
    double seconds;
};
struct hellaswag_record {
    int64_t iter;
    double by_mean, by_sum; // accuracies, NaN where a loss was not finite
    double seconds;
};
// Opens metrics.jsonl for appending, cut back to the lines of iterations before progress->iter, and
// the csv files if the run asks for them. Dies with EXIT_IO.
void metrics_open(struct metrics *metrics, const struct folder *folder,
                  const struct progress *progress, const struct run *run);
// The number of lines of iterations before iter, to be stored in a state.
int64_t metrics_lines(const struct metrics *metrics, int64_t iter);
// Append a line; numbers that are not finite become null.
void metrics_step(struct metrics *metrics, const struct step_record *step);
void metrics_evaluation(struct metrics *metrics, const struct evaluation_record *evaluation);
void metrics_hellaswag(struct metrics *metrics, const struct hellaswag_record *hellaswag);
// Returns when all lines, in the csv files too, would survive a power cut.
void metrics_sync(const struct metrics *metrics);
void metrics_close(struct metrics *metrics);

// ---- hellaswag.c: questions with endings to choose from -----------------------------------------

struct hellaswag {
    struct choices items;
    float *losses; // (B, T)
    // Of the last evaluation: items of which the ending with the lowest mean, or sum, of losses is
    // the right one, items that were cut as they are longer than a row, and whether all losses were
    // finite.
    int right_by_mean, right_by_sum, cut;
    bool finite;
    char *chosen_by_mean, *chosen_by_sum; // a digit for each item: the ending that was chosen
    // Of an item: the best of its endings so far.
    int by_mean, by_sum;
    double least_mean, least_sum;
    bool is_cut;
};
// Where its file is by default. The caller frees.
char *hellaswag_path(const char *data_dir);
// Reads the file for a model of this tokenizer, "" if that is unknown; `whose` is it for messages.
// Dies as choices_open does, or 65 where the file is of another tokenizer.
void hellaswag_open(struct hellaswag *h, const char *path, const struct model_info *info,
                    const char *whose, const char *tokenizer);
void hellaswag_close(struct hellaswag *h); // or of one that was never opened, all zeros
// Evaluates all items; m's dropout is then 0, and its tokens and targets are others. False if a
// stop is asked for meanwhile.
bool hellaswag_run(struct hellaswag *h, struct model *m, const struct model_info *info);
struct hellaswag_record hellaswag_result(const struct hellaswag *h); // without iter, seconds
void hellaswag_print(const struct hellaswag *h);

// ---- metrics_read.c: the metrics.jsonl of a run that resumes ------------------------------------

// Cuts an open metrics.jsonl back to the lines of iterations before progress->iter, of which *kept
// tells. Returns false, with a warning, if that is not the number that the state has, or if
// the file contains anything else: then all of it is renamed, and `path` has the good lines. Dies
// with EXIT_IO.
bool metrics_cut(const char *path, FILE *file, const struct progress *progress,
                 struct metrics_kept *kept);

// ---- bytes.c: an evaluation's bits per byte -----------------------------------------------------

struct bytes {
    const struct model_info *info;
    const struct tokenizer *tokenizer;
    int64_t count;   // bytes of text that the targets so far stand for
    int64_t taken;   // those of the batch
    double left_out; // the sum of the losses of targets that stand for none
    int32_t *rows;   // (rows_count): those of the batch
    int32_t rows_count;
    float *losses; // (B * T): of the batch
};
void bytes_begin(struct bytes *bytes, const struct model_info *info,
                 const struct tokenizer *tokenizer);
// For each batch: bytes_take with its targets, then step_loss, then bytes_add.
void bytes_take(struct bytes *bytes, const int32_t *targets);
void bytes_add(struct bytes *bytes, struct model *m);
// In place of bytes_add, where other ranks have batches between: bytes_left copies the losses of
// the rows_count targets that stand for no bytes; then, in the order of batches, bytes_count.
void bytes_left(struct bytes *bytes, struct model *m, float *left);
void bytes_count(struct bytes *bytes, int64_t taken, const float *left, int64_t count);
// Returns the bits per byte of all batches, of whose mean losses `total` is the sum; NaN if no
// target stands for bytes. Frees.
double bytes_end(struct bytes *bytes, double total);

// ---- estimate.c: an evaluation that ranks share -------------------------------------------------

struct estimate {
    struct model *m;
    const struct model_info *info;
    const struct tokenizer *tokenizer;
    const struct split *split;
    enum rng_stream stream;
    uint64_t seed;
    int64_t iter, batches;
    bool stop;             // out: a rank was asked to stop
    enum exit_code failed; // out: a rank could not read the data
};
// The mean loss over the batches, and bits per byte, the same on all ranks. False if a rank was
// asked to stop or could not read.
bool estimate_shared(struct estimate *e, double *mean, double *bpb);

// ---- together.c: what the ranks of a run agree on -----------------------------------------------

// What they last agreed on; of one process neither changes.
struct together {
    bool stop;  // one was asked to stop
    bool spent; // the training time is over
};
// At the start: dies unless all ranks have the same program, settings and data.
void together_meet(const struct run *run, const struct data *data);
// Rank 0's answer.
bool together_hear(bool answer);
// Before an iteration; `spent` counts on rank 0.
void together_agree(struct together *together, int64_t iter, bool spent);

// ---- pace.c: how fast a run is ------------------------------------------------------------------

struct pace {
    const struct model_info *info;
    double tokens_per_iter, peak_flops; // of all ranks
    char peak_text[256];                // the processor or device and its peak, for people
    double mfu;                         // running mean; -1 before there is one
    int64_t settled;                    // steps that this process has settled
    double step_seconds;                // total time of those that count,
    int64_t step_count;                 // and their number,
    double exchange_seconds;            // and what exchanges between ranks made them longer;
    double hidden_seconds;              // others went on while gradients were computed
};
// Measures the peak.
void pace_begin(struct pace *pace, const struct model *m, const struct model_info *info,
                int64_t micro_steps);
// Of a step, before it is settled.
void pace_exchange(struct pace *pace, double seconds, double hidden);
void pace_step(struct pace *pace, double seconds);
void pace_log(struct pace *pace, double seconds);              // of the step since the last one
double pace_mfu(const struct pace *pace, double tokens_per_s); // NaN if the peak is unknown
double pace_tokens_per_s(const struct pace *pace);             // 0 if no step counts
// Prints the steps' share of the peak, with FLOP counted as nanoGPT does and as llm.c does, which
// counts all parameters and half of attention's (T, T) products.
void pace_print(const struct pace *pace);

// ---- closing.c: the figures of a finished run ---------------------------------------------------

struct closing {
    double val_loss, val_bpb; // of the last evaluation
    double training_seconds;  // of all steps
    double total_seconds;     // with evaluations, saving and starting
    double peak_mb, mfu_percent, tokens, num_params;
    int64_t num_steps;
};
// Prints "---" and a line "key: value" for each figure that is known, those that are not NaN.
void closing_print(const struct closing *closing);
// Writes them all as a JSON object, with null for one that is not known.
void closing_write(const struct closing *closing, FILE *out);

// ---- run_json.c: run.json, the description of a run ---------------------------------------------

struct run_json {
    const struct folder *folder;
    const struct run *run;
    const struct model_info *info;
    const struct data *data;
    double tokens_per_iter, peak_flops; // of step_peak, 0 if unknown,
    const char *hardware;               // and its line
    int threads;
    const struct closing *closing; // NULL until the run is finished
};
// Dies with EXIT_IO.
void run_json_write(const struct run_json *run_json);

// ---- meter.c: the progress line on a terminal ---------------------------------------------------

// Replaces the progress line on stderr, if that is a terminal, at most five times a second.
void meter_show(const char *format, ...) __attribute__((format(printf, 1, 2)));
// Clears the line. Call before anything else is printed.
void meter_clear(void);

// ---- preview.c: a short sample during training --------------------------------------------------

// Returns a sampled text, valid UTF-8, cut short if a stop is asked for. The caller frees.
char *preview_text(const struct model *m, const struct model_info *info,
                   const struct tokenizer *tokenizer, uint64_t seed, int64_t iter, size_t *length);

// ---- report.c: the run's page, rewritten during the run -----------------------------------------

struct report {
    char *root, *folder; // absolute paths of the project and the run; NULL if no page is made
    bool warned;         // the last attempt failed, and a warning was printed
};
// Warns if the program is not in a project's build folder.
void report_open(struct report *report, const struct folder *folder);
// Runs gen/report.lua and waits for it; warns in one line if it fails. Returns the seconds that it
// took, or 0 if report is all zeros.
double report_refresh(struct report *report);
void report_close(struct report *report);

// ---- crc32c.c -----------------------------------------------------------------------------------

uint32_t crc32c(const void *bytes, size_t length);

// ---- proto.c: writes protocol buffers, by field numbers -----------------------------------------

struct proto {
    unsigned char *bytes;
    size_t length, capacity;
};
void proto_integer(struct proto *p, int field, int64_t n); // int64, int32, bool or an enum
void proto_double(struct proto *p, int field, double x);
void proto_float(struct proto *p, int field, float x);
void proto_bytes(struct proto *p, int field, const void *bytes, size_t length); // or a string
// A nested message: the fields written between begin and end belong to it.
size_t proto_begin(struct proto *p, int field);
void proto_end(struct proto *p, size_t begun);
void proto_free(struct proto *p);

// ---- tensorboard.c: event files for TensorBoard -------------------------------------------------

struct tensorboard {
    FILE *file; // NULL if tensorboard is off
    char *path;
    double best_val_loss; // so far; INFINITY before one
    struct proto event;
};
// Creates an event file in the folder for iterations from iter on, with the settings:
// model_info.config, options_text and max_iters. best_val_loss is the lowest of the iterations
// before, or INFINITY. Dies with EXIT_IO, as the next ones do.
void tensorboard_open(struct tensorboard *tb, const char *folder, const char *config,
                      const char *run_text, int64_t max_iters, int64_t iter, double best_val_loss);
// Writes train/loss, lr, grad_norm, skipped, ms, tokens_per_s and, if it is known, mfu.
void tensorboard_step(struct tensorboard *tb, const struct step_record *step);
// Writes train/eval_loss, val/loss, eval_ms, and val/best_loss, the lowest so far: HParams ranks
// runs by the last value of a scalar.
void tensorboard_evaluation(struct tensorboard *tb, const struct evaluation_record *evaluation);
// Writes val/hellaswag, val/hellaswag_sum, hellaswag_ms.
void tensorboard_hellaswag(struct tensorboard *tb, const struct hellaswag_record *hellaswag);
void tensorboard_text(struct tensorboard *tb, int64_t iter, const char *text, size_t length);
// Returns when all events would survive a power cut.
void tensorboard_sync(const struct tensorboard *tb);
void tensorboard_close(struct tensorboard *tb, bool finished);
// Before a new run starts: renames the event files of an earlier one, so that they are not taken
// for the new one's. `set` is the number of a set that does not exist yet.
void tensorboard_set_aside(const char *folder, int set);
bool tensorboard_has_set(const char *folder, int set);
// The masked CRC-32C of TFRecords.
uint32_t tensorboard_crc(const void *bytes, size_t length);

#endif
