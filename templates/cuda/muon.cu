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
//// X = 3.4445X + BX. X and the next X change places from step to step. A and B are symmetric: of
//// large ones a part is some rows, up to their block on the diagonal, and mirror copies the rest.
//$ function product(k)
//$ local p = k.product
//$ for _, part in ipairs(p.parts) do
static struct gemm $(part.gemm) = {
    .name = $('"'..k.name..'"'),
    .rows = $(part.rows),
    .cols = $(part.cols),
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

//$ end
$(k.sign_launch()) {
    $(k.work) *work = ($(k.work) *)gpu->acts;
    const int64_t now = step % 2 ? $(k.shape.next) : 0, next = step % 2 ? 0 : $(k.shape.next);
    (void)now, (void)next;
    //$ if p.residual then
    struct gemm_extra extra = {};
    //$ end
    //$ for _, part in ipairs(p.parts) do
    //$ local out, a = k.behind(p.out.at, part.out), k.behind(p.a.at, part.a)
    //$ local b = k.behind(p.b.at, part.b)
    //$ if p.residual then
    extra.residual = work + $(k.behind(p.residual, part.out));
    gemm_run(gpu, &$(part.gemm), work + $(out), work + $(a), work + $(b), &extra, 0.0f);
    //$ else
    gemm_run(gpu, &$(part.gemm), work + $(out), work + $(a), work + $(b), NULL, 0.0f);
    //$ end
    //$ end
}
//$ end

//// What is to the right of a symmetric result's blocks on the diagonal, from below them: A or B,
//// which begin at `at`. A thread block turns one tile, in shared memory, so that reads and writes
//// are both of rows; one within the blocks on the diagonal, or right of them, has nothing to do.
//// Floor: what is copied is read and written.
//$ function mirror(k)
KERNEL(256) $(k.name)(const struct step_state *state, $(k.work) * square) {
    constexpr int M = $(k.shape.m), LD = $(k.shape.square_ld), BLOCK = $(k.shape.block);
    constexpr int TILE = 32, STEP = 8; // 256 threads are STEP rows of a tile
    SHARED($(k.work), tile, [TILE][TILE + 1]);
    const int row = BLOCK + (int)blockIdx.y * TILE, col = (int)blockIdx.x * TILE;
    if (state->skip || col >= row / BLOCK * BLOCK) {
        return;
    }
    square += (int64_t)blockIdx.z * $(k.shape.square_slot);
    const int lane = (int)threadIdx.x % TILE, first = (int)threadIdx.x / TILE;
    for (int i = first; i < TILE; i += STEP) {
        if (row + i < M) {
            tile[i][lane] = square[(int64_t)(row + i) * LD + col + lane];
        }
    }
    block_sync();
    for (int i = first; i < TILE; i += STEP) {
        if (row + lane < M) {
            square[(int64_t)(col + i) * LD + row + lane] = tile[lane][i];
        }
    }
}

//$ local rest = k.shape.m - k.shape.block -- rows below the first block
//$ local tiles = (rest + 31) // 32
//$ local across = (k.shape.m - 1) // k.shape.block * k.shape.block // 32
$(k.sign_launch()) {
    LAUNCH($(k.name), dim3($(across), $(tiles), $(#k.shape.at)), 256, 0, gpu->stream, gpu->state,
           ($(k.work) *)gpu->acts + at);
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
