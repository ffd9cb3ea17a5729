//// attention.cu: causal flash attention on tensor cores, by mma.sync, for any GPU from sm_80 on,
//// 16-bit elements, and heads of up to 128 columns, a multiple of 8. Other heads and float32 use
//// attention_fma.cu; Hopper's own instructions are in attention_hopper.cu.
////
//// Scores are in registers only. Of an accumulator (16, 8), lane 4 g + t holds columns 2t and
//// 2t + 1 of rows g and g + 8: so two accumulators side by side, rounded to 16 bits, are the left
//// operand of the next product without moving between lanes. cp.async copies tiles of Q, K, V and
//// dY to shared memory while the previous ones are computed on.

//// Tile sizes. Forward: a block has 128 queries, 32 for each of 4 warps, so that a matrix of K or
//// V that a warp reads from shared memory serves two mma's; it takes 64 keys at a time, a chunk of
//// dropout's, or 32 if Y's rows are wide, to save registers. Backward: a block has 128 keys, 16
//// for each of 8 warps, and takes 64 or 32 queries at a time, as many as registers hold scores
//// for. Both fit the 99 KiB of shared memory and the 255 registers of every GPU from sm_80 on.
//$ function sizes(k)
// clang-format off
    [[maybe_unused]] constexpr int $(k.dims);
    // WIDE: D rounded up to steps of 16, padded with zeros. ROW: elements of a row in shared
    // memory.
    [[maybe_unused]] constexpr int WIDE = (D + 15) / 16 * 16;
    [[maybe_unused]] constexpr int ROW = D <= 32 ? 32 : (D + 63) / 64 * 64;
    [[maybe_unused]] constexpr float LOG2_E = 1.44269504f;
// clang-format on
//$ end
//$ function forward_sizes(k)
// clang-format off
    //$ sizes(k)
    [[maybe_unused]] constexpr int QUERIES = 128, KEYS = D <= 64 ? 64 : 32, THREADS = 128;
    [[maybe_unused]] constexpr int BLOCKS = (T + QUERIES - 1) / QUERIES;
    // Q, then two stages of K, two of V.
    [[maybe_unused]] constexpr int ELEMS = (QUERIES + 4 * KEYS) * ROW;
    static_assert(ELEMS * 2 <= 99 * 1024, "shared memory of sm_86 and sm_120");
// clang-format on
//$ end
//$ function backward_sizes(k)
// clang-format off
//$     local floats, groups = k.op.workspace(k.d, k.target)
    //$ sizes(k)
    [[maybe_unused]] constexpr int QUERIES = D <= 64 ? 64 : 32, KEYS = 128, THREADS = 256;
    [[maybe_unused]] constexpr int BLOCKS = (T + QUERIES - 1) / QUERIES;
    // 8 warps share dQ's tile: ACROSS of them along D, each with PAIRS times 16 columns.
    [[maybe_unused]] constexpr int ACROSS = 8 / (QUERIES / 16);
    [[maybe_unused]] constexpr int PAIRS = (WIDE / 16 + ACROSS - 1) / ACROSS;
    // If there are few heads, each is divided into GROUPS of keys, with a dQ of their own.
    [[maybe_unused]] constexpr int GROUPS = $(groups), UNITS = B * H * GROUPS;
    // The workspace: SLOTS dQ of SLOT floats, then delta (H, N).
    [[maybe_unused]] constexpr int SLOT = BLOCKS * 8 * PAIRS * 256;
    [[maybe_unused]] constexpr int SLOTS = ($(floats) - H * N) / SLOT;
    static_assert(SLOTS >= (GROUPS > 1 ? UNITS : 1), "the workspace holds every dQ");
    [[maybe_unused]] constexpr size_t DELTA = (size_t)SLOTS * SLOT;
    // K, V, two stages of Q, two of dY; dS has its own space, or else overwrites dY.
    [[maybe_unused]] constexpr bool OWN_DS = D <= 64;
    [[maybe_unused]] constexpr int ELEMS =
        (2 * KEYS + 4 * QUERIES) * ROW + (OWN_DS ? KEYS * QUERIES : 0);
    [[maybe_unused]] constexpr int BYTES = ELEMS * 2 + 4 * QUERIES * (int)sizeof(float);
    static_assert(BYTES <= 99 * 1024, "shared memory of sm_86 and sm_120");
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

//// Work: 2 products of B H D T^2 / 2 multiply-adds, 2 B H T^2 D FLOP. Memory: qkv and y once, and
//// K and V from L2 for each 128 queries. Limited by tensor cores, then by exponentials: one for 2
//// D multiply-adds, on units that do 16 a cycle. An online softmax: a row keeps its largest score
//// m and the sum l of exp(s - m) so far; when a block of keys raises m, l and the row of Y are
//// multiplied by exp(m_before - m).
//$ function attention(k)
//$ local held = k.uses.dropout and 32 or 64
$(k.sign("KERNEL_BLOCKS(128, 2)", k.name)) {
    //$ forward_sizes(k)
    constexpr float RATE = $(k.attrs.scale) * LOG2_E;        // scores to powers of 2
    constexpr bool HELD = D <= $(held);                      // Q's operands stay in registers
    constexpr int K = QUERIES * ROW, V = K + 2 * KEYS * ROW; // where the stages of K and V begin
    SHARED_DYNAMIC(elem, tiles);
    const auto place = [=](int at, int rows, int columns) {
        return tiles + $(k.common.move)(ROW, at, rows, columns);
    };
    const int warp = threadIdx.x / WARP, g = threadIdx.x % WARP / 4, t = threadIdx.x % 4;

    // The blocks with most work, of the last queries, come first, within 64 heads at a time, whose
    // keys and values fit into L2.
    constexpr int TOGETHER = 64;
    const int outer = blockIdx.x / (TOGETHER * BLOCKS), inner = blockIdx.x % (TOGETHER * BLOCKS);
    const int left = B * H - outer * TOGETHER, together = left < TOGETHER ? left : TOGETHER;
    const int first = (BLOCKS - 1 - inner / together) * QUERIES;
    const int item = outer * TOGETHER + inner % together, b = item / H, h = item % H;
    const int row = first + 32 * warp; // the warp's first query

    const elem *q = qkv + (size_t)b * T * E_LD + h * D; // (T, D), rows E_LD apart
    const auto load_keys = [=](int key, int stage) {    // of K and V
        elem *at = tiles + K + stage * KEYS * ROW;
        const elem *from = q + C + (size_t)key * E_LD;
        $(k.common.load)<KEYS, THREADS>(at, from, E_LD, T - key);
        $(k.common.load)<KEYS, THREADS>(at + V - K, from + C, E_LD, T - key);
    };
    $(k.common.load)<QUERIES, THREADS>(tiles, q + (size_t)first * E_LD, E_LD, T - first);
    cp_async_commit();
    load_keys(0, 0);
    cp_async_commit();
    //$ if k.uses.dropout then
    const struct dropout drop = dropout_make(state);
    //$ end

    cp_async_wait<1>();
    block_sync();
    const int q_at = $(k.common.left)(ROW, 32 * warp, 0);
    const int k_at = $(k.common.right)(ROW, 0, 0), v_at = $(k.common.left)(ROW, 0, 0);
    uint32_t held[HELD ? WIDE / 16 : 1][2][4];
    if constexpr (HELD) {
#pragma unroll
        for (int c = 0; c < WIDE / 16; c++) {
            ldmatrix_x4(held[c][0], place(q_at, 0, 16 * c));
            ldmatrix_x4(held[c][1], place(q_at, 16, 16 * c));
        }
    }
    float acc[2][WIDE / 8][4] = {}; // Y, before the division by the sum
    float highest[2][2] = {{-INFINITY, -INFINITY}, {-INFINITY, -INFINITY}}; // of rows g, g + 8
    float total[2][2] = {};                                                 // this lane's columns

    const int end = first + QUERIES < T ? first + QUERIES : T;
    for (int key = 0, stage = 0; key < end; key += KEYS, stage ^= 1) {
        cp_async_wait<0>();
        block_sync();
        if (key + KEYS < end) {
            load_keys(key + KEYS, stage ^ 1);
            cp_async_commit();
        }
        if (key > row + 31 || row >= T) {
            continue; // all masked for this warp's queries
        }
        const int keys = K + stage * KEYS * ROW + k_at, values = V + stage * KEYS * ROW + v_at;
        //$ if k.uses.dropout then

        // Dropout's mask, drawn while no scores occupy registers. Bit 4 j + i is for the low half
        // of word j of the left operand for keys from 16 i on; 16 bits higher, for its high half.
        // Draw l of 16 decides columns l, 16 + l, 32 + l and 48 + l: four of a row, or two if KEYS
        // is 32.
        uint32_t kept[2] = {};
#pragma unroll
        for (int m = 0; m < 2; m++) {
#pragma unroll 4
            for (int i = 0; i < 8; i++) {
                const int word = i / 2, high = i % 2;
                const int query = row + 16 * m + word % 2 * 8 + g, l = word / 2 * 8 + 2 * t + high;
                const uint32_t chunk = (uint32_t)(item * T + query) * DROPOUT_CHUNKS(T) + key / 64;
                const struct dropout_bits bits = dropout_draw(&drop, site, chunk * 16 + l);
#pragma unroll
                for (int j = 0; j < KEYS / 16; j++) {
                    const bool second = KEYS == 64 ? j / 2 : key / 32 % 2;
                    const uint32_t drawn = (second ? bits.word[1] : bits.word[0]) >> 16 * (j % 2);
                    kept[m] |= (uint32_t)((drawn & 0xffff) >= drop.threshold)
                               << (16 * high + 4 * word + j);
                }
            }
        }
        //$ end

        float s[2][KEYS / 8][4] = {}; // (32, KEYS)
#pragma unroll
        for (int c = 0; c < WIDE / 16; c++) {
            uint32_t loaded[2][4];
            if constexpr (!HELD) {
                ldmatrix_x4(loaded[0], place(q_at, 0, 16 * c));
                ldmatrix_x4(loaded[1], place(q_at, 16, 16 * c));
            }
            const auto &a = HELD ? held[HELD ? c : 0] : loaded;
#pragma unroll
            for (int n = 0; n < KEYS / 8; n += 2) {
                uint32_t r[4];
                ldmatrix_x4(r, place(keys, 8 * n, 16 * c));
#pragma unroll
                for (int m = 0; m < 2; m++) {
                    mma_16816<elem>(s[m][n], a[m], r[0], r[1]);
                    mma_16816<elem>(s[m][n + 1], a[m], r[2], r[3]);
                }
            }
        }

        if (key + KEYS - 1 > row) { // on the diagonal
#pragma unroll
            for (int m = 0; m < 2; m++) {
#pragma unroll
                for (int n = 0; n < KEYS / 8; n++) {
#pragma unroll
                    for (int i = 0; i < 4; i++) {
                        const int query = row + 16 * m + g + i / 2 * 8;
                        const bool seen = key + 8 * n + 2 * t + i % 2 <= query;
                        s[m][n][i] = seen ? s[m][n][i] : -INFINITY;
                    }
                }
            }
        }

#pragma unroll
        for (int m = 0; m < 2; m++) {
#pragma unroll
            for (int half = 0; half < 2; half++) {
                float high = highest[m][half];
#pragma unroll
                for (int n = 0; n < KEYS / 8; n++) {
                    high = fmaxf(high, fmaxf(s[m][n][2 * half], s[m][n][2 * half + 1]));
                }
                high = fmaxf(high, warp_shfl_xor(high, 1));
                high = fmaxf(high, warp_shfl_xor(high, 2));
                const float keep = exp2_fast((highest[m][half] - high) * RATE), base = high * RATE;
                highest[m][half] = high;
                float sum = 0.0f;
#pragma unroll
                for (int n = 0; n < KEYS / 8; n++) {
#pragma unroll
                    for (int e = 2 * half; e < 2 * half + 2; e++) {
                        s[m][n][e] = exp2_fast(s[m][n][e] * RATE - base);
                        sum += s[m][n][e];
                    }
                }
                total[m][half] = total[m][half] * keep + sum;
#pragma unroll
                for (int n = 0; n < WIDE / 8; n++) {
                    acc[m][n][2 * half] *= keep;
                    acc[m][n][2 * half + 1] *= keep;
                }
            }
        }

#pragma unroll
        for (int n = 0; n < KEYS / 8; n += 2) {
            uint32_t p[2][4];
            $(k.common.pack)(p[0], s[0][n], s[0][n + 1]);
            $(k.common.pack)(p[1], s[1][n], s[1][n + 1]);
            //$ if k.uses.dropout then
#pragma unroll
            for (int i = 0; i < 8; i++) {
                p[i / 4][i % 4] &= (kept[i / 4] >> (i % 4 * 4 + n / 2) & 0x10001) * 0xffff;
            }
            //$ end
#pragma unroll
            for (int c = 0; c < WIDE / 8; c += 2) {
                uint32_t r[4];
                ldmatrix_x4_trans(r, place(values, 8 * n, 8 * c));
#pragma unroll
                for (int m = 0; m < 2; m++) {
                    mma_16816<elem>(acc[m][c], p[m], r[0], r[1]);
                    mma_16816<elem>(acc[m][c + 1], p[m], r[2], r[3]);
                }
            }
        }
    }

#pragma unroll
    for (int m = 0; m < 2; m++) {
        int rows[2];
        float factor[2];
#pragma unroll
        for (int half = 0; half < 2; half++) {
            float sum = total[m][half];
            sum += warp_shfl_xor(sum, 1);
            sum += warp_shfl_xor(sum, 2);
            rows[half] = row + 16 * m + g + 8 * half;
            factor[half] = 1.0f / sum;
            //$ if k.uses.dropout then
            factor[half] *= dropout_make(state).scale;
            //$ end
            //$ if k.uses.lse then
            if (t == 0 && rows[half] < T) {
                lse[(size_t)h * N + (size_t)b * T + rows[half]] =
                    highest[m][half] * $(k.attrs.scale) + logf(sum);
            }
            //$ end
        }
        $(k.common.store)<WIDE / 8>(y + (size_t)b * T * C_LD + h * D, C_LD, rows, T, D, acc[m],
                                    factor);
    }
}

$(k.sign_launch()) {
    //$ forward_sizes(k)
    LAUNCH($(k.name), BLOCKS * B * H, THREADS, ELEMS * sizeof(elem), gpu->stream, $(k.arg_names));
}
//$ end

//// With P = softmax(scale Q K^T), Y = P V:
////   dV = P^T dY,  dP = dY V^T,  dS = P (dP - rowsum(dY Y)) scale,  dQ = dS K,  dK = dS^T Q.
//// Dropout's mask M multiplies P in Y and dV, and dP.
////
//// A block owns a (batch, head), or a group of its keys. It holds K and V of 128 keys and visits
//// the queries that see them. dK and dV accumulate in registers, dQ as float in the workspace, in
//// L2, until all keys that its queries see have been added. There are no atomics, and the order is
//// fixed, so every run gives the same bytes.
////
////   for keys j = 0, 128, ...:                              8 warps, 16 keys each
////     for queries i = j, j + 64, ...:                      loads Q, dY of i + 64 meanwhile
////       S^T = K Q^T, dP^T = V dY^T                         (16, 64) a warp
////       P^T = exp(scale S^T - lse), dS^T = P^T (dP^T - delta)
////       dV += P^T dY                                       P^T is the left operand, in registers
////       dS^T to shared memory; barrier
////       dK += dS^T Q
////       dQ_i += dS K                                       (16, D / 2) a warp
////
//// S^T has a row for each key. A warp's 16 keys are four neighbours, and those 16, 32 and 48
//// further: a draw of dropout's bits decides keys l, 16 + l, 32 + l and 48 + l, of which two lanes
//// use two.
////
//// Work: 5 products of B H D T^2 / 2 multiply-adds, 5 B H T^2 D FLOP. qkv, dy and y are read once
//// and dqkv is written once; dQ's sums take 8 bytes to and from L2 for 10 * 128 FLOP. Limited by
//// shared memory: with 16 keys for each warp, a right operand serves one mma, some 290 bytes or
//// 2.3 cycles of shared memory for 2 cycles of sm_80's tensor cores, or 1.6 of Hopper's. 32 keys
//// for each warp would halve that, but their dK, dV and scores do not fit into 255 registers.
//$ function attention_backward(k)
//$ local _, groups = k.op.workspace(k.d, k.target)
// delta (H, N) = rowsum(dY Y): LANES lanes for each row of a head.
KERNEL(256) $(k.part.delta)(float *delta, const elem *dy, const elem *y) {
    //$ sizes(k)
    constexpr int LANES = D <= 64 ? 8 : 16;
    const int row = blockIdx.x * (256 / LANES) + threadIdx.x / LANES, n = row / H, h = row % H;
    const int column = threadIdx.x % LANES * 8;
    float sum = 0.0f;
    if (row < N * H && column < D) {
        const size_t at = (size_t)n * C_LD + h * D + column;
        const struct vec left = vec_load(dy + at), right = vec_load(y + at);
        for (int i = 0; i < VEC; i++) {
            sum += left.v[i] * right.v[i];
        }
    }
    for (int mask = LANES / 2; mask > 0; mask /= 2) {
        sum += warp_shfl_xor(sum, mask);
    }
    if (row < N * H && column == 0) {
        delta[(size_t)h * N + n] = sum;
    }
}

// This thread's part of lse, in powers of 2, and then of delta, for QUERIES queries from `query`
// on. Queries from T on get an infinite lse, so that their weights are 0.
DEVICE float $(k.part.statistic)(const float *lse, const float *delta, int query) {
    //$ backward_sizes(k)
    const int row = query + threadIdx.x % QUERIES;
    if (threadIdx.x < QUERIES) {
        return row < T ? lse[row] * LOG2_E : INFINITY;
    }
    return row < T && threadIdx.x < 2 * QUERIES ? delta[row] : 0.0f;
}

$(k.sign_part("KERNEL_BLOCKS(256, 1)", k.part.main)) {
    //$ backward_sizes(k)
    constexpr float SCALE = $(k.attrs.scale), RATE = SCALE * LOG2_E;
    const float *delta = workspace + DELTA;
    (void)y; // used in delta only
    // Where the tiles begin: K, V, the stages of Q and of dY, dS.
    constexpr int V = KEYS * ROW, Q = 2 * V, DY = Q + 2 * QUERIES * ROW, DS = DY + DY - Q;
    SHARED_DYNAMIC(elem, tiles);
    float *const statistics = (float *)(tiles + ELEMS); // (2, 2, QUERIES)
    const auto place = [=](int at, int rows, int columns) {
        return tiles + $(k.common.move)(ROW, at, rows, columns);
    };
    const auto ds_place = [=](int at, int rows, int columns) {
        return tiles + $(k.common.move)(QUERIES, at, rows, columns);
    };
    const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, g = lane / 4, t = lane % 4;

    // Rows 0..15 of a warp are keys corner + 16 i + 0..3 with i = row / 4. `mine`: this lane's two
    // keys; k_at: of the row whose address it passes to ldmatrix.
    const int corner = 64 * (warp / 4) + 4 * (warp % 4);
    const int mine[2] = {corner + 16 * (g / 4) + g % 4, corner + 16 * (g / 4) + g % 4 + 32};
    const int k_at = $(k.common.at)(ROW, corner + 16 * (lane % 16 / 4) + lane % 4, lane / 16 * 8);
    // The part of dQ's tile that is this warp's.
    const int dq_row = warp % (QUERIES / 16) * 16, dq_pair = warp / (QUERIES / 16) * PAIRS;
    const int right_at = $(k.common.right)(ROW, 0, 0), down_at = $(k.common.left)(ROW, 0, 0);
    const int ds_at = $(k.common.at)(QUERIES, mine[0], 0);
    const int ds_left_at = $(k.common.right)(QUERIES, 0, dq_row);
    const int k_down_at = $(k.common.left)(ROW, 0, 16 * dq_pair);
    //$ if k.uses.dropout then
    const struct dropout drop = dropout_make(state);
    //$ end

    for (int unit = blockIdx.x; unit < UNITS; unit += gridDim.x) {
        const int item = unit % (B * H), group = unit / (B * H), b = item / H, h = item % H;
        const size_t at_q = (size_t)b * T * E_LD + h * D; // of (T, D) in qkv, rows E_LD apart
        const elem *q = qkv + at_q, *dyh = dy + (size_t)b * T * C_LD + h * D; // rows C_LD apart
        const int at_rows = h * N + b * T; // of (T) in lse and delta
        elem *to = dqkv + at_q;
        const auto load_queries = [=](int query, int stage) { // of Q and dY
            elem *at = tiles + Q + stage * QUERIES * ROW;
            const elem *q_from = q + (size_t)query * E_LD, *dy_from = dyh + (size_t)query * C_LD;
            $(k.common.load)<QUERIES, THREADS>(at, q_from, E_LD, T - query);
            $(k.common.load)<QUERIES, THREADS>(at + DY - Q, dy_from, C_LD, T - query);
        };

        // Later blocks of keys have less work: groups take them in turn, back and forth.
        for (int round = 0; round * GROUPS * KEYS < T; round++) {
            const int turn = round % 2 ? GROUPS - 1 - group : group;
            const int key = (round * GROUPS + turn) * KEYS;
            if (key >= T) {
                continue;
            }
            block_sync(); // no thread still reads the previous keys' tiles
            const elem *keys = q + C + (size_t)key * E_LD;
            $(k.common.load)<KEYS, THREADS>(tiles, keys, E_LD, T - key);
            $(k.common.load)<KEYS, THREADS>(tiles + V, keys + C, E_LD, T - key);
            load_queries(key, 0);
            cp_async_commit();
            const float first = $(k.part.statistic)(lse + at_rows, delta + at_rows, key);
            if (threadIdx.x < 2 * QUERIES) {
                statistics[threadIdx.x] = first;
            }
            float dk[WIDE / 8][4] = {}, dv[WIDE / 8][4] = {};

            for (int query = key, stage = 0; query < T; query += QUERIES, stage ^= 1) {
                cp_async_wait<0>();
                block_sync();
                const int after = query + QUERIES;
                float next = 0.0f; // statistic of the next queries
                if (after < T) {
                    load_queries(after, stage ^ 1);
                    cp_async_commit();
                    next = $(k.part.statistic)(lse + at_rows, delta + at_rows, after);
                }
                const int queries = Q + stage * QUERIES * ROW, dys = DY + stage * QUERIES * ROW;
                const int ds_tile = OWN_DS ? DS : dys; // (KEYS, QUERIES)
                const float *stats = statistics + stage * 2 * QUERIES;
                // Whether these queries see any key of the warp's half of the keys.
                const bool live = key + warp / 4 * 64 < after;

                uint32_t ds_left[QUERIES / 16][4];
                if (live) {
                    float s[QUERIES / 8][4] = {}, ds[QUERIES / 8][4] = {}; // (16, QUERIES)
#pragma unroll
                    for (int c = 0; c < WIDE / 16; c++) {
                        uint32_t a[4], r[4];
                        ldmatrix_x4(a, place(k_at, 0, 16 * c));
#pragma unroll
                        for (int n = 0; n < QUERIES / 8; n += 2) {
                            ldmatrix_x4(r, place(queries + right_at, 8 * n, 16 * c));
                            mma_16816<elem>(s[n], a, r[0], r[1]);
                            mma_16816<elem>(s[n + 1], a, r[2], r[3]);
                        }
                    }
#pragma unroll
                    for (int c = 0; c < WIDE / 16; c++) {
                        uint32_t a[4], r[4];
                        ldmatrix_x4(a, place(V + k_at, 0, 16 * c));
#pragma unroll
                        for (int n = 0; n < QUERIES / 8; n += 2) {
                            ldmatrix_x4(r, place(dys + right_at, 8 * n, 16 * c));
                            mma_16816<elem>(ds[n], a, r[0], r[1]);
                            mma_16816<elem>(ds[n + 1], a, r[2], r[3]);
                        }
                    }

                    const bool diagonal = query < key + KEYS;
#pragma unroll
                    for (int n = 0; n < QUERIES / 8; n++) {
                        //$ if k.uses.dropout then
                        // Each lane draws for one of the two queries, and exchanges bits with the
                        // lane that has the other two keys of the draw.
                        const int upper = lane / 16, drawn = query + 8 * n + 2 * t + upper;
                        const uint32_t chunk =
                            (uint32_t)(item * T + drawn) * DROPOUT_CHUNKS(T) + key / 64 + warp / 4;
                        const struct dropout_bits bits =
                            dropout_draw(&drop, site, chunk * 16 + 4 * (warp % 4) + g % 4);
                        const uint32_t even = (bits.word[0] & 0xffff) | bits.word[1] << 16;
                        const uint32_t odd = bits.word[0] >> 16 | (bits.word[1] & 0xffff0000);
                        const uint32_t got = warp_shfl_xor(upper ? even : odd, 16);
                        const uint32_t of[2] = {upper ? got : even, upper ? odd : got};
                        //$ end
#pragma unroll
                        for (int i = 0; i < 4; i++) {
                            const int column = 8 * n + 2 * t + i % 2;
                            float p = exp2_fast(s[n][i] * RATE - stats[column]);
                            if (diagonal) {
                                p = key + mine[i / 2] <= query + column ? p : 0.0f;
                            }
                            //$ if k.uses.dropout then
                            const bool keep =
                                (of[i % 2] >> 16 * (i / 2) & 0xffff) >= drop.threshold;
                            s[n][i] = keep ? p : 0.0f; // dV is multiplied by drop.scale at the end
                            ds[n][i] = keep ? ds[n][i] * drop.scale : 0.0f;
                            //$ else
                            s[n][i] = p;
                            //$ end
                            ds[n][i] = p * (ds[n][i] - stats[QUERIES + column]);
                        }
                    }
#pragma unroll
                    for (int n = 0; n < QUERIES / 8; n += 2) {
                        uint32_t p[4], r[4];
                        $(k.common.pack)(p, s[n], s[n + 1]);
                        $(k.common.pack)(ds_left[n / 2], ds[n], ds[n + 1]);
#pragma unroll
                        for (int c = 0; c < WIDE / 8; c += 2) {
                            ldmatrix_x4_trans(r, place(dys + down_at, 8 * n, 8 * c));
                            mma_16816<elem>(dv[c], p, r[0], r[1]);
                            mma_16816<elem>(dv[c + 1], p, r[2], r[3]);
                        }
                    }
                }

                if constexpr (!OWN_DS) {
                    block_sync(); // no thread still reads dY
                }
                if (live) {
#pragma unroll
                    for (int n = 0; n < QUERIES / 8; n++) {
#pragma unroll
                        for (int half = 0; half < 2; half++) {
                            uint32_t *pair =
                                (uint32_t *)ds_place(ds_tile + ds_at, 32 * half, 8 * n);
                            pair[t] = ds_left[n / 2][n % 2 * 2 + half];
                        }
                    }
                }
                if (threadIdx.x < 2 * QUERIES) {
                    statistics[(stage ^ 1) * 2 * QUERIES + threadIdx.x] = next;
                }
                // dQ so far, in the order of registers; 0 for the first keys.
                float *const sum = workspace + (size_t)(GROUPS > 1 ? unit : blockIdx.x) * SLOT +
                                   ((query / QUERIES * 8 + warp) * PAIRS * WARP + lane) * VEC;
                float dq[2 * PAIRS][4] = {};
                if (round > 0) {
#pragma unroll
                    for (int p = 0; p < PAIRS; p++) {
                        const struct vec before = vec_load(sum + p * WARP * VEC);
                        for (int i = 0; i < VEC; i++) {
                            dq[2 * p + i / 4][i % 4] = before.v[i];
                        }
                    }
                }
                block_sync();

                if (live) {
#pragma unroll
                    for (int n = 0; n < QUERIES / 16; n++) {
#pragma unroll
                        for (int c = 0; c < WIDE / 8; c += 2) {
                            uint32_t r[4];
                            ldmatrix_x4_trans(r, place(queries + down_at, 16 * n, 8 * c));
                            mma_16816<elem>(dk[c], ds_left[n], r[0], r[1]);
                            mma_16816<elem>(dk[c + 1], ds_left[n], r[2], r[3]);
                        }
                    }
                }
                const int depth = after - key <= 64 ? 64 : KEYS; // keys that are seen
#pragma unroll
                for (int j = 0; j < KEYS; j += 16) {
                    if (j < depth) {
                        uint32_t a[4], r[4];
                        ldmatrix_x4_trans(a, ds_place(ds_tile + ds_left_at, j, 0));
#pragma unroll
                        for (int p = 0; p < PAIRS; p++) {
                            if (dq_pair + p < WIDE / 16) {
                                ldmatrix_x4_trans(r, place(k_down_at, j, 16 * p));
                                mma_16816<elem>(dq[2 * p], a, r[0], r[1]);
                                mma_16816<elem>(dq[2 * p + 1], a, r[2], r[3]);
                            }
                        }
                    }
                }
                if (GROUPS == 1 && query < key + KEYS) {
                    const int rows[2] = {query + dq_row + g, query + dq_row + g + 8};
                    const float factor[2] = {SCALE, SCALE};
                    $(k.common.store)<2 * PAIRS>(to + 16 * dq_pair, E_LD, rows, T, D - 16 * dq_pair,
                                                 dq, factor);
                } else {
#pragma unroll
                    for (int p = 0; p < PAIRS; p++) {
                        struct vec now;
                        for (int i = 0; i < VEC; i++) {
                            now.v[i] = dq[2 * p + i / 4][i % 4];
                        }
                        vec_store(sum + p * WARP * VEC, now);
                    }
                }
            }

            const int rows[2] = {key + mine[0], key + mine[1]};
            const float k_factor[2] = {SCALE, SCALE};
            float v_factor[2] = {1.0f, 1.0f};
            //$ if k.uses.dropout then
            v_factor[0] = v_factor[1] = drop.scale;
            //$ end
            $(k.common.store)<WIDE / 8>(to + C, E_LD, rows, T, D, dk, k_factor);
            $(k.common.store)<WIDE / 8>(to + 2 * C, E_LD, rows, T, D, dv, v_factor);
        }
    }
}

//$ if groups > 1 then
// dQ of one block of queries: the sum over the groups that added to it, in order.
KERNEL(256) $(k.part.sum)(elem *dqkv, const float *workspace) {
    //$ backward_sizes(k)
    const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    const int block = blockIdx.x % BLOCKS, item = blockIdx.x / BLOCKS, b = item / H, h = item % H;
    const int query = block * QUERIES, seen = query / KEYS + 1;
    const int row = query + warp % (QUERIES / 16) * 16 + lane / 4;
    const int pair = warp / (QUERIES / 16) * PAIRS;
    const float *sum =
        workspace + (size_t)item * SLOT + ((size_t)(block * 8 + warp) * PAIRS * WARP + lane) * VEC;
    float dq[2 * PAIRS][4] = {};
    for (int group = 0; group < (seen < GROUPS ? seen : GROUPS); group++) {
#pragma unroll
        for (int p = 0; p < PAIRS; p++) {
            const struct vec part = vec_load(sum + (size_t)group * B * H * SLOT + p * WARP * VEC);
            for (int i = 0; i < VEC; i++) {
                dq[2 * p + i / 4][i % 4] += part.v[i];
            }
        }
    }
    const int rows[2] = {row, row + 8};
    const float factor[2] = {$(k.attrs.scale), $(k.attrs.scale)};
    $(k.common.store)<2 * PAIRS>(dqkv + (size_t)b * T * E_LD + h * D + 16 * pair, E_LD, rows, T,
                                 D - 16 * pair, dq, factor);
}

//$ end
$(k.sign_launch()) {
    //$ backward_sizes(k)
    constexpr int ROWS = D <= 64 ? 32 : 16; // of a head, a block of the first kernel
    LAUNCH($(k.part.delta), (N * H + ROWS - 1) / ROWS, 256, 0, gpu->stream, workspace + DELTA, dy,
           y);
    // One block for each multiprocessor, at most one for each slot; with groups, one for each unit.
    const int most = GROUPS > 1 ? UNITS : SLOTS < UNITS ? SLOTS : UNITS;
    const int blocks = GROUPS > 1 || most < gpu->sms ? most : gpu->sms;
    LAUNCH($(k.part.main), blocks, THREADS, BYTES, gpu->stream, $(k.arg_names));
    //$ if groups > 1 then
    LAUNCH($(k.part.sum), B * H * BLOCKS, 256, 0, gpu->stream, dqkv, workspace);
    //$ end
}
//$ end
