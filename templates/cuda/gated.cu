//// gated.cu: y = act(gate) * up, with the gate (N, C) and up (N, C) side by side in x (N, 2 C).

//// Floor: x is read, y written once. A thread takes PER columns of a row: a vector where the
//// halves are whole vectors, else one, since the second half then begins within a vector.
//$ function columns_at_once(k)
//$     return k.d.C % 8 == 0 and 8 or 1
//$ end

//$ function gated(k, act)
//$ local per = columns_at_once(k)
$(k.sign("KERNEL(256)", k.name)) {
    [[maybe_unused]] constexpr int $(k.dims), PER = $(per), EACH = C / PER;
    const int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= (int64_t)N * EACH) {
        return;
    }
    const elem *gate = x + i / EACH * E_LD + i % EACH * PER, *up = gate + C;
    elem *to = y + i / EACH * C_LD + i % EACH * PER;
    //$ if per == 8 then
    vec_store(to, $(act)(vec_load(gate)) * vec_load(up));
    //$ else
    *to = from_f32<elem>($(act)(to_f32(*gate)) * to_f32(*up));
    //$ end
}

$(k.sign_launch()) {
    //$ local each = k.d.N * k.d.C // per
    LAUNCH($(k.name), divide_up($(each), 256), 256, 0, gpu->stream, $(k.arg_names));
}
//$ end

//// d gate = dy up act'(gate),  d up = dy act(gate). Floor: dy and x are read, dx written once.
//$ function gated_backward(k, act)
//$ local per, grad = columns_at_once(k), act .. "_grad"
$(k.sign("KERNEL(256)", k.name)) {
    [[maybe_unused]] constexpr int $(k.dims), PER = $(per), EACH = C / PER;
    const int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= (int64_t)N * EACH) {
        return;
    }
    const elem *gate = x + i / EACH * E_LD + i % EACH * PER, *up = gate + C;
    const elem *from = dy + i / EACH * C_LD + i % EACH * PER;
    elem *to = dx + i / EACH * E_LD + i % EACH * PER;
    //$ if per == 8 then
    const struct vec d = vec_load(from), g = vec_load(gate);
    vec_store(to, d * vec_load(up) * $(grad)(g));
    vec_store(to + C, d * $(act)(g));
    //$ else
    const float d = to_f32(*from), g = to_f32(*gate);
    to[0] = from_f32<elem>(d * to_f32(*up) * $(grad)(g));
    to[C] = from_f32<elem>(d * $(act)(g));
    //$ end
}

$(k.sign_launch()) {
    //$ local each = k.d.N * k.d.C // per
    LAUNCH($(k.name), divide_up($(each), 256), 256, 0, gpu->stream, $(k.arg_names));
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
