-- Evaluates GPT-2, 124 million parameters: nanoGPT's config/eval_gpt2.py.
--
-- The weights come from https://huggingface.co/openai-community/gpt2:
--   make import URL=https://huggingface.co/openai-community/gpt2 NAME=gpt2-hf
-- downloads 548 MB to models/gpt2, model.safetensors with the sha256
--   248dfc3911869ec493c76e65bf2fcf7f615828b0254c12b473182f0f81d3a707
-- and makes out/gpt2-hf, since out/gpt2 is for runs of the config gpt2. A folder that is here already:
-- MODEL=folder in place of URL.
return {
  init_from = "out/gpt2-hf/ckpt.safetensors",
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
  eval_iters = 500, -- batches of each split; make eval CONFIG=out/gpt2-hf/gpt2-hf.lua takes every token once
  eval_only = true,
}
