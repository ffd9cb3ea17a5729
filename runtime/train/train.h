// train.h: a run: its settings, where it begins and stops, its files. It stands on all wings before
// it.
//
//     emitted defaults.c provides run_defaults, run_config_name, run_baked_keys
#ifndef DIECAST_TRAIN_H
#define DIECAST_TRAIN_H

#include "runtime/files/files.h"
#include "runtime/model/model.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

// ---- options.c: run keys, the settings that are not baked ---------------------------------------
// run_keys.h is generated from the schema (gen/config/keys.lua):
//     RUN_KEY(type, name, min, max, changes_results, "help")
// type is one of int, float, bool, string; min and max are the smallest and largest value allowed
// (0, 0 for bool and string); changes_results says whether the key enters options_text. defaults.c
// holds this config's values. An empty out_dir means out/NAME; data_dir holds a folder per data
// set.

#define RUN_TYPE_int int64_t
#define RUN_TYPE_float double
#define RUN_TYPE_bool bool
#define RUN_TYPE_string const char *
struct run {
#define RUN_KEY(type, name, min, max, changes_results, help) RUN_TYPE_##type name;
#include "run_keys.h"
#undef RUN_KEY
};
extern const struct run run_defaults;
extern const char *const run_config_name;  // the config's name, and its folder in out/
extern const char *const run_baked_keys[]; // "n_layer=4", ..., NULL: what the flags cannot change

// Reads --key=value, --key value, True/False/1/0 into run, which holds the defaults. --help prints
// the table and exits 0. Unknown or baked keys, bad values: dies with EXIT_USAGE, with a
// suggestion. Strings in run point into argv. nanoGPT's keys without a meaning here are passed
// over, with a line.
void options_parse(struct run *run, int argc, char **argv);
// The keys that change results, as "key=value key=value ...", for checkpoints; less those at the
// value that their absence means. Caller frees.
char *options_text(const struct run *run);
// The words of make for another build: this one's, which make left beside the program, and one more
// setting, "key=value"; "" for none. The caller frees.
char *options_words(const char *setting);
// All keys as one JSON object with typed values.
void options_write_json(const struct run *run, FILE *out);

// ---- checkpoint.c -------------------------------------------------------------------------------

struct progress {    // where a run stands, kept in both checkpoints' metadata
    int64_t iter;    // the next iteration to run
    int64_t updates; // optimizer updates so far (Adam's t)
    int64_t skipped; // updates skipped for non-finite numbers, in all
    int64_t bad_in_a_row;
    double loss_scale;        // float16: the loss scaler's factor; 0 before it was set
    int64_t loss_scale_steps; // updates since it last changed
    double best_val_loss, train_loss, val_loss; // of the last evaluation; 1e9 and NaN before one
    bool finished;
    int64_t log_lines; // that metrics.jsonl has of iterations before iter; -1: not said
    char from[17]; // what the run began from: the XXH3 of a checkpoint, or "scratch"; "": not said
    char from_path[256]; // and where that checkpoint lay, for people
    char data[17];       // the hash of the data that it trains on; "" where a file does not say
};
// ckpt.safetensors: the weights, nanoGPT's names and shapes. state.safetensors: those, and
// "adam.m.NAME", "adam.v.NAME". Metadata: format "diecast", model_info.config as "config",
// options_text as "run", model_info.hash as "build", the tokenizer, progress.
// Die with EXIT_IO where writing fails; the file that was there is then still whole.
void checkpoint_save_weights(const char *path, const struct model *m, const struct model_info *info,
                             const struct progress *progress, const char *run_text,
                             const char *tokenizer);
void checkpoint_save_state(const char *path, const struct model *m, const struct model_info *info,
                           const struct progress *progress, const char *run_text,
                           const char *tokenizer);
// Reads weights (and moments where the file has them and m->m is there) with shape checks; a longer
// wpe is cropped. Returns whether there were moments. Dies 65, 66; 65 too where a value is not finite.
bool checkpoint_load(const char *path, struct model *m, const struct model_info *info,
                     struct progress *progress, const char *tokenizer);

// Whether all weights and moments that m has are finite numbers; else the name of a tensor that has one
// which is not.
bool checkpoint_is_finite(const struct model *m, const struct model_info *info,
                          char name[PARAM_NAME]);

// What a checkpoint says of itself, without its tensors. Files of another make have none of it:
// texts are then "", and progress is that of a fresh run.
struct checkpoint_header {
    char *config, *run, *tokenizer;
    char *products; // on a device: how the algorithms of its products were chosen
    struct progress progress;
    bool has_progress; // a trainer of ours wrote it
};
// Dies 65, 66, 74.
void checkpoint_read_header(const char *path, struct checkpoint_header *header);
void checkpoint_free_header(struct checkpoint_header *header);
struct progress progress_fresh(void);

// ---- schedule.c ---------------------------------------------------------------------------------

// nanoGPT's get_lr: a linear warm-up, a cosine down to min_lr, or learning_rate throughout.
double schedule_learning_rate(const struct run *run, int64_t iter);
// What an update is told, at that learning rate.
struct step_settings schedule_settings(const struct run *run, double learning_rate);
// One line for each setting that people rarely mean.
void schedule_warn(const struct run *run, const struct model_info *info, size_t train_tokens);

// ---- folder.c: where a run's files lie ----------------------------------------------------------

struct folder {
    char *out, *data;                        // out/NAME and data/DATASET
    char *ckpt, *state, *metrics, *run_json; // in out
    char *steps_csv, *evaluations_csv, *report;
};
void folder_name(struct folder *folder, const struct run *run);
// Makes out, takes its lock (one process at a time; dies with EXIT_IO where another has it) and
// removes what a killed process left half-written.
void folder_lock(const struct folder *folder);
// Before a run starts anew: files of the run before become ckpt.previous.safetensors and so on, or, where
// one of these is there, all of them ckpt.previous.2.safetensors and so on. Says so.
void folder_set_aside(const struct folder *folder);
// Renames one that is damaged to NAME.damaged.EXT, or NAME.damaged.2.EXT and so on where that is taken.
// Returns the new name, which the caller frees; NULL where there is no such file.
char *folder_keep_aside(const char *path);
void folder_free(struct folder *folder);

// ---- start.c: where a run begins ----------------------------------------------------------------

// Follows init_from: fills m's weights (and moments) and progress, or says why not and exits.
// Returns whether it goes on from the folder's state.
bool start_run(struct model *m, const struct model_info *info, const struct run *run,
               const struct folder *folder, const struct data *data, struct progress *progress);

// ---- stop.c: signals ----------------------------------------------------------------------------

// SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGXCPU and a reader of the output that went away (SIGPIPE) ask for
// a stop, unless they were ignored when the program started; SIGINT or SIGTERM two seconds later ends
// the process at once. A write beyond the file size limit fails instead of killing.
void stop_listen(void);
bool stop_asked(void);

// ---- csv.c: metrics.csv and evaluations.csv, from the lines of metrics.jsonl --------------------

struct csv {
    FILE *steps, *evaluations; // NULL: nothing is written
    const char *steps_path, *evaluations_path;
};
// Writes both for the lines that metrics.jsonl has; those that were there are kept under another name
// where `keep`. Dies with EXIT_IO, as the next ones do.
void csv_open(struct csv *csv, const struct folder *folder, bool keep);
void csv_add(struct csv *csv, const char *line);
void csv_close(struct csv *csv);

// ---- metrics.c: metrics.jsonl, one JSON object a line -------------------------------------------

struct metrics {
    FILE *file;
    const char *path;
    int64_t lines, last; // how many it has, and the iteration of the last one
    struct csv csv;
};
// What there is to say of a step, and of an evaluation.
struct step_record {
    int64_t iter;
    double loss; // the mean over the step's micro-steps
    double learning_rate, grad_norm;
    bool skipped;
    double seconds, tokens_per_s;
    double mfu; // a fraction; NaN where the peak is not known
};
struct evaluation_record {
    int64_t iter;
    double train_loss, val_loss, seconds;
};
// Opens for appending, cut back to the lines of iterations before progress->iter; and csv where asked
// for. Dies with EXIT_IO.
void metrics_open(struct metrics *metrics, const struct folder *folder,
                  const struct progress *progress, bool csv);
// Lines of iterations before iter, for a state.
int64_t metrics_lines(const struct metrics *metrics, int64_t iter);
// Figures that are not finite become null.
void metrics_step(struct metrics *metrics, const struct step_record *step);
void metrics_evaluation(struct metrics *metrics, const struct evaluation_record *evaluation);
void metrics_close(struct metrics *metrics);

// ---- metrics_read.c: the metrics.jsonl that a run finds where it goes on ------------------------

// Cuts an open metrics.jsonl back to what it has of iterations before progress->iter: *lines. False, and
// said, where that is not all that the state knows of, or where other things are in the file: then all of
// it lies under another name, and `path` has the lines that are good. Dies with EXIT_IO.
bool metrics_cut(const char *path, FILE *file, const struct progress *progress, int64_t *lines);

// ---- run_json.c: run.json, what a run is --------------------------------------------------------

struct run_json {
    const struct folder *folder;
    const struct run *run;
    const struct model_info *info;
    const struct data *data;
    double tokens_per_iter, peak_flops; // step_peak's, 0 where it is not known,
    const char *hardware;               // and its line
    int threads;
};
// Dies with EXIT_IO.
void run_json_write(const struct run_json *run_json);

// ---- meter.c: the line on a terminal that says how far a run is ---------------------------------

// Shows `line` on stderr, over the last one, where that is a terminal; a few times a second at
// most.
void meter_show(const char *format, ...) __attribute__((format(printf, 1, 2)));
// Call before anything else is printed.
void meter_clear(void);

// ---- preview.c: a short sample in the middle of training ----------------------------------------

// The text, UTF-8 but for what the tokenizer has that is none. The caller frees. It is cut short where
// a stop is asked.
char *preview_text(const struct model *m, const struct model_info *info,
                   const struct tokenizer *tokenizer, uint64_t seed, int64_t iter, size_t *length);

// ---- report.c: the run's page, made anew as it goes on ------------------------------------------

struct report {
    char *root, *folder; // the project's and the run's, from /; NULL where no page is made
    bool warned;         // of a page that was not made, since the last one that was
};
// Warns where the program does not lie in a project's build folder.
void report_open(struct report *report, const struct folder *folder);
// Runs gen/report.lua and waits for it; warns in one line where that fails. Returns the seconds that
// it took; 0 where report is all zeros.
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
// A message within: the fields between begin and end are its own.
size_t proto_begin(struct proto *p, int field);
void proto_end(struct proto *p, size_t begun);
void proto_free(struct proto *p);

// ---- tensorboard.c: event files for TensorBoard and for what imports them -----------------------

struct tensorboard {
    FILE *file; // NULL: nothing is written
    char *path;
    struct proto event;
};
// Begins an event file in the folder for what follows from iteration iter on; the settings are
// model_info.config, options_text and max_iters. Dies with EXIT_IO, as the next ones do.
void tensorboard_open(struct tensorboard *tb, const char *folder, const char *config,
                      const char *run_text, int64_t max_iters, int64_t iter);
// train/loss, lr, grad_norm, skipped, ms, tokens_per_s and, where it is known, mfu.
void tensorboard_step(struct tensorboard *tb, const struct step_record *step);
// train/eval_loss, val/loss, eval_ms.
void tensorboard_evaluation(struct tensorboard *tb, const struct evaluation_record *evaluation);
void tensorboard_text(struct tensorboard *tb, int64_t iter, const char *text, size_t length);
void tensorboard_close(struct tensorboard *tb, bool finished);
// Before a run starts anew: event files of the run before are renamed, so that nobody takes them for its
// own; the set's number is one that none has.
void tensorboard_set_aside(const char *folder, int set);
bool tensorboard_has_set(const char *folder, int set);
// CRC-32C as TFRecords have it.
uint32_t tensorboard_crc(const void *bytes, size_t length);

#endif
