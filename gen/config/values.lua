-- values: checks a key's value, and parses the text of an assignment. Depends on schema.
local problem = require "gen.config.problem"
local schema = require "gen.config.schema"

local values = {}

local USAGE, fail = problem.USAGE, problem.fail
local show, wanted = schema.show, schema.wanted

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
  if key.name == "window" and not value:find("^[LS]+$") then
    fail(USAGE, place, "window = %s; wanted L, or a pattern of L and S, such as SSSL", show(value))
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

-- The value in the key's type, or an error; `place` is where it was stated.
function values.check(key, value, place)
  return checks[key.type](key, value, place)
end

local booleans = { ["True"] = true, ["true"] = true, ["1"] = true,
  ["False"] = false, ["false"] = false, ["0"] = false }

-- The value that an assignment's text stands for; text that does not fit the key's type comes back as it is.
function values.parse(key, text)
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

return values
