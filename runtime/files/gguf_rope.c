// gguf_rope.c: rotary angles that are slowed as Llama 3.1's, which a GGUF file has as the numbers
// that they are divided by, rope_freqs.weight (D/2): 1 for those that stay, the factor for slow
// ones, and what a line between the two makes. Which scaling that is, is found by trying: whatever
// makes these numbers computes the same.
#include "runtime/files/files.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ROPE_NAME "rope_freqs.weight"

enum { ROPE_MOST = 4096 / 2 }; // divisors; a head is no wider

struct rope {
    double factor, low, high, original;
};

// Turns a token at the angle of pair j of n.
static double rope_turns(double theta, int64_t j, int64_t n) {
    return pow(theta, -(double)j / (double)n) / (2 * acos(-1));
}

static double rope_divisor(const struct rope *rope, double turns) {
    const double at = (rope->original * turns - rope->low) / (rope->high - rope->low);
    const double stays = at < 0 ? 0 : at > 1 ? 1 : at;
    return 1 / ((1 - stays) / rope->factor + stays);
}

// ---- which scaling it is ------------------------------------------------------------------------

struct rope_search {
    double theta, divisor[ROPE_MOST];
    int64_t count;
    int64_t first, last; // the divisors between 1 and the largest one; first > last: none
};

static bool rope_near(double a, double b) {
    return fabs(a - b) < 2e-5 * b; // writers compute in float32
}

static bool rope_fits(const struct rope_search *search, const struct rope *rope) {
    bool fits = rope->factor >= 1 && rope->low > 0 && rope->high > rope->low &&
                rope->original >= 1 && rope->original <= 1 << 24;
    for (int64_t j = 0; fits && j < search->count; j++) {
        const double wanted = rope_divisor(rope, rope_turns(search->theta, j, search->count));
        fits = rope_near(search->divisor[j], wanted);
    }
    return fits;
}

// How much of a divisor's angle stays, if slow angles are divided by the factor.
static double rope_stays(const struct rope_search *search, int64_t j, double factor) {
    return (1 / search->divisor[j] - 1 / factor) / (1 - 1 / factor);
}

// Sets *rope, of that factor, to Llama's own low and high, 1 and 4; to those of a line through two
// divisors; or, where no divisor is on the line, to what leaves none there. Whether it fits.
static bool rope_find(const struct rope_search *search, double factor, struct rope *rope) {
    const int64_t n = search->count;
    const double fast = rope_turns(search->theta, search->first, n);
    const double slow = rope_turns(search->theta, search->last, n);
    if (search->first > search->last) {
        for (double original = 1; original <= 1 << 24; original *= 2) {
            *rope = (struct rope){factor, 1, 4, original};
            if (rope_fits(search, rope)) {
                return true;
            }
        }
        return false;
    }
    const double above = rope_stays(search, search->first, factor);
    const double below = rope_stays(search, search->last, factor);
    *rope = (struct rope){factor, 1, 4, round((1 + 3 * above) / fast)};
    if (rope_fits(search, rope) || search->first == search->last) {
        return rope_fits(search, rope);
    }
    // stays = slope * turns - offset. All of low, high and original may be larger by any factor,
    // but original is a whole number.
    const double slope = (above - below) / (fast - slow), offset = slope * fast - above;
    for (double low = 0.5; low <= 4; low += 0.5) {
        const double high = round(1e4 * low * (1 + 1 / offset)) / 1e4;
        *rope = (struct rope){factor, low, high, round(slope * (high - low))};
        if (rope_fits(search, rope)) {
            return true;
        }
    }
    return false;
}

// The same where no angle is slow enough to show the factor: two divisors show it, for Llama's own
// low and high.
static double rope_hidden_factor(const struct rope_search *search) {
    const double a = 1 / search->divisor[search->first], b = 1 / search->divisor[search->last];
    const double fast = rope_turns(search->theta, search->first, search->count);
    const double slow = rope_turns(search->theta, search->last, search->count);
    return 4 / (3 * (b - slow * (a - b) / (fast - slow)) + 1);
}

static bool rope_search_begin(struct rope_search *search, const struct tensor_view *view,
                              double theta) {
    if (view->ndim != 1 || view->dims[0] < 1 || view->dims[0] > ROPE_MOST ||
        strcmp(view->dtype, "F32") != 0 || !(theta > 0)) {
        return false;
    }
    search->theta = theta;
    search->count = view->dims[0];
    for (int64_t j = 0; j < search->count; j++) {
        float x;
        memcpy(&x, view->place + (size_t)j * sizeof x, sizeof x);
        search->divisor[j] = x;
        if (!(x > 0) || !isfinite(x)) {
            return false;
        }
    }
    const double most = search->divisor[search->count - 1];
    search->first = 0;
    search->last = search->count - 1;
    while (search->first < search->count && rope_near(search->divisor[search->first], 1)) {
        search->first++;
    }
    while (search->last >= search->first && rope_near(search->divisor[search->last], most)) {
        search->last--;
    }
    return true;
}

// Sets *rope to a scaling that makes these divisors. False if there is none.
static bool rope_of(struct rope_search *search, struct rope *rope) {
    const int64_t end = search->count - 1;
    double most = search->divisor[end];
    if (search->first > end) {
        *rope = (struct rope){1, 1, 4, 8192};
        return true;
    }
    most = rope_near(most, round(most)) ? round(most) : most;
    if (rope_find(search, most, rope)) {
        return true;
    }
    search->last = end; // none is slow
    double factor = search->first < end ? rope_hidden_factor(search) : 8;
    factor = fabs(factor - round(factor)) < 1e-2 ? round(factor) : factor;
    return rope_find(search, factor, rope);
}

// ---- a file's -----------------------------------------------------------------------------------

void gguf_describe_divisors(const struct safetensors *file, double theta, FILE *out) {
    struct rope_search search;
    struct rope rope;
    const struct tensor_view *view = safetensors_find(file, ROPE_NAME);
    if (!view) {
        return;
    }
    if (!rope_search_begin(&search, view, theta) || !rope_of(&search, &rope)) {
        fputs(",\"rope_scaling\":{\"rope_type\":\"" ROPE_NAME "\"}", out);
    } else if (rope.factor > 1) {
        fprintf(out,
                ",\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":%.9g,\"low_freq_factor\":"
                "%.9g,\"high_freq_factor\":%.9g,\"original_max_position_embeddings\":%.0f}",
                rope.factor, rope.low, rope.high, rope.original);
    }
}

// The divisors of a config. False if there are none.
static bool rope_of_config(const struct export_model *model, struct rope *rope) {
    struct pair pair;
    *rope = (struct rope){export_real_or(model, "rope_factor", 8),
                          export_real_or(model, "rope_low_freq_factor", 1),
                          export_real_or(model, "rope_high_freq_factor", 4),
                          export_real_or(model, "rope_original_context", 8192)};
    return pairs_find(model->config, "rope_scaling", (int)strlen("rope_scaling"), &pair) &&
           pair.value_length == (int)strlen("llama3") &&
           !memcmp(pair.value, "llama3", strlen("llama3"));
}

void gguf_take_divisors(struct safetensors *file, const char *config) {
    const struct export_model model = {.config = config};
    struct rope rope;
    struct rope_search search;
    struct tensor_view *view = (struct tensor_view *)safetensors_find(file, ROPE_NAME);
    const bool scaled = rope_of_config(&model, &rope);
    if (!file->pairs || !gguf_is_llama(gguf_architecture(file)) || (!view && !scaled)) {
        return;
    }
    if (!scaled) {
        rope.factor = 1;
    }
    if (!view || !rope_search_begin(&search, view, export_real_or(&model, "rope_theta", 10000)) ||
        search.count != export_head_size(&model) / 2 || !rope_fits(&search, &rope)) {
        die(EXIT_DATA,
            "%s: its " ROPE_NAME ", which angles are divided by, is not what its config says; "
            "take both from one place",
            file->path);
    }
    free(view->name);
    const size_t behind = (size_t)(file->tensors + file->count - view - 1);
    memmove(view, view + 1, behind * sizeof *view);
    file->count--;
}

bool export_gguf_divisors(const struct export_model *model, struct tensor_out *tensor) {
    struct rope rope;
    if (!rope_of_config(model, &rope)) {
        return false;
    }
    const int64_t count = export_head_size(model) / 2;
    float *divisor = allocate((size_t)count, sizeof *divisor, "the angles' divisors");
    for (int64_t j = 0; j < count; j++) {
        const double theta = export_real_or(model, "rope_theta", 10000);
        divisor[j] = (float)rope_divisor(&rope, rope_turns(theta, j, count));
    }
    *tensor = (struct tensor_out){
        .name = ROPE_NAME, .ndim = 1, .dims = {count}, .type = NUMBER_F32, .data = divisor};
    return true;
}
