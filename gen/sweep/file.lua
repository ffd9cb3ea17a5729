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
--     halving = { first = 250, keep = 1/2 },       -- stops at that iteration, and later ones, the worse part
--     set = { eval_iters = 20 },                   -- over the base, for all runs
--     prompt = "First Citizen:\n",                 -- of the samples that every run writes; else the sampler's default
--     notes = "Is width worth its time?",          -- said in the report
--     tags = { wide = { n_embd = { 256, 512 } } }, -- names for runs, in the report's table and its filter
--   }
local halving = require("gen.sweep.halving")
local nearest = require("gen.base.nearest")
local schema = require("gen.config.schema")
local sandbox = require("gen.config.sandbox")
local stated = require("gen.sweep.stated")
local tags = require("gen.sweep.tags")
local ways = require("gen.sweep.ways")

local file = {}

local FIELDS = "base, grid, vary, random, runs, skip_invalid, seeds, halving, set, prompt, notes, tags"
local TYPES = { random = "table", runs = "table", skip_invalid = "boolean", halving = "table",
  base = "string", grid = "table", vary = "table", seeds = "table", set = "table", prompt = "string",
  notes = "string", tags = "table" }
local fail = stated.fail

-- A number as it is typed: the shortest text that reads as the same one.
function file.text(value)
  if math.type(value) ~= "float" then return tostring(value) end
  for digits = 14, 17 do
    local text = ("%." .. digits .. "g"):format(value)
    if tonumber(text) == value then return text end
  end
  return ("%.17g"):format(value)
end

local function check_seeds(path, seeds)
  stated.list(path, "seeds", seeds, "whole numbers")
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

-- Reads the sweep `word`, a name in configs/sweeps or a path. Returns { path, name, base, base_path, base_name,
-- base_stated, kind, dimensions = { { keys, rows } } of a grid or a vary, list = { { [key] = value } } of others,
-- factors = { { key, values, with } }, skip_invalid, seeds or nil, halving = { first, keep, by } or nil, set =
-- { { key, value } }, states (the keys of both), prompt, notes, tags (gen/sweep/tags.lua) }.
function file.read(word)
  local path = path_of("configs/sweeps", word)
  local name = name_of(path)
  local missing = not exists(path) and no_such("sweep", "configs/sweeps", word) or "no such sweep"
  local fields = sandbox.load_nested(path, missing, ways.FUNCTIONS)
  for _, field in ipairs(stated.names(fields)) do
    if not TYPES[field] then
      fail(path, "unknown field '%s'; there are: %s", sandbox.printable(tostring(field), 40), FIELDS)
    end
    if type(fields[field]) ~= TYPES[field] then
      fail(path, "%s is a %s; wanted a %s", field, type(fields[field]), TYPES[field])
    end
  end
  if not fields.base then fail(path, "has no base; wanted base = \"grid_base\" or another config's name") end
  local way = ways.read(path, fields)
  if fields.seeds then check_seeds(path, fields.seeds) end
  local halved = fields.halving and halving.check(path, fields.halving)
  local set, states = {}, {}
  for key in pairs(way.varied) do states[key] = true end
  for i, key_name in ipairs(stated.names(fields.set or {})) do
    local key = stated.key(path, "set", key_name)
    if way.varied[key.name] then fail(path, "set: %s is varied too; wanted it in one of both", key.name) end
    states[key.name] = true
    set[i] = { key = key.name, value = stated.value(path, "set", key, fields.set[key.name]) }
  end
  local prompt = fields.prompt or "\n" -- which is the sampler's default (gen/sweep/step.sh)
  if prompt == "" or prompt:find("\0", 1, true) then fail(path, "prompt is empty or has a NUL; wanted text") end
  local base_path = path_of("configs", fields.base)
  if not exists(base_path) then
    error({ code = 66, message = ("%s: %s"):format(base_path, no_such("config", "configs", fields.base)) }, 0)
  end
  return { path = path, name = name, base = fields.base, base_path = base_path,
    base_name = base_path:gsub("^.*/", ""):gsub("%.lua$", ""), base_stated = sandbox.load(base_path),
    kind = way.kind, dimensions = way.dimensions, list = way.list, factors = way.factors,
    skip_invalid = fields.skip_invalid, seeds = fields.seeds, halving = halved, set = set, states = states,
    prompt = prompt, notes = fields.notes and tags.check_notes(path, fields.notes),
    tags = fields.tags and tags.check(path, fields.tags) }
end

return file
