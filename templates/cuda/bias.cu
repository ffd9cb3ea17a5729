//// bias.cu: dbias += sum of dy's rows.

//// Work is divided into slices of 256 columns and PARTS of the rows, about eight blocks for each
//// multiprocessor.
//$ function cut(k)
//$     local slices = (k.d.C_LD + 255) // 256
//$     return slices, k.op.workspace(k.d) // k.d.C_LD
//$ end

//// Floor: dy (N, C) is read once. A warp reads 32 vectors of a row at a time, from eight rows at
//// once; the block's eight warps take every eighth row of its part. A second kernel adds the
//// partial sums (PARTS, C_LD), in order.
//$ function bias_grad(k)
//$ local slices, parts = cut(k)
KERNEL(256) $(k.part.parts)(const elem *dy, float *workspace) {
    [[maybe_unused]] constexpr int $(k.dims);
    constexpr int PARTS = $(parts), WARPS = 8;
    SHARED(float, shared, [WARPS][WARP * VEC]);
    const int lane = (int)threadIdx.x % WARP, warp = (int)threadIdx.x / WARP;
    const int col = ((int)blockIdx.x * WARP + lane) * VEC;
    const int from = (int)((int64_t)N * blockIdx.y / PARTS);
    const int to = (int)((int64_t)N * (blockIdx.y + 1) / PARTS);
    struct vec sum = vec_fill(0.0f);
    if (col < C) {
#pragma unroll 8
        for (int row = from + warp; row < to; row += WARPS) {
            sum = sum + vec_load(dy + (size_t)row * C_LD + col);
        }
    }
    vec_store(&shared[warp][lane * VEC], sum);
    block_sync();
    // One thread for each column adds the warps' sums, in order.
    const int mine = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (mine < C) {
        float total = 0.0f;
        for (int w = 0; w < WARPS; w++) {
            total += shared[w][threadIdx.x];
        }
        workspace[(size_t)blockIdx.y * C_LD + mine] = total;
    }
}

KERNEL(COLUMN_SUMS) $(k.part.sum)(float *dbias, const float *partial, float beta) {
    [[maybe_unused]] constexpr int $(k.dims);
    SHARED(float, shared, [COLUMN_SUMS / WARP][WARP]);
    const int col = (int)blockIdx.x * WARP + (int)threadIdx.x % WARP;
    const float sum = column_sum(col < C ? partial + col : NULL, $(parts), C_LD, shared);
    if (col < C && threadIdx.x < WARP) {
        dbias[col] = beta == 0.0f ? sum : beta * dbias[col] + sum;
    }
}

$(k.sign_launch()) {
    LAUNCH($(k.part.parts), dim3($(slices), $(parts)), 256, 0, gpu->stream, dy, workspace);
    LAUNCH($(k.part.sum), divide_up($(k.d.C), WARP), COLUMN_SUMS, 0, gpu->stream, dbias, workspace,
           beta);
}
//$ end
