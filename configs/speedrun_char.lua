-- shakespeare_char_cpu with the parts that models have today, and Muon: as many parameters (n_ff is 8/3 n_embd, in
-- whole vectors), the same data, batches and iterations. Muon's settings are the defaults, the schedule is the line of
-- runs for speed; none of it is tuned yet.
return {
  dataset = "shakespeare_char",

  n_layer = 4,
  n_head = 4,
  n_embd = 128,
  n_ff = 344,
  block_size = 64,
  batch_size = 12,
  dropout = 0.0,

  norm = "rmsnorm",
  pos = "rope",
  qk_norm = "gain",
  activation = "swiglu",
  tie_weights = false,

  optimizer = "muon",
  muon_learning_rate = 0.02,
  gradient_accumulation_steps = 1,
  learning_rate = 3e-3,
  schedule = "linear",
  warmdown_ratio = 0.65,
  max_iters = 2000,
  lr_decay_iters = 2000,
  min_lr = 0,
  beta2 = 0.99,
  warmup_iters = 0,

  eval_interval = 250,
  eval_iters = 20,
  log_interval = 1,
  always_save_checkpoint = false,
}
