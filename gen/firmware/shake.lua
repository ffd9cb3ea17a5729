-- shake: of C files, the parts that a text uses, as one text: what a microcontroller's sampler has of the runtime.
-- Files and what they include are read as for a machine without vectors, divided into parts (a function, a type, a
-- macro, with the comment above it), and parts that nothing uses are left out. It relies on the project's format: a
-- part begins at the beginning of a line, and the lines inside of it do not, or are inside of braces.
--
-- Depends on base.
local files = require("gen.base.files")

local shake = {}

-- The names of compilers and machines that are not defined where the text is compiled, as of every vector unit, are all
-- but these, which stay in the text; so do conditions of the project's own names.
local not_known = { __clang__ = true, __GNUC__ = true, __ARM_FEATURE_DSP = true }

local function is_known(name) return name:find("^__") and not not_known[name] or name:find("^[%u%d_]+_H$") end

-- ---- conditions -----------------------------------------------------------------------------------

-- true, false, or nil: not known. Only || of && of defined(NAME), !defined(NAME) are understood.
-- left_out: the names that only code which is left out defines.
local function value_of(condition, left_out)
  local any, unknown = false, false
  for alternative in (condition .. "||"):gmatch("(.-)||") do
    local all = true
    for term in (alternative .. "&&"):gmatch("(.-)&&") do
      local negated, name = term:match("^%s*(!?)%s*defined%s*%(?%s*([%w_]+)%s*%)?%s*$")
      local known = name and (is_known(name) or left_out[name])
      if known and negated == "" then
        all = false
      elseif not known and all then
        all = nil
      end
    end
    any = any or all == true
    unknown = unknown or all == nil
  end
  if any then return true end
  if unknown then return nil end
  return false
end

-- The lines for this machine. An #if of which something is not known stays as it is.
local function resolve(text, path)
  local lines, stack, left_out = {}, {}, {}
  local function on()
    for _, level in ipairs(stack) do if not level.on then return false end end
    return true
  end
  local splice = text:gsub("\\\n", "\1") -- a directive is one line
  for line in splice:gmatch("[^\n]*") do
    local word, rest = line:match("^%s*#%s*(%a+)%s*(.-)%s*$")
    local level = stack[#stack]
    if word == "if" or word == "ifdef" or word == "ifndef" then
      local condition = word == "if" and rest or (word == "ifdef" and "defined(%s)" or "!defined(%s)"):format(rest)
      local value = value_of(condition, left_out)
      if value == nil and on() then lines[#lines + 1] = line end
      stack[#stack + 1] = { kept = value == nil, on = value ~= false, done = value == true }
    elseif word == "elif" and not level.kept then
      local value = not level.done and value_of(rest, left_out)
      if value == nil then error(("%s: '%s' cannot be decided, and is no #if"):format(path, line), 0) end
      level.on, level.done = value, level.done or value
    elseif word == "else" and not level.kept then
      level.on = not level.done
    elseif word == "endif" then
      stack[#stack] = nil
      if level.kept and on() then lines[#lines + 1] = line end
    else
      local kept = on()
      local defined = word == "define" and rest:match("^[%w_]+")
      if defined then left_out[defined] = not kept and left_out[defined] ~= false end
      if kept then lines[#lines + 1] = line end
    end
  end
  return (table.concat(lines, "\n"):gsub("\1", "\\\n"))
end

-- ---- parts ----------------------------------------------------------------------------------------

local function without_comments(text)
  return ((text .. "\n"):gsub("//[^\n]*", ""):gsub("/%*.-%*/", ""))
end

-- How much deeper in braces and parentheses the text ends than it begins.
local function depth_of(line)
  local code = line:gsub('"[^"]*"', ""):gsub("'[^']*'", ""):gsub("//.*", "")
  local _, open = code:gsub("[{(]", "")
  local _, close = code:gsub("[})]", "")
  return open - close
end

-- Divides a text into parts: { comment, code }, each a list of lines.
local function parts_of(text)
  local parts, comment, code, depth, conditions = {}, {}, {}, 0, 0
  for line in (text .. "\n"):gmatch("([^\n]*)\n") do
    local inside = #code > 0
    if not inside and line == "" then
      comment = {}
    elseif not inside and line:find("^//") then
      comment[#comment + 1] = line
    else
      code[#code + 1] = line
      depth = depth + depth_of(line)
      local directive = line:match("^#%s*(%a+)")
      if directive and directive:find("^if") then conditions = conditions + 1 end
      if directive == "endif" then conditions = conditions - 1 end
      local macro = code[1]:find("^#%s*define")
      local ends = directive and not line:find("\\$") or macro and not line:find("\\$") or
        not macro and (line:find("[;}]%s*$") or line:find(";%s*//") or line:find("^[%u_%d]+%b()$"))
      if depth == 0 and conditions == 0 and ends then
        parts[#parts + 1] = { comment = comment, code = code }
        comment, code = {}, {}
      end
    end
  end
  assert(#code == 0, code[1])
  return parts
end

local names_of
-- The names that a part defines. A prototype, or an #include, defines none; a condition, all inside of it.
function names_of(code)
  if code:find("^#%s*if") then
    local names = {}
    for _, part in ipairs(parts_of((code:gsub("#%s*%a*if[^\n]*", ""):gsub("#%s*else[^\n]*", "")))) do
      for _, name in ipairs(names_of(table.concat(part.code, "\n"))) do names[#names + 1] = name end
    end
    return names
  end
  local names, text = {}, without_comments(code)
  local function add(name) names[#names + 1] = name end
  for name in text:gmatch("#%s*define%s+([%w_]+)") do add(name) end
  if #names > 0 or text:find("^#") then return names end
  local body = text:match("{(.*)}")
  local tag = text:match("^%s*[%a_ ]-enum%s+([%w_]+)%s*{") or text:match("^[%a_ ]-struct%s+([%w_]+)%s*{")
  if body and text:find("^%s*enum") then
    for name in ("," .. body):gmatch("[,{]%s*([%a_][%w_]*)") do add(name) end
    add(tag)
  elseif text:find("^typedef") then
    add(text:match("^typedef%s+.-([%w_]+)%s*;") or text:match("^typedef%s+[%w_]+%s+([%w_]+)"))
    if text:find("__attribute__") then add(text:match("^typedef%s+[%w_]+%s+([%w_]+)")) end
  elseif tag and not text:find("^[^{]*[=(]") then
    add(tag)
  elseif body or text:find("=") then
    local head = text:gsub("__attribute__%b()%s*", ""):gsub("__attribute__%s*%b()", "")
    add(head:match("^[^{=;]-([%w_]+)%s*%(") or head:match("^[^{=;]-([%w_]+)%s*[%[=]") or
      head:match("}%s*([%w_]+)%s*[=;]")) -- of an anonymous struct
  end
  return names
end

-- A function that other files may call becomes this file's own.
local function own(code)
  local first = code:match("^[^\n]*")
  if first:find("^[#}]") or first:find("^%s") or not first:find("%(") then return code end
  if first:find("^static ") or first:find("^typedef ") or first:find("^[%u_]+ ") then return code end
  return "static " .. code
end

-- ---- the text -------------------------------------------------------------------------------------

-- The parts of `paths`, and of what they include, that `text` uses, in order. renamed: word -> word.
function shake.text(text, paths, renamed)
  local all, read = {}, {}
  local function add(path)
    if read[path] then return end
    read[path] = true
    local resolved = resolve(files.read(path) or error(path .. ": no such file"), path)
    for included in resolved:gmatch('\n#include "([^"]+)"') do add(included) end
    for from, to in pairs(renamed) do resolved = resolved:gsub("%f[%w_]" .. from .. "%f[^%w_]", to) end
    for _, part in ipairs(parts_of(resolved)) do
      local code = table.concat(part.code, "\n")
      if not code:find("^#include") then
        all[#all + 1] = { comment = table.concat(part.comment, "\n"), code = code, names = names_of(code), path = path }
      end
    end
  end
  for _, path in ipairs(paths) do add(path) end

  -- What the text defines itself is not taken.
  local definer, kept = {}, {}
  local taken = {}
  for _, part in ipairs(parts_of(resolve(text, "the text"))) do
    for _, name in ipairs(names_of(table.concat(part.code, "\n"))) do taken[name] = true end
  end
  for _, part in ipairs(all) do
    for _, name in ipairs(part.names) do
      if not taken[name] then
        definer[name] = definer[name] or {} -- a struct and a function may share a name
        table.insert(definer[name], part)
      end
    end
  end
  local function want(code)
    for name in without_comments(code):gmatch("[%a_][%w_]*") do
      for _, part in ipairs(definer[name] or {}) do
        if not kept[part] then
          kept[part] = true
          want(part.code)
        end
      end
    end
  end
  want(text)

  local lines, path = {}, nil
  for _, part in ipairs(all) do
    if kept[part] then
      if part.path ~= path then
        path = part.path
        lines[#lines + 1] = ("// ---- of %s %s\n"):format(path, ("-"):rep(89 - #path))
      end
      local comment = part.comment ~= "" and part.comment .. "\n" or ""
      lines[#lines + 1] = comment .. own(part.code) .. "\n"
    end
  end
  return table.concat(lines, "\n")
end

return shake
