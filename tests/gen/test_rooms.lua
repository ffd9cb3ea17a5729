-- test_rooms: gen/ is divided into rooms, in an order (gen/README.md). A file requires only rooms that its own room's
-- page names, and a page names only rooms before its own. Every folder with Lua files has a page.
local check = require("tests.gen.check")
local files = require("gen.base.files")

local function lines_of(command)
  local list, pipe = {}, io.popen(command)
  for line in pipe:lines() do list[#list + 1] = line end
  pipe:close()
  return list
end

-- The position of each room in the order, from the rows of gen/README.md's table.
local function order_of(page)
  local place, count = {}, 0
  for room in page:gmatch("\n| %[([%w_]+)/%]") do
    count = count + 1
    place[room] = count
  end
  return place
end

-- The rooms that a room's page names: "May depend on: base, config."; of "nothing", none.
local function named_in(page)
  local text, set = page:match("\nMay depend on: ([^\n]*)%.\n"), {}
  if not text then return nil end
  for room in text:gmatch("[%w_]+") do
    if room ~= "nothing" then set[room] = true end
  end
  return set
end

-- The violations: `texts` is path → text of gen/README.md, of each room's page and of all Lua files in rooms.
local function problems(texts)
  local list, place, allowed = {}, order_of(texts["gen/README.md"]), {}
  local function wrong(format, ...) list[#list + 1] = format:format(...) end
  for room, own in pairs(place) do
    local page = texts[("gen/%s/README.md"):format(room)]
    allowed[room] = page and named_in(page)
    if not allowed[room] then wrong("gen/%s/README.md does not say what it may depend on", room) end
    for other in pairs(allowed[room] or {}) do
      if not place[other] or place[other] >= own then wrong("gen/%s may not depend on gen/%s", room, other) end
    end
  end
  for path, text in pairs(texts) do
    local room = path:match("^gen/([%w_]+)/.*%.lua$")
    if room and not allowed[room] then wrong("%s is in no room of gen/README.md", path) end
    for other in (room and text or ""):gmatch("require%s*%(?%s*[\"']gen%.([%w_]+)") do
      if other ~= room and not (allowed[room] or {})[other] then wrong("%s requires gen.%s", path, other) end
    end
  end
  table.sort(list)
  return list
end

local texts = {}
for _, path in ipairs(lines_of("ls gen/README.md gen/*/README.md gen/*/*.lua")) do texts[path] = files.read(path) end

check.test("each room requires what its page names, of the rooms before it", function()
  local list = problems(texts)
  if #list > 0 then error(table.concat(list, "\n"), 0) end
end)

-- The only violation if `text` is appended to the file at `path`.
local function planted(path, text)
  local copy = {}
  for key, value in pairs(texts) do copy[key] = value end
  copy[path] = (copy[path] or "") .. text
  local list = problems(copy)
  check.equal(#list, 1, path)
  return list[1]
end

check.test("planted violations are found", function()
  check.equal(planted("gen/ir/graph.lua", 'local kernels = require("gen.emit.kernels")\n'),
    "gen/ir/graph.lua requires gen.emit")
  check.equal(planted("gen/ops/add.lua", "local op = require 'gen.ir.op'\n"), "gen/ops/add.lua requires gen.ir")
  check.equal(planted("gen/passes/plan.lua", 'require("gen.sweep." .. name)\n'),
    "gen/passes/plan.lua requires gen.sweep")
  check.equal(planted("gen/emit/kernels.lua", 'require("gen.main")\n'), "gen/emit/kernels.lua requires gen.main")
  check.equal(planted("gen/attic/x.lua", ""), "gen/attic/x.lua is in no room of gen/README.md")
  check.equal(planted("gen/README.md", "| [attic/](attic/README.md) | |\n"),
    "gen/attic/README.md does not say what it may depend on")
  local page = "gen/ir/README.md"
  local kept = texts[page]
  texts[page] = kept:gsub("May depend on: ", "May depend on: passes, ")
  check.equal(planted(page, ""), "gen/ir may not depend on gen/passes")
  texts[page] = kept
end)

check.finish()
