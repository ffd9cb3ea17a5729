-- words: the report's sentences: what was run, what won and by how much, which runs overfit, what is missing.
local effects = require("gen.report.effects")
local plan = require("gen.report.plan")
local statistics = require("gen.report.statistics")

local words = {}

local TOP = 5
local MOST_VALUES = 12 -- of a factor, in a sentence
local LEAST_RISE = 0.005 -- nats: below this nothing is called a rise

-- 12345.6 as "12,346".
function words.count(n)
  local text = ("%.0f"):format(n)
  local sign, digits = text:match("^(-?)(%d+)$")
  if not digits then return text end
  digits = digits:reverse():gsub("(%d%d%d)", "%1,"):reverse():gsub("^,", "")
  return sign .. digits
end

function words.loss(x)
  return x and ("%.4f"):format(x) or "none"
end

-- A difference with its sign.
function words.delta(x)
  return ("%+.4f"):format(x):gsub("^-", "−")
end

function words.duration(seconds)
  if seconds < 60 then return ("%.1f s"):format(seconds) end
  if seconds < 3600 then return ("%.1f min"):format(seconds / 60) end
  return ("%.1f h"):format(seconds / 3600)
end

-- "a", "a and b", "a, b and c"; with more than `most`, the first ones and how many more.
function words.listed(items, most)
  local n, shown = #items, table.move(items, 1, math.min(#items, most or #items), 1, {})
  if n > #shown then shown[#shown + 1] = ("%d more"):format(n - #shown) end
  if #shown <= 1 then return shown[1] or "" end
  return table.concat(shown, ", ", 1, #shown - 1) .. " and " .. shown[#shown]
end

local listed = words.listed

-- ---- overfitting --------------------------------------------------------------------------------

-- What the validation loss does after its minimum: { kind, text, rise }. kind is overfits, scatters, rises, falls or
-- unknown. A rise counts if it is more than the evaluations scatter: 2 sd of a difference.
function words.overfitting(r)
  local list = {}
  for _, e in ipairs(r.evaluations) do if e.val then list[#list + 1] = e end end
  local last = list[#list]
  if #list < 2 then return { kind = "unknown", text = "too few evaluations to see overfitting" } end
  local best, vals = r.best, {}
  for i, e in ipairs(list) do vals[i] = e.val end
  if last == best then
    return { kind = "falls", rise = 0,
      text = ("val is lowest at the last evaluation, iteration %s: no overfitting so far"):format(
        words.count(last.iter)) }
  end
  local rise = last.val - best.val
  local scatter = statistics.scatter(vals)
  local least = math.max(LEAST_RISE, scatter and 2 * math.sqrt(2) * scatter or 0)
  local from = ("from its minimum %s at iteration %s to %s at %s"):format(words.loss(best.val), words.count(best.iter),
    words.loss(last.val), words.count(last.iter))
  if rise <= least then
    return { kind = "scatters", rise = rise, text = ("val rose by %s %s, no more than its evaluations scatter (±%.4f)")
      :format(words.loss(rise), from, least) }
  end
  local fell = best.train and last.train and best.train - last.train
  if fell and fell > 0 then
    return { kind = "overfits", rise = rise, text = ("overfits: val rose by %s %s while train fell by %s"):format(
      words.loss(rise), from, words.loss(fell)) }
  end
  return { kind = "rises", rise = rise,
    text = ("val rose by %s %s, and train did not fall: it got worse, but not by overfitting"):format(words.loss(rise),
      from) }
end

-- ---- the order of runs --------------------------------------------------------------------------

-- Indexes of the runs that have more than a first evaluation, the lowest validation loss first; each gets its rank.
function words.rank(p)
  local order = {}
  for i, r in ipairs(p.runs) do if effects.is_ranked(r) then order[#order + 1] = i end end
  table.sort(order, function(a, b)
    local x, y = p.runs[a].best.val, p.runs[b].best.val
    if x ~= y then return x < y end
    return a < b
  end)
  for rank, i in ipairs(order) do p.runs[i].rank = rank end
  return order
end

-- ---- the summary --------------------------------------------------------------------------------

-- ", peak 258 to 264 GFLOP/s", from the runs that have measured it.
local function peaks(runs)
  local least, most
  for _, r in ipairs(runs) do
    local g = (r.peak_flops or 0) > 0 and ("%.0f"):format(r.peak_flops / 1e9)
    if g and (not least or tonumber(g) < tonumber(least)) then least = g end
    if g and (not most or tonumber(g) > tonumber(most)) then most = g end
  end
  if not least then return "" end
  return (", peak %s%s GFLOP/s"):format(least, most ~= least and " to " .. most or "")
end

local HOW = { grid = "the full grid of", vary = "one change at a time of", random = "drawn at random from",
  runs = "a list of" }

local function what_was_run(p)
  local n, lines = #p.runs, {}
  local factors = {}
  for i, f in ipairs(p.factors) do
    local values = {}
    for j, v in ipairs(f.values) do values[j] = plan.text(v) end
    factors[i] = ("%s (%s%s)"):format(f.key, #values <= MOST_VALUES and table.concat(values, ", ") or
      ("%d values from %s to %s"):format(#values, values[1], values[#values]), f.with and ", with " .. f.with or "")
  end
  if p.sweep then
    local seeds = #p.seeds > 1 and (", seeds %s"):format(listed(p.seeds)) or
      p.seeds[1] and (", seed %d"):format(p.seeds[1]) or ""
    lines[1] = ("%d runs of %s: %s %s%s."):format(n, p.base or "one config", HOW[p.how] or HOW.grid, listed(factors),
      seeds)
  elseif n == 1 then
    lines[1] = ("One run, %s."):format(p.runs[1].name)
  else
    lines[1] = ("%d runs side by side%s. The baseline is the first, %s."):format(n,
      #factors > 0 and "; they differ in " .. listed(factors, 8) or "", p.runs[1].name)
  end
  local data, machines, seen = {}, {}, {}
  for _, r in ipairs(p.runs) do
    local d = r.dataset and ("%s%s%s"):format(r.dataset, r.tokenizer and (" (%s)"):format(r.tokenizer) or "",
      r.train_tokens and r.val_tokens and (", %s training and %s validation tokens"):format(words.count(r.train_tokens),
        words.count(r.val_tokens)) or "")
    if d and not seen[d] then data[#data + 1], seen[d] = d, true end
    local h = r.hardware
    if h and not seen[h] then machines[#machines + 1], seen[h] = h, true end
  end
  if #data > 0 then lines[#lines + 1] = ("Data: %s."):format(listed(data, 3)) end
  if #data > 1 then
    lines[#lines + 1] = ("Losses on different data cannot be compared: read ranks and effects within one of the %d " ..
      "data sets."):format(#data)
  end
  if #machines > 0 then
    lines[#lines + 1] = ("Hardware: %s%s."):format(listed(machines, 3), peaks(p.runs))
  end
  return lines
end

-- Settings that the best runs share, and other runs that are ranked do not.
local function in_common(p, order)
  local shared = {}
  for _, f in ipairs(p.factors) do
    local value = p.runs[order[1]].settings[f.key]
    local same, varies = value ~= nil, false
    for i, at in ipairs(order) do
      local is = p.runs[at].settings[f.key] == value
      if i <= TOP then same = same and is else varies = varies or not is end
    end
    if same and varies then shared[#shared + 1] = ("%s %s"):format(f.key, plan.text(value)) end
  end
  return shared
end

local function what_won(p, order)
  local lines = {}
  if #order == 0 then return { "No run has more than a first evaluation yet." } end
  local best, worst = p.runs[order[1]], p.runs[order[#order]]
  local base = p.runs[p.baseline or 0]
  local text = ("Lowest validation loss: %s by %s at iteration %s"):format(words.loss(best.best.val), best.name,
    words.count(best.best.iter))
  if base and base ~= best and base.rank then
    text = text .. (", %s below the baseline %s (%s)"):format(words.loss(base.best.val - best.best.val), base.name,
      words.loss(base.best.val))
  elseif base == best and #order > 1 then
    text = text .. ", which is the baseline"
  end
  if worst ~= best then
    text = text .. (". Highest: %s by %s"):format(words.loss(worst.best.val), worst.name)
  end
  lines[1] = text .. "."
  if p.sweep and p.kind == "grid" and #order > TOP then
    local shared = in_common(p, order)
    lines[2] = #shared > 0 and ("The five best runs all have %s."):format(listed(shared))
      or "The five best runs have no setting in common that tells them from the others."
  end
  return lines
end

local function what_overfits(p)
  local over, counted = {}, 0
  for _, r in ipairs(p.runs) do
    if r.overfitting.kind ~= "unknown" then counted = counted + 1 end
    if r.overfitting.kind == "overfits" then over[#over + 1] = r end
  end
  if counted == 0 then return {} end
  if #p.runs == 1 then
    local text = p.runs[1].overfitting.text
    return { text:sub(1, 1):upper() .. text:sub(2) .. "." }
  end
  if #over == 0 then
    return { "No run overfits: no validation loss rose beyond its scatter while the training loss fell." }
  end
  table.sort(over, function(a, b)
    if a.overfitting.rise ~= b.overfitting.rise then return a.overfitting.rise > b.overfitting.rise end
    return a.name < b.name
  end)
  local most = over[1]
  return { ("Overfitting: %d of %d runs; most %s, whose val rose by %s from its minimum %s at iteration %s to %s at " ..
    "%s."):format(#over, counted, most.name, words.loss(most.overfitting.rise), words.loss(most.best.val),
      words.count(most.best.iter), words.loss(most.final.val), words.count(most.final.iter)) }
end

local function what_is_missing(p)
  local waiting, unfinished, failed = 0, 0, {}
  for _, r in ipairs(p.runs) do
    if r.failure and not r.finished then failed[#failed + 1] = ("%s (%s)"):format(r.name, r.failure)
    elseif r.status == "not started" then waiting = waiting + 1
    elseif r.status ~= "finished" and r.max_iters then unfinished = unfinished + 1 end
  end
  if waiting + unfinished + #failed == 0 then return {} end
  if #p.runs == 1 then
    return { #failed == 1 and ("It failed with %s."):format(p.runs[1].failure) or
      waiting == 1 and "It has not started." or ("It is not finished: %s."):format(p.runs[1].status) }
  end
  local parts = {}
  if #failed > 0 then parts[1] = ("failed: %d of %d runs, %s"):format(#failed, #p.runs, listed(failed, 4)) end
  if unfinished > 0 then parts[#parts + 1] = ("unfinished: %d of %d runs"):format(unfinished, #p.runs) end
  if waiting > 0 then parts[#parts + 1] = ("not started: %d of %d runs"):format(waiting, #p.runs) end
  local text = table.concat(parts, "; ")
  return { ("The results are incomplete. %s%s."):format(text:sub(1, 1):upper(), text:sub(2)) }
end

-- How several differences were tested: "paired by seed, Student's t at 95%, with Holm's correction for 4 comparisons".
function words.test(count)
  return ("paired by seed, Student’s t at 95%%%s"):format(count > 1 and
    (", with Holm’s correction for %d comparisons"):format(count) or "")
end

-- With several seeds: the setting with the lowest mean, and those that cannot be told from it. `tested` is how many
-- were compared with it.
local function what_seeds_say(groups, tested)
  local best = groups and groups[1]
  if not best or not best.stats.sd then return {} end
  local alike, distinct = {}, 0
  for i = 2, #groups do
    if groups[i].from_best.distinct == false then alike[#alike + 1] = groups[i].text end
    if groups[i].from_best.distinct then distinct = distinct + 1 end
  end
  local lines = { ("Over seeds the lowest mean of the best validation loss is %s ± %.4f (n = %d), by %s."):format(
    words.loss(best.stats.mean), best.stats.sd, best.stats.n, best.text) }
  if #alike > 0 then
    lines[2] = ("Not distinguishable from it (%s): %s."):format(words.test(tested), table.concat(alike, "; "))
  elseif distinct == #groups - 1 and distinct > 0 then
    lines[2] = ("All other settings are distinct from it (%s)."):format(words.test(tested))
  end
  return lines
end

-- The summary's sentences, in paragraphs. Call words.rank first; runs have r.overfitting; seeds is from
-- effects.over_seeds, as is how many were compared with the best.
function words.summary(p, order, seeds, best_tested)
  local paragraphs = { what_was_run(p), what_won(p, order), what_seeds_say(seeds, best_tested), what_overfits(p),
    what_is_missing(p) }
  local texts = {}
  for _, lines in ipairs(paragraphs) do
    if #lines > 0 then texts[#texts + 1] = table.concat(lines, " ") end
  end
  return texts
end

-- The result of a test over seeds, for the table.
function words.verdict(distinct)
  if distinct == nil then return "too few seeds to tell" end
  return distinct and "distinct" or "not distinguishable"
end

-- What a difference between two values of a factor shows: with several seeds a test; with one no more than in how many
-- settings it has the same sign.
function words.effect(d)
  if d.seeds > 1 then return words.verdict(d.distinct) end
  if d.n == 1 then return "one pair, one seed: cannot be told" end
  local of = ("%s in %d of %d"):format(d.mean < 0 and "lower" or "higher", d.same, d.n)
  return (d.same == d.n and "consistent over settings: " or "not consistent over settings: ") .. of
end

return words
