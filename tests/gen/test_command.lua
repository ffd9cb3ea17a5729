-- test_command: how the generator's commands end.
local check = require("tests.gen.check")

-- Runs a main in another process; returns its output and exit code.
local function run(main)
  local pipe = io.popen(([[lua5.4 -e 'package.path = "./?.lua;" .. package.path
    require("gen.base.command").run(function() %s end)' 2>&1; echo "ended with $?"]]):format(main))
  local said = pipe:read("a")
  pipe:close()
  return said
end

check.test("an error becomes the last line", function()
  check.equal(run('error({ code = 66, message = "x: is not there" })'), "x: is not there\nended with 66\n")
  check.equal(run('error("gone", 0)'), "gone\nended with 70\n")
end)

check.test("the last line is one line, whatever it quotes", function()
  check.equal(run('error({ code = 65, message = "x\\0y\\27[31m\\nz\\127" })'), "x?y?[31m?z?\nended with 65\n")
end)

check.test("Ctrl-C prints nothing", function()
  check.equal(run('io.popen("kill -INT $PPID"):close() while true do end'), "ended with 130\n")
end)

check.finish()
