-- foreign: names that people bring from elsewhere. A table alone: it depends on nothing.
local foreign = {}

-- nanoGPT's keys that mean nothing here, and what takes their place. `backend` is listed for the
-- trainer's flags; in a config it is a key, and only nanoGPT's values of it are passed over.
foreign.keys = {
  { name = "device", help = "the backend key chooses what a trainer runs on, when it is built" },
  { name = "compile", help = "every trainer is compiled for its config" },
  { name = "backend", help = "one process trains; its threads are set with threads" },
  { name = "wandb_log", help = "each step goes to metrics.jsonl in the run's folder" },
  { name = "wandb_project", help = "each step goes to metrics.jsonl in the run's folder" },
  { name = "wandb_run_name", help = "a run is named by its folder: make train ... NAME=name" },
}

-- nanoGPT's values of backend.
foreign.backends = { nccl = true, gloo = true, mpi = true }

-- Names that are too far from ours for the edit distance.
foreign.names = {
  lr = "learning_rate", vocab = "vocab_size", steps = "max_iters", iters = "max_iters",
  accumulation = "gradient_accumulation_steps",
  num_layers = "n_layer", num_hidden_layers = "n_layer", num_heads = "n_head",
  num_attention_heads = "n_head", hidden_size = "n_embd", d_model = "n_embd", embed_dim = "n_embd",
  context_length = "block_size", seq_len = "block_size", sequence_length = "block_size",
}

return foreign
