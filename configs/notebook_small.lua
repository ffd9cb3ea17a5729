-- notebook_baseline made small enough for a laptop: 4 layers of width 64, 128 characters of
-- context, dropout 0.1, 3,000 iterations.
return {
  dataset = "shakespeare_char",

  n_layer = 4,
  n_head = 4,
  n_embd = 64,
  block_size = 128,
  batch_size = 32,
  dropout = 0.1,
  dropout_embd = false,
  bias = true,
  qkv_bias = false,
  tie_weights = false,
  lm_head_bias = true,
  activation = "relu",
  attn_scale = "embd",
  init = "pytorch",

  optimizer = "adamw",
  decay_params = "all",
  gradient_accumulation_steps = 1,
  learning_rate = 3e-4,
  decay_lr = false,
  max_iters = 3000,
  weight_decay = 0.01,
  beta1 = 0.9,
  beta2 = 0.999,
  grad_clip = 0.0,

  eval_interval = 500,
  eval_iters = 200,
  log_interval = 10,
  always_save_checkpoint = false,
}
