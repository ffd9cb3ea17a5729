-- test_sweep_folders: what happens to the folders that an edited sweep finds, and to those that are not whole.
package.path = "./?.lua;" .. package.path
local check = require("tests.gen.check")
local dkjson = require("dkjson")
local elsewhere = require("gen.sweep.elsewhere")
local files = require("gen.base.files")
local folders = require("gen.sweep.folders")
local made_sweep = require("tests.gen.made_sweep")
local results = require("gen.sweep.results")
local whole = require("gen.sweep.whole")

local made = made_sweep.plan
local root = made_sweep.root
local metrics_of, state_of, train = made_sweep.metrics_of, made_sweep.state_of, made_sweep.train

-- Plans `fields` over the folders that exist. Returns the plan, the output, and the names of runs that are done.
local function again(fields)
  local p, said, done = made(fields), {}, {}
  local changed, others = folders.match(p)
  folders.arrange(p, changed, function(line) said[#said + 1] = line end)
  for _, run in ipairs(p.runs) do
    if results.is_done(run.folder) then done[#done + 1] = run.name end
  end
  local left = {}
  for i, entry in ipairs(others) do left[i] = entry.name end
  return p, table.concat(said, "\n"), table.concat(done, " "), table.concat(left, " ")
end

local function fresh(fields)
  os.execute("rm -rf " .. root .. "/out")
  local p = made(fields)
  train(p)
  return p
end

local two = 'grid = { { "dropout", { 0.1, 0.2 } } }'

check.test("an unchanged sweep prints nothing", function()
  fresh(two)
  local _, said, done = again(two)
  check.equal(said, "")
  check.equal(done, "exp01-d0.1 exp02-d0.2")
end)

check.test("a changed setting sets all runs aside and says which setting", function()
  fresh(two)
  local _, said, done = again(two .. ", set = { learning_rate = 1e-3 }")
  check.equal(done, "")
  if not said:find("exp01-d0.1: changed (learning_rate 0.0003 → 0.001), so it is trained from scratch", 1, true) then
    error(said)
  end
  check.equal(files.read(root .. "/out/exp02-d0.2.previous/state.safetensors"), state_of("exp02-d0.2"), "kept")
end)

check.test("a key that changes no result changes nothing", function()
  fresh(two)
  local _, said, done = again(two .. ", set = { log_interval = 7 }")
  check.equal(said .. done, "exp01-d0.1 exp02-d0.2")
end)

check.test("a value put in between: runs keep their work under their new names", function()
  fresh(two)
  local p, said, done, left = again('grid = { { "dropout", { 0.05, 0.1, 0.15, 0.2 } } }')
  check.equal(done, "exp02-d0.1 exp04-d0.2")
  check.equal(left, "")
  check.equal(files.read(p.runs[2].folder .. "/state.safetensors"), state_of("exp01-d0.1"))
  if not said:find("exp04-d0.2: was exp02-d0.2 before", 1, true) then error(said) end
  check.equal(dkjson.decode(files.read(p.runs[2].folder .. "/run.json")).name, "exp02-d0.1")
  check.equal(dkjson.decode(files.read(p.runs[2].folder .. "/run.json")).run.out_dir, "out/sweeps/try/exp02-d0.1")
end)

check.test("another prompt: only the samples are made again", function()
  local p = fresh(two .. ', prompt = "a"')
  files.write(p.folder .. "/prompt.txt", "a")
  local _, said, done = again(two .. ', prompt = "b"')
  check.equal(done, "")
  check.equal(said, "the prompt has changed: runs that are trained write their samples again")
  check.equal(files.read(p.runs[1].folder .. "/state.safetensors"), state_of("exp01-d0.1"))
end)

check.test("runs that swap names", function()
  fresh(two)
  local p, _, done = again('grid = { { "dropout", { 0.2, 0.1 } } }')
  check.equal(done, "exp01-d0.2 exp02-d0.1")
  check.equal(files.read(p.runs[1].folder .. "/state.safetensors"), state_of("exp02-d0.2"))
end)

check.test("runs that are no longer wanted stay", function()
  fresh(two)
  local _, said, done, left = again('grid = { { "dropout", { 0.1 } } }')
  check.equal(said .. done .. left, "exp01-d0.1exp02-d0.2")
end)

check.test("more iterations resume the run; fewer start from scratch", function()
  fresh(two)
  local p, said, done = again(two .. ", set = { max_iters = 5000 }")
  check.equal(done, "")
  check.equal(files.read(p.runs[1].folder .. "/state.safetensors"), state_of("exp01-d0.1"))
  if not said:find("exp01-d0.1: max_iters 3000 → 5000, so it resumes", 1, true) then error(said) end
  fresh(two)
  p = again(two .. ", set = { max_iters = 50 }")
  check.equal(files.read(p.runs[1].folder .. "/state.safetensors"), nil)
end)

-- A sweep with budgets of 60 s, each of whose runs ended after 1,200 steps; result is what run.json says of them.
local timed = two .. ", set = { max_seconds = 60 }"
local function spent(result)
  local p = fresh(timed)
  for _, run in ipairs(p.runs) do
    local lines = metrics_of(setmetatable({ max_iters = 1199 }, { __index = run.config }))
    files.write(run.folder .. "/metrics.jsonl", lines .. '{"iter":1200,"train_loss":2,"val_loss":3,"ms":10}\n')
    files.write(run.folder .. "/run.json", result)
  end
  return p
end

check.test("runs that their budget ended are done", function()
  spent('{"result":{"num_steps":1200}}')
  local _, said, done = again(timed)
  check.equal(said .. done, "exp01-d0.1 exp02-d0.2")
  spent('{"result":3}') -- killed before run.json had its result
  _, said, done = again(timed)
  check.equal(said .. done, "exp01-d0.1 exp02-d0.2")
  spent('{"result":{"num_steps":1300}}')
  _, said, done = again(timed)
  check.equal(done, "")
  if not said:find("exp01-d0.1: not whole (metrics.jsonl has 1200 steps of 1300)", 1, true) then error(said) end
end)

check.test("a larger budget resumes the run, and so does none; a smaller one, or a first one, starts from scratch",
  function()
    local function kept(p) return files.read(p.runs[1].folder .. "/state.safetensors") == state_of("exp01-d0.1") end
    for _, set in ipairs({ "max_seconds = 90", "log_interval = 1", "max_seconds = 60, max_iters = 5000" }) do
      spent('{"result":{"num_steps":1200}}')
      local p, _, done = again(("%s, set = { %s }"):format(two, set))
      check.equal(done, "", set)
      check.equal(kept(p), true, set)
    end
    for _, set in ipairs({ "max_seconds = 30", "max_seconds = 90, max_iters = 50", "max_seconds = 90, beta2 = 0.9" }) do
      spent('{"result":{"num_steps":1200}}')
      check.equal(kept((again(("%s, set = { %s }"):format(two, set)))), false, set)
    end
    fresh(two)
    check.equal(kept((again(timed))), false)
  end)

check.test("a folder that does not say what it is is set aside", function()
  local p = fresh(two)
  files.write(p.runs[1].folder .. "/resolved.json", "{")
  local _, said, done = again(two)
  check.equal(done, "exp02-d0.2")
  if not said:find("it does not say what it is", 1, true) then error(said) end
end)

check.test("runs that are finished elsewhere are not trained, and what continues them trains their part", function()
  local three = 'grid = { { "dropout", { 0.1, 0.2 } }, { "max_iters", { 500, 1000, 1500 } } }'
  local p = fresh(three)
  local copy = root .. "/copy"
  assert(os.execute(("rm -rf %s; mv %s/out %s"):format(copy, root, copy)))
  -- There the first run, which has a longer one, is not finished, and one has another schedule.
  os.remove(copy .. "/" .. p.runs[1].name .. "/status.json")
  local path = ("%s/%s/resolved.json"):format(copy, p.runs[6].name)
  files.write(path, (files.read(path):gsub('"warmup_iters":%d+', '"warmup_iters":7')))
  local function left(fields, folder)
    local q, list = made(fields), {}
    folders.match(q)
    local count = elsewhere.mark(q, folder)
    for i, run in ipairs(q.runs) do
      local from = run.from and " after " .. run.from.index or ""
      if not run.elsewhere then list[#list + 1] = i .. from end
    end
    return table.concat(list, ", "), count
  end
  local said, count = left(three, copy)
  check.equal(said, "1, 6")
  check.equal(count, 4)
  check.raises(function() left(three, root .. "/nowhere") end, 64, "nowhere: holds no run of a sweep")
  check.raises(function() left(three .. ", halving = { first = 500 }", copy) end, 64, "DONE: .* has halving")
end)

-- The files that a report or a longer run would read are checked, whatever status.json says.
for _, case in ipairs({
  { "an emptied state", "state.safetensors", "", "state.safetensors: has 0 bytes" },
  { "a cut state", "state.safetensors", state_of("exp01-d0.1"):sub(1, 30), "state.safetensors: its header would take" },
  { "no state", "state.safetensors", nil, "state.safetensors: cannot open" },
  { "no best weights", "ckpt.safetensors", nil, "ckpt.safetensors: cannot open" },
  { "best weights of another length", "ckpt.safetensors", state_of("exp01-d0.1") .. "more",
    "ckpt.safetensors: its tensors take 0 bytes, but 4 are there" },
  { "no log", "metrics.jsonl", nil, "metrics.jsonl has 0 steps of 3001" },
  { "half a log", "metrics.jsonl", '{"iter":0,"loss":1,"ms":10}\n', "metrics.jsonl has 1 steps of 3001" },
}) do
  check.test("status done, but incomplete: " .. case[1], function()
    local p = fresh(two)
    local damaged = p.runs[1].folder .. "/" .. case[2]
    os.remove(damaged)
    if case[3] then files.write(damaged, case[3]) end
    local _, said, done = again(two)
    check.equal(done, "exp02-d0.2")
    local wanted = "exp01-d0.1: not whole (" .. case[4]
    if said:sub(1, #wanted) ~= wanted or not said:find("so it is trained from scratch", 1, true) then error(said) end
    check.equal(files.read(root .. "/out/exp02-d0.2/state.safetensors"), state_of("exp02-d0.2"))
    local _, more = again(two)
    check.equal(more, "", "said once")
  end)
end

check.test("status done, but nothing is left", function()
  local p = fresh(two)
  for _, name in ipairs({ "state.safetensors", "ckpt.safetensors", "metrics.jsonl" }) do
    os.remove(p.runs[1].folder .. "/" .. name)
  end
  local _, said, done = again(two)
  check.equal(done, "exp02-d0.2")
  check.equal(said, "exp01-d0.1: metrics.jsonl has 0 steps of 3001, so it is trained from scratch")
end)

check.test("best weights need not exist if no evaluation saved any", function()
  local p = fresh(two .. ", set = { always_save_checkpoint = false, eval_interval = 5000 }")
  os.remove(p.runs[1].folder .. "/ckpt.safetensors")
  local _, said = again(two .. ", set = { always_save_checkpoint = false, eval_interval = 5000 }")
  check.equal(said, "")
end)

check.test("another text under a data set's name is another run", function()
  local function tokens(text)
    files.write(root .. "/words/train.bin", text:rep(100))
    files.write(root .. "/words/val.bin", text:rep(100))
    files.write(root .. "/words/meta.json", '{ "tokenizer": "char 61 62 63", "vocab_size": 3, "train_tokens": 200, ' ..
      '"val_tokens": 200 }')
    whole.forget()
  end
  local fields = ('%s, set = { dataset = "words", data_dir = "%s" }'):format(two, root)
  tokens("\0\0\1\0")
  fresh(fields)
  local _, said, done = again(fields)
  check.equal(said .. done, "exp01-d0.1 exp02-d0.2")
  tokens("\0\0\2\0")
  _, said, done = again(fields)
  check.equal(done, "")
  local wanted = "exp02%-d0.2: changed %(the data's hash %x+ → %x+%), so it is trained from scratch"
  if not said:find(wanted) then error(said) end
end)

made_sweep.remove()
check.finish()
