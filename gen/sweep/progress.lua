-- progress: how far a sweep's runs are, which are under way, and how long the rest takes at the speed of the last
-- minutes, as one line that fits a terminal.
local files = require("gen.base.files")
local results = require("gen.sweep.results")

local progress = {}

local RECENT, LEAST = 300, 20 -- seconds that the speed is taken over; of fewer it says nothing
local COLUMNS = 80

local function exists(path)
  local f = io.open(path, "rb")
  if f then f:close() end
  return f ~= nil
end

-- Whether the process that the lock in a run's folder names is there.
local function is_under_way(folder)
  local pid = (files.read(folder .. "/lock") or ""):match("^(%d+)\n")
  return pid ~= nil and exists("/proc/" .. pid .. "/stat")
end

-- The runs that are not of another machine.
function progress.own(plan_json)
  local list = {}
  for _, run in ipairs(plan_json.runs) do if not run.elsewhere then list[#list + 1] = run end end
  return list
end

local function short(run) return run.name:match("^exp%d+") or run.name end

-- { count (of the runs that are not of another machine), done, failed, halted (by halving), best = { name, short, val,
-- iter }, running = { "exp03 40%" }, compiling (a build, or nil), flops (that this sweep has done), flops_left, left
-- (seconds at the speed of all runs so far, or nil) }.
function progress.totals(plan_json)
  local t = { count = 0, done = 0, failed = 0, halted = 0, flops = 0, flops_left = 0, running = {} }
  local flops, seconds, seen = 0, 0, {}
  for _, run in ipairs(progress.own(plan_json)) do
    local m, status = results.metrics(run.folder), results.status(run.folder)
    t.count = t.count + 1
    local ended = status and status.status ~= "stopped"
    if status and status.status == "done" then t.done = t.done + 1 end
    if status and status.status == "halted" then t.halted = t.halted + 1 end
    if status and status.status == "failed" then t.failed = t.failed + 1 end
    if m.best and (not t.best or m.best.val < t.best.val) then
      t.best = { name = run.name, short = short(run), val = m.best.val, iter = m.best.iter }
    end
    flops = flops + run.whole_flops * math.min(1, m.iters / run.iters)
    seconds = seconds + m.seconds
    local own = math.max(1, run.iters - run.first_iter)
    local share = math.max(0, math.min(own, m.iters - run.first_iter)) / own
    t.flops = t.flops + run.flops * share
    if not ended then
      t.flops_left = t.flops_left + run.flops * (1 - share)
      if is_under_way(run.folder) then
        t.running[#t.running + 1] = ("%s %d%%"):format(short(run), math.floor(100 * math.min(1, m.iters / run.iters)))
      end
      local build = run.build:match("^build/(.*)/[^/]*$")
      if build and not seen[build] then
        seen[build] = true
        if exists(("out/sweeps/%s/builds/%s.part"):format(plan_json.sweep, build)) then t.compiling = build end
      end
    end
  end
  if flops > 0 and seconds > 0 then t.left = t.flops_left / (flops / seconds) / plan_json.jobs end
  return t
end

-- Adds now to the marks, lines of a time and the FLOP done by then, and drops what is older than a few minutes. Returns
-- the text, and FLOP/s over it, or nil.
function progress.recent(text, now, flops)
  local lines, first = {}, nil
  for line in (text or ""):gmatch("[^\n]+") do
    local at, done = line:match("^(%d+) (%S+)$")
    at, done = tonumber(at), tonumber(done)
    if at and done and at <= now and at >= now - RECENT and done <= flops then
      first = first or { at, done }
      lines[#lines + 1] = line
    end
  end
  lines[#lines + 1] = ("%d %.6g"):format(now, flops)
  local rate = first and now - first[1] >= LEAST and (flops - first[2]) / (now - first[1]) or nil
  return table.concat(lines, "\n") .. "\n", rate and rate > 0 and rate or nil
end

-- The parts in this order as far as they fit, the first always.
function progress.fit(parts, columns)
  local line = ""
  for _, part in ipairs(parts) do
    local longer = line == "" and part or line .. "; " .. part
    if (utf8.len(longer) or #longer) < columns then line = longer end
  end
  return line ~= "" and line or parts[1]:sub(1, columns - 1)
end

-- The columns of the terminal that this process belongs to.
function progress.columns()
  local pipe = io.popen("stty size 2>/dev/null </dev/tty", "r")
  local _, columns = pipe:read("n", "n")
  pipe:close()
  return columns and columns >= 20 and columns or COLUMNS
end

return progress
