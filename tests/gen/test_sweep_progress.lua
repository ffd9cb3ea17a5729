-- test_sweep_progress: how far runs are, from what they wrote.
package.path = "./?.lua;" .. package.path
local check = require("tests.gen.check")
local files = require("gen.base.files")
local made_sweep = require("tests.gen.made_sweep")
local progress = require("gen.sweep.progress")
local results = require("gen.sweep.results")

local root = made_sweep.root

check.test("metrics with a NaN and half a line", function()
  files.write(root .. "/m/metrics.jsonl", table.concat({
    '{"iter":0,"train_loss":4.25,"val_loss":4.5,"ms":100.5}',
    '{"iter":0,"loss":4.5,"lr":0.001,"grad_norm":1,"skipped":false,"ms":10.5,"tokens_per_s":5,"mfu":null}',
    '{"iter":1,"train_loss":null,"val_loss":null,"ms":100}',
    '{"iter":1,"hellaswag":0.25,"hellaswag_sum":0.5,"ms":0}',
    '{"iter":1,"loss":null,"lr":0.001,"ms":10}',
    '{"iter":2,"train_loss":2.5,"val_loss":2.75,"ms":100}',
    '{"iter":2,"loss":2.5,"lr":0.0',
  }, "\n"))
  local m = results.metrics(root .. "/m")
  check.equal(m.iters, 2)
  check.equal(m.steps, 2)
  check.equal(#m.evaluations, 3)
  check.equal(m.evaluations[2].val, nil)
  check.equal(m.best.val, 2.75)
  check.equal(m.best.iter, 2)
  check.equal(("%.4f"):format(m.seconds), "0.3210")
  check.equal(results.metrics(root .. "/nowhere").iters, 0)
end)

check.test("the line of a terminal fits, and names what is under way", function()
  local parts = { "12 of 32 done", "1 failed", "1h20m to go", ("x"):rep(60), "best 4.7123, exp03" }
  check.equal(progress.fit(parts, 80), "12 of 32 done; 1 failed; 1h20m to go; best 4.7123, exp03")
  for columns = 20, 130 do
    if #progress.fit(parts, columns) >= columns then error(columns) end
  end
  check.equal(progress.fit({ "1 of 2 done", "exp\xff1" }, 80), "1 of 2 done; exp\xff1") -- of a damaged plan
  local plan_json = { sweep = "line", jobs = 2, runs = {} }
  for i = 1, 3 do
    local folder = ("%s/line/exp0%d-x"):format(root, i)
    files.write(folder .. "/metrics.jsonl", ('{"iter":%d,"loss":1,"ms":10}\n'):format(10 * i - 1))
    plan_json.runs[i] = { name = ("exp0%d-x"):format(i), folder = folder, build = "build/none/cpu", first_iter = 0,
      iters = 100, flops = 1e6, whole_flops = 1e6 }
  end
  files.write(root .. "/line/exp02-x/lock", files.read("/proc/self/stat"):match("^%d+") .. "\n")
  files.write(root .. "/line/exp03-x/lock", "999999999\n")
  local t = progress.totals(plan_json)
  check.equal(table.concat(t.running, ", "), "exp02 20%")
  check.equal(t.flops, 6e5)
  check.equal(t.flops_left, 24e5)
end)

check.test("what is left is told from the speed of the last minutes", function()
  local marks, rate = progress.recent(nil, 1000, 5)
  check.equal(marks, "1000 5\n")
  check.equal(rate, nil)
  marks, rate = progress.recent(marks, 1010, 100)
  check.equal(rate, nil, "ten seconds say nothing")
  marks, rate = progress.recent(marks, 1100, 1005)
  check.equal(rate, 10.0)
  marks, rate = progress.recent(marks, 1400, 1305)
  check.equal(marks, "1100 1005\n1400 1305\n", "old marks are dropped")
  check.equal(rate, 1.0)
  check.equal(progress.recent("nonsense\n5 x\n", 1400, 7), "1400 7\n")
end)

made_sweep.remove()
check.finish()
