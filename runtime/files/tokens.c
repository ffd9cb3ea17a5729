// tokens.c: the two types of tokens in files, little-endian: uint16, as nanoGPT writes them, and
// uint32 for vocabularies above 65,536. In memory ids are int32, so that no other code knows of it.
#include "runtime/files/files.h"

#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "token files are little-endian");

bool tokens_are_wide(int64_t vocab_size) {
    return vocab_size > UINT16_MAX + 1;
}

size_t tokens_width(bool wide) {
    return wide ? sizeof(uint32_t) : sizeof(uint16_t);
}

void tokens_pack(const int32_t *ids, size_t count, bool wide, void *bytes) {
    for (size_t i = 0; i < count && !wide; i++) {
        const uint16_t id = (uint16_t)ids[i];
        memcpy((char *)bytes + i * sizeof id, &id, sizeof id);
    }
    if (wide) {
        memcpy(bytes, ids, count * sizeof *ids);
    }
}

void tokens_unpack(const void *bytes, size_t count, bool wide, uint32_t *ids) {
    for (size_t i = 0; i < count && !wide; i++) {
        uint16_t id;
        memcpy(&id, (const char *)bytes + i * sizeof id, sizeof id);
        ids[i] = id;
    }
    if (wide) {
        memcpy(ids, bytes, count * sizeof *ids);
    }
}

void tokens_write_type(bool wide, FILE *meta) {
    if (wide) {
        fprintf(meta, "  \"token_type\": \"uint32\",\n");
    }
}
