-- Finetunes GPT-2 XL on Shakespeare: nanoGPT's config/finetune_shakespeare.py.
--
-- The weights come from https://huggingface.co/openai-community/gpt2-xl:
--   make import URL=https://huggingface.co/openai-community/gpt2-xl NAME=gpt2-xl
-- downloads them to models/gpt2-xl, by the sha256 that is stated there, and makes out/gpt2-xl.
-- A folder that is here already: MODEL=folder in place of URL.
return {
  init_from = "out/gpt2-xl/ckpt.safetensors",
  dataset = "shakespeare", -- its tokens are GPT-2's

  n_layer = 48,
  n_head = 25,
  n_embd = 1600,
  block_size = 1024,
  vocab_size = 50257,
  bias = true,
  activation = "gelu_tanh",
  dropout = 0.0,

  batch_size = 1,
  gradient_accumulation_steps = 32, -- 32,768 tokens an iteration
  max_iters = 20,
  learning_rate = 3e-5,
  decay_lr = false,
  eval_interval = 5,
  eval_iters = 40,
  always_save_checkpoint = false, -- only weights with a better validation loss are saved
}
