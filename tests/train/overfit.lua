-- A small model for test_overfit.c; nanoGPT's initial weights and optimizer.
return {
  n_layer = 2, n_head = 2, n_embd = 32, block_size = 16, batch_size = 4, vocab_size = 65,
}
