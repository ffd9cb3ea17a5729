-- Finetunes SmolLM2-135M, 135 million parameters: a Llama of 30 layers (huggingface.co/HuggingFaceTB/SmolLM2-135M, its
-- config.json). Weights and tokenizer are imported:
--   make import URL=https://huggingface.co/HuggingFaceTB/SmolLM2-135M NAME=smollm2
-- or, of the Instruct model in a Python package, as README shows; either makes out/smollm2, from which a data set is
-- made that the model can read:
--   make data DATASET=bard TEXT=data/shakespeare_char/input.txt TOKENIZER=out/smollm2/ckpt.safetensors
-- make bench needs neither.
return {
  init_from = "out/smollm2/ckpt.safetensors",
  dataset = "bard",

  n_layer = 30,
  n_head = 9,
  n_kv_head = 3,
  n_embd = 576,
  n_ff = 1536,
  vocab_size = 49152,
  block_size = 256, -- rows of the training; the model's own context is 8,192
  model_context = 8192,
  dropout = 0.0,

  bias = false,
  norm = "rmsnorm",
  norm_eps = 1e-5,
  pos = "rope",
  rope_theta = 100000,
  activation = "swiglu",
  tie_weights = true,
  tensor_names = "llama",

  batch_size = 4,
  gradient_accumulation_steps = 1,
  learning_rate = 1e-4,
  decay_lr = false,
  warmup_iters = 0,
  max_iters = 50,
  eval_interval = 50,
  eval_iters = 20,
}
