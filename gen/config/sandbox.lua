-- sandbox: reads a config file that somebody sent, without trusting it.
--
-- A config is Lua source that returns one flat table; a sweep's holds tables. It runs with nothing but
-- a few numeric functions, without string methods (their metatable is emptied while it runs), in a
-- coroutine, under a hook at every instruction that counts steps and memory. The garbage collector
-- is stopped meanwhile, so that garbage counts too.
local sandbox = {}

local MAX_BYTES = 64 * 1024 -- of source
local MAX_STEPS = 20000     -- Lua instructions; a plain config of every key takes about 150
local MAX_KILOBYTES = 128   -- allocated while it runs
local MAX_KEYS = 1000
local MAX_STRING = 1024
local MAX_NESTED = 4000     -- values of a sweep's tables, all together
local MAX_DEPTH = 5

local ENOENT, ENOTDIR = 2, 20

-- One line fit for a terminal: control characters become '?', and what is long is cut.
function sandbox.printable(text, limit)
  limit = limit or 200
  text = string.gsub(text, "[%c\127]", "?")
  if #text > limit then text = string.sub(text, 1, limit - 3) .. "..." end
  return text
end

local function fail(code, path, message)
  error({ code = code, message = sandbox.printable(path .. ": " .. message, 400) }, 0)
end

-- Coercing a long string of digits to a number is slow and is one instruction, so strings are kept
-- from math's functions.
local function numeric(name)
  local f = math[name]
  return function(...)
    for i = 1, select("#", ...) do
      if type((select(i, ...))) ~= "number" then error("math." .. name .. " takes numbers", 2) end
    end
    return f(...)
  end
end

-- Python's constants would be nil, so that the key would silently be left out.
local PYTHON = { True = "true", False = "false", None = "nothing: leave the key out" }

local function environment(functions)
  local env = { math = { pi = math.pi, huge = math.huge } }
  for _, name in ipairs({ "abs", "ceil", "floor", "max", "min", "sqrt" }) do
    env.math[name] = numeric(name)
  end
  for name, f in pairs(functions or {}) do env[name] = f end
  return setmetatable(env, { __index = function(_, name)
    if PYTHON[name] then error(name .. " is Python's; Lua writes " .. PYTHON[name], 2) end
  end })
end

-- Runs the chunk under the limits above. Returns true and its result, or false and a message.
local function run(chunk)
  local string_meta, kept = getmetatable(""), {}
  local count, was_running = collectgarbage, collectgarbage("isrunning")
  local steps, base = 0, 0
  local function hook()
    steps = steps + 1
    if steps > MAX_STEPS then error("runs for too long; a config only returns a table", 0) end
    if count("count") - base > MAX_KILOBYTES then
      error("takes too much memory; a config only returns a table", 0)
    end
  end
  local thread = coroutine.create(chunk)
  debug.sethook(thread, hook, "", 1)
  for k, v in pairs(string_meta) do kept[k] = v end
  for k in pairs(kept) do string_meta[k] = nil end
  collectgarbage("stop")
  base = collectgarbage("count")
  local ok, result = coroutine.resume(thread)
  if was_running then collectgarbage("restart") end
  for k, v in pairs(kept) do string_meta[k] = v end
  return ok, result
end

local function read_source(path, holds)
  local file, message, errno = io.open(path, "rb")
  if not file then
    local missing = errno == ENOENT or errno == ENOTDIR
    message = string.gsub(message, "^.*: ", "")
    if missing then
      fail(66, path, holds)
    end
    fail(74, path, "cannot be opened: " .. message)
  end
  local text, read_message = file:read(MAX_BYTES + 1)
  file:close()
  if read_message then fail(74, path, "cannot be read: " .. read_message) end
  text = text or ""
  if #text > MAX_BYTES then
    fail(64, path, "longer than 64 KB; a config is a short table")
  end
  if text:find("^\xff\xfe") or text:find("^\xfe\xff") then
    fail(64, path, "is UTF-16; save it as UTF-8: iconv -f UTF-16 -t UTF-8")
  end
  return (text:gsub("^\xef\xbb\xbf", "")) -- the byte order mark that some editors write
end

local function is_plain(value)
  local kind = type(value)
  return kind == "boolean" or kind == "number" or kind == "string"
end

-- Copies the result, a flat table of string keys and plain values: no depth and no cycles to guard against.
local function copy_result(path, result)
  if type(result) ~= "table" then
    fail(64, path, "returns " .. (result == nil and "nothing" or "a " .. type(result)) ..
      "; wanted a table: return { n_layer = 4, ... }")
  end
  local names = {}
  for key in next, result do
    if type(key) ~= "string" then
      fail(64, path, "holds a value without a name; wanted name = value throughout")
    end
    names[#names + 1] = key
    if #names > MAX_KEYS then fail(64, path, "holds more than " .. MAX_KEYS .. " keys") end
  end
  table.sort(names) -- so that the same key is complained of each time
  local copy = {}
  for _, name in ipairs(names) do
    local value = rawget(result, name)
    local shown = sandbox.printable(name, 40)
    if not is_plain(value) then
      fail(64, path, ("%s is a %s; wanted a number, a string, true or false"):format(
        shown, type(value)))
    end
    if type(value) == "string" and #value > MAX_STRING then
      fail(64, path, ("%s is a string of %d bytes; wanted at most %d"):format(
        shown, #value, MAX_STRING))
    end
    copy[name] = value
  end
  return copy
end

-- Copies a table of tables with strings and 1, 2, ... as keys and plain values, at most `depth`
-- tables deep (so that a cycle ends) and with at most MAX_NESTED values.
local function copy_nested(path, value, where, depth, budget)
  local shown = sandbox.printable(where, 60)
  if is_plain(value) then
    if type(value) == "string" and #value > MAX_STRING then
      fail(64, path, ("%s is a string of %d bytes; wanted at most %d"):format(shown, #value, MAX_STRING))
    end
    return value
  end
  if type(value) ~= "table" then
    fail(64, path, ("%s is a %s; wanted a table, a number, a string, true or false"):format(shown, type(value)))
  end
  if depth == 0 then fail(64, path, shown .. " holds tables in tables, deeper than a sweep's") end
  local keys = {}
  for key in next, value do
    if type(key) ~= "string" and (math.type(key) ~= "integer" or key < 1) then
      fail(64, path, shown .. " holds a value without a name and without a place in a list")
    end
    keys[#keys + 1] = key
    budget.left = budget.left - 1
    if budget.left < 0 then fail(64, path, "holds more than " .. MAX_NESTED .. " values") end
  end
  -- So that the same key is complained of each time.
  table.sort(keys, function(a, b)
    if type(a) == type(b) then return a < b end
    return type(a) == "number"
  end)
  local copy = {}
  for _, key in ipairs(keys) do
    local name = type(key) == "string" and where .. "." .. key or ("%s[%d]"):format(where, key)
    copy[key] = copy_nested(path, rawget(value, key), name, depth - 1, budget)
  end
  return copy
end

local function load_contained(path, holds, functions)
  local text = read_source(path, holds)
  local chunk, message = load(text, "=?", "t", environment(functions))
  local ok, result = false, message
  if chunk then ok, result = run(chunk) end
  if not ok then
    -- Lua's own messages open with the chunk's name and the line.
    local line, rest = string.match(tostring(result), "^%?:(%d+): (.*)$")
    fail(64, line and path .. ":" .. line or path, sandbox.printable(rest or tostring(result)))
  end
  return result
end

-- Loads the config at path and returns its table of string keys and plain values. Raises
-- { code = 64 | 66 | 74, message = one line }.
function sandbox.load(path)
  return copy_result(path, load_contained(path, "no such config; configs/ holds those that there are"))
end

-- The same for a sweep, whose table holds lists and tables; `holds` is the message if there is no such file,
-- `functions` are what it may call besides.
function sandbox.load_nested(path, holds, functions)
  local result = load_contained(path, holds, functions)
  if type(result) ~= "table" then
    fail(64, path, "returns " .. (result == nil and "nothing" or "a " .. type(result)) ..
      "; wanted a table: return { base = ..., grid = { ... } }")
  end
  return copy_nested(path, result, "it", MAX_DEPTH, { left = MAX_NESTED })
end

return sandbox
