-- cases: small models that together reach every op, pass and option (test_cases.lua checks that).
--
-- A case is a table: its name, and keys of a config. `cpu` and `cuda` have keys for one backend alone, or are false to
-- leave the backend out; `quick` marks the cases that `make test` runs, on the machine's own instruction set; `env` is
-- the emulator's environment. All cases share `cases.common`: a few steps at a high rate, on the data that is kept with
-- the runs of an earlier build.
local cases = {}

cases.common = {
  data_dir = "tests/earlier/data", dataset = "harbour", vocab_size = 36,
  tiling = "model", -- not what `make tune` found on this machine
  max_iters = 5, eval_interval = 3, eval_iters = 2, gradient_accumulation_steps = 1,
  learning_rate = 1e-2, warmup_iters = 2, lr_decay_iters = 5, min_lr = 1e-3,
}

cases.list = {
  -- Everything that a layer can have: biases, dropout at each site, two micro-steps, odd widths.
  { name = "plain", quick = true, n_layer = 3, n_head = 2, n_embd = 20, block_size = 9, batch_size = 3, bias = true,
    dropout = 0.1, gradient_accumulation_steps = 2, cuda = { dtype = "float32" } },
  { name = "nanogpt", n_layer = 2, n_head = 4, n_embd = 32, block_size = 24, batch_size = 4 },

  -- Activations, optimizers, weight decay, initial weights, biases.
  { name = "relu_adam", n_layer = 1, n_head = 2, n_embd = 28, block_size = 9, batch_size = 5, bias = true,
    activation = "relu", optimizer = "adam", beta2 = 0.999, eps = 1e-7, decay_lr = false },
  { name = "silu_adam_all", n_layer = 2, n_head = 5, n_embd = 20, block_size = 13, batch_size = 2, qkv_bias = true,
    activation = "silu", attn_scale = "embd", optimizer = "adam", decay_params = "all", dropout = 0.2,
    weight_decay = 0.3, cuda = { dtype = "float32" } },
  { name = "tanh_sgd", n_layer = 2, n_head = 3, n_embd = 21, block_size = 15, batch_size = 3, bias = true,
    activation = "gelu_tanh", optimizer = "sgd", learning_rate = 0.2, weight_decay = 0.02 },
  { name = "sgd_all", n_layer = 1, n_head = 4, n_embd = 24, block_size = 10, batch_size = 2, bias = true,
    lm_head_bias = true, optimizer = "sgd", decay_params = "all", grad_clip = 0, gradient_accumulation_steps = 3,
    cuda = { dtype = "float32" } },
  { name = "untied", n_layer = 3, n_head = 3, n_embd = 18, block_size = 11, batch_size = 3, bias = true,
    tie_weights = false, activation = "silu", dropout = 0.1, dropout_embd = false, grad_clip = 0.7,
    always_save_checkpoint = false },
  { name = "notebook", n_layer = 2, n_head = 4, n_embd = 24, block_size = 12, batch_size = 4, bias = true,
    qkv_bias = false, lm_head_bias = true, tie_weights = false, activation = "relu", attn_scale = "embd",
    init = "pytorch", decay_params = "all", weight_decay = 0.01, dropout = 0.2, dropout_embd = false },
  { name = "rmsnorm", n_layer = 2, n_head = 2, n_embd = 20, block_size = 9, batch_size = 3, bias = true,
    norm = "rmsnorm", dropout = 0.1, gradient_accumulation_steps = 2, recompute = "block" },
  { name = "rmsnorm_plain", n_layer = 2, n_head = 3, n_embd = 24, block_size = 12, batch_size = 2, norm = "rmsnorm",
    cuda = { dtype = "float32" } },

  -- As models are built today: rope, grouped queries, gated activations, heads of a size of their own.
  { name = "llama", n_layer = 2, n_head = 4, n_kv_head = 2, n_embd = 24, n_ff = 40, block_size = 12, batch_size = 3,
    norm = "rmsnorm", norm_eps = 1e-6, pos = "rope", rope_theta = 500.0, activation = "swiglu", tie_weights = false,
    recompute = "gelu", gradient_accumulation_steps = 2 },
  { name = "one_kv_head", n_layer = 2, n_head = 3, n_kv_head = 1, n_embd = 20, head_size = 10, n_ff = 33,
    block_size = 17, batch_size = 2, pos = "rope", activation = "geglu", bias = true, dropout = 0.1,
    cpu = { recompute = "gelu" }, cuda = { recompute = "block", dtype = "float32" } },
  -- Hugging Face's names: rows of one tensor are tensors of their own, whose sizes no vector divides.
  { name = "llama_names", quick = true, tensor_names = "llama", n_layer = 2, n_head = 3, n_kv_head = 1, n_embd = 20,
    head_size = 6, n_ff = 13, block_size = 9, batch_size = 2, norm = "rmsnorm", pos = "rope", activation = "swiglu",
    bias = true, cpu = { recompute = "block" } },
  { name = "nanochat_names", tensor_names = "nanochat", n_layer = 1, n_head = 2, n_embd = 20, block_size = 9,
    batch_size = 3, norm = "rmsnorm", pos = "rope", activation = "relu2", tie_weights = false,
    cuda = { dtype = "float32" } },
  { name = "no_positions", n_layer = 1, n_head = 2, n_embd = 24, head_size = 16, block_size = 9, batch_size = 3,
    pos = "none", activation = "relu2", qkv_bias = true },

  { name = "capped_logits", n_layer = 1, n_head = 2, n_embd = 20, block_size = 9, batch_size = 3, logit_softcap = 2.5,
    lm_head_bias = true, logits_rows = 9 },
  { name = "llama3", n_layer = 2, n_head = 2, n_embd = 24, block_size = 9, batch_size = 3, norm = "rmsnorm",
    pos = "rope", rope_theta = 500.0, rope_scaling = "llama3", rope_factor = 4.0, rope_low_freq_factor = 0.5,
    rope_high_freq_factor = 2.0, rope_original_context = 16, rope_sign = -1, attn_bias = true, mlp_bias = true,
    activation = "silu" },
  { name = "qk_norm", n_layer = 2, n_head = 4, n_kv_head = 2, n_embd = 24, head_size = 10, block_size = 12,
    batch_size = 3, pos = "rope", qk_norm = "gain", recompute = "block" },
  { name = "qk_norm_after", n_layer = 2, n_head = 3, n_embd = 24, block_size = 12, batch_size = 2, pos = "rope",
    qk_norm = "plain", qk_norm_at = "after", dropout = 0.1, cuda = { dtype = "float32" } },
  { name = "norms_plain", n_layer = 2, n_head = 3, n_embd = 20, head_size = 10, block_size = 12, batch_size = 2,
    norm = "rmsnorm", norm_gain = false, embd_norm = true, pos = "rope", dropout = 0.1, recompute = "block" },
  { name = "embd_norm", n_layer = 1, n_head = 2, n_embd = 20, block_size = 9, batch_size = 3, embd_norm = true,
    bias = true, gradient_accumulation_steps = 2 },
  { name = "mlp_bias", n_layer = 1, n_head = 2, n_embd = 20, block_size = 9, batch_size = 3, bias = true,
    attn_bias = false, mlp_bias = false },

  -- Schedules.
  { name = "linear", n_layer = 1, n_head = 2, n_embd = 20, block_size = 9, batch_size = 3, schedule = "linear",
    warmdown_ratio = 0.5, cuda = false },
  { name = "constant", n_layer = 1, n_head = 2, n_embd = 20, block_size = 9, batch_size = 3, schedule = "constant",
    cuda = false },

  -- Muon: tall, wide and square matrices, two micro-steps, sides that no tile divides.
  { name = "muon", quick = true, n_layer = 2, n_head = 2, n_embd = 34, block_size = 9, batch_size = 3, bias = true,
    optimizer = "muon", muon_weight_decay = 0.1, gradient_accumulation_steps = 2, dropout = 0.1, cuda = false },
  -- The same on both backends, of matrices that are rows of one tensor in memory; its momentum rises and falls.
  { name = "muon_pieces", tensor_names = "llama", n_layer = 2, n_head = 3, n_kv_head = 1, n_embd = 24, head_size = 8,
    n_ff = 40, block_size = 9, batch_size = 2, norm = "rmsnorm", pos = "rope", activation = "swiglu",
    optimizer = "muon", muon_momentum_warmup = 2, muon_momentum_warmdown = 2 },

  -- Groups of parameters with settings of their own.
  { name = "groups", n_layer = 1, n_head = 2, n_embd = 20, block_size = 9, batch_size = 3, bias = true,
    tie_weights = false, embd_learning_rate = 0.03, embd_beta1 = 0.8, head_learning_rate = 0.003, head_beta2 = 0.9,
    vector_learning_rate = 0.02, vector_weight_decay = 0.05 },

  -- Windows shorter than a tile, and capped scores.
  { name = "windows", n_layer = 3, n_head = 4, n_kv_head = 2, n_embd = 24, block_size = 70, batch_size = 2,
    window = "SL", window_size = 5, attn_softcap = 3.0, logit_softcap = 4.0, pos = "rope", dropout = 0.1 },

  -- The other model.
  { name = "bigram", model = "bigram", block_size = 8, batch_size = 4, init = "pytorch",
    decay_params = "all", grad_clip = 0, cuda = { dtype = "float32" } },
  { name = "bigram_sgd", model = "bigram", block_size = 5, batch_size = 3, optimizer = "sgd", learning_rate = 1,
    gradient_accumulation_steps = 2, grad_clip = 0.1 },

  -- Sizes: one token of context, one head, wide heads, many tiles of keys, a sum that is divided into slices.
  { name = "one_token", n_layer = 2, n_head = 2, n_embd = 10, block_size = 1, batch_size = 7, bias = true },
  { name = "one_head", n_layer = 1, n_head = 1, n_embd = 64, block_size = 33, batch_size = 1, bias = true,
    qkv_bias = false, activation = "gelu_tanh", cuda = { dtype = "float32", tf32 = true } },
  { name = "wide_heads", n_layer = 1, n_head = 2, n_embd = 128, block_size = 150, batch_size = 1, bias = true,
    dropout = 0.1 },
  { name = "hopper", n_layer = 1, n_head = 2, n_embd = 128, block_size = 150, batch_size = 1, cpu = false,
    cuda = { attention = "hopper" }, env = "EMULATOR_ARCH=90" },
  { name = "long", n_layer = 2, n_head = 3, n_embd = 12, block_size = 301, batch_size = 1, activation = "silu" },
  { name = "wide", n_layer = 1, n_head = 4, n_embd = 400, block_size = 9, batch_size = 2, dropout = 0.1 },

  -- The head in row blocks, and what the backward pass recomputes.
  { name = "blocks_of_rows", quick = true, n_layer = 2, n_head = 3, n_embd = 24, block_size = 12, batch_size = 2,
    activation = "silu", tie_weights = false, lm_head_bias = true, logits_rows = 3, recompute = "block",
    dropout = 0.1 },
  { name = "large_vocabulary", n_layer = 2, n_head = 1, n_embd = 8, block_size = 19, batch_size = 2, vocab_size = 1031,
    logits_rows = 19, recompute = "gelu", init = "pytorch", bias = true },
  { name = "wide_vocabulary", n_layer = 1, n_head = 1, n_embd = 8, block_size = 5, batch_size = 2, vocab_size = 65600,
    bias = true },
  { name = "recompute_gelu", n_layer = 3, n_head = 2, n_embd = 24, block_size = 16, batch_size = 2, bias = true,
    recompute = "gelu", activation = "gelu_tanh", dropout = 0.1 },

  -- Several ways to compute the same.
  { name = "any_sizes", n_layer = 2, n_head = 2, n_embd = 20, block_size = 9, batch_size = 3, bias = true,
    dropout = 0.1, cpu = { specialise = false }, cuda = false },
  { name = "tiled", n_layer = 1, n_head = 2, n_embd = 20, block_size = 9, batch_size = 3,
    cpu = { tiling = "matmul_27x20x60-1-7-1-0" }, cuda = false },
  -- A CPU's products of factors in bfloat16: sums in one slice, of odd length, and a head of its own.
  { name = "bfloat16", quick = true, n_layer = 2, n_head = 3, n_embd = 21, block_size = 13, batch_size = 3, bias = true,
    dropout = 0.1, gradient_accumulation_steps = 2, tie_weights = false, dtype = "bfloat16", cuda = false },
  { name = "float16", n_layer = 2, n_head = 2, n_embd = 24, block_size = 16, batch_size = 2, bias = true,
    dropout = 0.1, gradient_accumulation_steps = 2, cpu = false, cuda = { dtype = "float16" } },
}

-- The config of a case on a backend, as the text of a config file; nil if the case leaves the backend out.
function cases.text(case, backend)
  local own = case[backend]
  if own == false then return nil end
  local keys, names = {}, {}
  local function add(from)
    for name, value in pairs(from) do keys[name] = value end
  end
  add(cases.common)
  add(case)
  add(own or {})
  for _, name in ipairs { "name", "quick", "cpu", "cuda", "env" } do keys[name] = nil end
  for name in pairs(keys) do names[#names + 1] = name end
  table.sort(names)
  local lines = {}
  for i, name in ipairs(names) do
    local value = keys[name]
    lines[i] = ("  %s = %s,"):format(name, type(value) == "string" and ("%q"):format(value) or tostring(value))
  end
  return "return {\n" .. table.concat(lines, "\n") .. "\n}\n"
end

return cases
