-- The smaller character GPT that nanoGPT's README trains on a CPU: its sizes, iterations, dropout
-- and evaluation are that command's flags, the rest is config/train_shakespeare_char.py.
return {
  dataset = "shakespeare_char",

  n_layer = 4,
  n_head = 4,
  n_embd = 128,
  block_size = 64,
  batch_size = 12,
  dropout = 0.0,

  gradient_accumulation_steps = 1,
  learning_rate = 1e-3,
  max_iters = 2000,
  lr_decay_iters = 2000,
  min_lr = 1e-4,
  beta2 = 0.99,
  warmup_iters = 100,

  eval_interval = 250,
  eval_iters = 20,
  log_interval = 1,
  always_save_checkpoint = false,
}
