// together.c: what the ranks of a run agree on: at the start that they have the same settings and
// data; while it goes on what one alone knows, that it is asked to stop, or that time is up, which
// is as rank 0's clock says. All have the same weights and progress, and so come to the same
// decisions.
#include "runtime/train/train.h"

#include <stdlib.h>
#include <string.h>

void together_meet(const struct run *run, const struct data *data) {
    struct ranks_card card = {0};
    struct growing settings;
    growing_begin(&settings, "the run's settings");
    options_write_json(run, settings.file);
    const size_t length = growing_length(&settings);
    char *text = growing_end(&settings);
    hash_bytes(text, length, card.settings);
    memcpy(card.data, data->hash, sizeof card.data);
    free(text);
    ranks_meet(&card);
}

bool together_hear(bool answer) {
    ranks_give(&answer, sizeof answer);
    return answer;
}

void together_agree(struct together *together, int64_t iter, bool spent) {
    if (ranks_size() > 1) {
        ranks_at(iter, "ranks agree to go on");
        together->stop = ranks_most(together->stop || stop_asked());
        together->spent = together_hear(spent);
    }
}
