-- run: reads a run's folder: run.json, metrics.jsonl, and which checkpoints there are. Whatever is missing, cut short
-- or not a number is noted in words; nothing here stops the report.
local evaluations = require("gen.report.evaluations")
local read = require("gen.report.read")
local text = require("gen.report.text")
local thin = require("gen.report.thin")

local run = {}

local MOST_RUN_JSON = 4 << 20
local MOST_METRICS = 1000000000
local MOST_STATUS = 1 << 16
local STEP_POINTS = 300

local function last_part(path)
  return path:match("([^/]+)/*$") or path
end

-- The median; of an even count, the mean of the middle two.
local function median(list)
  if #list == 0 then return nil end
  table.sort(list)
  local half = #list // 2
  return #list % 2 == 1 and list[half + 1] or (list[half] + list[half + 1]) / 2
end

local function read_info(r)
  local info, problem = read.object(r.folder .. "/run.json", MOST_RUN_JSON)
  if not info then
    r:note("run.json %s: settings, parameters and hardware are not known", problem)
    return
  end
  r.words = read.string(info, "words")
  r.config_name, r.backend, r.hash = read.string(info, "config_name"), read.string(info, "backend"),
    read.string(info, "hash")
  r.config, r.run = read.plain(info.config), read.plain(info.run)
  r.title, r.hardware = read.string(info, "title"), read.string(info, "hardware")
  -- After a comma comes the peak, which each run measures again and peak_flops has too.
  r.hardware = r.hardware and r.hardware:match("^[^,]+")
  r.dataset, r.tokenizer = read.string(info, "dataset"), read.string(info, "tokenizer")
  for _, key in ipairs({ "num_params", "num_params_nanogpt", "tokens_per_iter", "plan_bytes", "threads",
    "train_tokens", "val_tokens" }) do
    r[key] = read.whole(info, key)
  end
  r.result = read.plain(info.result) -- of a finished run
  r.flops_per_token, r.peak_flops = read.number(info, "flops_per_token"), read.number(info, "peak_flops")
  r.max_iters = read.whole(r.run, "max_iters")
  r.dataset = r.dataset or read.string(r.run, "dataset")
end

-- A step's line as the trainer writes it, without the JSON parser, which takes four times as long: a run may have a
-- million of them. nil for any other line.
local STEP = '^{"iter":(%d+),"loss":([%d.e+-]+),"lr":[%d.e+-]+,"grad_norm":[%d.e+-]+,"skipped":false,' ..
  '"ms":(%d+%.%d+),"tokens_per_s":%d+,"mfu":([%d.e+nul-]+)}$'
local function parse_step(line)
  local iter, loss, ms, mfu = line:match(STEP)
  iter, loss, ms = math.tointeger(tonumber(iter)), tonumber(loss), tonumber(ms)
  return iter and loss and ms and { iter = iter, loss = loss, ms = ms, mfu = tonumber(mfu) }
end

-- A line of metrics.jsonl as an object with a whole iteration, or nil.
local function parse_line(line)
  local o = parse_step(line)
  if o then return o end
  if line:sub(1, 1) ~= "{" then return nil end
  local object, problem = read.decode(line)
  if problem or type(object) ~= "table" then return nil end
  return read.whole(object, "iter") and object
end

-- Every step's line has the key loss and every evaluation's train_loss, but a null is lost in decoding: so by the text.
local function is_evaluation(line)
  return line:find('"train_loss"', 1, true) or line:find('"val_loss"', 1, true)
end

local function is_hellaswag(line) return line:find('"hellaswag"', 1, true) end

local function read_metrics(r)
  local curve, ms, mfus = thin.new(STEP_POINTS), {}, {}
  local bad, first_bad, nans, first_nan, skipped, seconds = 0, nil, 0, nil, 0, 0
  local last_step, last_evaluation, last_hellaswag = -1, -1, -1
  local function visit(line, number, whole)
    local o = parse_line(line)
    local evaluation, hellaswag = o and is_evaluation(line), o and is_hellaswag(line)
    -- Iterations only rise; a line that goes back is not of this run.
    if o and o.iter <= (evaluation and last_evaluation or hellaswag and last_hellaswag or last_step) then o = nil end
    if not o then
      bad = bad + 1
      first_bad = first_bad or (whole and "line %d of metrics.jsonl is not readable" or
        "metrics.jsonl ends within line %d"):format(number)
      return
    end
    local spent = read.number(o, "ms")
    seconds = seconds + (spent or 0) / 1000
    if evaluation then
      last_evaluation = o.iter
      r.evaluations[#r.evaluations + 1] = { iter = o.iter, train = read.number(o, "train_loss"),
        val = read.number(o, "val_loss"), seconds = seconds > 0 and seconds or nil }
      if not (o.train_loss and o.val_loss) then nans, first_nan = nans + 1, first_nan or o.iter end
      return
    end
    if hellaswag then
      last_hellaswag = o.iter
      r.hellaswag = read.number(o, "hellaswag")
      return
    end
    last_step = o.iter
    r.steps_count = r.steps_count + 1
    local loss = read.number(o, "loss")
    if not loss then nans, first_nan = nans + 1, first_nan or o.iter end
    if o.skipped == true then skipped = skipped + 1 end
    curve:add(o.iter, loss)
    if spent and spent > 0 then ms[#ms + 1] = spent end
    mfus[#mfus + 1] = read.number(o, "mfu")
  end
  local problem = read.lines(r.folder .. "/metrics.jsonl", MOST_METRICS, visit)
  if problem and r.exists then r:note("metrics.jsonl %s", problem) end
  if bad > 0 then
    r:note("%s%s", first_bad, bad > 1 and ("; %d lines in all are ignored"):format(bad) or "; it is ignored")
  end
  if nans > 0 then
    r:note("a loss is not a number, first at iteration %d (%d lines)", first_nan, nans)
  end
  if skipped > 0 then
    r:note("%d steps were skipped because their gradients were not finite", skipped)
  end
  r.has_nan = nans > 0
  r.steps_x, r.steps_y, r.steps_each = curve:points()
  r.last_step, r.last_iter = last_step, math.max(last_step, last_evaluation)
  local spent = r.result and read.whole(r.result, "num_steps", 1) == last_step + 1 -- max_seconds ended it
  r.finished = r.max_iters ~= nil and (last_step >= r.max_iters or spent)
  if seconds > 0 then r.seconds = seconds end -- a log that is kept of a study has none
  r.ms = median(ms)
  r.mfu = median(mfus)
end

-- How a sweep's run ended that did not end well: r.failure, "code 76: the trainer's last line", or r.stopped, or
-- r.halted_at, where halving stopped it.
local function read_status(r)
  local status = r.exists and read.object(r.folder .. "/status.json", MOST_STATUS)
  if not status then return end
  local said = read.string(status, "line")
  if status.status == "failed" then
    r.failure = ("code %d: %s"):format(read.whole(status, "code") or 0, said and said ~= "" and text.line(said) or
      "it said nothing")
    r:note("%s", "failed with " .. r.failure)
  end
  r.stopped = status.status == "stopped"
  r.halted_at = status.status == "halted" and not r.finished and read.whole(status, "at") or nil
  if r.halted_at then r:note("stopped by halving%s", said and ": " .. text.line(said) or "") end
end

-- Best, final, gap: from the evaluations whose losses are numbers.
local function judge(r)
  for _, e in ipairs(r.evaluations) do
    if e.val and (not r.best or e.val < r.best.val) then r.best = e end
  end
  r.final = r.evaluations[#r.evaluations]
  if r.final and r.final.train and r.final.val then r.gap = r.final.val - r.final.train end
  if r.ms and r.tokens_per_iter then
    r.tokens_per_s = r.tokens_per_iter / r.ms * 1000
    if r.flops_per_token and (r.peak_flops or 0) > 0 then
      r.mfu = r.flops_per_token * r.tokens_per_s / r.peak_flops
    end
  end
  if r.failure and not r.finished then
    r.status = r.last_iter < 0 and "failed at its start" or ("failed at %d%s"):format(r.last_iter, r.max_iters and
      " of " .. r.max_iters or "")
  elseif r.halted_at then
    r.status = ("stopped by halving at %d%s"):format(r.halted_at, r.max_iters and " of " .. r.max_iters or "")
  elseif r.last_iter < 0 then
    r.status = "not started"
  elseif r.finished then
    r.status = "finished"
  elseif r.max_iters then
    r.status = ("%s %d of %d"):format(r.stopped and "stopped at" or "at", r.last_iter, r.max_iters)
    r:note("unfinished: at iteration %d of %d", r.last_iter, r.max_iters)
  else
    r.status = ("at %d"):format(r.last_iter)
  end
  if r.last_iter < 0 and r.halted_at then
    r:note("its shorter run holds what was trained")
  elseif r.last_iter < 0 then
    r:note(r.exists and "nothing is measured yet" or "not started: there is no folder %s", r.folder)
  elseif #r.evaluations == 0 then
    r:note("no evaluation yet")
  elseif #r.evaluations == 1 then
    r:note("one evaluation only: there is no curve and no best to speak of")
  end
end

-- The run in a folder; `name` is its name, else the folder's. `max_iters` is its last iteration where run.json has that
-- of a part of it, as halving trains it.
function run.read(folder, name, max_iters)
  folder = folder:gsub("(.)/+$", "%1")
  local r = { folder = folder, name = name or last_part(folder), notes = {}, config = {}, run = {}, evaluations = {},
    steps_count = 0, exists = read.exists(folder) }
  function r:note(format, ...) self.notes[#self.notes + 1] = format:format(...) end
  if r.exists then read_info(r) end
  r.max_iters = max_iters or r.max_iters
  read_metrics(r)
  read_status(r)
  judge(r)
  r.evals = evaluations.of(folder, read.whole(r.config, "block_size"), function(...) r:note(...) end)
  for _, which in ipairs({ "state", "ckpt" }) do
    r["has_" .. which] = read.exists(("%s/%s.safetensors"):format(folder, which))
  end
  return r
end

return run
