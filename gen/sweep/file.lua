-- file: a sweep file, read contained and checked: what is varied around which config.
--
--   return {
--     base = "grid_base",                          -- a name in configs/, or the path of a .lua file
--     grid = { { "n_head", { 4, 8 } }, ... },      -- all combinations, the last key fastest; or
--     vary = { { "n_head", { 1, 8 } }, ... },      -- the base, and one setting changed at a time
--     seeds = { 1, 2, 3 },                         -- each run with each of them; else the base's
--     set = { eval_iters = 20 },                   -- over the base, for all runs
--     prompt = "First Citizen:\n",                 -- of the samples that every run writes; else the sampler's default
--   }
local schema = require("gen.config.schema")
local sandbox = require("gen.config.sandbox")

local file = {}

local USAGE = 64
local fields = { base = "string", grid = "table", vary = "table", seeds = "table", set = "table", prompt = "string" }

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

local function check_factors(path, place, list)
  check_list(path, place, list, "{ key, { value, ... } }")
  local factors, seen = {}, {}
  for i, item in ipairs(list) do
    local here = ("%s[%d]"):format(place, i)
    check_list(path, here, item, "a key and its values")
    local key = check_key(path, here, item[1])
    if #item ~= 2 then fail(path, "%s: wanted { \"%s\", { value, ... } }", here, key.name) end
    if seen[key.name] then fail(path, "%s: %s is varied twice; wanted each key once", place, key.name) end
    seen[key.name] = true
    check_list(path, here .. ": " .. key.name, item[2], "values")
    local values = {}
    for n, value in ipairs(item[2]) do values[n] = check_value(path, here, key, value) end
    factors[i] = { key = key.name, values = values }
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

-- Reads the sweep `word`, a name in configs/sweeps or a path. Returns { path, name, base, base_path, base_name,
-- base_stated, kind, factors = { { key, values } }, seeds or nil, set = { { key, value } }, states (the keys of both),
-- prompt }.
function file.read(word)
  local path = path_of("configs/sweeps", word)
  local name = name_of(path)
  local stated = sandbox.load_nested(path, "no such sweep; configs/sweeps/ holds those that there are")
  local names = {}
  for field in pairs(stated) do names[#names + 1] = tostring(field) end
  table.sort(names)
  for _, field in ipairs(names) do
    if not fields[field] then
      fail(path, "unknown field '%s'; there are: base, grid, vary, seeds, set, prompt", sandbox.printable(field, 40))
    end
    if type(stated[field]) ~= fields[field] then
      fail(path, "%s is a %s; wanted a %s", field, type(stated[field]), fields[field])
    end
  end
  if not stated.base then fail(path, "has no base; wanted base = \"grid_base\" or another config's name") end
  if (stated.grid == nil) == (stated.vary == nil) then
    fail(path, "has %s; wanted one: grid = { ... } for all combinations, or vary = { ... } for one setting at a time",
      stated.grid and "both grid and vary" or "neither grid nor vary")
  end
  local kind = stated.grid and "grid" or "vary"
  local factors, varied = check_factors(path, kind, stated[kind])
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
  return { path = path, name = name, base = stated.base, base_path = base_path,
    base_name = base_path:gsub("^.*/", ""):gsub("%.lua$", ""), base_stated = sandbox.load(base_path), kind = kind,
    factors = factors, seeds = stated.seeds, set = set, states = states,
    prompt = prompt }
end

return file
