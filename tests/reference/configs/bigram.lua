-- The baseline: one table of logits, AdamW without a clip.
return {
  model = "bigram",
  block_size = 8,
  vocab_size = 65,
  batch_size = 4,
  init = "pytorch",
  optimizer = "adamw",
  decay_params = "all",

  learning_rate = 0.1,
  weight_decay = 0.01,
  beta1 = 0.9,
  beta2 = 0.999,
  eps = 1e-08,
  grad_clip = 0,
  gradient_accumulation_steps = 1,
}
