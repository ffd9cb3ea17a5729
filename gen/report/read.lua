-- read: reads files that others wrote, up to a size. What is wrong with a file is returned in words, so that the page
-- can say so and show the rest.
local json = require("dkjson")

local read = {}

local CHUNK = 1 << 16
local MOST_LINE = 1 << 16 -- bytes of one line

-- Whether a file or folder at path can be opened.
function read.exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

-- The file's text, or nil and what is wrong. `most` is in bytes.
function read.text(path, most)
  local file = io.open(path, "rb")
  if not file then return nil, "is missing" end
  local text, message = file:read(most + 1)
  file:close()
  if not text then return nil, message and "cannot be read" or "is empty" end
  if #text > most then return nil, ("is longer than %d bytes"):format(most) end
  return text
end

-- The first `count` bytes of a file, fewer if it is shorter; nil if it cannot be read.
function read.beginning(path, count)
  local file = io.open(path, "rb")
  local text = file and file:read(count)
  if file then file:close() end
  return text
end

-- A JSON text's value, or nil and what is wrong. null becomes nil.
function read.decode(text)
  local ok, value, _, problem = pcall(json.decode, text, 1, nil)
  if not ok or problem then return nil, "is not JSON" end
  return value
end

-- The object in a JSON file, or nil and what is wrong.
function read.object(path, most)
  local text, problem = read.text(path, most)
  if not text then return nil, problem end
  local value
  value, problem = read.decode(text)
  if problem then return nil, problem end
  if type(value) ~= "table" then return nil, "is not a JSON object" end
  return value
end

-- Calls visit(line, number, whole) for each line; `whole` is false for a last line without a line end. Returns what is
-- wrong, or nil. Reads at most `most` bytes.
function read.lines(path, most, visit)
  local file = io.open(path, "rb")
  if not file then return "is missing" end
  local rest, number, taken = "", 0, 0
  while true do
    local chunk, message = file:read(CHUNK)
    if not chunk then
      file:close()
      if message then return "cannot be read" end
      if rest ~= "" then visit(rest, number + 1, false) end
      return taken == 0 and "is empty" or nil
    end
    taken = taken + #chunk
    rest = rest .. chunk
    local from = 1
    while true do
      local to = rest:find("\n", from, true)
      if not to then break end
      number = number + 1
      visit(rest:sub(from, to - 1), number, true)
      from = to + 1
    end
    rest = rest:sub(from)
    if #rest > MOST_LINE then
      file:close()
      return ("has a line of more than %d bytes, line %d; the rest is not read"):format(MOST_LINE, number + 1)
    end
    if taken >= most then
      file:close()
      return ("is longer than %d MB; the rest is not read"):format(most // 1000000)
    end
  end
end

-- A finite number of a decoded object, or nil.
function read.number(object, key)
  local value = object[key]
  if type(value) ~= "number" or value ~= value or value == math.huge or value == -math.huge then return nil end
  return value
end

-- A whole number, at least `least` (0 by default), or nil.
function read.whole(object, key, least)
  local value = read.number(object, key)
  value = value and math.tointeger(value)
  return value and value >= (least or 0) and value or nil
end

function read.string(object, key)
  return type(object[key]) == "string" and object[key] or nil
end

-- An object's plain values by key; everything else is left out.
function read.plain(object)
  local plain = {}
  if type(object) ~= "table" then return plain end
  for key, value in pairs(object) do
    local kind = type(value)
    if type(key) == "string" and (kind == "string" or kind == "boolean" or read.number(object, key)) then
      plain[key] = value
    end
  end
  return plain
end

return read
