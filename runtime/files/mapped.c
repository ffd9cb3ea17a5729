// mapped.c: memory-mapped files. If another process makes such a file shorter, reading a page after
// its new end raises SIGBUS: the program then ends with one line and EXIT_IO, as after a failed
// read(). Code that must save something first uses pread() instead, as data.c does. Needs only
// libc, since the sampler links it.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE // for MADV_HUGEPAGE
#endif
#include "runtime/files/files.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct mapped {
    const char *bytes;
    size_t length;
    int file;
    struct stat status; // as it was when it was mapped
    char *line;         // the message for when a page is gone
    struct mapped *next;
};
static struct mapped *mapped_all; // one or two at a time

// Runs in the thread that read the page. Such reads only happen in code that computes, never within
// stdio, so fflush is safe here.
static void mapped_lost(int number, siginfo_t *info, void *context) {
    (void)context;
    const char *place = info->si_addr;
    for (struct mapped *m = mapped_all; m; m = m->next) {
        if (place >= m->bytes && place < m->bytes + m->length) {
            fflush(stdout);
            if (die_hook) {
                die_hook();
            }
            if (write(STDERR_FILENO, m->line, strlen(m->line)) < 0) {
                // stderr is closed: the exit code has to do
            }
            _exit(EXIT_IO);
        }
    }
    signal(number, SIG_DFL); // not our mapping: the read is repeated and ends the process
}

const void *mapped_open(int file, size_t length, const char *path) {
    struct mapped *m = allocate(1, sizeof *m, "a mapped file");
    void *bytes;
    do {
        bytes = mmap(NULL, length, PROT_READ, MAP_PRIVATE, file, 0);
    } while (bytes == MAP_FAILED && errno == EINTR);
    if (bytes == MAP_FAILED) {
        die(exit_code_of(errno), "%s: no memory for its %zu bytes: %s", path, length,
            strerror(errno));
    }
    // Read in large pages, where the file system can.
    madvise(bytes, length, MADV_HUGEPAGE);
    m->bytes = bytes;
    m->length = length;
    m->file = file;
    int failed;
    UNINTERRUPTED(failed, fstat(file, &m->status));
    if (failed) {
        die(exit_code_of(errno), "%s: cannot read: %s", path, strerror(errno));
    }
    m->line = allocate_print("a line of text",
                             "%s: became shorter while it was read; start again when it is whole\n",
                             path);
    if (!mapped_all) {
        struct sigaction action = {.sa_sigaction = mapped_lost, .sa_flags = SA_SIGINFO};
        sigaction(SIGBUS, &action, NULL);
    }
    m->next = mapped_all;
    mapped_all = m;
    return bytes;
}

// Bytes that are not of a file, but the program's own, never change, and are not closed.
bool mapped_same(const void *bytes) {
    const struct mapped *m = mapped_all;
    while (m && m->bytes != bytes) {
        m = m->next;
    }
    if (!m) {
        return true;
    }
    struct stat now;
    int failed;
    UNINTERRUPTED(failed, fstat(m->file, &now));
    return !failed && now.st_size == m->status.st_size &&
           now.st_mtim.tv_sec == m->status.st_mtim.tv_sec &&
           now.st_mtim.tv_nsec == m->status.st_mtim.tv_nsec;
}

void mapped_forget(const void *bytes) {
    for (struct mapped *m = mapped_all; m; m = m->next) {
        if (m->bytes == bytes) {
            madvise((void *)m->bytes, m->length, MADV_DONTNEED);
        }
    }
}

void mapped_close(const void *bytes) {
    struct mapped **link = &mapped_all, *m;
    while (*link && (*link)->bytes != bytes) {
        link = &(*link)->next;
    }
    m = *link;
    if (!m) {
        return;
    }
    *link = m->next;
    munmap((void *)m->bytes, m->length);
    close(m->file);
    free(m->line);
    free(m);
}
