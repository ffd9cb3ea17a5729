-- literal: values as C literals. Depends on nothing.
local literal = {}

-- A C string literal: bytes that C could interpret, also trigraphs, are octal.
function literal.string(text)
  local function octal(byte) return ("\\%03o"):format(byte:byte()) end
  return '"' .. text:gsub('[%c"\\\x7f-\xff]', octal):gsub("%?%?", "?\\077") .. '"'
end

-- A float literal that reads back as the same float.
function literal.float(value)
  local text = ("%.9g"):format(value)
  if not text:find("[.e]") then text = text .. ".0" end
  return text .. "f"
end

-- A list of numbers. 15 digits: the last bit of a power depends on the machine's libm.
function literal.doubles(list)
  local words = {}
  for i, value in ipairs(list) do
    local text = ("%.15g"):format(value)
    words[i] = text:find("[.e]") and text or text .. ".0"
  end
  return table.concat(words, ", ")
end

-- Words as C string literals, one a line of a macro.
function literal.macro_strings(text)
  local lines, line = {}, ""
  local function add(piece)
    if #line + #piece > 80 then
      lines[#lines + 1] = literal.string(line)
      line = ""
    end
    line = line .. piece
  end
  for word in text:gmatch("%S+") do
    for piece in (word .. " "):gmatch("[^+]+%+?") do add(piece) end
  end
  lines[#lines + 1] = literal.string((line:gsub(" $", "")))
  return table.concat(lines, " \\\n    ")
end

return literal
