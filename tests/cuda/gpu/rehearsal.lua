-- The model whose step a rehearsal times on the emulator: heads of 64, and several tiles, the last one partial.
return {
  n_layer = 1, n_head = 2, n_embd = 128, block_size = 232, batch_size = 2, vocab_size = 65, bias = false,
  dropout = 0.0, activation = "gelu_tanh", gradient_accumulation_steps = 1, dataset = "fox",
}
