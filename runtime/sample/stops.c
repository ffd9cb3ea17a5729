// stops.c: finds the texts that end an answer. Byte after byte, so that what is found does not
// depend on the pieces that the text comes in.
#include "runtime/sample/sample.h"

#include <string.h>

bool stops_takes(const char *text) {
    const size_t length = strlen(text);
    uint32_t codepoint;
    int bytes = 1;
    for (size_t at = 0; at < length && bytes > 0; at += (size_t)bytes) {
        bytes = utf8_decode((const unsigned char *)text + at, length - at, &codepoint);
    }
    return bytes > 0 && length > 0 && length <= STOPS_LENGTH;
}

// How much of the end of what is held is the beginning of a stop text.
static size_t stops_begun(const struct stops *stops) {
    for (size_t length = stops->length; length > 0; length--) {
        const char *end = stops->held + stops->length - length;
        for (int i = 0; i < stops->count; i++) {
            if (length < strlen(stops->text[i]) && memcmp(stops->text[i], end, length) == 0) {
                return length;
            }
        }
    }
    return 0;
}

// The length of the longest stop text that what is held ends with.
static size_t stops_longest(const struct stops *stops) {
    size_t longest = 0;
    for (int i = 0; i < stops->count; i++) {
        const size_t length = strlen(stops->text[i]);
        if (length > longest && length <= stops->length &&
            memcmp(stops->text[i], stops->held + stops->length - length, length) == 0) {
            longest = length;
        }
    }
    return longest;
}

// Moves all but the last `kept` of the bytes that are held to out; returns how many.
static size_t stops_release(struct stops *stops, size_t kept, char *out) {
    const size_t count = stops->length - kept;
    memcpy(out, stops->held, count);
    memmove(stops->held, stops->held + count, kept);
    stops->length = kept;
    return count;
}

size_t stops_pass(struct stops *stops, const char *bytes, size_t length, char *out) {
    size_t written = 0;
    for (size_t i = 0; i < length && !stops->met; i++) {
        stops->held[stops->length++] = bytes[i];
        size_t kept = stops_longest(stops);
        stops->met = kept > 0;
        if (!stops->met) {
            kept = stops_begun(stops);
        }
        written += stops_release(stops, kept, out + written);
    }
    if (stops->met) {
        stops->length = 0;
    }
    return written;
}

size_t stops_rest(struct stops *stops, char *out) {
    return stops_release(stops, 0, out);
}
