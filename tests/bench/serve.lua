-- serve: runs benches that time steps in turns (bench --serve), each with a pipe to it and one from it.
local json = require("dkjson")
local results = require("tests.bench.results")

local serve = {}

-- Calls fn(folder, ...) with a temporary folder, which is removed afterwards; returns fn's results.
function serve.in_folder(fn, ...)
  local folder = os.tmpname()
  os.remove(folder)
  assert(os.execute("mkdir " .. folder))
  local result = table.pack(pcall(fn, folder, ...))
  os.execute("rm -r " .. folder)
  if not result[1] then error(result[2], 0) end
  return table.unpack(result, 2, result.n)
end

-- Starts a program, whose pipes in the folder have this name. It ends when they are closed. flags: quoted words.
function serve.start(folder, name, program, flags)
  local to, from, pid = folder .. "/to-" .. name, folder .. "/from-" .. name, folder .. "/pid-" .. name
  assert(os.execute(("mkfifo %s %s && { %s --serve %s <%s >%s & echo $! >%s; }"):format(to, from,
    results.quoted(program), table.concat(flags, " "), to, from, pid)))
  return { program = program, to = assert(io.open(to, "w")), from = assert(io.open(from, "r")),
    pid = tonumber(results.read_text(pid)) }
end

-- One turn of so many seconds; returns the times of its steps, in ms.
function serve.turn(server, seconds)
  server.to:write(seconds, "\n")
  server.to:flush()
  local times = json.decode(server.from:read("l") or "")
  if not times then results.fail(1, "%s stopped; run it alone", server.program) end
  return times.ms
end

return serve
