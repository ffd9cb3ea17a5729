// reduce.c: the gradient of a step: one tree over groups of neighbouring micro-steps.
//
// A rank adds its groups as a binary counter counts: where group g ends, its gradient meets those
// that are kept for the trailing ones of g, and is then kept itself. So log2 of its groups are kept
// beside m->grads, which always has the latest sum.
#include "runtime/ranks/ranks.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { REDUCE_MOST_CHOSEN = 8, REDUCE_PART = 4096 };

const struct ranks_device *ranks_device;

int64_t reduce_choose(int64_t micro_steps) {
    int64_t groups = 1;
    while (ranks_size() > 1 && groups < REDUCE_MOST_CHOSEN && micro_steps % (2 * groups) == 0) {
        groups *= 2;
    }
    return groups;
}

void reduce_check(const struct model_info *info, int64_t micro_steps, int64_t groups, bool fast) {
    const int64_t size = ranks_size();
    if (micro_steps % size) {
        const int64_t below = micro_steps / size * size;
        char nearest[64];
        snprintf(nearest, sizeof nearest, below ? "%lld or %lld" : "%.0lld%lld", (long long)below,
                 (long long)(below + size));
        die(EXIT_USAGE,
            "gradient_accumulation_steps = %lld is of the whole job, and %lld ranks do not divide "
            "it; %s would do",
            (long long)micro_steps, (long long)size, nearest);
    }
    if (groups < 1 || (groups & (groups - 1)) || micro_steps % groups) {
        die(EXIT_USAGE,
            "reduce_groups = %lld is not a power of two that divides gradient_accumulation_steps = "
            "%lld; give one that is",
            (long long)groups, (long long)micro_steps);
    }
    if (groups > 1 && !info->update && !ranks_device) {
        die(EXIT_USAGE,
            "reduce_groups = %lld: this trainer, for one GPU, adds micro-steps in one group; leave "
            "it out, or take that of make train BACKEND=cuda RANKS=N",
            (long long)groups);
    }
    if (!fast && groups % size) {
        die(EXIT_USAGE,
            "reduce_groups = %lld: %lld ranks do not divide the groups of micro-steps whose "
            "gradients add in a fixed order; take a number of ranks that does, or begin a run with "
            "another reduce_groups, a power of two that divides gradient_accumulation_steps = "
            "%lld, or with reduce=fast, which takes any number of ranks that divides the latter",
            (long long)groups, (long long)size, (long long)micro_steps);
    }
}

static void reduce_updated(void *context, int piece);

void reduce_create(struct reduce *r, struct model *m, const struct model_info *info,
                   int64_t micro_steps, int64_t groups, const struct shares *shares, bool overlap) {
    const int64_t size = ranks_size();
    groups = shares->fast ? size : groups;
    const int64_t own_groups = groups / size;
    *r = (struct reduce){
        .shares = shares,
        .micro_steps = micro_steps,
        .groups = groups,
        .own = micro_steps / size,
        .first = micro_steps / size * ranks_rank(),
        .each = micro_steps / groups,
        .plain = groups == 1 && size == 1 && !ranks_device,
        .m = m,
        .info = info,
    };
    if (r->plain) {
        return;
    }
    while ((int64_t)1 << r->levels < own_groups) {
        r->levels++;
    }
    if (ranks_device) {
        ranks_device->create(r, info);
        return;
    }
    r->losses = allocate((size_t)micro_steps, sizeof *r->losses, "a step's losses");
    if (overlap && size > 1 && ranks_buckets()) {
        r->normed = allocate((size_t)optimizer_chunks(info), sizeof *r->normed, "norms");
        r->overlap = overlap_open(r);
        if (shares->pieces_count) {
            optimizer_pieces = (struct optimizer_pieces){
                .cut = shares->pieces + shares->own * (shares->pieces_count + 1),
                .count = shares->pieces_count,
                .updated = reduce_updated,
                .context = r,
            };
        }
    }
    r->kept_bytes = (size_t)r->levels * (size_t)info->state_floats * sizeof(float);
    if (r->kept_bytes == 0) {
        return;
    }
    const size_t available = memory_available("");
    void *memory = MAP_FAILED;
    if (r->kept_bytes <= available) {
        memory =
            mmap(NULL, r->kept_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    }
    if (memory == MAP_FAILED) {
        die(EXIT_MEMORY,
            "memory: %d gradients more, of reduce_groups = %lld, take %s and %s are available; "
            "take more ranks, or begin a run with a smaller reduce_groups",
            r->levels, (long long)groups, figure_bytes((double)r->kept_bytes).s,
            figure_bytes((double)available).s);
    }
    madvise(memory, r->kept_bytes, MADV_HUGEPAGE);
    r->kept = memory;
}

void reduce_print(const struct reduce *r) {
    if (r->plain) {
        return;
    }
    if (r->shares->fast) {
        printf("gradients add in the order of the library, which is another one on another number "
               "of ranks%s\n",
               ranks_device ? "; --reduce=exact has one order for all" : "");
    } else {
        printf("gradients add in %" PRId64 " groups of %" PRId64 ", the same on any number of "
               "ranks that divides %" PRId64,
               r->groups, r->each, r->groups);
        if (r->kept_bytes) {
            printf("; %d are kept, %s more", r->levels, figure_bytes((double)r->kept_bytes).s);
        }
        printf("\n");
    }
    if (ranks_size() > 1) {
        printf("ranks: %d, each with %" PRId64 " of %" PRId64 " micro-steps and the threads and "
               "memory above\n",
               ranks_size(), r->own, r->micro_steps);
    }
}

void reduce_destroy(struct reduce *r) {
    if (ranks_device) {
        ranks_device->destroy(r);
        return;
    }
    overlap_close(r->overlap);
    free(r->normed);
    if (r->kept) {
        munmap(r->kept, r->kept_bytes);
    }
    free(r->losses);
}

// What is done with a part of a gradient where a group ends.
struct reduce_job {
    float *grads, *kept;   // (count), (levels, count)
    int64_t count;         // of the whole gradient
    int64_t begin, finish; // the part
    int meets;             // so many of those that are kept are added to grads, the latest first,
    bool keep;             // and the sum is then kept behind them
};

// Threads take parts in turn. A kept gradient comes from earlier groups: it is the left operand.
static void reduce_run(void *context, int thread, int threads) {
    const struct reduce_job *job = context;
    for (int64_t from = job->begin + (int64_t)thread * REDUCE_PART; from < job->finish;
         from += (int64_t)threads * REDUCE_PART) {
        const int64_t left = job->finish - from, n = left < REDUCE_PART ? left : REDUCE_PART;
        float *grads = job->grads + from;
        for (int level = 0; level < job->meets; level++) {
            const float *kept = job->kept + level * job->count + from;
            for (int64_t i = 0; i < n; i++) {
                grads[i] = kept[i] + grads[i];
            }
        }
        if (job->keep) {
            memcpy(job->kept + job->meets * job->count + from, grads, (size_t)n * sizeof *grads);
        }
    }
}

// The job of a group of this rank, for the whole gradient.
static struct reduce_job reduce_group(const struct reduce *r, int64_t group) {
    struct reduce_job job = {.grads = r->m->grads,
                             .kept = r->kept,
                             .count = r->info->state_floats,
                             .finish = r->info->state_floats,
                             .keep = (group + 1) * r->each < r->own};
    while (group >> job.meets & 1) {
        job.meets++;
    }
    return job;
}

// Bucket `number` of the last micro-step's gradients, in the thread that exchanges.
static void reduce_bucket(void *context, int number) {
    struct reduce *r = context;
    const struct bucket *bucket = &ranks_buckets()->list[number];
    if (r->begun) { // else reduce_add has added this rank's groups
        struct reduce_job job = reduce_group(r, r->own / r->each - 1);
        job.begin = bucket->from;
        job.finish = bucket->to;
        reduce_run(&job, 0, 1);
    }
    shares_sum(r->shares, r->m->grads, bucket->from, bucket->to);
    if (!overlap_waits(r->overlap)) { // else all threads take norms, later
        optimizer_norm_early(r->m, r->info, bucket->from, bucket->to, r->normed);
    }
}

void reduce_begin(struct reduce *r) {
    if (r->overlap) {
        memset(r->normed, 0, (size_t)optimizer_chunks(r->info) * sizeof *r->normed);
        r->begun = true;
        overlap_begin(r->overlap, reduce_bucket, ranks_buckets()->count);
        overlap_follow(r->overlap);
    }
}

void reduce_add(struct reduce *r, int64_t micro) {
    if (ranks_device) {
        ranks_device->add(r, micro);
        return;
    }
    r->losses[r->first + micro] = r->m->loss;
    if ((micro + 1) % r->each || r->begun) {
        return;
    }
    struct reduce_job job = reduce_group(r, micro / r->each);
    if (job.meets || job.keep) {
        parallel_run(reduce_run, &job);
    }
}

// Waits until all that the thread has to exchange is there.
static void reduce_wait(struct reduce *r) {
    const double before = r->carried, waited = overlap_finish(r->overlap, &r->carried);
    const double hidden = r->carried - before - waited;
    r->waited += waited;
    r->hidden += hidden > 0 ? hidden : 0;
}

// Piece `number` of all shares' updated weights, in the thread that exchanges.
static void reduce_piece(void *context, int number) {
    const struct reduce *r = context;
    shares_gather_piece(r->shares, r->m->params, number);
}

// Each thread of an update, behind its chunks of pieces below `piece`.
static void reduce_updated(void *context, int piece) {
    struct reduce *r = context;
    if (atomic_fetch_add(&r->updated[piece - 1], 1) + 1 == parallel_count()) {
        overlap_ready(r->overlap, piece);
    }
}

void reduce_finish(struct reduce *r) {
    if (ranks_device) {
        ranks_device->finish(r);
        return;
    }
    struct model *m = r->m;
    if (r->overlap) {
        if (!r->begun) {
            overlap_begin(r->overlap, reduce_bucket, ranks_buckets()->count);
        }
        reduce_wait(r);
        optimizer_normed = r->begun ? r->normed : NULL;
        r->begun = false;
        overlap_begin(r->overlap, reduce_piece, r->shares->pieces_count);
        for (int i = 0; i < r->shares->pieces_count; i++) {
            r->updated[i] = 0;
        }
    } else if (ranks_size() > 1) {
        shares_sum(r->shares, m->grads, 0, r->info->state_floats);
    }
    ranks_share(r->losses, (size_t)r->own * sizeof *r->losses);
    m->total = r->losses[0];
    for (int64_t i = 1; i < r->micro_steps; i++) {
        m->total += r->losses[i];
    }
    m->loss = r->losses[r->micro_steps - 1];
}

void reduce_return(struct reduce *r) {
    if (ranks_device) {
        ranks_device->give_back(r);
        return;
    }
    optimizer_normed = NULL;
    if (r->m->result.skipped) {
        return;
    }
    r->m->imaged = r->m->imaged && !r->shares->zero; // others have updated the rest
    if (r->overlap && r->shares->pieces_count) {
        reduce_wait(r);
    } else if (r->shares->zero) {
        shares_gather(r->shares, r->m->params);
    }
}

double reduce_waited(const struct reduce *r) {
    return ranks_seconds() + r->waited;
}

double reduce_hidden(const struct reduce *r) {
    return r->hidden;
}
