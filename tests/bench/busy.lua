-- busy: how long a step takes while other processes use the processors too, compared with a step on a fair
-- share of them.
--
--   lua5.4 tests/bench/busy.lua [--busy=8] [--seconds=20] build/NAME/cpu/bench [FLAG ...]
--
-- A step's work is its processor time on one thread, which never waits. Beside B busy processes, the fair
-- share of T threads is T/(B + T) of the processor time that all of these got, whatever else the machine
-- does; a fair step takes its work divided by that share. Linux counts time in ticks of 10 ms, so turns are
-- long.
package.path = "./?.lua;" .. package.path
local results = require("tests.bench.results")
local serve = require("tests.bench.serve")

local TICKS = 100      -- a second, of /proc/PID/stat
local ALONE_SECONDS = 5

local function read_arguments()
  local busy, seconds, words, flags = 8, 20, {}, {}
  for _, word in ipairs(arg) do
    local key, value = word:match("^%-%-(%a+)=(%d+)$")
    if #words == 0 and key == "busy" then
      busy = tonumber(value)
    elseif #words == 0 and key == "seconds" then
      seconds = tonumber(value)
    elseif #words == 0 then
      words[1] = word
    else
      flags[#flags + 1] = results.quoted(word)
    end
  end
  if not words[1] or words[1]:find("^%-") or busy < 1 or busy > 1000 or seconds < 1 then
    results.fail(64, "busy: which program? as in: busy.lua [--busy=8] [--seconds=20] build/NAME/cpu/bench")
  end
  return busy, seconds, words[1], flags
end

-- A process' processor time in seconds.
local function processor_time(pid)
  local user, system = results.read_text(("/proc/%d/stat"):format(pid)):match(
    "^.*%)" .. (" %S+"):rep(11) .. " (%d+) (%d+)")
  return (user + system) / TICKS
end

local function total(list)
  local sum = 0
  for _, number in ipairs(list) do sum = sum + number end
  return sum
end

-- One turn: how many steps, the seconds that they took, and each process' processor time meanwhile.
local function turn(server, seconds, pids)
  local before, had = {}, {}
  for i, pid in ipairs(pids) do before[i] = processor_time(pid) end
  local ms = serve.turn(server, seconds)
  for i, pid in ipairs(pids) do had[i] = processor_time(pid) - before[i] end
  return #ms, total(ms) / 1e3, had
end

-- Starts busy processes; a limit of processor time ends them if nothing else does.
local function start_busy(count, seconds)
  local pids = {}
  local pipe = io.popen(("for i in $(seq %d); do sh -c 'ulimit -t %d; while :; do :; done' >/dev/null & echo $!; done")
    :format(count, seconds))
  for pid in pipe:lines() do pids[#pids + 1] = tonumber(pid) end
  pipe:close()
  return pids
end

local function measure(folder, busy, seconds, program, flags)
  local one = serve.start(folder, "one", program, { "--threads=1", table.unpack(flags) })
  local steps, _, had = turn(one, ALONE_SECONDS, { one.pid })
  local work = had[1] / steps
  one.to:close()

  local all = serve.start(folder, "all", program, flags)
  serve.turn(all, 0.1) -- starts its threads
  local threads = 0
  for _ in io.popen(("ls /proc/%d/task"):format(all.pid)):lines() do threads = threads + 1 end
  local pids = start_busy(busy, seconds + 60)
  local ok, result = pcall(function()
    local wall
    steps, wall, had = turn(all, seconds, { all.pid, table.unpack(pids) })
    local share = total(had) / wall / (busy + threads) -- processors for each process and thread
    return { threads = threads, work = work, step = wall / steps, fair = work / (threads * share),
      used = had[1] / steps }
  end)
  os.execute("kill " .. table.concat(pids, " "))
  all.to:close()
  if not ok then error(result, 0) end
  return result
end

results.main(function()
  local busy, seconds, program, flags = read_arguments()
  local m = serve.in_folder(measure, busy, seconds, program, flags)
  print(("work of a step: %.2f ms of one thread; %d threads beside %d busy processes: %.2f ms a step,\n" ..
    "%.2f times its fair %.2f ms; processor time used: %.2f times the work"):format(m.work * 1e3, m.threads, busy,
    m.step * 1e3, m.step / m.fair, m.fair * 1e3, m.used / m.work))
end)
