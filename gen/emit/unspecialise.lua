-- unspecialise: changes the text of a CPU kernel whose sizes are constants so that it takes them as
-- arguments, like a library's kernel. For builds with specialise=false, which show what baked sizes
-- gain.
--
-- Every function of the text gets `sizes` as its first parameter. In each, those entries of enums that
-- depend on a size ("N = sizes->N" of sizes.lua, and values computed from those) become const ints, if
-- they are used.
local call = require("gen.emit.call")

local unspecialise = {}

-- Reads "A = x, B = F(y, z)" into { { name, value }, ... }.
local function entries_of(list)
  local entries, depth, from = {}, 0, 1
  for i = 1, #list + 1 do
    local c = list:sub(i, i)
    if c == "(" then depth = depth + 1 elseif c == ")" then depth = depth - 1 end
    if depth == 0 and (c == "," or c == "") then
      local name, value = list:sub(from, i - 1):match("^%s*([%w_]+)%s*=%s*(.-)%s*$")
      entries[#entries + 1] = { name = name, value = value }
      from = i + 1
    end
  end
  return entries
end

local function mentions(text, test)
  for word in text:gmatch("[%a_][%w_]*") do
    if test(word) then return true end
  end
  return false
end

-- The lines that declare an enum's entries; `variable` has those whose value is not constant.
local function declaration(entries, variable, used)
  local constants, sizes = {}, {}
  for _, entry in ipairs(entries) do
    if used[entry.name] then
      local list = variable[entry.name] and sizes or constants
      list[#list + 1] = entry.name .. " = " .. entry.value
    end
  end
  local lines = {}
  if #constants > 0 then lines[1] = "enum { " .. table.concat(constants, ", ") .. " };" end
  if #sizes > 0 then lines[#lines + 1] = "const int " .. table.concat(sizes, ", ") .. ";" end
  return lines
end

-- A function's body with its enums changed.
local function body_of(body)
  local enums, variable, list = {}, {}, {}
  local rest = body:gsub("( *)enum (%b{});\n", function(indent, braces)
    local entries = entries_of(braces:sub(2, -2))
    for _, entry in ipairs(entries) do
      variable[entry.name] = mentions(entry.value, function(word) return word == "sizes" or variable[word] end)
      list[#list + 1] = entry
    end
    enums[#enums + 1] = { indent = indent, entries = entries }
    return ("enum %d;\n"):format(#enums)
  end)
  -- From last to first: an entry may be used only by later ones.
  local used = {}
  for word in rest:gmatch("[%a_][%w_]*") do used[word] = true end
  for i = #list, 1, -1 do
    if used[list[i].name] then
      for word in list[i].value:gmatch("[%a_][%w_]*") do used[word] = true end
    end
  end
  return (rest:gsub("enum (%d+);\n", function(number)
    local enum, lines = enums[tonumber(number)], {}
    for _, line in ipairs(declaration(enum.entries, variable, used)) do
      lines[#lines + 1] = enum.indent .. line .. "\n"
    end
    return table.concat(lines)
  end))
end

-- text holds the kernel `name` and its parts; `known` is the set of functions that other texts define,
-- to which this one's are added.
function unspecialise.text(text, name, known)
  text = ("\n" .. text):gsub("(\n%a[%w_ %*]-)([%w_]+)(%b()) {\n(.-\n)}\n", function(head, own, params, body)
    known[own] = true
    if own == name then head = head:gsub("^\nstatic", "\nANY_SIZES") end
    body = body_of(body)
    if not mentions(body, function(word) return word == "sizes" or known[word] and word ~= own end) then
      body = "    (void)sizes;\n" .. body
    end
    return ("%s%s@(%s {\n%s}\n"):format(head, own, params:sub(2), body)
  end)
  text = text:gsub("([%w_]+)(@?)(%s*)%(", function(word, defined, space)
    if defined == "@" then return word .. "(" .. call.SIZES .. ", " end
    return known[word] and word .. space .. "(sizes, " or nil
  end)
  return (text:gsub("^\n", ""))
end

return unspecialise
