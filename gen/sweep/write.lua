-- write: the plan as files: plan.json for the report and for progress, sweep.mk for make (recipes.lua), the prompt for
-- the sampler.
local dkjson = require("dkjson")
local files = require("gen.base.files")
local halving = require("gen.sweep.halving")
local recipes = require("gen.sweep.recipes")
local results = require("gen.sweep.results")
local tags = require("gen.sweep.tags")

local write = {}

-- ---- plan.json ----------------------------------------------------------------------------------

local function values_of(p, factor)
  if p.sweep.kind ~= "vary" then return factor.values end
  local values = { p.base_values[factor.key] }
  for _, value in ipairs(factor.values) do
    if value ~= values[1] then values[#values + 1] = value end
  end
  return values
end

function write.plan_json(p, jobs)
  local order = { "format", "sweep", "base", "kind", "factors", "key", "values", "with", "seeds", "baseline", "jobs",
    "halving", "first", "keep", "by", "rungs", "shard", "prompt", "notes", "runs", "name", "tags", "settings", "seed",
    "folder", "build", "continues", "training", "data", "max_iters", "by_hand", "elsewhere", "first_iter", "iters",
    "params", "params_nanogpt", "flops", "whole_flops", "skipped", "why" }
  local factors, runs = {}, {}
  for i, factor in ipairs(p.sweep.factors) do
    order[#order + 1] = factor.key
    factors[i] = { key = factor.key, values = values_of(p, factor), with = factor.with }
  end
  for i, run in ipairs(p.runs) do
    local shape = run.shape
    runs[i] = { name = run.name, tags = tags.of(p.sweep.tags, run.config), settings = run.settings,
      seed = run.seed, folder = run.folder, build = shape.folder, continues = run.from and run.from.name,
      training = run.training, data = run.config.dataset, max_iters = run.config.max_iters, by_hand = run.by_hand,
      elsewhere = run.elsewhere, first_iter = run.first, iters = run.last + 1, params = shape.params,
      params_nanogpt = shape.params_nanogpt, flops = math.floor(run.flops), whole_flops = math.floor(run.whole_flops) }
  end
  return dkjson.encode({ format = 1, sweep = p.sweep.name, base = p.sweep.base_name, kind = p.sweep.kind,
    factors = factors, seeds = p.seeds, baseline = p.baseline.name, jobs = jobs, prompt = p.sweep.prompt,
    notes = p.sweep.notes, halving = p.halving,
    shard = p.shard and ("%d/%d"):format(p.shard.index, p.shard.count), runs = runs,
    skipped = #p.skipped > 0 and p.skipped or nil }, { keyorder = order, indent = true }) .. "\n"
end

local function is_word(value) return type(value) == "string" and not value:find("[%c\127]") end
local function is_count(value) return type(value) == "number" and value >= 0 and value < 1e30 end
local function is_whole(value) return math.type(value) == "integer" and value >= 0 and value < 1 << 53 end
local RUN = { name = is_word, folder = is_word, build = is_word, first_iter = is_count, iters = is_count,
  params = is_whole, flops = is_count, whole_flops = is_count }

-- What halving has to find in it.
local function is_halved(p)
  local h = p.halving
  local good = type(h) == "table" and type(h.keep) == "number" and h.keep > 0 and h.keep < 1 and
    type(h.rungs) == "table"
  for i, at in ipairs(good and h.rungs or {}) do good = good and is_whole(at) and at > (h.rungs[i - 1] or 0) end
  for _, run in ipairs(good and p.runs or {}) do
    good = good and is_whole(run.training) and run.training > 0 and run.training <= #p.runs and
      is_whole(run.max_iters) and is_word(run.data)
  end
  return good
end

-- What show has to find in a plan.json.
local function is_plan(p)
  local good = type(p) == "table" and is_word(p.sweep) and is_whole(p.jobs) and p.jobs > 0 and
    type(p.runs) == "table" and type(p.factors) == "table"
  for _, run in ipairs(good and p.runs or {}) do
    good = good and type(run) == "table" and type(run.settings) == "table"
    for key, is in pairs(good and RUN or {}) do good = good and is(run[key]) end
  end
  good = good and (p.halving == nil or is_halved(p)) and (p.shard == nil or is_word(p.shard))
  for _, factor in ipairs(good and p.factors or {}) do
    good = good and type(factor) == "table" and is_word(factor.key)
  end
  return good
end

-- The plan in a sweep's folder, as it was written. Raises { code, message } if there is none.
function write.read_plan(folder)
  local path = tostring(folder) .. "/plan.json"
  local text = files.read(path)
  local ok, p = pcall(dkjson.decode, text or "")
  if not ok or not is_plan(p) then
    error({ code = text and 65 or 66, message = path .. ": no plan of a sweep; make sweep SWEEP=... writes it" }, 0)
  end
  return p
end

-- Writes all of them. Marks the runs that are done, and those that halving has stopped.
function write.all(p, jobs, threads)
  for _, run in ipairs(p.runs) do run.done = results.is_done(run.folder) end
  files.write(p.folder .. "/prompt.txt", p.sweep.prompt)
  local text = write.plan_json(p, jobs)
  files.write(p.folder .. "/plan.json", text)
  if p.halving then
    local plan_json = dkjson.decode(text)
    p.halving.decided = halving.settle(plan_json)
    for i, run in ipairs(p.runs) do run.halted = plan_json.runs[i].halted end
  end
  files.write(p.folder .. "/sweep.mk", recipes.sweep_mk(p, jobs, threads))
end

return write
