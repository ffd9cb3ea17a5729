// sampler_main.h: shared by the tests of the sampler's command line on a fake model. The program is
// included here, so that its main can be called in a child process.
#ifndef DIECAST_SAMPLER_MAIN_H
#define DIECAST_SAMPLER_MAIN_H

#include "tests/runtime/fake_checkpoint.h"

#include <sys/resource.h>

#define main sample_main
#include "runtime/programs/sample.c"
#undef main

static char out[1 << 16], err[1 << 16];   // what the last run wrote
static rlim_t file_limit = RLIM_INFINITY; // bytes that a file of the next runs may have

static inline void slurp(const char *name, char *text, size_t size) {
    FILE *in = fopen(suite_path(name), "rb");
    ck_assert_ptr_nonnull(in);
    text[fread(text, 1, size - 1, in)] = '\0';
    fclose(in);
}

static bool said_slide; // in the last run's err, which has it no longer

// Takes the line that says what a text beyond the context costs out of err.
static inline void strip_slide(void) {
    char *line = strstr(err, " beyond the context of 8 tokens, ");
    said_slide = line != NULL;
    if (line != NULL) {
        const char *const rest = strchr(line, '\n') + 1;
        while (line > err && line[-1] != '\n') {
            line--;
        }
        memmove(line, rest, strlen(rest) + 1);
    }
}

// Runs the program in a child; arguments end with NULL. stdout goes to the file `to`, or is
// captured if that is NULL. Returns the exit code.
static inline int run_into(const char *to, const char *const *arguments) {
    char *argv[32] = {"sample"};
    int argc = 1;
    const struct rlimit limit = {file_limit, file_limit};
    while (arguments[argc - 1] != NULL) {
        ck_assert_int_lt(argc, 31);
        argv[argc] = (char *)arguments[argc - 1];
        argc++;
    }
    fflush(NULL);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        int out_fd = open(to != NULL ? to : suite_path("out"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
        int err_fd = open(suite_path("err"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
        if (out_fd < 0 || err_fd < 0 || dup2(out_fd, 1) < 0 || dup2(err_fd, 2) < 0 ||
            (file_limit != RLIM_INFINITY && setrlimit(RLIMIT_FSIZE, &limit))) {
            _exit(99);
        }
        exit(sample_main(argc, argv));
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status), "ended by signal %d", WTERMSIG(status));
    if (to == NULL) {
        slurp("out", out, sizeof out);
    }
    slurp("err", err, sizeof err);
    strip_slide();
    return WEXITSTATUS(status);
}

#define run(...) run_into(NULL, (const char *const[]){__VA_ARGS__, NULL})

// Checks that a run fails with one line that has these words, and writes nothing.
#define assert_fails(code, words, ...)                                                             \
    do {                                                                                           \
        ck_assert_int_eq(run(__VA_ARGS__), code);                                                  \
        ck_assert_msg(strstr(err, words) != NULL, "wanted '%s': %s", words, err);                  \
        ck_assert_ptr_eq(strchr(err, '\n'), err + strlen(err) - 1);                                \
        ck_assert_str_eq(out, "");                                                                 \
    } while (0)

#endif
