-- From GPT-2 to speedrun_char, one part at a time: each run has what the one before it has, and one part more.
return {
  base = "shakespeare_char_cpu",
  runs = {
    {},
    { norm = "rmsnorm" },
    { norm = "rmsnorm", pos = "rope" },
    { norm = "rmsnorm", pos = "rope", qk_norm = "gain" },
    { norm = "rmsnorm", pos = "rope", qk_norm = "gain", activation = "swiglu", n_ff = 344 },
    { norm = "rmsnorm", pos = "rope", qk_norm = "gain", activation = "swiglu", n_ff = 344, tie_weights = false },
    { norm = "rmsnorm", pos = "rope", qk_norm = "gain", activation = "swiglu", n_ff = 344, tie_weights = false,
      schedule = "linear", warmup_iters = 0, min_lr = 0, learning_rate = 3e-3 },
    { norm = "rmsnorm", pos = "rope", qk_norm = "gain", activation = "swiglu", n_ff = 344, tie_weights = false,
      schedule = "linear", warmup_iters = 0, min_lr = 0, learning_rate = 3e-3, optimizer = "muon" },
  },
  seeds = { 1, 2 },
  set = { eval_interval = 500, eval_iters = 100 },
  prompt = "First Citizen:\n",
}
