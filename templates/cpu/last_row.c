//// last_row.c: y (C) = the last of x's rows (rows, C): a sampler needs logits of the last token
//// only.
//$ function last_row(k)
$(k.sign("static void", k.name)) {
    enum { $(k.dims) };
    const struct range mine = share(C, thread, threads);
    for (int c = mine.first; c < mine.last; c++) {
        y[c] = x[(size_t)(rows - 1) * C + c];
    }
}
//$ end
