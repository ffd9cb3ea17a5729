// test_overfit.c: a model that is trained on one batch memorises it.
// config: tests/train/overfit.lua
#include "runtime/sample/sample.h"
#include "runtime/train/train.h"

enum { UPDATES = 300 };

static void fill_batch(struct model *m, const struct model_info *info) {
    for (int i = 0; i < info->batch_size * info->block_size; i++) {
        m->tokens[i] =
            (int32_t)rng_below(rng_bits(1, 2, (uint32_t)i, 0), (uint64_t)info->vocab_size);
        m->targets[i] =
            (int32_t)rng_below(rng_bits(1, 3, (uint32_t)i, 0), (uint64_t)info->vocab_size);
    }
}

int main(void) {
    parallel_threads(2);
    const struct model_info *info = &model_info;
    struct model m;
    model_create(&m, info, true);
    model_init(&m, info, 1337);
    step_begin(&m, info, 0, 0, 0);
    struct run run = run_defaults;
    run.grad_clip = 1.0;
    run.beta2 = 0.99;
    const struct step_settings settings = schedule_settings(&run, 3e-3, 0);
    double first = 0, last = 0;
    for (int t = 1; t <= UPDATES; t++) {
        fill_batch(&m, info);
        step_gradients(&m, info, 1, true);
        step_update(&m, info, &settings, t);
        last = step_wait(&m).last;
        first = t == 1 ? last : first;
    }
    // ln 65 = 4.17 before anything is learnt.
    const bool right = first > 4.0 && first < 4.4 && last < 0.02;
    printf("one batch: loss %.4f at first, %.4f after %d updates: %s\n", first, last, UPDATES,
           right ? "ok" : "WRONG");
    model_destroy(&m);
    return right ? 0 : 1;
}
