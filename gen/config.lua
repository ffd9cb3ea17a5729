-- config: what a model and its training may be told. One list, `config.keys`, is the schema, the
-- trainer's --help, the README's table and the error messages.
--
-- A baked key changes the emitted text; a run key is a flag of the trainer. What another value of a key
-- does to a run that goes on is its effect: it gives other results, which is refused; it rounds sums
-- otherwise, which is said; or it does nothing.
local dkjson = require "dkjson"
local files = require "gen.files"
local sandbox = require "gen.sandbox"

local config = {}

local USAGE, DATA, MISSING, INTERNAL, IO = 64, 65, 66, 70, 74
local ENOENT = 2
local MAX_TOKENS = 1 << 24         -- in a batch
local MAX_META_BYTES = 8 * 1024 * 1024

-- ---- the schema ---------------------------------------------------------------------------------

-- min and max are inclusive; `above` and `below` are not. `shown` is the default in words where the
-- value alone says too little. gpt = true: the key says nothing about a bigram model; cuda = true: nor
-- about a trainer for the CPU; cpu = true: nor about one for a GPU. machine = true: what it resolves to is
-- this machine's affair, and two runs are not told apart by it. effect is "results" of baked keys and of
-- run keys with results = true, "none" of others, where it is not stated. sampler says what another value of a
-- baked key makes of a sampler: "function": something else by the same weights, so these are refused; "shape": by
-- others, which the tensors show; "none", where it is not stated.
config.keys = {
  { name = "model", type = "enum", values = { "gpt", "bigram" }, default = "gpt", baked = true, sampler = "shape",
    help = "the model: a GPT, or one table of which token follows which" },
  { name = "n_layer", type = "int", min = 1, max = 1024, default = 12, baked = true, sampler = "shape", gpt = true,
    help = "transformer blocks" },
  { name = "n_head", type = "int", min = 1, max = 1024, default = 12, baked = true, sampler = "function", gpt = true,
    help = "attention heads; must divide n_embd" },
  { name = "n_embd", type = "int", min = 1, max = 65536, default = 768, baked = true, sampler = "shape", gpt = true,
    help = "width of the model" },
  { name = "block_size", type = "int", min = 1, max = 1048576, default = 1024, baked = true, sampler = "shape",
    help = "tokens of context" },
  { name = "vocab_size", type = "int", min = 1, max = 65536, shown = "the data's", baked = true, sampler = "shape",
    help = "distinct tokens" },
  { name = "batch_size", type = "int", min = 1, max = 65536, default = 12, baked = true,
    help = "sequences in one micro-step" },
  { name = "bias", type = "bool", default = false, baked = true, sampler = "shape", gpt = true,
    help = "biases in linear layers and layernorms" },
  { name = "qkv_bias", type = "bool", shown = "as bias", baked = true, sampler = "shape", gpt = true,
    help = "bias of the query, key and value projection" },
  { name = "lm_head_bias", type = "bool", default = false, baked = true, sampler = "shape", gpt = true,
    help = "bias of the head" },
  { name = "tie_weights", type = "bool", default = true, baked = true, sampler = "shape", gpt = true,
    help = "the head shares the token embedding's weights" },
  { name = "activation", type = "enum", values = { "gelu_erf", "gelu_tanh", "relu", "silu" },
    default = "gelu_erf", baked = true, sampler = "function", gpt = true,
    help = "activation of the feed-forward layers" },
  { name = "attn_scale", type = "enum", values = { "head", "embd" }, default = "head", baked = true,
    sampler = "function", gpt = true, help = "attention scores are divided by the root of the head size or of n_embd" },
  { name = "has_dropout", type = "bool", baked = true, effect = "rounding", derived = "dropout",
    help = "dropout is built in: the config's dropout is above 0" },
  { name = "dropout_embd", type = "bool", default = true, baked = true, gpt = true,
    help = "where there is dropout, the embeddings get it too" },
  { name = "init", type = "enum", values = { "nanogpt", "pytorch" }, default = "nanogpt",
    baked = true, help = "initial weights: as nanoGPT's, or as PyTorch's layers come" },
  { name = "optimizer", type = "enum", values = { "adamw", "adam", "sgd" }, default = "adamw",
    baked = true, help = "the optimizer" },
  { name = "decay_params", type = "enum", values = { "matrices", "all" }, default = "matrices",
    baked = true, help = "what weight decay applies to: matrices and embeddings, or everything" },
  { name = "recompute", type = "enum", values = { "none", "gelu", "block" }, default = "none",
    baked = true, effect = "rounding",
    help = "what the backward pass makes again instead of keeping it: nothing, the " ..
      "activated values, or whole blocks from their input" },
  { name = "logits_rows", type = "int", min = 0, max = MAX_TOKENS, default = 0, baked = true, effect = "rounding",
    help = "rows of logits held at a time; 0 is 8,192 on cuda and 32 MiB on the cpu" },
  { name = "dtype", type = "enum", values = { "float32", "bfloat16", "float16" },
    shown = "bfloat16 on cuda, float32 on the cpu", baked = true,
    help = "what activations and products are computed in; the cpu backend knows float32 alone" },
  { name = "specialise", type = "bool", default = true, baked = true, effect = "none", machine = true, cpu = true,
    help = "sizes are constants in the trainer's kernels; false tells them when they are called, as a " ..
      "library's are, to compare: cpu backend, the sampler stays as it is" },
  { name = "tf32", type = "bool", default = false, baked = true, effect = "rounding", cuda = true,
    help = "float32 products may round their factors to TF32" },
  { name = "attention", type = "enum", values = { "mma", "hopper" }, default = "mma", baked = true, effect = "rounding",
    cuda = true, help = "attention's kernels: for every GPU from sm_80 on, or Hopper's own" },
  { name = "arch", type = "enum", values = { "native", "all", "sm_80", "sm_86", "sm_87", "sm_89",
    "sm_90a", "sm_100a", "sm_103a", "sm_120a" }, default = "native", baked = true, effect = "rounding",
    machine = true, cuda = true,
    help = "the GPU that is compiled for; native is this machine's, or, where it has none, all: " ..
      "sm_80, sm_90a, and PTX for newer ones" },
  { name = "backend", type = "enum", values = { "cpu", "cuda" }, default = "cpu", baked = true, effect = "rounding",
    help = "what the trainer runs on" },
  { name = "isa", type = "enum", values = { "native", "avx512", "avx2", "neon", "generic" },
    default = "native", baked = true, effect = "rounding", machine = true,
    help = "instruction set; native is this machine's" },
  { name = "tiling", type = "string", default = "tuned", baked = true, effect = "none", machine = true, cpu = true,
    help = "how products are cut, which changes no result: tuned (by what make tune found here), model (a " ..
      "cost model's), or a list" },

  { name = "dropout", type = "float", min = 0, below = 1, default = 0.0, results = true,
    help = "probability of dropout; a trainer built with 0 takes no other" },
  { name = "out_dir", type = "string", default = "", shown = "out/NAME",
    help = "folder for checkpoints and logs" },
  { name = "dataset", type = "string", default = "shakespeare_char", results = true,
    help = "data set: a folder of data_dir with train.bin, val.bin and meta.json" },
  { name = "data_dir", type = "string", default = "data", help = "folder of the data sets" },
  { name = "init_from", type = "string", default = "auto",
    help = "auto (go on with an unfinished run), scratch, resume, or the path of a checkpoint" },
  { name = "max_iters", type = "int", min = 0, max = 1000000000, default = 600000,
    help = "the last iteration; they count from 0" },
  { name = "gradient_accumulation_steps", type = "int", min = 1, max = 1000000, default = 40,
    results = true, help = "micro-steps in one iteration" },
  { name = "learning_rate", type = "float", min = 0, max = 1000, default = 6e-4, results = true,
    help = "highest learning rate" },
  { name = "decay_lr", type = "bool", default = true, results = true,
    help = "warm up, then a cosine down to min_lr; false keeps learning_rate throughout" },
  { name = "warmup_iters", type = "int", min = 0, max = 1000000000, default = 2000, results = true,
    help = "iterations of linear warm-up" },
  { name = "lr_decay_iters", type = "int", min = 0, max = 1000000000, default = 600000,
    results = true, help = "iteration at which the cosine ends" },
  { name = "min_lr", type = "float", min = 0, max = 1000, default = 6e-5, results = true,
    help = "learning rate from lr_decay_iters on" },
  { name = "weight_decay", type = "float", min = 0, max = 1000, default = 0.1, results = true,
    help = "weight decay" },
  { name = "beta1", type = "float", min = 0, below = 1, default = 0.9, results = true,
    help = "decay of the first moment" },
  { name = "beta2", type = "float", min = 0, below = 1, default = 0.95, results = true,
    help = "decay of the second moment" },
  { name = "eps", type = "float", above = 0, max = 1, default = 1e-8, results = true,
    help = "added to the root of the second moment" },
  { name = "grad_clip", type = "float", min = 0, max = 1000000000, default = 1.0, results = true,
    help = "largest norm of all gradients together; 0 is off" },
  { name = "seed", type = "int", min = 0, max = 4294967295, default = 1337, results = true,
    help = "seed of weights, batches and dropout" },
  { name = "eval_interval", type = "int", min = 1, max = 1000000000, default = 2000,
    results = true, help = "iterations from one evaluation to the next" },
  { name = "eval_iters", type = "int", min = 1, max = 1000000000, default = 200, results = true,
    help = "batches of each split in an evaluation" },
  { name = "eval_only", type = "bool", default = false, help = "evaluate once and stop" },
  { name = "always_save_checkpoint", type = "bool", default = true, results = true,
    help = "save the weights at every evaluation, not only at the best one" },
  { name = "checkpoint_interval", type = "int", min = 0, max = 1000000000, default = 1000,
    help = "iterations from one saved state to the next; 0 saves it at a stop and at the end" },
  { name = "log_interval", type = "int", min = 1, max = 1000000000, default = 1,
    help = "iterations from one printed loss to the next" },
  { name = "sample_interval", type = "int", min = 0, max = 1000000000, default = 0,
    help = "iterations from one printed sample to the next; 0 is off" },
  { name = "tensorboard", type = "bool", default = false,
    help = "also write what is measured as TensorBoard's event files, in out_dir" },
  { name = "csv", type = "bool", default = false,
    help = "also write metrics.csv and evaluations.csv in out_dir" },
  { name = "report", type = "bool", default = false,
    help = "make out_dir/report.html anew at each evaluation and at the end" },
  { name = "verify", type = "bool", default = false,
    help = "hold all of the data against their hashes first; else files above 256 MiB are looked at in places" },
  { name = "threads", type = "int", min = 0, max = 1024, default = 0,
    help = "threads; 0 takes as many as may run at once, which is also the most. Results do not depend on it" },
}

-- nanoGPT's keys that mean nothing here, and what takes their place. `backend` is listed for the
-- trainer's flags; in a config it is a key, and only nanoGPT's values of it are passed over.
config.foreign = {
  { name = "device", help = "the backend key chooses what a trainer runs on, when it is built" },
  { name = "compile", help = "every trainer is compiled for its config" },
  { name = "backend", help = "one process trains; its threads are set with threads" },
  { name = "wandb_log", help = "each step goes to metrics.jsonl in the run's folder" },
  { name = "wandb_project", help = "each step goes to metrics.jsonl in the run's folder" },
  { name = "wandb_run_name", help = "a run is named by its folder: make train ... NAME=name" },
}

local foreign_backends = { nccl = true, gloo = true, mpi = true }

-- Names that people bring from elsewhere, too far from ours for the edit distance.
local other_names = {
  lr = "learning_rate", vocab = "vocab_size", steps = "max_iters", iters = "max_iters",
  accumulation = "gradient_accumulation_steps",
  num_layers = "n_layer", num_hidden_layers = "n_layer", num_heads = "n_head",
  num_attention_heads = "n_head", hidden_size = "n_embd", d_model = "n_embd", embed_dim = "n_embd",
  context_length = "block_size", seq_len = "block_size", sequence_length = "block_size",
}

local by_name, foreign_by_name = {}, {}
for _, key in ipairs(config.keys) do
  key.baked = key.baked or false
  key.changes_results = key.baked or key.results or false
  key.effect = key.effect or (key.changes_results and "results" or "none")
  key.sampler = key.sampler or "none"
  key.results = nil
  by_name[key.name] = key
end
for _, key in ipairs(config.foreign) do foreign_by_name[key.name] = key end

-- ---- messages -----------------------------------------------------------------------------------

local function fail(code, place, format, ...)
  local message = place .. ": " .. format:format(...)
  error({ code = code, message = sandbox.printable(message, 400) }, 0)
end

-- The value as an error shows it.
local function show(value)
  if type(value) == "string" then return "'" .. sandbox.printable(value, 60) .. "'" end
  if math.type(value) == "float" then
    if value ~= value then return "nan" end
    return (("%.14g"):format(value))
  end
  return tostring(value)
end

-- What a key takes, in words.
local function wanted(key)
  if key.type == "bool" then return "true or false" end
  if key.type == "string" then return "a string" end
  if key.type == "enum" then
    return (#key.values > 1 and "one of " or "") .. table.concat(key.values, ", ")
  end
  if key.type == "int" then return ("a whole number from %d to %d"):format(key.min, key.max) end
  local low = key.above and "a number above " .. show(key.above) or
    "a number from " .. show(key.min)
  return low .. (key.below and " to below " .. show(key.below) or " to " .. show(key.max))
end

-- Edits (one character put in, left out or replaced) that lead from a to b.
local function edit_distance(a, b)
  local row = {}
  for j = 0, #b do row[j] = j end
  for i = 1, #a do
    local diagonal = row[0]
    row[0] = i
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      local best = math.min(row[j] + 1, row[j - 1] + 1, diagonal + cost)
      diagonal, row[j] = row[j], best
    end
  end
  return row[#b]
end

-- The key that was probably meant, or nil.
function config.suggest(name)
  name = name:sub(1, 40):lower()
  if other_names[name] then return other_names[name] end
  local best, best_distance = nil, math.min(3, math.ceil(#name / 3)) + 1
  for _, key in ipairs(config.keys) do
    local distance = edit_distance(name, key.name)
    if not key.derived and distance < best_distance then
      best, best_distance = key.name, distance
    end
  end
  return best
end

-- ---- values -------------------------------------------------------------------------------------

local function check_number(key, value, place)
  local number = value
  if type(value) == "number" and key.type == "int" then number = math.tointeger(value) end
  if type(value) ~= "number" or not number or number ~= number or
    (key.min and number < key.min) or (key.above and number <= key.above) or
    (key.max and number > key.max) or (key.below and number >= key.below) then
    local kind = type(value) ~= "number" and " is a " .. type(value) or ""
    fail(USAGE, place, "%s = %s%s; wanted %s", key.name, show(value), kind, wanted(key))
  end
  return key.type == "float" and number + 0.0 or number
end

local function check_string(key, value, place)
  if type(value) ~= "string" then
    fail(USAGE, place, "%s = %s is a %s; wanted a string", key.name, show(value), type(value))
  end
  if value:find("[%c\127]") then
    fail(USAGE, place, "%s = %s has control characters; wanted plain text", key.name, show(value))
  end
  if key.name == "tiling" and not value:find("^[%w_+-]+$") then
    fail(USAGE, place, "tiling = %s; wanted tuned, model, or such as matmul_768x128x512-3-128-64-0", show(value))
  end
  if key.name == "dataset" and not value:find("^[%w_][%w_.-]*$") then
    fail(USAGE, place, "dataset = %s; wanted a folder's name: letters, digits, '_', '-', '.'",
      show(value))
  end
  if value == "" and key.default ~= "" then
    fail(USAGE, place, "%s is empty; wanted %s", key.name, wanted(key))
  end
  return value
end

local function check_enum(key, value, place)
  for _, known in ipairs(key.values) do
    if value == known then return value end
  end
  fail(USAGE, place, "%s = %s; wanted %s", key.name, show(value), wanted(key))
end

local function check_bool(key, value, place)
  if type(value) ~= "boolean" then
    fail(USAGE, place, "%s = %s is a %s; wanted true or false", key.name, show(value), type(value))
  end
  return value
end

local checks = {
  int = check_number, float = check_number, bool = check_bool, string = check_string,
  enum = check_enum,
}

local booleans = { ["True"] = true, ["true"] = true, ["1"] = true,
  ["False"] = false, ["false"] = false, ["0"] = false }

-- The value that the text of an assignment stands for; the text itself where it is of another type.
local function parse(key, text)
  local value
  if not key then return text end
  if key.type == "bool" then
    value = booleans[text]
  elseif key.type == "int" or key.type == "float" then
    -- Only what a C program would read too: no hexadecimal, no blanks.
    if text:find("^[%d.eE+-]+$") then value = tonumber((text:gsub("^%+", ""))) end
  end
  if value == nil then return text end
  return value
end

-- ---- loading ------------------------------------------------------------------------------------

-- A draft: values stated so far, the place of each, and the order in which they came.
local function set(draft, name, value, place)
  local key = by_name[name]
  local passed_over = foreign_by_name[name]
  if name == "backend" and not foreign_backends[value] then passed_over = nil end
  if passed_over then
    draft.warn(sandbox.printable(("%s: %s = %s means nothing here: %s"):format(
      place, name, show(value), passed_over.help), 400))
    return
  end
  if not key then
    local meant = config.suggest(name)
    fail(USAGE, place, "unknown key '%s'; %s", sandbox.printable(name, 40),
      meant and "did you mean '" .. meant .. "'?" or "README.md lists all keys")
  end
  if key.derived then
    fail(USAGE, place, "%s follows from %s; set that one", name, key.derived)
  end
  draft.values[name] = checks[key.type](key, value, place)
  draft.count = draft.count + 1
  draft.places[name], draft.order[name] = place, draft.count
end

-- The place of the key that was stated last, of those stated.
local function place_of(draft, ...)
  local place, last = draft.source, 0
  for _, name in ipairs({ ... }) do
    if (draft.order[name] or 0) > last then
      place, last = draft.places[name], draft.order[name]
    end
  end
  return place
end

-- The architecture of this machine's GPU as nvcc names it, or "all" where none is found.
function config.arch_of(capability)
  local major, minor = (capability or ""):match("^(%d+)%.(%d+)")
  if not major then return "all" end
  local name = ("sm_%s%s"):format(major, minor)
  for _, known in ipairs(by_name.arch.values) do
    if known == name or known == name .. "a" then return known end
  end
  return "all"
end

local function native_arch()
  local pipe = io.popen("nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null", "r")
  local line = pipe and pipe:read("l")
  if pipe then pipe:close() end
  return config.arch_of(line)
end

-- The instruction set of a machine, from /proc/cpuinfo's text and `uname -m`.
function config.isa_of(cpuinfo, machine)
  if machine == "aarch64" or machine == "arm64" then return "neon" end
  local flags = {}
  for flag in (("\n" .. cpuinfo):match("\nflags%s*:([^\n]*)") or ""):gmatch("%S+") do
    flags[flag] = true
  end
  if flags.avx512f and flags.avx512dq and flags.avx512bw and flags.avx512vl and flags.avx512cd then
    return "avx512"
  end
  return flags.avx2 and flags.fma and "avx2" or "generic"
end

local function native_isa()
  local file = io.open("/proc/cpuinfo", "r")
  local cpuinfo = file and file:read("a") or ""
  if file then file:close() end
  local pipe = io.popen("uname -m 2>/dev/null", "r")
  local machine = pipe and pipe:read("l") or ""
  if pipe then pipe:close() end
  return config.isa_of(cpuinfo, machine)
end

-- vocab_size from the data set's meta.json.
local function data_vocab_size(data_dir, dataset)
  local path = data_dir .. "/" .. dataset .. "/meta.json"
  local file, message, errno = io.open(path, "rb")
  if not file and errno ~= ENOENT then fail(IO, "vocab_size", "%s", message) end
  if not file then
    fail(MISSING, path, "missing, and vocab_size comes from it; %s", data_dir == "data" and
      ("make it with `make data DATASET=%s` or state vocab_size"):format(dataset) or
      "state vocab_size, or take data_dir=data, where `make data` writes")
  end
  local text
  text, message = file:read(MAX_META_BYTES + 1)
  file:close()
  if message then fail(IO, path, "cannot be read: %s", message) end
  text = text or ""
  local again = ("make it again with `make data DATASET=%s`"):format(dataset)
  if #text > MAX_META_BYTES then fail(DATA, path, "longer than 8 MB; %s", again) end
  local ok, meta, rest = pcall(dkjson.decode, text)
  if not ok or type(meta) ~= "table" or text:find("%S", rest) then
    fail(DATA, path, "is not JSON; %s", again)
  end
  local size = type(meta.vocab_size) == "number" and math.tointeger(meta.vocab_size)
  local key = by_name.vocab_size
  if not size or size < key.min or size > key.max then
    fail(DATA, path, "has no vocab_size from %d to %d; %s", key.min, key.max, again)
  end
  return size
end

-- A config's name becomes a folder's, and a word of make's.
local function name_of(path)
  local name = path:gsub("^.*/", ""):gsub("%.lua$", "")
  if path:find("[%c\127]") or not name:find("^[%w_][%w_.+=,-]*$") then
    fail(USAGE, path, "a config's name has letters, digits and '_', '-', '.', '+', '=', ',' " ..
      "alone; rename the file")
  end
  return name
end

local function check_together(c, draft)
  if c.backend == "cpu" and c.dtype and c.dtype ~= "float32" then
    fail(USAGE, place_of(draft, "dtype"),
      "dtype = %s, but the cpu backend computes in float32; leave dtype out or take backend=cuda", c.dtype)
  end
  if c.backend == "cuda" and not c.specialise then
    fail(USAGE, place_of(draft, "specialise"),
      "specialise = false, but the cuda backend has specialised kernels alone; leave specialise out")
  end
  if c.backend == "cuda" and c.attention == "hopper" and c.arch ~= "sm_90a" and c.arch ~= "native" then
    fail(USAGE, place_of(draft, "attention", "arch"),
      "attention = hopper, but arch = %s; Hopper's kernels run on sm_90a alone: leave arch out or take " ..
      "attention=mma", c.arch)
  end
  if c.batch_size * c.block_size > MAX_TOKENS then
    fail(USAGE, place_of(draft, "batch_size", "block_size"),
      "batch_size = %d times block_size = %d is more than %d tokens; take a smaller batch_size " ..
      "and more gradient_accumulation_steps", c.batch_size, c.block_size, MAX_TOKENS)
  end
  if c.model == "bigram" then
    if c.dropout > 0 then
      fail(USAGE, place_of(draft, "dropout", "model"),
        "dropout = %s, but model = bigram has nothing to drop; set dropout=0", show(c.dropout))
    end
  elseif c.n_embd % c.n_head ~= 0 then
    fail(USAGE, place_of(draft, "n_head", "n_embd"), "n_head = %d does not divide n_embd = %d",
      c.n_head, c.n_embd)
  end
end

-- What follows from the stated keys. A bigram model has none of a transformer's sizes and choices:
-- its own are 0, false, or the default.
local function derive(c)
  c.has_dropout = c.dropout > 0
  if c.model == "bigram" then
    for _, key in ipairs(config.keys) do
      if key.gpt then
        c[key.name] = key.default
        if key.type == "int" then c[key.name] = 0 end
        if key.type == "bool" then c[key.name] = false end
      end
    end
  end
  if c.qkv_bias == nil then c.qkv_bias = c.bias end
  c.n_ff = 4 * c.n_embd
  c.head_size = c.n_head > 0 and c.n_embd // c.n_head or 0
  if c.isa == "native" then c.isa = native_isa() end
  c.dtype = c.dtype or (c.backend == "cuda" and "bfloat16" or "float32")
  if c.backend == "cuda" and c.arch == "native" then
    -- Hopper's own kernels run on nothing else.
    c.arch = c.attention == "hopper" and "sm_90a" or native_arch()
  end
end

-- Loads the configs at `paths` and the "key=value" strings of `assignments`, later ones winning,
-- then what `options` gives: backend, data_dir, and warn(line), stderr by default. Returns a table
-- with a value for every key, and name, source, n_ff, head_size. Raises { code, message }.
function config.load(paths, assignments, options)
  paths, assignments, options = paths or {}, assignments or {}, options or {}
  if not paths[1] then
    fail(USAGE, "config", "none is named; wanted configs/NAME.lua [more.lua ...] [key=value ...]")
  end
  local draft = {
    values = {}, places = {}, order = {}, count = 0, source = paths[1],
    warn = options.warn or function(line) io.stderr:write(line, "\n") end,
  }
  local c = { name = name_of(paths[1]), source = paths[1] }
  for _, path in ipairs(paths) do
    local stated = sandbox.load(path)
    local names = {}
    for name in pairs(stated) do names[#names + 1] = name end
    table.sort(names)
    for _, name in ipairs(names) do set(draft, name, stated[name], path) end
  end
  for _, assignment in ipairs(assignments) do
    local name, text = assignment:match("^([^=]*)=(.*)$")
    if not name then
      fail(USAGE, "SET", "'%s' is no key=value", sandbox.printable(assignment, 60))
    end
    set(draft, name, parse(by_name[name], text), "SET")
  end
  if options.backend then set(draft, "backend", options.backend, "BACKEND") end
  if options.data_dir then set(draft, "data_dir", options.data_dir, "data_dir") end

  for _, key in ipairs(config.keys) do
    c[key.name] = draft.values[key.name]
    if c[key.name] == nil then c[key.name] = key.default end
  end
  check_together(c, draft)
  derive(c)
  c.vocab_size = c.vocab_size or data_vocab_size(c.data_dir, c.dataset)
  return c
end

-- ---- what others ask ----------------------------------------------------------------------------

local function keys_where(test)
  local list = {}
  for _, key in ipairs(config.keys) do
    if test(key) then list[#list + 1] = key end
  end
  return list
end

-- The folder of a build in build/: its name without '=', which `env` would take for an assignment in a program's path
-- (the Makefile's folder_with does the same). The folder of a run in out/ has the name as it is.
function config.folder(name) return (name:gsub("=", "@")) end

-- The schema's entry for a name, or nil.
function config.key(name) return by_name[name] end

-- The trainer's flags, in schema order.
function config.run_keys()
  return keys_where(function(key) return not key.baked end)
end

-- What decides the emitted text, in schema order; has_dropout, which follows from dropout, is one.
function config.baked_keys()
  return keys_where(function(key) return key.baked end)
end

-- "model=gpt n_layer=4 ...": the resolved values, less those that say nothing about this model.
function config.baked_text(c)
  local words = {}
  for _, key in ipairs(config.baked_keys()) do
    local says_nothing = key.gpt and c.model == "bigram" or key.cuda and c.backend == "cpu" or
      key.cpu and c.backend == "cuda" or
      key.name == "dropout_embd" and not c.has_dropout or key.name == "specialise" and c.specialise
    if not says_nothing then words[#words + 1] = key.name .. "=" .. tostring(c[key.name]) end
  end
  return table.concat(words, " ")
end

-- Twelve hex digits of the SHA-256 of the baked text and of `extra`, which says what the generator
-- is.
function config.hash(c, extra)
  -- Without a file of its own: there may be no room for one.
  local pipe = io.popen(("printf '%%s\\n%%s' %s %s | sha256sum"):format(files.quoted(config.baked_text(c)),
    files.quoted(extra or "")), "r")
  local line = pipe and pipe:read("l")
  if pipe then pipe:close() end
  local digits = line and line:match("^(%x%x%x%x%x%x%x%x%x%x%x%x)")
  if not digits then fail(INTERNAL, "sha256sum", "gave no hash; it comes with coreutils") end
  return digits
end

local function default_text(key)
  if key.shown then return key.shown end
  return type(key.default) == "number" and show(key.default) or tostring(key.default)
end

-- The README's table of all keys.
function config.markdown()
  local lines = {
    "| key | default | takes | baked or run | what it is |",
    "| --- | --- | --- | --- | --- |",
  }
  for _, key in ipairs(config.keys) do
    if not key.derived then
      lines[#lines + 1] = ("| `%s` | %s | %s | %s | %s |"):format(
        key.name, default_text(key), wanted(key), key.baked and "baked" or "run", key.help)
    end
  end
  return table.concat(lines, "\n") .. "\n"
end

return config
