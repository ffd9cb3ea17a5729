//// qk_norm.cu: each head h of queries and keys is x rstd gain, with rstd = 1 / sqrt(mean(x^2) +
//// eps) over its D columns, and the gradients. The gain is q_gain (D) of queries, k_gain of keys;
//// the plain ones have none.

//// How a head is divided: LANES neighbouring lanes of a warp have it, in PER pieces of WIDE
//// columns each: vectors, where heads are whole vectors.
//$ function cut(k)
//$     local wide = k.d.D % 8 == 0 and 8 or 1
//$     local pieces, lanes = k.d.D // wide, 1
//$     while lanes < math.min(pieces, 32) do lanes = 2 * lanes end
//$     return wide, lanes, (pieces + lanes - 1) // lanes
//$ end
//$ function loaded(wide, at)
//$     return wide == 8 and "vec_load(" .. at .. ")" or "vec_fill(to_f32(*(" .. at .. ")))"
//$ end
//$ function stored(wide, at, value)
//$     if wide == 8 then return "vec_store(" .. at .. ", " .. value .. ")" end
//$     return "*(" .. at .. ") = from_f32<elem>(" .. value .. ".v[0])"
//$ end

//// Values are as they were. `y` may be `qkv`. Floor: a row is read and written once.
//$ function qk_norm(k)
//$ local wide, lanes, per = cut(k)
$(k.sign("KERNEL(256)", k.name)) {
    [[maybe_unused]] constexpr int $(k.dims);
    constexpr int WIDE = $(wide), LANES = $(lanes), PER = $(per), HEADS = H + 2 * KV;
    const int item = (int)(blockIdx.x * (256 / LANES) + threadIdx.x / LANES);
    const int lane = (int)threadIdx.x % LANES, n = item / HEADS, h = item % HEADS;
    const size_t here = (size_t)n * E_LD + h * D;
    struct vec held[PER];
    float squares = 0.0f;
#pragma unroll
    for (int p = 0; p < PER; p++) {
        const int j = (p * LANES + lane) * WIDE;
        held[p] = vec_fill(0.0f);
        if (n < N && j < D) {
            held[p] = $(loaded(wide, "qkv + here + j"));
        }
#pragma unroll
        for (int e = 0; e < WIDE; e++) {
            squares += held[p].v[e] * held[p].v[e];
        }
    }
#pragma unroll
    for (int mask = LANES / 2; mask > 0; mask /= 2) {
        squares += warp_shfl_xor(squares, mask);
    }
    if (n >= N) {
        return;
    }
    const float r = h < H + KV ? 1.0f / sqrtf(squares / D + $(k.attrs.eps)) : 1.0f;
#pragma unroll
    for (int p = 0; p < PER; p++) {
        const int j = (p * LANES + lane) * WIDE;
        if (j < D) {
            //$ if k.uses.q_gain then
            const float *gains = h < H ? q_gain : k_gain;
            const struct vec gain = h < H + KV ? $(loaded(wide, "gains + j")) : vec_fill(1.0f);
            held[p] = held[p] * gain;
            //$ end
            held[p] = held[p] * vec_fill(r);
            $(stored(wide, "y + here + j", "held[p]"));
        }
    }
    //$ if k.uses.rstd then
    if (lane == 0 && h < H + KV) {
        rstd[(size_t)n * (H + KV) + h] = r;
    }
    //$ end
}

$(k.sign_launch()) {
    constexpr int ITEMS = $(k.d.N * (k.d.H + 2 * k.d.KV)), EACH = $(256 // lanes);
    LAUNCH($(k.name), divide_up(ITEMS, EACH), 256, 0, gpu->stream, $(k.arg_names));
}
//$ end

//// With xhat = x rstd and g = dy gain, of each head:
////   dx = rstd (g - xhat mean(g xhat)),  dgain = sum over rows and heads of dy xhat.
//// `dqkv` may be `dy`. Floor: dy and qkv are read, dqkv is written, once each. A thread block has
//// a range of rows; a thread the same columns of each head that its lanes take, so that both
//// gains' sums stay in registers. A second kernel adds the blocks' partial sums (blocks, 2, D), in
//// order.
//$ function qk_norm_backward(k)
//$ local wide, lanes, per = cut(k)
//$ local gains = k.uses.q_gain
//$ local blocks = gains and k.op.workspace(k.d) // (2 * k.d.D) or math.min(3 * k.d.sms, k.d.N)
$(k.sign("KERNEL(256)", k.name)) {
    [[maybe_unused]] constexpr int $(k.dims);
    constexpr int WIDE = $(wide), LANES = $(lanes), PER = $(per), HEADS = H + 2 * KV;
    constexpr int BLOCKS = $(blocks), GROUPS = 256 / LANES;
    const int group = (int)threadIdx.x / LANES, lane = (int)threadIdx.x % LANES;
    const int from = (int)((int64_t)N * blockIdx.x / BLOCKS) * HEADS;
    const int to = (int)((int64_t)N * (blockIdx.x + 1) / BLOCKS) * HEADS;
    //$ if gains then
    // Used by the second kernel.
    (void)dq_gain, (void)dk_gain, (void)beta;
    SHARED(float, total, [2 * D]);
    struct vec sum_q[PER], sum_k[PER];
#pragma unroll
    for (int p = 0; p < PER; p++) {
        sum_q[p] = sum_k[p] = vec_fill(0.0f);
    }
    //$ end
    for (int first = from; first < to; first += GROUPS) {
        const int item = int_min(first + group, to - 1), n = item / HEADS, h = item % HEADS;
        const bool in = first + group < to, turned = h < H + KV;
        const size_t here = (size_t)n * E_LD + h * D;
        const float r = turned ? rstd[(size_t)n * (H + KV) + h] : 0.0f;
        struct vec d[PER], xhat[PER];
        float sum_g_xhat = 0.0f;
#pragma unroll
        for (int p = 0; p < PER; p++) {
            const int j = (p * LANES + lane) * WIDE;
            d[p] = xhat[p] = vec_fill(0.0f);
            if (in && j < D) {
                d[p] = $(loaded(wide, "dy + here + j"));
                if (turned) {
                    xhat[p] = $(loaded(wide, "qkv + here + j")) * vec_fill(r);
                }
            }
            //$ if gains then
            const struct vec dgain = d[p] * xhat[p];
            if (h < H) {
                sum_q[p] = sum_q[p] + dgain;
            } else {
                sum_k[p] = sum_k[p] + dgain;
            }
            if (turned && j < D) {
                const float *gain = h < H ? q_gain : k_gain;
                d[p] = d[p] * $(loaded(wide, "gain + j"));
            }
            //$ end
#pragma unroll
            for (int e = 0; e < WIDE; e++) {
                sum_g_xhat += d[p].v[e] * xhat[p].v[e];
            }
        }
#pragma unroll
        for (int mask = LANES / 2; mask > 0; mask /= 2) {
            sum_g_xhat += warp_shfl_xor(sum_g_xhat, mask);
        }
#pragma unroll
        for (int p = 0; p < PER; p++) {
            const int j = (p * LANES + lane) * WIDE;
            if (in && j < D) {
                if (turned) {
#pragma unroll
                    for (int e = 0; e < WIDE; e++) {
                        d[p].v[e] = (d[p].v[e] - xhat[p].v[e] * (sum_g_xhat / D)) * r;
                    }
                }
                $(stored(wide, "dqkv + here + j", "d[p]"));
            }
        }
    }
    //$ if gains then
    // The groups add their sums one after another.
    for (int g = 0; g < GROUPS; g++) {
        for (int p = 0; g == group && p < PER; p++) {
            for (int e = 0; e < WIDE; e++) {
                const int j = (p * LANES + lane) * WIDE + e;
                if (j < D) {
                    total[j] = (g > 0 ? total[j] : 0.0f) + sum_q[p].v[e];
                    total[D + j] = (g > 0 ? total[D + j] : 0.0f) + sum_k[p].v[e];
                }
            }
        }
        block_sync();
    }
    for (int j = (int)threadIdx.x; j < 2 * D; j += 256) {
        workspace[(size_t)blockIdx.x * 2 * D + j] = total[j];
    }
    //$ end
}
//$ if gains then

// Adds the partial sums (blocks, 2, D), 32 columns in each block.
KERNEL(COLUMN_SUMS)
$(k.part.sum)(float *dq_gain, float *dk_gain, const float *partial, float beta) {
    [[maybe_unused]] constexpr int $(k.dims);
    SHARED(float, shared, [COLUMN_SUMS / WARP][WARP]);
    const int col = (int)blockIdx.x * WARP + (int)threadIdx.x % WARP;
    const float sum = column_sum(col < 2 * D ? partial + col : NULL, $(blocks), 2 * D, shared);
    if (col < 2 * D && threadIdx.x < WARP) {
        float *at = col < D ? dq_gain + col : dk_gain + (col - D);
        *at = beta == 0.0f ? sum : beta * *at + sum;
    }
}
//$ end

$(k.sign_launch()) {
    LAUNCH($(k.name), $(blocks), 256, 0, gpu->stream, $(k.arg_names));
    //$ if gains then
    LAUNCH($(k.part.sum), divide_up($(2 * k.d.D), WARP), COLUMN_SUMS, 0, gpu->stream, dq_gain,
           dk_gain, workspace, beta);
    //$ end
}
//$ end
