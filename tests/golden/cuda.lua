-- A small GPT with biases and dropout, of odd widths, for the golden of the emitted CUDA.
return {
  vocab_size = 65,
  n_layer = 3,
  n_head = 2,
  n_embd = 36,
  block_size = 24,
  batch_size = 2,
  bias = true,
  activation = "gelu_tanh",
  dropout = 0.1,
  arch = "all",
  isa = "generic",
}
