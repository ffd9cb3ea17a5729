-- tiny: as small as a model gets, for runs of some 20 ms that do all that a run does: evaluations, checkpoints, states.
return {
  data_dir = "tests/earlier/data", dataset = "harbour", vocab_size = 36, isa = "generic",
  n_layer = 1, n_head = 1, n_embd = 4, block_size = 4, batch_size = 2, bias = true, dropout = 0.1,
  max_iters = 9, eval_interval = 3, eval_iters = 1, checkpoint_interval = 2, sample_interval = 4, log_interval = 1,
  gradient_accumulation_steps = 2, learning_rate = 1e-2, warmup_iters = 2, lr_decay_iters = 9, min_lr = 1e-3,
  always_save_checkpoint = true,
}
