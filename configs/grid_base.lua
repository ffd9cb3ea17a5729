-- The base of a 2x2x2x2x2 study of small word-piece models: n_embd 128 or 256, n_head 4 or 8,
-- batch_size 8 or 16, max_iters 1000 or 2000, dropout 0.1 or 0.2. The vocabulary is GPT-2's,
-- rounded up to a multiple of 64; the optimizer's settings are those of nanoGPT's
-- config/train_shakespeare_char.py, the schedule's 5,000 iterations among them.
return {
  dataset = "shakespeare",
  vocab_size = 50304,

  n_layer = 4,
  n_head = 4,
  n_embd = 128,
  block_size = 64,
  batch_size = 16,
  bias = false,
  dropout = 0.2,

  gradient_accumulation_steps = 1,
  learning_rate = 1e-3,
  max_iters = 1000,
  lr_decay_iters = 5000,
  min_lr = 1e-4,
  beta2 = 0.99,
  warmup_iters = 100,

  eval_interval = 100,
  eval_iters = 200,
  log_interval = 10,
  always_save_checkpoint = false,
}
