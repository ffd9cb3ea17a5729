//// muon.c: Muon, as Keller Jordan wrote it, for the matrices in the model's blocks, in float. With
//// factors in bfloat16 (bf16.h) X, A and B are floats too, rounded where they are written.
//// All matrices of one shape go together; a thread takes whole panels or rows of them, so that no
//// value's arithmetic depends on the number of threads.

//// y (ROWS, COLS) = a (ROWS, INNER) b, with b (INNER, COLS) or, transposed, (COLS, INNER);
//// `addend` is a multiple of x (ROWS, COLS) that is added. Of a symmetric result the lower
//// triangle is computed, in whole vectors, and copied to the upper one. Both have the same bits:
//// a sum's terms are the same products in the same order.
//$ function muon_product(k)
//$ local bf16 = k.products == "bf16"
//$ local operands = "float *y, const float *a, const float *x, "
//$     .. (bf16 and "struct muon_scratch *s, " or "const float *panel, ")
//$     .. "int i, int p, const int rows, const int vecs, const int last"
// $(k.name), from templates/cpu/muon.c: a product of a Newton-Schulz step.
VEC_INLINE void $(k.part.tile)($(operands)) {
    enum { COLS = $(k.cols), INNER = $(k.inner), WIDE = TILE_VECS * VEC };
    vec acc[TILE_ROWS][TILE_VECS];
    tile_zero(acc, rows, vecs);
    //$ if bf16 then
    enum { STRIP_LD = FACTORS_LD(FACTORS(INNER)) };
    factors_rows(s->strip, STRIP_LD, a + (size_t)i * INNER, INNER, rows, INNER);
    tile_multiply_bf16(acc, rows, vecs, FACTORS(INNER), s->strip, STRIP_LD, 1, s->panel, WIDE);
    //$ else
    tile_multiply(acc, rows, vecs, VEC, INNER, a + (size_t)i * INNER, INNER, 1, panel, WIDE, 0);
    //$ end
    //$ if k.addend or bf16 then
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 4
        for (int v = 0; v < vecs; v++) {
            //$ if k.addend then
            const bool whole = last == VEC || v < vecs - 1; // a mask would take a register
            const float *at = x + (size_t)(i + r) * COLS + p * WIDE + v * VEC;
            const vec addend = whole ? vec_load(at) : vec_load_n(at, last);
            acc[r][v] = $(k.addend) * addend + $(k.factor) * acc[r][v];
            //$ end
            //$ if bf16 then
            acc[r][v] = bf16_round(acc[r][v]);
            //$ end
        }
    }
    //$ end
    //$ if not k.addend then
    (void)x;
    //$ end
    tile_store(acc, rows, vecs, last, y + (size_t)i * COLS + p * WIDE, COLS);
}

//$ local all = "float *y, const float *a, const float *b, const float *x, "
//$     .. (bf16 and "struct muon_scratch *s, int p" or "float *panel, int p")
//$ local head, name, panel, tile_args = "static void", k.name, "panel", "y, a, x, panel"
//$ if bf16 then
//$ head, name, panel, tile_args = "APART void", k.part.products, "s->panel", "y, a, x, s"
//$ end
//$ local pack = k.transposed and "pack_transposed" or "pack_rows"
//$ if bf16 then pack = k.transposed and "factors_transposed" or "factors_columns" end
// The columns of panel p of y.
$(head) $(name)($(all)) {
    enum { ROWS = $(k.rows), COLS = $(k.cols), INNER = $(k.inner), WIDE = TILE_VECS * VEC };
    const int wide = int_min(WIDE, COLS - p * WIDE);
    //$ if k.transposed then
    $(pack)($(panel), WIDE, b + (size_t)p * WIDE * INNER, INNER, INNER, wide);
    //$ else
    $(pack)($(panel), WIDE, b + p * WIDE, COLS, INNER, wide);
    //$ end
    //$ if k.symmetric then
    // Tiles begin in the panel's own first row, so HIGH divides WIDE.
    enum { HIGH = WIDE % TILE_ROWS == 0 ? TILE_ROWS : 4, LAST_COLS = (COLS - 1) % WIDE + 1 };
    enum { LAST_VECS = DIVIDE_UP(LAST_COLS, VEC), LAST = LAST_COLS - (LAST_VECS - 1) * VEC };
    const bool whole = wide == WIDE; // but for the last panel
    for (int i = p * WIDE; i < ROWS; i += HIGH) {
        const bool high = i + HIGH <= ROWS;
        const int vecs = DIVIDE_UP(i + HIGH - p * WIDE, VEC); // up to the diagonal
        if (high && vecs == 1 && (whole || LAST_VECS > 1)) {
            $(k.part.tile)($(tile_args), i, p, HIGH, 1, VEC);
        } else if (TILE_VECS == 3 && high && vecs == 2 && (whole || LAST_VECS > 2)) {
            $(k.part.tile)($(tile_args), i, p, HIGH, 2, VEC);
        } else if (high && whole) {
            $(k.part.tile)($(tile_args), i, p, HIGH, TILE_VECS, VEC);
        } else if (whole) {
            $(k.part.tile)($(tile_args), i, p, ROWS % HIGH, TILE_VECS, VEC);
        } else if (high) {
            $(k.part.tile)($(tile_args), i, p, HIGH, LAST_VECS, LAST);
        } else {
            $(k.part.tile)($(tile_args), i, p, ROWS % HIGH, LAST_VECS, LAST);
        }
    }
    // What is below a vector's own rows, to the right of them.
    for (int c = p * WIDE; c < p * WIDE + wide && c + VEC < ROWS; c += VEC) {
        const size_t below = (size_t)(c + VEC) * COLS + c, right = (size_t)c * COLS + c + VEC;
        transpose(y + right, COLS, y + below, COLS, VEC, ROWS - c - VEC);
    }
    //$ else
    for (int i = 0; i < ROWS; i += TILE_ROWS) {
        TILE_CASES($(k.part.tile), i, p, ROWS, COLS, TILE_VECS, $(tile_args));
    }
    //$ end
}
//$ if bf16 then

static void $(k.name)($(all)) {
    const uint64_t before = flush_begin();
    $(k.part.products)(y, a, b, x, s, p);
    flush_end(before);
}
//$ end
//$ end

//// The update of all matrices (ROWS, COLS). X is (M, K), the matrix or, if it is tall, its
//// transpose.
//$ function muon_shape(k)
//$ local tall = k.rows > k.cols
// Up to VEC rows of a matrix that begins at `at` in params: their momentum and, with it, Nesterov's
// direction in X; `sums` gets each row's sum of squares. In `scratch` is what X has not: the rows
// or, of a matrix that X has as it is, their transpose, in which sums of several rows go together.
static void $(k.part.rows)(struct model *m, const struct update *u, float *x, int64_t at, int row,
                           int rows, float *scratch, double *sums) {
    enum { COLS = $(k.cols), K = $(k.k), TURNED = $(tall and "K" or "VEC") };
    const int64_t from = at + (int64_t)row * COLS;
    const float *grads = m->grads + from;
    float *means = m->m + from;
    float *straight = $(tall and "scratch" or "x + (size_t)row * K"); // (rows, COLS)
    float *turned = $(tall and "x + row" or "scratch");               // (COLS, rows)
    for (int i = 0; i < rows * COLS; i += VEC) {
        const int lanes = int_min(VEC, rows * COLS - i);
        const vec g = vec_load_n(grads + i, lanes) * u->scale, old = vec_load_n(means + i, lanes);
        const vec mean = old + u->muon_mean_weight * (g - old);
        vec_store_n(means + i, mean, lanes);
        vec_store_n(straight + i, g + u->muon_momentum * (mean - g), lanes);
    }
    transpose(turned, TURNED, straight, COLS, COLS, rows);
    double sum[VEC] = {0};
    for (int c = 0; c < COLS; c++) {
        for (int r = 0; r < (rows == VEC ? VEC : rows); r++) {
            const double direction = turned[(size_t)c * TURNED + r];
            sum[r] += direction * direction;
        }
    }
    memcpy(sums + row, sum, rows * sizeof *sum);
}

// $(k.name), from templates/cpu/muon.c: Muon's update of all matrices (ROWS, COLS) in the blocks.
static void $(k.name)(struct model *m, const struct update *u, int thread, int threads) {
    enum { ROWS = $(k.rows), COLS = $(k.cols), M = $(k.m), K = $(k.k), WIDE = TILE_VECS * VEC };
    enum { COUNT = $(#k.at), BATCH = $(k.batch), SLOT = $(k.slot), SUMS = $(k.sums) };
    static const int64_t at[COUNT] = {$(table.concat(k.at, ", "))}; // in params
    //$ local bf16 = k.products == "bf16"
    //$ if bf16 then
    struct muon_scratch *scratch = &((union model_scratch *)model_scratch(m, thread))->muon;
    float *panel = scratch->panel;
    //$ else
    float *panel = ((union model_scratch *)model_scratch(m, thread))->muon.panel;
    //$ end
    //$ local given = bf16 and "scratch" or "panel"
    int64_t own[COUNT]; // those of this process, which may be one of several
    int count = 0;
    for (int i = 0; i < COUNT; i++) {
        own[count] = at[i];
        count += optimizer_owns(at[i]);
    }
    for (int first = 0; first < count; first += BATCH) {
        const int slots = int_min(BATCH, count - first);
        enum { BLOCKS = DIVIDE_UP(ROWS, VEC) };
        for (int item = thread; item < slots * BLOCKS; item += threads) {
            const int slot = item / BLOCKS, row = item % BLOCKS * VEC;
            float *x = m->muon + (size_t)slot * SLOT;
            $(k.part.rows)
            (m, u, x, own[first + slot], row, int_min(VEC, ROWS - row), panel,
             (double *)(x + SUMS));
        }
        parallel_barrier();
        for (int slot = 0; slot < slots; slot++) {
            float *x = m->muon + (size_t)slot * SLOT;
            double sum = 0;
            for (int row = 0; row < ROWS; row++) {
                sum += ((const double *)(x + SUMS))[row];
            }
            const float factor = 1.0f / ((float)sqrt(sum) + 1e-7f);
            for (int row = thread; row < M; row += threads) {
                //$ if bf16 then
                for (int c = 0; c < K; c += VEC) {
                    float *at = x + (size_t)row * K + c;
                    const int lanes = int_min(VEC, K - c);
                    vec_store_n(at, bf16_round(vec_load_n(at, lanes) * factor), lanes);
                }
                //$ else
                for (int c = 0; c < K; c++) {
                    x[(size_t)row * K + c] *= factor;
                }
                //$ end
            }
        }
        kernel_done($("KERNEL_"..k.name.."_momentum"), thread);
        // Five Newton-Schulz steps: A = XX^T, B = -4.7750A + 2.0315AA, X = 3.4445X + BX. The first
        // panels of all matrices go first, since a symmetric result's are the longest: threads get
        // as much of each.
        enum { SIDES = DIVIDE_UP(M, WIDE), PANELS = DIVIDE_UP(K, WIDE) };
        enum { A = $(k.a), B = $(k.b), NEXT = $(k.next) }; // in a slot
        for (int step = 0; step < 5; step++) {
            const int now = step % 2 ? NEXT : 0, next = step % 2 ? 0 : NEXT;
            for (int item = thread; item < slots * SIDES; item += threads) {
                float *s = m->muon + (size_t)(item % slots) * SLOT;
                $(k.gram)(s + A, s + now, s + now, NULL, $(given), item / slots);
            }
            kernel_done($("KERNEL_"..k.name.."_gram"), thread);
            for (int item = thread; item < slots * SIDES; item += threads) {
                float *s = m->muon + (size_t)(item % slots) * SLOT;
                $(k.square)(s + B, s + A, s + A, s + A, $(given), item / slots);
            }
            kernel_done($("KERNEL_"..k.name.."_square"), thread);
            for (int item = thread; item < slots * PANELS; item += threads) {
                float *s = m->muon + (size_t)(item % slots) * SLOT;
                $(k.product)(s + next, s + B, s + now, s + now, $(given), item / slots);
            }
            kernel_done($("KERNEL_"..k.name.."_product"), thread);
        }
        const float rate = u->muon_rate * (u->muon_match ? $(k.match) : $(k.original));
        for (int item = thread; item < slots * ROWS; item += threads) {
            const int row = item % ROWS;
            float *params = m->params + own[first + item / ROWS] + (int64_t)row * COLS;
            const float *x = m->muon + (size_t)(item / ROWS) * SLOT + NEXT;
            for (int c = 0; c < COLS; c++) {
                params[c] = u->muon_keep * params[c] -
                            rate * x[$(tall and "(size_t)c * K + row" or "(size_t)row * K + c")];
            }
        }
        kernel_done($("KERNEL_"..k.name.."_update"), thread);
    }
}
//$ end

//$ function muon(k)
// All matrices in the model's blocks.
static void muon(struct model *m, const struct update *u, int thread, int threads) {
    profile_start(thread);
    //$ for _, shape in ipairs(k.shapes) do
    $(shape.name)(m, u, thread, threads);
    //$ end
}
//$ end
