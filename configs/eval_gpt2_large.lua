-- Evaluates GPT-2 large, 774 million parameters: nanoGPT's config/eval_gpt2_large.py.
--
-- The weights come from https://huggingface.co/openai-community/gpt2-large:
--   make import URL=https://huggingface.co/openai-community/gpt2-large NAME=gpt2-large
-- downloads them to models/gpt2-large, by the sha256 that is stated there, and makes out/gpt2-large.
-- A folder that is here already: MODEL=folder in place of URL.
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
  eval_iters = 500, -- batches of each split; make eval CONFIG=out/gpt2-large/gpt2-large.lua takes every token once
  eval_only = true,
}
