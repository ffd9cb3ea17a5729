-- mite: the smallest model, whose files have each bit flipped and each call failed.
return { n_layer = 1, n_head = 1, n_embd = 2, block_size = 2, batch_size = 1, vocab_size = 9, isa = "generic",
  dataset = "ab", max_iters = 5, lr_decay_iters = 5, warmup_iters = 1, eval_interval = 2, eval_iters = 1,
  gradient_accumulation_steps = 1 }
