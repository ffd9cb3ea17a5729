-- shard: SHARD=2/4, the second of four parts of a sweep, each for a machine of its own. The parts are the same wherever
-- they are planned: whole trainings, which differ little in their work.
local cost = require("gen.sweep.cost")

local shard = {}

local MOST = 1000

local function fail(format, ...) error({ code = 64, message = format:format(...) }, 0) end

-- "2/4" as { index, count }.
function shard.read(text)
  local index, count = text:match("^(%d+)/(%d+)$")
  index, count = tonumber(index), tonumber(count)
  if not index or index < 1 or index > count or count > MOST then
    fail("SHARD=%s: wanted which part of how many, as 2/4", text)
  end
  return { index = index, count = count }
end

-- Work by iterations alone: seconds and what has been done differ between machines.
local function work_of(run)
  local first = run.from and run.from.config.max_iters + 1 or 0
  return cost.flops(run, first, run.config.max_iters)
end

-- Marks the runs that are of another part: run.elsewhere. The largest training goes first, each to the part with the
-- least work so far. Shapes have been measured.
function shard.divide(p, part)
  if p.sweep.halving then
    fail("SHARD=%d/%d: %s has halving, which compares all its runs; wanted one machine, or no halving", part.index,
      part.count, p.sweep.path)
  end
  local trainings, work = {}, {}
  for i = 1, p.trainings do trainings[i] = { number = i, work = 0 } end
  for _, run in ipairs(p.runs) do
    local t = trainings[run.training]
    t.work = t.work + work_of(run)
  end
  if part.count > #trainings then
    fail("SHARD=%d/%d: %s has %d trainings; wanted no more parts than that", part.index, part.count, p.sweep.path,
      #trainings)
  end
  local order = table.move(trainings, 1, #trainings, 1, {})
  table.sort(order, function(a, b)
    if a.work ~= b.work then return a.work > b.work end
    return a.number < b.number
  end)
  for i = 1, part.count do work[i] = 0 end
  for _, t in ipairs(order) do
    local least = 1
    for i = 2, part.count do if work[i] < work[least] then least = i end end
    t.part, work[least] = least, work[least] + t.work
  end
  for _, run in ipairs(p.runs) do run.elsewhere = trainings[run.training].part ~= part.index or nil end
end

return shard
