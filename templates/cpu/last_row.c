//// last_row.c: y (count, C) = the last of x's rows of each run: a sampler needs logits of a text's
//// last token only, and of a draft's.
//$ function last_row(k)
$(k.sign("static void", k.name)) {
    enum { $(k.dims) };
    const struct range mine = share(C, thread, threads);
    for (int i = 0; i < count; i++) {
        const float *last = x + (size_t)(runs[i].first + runs[i].rows - 1) * C;
        for (int c = mine.first; c < mine.last; c++) {
            y[(size_t)i * C + c] = last[c];
        }
    }
}
//$ end
