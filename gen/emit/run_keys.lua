-- run_keys: the schema in C: the trainer's flags and what each key changes (run_keys.h), and a config's values
-- (defaults.c). Depends on literal, template and wrap of this room.
local foreign = require("gen.config.foreign")
local literal = require("gen.emit.literal")
local schema = require("gen.config.schema")
local template = require("gen.emit.template")
local wrap = require("gen.emit.wrap")

local run_keys = {}

local function c_value(key, value)
  if key.type == "int" then return ("%d"):format(value) end
  if key.type == "float" then return ("%.17g"):format(value) end
  if key.type == "bool" then return tostring(value) end
  return literal.string(value)
end

-- Exclusive bounds become the next double inside.
local function bounds(key)
  if key.type ~= "int" and key.type ~= "float" then return "0", "0" end
  local min = key.above and key.above + 1e-300 or key.min or -1e300
  local max = key.below and key.below - 2.0 ^ -53 or key.max or 1e300
  return ("%.17g"):format(min), ("%.17g"):format(max)
end

-- A key's `absent` value in the form of texts of keys: a baked key's as in hash.baked_text, a run key's as
-- runtime/train/options.c prints it.
local function absent_text(key)
  local value = key.absent
  if value == nil then return "NULL" end
  if key.baked then return literal.string(tostring(value)) end
  if key.type == "bool" then return value and '"True"' or '"False"' end
  if key.type == "float" then
    for digits = 6, 17 do
      local text = ("%." .. digits .. "g"):format(value)
      if tonumber(text) == value then return literal.string(text) end
    end
  end
  return literal.string(tostring(value))
end

function run_keys.header()
  local flags, keys = {}, {}
  for i, key in ipairs(schema.run_keys()) do
    local min, max = bounds(key)
    local values = {}
    for j, value in ipairs(key.values or {}) do values[j] = literal.string(value) end
    flags[i] = { type = key.values and "string" or key.type, values = key.values and table.concat(values, ", "),
      name = key.name, min = min, max = max,
      changes_results = schema.changes_results(key), help = literal.string(key.help) }
  end
  for i, key in ipairs(schema.keys) do
    keys[i] = { name = key.name, changes = key.changes, shape = key.shape, absent = absent_text(key) }
  end
  local foreign_keys, names = {}, {}
  for i, key in ipairs(foreign.keys) do foreign_keys[i] = { name = key.name, flag = literal.string(key.flag) } end
  for name, ours in pairs(foreign.names) do names[#names + 1] = { name = name, ours = ours } end
  table.sort(names, function(a, b) return a.name < b.name end)
  return template.load("templates/run_keys.h").run_keys({ flags = flags, keys = keys, foreign = foreign_keys,
    names = names })
end

-- A long list of tilings has a line for each; in brackets, which show that it is one string.
local function baked_string(pair)
  if #pair <= 80 then return literal.string(pair) end
  local pieces = {}
  for piece in pair:gmatch("[^+]+%+?") do
    pieces[#pieces + 1] = literal.string(piece)
  end
  return "(" .. table.concat(pieces, "\n     ") .. ")"
end

-- defaults.c of a checked config with its baked_text, for the build of that name.
function run_keys.defaults(c, name)
  local keys, baked = {}, {}
  for i, key in ipairs(schema.run_keys()) do
    keys[i] = { name = key.name, value = c_value(key, c[key.name]) }
  end
  for word in c.baked_text:gmatch("%S+") do baked[#baked + 1] = word end
  return wrap.text(template.load("templates/defaults.c").defaults({ name = name, keys = keys,
    baked = baked, string = literal.string, baked_string = baked_string }))
end

return run_keys
