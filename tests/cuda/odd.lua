-- Sizes that nothing divides, biases and dropout; test_compile.sh compiles this besides the shipped configs.
return {
  n_layer = 2, n_head = 5, n_embd = 100, block_size = 100, batch_size = 3, vocab_size = 101,
  bias = true, dropout = 0.1,
}
