// chain.c: drives one training through stops at random moments, for test_chains.sh.
//
//     chain SEED LEGS LINES INTERVAL OUTPUT PROGRAM... -- FLAG...
//
// runs a trainer again and again with the same flags, each time one of the programs on 1 to 8
// threads, until it ends with 0, or with 74 since nobody read its last lines. The first LEGS runs
// are disturbed at a random moment, up to MOST_DELAY microseconds after one of the first LINES
// lines that it prints: by a signal, two at once, one while the process is suspended, a reader that
// closes the pipe, or SIGKILL. It fails, and tells the whole chain, unless each run ends as is
// promised: a stop exits 75 and loses no finished iteration; a kill loses none before the last
// state, which is saved every INTERVAL iterations (0: only at a stop). What the trainer prints is
// appended to OUTPUT, and the number of disturbances to stdout. It depends on libc alone.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST_FLAGS = 64, MOST_LEGS = 64, LOST = 74, STOPPED = 75, HUNG_SECONDS = 300 };
enum { MOST_DELAY = 3000, MOST_START = 40000, MOST_GAP = 20000 }; // microseconds

static const int stops[] = {SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGXCPU};
enum { STOPS = sizeof stops / sizeof stops[0] };

enum way { ONE, TWO, SUSPENDED, PAUSED, CLOSED, KILLED, KILLED_IN_STOP, WAYS };
static const char *const way_names[WAYS] = {
    "one signal",
    "two signals at once",
    "a signal while suspended",
    "suspended a while, then a signal",
    "a closed pipe",
    "killed",
    "killed in a stop",
};

struct leg {
    enum way way;
    int signals[2], threads, program, status;
    int64_t lines, delay;    // printed lines, then microseconds, before the disturbance
    int64_t gap;             // microseconds before its second part
    long first, last, ended; // iterations: where it resumed, the last printed, where it stopped; -1
};
static struct leg chain[MOST_LEGS + 1];
static int legs_done;
static uint64_t random_state, chain_seed;
static const char *const *program;

// splitmix64: a number below `most`.
static int64_t draw(int64_t most) {
    uint64_t z = random_state += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return (int64_t)((z ^ (z >> 31)) % (uint64_t)most);
}

static int64_t clock_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static __attribute__((format(printf, 1, 2))) _Noreturn void wrong(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    printf("chain of SEED=%llu: ", (unsigned long long)chain_seed);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
    for (int i = 0; i < legs_done; i++) {
        const struct leg *leg = &chain[i];
        printf("  %s, %d threads, %s, %lld us after line %lld (signals %d, %d, %lld us apart): "
               "status 0x%x, iterations %ld to %ld, ended %ld\n",
               program[leg->program], leg->threads, way_names[leg->way], (long long)leg->delay,
               (long long)leg->lines, leg->signals[0], leg->signals[1], (long long)leg->gap,
               (unsigned)leg->status, leg->first, leg->last, leg->ended);
    }
    exit(1);
}

// ---- one run ------------------------------------------------------------------------------------

static pid_t start(const struct leg *leg, char **flags, int count, int *reader) {
    int ends[2];
    if (pipe(ends)) {
        wrong("pipe: %s", strerror(errno));
    }
    fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    const pid_t child = fork();
    if (child == 0) {
        char threads[32];
        snprintf(threads, sizeof threads, "--threads=%d", leg->threads);
        char *arguments[MOST_FLAGS + 3] = {(char *)program[leg->program], threads};
        memcpy(arguments + 2, flags, (size_t)count * sizeof *flags);
        for (int i = 0; i < STOPS; i++) {
            signal(stops[i], SIG_DFL);
        }
        signal(SIGPIPE, SIG_DFL);
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        close(ends[1]);
        execv(arguments[0], arguments);
        _exit(127);
    }
    close(ends[1]);
    if (child < 0) {
        wrong("fork: %s", strerror(errno));
    }
    *reader = ends[0];
    return child;
}

// What a run has printed so far, and its lines.
static char *printed;
static size_t printed_length;
static int64_t printed_lines;

static void take_output(int *reader) {
    printed = realloc(printed, printed_length + 65537);
    const ssize_t got = read(*reader, printed + printed_length, 65536);
    if (got <= 0) {
        close(*reader);
        *reader = -1;
    }
    for (ssize_t i = 0; i < got; i++) {
        printed_lines += printed[printed_length++] == '\n';
    }
}

// Reads until there are so many lines or the run ends.
static void listen_for_lines(int *reader, pid_t child, int64_t lines) {
    const int64_t hung = clock_now() + (int64_t)HUNG_SECONDS * 1000000;
    while (*reader >= 0 && printed_lines < lines) {
        struct pollfd poller = {.fd = *reader, .events = POLLIN};
        if (poll(&poller, 1, 1000) > 0) {
            take_output(reader);
        } else if (clock_now() > hung) {
            kill(child, SIGKILL);
            wrong("a run hung");
        }
    }
}

// Reads for so many microseconds.
static void listen_for(int *reader, int64_t microseconds) {
    const int64_t end = clock_now() + microseconds;
    for (int64_t left; (left = end - clock_now()) > 0;) {
        struct pollfd poller = {.fd = *reader, .events = POLLIN};
        const struct timespec wait = {left / 1000000, left % 1000000 * 1000};
        if (ppoll(&poller, *reader >= 0, &wait, NULL) > 0) {
            take_output(reader);
        }
    }
}

static void disturb(const struct leg *leg, pid_t child, int *reader) {
    switch (leg->way) {
    case ONE:
        kill(child, leg->signals[0]);
        break;
    case TWO:
        kill(child, leg->signals[0]);
        kill(child, leg->signals[1]);
        break;
    case SUSPENDED:
        kill(child, SIGSTOP);
        kill(child, leg->signals[0]);
        listen_for(reader, leg->gap);
        kill(child, SIGCONT);
        break;
    case PAUSED:
        kill(child, SIGSTOP);
        listen_for(reader, leg->gap);
        kill(child, SIGCONT);
        listen_for(reader, leg->gap);
        kill(child, leg->signals[0]);
        break;
    case CLOSED:
        close(*reader);
        *reader = -1;
        break;
    case KILLED_IN_STOP:
        kill(child, leg->signals[0]);
        listen_for(reader, leg->gap);
        kill(child, SIGKILL);
        break;
    default:
        kill(child, SIGKILL);
        break;
    }
}

// ---- what is promised ---------------------------------------------------------------------------

// The number behind the last occurrence of a text, or, of a text that begins a line, behind the
// last one that does; -1 without one. A line that a kill has cut counts for nothing.
static long number_behind(const char *text, bool begins) {
    long number = -1;
    for (const char *at = printed; (at = strstr(at, text)); at += strlen(text)) {
        if (!begins || at == printed || at[-1] == '\n') {
            char *end;
            const long value = strtol(at + strlen(text), &end, 10);
            number = *end ? value : number;
        }
    }
    return number;
}

// A run that was over before it noticed that nobody reads says that its last lines are lost.
static bool is_unheard_end(const struct leg *leg) {
    return leg->way == CLOSED && WIFEXITED(leg->status) && WEXITSTATUS(leg->status) == LOST;
}

static bool is_right_end(const struct leg *leg) {
    const bool kills = leg->way == KILLED || leg->way == KILLED_IN_STOP;
    if (!WIFSIGNALED(leg->status)) {
        return WEXITSTATUS(leg->status) == 0 || WEXITSTATUS(leg->status) == STOPPED ||
               is_unheard_end(leg);
    }
    const int by = WTERMSIG(leg->status);
    // A stop may only end a program that has not begun to listen, and has therefore said nothing.
    const bool stop = by == leg->signals[0] || (leg->way == TWO && by == leg->signals[1]);
    return (kills && by == SIGKILL) || (stop && printed_length == 0);
}

static void judge(const struct leg *leg, long before) {
    if (!is_right_end(leg)) {
        wrong("a run ended as none may:\n%s", printed);
    }
    if (leg->first >= 0 && leg->first < before) {
        wrong("it had to resume from iteration %ld and did from %ld", before, leg->first);
    }
    if (leg->ended >= 0 && leg->last >= 0 && leg->ended != leg->last + 1) {
        wrong("it stopped before iteration %ld, and %ld was the last one", leg->ended, leg->last);
    }
}

// The iteration that the next run has to resume from, at least.
static long promised(const struct leg *leg, long interval, long before) {
    if (leg->ended >= 0) {
        return leg->ended;
    }
    // An iteration is printed after the state that precedes it was saved.
    const long saved = interval > 0 && leg->last > 0 ? leg->last / interval * interval : 0;
    return saved > before ? saved : before;
}

int main(int argc, char **argv) {
    int split = 6;
    while (split < argc && strcmp(argv[split], "--") != 0) {
        split++;
    }
    const int programs = split - 6, count = argc - split - 1;
    const int legs = argc > 2 ? atoi(argv[2]) : 0;
    FILE *output = argc > 5 ? fopen(argv[5], "a") : NULL;
    if (programs < 1 || count < 0 || count > MOST_FLAGS || legs > MOST_LEGS || !output) {
        fprintf(stderr, "chain SEED LEGS LINES INTERVAL OUTPUT PROGRAM... -- FLAG...\n");
        return 64;
    }
    random_state = chain_seed = strtoull(argv[1], NULL, 10);
    const int64_t lines = atoll(argv[3]);
    const long interval = atol(argv[4]);
    program = (const char *const *)argv + 6;
    signal(SIGPIPE, SIG_IGN);
    long before = 0;
    for (int i = 0; i <= legs; i++) {
        struct leg *leg = &chain[i];
        *leg = (struct leg){.way = (enum way)draw(WAYS),
                            .signals = {stops[draw(STOPS)], stops[draw(STOPS)]},
                            .threads = 1 + (int)draw(8),
                            .program = (int)draw(programs),
                            .lines = draw(lines),
                            .gap = draw(MOST_GAP)};
        leg->delay = draw(leg->lines > 0 ? MOST_DELAY : MOST_START);
        legs_done = i + 1;
        int reader;
        printed_length = 0;
        printed_lines = 0;
        const pid_t child = start(leg, argv + split + 1, count, &reader);
        if (i < legs) {
            listen_for_lines(&reader, child, leg->lines);
            listen_for(&reader, leg->delay);
            disturb(leg, child, &reader);
        }
        listen_for_lines(&reader, child, INT64_MAX);
        if (waitpid(child, &leg->status, 0) != child) {
            wrong("waitpid: %s", strerror(errno));
        }
        printed = realloc(printed, printed_length + 1);
        printed[printed_length] = 0;
        leg->first = number_behind(", iteration ", false);
        leg->last = number_behind("iter ", true);
        leg->ended = number_behind("stopped before iteration ", true);
        fwrite(printed, 1, printed_length, output);
        judge(leg, before);
        before = promised(leg, interval, before);
        if (leg->status == 0 || is_unheard_end(leg)) {
            printf("%d\n", i);
            return fclose(output) ? 74 : 0;
        }
    }
    wrong("it did not end when nothing disturbed it any more:\n%s", printed);
}
