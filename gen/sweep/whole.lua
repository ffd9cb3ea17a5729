-- whole: checks that a run's files are complete, as its trainer wrote them, and hashes the data that it was trained on.
--
-- "done" in status.json says that a trainer ended well, not what became of its files since. A report reads them and
-- a longer run continues from them, so a run without them is trained from scratch.
local files = require("gen.base.files")
local results = require("gen.sweep.results")

local whole = {}

local built

-- The line that build/check prints, with `problems` the one about what is wrong; nil if build/check cannot be built.
local function ask(words, problems)
  if built == nil then
    built = os.execute("make --no-print-directory build/check >/dev/null 2>&1") ~= nil
  end
  if not built then return nil end
  local pipe = io.popen("build/check " .. words .. (problems and " 2>&1 >/dev/null" or " 2>/dev/null"), "r")
  local line = pipe:read("l")
  pipe:close()
  return line
end

local hashes = {}

-- The hash of the tokens in a folder, or nil where there are none that a trainer would take.
function whole.data_hash(folder)
  if hashes[folder] == nil then hashes[folder] = ask("--data=" .. files.quoted(folder)) or false end
  return hashes[folder] or nil
end

-- Forgets the hashes, if the data may have changed meanwhile.
function whole.forget() hashes = {} end

-- Whether a trainer has saved its best weights, by nanoGPT's rule.
local function has_best(m, always)
  local best = math.huge
  for _, e in ipairs(m.evaluations) do
    if e.val and (always or e.val < best) then
      best = e.val
      if e.iter > 0 then return true end
    end
  end
  return false
end

-- How many steps a run that ended well has, and how many evaluations: where a budget of time ended it, as many steps as
-- its run.json says, or those of its log if a kill came before that was written, and one evaluation more.
local function expected(folder, run, m)
  local steps, most = nil, run.max_iters + 1
  if (run.max_seconds or 0) > 0 then steps = results.num_steps(folder) or m.steps end
  if not steps or steps < 1 or steps >= most then return most, run.max_iters // run.eval_interval + 1 end
  return steps, (steps - 1) // run.eval_interval + 2
end

-- What is wrong with the files of a run that ended well, in words, or nil. `run` is what it computes.
function whole.damage(folder, run)
  local there = math.type(run.max_iters) == "integer" and math.type(run.eval_interval) == "integer" and
    run.eval_interval > 0 and type(run.max_seconds or 0) == "number"
  if not there then return "resolved.json does not say how long the run is" end
  local m = results.metrics(folder)
  local steps, evaluations = expected(folder, run, m)
  if m.steps ~= steps then
    return ("metrics.jsonl has %d steps of %d"):format(m.steps, steps)
  end
  if #m.evaluations ~= evaluations then
    return ("metrics.jsonl has %d evaluations of %d"):format(#m.evaluations, evaluations)
  end
  local words = files.quoted(folder .. "/state.safetensors")
  if has_best(m, run.always_save_checkpoint) then
    words = words .. " " .. files.quoted(folder .. "/ckpt.safetensors")
  end
  local line = ask(words, true)
  return line and line:gsub("^.*/([^/]*: )", "%1")
end

return whole
