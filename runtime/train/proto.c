// proto.c: writes protocol buffers, by field numbers: protobuf.dev/programming-guides/encoding.
#include "runtime/train/train.h"

#include <stdlib.h>
#include <string.h>

enum { PROTO_VARINT = 0, PROTO_FIXED64 = 1, PROTO_BYTES = 2, PROTO_FIXED32 = 5 };

// Makes room for `length` bytes at `at` by moving the bytes after it.
static unsigned char *proto_room(struct proto *p, size_t at, size_t length) {
    if (p->length + length > p->capacity) {
        p->capacity = 2 * (p->length + length) + 256;
        p->bytes = allocate_again(p->bytes, p->capacity, "a message");
    }
    memmove(p->bytes + at + length, p->bytes + at, p->length - at);
    p->length += length;
    return p->bytes + at;
}

static void proto_put_varint(struct proto *p, size_t at, uint64_t n) {
    unsigned char bytes[10];
    size_t length = 0;
    for (; n >= 0x80; n >>= 7) {
        bytes[length++] = (unsigned char)(n | 0x80);
    }
    bytes[length++] = (unsigned char)n;
    memcpy(proto_room(p, at, length), bytes, length);
}

static void proto_key(struct proto *p, int field, int type) {
    proto_put_varint(p, p->length, (uint64_t)field << 3 | (uint64_t)type);
}

void proto_integer(struct proto *p, int field, int64_t n) {
    proto_key(p, field, PROTO_VARINT);
    proto_put_varint(p, p->length, (uint64_t)n);
}

void proto_double(struct proto *p, int field, double x) {
    proto_key(p, field, PROTO_FIXED64);
    memcpy(proto_room(p, p->length, sizeof x), &x, sizeof x);
}

void proto_float(struct proto *p, int field, float x) {
    proto_key(p, field, PROTO_FIXED32);
    memcpy(proto_room(p, p->length, sizeof x), &x, sizeof x);
}

void proto_bytes(struct proto *p, int field, const void *bytes, size_t length) {
    proto_key(p, field, PROTO_BYTES);
    proto_put_varint(p, p->length, length);
    memcpy(proto_room(p, p->length, length), bytes, length);
}

size_t proto_begin(struct proto *p, int field) {
    proto_key(p, field, PROTO_BYTES);
    return p->length;
}

void proto_end(struct proto *p, size_t begun) {
    proto_put_varint(p, begun, p->length - begun);
}

void proto_free(struct proto *p) {
    free(p->bytes);
    *p = (struct proto){0};
}
