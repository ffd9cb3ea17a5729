-- command: what the generator's commands share: reading arguments, and ending with one line and an exit code.
local argparse = require("argparse")

local command = {}

-- Ends the program with one line fit for a terminal: what a message quotes may have come from any file.
function command.fail(code, message)
  io.stderr:write((message:gsub("%c", "?")), "\n")
  os.exit(code)
end

-- A parser for a command about one build, whose arguments are configs and assignments.
function command.parser(name, about)
  local parser = argparse(name, about)
  parser:argument("words", "configs (*.lua) and key=value assignments; later ones win"):args("*")
  return parser
end

-- The parsed arguments; if they are wrong, the program ends with a line that begins with `name`.
function command.arguments(name, parser)
  local ok, args = parser:pparse()
  if not ok then command.fail(64, name .. ": " .. tostring(args):match("[^\n]*")) end
  return args
end

-- Splits a build's arguments into configs and assignments.
function command.split(words)
  local configs, assignments = {}, {}
  for _, word in ipairs(words) do
    local list = word:match("%.lua$") and not word:match("^[%w_]+=") and configs or assignments
    list[#list + 1] = word
  end
  return configs, assignments
end

local INTERRUPTED = 130

-- Runs main. An error, { code, message } or any other value, becomes the program's last line. Ctrl-C, which Lua raises
-- wherever it is, prints nothing.
function command.run(main)
  local ok, problem = xpcall(main, function(problem)
    if type(problem) == "table" then return problem end
    local interrupted = tostring(problem):find("interrupted!$")
    return { code = interrupted and INTERRUPTED or 70, message = (tostring(problem):gsub("%s*\n%s*", " ")) }
  end)
  if not ok and problem.code == INTERRUPTED then os.exit(INTERRUPTED) end
  if not ok then command.fail(problem.code or 70, problem.message) end
end

return command
