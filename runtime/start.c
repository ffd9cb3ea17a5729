// start.c: where a run begins: init_from = auto, scratch, resume or the path of a checkpoint.
#include "runtime/runtime.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct start {
    struct model *m;
    const struct model_info *info;
    const struct run *run;
    const struct folder *folder;
    const char *tokenizer;
    struct progress *progress;
};

static void start_print_difference(void *context, const struct pair *then, const struct pair *now) {
    printf("%s: %.*s was %.*s, is now %.*s%s\n", (const char *)context, now->key_length, now->key,
           then->value_length, then->value, now->value_length, now->value,
           options_effect(now) == KEY_rounding ? ": sums may round otherwise" : "");
}

// Another cut of the products or another instruction set makes no other run.
static void start_list_difference(void *context, const struct pair *then, const struct pair *now) {
    if (options_effect(now) != KEY_results) {
        return;
    }
    char *list = context;
    size_t length = strlen(list);
    snprintf(list + length, 1024 - length, "%s%.*s (%.*s there, %.*s here)", length ? ", " : "",
             now->key_length, now->key, then->value_length, then->value, now->value_length,
             now->value);
}

// What the folder's state says. A file that does not say where its run stands is none.
static void start_read_state(const struct start *s, struct checkpoint_header *header) {
    checkpoint_read_header(s->folder->state, header);
    if (!header->has_progress) {
        die(EXIT_DATA,
            "%s: has no metadata iter, so it is no state of a run; --init_from=scratch starts "
            "anew, "
            "--init_from=PATH takes its weights",
            s->folder->state);
    }
}

// The run in the folder has to be this one, and unfinished.
static void start_check_same(const struct start *s) {
    struct checkpoint_header header;
    start_read_state(s, &header);
    char *own = options_text(s->run);
    char list[1024] = "";
    pairs_compare(header.config, s->info->config, start_list_difference, list);
    pairs_compare(header.run, own, start_list_difference, list);
    if (*list) {
        die(EXIT_USAGE,
            "%s: holds a run that differs in %s; --init_from=resume goes on with it all the same, "
            "--init_from=scratch starts anew, NAME=... or --out_dir takes another folder",
            s->folder->out, list);
    }
    if (header.progress.iter > s->run->max_iters) {
        printf("%s: this run is finished, after %lld iterations; to train longer: "
               "--init_from=resume --max_iters=N; anew: --init_from=scratch\n",
               s->folder->out, (long long)header.progress.iter);
        exit(EXIT_DONE);
    }
    free(own);
    checkpoint_free_header(&header);
}

static void start_resume(const struct start *s) {
    const char *path = s->folder->state;
    struct checkpoint_header header;
    start_read_state(s, &header);
    char *own = options_text(s->run);
    pairs_compare(header.config, s->info->config, start_print_difference, s->folder->out);
    pairs_compare(header.run, own, start_print_difference, s->folder->out);
    if (s->m->products && *header.products && strcmp(header.products, s->m->products)) {
        printf("%s: products ran %s, now run %s: sums may round otherwise\n", s->folder->out,
               header.products, s->m->products);
    }
    free(own);
    checkpoint_free_header(&header);

    bool moments = checkpoint_load(path, s->m, s->info, s->progress, s->tokenizer);
    s->progress->finished = false;
    if (s->m->m && !moments) {
        printf("%s: has no moments; they start at zero\n", path);
        s->progress->updates = 0;
    }
    if (s->progress->iter > s->run->max_iters && !s->run->eval_only) {
        printf("%s: nothing to do: %lld iterations are done and max_iters = %lld; raise "
               "--max_iters\n",
               s->folder->out, (long long)s->progress->iter, (long long)s->run->max_iters);
        exit(EXIT_DONE);
    }
    printf("goes on from %s, iteration %lld\n", path, (long long)s->progress->iter);
}

// Finetuning: the weights of a file, and a run of its own.
static void start_from(const struct start *s, const char *path) {
    if (access(path, F_OK)) {
        die(EXIT_MISSING,
            "--init_from=%s: no such file; give auto, scratch, resume or the path of a checkpoint",
            path);
    }
    struct checkpoint_header header;
    checkpoint_read_header(path, &header);
    if (*header.config) {
        pairs_compare(header.config, s->info->config, start_print_difference, (void *)path);
    }
    checkpoint_free_header(&header);
    struct model weights = *s->m;
    weights.m = weights.v = NULL; // moments begin at zero, whatever the file has
    checkpoint_load(path, &weights, s->info, s->progress, s->tokenizer);
    *s->progress = progress_fresh();
    printf("starts from the weights in %s\n", path);
}

bool start_run(struct model *m, const struct model_info *info, const struct run *run,
               const struct folder *folder, const char *tokenizer, struct progress *progress) {
    const struct start s = {m, info, run, folder, tokenizer, progress};
    const char *from = *run->init_from ? run->init_from : "auto";
    bool unfinished = !access(folder->state, F_OK);
    if (!strcmp(from, "auto") && unfinished && !run->eval_only) {
        start_check_same(&s);
    }
    if (!strcmp(from, "auto")) {
        from = unfinished ? "resume" : "scratch";
    }
    if (!strcmp(from, "resume")) {
        if (!unfinished) {
            die(EXIT_MISSING,
                "%s: not there, so there is nothing to resume; --init_from=scratch "
                "starts anew",
                folder->state);
        }
        start_resume(&s);
        return true;
    }
    *progress = progress_fresh();
    if (!strcmp(from, "scratch")) {
        model_init(m, info, (uint64_t)run->seed);
        printf("starts with new weights, seed %lld\n", (long long)run->seed);
    } else {
        start_from(&s, from);
    }
    if (!run->eval_only) {
        folder_set_aside(folder);
    }
    return false;
}
