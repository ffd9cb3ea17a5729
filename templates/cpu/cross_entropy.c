//// cross_entropy.c: the loss of each row of logits (N, V), its gradient, and the mean loss. Rows
//// whose target is -1 are ignored. With a cap, a row x is read as softcap(x), once.

//// Returns the sum of exp(x - top) over a row, where top is the row's largest. An online softmax
//// that reads the row once: while it takes a block's exponentials relative to the largest so far,
//// it finds the next block's largest. tops (BLOCKS) receives the largest after each block; with
//// `keep`, `to` receives the exponentials, which are relative to their block's tops[b].
//$ function softmax(k)
//$ if k.node.attrs.cap > 0 then
//$ capped_softmax(k)
//$ return
//$ end
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

//// The same of a row that is capped: each block of it is stored, in `to` (V) if that is not NULL,
//// and its largest is found before its exponentials. *largest receives the row's.
//$ function capped_softmax(k)
VEC_INLINE float $(k.common.exp_sum)(const float *row, float *largest, float *to) {
    enum { $(k.dims), BLOCK = 1024 };
    float block[BLOCK], sum = 0.0f, top = -3.4e38f; // finite, so that -inf - top is -inf
    for (int from = 0; from < V; from += BLOCK) {
        const int count = int_min(BLOCK, V - from);
        float *capped = to != NULL ? to + from : block;
        vec high = vec_splat(top);
        for (int v = 0; v < count; v += VEC) {
            const vec y = softcap(row_load(row + from, v, count), $(k.attrs.cap));
            row_store(capped, v, count, y);
            high = vec_max(row_only(y, v, count, -INFINITY), high);
        }
        const float before = top;
        top = vec_largest(high);
        vec total = vec_splat(0.0f);
        for (int v = 0; v < count; v += VEC) {
            total += row_only(vec_exp(row_load(capped, v, count) - top), v, count, 0.0f);
        }
        sum = (from > 0 ? sum * vec_exp(vec_splat(before - top))[0] : 0.0f) + vec_sum(total);
    }
    *largest = top;
    return sum;
}
//$ end

//$ function cross_entropy(k)
//$ if k.node.attrs.cap > 0 then
$(k.sign("static void", k.name)) {
    enum { $(k.dims) };
    const struct range mine = share(N, thread, threads);
    for (int n = mine.first; n < mine.last; n++) {
        const float *row = logits + (size_t)n * V_LD;
        float top;
        const float sum = $(k.common.exp_sum)(row, &top, NULL);
        const int target = targets[n];
        losses[n] = target < 0
                        ? 0.0f
                        : top + logf(sum) - softcap(vec_splat(row[target]), $(k.attrs.cap))[0];
    }
}
//$ return
//$ end
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

//// The loss and dlogits = (softmax - onehot(target)) * loss_scale, times the slope of the cap if
//// there is one. dlogits may alias logits.
//$ function cross_entropy_backward(k)
//$ if k.node.attrs.cap > 0 then
$(k.sign("static void", k.name)) {
    enum { $(k.dims) };
    const struct range mine = share(N, thread, threads);
    for (int n = mine.first; n < mine.last; n++) {
        const float *row = logits + (size_t)n * V_LD;
        float *drow = dlogits + (size_t)n * V_LD;
        const int target = targets[n];
        if (target < 0) {
            losses[n] = 0.0f;
            memset(drow, 0, V * sizeof(float));
            continue;
        }
        float top;
        const float sum = $(k.common.exp_sum)(row, &top, drow), scale = m->loss_scale / sum;
        const float logit = drow[target], part = logit * (1.0f / $(k.attrs.cap));
        losses[n] = top + logf(sum) - logit;
        for (int v = 0; v < V; v += VEC) {
            const vec y = row_load(drow, v, V), tanh = y * (1.0f / $(k.attrs.cap));
            row_store(drow, v, V, vec_exp(y - top) * scale * (1.0f - tanh * tanh));
        }
        drow[target] -= m->loss_scale * (1.0f - part * part);
    }
}
//$ return
//$ end
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
