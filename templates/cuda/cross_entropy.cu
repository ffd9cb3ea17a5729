//// cross_entropy.cu: the loss of each row of logits (N, V), its gradient, and the mean loss. Rows
//// whose target is -1 are ignored. With a cap, a logit x is read as softcap(x).

//// How a row of V_LD logits is divided: a warp takes up to 256 vectors; beyond, a block that is
//// large enough for eight vectors in each thread. `held`: the row stays in registers, packed,
//// between its two passes. `ahead`: so few blocks fit on a multiprocessor that each prefetches its
//// next row to shared memory (99 KiB, the least of any) while it computes one. Other rows are read
//// twice, the second time from the cache.
//$ function cut(k)
//$     local vecs, words = k.d.V_LD // 8, k.dtype == "f32" and 8 or 4
//$     local lanes = vecs <= 256 and 32 or math.min(1024, (vecs + 255) // 256 * 32)
//$     local per = (vecs + lanes - 1) // lanes
//$     local threads = lanes == 32 and 256 or lanes
//$     local ahead = lanes > 512 and words == 4 and k.d.V_LD * 2 + 256 <= 99 * 1024
//$     local held = ahead or lanes <= 512 and per * words <= 64
//$     return threads, lanes, per, held, ahead
//$ end

//// A logit, or a vector of them, as it is read.
//$ function read(k, x)
//$     return k.node.attrs.cap > 0 and ("softcap(%s, %s)"):format(x, k.attrs.cap) or x
//$ end

//// Floor: the logits are read once.
//$ function cross_entropy(k)
//$ local threads, lanes, per = cut(k)
//$ local logit = read(k, "to_f32(row[target])")
$(k.sign(string.format("KERNEL_BLOCKS(%d, 1)", threads), k.name)) {
    [[maybe_unused]] constexpr int $(k.dims);
    constexpr int LANES = $(lanes), VECS = V_LD / VEC, PER = $(per);
    //$ if lanes > 32 then
    SHARED(float, part, [2][WARP]);
    //$ end
    const int lane = (int)threadIdx.x % LANES;
    const int n = (int)((blockIdx.x * blockDim.x + threadIdx.x) / LANES);
    if (n >= N) {
        return;
    }
    const elem *row = logits + (size_t)n * V_LD;
    struct softmax sums = softmax_none();
#pragma unroll 4
    for (int p = 0; p < PER; p++) {
        const int i = p * LANES + lane;
        if ((p + 1) * LANES <= VECS || i < VECS) {
            const struct vec x = $(read(k, "vec_load(row + i * VEC)"));
            softmax_add(&sums, V == V_LD ? x : vec_first(x, V - i * VEC, -INFINITY));
        }
    }
    //$ if lanes > 32 then
    sums = softmax_block(sums, part);
    //$ else
    sums = softmax_warp(sums);
    //$ end
    if (lane == 0) {
        const int target = targets[n];
        losses[n] = target < 0 ? 0.0f : sums.largest + logf(sums.sum) - $(logit);
    }
}

$(k.sign_launch()) {
    constexpr int ROWS = $(threads // lanes); // of a block
    LAUNCH($(k.name), divide_up($(k.d.N), ROWS), $(threads), 0, gpu->stream, $(k.arg_names));
}
//$ end

//// The loss and dlogits = (softmax - onehot(target)) * loss_scale, times the slope of the cap if
//// there is one. dlogits may alias logits.
//// Floor: the logits are read once, dlogits written once. Blocks (or warps) take every gridDim-th
//// row.
//$ function cross_entropy_backward(k)
//$ local threads, lanes, per, held, ahead = cut(k)
$(k.sign(string.format("KERNEL_BLOCKS(%d, 1)", threads), k.name)) {
    [[maybe_unused]] constexpr int $(k.dims);
    constexpr int LANES = $(lanes), VECS = V_LD / VEC, PER = $(per), GROUPS = $(threads // lanes);
    //$ if lanes > 32 then
    SHARED(float, part, [2][WARP]);
    //$ end
    //$ if ahead then
    SHARED_DYNAMIC(elem, next); // the next row: a thread reads only the vectors that it copied
    //$ end
    const int lane = (int)threadIdx.x % LANES, step = (int)gridDim.x * GROUPS;
    const int first = (int)blockIdx.x * GROUPS + (int)threadIdx.x / LANES;
    const float loss_scale = state->in.loss_scale * (float)state->scale;
    //$ if ahead then
    elem *ahead = next + lane * VEC;
    const auto fetch = [&](int n) {
        const elem *from = logits + (size_t)n * V_LD + lane * VEC;
#pragma unroll
        for (int p = 0; p < PER; p++) {
            const int i = p * LANES + lane;
            if ((p + 1) * LANES <= VECS || i < VECS) {
                cp_async16(ahead + p * LANES * VEC, from + p * LANES * VEC, true);
            }
        }
        cp_async_commit();
    };
    if (first < N) {
        fetch(first);
    }
    //$ end
    for (int n = first; n < N; n += step) {
        const int target = targets[n];
        // Read before any thread writes dlogits; the barriers of the sum are in between.
        float at_target = 0.0f;
        if (lane == 0 && target >= 0) {
            at_target = $(read(k, "to_f32(logits[(size_t)n * V_LD + target])"));
        }
        //$ if ahead then
        cp_async_wait<0>();
        const elem *from = ahead;
        //$ else
        const elem *from = logits + (size_t)n * V_LD + lane * VEC;
        //$ end
        //$ if held then
        struct packed<elem> kept[PER];
        //$ end
        //$ if held and not ahead then
#pragma unroll
        for (int p = 0; p < PER; p++) {
            if ((p + 1) * LANES <= VECS || p * LANES + lane < VECS) {
                kept[p] = packed_load(from + p * LANES * VEC);
            }
        }
        //$ end
        struct softmax sums = softmax_none();
#pragma unroll $(held and per or 4)
        for (int p = 0; p < PER; p++) {
            const int i = p * LANES + lane;
            if ((p + 1) * LANES <= VECS || i < VECS) {
                //$ if held and not ahead then
                const struct vec x = $(read(k, "packed_vec<elem>(kept[p])"));
                //$ else
                const struct vec x = $(read(k, "vec_load(from + p * LANES * VEC)"));
                //$ end
                softmax_add(&sums, V == V_LD ? x : vec_first(x, V - i * VEC, -INFINITY));
            }
        }
        //$ if lanes > 32 then
        sums = softmax_block(sums, part);
        //$ else
        sums = softmax_warp(sums);
        //$ end
        //$ if ahead then
#pragma unroll
        for (int p = 0; p < PER; p++) {
            if ((p + 1) * LANES <= VECS || p * LANES + lane < VECS) {
                kept[p] = packed_load(from + p * LANES * VEC);
            }
        }
        if (n + step < N) {
            fetch(n + step);
        }
        //$ end
        if (lane == 0) {
            losses[n] = target < 0 ? 0.0f : sums.largest + logf(sums.sum) - at_target;
        }
        const float scale = target < 0 ? 0.0f : loss_scale / sums.sum;
        elem *to = dlogits + (size_t)n * V_LD + lane * VEC;
#pragma unroll $(held and per or 4)
        for (int p = 0; p < PER; p++) {
            const int i = p * LANES + lane, col = i * VEC;
            if ((p + 1) * LANES <= VECS || i < VECS) {
                //$ if held then
                struct vec d = $(read(k, "packed_vec<elem>(kept[p])"));
                //$ else
                struct vec d = $(read(k, "vec_load(from + p * LANES * VEC)"));
                //$ end
                //$ if k.node.attrs.cap > 0 then
                struct vec slope;
#pragma unroll
                for (int e = 0; e < VEC; e++) {
                    slope.v[e] =
                        1.0f - d.v[e] * d.v[e] * (1.0f / ($(k.attrs.cap) * $(k.attrs.cap)));
                }
                //$ end
#pragma unroll
                for (int e = 0; e < VEC; e++) {
                    d.v[e] = exp_fast(d.v[e] - sums.largest) * scale;
                }
                if (target >= 0 && target / VEC == i) {
#pragma unroll
                    for (int e = 0; e < VEC; e++) {
                        d.v[e] -= col + e == target ? loss_scale : 0.0f;
                    }
                }
                //$ if k.node.attrs.cap > 0 then
                d = d * slope;
                //$ end
                const int count = target < 0 ? 0 : V == V_LD ? VEC : V - col; // what is not 0
                vec_store(to + p * LANES * VEC, vec_first(d, count, 0.0f));
            }
        }
    }
}

$(k.sign_launch()) {
    //$ if ahead then
    // One block for each multiprocessor, with a row of shared memory.
    LAUNCH($(k.name), int_min(gpu->sms, $(k.d.N)), $(threads), $(k.d.V_LD) * sizeof(elem),
           gpu->stream, $(k.arg_names));
    //$ else
    constexpr int ROWS = $(threads // lanes); // of a block
    LAUNCH($(k.name), divide_up($(k.d.N), ROWS), $(threads), 0, gpu->stream, $(k.arg_names));
    //$ end
}
//$ end

//// The mean over targets other than -1, and its sum over the step's micro-batches; beta is 0 in
//// the first. One block, which adds in double, in a fixed order.
//$ function mean_loss(k)
$(k.sign("KERNEL(1024)", k.name)) {
    [[maybe_unused]] constexpr int $(k.dims);
    SHARED(double, sums, [1024]);
    SHARED(int, counts, [1024]);
    const int me = (int)threadIdx.x;
    double sum = 0.0;
    int counted = 0;
#pragma unroll 8
    for (int n = me; n < N; n += 1024) {
        sum += losses[n];
        counted += targets[n] >= 0;
    }
    sums[me] = sum;
    counts[me] = counted;
    for (int half = 512; half > 0; half /= 2) {
        block_sync();
        if (me < half) {
            sums[me] += sums[me + half];
            counts[me] += counts[me + half];
        }
    }
    if (me == 0) {
        state->loss = sums[0] / counts[0];
        state->total = beta == 0.0f ? state->loss : state->total + state->loss;
    }
}

$(k.sign_launch()) {
    LAUNCH($(k.name), 1, 1024, 0, gpu->stream, $(k.arg_names));
}
//$ end
