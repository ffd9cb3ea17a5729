//// step.cu: the first kernel of a micro-step.

//// The host copies batches to two staging slots alternately: struct step_input, then tokens,
//// targets and order, (N) each. A captured graph has no argument for the slot, so state->micro
//// counts.
//$ function step_take(k)
KERNEL(256)
step_take(struct step_state *state, int32_t *tokens, int32_t *targets, int32_t *order,
          const char *slot0, const char *slot1) {
    constexpr int N = $(k.N);
    const char *slot = state->micro % 2 == 0 ? slot0 : slot1;
    const int32_t *batch = (const int32_t *)(slot + STEP_INPUT_BYTES);
    const int n = blockIdx.x * 256 + threadIdx.x;
    if (n < N) {
        tokens[n] = batch[n];
        targets[n] = batch[N + n];
        order[n] = batch[2 * N + n];
    }
    // The last block to arrive counts, as all blocks have read state->micro by then.
    block_sync();
    if (threadIdx.x == 0) {
        fence_device();
        if (atomic_add(&state->blocks_done, 1) == gridDim.x - 1) {
            state->blocks_done = 0;
            state->in = *(const struct step_input *)slot;
            state->micro++;
        }
    }
}

$(k.sign_launch()) {
    LAUNCH(step_take, $((k.N + 255) // 256), 256, 0, gpu->stream, gpu->state, gpu->tokens,
           gpu->targets, gpu->order, gpu->staging[0], gpu->staging[1]);
}
//$ end
