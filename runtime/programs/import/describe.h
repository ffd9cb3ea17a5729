// describe.h: what import.c needs of describe.c. It stands on files.
#ifndef DIECAST_DESCRIBE_H
#define DIECAST_DESCRIBE_H

#include "runtime/files/files.h"

// The config in the metadata of weights that make export, make import or a trainer of ours wrote,
// or NULL.
const char *describe_config(const struct safetensors *file);
// Writes what a config.json would say of the GPT-2 whose tensors an open file has, as one line of
// JSON. Sizes are those of the tensors; n_head, dropout and activation_function are metadata, or
// left out. Dies 65 if it has not the tensors of one. Of weights with a config of ours that is all.
void describe_tensors(const struct safetensors *file, FILE *out);

#endif
