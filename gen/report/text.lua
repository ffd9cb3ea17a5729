-- text: makes any string fit to show: valid UTF-8, one line, cut to a length.
local text = {}

local REPLACEMENT = "\u{FFFD}"

-- Bytes that are not UTF-8 become U+FFFD, one each.
function text.valid(s)
  if utf8.len(s) then return s end
  local parts, from = {}, 1
  while from <= #s do
    local ok, bad = utf8.len(s, from)
    if ok then
      parts[#parts + 1] = s:sub(from)
      break
    end
    parts[#parts + 1] = s:sub(from, bad - 1)
    parts[#parts + 1] = REPLACEMENT
    from = bad + 1
  end
  return table.concat(parts)
end

-- The first `most` characters of valid UTF-8.
function text.cut(s, most)
  local to = utf8.offset(s, most + 1)
  return to and s:sub(1, to - 1) or s
end

-- One line of at most 300 characters.
function text.line(s)
  return text.cut(text.valid(s):gsub("%c", " "), 300)
end

-- Escapes a string for HTML, in text and in quoted attributes.
function text.html(s)
  return (text.valid(s):gsub("[&<>\"']", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;",
    ["'"] = "&#39;" }))
end

return text
