// groups.c: the limits that control groups (cgroups) set for this process. A group's limit holds
// for its descendants too, so every level up to the root counts. Both versions may be mounted.
#include "runtime/base/base.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { GROUPS_LINE = 2 * PATH_MAX }; // two paths in one of mountinfo's lines

// Reads a line without its newline; false at the end of the file.
static bool groups_line(FILE *file, char line[GROUPS_LINE]) {
    if (!fgets(line, GROUPS_LINE, file)) {
        return false;
    }
    line[strcspn(line, "\n")] = 0;
    return true;
}

// Opens the file ROOT/FOLDER/NAME; NULL if it cannot be read.
static FILE *groups_open(const char *root, const char *folder, const char *name) {
    char path[GROUPS_LINE];
    int length = snprintf(path, sizeof path, "%s%s/%s", root, folder, name);
    return length < (int)sizeof path ? fopen(path, "r") : NULL;
}

// Reads a number above 0 and moves *text past it; 0 if there is none, as for "max" and -1, which
// mean no limit.
static long long groups_number(char **text) {
    char *end;
    errno = 0;
    long long number = strtoll(*text, &end, 10);
    bool good = end > *text && !errno && number > 0 && (*end == ' ' || !*end);
    *text = end;
    return good ? number : 0;
}

void groups_numbers(const char *root, const char *group, const char *name, int count,
                    long long *number) {
    char line[GROUPS_LINE], *text = line;
    FILE *file = groups_open(root, group, name);
    bool read = file && groups_line(file, line);
    for (int i = 0; i < count; i++) {
        number[i] = read ? groups_number(&text) : 0;
    }
    if (file) {
        fclose(file);
    }
}

long long groups_number_of(const char *root, const char *group, const char *name,
                           const char *word) {
    FILE *file = groups_open(root, group, name);
    char line[GROUPS_LINE];
    long long number = 0;
    const size_t length = strlen(word);
    while (file && !number && groups_line(file, line)) {
        if (!strncmp(line, word, length) && (line[length] == ' ' || line[length] == '\t')) {
            char *text = line + length + 1;
            number = groups_number(&text);
        }
    }
    if (file) {
        fclose(file);
    }
    return number;
}

// Whether a comma-separated list contains the word.
static bool groups_listed(const char *list, const char *word) {
    size_t length = strlen(word);
    for (const char *at = list; *at; at += strcspn(at, ","), at += *at == ',') {
        if (strcspn(at, ",") == length && !strncmp(at, word, length)) {
            return true;
        }
    }
    return false;
}

// Finds the path of this process's group in the hierarchy that has the controller.
static bool groups_own(const char *root, const char *controller, bool v2, char group[GROUPS_LINE]) {
    FILE *file = groups_open(root, "/proc/self", "cgroup"); // lines of NUMBER:CONTROLLERS:PATH
    char line[GROUPS_LINE];
    bool found = false;
    while (file && !found && groups_line(file, line)) {
        char *controllers = strchr(line, ':'),
             *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (path) {
            *path++ = 0;
            found = v2 ? !strcmp(line, "0:") : groups_listed(controllers + 1, controller);
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

// Undoes mountinfo's octal escapes, such as \040 for a space.
static void groups_unescape(char *text) {
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

// The minimum of `leave` over a group and its ancestors as far as they are mounted here: the mount
// shows the hierarchy from the group `top` down.
static long long groups_of_mount(const char *root, const char *mount, const char *top,
                                 const char *group, bool v2, groups_leave *leave) {
    size_t length = !strcmp(top, "/") ? 0 : strlen(top);
    char folder[GROUPS_LINE];
    if (!strncmp(top, "/..", 3)) { // starts above the container's groups: its top stands for ours
        length = strlen(group);
    } else if (strncmp(group, top, length) || (group[length] && group[length] != '/')) {
        return LLONG_MAX; // the mount shows groups that this process is not in
    }
    int written = snprintf(folder, sizeof folder, "%s%s", mount, group + length);
    if (written >= (int)sizeof folder) {
        return LLONG_MAX;
    }
    long long least = LLONG_MAX;
    for (;;) {
        long long left = leave(root, folder, v2);
        least = left < least ? left : least;
        char *slash = strrchr(folder, '/');
        if (!slash || slash < folder + strlen(mount)) {
            return least;
        }
        *slash = 0;
    }
}

long long groups_least(const char *root, const char *controller, groups_leave *leave) {
    // ID PARENT DEVICE TOP MOUNT OPTIONS [FIELDS ...] - TYPE SOURCE OPTIONS
    FILE *file = groups_open(root, "/proc/self", "mountinfo");
    char line[GROUPS_LINE], group[GROUPS_LINE];
    long long least = LLONG_MAX;
    while (file && groups_line(file, line)) {
        char *fields[5], *rest = line, *tail = strchr(line, ' ');
        int count = 0;
        while (tail && strncmp(tail, " - ", 3) != 0) {
            tail = strchr(tail + 1, ' ');
        }
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
        if ((v2 || (!strcmp(type, "cgroup") && tail && groups_listed(tail, controller))) &&
            groups_own(root, controller, v2, group)) {
            groups_unescape(fields[3]);
            groups_unescape(fields[4]);
            long long left = groups_of_mount(root, fields[4], fields[3], group, v2, leave);
            least = left < least ? left : least;
        }
    }
    if (file) {
        fclose(file);
    }
    return least;
}
