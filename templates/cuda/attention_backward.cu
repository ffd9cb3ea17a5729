//// attention_backward.cu: the backward pass of attention.cu, whose `sizes` and `heads` it uses.
////
//// With P = softmax(scale Q K^T), Y = P V:
////   dV = P^T dY,  dP = dY V^T,  dS = P (dP - rowsum(dY Y)) scale,  dQ = dS K,  dK = dS^T Q.
//// Dropout's mask M multiplies P in Y and dV, and dP. With a cap, dS is multiplied by its slope.
////
//// A block owns a (batch, head), or a group of its keys. It holds K and V of 128 keys and visits
//// the queries that see them, of all heads that share them. dK and dV accumulate in registers, dQ
//// as float in the workspace, in L2, until all keys that its queries see have been added. There
//// are no atomics, and the order is fixed, so every run gives the same bytes.
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
//// With a window W, the queries end with the one that is W behind the last key, and dQ of a block
//// of queries begins with the keys in which its first query's window begins.
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
////
//// Tile sizes: a block has 128 keys, 16 for each of 8 warps, and takes 64 or 32 queries at a time,
//// as many as registers hold scores for. They fit the 99 KiB of shared memory and the 255
//// registers of every GPU from sm_80 on.
//$ function backward_sizes(k)
// clang-format off
//$     local floats, groups = k.op.workspace(k.d, k.target, k.node.attrs)
    //$ sizes(k)
    [[maybe_unused]] constexpr int QUERIES = D <= 64 ? 64 : 32, KEYS = 128, THREADS = 256;
    [[maybe_unused]] constexpr int BLOCKS = (T + QUERIES - 1) / QUERIES;
    // 8 warps share dQ's tile: ACROSS of them along D, each with PAIRS times 16 columns.
    [[maybe_unused]] constexpr int ACROSS = 8 / (QUERIES / 16);
    [[maybe_unused]] constexpr int PAIRS = (WIDE / 16 + ACROSS - 1) / ACROSS;
    // If there are few heads, each is divided into GROUPS of keys, with a dQ of their own.
//$ if k.d.KV then
    [[maybe_unused]] constexpr int GROUPS = $(groups), UNITS = B * KV * GROUPS;
    // The workspace: SLOTS times SHARE dQ, SLOT floats in all, then delta (H, N).
    [[maybe_unused]] constexpr int ONE = BLOCKS * 8 * PAIRS * 256, SLOT = SHARE * ONE;
//$ else
    [[maybe_unused]] constexpr int GROUPS = $(groups), UNITS = B * H * GROUPS;
    // The workspace: SLOTS dQ of SLOT floats, then delta (H, N).
    [[maybe_unused]] constexpr int SLOT = BLOCKS * 8 * PAIRS * 256;
//$ end
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

//$ function attention_backward(k)
//$ local _, groups = k.op.workspace(k.d, k.target, k.node.attrs)
//$ local heads, asked, loop = "H", "int query, int stage", nil
//$ local last, cap = k.d.W and "end" or "T", k.node.attrs.cap > 0
//$ loop = ("int query = key, stage = 0; query < %s; query += QUERIES, stage ^= 1"):format(last)
//$ if k.d.KV then
//$     heads, asked = "KV", "int h, int query, int stage"
//$     loop = "int turn = 0, stage = 0; turn < SHARE * count; turn++, stage ^= 1"
//$ end
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
    //$ if cap then
    constexpr float SCALE = $(k.attrs.scale), CAP = $(k.attrs.cap);
    //$ else
    constexpr float SCALE = $(k.attrs.scale), RATE = SCALE * LOG2_E;
    //$ end
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
        //$ if k.d.KV then
        const int unit_kv = unit % (B * KV), group = unit / (B * KV), b = unit_kv / KV;
        const int kv = unit_kv % KV;
        const size_t at_k = (size_t)b * T * E_LD + (H + kv) * D; // of (T, D) in qkv
        //$ else
        const int item = unit % (B * H), group = unit / (B * H), b = item / H, h = item % H;
        const size_t at_q = (size_t)b * T * E_LD + h * D; // of (T, D) in qkv, rows E_LD apart
        const elem *q = qkv + at_q, *dyh = dy + (size_t)b * T * C_LD + h * D; // rows C_LD apart
        const int at_rows = h * N + b * T; // of (T) in lse and delta
        elem *to = dqkv + at_q;
        //$ end
        const auto load_queries = [=]($(asked)) { // of Q and dY
            elem *at = tiles + Q + stage * QUERIES * ROW;
            //$ if k.d.KV then
            const elem *q_from = qkv + ((size_t)b * T + query) * E_LD + h * D;
            const elem *dy_from = dy + ((size_t)b * T + query) * C_LD + h * D;
            //$ else
            const elem *q_from = q + (size_t)query * E_LD, *dy_from = dyh + (size_t)query * C_LD;
            //$ end
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
            //$ if k.d.W then
            const int end = key + KEYS + W < T ? key + KEYS + W : T; // of queries that see a key
            // The keys before, of this block or group; -1: none.
            const int turn_before = round % 2 ? group : GROUPS - 1 - group;
            const int before = round > 0 ? (round - 1) * GROUPS + turn_before : -1;
            //$ end
            block_sync(); // no thread still reads the previous keys' tiles
            //$ if k.d.KV then
            const elem *keys = qkv + at_k + (size_t)key * E_LD;
            $(k.common.load)<KEYS, THREADS>(tiles, keys, E_LD, T - key);
            $(k.common.load)<KEYS, THREADS>(tiles + V, keys + KV * D, E_LD, T - key);
            load_queries(kv * SHARE, key, 0);
            cp_async_commit();
            const int at_first = kv * SHARE * N + b * T; // of (T) in lse and delta
            const float first = $(k.part.statistic)(lse + at_first, delta + at_first, key);
            //$ else
            const elem *keys = q + C + (size_t)key * E_LD;
            $(k.common.load)<KEYS, THREADS>(tiles, keys, E_LD, T - key);
            $(k.common.load)<KEYS, THREADS>(tiles + V, keys + C, E_LD, T - key);
            load_queries(key, 0);
            cp_async_commit();
            const float first = $(k.part.statistic)(lse + at_rows, delta + at_rows, key);
            //$ end
            if (threadIdx.x < 2 * QUERIES) {
                statistics[threadIdx.x] = first;
            }
            float dk[WIDE / 8][4] = {}, dv[WIDE / 8][4] = {};

            //$ if k.d.KV then
            // The queries of one head that has these keys, then those of the next.
            const int count = ($(last) - key + QUERIES - 1) / QUERIES;
            //$ end
            for ($(loop)) {
                cp_async_wait<0>();
                block_sync();
                //$ if k.d.KV then
                const int member = turn / count, h = kv * SHARE + member;
                const int query = key + turn % count * QUERIES, after = query + QUERIES;
                elem *to = dqkv + (size_t)b * T * E_LD + h * D;
                //$ if k.uses.dropout then
                const int item = b * H + h;
                //$ end
                float next = 0.0f; // statistic of the next queries
                if (turn + 1 < SHARE * count) {
                    const int next_h = kv * SHARE + (turn + 1) / count;
                    const int next_query = key + (turn + 1) % count * QUERIES;
                    const int at_rows = next_h * N + b * T; // of (T) in lse and delta
                    load_queries(next_h, next_query, stage ^ 1);
                    cp_async_commit();
                    next = $(k.part.statistic)(lse + at_rows, delta + at_rows, next_query);
                }
                //$ else
                const int after = query + QUERIES;
                float next = 0.0f; // statistic of the next queries
                if (after < $(last)) {
                    load_queries(after, stage ^ 1);
                    cp_async_commit();
                    next = $(k.part.statistic)(lse + at_rows, delta + at_rows, after);
                }
                //$ end
                const int queries = Q + stage * QUERIES * ROW, dys = DY + stage * QUERIES * ROW;
                const int ds_tile = OWN_DS ? DS : dys; // (KEYS, QUERIES)
                const float *stats = statistics + stage * 2 * QUERIES;
                // Whether these queries see any key of the warp's half of the keys.
                //$ if k.d.W then
                const int half = key + warp / 4 * 64;
                const bool live = half < after && half + 63 >= query - W;
                //$ else
                const bool live = key + warp / 4 * 64 < after;
                //$ end

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

                    //$ if k.d.W then
                    const bool diagonal = query < key + KEYS || key < after - 1 - W;
                    //$ else
                    const bool diagonal = query < key + KEYS;
                    //$ end
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
                            //$ if cap then
                            const float tanh = tanh_fast(s[n][i] * (SCALE / CAP));
                            float p = exp2_fast(tanh * (CAP * LOG2_E) - stats[column]);
                            //$ else
                            float p = exp2_fast(s[n][i] * RATE - stats[column]);
                            //$ end
                            if (diagonal) {
                                //$ if k.d.W then
                                const int distance = query + column - (key + mine[i / 2]);
                                p = distance >= 0 && distance <= W ? p : 0.0f;
                                //$ else
                                p = key + mine[i / 2] <= query + column ? p : 0.0f;
                                //$ end
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
                            //$ if cap then
                            ds[n][i] *= 1.0f - tanh * tanh;
                            //$ end
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
                //$ if k.d.KV then
                float *const sum = workspace + (size_t)(GROUPS > 1 ? unit : blockIdx.x) * SLOT +
                                   (size_t)member * ONE +
                                   ((query / QUERIES * 8 + warp) * PAIRS * WARP + lane) * VEC;
                //$ else
                float *const sum = workspace + (size_t)(GROUPS > 1 ? unit : blockIdx.x) * SLOT +
                                   ((query / QUERIES * 8 + warp) * PAIRS * WARP + lane) * VEC;
                //$ end
                float dq[2 * PAIRS][4] = {};
                //$ if k.d.W then
                const int first_seen = query > W ? (query - W) / KEYS : 0; // tile of keys
                //$ end
                if ($(k.d.W and "before >= first_seen" or "round > 0")) {
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
                //$ if k.d.W then
                const int from = key + 63 < query - W ? 64 : 0;
                //$ end
#pragma unroll
                for (int j = 0; j < KEYS; j += 16) {
                    if ($(k.d.W and "j >= from && j < depth" or "j < depth")) {
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
            //$ if k.d.KV then
            elem *to = dqkv + at_k;
            $(k.common.store)<WIDE / 8>(to, E_LD, rows, T, D, dk, k_factor);
            $(k.common.store)<WIDE / 8>(to + KV * D, E_LD, rows, T, D, dv, v_factor);
            //$ else
            $(k.common.store)<WIDE / 8>(to + C, E_LD, rows, T, D, dk, k_factor);
            $(k.common.store)<WIDE / 8>(to + 2 * C, E_LD, rows, T, D, dv, v_factor);
            //$ end
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
    //$ if k.d.KV then
    const float *sum = workspace + (size_t)(b * KV + h / SHARE) * SLOT + h % SHARE * ONE +
                       ((size_t)(block * 8 + warp) * PAIRS * WARP + lane) * VEC;
    //$ else
    const float *sum =
        workspace + (size_t)item * SLOT + ((size_t)(block * 8 + warp) * PAIRS * WARP + lane) * VEC;
    //$ end
    float dq[2 * PAIRS][4] = {};
    //$ if k.d.W then
    const int first_seen = query > W ? (query - W) / KEYS : 0; // tile of keys
    //$ end
    for (int group = 0; group < (seen < GROUPS ? seen : GROUPS); group++) {
        //$ if k.d.W then
        bool added = false; // whether a tile of keys that these queries see is the group's
        for (int round = first_seen / GROUPS; round * GROUPS < seen; round++) {
            const int tile = round * GROUPS + (round % 2 ? GROUPS - 1 - group : group);
            added = added || (tile >= first_seen && tile < seen);
        }
        if (!added) {
            continue;
        }
        //$ end
#pragma unroll
        for (int p = 0; p < PAIRS; p++) {
            const struct vec part =
                vec_load(sum + (size_t)group * B * $(heads) * SLOT + p * WARP * VEC);
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
