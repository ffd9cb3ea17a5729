-- The model of the suite's repeatability, resume and sanitizer checks: heads of 64, so that the tensor-core kernels
-- run, dropout everywhere, biases, two micro-steps, and a vocabulary that is padded.
return {
  n_layer = 2, n_head = 2, n_embd = 128, block_size = 300, batch_size = 72, bias = true, vocab_size = 65,
  dropout = 0.2, gradient_accumulation_steps = 2, learning_rate = 1e-3, warmup_iters = 10,
  lr_decay_iters = 3000, min_lr = 1e-4, max_iters = 3000, eval_interval = 1000, eval_iters = 3,
  checkpoint_interval = 0, log_interval = 1000, always_save_checkpoint = false, dataset = "fox",
}
