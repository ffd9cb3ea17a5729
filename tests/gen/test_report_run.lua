-- test_report_run: what the report reads of a run: complete, cut short, broken; evaluations; curves made short.
local check = require("tests.gen.check")
local evaluations = require("gen.report.evaluations")
local files = require("gen.base.files")
local fixture = require("tests.report.fixture")
local helpers = require("tests.report.helpers")
local run = require("gen.report.run")
local thin = require("gen.report.thin")
local words = require("gen.report.words")

local near, has, evaluation = helpers.near, helpers.has, helpers.evaluation
local root = fixture.project()
local function run_of(lines, name) return helpers.run_of(root, lines, name) end

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

fixture.remove(root)
check.finish()
