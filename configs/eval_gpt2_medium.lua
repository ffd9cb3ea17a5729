-- Evaluates GPT-2 medium, 350 million parameters: nanoGPT's config/eval_gpt2_medium.py.
--
-- The weights are of GPT-2 medium, a folder with config.json and model.safetensors:
--   git clone https://huggingface.co/openai-community/gpt2-medium
--   make import MODEL=gpt2-medium NAME=gpt2-medium
return {
  init_from = "out/gpt2-medium/ckpt.safetensors",
  dataset = "shakespeare", -- its tokens are GPT-2's; nanoGPT evaluates on openwebtext

  n_layer = 24,
  n_head = 16,
  n_embd = 1024,
  block_size = 1024,
  vocab_size = 50257,
  bias = true,
  activation = "gelu_tanh",
  dropout = 0.0,

  batch_size = 8,
  eval_iters = 500, -- batches of each split; `make eval` takes every token once instead
  eval_only = true,
}
