-- A small model with dropout everywhere and two micro-steps, for test_resume.sh.
return {
  n_layer = 2, n_head = 3, n_embd = 36, block_size = 19, batch_size = 4, bias = true, vocab_size = 65,
  dropout = 0.2, gradient_accumulation_steps = 2, learning_rate = 1e-3, warmup_iters = 10,
  lr_decay_iters = 400, min_lr = 1e-4, max_iters = 400, eval_interval = 60, eval_iters = 3,
  checkpoint_interval = 0, log_interval = 100, always_save_checkpoint = false, dataset = "fox",
}
