-- stack: the most bytes of stack that a function needs, from what gcc's -fcallgraph-info=su writes: a line for each
-- function with its own bytes, and one for each call. Depends on nothing.
local stack = {}

local LIBRARY = 256 -- bytes for a function of another file, as libm's: they call few others

-- The bytes below `name`, itself included. text: a .ci file.
function stack.of(text, name)
  local bytes, calls = {}, {}
  for title, label in text:gmatch('node: { title: "([^"]*)" label: "([^"]*)"') do
    bytes[title] = tonumber(label:match("\\n(%d+) bytes"))
  end
  for from, to in text:gmatch('edge: { sourcename: "([^"]*)" targetname: "([^"]*)"') do
    calls[from] = calls[from] or {}
    table.insert(calls[from], to)
  end
  local known = {}
  local function most(title)
    if known[title] then return known[title] end
    known[title] = 0 -- no function here calls itself
    local deepest = 0
    for _, to in ipairs(calls[title] or {}) do deepest = math.max(deepest, most(to)) end
    known[title] = (bytes[title] or LIBRARY) + deepest
    return known[title]
  end
  return most(name)
end

return stack
