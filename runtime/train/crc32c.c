// crc32c.c: the CRC-32C checksum (Castagnoli; RFC 3720, B.4), a byte at a time.
#include "runtime/train/train.h"

uint32_t crc32c(const void *bytes, size_t length) {
    static uint32_t table[256];
    if (!table[1]) {
        for (uint32_t i = 0; i < 256; i++) {
            uint32_t crc = i;
            for (int bit = 0; bit < 8; bit++) {
                crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
            }
            table[i] = crc;
        }
    }
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < length; i++) {
        crc = crc >> 8 ^ table[(crc ^ ((const unsigned char *)bytes)[i]) & 0xff];
    }
    return ~crc;
}
