-- test_op: the fields that an op may have, and that an error in an op or its template is one line that names them.
local check = require("tests.gen.check")
local op = require("gen.ir.op")

local function definition(more)
  local d = { name = "odd", inputs = { { "x", "N C" } }, outputs = { { "y", "N C" } }, expr = "x",
    flops = function() return 1 end }
  for key, value in pairs(more or {}) do d[key] = value end
  return d
end

local function refused(more, without, message)
  local d = definition(more)
  for _, field in ipairs(without) do d[field] = nil end
  check.fails(function() op.check(d, "gen/ops/odd.lua") end, "gen/ops/odd.lua: " .. message)
end

check.test("a correct op", function() op.check(definition(), "gen/ops/odd.lua") end)

check.test("an unknown field: the error names the nearest", function()
  refused({ inplce = { y = "x" } }, {}, "odd: unknown field 'inplce'; did you mean 'inplace'?")
  refused({ takes_position = true }, {}, "odd: unknown field 'takes_position'")
  refused({ inputs = { { "x", "N C", optionl = true } } }, {},
    "odd: x: unknown field 'optionl'; did you mean 'optional'?")
end)

check.test("a field of another type", function()
  refused({ flops = 3 }, {}, "odd: flops is a number, not a function")
  refused({ expr = true }, {}, "odd: expr is a boolean, not a string")
end)

check.test("missing fields", function()
  refused({}, { "flops" }, "odd: has no flops")
  refused({}, { "name" }, "an op without a name: has no name")
  refused({}, { "outputs" }, "odd: has no outputs")
  refused({}, { "expr" }, "odd: has neither an expr nor a template")
end)

check.test("operands", function()
  refused({ inputs = { { "x" } } }, {}, "odd: operand 1 is not { name, shape }")
  refused({ inputs = { { "x", "N C" }, { "x", "C" } } }, {}, "odd: two operands are named 'x'")
  refused({ inplace = { z = "x" } }, {}, "odd: inplace: no output is named 'z'")
  refused({ inplace = { y = "z" } }, {}, "odd: inplace: no input is named 'z'")
  refused({ outputs = { { "y", "N C" }, { "z", "N C" } }, inplace = { z = "x" } }, {},
    "odd: inplace: 'z' is not the first output")
end)

check.test("an op that is not a table", function()
  check.fails(function() op.check("odd", "gen/ops/odd.lua") end, "gen/ops/odd.lua: an op is a table, not a string")
end)

-- Runs the generator with a changed file of gen/ops; returns its last line and exit code.
local function generator(family, change, words)
  local folder = os.tmpname()
  os.remove(folder)
  local pipe = io.popen(([[lua5.4 -E -e 'package.preload["gen.ops.%s"] = function()
    local op = dofile("gen/ops/%s.lua")
    local first = op.name and op or op[1]
    %s
    return op
  end
  arg = { [0] = "gen/main.lua", "--build", "%s", "tests/golden/tiny.lua", %s }
  dofile("gen/main.lua")' 2>&1; echo "ended with $?"; rm -rf %s]]):format(family, family, change, folder, words or "",
    folder))
  local text = pipe:read("a")
  pipe:close()
  return text
end

check.test("the generator ends with one line", function()
  check.equal(generator("layernorm", "first.inplce = {}"),
    "gen/ops/layernorm.lua: layernorm: unknown field 'inplce'; did you mean 'inplace'?\nended with 70\n")
  check.equal(generator("layernorm", "first.flops = nil"),
    "gen/ops/layernorm.lua: layernorm: has no flops\nended with 70\n")
end)

local WHERE = "; in op layernorm (gen/ops/layernorm.lua, templates/cpu/layernorm.c), for block.0.ln_1\nended with 70\n"

local function ends_with_where(text, pattern, other)
  local where = other or WHERE
  check.equal(text:sub(-#where), where)
  check.equal(text:sub(1, -#where - 1):find("^" .. pattern .. "$") ~= nil, true, text)
end

check.test("an error in an op's function names the op, its template and its site", function()
  ends_with_where(generator("layernorm", "first.flops = function(d) return d.Q * 2 end"),
    "[^\n]*: attempt to perform arithmetic on a nil value %(field 'Q'%)")
end)

check.test("so does an error in a template", function()
  ends_with_where(generator("attention", "op[3].panel = nil"),
    "templates/cpu/attention_decode%.c:%d+: %$%(k%.op%.panel%) is nil, not a string or number",
    "; in op attention_decode (gen/ops/attention.lua, templates/cpu/attention_decode.c), for block.0.attention\n" ..
    "ended with 70\n")
end)

-- A pass or an emitter that tests traits works for later ops too.
check.test("no file of gen/ir, gen/passes or gen/emit tests an op's name", function()
  local pipe = io.popen([[grep -nE "op\.name (==|~=)|op\.name:(find|match)" \
    gen/ir/*.lua gen/passes/*.lua gen/emit/*.lua]])
  check.equal(pipe:read("a"), "")
  pipe:close()
end)

check.finish()
