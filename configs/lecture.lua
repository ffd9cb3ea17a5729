-- The last model of Karpathy's lecture "Let's build GPT": the sizes, batch and learning rate of
-- its gpt.py, with attention scores divided by the root of the head size, and torch.optim.AdamW as
-- it comes (betas 0.9 and 0.999, decay 0.01 on everything).
return {
  dataset = "shakespeare_char",

  n_layer = 6,
  n_head = 6,
  n_embd = 384,
  block_size = 256,
  batch_size = 64,
  dropout = 0.2,
  dropout_embd = false,
  bias = true,
  qkv_bias = false,
  tie_weights = false,
  lm_head_bias = true,
  activation = "relu",
  attn_scale = "head",
  init = "pytorch",

  optimizer = "adamw",
  decay_params = "all",
  gradient_accumulation_steps = 1,
  learning_rate = 3e-4,
  decay_lr = false,
  max_iters = 5000,
  weight_decay = 0.01,
  beta1 = 0.9,
  beta2 = 0.999,
  grad_clip = 0.0,

  eval_interval = 500,
  eval_iters = 200,
  log_interval = 10,
  always_save_checkpoint = false,
}
