-- foreign: key names of nanoGPT and other tools. A table alone: it depends on nothing.
local foreign = {}

-- nanoGPT's keys that mean nothing here, and what to use instead: in a config (help), and as a trainer's flag (flag).
-- `backend` is a key here too: in a config only nanoGPT's values of it are ignored.
local metrics = "every step goes to metrics.jsonl in the run's folder"
foreign.keys = {
  { name = "device", help = "the backend key chooses what a trainer runs on, when it is built",
    flag = "this trainer is built for the CPU; BACKEND chooses at build time" },
  { name = "compile", help = "every trainer is compiled for its config",
    flag = "a trainer is compiled before it runs, always" },
  { name = "backend", help = "one process trains; its threads are set with threads",
    flag = "one process trains with threads: --threads sets how many" },
  { name = "wandb_log", help = metrics, flag = metrics },
  { name = "wandb_project", help = metrics, flag = metrics },
  { name = "wandb_run_name", help = "a run is named by its folder: make train ... NAME=name",
    flag = "the run's name is its folder's: NAME=... or --out_dir" },
}

-- nanoGPT's values of backend.
foreign.backends = { nccl = true, gloo = true, mpi = true }

-- Other tools' names for our keys, too different for nearest.lua to find.
foreign.names = {
  lr = "learning_rate", embedding_lr = "embd_learning_rate", unembedding_lr = "head_learning_rate",
  scalar_lr = "vector_learning_rate", matrix_lr = "muon_learning_rate", lr_schedule = "schedule",
  lr_scheduler_type = "schedule", cooldown_frac = "warmdown_ratio",
  vocab = "vocab_size", steps = "max_iters", iters = "max_iters",
  accumulation = "gradient_accumulation_steps", time_budget = "max_seconds", max_time = "max_seconds",
  num_layers = "n_layer", num_hidden_layers = "n_layer", num_heads = "n_head",
  num_attention_heads = "n_head", num_key_value_heads = "n_kv_head", head_dim = "head_size",
  intermediate_size = "n_ff", n_inner = "n_ff", hidden_size = "n_embd", d_model = "n_embd", embed_dim = "n_embd",
  mlp = "activation", hidden_act = "activation", activation_function = "activation", rms_norm_eps = "norm_eps",
  layer_norm_epsilon = "norm_eps", final_logit_softcapping = "logit_softcap", softcap = "logit_softcap",
  attn_logit_softcapping = "attn_softcap", window_pattern = "window", sliding_window = "window_size",
  attention_bias = "qkv_bias", tie_word_embeddings = "tie_weights",
  context_length = "block_size", seq_len = "block_size", sequence_length = "block_size",
}

return foreign
