-- stated: the keys, values and lists that a sweep's file states, each checked where it stands: `path` is the file's,
-- `place` where in it, for the message.
local schema = require("gen.config.schema")
local sandbox = require("gen.config.sandbox")

local stated = {}

local USAGE = 64

-- Keys that the sweep itself sets for its runs.
local own_keys = {
  out_dir = "each run has a folder of its own in out/sweeps", init_from = "a run resumes what its folder holds",
  threads = "JOBS divides the machine's", eval_only = "runs train", seed = "seeds = { 1, 2 } lists them",
  backend = "make sweep BACKEND=... chooses it",
}

function stated.fail(path, format, ...)
  error({ code = USAGE, message = sandbox.printable(path .. ": " .. format:format(...), 400) }, 0)
end

local fail = stated.fail

stated.kinds = { int = "number", float = "number", bool = "boolean", string = "string", enum = "string" }
local wanted = { number = "a number", boolean = "true or false", string = "a string" }

-- A key that a sweep may set, and a value of its type; config.load checks the range, run by run.
function stated.key(path, place, name)
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

function stated.value(path, place, key, value)
  local kind = stated.kinds[key.type]
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
function stated.list(path, place, list, what)
  if type(list) ~= "table" then fail(path, "%s is a %s; wanted a list of %s", place, type(list), what) end
  local count = 0
  for _ in pairs(list) do count = count + 1 end
  if count ~= #list then fail(path, "%s: wanted a plain list of %s, without names and gaps", place, what) end
  if count == 0 then fail(path, "%s is empty; wanted a list of %s", place, what) end
end

-- The distinct values of a list, in its order.
function stated.distinct(list)
  local out, seen = {}, {}
  for _, value in ipairs(list) do
    if value == value and not seen[value] then out[#out + 1], seen[value] = value, true end
  end
  return out
end
-- The keys of a table, sorted: pairs has no order, and the same file gives the same message.
function stated.names(of)
  local names = {}
  for name in pairs(of) do names[#names + 1] = name end
  table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
  return names
end

-- A whole number of a field, or `otherwise` where it is not stated.
function stated.whole(path, place, value, otherwise, least, most)
  if value == nil then value = otherwise end
  local number = type(value) == "number" and math.tointeger(value)
  if not number or number < least or number > most then
    fail(path, "%s = %s; wanted a whole number from %d to %d", place, sandbox.printable(tostring(value), 40), least,
      most)
  end
  return number
end

return stated
