-- plain: nanoGPT's defaults on a large vocabulary: the head in row blocks, one loop over the layers.
return {
  n_layer = 3, n_head = 4, n_embd = 64, block_size = 64, vocab_size = 50304, batch_size = 8,
  isa = "avx512",
}
