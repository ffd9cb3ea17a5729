-- Evaluates GPT-2, 124 million parameters: nanoGPT's config/eval_gpt2.py.
--
-- The weights are of GPT-2, a folder with config.json and model.safetensors:
--   git clone https://huggingface.co/openai-community/gpt2
--   make import MODEL=gpt2 NAME=gpt2
return {
  init_from = "out/gpt2/ckpt.safetensors",
  dataset = "shakespeare", -- its tokens are GPT-2's; nanoGPT evaluates on openwebtext

  n_layer = 12,
  n_head = 12,
  n_embd = 768,
  block_size = 1024,
  vocab_size = 50257,
  bias = true,
  activation = "gelu_tanh",
  dropout = 0.0,

  batch_size = 8,
  eval_iters = 500, -- batches of each split; `make eval` takes every token once instead
  eval_only = true,
}
