//// gated.c: y = act(gate) * up, with the gate (N, C) and up (N, C) side by side in x (N, 2 C): as
//// a kernel, and in the store of the products that make x and the gradient of y.
//$ include("matmul.c")

//$ function gated(k, act)
$(k.sign("static void", k.name)) {
    enum { $(k.dims) };
    const struct range mine = share($(k.rows), thread, threads);
    for (int n = mine.first; n < mine.last; n++) {
        const float *gate = x + (size_t)n * E_LD, *up = gate + C;
        for (int c = 0; c < C; c += VEC) {
            const vec yc = $(act)(row_load(gate, c, C)) * row_load(up, c, C);
            row_store(y + (size_t)n * C_LD, c, C, yc);
        }
    }
}
//$ end

//// d gate = dy up act'(gate),  d up = dy act(gate).
//$ function gated_backward(k, act)
$(k.sign("static void", k.name)) {
    enum { $(k.dims) };
    const struct range mine = share(N, thread, threads);
    for (int n = mine.first; n < mine.last; n++) {
        const float *gate = x + (size_t)n * E_LD, *up = gate + C, *dyn = dy + (size_t)n * C_LD;
        float *dgate = dx + (size_t)n * E_LD, *dup = dgate + C;
        for (int c = 0; c < C; c += VEC) {
            const vec d = row_load(dyn, c, C), g = row_load(gate, c, C);
            row_store(dgate, c, C, d * row_load(up, c, C) * $(act.."_grad")(g));
            row_store(dup, c, C, d * $(act)(g));
        }
    }
}
//$ end

//// The register tile of a product whose weight has the rows of the gate (F, C), then those of up:
//// a vector of each, so that the store has both. Partial sums, and at the end gate and up, are
//// stored to `pre` (N, 2 F), side by side as in the weight.
//$ function gated_tile(k, act)
//$ local bf16 = k.products == "bf16"
// The store of a tile: its sums `done` (rows, 2 VEC) of gate and up, and what they give. Not
// inlined, since its constants would take registers from the product.
$(k.sign_part("APART void", k.part.store, "const float *done, int i, int p, int rows, int lanes")) {
    enum { $(k.dims) };
    (void)x, (void)w;
    const int col = p * VEC;
    for (int r = 0; r < rows; r++) {
        float *gates = pre + (size_t)(i + r) * O_LD + col;
        vec gate = vec_load(done + r * 2 * VEC), up = vec_load(done + r * 2 * VEC + VEC);
        //$ if k.uses.bias then
        gate += vec_load_n(bias + col, lanes);
        up += vec_load_n(bias + F + col, lanes);
        //$ end
        vec_store_n(gates, gate, lanes);
        vec_store_n(gates + F, up, lanes);
        vec_store_n(y + (size_t)(i + r) * F_LD + col, $(act)(gate) * up, lanes);
    }
}

//$ local pieces = "const float *panel, int from, int depth, int i, int p, const int rows, "
//$     .. "const int vecs, const int last"
//$ if bf16 then pieces = "const float *packed, int first_row, " .. pieces end
$(k.sign_part("VEC_INLINE void", k.part.tile, pieces)) {
    enum { $(k.dims) };
    (void)w, (void)vecs;
    float *gates = pre + (size_t)i * O_LD + p * VEC;
    vec acc[TILE_ROWS][TILE_VECS];
    if (from == 0) {
        tile_zero(acc, rows, 2);
        tile_prefetch(gates, rows, last, O_LD);
        tile_prefetch(gates + F, rows, last, O_LD);
    } else {
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++) {
            const float *gate = gates + r * O_LD, *up = gate + F;
            acc[r][0] = last == VEC ? vec_load(gate) : vec_load_n(gate, last);
            acc[r][1] = last == VEC ? vec_load(up) : vec_load_n(up, last);
        }
    }
    if (from + depth == C) {
        tile_prefetch(y + (size_t)i * F_LD + p * VEC, rows, last, F_LD);
    }
    //$ if bf16 then
    (void)x;
    enum { PACKED_LD = $(k.part.packed) };
    packed += (size_t)(i - first_row) * PACKED_LD;
    tile_multiply_bf16(acc, rows, 2, FACTORS(depth), packed, PACKED_LD, 1, panel, 2 * VEC);
    //$ else
    tile_multiply(acc, rows, 2, VEC, depth, x + (size_t)i * C_LD + from, C_LD, 1, panel, 2 * VEC,
                  0);
    //$ end
    if (from + depth < C) {
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++) {
            vec_store_n(gates + r * O_LD, acc[r][0], last);
            vec_store_n(gates + r * O_LD + F, acc[r][1], last);
        }
        return;
    }
    _Alignas(64) float done[TILE_ROWS * 2 * VEC];
    tile_store(acc, rows, 2, VEC, done, 2 * VEC);
    $(k.part.store)($(k.arg_names), done, i, p, rows, last);
}
//$ end

//$ function gated_product(k, act)
//$     matmul(k, function() gated_tile(k, act) end)
//$ end

//// The gradients of gate and up, side by side: those of y (N, C), which are the product, times
//// what `x` gives for them. Partial sums are stored where the gate's will be.
//$ function gated_product_backward(k, act)
//$     k.cols_ld, k.epilogue_is_long = "E_LD", true
//$     k.store_tiles = { "x", "x + COLS", "dx + COLS" }
//$     k.epilogue = {
//$         "const vec gate = vec_load_n(x + at, lanes), up = vec_load_n(x + at + COLS, lanes)",
//$         ("vec_store_n(dx + at + COLS, value * %s(gate), lanes)"):format(act),
//$         ("value = value * up * %s_grad(gate)"):format(act),
//$     }
//$     matmul(k)
//$ end

//// The sampler's: each thread computes a contiguous range of columns of the gate, and of up.
//$ function gated_product_decode(k, act)
$(k.sign("static void", k.name)) {
    enum { $(k.dims), SUMS = DIVIDE_UP(N, DOT_ROWS) * DOT_ROWS * DOT_PANEL };
    _Alignas(64) float gates[SUMS], ups[SUMS];
    const struct range mine = product_share(F, thread, threads);
    for (int from = mine.first; from < mine.last; from += DOT_PANEL) {
        const int to = int_min(from + DOT_PANEL, mine.last);
        product_panel(gates, x, rows, w + (size_t)from * C, to - from, C, to < mine.last);
        product_panel(ups, x, rows, w + (size_t)(F + from) * C, to - from, C, to < mine.last);
        for (int row = 0; row < rows; row++) {
            for (int col = from; col < to; col += VEC) {
                const int lanes = LANES(col, F);
                vec gate = vec_load(gates + row * DOT_PANEL + col - from);
                vec up = vec_load(ups + row * DOT_PANEL + col - from);
                //$ if k.uses.bias then
                gate += vec_load_n(bias + col, lanes);
                up += vec_load_n(bias + F + col, lanes);
                //$ end
                vec_store_n(y + (size_t)row * F + col, $(act)(gate) * up, lanes);
            }
        }
    }
}
//$ end

//$ function swiglu(k)
//$     gated(k, "silu")
//$ end

//$ function swiglu_backward(k)
//$     gated_backward(k, "silu")
//$ end

//$ function geglu(k)
//$     gated(k, "gelu_erf")
//$ end

//$ function geglu_backward(k)
//$     gated_backward(k, "gelu_erf")
//$ end

//$ function matmul_swiglu(k)
//$     gated_product(k, "silu")
//$ end

//$ function matmul_dx_swiglu(k)
//$     gated_product_backward(k, "silu")
//$ end

//$ function matmul_swiglu_decode(k)
//$     gated_product_decode(k, "silu")
//$ end

//$ function matmul_geglu(k)
//$     gated_product(k, "gelu_erf")
//$ end

//$ function matmul_dx_geglu(k)
//$     gated_product_backward(k, "gelu_erf")
//$ end

//$ function matmul_geglu_decode(k)
//$     gated_product_decode(k, "gelu_erf")
//$ end
