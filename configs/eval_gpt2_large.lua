-- Evaluates GPT-2 large, 774 million parameters: nanoGPT's config/eval_gpt2_large.py.
--
-- The weights are of GPT-2 large, a folder with config.json and model.safetensors:
--   git clone https://huggingface.co/openai-community/gpt2-large
--   make import MODEL=gpt2-large NAME=gpt2-large
return {
  init_from = "out/gpt2-large/ckpt.safetensors",
  dataset = "shakespeare", -- its tokens are GPT-2's; nanoGPT evaluates on openwebtext

  n_layer = 36,
  n_head = 20,
  n_embd = 1280,
  block_size = 1024,
  vocab_size = 50257,
  bias = true,
  activation = "gelu_tanh",
  dropout = 0.0,

  batch_size = 8,
  eval_iters = 500, -- batches of each split; `make eval` takes every token once instead
  eval_only = true,
}
