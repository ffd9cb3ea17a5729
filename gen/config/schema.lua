-- schema: queries on the table of keys (keys.lua): a key by its name, the baked keys and the run keys, a key's allowed
-- values in words, the key that was probably meant, and the table in configs/README.md.
-- Depends on keys, foreign and sandbox, which makes texts printable, and on base.
local foreign = require "gen.config.foreign"
local keys = require "gen.config.keys"
local nearest = require "gen.base.nearest"
local sandbox = require "gen.config.sandbox"

local schema = { keys = keys, foreign = foreign.keys }

local by_name, foreign_by_name = {}, {}
for _, key in ipairs(keys) do
  key.baked, key.shape = key.baked or false, key.shape or false
  by_name[key.name] = key
end
for _, key in ipairs(foreign.keys) do foreign_by_name[key.name] = key end

-- ---- keys ------------------------------------------------------------------------------------------

local function keys_where(test)
  local list = {}
  for _, key in ipairs(keys) do
    if test(key) then list[#list + 1] = key end
  end
  return list
end

-- The schema's entry for a name, or nil.
function schema.key(name) return by_name[name] end

-- The trainer's flags, in schema order.
function schema.run_keys()
  return keys_where(function(key) return not key.baked end)
end

-- The keys that decide the emitted text, in schema order, with has_dropout, which follows from dropout.
function schema.baked_keys()
  return keys_where(function(key) return key.baked end)
end

-- Whether a file without the key means this value, so that it is written nowhere.
function schema.is_absent(key, value) return key.absent ~= nil and value == key.absent end

-- Whether another value of the key makes another run.
function schema.changes_results(key) return key.changes == "results" or key.changes == "function" end

-- The entry of nanoGPT's key of that name if it means nothing here, or nil.
function schema.foreign_key(name) return foreign_by_name[name] end

-- ---- words -----------------------------------------------------------------------------------------

-- The value as an error shows it.
function schema.show(value)
  if type(value) == "string" then return "'" .. sandbox.printable(value, 60) .. "'" end
  if math.type(value) == "float" then
    if value ~= value then return "nan" end
    return (("%.14g"):format(value))
  end
  return tostring(value)
end

-- A key's allowed values, in words.
function schema.wanted(key)
  if key.type == "bool" then return "true or false" end
  if key.type == "string" then return "a string" end
  if key.type == "enum" then
    return (#key.values > 1 and "one of " or "") .. table.concat(key.values, ", ")
  end
  if key.type == "int" then return ("a whole number from %d to %d"):format(key.min, key.max) end
  local low = key.above and "a number above " .. schema.show(key.above) or
    "a number from " .. schema.show(key.min)
  return low .. (key.below and " to below " .. schema.show(key.below) or " to " .. schema.show(key.max))
end

-- The key that was probably meant, or nil.
function schema.suggest(name)
  local ours = foreign.names[name:lower()]
  if ours then return ours end
  local names = {}
  for _, key in ipairs(keys) do
    if not key.derived then names[#names + 1] = key.name end
  end
  return nearest(name, names)
end

local function default_text(key)
  if key.shown then return key.shown end
  return type(key.default) == "number" and schema.show(key.default) or tostring(key.default)
end

-- The table of all keys in configs/README.md.
function schema.markdown()
  local lines = {
    "| key | default | takes | baked or run | changes | what it is |",
    "| --- | --- | --- | --- | --- | --- |",
  }
  for _, key in ipairs(keys) do
    if not key.derived then
      lines[#lines + 1] = ("| `%s` | %s | %s | %s | %s | %s |"):format(key.name, default_text(key),
        schema.wanted(key), key.baked and "baked" or "run", key.changes, key.help)
    end
  end
  return table.concat(lines, "\n") .. "\n"
end

return schema
