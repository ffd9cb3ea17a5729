-- test_config: the schema, what a config may have, every error about one, the shipped configs.
local check = require "tests.gen.check"
local hash = require "gen.config.hash"
local config = require "gen.config.load"
local machine = require "gen.config.machine"
local schema = require "gen.config.schema"

-- A temporary folder for configs and a data set of 65 characters.
local root = os.tmpname()
os.remove(root)
assert(os.execute("mkdir -p '" .. root .. "/data/shakespeare_char'"))

local function write(name, text)
  local path = root .. "/" .. name
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
  return path
end

write("data/shakespeare_char/meta.json", '{"vocab_size": 65}')
local warnings = {}
local options = {
  data_dir = root .. "/data",
  warn = function(line) warnings[#warnings + 1] = line end,
}

-- The config of this source with these assignments. isa is stated, so that results do not depend on the machine.
local function load_text(text, ...)
  return config.load({ write("x.lua", text) }, { "isa=generic", ... }, options)
end
local function load_shipped(name, ...)
  return config.load({ "configs/" .. name .. ".lua" }, { "isa=generic", ... }, options)
end
-- An expected message, as the pattern that finds it literally.
local function literal(text) return (text:gsub("%p", "%%%0")) end
local function refused(text, message, ...)
  local assignments = { ... }
  return function()
    check.raises(function() load_text(text, table.unpack(assignments)) end, 64, literal(message))
  end
end

-- ---- the schema ----

check.test("every key of the schema is complete", function()
  local seen = {}
  for _, key in ipairs(schema.keys) do
    check.equal(seen[key.name], nil, key.name)
    seen[key.name] = true
    check.equal(type(key.baked), "boolean", key.name .. ".baked")
    if not ({ ["function"] = 1, results = 1, rounding = 1, nothing = 1 })[key.changes] then
      error(("%s changes %s"):format(key.name, tostring(key.changes)))
    end
    if key.absent ~= nil and key.default ~= nil then check.equal(key.absent, key.default, key.name .. ".absent") end
    -- It is put as it is into C strings, terminals and Markdown.
    if not key.help or key.help == "" or key.help:find('[%c"\\|%%`]') then
      error(key.name .. ": help is " .. tostring(key.help))
    end
    if key.default == nil and not key.shown and not key.derived then
      error(key.name .. " has neither a default nor words for it")
    end
  end
end)

-- Files of earlier versions lack every other key: without an `absent` value for it, no earlier run would resume.
check.test("every file states these keys; every other key has an `absent` value", function()
  local everywhere = " model n_layer n_head n_embd block_size vocab_size batch_size bias qkv_bias lm_head_bias " ..
    "tie_weights activation attn_scale has_dropout dropout_embd init optimizer decay_params recompute logits_rows " ..
    "dtype tf32 attention arch backend isa tiling dropout dataset gradient_accumulation_steps learning_rate " ..
    "decay_lr warmup_iters lr_decay_iters min_lr weight_decay beta1 beta2 eps grad_clip seed eval_interval " ..
    "eval_iters always_save_checkpoint max_iters "
  for _, key in ipairs(schema.keys) do
    local stated = everywhere:find(" " .. key.name .. " ", 1, true) ~= nil
    local counts = key.baked or key.changes ~= "nothing" or key.length -- the last in records of sweeps
    check.equal(stated or key.absent ~= nil, counts or false, key.name)
    check.equal(stated and key.absent ~= nil, false, key.name)
  end
end)

check.test("defaults are nanoGPT's", function()
  local c = load_text("return {}")
  local defaults = {
    model = "gpt", n_layer = 12, n_head = 12, n_embd = 768, block_size = 1024, batch_size = 12,
    bias = false, qkv_bias = false, lm_head_bias = false, tie_weights = true,
    norm = "layernorm", activation = "gelu_erf", attn_scale = "head", dropout_embd = true, init = "nanogpt",
    optimizer = "adamw", decay_params = "matrices", dtype = "float32", backend = "cpu",
    recompute = "none", logits_rows = 0, tf32 = false, attention = "mma", arch = "native",
    specialise = true, dropout = 0.0, out_dir = "", dataset = "shakespeare_char", eval_interval = 2000,
    log_interval = 1, eval_iters = 200, eval_only = false, always_save_checkpoint = true,
    init_from = "auto", gradient_accumulation_steps = 40, reduce_groups = 1, reduce = "exact", zero = false,
    overlap = true, comm_timeout = 60.0,
    learning_rate = 6e-4,
    max_iters = 600000, max_seconds = 0.0, weight_decay = 0.1, beta1 = 0.9, beta2 = 0.95, eps = 1e-8,
    grad_clip = 1.0, decay_lr = true, muon_learning_rate = 0.02, muon_momentum = 0.95, muon_weight_decay = 0.0,
    embd_learning_rate = -1.0, embd_beta1 = -1.0, embd_beta2 = -1.0, embd_weight_decay = -1.0,
    head_learning_rate = -1.0, head_beta1 = -1.0, head_beta2 = -1.0, head_weight_decay = -1.0,
    vector_learning_rate = -1.0, vector_beta1 = -1.0, vector_beta2 = -1.0, vector_weight_decay = -1.0,
    muon_momentum_warmdown = 0, muon_momentum_end = 0.85,
    muon_momentum_warmup = 0, muon_momentum_start = 0.85, muon_decay_schedule = "constant",
    muon_adjust = "original", schedule = "cosine", warmdown_ratio = 0.65, warmup_iters = 2000,
    lr_decay_iters = 600000,
    min_lr = 6e-5, seed = 1337, threads = 0, checkpoint_interval = 1000, sample_interval = 0, hellaswag_interval = 0,
    tensorboard = false, csv = false, report = false, verify = false,
    has_dropout = false, vocab_size = 65, tensor_names = "nanogpt", n_ff = 0, ff_width = 3072, head_size = 0,
    head_width = 64, n_kv_head = 0, kv_heads = 12, norm_eps = 1e-5, pos = "learned", rope_theta = 10000.0,
    rope_scaling = "none", rope_factor = 8.0, rope_low_freq_factor = 1.0, rope_high_freq_factor = 4.0,
    rope_original_context = 8192, rope_sign = 1, model_context = 0,
    qk_norm = "none", qk_norm_at = "before", attn_bias = "as bias", mlp_bias = "as bias", logit_softcap = 0.0,
    norm_gain = true, embd_norm = false, attn_softcap = 0.0, window = "L", window_size = 0,
    name = "x",
    source = root .. "/x.lua", data_dir = root .. "/data", isa = "generic", tiling = "tuned",
  }
  for name, value in pairs(defaults) do check.equal(c[name], value, name) end
  for _, key in ipairs(schema.keys) do
    if defaults[key.name] == nil then error(key.name .. " has no expected default here") end
  end
end)

check.test("each key is either baked or run", function()
  check.equal(#schema.run_keys() + #schema.baked_keys(), #schema.keys)
  for _, key in ipairs(schema.run_keys()) do check.equal(key.baked, false, key.name) end
  for _, key in ipairs(schema.baked_keys()) do
    check.equal(key.baked, true, key.name)
  end
end)

check.test("what another value changes for a run that is resumed", function()
  for name, wanted in pairs({ tiling = "nothing", specialise = "nothing", isa = "rounding", backend = "rounding",
    arch = "rounding", n_layer = "results", dtype = "results", optimizer = "results", seed = "results",
    activation = "function", attn_scale = "function", n_head = "function", norm = "function", threads = "nothing",
    max_iters = "nothing", max_seconds = "nothing" }) do
    check.equal(schema.key(name).changes, wanted, name)
  end
end)

check.test("which run keys change results", function()
  for name, wanted in pairs({ seed = true, learning_rate = true, dropout = true, dataset = true,
    eval_interval = true, max_iters = false, threads = false, out_dir = false, data_dir = false,
    log_interval = false, checkpoint_interval = false, init_from = false }) do
    check.equal(schema.changes_results(schema.key(name)), wanted, name)
  end
end)

check.test("the table lists each key once", function()
  local text = schema.markdown()
  for _, key in ipairs(schema.keys) do
    local _, count = text:gsub("\n| `" .. key.name .. "` |", "")
    check.equal(count, key.derived and 0 or 1, key.name)
  end
  for line in text:gmatch("[^\n]+") do
    local _, bars = line:gsub("|", "")
    check.equal(bars, 7, line)
  end
end)

-- ---- results ----

check.test("later files and assignments win", function()
  local a = write("a.lua", "return { n_layer = 2, n_head = 2, n_embd = 8, vocab_size = 5 }")
  local b = write("b.lua", "return { n_layer = 3, n_head = 4 }")
  local c = config.load({ a, b }, { "n_layer=4", "n_layer=5" }, options)
  check.equal(c.n_layer, 5)
  check.equal(c.n_head, 4)
  check.equal(c.n_embd, 8)
  check.equal(c.name, "a")
  check.equal(c.source, a)
  check.equal(c.head_width, 2)
  check.equal(c.ff_width, 32)
end)

check.test("assignments and options may be left out", function()
  local c = config.load({ write("a.lua", "return { vocab_size = 5 }") })
  check.equal(c.vocab_size, 5)
  check.equal(c.isa == "native", false)
end)

check.test("assignments have types", function()
  local c = load_text("return {}", "n_layer=4.0", "learning_rate=1", "dropout=5e-1", "bias=True",
    "decay_lr=false", "eval_only=1", "max_iters=1e3", "out_dir=a=b", "init_from=out/x/ckpt")
  check.equal(c.n_layer, 4)
  check.equal(c.learning_rate, 1.0)
  check.equal(c.dropout, 0.5)
  check.equal(c.bias, true)
  check.equal(c.decay_lr, false)
  check.equal(c.eval_only, true)
  check.equal(c.max_iters, 1000)
  check.equal(c.out_dir, "a=b")
  check.equal(c.init_from, "out/x/ckpt")
end)

check.test("whole floats are whole numbers", function()
  check.equal(load_text("return { n_layer = 8 / 2 }").n_layer, 4)
end)

check.test("a size that follows from others is not said twice", function()
  local plain = load_text("return { n_head = 4, n_embd = 32 }")
  local said = load_text("return { n_head = 4, n_embd = 32 }", "n_ff=128", "head_size=8", "n_kv_head=4")
  check.equal(hash.baked_text(said), hash.baked_text(plain))
  check.equal(hash.baked_text(load_text("return { n_head = 4, n_embd = 32 }", "rope_theta=5")), hash.baked_text(plain))
  local other = load_text("return { n_head = 4, n_embd = 30 }", "n_ff=99", "head_size=6", "n_kv_head=2", "pos=rope")
  check.equal(other.ff_width, 99)
  check.equal(other.head_width, 6)
  check.equal(other.kv_heads, 2)
end)

check.test("windows of layers", function()
  local base = "return { n_layer = 6, block_size = 9 }"
  local function windows(...)
    local c = load_text(base, ...)
    return table.concat(c.windows, " ", 0, 5) .. " " .. c.window .. " " .. c.window_size .. " " .. c.attended
  end
  check.equal(windows(), "0 0 0 0 0 0 L 0 54")
  check.equal(windows("window=SSL", "window_size=3"), "3 3 0 3 3 0 SSL 3 34")
  check.equal(windows("window=S", "window_size=7"), "7 7 7 7 7 0 S 7 49", "the last layer sees all")
  -- What hides nothing is no other model.
  check.equal(windows("window=S", "window_size=8"), "0 0 0 0 0 0 L 0 54")
  check.equal(windows("window_size=3"), "0 0 0 0 0 0 L 0 54")
  check.equal(windows("window=LLLLLS", "window_size=3"), "0 0 0 0 0 0 L 0 54")
  check.raises(function() load_text(base, "window=SL") end, 64, "SET: window = SL has S, but there is no window_size;")
  for _, wrong in ipairs({ "s", "SSXL", "" }) do
    check.raises(function() load_text(base, "window=" .. wrong) end, 64, "window")
  end
end)

check.test("sizes of heads that do not go together", function()
  check.raises(function() load_text("return { n_head = 4, n_kv_head = 3 }") end, 64,
    "n_kv_head = 3 does not divide n_head = 4$")
  check.raises(function() load_text("return { n_head = 4, n_embd = 12, pos = 'rope' }") end, 64,
    "pos = rope turns pairs of a head's columns, but a head has 3; take an even number$")
  check.raises(function() load_text("return { n_head = 4, pos = 'rope' }", "head_size=5") end, 64,
    "SET: pos = rope turns pairs of a head's columns, but a head has 5; take an even number$")
end)

check.test("qkv_bias follows bias unless stated", function()
  check.equal(load_text("return { bias = true }").qkv_bias, true)
  check.equal(load_text("return { bias = true, qkv_bias = false }").qkv_bias, false)
  check.equal(load_text("return { qkv_bias = true }").qkv_bias, true)
end)

check.test("biases by place follow bias unless stated, and are said only where they differ", function()
  for _, name in ipairs({ "attn_bias", "mlp_bias" }) do
    for _, bias in ipairs({ true, false }) do
      local text = ("return { bias = %s }"):format(bias)
      local usual, other = load_text(text), load_text(text, ("%s=%s"):format(name, not bias))
      check.equal(usual["has_" .. name], bias)
      check.equal(other["has_" .. name], not bias)
      check.equal(hash.baked_text(load_text(text, ("%s=%s"):format(name, bias))), hash.baked_text(usual))
      check.equal(hash.baked_text(other):match(name .. "=(%a+)"), tostring(not bias))
    end
  end
end)

check.test("Llama 3's angles: numbers that go together, and are said only with it", function()
  local plain = load_text("return { n_head = 4, n_embd = 32, pos = 'rope' }")
  local said = load_text("return { n_head = 4, n_embd = 32, pos = 'rope' }", "rope_factor=4")
  check.equal(hash.baked_text(said), hash.baked_text(plain))
  check.raises(function() load_text("return { rope_scaling = 'llama3', rope_low_freq_factor = 4 }") end, 64,
    "rope_low_freq_factor = 4 is not below rope_high_freq_factor = 4$")
  check.raises(function() load_text("return { norm_gain = false }") end, 64,
    "norm_gain = false, but norm = layernorm has gains; take norm=rmsnorm or leave norm_gain out$")
  check.raises(function() load_text("return { rope_sign = 0 }") end, 64, "rope_sign = 0; wanted 1 or %-1$")
end)

check.test("a bigram has no transformer's keys", function()
  local text = "return { model = 'bigram', block_size = 8 }"
  local c = load_text(text, "n_layer=3", "bias=true", "norm=rmsnorm", "activation=relu", "n_head=5")
  for name, value in pairs({ n_layer = 0, n_head = 0, n_embd = 0, n_ff = 0, ff_width = 0, head_size = 0,
    head_width = 0, n_kv_head = 0, kv_heads = 0,
    bias = false, qkv_bias = false, tie_weights = false, norm = "layernorm", activation = "gelu_erf" }) do
    check.equal(c[name], value, name)
  end
  check.equal(hash.baked_text(c), hash.baked_text(load_text(text)))
  check.equal(hash.baked_text(c), "model=bigram block_size=8 vocab_size=65 batch_size=12 " ..
    "has_dropout=false init=nanogpt optimizer=adamw decay_params=matrices recompute=none " ..
    "logits_rows=0 dtype=float32 backend=cpu isa=generic tiling=tuned")
end)

check.test("the baked text", function()
  check.equal(hash.baked_text(load_shipped("shakespeare_char")),
    "model=gpt n_layer=6 n_head=6 n_embd=384 block_size=256 vocab_size=65 batch_size=64 " ..
    "bias=false qkv_bias=false lm_head_bias=false tie_weights=true activation=gelu_erf " ..
    "attn_scale=head has_dropout=true dropout_embd=true init=nanogpt optimizer=adamw " ..
    "decay_params=matrices recompute=none logits_rows=0 dtype=float32 backend=cpu isa=generic tiling=tuned")
end)

check.test("the hash is the SHA-256 of the baked text and the generator", function()
  local c = load_shipped("shakespeare_char")
  local path = write("baked", hash.baked_text(c) .. "\ngenerator")
  local pipe = io.popen("sha256sum '" .. path .. "'")
  check.equal(hash.of(c, "generator"), pipe:read("a"):sub(1, 12))
  pipe:close()
  check.equal(hash.of(c, "'; echo $(x) `y`"):match("^%x+$") ~= nil, true)
end)

check.test("the hash changes with every baked key, and with no run key", function()
  local base = "return { n_layer = 2, n_head = 2, n_embd = 8, block_size = 4, dropout = 0.1 }"
  local plain = hash.of(load_text(base), "g")
  check.equal(#plain, 12)
  check.equal(hash.of(load_text(base), "g"), plain)
  check.equal(hash.of(load_text(base), "h") ~= plain, true)
  for _, words in ipairs({ "model=bigram dropout=0", "n_layer=3", "n_head=4", "n_embd=10",
    "block_size=5", "vocab_size=66", "batch_size=13", "bias=true", "qkv_bias=true",
    "lm_head_bias=true", "tie_weights=false", "tensor_names=llama", "norm=rmsnorm", "activation=relu",
    "attn_scale=embd", "n_ff=33", "activation=swiglu", "n_kv_head=1", "head_size=6", "norm_eps=1e-6", "pos=rope",
    "pos=none", "pos=rope rope_theta=500000",
    "norm=rmsnorm norm_gain=false", "embd_norm=true",
    "pos=rope model_context=9", "pos=rope rope_sign=-1", "pos=rope rope_scaling=llama3",
    "pos=rope rope_scaling=llama3 rope_factor=32",
    "pos=rope rope_scaling=llama3 rope_low_freq_factor=2", "pos=rope rope_scaling=llama3 rope_high_freq_factor=5",
    "pos=rope rope_scaling=llama3 rope_original_context=99", "attn_bias=true", "mlp_bias=true", "qk_norm=plain",
    "qk_norm=gain", "pos=rope qk_norm=gain qk_norm_at=after", "logit_softcap=15",
    "attn_softcap=15", "window=SL window_size=1", "window=SL window_size=2",
    "dropout_embd=false", "init=pytorch", "optimizer=sgd", "optimizer=muon", "decay_params=all", "isa=avx2",
    "dtype=bfloat16", "isa=avx512_bf16", "dropout=0" }) do
    local list = {}
    for word in words:gmatch("%S+") do list[#list + 1] = word end
    check.equal(hash.of(load_text(base, table.unpack(list)), "g") ~= plain, true, words)
  end
  for _, key in ipairs(schema.run_keys()) do
    local value = ({ int = "7", float = "0.25", bool = "true", string = "x" })[key.type] or key.values[2]
    if key.name == "data_dir" then value = root .. "/data" end
    if key.name == "dataset" then value = "shakespeare_char" end
    check.equal(hash.of(load_text(base, key.name .. "=" .. value), "g"), plain, key.name)
  end
end)

check.test("without dropout, dropout_embd is not in the baked text", function()
  check.equal(hash.baked_text(load_text("return { dropout_embd = false }")),
    hash.baked_text(load_text("return {}")))
end)

check.test("kernels that take their sizes as arguments", function()
  local plain, generic = load_text("return {}"), load_text("return { specialise = false }")
  check.equal(hash.baked_text(load_text("return { specialise = true }")), hash.baked_text(plain))
  check.equal(hash.baked_text(generic):find(" specialise=false", 1, true) ~= nil, true)
  check.equal(hash.of(generic, "g") ~= hash.of(plain, "g"), true)
  check.raises(function() load_text("return { specialise = false }", "backend=cuda") end, 64,
    "specialise = false, but the cuda backend has specialised kernels alone; leave specialise out$")
end)

check.test("instruction sets", function()
  local function isa(flags, uname, dtype)
    return machine.isa_of("processor\t: 0\nflags\t\t: " .. flags .. "\nbugs\t:\n", uname, dtype)
  end
  local all = "fpu avx2 fma avx512f avx512dq avx512bw avx512vl avx512cd avx512_bf16"
  check.equal(isa(all, "x86_64", "float32"), "avx512")
  check.equal(isa(all, "x86_64", "bfloat16"), "avx512_bf16")
  check.equal(isa(all:gsub(" avx512_bf16", ""), "x86_64", "bfloat16"), "avx512")
  check.equal(isa("fpu avx2 fma avx512_bf16", "x86_64", "bfloat16"), "avx2")
  check.equal(isa("fpu avx2 fma avx512f avx512dq avx512bw avx512vl avx512cd", "x86_64"), "avx512")
  check.equal(isa("fpu avx2 fma avx512f avx512dq avx512bw avx512vl", "x86_64"), "avx2")
  check.equal(isa("fpu avx2", "x86_64"), "generic")
  check.equal(isa("fpu avx2 fma4", "x86_64"), "generic")
  check.equal(machine.isa_of("Features : fp asimd\n", "aarch64"), "neon")
  check.equal(machine.isa_of("processor\t: 0\nFeatures\t: fp asimd bf16 i8mm\n", "aarch64", "bfloat16"), "neon_bf16")
  check.equal(machine.isa_of("processor\t: 0\nFeatures\t: fp asimd bf16 i8mm\n", "aarch64", "float32"), "neon")
  check.equal(machine.isa_of("processor\t: 0\nFeatures\t: fp asimd\n", "aarch64", "bfloat16"), "neon")
  check.equal(machine.isa_of("", ""), "generic")
end)

-- ---- nanoGPT's other keys ----

check.test("nanoGPT's keys that mean nothing are ignored, with a line each", function()
  warnings = {}
  local c = load_text("return { device = 'cpu', compile = false, wandb_log = true }",
    "wandb_project=x", "wandb_run_name=y", "backend=nccl")
  check.equal(c.backend, "cpu")
  check.equal(c.device, nil)
  check.equal(#warnings, 6)
  check.equal(warnings[1], root .. "/x.lua: compile = false means nothing here: every trainer " ..
    "is compiled for its config")
  check.equal(warnings[6], "SET: backend = 'nccl' means nothing here: one process trains; its " ..
    "threads are set with threads")
end)

-- ---- what is refused ----

local place = root .. "/x.lua: "
local function whole(from, to) return ("a whole number from %d to %d"):format(from, to) end

local refusals = {
  -- source, message, assignments
  { "return { n_embed = 4 }", place .. "unknown key 'n_embed'; did you mean 'n_embd'?" },
  { "return { n_heads = 4 }", place .. "unknown key 'n_heads'; did you mean 'n_head'?" },
  { "return { blok_size = 4 }", place .. "unknown key 'blok_size'; did you mean 'block_size'?" },
  { "return { N_LAYER = 4 }", place .. "unknown key 'N_LAYER'; did you mean 'n_layer'?" },
  { "return { lr = 4 }", place .. "unknown key 'lr'; did you mean 'learning_rate'?" },
  { "return { colour = 4 }", place .. "unknown key 'colour'; configs/README.md lists all keys" },
  { "return { ['\\27[31m'] = 4 }", place .. "unknown key '?[31m'; configs/README.md lists all keys" },
  { "return { ['%s%d'] = 4 }", place .. "unknown key '%s%d'; configs/README.md lists all keys" },
  { "return {}", "SET: unknown key 'n_embed'; did you mean 'n_embd'?", "n_embed=4" },
  { "return {}", "SET: 'n_layer' is not key=value", "n_layer" },
  { "return {}", "SET: unknown key ''; configs/README.md lists all keys", "=4" },
  { "return { n_layer = '4' }", place .. "n_layer = '4' is a string; wanted " .. whole(1, 1024) },
  { "return { n_layer = true }",
    place .. "n_layer = true is a boolean; wanted " .. whole(1, 1024) },
  { "return {}", "SET: n_layer = 'abc' is a string; wanted " .. whole(1, 1024), "n_layer=abc" },
  { "return {}", "SET: n_layer = '' is a string; wanted " .. whole(1, 1024), "n_layer=" },
  { "return {}", "SET: n_layer = '0x10' is a string; wanted", "n_layer=0x10" },
  { "return {}", "SET: learning_rate = 'nan' is a string; wanted", "learning_rate=nan" },
  { "return { bias = 1 }", place .. "bias = 1 is a number; wanted true or false" },
  { "return {}", "SET: bias = 'yes' is a string; wanted true or false", "bias=yes" },
  { "return { dataset = 4 }", place .. "dataset = 4 is a number; wanted a string" },
  { "return { activation = 4 }", place .. "activation = 4; wanted one of gelu_erf, gelu_tanh" },
  { "return { activation = 'gelu' }",
    place .. "activation = 'gelu'; wanted one of gelu_erf, gelu_tanh, relu, silu, relu2, swiglu, " },
  { "return { model = 'rnn' }", place .. "model = 'rnn'; wanted one of gpt, bigram" },
  { "return { isa = 'sse' }", place .. "isa = 'sse'; wanted one of native, avx512, avx512_bf16, avx2" },
  { "return { n_head = 5, n_embd = 384 }", place .. "n_head = 5 does not divide n_embd = 384" },
  { "return { n_head = 6, n_embd = 384 }", "SET: n_head = 6 does not divide n_embd = 100",
    "n_embd=100" },
  { "return { n_embd = 100 }", place .. "n_head = 12 does not divide n_embd = 100" },
  { "return { n_layer = 0 }", place .. "n_layer = 0; wanted " .. whole(1, 1024) },
  { "return { n_head = -4 }", place .. "n_head = -4; wanted " .. whole(1, 1024) },
  { "return { n_layer = 4.5 }", place .. "n_layer = 4.5; wanted " .. whole(1, 1024) },
  { "return { n_layer = 0 / 0 }", place .. "n_layer = nan; wanted " .. whole(1, 1024) },
  { "return { n_layer = math.huge }", place .. "n_layer = inf; wanted " .. whole(1, 1024) },
  { "return { n_layer = -math.huge }", place .. "n_layer = -inf; wanted " .. whole(1, 1024) },
  { "return { n_layer = 1e300 }", place .. "n_layer = 1e+300; wanted " .. whole(1, 1024) },
  { "return { n_layer = 1025 }", place .. "n_layer = 1025; wanted " .. whole(1, 1024) },
  { "return { n_embd = 1e9 }", place .. "n_embd = 1000000000; wanted " .. whole(1, 65536) },
  { "return { block_size = 0 }", place .. "block_size = 0; wanted " .. whole(1, 1048576) },
  { "return { batch_size = 0 }", place .. "batch_size = 0; wanted " .. whole(1, 65536) },
  { "return { vocab_size = 1048577 }", place .. "vocab_size = 1048577; wanted " .. whole(1, 1048576) },
  { "return { vocab_size = 0 }", place .. "vocab_size = 0; wanted " .. whole(1, 1048576) },
  { "return { batch_size = 65536, block_size = 1048576 }",
    place .. "batch_size = 65536 times block_size = 1048576 is more than 16777216 tokens" },
  { "return { dropout = 1 }", place .. "dropout = 1; wanted a number from 0 to below 1" },
  { "return { dropout = -0.1 }", place .. "dropout = -0.1; wanted a number from 0 to below 1" },
  { "return { dropout = 0 / 0 }", place .. "dropout = nan; wanted a number from 0 to below 1" },
  { "return { beta1 = 1.0 }", place .. "beta1 = 1; wanted a number from 0 to below 1" },
  { "return { beta2 = -1 }", place .. "beta2 = -1; wanted a number from 0 to below 1" },
  { "return { eps = 0 }", place .. "eps = 0; wanted a number above 0 to 1" },
  { "return { learning_rate = -1 }", place .. "learning_rate = -1; wanted a number from 0" },
  { "return { learning_rate = math.huge }", place .. "learning_rate = inf; wanted a number" },
  { "return { learning_rate = 0 / 0 }", place .. "learning_rate = nan; wanted a number" },
  { "return { weight_decay = -1 }", place .. "weight_decay = -1; wanted a number from 0" },
  { "return { grad_clip = -1 }", place .. "grad_clip = -1; wanted a number from 0" },
  { "return { max_iters = -1 }", place .. "max_iters = -1; wanted a whole number from 0" },
  { "return { eval_interval = 0 }", place .. "eval_interval = 0; wanted a whole number from 1" },
  { "return { eval_iters = 0 }", place .. "eval_iters = 0; wanted a whole number from 1" },
  { "return { log_interval = 0 }", place .. "log_interval = 0; wanted a whole number from 1" },
  { "return { gradient_accumulation_steps = 0 }",
    place .. "gradient_accumulation_steps = 0; wanted a whole number from 1" },
  { "return { seed = -1 }", place .. "seed = -1; wanted a whole number from 0" },
  { "return { seed = 1.5 }", place .. "seed = 1.5; wanted a whole number from 0" },
  { "return { threads = -1 }", place .. "threads = -1; wanted a whole number from 0" },
  { "return { has_dropout = true }", place .. "has_dropout follows from dropout; set that one" },
  { "return { dtype = 'float16' }",
    place .. "dtype = float16, but the cpu backend has float32 and bfloat16; leave dtype out" },
  { "return { dtype = 'bfloat16' }",
    "SET: dtype = bfloat16, but with specialise = false there is float32 alone; leave one of both out",
    "specialise=false" },
  { "return { dtype = 'int8' }", place .. "dtype = 'int8'; wanted one of float32, bfloat16, float16" },
  { "return { arch = 'sm_70' }", place .. "arch = 'sm_70'; wanted one of native, all, sm_80" },
  { "return { recompute = 'all' }", place .. "recompute = 'all'; wanted one of none, gelu, block" },
  { "return { backend = 'tpu' }", place .. "backend = 'tpu'; wanted one of cpu, cuda" },
  { "return { dataset = '../x' }", place .. "dataset = '../x'; wanted a folder's name" },
  { "return { dataset = 'a b' }", place .. "dataset = 'a b'; wanted a folder's name" },
  { "return { dataset = '' }", place .. "dataset = ''; wanted a folder's name" },
  { "return { init_from = '' }", place .. "init_from is empty; wanted a string" },
  { "return { out_dir = 'a\\nb' }", place .. "out_dir = 'a?b' has control characters" },
  { "return { out_dir = 'a\\0b' }", place .. "out_dir = 'a?b' has control characters" },
  { "return { model = 'bigram', dropout = 0.5 }",
    place .. "dropout = 0.5, but model = bigram has nothing to drop; set dropout=0" },
  { "return { n_layer = {} }", place .. "n_layer is a table; wanted a number, a string" },
}
for _, case in ipairs(refusals) do
  check.test(case[1] .. " " .. (case[3] or ""), refused(case[1], case[2], case[3]))
end

check.test("on cuda the type is bfloat16 unless stated, and the hash names the GPU", function()
  local function on_cuda(...)
    return config.load({ "configs/gpt2.lua" }, { "isa=generic", "arch=all", ... }, { backend = "cuda" })
  end
  check.equal(on_cuda().dtype, "bfloat16")
  check.equal(on_cuda("dtype=float16").dtype, "float16")
  check.equal(on_cuda("dtype=float32").dtype, "float32")
  check.equal(on_cuda("attention=hopper", "arch=native").arch, "sm_90a")
  check.raises(function() on_cuda("attention=hopper") end, 64,
    "^SET: attention = hopper, but arch = all; Hopper's kernels run on sm_90a alone")
  check.equal(hash.baked_text(on_cuda()):match("dtype=.*"),
    "dtype=bfloat16 tf32=false attention=mma arch=all backend=cuda isa=generic")
end)

check.test("a GPU's architecture is named as nvcc names it", function()
  for capability, arch in pairs({ ["8.0"] = "sm_80", ["8.9"] = "sm_89", ["9.0"] = "sm_90a", ["10.0"] = "sm_100a",
    ["12.0"] = "sm_120a", ["7.5"] = "all", ["99.0"] = "all", ["No devices"] = "all" }) do
    check.equal(machine.arch_of(capability), arch, capability)
  end
  check.equal(machine.arch_of(nil), "all")
end)

check.test("the largest vocabulary is taken", function()
  check.equal(load_text("return { vocab_size = 1048576 }").vocab_size, 1048576)
end)

check.test("no config, a missing one, one whose name make cannot take", function()
  check.raises(function() config.load() end, 64, "^config: none is named")
  check.raises(function() config.load({}) end, 64, "^config: none is named")
  check.raises(function() config.load({ root .. "/none.lua" }) end, 66, "none.lua: no such config")
  check.raises(function() config.load({ root .. "/a b.lua" }) end, 64, "rename the file$")
  check.raises(function() config.load({ root .. "/$(x).lua" }) end, 64, "rename the file$")
  check.raises(function() config.load({ root .. "/a\n/b.lua" }) end, 64, "rename the file$")
end)

-- ---- the data set's vocabulary ----

check.test("a missing data set is code 66 and names the command", function()
  check.raises(function() load_text("return { dataset = 'mytext' }") end, 66,
    "data/mytext/meta.json: missing, and vocab_size comes from it; state vocab_size, or take data_dir=data, " ..
    "where `make data` writes$")
  check.raises(function() config.load({ "configs/bigram.lua" }, { "dataset=not-there" }) end, 66,
    "^data/not%-there/meta.json: missing, and vocab_size comes from it; make it with `make data " ..
    "DATASET=not%-there` or state vocab_size$")
  check.equal(load_text("return { dataset = 'mytext', vocab_size = 9 }").vocab_size, 9)
end)

for name, text in pairs({
  ["empty"] = "", ["no JSON"] = "vocab", ["cut"] = '{"vocab_size": 6', ["a list"] = "[65]",
  ["a number"] = "65", ["without the size"] = "{}", ["a string"] = '{"vocab_size": "65"}',
  ["zero"] = '{"vocab_size": 0}', ["negative"] = '{"vocab_size": -1}',
  ["a fraction"] = '{"vocab_size": 6.5}', ["too large"] = '{"vocab_size": 1048577}',
  ["huge"] = '{"vocab_size": 1e999}', ["null"] = '{"vocab_size": null}',
  ["nested deeply"] = ("["):rep(300000), ["two roots"] = '{"vocab_size": 65} {}',
}) do
  check.test("a meta.json that is bad: " .. name, function()
    os.execute("mkdir -p '" .. root .. "/data/bad'")
    write("data/bad/meta.json", text)
    check.raises(function() load_text("return { dataset = 'bad' }") end, 65,
      "data/bad/meta.json: .*; make it again with `make data DATASET=bad`$")
  end)
end

-- ---- the shipped configs ----

local shipped = {
  shakespeare_char = "n_layer=6 n_head=6 n_embd=384 block_size=256 batch_size=64 dropout=0.2 " ..
    "learning_rate=0.001 max_iters=5000 lr_decay_iters=5000 min_lr=0.0001 beta2=0.99 " ..
    "warmup_iters=100 gradient_accumulation_steps=1 eval_interval=250 eval_iters=200 " ..
    "log_interval=10 always_save_checkpoint=false bias=false vocab_size=65",
  shakespeare_char_cpu = "n_layer=4 n_head=4 n_embd=128 block_size=64 batch_size=12 dropout=0.0 " ..
    "learning_rate=0.001 max_iters=2000 lr_decay_iters=2000 min_lr=0.0001 beta2=0.99 " ..
    "warmup_iters=100 gradient_accumulation_steps=1 eval_interval=250 eval_iters=20 " ..
    "log_interval=1 always_save_checkpoint=false has_dropout=false",
  llama_tiny = "n_layer=4 n_head=4 n_kv_head=2 n_embd=128 n_ff=384 block_size=64 batch_size=12 norm=rmsnorm " ..
    "pos=rope activation=swiglu bias=false max_iters=2000 learning_rate=0.001",
  speedrun_char = "n_layer=4 n_head=4 n_embd=128 n_ff=344 block_size=64 batch_size=12 norm=rmsnorm pos=rope " ..
    "qk_norm=gain activation=swiglu bias=false tie_weights=false optimizer=muon schedule=linear max_iters=2000 " ..
    "gradient_accumulation_steps=1",
  smollm2_135m = "n_layer=30 n_head=9 n_kv_head=3 n_embd=576 n_ff=1536 vocab_size=49152 block_size=256 " ..
    "model_context=8192 norm=rmsnorm norm_eps=1e-05 pos=rope rope_theta=100000.0 activation=swiglu tie_weights=true " ..
    "bias=false tensor_names=llama init_from=out/smollm2/ckpt.safetensors dataset=bard",
  ["qwen3_0.6b"] = "n_layer=28 n_head=16 n_kv_head=8 head_size=128 n_embd=1024 n_ff=3072 vocab_size=151936 " ..
    "block_size=256 model_context=40960 norm=rmsnorm norm_eps=1e-06 pos=rope rope_theta=1000000.0 qk_norm=gain " ..
    "activation=swiglu tie_weights=true bias=false tensor_names=llama init_from=out/qwen3/ckpt.safetensors " ..
    "dataset=bard_qwen",
  gpt2 = "n_layer=12 n_head=12 n_embd=768 block_size=1024 batch_size=12 vocab_size=50304 " ..
    "gradient_accumulation_steps=40 dropout=0.0 bias=false dataset=shakespeare",
  gpt2_medium = "n_layer=24 n_head=16 n_embd=1024 vocab_size=50304",
  gpt2_large = "n_layer=36 n_head=20 n_embd=1280 vocab_size=50304",
  gpt2_xl = "n_layer=48 n_head=25 n_embd=1600 vocab_size=50304",
  finetune_shakespeare = "n_layer=48 n_head=25 n_embd=1600 block_size=1024 vocab_size=50257 bias=true " ..
    "activation=gelu_tanh batch_size=1 gradient_accumulation_steps=32 max_iters=20 learning_rate=3e-05 " ..
    "decay_lr=false eval_interval=5 eval_iters=40 always_save_checkpoint=false dataset=shakespeare",
  eval_gpt2 = "n_layer=12 n_head=12 n_embd=768 block_size=1024 vocab_size=50257 bias=true " ..
    "activation=gelu_tanh batch_size=8 eval_iters=500 eval_only=true",
  eval_gpt2_medium = "n_layer=24 n_head=16 n_embd=1024 block_size=1024 vocab_size=50257 bias=true " ..
    "activation=gelu_tanh batch_size=8 eval_iters=500 eval_only=true",
  eval_gpt2_large = "n_layer=36 n_head=20 n_embd=1280 block_size=1024 vocab_size=50257 bias=true " ..
    "activation=gelu_tanh batch_size=8 eval_iters=500 eval_only=true",
  eval_gpt2_xl = "n_layer=48 n_head=25 n_embd=1600 block_size=1024 vocab_size=50257 bias=true " ..
    "activation=gelu_tanh batch_size=8 eval_iters=500 eval_only=true",
  grid_base = "n_layer=4 n_head=4 n_embd=128 block_size=64 batch_size=16 vocab_size=50304 " ..
    "bias=false dropout=0.2 learning_rate=0.001 min_lr=0.0001 warmup_iters=100 " ..
    "lr_decay_iters=5000 beta2=0.99 gradient_accumulation_steps=1 eval_interval=100",
  notebook_baseline = "n_layer=6 n_head=6 n_embd=384 block_size=256 batch_size=32 dropout=0.2 " ..
    "max_iters=5000 activation=relu tie_weights=false lm_head_bias=true bias=true " ..
    "qkv_bias=false attn_scale=embd dropout_embd=false init=pytorch optimizer=adamw " ..
    "decay_params=all learning_rate=0.0003 decay_lr=false beta1=0.9 beta2=0.999 " ..
    "weight_decay=0.01 grad_clip=0.0 eval_interval=500 eval_iters=200 " ..
    "gradient_accumulation_steps=1",
  notebook_small = "n_layer=4 n_head=4 n_embd=64 block_size=128 batch_size=32 dropout=0.1 " ..
    "max_iters=3000 attn_scale=embd decay_lr=false",
  lecture = "n_layer=6 n_head=6 n_embd=384 block_size=256 batch_size=64 dropout=0.2 " ..
    "max_iters=5000 attn_scale=head dropout_embd=false init=pytorch decay_lr=false",
  bigram = "model=bigram block_size=8 batch_size=32 max_iters=3000 init=pytorch " ..
    "learning_rate=0.01 decay_lr=false weight_decay=0.01 decay_params=all grad_clip=0.0",
}

for name, words in pairs(shipped) do
  check.test("configs/" .. name .. ".lua", function()
    local c = load_shipped(name)
    check.equal(c.name, name)
    for key, value in words:gmatch("(%S+)=(%S+)") do check.equal(tostring(c[key]), value, key) end
    local file = assert(io.open("configs/" .. name .. ".lua"))
    check.equal(file:read(3), "-- ", "its first line says where the numbers come from")
    file:close()
  end)
end

check.test("every config in configs/ is tested here", function()
  local pipe = io.popen("ls configs")
  local count = 0
  for line in pipe:lines() do
    local name = line:match("^(.*)%.lua$")
    if name then
      count = count + 1
      if not shipped[name] then error(name .. " is not") end
    end
  end
  pipe:close()
  check.equal(count, 20)
end)

os.execute("rm -rf '" .. root .. "'")
check.finish()
