// tune.c: the file of chosen algorithms: written, read back, and with faults in it.
#include "tests/cuda/gemm/gemm_test.h"

#ifdef DIECAST_EMULATED

// A file's text; the caller frees.
static char *read_file(const char *path) {
    FILE *file = fopen(path, "rb");
    char *text = calloc(1, 1 << 16);
    if (file) {
        text[fread(text, 1, (1 << 16) - 1, file)] = 0;
        fclose(file);
    }
    return text;
}

static void write_file(const char *path, const char *text) {
    FILE *file = fopen(path, "wb");
    check(file && fputs(text, file) >= 0 && fclose(file) == 0, "a tune file is written");
}

// Prints how the product's algorithm is chosen with this file.
static void reopen(void *gemm) {
    struct gemm_context *context = gemm_context_create(&gpu, tune_folder);
    gemm_create(context, gemm);
    fprintf(stderr, "%s\n", gemm_context_choice(context));
}

static void check_reopen(struct gemm *g, const char *text, const char *path, const char *first,
                         const char *second) {
    char line[512], what[1024];
    write_file(path, text);
    const int code = ended(reopen, g, line);
    char *newline = strchr(line, '\n');
    const bool warned = newline && newline[1] != 0;
    const bool good = code == 0 && strstr(line, first) && warned == (second != NULL) &&
                      (!second || strstr(newline, second) == newline + 1);
    snprintf(what, sizeof what, "a tune file is answered with '%s', '%s'; it was %d: %s", first,
             second ? second : "", code, line);
    check(good, what);
}

#endif

// The workspace's size: by the model's, and by what the device has.
static void check_workspace(void) {
    const size_t GiB = (size_t)1 << 30, small = GEMM_WORKSPACE, large = GEMM_WORKSPACE_LARGE;
    check(gemm_workspace_bytes(0, 80 * GiB) == small, "no model: the small workspace");
    check(gemm_workspace_bytes(2 * GiB - 1, 80 * GiB) == small, "2 GiB less a byte: the small one");
    check(gemm_workspace_bytes(2 * GiB, 80 * GiB) == large, "2 GiB: the large one");
    check(gemm_workspace_bytes(2 * GiB, 2 * GiB) == small, "no room: the small one");
    check(gemm_workspace_bytes(75 * GiB - large, 80 * GiB) == large, "just room: the large one");
    check(gemm_workspace_bytes(75 * GiB - large + 1, 80 * GiB) == small,
          "a byte more: the small one");
    check(gemm_workspace_bytes(2 * GiB, SIZE_MAX) == large, "no device known: the large one");
}

void check_tune(void) {
    check_workspace();
    struct gemm g = {.name = "tuned",
                     .rows = 40,
                     .cols = 64,
                     .inner = 1000,
                     .b_transposed = true,
                     .type = GEMM_BF16,
                     .out_type = GEMM_F32};
    struct operands o = operands_make(&g, 0), chosen = o;
    chosen.out = matrix_make(GEMM_F32, 40, 64, (int)g.out_ld, POISON);
    const size_t bytes = (size_t)g.rows * g.out_ld * sizeof(float);

    // Choose the last one, save, and read back.
    struct gemm_context *context = gpu.gemm = gemm_context_create(&gpu, tune_folder);
    gemm_create(context, &g);
    check(strcmp(gemm_context_choice(context), "heuristic") == 0, "no file: the heuristic's");
    const int count = gemm_choices(&g);
    check(count >= 1 && count <= GEMM_ASKED, "the heuristic names 1 to 8 algorithms");
    run(&g, &o, 0.0f);
    gemm_ask_more(context, &g);
    const int more = gemm_choices(&g);
    check(more >= count && more <= GEMM_CHOICES, "and up to 16 more");
    gemm_choose(&g, more - 1);
    run(&g, &chosen, 0.0f);
    matrix_fetch(&o.out);
    matrix_fetch(&chosen.out);
    check(count_wrong(&g, &chosen, NULL) == 0, "another algorithm gives the same sums");
#ifdef DIECAST_EMULATED
    check(count == 3, "of five algorithms three have sums that lose nothing");
    check(more == 4, "a fourth where the output is float, none twice");
    check(memcmp(o.out.host, chosen.out.host, bytes) != 0, "but not the same bits");
#endif
    struct gemm *list[] = {&g};
    char path[512];
    snprintf(path, sizeof path, "%s", gemm_tune_save(context, list, 1));
    gemm_destroy(&g);
    gemm_context_destroy(context);

    context = gpu.gemm = gemm_context_create(&gpu, tune_folder);
    gemm_create(context, &g);
    char choice[64], choice2[64];
    snprintf(choice, sizeof choice, "%s", gemm_context_choice(context));
    check(strncmp(choice, "tuned:", 6) == 0 && strlen(choice) == 22, "a choice's name");
    run(&g, &o, 0.0f);
    matrix_fetch(&o.out);
    check(memcmp(o.out.host, chosen.out.host, bytes) == 0, "the algorithm that was saved runs");
    gemm_destroy(&g);

    // A second shape is added, the first is kept, and the name shows it.
    struct gemm wider = g;
    wider.cols = 72, wider.out_ld = 72;
    gemm_create(context, &wider);
    list[0] = &wider;
    gemm_tune_save(context, list, 1);
    gemm_destroy(&wider);
    gemm_context_destroy(context);
    context = gpu.gemm = gemm_context_create(&gpu, tune_folder);
    gemm_create(context, &g);
    check(strcmp(gemm_context_choice(context), choice) == 0, "one product's choice is its own");
    gemm_create(context, &wider);
    check(strcmp(gemm_context_choice(context), choice) != 0 &&
              strncmp(gemm_context_choice(context), "tuned:", 6) == 0,
          "two products' choice has another name");
    snprintf(choice2, sizeof choice2, "%s", gemm_context_choice(context));
    gemm_destroy(&wider);
    wider.cols = 80, wider.out_ld = 80; // not in the file
    gemm_create(context, &wider);
    check(strcmp(gemm_context_choice(context), choice2) != 0,
          "and so has theirs with a third that is the heuristic's");
    gemm_destroy(&wider);
    gemm_destroy(&g);
    gemm_context_destroy(context);
    gpu.gemm = NULL;

#ifdef DIECAST_EMULATED
    // Any error in the file gives one line on stderr, and the heuristic's choice.
    char *text = read_file(path), *bad = malloc(strlen(text) + 4096);
    char *line = strchr(text, '\n') + 1, *hex = strchr(line, ' ') + 1;
    const size_t at = (size_t)(hex - text);
    check_reopen(&g, text, path, choice, NULL);
    strcpy(bad, text), bad[at + 20] ^= 1; // one digit, still hex: 0 and 1, 2 and 3, ...
    check_reopen(&g, bad, path, ":2: a wrong checksum", "heuristic");
    strcpy(bad, text), bad[at + 20] = 'x';
    check_reopen(&g, bad, path, ":2: a digit that is not hex", "heuristic");
    strcpy(bad, text), bad[(size_t)(line - text)] = 'c'; // bf16 -> cf16
    check_reopen(&g, bad, path, ":2: a wrong checksum", "heuristic");
    strcpy(bad, text), memmove(bad + at, bad + at + 2, strlen(bad + at + 2) + 1);
    check_reopen(&g, bad, path, ":2: a wrong length", "heuristic");
    strcpy(bad, text), bad[(size_t)(line - text)] = ' ';
    check_reopen(&g, bad, path, ":2: no shape", "heuristic");
    strcpy(bad, text), bad[strlen(bad) - 1] = 0; // the last line's end: another shape's
    check_reopen(&g, bad, path, ":3: no end", choice);
    strcpy(bad, text), memset(bad + strlen(bad), 0, 1), memset(bad + at, 'a', 4000),
        bad[at + 4000] = 0;
    strcat(bad, strchr(line, '\n'));
    check_reopen(&g, bad, path, ":2: no end", "heuristic");
    strcpy(bad, text), bad[13] = '2'; // diecast-tune 1
    check_reopen(&g, bad, path, ":1: not 'diecast-tune 1 ", "heuristic");
    check_reopen(&g, "", path, "heuristic", NULL);

    // A choice that needs more workspace than there is.
    write_file(path, text);
    gpu.workspace_bytes = 4096;
    check_reopen(&g, text, path, "does not take the algorithm", "heuristic");
    gpu.workspace_bytes = WORKSPACE;
    free(bad);
    free(text);
#endif
    matrix_free(&chosen.out);
    operands_free(&o);
}
