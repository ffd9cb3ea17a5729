-- keys: every key of a config, in the order in which they are shown. This one table is the schema, the trainer's
-- --help, the table of keys, the error messages, and what resuming and the sampler compare. A table alone: it depends
-- on nothing.
--
--   name, help
--   type      int, float, bool, string, or enum, of `values`
--   min, max  inclusive; `above` and `below` are not
--   default   the default's value; `shown` is the default in words, if there is no value or it says too little
--   baked     true: the key decides the emitted text; else it is a flag of the trainer, a run key
--   derived   the name of the key that this one follows from
--   changes   what another value of the key changes:
--               function   results, and what a sampler computes by the same weights: it refuses the other's files
--               results    results alone: a run is not resumed with it, unless --init_from=resume says so
--               rounding   how sums round: a run is resumed, with a line that says so
--               nothing    nothing: a difference is not mentioned
--   shape     true: names or shapes of a checkpoint's tensors show the key, at every value; advice on which program to
--             build names it
--   absent    the value that a file without the key means: what every version before the key did. At that value the
--             key is written nowhere (emitted text, hash, checkpoints, a sweep's records), so that a config emits what
--             it emitted before the key existed. A key has it unless files of every version state the key.
--   length    true: the key says where a run ends, and changes none of its steps: a run with a larger value is one with
--             a smaller one, continued; reports and sweeps tell the two apart
--   machine   true: its value depends on this machine, and is not a difference between two runs
--   gpt, cuda, cpu, where = "KEY"   the key matters only for a GPT, on that backend, if that key is true
return {
  { name = "model", type = "enum", values = { "gpt", "bigram" }, default = "gpt", baked = true,
    changes = "results", shape = true, help = "the model: a GPT, or one table of which token follows which" },
  { name = "n_layer", type = "int", min = 1, max = 1024, default = 12, baked = true, changes = "results",
    shape = true, gpt = true, help = "transformer blocks" },
  { name = "n_head", type = "int", min = 1, max = 1024, default = 12, baked = true, changes = "function",
    gpt = true, help = "attention heads; must divide n_embd" },
  { name = "n_embd", type = "int", min = 1, max = 65536, default = 768, baked = true, changes = "results",
    shape = true, gpt = true, help = "width of the model" },
  { name = "block_size", type = "int", min = 1, max = 1048576, default = 1024, baked = true, changes = "results",
    shape = true, help = "tokens of context" },
  { name = "vocab_size", type = "int", min = 1, max = 1048576, shown = "the data's", baked = true,
    changes = "results", shape = true, help = "distinct tokens" },
  { name = "batch_size", type = "int", min = 1, max = 65536, default = 12, baked = true, changes = "results",
    help = "sequences in one micro-step" },
  { name = "bias", type = "bool", default = false, baked = true, changes = "results", shape = true, gpt = true,
    help = "biases in linear layers and layernorms" },
  { name = "qkv_bias", type = "bool", shown = "as bias", baked = true, changes = "results", shape = true,
    gpt = true, help = "bias of the query, key and value projection" },
  { name = "lm_head_bias", type = "bool", default = false, baked = true, changes = "results", shape = true,
    gpt = true, help = "bias of the head" },
  { name = "tie_weights", type = "bool", default = true, baked = true, changes = "results", shape = true,
    gpt = true, help = "the head shares the token embedding's weights" },
  { name = "norm", type = "enum", values = { "layernorm", "rmsnorm" }, default = "layernorm", absent = "layernorm",
    baked = true, changes = "function", gpt = true,
    help = "what ln_1, ln_2 and ln_f are; rmsnorm subtracts no mean and has no bias" },
  { name = "activation", type = "enum", values = { "gelu_erf", "gelu_tanh", "relu", "silu" }, default = "gelu_erf",
    baked = true, changes = "function", gpt = true, help = "activation of the feed-forward layers" },
  { name = "attn_scale", type = "enum", values = { "head", "embd" }, default = "head", baked = true,
    changes = "function", gpt = true,
    help = "attention scores are divided by the root of the head size or of n_embd" },
  { name = "has_dropout", type = "bool", baked = true, changes = "rounding", derived = "dropout",
    help = "dropout is built in: the config's dropout is above 0" },
  { name = "dropout_embd", type = "bool", default = true, baked = true, changes = "results", where = "has_dropout",
    gpt = true, help = "where there is dropout, the embeddings get it too" },
  { name = "init", type = "enum", values = { "nanogpt", "pytorch" }, default = "nanogpt", baked = true,
    changes = "results", help = "initial weights: nanoGPT's, or the defaults of PyTorch's layers" },
  { name = "optimizer", type = "enum", values = { "adamw", "adam", "sgd" }, default = "adamw", baked = true,
    changes = "results", help = "the optimizer" },
  { name = "decay_params", type = "enum", values = { "matrices", "all" }, default = "matrices", baked = true,
    changes = "results", help = "what weight decay applies to: matrices and embeddings, or everything" },
  { name = "recompute", type = "enum", values = { "none", "gelu", "block" }, default = "none", baked = true,
    changes = "rounding",
    help = "what the backward pass recomputes instead of keeping it: nothing, the " ..
      "activated values, or whole blocks from their input" },
  { name = "logits_rows", type = "int", min = 0, max = 1 << 24, default = 0, baked = true, changes = "rounding",
    help = "rows of logits held at a time; 0 is 8,192 on cuda and 56 MiB on the cpu" },
  { name = "dtype", type = "enum", values = { "float32", "bfloat16", "float16" },
    shown = "bfloat16 on cuda, float32 on the cpu", baked = true, changes = "results",
    help = "type of activations and products; the cpu backend has float32 only" },
  { name = "specialise", type = "bool", default = true, baked = true, changes = "nothing", absent = true,
    machine = true, cpu = true,
    help = "sizes are constants in the trainer's kernels; with false they are arguments, as in a " ..
      "library, for comparison: cpu backend, not the sampler" },
  { name = "tf32", type = "bool", default = false, baked = true, changes = "rounding", cuda = true,
    help = "float32 products may round their operands to TF32" },
  { name = "attention", type = "enum", values = { "mma", "hopper" }, default = "mma", baked = true,
    changes = "rounding", cuda = true, help = "attention's kernels: for every GPU from sm_80 on, or Hopper's own" },
  { name = "arch", type = "enum",
    values = { "native", "all", "sm_80", "sm_86", "sm_87", "sm_89", "sm_90a", "sm_100a", "sm_103a", "sm_120a" },
    default = "native", baked = true, changes = "rounding", machine = true, cuda = true,
    help = "the GPU to compile for; native is this machine's, or, if it has none, all: " ..
      "sm_80, sm_90a, and PTX for newer ones" },
  { name = "backend", type = "enum", values = { "cpu", "cuda" }, default = "cpu", baked = true,
    changes = "rounding", help = "what the trainer runs on" },
  { name = "isa", type = "enum", values = { "native", "avx512", "avx2", "neon", "generic" }, default = "native",
    baked = true, changes = "rounding", machine = true, help = "instruction set; native is this machine's" },
  { name = "tiling", type = "string", default = "tuned", baked = true, changes = "nothing", machine = true,
    cpu = true,
    help = "the tiling of products, which changes no result: tuned (by make tune on this machine), model (the " ..
      "cost model's), or a list" },

  { name = "dropout", type = "float", min = 0, below = 1, default = 0.0, changes = "results",
    help = "probability of dropout; a trainer built with 0 accepts no other value" },
  { name = "out_dir", type = "string", default = "", shown = "out/NAME", changes = "nothing",
    help = "folder for checkpoints and logs" },
  { name = "dataset", type = "string", default = "shakespeare_char", changes = "results",
    help = "data set: a folder of data_dir with train.bin, val.bin and meta.json" },
  { name = "data_dir", type = "string", default = "data", changes = "nothing", help = "folder of the data sets" },
  { name = "init_from", type = "string", default = "auto", changes = "nothing",
    help = "auto (resume an unfinished run), scratch, resume, or the path of a checkpoint" },
  { name = "max_iters", type = "int", min = 0, max = 1000000000, default = 600000, changes = "nothing", length = true,
    help = "the last iteration, counted from 0" },
  { name = "max_seconds", type = "float", min = 0, max = 1000000000, default = 0.0, absent = 0.0, changes = "nothing",
    length = true, help = "seconds of training after which a run ends, if max_iters is not there before; 0 is off" },
  { name = "gradient_accumulation_steps", type = "int", min = 1, max = 1000000, default = 40, changes = "results",
    help = "micro-steps in one iteration" },
  { name = "learning_rate", type = "float", min = 0, max = 1000, default = 6e-4, changes = "results",
    help = "highest learning rate" },
  { name = "decay_lr", type = "bool", default = true, changes = "results",
    help = "warm up, then a cosine down to min_lr; with false the learning rate is constant" },
  { name = "warmup_iters", type = "int", min = 0, max = 1000000000, default = 2000, changes = "results",
    help = "iterations of linear warm-up" },
  { name = "lr_decay_iters", type = "int", min = 0, max = 1000000000, default = 600000, changes = "results",
    help = "iteration at which the cosine ends" },
  { name = "min_lr", type = "float", min = 0, max = 1000, default = 6e-5, changes = "results",
    help = "learning rate from lr_decay_iters on" },
  { name = "weight_decay", type = "float", min = 0, max = 1000, default = 0.1, changes = "results",
    help = "weight decay" },
  { name = "beta1", type = "float", min = 0, below = 1, default = 0.9, changes = "results",
    help = "decay of the first moment" },
  { name = "beta2", type = "float", min = 0, below = 1, default = 0.95, changes = "results",
    help = "decay of the second moment" },
  { name = "eps", type = "float", above = 0, max = 1, default = 1e-8, changes = "results",
    help = "added to the root of the second moment" },
  { name = "grad_clip", type = "float", min = 0, max = 1000000000, default = 1.0, changes = "results",
    help = "largest norm of all gradients together; 0 is off" },
  { name = "seed", type = "int", min = 0, max = 4294967295, default = 1337, changes = "results",
    help = "seed of weights, batches and dropout" },
  { name = "eval_interval", type = "int", min = 1, max = 1000000000, default = 2000, changes = "results",
    help = "iterations between evaluations" },
  { name = "eval_iters", type = "int", min = 1, max = 1000000000, default = 200, changes = "results",
    help = "batches of each split in an evaluation" },
  { name = "hellaswag_interval", type = "int", min = 0, max = 1000000000, default = 0, changes = "nothing",
    help = "iterations between evaluations of HellaSwag, data_dir/hellaswag/hellaswag_val.bin; 0 is off" },
  { name = "eval_only", type = "bool", default = false, changes = "nothing", help = "evaluate once and stop" },
  { name = "always_save_checkpoint", type = "bool", default = true, changes = "results",
    help = "save the weights at every evaluation, not only at the best one" },
  { name = "checkpoint_interval", type = "int", min = 0, max = 1000000000, default = 1000, changes = "nothing",
    help = "iterations between saved states; 0 saves only at a stop and at the end" },
  { name = "log_interval", type = "int", min = 1, max = 1000000000, default = 1, changes = "nothing",
    help = "iterations between printed losses" },
  { name = "sample_interval", type = "int", min = 0, max = 1000000000, default = 0, changes = "nothing",
    help = "iterations between printed samples; 0 is off" },
  { name = "tensorboard", type = "bool", default = false, changes = "nothing",
    help = "also write the metrics as TensorBoard event files, in out_dir" },
  { name = "csv", type = "bool", default = false, changes = "nothing",
    help = "also write metrics.csv and evaluations.csv in out_dir" },
  { name = "report", type = "bool", default = false, changes = "nothing",
    help = "rewrite out_dir/report.html at each evaluation and at the end" },
  { name = "verify", type = "bool", default = false, changes = "nothing",
    help = "check all of the data against its hashes first; by default only parts of files above 256 MiB" },
  { name = "threads", type = "int", min = 0, max = 1024, default = 0, changes = "nothing",
    help = "threads; 0 is as many as may run at once, which is also the maximum. Results do not depend on it" },
}
