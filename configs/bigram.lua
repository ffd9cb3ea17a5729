-- The bigram baseline of Karpathy's lecture "Let's build GPT": one table of logits, a row for each
-- token. Sizes, iterations, learning rate and evaluation are those of its bigram.py, the optimizer
-- is torch.optim.AdamW as it comes (betas 0.9 and 0.999, decay 0.01 on everything).
return {
  dataset = "shakespeare_char",

  model = "bigram",
  block_size = 8,
  batch_size = 32,
  init = "pytorch",

  optimizer = "adamw",
  decay_params = "all",
  gradient_accumulation_steps = 1,
  learning_rate = 1e-2,
  decay_lr = false,
  max_iters = 3000,
  weight_decay = 0.01,
  beta1 = 0.9,
  beta2 = 0.999,
  grad_clip = 0.0,

  eval_interval = 300,
  eval_iters = 200,
  log_interval = 10,
  always_save_checkpoint = false,
}
