-- load: reads configs and assignments into one checked config: a table with a value for every key. Depends on the other
-- files of this room: values checks one value, this file what values go together.
local dkjson = require "dkjson"
local foreign = require "gen.config.foreign"
local machine = require "gen.config.machine"
local problem = require "gen.config.problem"
local sandbox = require "gen.config.sandbox"
local schema = require "gen.config.schema"
local values = require "gen.config.values"

local config = {}

local USAGE, DATA, MISSING, IO = problem.USAGE, problem.DATA, problem.MISSING, problem.IO
local ENOENT = 2
local MAX_TOKENS = 1 << 24         -- in a batch
local MAX_META_BYTES = 8 * 1024 * 1024

local fail, show = problem.fail, schema.show

-- A draft: values stated so far, the place of each, and the order in which they came.
local function set(draft, name, value, place)
  local key = schema.key(name)
  local ignored = schema.foreign_key(name)
  if name == "backend" and not foreign.backends[value] then ignored = nil end
  if ignored then
    draft.warn(sandbox.printable(("%s: %s = %s means nothing here: %s"):format(
      place, name, show(value), ignored.help), 400))
    return
  end
  if not key then
    local meant = schema.suggest(name)
    fail(USAGE, place, "unknown key '%s'; %s", sandbox.printable(name, 40),
      meant and "did you mean '" .. meant .. "'?" or "configs/README.md lists all keys")
  end
  if key.derived then
    fail(USAGE, place, "%s follows from %s; set that one", name, key.derived)
  end
  draft.values[name] = values.check(key, value, place)
  draft.count = draft.count + 1
  draft.places[name], draft.order[name] = place, draft.count
end

-- The place of whichever of these keys was stated last.
local function place_of(draft, ...)
  local place, last = draft.source, 0
  for _, name in ipairs({ ... }) do
    if (draft.order[name] or 0) > last then
      place, last = draft.places[name], draft.order[name]
    end
  end
  return place
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
  local key = schema.key("vocab_size")
  if not size or size < key.min or size > key.max then
    fail(DATA, path, "has no vocab_size from %d to %d; %s", key.min, key.max, again)
  end
  return size
end

-- The config's name, which becomes a folder's name and a word for make.
local function name_of(path)
  local name = path:gsub("^.*/", ""):gsub("%.lua$", "")
  if path:find("[%c\127]") or not name:find("^[%w_][%w_.+=,-]*$") then
    fail(USAGE, path, "a config's name has letters, digits and '_', '-', '.', '+', '=', ',' " ..
      "alone; rename the file")
  end
  return name
end

local function check_together(c, draft)
  if c.backend == "cpu" and c.dtype == "float16" then
    fail(USAGE, place_of(draft, "dtype"), "dtype = float16, but the cpu backend has float32 and bfloat16; " ..
      "leave dtype out or take backend=cuda")
  end
  if c.backend == "cpu" and c.dtype == "bfloat16" and not c.specialise then
    fail(USAGE, place_of(draft, "dtype", "specialise"), "dtype = bfloat16, but with specialise = false there is " ..
      "float32 alone; leave one of both out")
  end
  if c.optimizer == "muon" and (not c.specialise or c.model ~= "gpt") then
    fail(USAGE, place_of(draft, "optimizer"), "optimizer = muon, but %s; take optimizer=adamw",
      not c.specialise and "with specialise = false there is none" or "a bigram has no matrices in blocks")
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
    return
  end
  if c.n_embd % c.n_head ~= 0 and c.head_size == 0 then
    fail(USAGE, place_of(draft, "n_head", "n_embd"), "n_head = %d does not divide n_embd = %d",
      c.n_head, c.n_embd)
  end
  if c.n_kv_head > 0 and c.n_head % c.n_kv_head ~= 0 then
    fail(USAGE, place_of(draft, "n_kv_head", "n_head"), "n_kv_head = %d does not divide n_head = %d",
      c.n_kv_head, c.n_head)
  end
  if c.window:find("S") and c.window_size == 0 then
    fail(USAGE, place_of(draft, "window", "window_size"),
      "window = %s has S, but there is no window_size; state how many tokens before its own a token sees", c.window)
  end
  local width = c.head_size > 0 and c.head_size or c.n_embd // c.n_head
  if c.pos == "rope" and width % 2 ~= 0 then
    fail(USAGE, place_of(draft, "pos", "n_head", "n_embd", "head_size"),
      "pos = rope turns pairs of a head's columns, but a head has %d; take an even number", width)
  end
  if not c.norm_gain and c.norm ~= "rmsnorm" then
    fail(USAGE, place_of(draft, "norm_gain", "norm"),
      "norm_gain = false, but norm = %s has gains; take norm=rmsnorm or leave norm_gain out", c.norm)
  end
  if c.rope_sign == 0 then fail(USAGE, place_of(draft, "rope_sign"), "rope_sign = 0; wanted 1 or -1") end
  if c.rope_scaling == "llama3" and c.rope_low_freq_factor >= c.rope_high_freq_factor then
    fail(USAGE, place_of(draft, "rope_low_freq_factor", "rope_high_freq_factor"),
      "rope_low_freq_factor = %s is not below rope_high_freq_factor = %s", show(c.rope_low_freq_factor),
      show(c.rope_high_freq_factor))
  end
end

-- c.windows: of each layer, from 0 on, how many tokens before its own a token sees; 0 is all of them. c.attended: how
-- many tokens the last token sees, itself too, in all layers together. Windows that hide nothing are left out.
local function derive_windows(c)
  c.windows, c.attended = {}, 0
  local hides = false
  for layer = 0, c.n_layer - 1 do
    local at = layer % #c.window + 1
    local windowed = layer < c.n_layer - 1 and c.window:sub(at, at) == "S" and c.window_size < c.block_size - 1
    c.windows[layer] = windowed and c.window_size or 0
    c.attended = c.attended + (windowed and c.window_size + 1 or c.block_size)
    hides = hides or windowed
  end
  if not hides then c.window, c.window_size = "L", 0 end
end

-- Fills in what follows from the stated keys. A bigram model has none of a transformer's sizes and choices: they are 0,
-- false, or the default.
local function derive(c)
  c.has_dropout = c.dropout > 0
  if c.model == "bigram" then
    for _, key in ipairs(schema.keys) do
      if key.gpt then
        c[key.name] = key.default
        if key.type == "int" then c[key.name] = 0 end
        if key.type == "bool" then c[key.name] = key.absent == true end
      end
    end
  end
  if c.qkv_bias == nil then c.qkv_bias = c.bias end
  for name, has in pairs({ attn_bias = "has_attn_bias", mlp_bias = "has_mlp_bias" }) do
    if c[name] == nil or c.model == "bigram" then c[name] = c.bias end
    c[has] = c[name]
    if c[name] == c.bias then c[name] = schema.key(name).absent end
  end
  -- Sizes that follow from others if they are not stated; a statement of just that is left out, so that one model has
  -- one hash.
  local usual_head = c.n_head > 0 and c.n_embd // c.n_head or 0
  c.gated = c.activation == "swiglu" or c.activation == "geglu" -- c_fc has two halves
  c.ff_width = c.n_ff > 0 and c.n_ff or 4 * c.n_embd
  c.head_width = c.head_size > 0 and c.head_size or usual_head
  c.kv_heads = c.n_kv_head > 0 and c.n_kv_head or c.n_head
  if c.ff_width == 4 * c.n_embd then c.n_ff = 0 end
  if c.head_size * c.n_head == c.n_embd then c.head_size = 0 end
  if c.n_kv_head == c.n_head then c.n_kv_head = 0 end
  -- Numbers that mean nothing here.
  local function forget(...)
    for _, name in ipairs({ ... }) do c[name] = schema.key(name).absent end
  end
  if c.qk_norm == "none" or c.pos ~= "rope" then forget("qk_norm_at") end
  if c.model_context <= c.block_size or c.pos == "learned" then forget("model_context") end
  if c.pos ~= "rope" then forget("rope_theta", "rope_scaling", "rope_sign") end
  if c.rope_scaling == "none" then
    forget("rope_factor", "rope_low_freq_factor", "rope_high_freq_factor", "rope_original_context")
  end
  derive_windows(c)
  c.dtype = c.dtype or (c.backend == "cuda" and "bfloat16" or "float32")
  if c.isa == "native" then c.isa = machine.isa(c.backend == "cpu" and c.dtype or "float32") end
  if c.backend == "cuda" and c.arch == "native" then
    -- Hopper's own kernels run on nothing else.
    c.arch = c.attention == "hopper" and "sm_90a" or machine.arch()
  end
end

-- Loads the configs at `paths` and the "key=value" strings of `assignments`, later ones winning,
-- then what `options` gives: backend, data_dir, and warn(line), stderr by default; with `source`, the
-- place that the assignments are from, no config has to be named. Returns a table
-- with a value for every key, and name, source, ff_width, gated, head_width,
-- kv_heads, has_attn_bias, has_mlp_bias, windows, attended. Raises { code, message }.
function config.load(paths, assignments, options)
  paths, assignments, options = paths or {}, assignments or {}, options or {}
  if not paths[1] and not options.source then
    fail(USAGE, "config", "none is named; wanted configs/NAME.lua [more.lua ...] [key=value ...]")
  end
  local draft = {
    values = {}, places = {}, order = {}, count = 0, source = paths[1] or options.source,
    warn = options.warn or function(line) io.stderr:write(line, "\n") end,
  }
  local c = { name = paths[1] and name_of(paths[1]), source = draft.source }
  for _, path in ipairs(paths) do
    local stated = sandbox.load(path)
    local names = {}
    for name in pairs(stated) do names[#names + 1] = name end
    table.sort(names)
    for _, name in ipairs(names) do set(draft, name, stated[name], path) end
  end
  for _, assignment in ipairs(assignments) do
    -- Also of a key that means nothing here: an assignment is a part of the build's name, which stands in comments.
    if assignment:find("[%c\127]") then
      fail(USAGE, "SET", "'%s' has control characters; wanted plain text", sandbox.printable(assignment, 60))
    end
    local name, text = assignment:match("^([^=]*)=(.*)$")
    if not name then
      fail(USAGE, "SET", "'%s' is not key=value", sandbox.printable(assignment, 60))
    end
    set(draft, name, values.parse(schema.key(name), text), options.source or "SET")
  end
  if options.backend then set(draft, "backend", options.backend, "BACKEND") end
  if options.data_dir then set(draft, "data_dir", options.data_dir, "data_dir") end

  for _, key in ipairs(schema.keys) do
    c[key.name] = draft.values[key.name]
    if c[key.name] == nil then c[key.name] = key.default end
  end
  check_together(c, draft)
  derive(c)
  c.vocab_size = c.vocab_size or data_vocab_size(c.data_dir, c.dataset)
  return c
end

return config
