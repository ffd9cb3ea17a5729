-- figures: the data of the page's scripts, as JSON: curves, tables, effects, builds, attention.
local json = require("dkjson")
local effects = require("gen.report.effects")
local plan = require("gen.report.plan")
local text = require("gen.report.text")
local words = require("gen.report.words")

local figures = {}

-- ---- JSON ---------------------------------------------------------------------------------------

-- A number of a curve or a table, rounded to as many digits as a figure can show.
local function short(x, digits)
  if type(x) ~= "number" or math.type(x) == "integer" then return x end
  local rounded = tonumber(("%." .. (digits or 6) .. "g"):format(x))
  return math.tointeger(rounded) or rounded
end

local function short_list(list, digits)
  local out = {}
  for i, x in ipairs(list) do out[i] = short(x, digits) end
  return out
end

-- A copy with all strings as valid UTF-8; adds its keys to `keys`, so that they can be written in one order.
local function collect(value, keys, seen)
  if type(value) == "string" then return text.valid(value) end
  if type(value) ~= "table" then return value end
  local copy = {}
  for k, v in pairs(value) do
    if type(k) == "string" and not seen[k] then
      seen[k] = true
      keys[#keys + 1] = k
    end
    copy[type(k) == "string" and text.valid(k) or k] = collect(v, keys, seen)
  end
  return setmetatable(copy, getmetatable(value))
end

-- JSON that is safe in a script element: no text in it can end the element.
local function encode(value)
  local keys = {}
  value = collect(value, keys, {})
  table.sort(keys)
  local out = json.encode(value, { keyorder = keys })
  return (out:gsub("<", "\\u003c"):gsub("\u{2028}", "\\u2028"):gsub("\u{2029}", "\\u2029"))
end

local function array(list)
  return setmetatable(list, { __jsontype = "array" })
end

-- ---- parts -------------------------------------------------------------------------------------

-- Short names for labels in charts: exp01 for "exp01-nh4-…".
local function short_names(runs)
  local numbered = true
  for _, r in ipairs(runs) do numbered = numbered and r.name:find("^exp%d+%f[-\0]") end
  for _, r in ipairs(runs) do
    r.short = numbered and r.name:match("^exp%d+") or text.cut(text.valid(r.name), 24)
  end
end

local function evaluation(e)
  return e and { iter = e.iter, train = short(e.train, 9), val = short(e.val, 9) }
end

-- What make eval found of a run, by the column's id.
local function eval_values(r)
  local values = {}
  for _, e in ipairs(r.evals) do values[e.id] = short(e.value, 9) end
  return next(values) and values or nil
end

-- The columns of all runs' results, in the order in which they are found.
local function eval_columns(runs)
  local columns, seen = {}, {}
  for _, r in ipairs(runs) do
    for _, e in ipairs(r.evals) do
      if not seen[e.id] and e.value then
        columns[#columns + 1], seen[e.id] = { id = e.id, title = e.title, kind = e.kind, hint = e.hint }, true
      end
    end
  end
  return array(columns)
end

local function run_data(p, r, twin)
  local base = p.runs[p.baseline or 0]
  local x, train, val, seconds = {}, {}, {}, {}
  for i, e in ipairs(r.evaluations) do
    x[i], train[i], val[i] = e.iter, short(e.train, 7) or false, short(e.val, 7) or false
    seconds[i] = short(e.seconds, 5)
  end
  local delta = base and r ~= base and r.on == base.on and base.rank and r.rank and r.best.val - base.best.val or nil
  local steps_x = {}
  for i, at in ipairs(r.steps_x) do steps_x[i] = math.tointeger((at + 0.5) // 1) end
  local settings = {}
  for _, f in ipairs(p.factors) do
    local value = r.settings[f.key]
    if value ~= nil then settings[f.key] = type(value) == "number" and short(value, 10) or tostring(value) end
  end
  return {
    name = r.name, short = r.short, tags = r.tags and r.tags[1] and table.concat(r.tags, " ") or nil,
    on = #plan.datasets(p) > 1 and r.on or nil,
    status = r.status, twin = twin, counts = effects.counts(r) or nil, seed = r.seed, settings = settings,
    notes = array(r.notes),
    evals = eval_values(r),
    best = r.best and evaluation(r.best), final = evaluation(r.final), gap = short(r.gap, 9),
    delta = short(delta, 9), rank = r.rank,
    overfit = { kind = r.overfitting.kind, text = r.overfitting.text, rise = short(r.overfitting.rise, 9) },
    hellaswag = r.hellaswag and short(r.hellaswag),
    params = r.num_params_nanogpt, all_params = r.num_params, seconds = short(r.seconds), ms = short(r.ms),
    tokens_per_s = short(r.tokens_per_s), mfu = short(r.mfu),
    peak = (r.peak_flops or 0) > 0 and short(r.peak_flops / 1e9) or nil, hardware = r.hardware, threads = r.threads,
    tokens_per_iter = r.tokens_per_iter, flops_per_token = short(r.flops_per_token),
    e = { x = array(x), train = array(train), val = array(val), seconds = array(seconds) },
    s = { x = array(steps_x), y = array(short_list(r.steps_y, 5)), each = r.steps_each },
  }
end

local function indexes(list)
  local out = {}
  for i, n in ipairs(list) do out[i] = n - 1 end
  return array(out)
end

local function shown_value(value)
  if type(value) == "number" then return short(value, 10) end
  return tostring(value)
end

local function effect_data(list)
  local out = {}
  for i, e in ipairs(list) do
    local levels = {}
    for j, l in ipairs(e.levels) do
      local d = l.difference
      levels[j] = { value = shown_value(l.value), n = l.n, mean = short(l.mean), sd = short(l.sd), min = short(l.min),
        max = short(l.max), points = array(short_list(l.points)), is_reference = l.is_reference,
        difference = d and { n = d.n, mean = short(d.mean), half = short(d.half) },
        verdict = d and words.effect(d) }
    end
    out[i] = { key = e.key, runs = indexes(e.runs), levels = array(levels),
      telling = #e.telling < #e.runs and indexes(e.telling) or nil }
  end
  return array(out)
end

local function seed_data(groups)
  if not groups then return nil end
  local out = {}
  for i, g in ipairs(groups) do
    local baseline = g.from_baseline
    out[i] = { text = g.text, runs = indexes(g.runs), n = g.stats.n, mean = short(g.stats.mean), sd = short(g.stats.sd),
      points = array(short_list(g.values)), final = short(g.final.mean), final_sd = short(g.final.sd),
      delta = baseline and short(baseline.mean), is_baseline = g.is_baseline,
      from_baseline = baseline and baseline.n > 0 and words.verdict(baseline.distinct) or nil,
      from_best = g.from_best and words.verdict(g.from_best.distinct) or nil }
  end
  return array(out)
end

local function build_data(builds)
  local out = {}
  for i, b in ipairs(builds) do
    local f = b.figures
    if f then
      for key, value in pairs(f) do f[key] = short(value) end
      for _, k in ipairs(f.kernels) do
        for key, value in pairs(k) do k[key] = short(value, 5) end
      end
      array(f.kernels)
    end
    out[i] = { name = b.name, backend = b.backend, title = b.title, runs = indexes(b.runs), figures = f, plan = b.plan,
      plan_bytes = b.plan_bytes }
  end
  return array(out)
end

-- Rows without what is not shown.
local function machine_data(found)
  if not found then return nil end
  local list, twice = {}, {}
  for i, m in ipairs(found.list) do
    list[i] = { name = m.name, hardware = m.hardware, threads = m.threads, runs = m.runs, done = m.done,
      seconds = short(m.seconds), gflops = short(m.gflops), best = short(m.best, 9), by = m.by }
  end
  for i, t in ipairs(found.twice) do
    twice[i] = { run = t.run, machine = t.machine, best = short(t.best, 9), final = short(t.final, 9),
      seconds = short(t.seconds), tokens = short(t.tokens_per_s) }
  end
  return { list = array(list), twice = array(twice) }
end

-- The JSON of everything but attention.
function figures.data(report)
  local p = report.plan
  short_names(p.runs)
  local runs, factors, index = {}, {}, {}
  for i, r in ipairs(p.runs) do index[r] = i end
  for i, r in ipairs(p.runs) do
    local longest = report.trainings[r]
    runs[i] = run_data(p, r, longest and index[longest] - 1)
  end
  for i, f in ipairs(p.factors) do
    local values = {}
    for j, v in ipairs(f.values) do values[j] = shown_value(v) end
    factors[i] = { key = f.key, values = array(values), with = f.with }
  end
  return encode({ name = p.name, kind = p.kind, sweep = p.sweep or false,
    baseline = p.baseline and #p.runs > 1 and p.baseline - 1 or nil, several_seeds = #p.seeds > 1,
    factors = array(factors), evals = eval_columns(p.runs), runs = array(runs), effects = effect_data(report.effects),
    machines = machine_data(report.machines), seeds = seed_data(report.seeds), builds = build_data(report.builds),
    common = array(plan.in_common(p)) })
end

-- The JSON of attention, by run.
function figures.attention(report)
  local runs = {}
  for i in ipairs(report.plan.runs) do
    runs[i] = report.attention[i] or false
  end
  return encode({ runs = array(runs) })
end

return figures
