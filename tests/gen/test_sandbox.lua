-- test_sandbox: what a hostile config may try. Each attempt ends in one line with code 64, within a
-- second of CPU time, and leaves the program unchanged.
local check = require "tests.gen.check"
local sandbox = require "gen.config.sandbox"

local path = os.tmpname()

local function load_text(text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
  return sandbox.load(path)
end

local LONG, MEMORY = "runs for too long", "takes too much memory"
local function nil_value(name) return "attempt to call a nil value %(global '" .. name .. "'%)" end

local function many_keys(count)
  local fields = {}
  for i = 1, count do fields[i] = "k" .. i .. "=1" end
  return "return {" .. table.concat(fields, ",") .. "}"
end

local hostile = {
  -- name, source, what the message must say
  { "endless while", "while true do end", LONG },
  { "endless for", "for i = 1, math.huge do end", LONG },
  { "endless repeat", "repeat until false", LONG },
  { "endless goto", "::a:: goto a", LONG },
  { "endless tail call", "local function f() return f() end return f()", LONG },
  { "nested loops", "for i = 1, 1e6 do for j = 1, 1e6 do end end", LONG },
  { "doubled string", "local s = 'x' while true do s = s .. s end", MEMORY },
  { "string in wide joins", "local s = 'x' while true do s = " .. ("s .. "):rep(120) .. "s end",
    MEMORY },
  { "growing table", "local t = {} for i = 1, 1e9 do t[i] = i end", MEMORY },
  { "garbage", "while true do local t = { 1, 2, 3, 4 } end", MEMORY },
  { "closures", "local f while true do local g = f f = function() return g end end", MEMORY },
  { "huge table", "return {" .. ("1,"):rep(32000) .. "}", MEMORY },
  { "rehashed table", "local t = {} for i = 1, 1000 do t[i + .5] = 1 end " ..
    "for i = 1, 1e9 do t[i + .5] = nil t[i + 1000.5] = 1 end", LONG },
  { "deep recursion", "local function f(n) return 1 + f(n + 1) end return { x = f(1) }",
    MEMORY },
  { "recursion with many arguments",
    "local function f(...) return 1 + f(1, 2, 3, 4, ...) end return { x = f() }", MEMORY },
  { "compared strings", "local s = '1' for i = 1, 15 do s = s .. s end local t = s .. '' " ..
    "while true do local x = s < t end", LONG },
  { "digits as a loop's limit", "local s = '0' for i = 1, 15 do s = s .. s end " ..
    "while true do for i = 1, s do break end end", LONG },
  { "digits for math", "return { x = math.max('1') }", "math.max takes numbers" },
  { "string.rep", "return { x = string.rep('x', 1e9) }", "nil value %(global 'string'%)" },
  { "rep as a method", "return { x = ('x'):rep(1e9) }", "attempt to index a string value" },
  { "pattern bomb", "return { x = ('a'):find(('.-'):rep(50) .. 'b') }",
    "attempt to index a string value" },
  { "arithmetic on a string", "return { x = '1' + 1 }", "arithmetic on a string value" },
  { "length as a method", "return { x = ('x').len }", "attempt to index a string value" },
  { "pcall", "while true do pcall(function() while true do end end) end", nil_value("pcall") },
  { "xpcall", "xpcall(error, print)", nil_value("xpcall") },
  { "coroutine", "coroutine.wrap(function() while true do end end)()", "global 'coroutine'" },
  { "setmetatable", "return setmetatable({}, { __index = _G })", nil_value("setmetatable") },
  { "getmetatable", "getmetatable('').__index = nil", nil_value("getmetatable") },
  { "to be closed", "local x <close> = {} return {}", "got a non%-closable value" },
  { "os.execute", "os.execute('true')", "global 'os'" },
  { "io.open", "io.open('x', 'w')", "global 'io'" },
  { "require", "require 'os'", nil_value("require") },
  { "load", "load('while true do end')()", nil_value("load") },
  { "dofile", "dofile('/dev/zero')", nil_value("dofile") },
  { "debug", "debug.sethook()", "global 'debug'" },
  { "collectgarbage", "collectgarbage('restart')", nil_value("collectgarbage") },
  { "error with a table", "error({ code = 0 })", nil_value("error") },
  { "rawset", "rawset(_ENV, 'x', 1)", nil_value("rawset") },
  { "globals", "return { x = _G.os }", "global '_G'" },
  { "environment taken away", "local _ENV = nil return { x = os }",
    "attempt to index a nil value" },
  { "bytecode", string.dump(function() return {} end), "attempt to load a binary chunk" },
  { "cut bytecode", "\27Lua", "attempt to load a binary chunk" },
  { "64 KB and a byte", "return {} --" .. ("x"):rep(64 * 1024 - 11), "longer than 64 KB" },
  { "NUL bytes", "return {\0}", "unexpected symbol" },
  { "syntax error over two lines", "return { x = [[a\nb", "unfinished long string" },
  { "deep parentheses", "return " .. ("("):rep(60000), "overflow" },
  { "deep tables", "return " .. ("{"):rep(60000), "overflow" },
  { "many gotos", "do " .. ("goto a "):rep(9000) .. "::a:: end", "returns nothing" },
  { "long or", "return { x = " .. ("a or "):rep(13000) .. "a }", LONG },
  { "control characters in a name", "t['\\27[31m'] = 1", "attempt to index a nil value" },
  { "a call by a strange name", "local t = {} t['\\27[31m']()", "field '%?%[31m'" },
  { "a list", "return { 1, 2 }", "holds a value without a name" },
  { "a boolean key", "return { [true] = 1 }", "holds a value without a name" },
  { "nested table", "return { n_layer = { 4 } }", "n_layer is a table; wanted" },
  { "cyclic table", "local t = {} t.t = t return t", "t is a table; wanted" },
  { "cyclic key", "local t = {} t[t] = 1 return t", "holds a value without a name" },
  { "deeply nested table", "local t = {} for i = 1, 500 do t = { x = t } end return t",
    "x is a table; wanted" },
  { "a function", "return { x = math.floor }", "x is a function; wanted" },
  { "many keys", many_keys(1500), "holds more than 1000 keys" },
  { "long string", "local s = 'x' for i = 1, 11 do s = s .. s end return { x = s }",
    "x is a string of 2048 bytes" },
  { "a number", "return 4", "returns a number; wanted a table" },
  { "a string", "return 'x'", "returns a string; wanted a table" },
  { "nothing", "", "returns nothing; wanted a table" },
}

for _, case in ipairs(hostile) do
  local name, text, pattern = case[1], case[2], case[3]
  check.test(name, function()
    local start = os.clock()
    check.raises(function() load_text(text) end, 64, pattern)
    if os.clock() - start >= 1 then error("took a second or more") end
    check.equal(("x"):rep(3), "xxx", "string methods afterwards")
    check.equal(collectgarbage("isrunning"), true, "the collector afterwards")
  end)
end

check.test("messages start with the path, and the line if there is one", function()
  local place = path:gsub("%p", "%%%0")
  check.raises(function() load_text("return {\n  x = y.z }") end, 64, "^" .. place .. ":2: ")
  check.raises(function() load_text("return 1") end, 64, "^" .. place .. ": ")
end)

check.test("messages are cut", function()
  local ok, err = pcall(load_text, "return " .. ("x"):rep(60000) .. "()")
  check.equal(ok, false)
  if #err.message > 400 then error("a message of " .. #err.message .. " bytes") end
end)

check.test("a plain config is loaded", function()
  local c = load_text("local w = 64 return { n_layer = 4, n_embd = math.floor(w * 2.5), " ..
    "bias = false, dropout = 0.5, dataset = 'x' }")
  check.equal(c.n_layer, 4)
  check.equal(c.n_embd, 160)
  check.equal(c.bias, false)
  check.equal(c.dropout, 0.5)
  check.equal(c.dataset, "x")
end)

check.test("a config cannot change math for the next one", function()
  load_text("math.floor = nil math = nil return {}")
  check.equal(load_text("return { x = math.floor(1.5) }").x, 1)
  check.equal(math.floor(2.5), 2)
end)

check.test("exactly 64 KB is taken", function()
  local text = "return { x = 1 } --"
  check.equal(load_text(text .. ("x"):rep(64 * 1024 - #text)).x, 1)
end)

check.test("a missing file is code 66", function()
  check.raises(function() sandbox.load(path .. ".missing") end, 66, "no such config")
end)

check.test("a folder is code 74", function()
  check.raises(function() sandbox.load("gen") end, 74, "^gen: cannot be read: Is a directory$")
end)

check.test("what editors write: a byte order mark, CR LF, UTF-16", function()
  check.equal(load_text("\xef\xbb\xbfreturn { n_layer = 4 }").n_layer, 4, "byte order mark")
  check.equal(load_text("return {\r\n  n_layer = 4, -- four\r\n}\r\n").n_layer, 4, "CR LF")
  check.raises(function() load_text("\xff\xfer\0e\0t\0") end, 64, "is UTF%-16; save it as UTF%-8")
end)

check.test("Python's constants are not taken for nil", function()
  check.raises(function() load_text("return { n_layer = 4, bias = True }") end, 64,
    ":1: True is Python's; Lua writes true$")
  check.equal(load_text("return { n_layer = 4, bias = other }").bias, nil)
end)

check.test("all of this takes little memory", function()
  local file = io.open("/proc/self/status")
  if not file then check.skip("no /proc/self/status") end
  local peak = tonumber(file:read("a"):match("VmHWM:%s*(%d+)"))
  file:close()
  if not peak then check.skip("no VmHWM") end
  if peak > 64 * 1024 then error("peak of " .. peak .. " KB") end
end)

os.remove(path)
check.finish()
