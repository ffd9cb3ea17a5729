-- command: what the generator's commands share: their words, and how they end.
local argparse = require("argparse")

local command = {}

-- Ends the program with one line.
function command.fail(code, message)
  io.stderr:write(message, "\n")
  os.exit(code)
end

-- A parser of a command that is of one build: its words are configs and assignments.
function command.parser(name, about)
  local parser = argparse(name, about)
  parser:argument("words", "configs (*.lua) and key=value assignments; later ones win"):args("*")
  return parser
end

-- The words that the command was called with; name is what its line begins with where they are wrong.
function command.arguments(name, parser)
  local ok, args = parser:pparse()
  if not ok then command.fail(64, name .. ": " .. tostring(args):match("[^\n]*")) end
  return args
end

-- A build's words: the configs, and the assignments.
function command.split(words)
  local configs, assignments = {}, {}
  for _, word in ipairs(words) do
    local list = word:match("%.lua$") and not word:match("^[%w_]+=") and configs or assignments
    list[#list + 1] = word
  end
  return configs, assignments
end

local INTERRUPTED = 130

-- Runs main; what it raises, { code, message } or any other value, is the program's last line. Of a Ctrl-C, which Lua
-- raises wherever it is, there is nothing to say.
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
