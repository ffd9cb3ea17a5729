-- Two of grid32's widest runs for 1,500 iterations, to hold beside PyTorch's (tests/reference/study.lua): the loss
-- curve of a small word-piece model that overfits, and its twin with half the dropout, which does so sooner.
return {
  base = "grid_base",
  grid = {
    { "dropout", { 0.2, 0.1 } },
  },
  set = { n_embd = 256, n_head = 8, max_iters = 1500 },
  prompt = "First Citizen:\nBefore we proceed",
}
