//// embed.cu: y = wte[token] + wpe[position], and the gradients of both tables.

//// Floor: a row of wte (float) is read, a row of y written; wpe stays in the cache. A thread takes
//// four vectors of its block's range at once, 256 apart.
//$ function embed(k)
$(k.sign("KERNEL(256)", k.name)) {
    [[maybe_unused]] constexpr int $(k.dims), COLS = C;
    constexpr int VECS = divide_up(C, VEC), AT_ONCE = 4;
    //$ if k.epilogue_uses_dropout then
    const struct dropout drop = dropout_make(state);
    //$ end
    const int first = (int)(blockIdx.x * AT_ONCE * blockDim.x + threadIdx.x);
    struct vec loaded[AT_ONCE];
#pragma unroll
    for (int a = 0; a < AT_ONCE; a++) {
        const int i = first + a * (int)blockDim.x;
        const int row = i / VECS, col = i % VECS * VEC;
        if (row < N) {
            loaded[a] = vec_load(wte + (size_t)tokens[row] * C_LD + col);
            //$ if k.uses.wpe then
            loaded[a] = loaded[a] + vec_load(wpe + (size_t)(row % T) * C_LD + col);
            //$ end
        }
    }
#pragma unroll
    for (int a = 0; a < AT_ONCE; a++) {
        const int i = first + a * (int)blockDim.x;
        const int row = i / VECS, col = i % VECS * VEC;
        //$ if k.epilogue_uses_dropout and k.d.C % 64 == 0 then
        const struct vec mask = dropout_mask_warp(&drop, site, row, DROPOUT_CHUNKS(COLS), col);
        //$ end
        if (row < N) {
            const size_t at = (size_t)row * C_LD + col;
            struct vec value = loaded[a];
            //$ for _, statement in ipairs(k.epilogue) do
            $(with_mask(statement, k.d.C % 64 == 0));
            //$ end
            vec_store(y + at, value);
        }
    }
}

$(k.sign_launch()) {
    //$ local vecs = k.d.N * ((k.d.C + 7) // 8)
    LAUNCH($(k.name), divide_up($(vecs), 4 * 256), 256, 0, gpu->stream, $(k.arg_names));
}
//$ end

//// dwte: `order` is the rows of dy sorted by token, so each token's rows are a run. A block sums a
//// piece of PIECE rows; each thread sums one vector of columns. A run within the piece is added to
//// dwte at once. Of a run that extends beyond the piece, the partial sum goes to the workspace
//// (PIECES, 2, C_LD): as the piece's head if the run began before it, else as its tail. Behind
//// these is the token of each piece's first row. A second kernel adds each tail and the heads that
//// follow it, in order. Floor: dy is read once, the rows of dwte that occur are read and written;
//// for dwpe dy is read again.
//$ function embed_backward(k)
//$ local vecs = (k.d.C + 7) // 8
//$ local threads = math.min(256, (vecs + 31) // 32 * 32)
//$ local piece, pieces = 64, k.op.workspace(k.d) // (2 * k.d.C_LD + 1)
//$ local params = "float *dwte, const elem *dy, const int32_t *tokens, const int32_t *order"
KERNEL($(threads)) $(k.part.runs)($(params), float *workspace) {
    [[maybe_unused]] constexpr int $(k.dims);
    constexpr int PIECE = $(piece), AHEAD = 8;
    SHARED(int, rows, [PIECE]);
    SHARED(int, ids, [PIECE + 2]); // the tokens of the piece's rows, and of one row on either side
    const int piece = (int)blockIdx.x, from = piece * PIECE;
    const int count = int_min(PIECE, N - from);
    for (int i = (int)threadIdx.x; i < count + 2; i += (int)blockDim.x) {
        const int place = from + i - 1; // index into order
        const bool in = place >= 0 && place < N;
        const int row = in ? order[place] : 0;
        ids[i] = in ? tokens[row] : -1;
        if (i >= 1 && i <= count) {
            rows[i - 1] = row;
        }
    }
    block_sync();
    if (threadIdx.x == 0 && blockIdx.y == 0) {
        ((int32_t *)(workspace + (size_t)gridDim.x * 2 * C_LD))[piece] = ids[1];
    }
    const int col = (int)(blockIdx.y * blockDim.x + threadIdx.x) * VEC;
    if (col >= C) {
        return;
    }
    struct vec sum = vec_fill(0.0f);
    bool head = ids[0] == ids[1];
    for (int i = 0; i < count; i += AHEAD) {
        struct packed<elem> ahead[AHEAD];
#pragma unroll
        for (int a = 0; a < AHEAD; a++) {
            ahead[a] = packed_load(dy + (size_t)rows[int_min(i + a, count - 1)] * C_LD + col);
        }
#pragma unroll
        for (int a = 0; a < AHEAD; a++) {
            if (i + a >= count) {
                break;
            }
            sum = sum + packed_vec<elem>(ahead[a]);
            const bool ends = ids[i + a + 2] != ids[i + a + 1];
            if (!ends && i + a + 1 < count) {
                continue;
            }
            if (head || !ends) {
                vec_store(workspace + ((size_t)piece * 2 + !head) * C_LD + col, sum);
            } else {
                float *to = dwte + (size_t)ids[i + a + 1] * C_LD + col;
                vec_store(to, vec_load(to) + vec_first(sum, C - col, 0.0f));
            }
            head = false;
            sum = vec_fill(0.0f);
        }
    }
}

// Sums each run that begins in a piece and extends beyond its end: eight threads for each vector of
// columns take every eighth of its heads; their sums are added in order.
//$ local inputs = "const int32_t *tokens, const int32_t *order, const float *workspace"
KERNEL(256) $(k.part.joins)(float *dwte, $(inputs)) {
    [[maybe_unused]] constexpr int $(k.dims);
    constexpr int PIECE = $(piece), PIECES = $(pieces), SHARES = 8, SLICE = 32;
    SHARED(struct vec, shared, [SHARES][SLICE]);
    const int piece = (int)blockIdx.x, last = (piece + 1) * PIECE - 1;
    const int32_t *firsts = (const int32_t *)(workspace + (size_t)PIECES * 2 * C_LD);
    if (last + 1 >= N) {
        return;
    }
    const int token = tokens[order[last]];
    // Nothing to do if the run ends with the piece, or began before it.
    if (firsts[piece + 1] != token ||
        (piece > 0 && firsts[piece] == token && tokens[order[piece * PIECE - 1]] == token)) {
        return;
    }
    const int share = (int)threadIdx.x / SLICE;
    const int col = (int)(blockIdx.y * SLICE + threadIdx.x % SLICE) * VEC;
    struct vec sum = vec_fill(0.0f);
    if (col < C) {
        for (int p = piece + 1 + share; p < PIECES && firsts[p] == token; p += SHARES) {
            sum = sum + vec_load(workspace + (size_t)p * 2 * C_LD + col);
        }
    }
    shared[share][threadIdx.x % SLICE] = sum;
    block_sync();
    if (share == 0 && col < C) {
        sum = vec_load(workspace + ((size_t)piece * 2 + 1) * C_LD + col);
        for (int s = 0; s < SHARES; s++) {
            sum = sum + shared[s][threadIdx.x % SLICE];
        }
        float *to = dwte + (size_t)token * C_LD + col;
        vec_store(to, vec_load(to) + vec_first(sum, C - col, 0.0f));
    }
}
//$ if k.uses.dwpe then

// dwpe: sums each position's rows, one from each sequence, in order; one thread for each vector.
KERNEL(128) $(k.part.positions)(float *dwpe, const elem *dy, float beta) {
    [[maybe_unused]] constexpr int $(k.dims);
    constexpr int VECS = divide_up(C, VEC);
    const int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    const int t = i / VECS, col = i % VECS * VEC;
    if (t >= T) {
        return;
    }
    struct vec sum = vec_fill(0.0f);
#pragma unroll 8
    for (int row = t; row < N; row += T) {
        sum = sum + vec_load(dy + (size_t)row * C_LD + col);
    }
    sum = vec_first(sum, C - col, 0.0f);
    float *to = dwpe + (size_t)t * C_LD + col;
    vec_store(to, beta == 0.0f ? sum : vec_load(to) + sum);
}
//$ end

$(k.sign_launch()) {
    [[maybe_unused]] constexpr int $(k.dims);
    constexpr int VECS = divide_up(C, VEC), PIECES = $(pieces);
    if (beta == 0.0f) { // rows of tokens that do not occur are written by no kernel
        CUDA_CHECK(cudaMemsetAsync(dwte, 0, (size_t)V * C_LD * sizeof(float), gpu->stream));
    }
    LAUNCH($(k.part.runs), dim3(PIECES, divide_up(VECS, $(threads))), $(threads), 0, gpu->stream,
           dwte, dy, tokens, gpu->order, workspace);
    LAUNCH($(k.part.joins), dim3(PIECES, divide_up(VECS, 32)), 256, 0, gpu->stream, dwte, tokens,
           gpu->order, workspace);
    //$ if k.uses.dwpe then
    LAUNCH($(k.part.positions), divide_up(T * VECS, 128), 128, 0, gpu->stream, dwpe, dy, beta2);
    //$ end
}
//$ end
