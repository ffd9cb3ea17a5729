-- GPT-2 XL, 1.56 billion parameters. Depth, heads and width are GPT-2's (Radford et al., 2019);
-- the vocabulary is its 50,257 tokens rounded up to a multiple of 64, and it has no biases, as in
-- nanoGPT's train.py. Batch, accumulation and training are nanoGPT's config/train_gpt2.py.
return {
  dataset = "shakespeare",
  vocab_size = 50304,

  n_layer = 48,
  n_head = 25,
  n_embd = 1600,
  block_size = 1024,
  batch_size = 12,
  bias = false,
  activation = "gelu_erf",
  dropout = 0.0,

  gradient_accumulation_steps = 40,
  learning_rate = 6e-4,
  max_iters = 600000,
  lr_decay_iters = 600000,
  min_lr = 6e-5,
  weight_decay = 0.1,
  warmup_iters = 2000,

  eval_interval = 1000,
  eval_iters = 200,
  log_interval = 10,
}
