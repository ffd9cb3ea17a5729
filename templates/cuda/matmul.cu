//// matmul.cu: matrix products with a weight (y, dx and dw) by cuBLASLt (runtime/kernel/gemm.h),
//// and the conversion of parameters to the type that products read.

//// The names of a product's types in C, and whether (N, O) is the logits or their gradient: a size
//// says whose it is (gen/ir/target.lua). Products with these include the padding of V, for whole
//// tiles: it is 0 in the weight and in the logits' gradient. The padding of any other tensor is
//// undefined and takes no part.
//$ local type_names = { bf16 = "GEMM_BF16", f16 = "GEMM_F16", f32 = "GEMM_F32" }
//$ local function product_type(k)
//$   return k.target.tf32 and k.dtype == "f32" and "GEMM_TF32" or type_names[k.dtype]
//$ end
//$ local function of_logits(k) return k.d.O == k.target.vocab end
//$ local function columns(k, letter)
//$   return k.d[letter == "O" and of_logits(k) and "O_LD" or letter]
//$ end
//$ local function shapes(k, text)
//$   return of_logits(k) and k.d.O_LD ~= k.d.O and text:gsub("%f[%a]O%f[%A]", "O_LD") or text
//$ end

//// y (N, O) = x (N, C) w^T, and dx (N, C) = dy (N, O) w: one template, with different letters.
//$ function matmul(k)
//$ local store, gemm, forward = k.store, k.part.gemm, k.transposed
//$ local text, extras = "", {}
//$ local function extra(field, name, words)
//$   if not name then return end
//$   extras[#extras + 1] = ("extra.%s = %s"):format(field, name)
//$   text = text .. words:format(name)
//$ end
//$ extra("bias", store.bias, " + %s")
//$ extra("residual", store.residual, " + %s")
//$ extra("pre", store.dgelu, ", times gelu_tanh'(%s)")
//$ extra("kept", store.kept, ", stored to %s")
//$ if store.activation then text = text .. ", gelu_tanh of it" end
//$ local shape = "// dx (N, C) = dy (N, O) w (O, C)"
//$ if forward then shape = "// y (N, O) = x (N, C) w (O, C)^T" end
$(shapes(k, shape)..text)
static struct gemm $(gemm) = {
    .name = $('"'..k.name..'"'),
    .rows = $(k.d.N),
    .cols = $(columns(k, k.cols)),
    .inner = $(columns(k, k.inner)),
    .out_ld = $(k.d[k.cols.."_LD"]),
    .a_ld = $(k.d[k.inner.."_LD"]),
    .b_ld = $(k.d.C_LD),
    //$ if forward then
    .b_transposed = true,
    //$ end
    .type = $(product_type(k)),
    .out_type = $(type_names[k.dtype]),
    //$ if store.residual then
    .residual = true,
    //$ end
    //$ if store.bias then
    .bias = true,
    //$ end
    //$ if store.dgelu then
    .dgelu = true,
    //$ end
    //$ if store.activation then
    .gelu = true,
    //$ end
    //$ if store.kept then
    .kept = true,
    //$ end
};

$(k.sign_launch()) {
    //$ if #extras == 0 then
    gemm_run(gpu, &$(gemm), $(k.y), $(k.a), w, NULL, 0.0f);
    //$ else
    struct gemm_extra extra = {};
    //$ for _, statement in ipairs(extras) do
    $(statement);
    //$ end
    gemm_run(gpu, &$(gemm), $(k.y), $(k.a), w, &extra, 0.0f);
    //$ end
}
//$ end

//// dw (O, C) = beta dw + dy^T x, summed over rows in float.
//$ function matmul_dw(k)
//$ local gemm = k.part.gemm
$(shapes(k, "// dw (O, C) = beta dw + dy (N, O)^T x (N, C)"))
static struct gemm $(gemm) = {
    .name = $('"'..k.name..'"'),
    .rows = $(columns(k, "O")),
    .cols = $(k.d.C),
    .inner = $(k.d.N),
    .out_ld = $(k.d.C_LD),
    .a_ld = $(k.d.O_LD),
    .b_ld = $(k.d.C_LD),
    .a_transposed = true,
    .type = $(product_type(k)),
    .out_type = GEMM_F32,
    .accumulate = true,
};

$(k.sign_launch()) {
    gemm_run(gpu, &$(gemm), dw, dy, x, NULL, beta);
}
//$ end

//// Converts all parameters to the type of activations, if that is not float: after they came from
//// the host; later the optimizer writes both. Reads and writes 6 bytes for each element.
//$ function cast(k)
KERNEL(256) $(k.name)(elem *packed, const float *params) {
    [[maybe_unused]] constexpr size_t COUNT = $(k.state_floats);
    const size_t at = ((size_t)blockIdx.x * 256 + threadIdx.x) * VEC;
    if (at + VEC <= COUNT) {
        vec_store(packed + at, vec_load(params + at));
    } else {
        for (size_t i = at; i < COUNT; i++) {
            packed[i] = from_f32<elem>(params[i]);
        }
    }
}

$(k.sign_launch()) {
    LAUNCH($(k.name), dim3($((k.state_floats + 2047) // 2048)), dim3(256), 0, gpu->stream, packed,
           params);
}
//$ end
