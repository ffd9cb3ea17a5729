// calls.c: the list of calls.h. A call that one architecture lacks is left out there.
#include "tests/torture/calls.h"

#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>

#define CALL(call_name) .name = #call_name, .number = SYS_##call_name

const struct call calls[] = {
    {CALL(openat), .dir = 1, .path = 2, .flags = 3},
    {CALL(read), .fd = 1, .buffer = 2, .count = 3},
    {CALL(pread64), .fd = 1, .buffer = 2, .count = 3, .offset = 4},
    {CALL(readv), .fd = 1, .vector = 2, .count = 3},
    {CALL(preadv), .fd = 1, .vector = 2, .count = 3, .offset = 4},
    {CALL(write), .fd = 1, .buffer = 2, .count = 3, .writes = true},
    {CALL(pwrite64), .fd = 1, .buffer = 2, .count = 3, .offset = 4, .writes = true},
    {CALL(writev), .fd = 1, .vector = 2, .count = 3, .writes = true},
    {CALL(pwritev), .fd = 1, .vector = 2, .count = 3, .offset = 4, .writes = true},
    {CALL(copy_file_range), .fd = 3, .count = 5},
    {CALL(sendfile), .fd = 1, .count = 4},
    {CALL(fallocate), .fd = 1, .offset = 3, .count = 4},
    {CALL(ftruncate), .fd = 1, .offset = 2},
    {CALL(truncate), .path = 1, .offset = 2},
    {CALL(renameat), .dir = 1, .path = 2, .dir2 = 3, .path2 = 4},
    {CALL(renameat2), .dir = 1, .path = 2, .dir2 = 3, .path2 = 4, .flags = 5},
    {CALL(unlinkat), .dir = 1, .path = 2, .flags = 3},
    {CALL(linkat), .dir = 1, .path = 2, .dir2 = 3, .path2 = 4},
    {CALL(symlinkat), .dir = 2, .path = 3},
    {CALL(mkdirat), .dir = 1, .path = 2},
    {CALL(fsync), .fd = 1},
    {CALL(fdatasync), .fd = 1},
    {CALL(msync), .count = 2},
    {CALL(close), .fd = 1},
    {CALL(mmap), .fd = 5, .offset = 6, .count = 2, .flags = 4},
#ifdef __x86_64__
    {CALL(open), .path = 1, .flags = 2},
    {CALL(creat), .path = 1},
    {CALL(rename), .path = 1, .path2 = 2},
    {CALL(unlink), .path = 1},
    {CALL(link), .path = 1, .path2 = 2},
    {CALL(symlink), .path = 2},
    {CALL(mkdir), .path = 1},
    {CALL(rmdir), .path = 1},
    {CALL(stat), .path = 1, .group = CALL_LOOK},
    {CALL(lstat), .path = 1, .group = CALL_LOOK},
    {CALL(access), .path = 1, .group = CALL_LOOK},
#endif
    {CALL(fstat), .fd = 1, .group = CALL_LOOK},
    {CALL(newfstatat), .dir = 1, .path = 2, .group = CALL_LOOK},
    {CALL(statx), .dir = 1, .path = 2, .group = CALL_LOOK},
    {CALL(faccessat), .dir = 1, .path = 2, .group = CALL_LOOK},
    {CALL(faccessat2), .dir = 1, .path = 2, .group = CALL_LOOK},
    {CALL(lseek), .fd = 1, .offset = 2, .group = CALL_LOOK},
    {CALL(getdents64), .fd = 1, .group = CALL_LOOK},
    {CALL(flock), .fd = 1, .group = CALL_LOOK},
    {CALL(fcntl), .fd = 1, .group = CALL_LOOK},
    {CALL(madvise), .count = 2, .group = CALL_MEMORY},
    {CALL(munmap), .count = 2, .group = CALL_MEMORY},
    {CALL(mremap), .count = 3, .group = CALL_MEMORY},
    {CALL(brk), .group = CALL_MEMORY},
    {CALL(clone3), .group = CALL_MEMORY},
    {CALL(clone), .group = CALL_MEMORY},
};
const int calls_count = sizeof calls / sizeof *calls;

const struct call *call_of(int number) {
    for (int i = 0; i < calls_count; i++) {
        if (calls[i].number == number) {
            return &calls[i];
        }
    }
    return NULL;
}

const struct call *call_named(const char *name) {
    for (int i = 0; i < calls_count; i++) {
        if (!strcmp(calls[i].name, name)) {
            return &calls[i];
        }
    }
    return NULL;
}
