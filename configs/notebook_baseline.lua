-- The character GPT as study notebooks write it after Karpathy's lecture "Let's build GPT": relu,
-- an untied head with a bias, queries, keys and values without, scores divided by the root of the
-- whole width (where the lecture takes the head size), PyTorch's initial weights, and
-- torch.optim.AdamW as it comes (betas 0.9 and 0.999, decay 0.01 on everything) at a constant
-- 3e-4. Batch 32 instead of 64.
return {
  dataset = "shakespeare_char",

  n_layer = 6,
  n_head = 6,
  n_embd = 384,
  block_size = 256,
  batch_size = 32,
  dropout = 0.2,
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
