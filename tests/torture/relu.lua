-- A tiny model for test_nan.sh, whose activation and untied head hide a NaN in a weight: relu makes 0 of it, and rows
-- of tokens that do not occur are not read.
return {
  n_layer = 2, n_head = 2, n_embd = 8, block_size = 8, batch_size = 2, bias = true, vocab_size = 90,
  activation = "relu", tie_weights = false, gradient_accumulation_steps = 2, learning_rate = 1e-3, decay_lr = false,
  max_iters = 9, eval_interval = 3, eval_iters = 2, checkpoint_interval = 1, dataset = "fox",
}
