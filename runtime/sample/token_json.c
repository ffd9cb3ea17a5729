// token_json.c: a token as JSON, whatever its bytes are. Needs only libc: the sampler links it.
#include "runtime/sample/sample.h"

#include <string.h>

void token_write_json(FILE *out, const struct tokenizer *tokenizer, int32_t id) {
    enum { SHOWN = 6 }; // characters of <0xE2>
    char text[SHOWN * TOKENIZER_TOKEN_MAX + 1];
    size_t used = 0, length;
    const char *bytes = tokenizer_decode(tokenizer, id, &length);
    for (size_t at = 0; at < length;) {
        uint32_t codepoint;
        int taken = utf8_decode((const unsigned char *)bytes + at, length - at, &codepoint);
        if (taken > 0) {
            memcpy(text + used, bytes + at, (size_t)taken);
            used += (size_t)taken;
            at += (size_t)taken;
        } else {
            used += (size_t)snprintf(text + used, SHOWN + 1, "<0x%02X>", (unsigned char)bytes[at]);
            at++;
        }
    }
    json_write_string(out, text, used);
}
