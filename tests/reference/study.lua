-- study: compares the whole training of a model that overfits with PyTorch's: the two runs of the sweep grid_study with
-- the curve of nanoGPT's model.py with the same settings and dropout 0.2 (PyTorch 2.15, evaluations of 30 batches,
-- which scatter by about 0.07).
--
--   make sweep SWEEP=grid_study && lua5.4 tests/reference/study.lua     about 20 minutes on two cores with AVX-512
--
-- Both curves are first averaged over each point and its neighbours. The exit code is 0 if the mean absolute difference
-- over all points is at most 0.08 and the run with dropout 0.1 overfits more.
package.path = "./?.lua;" .. package.path
local dkjson = require("dkjson")

local LIMIT = 0.08
local pytorch = { -- at iterations 300, 400, ..., 1500
  train = { 4.87, 4.62, 4.45, 4.34, 4.30, 4.16, 4.14, 4.04, 3.94, 3.94, 3.98, 3.83, 3.79 },
  val = { 5.36, 5.12, 5.01, 5.02, 5.03, 4.98, 4.87, 4.99, 4.82, 4.84, 4.88, 4.80, 4.97 },
}

-- A run's evaluations by iteration.
local function read(folder)
  local path, by_iter = folder .. "/metrics.jsonl", {}
  local file, message = io.open(path)
  if not file then
    io.stderr:write(message, "; make sweep SWEEP=grid_study trains it\n")
    os.exit(66)
  end
  for line in file:lines() do
    local record = dkjson.decode(line)
    if record and record.val_loss then by_iter[record.iter] = record end
  end
  file:close()
  return by_iter
end

local function averaged(curve)
  local result = {}
  for i in ipairs(curve) do
    local sum, count = 0, 0
    for j = i - 1, i + 1 do
      if curve[j] then sum, count = sum + curve[j], count + 1 end
    end
    result[i] = sum / count
  end
  return result
end

-- A run's train and val losses at the iterations of PyTorch's curve, its lowest val, and how far val rose after it.
local function curves(folder)
  local evaluations, run = read(folder), { train = {}, val = {}, best = math.huge }
  for iter = 100, 1500, 100 do
    local e = evaluations[iter]
    if not e then
      io.stderr:write(("%s: no evaluation of iteration %d; the run is not finished\n"):format(folder, iter))
      os.exit(65)
    end
    if e.val_loss < run.best then run.best, run.at = e.val_loss, iter end
    if iter >= 300 then
      table.insert(run.train, e.train_loss)
      table.insert(run.val, e.val_loss)
    end
  end
  run.rise = run.val[#run.val] - run.best
  run.gap = run.val[#run.val] - run.train[#run.train]
  return run
end

local function difference(ours, theirs)
  local sum = 0
  ours, theirs = averaged(ours), averaged(theirs)
  for i in ipairs(theirs) do sum = sum + math.abs(ours[i] - theirs[i]) end
  return sum / #theirs
end

local function show(title, curve)
  local words = {}
  for i, value in ipairs(curve) do words[i] = ("%.2f"):format(value) end
  print(("%-22s %s"):format(title, table.concat(words, " ")))
end

local folder = arg[1] or "out/sweeps/grid_study"
local run, twin = curves(folder .. "/exp01-d0.2"), curves(folder .. "/exp02-d0.1")
show("PyTorch, train", pytorch.train)
show("dropout 0.2, train", run.train)
show("dropout 0.1, train", twin.train)
show("PyTorch, val", pytorch.val)
show("dropout 0.2, val", run.val)
show("dropout 0.1, val", twin.val)
for _, one in ipairs { { "0.2", run }, { "0.1", twin } } do
  print(("dropout %s: lowest val %.4f at %d, %.4f higher at 1500, %.4f above train there"):format(one[1], one[2].best,
    one[2].at, one[2].rise, one[2].gap))
end
local train, val = difference(run.train, pytorch.train), difference(run.val, pytorch.val)
local mean = (train + val) / 2
print(("mean absolute difference from PyTorch, averaged curves: train %.4f, val %.4f, both %.4f; wanted at most %.2f")
  :format(train, val, mean, LIMIT))
local overfits = twin.rise > run.rise and twin.gap > run.gap
print("dropout 0.1 overfits " .. (overfits and "more" or "no more"))
os.exit(mean <= LIMIT and overfits)
