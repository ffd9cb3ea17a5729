-- unicode: which code points are letters, numbers, white space, and what form C makes of which, as C tables, from the
-- Unicode Character Database that Debian's package unicode-data carries.
--
--   lua5.4 gen/tools/unicode.lua [FOLDER]      FOLDER is /usr/share/unicode by default
--
-- Writes runtime/text/unicode.h, for GPT-2's pre-tokenizer: letters are \p{L} and numbers \p{N}, by
-- UnicodeData.txt's general category; white space is White_Space of PropList.txt. Writes runtime/text/composition.h for
-- normalize.c: UnicodeData.txt's canonical decompositions and combining classes, and which of those
-- CompositionExclusions.txt keeps from being composed. Also writes tests/runtime/assigned.h, for tests: the code points
-- that this version of Unicode assigns. All are committed: only a newer Unicode needs this program and the package.
package.path = "./?.lua;" .. package.path
local files = require("gen.base.files")

local folder = arg[1] or "/usr/share/unicode"
local other, letter, number, space = 0, 1, 2, 3

local function fail(code, format, ...)
  io.stderr:write(format:format(...), "\n")
  os.exit(code)
end

local function lines(name)
  local path = folder .. "/" .. name
  local text = files.read(path)
  if not text then fail(66, "%s: no such file; 'apt-get install unicode-data' brings it", path) end
  return text:gmatch("[^\n]+"), path
end

-- "# PropList-15.0.0.txt"
local function version()
  local head, path = lines("PropList.txt")
  local first = head()
  return first:match("^# PropList%-([%d.]+)%.txt") or fail(65, "%s: its first line names no version", path)
end

-- class[c], and assigned[c] = true. A large range is two lines, its first and its last code point.
local function categories()
  local class, assigned, first = {}, {}, nil
  local each, path = lines("UnicodeData.txt")
  for line in each do
    local code, name, category = line:match("^(%x+);([^;]*);(%u%l);")
    if not code then fail(65, "%s: a line without a code point: %s", path, line) end
    local c = tonumber(code, 16)
    local kind = category:sub(1, 1)
    for i = first or c, c do
      class[i] = kind == "L" and letter or kind == "N" and number or other
      assigned[i] = category ~= "Cs" -- surrogates are not text
    end
    first = name:find(", First>$") and c or nil
  end
  return class, assigned
end

local function add_white_space(class)
  local each, path = lines("PropList.txt")
  local count = 0
  for line in each do
    local from, to = line:match("^(%x+)%.%.(%x+)%s*; White_Space")
    if not from then
      from = line:match("^(%x+)%s*; White_Space")
      to = from
    end
    for c = tonumber(from or "1", 16), tonumber(to or "0", 16) do
      class[c] = space
      count = count + 1
    end
  end
  if count == 0 then fail(65, "%s: no code point is White_Space", path) end
end

-- combining[c], the canonical combining class where it is not 0, and parts[c], the one or two code points that c is
-- decomposed into.
local function decompositions()
  local combining, parts = {}, {}
  for line in lines("UnicodeData.txt") do
    local code, class, into = line:match("^(%x+);[^;]*;%u%l;(%d+);[^;]*;([^;]*);")
    local c = tonumber(code, 16)
    if class ~= "0" then combining[c] = tonumber(class) end
    local a, b = into:match("^(%x+) ?(%x*)$")
    if a then parts[c] = { tonumber(a, 16), tonumber(b, 16) or 0 } end
  end
  return combining, parts
end

-- Pairs of parts that are never composed: those of single code points, those that begin with a mark, and a list.
local function excluded(combining, parts)
  local out = {}
  for c, part in pairs(parts) do
    if part[2] == 0 or combining[c] or combining[part[1]] then out[c] = true end
  end
  for line in lines("CompositionExclusions.txt") do
    local code = line:match("^(%x+)%f[%X]")
    if code then out[tonumber(code, 16)] = true end
  end
  return out
end

-- Where of(c) changes: { first code point, value }, over all of Unicode.
local function runs(of)
  local list, last = {}, nil
  for c = 0, 0x10ffff do
    local value = of(c)
    if value ~= last then
      list[#list + 1] = { c, value }
      last = value
    end
  end
  return list
end

-- Numbers in lines of at most 100 columns.
local function rows(values)
  local out, line = {}, "   "
  for _, value in ipairs(values) do
    local word = (" 0x%x,"):format(value)
    if #line + #word > 100 then
      out[#out + 1] = line
      line = "   "
    end
    line = line .. word
  end
  out[#out + 1] = line
  return table.concat(out, "\n")
end

local header = [[
// %s
// Of Unicode %s; written by gen/tools/unicode.lua.
#ifndef %s
#define %s

#include <stdint.h>

// clang-format off
%s
// clang-format on

#endif
]]

local function write(path, what, guard, body)
  local ok, problem = pcall(files.write, path, header:format(what, version(), guard, guard, body))
  if not ok then fail(problem.code or 70, "%s", problem.message or problem) end
  print(path)
end

local class, assigned = categories()
add_white_space(class)

local ascii, starts = {}, {}
for c = 0, 127 do ascii[#ascii + 1] = class[c] or other end
for _, run in ipairs(runs(function(c) return class[c] or other end)) do
  starts[#starts + 1] = run[1] << 2 | run[2]
end
write("runtime/text/unicode.h", "unicode.h: what kind of character each code point is, to GPT-2's pre-tokenizer.",
  "DIECAST_UNICODE_H", ([[
enum unicode_kind { UNICODE_OTHER, UNICODE_LETTER, UNICODE_NUMBER, UNICODE_SPACE };

static const uint8_t unicode_ascii[128] = {
%s
};

// Where the kind changes, rising: the first code point, times four, plus the kind from there on.
static const uint32_t unicode_runs[%d] = {
%s
};]]):format(rows(ascii), #starts, rows(starts)))

local edges = {}
for _, run in ipairs(runs(function(c) return assigned[c] or false end)) do edges[#edges + 1] = run[1] end
write("tests/runtime/assigned.h", "assigned.h: the code points that have a meaning, surrogates left out.",
  "DIECAST_ASSIGNED_H", ([[
// From the first number on they have one, from the second on none, and so on.
static const uint32_t assigned_edges[%d] = {
%s
};]]):format(#edges, rows(edges)))

local combining, parts = decompositions()
local out = excluded(combining, parts)
local classes, single, pairs_of = {}, {}, {}
for _, run in ipairs(runs(function(c) return combining[c] or 0 end)) do classes[#classes + 1] = run[1] << 8 | run[2] end
for c = 0, 0x10ffff do
  local part = parts[c]
  if part then
    single[#single + 1] = c << 36 | part[1] << 18 | part[2]
    if not out[c] then pairs_of[#pairs_of + 1] = { part[1] << 18 | part[2], #single - 1 } end
  end
end
table.sort(pairs_of, function(a, b) return a[1] < b[1] end)
local places = {}
for i, pair in ipairs(pairs_of) do places[i] = pair[2] end
write("runtime/text/composition.h", "composition.h: what Unicode's form C composes, and of what.",
  "DIECAST_COMPOSITION_H", ([[
// Where the canonical combining class changes, rising: the first code point, times 256, plus the
// class from there on.
static const uint32_t composition_classes[%d] = {
%s
};

// Canonical decompositions, rising: 18 bits each of the code point and of its one or two parts, the
// second 0 where there is one.
static const uint64_t composition_parts[%d] = {
%s
};

// The places there of those that are composed again, their parts rising.
static const uint16_t composition_pairs[%d] = {
%s
};]]):format(#classes, rows(classes), #single, rows(single), #places, rows(places)))
