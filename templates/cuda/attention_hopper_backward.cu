//// attention_hopper_backward.cu: the backward pass of attention_hopper.cu, which says how threads
//// share the work.
////
//// With a window W, the queries that a tile of keys visits end with the last that sees its last
//// key. The first to add to a tile of dQ are the keys in which its first query's window begins; of
//// a divided head's groups, only those that have keys which the queries see are added.
////
//// With P = exp(scale Q K^T - lse), which forward's lse gives without a maximum:
////   dV = P^T dY,  dP = dY V^T,  dS = P (dP - delta),  dQ = scale dS K,  dK = scale dS^T Q,
//// delta = rowsum(dY Y). Dropout's mask M multiplies P in dV, and dP.
////
//// A block owns a whole head, so it alone adds to the head's dQ, in the order of the keys: no
//// atomics, and every run gives the same bytes. Heads that would not keep all blocks busy at the
//// end, those from WHOLE on, are divided: a block owns one of GROUPS shares of the head's tiles of
//// keys, with a dQ of its own, and a second kernel adds these in order. It holds 128 keys, 64 for
//// each warp group, and visits ROWS queries at a time from the diagonal on: 128, or 64 for D =
//// 128, so that registers suffice. Scores are transposed, (keys, queries), so that P^T and dS^T
//// are operands in registers. A step of one warp group, without dropout:
////
////     products   S^T . . | dP^T . . | dV . . . | meet  dQ . . | dK . . | S^T . .
////     the rest   . . . . | P        | dS, to shared memory  . | dQ out | . . . .
////
////     S^T = K Q^T, dP^T = V dY^T: (64, ROWS);  dV += P^T dY, dK += dS^T Q: (64, D);
////     dQ += dS K: a 64 x 64 piece of (ROWS, D), over the keys of both groups
////
//// Both groups put dS^T into shared memory. It has two buffers, so that one barrier ("meet") for
//// each step suffices: a thread that arrives no longer reads the previous buffer. Between the
//// steps that add to it, dQ is in the workspace in the order of registers, 32 floats for each
//// thread: no thread waits for another, and a block's 4 T D bytes stay in L2. The tile on the
//// diagonal is the last to add, and stores dQ.
////
//// Registers: S 64 + dP 64 + dK 32 + dV 32 (D = 64), or 32 + 32 + 64 + 64 (D = 128); the 16-bit
//// operands and dQ's 32 reuse those of S and dP. With dropout, which needs S and dP at once, dS^T
//// is in shared memory only, and dK's product reads it there. What depends on the thread's number
//// is recomputed at each use. Shared memory: 192 KiB and 224 KiB. What limits speed: a step of 128
//// x 128 scores takes 2,560 clocks of products (D = 64), 1,024 of exponentials and about as many
//// of other arithmetic; P of one group can overlap with dP of the other, and dS with dV.
//$ function attention_hopper_backward(k)
//$ local D, SUMS, ROWS = k.d.D, k.d.D // 2, k.d.D == 64 and 128 or 64
//$ local SCORES, STEPS = ROWS // 2, ROWS // 16
//$ local _, groups, whole = k.op.workspace(k.d, k.target, k.node.attrs)
//$ local rest = k.d.B * k.d.H - whole
//$ local units, slots = whole + rest * groups, math.min(whole, k.d.sms)
//$ local head = "HOPPER_KERNEL(384) " .. k.name .. "(TENSOR_MAP(qkv_map), TENSOR_MAP(dy_map), "
//$     .. "TENSOR_MAP(dqkv_map), elem *dqkv, const float *rows, float *partial"
//$     .. (k.uses.dropout and ", const struct step_state *state, uint32_t site)" or ")")
//$ local last = k.d.W and k.part.last .. "(key)" or "TILES"
//$ local edge = k.d.W and "edge" or "i < first + 128 / ROWS"
//$ local why = k.d.W and "some are masked" or "on the diagonal: queries before the key are masked"
//$ local hidden = k.d.W and "distance < 0 || distance > W" or "mine + j % 4 / 2 * 8 > query"
struct $(k.part.shared) {
    elem k[2][$(128 * D)], v[2][$(128 * D)];    // tiles (D / 64, 128, 64); then dK and dV
    elem q[2][$(ROWS * D)], dy[2][$(ROWS * D)]; // tiles (D / 64, ROWS, 64)
    elem ds[2][$(128 * ROWS)];                  // dS^T: tiles (ROWS / 64, 128 keys, 64 queries)
    float rows[2][2][$(ROWS)];                  // lse in powers of 2, delta
    uint32_t kept[2][4][$(ROWS // 2)];          // dropout's mask, a bit for each key: (group, 16
                                                // keys of a warp, two queries x 16 bits)
    uint64_t kv_full[2], kv_empty[2], full[2], empty[2];
    //$ if k.uses.dropout then
    struct dropout drop; // read where it is used: there are no registers to keep it in
    //$ end
};

// rows (B H, tiles, 2, ROWS): lse in powers of 2, and delta; infinity and 0 beyond a sequence's
// end, so that weights there are 0. A thread reads 8 columns. Floor: dy and y are read once.
KERNEL(256) $(k.part.rows)(float *rows, const elem *dy, const elem *y, const float *lse) {
    [[maybe_unused]] constexpr int $(k.dims);
    constexpr int ROWS = $(ROWS), TILES = divide_up(T, ROWS), LANES = D / VEC;
    const int at = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    const int row = at / (C / VEC), column = at % (C / VEC) * VEC;
    const int b = row / (TILES * ROWS), i = row % (TILES * ROWS), h = column / D;
    float sum = 0.0f;
    if (i < T) {
        const size_t from = ((size_t)b * T + i) * C_LD + column;
        sum = vec_sum(vec_load_once(dy + from) * vec_load_once(y + from));
    }
#pragma unroll
    for (int mask = LANES / 2; mask > 0; mask /= 2) {
        sum += warp_shfl_xor(sum, mask);
    }
    if (at % LANES == 0) {
        float *to = rows + ((size_t)(b * H + h) * TILES + i / ROWS) * 2 * ROWS + i % ROWS;
        to[0] = i < T ? lse[(size_t)h * N + b * T + i] * 1.44269504f : INFINITY;
        to[ROWS] = sum;
    }
}

// What a block works on: the head `item`, or one of the groups that share its tiles of keys; the
// workspace's slot of its dQ.
struct $(k.part.unit) {
    int item, group, groups, slot;
};
DEVICE struct $(k.part.unit) $(k.part.unit_at)(int unit) {
    //$ if groups > 1 then
    constexpr int WHOLE = $(whole), REST = $(rest), SLOTS = $(slots);
    if (unit >= WHOLE) {
        const int at = unit - WHOLE;
        return {WHOLE + at % REST, at / REST, $(groups), SLOTS + at};
    }
    //$ end
    return {unit, 0, 1, (int)blockIdx.x};
}
// A unit's tile of keys. Later tiles have less work: groups take them in turn, back and forth.
DEVICE int $(k.part.key)(struct $(k.part.unit) unit, int round) {
    return round * unit.groups + (round % 2 ? unit.groups - 1 - unit.group : unit.group);
}
//$ if k.d.W then

// Where the tiles of queries end that see a tile of keys.
DEVICE int $(k.part.last)(int key) {
    [[maybe_unused]] constexpr int $(k.dims);
    return divide_up(int_min(T, key * 128 + 128 + W), $(ROWS));
}

// The first tile of keys that a tile of queries sees.
DEVICE int $(k.part.begin)(int tile) {
    constexpr int ROWS = $(ROWS), W = $(k.d.W);
    return tile * ROWS > W ? (tile * ROWS - W) / 128 : 0;
}
//$ end

// The loading thread.
//$ local shared = "struct " .. k.part.shared .. " *s"
DEVICE void $(k.part.load)($(shared), const tensor_map *qkv, const tensor_map *dy,
                           const float *rows) {
    [[maybe_unused]] constexpr int $(k.dims);
    constexpr int ROWS = $(ROWS), TILES = divide_up(T, ROWS);
    int keys = 0, used = 0; // tiles so far: of keys, of queries
    for (int at = (int)blockIdx.x; at < $(units); at += (int)gridDim.x) {
        const struct $(k.part.unit) unit = $(k.part.unit_at)(at);
        const int item = unit.item, b = item / H, h = item % H;
        for (int round = 0, key = unit.group; key < divide_up(T, 128); keys++) {
            const int slot = keys % 2;
            mbarrier_wait(&s->kv_empty[slot], keys / 2 % 2 ^ 1);
            mbarrier_expect(&s->kv_full[slot], 2 * 128 * D * (int)sizeof(elem));
            tiles_load(s->k[slot], qkv, &s->kv_full[slot], 128, D, C + h * D, key * 128, b);
            tiles_load(s->v[slot], qkv, &s->kv_full[slot], 128, D, 2 * C + h * D, key * 128, b);
            for (int i = key * (128 / ROWS); i < $(last); i++, used++) {
                const int stage = used % 2;
                mbarrier_wait(&s->empty[stage], used / 2 % 2 ^ 1);
                mbarrier_expect(&s->full[stage],
                                (int)(2 * ROWS * D * sizeof(elem) + 2 * ROWS * sizeof(float)));
                tiles_load(s->q[stage], qkv, &s->full[stage], ROWS, D, h * D, i * ROWS, b);
                tiles_load(s->dy[stage], dy, &s->full[stage], ROWS, D, h * D, i * ROWS, b);
                bulk_load(s->rows[stage], rows + ((size_t)item * TILES + i) * 2 * ROWS,
                          2 * ROWS * (int)sizeof(float), &s->full[stage]);
            }
            key = $(k.part.key)(unit, ++round);
        }
    }
}

// Starts x (64, ROWS) = keys (64, D) queries (ROWS, D)^T; the keys are half of a tile of 128.
DEVICE void $(k.part.scores)(float (&x)[$(SCORES)], const elem *keys, const elem *queries) {
    [[maybe_unused]] constexpr int $(k.dims);
    const uint64_t a = wgmma_rows(keys), b = wgmma_rows(queries);
    wgmma_fence();
#pragma unroll
    for (int step = 0; step < D / 16; step++) {
        const int box = step / 4, within = step % 4 * 32;
        wgmma_m64k16<elem, BY_ROWS, BY_ROWS>(x, wgmma_step(a, box * 128 * 128 + within),
                                             wgmma_step(b, box * $(ROWS) * 128 + within), step > 0);
    }
    wgmma_commit();
}

// Starts sums (64, D) = or += weights (64, ROWS) rows (ROWS, D).
DEVICE void $(k.part.mix)(float (&sums)[$(SUMS)], const uint32_t (&weights)[$(STEPS)][4],
                          const elem *rows, bool add) {
    const uint64_t b = wgmma_columns(rows, $(ROWS));
    wgmma_fence();
#pragma unroll
    for (int step = 0; step < $(STEPS); step++) {
        wgmma_m64k16<elem, BY_COLUMNS>(sums, weights[step], wgmma_step(b, step * 2048),
                                       add || step > 0);
    }
    wgmma_commit();
}

//$ if k.uses.dropout then
// The same with weights in shared memory, half of a tile of 128 rows.
DEVICE void $(k.part.mix_shared)(float (&sums)[$(SUMS)], const elem *weights, const elem *rows,
                                 bool add) {
    const uint64_t a = wgmma_rows(weights), b = wgmma_columns(rows, $(ROWS));
    wgmma_fence();
#pragma unroll
    for (int step = 0; step < $(STEPS); step++) {
        wgmma_m64k16<elem, BY_ROWS, BY_COLUMNS>(sums,
                                                wgmma_step(a, step / 4 * 128 * 128 + step % 4 * 32),
                                                wgmma_step(b, step * 2048), add || step > 0);
    }
    wgmma_commit();
}

//$ end
// Stores a dQ (64, 64) of the workspace's order of registers, whose first row is query `query` and
// first column `column`, to dqkv.
DEVICE void $(k.part.put)(const float (&dq)[32], elem *dqkv, int b, int query, int column) {
    [[maybe_unused]] constexpr int $(k.dims);
    const int thread = warp_group_thread(), lane = thread % WARP;
    constexpr float SCALE = $(k.attrs.scale);
#pragma unroll
    for (int r = 0; r < 2; r++) {
        const int row = query + thread / WARP * 16 + lane / 4 + 8 * r;
        if (row < T) {
            elem *to = dqkv + ((size_t)b * T + row) * E_LD + column + lane % 4 * 2;
#pragma unroll
            for (int i = 0; i < 8; i++) {
                global_store_pair(to + 8 * i, dq[4 * i + 2 * r] * SCALE,
                                  dq[4 * i + 2 * r + 1] * SCALE);
            }
        }
    }
}

// Stores a thread's part of dK or dV (64 keys, D), times `scale`, to tiles (D / 64, 128, 64), where
// `to` is the group's first row.
DEVICE void $(k.part.keep)(elem *to, const float (&sums)[$(SUMS)], float scale) {
    [[maybe_unused]] constexpr int $(k.dims);
    const int thread = warp_group_thread(), lane = thread % WARP;
    const uint32_t at = tile_address(to, thread / WARP * 16 + lane / 4, lane % 4 * 2);
#pragma unroll
    for (int i = 0; i < D / 2; i += 2) {
        const int piece = i / 4 % 8, box = i / 32, r = i % 4 / 2;
        shared_store_pair((at ^ piece * 16) + box * 128 * 128 + r * 1024,
                          pack2<elem>(sums[i] * scale, sums[i + 1] * scale));
    }
}

//$ if k.uses.dropout then
// Draws the group's part of dropout's mask: 64 keys of ROWS queries, one bit each, in shared
// memory. A thread's scores use only one quarter of each draw, so draws are made once and shared.
// `row`: the tile's first query, among all; `chunk`: which 64 keys.
DEVICE void $(k.part.draw)(uint32_t (*kept)[$(ROWS // 2)], const struct dropout *from,
                           uint32_t site, uint32_t row, int chunk) {
    [[maybe_unused]] constexpr int $(k.dims);
    const struct dropout drop = *from;
    const int thread = warp_group_thread(), query = thread % $(ROWS);
    const uint32_t counter = ((row + query) * DROPOUT_CHUNKS(T) + chunk) * DROPOUT_LANES;
    for (int half = thread / $(ROWS); half < 2; half += WARP_GROUP / $(ROWS)) {
        uint32_t bits[4] = {0, 0, 0, 0};
#pragma unroll
        for (int l = 0; l < 8; l++) {
            const struct dropout_bits draw = dropout_draw(&drop, site, counter + 8 * half + l);
#pragma unroll
            for (int quarter = 0; quarter < 4; quarter++) {
                bits[quarter] |= (dropout_quarter(&drop, draw, quarter) != 0.0f ? 1u : 0u) << l;
            }
        }
#pragma unroll
        for (int quarter = 0; quarter < 4; quarter++) {
            ((uint8_t *)kept[quarter])[2 * query + half] = (uint8_t)bits[quarter];
        }
    }
}

//$ end
$(head) {
    HOPPER_BODY();
    [[maybe_unused]] constexpr int $(k.dims);
    constexpr int ROWS = $(ROWS), TILES = divide_up(T, ROWS), KEYS = divide_up(T, 128);
    constexpr float SCALE = $(k.attrs.scale) * 1.44269504f;
    SHARED_DYNAMIC_1024(struct $(k.part.shared), s);
    if (threadIdx.x == 0) {
        for (int i = 0; i < 2; i++) {
            mbarrier_init(&s->kv_full[i], 1);
            mbarrier_init(&s->kv_empty[i], 2); // a thread of each group
            mbarrier_init(&s->full[i], 1);
            mbarrier_init(&s->empty[i], 8); // a thread of each warp
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
            $(k.part.load)(s, &qkv_map, &dy_map, rows);
        }
        return;
    }
    registers_take<240>();

    const int group = warp_group() - 1;
    // The group's piece of dQ: 64 queries, or 64 columns.
    const int piece_row = ROWS == 128 ? group * 64 : 0, piece_column = ROWS == 128 ? 0 : group * 64;
    float p[$(SCORES)], ds[$(SCORES)], dk[$(SUMS)], dv[$(SUMS)], dq[32];
    uint32_t p_pairs[$(STEPS)][4];
    //$ if not k.uses.dropout then
    uint32_t ds_pairs[$(STEPS)][4]; // with dropout dK's product takes dS from shared memory
    //$ end
    int keys = 0, used = 0;
    for (int at = (int)blockIdx.x; at < $(units); at += (int)gridDim.x) {
        const struct $(k.part.unit) unit = $(k.part.unit_at)(at);
        const int item = unit.item, b = item / H, h = item % H;
        float *const sums = partial + (size_t)unit.slot * TILES * ROWS * D;
        for (int round = 0, key = unit.group; key < KEYS; keys++) {
            const int slot = keys % 2, first = key * (128 / ROWS);
            elem *const k = s->k[slot], *const v = s->v[slot];
            mbarrier_wait(&s->kv_full[slot], keys / 2 % 2);
            for (int i = first; i < $(last); i++, used++) {
                const int stage = used % 2;
                const elem *const q = s->q[stage], *const dy = s->dy[stage];
                mbarrier_wait(&s->full[stage], used / 2 % 2);
                $(k.part.scores)(p, k + group * 64 * 64, q);
                $(k.part.scores)(ds, v + group * 64 * 64, dy);
                //$ if k.uses.dropout then
                const uint32_t row = (uint32_t)(item * T + i * ROWS);
                $(k.part.draw)(s->kept[group], &s->drop, site, row, 2 * key + group);
                barrier_sync(3 + group, WARP_GROUP);
                //$ end

                wgmma_wait<1>();
                wgmma_landed(p);
                const int thread = warp_group_thread(), lane = thread % WARP, t = lane % 4;
                const int mine = group * 64 + thread / WARP * 16 + lane / 4; // keys: mine, mine + 8
                elem *const meet = s->ds[used % 2];
                const uint32_t to = tile_address(meet, mine, 2 * t);
                //$ if k.d.W then
                // On the diagonal queries before the key are masked, and further on those whose
                // window begins after it.
                const bool edge = i < first + 128 / ROWS || (i - first + 1) * ROWS - 1 > W;
                //$ end
                if ($(edge)) { // $(why)
#pragma unroll
                    for (int j = 0; j < ROWS / 2; j++) {
                        const int query = (i - first) * ROWS + j / 4 * 8 + 2 * t + j % 2;
                        //$ if k.d.W then
                        const int distance = query - (mine + j % 4 / 2 * 8);
                        //$ end
                        if ($(hidden)) {
                            p[j] = -INFINITY;
                        }
                    }
                }
                //$ if k.uses.dropout then
#pragma unroll
                for (int j = 0; j < ROWS / 2; j++) {
                    p[j] = exp2_fast(p[j] * SCALE - s->rows[stage][0][j / 4 * 8 + 2 * t + j % 2]);
                }
                registers_pin(p); // computed while dP's product runs
                wgmma_wait<0>();
                wgmma_landed(ds);
                const float keep = s->drop.scale;
#pragma unroll
                for (int j = 0; j < ROWS / 2; j += 4) {
                    const int query = j / 4 * 8 + 2 * t;
                    const float delta[2] = {s->rows[stage][1][query], s->rows[stage][1][query + 1]};
                    const uint32_t bits = s->kept[group][thread / WARP][query / 2] >> lane / 4;
#pragma unroll
                    for (int r = 0; r < 2; r++) {
                        float kept[2], d[2];
#pragma unroll
                        for (int e = 0; e < 2; e++) {
                            const float weight = p[j + 2 * r + e];
                            const float mask = bits >> (16 * e + 8 * r) & 1 ? keep : 0.0f;
                            kept[e] = weight * mask;
                            d[e] = weight * (ds[j + 2 * r + e] * mask - delta[e]);
                        }
                        p_pairs[j / 8][j % 8 / 2 + r] = pack2<elem>(kept[0], kept[1]);
                        shared_store_pair((to ^ j / 4 % 8 * 16) + j / 32 * 128 * 128 + r * 1024,
                                          pack2<elem>(d[0], d[1]));
                    }
                }
                $(k.part.mix)(dv, p_pairs, dy, i > first);
                //$ else
                // dV starts before dP is read. dS uses the same rounded weights as dV, from a copy:
                // dV's product owns the registers of the originals.
#pragma unroll
                for (int j = 0; j < ROWS / 2; j += 2) {
                    const float *row = s->rows[stage][0] + j / 4 * 8 + 2 * t;
                    p_pairs[j / 8][j % 8 / 2] = pack2<elem>(exp2_fast(p[j] * SCALE - row[0]),
                                                            exp2_fast(p[j + 1] * SCALE - row[1]));
                }
                weights_copy(ds_pairs, p_pairs);
                $(k.part.mix)(dv, p_pairs, dy, i > first);
                wgmma_wait<1>();
                wgmma_landed(ds);
#pragma unroll
                for (int j = 0; j < ROWS / 2; j += 2) {
                    const float *delta = s->rows[stage][1] + j / 4 * 8 + 2 * t;
                    const uint32_t pair = ds_pairs[j / 8][j % 8 / 2];
                    ds_pairs[j / 8][j % 8 / 2] =
                        pack2<elem>(pair_at<elem>(pair, 0) * (ds[j] - delta[0]),
                                    pair_at<elem>(pair, 1) * (ds[j + 1] - delta[1]));
                }
#pragma unroll
                for (int j = 0; j < ROWS / 4; j++) {
                    const int piece = j / 2 % 8, box = j / 16, r = j % 2;
                    shared_store_pair((to ^ piece * 16) + box * 128 * 128 + r * 1024,
                                      ds_pairs[j / 4][j % 4]);
                }
                //$ end
                fence_proxy_async();
                // dQ so far, or zeros. (A product that sometimes overwrites its sums would keep
                // their registers occupied before it.)
                //$ if k.d.W then
                const bool added =
                    round > 0 && $(k.part.key)(unit, round - 1) >= $(k.part.begin)(i);
                //$ end
                float *const so_far = sums + i * ROWS * D + (group * WARP_GROUP + thread) * 4;
#pragma unroll
                for (int j = 0; j < 8; j++) {
                    struct four from = {};
                    if ($(k.d.W and "added" or "round > 0")) {
                        from = four_load(so_far + j * 2 * WARP_GROUP * 4);
                    }
#pragma unroll
                    for (int e = 0; e < 4; e++) {
                        dq[4 * j + e] = from.v[e];
                    }
                }
                barrier_sync(1, 2 * WARP_GROUP);
                const uint64_t a = wgmma_columns(meet + piece_row / 64 * 128 * 64, 128);
                const uint64_t c = wgmma_columns(k + piece_column / 64 * 128 * 64, 128);
                wgmma_fence();
#pragma unroll
                for (int step = 0; step < 8; step++) {
                    wgmma_m64k16<elem, BY_COLUMNS, BY_COLUMNS>(dq, wgmma_step(a, step * 2048),
                                                               wgmma_step(c, step * 2048), true);
                }
                wgmma_commit();
                //$ if k.uses.dropout then
                $(k.part.mix_shared)(dk, meet + group * 64 * 64, q, i > first);
                //$ else
                $(k.part.mix)(dk, ds_pairs, q, i > first);
                //$ end
                wgmma_wait<1>(); // all but dK
                wgmma_landed(dq);
                if (unit.groups == 1 && i / (128 / ROWS) == key) {
                    $(k.part.put)(dq, dqkv, b, i * ROWS + piece_row, h * D + piece_column);
                } else {
#pragma unroll
                    for (int j = 0; j < 8; j++) {
                        four_store(so_far + j * 2 * WARP_GROUP * 4,
                                   {{dq[4 * j], dq[4 * j + 1], dq[4 * j + 2], dq[4 * j + 3]}});
                    }
                }
                wgmma_wait<0>();
                if (lane == 0) {
                    mbarrier_arrive(&s->empty[stage]);
                }
            }
            wgmma_landed(dk);
            wgmma_landed(dv);

            // dK and dV overwrite k and v in shared memory, once neither group needs them.
            barrier_sync(2, 2 * WARP_GROUP);
            $(k.part.keep)(k + group * 64 * 64, dk, $(k.attrs.scale));
            $(k.part.keep)(v + group * 64 * 64, dv, 1.0f);
            fence_proxy_async();
            barrier_sync(3 + group, WARP_GROUP);
            if (warp_group_thread() == 0) {
                tiles_store(&dqkv_map, k + group * 64 * 64, 128, 64, D, C + h * D,
                            key * 128 + group * 64, b);
                tiles_store(&dqkv_map, v + group * 64 * 64, 128, 64, D, 2 * C + h * D,
                            key * 128 + group * 64, b);
                tma_store_commit();
                tma_store_wait<0>();
                mbarrier_arrive(&s->kv_empty[slot]);
            }
            key = $(k.part.key)(unit, ++round);
        }
    }
}

//$ if groups > 1 then
// dQ (ROWS, D) of a tile of queries of a divided head: the sum over the groups that have keys which
// it sees, in order. `partial` is that of the first divided head and group. Floor: its bytes.
KERNEL(256) $(k.part.sum)(elem *dqkv, const float *partial) {
    [[maybe_unused]] constexpr int $(k.dims);
    constexpr int ROWS = $(ROWS), TILES = divide_up(T, ROWS), REST = $(rest);
    const int i = (int)blockIdx.x % TILES, rest = (int)blockIdx.x / TILES, item = $(whole) + rest;
    const int group = (int)threadIdx.x / WARP_GROUP;
    partial += ((size_t)rest * TILES + i) * ROWS * D + threadIdx.x * 4;
    float dq[32] = {};
    //$ if k.d.W then
    const int diagonal = i / (128 / ROWS);
    //$ end
    for (int part = 0; part < $(groups) && part <= i / (128 / ROWS); part++) {
        //$ if k.d.W then
        // The group's last tile of keys up to the diagonal: it has added if these queries see it.
        const struct $(k.part.unit) unit = {item, part, $(groups), 0};
        const int round = diagonal / $(groups), at = $(k.part.key)(unit, round);
        const int key = at > diagonal && round > 0 ? $(k.part.key)(unit, round - 1) : at;
        const bool added = key <= diagonal && key >= $(k.part.begin)(i);
        //$ end
#pragma unroll
        for (int j = 0; j < 8; j++) {
            //$ if k.d.W then
            struct four from = {};
            if (added) {
                from = four_load(partial + j * 2 * WARP_GROUP * 4);
            }
            //$ else
            const struct four from = four_load(partial + j * 2 * WARP_GROUP * 4);
            //$ end
#pragma unroll
            for (int e = 0; e < 4; e++) {
                dq[4 * j + e] += from.v[e];
            }
        }
        partial += (size_t)REST * TILES * ROWS * D;
    }
    const int row = ROWS == 128 ? group * 64 : 0, column = ROWS == 128 ? 0 : group * 64;
    $(k.part.put)(dq, dqkv, item / H, i * ROWS + row, item % H * D + column);
}

//$ end
//// Workspace: rows (B H, TILES, 2, ROWS), then dQ (TILES ROWS, D) of each block, and of each group
//// of a divided head.
$(k.sign_launch()) {
    [[maybe_unused]] constexpr int $(k.dims);
    constexpr int ROWS = $(ROWS), TILES = divide_up(T, ROWS), SLOTS = $(slots + rest * groups);
    constexpr size_t STATISTICS = (size_t)B * H * TILES * 2 * ROWS;
    static_assert(STATISTICS + (size_t)SLOTS * TILES * ROWS * D <= $(k.node.workspace.dims[1]),
                  "the op's workspace is too small for this kernel");
    float *const rows = workspace, *const partial = rows + STATISTICS;
    const tensor_map qkv_map = tensor_map_make(qkv, E, T, B, E_LD);
    const tensor_map dy_map = tensor_map_make(dy, C, T, B, C_LD);
    const tensor_map dqkv_map = tensor_map_make(dqkv, E, T, B, E_LD);
    LAUNCH($(k.part.rows), B * TILES * ROWS / 64 * (C / 32), 256, 0, gpu->stream, rows, dy, y, lse);
    //$ local names = k.uses.dropout and ", state, site" or ""
    //$ local maps = "qkv_map, dy_map, dqkv_map, dqkv, rows, partial" .. names
    LAUNCH($(k.name), $(math.min(k.d.sms, units)), 384, sizeof(struct $(k.part.shared)),
           gpu->stream, $(maps));
    //$ if groups > 1 then
    LAUNCH($(k.part.sum), $(rest) * TILES, 256, 0, gpu->stream, dqkv,
           partial + (size_t)$(slots) * TILES * ROWS * D);
    //$ end
}
//$ end
