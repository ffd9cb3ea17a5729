-- removals: whether a test fails when one line that keeps a promise is removed.
--
--   lua5.4 tests/torture/removals.lua --check       only whether each line of removals_list.lua is still there, once
--   lua5.4 tests/torture/removals.lua [WORD ...]    removes each (those whose line has one of the words) in turn, in a
--                                                   copy in build/torture/removals, and runs the tests that must fail
--
-- The tests have to pass in the copy as it is, which is tried first. A removal takes half a minute and more, so without
-- words it is 24 of the list, drawn by SEED; REMOVALS=all takes all. From the root.
package.path = "./?.lua;" .. package.path
local check = require("tests.gen.check")
local list = require("tests.torture.removals_list")

local COPY = "build/torture/removals"

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  return text
end

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  assert(file:close())
end

-- The text without the line; an error unless the line is there exactly once.
local function removed(entry, text)
  local first, last = text:find(entry.from, 1, true)
  assert(first, ("%s no longer has: %s"):format(entry.file, entry.from))
  assert(not text:find(entry.from, last + 1, true), ("%s has more than once: %s"):format(entry.file, entry.from))
  return text:sub(1, first - 1) .. entry.to .. text:sub(last + 1)
end

local DRAWN = 24

local function with_words(words)
  local entries = {}
  for _, entry in ipairs(list) do
    local text = entry.what .. " " .. entry.file .. " " .. entry.tests
    local found = false
    for _, word in ipairs(words) do found = found or text:find(word, 1, true) ~= nil end
    if found then entries[#entries + 1] = entry end
  end
  return entries
end

-- Some of the list, in its order, so that those of the same tests are neighbours.
local function drawn(seed)
  math.randomseed(seed)
  local entries, left = {}, math.min(DRAWN, #list)
  for i, entry in ipairs(list) do
    if math.random(#list - i + 1) <= left then
      entries[#entries + 1] = entry
      left = left - 1
    end
  end
  return entries
end

local function chosen(words)
  if #words > 0 then return with_words(words) end
  if os.getenv("REMOVALS") == "all" then return list end
  return drawn(math.tointeger(tonumber(os.getenv("SEED") or "")) or os.time())
end

-- Whether the tests that these words choose pass in the copy.
local function passes(tests)
  return (os.execute(("cd %s && JOBS=1 nice lua5.4 tests/run.lua %s >../removals.log 2>&1"):format(COPY, tests)))
end

local function copy()
  assert(os.execute(("mkdir -p %s && tar -cf - Makefile gen templates runtime configs data tests .luacheckrc " ..
    ".clang-format | tar -C %s -xf -"):format(COPY, COPY)))
end

-- Removes one line and expects a failure; puts the line back either way.
local function try(entry)
  local path = COPY .. "/" .. entry.file
  local text = read(path)
  write(path, removed(entry, text))
  local noticed = not passes(entry.tests)
  write(path, text)
  assert(noticed, ("not noticed by %s: %s"):format(entry.tests, entry.what))
  print(("noticed by %s: %s"):format(entry.tests, entry.what))
end

if arg[1] == "--check" then
  for _, entry in ipairs(list) do
    check.test(entry.what, function() removed(entry, read(entry.file)) end)
  end
else
  io.stdout:setvbuf("line")
  copy()
  local sound = {} -- tests -> whether they pass as they are
  for _, entry in ipairs(chosen(arg)) do
    check.test(entry.what, function()
      if sound[entry.tests] == nil then sound[entry.tests] = passes(entry.tests) or false end
      assert(sound[entry.tests], "fails with nothing removed: " .. entry.tests)
      try(entry)
    end)
  end
  print(("torture: removing one sync, check of a size, hash or check of what is saved makes a test fail: %d of %d, " ..
    "of a list of %d"):format(check.passed, check.passed + check.failed, #list))
end
check.finish()
