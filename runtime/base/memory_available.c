// memory_available.c: bytes that this process could allocate now: the lesser of the kernel's
// estimate and what its control groups leave.
#include "runtime/base/base.h"

#include <limits.h>
#include <unistd.h>

// What a group leaves: its limit minus what its processes use, not counting cached file pages,
// which the kernel can drop. LLONG_MAX if it sets no limit.
static long long memory_of_group(const char *root, const char *group, bool v2) {
    long long limit, used;
    groups_numbers(root, group, v2 ? "memory.max" : "memory.limit_in_bytes", 1, &limit);
    groups_numbers(root, group, v2 ? "memory.current" : "memory.usage_in_bytes", 1, &used);
    if (!limit) {
        return LLONG_MAX;
    }
    used -=
        groups_number_of(root, group, "memory.stat", v2 ? "inactive_file" : "total_inactive_file");
    used = used > 0 ? used : 0;
    return used < limit ? limit - used : 0;
}

int memory_sharers = 1;

size_t memory_available(const char *root) {
    long long least = groups_least(root, "memory", memory_of_group);
    long long machine = 1024 * groups_number_of(root, "/proc", "meminfo", "MemAvailable:");
    if (!machine) {
        machine = (long long)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
    }
    least = machine > 0 && machine < least ? machine : least;
    least /= memory_sharers;
    return (unsigned long long)least < SIZE_MAX ? (size_t)least : SIZE_MAX;
}
