-- The config that scale.lua varies: four layers of a character GPT. Sizes are given on the command line.
return {
  n_layer = 4,
  n_head = 2,
  n_embd = 64,
  block_size = 32,
  batch_size = 1,
  vocab_size = 65,
  dropout = 0.0,
}
