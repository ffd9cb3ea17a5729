//// cross_entropy.c: the loss of each row of logits, and its gradient. A target of -1 does not
//// count.

//// log(sum(exp(logits))) of one row: its largest logit, and the sum of exp(logit - largest).
//$ function row_softmax(k)
static void $(k.part.row)(const float *logits, float *largest, float *sum) {
    enum { $(k.dims) };
    vec high = vec_splat(-INFINITY);
    for (int v = 0; v < V; v += VEC) {
        high = vec_max(row_only(row_load(logits, v, V), v, V, -INFINITY), high);
    }
    const float top = vec_largest(high);
    vec total = vec_splat(0.0f);
    for (int v = 0; v < V; v += VEC) {
        total += row_only(vec_exp(row_load(logits, v, V) - top), v, V, 0.0f);
    }
    *largest = top;
    *sum = vec_sum(total);
}
//$ end

//$ function cross_entropy(k)
//$ row_softmax(k)

$(k.sign("static void", k.name, "int thread, int threads")) {
    enum { $(k.dims) };
    const struct range mine = share(N, thread, threads);
    for (int n = mine.first; n < mine.last; n++) {
        const float *row = logits + (size_t)n * V_LD;
        float largest, sum;
        $(k.part.row)(row, &largest, &sum);
        losses[n] = targets[n] < 0 ? 0.0f : largest + logf(sum) - row[targets[n]];
    }
}
//$ end

//// dlogits may be logits.
//$ function cross_entropy_backward(k)
//$ row_softmax(k)

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
        float largest, sum;
        $(k.part.row)(row, &largest, &sum);
        losses[n] = largest + logf(sum) - row[targets[n]];
        const float scale = m->loss_scale / sum;
        for (int v = 0; v < V; v += VEC) {
            row_store(drow, v, V, vec_exp(row_load(row, v, V) - largest) * scale);
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
