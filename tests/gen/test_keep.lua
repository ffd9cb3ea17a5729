-- test_keep: tests/reference/studies/keep.lua keeps the finished runs of a sweep, and the report reads them.
package.path = "./?.lua;" .. package.path
local check = require("tests.gen.check")
local files = require("gen.base.files")
local made_sweep = require("tests.gen.made_sweep")
local plan = require("gen.report.plan")
local write = require("gen.sweep.write")

local root = made_sweep.root
local kept = root .. "/kept/try"

local function keep(words)
  local pipe = io.popen(("lua5.4 tests/reference/studies/keep.lua --to %s/kept %s 2>&1"):format(root, words))
  local said = pipe:read("a")
  local _, _, code = pipe:close()
  return said, code
end

check.test("finished runs, their evaluations, no times, weights or samples", function()
  local p = made_sweep.measured(made_sweep.plan('vary = { { "n_head", { 1, 8 } } }, set = { max_iters = 1000 }'))
  made_sweep.train(p)
  os.remove(p.runs[2].folder .. "/status.json")
  for _, run in ipairs(p.runs) do
    files.write(run.folder .. "/run.json", '{\n  "num_params": 5,\n  "run": {"max_iters": 1000},\n' ..
      '  "result": {"total_seconds": 7}\n}\n')
  end
  write.all(p, 1, 1)
  check.equal(keep(root .. "/out"), ("%s/out: 2 of 3 runs are done and kept in %s\n"):format(root, kept))
  check.equal(files.read(kept .. "/exp00-base/run.json"), '{\n  "num_params": 5,\n  "run": {"max_iters": 1000}\n}\n')
  check.equal(files.read(kept .. "/exp00-base/metrics.jsonl"), '{"iter":0,"train_loss":2,"val_loss":4}\n' ..
    '{"iter":500,"train_loss":2,"val_loss":3.5}\n{"iter":1000,"train_loss":2,"val_loss":3}\n{"iter":1000,"loss":1}\n')
  check.equal(files.read(kept .. "/exp00-base/state.safetensors"), nil)
  check.equal(files.read(kept .. "/exp01-nh1/metrics.jsonl"), nil)
  local read = plan.of_copies({ kept })
  check.equal(read.kind, "vary")
  check.equal(read.runs[read.baseline].name, "exp00-base")
  for i, status in ipairs({ "finished", "not started", "finished" }) do check.equal(read.runs[i].status, status) end
  check.equal(read.runs[3].best.val, 3)
  check.equal(read.runs[3].seconds, nil)
  check.equal(#read.runs[3].notes, 0, "notes")
end)

check.test("what is no sweep is refused in one line", function()
  local said, code = keep(root)
  check.equal(code, 66)
  check.equal(said, root .. "/plan.json: no plan of a sweep; make sweep SWEEP=... writes it\n")
end)

made_sweep.remove()
check.finish()
