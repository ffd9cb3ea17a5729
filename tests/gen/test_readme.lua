-- test_readme: tables in pages are what the code has: in configs/README.md all config keys, which `--update` rewrites;
-- in templates/README.md the fields of k that kernels' templates read; in `make help` the Makefile's words.
local check = require("tests.gen.check")
local schema = require("gen.config.schema")
local files = require("gen.base.files")

local OPEN, CLOSE = "<!-- keys: written by `make golden` from gen/config/keys.lua -->\n", "<!-- end of keys -->"

local text = files.read("configs/README.md")
local _, from = text:find(OPEN, 1, true)
local to = text:find(CLOSE, 1, true)

if arg[1] == "--update" then
  local file = assert(io.open("configs/README.md", "wb"))
  file:write(text:sub(1, from), schema.markdown(), text:sub(to))
  file:close()
  os.exit(0)
end

check.test("the table of keys is the schema's; make golden rewrites it", function()
  check.equal(text:sub(from + 1, to - 1), schema.markdown())
end)

-- The names in the first column of a page's table that begins with "| field |".
local function listed(page)
  local names = {}
  for cell in page:match("\n| field |[^\n]*\n| %-%-%- | %-%-%- |\n(.-)\n\n"):gmatch("%f[^\n\0]| (.-) |[^\n]*") do
    for name in cell:gsub("%b()", ""):gmatch("[%w_]+") do names[name] = true end
  end
  return names
end

-- The fields of k that the templates of kernels read, and the functions that they share.
local function read()
  local names = {}
  for path in io.popen("ls templates/cpu/*.c templates/cuda/*.cu gen/emit/warps.lua"):lines() do
    for name in files.read(path):gmatch("%f[%w_]k%.([%a_][%w_]*)") do names[name] = true end
  end
  return names
end

local function sorted_without(names, others)
  local list = {}
  for name in pairs(names) do
    if not others[name] then list[#list + 1] = name end
  end
  table.sort(list)
  return table.concat(list, " ")
end

check.test("templates/README.md lists the fields of k", function()
  local there, used = listed(files.read("templates/README.md")), read()
  check.equal(sorted_without(used, there), "", "not listed")
  check.equal(sorted_without(there, used), "", "listed, but read by no template")
end)

check.test("make help has a line for every word, and none of more than 100 columns", function()
  local makefile, shown, missing = files.read("Makefile"), {}, {}
  for word in makefile:gmatch("\n#= ([A-Z_]+)") do shown[word] = true end
  for word in makefile:match("\nWORDS := (.-[^\\])\n"):gmatch("[A-Z_]+") do
    if not shown[word] and word ~= "BUILD_NAME" then missing[#missing + 1] = word end -- the second stage's alone
  end
  check.equal(table.concat(missing, " "), "")
  local lines = 0
  for line in io.popen("make help"):lines() do
    assert(#line <= 100, line)
    lines = lines + 1
  end
  assert(lines > 60, lines)
end)

check.finish()
