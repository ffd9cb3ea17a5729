-- 32 small word-piece models: every combination of two heads, widths, batches, lengths and dropouts, around grid_base.
-- The longer of two runs that differ in max_iters alone continues from the shorter one.
return {
  base = "grid_base",
  grid = {
    { "n_head", { 4, 8 } },
    { "n_embd", { 128, 256 } },
    { "batch_size", { 8, 16 } },
    { "max_iters", { 1000, 2000 } },
    { "dropout", { 0.1, 0.2 } },
  },
  prompt = "First Citizen:\nBefore we proceed",
}
