// test_sampler_talk.c: conversations with the sampler on a fake model, on a terminal and without.
// links: tests/runtime/fake_sampler.c
// links: runtime/programs/sample/flags.c runtime/programs/sample/prompt.c
// links: runtime/programs/sample/output.c runtime/programs/sample/tokens_json.c
// links: runtime/programs/sample/answer.c runtime/programs/sample/ids.c
// links: runtime/programs/sample/score.c runtime/programs/sample/interactive.c
// links: runtime/programs/sample/samples.c runtime/programs/sample/prompts.c
#include "tests/runtime/sampler_main.h"

#include <poll.h>
#include <pty.h>

// Runs the program with `input` as its stdin.
static int run_with_input(const char *input, const char *const *arguments) {
    suite_write_text("in", input);
    const int before = dup(0), file = open(suite_path("in"), O_RDONLY);
    ck_assert_int_ge(file, 0);
    dup2(file, 0);
    close(file);
    const int code = run_into(NULL, arguments);
    dup2(before, 0);
    close(before);
    return code;
}

START_TEST(test_main_interactive) {
    write_good_checkpoint();
    // the context is the whole conversation: start, lines and answers
    struct sequence wanted = {.ids = {4, 2, 3, 0}, .count = 4};
    struct sampling greedy = {.top_p = 1};
    static const char *const letters[] = {"\n", " ", "a", "b",        "c",
                                          "d",  "e", "f", "\303\251", "\344\270\255"};
    char expected[1024] = "c";
    for (uint32_t turn = 0; turn < 3; turn++) {
        const int from = wanted.count;
        generate_by_recomputing(&wanted, 5, &greedy, 10, turn);
        for (int i = from; i < wanted.count; i++) {
            strcat(expected, letters[wanted.ids[i]]);
        }
        strcat(expected, "\n");
        if (turn == 0) {
            sequence_append(&wanted, 5);
            sequence_append(&wanted, 0);
        } else {
            sequence_append(&wanted, 6); // the last line has no newline
        }
    }
    const char *const arguments[] = {
        path, "--interactive", "--temperature=0", "--max_new_tokens=5", "--start=c", NULL};
    ck_assert_int_eq(run_with_input("ab\nd\ne", arguments), EXIT_DONE);
    ck_assert_str_eq(out, expected);
    ck_assert_str_eq(err, "");
    ck_assert(said_slide);
    // drafts change no text
    const char *const drafts[] = {
        path,        "--interactive", "--temperature=0", "--max_new_tokens=5",
        "--start=c", "--lookup=4",    "--timing",        NULL};
    ck_assert_int_eq(run_with_input("ab\nd\ne", drafts), EXIT_DONE);
    ck_assert_str_eq(out, expected);
    ck_assert_ptr_nonnull(strstr(err, "lookup: "));
    // a line that is not of the vocabulary gets a line, and is left out
    ck_assert_int_eq(run_with_input("ab\nZ\nd\ne", arguments), EXIT_DONE);
    ck_assert_str_eq(out, expected);
    ck_assert_ptr_nonnull(strstr(err, "the line: line 1, character 1: 'Z'"));
}
END_TEST

// A signal ends an answer; the next line gets another one.
START_TEST(test_main_interrupted) {
    write_good_checkpoint();
    int in[2], from[2];
    ck_assert_int_eq(pipe(in), 0);
    ck_assert_int_eq(pipe(from), 0);
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        signal(SIGINT, SIG_DFL);
        if (dup2(in[0], 0) < 0 || dup2(from[1], 1) < 0) {
            _exit(99);
        }
        close(in[1]);
        close(from[0]);
        exit(sample_main(5, (char *[]){"sample", (char *)path, "--interactive", "--json",
                                       "--max_new_tokens=1000000000", NULL}));
    }
    close(in[0]);
    close(from[1]);
    char line[1 << 16];
    for (int turn = 0; turn < 3; turn++) {
        ck_assert_int_eq(write(in[1], "ab\n", 3), 3);
        struct pollfd answer = {.fd = from[0], .events = POLLIN};
        while (poll(&answer, 1, 20) == 0) { // the answer does not end by itself
            ck_assert_int_eq(kill(child, SIGINT), 0);
        }
        size_t length = 0;
        for (char one = 0; one != '\n';) { // its beginning is kept
            ck_assert_int_eq(read(from[0], &one, 1), 1);
            line[length] = one;
            length += length + 2 < sizeof line;
        }
        line[length] = 0;
        ck_assert_ptr_nonnull(strstr(line, "\"finish_reason\":\"interrupt\""));
    }
    close(in[1]);
    close(from[0]);
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), EXIT_DONE);
}
END_TEST

// Reads from a terminal until `text` has come, or, if that is NULL, 100 bytes.
static void terminal_read(int terminal, const char *text) {
    static char seen[1 << 20];
    for (size_t length = 0; text ? length == 0 || !strstr(seen, text) : length < 100;) {
        struct pollfd more = {.fd = terminal, .events = POLLIN};
        if (length == sizeof seen - 1) {
            length = 0; // an answer goes on until it is told to end
        }
        ck_assert_msg(poll(&more, 1, 60000) == 1, "no '%s' came: %s", text, seen);
        const ssize_t got = read(terminal, seen + length, sizeof seen - 1 - length);
        ck_assert_int_gt(got, 0);
        length += (size_t)got;
        seen[length] = '\0';
    }
}

static pid_t terminal_start(int *terminal, const char *mode) {
    fflush(NULL);
    const pid_t child = forkpty(terminal, NULL, NULL, NULL);
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        signal(SIGINT, SIG_DFL);
        exit(sample_main(5, (char *[]){"sample", (char *)path, (char *)mode, "--slide=half",
                                       "--max_new_tokens=1000000000", NULL}));
    }
    return child;
}

// On a terminal text comes while the answer, which has no end, is written; Ctrl-C ends it, and the
// program asks for the next line; Ctrl-D ends the program.
START_TEST(test_main_terminal) {
    write_good_checkpoint();
    int terminal, status;
    const pid_t child = terminal_start(&terminal, "--interactive");
    terminal_read(terminal, "> ");
    for (int turn = 0; turn < 3; turn++) {
        ck_assert_int_eq(write(terminal, "ab\n", 3), 3);
        terminal_read(terminal, "ab\r\n"); // what was typed
        terminal_read(terminal, NULL);     // and a part of an answer
        ck_assert_int_eq(write(terminal, "\3", 1), 1);
        terminal_read(terminal, "\n> ");
    }
    // Where there is nothing to end, another line is asked for: once the program waits for one.
    struct pollfd more = {.fd = terminal, .events = POLLIN};
    for (char one = 0; one != '>';) {
        ck_assert_int_eq(write(terminal, "\3", 1), 1);
        while (one != '>' && poll(&more, 1, 20) == 1) {
            ck_assert_int_eq(read(terminal, &one, 1), 1);
        }
    }
    ck_assert_int_eq(write(terminal, "\4", 1), 1);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), EXIT_DONE);
    close(terminal);
}
END_TEST

// So it does without a conversation, where Ctrl-C ends the program.
START_TEST(test_main_streams) {
    write_good_checkpoint();
    int terminal, status;
    const pid_t child = terminal_start(&terminal, "--num_samples=2");
    terminal_read(terminal, NULL);
    ck_assert_int_eq(write(terminal, "\3", 1), 1);
    while (waitpid(child, &status, WNOHANG) == 0) { // it may wait for someone to read
        struct pollfd more = {.fd = terminal, .events = POLLIN};
        char bytes[4096];
        if (poll(&more, 1, 10) == 1 && read(terminal, bytes, sizeof bytes) < 0) {
            ck_assert_int_eq(waitpid(child, &status, 0), child);
            break;
        }
    }
    ck_assert(WIFSIGNALED(status));
    ck_assert_int_eq(WTERMSIG(status), SIGINT);
    close(terminal);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {
        test_main_interactive,
        test_main_interrupted,
        test_main_terminal,
        test_main_streams,
    };
    return suite_main_with("sampler: talk", set_up, tests, sizeof tests / sizeof tests[0]);
}
