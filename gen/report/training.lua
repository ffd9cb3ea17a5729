-- training: which run or sweep is under way on this machine, by the locks in out/ and in the report's own folders:
-- nothing is timed beside them.
local files = require("gen.base.files")
local read = require("gen.report.read")

local training = {}

-- Whether the process that a lock names still has it open.
local function is_held(lock)
  local pid = (read.beginning(lock, 32) or ""):match("^(%d+)\n")
  return pid ~= nil and os.execute(("find /proc/%s/fd -mindepth 1 -exec test {} -ef %s \\; -print 2>/dev/null | " ..
    "grep -q ."):format(pid, files.quoted(lock))) == true
end

-- The folder of a run or a sweep that is under way, or nil.
function training.under_way(runs)
  local pipe = io.popen("find out -maxdepth 4 -name lock -type f 2>/dev/null | LC_ALL=C sort", "r")
  local locks = {}
  for path in pipe:lines() do locks[#locks + 1] = path end
  pipe:close()
  for _, r in ipairs(runs) do locks[#locks + 1] = r.folder .. "/lock" end
  for _, lock in ipairs(locks) do
    if read.exists(lock) and is_held(lock) then return lock:match("^(.*)/lock$") end
  end
end

-- Whether so many processes want to run right now that a bench would be disturbed.
function training.is_busy()
  local running = tonumber((read.beginning("/proc/loadavg", 64) or ""):match("(%d+)/"))
  return running ~= nil and running > 1
end

return training
