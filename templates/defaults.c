//$ function defaults(k)
// defaults.c: the run keys of $(k.name) and what is baked into its build, for the trainer's flags.
#include "runtime/train/train.h"

const char *const run_config_name = $(k.string(k.name));

const struct run run_defaults = {
    //$ for _, key in ipairs(k.keys) do
    .$(key.name) = $(key.value),
    //$ end
};

const char *const run_baked_keys[] = {
    //$ for _, pair in ipairs(k.baked) do
    $(k.baked_string(pair)),
    //$ end
    NULL,
};
//$ end
