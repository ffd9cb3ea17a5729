-- Finetunes Qwen3-0.6B, 596 million parameters: 28 layers with normed queries and keys and heads that are wider than
-- n_embd / n_head (huggingface.co/Qwen/Qwen3-0.6B, its config.json). Weights and tokenizer are imported:
--   make import URL=https://huggingface.co/Qwen/Qwen3-0.6B NAME=qwen3
-- makes out/qwen3, from which a data set is made that the model can read:
--   make data DATASET=bard_qwen TEXT=data/shakespeare_char/input.txt TOKENIZER=out/qwen3/ckpt.safetensors
-- make bench needs neither. Training takes 2.4 GB each for weights, gradients and both moments.
return {
  init_from = "out/qwen3/ckpt.safetensors",
  dataset = "bard_qwen",

  n_layer = 28,
  n_head = 16,
  n_kv_head = 8,
  head_size = 128,
  n_embd = 1024,
  n_ff = 3072,
  vocab_size = 151936, -- more rows than tokens
  block_size = 256, -- rows of the training; the model's own context is 40,960
  model_context = 40960,
  dropout = 0.0,

  bias = false,
  norm = "rmsnorm",
  norm_eps = 1e-6,
  pos = "rope",
  rope_theta = 1000000,
  qk_norm = "gain",
  activation = "swiglu",
  tie_weights = true,
  tensor_names = "llama",

  batch_size = 4,
  gradient_accumulation_steps = 1,
  learning_rate = 2e-5,
  decay_lr = false,
  warmup_iters = 0,
  max_iters = 50,
  eval_interval = 50,
  eval_iters = 20,
}
