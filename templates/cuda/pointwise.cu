//// pointwise.cu: a pointwise op, or a chain of them, that fused into no other kernel.

//// Floor: each operand is read and y written once. A thread takes four vectors of its block's
//// range at once, 256 apart.
//$ function pointwise(k)
$(k.sign("KERNEL(256)", k.name)) {
    [[maybe_unused]] constexpr int $(k.dims), COLS = C;
    constexpr int VECS = divide_up(C, VEC), AT_ONCE = 4;
    //$ if k.epilogue_uses_dropout then
    const struct dropout drop = dropout_make(state);
    //$ end
    const int64_t first = (int64_t)blockIdx.x * AT_ONCE * blockDim.x + threadIdx.x;
    struct vec loaded[AT_ONCE];
#pragma unroll
    for (int a = 0; a < AT_ONCE; a++) {
        const int64_t i = first + a * (int)blockDim.x;
        if (i < (int64_t)N * VECS) {
            loaded[a] = vec_load($(k.stream) + i / VECS * C_LD + i % VECS * VEC);
        }
    }
#pragma unroll
    for (int a = 0; a < AT_ONCE; a++) {
        const int64_t i = first + a * (int)blockDim.x;
        [[maybe_unused]] const int row = (int)(i / VECS), col = (int)(i % VECS) * VEC;
        //$ if k.epilogue_uses_dropout and k.d.C % 64 == 0 then
        const struct vec mask = dropout_mask_warp(&drop, site, row, DROPOUT_CHUNKS(COLS), col);
        //$ end
        if (i < (int64_t)N * VECS) {
            const size_t at = (size_t)row * C_LD + col;
            struct vec value = loaded[a];
            //$ for _, statement in ipairs(k.epilogue) do
            $(with_mask(statement, k.d.C % 64 == 0));
            //$ end
            vec_store($(k.y) + at, value);
        }
    }
}

$(k.sign_launch()) {
    //$ local vecs = k.d.N * ((k.d.C + 7) // 8)
    LAUNCH($(k.name), divide_up($(vecs), 4 * 256), 256, 0, gpu->stream, $(k.arg_names));
}
//$ end
