-- template: the template language: C with Lua in its comments.
--
--   //// TEXT        a comment of the template, which is not emitted; neither is // clang-format off
--   //$ STATEMENT    a line of Lua
--   $(EXPR)          a value: a string or a number, always a whole C token or more
--
-- A template of several files has `//$ include("FILE")` in its first: the functions of FILE, in the same folder, are
-- then defined for all of them.
--
-- Every line of a file becomes one line of one Lua chunk, loaded under the file's path, so that Lua's own messages
-- name the template's line. An unknown name, a nil value or an unbalanced $( raises.
local template = {}

-- One line of a template as one line of Lua.
local function translate(line, path, number)
  if line:find("^%s*////") or line:find("^%s*// clang%-format o[nf]+$") then return "" end
  local statement = line:match("^%s*//%$%s?(.*)$")
  if statement then return statement end
  local parts, at = {}, 1
  while true do
    local open = line:find("$(", at, true)
    if not open then break end
    if open > at then parts[#parts + 1] = ("%q"):format(line:sub(at, open - 1)) end
    local group = line:match("^%b()", open + 1)
    if not group then error(("%s:%d: $( is never closed"):format(path, number), 0) end
    parts[#parts + 1] = ("_value(%q, %s)"):format(group:sub(2, -2), group:sub(2, -2))
    at = open + 1 + #group
  end
  if at <= #line then parts[#parts + 1] = ("%q"):format(line:sub(at)) end
  return "_line(" .. table.concat(parts, ", ") .. ")"
end

local function read_lines(path)
  local file, message = io.open(path, "rb")
  if not file then error(message, 0) end
  local lines = {}
  for line in file:lines() do lines[#lines + 1] = line end
  file:close()
  return lines
end

-- Loads a template. Its functions, and those of the files that it includes, become fields of the result:
-- t.layernorm(k) returns the text that the function of that name writes. `given` holds further names that its Lua
-- may use.
function template.load(path, given)
  local out = {}
  local language = {
    ipairs = ipairs, pairs = pairs, tostring = tostring, string = string, math = math, table = table,
    _line = function(...) out[#out + 1] = table.concat({ ... }) end,
    _value = function(expression, v)
      if type(v) ~= "string" and type(v) ~= "number" then
        error(("$(%s) is %s, not a string or number"):format(expression, type(v)), 2)
      end
      return tostring(v)
    end,
  }
  for name, value in pairs(given or {}) do language[name] = value end
  -- What the template defines.
  local names = setmetatable({}, {
    __index = function(_, name)
      return language[name] or error(("unknown name '%s'"):format(name), 2)
    end,
  })

  local function run(file)
    local lines = read_lines(file)
    for number, line in ipairs(lines) do lines[number] = translate(line, file, number) end
    local chunk, message = load(table.concat(lines, "\n"), "@" .. file, "t", names)
    if not chunk then error(message, 0) end
    chunk()
  end
  function language.include(file) run(path:match("^(.*/)") .. file) end
  run(path)

  local result = {}
  for name, value in pairs(names) do
    if type(value) == "function" then
      result[name] = function(...)
        out = {}
        value(...)
        return table.concat(out, "\n") .. "\n"
      end
    end
  end
  return result
end

return template
