-- effects: how each factor changes the best validation loss. In a grid: the mean over all runs of a level, with the
-- spread over the other factors, and differences between runs that are alike in all else. With one change at a time:
-- the change from the baseline. With several seeds: mean and spread of each setting, and whether two can be told apart.
local plan = require("gen.report.plan")
local statistics = require("gen.report.statistics")

local effects = {}

-- A run's settings as one string, without the factor `but`, and with the seed if `seed`.
local function signature(p, r, but, seed)
  local words = {}
  for _, f in ipairs(p.factors) do
    if f.key ~= but then words[#words + 1] = f.key .. "=" .. plan.text(r.settings[f.key]) end
  end
  if seed then words[#words + 1] = ("seed=%s"):format(tostring(r.seed)) end
  return table.concat(words, " ")
end

-- Whether a run's best validation loss can be compared with others'; while a run is training it may still fall.
function effects.counts(r)
  return r.best ~= nil and #r.evaluations > 1 and (r.finished or not r.max_iters)
end

local function losses(runs)
  local list = {}
  for _, r in ipairs(runs) do if effects.counts(r) then list[#list + 1] = r.best.val end end
  return list
end

-- Whether a run's evaluations begin with all of another's: it is the same training, read twice.
function effects.is_prefix(short, long)
  local n = #short.evaluations
  if n == 0 or n >= #long.evaluations then return false end
  for i, e in ipairs(short.evaluations) do
    local other = long.evaluations[i]
    if e.iter ~= other.iter or e.val ~= other.val or e.train ~= other.train then return false end
  end
  return true
end

-- ---- one factor ---------------------------------------------------------------------------------

-- The runs that show a factor's effect: all of a grid; else those that differ from the baseline in nothing else.
local function telling(p, factor)
  if p.kind == "grid" then return p.runs end
  local base, list = p.runs[p.baseline or 0], {}
  for _, r in ipairs(p.runs) do
    local count, which = 1, nil
    if base then count, which = plan.differences(p, r, base) end
    if count == 0 or (count == 1 and p.factors[which or 0] == factor) then list[#list + 1] = r end
  end
  return list
end

-- Differences of pairs that are alike in all but this factor (and have the same seed).
local function pairs_between(p, factor, from, to)
  local first, differences = {}, {}
  for _, r in ipairs(p.runs) do
    if r.settings[factor.key] == from and effects.counts(r) then
      first[signature(p, r, factor.key, true)] = r.best.val
    end
  end
  for _, r in ipairs(p.runs) do
    local other = r.settings[factor.key] == to and effects.counts(r) and first[signature(p, r, factor.key, true)]
    if other then differences[#differences + 1] = r.best.val - other end
  end
  return statistics.paired(differences)
end

-- { key, runs = indexes, levels = { { value, n, mean, sd, min, max, points, difference } } }; differences are from the
-- baseline's level, else from the first.
local function of_factor(p, factor)
  local base = p.runs[p.baseline or 0]
  local reference = base and base.settings[factor.key]
  if reference == nil then reference = factor.values[1] end
  local e = { key = factor.key, reference = reference, runs = {}, levels = {} }
  local runs = telling(p, factor)
  local index = {}
  for i, r in ipairs(p.runs) do index[r] = i end
  -- Runs side by side are all shown, coloured by the factor, even if they differ in more than that.
  for _, r in ipairs(p.kind == "runs" and p.runs or runs) do e.runs[#e.runs + 1] = index[r] end
  local values = table.move(factor.values, 1, #factor.values, 1, {})
  local numeric = true
  for _, v in ipairs(values) do numeric = numeric and type(v) == "number" end
  if numeric then table.sort(values) end
  for _, value in ipairs(values) do
    local here = {}
    for _, r in ipairs(runs) do if r.settings[factor.key] == value then here[#here + 1] = r end end
    local level = statistics.of(losses(here))
    level.value, level.points, level.is_reference = value, losses(here), value == reference
    if not level.is_reference then
      if p.kind == "grid" then
        level.difference = pairs_between(p, factor, reference, value)
      else
        -- One change at a time: compared with the baseline's runs, and tested only if both have several seeds.
        local theirs = {}
        for _, r in ipairs(runs) do if r.settings[factor.key] == reference then theirs[#theirs + 1] = r end end
        local other = statistics.of(losses(theirs))
        if level.mean and other.mean then
          level.difference = { n = level.n, mean = level.mean - other.mean,
            distinct = statistics.welch(level.points, losses(theirs)) }
        end
      end
    end
    e.levels[#e.levels + 1] = level
  end
  return e
end

function effects.of(p)
  local list = {}
  for i, factor in ipairs(p.factors) do list[i] = of_factor(p, factor) end
  return list
end

-- ---- seeds --------------------------------------------------------------------------------------

-- With several seeds: the settings by their mean, the best first, each with its runs and with whether it differs from
-- the baseline and from the best; nil with one seed.
function effects.over_seeds(p)
  if #p.seeds < 2 then return nil end
  local groups, by = {}, {}
  for i, r in ipairs(p.runs) do
    local key = signature(p, r)
    if not by[key] then
      by[key] = { text = plan.settings_text(p, r), runs = {}, list = {} }
      groups[#groups + 1] = by[key]
    end
    table.insert(by[key].runs, i)
    table.insert(by[key].list, r)
  end
  local base = p.baseline and by[signature(p, p.runs[p.baseline])]
  local several = false
  for i, group in ipairs(groups) do
    group.order, group.values = i, losses(group.list)
    group.stats = statistics.of(group.values)
    group.is_baseline = group == base
    several = several or group.stats.n > 1
    if group.text == "" then group.text = "all settings alike" end
    local finals = {}
    for _, r in ipairs(group.list) do
      if effects.counts(r) then finals[#finals + 1] = r.final.val end
    end
    group.final = statistics.of(finals)
  end
  if not several then return nil end
  table.sort(groups, function(a, b)
    local x, y = a.stats.mean or math.huge, b.stats.mean or math.huge
    if x ~= y then return x < y end
    return a.order < b.order
  end)
  for _, group in ipairs(groups) do
    group.from_best = statistics.welch(group.values, groups[1].values)
    if base then
      group.from_baseline = statistics.welch(group.values, base.values)
      if group.stats.mean and base.stats.mean then group.delta = group.stats.mean - base.stats.mean end
    end
  end
  return groups
end

return effects
