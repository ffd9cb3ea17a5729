-- test_halving: which trainings of a sweep go on: the rungs, the decisions, also replayed from the evaluations of a
-- complete grid, and the makefile that waits for them.
package.path = "./?.lua;" .. package.path
local check = require("tests.gen.check")
local dkjson = require("dkjson")
local cost = require("gen.sweep.cost")
local files = require("gen.base.files")
local halving = require("gen.sweep.halving")
local made_sweep = require("tests.gen.made_sweep")
local results = require("gen.sweep.results")
local write = require("gen.sweep.write")

local made = made_sweep.plan

-- ---- what a file says ---------------------------------------------------------------------------

check.test("the rungs", function()
  local function rungs(first, keep, most)
    return table.concat(halving.rungs({ first = first, keep = keep }, most), " ")
  end
  check.equal(rungs(250, 1 / 2, 2000), "250 500 1000")
  check.equal(rungs(250, 1 / 2, 2001), "250 500 1000 2000")
  check.equal(rungs(100, 1 / 3, 1000), "100 300 900")
  check.equal(rungs(100, 0.4, 1000), "100 300 800", "rounded up to where all are evaluated")
  check.equal(rungs(100, 0.99, 450), "100 200 300 400", "each is later than the one before")
end)

check.test("what is no halving is refused", function()
  local grid = 'grid = { { "dropout", { 0.1, 0.2 } } }, set = { max_iters = 500, eval_interval = 100 }, '
  for text, said in pairs({
    ["{ keep = 1/2 }"] = "halving: first = nil; wanted a whole number from 1",
    ["{ first = 100, keep = 1 }"] = "halving: keep = 1; wanted the part that goes on, above 0 and below 1",
    ["{ first = 100, by = 'train' }"] = "halving: by = train; wanted \"val\"",
    ["{ first = 100, last = 3 }"] = "halving: unknown field 'last'; there are: first, keep, by",
    ["{ first = 150 }"] = "exp01-d0.1 has no evaluation at first = 150; wanted a multiple of its eval_interval, 100",
    ["{ first = 500 }"] = "first = 500 is not before the end of any run, at most 500" }) do
    check.fails(function() made(grid .. "halving = " .. text) end, said)
  end
  check.fails(function()
    made('grid = { { "dropout", { 0.1, 0.2 } } }, set = { max_seconds = 5 }, halving = { first = 500 }')
  end, "exp01-d0.1 has max_seconds; wanted runs that end by max_iters alone")
end)

-- ---- the decisions ------------------------------------------------------------------------------

-- Trainings with these losses at each rung; false is none.
local function trainings(rungs, rows, last)
  local list = {}
  for i, row in ipairs(rows) do
    list[i] = { last = row.last or last, group = row.group or "one", out = row.out, at = {} }
    for k, at in ipairs(rungs) do list[i].at[at] = row[k] or nil end
  end
  return list
end

local function stopped(list)
  local words = {}
  for i, t in ipairs(list) do words[i] = t.stopped and tostring(t.stopped.at) or "-" end
  return table.concat(words, " ")
end

check.test("the better part goes on; of two that are alike the first", function()
  local list = trainings({ 1, 2 }, { { 5, 4 }, { 4, 3 }, { 3, 2 }, { 4, 9 }, { 2, 1 } }, 9)
  check.equal(halving.replay(list, { 1, 2 }, 1 / 2), 2)
  check.equal(stopped(list), "1 2 - 1 -")
  check.equal(list[1].stopped.place, 5)
  check.equal(list[1].stopped.kept, 3)
  halving.replay(list, { 1, 2 }, 0.2)
  check.equal(stopped(list), "1 1 1 1 -", "at least one goes on")
end)

check.test("a rung waits for who has not come there, but for no failed one", function()
  local list = trainings({ 1, 2 }, { { 5, 4 }, { 4, false }, { 3, 2 }, { 6, 5 } }, 9)
  local decided, waiting = halving.replay(list, { 1, 2 }, 1 / 2)
  check.equal(decided, 1)
  check.equal(waiting[1], list[2])
  check.equal(stopped(list), "1 - - 1")
  list[2].out = true
  check.equal(halving.replay(list, { 1, 2 }, 1 / 2), 2)
  check.equal(stopped(list), "1 2 - 1")
end)

check.test("only losses on the same data are compared, and a training that has ended is not stopped", function()
  local list = trainings({ 1 }, { { 5, group = "a" }, { 6, group = "a" }, { 1, group = "b" }, { 2, group = "b" },
    { 9, group = "a", last = 1 } }, 9)
  halving.replay(list, { 1 }, 1 / 2)
  check.equal(stopped(list), "- 1 - 1 -")
end)

-- ---- a complete grid, replayed ------------------------------------------------------------------

-- The validation losses of grid32_quick's 16 trainings: their settings, then a loss for each evaluation, 80 apart.
local function recorded()
  local list = {}
  for line in io.lines("tests/gen/halving/grid32_quick.txt") do
    local name, rest = line:match("^(n%S+) (.*)$")
    if name then
      local t = { name = name, at = {}, last = 800, group = "one", best = math.huge }
      local iter = 0
      for loss in rest:gmatch("%S+") do
        t.at[iter], iter = tonumber(loss), iter + 80
        t.best = math.min(t.best, tonumber(loss))
      end
      list[#list + 1] = t
    end
  end
  return list
end

check.test("replayed from a complete grid it finds the best within 0.01, at less than half of the steps", function()
  local list = recorded()
  check.equal(#list, 16)
  local best = math.huge
  for _, t in ipairs(list) do best = math.min(best, t.best) end
  local rungs = halving.rungs({ first = 80, keep = 1 / 2 }, 800)
  check.equal(table.concat(rungs, " "), "80 160 320 640")
  check.equal(halving.replay(list, rungs, 1 / 2), 4)
  local steps, found, counts = 0, math.huge, {}
  for _, t in ipairs(list) do
    local at = t.stopped and t.stopped.at or t.last
    steps, counts[at] = steps + at, (counts[at] or 0) + 1
    for iter, loss in pairs(t.at) do if iter <= at then found = math.min(found, loss) end end
  end
  check.equal(("%d %d %d %d %d"):format(counts[80], counts[160], counts[320], counts[640], counts[800]), "8 4 2 1 1")
  if steps > 0.45 * 16 * 800 then error(("%d steps"):format(steps)) end
  if found > best + 0.01 then error(("found %.4f, the best is %.4f"):format(found, best)) end
end)

-- ---- the plan and the makefile ------------------------------------------------------------------

local GRID = 'grid = { { "dropout", { 0.1, 0.2 } }, { "max_iters", { 200, 400 } } }, ' ..
  "set = { eval_interval = 100 }, halving = { first = 100 }"

local function written(change)
  local p = made(GRID)
  for _, shape in ipairs(p.shapes) do cost.measure_shape(shape) end
  for _, run in ipairs(p.runs) do
    run.first, run.last, run.flops, run.whole_flops = 0, run.config.max_iters, 1, 1
  end
  p.halving = { first = 100, keep = 0.5, by = "val", rungs = { 100, 200 } }
  if change then change(p) end
  write.all(p, 2, 1)
  local rules = {}
  for name, needs in files.read(p.folder .. "/sweep.mk"):gmatch("\n(r%S+): ([^\n]*)") do rules[name] = needs end
  return p, rules
end

local function evaluated(run, last, loss)
  local lines = {}
  for iter = 0, last, 100 do
    lines[#lines + 1] = ('{"iter":%d,"train_loss":%g,"val_loss":%g,"ms":1}\n'):format(iter, loss, loss)
  end
  files.write(run.folder .. "/metrics.jsonl", table.concat(lines))
end

check.test("runs of one length and its double are one training", function()
  local p = made(GRID)
  check.equal(p.trainings, 2)
  check.equal(p.runs[1].training, p.runs[2].training)
  check.equal(p.runs[3].training, 2)
end)

check.test("the makefile waits at each rung", function()
  local _, rules = written()
  check.equal(rules["run-1-to-100"], "try-1")
  check.equal(rules["run-1"], "try-1 run-1-to-100 rung-1")
  check.equal(rules["run-2"], "try-1 run-1 rung-2", "its beginning ends at the second rung")
  check.equal(rules["rung-1"], "run-1-to-100 run-3-to-100")
  check.equal(rules["rung-2"], "rung-1 run-1 run-3")
end)

check.test("what is decided is read from the evaluations, and written into the runs' status", function()
  local p = made(GRID)
  evaluated(p.runs[1], 100, 3)
  evaluated(p.runs[3], 100, 2)
  local rules
  p, rules = written()
  check.equal(results.status(p.runs[1].folder).status, "halted")
  check.equal(results.status(p.runs[2].folder).line, "val 3.0000 at 100 is number 2 of 2, of which 1 went on")
  check.equal(results.status(p.runs[3].folder), nil)
  check.equal(rules["run-1"], nil)
  check.equal(rules["rung-1"], nil, "is decided")
  check.equal(rules["run-3"], "try-1")
  check.equal(rules["rung-2"], "run-3")
  -- The decision falls when the evaluations do, as in a run that is trained again.
  os.remove(p.runs[3].folder .. "/metrics.jsonl")
  p = written()
  check.equal(results.status(p.runs[1].folder), nil)
  -- A run that is continued by hand is trained to its end, and still compared.
  evaluated(p.runs[3], 100, 2)
  p, rules = written(function(made_plan) made_plan.runs[1].by_hand, made_plan.runs[2].by_hand = true, true end)
  check.equal(results.status(p.runs[2].folder), nil)
  check.equal(rules["run-2"], "try-1 run-1")
end)

check.test("a run that has failed is tried again by the next start, and out at the end of this one", function()
  local p = written()
  evaluated(p.runs[1], 0, 3)
  files.write(p.runs[1].folder .. "/status.json", '{"status":"failed","code":76,"line":"no"}')
  local plan_json = dkjson.decode(files.read(p.folder .. "/plan.json"))
  check.equal(halving.settle(plan_json), 0)
  check.equal(halving.settle(plan_json, true), 1)
end)

check.test("a plan.json whose halving is none is refused", function()
  local p = written()
  local text = files.read(p.folder .. "/plan.json")
  for from, to in pairs({ ['"keep":0.5'] = '"keep":"x"', ['"rungs":%[100,200%]'] = '"rungs":[200,100]',
    ['"training":2'] = '"training":9' }) do
    local changed, count = text:gsub("%s*\n%s*", ""):gsub(from, to)
    if count == 0 then error(from) end
    files.write(p.folder .. "/plan.json", changed)
    check.raises(function() write.read_plan(p.folder) end, 65, "no plan of a sweep")
  end
end)

made_sweep.remove()
check.finish()
