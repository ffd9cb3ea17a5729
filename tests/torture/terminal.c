// terminal.c: types Ctrl-C on a terminal while a command runs there, for test_terminal.sh.
//
//     terminal TEXT COUNT DELAY AGAIN COMMAND...
//
// runs a command on a pseudo-terminal of its own, whose output it copies to stdout. When TEXT has
// come COUNT times, and DELAY microseconds later, it writes the byte 3, and, if AGAIN is not 0,
// again that many microseconds later. It ends with the command's code, or with 128 and the signal's
// number. It depends on libc alone.
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { HUNG_SECONDS = 300, CTRL_C = 3 };

static char seen[1 << 20]; // the output
static size_t seen_length;

static int64_t clock_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

// Copies output for so many microseconds, or until text has come `count` times. False at its end.
static bool copy(int terminal, int64_t microseconds, const char *text, int count) {
    const int64_t end = clock_now() + microseconds;
    for (int64_t left; (left = end - clock_now()) > 0;) {
        struct pollfd poller = {.fd = terminal, .events = POLLIN};
        const struct timespec wait = {left / 1000000, left % 1000000 * 1000};
        if (ppoll(&poller, 1, &wait, NULL) <= 0) {
            continue;
        }
        if (seen_length == sizeof seen - 1) {
            seen_length = 0;
        }
        const ssize_t got = read(terminal, seen + seen_length, sizeof seen - 1 - seen_length);
        if (got <= 0) {
            return false; // EIO: nobody has the terminal open any more
        }
        fwrite(seen + seen_length, 1, (size_t)got, stdout);
        seen_length += (size_t)got;
        seen[seen_length] = 0;
        int found = 0;
        for (const char *at = seen; text && (at = strstr(at, text)); at++) {
            found++;
        }
        if (text && found >= count) {
            return true;
        }
    }
    return true;
}

static void type_stop(int terminal) {
    const char stop = CTRL_C;
    if (write(terminal, &stop, 1) != 1) {
        fprintf(stderr, "terminal: it was closed before Ctrl-C\n");
    }
}

int main(int argc, char **argv) {
    if (argc < 6) {
        fprintf(stderr, "terminal TEXT COUNT DELAY AGAIN COMMAND...\n");
        return 64;
    }
    const int64_t again = atoll(argv[4]), ever = (int64_t)HUNG_SECONDS * 1000000;
    int terminal;
    const pid_t child = forkpty(&terminal, NULL, NULL, NULL);
    if (child == 0) {
        signal(SIGINT, SIG_DFL); // a shell's background jobs ignore both
        signal(SIGQUIT, SIG_DFL);
        execvp(argv[5], argv + 5);
        _exit(127);
    }
    if (child < 0) {
        return 71;
    }
    bool open =
        copy(terminal, ever, argv[1], atoi(argv[2])) && copy(terminal, atoll(argv[3]), NULL, 0);
    if (open) {
        type_stop(terminal);
    }
    if (open && again > 0 && (open = copy(terminal, again, NULL, 0))) {
        type_stop(terminal);
    }
    if (open && copy(terminal, ever, NULL, 0)) {
        fprintf(stderr, "terminal: the command hangs\n");
        kill(child, SIGKILL);
    }
    int status;
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
