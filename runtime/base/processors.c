// processors.c: how many threads may run at once: the processors of the affinity mask, limited by
// the quota of the control groups.
#include "runtime/base/base.h"

#include <limits.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

// One group's quota in processors, rounded up; LLONG_MAX if it sets none.
static long long processors_of_group(const char *root, const char *group, bool v2) {
    long long number[2]; // the quota of processor time and the period that it is for, microseconds
    if (v2) {
        groups_numbers(root, group, "cpu.max", 2, number);
    } else {
        groups_numbers(root, group, "cpu.cfs_quota_us", 1, &number[0]);
        groups_numbers(root, group, "cpu.cfs_period_us", 1, &number[1]);
    }
    if (!number[0] || !number[1]) {
        return LLONG_MAX;
    }
    return (number[0] - 1) / number[1] + 1;
}

int processors_granted(const char *root) {
    long long granted = groups_least(root, "cpu", processors_of_group);
    return granted < INT_MAX ? (int)granted : INT_MAX;
}

// Processors in the affinity mask. A system call, since libc's cpu_set_t ends at 1,024.
static int processors_of_affinity(void) {
    unsigned long set[2048];
    long bytes = syscall(SYS_sched_getaffinity, 0, sizeof set, set);
    int count = 0;
    for (long i = 0; i < bytes / (long)sizeof *set; i++) {
        count += __builtin_popcountl(set[i]);
    }
    return count > 0 ? count : 1;
}

int processors_allowed(void) {
    const char *stated = getenv("DIECAST_PROCESSORS");
    if (stated && *stated) {
        char *end;
        long count = strtol(stated, &end, 10);
        if (*end || count < 1 || count > 1024) {
            die(EXIT_USAGE,
                "DIECAST_PROCESSORS=%s: wanted how many threads may run at once, 1 to 1024",
                stated);
        }
        return (int)count;
    }
    int granted = processors_granted(""), set = processors_of_affinity();
    return granted < set ? granted : set;
}

int processors_threads(const char *source, int asked) {
    int most = processors_allowed();
    if (asked <= most) {
        return asked > 0 ? asked : most;
    }
    warn("%s=%d: only %d may run at once here, so %d it is; results are the same", source, asked,
         most, most);
    return most;
}
