// tiles.cpp: operations of a whole warp in emulator.h: shuffles, copies to tiles, products of
// tiles.
#include "launch.h"

enum { MAX_COPIES = 4096 }; // in flight, of one thread

struct shuffle_lane {
    uint32_t x;
    int from;
};

uint32_t emulator_shuffle(uint32_t x, int from, const char *operation, struct emulator_place at) {
    const struct emulator_thread *self = emulator_self;
    const struct shuffle_lane mine = {x, from < 0 ? self->lane : from};
    memcpy(self->warp->in[self->lane], &mine, sizeof mine);
    emulator_meet_warp(
        operation, at,
        [](struct emulator_warp *warp, const void *) {
            for (int lane = 0; lane < EMULATOR_WARP; lane++) {
                struct shuffle_lane l;
                memcpy(&l, warp->in[lane], sizeof l);
                memcpy(warp->out[lane], warp->in[l.from], 4);
            }
        },
        nullptr);
    memcpy(&x, self->warp->out[self->lane], 4);
    return x;
}

// The bytes arrive at the wait; until then the destination is poisoned.
void cp_async16(void *shared, const void *global, bool in, struct emulator_place at) {
    emulator_check_shared(shared, 16, 16, "cp_async16 to", at);
    if (in)
        emulator_check_global(global, 16, 16, "cp_async16 from", at);
    memset(shared, unwritten & 255, 16);
    struct emulator_thread *self = emulator_self;
    if (self->copies.size() == MAX_COPIES)
        emulator_fail(at, "cp_async16: %d copies under way: is there no wait?", MAX_COPIES);
    self->copies.push_back({shared, in ? global : nullptr});
}

void cp_async_commit() {
    emulator_self->groups.push_back(emulator_self->copies.size());
}

void emulator_copies_wait(int groups) {
    struct emulator_thread *self = emulator_self;
    const size_t keep = (size_t)groups;
    if (self->groups.size() <= keep)
        return;
    const size_t done = self->groups.size() - keep, copies = self->groups[done - 1];
    for (size_t i = 0; i < copies; i++) {
        const struct emulator_copy *copy = &self->copies[i];
        if (copy->from)
            memcpy(copy->to, copy->from, 16);
        else
            memset(copy->to, 0, 16);
    }
    self->copies.erase(self->copies.begin(), self->copies.begin() + (long)copies);
    self->groups.erase(self->groups.begin(), self->groups.begin() + (long)done);
    for (size_t &end : self->groups)
        end -= copies;
}

static void ldmatrix(uint32_t *r, int matrices, bool transposed, const void *row,
                     const char *operation, struct emulator_place at) {
    const struct emulator_thread *self = emulator_self;
    if (self->lane < 8 * matrices)
        emulator_check_shared(row, 16, 16, operation, at);
    memcpy(self->warp->in[self->lane], &row, sizeof row);
    const int how = matrices * 2 + transposed;
    emulator_meet_warp(
        operation, at,
        [](struct emulator_warp *warp, const void *argument) {
            const int how = *(const int *)argument, matrices = how / 2;
            for (int i = 0; i < matrices; i++) {
                uint16_t m[8][8];
                for (int j = 0; j < 8; j++) {
                    const void *from;
                    memcpy(&from, warp->in[8 * i + j], sizeof from);
                    memcpy(m[j], from, 16);
                }
                for (int lane = 0; lane < EMULATOR_WARP; lane++) {
                    const int j = lane / 4, k = lane % 4 * 2;
                    const uint16_t pair[2] = {how & 1 ? m[k][j] : m[j][k],
                                              how & 1 ? m[k + 1][j] : m[j][k + 1]};
                    memcpy(warp->out[lane] + 4 * i, pair, 4);
                }
            }
        },
        &how);
    memcpy(r, self->warp->out[self->lane], (size_t)matrices * 4);
}

void ldmatrix_x4(uint32_t (&r)[4], const void *row, struct emulator_place at) {
    ldmatrix(r, 4, false, row, "ldmatrix_x4", at);
}

void ldmatrix_x4_trans(uint32_t (&r)[4], const void *row, struct emulator_place at) {
    ldmatrix(r, 4, true, row, "ldmatrix_x4_trans", at);
}

void ldmatrix_x2(uint32_t (&r)[2], const void *row, struct emulator_place at) {
    ldmatrix(r, 2, false, row, "ldmatrix_x2", at);
}

void ldmatrix_x2_trans(uint32_t (&r)[2], const void *row, struct emulator_place at) {
    ldmatrix(r, 2, true, row, "ldmatrix_x2_trans", at);
}

struct mma_lane {
    uint16_t a[4][2], b[2][2];
    float d[4];
};

// Products of 16-bit elements are exact in float; the sum is rounded after each product, in order
// of k.
template <class T> static void mma_act(struct emulator_warp *warp, const void *) {
    typedef float half_row __attribute__((vector_size(16)));
    float a[16][16];
    float b[16][8], d[16][8];
    for (int lane = 0; lane < EMULATOR_WARP; lane++) {
        const int g = lane / 4, t = lane % 4 * 2;
        struct mma_lane l;
        memcpy(&l, warp->in[lane], sizeof l);
        for (int e = 0; e < 2; e++) {
            a[g][t + e] = to_f32(T{l.a[0][e]});
            a[g + 8][t + e] = to_f32(T{l.a[1][e]});
            a[g][t + 8 + e] = to_f32(T{l.a[2][e]});
            a[g + 8][t + 8 + e] = to_f32(T{l.a[3][e]});
            b[t + e][g] = to_f32(T{l.b[0][e]});
            b[t + 8 + e][g] = to_f32(T{l.b[1][e]});
            d[g][t + e] = l.d[e];
            d[g + 8][t + e] = l.d[2 + e];
        }
    }
    half_row columns[16][2];
    memcpy(columns, b, sizeof b);
    for (int i = 0; i < 16; i++) {
        half_row sum[2];
        memcpy(sum, d[i], sizeof sum);
        for (int k = 0; k < 16; k++) {
            sum[0] += a[i][k] * columns[k][0];
            sum[1] += a[i][k] * columns[k][1];
        }
        memcpy(d[i], sum, sizeof sum);
    }
    for (int lane = 0; lane < EMULATOR_WARP; lane++) {
        const int g = lane / 4, t = lane % 4 * 2;
        memcpy(warp->out[lane], &d[g][t], 8);
        memcpy(warp->out[lane] + 8, &d[g + 8][t], 8);
    }
}

template <class T>
void mma_16816(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1,
               struct emulator_place at) {
    const struct emulator_thread *self = emulator_self;
    unsigned char *in = self->warp->in[self->lane];
    memcpy(in, a, 16);
    memcpy(in + 16, &b0, 4);
    memcpy(in + 20, &b1, 4);
    memcpy(in + 24, d, 16);
    emulator_meet_warp("mma_16816", at, mma_act<T>, nullptr);
    memcpy(d, self->warp->out[self->lane], 16);
}
template void mma_16816<bf16>(float (&)[4], const uint32_t (&)[4], uint32_t, uint32_t,
                              struct emulator_place);
template void mma_16816<f16>(float (&)[4], const uint32_t (&)[4], uint32_t, uint32_t,
                             struct emulator_place);
