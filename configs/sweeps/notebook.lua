-- One setting at a time around the character GPT of study notebooks: what each of them is worth.
return {
  base = "notebook_small",
  vary = {
    { "n_head", { 1, 8 } },
    { "n_layer", { 1, 8 } },
    { "n_embd", { 32, 128 } },
    { "dropout", { 0.0, 0.3 } },
    { "block_size", { 32, 256 } },
  },
  prompt = "First Citizen:\nBefore we proceed",
}
