// report.c: the run's page, RUNFOLDER/report.html, which the project's gen/report.lua rewrites
// during the run. A trainer that was copied elsewhere does not find that script: it warns and
// trains.
#include "runtime/train/train.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

// The program is in build/NAME/BACKEND, or deeper for a variant: the project's root is three to
// five folders above.
static bool report_find_root(char root[PATH_MAX]) {
    enum { SHALLOWEST = 4, DEEPEST = 6 }; // path components to remove, with the program's name
    ssize_t length = readlink("/proc/self/exe", root, PATH_MAX - 1);
    if (length <= 0) {
        return false;
    }
    root[length] = 0;
    for (int taken = 1; taken <= DEEPEST; taken++) {
        char *slash = strrchr(root, '/'), script[PATH_MAX + 32];
        if (!slash) {
            return false;
        }
        *slash = 0;
        snprintf(script, sizeof script, "%s/gen/report.lua", root);
        if (taken >= SHALLOWEST && !access(script, R_OK)) {
            return true;
        }
    }
    return false;
}

void report_open(struct report *report, const struct folder *folder) {
    char root[PATH_MAX];
    *report = (struct report){0};
    char *out = realpath(folder->out, NULL);
    if (!out || !report_find_root(root)) {
        warn("--report: no gen/report.lua above this program, so no page is made; run it where it "
             "was "
             "built");
        free(out);
        return;
    }
    report->root = allocate_copy(root, strlen(root), "a path");
    report->folder = out;
}

// Waits until the script prints something or ends. If a stop is asked for, ends it and returns
// false.
static bool report_attend(int channel, pid_t child) {
    enum { LOOK_MS = 100 }; // between two checks for a stop
    struct pollfd words = {.fd = channel, .events = POLLIN};
    while (poll(&words, 1, LOOK_MS) <= 0) {
        if (stop_asked()) {
            kill(child, SIGTERM);
            return false;
        }
    }
    return true;
}

// read(2), repeated if a signal interrupts it. Returns 0 at the end and after an error.
static size_t report_read(int channel, char *to, size_t size) {
    ssize_t got;
    do {
        got = read(channel, to, size);
    } while (got < 0 && errno == EINTR);
    return got > 0 ? (size_t)got : 0;
}

// Reads the first line that the child prints, cut to fit `size`, and drops the rest.
static void report_listen(int channel, char *line, size_t size) {
    size_t held = 0, got;
    char dropped[512];
    while (held < size - 1 && (got = report_read(channel, line + held, size - 1 - held)) > 0) {
        held += got;
    }
    line[held] = 0;
    line[strcspn(line, "\n")] = 0;
    while (report_read(channel, dropped, sizeof dropped) > 0) {
    }
}

// Runs the script. False with one line in `line` if it fails.
static bool report_run(const struct report *report, char *line, size_t size) {
    // The shell changes the folder. Paths are arguments, so that the shell does not interpret them.
    static const char command[] =
        "cd -- \"$1\" && exec lua5.4 -E gen/report.lua --live --out \"$2/report.html\" \"$2\"";
    char *const argv[] = {"sh", "-c", (char *)command, "sh", report->root, report->folder, NULL};
    int channel[2];
    if (pipe(channel)) {
        snprintf(line, size, "%s", strerror(errno));
        return false;
    }
    fcntl(channel[0], F_SETFD, FD_CLOEXEC);
    fcntl(channel[1], F_SETFD, FD_CLOEXEC);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, channel[1], STDERR_FILENO);
    pid_t child;
    int reason = posix_spawn(&child, "/bin/sh", &actions, NULL, argv, environ), status;
    posix_spawn_file_actions_destroy(&actions);
    close(channel[1]);
    if (reason) {
        close(channel[0]);
        snprintf(line, size, "%s", strerror(reason));
        return false;
    }
    *line = 0;
    if (report_attend(channel[0], child)) {
        report_listen(channel[0], line, size);
    }
    close(channel[0]);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (!*line) {
        snprintf(line, size, "gen/report.lua ended with %d",
                 WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

double report_refresh(struct report *report) {
    if (!report->root) {
        return 0;
    }
    double start = time_now();
    char line[300];
    if (report_run(report, line, sizeof line)) {
        report->warned = false;
    } else if (!report->warned && !stop_asked()) { // Ctrl-C ends the script too
        meter_clear();
        warn("%s/report.html: not made: %s; training continues", report->folder, line);
        report->warned = true;
    }
    return time_now() - start;
}

void report_close(struct report *report) {
    free(report->root);
    free(report->folder);
    *report = (struct report){0};
}
