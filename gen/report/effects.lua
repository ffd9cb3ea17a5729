-- effects: how each factor changes the best validation loss. Runs are compared that are alike in all else, the seed
-- too: a block has one of them for each value of the factor. Incomplete blocks are left out, so that a value's mean and
-- its difference from another's are of the same runs; and a block whose runs are the first part of another's is the
-- same trainings read twice, and counts once. With several seeds a difference is measured in each of them, and tested
-- over them; with one, all that can be said is in how many of the settings it has the same sign.
local plan = require("gen.report.plan")
local schema = require("gen.config.schema")
local statistics = require("gen.report.statistics")

local effects = {}

local function is_length(key) return schema.key(key) ~= nil and schema.key(key).length == true end

-- A run's settings as one string, without the factors for which skip(key), if given, is true.
local function signature(p, r, skip)
  local words = {}
  for _, f in ipairs(p.factors) do
    if not skip or not skip(f.key) then words[#words + 1] = f.key .. "=" .. plan.text(r.settings[f.key]) end
  end
  return table.concat(words, " ")
end

-- The same with the seed.
local function with_seed(p, r, skip) return ("%s seed=%s"):format(signature(p, r, skip), tostring(r.seed)) end

-- Whether a run has more than a beginning: its first evaluation alone says how it was initialised.
function effects.is_ranked(r)
  return r.best ~= nil and #r.evaluations > 1
end

-- Whether a run's best validation loss can be compared with others'; while a run is training it may still fall.
function effects.counts(r)
  return effects.is_ranked(r) and (r.finished or not r.max_iters)
end

local function losses(runs)
  local list = {}
  for _, r in ipairs(runs) do if effects.counts(r) then list[#list + 1] = r.best.val end end
  return list
end

-- Whether a run is the first part of another: the same training, read twice. Both are alike in all but their length.
local function is_prefix(short, long)
  local n = #short.evaluations
  if not short.finished or n == 0 or n >= #long.evaluations then return false end
  for i, e in ipairs(short.evaluations) do
    local other = long.evaluations[i]
    if e.iter ~= other.iter or e.val ~= other.val or e.train ~= other.train then return false end
  end
  return true
end

-- For each run that is the first part of others the longest of them.
function effects.trainings(p)
  local families, longest = {}, {}
  for _, r in ipairs(p.runs) do
    local key = with_seed(p, r, is_length)
    families[key] = families[key] or {}
    table.insert(families[key], r)
  end
  for _, family in pairs(families) do
    for _, short in ipairs(family) do
      for _, long in ipairs(family) do
        local most = longest[short] and #longest[short].evaluations or 0
        if #long.evaluations > most and is_prefix(short, long) then longest[short] = long end
      end
    end
  end
  return longest
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

-- The complete blocks of some runs, { setting, seed, at = { [value] = run } }, one for each set of trainings, each
-- setting with every seed that any has; all blocks; and the set of the values that have a run.
local function complete_blocks(p, factor, runs, longest, index)
  local present, blocks, by = {}, {}, {}
  local changes = { [factor.key] = true }
  for _, f in ipairs(p.factors) do changes[f.key] = changes[f.key] or f.with == factor.key end
  local function skip(key) return changes[key] end
  for _, r in ipairs(runs) do
    local value = r.settings[factor.key]
    if value ~= nil and effects.counts(r) then
      local key = with_seed(p, r, skip)
      if not by[key] then
        by[key] = { setting = signature(p, r, skip), seed = tostring(r.seed), at = {} }
        blocks[#blocks + 1] = by[key]
      end
      present[value] = true
      by[key].at[value] = by[key].at[value] or r
    end
  end
  local whole = {}
  for i, block in ipairs(blocks) do
    local words, is_whole = {}, true
    block.order, block.length = i, 0
    for _, value in ipairs(factor.values) do
      local r = block.at[value]
      is_whole = is_whole and (r ~= nil or not present[value])
      words[#words + 1] = r and tostring(index[longest[r] or r]) or "-"
      block.length = block.length + (r and #r.evaluations or 0)
    end
    block.trainings = table.concat(words, " ")
    if is_whole then whole[#whole + 1] = block end
  end
  -- The longest block of the same trainings stands for all of them.
  table.sort(whole, function(a, b)
    if a.length ~= b.length then return a.length > b.length end
    return a.order < b.order
  end)
  local complete, of_trainings = {}, {}
  for _, block in ipairs(whole) do
    block.twin = of_trainings[block.trainings]
    if not block.twin then complete[#complete + 1], of_trainings[block.trainings] = block, block end
  end
  table.sort(complete, function(a, b) return a.order < b.order end)
  local seeds, count = {}, 0
  local seeds_of = {}
  for _, block in ipairs(complete) do
    if not seeds[block.seed] then seeds[block.seed], count = true, count + 1 end
    seeds_of[block.setting] = (seeds_of[block.setting] or 0) + 1
  end
  local balanced = {}
  for _, block in ipairs(complete) do
    if seeds_of[block.setting] == count then balanced[#balanced + 1] = block end
  end
  return balanced, blocks, present
end

-- The difference of two values over the blocks: { n, mean, same, seeds, half, p }; `same` counts those with the mean's
-- sign, half and p are over seeds, nil with fewer than three.
local function difference_of(blocks, from, to)
  local all, by_seed, seeds = {}, {}, {}
  for i, block in ipairs(blocks) do
    local d = block.at[to].best.val - block.at[from].best.val
    all[i] = d
    if not by_seed[block.seed] then
      by_seed[block.seed] = {}
      seeds[#seeds + 1] = block.seed
    end
    table.insert(by_seed[block.seed], d)
  end
  local means = {}
  for i, seed in ipairs(seeds) do means[i] = statistics.of(by_seed[seed]).mean end
  local d, over = statistics.of(all), statistics.paired(means)
  local same = 0
  for _, x in ipairs(all) do if x * d.mean > 0 then same = same + 1 end end
  return { n = d.n, mean = d.mean, same = same, seeds = #seeds, half = over.half, p = over.p }
end

-- { key, runs = indexes, telling = those of them that are compared, levels = { { value, n, mean, sd, min, max, points,
-- difference } }, alone = { run } }; differences are from the baseline's level, else from the first; `alone` are the
-- runs that have no partner.
local function of_factor(p, factor, longest, index)
  local base = p.runs[p.baseline or 0]
  local reference = factor.values[1]
  for _, value in ipairs(factor.values) do
    if base and base.settings[factor.key] == value then reference = value end
  end
  local e = { key = factor.key, reference = reference, runs = {}, telling = {}, levels = {}, alone = {} }
  local runs = telling(p, factor)
  -- Runs side by side are all shown, coloured by the factor, even if they differ in more than that.
  for _, r in ipairs(p.kind == "runs" and p.runs or runs) do e.runs[#e.runs + 1] = index[r] end
  for _, r in ipairs(runs) do e.telling[#e.telling + 1] = index[r] end
  local values = table.move(factor.values, 1, #factor.values, 1, {})
  local numeric = true
  for _, v in ipairs(values) do numeric = numeric and type(v) == "number" end
  if numeric then table.sort(values) end
  local blocks, all, present = complete_blocks(p, factor, runs, longest, index)
  local used = {}
  for _, block in ipairs(blocks) do used[block] = true end
  for _, block in ipairs(all) do
    if not used[block] and not used[block.twin] then
      for _, value in ipairs(values) do e.alone[#e.alone + 1] = block.at[value] end
    end
  end
  table.sort(e.alone, function(a, b) return index[a] < index[b] end)
  for _, value in ipairs(values) do
    local here = {}
    for _, block in ipairs(blocks) do here[#here + 1] = block.at[value] end
    local level = statistics.of(losses(here))
    level.value, level.points, level.is_reference = value, losses(here), value == reference
    if not level.is_reference and level.mean and present[reference] then
      level.difference = difference_of(blocks, reference, value)
    end
    e.levels[#e.levels + 1] = level
  end
  return e
end

-- The effect of each factor, but for those that change with another, and the data set, whose losses are not comparable;
-- and how many differences were tested.
function effects.of(p)
  local list, index, tested, longest = {}, {}, {}, effects.trainings(p)
  for i, r in ipairs(p.runs) do index[r] = i end
  for _, factor in ipairs(p.factors) do
    if not factor.with and factor.key ~= "dataset" then
      local e = of_factor(p, factor, longest, index)
      list[#list + 1] = e
      for _, level in ipairs(e.levels) do tested[#tested + 1] = level.difference end
    end
  end
  return list, statistics.holm(tested)
end

-- ---- seeds --------------------------------------------------------------------------------------

-- Two settings by the seeds that both have.
local function paired_by_seed(p, group, other)
  local differences = {}
  for _, seed in ipairs(p.seeds) do
    local a, b = group.by_seed[seed], other.by_seed[seed]
    if a and b then differences[#differences + 1] = a - b end
  end
  return statistics.paired(differences)
end

-- With several seeds: the settings by data set and their mean, the best first, each with its runs, and as from_best
-- and from_baseline its differences from those on the same data set; nil with one seed. Returns also how
-- many differences from the best, and from the baseline, were tested.
function effects.over_seeds(p)
  if #p.seeds < 2 then return nil end
  local groups, by = {}, {}
  for i, r in ipairs(p.runs) do
    local key = signature(p, r)
    if not by[key] then
      by[key] = { text = plan.settings_text(p, r), runs = {}, list = {}, by_seed = {} }
      groups[#groups + 1] = by[key]
    end
    table.insert(by[key].runs, i)
    table.insert(by[key].list, r)
    if effects.counts(r) and r.seed then by[key].by_seed[r.seed] = by[key].by_seed[r.seed] or r.best.val end
  end
  local place, best = {}, {}
  for n, name in ipairs(plan.datasets(p)) do place[name] = n end
  local base = p.baseline and by[signature(p, p.runs[p.baseline])]
  local several = false
  for i, group in ipairs(groups) do
    group.on, group.order, group.values = group.list[1].on, i, losses(group.list)
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
    if a.on ~= b.on then return place[a.on] < place[b.on] end
    local x, y = a.stats.mean or math.huge, b.stats.mean or math.huge
    if x ~= y then return x < y end
    return a.order < b.order
  end)
  local from_best, from_baseline = {}, {}
  for _, group in ipairs(groups) do
    if best[group.on] then
      group.from_best = paired_by_seed(p, group, best[group.on])
      from_best[#from_best + 1] = group.from_best
    else
      best[group.on] = group
    end
    if base and group ~= base and group.on == base.on then
      group.from_baseline = paired_by_seed(p, group, base)
      from_baseline[#from_baseline + 1] = group.from_baseline
    end
  end
  return groups, statistics.holm(from_best), statistics.holm(from_baseline)
end

return effects
