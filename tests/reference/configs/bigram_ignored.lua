-- The baseline with targets of -1, plain gradient descent, an active clip.
return {
  model = "bigram",
  block_size = 5,
  vocab_size = 101,
  batch_size = 3,
  init = "nanogpt",
  optimizer = "sgd",
  decay_params = "matrices",

  learning_rate = 5,
  weight_decay = 0.001,
  beta1 = 0.9,
  beta2 = 0.95,
  eps = 1e-08,
  grad_clip = 0.1,
  gradient_accumulation_steps = 2,
}
