-- speed: each build's times from bench, kernel by kernel, and its memory plan.
local bench = require("gen.base.bench")
local programs = require("gen.report.programs")
local read = require("gen.report.read")
local text = require("gen.report.text")
local training = require("gen.report.training")

local speed = {}

local MOST_JSON = 16 << 20
local MOST_PLAN = 64 << 20
local MOST_TENSORS = 1200 -- of a memory plan in the page, the largest
local SECONDS = "1.5"     -- of steps in a bench run, if nothing was measured yet

-- ---- bench.json ---------------------------------------------------------------------------------

local function kernels_of(o)
  local list, total = {}, 0
  for _, k in ipairs(type(o.kernels) == "table" and o.kernels or {}) do
    local ms = type(k) == "table" and read.number(k, "ms")
    if ms and ms >= 0 and read.string(k, "name") then
      total = total + ms
      list[#list + 1] = { name = text.line(k.name), ms = ms, calls = read.number(k, "calls"),
        flop = read.number(k, "flop"), bytes = read.number(k, "bytes"), roofline = read.number(k, "roofline") }
    end
  end
  local used = {}
  for _, k in ipairs(list) do
    k.share = total > 0 and k.ms / total or 0
    if k.ms > 0 then used[#used + 1] = k end
  end
  table.sort(used, function(a, b)
    if a.ms ~= b.ms then return a.ms > b.ms end
    return a.name < b.name
  end)
  return used
end

local function figures_of(path, hash)
  local o, problem = read.object(path, MOST_JSON)
  if not o then return nil, ("%s %s"):format(path, problem) end
  if hash and o.build ~= hash then return nil, path .. " is of another build" end
  if not read.number(o, "ms_median") then return nil, path .. " was not written by bench" end
  local f = { kernels = kernels_of(o) }
  for _, key in ipairs({ "ms_median", "ms_p10", "ms_p90", "share_of_peak", "gflops", "peak_gflops", "floor_ms",
    "share_of_floor", "tokens_per_s", "threads", "peak_rss_bytes", "plan_bytes", "mfu", "dropout",
    "others_busy" }) do
    f[key] = read.number(o, key)
  end
  f.machine = text.line(read.string(o, "machine") or read.string(o, "device") or "")
  f.isa = read.string(o, "isa")
  f.disturbed = bench.is_disturbed(o) or nil
  return f
end

-- ---- the memory plan ----------------------------------------------------------------------------

local function count(shape)
  local n = 1
  for d in shape:gmatch("%d+") do n = n * tonumber(d) end
  return n
end

-- Reads the dump of gen/passes/plan.lua: the sizes of the regions; each activation's offset, size, and first and last
-- node; and how many nodes come before the backward pass. Offsets and sizes are in floats.
local function plan_of(path)
  local plan = { tensors = {}, sizes = {}, nodes = 0, forward = 0 }
  local phase
  local problem = read.lines(path, MOST_PLAN, function(line)
    phase = line:match("^%-%- (%w+)") or phase
    if (phase == "forward" or phase == "loss") and line:find(" = ", 1, true) then plan.forward = plan.forward + 1 end
    local key, value = line:match("^(%w+) = (%d+)$")
    if key then plan.sizes[key] = math.tointeger(tonumber(value)) end
    local offset, name, shape, first, last = line:match("^acts %+ (%d+) = (%S+):([%dx]+) nodes (%d+)%.%.(%d+)$")
    if offset then
      plan.tensors[#plan.tensors + 1] = { name, tonumber(offset), count(shape), tonumber(first), tonumber(last) }
      plan.nodes = math.max(plan.nodes, tonumber(last))
    end
  end)
  if problem or not plan.sizes.acts or not plan.sizes.params then return nil end
  plan.all = #plan.tensors
  if plan.all > MOST_TENSORS then
    table.sort(plan.tensors, function(a, b)
      if a[3] ~= b[3] then return a[3] > b[3] end
      return a[1] < b[1]
    end)
    table.move(plan.tensors, MOST_TENSORS + 1, plan.all + MOST_TENSORS, MOST_TENSORS + 1)
  end
  return plan
end

-- ---- a report's builds --------------------------------------------------------------------------

-- Has a build's bench measure it for a moment, into bench.json; if there are figures, only if the new ones are less
-- disturbed. Returns the figures that are then there, or nil and why not.
local function measure(b, build, path)
  local program = programs.find({ build = b.folder }, build, "bench") or programs.make(b.folder, "bench")
  if not program then return b.figures, b.problem end
  print(("report: timing the kernels of %s, %s"):format(b.folder, b.figures and "as others ran beside the last" or
    "once"))
  local new = path .. ".new"
  local _, problem = programs.run(program, { "--seconds=" .. SECONDS, "--json=" .. new })
  local figures
  if problem then problem = text.line(problem) else figures, problem = figures_of(new, b.hash) end
  if not figures or b.figures and (figures.others_busy or 0) >= b.figures.others_busy then
    os.remove(new)
    return b.figures, problem
  end
  os.rename(new, path)
  return figures
end

-- One entry for each build of the runs, in their order: { name, title, runs = indexes, figures, plan }. If there is no
-- bench.json, or one that others' work disturbed, bench is run for a moment, unless `quiet`, or while anything trains.
function speed.of(runs, build, quiet)
  local list, by = {}, {}
  for i, r in ipairs(runs) do
    local folder = programs.folder(r, build)
    local key = r.hash or folder
    if folder and key then
      if not by[key] then
        by[key] = { folder = folder, hash = r.hash, title = r.title, name = folder:match("([^/]+)/[^/]+$"), runs = {},
          backend = folder:match("([^/]+)$"), plan_bytes = r.plan_bytes }
        list[#list + 1] = by[key]
      end
      table.insert(by[key].runs, i)
    end
  end
  local under_way
  for _, b in ipairs(list) do
    local path, problem = b.folder .. "/bench.json"
    b.figures, problem = figures_of(path, b.hash)
    b.problem = problem
    if not quiet and (not b.figures or b.figures.disturbed and not training.is_busy()) then
      if under_way == nil then under_way = training.under_way(runs) or false end
      if not under_way then
        b.figures, problem = measure(b, build, path)
      elseif not b.figures then
        problem = ("it is not timed while %s trains; the next make report does"):format(under_way)
      end
    end
    b.problem = not b.figures and problem or nil
    if b.hash and b.hash:find("^%x+$") and b.backend == "cpu" then
      b.plan = plan_of(("%s/%s/cpu/ir/6-plan.txt"):format(build, b.hash))
    end
  end
  return list
end


return speed
