//// rmsnorm.cu: y = x * rstd * scale, row by row, with rstd = 1 / sqrt(mean(x^2) + eps), and its
//// gradients. The plain ones have no scale.

//// Floor: x (and the prologue's operands) are read, y (and `kept`) written, once each. The
//// prologue runs between the load of x and the sum.
//$ function rmsnorm(k)
//$ local threads, lanes, at_once = forward_cut(k)
//$ local scaled = k.uses.scale and " * s.v[e]" or ""
$(k.sign(string.format("KERNEL_BLOCKS(%d, %d)", threads, lanes == 32 and 2 or 1), k.name)) {
    [[maybe_unused]] constexpr int $(k.dims), COLS = C;
    // LANES threads hold AT_ONCE rows in PER vectors each; a block has GROUPS times as many.
    constexpr int LANES = $(lanes), AT_ONCE = $(at_once), GROUPS = $(threads // lanes);
    constexpr int VECS = divide_up(C, VEC), PER = divide_up(VECS, LANES);
    //$ if lanes > 32 then
    SHARED(float, part, [WARP]);
    //$ end
    //$ if k.prologue_uses_dropout then
    const struct dropout drop = dropout_make(state);
    //$ end
    const int lane = (int)threadIdx.x % LANES;
    const int first = ((int)blockIdx.x * GROUPS + (int)threadIdx.x / LANES) * AT_ONCE;

    struct vec held[AT_ONCE][PER];
    float r[AT_ONCE];
#pragma unroll
    for (int a = 0; a < AT_ONCE; a++) {
#pragma unroll
        for (int p = 0; p < PER; p++) {
            const int row = first + a, i = p * LANES + lane;
            held[a][p] =
                row < N && i < VECS ? vec_load(x + (size_t)row * C_LD + i * VEC) : vec_fill(0.0f);
        }
    }
#pragma unroll
    for (int a = 0; a < AT_ONCE; a++) {
        float squares = 0.0f;
#pragma unroll
        for (int p = 0; p < PER; p++) {
            [[maybe_unused]] const int row = first + a;
            const int i = p * LANES + lane, col = i * VEC;
            //$ if k.prologue_uses_dropout then
            const struct vec mask = dropout_mask_warp(&drop, site, row, DROPOUT_CHUNKS(COLS), col);
            //$ end
            if (row < N && i < VECS) {
                struct vec value = held[a][p];
                //$ if #k.prologue > 0 then
                [[maybe_unused]] const size_t at = (size_t)row * C_LD + col;
                //$ end
                //$ for _, statement in ipairs(k.prologue) do
                $(with_mask(statement, true));
                //$ end
                held[a][p] = C % VEC == 0 ? value : vec_first(value, C - col, 0.0f);
            }
#pragma unroll
            for (int e = 0; e < VEC; e++) {
                squares += held[a][p].v[e] * held[a][p].v[e];
            }
        }
        //$ if lanes > 32 then
        r[a] = 1.0f / sqrtf(block_sum(squares, part) / C + $(k.attrs.eps));
        //$ else
        r[a] = 1.0f / sqrtf(warp_sum(squares) / C + $(k.attrs.eps));
        //$ end
        //$ if k.uses.rstd then
        if (lane == 0 && first + a < N) {
            rstd[first + a] = r[a];
        }
        //$ end
    }
#pragma unroll
    for (int p = 0; p < PER; p++) {
        const int i = p * LANES + lane, col = i * VEC;
        if (i < VECS) {
            //$ if k.uses.scale then
            const struct vec s = vec_load(scale + col);
            //$ end
#pragma unroll
            for (int a = 0; a < AT_ONCE; a++) {
                struct vec out;
#pragma unroll
                for (int e = 0; e < VEC; e++) {
                    out.v[e] = $("held[a][p].v[e] * r[a]"..scaled);
                }
                if (first + a < N) {
                    vec_store(y + (size_t)(first + a) * C_LD + col, out);
                }
            }
        }
    }
}

$(k.sign_launch()) {
    constexpr int ROWS = $(threads // lanes * at_once); // of a block
    LAUNCH($(k.name), divide_up($(k.d.N), ROWS), $(threads), 0, gpu->stream, $(k.arg_names));
}
//$ end

//// With xhat = x rstd and g = dy scale:
////   dx = rstd (g - xhat mean(g xhat)),  dscale = sum over rows of dy xhat.
//// Floor: dy and x (and the epilogue's operands) are read, dx is written, once each. A thread
//// holds the same columns of every row of its group, so that scale and the sum over rows stay in
//// registers; AT_ONCE rows are in flight at a time. A second kernel adds the blocks' partial sums
//// (P, C_LD), in order: P C floats, beside 3 N C elements.
//$ function rmsnorm_backward(k)
//$ local warps, per, groups, resident, at_once, blocks = backward_cut(k, 1)
//$ local threads = 32 * warps * groups
//$ local gains = k.uses.scale
$(k.sign(string.format("KERNEL_BLOCKS(%d, %d)", threads, resident), k.name)) {
    [[maybe_unused]] constexpr int $(k.dims), COLS = C;
    constexpr int BLOCKS = $(blocks), GROUPS = $(groups), WARPS = $(warps), PER = $(per);
    constexpr int LANES = WARPS * WARP, AT_ONCE = $(at_once), VECS = divide_up(C, VEC);
    // For the rows in flight: each warp's sum of g xhat; two buffers, used alternately.
    SHARED(float, part, [2][GROUPS][WARPS][AT_ONCE]);
    //$ if k.epilogue_uses_dropout then
    const struct dropout drop = dropout_make(state);
    //$ end
    //$ if gains then
    // Used by the second kernel.
    (void)dscale, (void)beta;
    //$ end
    const int group = (int)threadIdx.x / LANES, lane = (int)threadIdx.x % LANES;
    const int from = (int)((int64_t)N * blockIdx.x / BLOCKS);
    const int to = (int)((int64_t)N * (blockIdx.x + 1) / BLOCKS);

    //$ if gains then
    struct vec weight[PER], sum_scale[PER];
#pragma unroll
    for (int p = 0; p < PER; p++) {
        const int i = p * LANES + lane;
        weight[p] = i < VECS ? vec_load(scale + i * VEC) : vec_fill(0.0f);
        sum_scale[p] = vec_fill(0.0f);
    }
    //$ end
    int set = 0;
    for (int first = from + group * AT_ONCE; first < to; first += GROUPS * AT_ONCE, set ^= 1) {
        struct packed<elem> held_dy[AT_ONCE][PER], held_x[AT_ONCE][PER];
        float r[AT_ONCE];
#pragma unroll
        for (int a = 0; a < AT_ONCE; a++) {
            const int row = int_min(first + a, to - 1);
#pragma unroll
            for (int p = 0; p < PER; p++) {
                const int i = int_min(p * LANES + lane, VECS - 1);
                held_dy[a][p] = packed_load(dy + (size_t)row * C_LD + i * VEC);
                held_x[a][p] = packed_load(x + (size_t)row * C_LD + i * VEC);
            }
            r[a] = rstd[row];
        }
#pragma unroll
        for (int a = 0; a < AT_ONCE; a++) {
            float sum_g_xhat = 0.0f;
#pragma unroll
            for (int p = 0; p < PER; p++) {
                const int i = p * LANES + lane;
                const bool in = first + a < to && i < VECS;
                const struct vec d = packed_vec<elem>(held_dy[a][p]);
                const struct vec xn = packed_vec<elem>(held_x[a][p]);
#pragma unroll
                for (int e = 0; e < VEC; e++) {
                    const bool column = in && (C % VEC == 0 || i * VEC + e < C);
                    const float dy_xhat = column ? d.v[e] * (xn.v[e] * r[a]) : 0.0f;
                    //$ if gains then
                    sum_g_xhat += dy_xhat * weight[p].v[e];
                    sum_scale[p].v[e] += dy_xhat;
                    //$ else
                    sum_g_xhat += dy_xhat;
                    //$ end
                }
            }
            sum_g_xhat = warp_sum(sum_g_xhat);
            if (lane % WARP == 0) {
                part[set][group][lane / WARP][a] = sum_g_xhat;
            }
        }
        barrier_sync(1 + group, LANES);
#pragma unroll
        for (int a = 0; a < AT_ONCE; a++) {
            float mean_g_xhat = 0.0f;
#pragma unroll
            for (int w = 0; w < WARPS; w++) {
                mean_g_xhat += part[set][group][w][a];
            }
            mean_g_xhat /= C;
            const int row = first + a;
#pragma unroll
            for (int p = 0; p < PER; p++) {
                const int i = p * LANES + lane, col = i * VEC;
                //$ if k.epilogue_uses_dropout then
                const struct vec mask =
                    dropout_mask_warp(&drop, site, row, DROPOUT_CHUNKS(COLS), col);
                //$ end
                if (row < to && i < VECS) {
                    const size_t at = (size_t)row * C_LD + col;
                    struct vec value = packed_vec<elem>(held_dy[a][p]);
                    const struct vec xn = packed_vec<elem>(held_x[a][p]);
#pragma unroll
                    for (int e = 0; e < VEC; e++) {
                        const float xhat = xn.v[e] * r[a];
                        //$ if gains then
                        value.v[e] = (value.v[e] * weight[p].v[e] - xhat * mean_g_xhat) * r[a];
                        //$ else
                        value.v[e] = (value.v[e] - xhat * mean_g_xhat) * r[a];
                        //$ end
                    }
                    //$ for _, statement in ipairs(k.epilogue) do
                    $(with_mask(statement, true));
                    //$ end
                    vec_store(dx + at, value);
                }
            }
        }
    }
    //$ if gains then

    // The first group adds the groups' sums, in order.
    //$ if groups > 1 then
    SHARED(float, other, [GROUPS - 1][LANES * VEC]);
    if (group > 0) {
        vec_store(&other[group - 1][lane * VEC], sum_scale[0]);
    }
    block_sync();
    if (group > 0) {
        return;
    }
    for (int g = 0; g < GROUPS - 1; g++) {
        sum_scale[0] = sum_scale[0] + vec_load(&other[g][lane * VEC]);
    }
    //$ end
    float *partial = workspace + (size_t)blockIdx.x * C_LD;
#pragma unroll
    for (int p = 0; p < PER; p++) {
        const int i = p * LANES + lane;
        if (i < VECS) {
            vec_store(partial + i * VEC, sum_scale[p]);
        }
    }
    //$ end
}
//$ if gains then

// Adds the partial sums (P, C_LD), 32 columns in each block.
KERNEL(COLUMN_SUMS) $(k.part.sum)(float *dscale, const float *partial, float beta) {
    [[maybe_unused]] constexpr int $(k.dims);
    SHARED(float, shared, [COLUMN_SUMS / WARP][WARP]);
    const int col = (int)blockIdx.x * WARP + (int)threadIdx.x % WARP;
    const float sum = column_sum(col < C ? partial + col : NULL, $(blocks), C_LD, shared);
    if (col < C && threadIdx.x < WARP) {
        dscale[col] = beta == 0.0f ? sum : beta * dscale[col] + sum;
    }
}
//$ end

$(k.sign_launch()) {
    LAUNCH($(k.name), $(blocks), $(threads), 0, gpu->stream, $(k.arg_names));
    //$ if gains then
    LAUNCH($(k.part.sum), divide_up($(k.d.C), WARP), COLUMN_SUMS, 0, gpu->stream, dscale, workspace,
           beta);
    //$ end
}
//$ end
