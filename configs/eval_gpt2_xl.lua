-- Evaluates GPT-2 XL, 1.56 billion parameters: nanoGPT's config/eval_gpt2_xl.py.
--
-- The weights come from https://huggingface.co/openai-community/gpt2-xl:
--   make import URL=https://huggingface.co/openai-community/gpt2-xl NAME=gpt2-xl
-- downloads them to models/gpt2-xl, by the sha256 that is stated there, and makes out/gpt2-xl.
-- A folder that is here already: MODEL=folder in place of URL.
return {
  init_from = "out/gpt2-xl/ckpt.safetensors",
  dataset = "shakespeare", -- its tokens are GPT-2's; nanoGPT evaluates on openwebtext

  n_layer = 48,
  n_head = 25,
  n_embd = 1600,
  block_size = 1024,
  vocab_size = 50257,
  bias = true,
  activation = "gelu_tanh",
  dropout = 0.0,

  batch_size = 8,
  eval_iters = 500, -- batches of each split; make eval CONFIG=out/gpt2-xl/gpt2-xl.lua takes every token once
  eval_only = true,
}
