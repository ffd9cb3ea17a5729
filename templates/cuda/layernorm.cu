//// layernorm.cu: y = (x - mean) * rstd * scale + shift, row by row, and its gradients.

//// Floor: x (and the prologue's operands) are read, y (and `kept`) written, once each. The
//// prologue runs between the load of x and the sums.
//$ function layernorm(k)
//$ local threads, lanes, at_once = forward_cut(k)
$(k.sign(string.format("KERNEL_BLOCKS(%d, %d)", threads, lanes == 32 and 2 or 1), k.name)) {
    [[maybe_unused]] constexpr int $(k.dims), COLS = C;
    // LANES threads hold AT_ONCE rows in PER vectors each; a block has GROUPS times as many.
    constexpr int LANES = $(lanes), AT_ONCE = $(at_once), GROUPS = $(threads // lanes);
    constexpr int VECS = divide_up(C, VEC), PER = divide_up(VECS, LANES);
    //$ if lanes > 32 then
    SHARED(float, part, [2][WARP]);
    //$ end
    //$ if k.prologue_uses_dropout then
    const struct dropout drop = dropout_make(state);
    //$ end
    const int lane = (int)threadIdx.x % LANES;
    const int first = ((int)blockIdx.x * GROUPS + (int)threadIdx.x / LANES) * AT_ONCE;

    struct vec held[AT_ONCE][PER];
    float mu[AT_ONCE], r[AT_ONCE];
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
        float sum = 0.0f;
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
            sum += vec_sum(held[a][p]);
        }
        //$ if lanes > 32 then
        mu[a] = block_sum(sum, part[0]) / C;
        //$ else
        mu[a] = warp_sum(sum) / C;
        //$ end
    }
#pragma unroll
    for (int a = 0; a < AT_ONCE; a++) {
        float squares = 0.0f;
#pragma unroll
        for (int p = 0; p < PER; p++) {
            const int col = (p * LANES + lane) * VEC;
#pragma unroll
            for (int e = 0; e < VEC; e++) {
                const float d = held[a][p].v[e] - mu[a];
                squares += col + e < C ? d * d : 0.0f;
            }
        }
        //$ if lanes > 32 then
        r[a] = 1.0f / sqrtf(block_sum(squares, part[1]) / C + $(k.attrs.eps));
        //$ else
        r[a] = 1.0f / sqrtf(warp_sum(squares) / C + $(k.attrs.eps));
        //$ end
        //$ if k.uses.mean or k.uses.rstd then
        if (lane == 0 && first + a < N) {
            //$ if k.uses.mean then
            mean[first + a] = mu[a];
            //$ end
            //$ if k.uses.rstd then
            rstd[first + a] = r[a];
            //$ end
        }
        //$ end
    }
#pragma unroll
    for (int p = 0; p < PER; p++) {
        const int i = p * LANES + lane, col = i * VEC;
        if (i < VECS) {
            const struct vec s = vec_load(scale + col);
            //$ if k.uses.shift then
            const struct vec b = vec_load(shift + col);
            //$ end
#pragma unroll
            for (int a = 0; a < AT_ONCE; a++) {
                struct vec out;
#pragma unroll
                for (int e = 0; e < VEC; e++) {
                    const float normal = (held[a][p].v[e] - mu[a]) * r[a];
                    //$ if k.uses.shift then
                    out.v[e] = normal * s.v[e] + b.v[e];
                    //$ else
                    out.v[e] = normal * s.v[e];
                    //$ end
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

//// With xhat = (x - mean) rstd and g = dy scale:
////   dx = rstd (g - mean(g) - xhat mean(g xhat)),  dscale = sum over rows of dy xhat,
////   dshift = sum over rows of dy.
//// Floor: dy and x (and the epilogue's operands) are read, dx is written, once each. A thread
//// holds the same columns of every row of its group, so that scale and the sums over rows stay in
//// registers; AT_ONCE rows are in flight at a time. A second kernel adds the blocks' partial sums
//// (P, 2, C_LD), in order: 2 P C floats, beside 3 N C elements.
//$ function layernorm_backward(k)
//$ local warps, per, groups, resident, at_once, blocks = backward_cut(k, 2)
//$ local threads = 32 * warps * groups
$(k.sign(string.format("KERNEL_BLOCKS(%d, %d)", threads, resident), k.name)) {
    [[maybe_unused]] constexpr int $(k.dims), COLS = C;
    constexpr int BLOCKS = $(blocks), GROUPS = $(groups), WARPS = $(warps), PER = $(per);
    constexpr int LANES = WARPS * WARP, AT_ONCE = $(at_once), VECS = divide_up(C, VEC);
    // For the rows in flight: each warp's sums of g and of g xhat; two buffers, used alternately.
    SHARED(float, part, [2][GROUPS][WARPS][2 * AT_ONCE]);
    //$ if k.epilogue_uses_dropout then
    const struct dropout drop = dropout_make(state);
    //$ end
    // Used by the second kernel.
    (void)dscale, (void)beta;
    //$ if k.uses.dshift then
    (void)dshift;
    //$ end
    const int group = (int)threadIdx.x / LANES, lane = (int)threadIdx.x % LANES;
    const int from = (int)((int64_t)N * blockIdx.x / BLOCKS);
    const int to = (int)((int64_t)N * (blockIdx.x + 1) / BLOCKS);

    struct vec weight[PER], sum_scale[PER], sum_shift[PER];
#pragma unroll
    for (int p = 0; p < PER; p++) {
        const int i = p * LANES + lane;
        weight[p] = i < VECS ? vec_load(scale + i * VEC) : vec_fill(0.0f);
        sum_scale[p] = sum_shift[p] = vec_fill(0.0f);
    }
    int set = 0;
    for (int first = from + group * AT_ONCE; first < to; first += GROUPS * AT_ONCE, set ^= 1) {
        struct packed<elem> held_dy[AT_ONCE][PER], held_x[AT_ONCE][PER];
        float mu[AT_ONCE], r[AT_ONCE];
#pragma unroll
        for (int a = 0; a < AT_ONCE; a++) {
            const int row = int_min(first + a, to - 1);
#pragma unroll
            for (int p = 0; p < PER; p++) {
                const int i = int_min(p * LANES + lane, VECS - 1);
                held_dy[a][p] = packed_load(dy + (size_t)row * C_LD + i * VEC);
                held_x[a][p] = packed_load(x + (size_t)row * C_LD + i * VEC);
            }
            mu[a] = mean[row];
            r[a] = rstd[row];
        }
#pragma unroll
        for (int a = 0; a < AT_ONCE; a++) {
            float sum_g = 0.0f, sum_g_xhat = 0.0f;
#pragma unroll
            for (int p = 0; p < PER; p++) {
                const int i = p * LANES + lane;
                const bool in = first + a < to && i < VECS;
                const struct vec d = packed_vec<elem>(held_dy[a][p]);
                const struct vec xn = packed_vec<elem>(held_x[a][p]);
#pragma unroll
                for (int e = 0; e < VEC; e++) {
                    const bool column = in && (C % VEC == 0 || i * VEC + e < C);
                    const float de = column ? d.v[e] : 0.0f;
                    const float xhat = column ? (xn.v[e] - mu[a]) * r[a] : 0.0f;
                    sum_g += de * weight[p].v[e];
                    sum_g_xhat += de * weight[p].v[e] * xhat;
                    sum_scale[p].v[e] += de * xhat;
                    sum_shift[p].v[e] += de;
                }
            }
            sum_g = warp_sum(sum_g);
            sum_g_xhat = warp_sum(sum_g_xhat);
            if (lane % WARP == 0) {
                part[set][group][lane / WARP][2 * a] = sum_g;
                part[set][group][lane / WARP][2 * a + 1] = sum_g_xhat;
            }
        }
        barrier_sync(1 + group, LANES);
#pragma unroll
        for (int a = 0; a < AT_ONCE; a++) {
            float mean_g = 0.0f, mean_g_xhat = 0.0f;
#pragma unroll
            for (int w = 0; w < WARPS; w++) {
                mean_g += part[set][group][w][2 * a];
                mean_g_xhat += part[set][group][w][2 * a + 1];
            }
            mean_g /= C;
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
                        const float xhat = (xn.v[e] - mu[a]) * r[a];
                        value.v[e] =
                            (value.v[e] * weight[p].v[e] - mean_g - xhat * mean_g_xhat) * r[a];
                    }
                    //$ for _, statement in ipairs(k.epilogue) do
                    $(with_mask(statement, true));
                    //$ end
                    vec_store(dx + at, value);
                }
            }
        }
    }

    // The first group adds the groups' sums, in order.
    //$ if groups > 1 then
    SHARED(float, other, [GROUPS - 1][2][LANES * VEC]);
    if (group > 0) {
        vec_store(&other[group - 1][0][lane * VEC], sum_scale[0]);
        vec_store(&other[group - 1][1][lane * VEC], sum_shift[0]);
    }
    block_sync();
    if (group > 0) {
        return;
    }
    for (int g = 0; g < GROUPS - 1; g++) {
        sum_scale[0] = sum_scale[0] + vec_load(&other[g][0][lane * VEC]);
        sum_shift[0] = sum_shift[0] + vec_load(&other[g][1][lane * VEC]);
    }
    //$ end
    float *partial = workspace + (size_t)blockIdx.x * 2 * C_LD;
#pragma unroll
    for (int p = 0; p < PER; p++) {
        const int i = p * LANES + lane;
        if (i < VECS) {
            vec_store(partial + i * VEC, sum_scale[p]);
            vec_store(partial + C_LD + i * VEC, sum_shift[p]);
        }
    }
}

// Adds the partial sums (P, 2, C_LD), 32 columns in each block.
//$ local sum_params = "float *dscale, " .. (k.uses.dshift and "float *dshift, " or "")
KERNEL(COLUMN_SUMS) $(k.part.sum)($(sum_params) const float *partial, float beta) {
    [[maybe_unused]] constexpr int $(k.dims);
    SHARED(float, shared, [COLUMN_SUMS / WARP][WARP]);
    const int col = (int)blockIdx.x * WARP + (int)threadIdx.x % WARP;
    float *to = col < C ? dscale + col : NULL;
    //$ if k.uses.dshift then
    if (col >= C_LD) {
        to = col - C_LD < C ? dshift + col - C_LD : NULL;
    }
    //$ end
    const float sum = column_sum(to ? partial + col : NULL, $(blocks), 2 * C_LD, shared);
    if (to && threadIdx.x < WARP) {
        *to = beta == 0.0f ? sum : beta * *to + sum;
    }
}

$(k.sign_launch()) {
    LAUNCH($(k.name), $(blocks), $(threads), 0, gpu->stream, $(k.arg_names));
    //$ local columns = (k.uses.dshift and 2 or 1) * k.d.C_LD
    //$ local sum_args = k.uses.dshift and "dscale, dshift" or "dscale"
    LAUNCH($(k.part.sum), divide_up($(columns), WARP), COLUMN_SUMS, 0, gpu->stream, $(sum_args),
           workspace, beta);
}
//$ end
