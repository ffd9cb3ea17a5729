-- wrap: breaks lines of C that are longer than 100 columns where a person would break them. Values
-- make lines longer than in their template, so this runs over a whole emitted file; it changes only
-- white space.
local wrap = {}

local WIDTH = 100

-- Reads a line that begins inside the brackets `before`, each the column at which its contents
-- continue. Returns the brackets that are open at its end, and where to break it: after the last comma
-- or semicolon within WIDTH in the fewest brackets, and the brackets that are open there.
local function scan(line, before)
  local open, quoted = { table.unpack(before) }, false
  local best, best_open
  for i = 1, #line do
    local c = line:sub(i, i)
    if c == '"' and line:sub(i - 1, i - 1) ~= "\\" then quoted = not quoted end
    if not quoted then
      if c:find("[({%[]") then
        open[#open + 1] = line:find("%S", i + 1) or i
      elseif c:find("[)}%]]") then
        open[#open] = nil
      elseif c:find("[,;]") and i <= WIDTH and line:sub(i + 1, i + 1) == " "
        and (not best or #open <= #best_open) then
        best, best_open = i, { table.unpack(open) }
      end
    end
  end
  return open, best, best_open
end

-- Wraps words in lines that begin with `start`.
local function fit_comment(start, words)
  local room = WIDTH - #start
  local cut = words:sub(1, room + 1):match("^.*()%s") or words:find(" ", 1, true)
  if #start + #words <= WIDTH or not cut then return start .. words end
  return start .. words:sub(1, cut - 1) .. "\n" .. fit_comment(start, words:sub(cut + 1))
end

-- For a line that is only a comment: its beginning, and its words; nil for any other.
local function comment_line(line)
  return line:match("^(%s*//%s*)(.*)$")
end

-- Wraps comments that are too long. The rest of a line moves to the line below, if that is of the same paragraph:
-- it begins at the same column, and is not an item of a list. A rule is shortened instead.
local function fit_comments(lines)
  local out = {}
  for i = 1, #lines do
    local start, words = comment_line(lines[i])
    if start and #lines[i] > WIDTH then
      if words:find("^%-%-%-.*%-%-%-$") then
        lines[i] = lines[i]:gsub("%-+$", function(rule) return rule:sub(1, math.max(3, #rule - #lines[i] + WIDTH)) end)
      else
        local fitted = fit_comment(start, words)
        local rest = fitted:match("\n([^\n]*)$")
        local below, more = comment_line(lines[i + 1] or "")
        if rest and below == start and more ~= "" and not more:find("^[%-*]") then
          lines[i + 1] = rest .. " " .. more
          fitted = fitted:sub(1, -#rest - 2)
        end
        lines[i] = fitted
      end
    end
    out[i] = lines[i]
  end
  return table.concat(out, "\n")
end

-- Where to break a line that has no comma in its width: after the first " =" outside of brackets, or else after the
-- first bracket of arguments. Also the brackets that are open there.
local function cut_of(line, before)
  local depth, first, inside = #before, line:find("%S"), nil
  for i = first, WIDTH do
    local c = line:sub(i, i)
    if c == '"' then break end
    if c == "=" and depth == 0 and line:sub(i - 1, i + 1) == " = " then return i, {} end
    if c == "(" and not inside and line:sub(i - 1, i - 1):find("[%w_>]") then inside = { i, depth } end
    depth = depth + (c:find("[({%[]") and 1 or c:find("[)}%]]") and -1 or 0)
  end
  if not inside then return nil end
  return inside[1], { table.unpack(before, 1, math.min(inside[2], #before)) }
end

-- base: columns before the statement's first line.
local function fit(line, open, base)
  if #line <= WIDTH then return line end
  local start, words = comment_line(line)
  if start then return fit_comment(start, words) end
  local indent, code, comment = line:match('^(%s*)(.-%S)%s+(// [^"]*)$')
  if comment then return fit(indent .. comment, {}) .. "\n" .. fit(indent .. code, open) end
  base = base or #line:match("^%s*")
  local _, best, best_open = scan(line, open)
  if not best then
    local cut, inside = cut_of(line, open)
    if not cut then return line end
    local column = math.min(#line:match("^%s*"), base + 4) + 4
    if line:sub(cut, cut) == "(" then inside[#inside + 1] = column + 1 end
    local rest = line:sub(cut + 1):match("^%s*(.*)$")
    return line:sub(1, cut) .. "\n" .. fit((" "):rep(column) .. rest, inside, column)
  end
  -- Outside of brackets, the rest goes under the first name of "const int a = 1, b = 2".
  local column = best_open[#best_open] or line:match("^%s*const%s+[%w_]+%s+()")
    or line:match("^%s*%[%[[%w_]+%]%]%s+constexpr%s+[%w_]+%s+()") or line:match("^%s*constexpr%s+[%w_]+%s+()")
    or line:match("^%s*[%w_]+%s+()") or 1
  local rest = line:sub(best + 2)
  if column - 1 + #rest:match("^[^,;]*[,;]*") > WIDTH then -- no room there: indented by four more columns
    column = base + 5
    best_open[#best_open] = column
  end
  return line:sub(1, best) .. "\n" .. fit((" "):rep(column - 1) .. rest, best_open, base)
end

-- A line of a macro, with the backslash in the last column.
local function fit_macro(line)
  local text = line:match("^(.-)%s*\\$")
  return text .. (" "):rep(math.max(1, WIDTH - 1 - #text)) .. "\\"
end

-- Wraps a whole text. A statement that its template breaks after commas is broken again, since values have moved its
-- brackets.
function wrap.text(text)
  local lines = {}
  for line in text:gmatch("([^\n]*)\n") do lines[#lines + 1] = line end
  local out, pending = {}, nil
  for line in (fit_comments(lines) .. "\n"):gmatch("([^\n]*)\n") do
    if pending then
      pending = pending .. " " .. line:match("^%s*(.*)$")
    elseif line:find("\\$") then
      out[#out + 1] = fit_macro(line)
    elseif line:find("^%s*#") then
      out[#out + 1] = line
    else
      pending = line
    end
    if pending then
      local open = scan(pending, {})
      local in_call = #open > 0 and pending:sub(open[#open] - 1, open[#open] - 1) == "("
      if not (in_call and pending:find(",$") and not pending:find("//", 1, true)) then
        out[#out + 1] = fit(pending, {})
        pending = nil
      end
    end
  end
  if pending then out[#out + 1] = fit(pending, {}) end
  return table.concat(out, "\n") .. "\n"
end

return wrap
