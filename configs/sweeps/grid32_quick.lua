-- grid32 in minutes: the same five factors over the characters of Tiny Shakespeare, half as wide, shorter.
return {
  base = "grid_base",
  grid = {
    { "n_head", { 4, 8 } },
    { "n_embd", { 64, 128 } },
    { "batch_size", { 8, 16 } },
    { "max_iters", { 400, 800 } },
    { "dropout", { 0.1, 0.2 } },
  },
  set = { dataset = "shakespeare_char", vocab_size = 65, eval_interval = 80, eval_iters = 20 },
  prompt = "First Citizen:\nBefore we proceed",
}
