-- test_template: what a template expands to, and that its mistakes are reported with its own line numbers.
local check = require "tests.gen.check"
local template = require "gen.emit.template"

local path = os.tmpname()

local function write(text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

-- The text that function `f` of a template with this source expands to.
local function expand(source, k, given)
  write(source)
  return template.load(path, given).f(k)
end

local function gives(source, k, wanted)
  return function() check.same_text(expand(source, k), wanted) end
end

local function fails(source, k, message)
  return function()
    check.fails(function() expand(source, k) end, (message:gsub("PATH", (path:gsub("%%", "%%%%")))))
  end
end

-- ---- expansion ----

check.test("text is copied as it is", gives([==[
//$ function f()
#include <stdio.h>
int x = "a\nb"[0]; // a comment $ % ( \ ]]
-- end of line
//$ end
]==], nil, '#include <stdio.h>\nint x = "a\\nb"[0]; // a comment $ % ( \\ ]]\n-- end of line\n'))

check.test("values, statements, comments", gives([[
//// of the template alone
//$ function f(k)
    //$ for i = 1, 2 do
        a[$(i)] = $(k.name)($(k.list[i]));
    //$ end
//$ end
]], { name = "g", list = { "x", 2.5 } }, "        a[1] = g(x);\n        a[2] = g(2.5);\n"))

check.test("brackets and calls within a value", gives([[
//$ function f(k)
$(string.format("%d", (k.n + 1) * 2))$(k.n)
//$ end
]], { n = 3 }, "83\n"))

check.test("a value is not expanded again", gives([[
//$ function f(k)
$(k.text)
//$ end
]], { text = "$(k.text) //$ error()" }, "$(k.text) //$ error()\n"))

check.test("an empty line is kept", gives("//$ function f()\na\n\nb\n//$ end\n", nil, "a\n\nb\n"))

check.test("functions of one template call each other", gives([[
//$ function inner(n)
inner $(n)
//$ end
//$ function f()
before
//$ inner(7)
after
//$ end
]], nil, "before\ninner 7\nafter\n"))

check.test("a template of several files", function()
  local second = os.tmpname()
  local file = assert(io.open(second, "wb"))
  file:write("//$ function inner(n)\ninner $(n) $(answer)\n//$ outer()\n//$ end\n")
  file:close()
  local text = expand(('//$ include("%s")\n//$ function f()\nbefore\n//$ inner(7)\n//$ end\n' ..
    "//$ function outer()\nouter\n//$ end\n"):format(second:match("[^/]+$")), nil, { answer = 42 })
  check.equal(text, "before\ninner 7 42\nouter\n")
  check.equal(template.load(path, { answer = 42 }).inner(1), "inner 1 42\nouter\n")
  check.fails(function() template.load(path).f() end, second .. ":2: unknown name 'answer'")
  os.remove(second)
  check.fails(function() template.load(path) end, second .. ": No such file")
end)

check.test("two expansions do not mix", function()
  write("//$ function f(k)\n$(k)\n//$ end\n")
  local loaded = template.load(path)
  check.equal(loaded.f("a"), "a\n")
  check.equal(loaded.f("b"), "b\n")
end)

check.test("given names", function()
  check.equal(expand("//$ function f()\n$(answer)\n//$ end\n", nil, { answer = 42 }), "42\n")
end)

-- ---- mistakes: the template's own line, in one line ----

check.test("unknown name", fails("//$ function f()\nfine\n$(nothing)\n//$ end\n", nil,
  "PATH:3: unknown name 'nothing'"))
check.test("unknown name in a statement", fails("//$ function f()\n//$ if nothing then\n//$ end\n//$ end\n",
  nil, "PATH:2: unknown name 'nothing'"))
check.test("no access outside the template", fails("//$ function f()\n$(os.getenv('HOME'))\n//$ end\n", nil,
  "PATH:2: unknown name 'os'"))
check.test("nil value", fails("//$ function f(k)\na\nb\nc $(k.missing) d\n//$ end\n", {},
  "PATH:4: $(k.missing) is nil, not a string or number"))
check.test("table value", fails("//$ function f(k)\n$(k)\n//$ end\n", {},
  "PATH:2: $(k) is table, not a string or number"))
check.test("boolean value", fails("//$ function f(k)\n$(k.bias)\n//$ end\n", { bias = false },
  "PATH:2: $(k.bias) is boolean, not a string or number"))
check.test("not an expression", fails("//$ function f(k)\n$(k.a b)\n//$ end\n", {}, "PATH:2: "))
check.test("$( without an end", fails("//$ function f(k)\n\nx = $(k.a;\n//$ end\n", {},
  "PATH:3: $( is never closed"))
check.test("Lua that does not parse", fails("//$ function f(k)\na\n//$ for do\n//$ end\n//$ end\n", {},
  "PATH:3: <name> expected near 'do'"))
check.test("a missing end", fails("//$ function f(k)\n//$ if k then\n//$ end\n", {}, "'end' expected"))
check.test("a function that calls nil", fails("//$ function f(k)\n//$ k.g()\n//$ end\n", {}, "PATH:2: "))
check.test("no such file", function()
  check.fails(function() template.load("templates/none.c") end, "templates/none.c: No such file")
end)

-- ---- the project's templates ----

check.test("every template loads", function()
  local list = assert(io.popen("ls templates/*.[ch] templates/cpu/*.c templates/cuda/*.cu"))
  local count = 0
  for name in list:lines() do
    template.load(name)
    count = count + 1
  end
  list:close()
  if count < 10 then error("found only " .. count) end
end)

os.remove(path)
-- ---- the fields that templates of kernels get ----

check.test("templates/README.md lists every field that they read, and no other", function()
  local listed, read = {}, {}
  local pipe = io.popen("cat templates/README.md")
  for fields in pipe:read("a"):match("| field | what |\n(.-)\n\n"):gmatch("\n| ([^|]*) |") do
    for field in fields:gsub("%b()", ""):gmatch("[%w_]+") do listed[field] = true end
  end
  pipe:close()
  pipe = io.popen("cat templates/cpu/* templates/cuda/*")
  for field in pipe:read("a"):gmatch("%f[%w_]k%.([%w_]+)") do read[field] = true end
  pipe:close()
  local wrong = {}
  for field in pairs(read) do if not listed[field] then wrong[#wrong + 1] = field .. " is not listed" end end
  for field in pairs(listed) do if not read[field] then wrong[#wrong + 1] = field .. " is not read" end end
  table.sort(wrong)
  check.equal(table.concat(wrong, ", "), "")
end)

check.finish()
