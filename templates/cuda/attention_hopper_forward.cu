//// attention_hopper_forward.cu: the forward pass of attention_hopper.cu, which says how threads
//// share the work.
////
//// 128 queries against 128 keys at a time, from the diagonal's keys down to the first. A thread
//// holds 64 scores, 32 registers of 16-bit weights and D / 2 sums. What one working group does
//// over time, on tensor cores (products) and on the other units (functions):
////
////     products   S1 . . | S2  Y1 . . . . | S3  Y2 . . . . | Y3
////     functions  . . e1 | . . . . e2 . . | . . . . e3 . . |
////
//// S: scores; e: exponentials, maxima, sums; Y: weights times values. The next scores are issued
//// before the previous weights are multiplied by their values, so exponentials overlap with Y; and
//// the groups alternate in issuing (barriers 1 and 2), so the exponentials of one overlap with the
//// products of the other. With D = 64, a score costs 256 FLOP, 1/16 of a clock of a
//// multiprocessor's tensor cores, and one exponential, also 1/16 of a clock: without overlap, half
//// of the peak would be the limit. With tiles of 128 x 128, an eighth of the work is above the
//// diagonal at T = 1024, and both groups share a tile of keys. Shared memory: queries 32 KiB and a
//// ring of four (D = 64), or 64 KiB and a ring of two (D = 128): 160 KiB and 192 KiB.

//// An item is 128 queries of one head. Items are ordered by sections of heads, whose keys and
//// values fit into L2 (16 MiB), and within a section longest first; blocks take them round robin.
////
//// With a window W, an item ends with the tile that has its first query's first key. The diagonal,
//// which comes first, has a key for each query, so that a later tile may have none for some.
//$ function attention_hopper(k)
//$ local D, SUMS, STAGES = k.d.D, k.d.D // 2, 256 // k.d.D
//$ local section = math.max(1, 2 ^ 24 // (4 * k.d.T * D) | 0)
//$ local head = "HOPPER_KERNEL(384) " .. k.name .. "(TENSOR_MAP(qkv_map), TENSOR_MAP(y_map)"
//$     .. (k.uses.lse and ", float *lse" or "")
//$     .. (k.uses.dropout and ", const struct step_state *state, uint32_t site)" or ")")
//$ local begin = k.d.W and k.part.begin .. "(at.tile)" or "0"
//$ local hidden = k.d.W and "distance < 0 || distance > W"
//$     or "i / 4 * 8 + 2 * t + i % 2 > mine + i % 4 / 2 * 8"
struct $(k.part.shared) {
    elem q[2][2][$(64 * D)];        // queries (item % 2, group): tiles (D / 64, 64, 64)
    elem k[$(STAGES)][$(128 * D)];  // a ring of keys: tiles (D / 64, 128, 64)
    elem v[$(STAGES)][$(128 * D)];  // a ring of values, the same tiles
    uint64_t q_full[2], q_empty[2]; // mbarriers
    uint64_t k_full[$(STAGES)], k_empty[$(STAGES)];
    uint64_t v_full[$(STAGES)], v_empty[$(STAGES)];
    //$ if k.uses.dropout then
    struct dropout drop; // read where it is used: there are no registers to keep it in
    //$ end
};

struct $(k.part.item) {
    int b, h, tile; // sequence, head, which 128 queries
};

DEVICE struct $(k.part.item) $(k.part.item_at)(int item) {
    [[maybe_unused]] constexpr int $(k.dims);
    constexpr int TILES = divide_up(T, 128), SECTION = $(section);
    const int first = item / (SECTION * TILES) * SECTION;
    const int heads = int_min(SECTION, B * H - first), within = item - first * TILES;
    const int head = first + within % heads;
    return {head / H, head % H, TILES - 1 - within / heads};
}
//$ if k.d.W then

// The tile of keys in which the window of the first query of a tile begins.
DEVICE int $(k.part.begin)(int tile) {
    constexpr int W = $(k.d.W);
    return tile * 128 > W ? (tile * 128 - W) / 128 : 0;
}
//$ end

// The loading thread.
//$ local shared = "struct " .. k.part.shared .. " *s"
DEVICE void $(k.part.load)($(shared), const tensor_map *qkv) {
    [[maybe_unused]] constexpr int $(k.dims);
    constexpr int ITEMS = B * H * divide_up(T, 128), STAGES = $(STAGES);
    int used = 0; // stages of the ring, so far
    for (int item = (int)blockIdx.x, n = 0; item < ITEMS; item += (int)gridDim.x, n++) {
        const struct $(k.part.item) at = $(k.part.item_at)(item);
        const int two = n % 2;
        mbarrier_wait(&s->q_empty[two], n / 2 % 2 ^ 1);
        mbarrier_expect(&s->q_full[two], 128 * D * (int)sizeof(elem));
        for (int group = 0; group < 2; group++) {
            tiles_load(s->q[two][group], qkv, &s->q_full[two], 64, D, at.h * D,
                       at.tile * 128 + group * 64, at.b);
        }
        for (int key = at.tile; key >= $(begin); key--, used++) {
            const int stage = used % STAGES, again = used / STAGES % 2 ^ 1;
            mbarrier_wait(&s->k_empty[stage], again);
            mbarrier_expect(&s->k_full[stage], 128 * D * (int)sizeof(elem));
            tiles_load(s->k[stage], qkv, &s->k_full[stage], 128, D, C + at.h * D, key * 128, at.b);
            mbarrier_wait(&s->v_empty[stage], again);
            mbarrier_expect(&s->v_full[stage], 128 * D * (int)sizeof(elem));
            tiles_load(s->v[stage], qkv, &s->v_full[stage], 128, D, 2 * C + at.h * D, key * 128,
                       at.b);
        }
    }
}

// Starts scores (64, 128) = q (64, D) k (128, D)^T.
DEVICE void $(k.part.scores)(float (&scores)[64], const elem *q, const elem *k) {
    [[maybe_unused]] constexpr int $(k.dims);
    const uint64_t a = wgmma_rows(q), b = wgmma_rows(k);
    wgmma_fence();
#pragma unroll
    for (int step = 0; step < D / 16; step++) {
        const int box = step / 4, within = step % 4 * 32;
        wgmma_m64k16<elem, BY_ROWS, BY_ROWS>(scores, wgmma_step(a, box * 64 * 128 + within),
                                             wgmma_step(b, box * 128 * 128 + within), step > 0);
    }
    wgmma_commit();
}

// Starts sums (64, D) = or += weights (64, 128) v (128, D).
DEVICE void $(k.part.mix)(float (&sums)[$(SUMS)], const uint32_t (&weights)[8][4], const elem *v,
                          bool add) {
    const uint64_t b = wgmma_columns(v, 128);
    wgmma_fence();
#pragma unroll
    for (int step = 0; step < 8; step++) {
        wgmma_m64k16<elem, BY_COLUMNS>(sums, weights[step], wgmma_step(b, step * 2048),
                                       add || step > 0);
    }
    wgmma_commit();
}

// Softmax numerators in place: scores become exp(scale (score - largest so far)). Earlier sums are
// to be multiplied by `factor`, as the largest may have grown. `sum` is over this thread's columns
// only.
DEVICE void $(k.part.softmax)(float (&x)[64], float (&largest)[2], float (&sum)[2],
                              float (&factor)[2]) {
    constexpr float SCALE = $(k.attrs.scale) * 1.44269504f;
#pragma unroll
    for (int r = 0; r < 2; r++) {
        float even = x[2 * r], odd = x[2 * r + 1];
#pragma unroll
        for (int i = 4; i < 64; i += 4) {
            even = fmaxf(even, x[i + 2 * r]);
            odd = fmaxf(odd, x[i + 2 * r + 1]);
        }
        float high = fmaxf(largest[r], fmaxf(even, odd));
        high = fmaxf(high, warp_shfl_xor(high, 1));
        high = fmaxf(high, warp_shfl_xor(high, 2));
        factor[r] = exp2_fast((largest[r] - high) * SCALE);
        largest[r] = high;
        const float shift = high * SCALE;
        even = odd = 0.0f;
#pragma unroll
        for (int i = 0; i < 64; i += 4) {
            x[i + 2 * r] = exp2_fast(x[i + 2 * r] * SCALE - shift);
            x[i + 2 * r + 1] = exp2_fast(x[i + 2 * r + 1] * SCALE - shift);
            even += x[i + 2 * r];
            odd += x[i + 2 * r + 1];
        }
        sum[r] = sum[r] * factor[r] + (even + odd);
    }
}

//$ if k.uses.dropout then
// Applies dropout to weights of keys 128 key and on. The four quarters of a draw decide this
// thread's columns l, 16 + l, 32 + l and 48 + l of a chunk. `row`: the thread's first row, among
// all queries.
DEVICE void $(k.part.drop)(float (&x)[64], const struct dropout *from, uint32_t site, uint32_t row,
                           int key) {
    [[maybe_unused]] constexpr int $(k.dims);
    const struct dropout drop = *from;
    const int t = (int)(threadIdx.x % 4);
#pragma unroll
    for (int draw = 0; draw < 16; draw++) {
        const int r = draw / 8, chunk = draw / 4 % 2, high = draw / 2 % 2, odd = draw % 2;
        const uint32_t counter =
            ((row + 8 * r) * DROPOUT_CHUNKS(T) + 2 * key + chunk) * DROPOUT_LANES;
        const struct dropout_bits bits =
            dropout_draw(&drop, site, counter + 8 * high + 2 * t + odd);
#pragma unroll
        for (int quarter = 0; quarter < 4; quarter++) {
            x[(8 * chunk + 2 * quarter + high) * 4 + 2 * r + odd] *=
                dropout_quarter(&drop, bits, quarter);
        }
    }
}

//$ end
$(head) {
    HOPPER_BODY();
    [[maybe_unused]] constexpr int $(k.dims);
    constexpr int ITEMS = B * H * divide_up(T, 128), STAGES = $(STAGES);
    SHARED_DYNAMIC_1024(struct $(k.part.shared), s);
    if (threadIdx.x == 0) {
        for (int i = 0; i < 2; i++) {
            mbarrier_init(&s->q_full[i], 1);
            mbarrier_init(&s->q_empty[i], 2); // a thread of each group
        }
        for (int i = 0; i < STAGES; i++) {
            mbarrier_init(&s->k_full[i], 1);
            mbarrier_init(&s->k_empty[i], 8); // a thread of each warp
            mbarrier_init(&s->v_full[i], 1);
            mbarrier_init(&s->v_empty[i], 8);
        }
        mbarrier_fence_init();
        //$ if k.uses.dropout then
        s->drop = dropout_make(state);
        //$ end
    }
    block_sync();
    if (threadIdx.x < WARP_GROUP) {
        registers_give<24>();
        if (threadIdx.x == 0) {
            $(k.part.load)(s, &qkv_map);
        }
        return;
    }
    registers_take<240>();

    const int group = warp_group() - 1, thread = (int)(threadIdx.x % WARP_GROUP);
    const int lane = thread % WARP, t = lane % 4;
    const int mine = group * 64 + thread / WARP * 16 + lane / 4; // rows: mine, mine + 8
    const int turn = 1 + group, other = 2 - group;
    float scores[64], sums[$(SUMS)];
    uint32_t weights[8][4];
    int used = 0;
    if (group == 1) {
        barrier_arrive(other, 2 * WARP_GROUP); // group 0 begins
    }
    for (int item = (int)blockIdx.x, n = 0; item < ITEMS; item += (int)gridDim.x, n++) {
        const struct $(k.part.item) at = $(k.part.item_at)(item);
        const int two = n % 2, query = at.tile * 128 + mine;
        elem *const q = s->q[two][group];
        float largest[2] = {-INFINITY, -INFINITY}, sum[2] = {0.0f, 0.0f}, factor[2];

        //$ if k.d.W then
        // The tile on the diagonal: keys after the query and before its window are masked.
        //$ else
        // The tile on the diagonal: keys after the query are masked.
        //$ end
        int stage = used % STAGES, round = used / STAGES % 2;
        mbarrier_wait(&s->q_full[two], n / 2 % 2);
        mbarrier_wait(&s->k_full[stage], round);
        $(k.part.scores)(scores, q, s->k[stage]);
        wgmma_wait<0>();
        wgmma_landed(scores);
        if (lane == 0) {
            mbarrier_arrive(&s->k_empty[stage]);
        }
#pragma unroll
        for (int i = 0; i < 64; i++) {
            //$ if k.d.W then
            const int distance = mine + i % 4 / 2 * 8 - (i / 4 * 8 + 2 * t + i % 2);
            //$ end
            if ($(hidden)) {
                scores[i] = -INFINITY;
            }
        }
        $(k.part.softmax)(scores, largest, sum, factor);
        //$ if k.uses.dropout then
        const uint32_t row = (uint32_t)((at.b * H + at.h) * T + query);
        $(k.part.drop)(scores, &s->drop, site, row, at.tile);
        //$ end
        weights_pack<elem>(weights, scores);
        mbarrier_wait(&s->v_full[stage], round);

        for (int key = at.tile - 1; key >= $(begin); key--) {
            const int before = stage;
            used++;
            stage = used % STAGES;
            round = used / STAGES % 2;
            mbarrier_wait(&s->k_full[stage], round);
            barrier_sync(turn, 2 * WARP_GROUP);
            $(k.part.scores)(scores, q, s->k[stage]);
            $(k.part.mix)(sums, weights, s->v[before], key < at.tile - 1);
            barrier_arrive(other, 2 * WARP_GROUP);
            wgmma_wait<1>();
            wgmma_landed(scores);
            if (lane == 0) {
                mbarrier_arrive(&s->k_empty[stage]);
            }
            //$ if k.d.W then
            const int behind = (at.tile - key) * 128; // a row's key at its own place
            if (behind + group * 64 + 63 > W) {       // some row's window begins in this tile
#pragma unroll
                for (int i = 0; i < 64; i++) {
                    if (behind + mine + i % 4 / 2 * 8 - (i / 4 * 8 + 2 * t + i % 2) > W) {
                        scores[i] = -INFINITY;
                    }
                }
            }
            //$ end
            $(k.part.softmax)(scores, largest, sum, factor);
            //$ if k.uses.dropout then
            $(k.part.drop)(scores, &s->drop, site, row, key);
            //$ end
            // Exponentials should overlap with the product, but the compiler may move the product's
            // wait ahead of them; it cannot move it ahead of this wait for the next values.
            registers_pin(scores);
            mbarrier_wait(&s->v_full[stage], round);
            wgmma_wait<0>();
            wgmma_landed(sums);
            if (lane == 0) {
                mbarrier_arrive(&s->v_empty[before]);
            }
#pragma unroll
            for (int i = 0; i < D / 2; i++) {
                sums[i] *= factor[i % 4 / 2];
            }
            weights_pack<elem>(weights, scores);
        }
        $(k.part.mix)(sums, weights, s->v[stage], at.tile > $(begin));
        wgmma_wait<0>();
        wgmma_landed(sums);
        if (lane == 0) {
            mbarrier_arrive(&s->v_empty[stage]);
        }
        used++;

        // y overwrites the group's queries in shared memory, once no warp of the group needs them.
#pragma unroll
        for (int r = 0; r < 2; r++) {
            sum[r] += warp_shfl_xor(sum[r], 1);
            sum[r] += warp_shfl_xor(sum[r], 2);
            factor[r] = 1.0f / sum[r];
            //$ if k.uses.lse then
            if (t == 0 && query + 8 * r < T) {
                lse[(size_t)at.h * N + at.b * T + query + 8 * r] =
                    largest[r] * $(k.attrs.scale) + logf(sum[r]);
            }
            //$ end
        }
        barrier_sync(3 + group, WARP_GROUP);
        const uint32_t to = tile_address(q, mine % 64, 2 * t);
#pragma unroll
        for (int i = 0; i < D / 2; i += 2) {
            const int piece = i / 4 % 8, box = i / 32, r = i % 4 / 2;
            shared_store_pair((to ^ piece * 16) + box * 64 * 128 + r * 1024,
                              pack2<elem>(sums[i] * factor[r], sums[i + 1] * factor[r]));
        }
        fence_proxy_async();
        barrier_sync(3 + group, WARP_GROUP);
        if (thread == 0) {
            tiles_store(&y_map, q, 64, 64, D, at.h * D, at.tile * 128 + group * 64, at.b);
            tma_store_commit();
            tma_store_wait<0>();
            mbarrier_arrive(&s->q_empty[two]);
        }
    }
    if (group == 0) {
        barrier_sync(turn, 2 * WARP_GROUP); // takes group 1's last barrier_arrive
    }
}

$(k.sign_launch()) {
    [[maybe_unused]] constexpr int $(k.dims);
    const tensor_map qkv_map = tensor_map_make(qkv, E, T, B, E_LD);
    const tensor_map y_map = tensor_map_make(y, C, T, B, C_LD);
    //$ local names = (k.uses.lse and ", lse" or "") .. (k.uses.dropout and ", state, site" or "")
    //$ local maps = "qkv_map, y_map" .. names
    LAUNCH($(k.name), int_min($(k.d.sms), B * H * divide_up(T, 128)), 384,
           sizeof(struct $(k.part.shared)), gpu->stream, $(maps));
}
//$ end
