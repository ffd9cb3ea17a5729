-- results: what runs have written so far: how far each has come, its losses, its time, how it ended.
local dkjson = require("dkjson")
local files = require("gen.base.files")

local results = {}

-- A finite number, or nil.
local function number(line, key)
  local value = tonumber(line:match('"' .. key .. '":(-?[%d.eE+-]+)'))
  return value and value - value == 0 and value or nil
end

-- A whole number from 0 on that a float holds exactly, or nil: iterations are added to, and printed.
local function whole(line, key)
  local value = number(line, key)
  value = value and math.tointeger(value)
  return value and value >= 0 and value <= 1 << 53 and value or nil
end

-- Reads metrics.jsonl line by line; a half-written last line ends it. Returns { steps, iters (the next iteration),
-- seconds, evaluations = { { iter, train, val } } (a loss that is not finite is nil), best }, all 0 or empty
-- without a file.
function results.metrics(folder)
  local m = { steps = 0, iters = 0, seconds = 0, evaluations = {} }
  local file = io.open(folder .. "/metrics.jsonl", "rb")
  if not file then return m end
  for line in file:lines() do
    local iter, ms = whole(line, "iter"), number(line, "ms")
    if not iter or not line:find("}$") then break end
    m.seconds = m.seconds + math.max(0, math.min(ms or 0, 1e12)) / 1000
    if line:find('"val_loss"', 1, true) then
      local e = { iter = iter, train = number(line, "train_loss"), val = number(line, "val_loss") }
      table.insert(m.evaluations, e)
      if e.val and (not m.best or e.val < m.best.val) then m.best = e end
    elseif not line:find('"hellaswag"', 1, true) then
      m.steps, m.iters = m.steps + 1, iter + 1
    end
  end
  file:close()
  return m
end

-- The number of steps that a finished run's run.json states, or nil.
function results.num_steps(folder)
  local ok, about = pcall(dkjson.decode, files.read(folder .. "/run.json") or "")
  local result = ok and type(about) == "table" and about.result
  local steps = type(result) == "table" and result.num_steps
  return math.type(steps) == "integer" and steps >= 0 and steps or nil
end

-- status.json: { status = "done" | "failed" | "stopped" | "halted", code, line }, or nil if a run has not ended; one
-- that is halted was stopped by halving.
function results.status(folder)
  local text = files.read(folder .. "/status.json")
  local ok, status = pcall(dkjson.decode, text or "")
  if not ok or type(status) ~= "table" then return nil end
  local known = status.status == "done" or status.status == "failed" or status.status == "stopped" or
    status.status == "halted"
  local code = math.type(status.code) == "integer" and status.code >= 0 and status.code < 256
  local line = status.line == nil or type(status.line) == "string" and not status.line:find("[%c\127]")
  return known and code and line and status or nil
end

local function exists(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

-- The output of a run's build, if it ended without a build; else nil.
function results.does_not_build(plan_json, run)
  local build = run.build:match("^build/(.*)/[^/]*$")
  local mark = ("out/sweeps/%s/builds/%s"):format(plan_json.sweep, build)
  return exists(mark .. ".txt") and not exists(mark .. ".ok") and mark .. ".txt" or nil
end

-- The last line of a log, for a message.
function results.last_line(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  file:seek("set", math.max(0, file:seek("end") - 4096))
  local text = file:read("a") or ""
  file:close()
  return text:match("([^\n]+)\n*$")
end

function results.is_done(folder)
  local status = results.status(folder)
  return status ~= nil and status.status == "done"
end

return results
