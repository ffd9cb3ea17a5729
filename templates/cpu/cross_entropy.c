//// cross_entropy.c: the loss of each row of logits (N, V), its gradient, and the mean loss. Rows
//// whose target is -1 are ignored.

//// Returns the sum of exp(x - top) over a row, where top is the row's largest. An online softmax
//// that reads the row once: while it takes a block's exponentials relative to the largest so far,
//// it finds the next block's largest. tops (BLOCKS) receives the largest after each block; with
//// `keep`, `to` receives the exponentials, which are relative to their block's tops[b].
//$ function softmax(k)
VEC_INLINE float $(k.common.exp_sum)(const float *row, float *tops, const bool keep, float *to) {
    enum { $(k.dims), BLOCK = 1024, BLOCKS = DIVIDE_UP(V, BLOCK) };
    float sum = 0.0f, top = -3.4e38f; // finite, so that -inf - top is -inf
    vec high = vec_splat(top);
    for (int v = 0; v < MIN(BLOCK, V); v += VEC) {
        high = vec_max(row_only(row_load(row, v, V), v, V, -INFINITY), high);
    }
    for (int b = 0; b < BLOCKS; b++) {
        const float before = top;
        top = tops[b] = vec_largest(high);
        vec total = vec_splat(0.0f);
        for (int v = b * BLOCK; v < MIN((b + 1) * BLOCK, V); v += VEC) {
            const int next = v + BLOCK;
            if (next < V) {
                high = vec_max(row_only(row_load(row, next, V), next, V, -INFINITY), high);
            }
            const vec e = row_only(vec_exp_to_40(row_load(row, v, V) - top), v, V, 0.0f);
            if (keep) {
                row_store(to, v, V, e);
            }
            total += e;
        }
        sum = b > 0 ? sum * vec_exp(vec_splat(before - top))[0] : 0.0f;
        sum += vec_sum(total);
    }
    return sum;
}
//$ end

//$ function cross_entropy(k)
$(k.sign("static void", k.name)) {
    enum { $(k.dims), BLOCK = 1024, BLOCKS = DIVIDE_UP(V, BLOCK) };
    const struct range mine = share(N, thread, threads);
    for (int n = mine.first; n < mine.last; n++) {
        const float *row = logits + (size_t)n * V_LD;
        float tops[BLOCKS];
        const float sum = $(k.common.exp_sum)(row, tops, false, NULL), top = tops[BLOCKS - 1];
        losses[n] = targets[n] < 0 ? 0.0f : top + logf(sum) - row[targets[n]];
    }
}
//$ end

//// The loss and dlogits = (softmax - onehot(target)) * loss_scale. dlogits may alias logits.
//$ function cross_entropy_backward(k)
$(k.sign("static void", k.name)) {
    enum { $(k.dims), BLOCK = 1024, BLOCKS = DIVIDE_UP(V, BLOCK) };
    const struct range mine = share(N, thread, threads);
    for (int n = mine.first; n < mine.last; n++) {
        const float *row = logits + (size_t)n * V_LD;
        float *drow = dlogits + (size_t)n * V_LD;
        if (targets[n] < 0) {
            losses[n] = 0.0f;
            memset(drow, 0, V * sizeof(float));
            continue;
        }
        float tops[BLOCKS];
        const float logit = row[targets[n]], sum = $(k.common.exp_sum)(row, tops, true, drow);
        const float top = tops[BLOCKS - 1], scale = m->loss_scale / sum;
        losses[n] = top + logf(sum) - logit;
        for (int b = 0; b < BLOCKS; b++) {
            const bool last = b == BLOCKS - 1;
            const float factor = last ? scale : vec_exp(vec_splat(tops[b] - top))[0] * scale;
            for (int v = b * BLOCK; v < MIN((b + 1) * BLOCK, V); v += VEC) {
                row_store(drow, v, V, row_load(drow, v, V) * factor);
            }
        }
        drow[targets[n]] -= m->loss_scale;
    }
}
//$ end

//$ function mean_loss(k)
$(k.sign("static void", k.name)) {
    enum { $(k.dims) };
    (void)threads;
    if (thread != 0) {
        return;
    }
    double sum = 0.0;
    int counted = 0;
    for (int n = 0; n < N; n++) {
        sum += losses[n];
        counted += targets[n] >= 0;
    }
    m->loss = sum / counted;
}
//$ end
