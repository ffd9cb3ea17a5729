//// cross_entropy.c: the loss of each row of logits, and its gradient. A target of -1 does not
//// count.

//$ function largest(k)
static float $(k.part.largest)(const float *row) {
    enum { $(k.dims) };
    vec high = vec_splat(-INFINITY);
    for (int v = 0; v < V; v += VEC) {
        high = vec_max(row_only(row_load(row, v, V), v, V, -INFINITY), high);
    }
    return vec_largest(high);
}
//$ end

//$ function cross_entropy(k)
//$ largest(k)

$(k.sign("static void", k.name, "int thread, int threads")) {
    enum { $(k.dims) };
    const struct range mine = share(N, thread, threads);
    for (int n = mine.first; n < mine.last; n++) {
        const float *row = logits + (size_t)n * V_LD;
        const float top = $(k.part.largest)(row);
        vec total = vec_splat(0.0f);
        for (int v = 0; v < V; v += VEC) {
            total += row_only(vec_exp(row_load(row, v, V) - top), v, V, 0.0f);
        }
        losses[n] = targets[n] < 0 ? 0.0f : top + logf(vec_sum(total)) - row[targets[n]];
    }
}
//$ end

//// dlogits may be logits.
//$ function cross_entropy_backward(k)
//$ largest(k)

$(k.sign("static void", k.name, "int thread, int threads")) {
    enum { $(k.dims) };
    const struct range mine = share(N, thread, threads);
    for (int n = mine.first; n < mine.last; n++) {
        const float *row = logits + (size_t)n * V_LD;
        float *drow = dlogits + (size_t)n * V_LD;
        if (targets[n] < 0) {
            losses[n] = 0.0f;
            memset(drow, 0, V * sizeof(float));
            continue;
        }
        const float top = $(k.part.largest)(row), logit = row[targets[n]];
        vec total = vec_splat(0.0f);
        for (int v = 0; v < V; v += VEC) {
            const vec e = row_only(vec_exp(row_load(row, v, V) - top), v, V, 0.0f);
            row_store(drow, v, V, e);
            total += e;
        }
        const float sum = vec_sum(total), scale = m->loss_scale / sum;
        losses[n] = top + logf(sum) - logit;
        for (int v = 0; v < V; v += VEC) {
            row_store(drow, v, V, row_load(drow, v, V) * scale);
        }
        drow[targets[n]] -= m->loss_scale;
    }
}
//$ end

//$ function mean_loss(k)
$(k.sign("static void", k.name, "int thread, int threads")) {
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
