-- notebook in minutes: the same eleven runs with 350 iterations instead of 3,000, at three times the learning rate.
return {
  base = "notebook_small",
  vary = {
    { "n_head", { 1, 8 } },
    { "n_layer", { 1, 8 } },
    { "n_embd", { 32, 128 } },
    { "dropout", { 0.0, 0.3 } },
    { "block_size", { 32, 256 } },
  },
  set = { max_iters = 350, eval_interval = 50, eval_iters = 10, learning_rate = 1e-3 },
  prompt = "First Citizen:\nBefore we proceed",
}
