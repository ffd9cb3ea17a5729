-- Evaluates GPT-2 medium, 350 million parameters: nanoGPT's config/eval_gpt2_medium.py.
--
-- The weights come from https://huggingface.co/openai-community/gpt2-medium:
--   make import URL=https://huggingface.co/openai-community/gpt2-medium NAME=gpt2-medium
-- downloads them to models/gpt2-medium, by the sha256 that is stated there, and makes out/gpt2-medium.
-- A folder that is here already: MODEL=folder in place of URL.
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
  eval_iters = 500, -- batches of each split; make eval CONFIG=out/gpt2-medium/gpt2-medium.lua takes every token once
  eval_only = true,
}
