-- watch: keeps the page of a sweep fresh while it trains: written anew when a run has another evaluation or has ended,
-- but not more often than every few seconds, and so that the trainings do not notice it.
local files = require("gen.base.files")
local progress = require("gen.sweep.progress")

local watch = {}

local POLL = 2  -- seconds from one look to the next
local LEAST = 5 -- seconds from one page to the next
local SHARE = 4 -- or so many times as long as the last page took, beside trainings that keep every core busy

-- Whether a run has an evaluation in what was added to its log since `at`; returns also where its whole lines end.
local function evaluated(path, at)
  local file = io.open(path, "rb")
  if not file then return false, 0 end
  local size = file:seek("end")
  if size < at then at = 0 end -- it is trained from scratch
  file:seek("set", at)
  local text = size > at and file:read(size - at) or ""
  file:close()
  local whole = text:match("^.*\n") or ""
  return whole:find('"val_loss"', 1, true) ~= nil, at + #whole
end

-- A function that says whether any run has got an evaluation, or has ended, since it was called last.
function watch.changes(plan_json)
  local own, at, status = progress.own(plan_json), {}, {}
  local function look()
    local changed = false
    for i, run in ipairs(own) do
      local found, ends = evaluated(run.folder .. "/metrics.jsonl", at[i] or 0)
      local said = files.read(run.folder .. "/status.json") or ""
      changed = changed or found or said ~= "" and said ~= status[i]
      at[i], status[i] = ends, said
    end
    return changed
  end
  look() -- what is there already
  return look
end

-- Writes pages until the sweep is over, and then a last one, which does not load itself again. is_over(seconds) waits
-- for the end as long; changed() is a function as above; write(live) writes a page, and returns nothing if that cannot
-- be done; clock() is in seconds. `stale`: the page that is there says that the sweep is still under way.
function watch.follow(is_over, changed, write, clock, stale)
  local due, waiting, written = -math.huge, false, stale
  repeat
    local over = is_over(POLL)
    waiting = changed() or waiting
    local began = clock()
    if waiting and not over and began >= due then
      if not write(true) then return end
      waiting, written = false, true
      due = clock() + math.max(LEAST, SHARE * (clock() - began))
    end
  until over
  if waiting or written then write(false) end
end

-- ---- this machine -------------------------------------------------------------------------------

local function seconds()
  local file = io.open("/proc/uptime")
  local now = file and file:read("n")
  if file then file:close() end
  return now or os.time()
end

-- Follows a sweep until the process ends; say(line) says where the page is.
function watch.run(plan_json, process, say)
  local page, said = ("out/reports/%s.html"):format(plan_json.sweep), false
  local function is_over(longest)
    return os.execute(("timeout %d tail -s 0.1 --pid=%d -f /dev/null; ! kill -0 %d 2>/dev/null"):format(longest,
      process, process)) == true
  end
  local function write(live)
    local pipe = io.popen(("nice -n 10 lua5.4 -E gen/report.lua --quick %s --sweep %s 2>&1 >/dev/null"):format(
      live and "--live" or "", files.quoted(plan_json.sweep)))
    local problem = pipe:read("l")
    local ok = pipe:close()
    if not ok then say(("no page meanwhile: %s"):format(problem or "gen/report.lua said nothing")) end
    if ok and not said then say(("page: %s, written anew as evaluations come"):format(page)) end
    said = true
    return ok
  end
  local stale = (files.read(page) or ""):find('id="reload"', 1, true) ~= nil
  watch.follow(is_over, watch.changes(plan_json), write, seconds, stale)
end

return watch
