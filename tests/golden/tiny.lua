-- tiny: three layers of odd sizes with biases and dropout, so that most of what can be emitted is shown.
return {
  n_layer = 3, n_head = 2, n_embd = 10, block_size = 6, vocab_size = 17, batch_size = 3,
  bias = true, dropout = 0.1, isa = "avx2", max_iters = 100, learning_rate = 1e-3,
}
