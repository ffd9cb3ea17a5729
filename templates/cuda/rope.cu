//// rope.cu: rotary positions: the table of angles, and queries and keys turned by them.

//// The cosines (D/2) and sines (D/2) of each position. Angles are in double: position 8,191 times
//// a rate leaves float's sine three digits. A thread computes one pair.
//$ function rope_table(k)
$(k.sign("KERNEL(256)", k.name)) {
    [[maybe_unused]] constexpr int $(k.dims), HALF = D / 2;
    static constexpr double RATE[HALF] = {$(k.constants)};
    const int i = (int)(blockIdx.x * blockDim.x + threadIdx.x), n = i / HALF, j = i % HALF;
    if (n < N) {
        const double angle = n * RATE[j];
        table[(size_t)n * D + j] = (float)cos(angle);
        table[(size_t)n * D + HALF + j] = (float)sin(angle);
    }
}

$(k.sign_launch()) {
    LAUNCH($(k.name), divide_up($(k.d.N * k.d.D // 2), 256), 256, 0, gpu->stream, $(k.arg_names));
}
//$ end

//// to = from with columns j and j + D/2 of each head of queries and keys turned by row n % T of
//// `table`; `sign` is 1 or, for the gradient, -1. Values are as they were. `to` may be `from`.
//// Floor: a row is read and written once. A thread takes PER pairs of one head, a vector of each
//// half where halves are whole vectors.
//$ function turn(k, to, from, sign)
//$ local per = k.d.D % 16 == 0 and 8 or 1
//$ local each = k.d.N * (k.d.H + 2 * k.d.KV) * k.d.D // 2 // per
//$ local first, second = sign > 0 and "-" or "+", sign > 0 and "+" or "-"
$(k.sign("KERNEL(256)", k.name)) {
    [[maybe_unused]] constexpr int $(k.dims), HALF = D / 2, PER = $(per), EACH = HALF / PER;
    const int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    const int n = i / ((H + 2 * KV) * EACH), part = i % ((H + 2 * KV) * EACH);
    const int h = part / EACH, j = part % EACH * PER;
    if (n >= N) {
        return;
    }
    const float *at = table + (size_t)(n % T) * D + j;
    const size_t here = (size_t)n * E_LD + h * D + j, there = here + HALF;
    //$ if per == 8 then
    struct vec a = vec_load($(from) + here), b = vec_load($(from) + there);
    if (h < H + KV) {
        const struct vec c = vec_load(at), s = vec_load(at + HALF), x = a;
        a = a * c $(first) b * s;
        b = b * c $(second) x * s;
    }
    vec_store($(to) + here, a);
    vec_store($(to) + there, b);
    //$ else
    float a = to_f32($(from)[here]), b = to_f32($(from)[there]);
    if (h < H + KV) {
        const float c = at[0], s = at[HALF], x = a;
        a = a * c $(first) b * s;
        b = b * c $(second) x * s;
    }
    $(to)[here] = from_f32<elem>(a);
    $(to)[there] = from_f32<elem>(b);
    //$ end
}

$(k.sign_launch()) {
    LAUNCH($(k.name), divide_up($(each), 256), 256, 0, gpu->stream, $(k.arg_names));
}
//$ end

//$ function rope(k)
//$     turn(k, "y", "qkv", 1)
//$ end

//$ function rope_backward(k)
//$     turn(k, "dqkv", "dy", -1)
//$ end
