-- How the generator's commands end.
local check = require("tests.gen.check")

-- Runs a main in a process of its own; its exit code and what it says.
local function run(main)
  local pipe = io.popen(([[lua5.4 -e 'package.path = "./?.lua;" .. package.path
    require("gen.base.command").run(function() %s end)' 2>&1; echo "ended with $?"]]):format(main))
  local said = pipe:read("a")
  pipe:close()
  return said
end

check.test("what is raised is the last line", function()
  check.equal(run('error({ code = 66, message = "x: is not there" })'), "x: is not there\nended with 66\n")
  check.equal(run('error("gone", 0)'), "gone\nended with 70\n")
end)

check.test("of a Ctrl-C nothing is said", function()
  check.equal(run('io.popen("kill -INT $PPID"):close() while true do end'), "ended with 130\n")
end)

check.finish()
