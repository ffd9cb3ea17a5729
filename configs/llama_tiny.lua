-- shakespeare_char_cpu with the parts of a Llama: rotary positions, rmsnorm, grouped queries, swiglu; as many
-- parameters (n_ff is 3 n_embd), the same data, iterations and learning rate.
return {
  dataset = "shakespeare_char",

  n_layer = 4,
  n_head = 4,
  n_kv_head = 2,
  n_embd = 128,
  n_ff = 384,
  block_size = 64,
  batch_size = 12,
  dropout = 0.0,

  norm = "rmsnorm",
  pos = "rope",
  activation = "swiglu",

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
