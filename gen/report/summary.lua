-- summary: the report's sentences: what was run, what won and by how much, which runs overfit, what is missing.
local effects = require("gen.report.effects")
local plan = require("gen.report.plan")
local words = require("gen.report.words")

local summary = {}

local TOP = 5
local MOST_VALUES = 12 -- of a factor, in a sentence

local listed = words.listed

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
    -- Without its hash, which says nothing to a reader.
    local tokens = r.tokenizer and r.tokenizer:gsub(", " .. ("%x"):rep(16) .. "$", "")
    local d = r.dataset and ("%s%s%s"):format(r.dataset, tokens and (" (%s)"):format(tokens) or "",
      r.train_tokens and r.val_tokens and (", %s training and %s validation tokens"):format(words.count(r.train_tokens),
        words.count(r.val_tokens)) or "")
    if d and not seen[d] then data[#data + 1], seen[d] = d, true end
    local h = r.hardware
    if h and not seen[h] then machines[#machines + 1], seen[h] = h, true end
  end
  if #data > 0 then lines[#lines + 1] = ("Data: %s."):format(listed(data, 3)) end
  if #plan.datasets(p) > 1 then
    lines[#lines + 1] = "Losses on different data cannot be compared: ranks are within each data set, and " ..
      "differences are of runs on the same one."
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

-- A run's name, with how far it is if its losses are not yet what they will be.
local function named(r)
  return effects.counts(r) and r.name or ("%s (%s)"):format(r.name, r.status)
end

-- Which run is best of those on one data set, the first of `order`; `on` names the data set where there are several.
local function what_won_on(p, order, on)
  local best, worst = p.runs[order[1]], p.runs[order[#order]]
  local base = p.runs[p.baseline or 0]
  local text = ("Lowest validation loss%s: %s by %s at iteration %s"):format(on and " on " .. on or "",
    words.loss(best.best.val), named(best), words.count(best.best.iter))
  if best.best.iter == 0 then text = text .. ", before its first step" end
  if base and base ~= best and base.rank and base.on == best.on then
    text = text .. (", %s below the baseline %s (%s)"):format(words.loss(base.best.val - best.best.val), base.name,
      words.loss(base.best.val))
  elseif base == best and #order > 1 then
    text = text .. ", which is the baseline"
  end
  if worst.best.val > best.best.val then
    text = text .. (". Highest: %s by %s"):format(words.loss(worst.best.val), named(worst))
  end
  local lines = { text .. "." }
  if p.sweep and p.kind == "grid" and #order > TOP then
    local shared = in_common(p, order)
    lines[2] = #shared > 0 and ("The five best runs all have %s."):format(listed(shared))
      or "The five best runs have no setting in common that tells them from the others."
  end
  return table.concat(lines, " ")
end

local function what_won(p, order)
  if #order == 0 then return { "No run has more than a first evaluation yet." } end
  local of, names, lines = {}, {}, {}
  for _, i in ipairs(order) do
    local name = p.runs[i].on
    if not of[name] then of[name], names[#names + 1] = {}, name end
    table.insert(of[name], i)
  end
  for i, name in ipairs(names) do lines[i] = what_won_on(p, of[name], #plan.datasets(p) > 1 and name) end
  return lines
end

-- "2 of 8 runs; most a, whose val rose by 0.1 from its minimum 2.3 at iteration 400 to 2.4 at 600"
local function rising(list, counted)
  table.sort(list, function(a, b)
    if a.overfitting.rise ~= b.overfitting.rise then return a.overfitting.rise > b.overfitting.rise end
    return a.name < b.name
  end)
  local most = list[1]
  return ("%d of %d runs; most %s, whose val rose by %s from its minimum %s at iteration %s to %s at %s"):format(#list,
    counted, most.name, words.loss(most.overfitting.rise), words.loss(most.best.val), words.count(most.best.iter),
    words.loss(most.final.val), words.count(most.final.iter))
end

local function what_overfits(p)
  local over, worse, counted = {}, {}, 0
  for _, r in ipairs(p.runs) do
    if r.overfitting.kind ~= "unknown" then counted = counted + 1 end
    if r.overfitting.kind == "overfits" then over[#over + 1] = r end
    if r.overfitting.kind == "rises" then worse[#worse + 1] = r end
  end
  if counted == 0 then return {} end
  if #p.runs == 1 then
    local text = p.runs[1].overfitting.text
    return { text:sub(1, 1):upper() .. text:sub(2) .. "." }
  end
  local lines = {}
  if #over > 0 then
    lines[1] = ("Overfitting: %s."):format(rising(over, counted))
  elseif #worse == 0 then
    lines[1] = "No run overfits: no validation loss rose beyond its scatter while the training loss fell."
  end
  if #worse > 0 then
    lines[#lines + 1] = ("Got worse, train loss too, which is no overfitting: %s."):format(rising(worse, counted))
  end
  return lines
end

-- What halving has stopped: "Halving stopped 3 of 4 trainings: 2 at iteration 50 and 1 at 100."
local function what_halving_did(p)
  local of, trainings, stopped, counts, list = {}, 0, 0, {}, {}
  for _, r in ipairs(p.runs) do
    if r.training and of[r.training] == nil then trainings, of[r.training] = trainings + 1, false end
    if r.training and r.halted_at and not of[r.training] then
      stopped, of[r.training] = stopped + 1, true
      if not counts[r.halted_at] then list[#list + 1] = r.halted_at end
      counts[r.halted_at] = (counts[r.halted_at] or 0) + 1
    end
  end
  if stopped == 0 then return {} end
  table.sort(list)
  for i, at in ipairs(list) do
    list[i] = ("%d at %s%s"):format(counts[at], i == 1 and "iteration " or "", words.count(at))
  end
  return { ("Halving stopped %d of %d trainings: %s. Their losses are those of that far, and no effect counts them.")
    :format(stopped, trainings, listed(list)) }
end

local function what_is_missing(p)
  local waiting, unfinished, failed = 0, 0, {}
  for _, r in ipairs(p.runs) do
    if r.failure and not r.finished then failed[#failed + 1] = ("%s (%s)"):format(r.name, r.failure)
    elseif r.status == "not started" then waiting = waiting + 1
    elseif r.status ~= "finished" and r.max_iters and not r.halted_at then unfinished = unfinished + 1 end
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

-- With several seeds: of the settings on a data set, the one with the lowest mean, and those that cannot be told from
-- it. `tested` is how many were compared with the best.
local function what_seeds_say_on(groups, tested, on)
  local best = groups[1]
  if not best.stats.sd then return {} end
  local alike, distinct = {}, 0
  for i = 2, #groups do
    if groups[i].from_best.distinct == false then alike[#alike + 1] = groups[i].text end
    if groups[i].from_best.distinct then distinct = distinct + 1 end
  end
  local lines = { ("Over seeds%s the lowest mean of the best validation loss is %s ± %.4f (n = %d), by %s."):format(
    on and " on " .. on or "", words.loss(best.stats.mean), best.stats.sd, best.stats.n, best.text) }
  if #alike > 0 then
    lines[2] = ("Not distinguishable from it (%s): %s."):format(words.test(tested), table.concat(alike, "; "))
  elseif distinct == #groups - 1 and distinct > 0 then
    lines[2] = ("All other settings are distinct from it (%s)."):format(words.test(tested))
  end
  return lines
end

local function what_seeds_say(p, groups, tested)
  local lines, names = {}, plan.datasets(p)
  for _, name in ipairs(groups and names or {}) do
    local own = {}
    for _, g in ipairs(groups) do if g.on == name then own[#own + 1] = g end end
    local said = #own > 0 and what_seeds_say_on(own, tested, #names > 1 and name) or {}
    table.move(said, 1, #said, #lines + 1, lines)
  end
  return lines
end

-- How the best run becomes a page, if its words are known and its folder is where make looks.
local function what_to_ship(p, order)
  local best = p.runs[order[1]]
  local name = best and best.words and best.folder:match("^out/([%w_.,=@+/-]+)$")
  if not name then return {} end
  return { ("One HTML file in which %s writes text: make page %s NAME=%s"):format(
    #p.runs == 1 and "it" or best.name, best.words, name) }
end

-- The summary's sentences, in paragraphs. Call words.rank first; runs have r.overfitting; seeds is from
-- effects.over_seeds, as is how many were compared with the best.
function summary.of(p, order, seeds, best_tested)
  local paragraphs = { p.notes and { p.notes } or {}, what_was_run(p), what_won(p, order),
    what_seeds_say(p, seeds, best_tested), what_halving_did(p), what_overfits(p), what_is_missing(p),
    what_to_ship(p, order) }
  local texts = {}
  for _, lines in ipairs(paragraphs) do
    if #lines > 0 then texts[#texts + 1] = table.concat(lines, " ") end
  end
  return texts
end

return summary
