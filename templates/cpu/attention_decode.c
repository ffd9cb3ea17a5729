//// attention_decode.c: the sampler's attention over its cache of keys and values, and, on demand,
//// its weights.

//// For positions pos..pos+rows-1 of one head: an online softmax, KEYS keys at a time, cut at
//// multiples of KEYS, so that a row's sums do not depend on the rows beside it. `largest` is a
//// row's largest score so far and `total` the sum of exp(score - largest), by which y is divided
//// at the end. One thread computes a whole head. The cache holds all keys, in transposed panels
//// (H, S / WIDTH, D, WIDTH), and then all values (H, S, D), or KV heads of both. S is larger than
//// T, since tiles read beyond the last value. With a window W, panels of keys before the first
//// row's window are not read. A cache in bfloat16 has rounded keys and values, which are widened
//// as they are read.
//$ function attention_decode(k)
//$ local brain = k.node.inputs[2].type == "bf16"
//$ local number = brain and "uint16_t" or "float"
//$ local parameter = "const " .. number .. " *cache"
//$ local function stored(x) return brain and "bfloat16_of(" .. x .. ")" or x end
//$ local function read(x) return brain and "bfloat16_float(" .. x .. ")" or x end
//$ local begin = k.d.W and "begin" or "0"
$(k.sign_part("static void", k.part.rows, "int pos, int rows, int h")) {
    //$ local most = k.d.N == 1 and 1 or "PRODUCT_ROWS"
    enum { $(k.dims), COLS = PRODUCT_COLS, ROWS = $(most), KEYS = 256, WIDTH = $(k.op.panel) };
    enum { DEPTH = D < (int)PRODUCT_DEPTH ? (int)D : (int)PRODUCT_DEPTH };
    _Alignas(64) float q[ROWS * DEPTH] = {0}, weights[ROWS * KEYS], sums[ROWS * COLS];
    //$ if k.d.KV then
    const int kv = h / (H / KV); // the head of keys and values
    const $(number) *keys = cache + (size_t)kv * S * D, *values = cache + (size_t)(KV + kv) * S * D;
    //$ else
    const $(number) *keys = cache + (size_t)h * S * D, *values = cache + (size_t)(H + h) * S * D;
    //$ end
    float largest[ROWS], total[ROWS], shrink[ROWS];
    for (int r = 0; r < rows; r++) {
        //$ if k.d.W then
        largest[r] = -FLT_MAX; // the first keys may all be before a row's window
        //$ else
        largest[r] = -INFINITY;
        //$ end
        total[r] = 0.0f;
    }
    //$ if k.d.W then
    const int begin = int_max(0, pos - W) / WIDTH * WIDTH; // the first row's window
    //$ end
    for (int j = $(begin), count; j < pos + rows; j += count) {
        count = int_min($(k.d.W and "KEYS - j % KEYS" or "KEYS"), pos + rows - j);
        for (int d = 0; d < D; d += DEPTH) {
            const int depth = int_min(DEPTH, D - d);
            for (int r = 0; r < rows; r++) {
                for (int i = 0; i < depth; i++) {
                    q[r * DEPTH + i] = qkv[(size_t)r * E + h * D + d + i] * $(k.attrs.scale);
                }
            }
            for (int p = 0; p < count; p += COLS) {
                //$ if k.target.scalar then
                scalar_add(weights + p, d > 0, q, depth,
                           keys + ((size_t)(j + p) / WIDTH * D + d) * WIDTH + p % WIDTH, WIDTH);
                //$ else
                product_add(weights + p, KEYS, rows, d > 0, q, DEPTH, depth,
                            keys + ((size_t)(j + p) / WIDTH * D + d) * WIDTH + p % WIDTH, WIDTH);
                //$ end
            }
        }
        for (int r = 0; r < rows; r++) {
            float *w = weights + r * KEYS;
            const int seen = int_max(0, int_min(count, pos + r + 1 - j));
            const int end = DIVIDE_UP(count, VEC) * VEC;
            //$ if k.node.attrs.cap > 0 then
            for (int i = 0; i < end; i += VEC) {
                vec_store(w + i, softcap(vec_load(w + i), $(k.attrs.cap)));
            }
            //$ end
            //$ if k.d.W then
            for (int i = 0; i < int_min(count, pos + r - W - j); i++) {
                w[i] = -INFINITY;
            }
            //$ end
            for (int i = seen; i < end; i++) {
                w[i] = -INFINITY;
            }
            vec most = vec_splat(largest[r]);
            for (int i = 0; i < end; i += VEC) {
                most = vec_max(most, vec_load(w + i));
            }
            const float before = largest[r];
            largest[r] = vec_largest(most);
            vec sum = vec_splat(0.0f);
            for (int i = 0; i < end; i += VEC) {
                const vec e = vec_exp(vec_load(w + i) - largest[r]);
                vec_store(w + i, e);
                sum += e;
            }
            shrink[r] = j > $(begin) ? expf(before - largest[r]) : 0.0f;
            total[r] = total[r] * shrink[r] + vec_sum(sum);
        }
        const bool last = j + count == pos + rows;
        for (int d = 0; d < D; d += COLS) {
            //$ if k.target.scalar then
            scalar_add(sums, false, weights, count, values + (size_t)j * D + d, D);
            //$ else
            product_add(sums, COLS, rows, false, weights, KEYS, count, values + (size_t)j * D + d,
                        D);
            //$ end
            for (int r = 0; r < rows; r++) {
                const float scale = last ? 1.0f / total[r] : 1.0f;
                for (int i = d; i < int_min(d + COLS, D); i += VEC) {
                    float *to = y + (size_t)r * C + h * D;
                    vec value = vec_load(sums + r * COLS + i - d);
                    if (j > $(begin)) {
                        value = vec_fma(row_load(to, i, D), vec_splat(shrink[r]), value);
                    }
                    row_store(to, i, D, value * scale);
                }
            }
        }
    }
}

//$ if not k.target.scalar then
//// Writes one head's softmax weights for these rows, for a report. They are computed in double and
//// rounded to float, so that a row sums to 1 within the rounding of its terms.
static void $(k.part.weights)(float *weights, int tokens, const float *qkv, $(parameter), int pos,
                              int rows, int h) {
    enum { $(k.dims), WIDTH = $(k.op.panel) };
    const $(number) *keys = cache + (size_t)$(k.d.KV and "(h / (H / KV))" or "h") * S * D;
    for (int r = 0; r < rows; r++) {
        const float *q = qkv + (size_t)r * E + h * D;
        float *row = weights + ((size_t)h * tokens + (pos + r)) * tokens;
        double largest = -INFINITY, total = 0.0;
        //$ if k.d.W then
        const int first = int_max(0, pos + r - W);
        memset(row, 0, (size_t)first * sizeof *row);
        //$ end
        for (int pass = 0; pass < 2; pass++) {
            for (int j = $(k.d.W and "first" or "0"); j <= pos + r; j++) {
                const $(number) *key = keys + (size_t)j / WIDTH * D * WIDTH + j % WIDTH;
                double score = 0.0;
                for (int d = 0; d < D; d++) {
                    score += (double)q[d] * $(read("key[(size_t)d * WIDTH]"));
                }
                score *= $(k.attrs.scale);
                //$ if k.node.attrs.cap > 0 then
                score = $(k.attrs.cap) * tanh(score / $(k.attrs.cap));
                //$ end
                if (pass == 1) {
                    row[j] = (float)(exp(score - largest) / total);
                } else if (score > largest) {
                    total = total * exp(largest - score) + 1.0;
                    largest = score;
                } else {
                    total += exp(score - largest);
                }
            }
        }
    }
}

//$ end
//// Appends the rows' keys and values to the cache of their run's text, then attends. weights (H,
//// tokens, tokens) of this layer receives its rows if it is not NULL.
$(k.sign("static void", k.name)) {
    enum { $(k.dims), WIDTH = $(k.op.panel) };
    //$ if k.d.KV then
    // Heads that share keys and values are one thread's, which appends them before the first.
    struct range mine = share(count * KV, thread, threads);
    mine.first *= H / KV;
    mine.last *= H / KV;
    //$ else
    const struct range mine = share(count * H, thread, threads);
    //$ end
    for (int i = mine.first; i < mine.last; i++) {
        const struct sampler_run *run = &runs[i / H];
        const int h = i % H, pos = run->pos, rows = run->rows;
        const float *from = qkv + (size_t)run->first * E;
        //$ if brain then
        float *to = y + (size_t)run->first * C;
        uint16_t *own = cache + 2 * run->cache;
        //$ else
        float *to = y + (size_t)run->first * C, *own = cache + run->cache;
        //$ end
        //$ if k.d.KV then
        const int kv = h / (H / KV), appended = h % (H / KV) == 0 ? rows : 0;
        $(number) *keys = own + (size_t)kv * S * D, *values = own + (size_t)(KV + kv) * S * D;
        //$ else
        $(number) *keys = own + (size_t)h * S * D, *values = own + (size_t)(H + h) * S * D;
        //$ end
        for (int row = 0; row < $(k.d.KV and "appended" or "rows"); row++) {
            const float *key = from + (size_t)row * E + $(k.d.KV and "(H + kv) * D" or "C + h * D");
            const int j = pos + row;
            for (int d = 0; d < D; d++) {
                keys[((size_t)j / WIDTH * D + d) * WIDTH + j % WIDTH] = $(stored("key[d]"));
            }
            //$ if brain then
            const float *value = key + $(k.d.KV and "KV * D" or "C");
            for (int d = 0; d < D; d++) {
                values[(size_t)j * D + d] = bfloat16_of(value[d]);
            }
            //$ else
            memcpy(values + (size_t)j * D, key + $(k.d.KV and "KV * D" or "C"), D * sizeof(float));
            //$ end
        }
        for (int row = 0; row < rows; row += PRODUCT_ROWS) {
            $(k.part.rows)
            (to + (size_t)row * C, from + (size_t)row * E, own, pos + row,
             int_min(PRODUCT_ROWS, rows - row), h);
        }
        //$ if not k.target.scalar then
        if (weights != NULL) {
            $(k.part.weights)(weights, tokens, from, own, pos, rows, h);
        }
        //$ end
    }
}
//$ end
