//// attention_forward.cu: the forward pass of attention.cu, whose `sizes` and `heads` it uses.
////
//// Tile sizes: a block has 128 queries, 32 for each of 4 warps, so that a matrix of K or V that a
//// warp reads from shared memory serves two mma's; it takes 64 keys at a time, a chunk of
//// dropout's, or 32 if Y's rows are wide, to save registers. They fit the 99 KiB of shared memory
//// and the 255 registers of every GPU from sm_80 on.
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

//// Work: 2 products of B H D T^2 / 2 multiply-adds, 2 B H T^2 D FLOP. Memory: qkv and y once, and
//// K and V from L2 for each 128 queries. Limited by tensor cores, then by exponentials: one for 2
//// D multiply-adds, on units that do 16 a cycle. An online softmax: a row keeps its largest score
//// m and the sum l of exp(s - m) so far; when a block of keys raises m, l and the row of Y are
//// multiplied by exp(m_before - m). With a window W, a block begins at the tile that has its first
//// query's first key, so that its work is that of W + 128 keys.
//$ function attention(k)
//$ local held = k.uses.dropout and 32 or 64
//$ -- Where the head's keys begin, and how many columns its values are further.
//$ local keys, width = k.d.KV and "k" or "q + C", k.d.KV and "KV * D" or "C"
//$ local cap, begin = k.node.attrs.cap > 0, k.d.W and "begin" or "0"
//$ local edge = "key + KEYS - 1 > row" .. (k.d.W and " || key < row + 31 - W" or "")
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
    //$ if k.d.KV then
    const elem *k = qkv + (size_t)b * T * E_LD + (H + h / SHARE) * D; // that it shares
    //$ end
    const auto load_keys = [=](int key, int stage) { // of K and V
        elem *at = tiles + K + stage * KEYS * ROW;
        const elem *from = $(keys) + (size_t)key * E_LD;
        $(k.common.load)<KEYS, THREADS>(at, from, E_LD, T - key);
        $(k.common.load)<KEYS, THREADS>(at + V - K, from + $(width), E_LD, T - key);
    };
    $(k.common.load)<QUERIES, THREADS>(tiles, q + (size_t)first * E_LD, E_LD, T - first);
    cp_async_commit();
    //$ if k.d.W then
    const int begin = first > W ? (first - W) / KEYS * KEYS : 0; // the first query's window
    //$ end
    load_keys($(begin), 0);
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

    //$ if k.d.W then
    for (int m = 0; m < 2; m++) {
        highest[m][0] = highest[m][1] = -1e30f; // finite, since a row may see no key of a tile
    }
    //$ end

    const int end = first + QUERIES < T ? first + QUERIES : T;
    for (int key = $(begin), stage = 0; key < end; key += KEYS, stage ^= 1) {
        cp_async_wait<0>();
        block_sync();
        if (key + KEYS < end) {
            load_keys(key + KEYS, stage ^ 1);
            cp_async_commit();
        }
        //$ if k.d.W then
        if (key > row + 31 || row >= T || key + KEYS - 1 < row - W) {
            continue; // all masked for this warp's queries
        }
        //$ else
        if (key > row + 31 || row >= T) {
            continue; // all masked for this warp's queries
        }
        //$ end
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

        //$ if cap then
#pragma unroll
        for (int m = 0; m < 2; m++) {
#pragma unroll
            for (int n = 0; n < KEYS / 8; n++) {
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    s[m][n][i] = tanh_fast(s[m][n][i] * ($(k.attrs.scale) / $(k.attrs.cap))) *
                                 ($(k.attrs.cap) / $(k.attrs.scale));
                }
            }
        }
        //$ end
        if ($(edge)) { // on the diagonal
#pragma unroll
            for (int m = 0; m < 2; m++) {
#pragma unroll
                for (int n = 0; n < KEYS / 8; n++) {
#pragma unroll
                    for (int i = 0; i < 4; i++) {
                        const int query = row + 16 * m + g + i / 2 * 8;
                        //$ if k.d.W then
                        const int column = key + 8 * n + 2 * t + i % 2;
                        const bool seen = column <= query && column >= query - W;
                        //$ else
                        const bool seen = key + 8 * n + 2 * t + i % 2 <= query;
                        //$ end
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
