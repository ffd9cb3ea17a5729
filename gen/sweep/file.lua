-- file: a sweep file, read contained and checked: what is varied around which config.
--
--   return {
--     base = "grid_base",                          -- a name in configs/, or the path of a .lua file
--     grid = { { "n_head", { 4, 8 } }, ... },      -- all combinations, the last key fastest; or
--     vary = { { "n_head", { 1, 8 } }, ... },      -- the base, and one setting changed at a time; or
--     random = { runs = 40, seed = 1, n_head = { 4, 8 }, learning_rate = log(1e-4, 1e-2) },  -- drawn; or
--     runs = { { n_head = 8, n_embd = 256 }, ... },  -- each as it is written
--     skip_invalid = true,                         -- leaves out what is no model, and says so
--     seeds = { 1, 2, 3 },                         -- each run with each of them; else the base's
--     set = { eval_iters = 20 },                   -- over the base, for all runs
--     prompt = "First Citizen:\n",                 -- of the samples that every run writes; else the sampler's default
--   }
local nearest = require("gen.base.nearest")
local random = require("gen.sweep.random")
local schema = require("gen.config.schema")
local sandbox = require("gen.config.sandbox")

local file = {}

local USAGE = 64
local FIELDS = "base, grid, vary, random, runs, skip_invalid, seeds, set, prompt"
local MOST_RUNS = 1000
local fields = { random = "table", runs = "table", skip_invalid = "boolean",
  base = "string", grid = "table", vary = "table", seeds = "table", set = "table", prompt = "string" }

-- Keys that the sweep itself sets for its runs.
local own_keys = {
  out_dir = "each run has a folder of its own in out/sweeps", init_from = "a run resumes what its folder holds",
  threads = "JOBS divides the machine's", eval_only = "runs train", seed = "seeds = { 1, 2 } lists them",
  backend = "make sweep BACKEND=... chooses it",
}

local function fail(path, format, ...)
  error({ code = USAGE, message = sandbox.printable(path .. ": " .. format:format(...), 400) }, 0)
end

-- A number as it is typed: the shortest text that reads as the same one.
function file.text(value)
  if math.type(value) ~= "float" then return tostring(value) end
  for digits = 14, 17 do
    local text = ("%." .. digits .. "g"):format(value)
    if tonumber(text) == value then return text end
  end
  return ("%.17g"):format(value)
end

local kinds = { int = "number", float = "number", bool = "boolean", string = "string", enum = "string" }
local wanted = { number = "a number", boolean = "true or false", string = "a string" }

-- A key that a sweep may set, and a value of its type; config.load checks the range, run by run.
local function check_key(path, place, name)
  if type(name) ~= "string" then fail(path, "%s: wanted a key's name, as in { \"n_head\", { 4, 8 } }", place) end
  local key, shown = schema.key(name), sandbox.printable(name, 40)
  if own_keys[name] then fail(path, "%s: %s is the sweep's own: %s", place, shown, own_keys[name]) end
  if not key then
    local meant = schema.suggest(name)
    fail(path, "%s: unknown key '%s'; %s", place, shown, meant and "did you mean '" .. meant .. "'?" or
      "configs/README.md lists all keys")
  end
  if key.derived then fail(path, "%s: %s follows from %s; take that one", place, name, key.derived) end
  return key
end

local function check_value(path, place, key, value)
  local kind = kinds[key.type]
  if type(value) ~= kind then
    fail(path, "%s: %s = %s is a %s; wanted %s", place, key.name, sandbox.printable(tostring(value), 40), type(value),
      wanted[kind])
  end
  if kind == "string" and not value:find("^[%w_.+/-]+$") then
    fail(path, "%s: %s = '%s'; wanted letters, digits and '_', '.', '+', '-', '/' alone", place, key.name,
      sandbox.printable(value, 60))
  end
  if key.type == "int" and math.tointeger(value) then return math.tointeger(value) end
  if key.type == "float" then return value + 0.0 end
  return value
end

-- A list: 1, 2, ... and nothing else.
local function check_list(path, place, list, what)
  if type(list) ~= "table" then fail(path, "%s is a %s; wanted a list of %s", place, type(list), what) end
  local count = 0
  for _ in pairs(list) do count = count + 1 end
  if count ~= #list then fail(path, "%s: wanted a plain list of %s, without names and gaps", place, what) end
  if count == 0 then fail(path, "%s is empty; wanted a list of %s", place, what) end
end

-- The distinct values of a list, in its order.
local function distinct(list)
  local out, seen = {}, {}
  for _, value in ipairs(list) do
    if value == value and not seen[value] then out[#out + 1], seen[value] = value, true end
  end
  return out
end

-- One item of a grid or a vary: { keys, rows }, of one key or of several that change together.
local function check_dimension(path, here, item, seen)
  check_list(path, here, item, "a key and its values")
  local linked = type(item[1]) == "table"
  if linked then check_list(path, here .. "[1]", item[1], "keys") end
  local keys, dimension = {}, { keys = {}, rows = {} }
  for n, name in ipairs(linked and item[1] or { item[1] }) do
    keys[n] = check_key(path, here, name)
    dimension.keys[n] = keys[n].name
    if seen[keys[n].name] then fail(path, "%s: %s is varied twice; wanted each key once", here, keys[n].name) end
    seen[keys[n].name] = true
  end
  local first = keys[1].name
  if #item ~= 2 then fail(path, "%s: wanted { \"%s\", { value, ... } }", here, first) end
  check_list(path, here .. ": " .. first, item[2], "values")
  local firsts = {}
  for n, row in ipairs(item[2]) do
    if linked then
      check_list(path, ("%s[2][%d]"):format(here, n), row, "values")
      if #row ~= #keys then fail(path, "%s[2][%d]: %d values for %d keys", here, n, #row, #keys) end
    end
    dimension.rows[n] = {}
    for k, key in ipairs(keys) do
      local value = row
      if linked then value = row[k] end
      dimension.rows[n][k] = check_value(path, here, key, value)
    end
    firsts[n] = dimension.rows[n][1]
  end
  if linked and #distinct(firsts) < #firsts then
    fail(path, "%s: %s has a value twice; wanted first, of the keys that change together, one that tells them", here,
      first)
  end
  return dimension
end

-- The dimensions of a grid or a vary, and its factors, { key, values, with }: `with` is the first of the keys with
-- which this one changes.
local function check_factors(path, place, list)
  check_list(path, place, list, "{ key, { value, ... } }")
  local dimensions, factors, seen = {}, {}, {}
  for i, item in ipairs(list) do
    local dimension = check_dimension(path, ("%s[%d]"):format(place, i), item, seen)
    dimensions[i] = dimension
    for k, key in ipairs(dimension.keys) do
      local values = {}
      for n, row in ipairs(dimension.rows) do values[n] = row[k] end
      factors[#factors + 1] = { key = key, values = distinct(values), with = k > 1 and dimension.keys[1] or nil }
    end
  end
  return dimensions, factors, seen
end

-- Whole numbers of a random's own fields.
local function check_whole(path, name, value, otherwise, least, most)
  if value == nil then value = otherwise end
  local number = type(value) == "number" and math.tointeger(value)
  if not number or number < least or number > most then
    fail(path, "random: %s = %s; wanted a whole number from %d to %d", name, sandbox.printable(tostring(value), 40),
      least, most)
  end
  return number
end

local function check_choice(path, key, stated)
  local place = "random: " .. key.name
  local range = type(stated) == "table" and (stated.log or stated.uniform)
  if not range then
    check_list(path, place, stated, "values")
    local values = {}
    for n, value in ipairs(stated) do values[n] = check_value(path, place, key, value) end
    return { key = key.name, values = values }
  end
  local low, high = range[1], range[2]
  if kinds[key.type] ~= "number" then fail(path, "%s: wanted a list of values, as it is no number", place) end
  local numbers = type(low) == "number" and type(high) == "number" and low > -math.huge and high < math.huge
  if not numbers or low >= high or (stated.log and low <= 0) then
    fail(path, "%s: wanted a lower and a higher number%s, as in log(1e-4, 1e-2)", place,
      stated.log and " above 0" or "")
  end
  return { key = key.name, low = low, high = high, log = stated.log ~= nil, is_int = key.type == "int" }
end

-- The runs of a random, and the choices that they are drawn from, in the schema's order.
local function check_random(path, stated)
  local count = check_whole(path, "runs", stated.runs, nil, 1, MOST_RUNS)
  local seed = check_whole(path, "seed", stated.seed, 1, 0, 1 << 53)
  local by_name, choices = {}, {}
  local listed = {}
  for name in pairs(stated) do
    if name ~= "runs" and name ~= "seed" then listed[#listed + 1] = name end
  end
  table.sort(listed, function(a, b) return tostring(a) < tostring(b) end)
  for _, name in ipairs(listed) do
    local key = check_key(path, "random", name)
    by_name[key.name] = check_choice(path, key, stated[name])
  end
  for _, key in ipairs(schema.keys) do choices[#choices + 1] = by_name[key.name] end
  if #choices == 0 then fail(path, "random varies nothing; wanted keys, as in n_head = { 4, 8 }") end
  local list = random.draw(choices, count, seed)
  if #list < count then
    fail(path, "random: only %d different runs were found, wanted %d; give more values", #list, count)
  end
  return list
end

local function check_runs(path, stated)
  check_list(path, "runs", stated, "{ key = value, ... }")
  local list = {}
  for i, item in ipairs(stated) do
    local here = ("runs[%d]"):format(i)
    if type(item) ~= "table" then fail(path, "%s is a %s; wanted { key = value, ... }", here, type(item)) end
    list[i] = {}
    local listed = {}
    for name in pairs(item) do listed[#listed + 1] = name end
    table.sort(listed, function(a, b) return tostring(a) < tostring(b) end)
    for _, name in ipairs(listed) do
      local key = check_key(path, here, name)
      list[i][key.name] = check_value(path, here, key, item[name])
    end
  end
  return list
end

-- The factors of a list of runs, in the schema's order; their values are known when the runs' configs are.
local function factors_of(list)
  local seen, factors = {}, {}
  for _, settings in ipairs(list) do for key in pairs(settings) do seen[key] = true end end
  for _, key in ipairs(schema.keys) do
    if seen[key.name] then factors[#factors + 1] = { key = key.name, values = {} } end
  end
  return factors, seen
end

local function check_seeds(path, seeds)
  check_list(path, "seeds", seeds, "whole numbers")
  local seen, key = {}, schema.key("seed")
  for i, seed in ipairs(seeds) do
    local number = type(seed) == "number" and math.tointeger(seed)
    if not number or number < key.min or number > key.max then
      fail(path, "seeds: %s; wanted whole numbers from %d to %d", sandbox.printable(tostring(seed), 40), key.min,
        key.max)
    end
    if seen[number] then fail(path, "seeds: %d twice; wanted each seed once", number) end
    seen[number], seeds[i] = true, number
  end
end

-- The sweep's name, which is also its folder's name and a word for make.
local function name_of(path)
  local name = path:gsub("^.*/", ""):gsub("%.lua$", "")
  if path:find("[%c'\127]") or not name:find("^[%w_][%w_.-]*$") or #name > 80 then
    fail(path, "a sweep's name has letters, digits and '_', '-', '.' alone, 80 at most; rename the file")
  end
  return name
end

-- The path of a file that is given by its name in a folder, or by its path.
local function path_of(folder, name)
  return name:match("%.lua$") and name or ("%s/%s.lua"):format(folder, name)
end

-- The message for a file that is not there: the name that was probably meant, of those in its folder.
local function no_such(what, folder, word)
  local names = {}
  local pipe = io.popen(("ls %s 2>/dev/null"):format(folder), "r")
  for line in pipe:lines() do names[#names + 1] = line:match("^([%w_.-]+)%.lua$") end
  pipe:close()
  local meant = not word:find("/", 1, true) and nearest((word:gsub("%.lua$", "")), names)
  return ("no such %s; %s"):format(what, meant and ("did you mean %s?"):format(meant) or
    folder .. "/ holds those that there are")
end

local function exists(path)
  local f = io.open(path, "rb")
  if f then f:close() end
  return f ~= nil
end

-- What a random may call.
local FUNCTIONS = { log = function(low, high) return { log = { low, high } } end,
  uniform = function(low, high) return { uniform = { low, high } } end }

-- Which of its ways a sweep takes to say its runs.
local function kind_of(path, stated)
  local kinds_stated = {}
  for _, kind in ipairs({ "grid", "vary", "random", "runs" }) do
    if stated[kind] then kinds_stated[#kinds_stated + 1] = kind end
  end
  if #kinds_stated ~= 1 then
    fail(path, "has %s; wanted one: grid = { ... } for all combinations, vary = { ... } for one setting at a time, " ..
      "random = { ... } or runs = { ... }", #kinds_stated == 0 and "neither grid nor vary, random, runs" or
      "both " .. table.concat(kinds_stated, " and "))
  end
  return kinds_stated[1]
end

-- Reads the sweep `word`, a name in configs/sweeps or a path. Returns { path, name, base, base_path, base_name,
-- base_stated, kind, dimensions = { { keys, rows } } of a grid or a vary, list = { { [key] = value } } of others,
-- factors = { { key, values, with } }, skip_invalid, seeds or nil, set = { { key, value } }, states (the keys of both),
-- prompt }.
function file.read(word)
  local path = path_of("configs/sweeps", word)
  local name = name_of(path)
  local missing = not exists(path) and no_such("sweep", "configs/sweeps", word) or "no such sweep"
  local stated = sandbox.load_nested(path, missing, FUNCTIONS)
  local names = {}
  for field in pairs(stated) do names[#names + 1] = tostring(field) end
  table.sort(names)
  for _, field in ipairs(names) do
    if not fields[field] then
      fail(path, "unknown field '%s'; there are: %s", sandbox.printable(field, 40), FIELDS)
    end
    if type(stated[field]) ~= fields[field] then
      fail(path, "%s is a %s; wanted a %s", field, type(stated[field]), fields[field])
    end
  end
  if not stated.base then fail(path, "has no base; wanted base = \"grid_base\" or another config's name") end
  local kind = kind_of(path, stated)
  local dimensions, list, factors, varied
  if kind == "grid" or kind == "vary" then
    dimensions, factors, varied = check_factors(path, kind, stated[kind])
  else
    list = kind == "random" and check_random(path, stated.random) or check_runs(path, stated.runs)
    factors, varied = factors_of(list)
  end
  if stated.seeds then check_seeds(path, stated.seeds) end
  local set, set_names, states = {}, {}, {}
  for key in pairs(varied) do states[key] = true end
  for key in pairs(stated.set or {}) do set_names[#set_names + 1] = key end
  table.sort(set_names, function(a, b) return tostring(a) < tostring(b) end)
  for i, key_name in ipairs(set_names) do
    local key = check_key(path, "set", key_name)
    if varied[key.name] then fail(path, "set: %s is varied too; wanted it in one of both", key.name) end
    states[key.name] = true
    set[i] = { key = key.name, value = check_value(path, "set", key, stated.set[key.name]) }
  end
  local prompt = stated.prompt or "\n" -- which is the sampler's default (gen/sweep/step.sh)
  if prompt == "" or prompt:find("\0", 1, true) then fail(path, "prompt is empty or has a NUL; wanted text") end
  local base_path = path_of("configs", stated.base)
  if not exists(base_path) then
    error({ code = 66, message = ("%s: %s"):format(base_path, no_such("config", "configs", stated.base)) }, 0)
  end
  return { path = path, name = name, base = stated.base, base_path = base_path,
    base_name = base_path:gsub("^.*/", ""):gsub("%.lua$", ""), base_stated = sandbox.load(base_path), kind = kind,
    dimensions = dimensions, list = list, factors = factors, skip_invalid = stated.skip_invalid, seeds = stated.seeds,
    set = set, states = states, prompt = prompt }
end

return file
