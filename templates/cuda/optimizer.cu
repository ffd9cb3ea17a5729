//// optimizer.cu: the norm of the gradients, and the update: one launch each, over all parameters.

//// Floor: the gradients are read once. The number of blocks is fixed; the last block to arrive
//// adds all blocks' sums, in order, and computes the update's factors. Of several processes whose
//// gradients are shared out each takes the sums in float of its own, which are then gathered.
//$ function grad_norm(k)
//$ local blocks = math.max(1, math.min(4 * k.sms, (k.state_floats + 8191) // 8192))
// Computes the update's factors, in double like PyTorch and rounded to float once; updates the
// float16 loss scaler; adds the step's result to the ring. `squares` is the sum of squared
// gradients, which are still multiplied by the scaler's factor.
DEVICE void optimizer_numbers(struct step_state *state, double squares) {
    const struct step_settings *set = &state->set;
    const double norm = sqrt(squares) / state->scale;
    const bool skip = !(norm < STEP_NORM_LIMIT) || !isfinite(state->total);
    state->skip = skip || set->only_try;
    if (!state->skip) {
        const double clip = set->grad_clip > 0 ? set->grad_clip / (norm + 1e-6) : 1;
        state->t++;
        for (int group = 0; group < GROUPS; group++) {
            state->update[group] =
                update_numbers(set, group, (clip < 1 ? clip : 1) / state->scale, (double)state->t);
        }
    }
    //$ if k.dtype == "f16" then
    // Like PyTorch's GradScaler: halved after a skipped step, doubled after 2000 that were not.
    if (skip && !set->only_try) {
        state->scale *= 0.5;
        state->good = 0;
    } else if (!set->only_try && ++state->good == 2000) {
        state->scale *= 2;
        state->good = 0;
    }
    //$ end
    const struct step_result result = {.total = state->total,
                                       .last = state->loss,
                                       .norm = norm,
                                       .scale = state->scale,
                                       .t = state->t,
                                       .good = state->good,
                                       .skipped = skip};
    state->ring[state->steps % STEP_RING] = result;
    state->steps++;
}

// gathered: (gradients / 32), the sums in float of all ranks' shares; null: grads are whole here.
KERNEL(512)
grad_norm(struct step_state *state, const float *grads, const float *gathered, double *partial) {
    constexpr int BLOCKS = $(blocks), THREADS = 512, AT_ONCE = 8;
    constexpr int64_t FOURS = $(k.state_floats // 4);
    SHARED(double, sums, [THREADS]);
    SHARED(uint32_t, arrived, [1]);
    const int me = (int)threadIdx.x;
    if (state->set.only_try) { // a rank's own gradients
        gathered = nullptr;
    }
    // Sums AT_ONCE accesses of four floats in float, and these sums in double.
    double sum = 0.0;
    for (int64_t i = (int64_t)blockIdx.x * AT_ONCE * THREADS + me; i < FOURS;
         i += (int64_t)BLOCKS * AT_ONCE * THREADS) {
        if (gathered) {
            sum += gathered[i / (AT_ONCE * THREADS) * THREADS + me];
            continue;
        }
        struct four g[AT_ONCE];
#pragma unroll
        for (int a = 0; a < AT_ONCE; a++) {
            const int64_t at = i + a * THREADS;
            g[a] = at < FOURS ? four_load(grads + at * 4) : four{};
        }
        float squares = 0.0f;
#pragma unroll
        for (int a = 0; a < AT_ONCE; a++) {
            squares += (g[a].v[0] * g[a].v[0] + g[a].v[1] * g[a].v[1]) +
                       (g[a].v[2] * g[a].v[2] + g[a].v[3] * g[a].v[3]);
        }
        sum += squares;
    }
    // Sums over the block's threads; then, in the last block to arrive, over all blocks.
    for (int pass = 0;; pass++) {
        sums[me] = sum;
        for (int half = THREADS / 2; half > 0; half /= 2) {
            block_sync();
            if (me < half) {
                sums[me] += sums[me + half];
            }
        }
        if (pass == 1) {
            break;
        }
        if (me == 0) {
            partial[blockIdx.x] = sums[0];
            fence_device();
            arrived[0] = atomic_add(&state->blocks_done, 1);
        }
        block_sync();
        if (arrived[0] != BLOCKS - 1) {
            return;
        }
        fence_device();
        sum = 0.0;
        for (int b = me; b < BLOCKS; b += THREADS) {
            sum += partial[b];
        }
    }
    if (me == 0) {
        state->blocks_done = 0;
        optimizer_numbers(state, sums[0]);
    }
}

$(k.sign_launch()) {
    // The blocks' sums use cuBLASLt's workspace, as no product runs meanwhile.
    LAUNCH(grad_norm, $(blocks), 512, 0, gpu->stream, gpu->state, gpu->grads,
           (const float *)gpu->squares, (double *)gpu->workspace);
}
//$ end

//// Floor: parameters and moments are read and written, gradients read: 28 bytes for each parameter
//// (SGD: 12), and its copy in the type of activations is written. A thread takes two accesses of
//// four floats. Parameters with weight decay come first. Those of a group lie in ranges.
//$ function update(k)
// The group that the parameters from the i-th four on are in.
DEVICE int group_at(int64_t i) {
    constexpr int RANGES = $(k.ranges);
    static constexpr int64_t ENDS[RANGES] = {$(k.range_ends)};
    static constexpr int GROUP[RANGES] = {$(k.range_groups)};
    int low = 0;
    for (int high = RANGES - 1; low < high;) {
        const int middle = (low + high) / 2;
        if (i < ENDS[middle]) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return GROUP[low];
}

//$ local adam, image = k.optimizer ~= "sgd", k.dtype ~= "f32"
//$ local params = "const struct step_state *state, float *params, const float *grads"
//$ local args = "gpu->state, gpu->params, gpu->grads"
//$ if adam then
//$     params, args = params .. ", float *means, float *squares", args .. ", gpu->m, gpu->v"
//$ end
//$ if image then params, args = params .. ", elem *image", args .. ", (elem *)gpu->packed" end
//$ params, args = params .. ", int64_t from, int64_t to", args .. ", from, to"
// Parameters from four `from` up to `to`.
KERNEL(256) $(k.name)($(params)) {
    constexpr int AT_ONCE = 2;
    constexpr int64_t DECAYED = $(k.decay_floats // 4);
    if (state->skip) {
        return;
    }
    const int64_t first = from + (int64_t)blockIdx.x * AT_ONCE * blockDim.x + threadIdx.x;
    struct four p[AT_ONCE], g[AT_ONCE];
    //$ if adam then
    struct four m[AT_ONCE], v[AT_ONCE];
    //$ end
#pragma unroll
    for (int a = 0; a < AT_ONCE; a++) {
        const int64_t i = first + a * (int)blockDim.x;
        if ($(k.muon and "i < to && group_at(i) != GROUP_MATRICES" or "i < to")) {
            p[a] = four_load(params + i * 4);
            g[a] = four_load(grads + i * 4);
            //$ if adam then
            m[a] = four_load(means + i * 4);
            v[a] = four_load(squares + i * 4);
            //$ end
        }
    }
#pragma unroll
    for (int a = 0; a < AT_ONCE; a++) {
        const int64_t i = first + a * (int)blockDim.x;
        if (i >= to) {
            break;
        }
        //$ if k.muon then
        if (group_at(i) == GROUP_MATRICES) { // Muon's
            continue;
        }
        //$ end
        const struct update &u = state->update[group_at(i)];
        //$ if k.optimizer == "adamw" then
        const float keep = i < DECAYED || u.decays ? u.keep_decayed : 1.0f;
        //$ else
        const float l2 = i < DECAYED || u.decays ? u.l2_decayed : 0.0f;
        //$ end
#pragma unroll
        for (int e = 0; e < 4; e++) {
            float weight = p[a].v[e], gradient = g[a].v[e] * u.scale;
            //$ if k.optimizer == "sgd" then
            weight -= u.rate * (gradient + l2 * weight);
            //$ else
            //$ if k.optimizer == "adamw" then
            weight *= keep;
            //$ else
            gradient += l2 * weight;
            //$ end
            const float mean = m[a].v[e] + u.mean_weight * (gradient - m[a].v[e]);
            const float square = u.square_keep * v[a].v[e] + u.square_weight * gradient * gradient;
            weight -= u.step * (mean / (sqrtf(square) / u.root + u.eps));
            m[a].v[e] = mean;
            v[a].v[e] = square;
            //$ end
            p[a].v[e] = weight;
        }
        four_store(params + i * 4, p[a]);
        //$ if adam then
        four_store(means + i * 4, m[a]);
        four_store(squares + i * 4, v[a]);
        //$ end
        //$ if image then
        four_round(image + i * 4, p[a]);
        //$ end
    }
}

$(k.sign_launch()) {
    const int64_t all = $(k.state_floats // 4);
    const int64_t from = gpu->part_from / 4 < all ? gpu->part_from / 4 : all;
    const int64_t to = gpu->part_to / 4 < all ? gpu->part_to / 4 : all;
    if (from < to) { // of several processes some may have nothing but padding
        LAUNCH($(k.name), divide_up(to - from, 2 * 256), 256, 0, gpu->stream, $(args));
    }
}
//$ end
