// inject.c: a trainer into whose memory a number is written while it trains, for test_nan.sh.
// wraps: model_forward model_backward model_loss
//
//     INJECT="WHERE WHEN VALUE PLACE" trainer ...
//
// WHERE is params, m or v: before the forward pass that follows WHEN micro-steps; grads or loss:
// behind the backward pass that ends micro-step WHEN; evaluation: the loss of evaluation batch
// WHEN. Both count from 0, from the program's start. PLACE is any number; it chooses a tensor and
// an element of it. Prints what it did to stderr. It is runtime/programs/train.c; the linker calls
// the functions here in the place of the emitted ones.
#include "runtime/programs/train.c"

#include <stdlib.h>
#include <string.h>

void __real_model_forward(struct model *m, int thread, int threads);
void __real_model_backward(struct model *m, int thread, int threads);
void __real_model_loss(struct model *m, int thread, int threads);
void __wrap_model_forward(struct model *m, int thread, int threads);
void __wrap_model_backward(struct model *m, int thread, int threads);
void __wrap_model_loss(struct model *m, int thread, int threads);

static char where[16];
static long when;
static long long place;
static float value;
static long backwards, losses; // that are done
static bool done;

static void __attribute__((constructor)) inject_read(void) {
    const char *text = getenv("INJECT");
    if (text && sscanf(text, "%15s %ld %f %lld", where, &when, &value, &place) != 4) {
        die(EXIT_USAGE, "INJECT: wanted WHERE WHEN VALUE PLACE");
    }
}

// One element of a tensor that is no copy of another one.
static void inject_into(float *base) {
    const struct model_info *info = &model_info;
    long long left = place;
    const struct param *param = &info->params[left % info->params_count];
    for (int i = 0; param->copy; i++) {
        param = &info->params[i];
    }
    left /= info->params_count;
    const int layer = (int)(left % param->layers);
    left = left / param->layers % (param->dims[0] * param->dims[1]);
    char name[PARAM_NAME];
    param_name(param, layer, "", name);
    float *element = base + param->offset + layer * param->stride + left;
    warn("inject: %s of %s: %g in the place of %g", where, name, (double)value, (double)*element);
    *element = value;
    done = true;
}

static bool inject_is(const char *name, long count) {
    return !done && strcmp(where, name) == 0 && count == when;
}

void __wrap_model_forward(struct model *m, int thread, int threads) {
    if (thread == 0) {
        float *const bases[] = {m->params, m->m, m->v};
        static const char *const names[] = {"params", "m", "v"};
        for (int i = 0; i < 3; i++) {
            if (inject_is(names[i], backwards)) {
                inject_into(bases[i]);
            }
        }
    }
    parallel_barrier();
    __real_model_forward(m, thread, threads);
}

void __wrap_model_backward(struct model *m, int thread, int threads) {
    __real_model_backward(m, thread, threads);
    if (thread == 0) {
        if (inject_is("grads", backwards)) {
            inject_into(m->grads);
        } else if (inject_is("loss", backwards)) {
            warn("inject: loss: %g in the place of %g", (double)value, m->loss);
            m->loss = (double)value;
            done = true;
        }
        backwards++;
    }
    parallel_barrier();
}

void __wrap_model_loss(struct model *m, int thread, int threads) {
    __real_model_loss(m, thread, threads);
    if (thread == 0) {
        if (inject_is("evaluation", losses)) {
            warn("inject: evaluation: %g in the place of %g", (double)value, m->loss);
            m->loss = (double)value;
            done = true;
        }
        losses++;
    }
    parallel_barrier();
}
