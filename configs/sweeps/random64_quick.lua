-- 64 drawn models of grid32_quick's size, of which halving stops the worse part: the widths, heads, batches and
-- dropouts between which the grid chooses, and a learning rate, all for the longer 800 iterations of that grid.
return {
  base = "grid_base",
  random = {
    runs = 64,
    seed = 1,
    n_head = { 4, 8 },
    n_embd = { 64, 128 },
    batch_size = { 8, 16 },
    dropout = uniform(0.1, 0.2),
    learning_rate = log(1e-4, 1e-2),
  },
  seeds = { 1 },
  halving = { first = 160, keep = 1/2 },
  set = { dataset = "shakespeare_char", vocab_size = 65, max_iters = 800, eval_interval = 80, eval_iters = 20 },
  prompt = "First Citizen:\nBefore we proceed",
}
