// figures.c: numbers formatted for people, and paths quoted for the shell.
#include "runtime/base/base.h"

#include <string.h>

struct figure figure_count(int64_t n) {
    struct figure text;
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%lld", (long long)n), out = 0;
    for (int i = 0; i < length; i++) {
        int left = length - i; // digits from here on
        if (i > 0 && left % 3 == 0 && digits[i - 1] != '-') {
            text.s[out++] = ',';
        }
        text.s[out++] = digits[i];
    }
    text.s[out] = 0;
    return text;
}

struct figure figure_bytes(double bytes) {
    static const char *const unit[] = {"bytes", "kB", "MB", "GB", "TB", "PB", "EB"};
    struct figure text;
    int i = 0;
    while (bytes >= 1000 && i < 6) {
        bytes /= 1000;
        i++;
    }
    snprintf(text.s, sizeof text.s, i == 0 ? "%.0f %s" : "%.1f %s", bytes, unit[i]);
    return text;
}

struct figure figure_seconds(double seconds) {
    struct figure text;
    long long s = seconds < 1e9 ? (long long)(seconds + 0.5) : 1000000000;
    if (s < 60) {
        snprintf(text.s, sizeof text.s, "%llds", s);
    } else if (s < 3600) {
        snprintf(text.s, sizeof text.s, "%lldm%02llds", s / 60, s % 60);
    } else {
        snprintf(text.s, sizeof text.s, "%lldh%02lldm", s / 3600, s / 60 % 60);
    }
    return text;
}

char *shell_word(const char *path) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "/._-+=,@%:";
    size_t length = strlen(path), at = 0;
    if (length > 0 && strspn(path, plain) == length) {
        return allocate_copy(path, length, "a path");
    }
    char *word = allocate(4 * length + 3, 1, "a path");
    word[at++] = '\'';
    for (const char *c = path; *c; c++) {
        if (*c == '\'') {
            memcpy(word + at, "'\\'", 3); // ' becomes '\'': close, an escaped quote, open again
            at += 3;
        }
        word[at++] = *c;
    }
    word[at] = '\'';
    return word;
}
