-- A small GPT over the characters of Tiny Shakespeare. All numbers are those of nanoGPT's
-- config/train_shakespeare_char.py.
return {
  dataset = "shakespeare_char",

  n_layer = 6,
  n_head = 6,
  n_embd = 384,
  block_size = 256,
  batch_size = 64,
  dropout = 0.2,

  gradient_accumulation_steps = 1,
  learning_rate = 1e-3,
  max_iters = 5000,
  lr_decay_iters = 5000,
  min_lr = 1e-4,
  beta2 = 0.99,
  warmup_iters = 100,

  eval_interval = 250,
  eval_iters = 200,
  log_interval = 10,
  always_save_checkpoint = false,
}
