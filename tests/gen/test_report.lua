-- test_report: how the report reads and computes: complete and incomplete runs, thinning, statistics, effects, words,
-- attention as bytes, and the page's text. tests/report checks how it looks in a browser.
local check = require("tests.gen.check")
local bench = require("gen.base.bench")
local attention = require("gen.report.attention")
local evaluations = require("gen.report.evaluations")
local effects = require("gen.report.effects")
local files = require("gen.base.files")
local fixture = require("tests.report.fixture")
local library = require("gen.report.library")
local plan = require("gen.report.plan")
local prompt = require("gen.report.prompt")
local run = require("gen.report.run")
local speed = require("gen.report.speed")
local statistics = require("gen.report.statistics")
local text = require("gen.report.text")
local thin = require("gen.report.thin")
local words = require("gen.report.words")

local function near(got, wanted, what, tolerance)
  if not got or math.abs(got - wanted) > (tolerance or 1e-9) then
    error(("%s: got %s, wanted %s"):format(what or "value", tostring(got), tostring(wanted)), 2)
  end
end

local function has(list, pattern)
  for _, line in ipairs(list) do if line:find(pattern) then return end end
  error(("no line of %q has %q"):format(table.concat(list, " | "), pattern), 2)
end

local root = fixture.project()

-- ---- a run's folder -----------------------------------------------------------------------------

-- A run with these lines in metrics.jsonl, and without run.json.
local function run_of(lines, name)
  local folder = root .. "/out/" .. (name or "lines")
  files.write(folder .. "/metrics.jsonl", lines)
  return run.read(folder)
end

local function evaluation(iter, train, val)
  return ('{"iter":%d,"train_loss":%s,"val_loss":%s,"ms":10}\n'):format(iter, train, val)
end

local function step(iter, loss)
  return ('{"iter":%d,"loss":%s,"lr":0.1,"grad_norm":1,"skipped":false,"ms":2.5,"tokens_per_s":9,"mfu":null}\n')
    :format(iter, loss)
end

check.test("HellaSwag's lines are no steps", function()
  local asked = '{"iter":%d,"hellaswag":%s,"hellaswag_sum":0.5,"ms":1000}\n'
  local r = run_of(evaluation(0, 4, 4) .. asked:format(0, "0.25") .. step(0, 4) .. step(1, 4) ..
    asked:format(2, "0.75") .. step(2, 4), "hellaswag")
  check.equal(r.steps_count, 3)
  check.equal(#r.evaluations, 1)
  check.equal(r.hellaswag, 0.75)
  check.equal(r.ms, 2.5)
  near(r.seconds, 2.0175)
  for _, note in ipairs(r.notes) do if note:find("readable") then error(note) end end
  r = run_of(asked:format(0, "null") .. step(0, 4), "not_finite")
  check.equal(r.hellaswag, nil)
  check.equal(r.has_nan, false)
end)

check.test("a complete run: best, final, gap, time, speed", function()
  fixture.run(root, "out/whole", { name = "whole", settings = {} })
  local r = run.read(root .. "/out/whole/")
  check.equal(r.name, "whole")
  check.equal(r.status, "finished")
  check.equal(#r.evaluations, 11)
  check.equal(r.steps_count, 1001)
  check.equal(#r.notes, 0)
  near(r.gap, r.final.val - r.final.train)
  near(r.tokens_per_s, 16 * 64 / r.ms * 1000)
  near(r.mfu, r.flops_per_token * r.tokens_per_s / 5e11)
  check.equal(r.max_iters, 1000)
  for _, e in ipairs(r.evaluations) do if e.val < r.best.val then error("not the best") end end
end)

check.test("a run that its budget ended is finished", function()
  local lines = evaluation(0, 4, 4.1) .. step(0, 4) .. step(1, 3) .. evaluation(2, 3, 3.1)
  for result, status in pairs({ ['{"num_steps":2}'] = "finished", ['{"num_steps":3}'] = "at 2 of 9",
    ['[2]'] = "at 2 of 9", ['{"num_steps":"2"}'] = "at 2 of 9" }) do
    local r = run_of(lines, "spent")
    files.write(r.folder .. "/run.json", ('{"run":{"max_iters":9,"max_seconds":1},"result":%s}'):format(result))
    r = run.read(r.folder)
    check.equal(r.status, status, result)
    check.equal(#r.notes, status == "finished" and 0 or 1)
    check.equal(r.best.iter, 2)
  end
end)

-- A checkpoint as a trainer's begins, and what make eval says of one.
local function checkpoint(hash)
  return string.pack("<I8", 200) .. ('{"__metadata__":{"xxh3":"%s","xxh3_of":"format"'):format(hash)
end
local HASH = "0123456789abcdef"
local function result_of(more, name)
  return ('{"checkpoint": "elsewhere/%s", "checkpoint_xxh3": "%s", %s}\n'):format(name or "ckpt.safetensors", HASH,
    more)
end
local function evals_of(texts)
  local folder = root .. "/out/evaluated"
  os.execute("rm -f " .. folder .. "/eval-*.json")
  files.write(folder .. "/ckpt.safetensors", texts.ckpt or checkpoint(HASH))
  files.write(folder .. "/state.safetensors", checkpoint("f" .. HASH:sub(2)))
  for name, content in pairs(texts) do
    if name ~= "ckpt" then files.write(("%s/eval-%s.json"):format(folder, name), content) end
  end
  local notes, shown = {}, {}
  local list = evaluations.of(folder, 64, function(...) notes[#notes + 1] = string.format(...) end)
  for i, e in ipairs(list) do shown[i] = ("%s %s"):format(e.title, e.value) end
  return table.concat(shown, "; "), notes, list
end

check.test("what make eval found of the checkpoint that is there", function()
  local shown, notes, list = evals_of({
    val = result_of('"split": "val", "loss": 1.5, "perplexity": 4.5, "bits_per_byte": 2.25, "block_size": 64, ' ..
      '"stride": 64'),
    text = result_of('"text": "a/b <c>.txt", "loss": 2, "perplexity": 7.5, "bits_per_byte": null, "block_size": 64, ' ..
      '"stride": 16'),
    hellaswag = result_of('"hellaswag": "x.bin", "accuracy": 0.25, "accuracy_sum": 0.5, "items": 40'),
  })
  check.equal(shown, "whole val: loss 1.5; whole val: perplexity 4.5; whole val: bits/byte 2.25; " ..
    "b <c>.txt, stride 16: loss 2; b <c>.txt, stride 16: perplexity 7.5; b <c>.txt, stride 16: bits/byte nil; " ..
    "HellaSwag: accuracy 0.25; HellaSwag: by sum 0.5")
  check.equal(#notes, 0)
  shown = evals_of({ val = result_of('"loss": 1.5, "block_size": 32, "stride": 16') })
  check.equal(shown:match("^[^;]*"), "whole val, context 32, stride 16: loss 1.5", "of a model that was cropped")
  check.equal(list[4].id, "eval a/b <c>.txt, stride 16 loss", "another text of that name is another column")
end)

check.test("what make eval found of another checkpoint is not shown", function()
  local val = result_of('"loss": 1.5')
  for what, case in pairs({
    ["is of an earlier ckpt.safetensors"] = { ckpt = checkpoint("f" .. HASH:sub(2)), val = val },
    ["is of an earlier state.safetensors"] = { val = result_of('"loss": 1.5', "state.safetensors") },
    ["does not say which weights it is of"] = { val = '{"checkpoint": "ckpt.safetensors", "loss": 1.5}' },
    ["is not JSON"] = { val = val:sub(1, -4) },
    ["is empty"] = { val = "" },
    ["is not a JSON object"] = { val = "3" },
    ["is longer than"] = { val = val .. (" "):rep(1 << 20) },
  }) do
    local shown, notes = evals_of(case)
    check.equal(shown, "", what)
    check.equal(#notes, 1, what)
    has(notes, "^eval%-val%.json " .. what .. ".*, so it is not shown: make eval writes it again")
  end
  has(select(2, evals_of({ val = result_of('"loss": 1', "other.safetensors") })), "does not say which weights")
  has(select(2, evals_of({ text = result_of('"loss": 1') })), "^eval%-text%.json holds no result")
  check.equal((evals_of({ ckpt = "short", val = val })), "")
  check.equal((evals_of({ ckpt = checkpoint(HASH):sub(1, 40), val = val })), "")
end)

check.test("a last line that is cut is ignored, and a note says so", function()
  local r = run_of(evaluation(0, 4, 4.1) .. step(0, 4) .. '{"iter":1,"loss":3.', "cut")
  check.equal(#r.evaluations, 1)
  check.equal(r.steps_count, 1)
  has(r.notes, "^metrics.jsonl ends within line 3; it is ignored")
  has(r.notes, "run.json is missing")
  has(r.notes, "one evaluation only")
end)

check.test("lines that are not JSON, not objects, without an iteration, or going back", function()
  local r = run_of(step(0, 4) .. "nonsense\n[1]\n{}\n" .. '{"iter":-1,"loss":1}\n{"iter":1.5,"loss":1}\n"x"\n' ..
    step(0, 9) .. ("["):rep(2000) .. "\n" .. step(1, 3), "bad")
  check.equal(r.steps_count, 2)
  has(r.notes, "^line 2 of metrics.jsonl is not readable; 8 lines in all")
end)

check.test("losses that are not numbers", function()
  local r = run_of(evaluation(0, 4, 4.1) .. step(0, 4) .. step(1, "null") .. evaluation(2, "null", "null") ..
    step(2, "null"), "nan")
  check.equal(r.best.iter, 0)
  check.equal(r.final.val, nil)
  check.equal(r.gap, nil)
  has(r.notes, "a loss is not a number, first at iteration 1 %(3 lines%)")
  check.equal(words.overfitting(r).kind, "unknown")
end)

check.test("the fast parser of a step's line agrees with the JSON parser", function()
  local lines = {}
  for i, loss in ipairs({ "4", "3.25", "1e-05", "-2.5", "null", "1e999", "1-2", "3.5" }) do
    lines[i] = step(i, loss):gsub("null}", i % 2 == 0 and "0.25}" or "null}"):gsub("2.5,", i .. ".125,", 1)
  end
  local quick = run_of(table.concat(lines), "quick")
  local parsed = run_of(table.concat(lines):gsub("{", "{ "), "parsed")
  check.equal(quick.steps_count, 7) -- 1-2 is not a number, and not JSON
  for _, key in ipairs({ "steps_count", "ms", "mfu", "seconds", "last_iter" }) do
    check.equal(quick[key], parsed[key], key)
  end
  check.equal(table.concat(quick.notes, " "), table.concat(parsed.notes, " "))
  for i, y in ipairs(quick.steps_y) do check.equal(y, parsed.steps_y[i], "loss " .. i) end
end)

check.test("no lines, no file, no folder", function()
  has(run_of("", "empty").notes, "metrics.jsonl is empty")
  check.equal(run.read(root .. "/out/empty").status, "not started")
  assert(os.execute("mkdir -p " .. root .. "/out/bare"))
  has(run.read(root .. "/out/bare").notes, "metrics.jsonl is missing")
  local r = run.read(root .. "/out/nowhere")
  has(r.notes, "not started: there is no folder")
  check.equal(#r.notes, 1)
end)

check.test("reading stops at a line that is too long", function()
  local r = run_of(step(0, 4) .. ("x"):rep(200000) .. "\n" .. step(1, 3), "endless")
  check.equal(r.steps_count, 1)
  has(r.notes, "a line of more than 65536 bytes, line 2")
end)

check.test("run.json that is broken, or of other types", function()
  files.write(root .. "/out/whole2/run.json", "{")
  has(run.read(root .. "/out/whole2").notes, "run.json is not JSON")
  files.write(root .. "/out/whole2/run.json", '[1,2]')
  run.read(root .. "/out/whole2")
  files.write(root .. "/out/whole2/run.json", '{"config":3,"run":{"max_iters":"x","a":{}},"num_params":-4,"title":[]}')
  local r = run.read(root .. "/out/whole2")
  check.equal(r.num_params, nil)
  check.equal(r.max_iters, nil)
  check.equal(r.run.a, nil)
end)

-- ---- curves -------------------------------------------------------------------------------------

check.test("a short curve is kept as it is", function()
  local t = thin.new(4)
  for i = 1, 4 do t:add(i, i * 10) end
  local xs, ys, each = t:points()
  check.equal(table.concat(xs, " "), "1.0 2.0 3.0 4.0")
  check.equal(table.concat(ys, " "), "10.0 20.0 30.0 40.0")
  check.equal(each, 1)
end)

check.test("a long curve becomes means of neighbours, with no more points than asked for", function()
  for _, n in ipairs({ 5, 8, 9, 1000, 1001, 4097 }) do
    local t = thin.new(8)
    for i = 1, n do t:add(i, 2 * i) end
    local xs, ys, each = t:points()
    if #xs > 8 or #xs < 3 then error(("%d points of %d"):format(#xs, n)) end
    near(xs[1], (each + 1) / 2, "first of " .. n)
    for i in ipairs(xs) do near(ys[i], 2 * xs[i], "point " .. i) end
  end
end)

check.test("a missing value does not count for the mean", function()
  local t = thin.new(2)
  for i, y in ipairs({ 1, false, 3, 4, false, false, false, false }) do t:add(i, y or nil) end
  local _, ys, each = t:points()
  check.equal(each, 4)
  near(ys[1], 8 / 3)
  check.equal(ys[2], false)
end)

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

local function in_root(path)
  return root .. "/" .. path
end

-- plan.of_sweep reads from the current folder: make io.open read from the temporary folder meanwhile.
local function plan_of(name)
  local original = io.open
  rawset(io, "open", function(path, mode) -- luacheck: ignore
    return original(path:sub(1, 1) == "/" and path or in_root(path), mode)
  end)
  local ok, p = pcall(plan.of_sweep, name)
  rawset(io, "open", original) -- luacheck: ignore
  if not ok then error(p, 0) end
  return p
end

local function report(arguments)
  if not pcall(library.text) then check.skip("there is no Chart.js (package libjs-chart.js)") end
  local output, ok, code = fixture.report(root, arguments)
  return output, ok, code
end

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
  for _, line in ipairs(words.summary(p, order)) do if line:find("Highest: [%d.]+ by exp04") then error(line) end end
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
  has(words.summary(p, words.rank(p)), "The five best runs have no setting in common that tells them")
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
  has(words.summary(p, words.rank(p)),
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
  local summary = words.summary(p, words.rank(p))
  has(summary, "^16 runs of grid_base: the full grid of n_head %(4, 8%), n_embd %(128, 256%).*, seed 1%.")
  has(summary, "1,003,854 training and 111,540 validation tokens")
  has(summary, "Lowest validation loss: .* below the baseline exp01")
  has(summary, "The five best runs all have .*max_iters 400")
  has(summary, "No run overfits")
end)

check.test("losses on different data are said to be no comparison", function()
  local p = plan_of("grid")
  for i, r in ipairs(p.runs) do r.overfitting, r.dataset = words.overfitting(r), i > 8 and "other" or r.dataset end
  has(words.summary(p, words.rank(p)), "Losses on different data cannot be compared: .* one of the 2 data sets%.")
end)

check.test("a plan.json with other contents is refused in one line", function()
  local function refused(body, code, pattern)
    files.write(root .. "/out/sweeps/bad/plan.json", body)
    check.raises(function() plan_of("bad") end, code, pattern)
  end
  refused("{", 65, "plan.json is not JSON; make sweep SWEEP=bad writes it")
  refused("{}", 65, "it lists no runs")
  refused('{"runs":[{"name":"a"}],"factors":[]}', 65, "the folder of a is not in out/")
  refused('{"runs":[{"name":"a","folder":"out/../../etc"}],"factors":[]}', 65, "the folder of a is not in out/")
  refused('{"runs":[{"name":"a/b","folder":"out/x"}]}', 65, "run 1 has no name")
  refused('{"runs":[{"name":"a","folder":"out/x"}],"factors":[{"key":"k","values":[]}]}', 65, "factor 1 is no")
  check.raises(function() plan_of("none") end, 66, "out/sweeps/none/plan.json is missing")
  check.raises(function() plan_of("a b") end, 64, "is not a sweep's name")
end)

check.test("a program of another folder is never run", function()
  files.write(root .. "/out/sweeps/evil/plan.json",
    '{"runs":[{"name":"a","folder":"out/x","build":"build/../../bin"},{"name":"b","folder":"out/x","build":"/bin"}]}')
  local programs = require("gen.report.programs")
  for _, r in ipairs(plan_of("evil").runs) do check.equal(r.build, nil) end
  for _, name in ipairs({ "../x", "a/b", "a;b", ".hidden", "a b", "" }) do
    check.equal(programs.folder({ config_name = name, backend = "cpu" }, "build"), nil, name)
  end
  check.equal(programs.folder({ config_name = "a-n_embd=4", backend = "x" }, "build"), "build/a-n_embd@4/cpu")
end)

-- ---- attention ----------------------------------------------------------------------------------

check.test("attention as bytes: the causal part of each row, 255 is 1", function()
  local packed = attention.pack({ n_layer = 1, n_head = 2, n_tokens = 2, tokens = { "a", "\xE2" },
    attention = { { { { 1, 0 }, { 0.25, 0.75 } }, { { 1, 0 }, { 0.5, 0.5 } } } } })
  -- 255 64 191, 255 128 128; means 255 96 159
  check.equal(packed.weights, "/0C//4CA")
  check.equal(packed.means, "/2Cf")
  check.equal(packed.tokens[2], "\u{FFFD}")
end)

-- ---- texts and the page -------------------------------------------------------------------------

check.test("texts: UTF-8, cutting, HTML, numbers", function()
  check.equal(text.valid("a\xFFb\xE2\x82"), "a\u{FFFD}b\u{FFFD}\u{FFFD}")
  check.equal(text.cut("äöü", 2), "äö")
  check.equal(text.html("<a b='\"&'>"), "&lt;a b=&#39;&quot;&amp;&#39;&gt;")
  check.equal(words.count(1234567), "1,234,567")
  check.equal(words.count(999), "999")
  check.equal(words.delta(-0.5), "−0.5000")
end)

check.test("the same runs give the same page, complete and self-contained", function()
  local output, ok = report("--sweep grid")
  if not ok then error(output, 0) end
  local path = root .. "/out/reports/grid.html"
  local first = files.read(path)
  report("--sweep grid")
  check.same_text(files.read(path), first, "page")
  for _, word in ipairs({ 'src="http', "href=\"http", "@import", "url(http", "<link" }) do
    if first:find(word, 1, true) then error("the page loads: " .. word) end
  end
  local _, scripts = first:gsub("</script>", "")
  check.equal(scripts, 4, "ends of scripts")
  if first:find("</script> <b>", 1, true) then error("a sample's text ends a script or an element") end
  if not first:find("First Citizen:", 1, true) then error("no samples") end
  if not files.read(root .. "/out/reports/grid.attention/exp01-nh4-ne128-mi200-d0.1.json") then
    error("the exact attention weights are not beside the page")
  end
end)

check.test("the page of 32 runs is below 1 MB without attention", function()
  fixture.sweep(root, "grid32", "grid", fixture.GRID32, { 1337 }, function(spec) spec.every = 4 end)
  local output, ok = report("--live --sweep grid32")
  if not ok then error(output, 0) end
  local page = files.read(root .. "/out/reports/grid32.html")
  local maps = #page:match('id="attention%-data">(.-)</script>')
  if maps < 100000 then error("there is no attention") end
  -- The page has 250 points for 500 steps, as many as for 2,000.
  if #page - maps > 1000000 then error(("%d bytes"):format(#page - maps)) end
end)

-- A data set with these ids, and a run on it.
local function run_on(name, tokenizer, ids, block_size)
  for i, id in ipairs(ids) do ids[i] = string.pack("<I2", id) end
  files.write(("%s/data/%s/val.bin"):format(root, name), table.concat(ids))
  files.write(("%s/data/%s/meta.json"):format(root, name), ('{"tokenizer": "%s"}'):format(tokenizer))
  return { dataset = name, run = { data_dir = root .. "/data" }, config = { block_size = block_size } }
end

-- A data set of token shards, whose first one to validate with has these ids, and a run on it.
local function run_on_shards(name, path, meta)
  local list = path and ('"shards": {"val": [{"path": "%s"}]}'):format(path) or '"shards": {"val": []}'
  files.write(("%s/data/%s/meta.json"):format(root, name), ("{%s, %s}"):format(meta, list))
  return { dataset = name, run = { data_dir = root .. "/data" }, config = { block_size = 8 } }
end

check.test("the default prompt is the beginning of the validation text", function()
  files.write(root .. "/shard.bin", ("x"):rep(1024) .. string.pack("<I4I4", 0, 70000))
  files.write(root .. "/data/within/shard.bin", ("x"):rep(1024) .. string.pack("<I2I2", 1, 0))
  local bytes = {}
  for i = 0, 255 do bytes[i + 1] = ("%02x"):format(i) end
  bytes = "bpe gpt2 " .. table.concat(bytes)
  local cases = {
    { run_on("letters", "char 61 e9 1f600", { 2, 1, 0, 1 }, 8), "\u{1F600}éaé" },
    { run_on("context", "char 61 62", { 0, 1, 0, 1 }, 3), "aba" }, -- no more than its context
    { run_on("zero", "char 00 61", { 1, 1, 0, 1 }, 8), "aa" }, -- no argument of a command has a zero
    { run_on("path", "char 3a 45 46 49 4c", { 2, 3, 4, 1, 0, 4 }, 8), "L" }, -- "FILE:L" would be a path
    -- "th" is token 256, "the" 257; the last one is the first byte of é.
    { run_on("merged", bytes .. " 0074006801000065", { 257, 256, 0xc3 }, 8), "theth" },
    { run_on("wrong", "words a b", { 0 }, 8), "" },
    { run_on("ids", "ids 9", { 8, 0 }, 8), " 8 0" },
    { run_on_shards("shards", root .. "/shard.bin", '"tokenizer": "ids 70001", "token_type": "uint32"'), " 0 70000" },
    { run_on_shards("within", "shard.bin", '"tokenizer": "char 61 62"'), "ba" },
    { run_on_shards("gone", "shard.bin", '"tokenizer": "char 61 62"'), "" },
    { run_on_shards("empty", nil, '"tokenizer": "char 61 62"'), "" },
    { { dataset = "nowhere", run = {}, config = {} }, "" },
    { { run = {}, config = {} }, "" },
  }
  for _, case in ipairs(cases) do check.equal(prompt.of({ case[1] })[1], case[2], case[1].dataset) end
  local both = prompt.of({ cases[1][1], cases[2][1] })
  check.equal(table.concat(both, "|"), "\u{1F600}éa|aba", "as many tokens as fit into each")
end)

check.test("a prompt that the model has no tokens for is noted, and the rest is shown", function()
  local output, ok = report("--prompt=refuse --out out/refuse.html out/whole")
  if not ok then error(output, 0) end
  local page = files.read(root .. "/out/refuse.html")
  if not page:find("no attention: %-%-start: line 1, character 1") then error("not said") end
end)

-- A run whose build has a bench that says how busy the machine was, and perhaps earlier figures.
local function benched(name, earlier, now)
  fixture.run(root, "out/" .. name, { name = name, build = name, settings = {} })
  local folder = ("%s/build/%s/cpu"):format(root, name)
  local figures = assert(files.read(folder .. "/bench.json"))
  local function saying(others) return (figures:gsub("^{", ('{"others_busy":%g,'):format(others))) end
  os.remove(folder .. "/bench.json")
  if earlier then files.write(folder .. "/bench.json", saying(earlier)) end
  files.write(folder .. "/after.json", saying(now))
  files.write(folder .. "/bench", ('#!/bin/sh\ncp "%s/after.json" "${2#--json=}"\n'):format(folder))
  assert(os.execute("chmod +x " .. folder .. "/bench"))
  return folder
end

check.test("nothing is timed while a run or a sweep is under way", function()
  local folder = benched("beside", nil, 0)
  -- Holds a lock as gen/sweep/run.sh does.
  files.write(root .. "/hold.sh", "exec 9>>out/sweeps/grid/lock\necho $$ >out/sweeps/grid/lock\nexec sleep 60\n")
  assert(os.execute(("cd %s && { sh hold.sh & echo $! >held; } && until [ -s out/sweeps/grid/lock ]; do :; done")
    :format(root)))
  local output = report("out/beside")
  if output:find("timing") or files.read(folder .. "/bench.json") then error(output) end
  local said = "it is not timed while out/sweeps/grid trains"
  if not files.read(root .. "/out/reports/beside.html"):find(said, 1, true) then error("not said") end
  assert(os.execute(("kill $(cat %s/held)"):format(root)))
  while os.execute(("kill -0 $(cat %s/held) 2>/dev/null"):format(root)) do os.execute("sleep 0.05") end
  output = report("out/beside") -- the lock's file is there, but nobody holds it
  if not output:find("timing the kernels of build/beside/cpu, once") then error(output) end
end)

check.test("a bench beside other work is replaced by a better one, and is no rate of the machine", function()
  local training = require("gen.report.training")
  training.is_busy = function() return false end
  training.under_way = function() end
  local print_ = print
  for i, case in ipairs({ { 1.5, 0.01, 0.01 }, { 1.5, 1.9, 1.5 }, { 0.1, 0, 0.1 } }) do
    local name = "timed" .. i
    benched(name, case[1], case[2])
    rawset(_G, "print", function() end)
    local list = speed.of({ run.read(root .. "/out/" .. name) }, root .. "/build")
    rawset(_G, "print", print_)
    check.equal(list[1].figures.others_busy, case[3], name)
    check.equal(list[1].figures.disturbed, case[3] > 0.2 or nil, name)
    check.equal(bench.is_disturbed({ threads = 2, others_busy = case[1] }), case[1] > 0.2)
  end
  check.equal(bench.is_disturbed({ threads = 2 }), false, "of an earlier version")
end)

-- The runs of a page, as the names in its data.
local function names_in(path)
  local list = {}
  for name in files.read(root .. "/" .. path):match('"runs":%[.*'):gmatch('"name":"([^"]+)","notes"') do
    list[#list + 1] = name
  end
  table.sort(list)
  return table.concat(list, " ")
end

check.test("folders of sweeps, and patterns", function()
  local function made(arguments, path)
    local output, ok = report("--live " .. arguments)
    if not ok then error(output, 0) end
    return names_in(path)
  end
  fixture.sweep(root, "three", "grid", { { key = "n_head", values = { 2, 4, 8 } } }, { 1 },
    function(_, i) return i < 3 end)
  -- A sweep's folder alone is the sweep's page; beside others its runs that there are.
  check.equal(made("out/sweeps/three/", "out/reports/three.html"), "exp01-nh2 exp02-nh4 exp03-nh8")
  check.equal(made("--out out/a.html out/sweeps/three out/whole", "out/a.html"), "exp01-nh2 exp02-nh4 whole")
  assert(os.execute(("cp -R %s/out/sweeps/three %s/copied"):format(root, root)))
  check.equal(made("--out out/b.html copied", "out/b.html"), "exp01-nh2 exp02-nh4")
  check.equal(made("--out out/c.html 'out/sweeps/three/exp0[13]*' 'out/wh*le'", "out/c.html"), "exp01-nh2 whole")
  for word, said in pairs({ ["out/sweeps/no*"] = "there is no such folder", out = "holds no run; wanted the folder",
    ["out/swee*"] = "holds no run", ["o$(touch bad)*"] = "there is no such folder" }) do
    local output, _, code = report(files.quoted(word))
    check.equal(code, 66, word)
    if not output:find(said, 1, true) or output:find("\n.") then error(output) end
  end
  check.equal(files.read(root .. "/bad"), nil)
end)

check.test("each prompt has its own page", function()
  local names = {}
  for i, start in ipairs({ "First Citizen:", "First Citizen.", "" }) do
    local output, ok = report(("--live %s out/whole"):format(start ~= "" and "--prompt=" .. files.quoted(start) or ""))
    if not ok then error(output, 0) end
    names[i] = output:match("report: (%S+),")
  end
  for i, begin in ipairs({ "whole%.prompt%-First%-Citizen%-%x+", "whole%.prompt%-First%-Citizen%-%x+", "whole" }) do
    if not names[i]:find("^out/reports/" .. begin .. "%.html$") then error(names[i]) end
  end
  if names[1] == names[2] then error("one page for two prompts") end
end)

check.test("a sample's weights are named by their steps", function()
  report("--live --sweep grid")
  local page = files.read(root .. "/out/reports/grid.html")
  for _, said in ipairs({ "final weights, after 401 steps", "best checkpoint, after 400 steps",
    "final val [%d.]+ at iteration 400" }) do
    if not page:find(said) then error("not said: " .. said) end
  end
end)

check.test("wrong arguments are refused in one line", function()
  for _, case in ipairs({
    { "", 64, "nothing to report on; give --sweep NAME" }, { "--sweep a out/whole", 64, "give one of both" },
    { "--prompt= out/whole", 64, "--prompt: is empty" }, { "out/nowhere", 66, "out/nowhere: there is no such folder" },
    { "--sweep nowhere", 66, "out/sweeps/nowhere/plan.json is missing" } }) do
    local output, _, code = report(case[1])
    check.equal(code, case[2], case[1])
    if not output:find(case[3], 1, true) or output:find("\n.") then error(("%s: %s"):format(case[1], output)) end
  end
end)

fixture.remove(root)
check.finish()
