-- machines: what each machine did of a sweep that several trained: as the copies of its folder say, or the runs'
-- hardware; and the runs that more than one of them trained, side by side.
local effects = require("gen.report.effects")

local machines = {}

-- What tells machines apart: the copy's folder and its hardware.
local function name_of(r) return r.copy or r.hardware end

local function row_of(name)
  return { name = name, runs = 0, done = 0, seconds = 0, flops = 0, timed = 0 }
end

local function add(row, r)
  row.runs = row.runs + 1
  if r.finished then row.done = row.done + 1 end
  row.seconds = row.seconds + (r.seconds or 0)
  row.hardware, row.threads = row.hardware or r.hardware, row.threads or r.threads
  if r.tokens_per_s and r.flops_per_token then
    row.flops, row.timed = row.flops + r.tokens_per_s * r.flops_per_token, row.timed + 1
  end
  if effects.is_ranked(r) and (not row.best or r.best.val < row.best) then row.best, row.by = r.best.val, r.name end
end

-- { list = { { name, hardware, threads, runs, done, seconds, gflops (a run's mean), best, by } }, twice = { { run,
-- machine, best, final, seconds, tokens_per_s } } }; nil if one machine trained all.
function machines.of(p)
  local list, by, twice = {}, {}, {}
  for _, run in ipairs(p.runs) do
    local copies = run.copies or run.last_iter >= 0 and { run } or {}
    for _, r in ipairs(copies) do
      local name = name_of(r)
      if name and not by[name] then
        by[name] = row_of(name)
        list[#list + 1] = by[name]
      end
      if name then add(by[name], r) end
      if #copies > 1 then
        twice[#twice + 1] = { run = r.name, machine = name, best = r.best and r.best.val,
          final = r.final and r.final.val, seconds = r.seconds, tokens_per_s = r.tokens_per_s }
      end
    end
  end
  for _, row in ipairs(list) do row.gflops = row.timed > 0 and row.flops / row.timed / 1e9 or nil end
  if #list < 2 then return nil end
  return { list = list, twice = twice }
end

return machines
