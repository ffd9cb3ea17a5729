//// attention_fma.cu: causal attention by multiply-adds in float, for float32 and for heads whose
//// size attention.cu, for tensor cores, does not take. Any D, any T.
////
//// All products have one shape: a tile (64, 64) += a^T b, with a and b (depth, 64) in shared
//// memory; a thread holds 4 x 4 of the tile. As in flash attention, scores are never in global
//// memory: a block computes them tile by tile. A block writes at most 64 columns of its output; a
//// wider head has several blocks, each of which computes all scores again.

//$ function sizes(k)
// clang-format off
    [[maybe_unused]] constexpr int $(k.dims);
    // TILE: queries, keys and output columns of a block. DEPTH: columns of Q, K, V, dY in shared
    // memory at a time. STRIDE: of a row there, TILE + 4, so that neighbouring rows use other
    // banks.
    [[maybe_unused]] constexpr int TILE = 64, DEPTH = 32, STRIDE = TILE + 4;
    [[maybe_unused]] constexpr int BLOCKS = (T + TILE - 1) / TILE, SLICES = (D + TILE - 1) / TILE;
    [[maybe_unused]] constexpr float LOG2_E = 1.44269504f;
//$     if k.d.KV then
    [[maybe_unused]] constexpr int SHARE = H / KV; // neighbouring heads that have the same keys
//$     end
// clang-format on
//$ end

//// Where a head's keys begin, and how many columns its values are further.
//$ function of_keys(k)
//$     return k.d.KV and "k" or "q + C", k.d.KV and "KV * D" or "C"
//$ end

//$ function heads(k)
// to (DEPTH, TILE) = the transpose of from (TILE rows, D), `stride` apart, columns `column` and on;
// 0 beyond row `rows` and column D. Keys are INTERLEAVED: key 16 q + l is in column 4 l + q, so
// that the four keys that a thread reads at once share one draw of dropout's bits.
template <bool INTERLEAVED>
DEVICE void $(k.common.load_transposed)(float *to, const elem *from, int stride, int rows,
                                        int column) {
    //$ sizes(k)
    // A warp reads 4 rows of 8 columns: whole sectors of global memory, and writes 32 banks.
    for (int i = threadIdx.x; i < TILE * DEPTH; i += 256) {
        const int c = i / 32 % (DEPTH / 8) * 8 + i % 8, outer = i / (4 * DEPTH), inner = i / 8 % 4;
        const int row = INTERLEAVED ? outer + 16 * inner : 4 * outer + inner;
        const bool in = row < rows && column + c < D;
        to[c * STRIDE + 4 * outer + inner] =
            in ? to_f32(from[(size_t)row * stride + column + c]) : 0.0f;
    }
}

// The same, not transposed: to (TILE, TILE) = columns `column` and on.
DEVICE void $(k.common.load_rows)(float *to, const elem *from, int stride, int rows, int column) {
    //$ sizes(k)
    for (int i = threadIdx.x; i < TILE * TILE; i += 256) {
        const int row = i / TILE, c = i % TILE;
        const bool in = row < rows && column + c < D;
        to[row * STRIDE + c] = in ? to_f32(from[(size_t)row * stride + column + c]) : 0.0f;
    }
}

// acc += a^T b, with a and b (depth, TILE); acc[i][j] is row 4 y + i and column 4 x + j of the
// tile.
DEVICE void $(k.common.multiply)(float (&acc)[4][4], const float *a, const float *b, int depth) {
    //$ sizes(k)
    const int y = threadIdx.x / 16, x = threadIdx.x % 16;
    for (int k = 0; k < depth; k++) {
        const struct four left = four_load(a + k * STRIDE + 4 * y);
        const struct four right = four_load(b + k * STRIDE + 4 * x);
#pragma unroll
        for (int i = 0; i < 4; i++) {
#pragma unroll
            for (int j = 0; j < 4; j++) {
                acc[i][j] += left.v[i] * right.v[j];
            }
        }
    }
}

// s[i][j] = a's row 4 y + i times b's row x + 16 j, over all D columns. a is queries or dY, with
// a_rows rows; b is keys or values in qkv, with b_rows rows. A barrier comes before tiles
// (2, DEPTH, TILE) are written.
DEVICE void $(k.common.scores)(float (&s)[4][4], float *tiles, const elem *a, int a_stride,
                               int a_rows, const elem *b, int b_rows) {
    //$ sizes(k)
#pragma unroll
    for (int i = 0; i < 4; i++) {
#pragma unroll
        for (int j = 0; j < 4; j++) {
            s[i][j] = 0.0f;
        }
    }
    for (int column = 0; column < D; column += DEPTH) {
        block_sync();
        $(k.common.load_transposed)<false>(tiles, a, a_stride, a_rows, column);
        $(k.common.load_transposed)<true>(tiles + DEPTH * STRIDE, b, E_LD, b_rows, column);
        block_sync();
        $(k.common.multiply)(s, tiles, tiles + DEPTH * STRIDE, DEPTH);
    }
}

// The largest or the sum over the 16 threads that hold a row of scores.
DEVICE float $(k.common.row)(float value, bool sum) {
    for (int mask = 8; mask > 0; mask /= 2) {
        const float other = warp_shfl_xor(value, mask);
        value = sum ? value + other : fmaxf(value, other);
    }
    return value;
}
//$ end

//// Work: 2 products of B H D T^2 / 2 multiply-adds, 2 B H T^2 D FLOP. Memory: qkv and y once, and
//// K and V from L2 for each 64 queries. Limited by multiply-adds and about as much by shared
//// memory: 16 multiply-adds for two reads of 16 bytes.
//$ function attention_fma(k)
//$ local keys, width = of_keys(k)
//$ local cap, begin = k.node.attrs.cap > 0, k.d.W and "begin" or "0"
//$ -- A row may see no key of a tile: then its largest score stays finite.
//$ local none = k.d.W and "-1e30f" or "-INFINITY"
$(k.sign("KERNEL(256)", k.name)) {
    //$ sizes(k)
    SHARED(float, tiles, [TILE * STRIDE]);   // (2, DEPTH, TILE) of Q and K, then (TILE, TILE) of V
    SHARED(float, weights, [TILE * STRIDE]); // (keys, queries)
    const int y_part = threadIdx.x / 16, x_part = threadIdx.x % 16;
    // The blocks with most work, of the last queries, come first.
    const int slice = blockIdx.x % SLICES, item = blockIdx.x / SLICES % (B * H);
    const int first = (BLOCKS - 1 - (int)blockIdx.x / (SLICES * B * H)) * TILE;
    const int b = item / H, h = item % H;
    const elem *q = qkv + (size_t)b * T * E_LD + h * D; // (T, D), rows E_LD apart
    //$ if k.d.KV then
    const elem *k = qkv + (size_t)b * T * E_LD + (H + h / SHARE) * D; // that it shares
    //$ end
    //$ if k.uses.dropout then
    const struct dropout drop = dropout_make(state);
    //$ end
    float acc[4][4] = {}, highest[4], total[4] = {};
#pragma unroll
    for (int i = 0; i < 4; i++) {
        highest[i] = $(none);
    }
    //$ if k.d.W then
    const int begin = first > W ? (first - W) / TILE * TILE : 0; // the first query's window
    //$ end
    for (int key = $(begin); key < T && key <= first; key += TILE) {
        const elem *queries = q + (size_t)first * E_LD, *keys = $(keys) + (size_t)key * E_LD;
        float s[4][4];
        $(k.common.scores)(s, tiles, queries, E_LD, T - first, keys, T - key);
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const int query = first + 4 * y_part + i;
            float high = -INFINITY;
#pragma unroll
            for (int j = 0; j < 4; j++) {
                //$ if cap then
                s[i][j] = tanh_fast(s[i][j] * ($(k.attrs.scale) / $(k.attrs.cap))) *
                          ($(k.attrs.cap) / $(k.attrs.scale));
                //$ end
                //$ if k.d.W then
                const int distance = query - (key + x_part + 16 * j);
                s[i][j] = distance >= 0 && distance <= W ? s[i][j] : -INFINITY;
                //$ else
                s[i][j] = key + x_part + 16 * j <= query ? s[i][j] : -INFINITY;
                //$ end
                high = fmaxf(high, s[i][j]);
            }
            high = fmaxf(highest[i], $(k.common.row)(high, false));
            const float keep = exp2_fast((highest[i] - high) * ($(k.attrs.scale) * LOG2_E));
            highest[i] = high;
            total[i] *= keep;
            //$ if k.uses.dropout then
            const uint32_t chunk = (uint32_t)(item * T + query) * DROPOUT_CHUNKS(T) + key / TILE;
            const struct dropout_bits bits = dropout_draw(&drop, site, chunk * 16 + x_part);
            //$ end
#pragma unroll
            for (int j = 0; j < 4; j++) {
                acc[i][j] *= keep;
                s[i][j] = exp2_fast((s[i][j] - high) * ($(k.attrs.scale) * LOG2_E));
                total[i] += s[i][j];
                //$ if k.uses.dropout then
                s[i][j] *= dropout_quarter(&drop, bits, j);
                //$ end
            }
        }
#pragma unroll
        for (int i = 0; i < 4; i++) {
#pragma unroll
            for (int j = 0; j < 4; j++) {
                weights[(x_part + 16 * j) * STRIDE + 4 * y_part + i] = s[i][j];
            }
        }
        block_sync();
        $(k.common.load_rows)(tiles, keys + $(width), E_LD, T - key, slice * TILE);
        block_sync();
        $(k.common.multiply)(acc, weights, tiles, TILE);
    }
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const int query = first + 4 * y_part + i;
        const float sum = $(k.common.row)(total[i], true);
        if (query < T) {
#pragma unroll
            for (int j = 0; j < 4; j++) {
                const int d = slice * TILE + 4 * x_part + j;
                if (d < D) {
                    y[((size_t)b * T + query) * C_LD + h * D + d] = from_f32<elem>(acc[i][j] / sum);
                }
            }
            //$ if k.uses.lse then
            if (slice == 0 && x_part == 0) {
                lse[(size_t)h * N + b * T + query] = highest[i] * $(k.attrs.scale) + logf(sum);
            }
            //$ end
        }
    }
}

$(k.sign_launch()) {
    //$ sizes(k)
    LAUNCH($(k.name), BLOCKS * SLICES * B * H, 256, 0, gpu->stream, $(k.arg_names));
}
//$ end

//// With P = softmax(scale Q K^T), Y = P V:
////   dV = P^T dY,  dP = dY V^T,  dS = P (dP - rowsum(dY Y)) scale,  dQ = dS K,  dK = dS^T Q.
//// Dropout's mask M multiplies P in Y and dV, and dP; the cap's slope multiplies dS. One kernel's
//// blocks own queries and compute dQ; another's own keys and compute dK and dV. So scores are
//// computed twice, 7 products instead of 5, but no two blocks add to the same element.
//$ function attention_fma_backward(k)
//$ local keys, width = of_keys(k)
// delta (H, N) = rowsum(dY Y): a warp for each row of a head.
KERNEL(256) $(k.part.delta)(float *delta, const elem *dy, const elem *y) {
    //$ sizes(k)
    const int row = blockIdx.x * 8 + threadIdx.x / 32, n = row / H, h = row % H;
    float sum = 0.0f;
    for (int d = threadIdx.x % 32; row < N * H && d < D; d += 32) {
        const size_t at = (size_t)n * C_LD + h * D + d;
        sum += to_f32(dy[at]) * to_f32(y[at]);
    }
    sum = warp_sum(sum);
    if (row < N * H && threadIdx.x % 32 == 0) {
        delta[(size_t)h * N + n] = sum;
    }
}

// Computes P (times dropout's mask) and dS / scale of this thread's queries first + 4 y + i and
// keys key + x + 16 j. queries, dys: rows of Q and dY from `first` on; keys: rows of K from `key`
// on, with V $(width) elements behind; lse, delta: (T).
DEVICE void $(k.part.scores)(float (&p)[4][4], float (&ds)[4][4], float *tiles, const elem *queries,
                             const elem *dys, const elem *keys, const float *lse,
                             const float *delta, int first, int key, int item,
                             const struct step_state *state, uint32_t site) {
    //$ sizes(k)
    const int y_part = threadIdx.x / 16, x_part = threadIdx.x % 16;
    $(k.common.scores)(p, tiles, queries, E_LD, T - first, keys, T - key);
    $(k.common.scores)(ds, tiles, dys, C_LD, T - first, keys + $(width), T - key);
    //$ if k.uses.dropout then
    const struct dropout drop = dropout_make(state);
    //$ else
    (void)item, (void)state, (void)site;
    //$ end
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const int query = first + 4 * y_part + i;
        const float log_sum = query < T ? lse[query] : 0.0f, mean = query < T ? delta[query] : 0.0f;
        //$ if k.uses.dropout then
        const uint32_t chunk = (uint32_t)(item * T + query) * DROPOUT_CHUNKS(T) + key / TILE;
        const struct dropout_bits bits = dropout_draw(&drop, site, chunk * 16 + x_part);
        //$ end
#pragma unroll
        for (int j = 0; j < 4; j++) {
            const int column = key + x_part + 16 * j;
            //$ if k.d.W then
            const bool seen = column <= query && column >= query - W && query < T;
            //$ else
            const bool seen = column <= query && query < T;
            //$ end
            //$ if k.node.attrs.cap > 0 then
            const float tanh = tanh_fast(p[i][j] * ($(k.attrs.scale) / $(k.attrs.cap)));
            const float weight =
                seen ? exp2_fast((tanh * $(k.attrs.cap) - log_sum) * LOG2_E) : 0.0f;
            //$ else
            const float weight =
                seen ? exp2_fast((p[i][j] * $(k.attrs.scale) - log_sum) * LOG2_E) : 0.0f;
            //$ end
            //$ if k.uses.dropout then
            const float mask = dropout_quarter(&drop, bits, j);
            p[i][j] = weight * mask;
            ds[i][j] = weight * (ds[i][j] * mask - mean);
            //$ else
            p[i][j] = weight;
            ds[i][j] = weight * (ds[i][j] - mean);
            //$ end
            //$ if k.node.attrs.cap > 0 then
            ds[i][j] *= 1.0f - tanh * tanh;
            //$ end
        }
    }
}

// Stores factor * acc to rows first + 4 y + i and columns column + 4 x + j of dQ, dK or dV.
DEVICE void $(k.part.store)(elem *to, const float (&acc)[4][4], float factor, int first,
                            int column) {
    //$ sizes(k)
#pragma unroll
    for (int i = 0; i < 4; i++) {
#pragma unroll
        for (int j = 0; j < 4; j++) {
            const int row = first + 4 * (threadIdx.x / 16) + i;
            const int d = column + 4 * (threadIdx.x % 16) + j;
            if (row < T && d < D) {
                to[(size_t)row * E_LD + d] = from_f32<elem>(acc[i][j] * factor);
            }
        }
    }
}

//$ local state = k.uses.dropout and "state, site" or "nullptr, 0"
// dQ of TILE queries.
$(k.sign_part("KERNEL(256)", k.part.queries)) {
    //$ sizes(k)
    (void)y; // delta, in the workspace, has it
    SHARED(float, tiles, [TILE * STRIDE]);
    SHARED(float, dscores, [TILE * STRIDE]); // (keys, queries)
    const int y_part = threadIdx.x / 16, x_part = threadIdx.x % 16;
    const int slice = blockIdx.x % SLICES, item = blockIdx.x / SLICES % (B * H);
    const int first = (BLOCKS - 1 - (int)blockIdx.x / (SLICES * B * H)) * TILE;
    const int b = item / H, h = item % H;
    const elem *q = qkv + (size_t)b * T * E_LD + h * D;
    const elem *dyh = dy + (size_t)b * T * C_LD + h * D;
    const size_t stats = (size_t)h * N + (size_t)b * T;
    //$ if k.d.KV then
    const elem *k = qkv + (size_t)b * T * E_LD + (H + h / SHARE) * D; // that it shares
    //$ end
    float acc[4][4] = {};
    //$ if k.d.W then
    const int begin = first > W ? (first - W) / TILE * TILE : 0; // the first query's window
    //$ end
    for (int key = $(k.d.W and "begin" or "0"); key < T && key <= first; key += TILE) {
        const elem *keys = $(keys) + (size_t)key * E_LD;
        float p[4][4], ds[4][4];
        // clang-format off
        $(k.part.scores)(p, ds, tiles, q + (size_t)first * E_LD, dyh + (size_t)first * C_LD, keys,
                         lse + stats, workspace + stats, first, key, item, $(state));
        // clang-format on
#pragma unroll
        for (int i = 0; i < 4; i++) {
#pragma unroll
            for (int j = 0; j < 4; j++) {
                dscores[(x_part + 16 * j) * STRIDE + 4 * y_part + i] = ds[i][j];
            }
        }
        block_sync();
        $(k.common.load_rows)(tiles, keys, E_LD, T - key, slice * TILE);
        block_sync();
        $(k.common.multiply)(acc, dscores, tiles, TILE);
    }
    elem *to = dqkv + (size_t)b * T * E_LD + h * D;
    $(k.part.store)(to, acc, $(k.attrs.scale), first, slice * TILE);
}

// dK and dV of TILE keys.
$(k.sign_part(k.uses.dropout and "KERNEL_BLOCKS(256, 1)" or "KERNEL(256)", k.part.keys)) {
    //$ sizes(k)
    (void)y; // delta, in the workspace, has it
    SHARED(float, tiles, [TILE * STRIDE]);
    SHARED(float, weights, [TILE * STRIDE]); // (queries, keys)
    const int y_part = threadIdx.x / 16, x_part = threadIdx.x % 16;
    //$ local last = k.d.W and "end" or "T"
    //$ local loop = ("int first = key; first < %s; first += TILE"):format(last)
    //$ if k.d.KV then
    //$ loop = "int turn = 0; turn < SHARE * count; turn++"
    const int slice = blockIdx.x % SLICES, unit = blockIdx.x / SLICES % (B * KV);
    const int key = (int)blockIdx.x / (SLICES * B * KV) * TILE;
    //$ if k.d.W then
    const int end = key + TILE + W < T ? key + TILE + W : T; // of queries that see a key
    //$ end
    const int b = unit / KV, kv = unit % KV, count = ($(last) - key + TILE - 1) / TILE;
    const elem *k = qkv + (size_t)b * T * E_LD + (H + kv) * D;
    //$ else
    const int slice = blockIdx.x % SLICES, item = blockIdx.x / SLICES % (B * H);
    const int key = (int)blockIdx.x / (SLICES * B * H) * TILE;
    //$ if k.d.W then
    const int end = key + TILE + W < T ? key + TILE + W : T; // of queries that see a key
    //$ end
    const int b = item / H, h = item % H;
    const elem *q = qkv + (size_t)b * T * E_LD + h * D;
    const elem *dyh = dy + (size_t)b * T * C_LD + h * D;
    const size_t stats = (size_t)h * N + (size_t)b * T;
    //$ end
    float dk[4][4] = {}, dv[4][4] = {};
    for ($(loop)) {
        //$ if k.d.KV then
        // All queries of one head that has these keys, then those of the next.
        const int h = kv * SHARE + turn / count, item = b * H + h;
        const int first = key + turn % count * TILE;
        const elem *q = qkv + (size_t)b * T * E_LD + h * D;
        const elem *dyh = dy + (size_t)b * T * C_LD + h * D;
        const size_t stats = (size_t)h * N + (size_t)b * T;
        //$ end
        const elem *queries = q + (size_t)first * E_LD, *dys = dyh + (size_t)first * C_LD;
        float p[4][4], ds[4][4];
        // clang-format off
        $(k.part.scores)(p, ds, tiles, queries, dys, $(keys) + (size_t)key * E_LD, lse + stats,
                         workspace + stats, first, key, item, $(state));
        // clang-format on
        for (int product = 0; product < 2; product++) {
            block_sync();
#pragma unroll
            for (int i = 0; i < 4; i++) {
#pragma unroll
                for (int j = 0; j < 4; j++) {
                    weights[(4 * y_part + i) * STRIDE + x_part + 16 * j] =
                        product == 0 ? p[i][j] : ds[i][j];
                }
            }
            if (product == 0) {
                $(k.common.load_rows)(tiles, dys, C_LD, T - first, slice * TILE);
                block_sync();
                $(k.common.multiply)(dv, weights, tiles, TILE);
            } else {
                $(k.common.load_rows)(tiles, queries, E_LD, T - first, slice * TILE);
                block_sync();
                $(k.common.multiply)(dk, weights, tiles, TILE);
            }
        }
    }
    //$ if k.d.KV then
    elem *to = dqkv + (size_t)b * T * E_LD + (H + kv) * D;
    $(k.part.store)(to, dk, $(k.attrs.scale), key, slice * TILE);
    $(k.part.store)(to + KV * D, dv, 1.0f, key, slice * TILE);
    //$ else
    elem *to = dqkv + (size_t)b * T * E_LD + h * D;
    $(k.part.store)(to + C, dk, $(k.attrs.scale), key, slice * TILE);
    $(k.part.store)(to + 2 * C, dv, 1.0f, key, slice * TILE);
    //$ end
}

$(k.sign_launch()) {
    //$ sizes(k)
    constexpr int GRID = BLOCKS * SLICES * B * H;
    //$ if k.d.KV then
    constexpr int KEYS_GRID = BLOCKS * SLICES * B * KV;
    //$ end
    LAUNCH($(k.part.delta), (N * H + 7) / 8, 256, 0, gpu->stream, workspace, dy, y);
    LAUNCH($(k.part.queries), GRID, 256, 0, gpu->stream, $(k.arg_names));
    LAUNCH($(k.part.keys), $(k.d.KV and "KEYS_GRID" or "GRID"), 256, 0, gpu->stream,
           $(k.arg_names));
}
//$ end
