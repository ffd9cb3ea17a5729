-- problem: raises an error about a config: { code, message }, the message one printable line. Depends on sandbox, which
-- makes texts printable.
local sandbox = require "gen.config.sandbox"

local problem = { USAGE = 64, DATA = 65, MISSING = 66, INTERNAL = 70, IO = 74 }

function problem.fail(code, place, format, ...)
  local message = place .. ": " .. format:format(...)
  error({ code = code, message = sandbox.printable(message, 400) }, 0)
end

return problem
