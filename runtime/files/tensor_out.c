// tensor_out.c: a tensor's bytes as a writer stores them: converted, transposed, its
// rows moved, or zeros. Needs
// only libc, since the sampler links it.
#include "runtime/files/files.h"

#include <stdlib.h>
#include <string.h>

static size_t tensor_out_count(const struct tensor_out *tensor) {
    size_t count = 1;
    for (int i = 0; i < tensor->ndim; i++) {
        count *= (size_t)tensor->dims[i];
    }
    return count;
}

size_t tensor_out_bytes(const struct tensor_out *tensor) {
    return number_bytes(tensor->type, tensor_out_count(tensor));
}

bool tensor_out_is_ready(const struct tensor_out *tensor) {
    const bool as_is = tensor->type == NUMBER_F32 || tensor->type == NUMBER_U8;
    return tensor->data && as_is && !tensor->transposed && !tensor->heads;
}

size_t tensor_out_room(const struct tensor_out *tensors, int count) {
    size_t most = 0;
    for (int i = 0; i < count; i++) {
        const size_t bytes = tensor_out_bytes(&tensors[i]);
        most = !tensor_out_is_ready(&tensors[i]) && bytes > most ? bytes : most;
    }
    return most;
}

// Stores the transposed matrix, a few of its rows at a time, which are columns of the data.
static void tensor_out_transpose(const struct tensor_out *tensor, char *room) {
    enum { ROWS = 16 }; // floats in a cache line: each line of the data is read once
    const size_t rows = (size_t)tensor->dims[0], columns = (size_t)tensor->dims[1];
    float *some = allocate(ROWS * columns, sizeof *some, tensor->name);
    for (size_t first = 0; first < rows; first += ROWS) {
        const size_t count = rows - first < ROWS ? rows - first : ROWS;
        for (size_t c = 0; c < columns; c++) {
            for (size_t r = 0; r < count; r++) {
                some[r * columns + c] = tensor->data[c * rows + first + r];
            }
        }
        numbers_store(tensor->type, some, count * columns,
                      room + number_bytes(tensor->type, first * columns));
    }
    free(some);
}

// Stores the rows of each head pairwise: row j of its first half, then row j of its second.
static void tensor_out_pairs(const struct tensor_out *tensor, char *room) {
    const size_t columns = tensor->ndim == 2 ? (size_t)tensor->dims[1] : 1;
    const size_t half = (size_t)tensor->dims[0] / (size_t)tensor->heads / 2;
    for (size_t row = 0; row < (size_t)tensor->dims[0]; row++) {
        const size_t in_head = row % (2 * half), first = row - in_head;
        const size_t from = first + in_head / 2 + in_head % 2 * half;
        numbers_store(tensor->type, tensor->data + from * columns, columns,
                      room + number_bytes(tensor->type, row * columns));
    }
}

const void *tensor_out_stored(const struct tensor_out *tensor, void *room) {
    if (tensor_out_is_ready(tensor)) {
        return tensor->data;
    }
    if (!tensor->data) {
        memset(room, 0, tensor_out_bytes(tensor)); // in every type
    } else if (tensor->transposed) {
        tensor_out_transpose(tensor, room);
    } else if (tensor->heads) {
        tensor_out_pairs(tensor, room);
    } else {
        numbers_store(tensor->type, tensor->data, tensor_out_count(tensor), room);
    }
    return room;
}
