// processors.c: how many threads may run at once: on the processors that the scheduler lets this
// process use, and within what its control groups (cgroups) grant it. A group's quota holds for
// all below it, so each level counts, up to the root; both versions may be mounted.
#include "runtime/runtime.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PROCESSORS_LINE = 2 * PATH_MAX }; // two paths in one of mountinfo's

// A text's first line, without its end; false where there is none, or no such file.
static bool processors_line(FILE *file, char line[PROCESSORS_LINE]) {
    if (!fgets(line, PROCESSORS_LINE, file)) {
        return false;
    }
    line[strcspn(line, "\n")] = 0;
    return true;
}

// The file ROOT/FOLDER/NAME; NULL where it cannot be read.
static FILE *processors_open(const char *root, const char *folder, const char *name) {
    char path[PROCESSORS_LINE];
    int length = snprintf(path, sizeof path, "%s%s/%s", root, folder, name);
    return length < (int)sizeof path ? fopen(path, "r") : NULL;
}

// Takes a number above 0 off the text; 0 where there is none, as of "max" and -1, which set no
// limit.
static long long processors_number(char **text) {
    char *end;
    errno = 0;
    long long number = strtoll(*text, &end, 10);
    bool good = end > *text && !errno && number > 0 && (*end == ' ' || !*end);
    *text = end;
    return good ? number : 0;
}

// The number of a file that has nothing else, or a file's first two.
static void processors_numbers(const char *root, const char *folder, const char *name, int count,
                               long long *number) {
    char line[PROCESSORS_LINE], *text = line;
    FILE *file = processors_open(root, folder, name);
    bool read = file && processors_line(file, line);
    for (int i = 0; i < count; i++) {
        number[i] = read ? processors_number(&text) : 0;
    }
    if (file) {
        fclose(file);
    }
}

// What one group grants, in processors, a part of one as a whole; INT_MAX where it sets no limit.
static int processors_of_group(const char *root, const char *group, bool v2) {
    long long number[2]; // microseconds of processors' time, in how many that pass
    if (v2) {
        processors_numbers(root, group, "cpu.max", 2, number);
    } else {
        processors_numbers(root, group, "cpu.cfs_quota_us", 1, &number[0]);
        processors_numbers(root, group, "cpu.cfs_period_us", 1, &number[1]);
    }
    if (!number[0] || !number[1]) {
        return INT_MAX;
    }
    long long whole = (number[0] - 1) / number[1] + 1;
    return whole < INT_MAX ? (int)whole : INT_MAX;
}

// Whether a list with commas has the word.
static bool processors_listed(const char *list, const char *word) {
    size_t length = strlen(word);
    for (const char *at = list; *at; at += strcspn(at, ","), at += *at == ',') {
        if (strcspn(at, ",") == length && !strncmp(at, word, length)) {
            return true;
        }
    }
    return false;
}

// The path of this process' group in the hierarchy that says of processors' time.
static bool processors_own_group(const char *root, bool v2, char group[PROCESSORS_LINE]) {
    FILE *file = processors_open(root, "/proc/self", "cgroup"); // lines of NUMBER:CONTROLLERS:PATH
    char line[PROCESSORS_LINE];
    bool found = false;
    while (file && !found && processors_line(file, line)) {
        char *controllers = strchr(line, ':'),
             *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (path) {
            *path++ = 0;
            found = v2 ? !strcmp(line, "0:") : processors_listed(controllers + 1, "cpu");
            if (found) {
                strcpy(group, path);
            }
        }
    }
    if (file) {
        fclose(file);
    }
    return found;
}

// Undoes mountinfo's \040 for a space, and its like.
static void processors_unescape(char *text) {
    char *to = text;
    for (const char *from = text; *from; to++) {
        if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] && from[3]) {
            *to = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
            from += 4;
        } else {
            *to = *from++;
        }
    }
    *to = 0;
}

// The least that a group and those above it grant, as far as they are mounted here: the mount
// shows the hierarchy from the group `top` on.
static int processors_of_mount(const char *root, const char *mount, const char *top,
                               const char *group, bool v2) {
    size_t length = !strcmp(top, "/") ? 0 : strlen(top);
    char folder[PROCESSORS_LINE];
    if (!strncmp(top, "/..", 3)) { // above all that a container sees of its groups: ours too
        length = strlen(group);
    } else if (strncmp(group, top, length) || (group[length] && group[length] != '/')) {
        return INT_MAX; // other processes' groups
    }
    int written = snprintf(folder, sizeof folder, "%s%s", mount, group + length);
    if (written >= (int)sizeof folder) {
        return INT_MAX;
    }
    int least = INT_MAX;
    for (;;) {
        int grants = processors_of_group(root, folder, v2);
        least = grants < least ? grants : least;
        char *slash = strrchr(folder, '/');
        if (!slash || slash < folder + strlen(mount)) {
            return least;
        }
        *slash = 0;
    }
}

int processors_granted(const char *root) {
    // ID PARENT DEVICE TOP MOUNT OPTIONS [FIELDS ...] - TYPE SOURCE OPTIONS
    FILE *file = processors_open(root, "/proc/self", "mountinfo");
    char line[PROCESSORS_LINE], group[PROCESSORS_LINE];
    int least = INT_MAX;
    while (file && processors_line(file, line)) {
        char *fields[5], *rest = line, *tail = strstr(line, " - ");
        int count = 0;
        while (count < 5 && (fields[count] = strsep(&rest, " "))) {
            count++;
        }
        if (!tail || count < 5 || fields[4] > tail) {
            continue;
        }
        tail += 3;
        const char *type = strsep(&tail, " ");
        strsep(&tail, " ");
        bool v2 = !strcmp(type, "cgroup2");
        if ((v2 || (!strcmp(type, "cgroup") && tail && processors_listed(tail, "cpu"))) &&
            processors_own_group(root, v2, group)) {
            processors_unescape(fields[3]);
            processors_unescape(fields[4]);
            int grants = processors_of_mount(root, fields[4], fields[3], group, v2);
            least = grants < least ? grants : least;
        }
    }
    if (file) {
        fclose(file);
    }
    return least;
}

// Those that the scheduler may put this process on; asked of the kernel itself, since libc's sets
// end at 1,024.
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
    const char *told = getenv("DIECAST_PROCESSORS");
    if (told && *told) {
        char *end;
        long count = strtol(told, &end, 10);
        if (*end || count < 1 || count > 1024) {
            die(EXIT_USAGE,
                "DIECAST_PROCESSORS=%s: wanted how many threads may run at once, 1 to 1024", told);
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
