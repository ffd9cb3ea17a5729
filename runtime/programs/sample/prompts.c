// prompts.c: a file of prompts: JSON lines, each with flags of its own, or a line of text each.
#include "runtime/programs/sample/modes.h"

#include <stdlib.h>
#include <string.h>

// A line of the file.
struct prompts_line {
    const char *path;
    size_t number;
    struct slice text;
};

static _Noreturn void prompts_refuse(const struct prompts_line *line, const char *problem) {
    die(EXIT_DATA, "%s:%zu: %s", line->path, line->number, problem);
}

// The texts of "stop" are the job's.
static void prompts_stop(const struct prompts_line *line, struct sample_job *job,
                         const struct json *json, int value) {
    const bool list = json_is_array(json, value);
    const int count = list ? json_count(json, value) : 1;
    job->flags.stop.count = 0;
    for (int i = 0; i < count; i++) {
        char *text = json_string(json, list ? json_element(json, value, i) : value);
        char problem[FLAG_PROBLEM] = "\"stop\": wanted a text, or a list of texts, without zeros";
        if (!text || !sample_flags_own(&job->flags, "stop", text, problem)) {
            free(text);
            prompts_refuse(line, problem);
        }
        job->stops = job->flags.stop.count;
    }
}

// Any other flag: a number as it stands there; a text in quotes, so that it is no number.
static void prompts_flag(const struct prompts_line *line, struct sample_job *job, const char *name,
                         const struct json *json, int value) {
    char *word = json_word(json, value), *string = json_string(json, value);
    char text[80], problem[FLAG_PROBLEM];
    snprintf(text, sizeof text, word ? "%s" : "\"%s\"", word ? word : string ? string : "...");
    free(word);
    free(string);
    if (!sample_flags_own(&job->flags, name, text, problem)) {
        prompts_refuse(line, problem);
    }
}

static void prompts_json(const struct prompts_line *line, struct sample_job *job) {
    const char *error;
    struct json *json = json_parse(line->text.text, line->text.length, &error);
    if (!json || !json_is_object(json, 0)) {
        prompts_refuse(line, json ? "wanted an object, as {\"prompt\": \"...\"}" : error);
    }
    for (int i = 0; i < json_count(json, 0); i++) {
        int value;
        char *key = json_string(json, json_member(json, 0, i, &value)), name[40];
        snprintf(name, sizeof name, "%s", key ? key : "");
        free(key);
        if (strcmp(name, "prompt") == 0) {
            job->prompt.text = json_bytes(json, value, &job->prompt.length);
            if (!job->prompt.text) {
                prompts_refuse(line, "\"prompt\": wanted a text");
            }
        } else if (strcmp(name, "stop") == 0) {
            prompts_stop(line, job, json, value);
        } else {
            prompts_flag(line, job, name, json, value);
        }
    }
    json_free(json);
    if (!job->prompt.text) {
        prompts_refuse(line, "no \"prompt\"; wanted an object, as {\"prompt\": \"...\"}");
    }
}

static void prompts_line(const struct prompts_line *line, bool json, struct sample_job *job,
                         const struct tokenizer *tokenizer) {
    if (json) {
        prompts_json(line, job);
    } else {
        job->prompt.text = allocate_copy(line->text.text, line->text.length, "a prompt");
        job->prompt.length = line->text.length;
    }
    if (job->prompt.length == 0) {
        prompts_refuse(line, "an empty prompt; give one character at least");
    }
    char place[320], error[512];
    snprintf(place, sizeof place, "%.280s:%zu", line->path, line->number);
    job->prompt.place = place;
    job->prompt.code = EXIT_DATA;
    size_t where;
    if (!prompt_encode(&job->prompt, tokenizer, error, &where)) {
        die(EXIT_DATA, "%s", error);
    }
    job->prompt.place = line->path;
    sample_job_begin(job);
}

static bool prompts_is_blank(struct slice text) {
    size_t i = 0;
    while (i < text.length && strchr(" \t\r", text.text[i]) && text.text[i]) {
        i++;
    }
    return i == text.length;
}

struct sample_job *prompts_parse(const struct sample_flags *flags, struct slice text,
                                 const struct tokenizer *tokenizer, int64_t *count) {
    struct sample_job *jobs = NULL;
    struct prompts_line line = {.path = flags->prompts};
    const char *at = text.text, *const end = at + text.length;
    const size_t indent = strspn(at, " \t\r\n");
    const bool json = at[indent] == '{';
    size_t room = 0;
    for (*count = 0; at < end;) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop ? stop : end;
        line.text = (struct slice){at, (size_t)(stop - at)};
        line.number++;
        at = stop + 1;
        if (!json && line.text.length > 0 && stop[-1] == '\r') {
            line.text.length--;
        }
        if (json && prompts_is_blank(line.text)) {
            continue;
        }
        if ((size_t)*count == room) {
            room = room ? 2 * room : 16;
            jobs = allocate_again(jobs, room * sizeof *jobs, "the prompts");
        }
        jobs[*count] = (struct sample_job){.flags = *flags};
        prompts_line(&line, json, &jobs[(*count)++], tokenizer);
    }
    return jobs;
}

struct sample_job *prompts_read(const struct sample_flags *flags, const struct tokenizer *tokenizer,
                                int64_t *count) {
    struct prompt file;
    prompt_read_file(&file, flags->prompts);
    file.text = allocate_again(file.text, file.length + 1, "the prompts");
    file.text[file.length] = '\0';
    struct sample_job *jobs =
        prompts_parse(flags, (struct slice){file.text, file.length}, tokenizer, count);
    free(file.text);
    return jobs;
}

void prompts_free(struct sample_job *jobs, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        for (int k = 0; k < jobs[i].stops; k++) {
            free((char *)(uintptr_t)jobs[i].flags.stop.text[k]);
        }
        prompt_free(&jobs[i].prompt);
    }
    free(jobs);
}
