-- harbour: the smallest model whose runs have every kind of file. Every machine has its instruction set.
return {
  data_dir = "tests/earlier/data", dataset = "harbour", vocab_size = 36, isa = "generic",
  n_layer = 1, n_head = 2, n_embd = 8, block_size = 8, batch_size = 2, bias = true, dropout = 0.1,
  max_iters = 60, eval_interval = 20, eval_iters = 2, checkpoint_interval = 0, gradient_accumulation_steps = 20,
  learning_rate = 1e-2, warmup_iters = 5, lr_decay_iters = 60, min_lr = 1e-3, always_save_checkpoint = false,
}
