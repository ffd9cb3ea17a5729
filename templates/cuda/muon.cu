//// muon.cu: Muon, as Keller Jordan wrote it, for the matrices in the model's blocks. All matrices
//// of one shape go together. X, A and B lie in the memory of activations, which is free in an
//// update, in the type of activations, but in bfloat16 where that is float16. X lies as the
//// parameter does, with its padding; of a tall matrix the products are those of its transpose.

//// The momentum, and the sums of squares of Nesterov's direction. Floor: gradients are read,
//// momenta read and written.
//$ function momentum(k)
// Where a matrix lies in the parameters.
DEVICE int64_t $(k.part.at)(int matrix) {
    static constexpr int64_t AT[$(#k.shape.at)] = {$(table.concat(k.shape.at, ", "))};
    return AT[matrix];
}

KERNEL(256)
$(k.name)(const struct step_state *state, const float *grads, float *means, double *sums) {
    constexpr int PARTS = $(k.shape.parts), THREADS = 256;
    constexpr int64_t VECS = $(k.shape.rows * k.shape.pitch // 8);
    SHARED(double, total, [THREADS]);
    if (state->skip) {
        return;
    }
    const struct update &u = state->update[GROUP_MATRICES];
    const int64_t from = $(k.part.at)((int)blockIdx.y);
    const int me = (int)threadIdx.x;
    double sum = 0.0;
    for (int64_t i = (int64_t)blockIdx.x * THREADS + me; i < VECS; i += PARTS * THREADS) {
        const struct vec g = vec_load(grads + from + i * VEC);
        struct vec m = vec_load(means + from + i * VEC);
#pragma unroll
        for (int e = 0; e < VEC; e++) {
            const float gradient = g.v[e] * u.scale;
            const float mean = m.v[e] + u.muon_mean_weight * (gradient - m.v[e]);
            const float direction = gradient + u.muon_momentum * (mean - gradient);
            m.v[e] = mean;
            sum += (double)direction * direction;
        }
        vec_store(means + from + i * VEC, m);
    }
    total[me] = sum;
    for (int half = THREADS / 2; half > 0; half /= 2) {
        block_sync();
        if (me < half) {
            total[me] += total[me + half];
        }
    }
    if (me == 0) {
        sums[blockIdx.y * PARTS + blockIdx.x] = total[0];
    }
}

$(k.sign_launch()) {
    LAUNCH($(k.name), dim3($(k.shape.parts), $(#k.shape.at)), 256, 0, gpu->stream, gpu->state,
           gpu->grads, gpu->m, (double *)(gpu->acts + $(k.shape.sums)));
}
//$ end

//// X: the direction, of norm 1.
//$ function start(k)
KERNEL(256)
$(k.name)
(const struct step_state *state, const float *grads, const float *means, const double *sums,
 $(k.work) * x) {
    constexpr int PARTS = $(k.shape.parts), THREADS = 256;
    constexpr int64_t VECS = $(k.shape.rows * k.shape.pitch // 8), SLOT = $(k.shape.slot);
    if (state->skip) {
        return;
    }
    const struct update &u = state->update[GROUP_MATRICES];
    const int64_t from = $(k.shape.name.."_momentum_at")((int)blockIdx.y);
    double sum = 0.0;
    for (int part = 0; part < PARTS; part++) {
        sum += sums[blockIdx.y * PARTS + part];
    }
    const float factor = 1.0f / ((float)sqrt(sum) + 1e-7f);
    for (int64_t i = (int64_t)blockIdx.x * THREADS + (int)threadIdx.x; i < VECS;
         i += PARTS * THREADS) {
        const struct vec g = vec_load(grads + from + i * VEC);
        struct vec m = vec_load(means + from + i * VEC);
#pragma unroll
        for (int e = 0; e < VEC; e++) {
            const float gradient = g.v[e] * u.scale;
            m.v[e] = (gradient + u.muon_momentum * (m.v[e] - gradient)) * factor;
        }
        vec_store(x + (int64_t)blockIdx.y * SLOT + i * VEC, m);
    }
}

$(k.sign_launch()) {
    LAUNCH($(k.name), dim3($(k.shape.parts), $(#k.shape.at)), 256, 0, gpu->stream, gpu->state,
           gpu->grads, gpu->m, (const double *)(gpu->acts + $(k.shape.sums)),
           ($(k.work) *)gpu->acts);
}
//$ end

//// A product of a Newton-Schulz step, by cuBLASLt: A = XX^T, B = -4.7750A + 2.0315AA,
//// X = 3.4445X + BX. X and the next X change places from step to step.
//$ function product(k)
//$ local p = k.product
static struct gemm $(k.part.gemm) = {
    .name = $('"'..k.name..'"'),
    .rows = $(p.rows),
    .cols = $(p.cols),
    .inner = $(p.inner),
    .out_ld = $(p.out.ld),
    .a_ld = $(p.a.ld),
    .b_ld = $(p.b.ld),
    //$ if p.a_transposed then
    .a_transposed = true,
    //$ end
    //$ if p.b_transposed then
    .b_transposed = true,
    //$ end
    .type = $(p.type),
    .out_type = $(p.type),
    //$ if p.factor then
    .factor = $(p.factor),
    //$ end
    .batch = $(#k.shape.at),
    .out_stride = $(p.out.slot),
    .a_stride = $(p.a.slot),
    .b_stride = $(p.b.slot),
    //$ if p.residual then
    .residual = true,
    .residual_factor = $(p.residual_factor),
    //$ end
};

$(k.sign_launch()) {
    $(k.work) *work = ($(k.work) *)gpu->acts;
    const int64_t now = step % 2 ? $(k.shape.next) : 0, next = step % 2 ? 0 : $(k.shape.next);
    (void)now, (void)next;
    //$ if p.residual then
    struct gemm_extra extra = {};
    extra.residual = work + $(p.residual);
    gemm_run(gpu, &$(k.part.gemm), work + $(p.out.at), work + $(p.a.at), work + $(p.b.at), &extra,
             0.0f);
    //$ else
    gemm_run(gpu, &$(k.part.gemm), work + $(p.out.at), work + $(p.a.at), work + $(p.b.at), NULL,
             0.0f);
    //$ end
}
//$ end

//// The parameters, and their copy in the type of activations. Floor: they and X are read, they
//// and the copy are written.
//$ function update(k)
//$ local image = k.dtype ~= "f32"
//$ local params = "const struct step_state *state, float *params, const "..k.work.." *x"
//$ local args = "gpu->state, gpu->params, ("..k.work.." *)gpu->acts + "..k.shape.next
//$ if image then params, args = params .. ", elem *image", args .. ", (elem *)gpu->packed" end
KERNEL(256) $(k.name)($(params)) {
    constexpr int PARTS = $(k.shape.parts), THREADS = 256;
    constexpr int COLS = $(k.shape.cols), PITCH = $(k.shape.pitch);
    constexpr int64_t VECS = $(k.shape.rows * k.shape.pitch // 8), SLOT = $(k.shape.slot);
    if (state->skip) {
        return;
    }
    const struct update &u = state->update[GROUP_MATRICES];
    const float rate = u.muon_rate * (u.muon_match ? $(k.shape.match) : $(k.shape.original));
    const int64_t from = $(k.shape.name.."_momentum_at")((int)blockIdx.y);
    for (int64_t i = (int64_t)blockIdx.x * THREADS + (int)threadIdx.x; i < VECS;
         i += PARTS * THREADS) {
        struct vec p = vec_load(params + from + i * VEC);
        const struct vec direction = vec_load(x + (int64_t)blockIdx.y * SLOT + i * VEC);
        const int col = (int)(i * VEC % PITCH);
#pragma unroll
        for (int e = 0; e < VEC; e++) {
            if (col + e < COLS) { // behind it is padding, which stays 0
                p.v[e] = u.muon_keep * p.v[e] - rate * direction.v[e];
            }
        }
        vec_store(params + from + i * VEC, p);
        //$ if image then
        vec_store(image + from + i * VEC, p);
        //$ end
    }
}

$(k.sign_launch()) {
    LAUNCH($(k.name), dim3($(k.shape.parts), $(#k.shape.at)), 256, 0, gpu->stream, $(args));
}
//$ end
