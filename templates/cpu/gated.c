//// gated.c: y = act(gate) * up, with the gate (N, C) and up (N, C) side by side in x (N, 2 C).

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
