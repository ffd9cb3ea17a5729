// harness.c: runs every case. Results of kernels are compared with references in doubles, gradients
// with central differences of those.
//
//     harness [FAMILY ...]            as a Check suite, a test for each case
//     harness --bench [FAMILY ...]    prints GFLOP/s of each kernel; asserts nothing
//     harness --hash [FAMILY ...]     prints a hash of each tensor that a case's kernels write
//     harness --list                  prints the families; opens no device
//
// Without a FAMILY, all are meant.
//
// Each case runs in all ways that the backend has, and again with each result written over each
// operand that it may overwrite: all must give the same bytes. Results start as NaN, gradients as
// random numbers; if gradients may also be overwritten, they start as NaN, with the same results.
//
// Errors are relative, in L2, over a tensor. In float32 a case's own tolerance is allowed: the
// error of float sums of its sizes. In bfloat16 or float16 the reference starts from rounded
// numbers, as the kernels do. Each tensor of activations that is stored on the way, the result
// itself, and what an attention rounds for its products then moves each element by at most half a
// unit in its last place; this much, relative, is added for each of them (emit.lua counts them).
// The mean square of such an error is 0.4 of the bound, which leaves room for the effects of
// derivatives, of sums of several rounded operands and of products of random numbers.
#include "tests/ops/harness.h"

#include "tests/ops/named.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double DIFFERENCE = 1e-6;  // step of the central differences, in a tensor's spreads
static const float PROBABILITY = 0.2f;  // of dropout
static const float LOSS_SCALE = 0.375f; // d loss / d a row's loss
static const struct way FIRST_WAY = {0, -1, -1};
enum { RANDOM_START, RANDOM_DIRECTION, RANDOM_ELEMENT, RANDOM_KINDS };

// ---- random numbers: a function of the case's name, the tensor and the element ------------------

static uint64_t random_bits(const struct op_case *c, int tensor, int kind, int element) {
    uint32_t hash = 2166136261u; // FNV-1a
    for (const char *s = c->name; *s; s++) {
        hash = (hash ^ (unsigned char)*s) * 16777619u;
    }
    return rng_bits(hash, (uint32_t)(tensor * RANDOM_KINDS + kind), (uint32_t)element, 0);
}

void fill_start(const struct op_case *c, int tensor, const struct settings *settings, void *at) {
    const struct tensor *t = &c->tensors[tensor];
    const bool given = t->role == GIVEN || t->role == STATE;
    const bool random = given || (t->role == GRADIENT && t->accumulate && !settings->overwrite);
    const enum format format = t->rounded ? elem_format : t->format;
    for (int i = 0; i < t->count; i++) {
        const uint64_t bits = random_bits(c, given && t->of >= 0 ? t->of : tensor, RANDOM_START, i);
        if (!random) {
            memset((float *)at + i, POISON, sizeof(float));
        } else if (t->below > 0) {
            ((int32_t *)at)[i] =
                (int32_t)rng_below(bits, (uint64_t)t->below + t->ignored) - t->ignored;
        } else {
            const float value = (float)(rng_normal(bits) * t->spread);
            format_store(format, (float *)at + i, &value);
            format_load(format, (float *)at + i, (float *)at + i);
        }
    }
    if (random && t->ignored) {
        ((int32_t *)at)[0] = t->below - 1; // a target that counts, the vocabulary's last token
    }
}

// ---- the reference ------------------------------------------------------------------------------

struct reference {
    const struct op_case *c;
    const struct settings *settings;
    double **at; // of each tensor; NULL if the reference has none
    double mean_loss;
};

static struct reference reference_new(const struct op_case *c, const struct settings *settings) {
    struct reference r = {.c = c, .settings = settings, .mean_loss = NAN};
    r.at = calloc((size_t)c->tensors_count, sizeof *r.at);
    for (int k = 0; k < c->tensors_count; k++) {
        const struct tensor *t = &c->tensors[k];
        if (t->role == WORK || t->role == GRADIENT || (t->role == VALUE && t->of != k)) {
            continue;
        }
        r.at[k] = calloc((size_t)t->count, sizeof **r.at);
        if (t->role == GIVEN || t->role == STATE) {
            float *start = malloc((size_t)t->count * sizeof *start);
            fill_start(c, k, settings, start);
            for (int i = 0; i < t->count; i++) {
                r.at[k][i] = t->below > 0 ? ((int32_t *)start)[i] : start[i];
            }
            free(start);
        }
    }
    return r;
}

static void reference_free(struct reference *r) {
    for (int k = 0; k < r->c->tensors_count; k++) {
        free(r->at[k]);
    }
    free(r->at);
}

static void reference_run(struct reference *r) {
    for (int s = 0; s < r->c->steps_count; s++) {
        const struct step *step = &r->c->steps[s];
        struct op op = {.d = step->d,
                        .scale = step->scale,
                        .eps = step->eps,
                        .theta = step->theta,
                        .cap = step->cap,
                        .factor = step->factor,
                        .low = step->low,
                        .high = step->high,
                        .original = step->original,
                        .sign = step->sign,
                        .panel = step->panel,
                        .pos = r->c->pos,
                        .site = step->site,
                        .settings = r->settings,
                        .loss = &r->mean_loss};
        for (int i = 0; i < OP_INPUTS; i++) {
            op.in[i] = step->in[i] < 0 ? NULL : r->at[step->in[i]];
        }
        for (int i = 0; i < OP_OUTPUTS; i++) {
            op.out[i] = step->out[i] < 0 ? NULL : r->at[step->out[i]];
        }
        step->reference(&op);
    }
}

static double reference_loss(struct reference *r) {
    reference_run(r);
    const double *y = r->at[r->c->loss], *dy = r->c->seed < 0 ? NULL : r->at[r->c->seed];
    double loss = 0;
    for (int i = 0; i < r->c->tensors[r->c->loss].count; i++) {
        loss += y[i] * (dy ? dy[i] : r->settings->loss_scale);
    }
    return loss;
}

// The loss's slope when x moves along a direction of length 1; NULL is along element i.
static double slope(struct reference *r, int tensor, const double *direction, int i) {
    const int count = direction ? r->c->tensors[tensor].count : 1;
    const double h = DIFFERENCE * r->c->tensors[tensor].spread;
    double *x = r->at[tensor] + (direction ? 0 : i), loss[2];
    double *before = malloc((size_t)count * sizeof *before);
    memcpy(before, x, (size_t)count * sizeof *before);
    for (int side = 0; side < 2; side++) {
        for (int e = 0; e < count; e++) {
            x[e] = before[e] + (side ? h : -h) * (direction ? direction[e] : 1);
        }
        loss[side] = reference_loss(r);
    }
    memcpy(x, before, (size_t)count * sizeof *before);
    free(before);
    return (loss[1] - loss[0]) / (2 * h);
}

// ---- ways of running ----------------------------------------------------------------------------

static void free_results(const struct op_case *c, void **results) {
    for (int k = 0; k < c->tensors_count; k++) {
        free(results[k]);
    }
    free(results);
}

static void **run(const struct op_case *c, const struct settings *settings, struct way way,
                  double *loss) {
    void **results = calloc((size_t)c->tensors_count, sizeof *results);
    *loss = backend_run(c, settings, way, results);
    return results;
}

// Runs in this way and compares the bytes with those of the first way.
static void run_again(const struct op_case *c, const struct settings *settings, struct way way,
                      void **first, double first_loss) {
    double loss;
    char text[128];
    void **results = run(c, settings, way, &loss);
    snprintf(text, sizeof text, "%s%s%s", backend_way(way.number),
             way.alias_tensor < 0 ? "" : " and the result in ",
             way.alias_tensor < 0 ? "" : c->tensors[way.alias_tensor].name);
    for (int k = 0; k < c->tensors_count; k++) {
        const size_t bytes = (size_t)c->tensors[k].count * sizeof(float);
        ck_assert_msg(memcmp(first[k], results[k], bytes) == 0, "%s: %s differs %s", c->name,
                      c->tensors[k].name, text);
    }
    ck_assert_msg(memcmp(&first_loss, &loss, sizeof loss) == 0, "%s: the loss differs %s", c->name,
                  text);
    free_results(c, results);
}

// ---- results of kernels, compared with the reference --------------------------------------------

static void check_given(const struct op_case *c, const struct settings *settings, int tensor,
                        const void *result) {
    const size_t bytes = (size_t)c->tensors[tensor].count * sizeof(float);
    void *start = malloc(bytes);
    fill_start(c, tensor, settings, start);
    ck_assert_msg(memcmp(start, result, bytes) == 0, "%s: %s was given, and has changed", c->name,
                  c->tensors[tensor].name);
    free(start);
}

static double tolerance_of(const struct op_case *c, const struct tensor *t) {
    return c->tolerance + t->roundings * format_roundoff(elem_format);
}

// Checks that got (count) is within the tensor's tolerance of wanted, relative, in L2. at_least: if
// these are only some elements of a tensor, the norm that they would have if they were like the
// others.
static void check_close(const struct op_case *c, const struct tensor *t, const double *got,
                        const double *wanted, int count, int columns, double at_least) {
    const double tolerance = tolerance_of(c, t);
    double error = 0, norm = 0, largest = 0;
    int worst = 0;
    for (int i = 0; i < count; i++) {
        const double e = fabs(got[i] - wanted[i]);
        error += e * e;
        norm += wanted[i] * wanted[i];
        if (!(e <= largest)) {
            largest = e;
            worst = i;
        }
    }
    error = sqrt(error);
    norm = fmax(sqrt(norm), at_least);
    ck_assert_msg(error <= tolerance * norm,
                  "%s: %s is off by %.2e, relative in L2; allowed is %.2e; worst (%d, %d): %.9g, "
                  "wanted %.9g",
                  c->name, t->name, error / norm, tolerance, worst / columns, worst % columns,
                  got[worst], wanted[worst]);
}

static void check_value(const struct op_case *c, int tensor, const float *result,
                        const struct reference *r) {
    const struct tensor *t = &c->tensors[tensor];
    double *got = malloc((size_t)t->count * sizeof *got);
    for (int i = 0; i < t->valid; i++) {
        got[i] = result[i];
    }
    check_close(c, t, got, r->at[t->role == STATE ? tensor : t->of], t->valid, t->columns, 0);
    float untouched;
    memset(&untouched, POISON, sizeof untouched);
    for (int i = t->valid; i < t->count; i++) {
        ck_assert_msg(memcmp(&untouched, result + i, sizeof untouched) == 0,
                      "%s: %s[%d] is written, behind the call's rows", c->name, t->name, i);
    }
    free(got);
}

// Compares a gradient with central differences: every element, if that is not too much work; else
// one of each of several equal parts, and a random direction, which depends on every element.
static void check_gradient(const struct op_case *c, int tensor, const float *result,
                           struct reference *r) {
    const struct tensor *t = &c->tensors[tensor];
    const int count = t->count;
    const double most = fmax(16, backend_work / (2 * c->work));
    const int checked = count <= most ? count : (int)most;
    float *start = malloc((size_t)count * sizeof *start);
    double *gradient = malloc((size_t)count * sizeof *gradient);
    double *got = malloc((size_t)count * sizeof *got);
    double *wanted = malloc((size_t)count * sizeof *wanted);
    double norm = 0;
    fill_start(c, tensor, r->settings, start);
    for (int i = 0; i < count; i++) {
        gradient[i] = t->accumulate ? (double)result[i] - start[i] : result[i];
        norm += (double)result[i] * result[i];
    }
    for (int n = 0; n < checked; n++) {
        const int64_t first = (int64_t)n * count / checked,
                      end = (int64_t)(n + 1) * count / checked;
        const uint64_t bits = random_bits(c, tensor, RANDOM_ELEMENT, n);
        const int i = (int)(first + (int64_t)rng_below(bits, (uint64_t)(end - first)));
        wanted[n] = slope(r, t->of, NULL, i);
        if (t->accumulate) { // compare the sum with the old value, whose size decides its rounding
            wanted[n] += start[i];
        }
        got[n] = result[i];
    }
    check_close(c, t, got, wanted, checked, checked == count ? t->columns : checked,
                checked == count ? 0 : sqrt(norm * checked / count));

    if (checked < count) {
        double length = 0, along = 0;
        for (int i = 0; i < count; i++) {
            wanted[i] = rng_normal(random_bits(c, tensor, RANDOM_DIRECTION, i));
            length += wanted[i] * wanted[i];
        }
        for (int i = 0; i < count; i++) {
            wanted[i] /= sqrt(length);
            along += gradient[i] * wanted[i];
        }
        // An error in a random direction is about its length / sqrt(count), or a few times that.
        const double measured = slope(r, t->of, wanted, 0);
        const double allowed = tolerance_of(c, t) * sqrt(norm) * fmin(1, 4 / sqrt(count));
        ck_assert_msg(fabs(along - measured) <= allowed,
                      "%s: %s along a random direction is %.9g, wanted %.9g +- %.1g", c->name,
                      t->name, along, measured, allowed);
    }
    free(start);
    free(gradient);
    free(got);
    free(wanted);
}

static void check_results(const struct op_case *c, const struct settings *settings, void **results,
                          double loss) {
    struct reference r = reference_new(c, settings);
    reference_run(&r);
    for (int k = 0; k < c->tensors_count; k++) {
        const enum role role = c->tensors[k].role;
        if (role == GIVEN) {
            check_given(c, settings, k, results[k]);
        } else if (role == VALUE || role == STATE) {
            check_value(c, k, results[k], &r);
        }
    }
    if (!isnan(r.mean_loss)) {
        ck_assert_msg(fabs(loss - r.mean_loss) <=
                          tolerance_of(c, &c->tensors[c->loss]) * fabs(r.mean_loss),
                      "%s: the mean loss is %.9g, wanted %.9g", c->name, loss, r.mean_loss);
    }
    for (int k = 0; k < c->tensors_count; k++) {
        if (c->tensors[k].role == GRADIENT) {
            check_gradient(c, k, results[k], &r);
        }
    }
    reference_free(&r);
}

// A gradient that is overwritten gets what is otherwise added to it; all else is the same.
static void check_overwrite(const struct op_case *c, const struct settings *settings,
                            void **added) {
    struct settings overwrite = *settings;
    overwrite.overwrite = true;
    double loss;
    void **results = run(c, &overwrite, FIRST_WAY, &loss);
    for (int k = 0; k < c->tensors_count; k++) {
        const struct tensor *t = &c->tensors[k];
        if (t->role != GRADIENT || !t->accumulate) {
            ck_assert_msg(memcmp(added[k], results[k], (size_t)t->count * sizeof(float)) == 0,
                          "%s: %s differs where gradients are overwritten", c->name, t->name);
            continue;
        }
        const float *got = results[k], *sum = added[k];
        float *start = malloc((size_t)t->count * sizeof *start);
        fill_start(c, k, settings, start);
        double error = 0, norm = 0;
        for (int i = 0; i < t->count; i++) {
            const double e = (double)start[i] + got[i] - sum[i];
            error += e * e;
            norm += (double)sum[i] * sum[i];
        }
        ck_assert_msg(sqrt(error) <= 1e-6 * sqrt(norm),
                      "%s: %s, overwritten, is off by %.2e, relative in L2, from what is added",
                      c->name, t->name, sqrt(error / norm));
        free(start);
    }
    free_results(c, results);
}

// ---- one case -----------------------------------------------------------------------------------

static const struct op_case *case_at(int i) {
    for (int f = 0; f < families_count; f++) {
        if (i < families[f].count) {
            return &families[f].cases[i];
        }
        i -= families[f].count;
    }
    return NULL;
}

static struct settings case_settings(float dropout) {
    return (struct settings){
        .loss_scale = LOSS_SCALE, .dropout = dropout, .dropout_key = {20240229, 777}};
}

static void case_run(const struct op_case *c, float dropout) {
    const struct settings settings = case_settings(dropout);
    double loss;
    void **results = run(c, &settings, FIRST_WAY, &loss);
    check_results(c, &settings, results, loss);
    for (int number = 1; number < backend_ways(); number++) {
        run_again(c, &settings, (struct way){number, -1, -1}, results, loss);
    }
    for (int i = 0; i < c->calls_count; i++) {
        for (int a = 0; a < OP_ALIASES && c->calls[i].aliases[a] >= 0; a++) {
            run_again(c, &settings, (struct way){1, i, c->calls[i].aliases[a]}, results, loss);
        }
    }
    if (backend_overwrites) {
        check_overwrite(c, &settings, results);
    }
    free_results(c, results);
}

// A case's name is its family's, a space, and its own.
static const char *case_name(const char *function, int i) {
    (void)function;
    return strchr(case_at(i)->name, ' ') + 1;
}

START_TEST(case_holds) {
    const struct op_case *c = case_at(_i);
    if (c->dropout) {
        case_run(c, PROBABILITY);
    }
    case_run(c, 0);
}
END_TEST

// Prints a hash of each result, so that those of two builds can be compared.
START_TEST(case_hashes) {
    const struct op_case *c = case_at(_i);
    const struct settings settings = case_settings(0);
    double loss;
    void **results = run(c, &settings, FIRST_WAY, &loss);
    for (int k = 0; k < c->tensors_count; k++) {
        const struct tensor *t = &c->tensors[k];
        if (t->role != INTERMEDIATE) {
            uint64_t hash = 14695981039346656037u; // FNV-1a
            for (size_t i = 0; i < (size_t)t->count * sizeof(float); i++) {
                hash = (hash ^ ((unsigned char *)results[k])[i]) * 1099511628211u;
            }
            printf("%s: %s %016llx\n", c->name, t->name, (unsigned long long)hash);
        }
    }
    fflush(stdout);
    free_results(c, results);
}
END_TEST

// ---- dropout: how many elements are dropped -----------------------------------------------------

// Counts zeros of the first value, if the case is of dropout alone and large enough.
START_TEST(dropout_has_its_rate) {
    int counted = 0;
    for (int i = 0; case_at(i); i++) {
        const struct op_case *c = case_at(i);
        const struct tensor *y = &c->tensors[c->loss];
        if (strncmp(c->name, "dropout ", 8) != 0 || y->count < 500) {
            continue;
        }
        for (int p = 0; p < 10; p++) {
            const float probability = (float)p / 10;
            const struct settings settings = case_settings(probability);
            double loss;
            void **results = run(c, &settings, FIRST_WAY, &loss);
            int zeros = 0;
            for (int e = 0; e < y->count; e++) {
                zeros += ((float *)results[c->loss])[e] == 0;
            }
            const double wanted = (double)probability * y->count;
            const double deviation = sqrt(wanted * (1 - (double)probability));
            ck_assert_msg(fabs(zeros - wanted) <= 4 * deviation,
                          "%s: %d of %d are dropped; wanted %.0f +- %.0f", c->name, zeros, y->count,
                          wanted, 4 * deviation);
            free_results(c, results);
            counted++;
        }
    }
    ck_assert_int_ge(counted, 20);
}
END_TEST

// ---- the program --------------------------------------------------------------------------------

struct words {
    bool bench, hash, list;
    char **families;
    int count;
};

// Family f: those of cases, then the backend's own, then NULL.
static const char *family_at(int f) {
    return f < families_count ? families[f].name : f == families_count ? backend_family() : NULL;
}

static bool is_wanted(const struct words *words, const char *family) {
    bool wanted = words->count == 0;
    for (int i = 0; i < words->count; i++) {
        wanted = wanted || strcmp(words->families[i], family) == 0;
    }
    return wanted;
}

static struct words read_words(int argc, char **argv) {
    struct words words = {.families = argv};
    for (int i = 1; i < argc; i++) {
        int f = 0;
        while (family_at(f) && strcmp(family_at(f), argv[i]) != 0) {
            f++;
        }
        if (family_at(f)) {
            words.families[words.count++] = argv[i]; // over argv[0] and what is read already
        } else if (strcmp(argv[i], "--bench") == 0) {
            words.bench = true;
        } else if (strcmp(argv[i], "--hash") == 0) {
            words.hash = true;
        } else if (strcmp(argv[i], "--list") == 0) {
            words.list = true;
        } else {
            fprintf(stderr, "harness: '%s': no such family; --list prints them\n", argv[i]);
            exit(EXIT_USAGE);
        }
    }
    return words;
}

static void bench(const struct words *words) {
    for (int f = 0; f < families_count; f++) {
        for (int i = 0; is_wanted(words, families[f].name) && i < families[f].count; i++) {
            const struct op_case *c = &families[f].cases[i];
            const struct settings settings = case_settings(c->dropout ? PROBABILITY : 0);
            printf("%s\n", c->name);
            backend_bench(c, &settings);
        }
    }
}

// Tests of case_holds are numbered over all families, chosen or not.
static void add_cases(TCase *tcase, int f, bool hash) {
    int first = 0;
    for (int before = 0; before < f; before++) {
        first += families[before].count;
    }
    if (hash) {
        tcase_add_named_loop_test(tcase, case_hashes, case_name, first, first + families[f].count);
        return;
    }
    tcase_add_named_loop_test(tcase, case_holds, case_name, first, first + families[f].count);
    if (strcmp(families[f].name, "dropout") == 0) {
        tcase_add_test(tcase, dropout_has_its_rate);
    }
}

static int check(const struct words *words) {
    Suite *suite = suite_create("ops");
    for (int f = 0; family_at(f); f++) {
        if (!is_wanted(words, family_at(f))) {
            continue;
        }
        TCase *tcase = tcase_create(family_at(f));
        tcase_set_timeout(tcase, backend_seconds);
        if (f < families_count) {
            add_cases(tcase, f, words->hash);
        } else if (!words->hash) {
            backend_add_tests(tcase);
        }
        suite_add_tcase(suite, tcase);
    }
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv) {
    const struct words words = read_words(argc, argv);
    if (words.list) {
        for (int f = 0; family_at(f); f++) {
            printf("%s\n", family_at(f));
        }
        return 0;
    }
    if (words.bench) {
        bench(&words);
        return 0;
    }
    return check(&words);
}
