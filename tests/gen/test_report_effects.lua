-- test_report_effects: what the report computes: statistics, effects over complete pairs, and what its sentences say.
local check = require("tests.gen.check")
local effects = require("gen.report.effects")
local files = require("gen.base.files")
local fixture = require("tests.report.fixture")
local helpers = require("tests.report.helpers")
local plan = require("gen.report.plan")
local prose = require("gen.report.prose")
local statistics = require("gen.report.statistics")
local summary = require("gen.report.summary")
local words = require("gen.report.words")

local near, has, evaluation = helpers.near, helpers.has, helpers.evaluation
local root = fixture.project()
local function run_of(lines, name) return helpers.run_of(root, lines, name) end
local function plan_of(name) return helpers.plan_of(root, name) end
local function report(arguments) return helpers.report(root, arguments) end

-- ---- statistics ---------------------------------------------------------------------------------

check.test("mean, sd, range", function()
  local s = statistics.of({ 2, 4, 4, 4, 5, 5, 7, 9 })
  near(s.mean, 5)
  near(s.sd, math.sqrt(32 / 7))
  check.equal(s.min, 2)
  check.equal(s.max, 9)
  check.equal(statistics.of({ 1 }).sd, nil)
  check.equal(statistics.of({}).mean, nil)
end)

-- The probabilities of tables of Student's t.
check.test("Student's t", function()
  for _, case in ipairs({ { 12.706, 1 }, { 4.303, 2 }, { 3.182, 3 }, { 2.228, 10 }, { 2.042, 30 }, { 1.980, 120 } }) do
    near(statistics.p_of_t(case[1], case[2]), 0.05, "p of " .. case[1], 5e-5)
    near(statistics.t95(case[2]), case[1], "df " .. case[2], 6e-4)
  end
  near(statistics.p_of_t(-3.169, 10), 0.01, "p of -3.169", 1e-5)
  near(statistics.p_of_t(0, 7), 1)
end)

check.test("paired differences", function()
  local p = statistics.paired({ 0.9, 1.1, 1.0, 1.2 })
  near(p.mean, 1.05)
  near(p.half, 3.182 * statistics.of({ 0.9, 1.1, 1.0, 1.2 }).sd / 2, "half", 1e-4)
  if p.p > 0.001 then error("p is " .. p.p) end
  near(statistics.paired({ 1, -1, 1, -1 }).p, 1)
  check.equal(statistics.paired({ 1, 1 }).p, nil)
  check.equal(statistics.paired({ 1, 1, 1 }).p, 0)
end)

-- The smallest of four must be below 0.05/4, the next below 0.05/3; after the first that is not, none is distinct.
check.test("Holm's correction", function()
  local list = { { p = 0.03 }, { p = 0.012 }, { p = 0.016 }, { p = 0.9 }, {} }
  check.equal(statistics.holm(list), 4)
  local found = {}
  for i, c in ipairs(list) do found[i] = tostring(c.distinct) end
  check.equal(table.concat(found, " "), "false true true false nil")
  list = { { p = 0.02 }, { p = 0.02 }, { p = 0.02 } }
  statistics.holm(list)
  check.equal(list[1].distinct or list[2].distinct or list[3].distinct, false)
end)

-- ---- overfitting --------------------------------------------------------------------------------

local function judged(trains, vals)
  local lines = {}
  for i, val in ipairs(vals) do lines[i] = evaluation((i - 1) * 100, trains[i], val) end
  return words.overfitting(run_of(table.concat(lines), "judged"))
end

check.test("overfitting is distinguished from scatter, from divergence and from a loss that still falls", function()
  local train = { 5, 4, 3.5, 3.2, 3, 2.8, 2.6, 2.4 }
  local over = judged(train, { 5, 4.4, 4.2, 4.1, 4.15, 4.25, 4.35, 4.45 })
  check.equal(over.kind, "overfits")
  near(over.rise, 0.35)
  check.equal(over.text, "overfits: val rose by 0.3500 from its minimum 4.1000 at iteration 300 to 4.4500 at 700 " ..
    "while train fell by 0.8000")
  check.equal(judged(train, { 5, 4.4, 4.2, 4.1, 4.0, 3.9, 3.85, 3.8 }).kind, "falls")
  check.equal(judged(train, { 5, 4.4, 4.1, 4.2, 4.1, 4.2, 4.09, 4.15 }).kind, "scatters")
  check.equal(judged({ 5, 4, 3, 3, 3, 3, 4, 5 }, { 5, 4, 3.5, 3.4, 3.4, 3.4, 4.4, 5.4 }).kind, "rises")
end)

-- ---- plans and effects --------------------------------------------------------------------------

fixture.sweep(root, "grid", "grid", { { key = "n_head", values = { 4, 8 } },
  { key = "n_embd", values = { 128, 256 } }, { key = "max_iters", values = { 200, 400 } },
  { key = "dropout", values = { 0.1, 0.2 } } }, { 1 })
fixture.sweep(root, "vary", "vary", { { key = "n_head", values = { 4, 8 } },
  { key = "n_embd", values = { 128, 256 } } }, { 1, 2, 3 })
check.test("main effects: mean over the other factors, differences of pairs", function()
  local p = plan_of("grid")
  check.equal(#p.runs, 16)
  local order = words.rank(p)
  check.equal(p.runs[order[1]].rank, 1)
  local list = effects.of(p)
  check.equal(#list, 4)
  local e = list[2]
  check.equal(e.key, "n_embd")
  check.equal(#e.runs, 16)
  -- The runs of 200 iterations are the first part of those of 400, so these alone are trainings.
  local sum, n = 0, 0
  for _, r in ipairs(p.runs) do
    if r.settings.n_embd == 256 and r.settings.max_iters == 400 then sum, n = sum + r.best.val, n + 1 end
  end
  check.equal(n, 4)
  check.equal(e.levels[2].n, 4)
  near(e.levels[2].mean, sum / n)
  local d = e.levels[2].difference
  check.equal(d.n, 4)
  near(d.mean, e.levels[2].mean - e.levels[1].mean)
  check.equal(d.half, nil, "an interval of settings is none of noise")
  check.equal(d.distinct, nil)
  check.equal(words.effect(d), "consistent over settings: lower in 4 of 4")
  check.equal(list[3].levels[2].difference.n, 8, "of max_iters, whose pairs are one training each")
  check.equal(words.effect({ seeds = 1, n = 3, same = 2, mean = 1 }), "not consistent over settings: higher in 2 of 3")
  check.equal(words.effect({ seeds = 1, n = 1, same = 1, mean = 1 }), "one pair, one seed: cannot be told")
end)

check.test("three lengths of one training count once, and so does the longest that is complete", function()
  fixture.sweep(root, "lengths", "grid", { { key = "n_head", values = { 4, 8 } },
    { key = "max_iters", values = { 200, 400, 600 } } }, { 1 })
  check.equal(effects.of(plan_of("lengths"))[1].levels[2].n, 1)
  fixture.sweep(root, "lengths", "grid", { { key = "n_head", values = { 4, 8 } },
    { key = "max_iters", values = { 200, 400, 600 } } }, { 1 }, function(spec, i)
      if i == 6 then spec.last = 430 end
    end)
  local e = effects.of(plan_of("lengths"))[1]
  check.equal(e.levels[2].n, 1)
  near(e.levels[2].difference.mean, e.levels[2].mean - e.levels[1].mean)
end)

check.test("with several seeds a difference is tested over seeds, not over settings", function()
  fixture.sweep(root, "seeded", "grid", { { key = "n_head", values = { 4, 8 } },
    { key = "dropout", values = { 0.1, 0.2 } }, { key = "n_embd", values = { 128, 256 } } }, { 1, 2, 3 })
  local list, tested = effects.of(plan_of("seeded"))
  check.equal(tested, 3)
  local means, p = {}, plan_of("seeded")
  for seed = 1, 3 do
    local sums = { [4] = 0, [8] = 0 }
    for _, r in ipairs(p.runs) do
      if r.seed == seed then sums[r.settings.n_head] = sums[r.settings.n_head] + r.best.val end
    end
    means[seed] = (sums[8] - sums[4]) / 4
  end
  local d, wanted = list[1].levels[2].difference, statistics.paired(means)
  check.equal(d.n, 12)
  check.equal(d.seeds, 3)
  near(d.half, wanted.half)
  near(d.mean, wanted.mean)
  check.equal(words.effect(list[3].levels[2].difference), "distinct")
end)

-- A plan that is damaged may say so.
check.test("a baseline of a value that its factor does not have is no reference", function()
  local p = plan_of("seeded")
  p.baseline = 1
  local factor = p.factors[1]
  check.equal(effects.of(p)[1].reference, p.runs[1].settings[factor.key])
  local settings = {}
  for key, value in pairs(p.runs[1].settings) do settings[key] = value end
  settings[factor.key] = 5
  p.runs[1].settings = settings
  check.equal(effects.of(p)[1].reference, factor.values[1])
end)

check.test("keys that change together are one effect", function()
  local body = { '{"kind":"grid","factors":[{"key":"n_embd","values":[128,256]},{"key":"n_head","with":"n_embd",' ..
    '"values":[4,8]}],"seeds":[1],"runs":[' }
  for i, s in ipairs({ { n_embd = 128, n_head = 4 }, { n_embd = 256, n_head = 8 } }) do
    fixture.run(root, "out/sweeps/linked/r" .. i, { name = "r" .. i, settings = s, seed = 1 })
    body[#body + 1] = ('%s{"name":"r%d","folder":"out/sweeps/linked/r%d","seed":1,"settings":{"n_embd":%d,' ..
      '"n_head":%d}}'):format(i > 1 and "," or "", i, i, s.n_embd, s.n_head)
  end
  body[#body + 1] = '],"baseline":"r1","skipped":[{"name":"r3","why":"n_head = 5 does not divide"}]}'
  files.write(root .. "/out/sweeps/linked/plan.json", table.concat(body))
  local p = plan_of("linked")
  local list = effects.of(p)
  check.equal(#list, 1)
  check.equal(list[1].levels[2].difference.n, 1)
  check.equal(#list[1].alone, 0)
  check.equal(p.skipped[1], "r3: n_head = 5 does not divide")
end)

check.test("an unbalanced grid: complete pairs alone, the others by name", function()
  fixture.sweep(root, "holes", "grid", { { key = "n_head", values = { 4, 8 } },
    { key = "n_embd", values = { 128, 256 } }, { key = "dropout", values = { 0.1, 0.2 } } }, { 1 }, function(spec, i)
      if i == 3 then return false end
      if i == 6 then spec.evaluations = 1 end
      if i == 8 then spec.last = 430 end
    end)
  local p = plan_of("holes")
  for _, e in ipairs(effects.of(p)) do
    local d = e.levels[2].difference
    check.equal(e.levels[1].n, e.levels[2].n, e.key)
    if d then near(d.mean, e.levels[2].mean - e.levels[1].mean, e.key) end
  end
  local alone = {}
  for i, r in ipairs(effects.of(p)[1].alone) do alone[i] = r.name:sub(1, 5) end
  check.equal(table.concat(alone, " "), "exp02 exp04 exp07", "n_head's")
  local output, ok = report("--sweep holes")
  if not ok then error(output, 0) end
  local page = files.read(root .. "/out/reports/holes.html")
  for _, said in ipairs({
    "Not counted: exp03%S* %(not started%), exp06%S* %(finished%) and exp08%S* %(at 430 of 1000%)",
    "for n_head exp02%S*, exp04%S* and exp07" }) do
    if not page:find(said) then error("not said: " .. said) end
  end
end)

check.test("a first evaluation alone is no rank, and no highest loss", function()
  fixture.sweep(root, "begun", "grid", { { key = "n_head", values = { 4, 8 } },
    { key = "dropout", values = { 0.1, 0.2 } } }, { 1 }, function(spec, i)
      if i == 4 then spec.last = 10 end
    end)
  local p = plan_of("begun")
  for _, r in ipairs(p.runs) do r.overfitting = words.overfitting(r) end
  local order = words.rank(p)
  check.equal(#order, 3)
  check.equal(p.runs[4].rank, nil)
  for _, line in ipairs(summary.of(p, order)) do if line:find("Highest: [%d.]+ by exp04") then error(line) end end
end)

check.test("a run that is the first part of a longer one is recognized by its settings and evaluations", function()
  local p, found = plan_of("grid"), 0
  for short, long in pairs(effects.trainings(p)) do
    found = found + 1
    check.equal(short.settings.max_iters, 200)
    check.equal(long.settings.max_iters, 400)
    check.equal(short.settings.n_embd, long.settings.n_embd)
  end
  check.equal(found, 8)
  -- Runs of one seed begin alike: the first evaluation of one that has no more is another's, too.
  for i, r in ipairs(p.runs) do
    r.evaluations[1] = { iter = 0, train = 4, val = 4 }
    if i == 1 then r.evaluations, r.finished = { r.evaluations[1] }, false end
  end
  check.equal(effects.trainings(p)[p.runs[1]], nil)
  p.runs[1].finished = true
  check.equal(effects.trainings(p)[p.runs[1]], p.runs[3], "its longer one")
end)

check.test("the five best have in common only what the others do not", function()
  fixture.sweep(root, "early", "grid", { { key = "n_head", values = { 4, 8 } },
    { key = "dropout", values = { 0.1, 0.2, 0.3, 0.4, 0.5, 0.6 } } }, { 1 }, function(_, i) return i <= 6 and nil end)
  local p = plan_of("early")
  for _, r in ipairs(p.runs) do r.overfitting = words.overfitting(r) end
  has(summary.of(p, words.rank(p)), "The five best runs have no setting in common that tells them")
end)

check.test("a run that failed is said to have, and why", function()
  fixture.sweep(root, "failed", "grid", { { key = "n_head", values = { 4, 8 } } }, { 1 }, function(spec, i)
    if i == 2 then spec.last = 430 end
  end)
  local folder = root .. "/" .. plan_of("failed").runs[2].folder
  files.write(folder .. "/status.json", '{"status":"failed","code":76,"line":"iteration 431: the loss is not finite"}')
  local p = plan_of("failed")
  for _, r in ipairs(p.runs) do r.overfitting = words.overfitting(r) end
  check.equal(p.runs[2].status, "failed at 430 of 1000")
  has(p.runs[2].notes, "^failed with code 76: iteration 431: the loss is not finite$")
  has(summary.of(p, words.rank(p)),
    "Failed: 1 of 2 runs, exp02%S* %(code 76: iteration 431: the loss is not finite%)")
  files.write(folder .. "/status.json", '{"status":"stopped","code":75}')
  check.equal(plan_of("failed").runs[2].status, "stopped at 430 of 1000")
  files.write(folder .. "/status.json", "[3]")
  check.equal(plan_of("failed").runs[2].status, "at 430 of 1000")
end)

check.test("one change at a time: a factor's runs are the baseline and those that differ in it alone", function()
  local p = plan_of("vary")
  local list = effects.of(p)
  check.equal(#list[1].runs, 6)
  check.equal(list[1].levels[2].n, 3)
  near(list[1].levels[2].difference.mean, list[1].levels[2].mean - list[1].levels[1].mean)
end)

check.test("seeds: mean and sd of each setting, and what can be told apart", function()
  local p = plan_of("vary")
  local groups, best_tested, baseline_tested = effects.over_seeds(p)
  check.equal(#groups, 3)
  check.equal(best_tested, 2)
  check.equal(baseline_tested, 2)
  local base
  for _, g in ipairs(groups) do if g.is_baseline then base = g end end
  for i, g in ipairs(groups) do
    check.equal(g.stats.n, 3)
    if i > 1 and g.stats.mean < groups[i - 1].stats.mean then error("not from the best on") end
    if i > 1 then near(g.from_best.mean, g.stats.mean - groups[1].stats.mean) end
    if g.is_baseline then
      check.equal(g.from_baseline, nil)
    elseif g.text:find("n_embd=256", 1, true) then
      check.equal(g.from_baseline.distinct, true)
      near(g.from_baseline.half, statistics.paired({ g.by_seed[1] - base.by_seed[1], g.by_seed[2] - base.by_seed[2],
        g.by_seed[3] - base.by_seed[3] }).half)
    end
  end
  check.equal(effects.over_seeds(plan_of("grid")), nil)
  check.equal(words.verdict(false), "not distinguishable")
end)

check.test("the summary: what was run, what won, what the best have in common, what overfits", function()
  local p = plan_of("grid")
  for _, r in ipairs(p.runs) do r.overfitting = words.overfitting(r) end
  local lines = summary.of(p, words.rank(p))
  has(lines, "^16 runs of grid_base: the full grid of n_head %(4, 8%), n_embd %(128, 256%).*, seed 1%.")
  has(lines, "1,003,854 training and 111,540 validation tokens")
  has(lines, "Lowest validation loss: .* below the baseline exp01")
  has(lines, "The five best runs all have .*max_iters 400")
  has(lines, "No run overfits")
  local best = p.runs[words.rank(p)[1]]
  best.words, best.folder = 'CONFIG=grid_base SET="n_head=8"', "out/sweeps/grid/exp16"
  lines = summary.of(p, words.rank(p))
  check.equal(lines[#lines], ("One HTML file in which %s writes text: make page %s NAME=sweeps/grid/exp16"):format(
    best.name, best.words))
end)

check.test("a run that got worse, one under way and one that never learned are said to be so", function()
  fixture.sweep(root, "worse", "grid", { { key = "n_head", values = { 4, 8 } } }, { 1 }, function(spec, i)
    if i == 2 then spec.last = 430 end
  end)
  local p = plan_of("worse")
  local diverged, under_way = p.runs[1], p.runs[2]
  diverged.evaluations = {}
  for i, loss in ipairs({ 4, 900, 850, 800, 750 }) do
    diverged.evaluations[i] = { iter = 100 * (i - 1), train = loss, val = loss }
  end
  diverged.best, diverged.final = diverged.evaluations[1], diverged.evaluations[5]
  for _, r in ipairs(p.runs) do r.overfitting = words.overfitting(r) end
  local lines = summary.of(p, words.rank(p))
  has(lines, "^Lowest validation loss: 4.0000 by exp01.nh4 at iteration 0, before its first step, which is")
  has(lines, "Highest: [%d.]+ by exp02.nh8 %(at 430 of 1000%)%.")
  has(lines, "^Got worse, train loss too, which is no overfitting: 1 of 2 runs; most exp01.nh4, whose val rose by 746")
  for _, line in ipairs(lines) do if line:find("No run overfits", 1, true) then error(line) end end
  under_way.best.val = 4
  for _, line in ipairs(summary.of(p, words.rank(p))) do if line:find("Highest", 1, true) then error(line) end end
end)

check.test("with two seeds it is said that nothing is tested, with three how", function()
  for seeds, said in pairs({ [2] = "No difference is tested: an interval over seeds takes three",
    [3] = "distinct from 0 are over seeds" }) do
    local name, list = "seeds" .. seeds, { 1, 2, 3 }
    list[seeds + 1] = nil
    fixture.sweep(root, name, "grid", { { key = "n_head", values = { 4, 8 } } }, list)
    local p = plan_of(name)
    local of = { plan = p, trainings = effects.trainings(p) }
    of.effects, of.effects_tested = effects.of(p)
    of.seeds, of.best_tested, of.baseline_tested = effects.over_seeds(p)
    has({ prose.effects_hint(of) }, said)
    has({ prose.seeds_hint(of) }, seeds == 2 and said or "Two settings are distinct if")
  end
end)

check.test("what follows from a setting is no setting in which runs differ", function()
  for _, dropout in ipairs({ 0, 0.2 }) do
    fixture.run(root, "out/dropped" .. dropout, { name = "dropped", settings = { dropout = dropout } })
  end
  local p = plan.of_folders({ root .. "/out/dropped0", root .. "/out/dropped0.2" })
  check.equal(#p.factors, 1)
  check.equal(p.factors[1].key, "dropout")
  check.equal(effects.of(p)[1].levels[2].difference.n, 1)
  for _, common in ipairs(plan.in_common(p)) do if common.key == "has_dropout" then error("is shared") end end
end)

-- Runs of the grid on two data sets.
local function on_two(name)
  fixture.sweep(root, name, "grid", { { key = "dataset", values = { "here", "there" } },
    { key = "n_head", values = { 4, 8 } }, { key = "n_embd", values = { 128, 256 } } }, { 1, 2 })
  return plan_of(name)
end

check.test("ranks, the best and differences are within a data set", function()
  local p = on_two("data")
  for i, r in ipairs(p.runs) do
    r.overfitting = words.overfitting(r)
    if i > 8 then r.best.val = r.best.val + 10 end -- other tokens, other losses
  end
  local order = words.rank(p)
  check.equal(#order, 16)
  for n, i in ipairs(order) do
    check.equal(p.runs[i].on, n <= 8 and "here" or "there")
    check.equal(p.runs[i].rank, (n - 1) % 8 + 1)
  end
  local groups, best_tested, baseline_tested = effects.over_seeds(p)
  check.equal(best_tested + baseline_tested, 0, "two seeds have no interval")
  for _, g in ipairs(groups) do
    for _, d in ipairs({ g.from_best or {}, g.from_baseline or {} }) do
      if math.abs(d.mean or 0) > 5 then error(g.text .. ": compared with another data set") end
    end
  end
  local list = effects.of(p)
  check.equal(#list, 2, "a data set is no setting that makes a loss lower")
  check.equal(list[1].key, "n_head")
  near(list[1].levels[2].mean - list[1].levels[1].mean, list[1].levels[2].difference.mean)
  local lines = summary.of(p, order, groups, best_tested)
  has(lines, "Losses on different data cannot be compared: ranks are within each data set")
  has(lines, "Lowest validation loss on here: .* Lowest validation loss on there: ")
  has(lines, "Over seeds on here .* Over seeds on there ")
end)

fixture.remove(root)
check.finish()
