// trace.c: runs a program, unmodified, and stops it at its system calls that touch files, to kill
// it there, to make a call fail, or to write down what it did. Linux; x86-64, since it sets
// registers.
//
//     trace [FLAG ...] record LOG PROGRAM ...   writes down each call (the format is below)
//     trace [FLAG ...] kill K WHEN PROGRAM ...  SIGKILL at call K; WHEN: before, within, after
//     trace [FLAG ...] fail K ERROR PROGRAM ... call K is not made and returns ERROR, as ENOSPC
//     trace [FLAG ...] short K PROGRAM ...      call K reads or writes half, which is no error
//
//     --under=PATH     counts only calls on this file, or on what lies in this folder; repeatable
//     --calls=A,B      counts only these calls; files: those that touch a file, which is the
//                      default; look: stat, lseek, flock and so on; memory: anonymous mmap, brk,
//                      clone; all
//     --hit=FILE       writes which call the K-th was, as "7 write 4096 /path", there; it is empty
//                      if the program made fewer calls; K of 0 lets all be, and their number goes
//                      there
//
// K counts from 1, over all threads and children, the program's loader included unless --under
// leaves it out. "K+" in place of K: that call and every later one (fail alone).
// "within" makes a write with half of its bytes, and then kills; at another call it is "before".
// Killed are all the processes that the program started, and itself.
//
// The exit code is the program's, or 128 + the signal that ended it (137: SIGKILL); 77 where
// tracing is not possible; 64 for wrong arguments. To go through all calls: K = 1, 2 ... until FILE
// is empty.
//
// A log has for each call that was made, in the order of their ends, a line of fields parted by
// tabs:
//     number  call  result  offset  length  flags  path  path2
// result: as the kernel returns it; of open one more is added, " new" if it made the file. offset:
// of a read or write, also where the call has none; of a truncation, the new length. After the line
// of a call that writes come its bytes, as many as result says, and a newline.
#define _GNU_SOURCE // for ptrace, process_vm_readv
#include "tests/torture/calls.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { USAGE = 64, INTERNAL = 70, IO_ERROR = 74, SKIPPED = 77 };
enum { PATHS_MAX = 16, THREADS_MAX = 1024, VECTOR_MAX = 1024 };

_Noreturn __attribute__((format(printf, 2, 3))) static void end(int code, const char *format, ...) {
    va_list list;
    va_start(list, format);
    fputs("trace: ", stderr);
    vfprintf(stderr, format, list);
    fputc('\n', stderr);
    va_end(list);
    exit(code);
}

#ifndef __x86_64__
int main(void) {
    end(SKIPPED, "sets registers, which it knows of x86-64 alone");
}
#else

// ---- what is asked for --------------------------------------------------------------------------

enum mode { RECORD, KILL, FAIL, SHORT };
enum when { BEFORE, WITHIN, AFTER };

static enum mode mode;
static enum when when;
static long wanted;    // K
static bool and_later; // K+
static int wanted_error;
static FILE *log_file, *hit_file;
static const char *under[PATHS_MAX];
static int under_count;
static bool chosen[64]; // by place in calls; [calls_count]: anonymous mmap

static const struct {
    const char *name;
    int number;
} error_names[] = {
    {"EACCES", EACCES}, {"EAGAIN", EAGAIN}, {"EBADF", EBADF},   {"EDQUOT", EDQUOT},
    {"EEXIST", EEXIST}, {"EFBIG", EFBIG},   {"EINTR", EINTR},   {"EINVAL", EINVAL},
    {"EIO", EIO},       {"EMFILE", EMFILE}, {"ENFILE", ENFILE}, {"ENODEV", ENODEV},
    {"ENOENT", ENOENT}, {"ENOMEM", ENOMEM}, {"ENOSPC", ENOSPC}, {"EPERM", EPERM},
    {"EPIPE", EPIPE},   {"EROFS", EROFS},   {"EXDEV", EXDEV},   {"ENOSYS", ENOSYS},
};

static int error_of(const char *name) {
    for (size_t i = 0; i < sizeof error_names / sizeof *error_names; i++) {
        if (!strcmp(error_names[i].name, name)) {
            return error_names[i].number;
        }
    }
    end(USAGE, "'%s' is no error that it knows, as ENOSPC or EIO", name);
}

static void choose(char *list) {
    static const char *const groups[] = {"files", "look", "memory"};
    memset(chosen, 0, sizeof chosen);
    for (char *word = strtok(list, ","); word; word = strtok(NULL, ",")) {
        bool known = !strcmp(word, "all");
        for (int i = 0; i < calls_count; i++) {
            if (!strcmp(word, "all") || !strcmp(word, groups[calls[i].group]) ||
                !strcmp(word, calls[i].name)) {
                chosen[i] = known = true;
            }
        }
        chosen[calls_count] |= !strcmp(word, "all") || !strcmp(word, "memory");
        if (!known) {
            end(USAGE, "--calls: '%s' is none of its calls (calls.c), nor files, look, memory, all",
                word);
        }
    }
}

static void take_flag(char *flag) {
    char *value = strchr(flag, '=');
    if (value && !strncmp(flag, "--under=", 8) && under_count < PATHS_MAX) {
        // Where it is, also if it is not there yet.
        char *name = strrchr(value + 1, '/'), above[PATH_MAX], whole[PATH_MAX];
        if (realpath(value + 1, whole)) {
            under[under_count++] = strdup(whole);
            return;
        }
        snprintf(whole, sizeof whole, "%.*s", name ? (int)(name - value - 1) : 1,
                 name ? value + 1 : ".");
        if (!realpath(whole, above) || asprintf((char **)&under[under_count++], "%s/%s", above,
                                                name ? name + 1 : value + 1) < 0) {
            end(USAGE, "%s: its folder is not there", flag);
        }
    } else if (value && !strncmp(flag, "--calls=", 8)) {
        choose(value + 1);
    } else if (value && !strncmp(flag, "--hit=", 6)) {
        hit_file = fopen(value + 1, "we");
        if (!hit_file) {
            end(IO_ERROR, "%s: %s", value + 1, strerror(errno));
        }
    } else {
        end(USAGE, "'%s' is none of its flags: --under=PATH, --calls=LIST, --hit=FILE", flag);
    }
}

// Reads the arguments; returns the program's.
static char **take_arguments(int argc, char **argv) {
    static const char usage[] = "wanted: [FLAG ...] record LOG | kill K before|within|after | "
                                "fail K ERROR | short K, and a program (head of trace.c)";
    char files[] = "files";
    choose(files);
    int at = 1;
    for (; at < argc && !strncmp(argv[at], "--", 2); at++) {
        take_flag(argv[at]);
    }
    static const char *const modes[] = {"record", "kill", "fail", "short"};
    const int words[] = {1, 2, 2, 1};
    int m = 0;
    while (m < 4 && (at >= argc || strcmp(argv[at], modes[m]))) {
        m++;
    }
    if (m == 4 || argc - at < words[m] + 2) {
        end(USAGE, "%s", usage);
    }
    mode = (enum mode)m;
    char **word = argv + at + 1, *rest = "";
    if (mode == RECORD) {
        log_file = fopen(word[0], "we");
        if (!log_file) {
            end(IO_ERROR, "%s: %s", word[0], strerror(errno));
        }
    } else {
        wanted = strtol(word[0], &rest, 10);
        and_later = mode == FAIL && !strcmp(rest, "+");
        if (wanted < (hit_file ? 0 : 1) || (*rest && !and_later)) {
            end(USAGE, "'%s': %s", word[0], usage);
        }
    }
    if (mode == FAIL) {
        wanted_error = error_of(word[1]);
    } else if (mode == KILL) {
        static const char *const whens[] = {"before", "within", "after"};
        int w = 0;
        while (w < 3 && strcmp(word[1], whens[w])) {
            w++;
        }
        if (w == 3) {
            end(USAGE, "'%s': %s", word[1], usage);
        }
        when = (enum when)w;
    }
    return word + words[m];
}

// ---- the traced processes -----------------------------------------------------------------------

// A thread that is within a call whose end matters.
struct thread {
    pid_t tid;
    const struct call *call;
    long number;
    uint64_t args[6];
    uint64_t offset, length;
    bool is_new, kill;
    char path[PATH_MAX], path2[PATH_MAX];
    uint64_t cut, cut_length; // where the program has the part that was shortened, and its length
};
static struct thread *threads[THREADS_MAX]; // of those that are within one
static pid_t alive[THREADS_MAX];
static int alive_count;
static long counted;
static bool killed;

static bool copy_from(pid_t tid, uint64_t address, void *to, size_t length) {
    struct iovec here = {to, length}, there = {(void *)address, length};
    return process_vm_readv(tid, &here, 1, &there, 1, 0) == (ssize_t)length;
}

static bool copy_to(pid_t tid, const void *from, uint64_t address, size_t length) {
    struct iovec here = {(void *)from, length}, there = {(void *)address, length};
    return process_vm_writev(tid, &here, 1, &there, 1, 0) == (ssize_t)length;
}

// Where a descriptor leads; "" if it is closed.
static void path_of_fd(pid_t tid, int fd, char path[PATH_MAX]) {
    char link[64];
    snprintf(link, sizeof link, "/proc/%d/fd/%d", (int)tid, fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    path[length > 0 ? length : 0] = 0;
}

// A string of the program, which may end just before a page that is not there.
static void text_of(pid_t tid, uint64_t address, char text[PATH_MAX]) {
    size_t length = 0;
    while (length < PATH_MAX - 1 && copy_from(tid, address + length, text + length, 1) &&
           text[length]) {
        length++;
    }
    text[length] = 0;
}

// A path that the program names, absolute; its folder without links.
static void path_of_text(pid_t tid, uint64_t address, int dir, char path[PATH_MAX]) {
    char name[PATH_MAX], from[PATH_MAX], whole[2 * PATH_MAX + 2];
    text_of(tid, address, name);
    if (name[0] == '/') {
        from[0] = 0;
    } else if (dir == AT_FDCWD) {
        char link[64];
        snprintf(link, sizeof link, "/proc/%d/cwd", (int)tid);
        ssize_t length = readlink(link, from, sizeof from - 1);
        from[length > 0 ? length : 0] = 0;
    } else {
        path_of_fd(tid, dir, from);
    }
    snprintf(whole, sizeof whole, "%s%s%s", from, name[0] == '/' ? "" : "/", name);
    char *last = strrchr(whole, '/'), above[PATH_MAX], *put;
    *last = 0;
    bool plain = last[1] && strcmp(last + 1, ".") && strcmp(last + 1, "..");
    if (plain && realpath(*whole ? whole : "/", above)) {
        put = stpcpy(path, strcmp(above, "/") ? above : "");
        *put++ = '/';
        strncpy(put, last + 1, (size_t)(path + PATH_MAX - 1 - put));
        path[PATH_MAX - 1] = 0;
        return;
    }
    *last = '/';
    if (!realpath(whole, path)) {
        memccpy(path, whole, 0, PATH_MAX - 1);
        path[PATH_MAX - 1] = 0;
    }
}

static bool is_under(const char *path) {
    for (int i = 0; i < under_count; i++) {
        size_t length = strlen(under[i]);
        if (!strncmp(path, under[i], length) && (path[length] == '/' || path[length] == 0)) {
            return true;
        }
    }
    return under_count == 0;
}

// The descriptor's position, or the file's end if it appends.
static uint64_t position_of(pid_t tid, int fd) {
    char name[64], text[256];
    snprintf(name, sizeof name, "/proc/%d/fdinfo/%d", (int)tid, fd);
    FILE *file = fopen(name, "re");
    unsigned long long at = 0;
    unsigned flags = 0;
    while (file && fgets(text, sizeof text, file)) {
        if (!sscanf(text, "pos: %llu", &at)) {
            sscanf(text, "flags: %o", &flags);
        }
    }
    if (file) {
        fclose(file);
    }
    struct stat status;
    snprintf(name, sizeof name, "/proc/%d/fd/%d", (int)tid, fd);
    if (flags & O_APPEND && !stat(name, &status)) {
        at = (unsigned long long)status.st_size;
    }
    return at;
}

// The bytes that a call is to read or write.
static uint64_t length_of(pid_t tid, const struct call *call, const uint64_t args[6]) {
    uint64_t count = call->count ? args[call->count - 1] : 0, bytes = 0;
    struct iovec part;
    if (!call->vector) {
        return count;
    }
    for (uint64_t i = 0; i < count && i < VECTOR_MAX; i++) {
        if (copy_from(tid, args[call->vector - 1] + i * sizeof part, &part, sizeof part)) {
            bytes += part.iov_len;
        }
    }
    return bytes;
}

static void write_data(const struct thread *t, long result) {
    uint64_t left = (uint64_t)result;
    const uint64_t count = t->call->vector ? t->args[t->call->count - 1] : 1;
    for (uint64_t i = 0; i < count && left > 0; i++) {
        struct iovec part = {(void *)t->args[t->call->buffer ? t->call->buffer - 1 : 0], left};
        if (t->call->vector && !copy_from(t->tid, t->args[t->call->vector - 1] + i * sizeof part,
                                          &part, sizeof part)) {
            break;
        }
        size_t length = part.iov_len < left ? part.iov_len : left;
        char *bytes = malloc(length + 1);
        if (!bytes || !copy_from(t->tid, (uint64_t)part.iov_base, bytes, length)) {
            end(INTERNAL, "cannot read what %s writes", t->call->name);
        }
        fwrite(bytes, 1, length, log_file);
        free(bytes);
        left -= length;
    }
    fputc('\n', log_file);
}

static void record(const struct thread *t, long result) {
    fprintf(log_file, "%ld\t%s\t%ld%s\t%llu\t%llu\t%llu\t%s\t%s\n", t->number, t->call->name,
            result, t->is_new && result >= 0 ? " new" : "", (unsigned long long)t->offset,
            (unsigned long long)t->length,
            (unsigned long long)(t->call->flags ? t->args[t->call->flags - 1] : 0), t->path,
            t->path2);
    if (t->call->writes && result > 0) {
        write_data(t, result);
    }
}

// ---- stops --------------------------------------------------------------------------------------

static void kill_all(void) {
    killed = true;
    for (int i = 0; i < alive_count; i++) {
        kill(alive[i], SIGKILL); // the process of the thread
    }
}

static struct thread *thread_of(pid_t tid, bool make) {
    int place = -1;
    for (int i = 0; i < THREADS_MAX; i++) {
        if (threads[i] && threads[i]->tid == tid) {
            return threads[i];
        }
        place = !threads[i] && place < 0 ? i : place;
    }
    if (make && place >= 0) {
        threads[place] = calloc(1, sizeof **threads);
    }
    if (!make || place < 0 || !threads[place]) {
        return NULL;
    }
    threads[place]->tid = tid;
    return threads[place];
}

static void forget(pid_t tid) {
    for (int i = 0; i < THREADS_MAX; i++) {
        if (threads[i] && threads[i]->tid == tid) {
            free(threads[i]);
            threads[i] = NULL;
        }
    }
}

// Makes the call one of half its bytes. False if it is none that has a half.
static bool halve(struct thread *t, struct user_regs_struct *regs) {
    const struct call *call = t->call;
    uint64_t half = t->length / 2;
    if ((!call->buffer && !call->vector) || half == 0) {
        return false;
    }
    if (call->buffer) {
        regs->rdx = half; // the count is the third argument of all of these
        return true;
    }
    uint64_t at = t->args[call->vector - 1], count = t->args[call->count - 1];
    struct iovec part;
    for (uint64_t i = 0; i < count; i++, at += sizeof part) {
        if (!copy_from(t->tid, at, &part, sizeof part)) {
            return false;
        }
        if (part.iov_len >= half) {
            t->cut = at;
            t->cut_length = part.iov_len;
            part.iov_len = half;
            regs->rdx = i + 1;
            return copy_to(t->tid, &part, at, sizeof part);
        }
        half -= part.iov_len;
    }
    return false;
}

// The entry of a call that the filter stops. Returns how the thread is to go on: PTRACE_CONT, or
// PTRACE_SYSCALL if the call's end matters.
static int enter(pid_t tid) {
    struct __ptrace_syscall_info info;
    if (killed || ptrace(PTRACE_GET_SYSCALL_INFO, tid, sizeof info, &info) < 0) {
        return PTRACE_CONT;
    }
    const struct call *call = call_of((int)info.seccomp.nr);
    if (!call || info.arch != AUDIT_ARCH_X86_64) {
        return PTRACE_CONT;
    }
    const __u64 *args = (const __u64 *)info.seccomp.args;
    bool anonymous = call->number == SYS_mmap && args[3] & MAP_ANONYMOUS;
    if (!chosen[anonymous ? calls_count : (int)(call - calls)]) {
        return PTRACE_CONT;
    }
    struct thread t = {.tid = tid, .call = call, .number = counted + 1};
    for (int i = 0; i < 6; i++) {
        t.args[i] = args[i];
    }
    if (call->path) {
        int dir = call->dir ? (int)args[call->dir - 1] : AT_FDCWD;
        path_of_text(tid, args[call->path - 1], dir, t.path);
    } else if (call->fd && !anonymous) {
        path_of_fd(tid, (int)args[call->fd - 1], t.path);
    }
    if (call->path2) {
        int dir = call->dir2 ? (int)args[call->dir2 - 1] : AT_FDCWD;
        path_of_text(tid, args[call->path2 - 1], dir, t.path2);
    }
    if (!is_under(t.path) && !(call->path2 && is_under(t.path2))) {
        return PTRACE_CONT;
    }
    counted++;
    t.length = length_of(tid, call, t.args);
    bool hit = mode != RECORD && (counted == wanted || (and_later && counted > wanted));
    if (hit && hit_file) {
        fprintf(hit_file, "%ld %s %llu %s%s%s\n", counted, call->name, (unsigned long long)t.length,
                t.path, *t.path2 ? " " : "", t.path2);
        fflush(hit_file);
    }
    if (mode != RECORD && !hit) {
        return PTRACE_CONT;
    }
    struct user_regs_struct regs;
    if (ptrace(PTRACE_GETREGS, tid, NULL, &regs) < 0) {
        end(INTERNAL, "cannot read registers: %s", strerror(errno));
    }
    if (mode == FAIL) {
        regs.orig_rax = (unsigned long long)-1;
        regs.rax = (unsigned long long)-wanted_error;
    } else if (mode == SHORT || (mode == KILL && when == WITHIN && call->writes)) {
        if (!halve(&t, &regs)) {
            if (mode == KILL) {
                kill_all();
            }
            return PTRACE_CONT;
        }
    } else if (mode == KILL && when != AFTER) {
        kill_all();
        return PTRACE_CONT;
    }
    if (mode != RECORD && ptrace(PTRACE_SETREGS, tid, NULL, &regs) < 0) {
        end(INTERNAL, "cannot set registers: %s", strerror(errno));
    }
    if (mode == FAIL) {
        return PTRACE_CONT;
    }
    if (mode == RECORD) {
        bool placed = call->buffer || call->vector;
        t.offset = call->offset ? args[call->offset - 1]
                   : placed     ? position_of(tid, (int)args[call->fd - 1])
                                : 0;
        t.is_new = call->path && call->flags && access(t.path, F_OK) != 0;
    }
    t.kill = mode == KILL;
    struct thread *kept = thread_of(tid, true);
    if (!kept) {
        end(INTERNAL, "more than %d threads within a call", THREADS_MAX);
    }
    *kept = t;
    return PTRACE_SYSCALL;
}

// The end of a call that enter() asked for.
static void leave(pid_t tid) {
    struct thread *t = thread_of(tid, false);
    struct __ptrace_syscall_info info;
    if (!t || ptrace(PTRACE_GET_SYSCALL_INFO, tid, sizeof info, &info) < 0) {
        return;
    }
    if (t->kill) {
        kill_all();
    } else if (mode == RECORD) {
        record(t, (long)info.exit.rval);
    } else {
        struct user_regs_struct regs;
        struct iovec part;
        if (ptrace(PTRACE_GETREGS, tid, NULL, &regs) == 0) {
            regs.rdx = t->args[2];
            ptrace(PTRACE_SETREGS, tid, NULL, &regs);
        }
        if (t->cut && copy_from(tid, t->cut, &part, sizeof part)) {
            part.iov_len = t->cut_length;
            copy_to(tid, &part, t->cut, sizeof part);
        }
    }
    forget(tid);
}

static void begin(pid_t tid) {
    for (int i = 0; i < alive_count; i++) {
        if (alive[i] == tid) {
            return;
        }
    }
    if (alive_count == THREADS_MAX) {
        end(INTERNAL, "more than %d threads", THREADS_MAX);
    }
    alive[alive_count++] = tid;
    if (killed) {
        kill(tid, SIGKILL);
    }
}

static void gone(pid_t tid) {
    forget(tid);
    for (int i = 0; i < alive_count; i++) {
        if (alive[i] == tid) {
            alive[i] = alive[--alive_count];
            return;
        }
    }
}

// Lets a stopped thread go on.
static void go_on(pid_t tid, int status) {
    const int event = status >> 16;
    int signal_number = WSTOPSIG(status), how = PTRACE_CONT;
    begin(tid);
    if (event == PTRACE_EVENT_SECCOMP) {
        how = enter(tid);
        signal_number = 0;
    } else if (signal_number == (SIGTRAP | 0x80)) {
        leave(tid);
        signal_number = 0;
    } else if (event == PTRACE_EVENT_STOP) {
        bool stops = signal_number == SIGSTOP || signal_number == SIGTSTP ||
                     signal_number == SIGTTIN || signal_number == SIGTTOU;
        how = stops ? PTRACE_LISTEN : PTRACE_CONT;
        signal_number = 0;
    } else if (event) {
        signal_number = 0;
    }
    // A thread that a signal stops within a call still has that call's end before it.
    if (how == PTRACE_CONT && thread_of(tid, false)) {
        how = PTRACE_SYSCALL;
    }
    ptrace(how, tid, NULL, (void *)(long)signal_number); // fails if it was killed meanwhile
}

// ---- the beginning ------------------------------------------------------------------------------

// Stops at the calls of the list, and lets all others through.
static void install_filter(void) {
    struct sock_filter filter[2 * 64 + 4], *f = filter;
    *f++ = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                        (unsigned)offsetof(struct seccomp_data, nr));
    for (int i = 0; i < calls_count; i++) {
        if (chosen[i] || (calls[i].number == SYS_mmap && chosen[calls_count])) {
            *f++ = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
                                                (unsigned)calls[i].number, 0, 1);
            *f++ = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
        }
    }
    *f++ = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {(unsigned short)(f - filter), filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) {
        end(SKIPPED, "no seccomp filter is allowed here: %s", strerror(errno));
    }
}

static pid_t start(char **program) {
    int gate[2];
    if (pipe2(gate, O_CLOEXEC)) {
        end(INTERNAL, "no pipe: %s", strerror(errno));
    }
    pid_t pid = fork();
    if (pid < 0) {
        end(INTERNAL, "no process: %s", strerror(errno));
    }
    if (pid == 0) {
        char byte;
        close(gate[1]);
        if (read(gate[0], &byte, 1) != 1) {
            _exit(SKIPPED);
        }
        install_filter();
        execvp(program[0], program);
        end(USAGE, "%s: %s", program[0], strerror(errno));
    }
    const long options = PTRACE_O_TRACESECCOMP | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE |
                         PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC |
                         PTRACE_O_EXITKILL;
    if (ptrace(PTRACE_SEIZE, pid, NULL, (void *)options) < 0) {
        end(SKIPPED, "this machine lets no process be traced: %s", strerror(errno));
    }
    begin(pid);
    close(gate[0]);
    if (write(gate[1], "g", 1) != 1) {
        end(INTERNAL, "cannot start the program: %s", strerror(errno));
    }
    close(gate[1]);
    return pid;
}

int main(int argc, char **argv) {
    char **program = take_arguments(argc, argv);
    pid_t first = start(program);
    int code = 0, status;
    for (pid_t tid; (tid = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR;) {
        if (tid > 0 && WIFSTOPPED(status)) {
            go_on(tid, status);
        } else if (tid > 0) {
            gone(tid);
            if (tid == first) {
                code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
            }
        }
    }
    if (mode != RECORD && wanted == 0) {
        fprintf(hit_file, "%ld\n", counted);
    }
    if (log_file && fclose(log_file)) {
        end(IO_ERROR, "cannot write the log: %s", strerror(errno));
    }
    return code;
}
#endif
