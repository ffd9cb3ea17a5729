//// buckets.c: of a job of several ranks: which gradients are final after which kernel.
//$ function buckets(k)
// buckets.c: the gradients of a job of several ranks, in the order in which the backward pass of a
// micro-step has made them: places in grads, in floats, and the number of the kernel behind which
// they are final.
#include "model.h"

static const struct bucket model_bucket_list[] = {
    //$ for _, bucket in ipairs(k.buckets) do
    //$ local more = bucket.first == bucket.last and "" or " to " .. bucket.last
    // $(bucket.first..more)
    {$(bucket.from), $(bucket.to), $(bucket.after)},
    //$ end
};

const struct buckets model_buckets = {
    .list = model_bucket_list,
    .count = $(#k.buckets),
    .kernels = $(k.bucket_kernels),
};
//$ end
