//// attention.cu: causal flash attention on tensor cores, by mma.sync, for any GPU from sm_80 on,
//// 16-bit elements, and heads of up to 128 columns, a multiple of 8. Other heads and float32 use
//// attention_fma.cu; Hopper's own instructions are in attention_hopper.cu.
////
//// Here is what both passes share: a head's sizes, and how a tile lies in shared memory. Each pass
//// has a file of its own.
////
//// Scores are in registers only. Of an accumulator (16, 8), lane 4 g + t holds columns 2t and
//// 2t + 1 of rows g and g + 8: so two accumulators side by side, rounded to 16 bits, are the left
//// operand of the next product without moving between lanes. cp.async copies tiles of Q, K, V and
//// dY to shared memory while the previous ones are computed on.

//$ include("attention_forward.cu")
//$ include("attention_backward.cu")

//$ function sizes(k)
// clang-format off
    [[maybe_unused]] constexpr int $(k.dims);
    // WIDE: D rounded up to steps of 16, padded with zeros. ROW: elements of a row in shared
    // memory.
    [[maybe_unused]] constexpr int WIDE = (D + 15) / 16 * 16;
    [[maybe_unused]] constexpr int ROW = D <= 32 ? 32 : (D + 63) / 64 * 64;
    [[maybe_unused]] constexpr float LOG2_E = 1.44269504f;
//$     if k.d.KV then
    [[maybe_unused]] constexpr int SHARE = H / KV; // neighbouring heads that have the same keys
//$     end
// clang-format on
//$ end

//$ function heads(k)
// The offset of 8 elements of a row, from `column` on, in a tile whose rows have `width` elements,
// 32 or a multiple of 64. The 16-byte pieces of a row are permuted so that the eight rows of one
// ldmatrix, r .. r + 7 or r .. r + 3 and r + 16 .. r + 19, are in 32 different banks.
DEVICE int $(k.common.at)(int width, int row, int column) {
    const int span = width == 32 ? 32 : 64;
    const int turn = width == 32 ? (row >> 1 ^ row >> 3) & 3 : (row ^ (row >> 2 & 4)) & 7;
    return row * width + column / span * span + (column % span / 8 ^ turn) * 8;
}

// The offset `rows` rows and `columns` columns further than the offset `at`: rows is a multiple of
// 16, columns of 8, and shares no bit with the column of `at`. Costs one xor and an addition.
DEVICE int $(k.common.move)(int width, int at, int rows, int columns) {
    const int span = width == 32 ? 32 : 64;
    return (at ^ (columns % span ^ rows / 16 % 2 * (span / 2))) + rows * width +
           columns / span * span;
}

// Starts a copy of ROWS rows of D elements, `stride` apart, to a tile. Rows from `rows` on and
// columns from D on become 0.
template <int ROWS, int THREADS>
DEVICE void $(k.common.load)(elem *to, const elem *from, int stride, int rows) {
    //$ sizes(k)
    constexpr int PIECES = ROWS * (WIDE / 8);
#pragma unroll
    for (int first = 0; first < PIECES; first += THREADS) {
        const unsigned i = first + threadIdx.x;
        const int row = i / (WIDE / 8), column = i % (WIDE / 8) * 8;
        if (PIECES % THREADS == 0 || i < PIECES) {
            const bool in = row < rows && column < D;
            cp_async16(to + $(k.common.at)(ROW, row, column),
                       from + (in ? (size_t)row * stride + column : 0), in);
        }
    }
}

// The address that lane l passes to ldmatrix_x4, to load 16 rows and 16 columns: for a left operand
// of mma_16816, or, with _trans, for two right operands side by side whose inner dimension is rows.
DEVICE int $(k.common.left)(int width, int row, int column) {
    const int lane = threadIdx.x % WARP;
    return $(k.common.at)(width, row + lane % 16, column + lane / 16 * 8);
}

// The same for two right operands below each other whose inner dimension is columns, or, with
// _trans, for a left operand whose inner dimension is rows.
DEVICE int $(k.common.right)(int width, int row, int column) {
    const int lane = threadIdx.x % WARP;
    return $(k.common.at)(width, row + lane / 16 * 8 + lane % 8, column + lane / 8 % 2 * 8);
}

// Packs two accumulators side by side into a left operand (16, 16).
DEVICE void $(k.common.pack)(uint32_t (&r)[4], const float (&a)[4], const float (&b)[4]) {
    r[0] = pack2<elem>(a[0], a[1]);
    r[1] = pack2<elem>(a[2], a[3]);
    r[2] = pack2<elem>(b[0], b[1]);
    r[3] = pack2<elem>(b[2], b[3]);
}

// Stores factor * an accumulator (16, TILES * 8). This lane's rows are row[0] and row[1], `stride`
// apart; rows from `rows` on and columns from `columns` on are not stored. Four lanes hold a row of
// 8 columns: they exchange parts, so that each stores 16 bytes of every fourth tile.
template <int TILES>
DEVICE void $(k.common.store)(elem *to, int stride, const int (&row)[2], int rows, int columns,
                              const float (&acc)[TILES][4], const float (&factor)[2]) {
    const int t = threadIdx.x % 4;
#pragma unroll
    for (int half = 0; half < 2; half++) {
#pragma unroll
        for (int n = 0; n < TILES; n += 4) {
            float x[4][2];
            for (int j = 0; j < 4; j++) {
                for (int e = 0; e < 2; e++) {
                    x[j][e] = n + j < TILES ? acc[n + j < TILES ? n + j : 0][2 * half + e] : 0.0f;
                }
            }
            // Transposes the 4 x 4 pairs of 4 lanes, in two rounds: within 2 x 2 blocks, then
            // blocks.
#pragma unroll
            for (int mask = 1; mask < 4; mask *= 2) {
#pragma unroll
                for (int i = 0; i < 2; i++) {
                    const int low = mask == 1 ? 2 * i : i, high = low + mask;
                    for (int e = 0; e < 2; e++) {
                        const bool upper = t & mask;
                        const float got = warp_shfl_xor(upper ? x[low][e] : x[high][e], mask);
                        x[low][e] = upper ? got : x[low][e];
                        x[high][e] = upper ? x[high][e] : got;
                    }
                }
            }
            struct vec out;
            for (int i = 0; i < VEC; i++) {
                out.v[i] = x[i / 2][i % 2] * factor[half];
            }
            const int column = 8 * (n + t);
            if (row[half] < rows && n + t < TILES && column < columns) {
                vec_store(to + (size_t)row[half] * stride + column, out);
            }
        }
    }
}
//$ end
