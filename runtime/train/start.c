// start.c: how a run starts: init_from = auto, scratch, resume or the path of a checkpoint.
#include "runtime/train/train.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct start {
    struct model *m;
    const struct model_info *info;
    struct run *run;
    const struct folder *folder;
    const struct data *data;
    struct progress *progress;
};

static void start_print_difference(void *context, const struct pair *then, const struct pair *now) {
    enum key_changes changes = key_find(now->key, now->key_length)->changes;
    if (changes == KEY_nothing || then->value == pairs_nothing) { // an imported model has no such
        return;
    }
    printf("%s: %.*s was %.*s, is now %.*s%s\n", (const char *)context, now->key_length, now->key,
           then->value_length, then->value, now->value_length, now->value,
           changes == KEY_rounding ? ": sums may round differently" : "");
}

// Lists a difference that makes another run. Differences in rounding alone (tiling, instruction
// set) do not.
static void start_list_difference(void *context, const struct pair *then, const struct pair *now) {
    if (key_find(now->key, now->key_length)->changes < KEY_results) {
        return;
    }
    char *list = context;
    size_t length = strlen(list);
    snprintf(list + length, 1024 - length, "%s%.*s (%.*s there, %.*s here)", length ? ", " : "",
             now->key_length, now->key, then->value_length, then->value, now->value_length,
             now->value);
}

// Reads the header of the folder's state. Dies if it has no progress, as then it is not a state.
static void start_read_state(const struct start *s, struct checkpoint_header *header) {
    checkpoint_read_header(s->folder->state, header);
    if (!header->has_progress) {
        die(EXIT_DATA,
            "%s: has no metadata iter, so it is not a run's state; --init_from=scratch starts "
            "over, --init_from=PATH takes its weights",
            s->folder->state);
    }
    struct pair dataset;
    const char *then = header->progress.data, *now = s->data->hash;
    pairs_find(header->run, "dataset", 7, &dataset);
    // checkpoint_load refuses another vocabulary, with a better message.
    bool same = !strcmp(header->tokenizer, s->data->tokenizer.text) &&
                strlen(s->run->dataset) == (size_t)dataset.value_length &&
                !memcmp(dataset.value, s->run->dataset, (size_t)dataset.value_length);
    if (*then && same && strcmp(then, now)) {
        die(EXIT_DATA,
            "%s: its run is trained on data of hash %s, and %s is now of %s: another text, or "
            "other tokens of it; prepare those again, or --init_from=scratch starts over; a run "
            "can continue on other data if these have another name: --init_from=resume "
            "--dataset=NAME",
            s->folder->state, then, s->data->dir, now);
    }
}

// In how many groups a step's micro-steps add: as the command says, else as in the folder's state,
// else as a new run's.
static void start_groups(const struct start *s, bool resumes) {
    int64_t *groups = &s->run->reduce_groups;
    const bool fast = !strcmp(s->run->reduce, "fast");
    const int64_t micro_steps = s->run->gradient_accumulation_steps;
    if (*groups == 1 && resumes) {
        struct checkpoint_header header;
        struct pair pair;
        checkpoint_read_header(s->folder->state, &header);
        if (pairs_find(header.run, "reduce_groups", 13, &pair)) {
            *groups = strtoll(pair.value, NULL, 10);
        }
        checkpoint_free_header(&header);
    } else if (*groups == 1 && !fast) {
        *groups = reduce_choose(micro_steps);
    }
    reduce_check(s->info, micro_steps, *groups, fast);
}

// Whether the run of a state has used up the training time that this command allows it.
static bool start_is_spent(const struct start *s, const struct progress *p) {
    return p->finished && s->run->max_seconds > 0 && p->training_seconds >= s->run->max_seconds;
}

// Dies unless the folder's run is this one; exits if it is finished. another: how to start another
// one.
static void start_check_same(const struct start *s, const char *another) {
    struct checkpoint_header header;
    start_read_state(s, &header);
    char *own = options_text(s->run);
    char list[1024] = "";
    keys_compare(header.config, s->info->config, start_list_difference, list);
    keys_compare(header.run, own, start_list_difference, list);
    if (*list) {
        die(EXIT_USAGE,
            "%s: holds a run that differs in %s; --init_from=resume resumes it all the same, "
            "%s",
            s->folder->out, list, another);
    }
    if (header.progress.iter > s->run->max_iters) {
        printf("%s: this run is finished, after %lld iterations; to train longer: "
               "--init_from=resume --max_iters=N; %s\n",
               s->folder->out, (long long)header.progress.iter, another);
        exit(streams_close(EXIT_DONE));
    }
    if (start_is_spent(s, &header.progress)) {
        printf("%s: this run is finished, after %lld iterations in %.1f s of training; to train "
               "longer: --init_from=resume --max_seconds=N, above %g; %s\n",
               s->folder->out, (long long)header.progress.iter, header.progress.training_seconds,
               s->run->max_seconds, another);
        exit(streams_close(EXIT_DONE));
    }
    free(own);
    checkpoint_free_header(&header);
}

static void start_resume(const struct start *s) {
    const char *path = s->folder->state;
    struct checkpoint_header header;
    start_read_state(s, &header);
    char *own = options_text(s->run);
    keys_compare(header.config, s->info->config, start_print_difference, s->folder->out);
    keys_compare(header.run, own, start_print_difference, s->folder->out);
    if (s->m->products && *header.products && strcmp(header.products, s->m->products)) {
        printf("%s: products ran %s, now run %s: sums may round differently\n", s->folder->out,
               header.products, s->m->products);
    }
    const bool spent = start_is_spent(s, &header.progress);
    free(own);
    checkpoint_free_header(&header);

    bool moments = checkpoint_load(path, s->m, s->info, s->progress, s->data->tokenizer.text);
    s->progress->finished = false;
    if (s->m->m && !moments) {
        printf("%s: has no moments; they start at zero\n", path);
        s->progress->updates = 0;
    }
    if (s->progress->iter > s->run->max_iters && !s->run->eval_only) {
        printf("%s: nothing to do: %lld iterations are done and max_iters = %lld; raise "
               "--max_iters\n",
               s->folder->out, (long long)s->progress->iter, (long long)s->run->max_iters);
        exit(streams_close(EXIT_DONE));
    }
    if (spent && !s->run->eval_only) {
        printf("%s: nothing to do: %lld iterations are done in %.1f s of training and "
               "max_seconds = %g; raise --max_seconds\n",
               s->folder->out, (long long)s->progress->iter, s->progress->training_seconds,
               s->run->max_seconds);
        exit(streams_close(EXIT_DONE));
    }
    printf("resuming from %s, iteration %lld\n", path, (long long)s->progress->iter);
}

// ---- --init_from=PATH ---------------------------------------------------------------------------

static const char start_elsewhere[] = "NAME=... or --out_dir takes another folder";

// The path as a state stores it: without characters that JSON would escape.
static void start_plain_path(const char *path, char plain[256]) {
    size_t out = 0;
    for (const char *c = path; *c;) {
        uint32_t codepoint;
        int length = utf8_decode((const unsigned char *)c, strlen(c), &codepoint);
        if (out + (size_t)length >= 256) {
            break;
        }
        memcpy(plain + out, c, (size_t)length);
        out += (size_t)length;
        c += length ? length : 1;
    }
    plain[out] = 0;
}

static void start_hash(const char *path, char hash[17]) {
    struct stat status;
    int file = file_open(path, O_RDONLY, &status);
    if (file < 0 || !hash_file(file, (size_t)status.st_size, true, hash)) {
        die(exit_code_of(errno), "--init_from=%s: cannot read it: %s", path,
            errno ? strerror(errno) : "it became shorter meanwhile");
    }
    close(file);
}

// Whether a path names the state or the checkpoint of this folder's run.
static bool start_is_own(const struct start *s, const char *path) {
    const char *const own[] = {s->folder->state, s->folder->ckpt};
    const char *slash = strrchr(path, '/');
    char *above = slash ? allocate_copy(path, (size_t)(slash - path) + 1, "a path")
                        : allocate_copy("./", 2, "a path");
    struct stat there, here;
    bool inside = !stat(above, &there) && !stat(s->folder->out, &here) &&
                  there.st_dev == here.st_dev && there.st_ino == here.st_ino;
    free(above);
    bool named = false;
    for (int i = 0; i < 2; i++) {
        named = named || !strcmp(slash ? slash + 1 : path, strrchr(own[i], '/') + 1);
    }
    return inside && named;
}

// Whether the run in the folder began from this file, so that it should be resumed; false if it
// began from something else. Dies, with the choices, if that is not known or the file has changed
// since.
static bool start_began_from(const struct start *s, const char *path) {
    struct checkpoint_header header;
    start_read_state(s, &header);
    const struct progress *then = &header.progress;
    char plain[256], hash[17] = "";
    start_plain_path(path, plain);
    bool there = path_is_there(path), same_path = !strcmp(then->from_path, plain);
    if (!*then->from) {
        die(EXIT_USAGE,
            "%s: an earlier version wrote it, which did not say what a run began from; "
            "--init_from=resume resumes this run, %s",
            s->folder->state, start_elsewhere);
    }
    if (!there && same_path) {
        die(EXIT_MISSING,
            "--init_from=%s: no such file any more; the run in %s began from it, and "
            "--init_from=resume resumes it",
            path, s->folder->out);
    }
    bool same = same_path && start_is_own(s, path); // the run has overwritten it since
    if (there && !same) {
        start_hash(path, hash);
        same = !strcmp(then->from, hash);
    }
    if (there && !same && same_path) {
        die(EXIT_DATA,
            "--init_from=%s: has changed since the run in %s began from it (XXH3 %s then, %s now); "
            "--init_from=resume resumes that run, %s",
            path, s->folder->out, then->from, hash, start_elsewhere);
    }
    checkpoint_free_header(&header);
    return same;
}

// Finetuning: starts a new run from the weights in a file.
static void start_from(const struct start *s, const char *path) {
    if (!path_is_there(path) && !strncmp(path, "gpt2", 4) && !strchr(path, '/')) {
        die(EXIT_MISSING,
            "--init_from=%s: no such file, and no weights are downloaded here: make import "
            "URL=https://huggingface.co/openai-community/%s NAME=%s-hf gets them, then "
            "--init_from=out/%s-hf/ckpt.safetensors",
            path, path, path, path);
    }
    if (!path_is_there(path)) {
        die(EXIT_MISSING,
            "--init_from=%s: no such file; give auto, scratch, resume or the path of a "
            "checkpoint, such as make import makes of a published model",
            path);
    }
    struct checkpoint_header header;
    checkpoint_read_header(path, &header);
    if (*header.config) {
        keys_compare(header.config, s->info->config, start_print_difference, (void *)path);
    }
    checkpoint_free_header(&header);
    struct model weights = *s->m;
    weights.m = weights.v = NULL; // moments start at zero even if the file has some
    checkpoint_load(path, &weights, s->info, s->progress, s->data->tokenizer.text);
    *s->progress = progress_fresh();
    start_hash(path, s->progress->from);
    start_plain_path(path, s->progress->from_path);
    printf("starts from the weights in %s\n", path);
}

// ---- which of these -----------------------------------------------------------------------------

// An imported model's weights belong to no run: none writes over them. A file that cannot be read
// is none.
static void start_check_imported(const struct start *s) {
    struct safetensors file;
    char error[SAFETENSORS_ERROR];
    enum exit_code code;
    if (!safetensors_open(&file, s->folder->ckpt, error, &code)) {
        return;
    }
    if (safetensors_metadata(&file, "imported")) {
        die(EXIT_USAGE,
            "%s: holds an imported model, which no run writes over; %s, and --init_from=%s begins "
            "from it",
            s->folder->out, start_elsewhere, s->folder->ckpt);
    }
    safetensors_close(&file);
}

bool start_run(struct model *m, const struct model_info *info, struct run *run,
               const struct folder *folder, const struct data *data, struct progress *progress) {
    const struct start s = {m, info, run, folder, data, progress};
    const char *from = *run->init_from ? run->init_from : "auto";
    bool there = path_is_there(folder->state);
    bool automatic = !strcmp(from, "auto"), scratch = !strcmp(from, "scratch");
    bool resume = !strcmp(from, "resume"), path = !automatic && !scratch && !resume;
    if (!there && !run->eval_only) {
        start_check_imported(&s);
    }
    if (automatic && there) {
        resume = true;
        start_groups(&s, true);
        if (!run->eval_only) {
            start_check_same(&s, "--init_from=scratch starts over, NAME=... or --out_dir takes "
                                 "another folder");
        }
    } else if (path && there && !run->eval_only && start_began_from(&s, from)) {
        resume = true;
        start_groups(&s, true);
        start_check_same(&s, start_elsewhere);
    }
    if (resume && !there) {
        die(EXIT_MISSING,
            "%s: not there, so there is nothing to resume; --init_from=scratch starts a run",
            folder->state);
    }
    start_groups(&s, resume);
    if (resume) {
        start_resume(&s);
        return true;
    }
    if (path) {
        start_from(&s, from);
    } else {
        *progress = progress_fresh();
        snprintf(progress->from, sizeof progress->from, "scratch");
        model_init(m, info, (uint64_t)run->seed);
        printf("starts with new weights, seed %lld\n", (long long)run->seed);
    }
    if (!run->eval_only) {
        folder_set_aside(folder);
    }
    return false;
}

bool start_job(struct model *m, const struct model_info *info, struct run *run,
               const struct folder *folder, const struct data *data, const struct shares *shares,
               struct progress *progress) {
    bool resumed = ranks_rank() == 0 && start_run(m, info, run, folder, data, progress);
    ranks_meet(&(struct ranks_card){0}); // or rank 0 has ended
    ranks_give(&resumed, sizeof resumed);
    ranks_give(&run->reduce_groups, sizeof run->reduce_groups);
    ranks_give(progress, sizeof *progress);
    const size_t bytes = (size_t)info->state_floats * sizeof(float);
    float *const parts[] = {m->params, m->m, m->v};
    const bool all = !shares->zero || ranks_device; // a GPU takes its share of what its host has
    for (int i = 0; i < (all ? 3 : 1) && parts[i]; i++) {
        ranks_give(parts[i], bytes);
    }
    if (resumed) {
        shares_hand_out(shares, m);
    }
    return resumed;
}
