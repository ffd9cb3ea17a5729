-- halving: which trainings of a sweep go on. All train to the first rung, an iteration with an evaluation; those with
-- the lower validation loss go on to the next, and so on; each goes on exactly as if nothing had been stopped. The
-- decisions follow from the evaluations alone, so that a start of the sweep finds the same ones again.
--
-- A training is a run and those that are the beginning of it: they are one, and stopped as one.
local dkjson = require("dkjson")
local files = require("gen.base.files")
local results = require("gen.sweep.results")
local stated = require("gen.sweep.stated")

local halving = {}

local FIELDS = { first = true, keep = true, by = true }
local MOST_ITERS = 1000000000

-- ---- what a sweep's file says -------------------------------------------------------------------

-- halving = { first = 250, keep = 1/2, by = "val" }, checked.
function halving.check(path, fields)
  for _, name in ipairs(stated.names(fields)) do
    if not FIELDS[name] then stated.fail(path, "halving: unknown field '%s'; there are: first, keep, by", name) end
  end
  local keep, by = fields.keep or 0.5, fields.by or "val"
  local first = stated.whole(path, "halving: first", fields.first, nil, 1, MOST_ITERS)
  if type(keep) ~= "number" or not (keep > 0 and keep < 1) then
    stated.fail(path, "halving: keep = %s; wanted the part that goes on, above 0 and below 1, as 1/2", tostring(keep))
  end
  if by ~= "val" then stated.fail(path, "halving: by = %s; wanted \"val\", the validation loss", tostring(by)) end
  return { first = first, keep = keep, by = by }
end

-- The iterations below `most` at which it is decided: each is 1/keep times as far, rounded up to a multiple of the
-- first.
function halving.rungs(h, most)
  local list, at = {}, h.first
  while at < most do
    list[#list + 1] = at
    at = math.max(at + h.first, math.ceil(at / h.keep / h.first - 1e-9) * h.first)
  end
  return list
end

-- Fails unless every run is evaluated at the rungs, and ends by its iterations.
function halving.check_runs(sweep, runs)
  local h, most = sweep.halving, 0
  for _, run in ipairs(runs) do
    local c = run.config
    most = math.max(most, c.max_iters)
    if h.first % c.eval_interval ~= 0 then
      stated.fail(sweep.path, "halving: %s has no evaluation at first = %d; wanted a multiple of its eval_interval, %d",
        run.name, h.first, c.eval_interval)
    end
    if c.max_seconds > 0 then
      stated.fail(sweep.path, "halving: %s has max_seconds; wanted runs that end by max_iters alone", run.name)
    end
  end
  if h.first >= most then
    stated.fail(sweep.path, "halving: first = %d is not before the end of any run, at most %d", h.first, most)
  end
end

-- ---- the decisions ------------------------------------------------------------------------------

-- Replays the decisions. trainings: { last (its last iteration), group (only losses of a group are compared), at =
-- { [iteration] = loss }, out (it will not get further) }. Sets for those that are stopped t.stopped = { at, place, of,
-- kept }. Returns how many rungs are decided, and the trainings that the next one waits for.
function halving.replay(trainings, rungs, keep)
  for _, t in ipairs(trainings) do t.stopped = nil end
  for k, at in ipairs(rungs) do
    local groups, order, waiting = {}, {}, {}
    for i, t in ipairs(trainings) do
      if not t.stopped and t.last > at then
        if not groups[t.group] then groups[t.group], order[#order + 1] = {}, t.group end
        table.insert(groups[t.group], { t = t, index = i, loss = t.at[at] or math.huge })
        if not t.at[at] and not t.out then waiting[#waiting + 1] = t end
      end
    end
    if #waiting > 0 then return k - 1, waiting end
    for _, name in ipairs(order) do
      local list = groups[name]
      table.sort(list, function(a, b)
        if a.loss ~= b.loss then return a.loss < b.loss end
        return a.index < b.index
      end)
      local kept = math.max(1, math.ceil(keep * #list - 1e-9))
      for place = kept + 1, #list do
        list[place].t.stopped = { at = at, place = place, of = #list, kept = kept, loss = list[place].loss }
      end
    end
  end
  return #rungs, {}
end

-- The trainings of a plan's runs, as they stand. Runs have name, folder, training, max_iters, data, build. `ended`:
-- what has failed will not be tried again.
function halving.trainings(plan_json, ended)
  local list, by_number = {}, {}
  for _, run in ipairs(plan_json.runs) do
    local t = by_number[run.training] or { runs = {}, at = {}, last = 0, group = run.data }
    if not by_number[run.training] then list[#list + 1], by_number[run.training] = t, t end
    table.insert(t.runs, run)
    t.last = math.max(t.last, run.max_iters)
    for _, e in ipairs(results.metrics(run.folder).evaluations) do t.at[e.iter] = e.val or math.huge end
    local status = results.status(run.folder)
    t.out = t.out or ended and (status and status.status == "failed" or results.does_not_build(plan_json, run))
  end
  return list
end

local function line_of(s)
  return ("%s at %d is number %d of %d, of which %d went on"):format(
    s.loss < math.huge and ("val %.4f"):format(s.loss) or "what it has", s.at, s.place, s.of, s.kept)
end

-- Decides what can be decided, and sets run.halted, a line, for the runs that are stopped: those that go further than
-- where their training is stopped, unless they are continued by hand or done. Returns what replay does.
function halving.decide(plan_json, ended)
  local h, trainings = plan_json.halving, halving.trainings(plan_json, ended)
  local decided, waiting = halving.replay(trainings, h.rungs, h.keep)
  for _, t in ipairs(trainings) do
    for _, run in ipairs(t.runs) do
      local stops = t.stopped and run.max_iters > t.stopped.at and not run.by_hand and not results.is_done(run.folder)
      run.halted, run.halted_at = stops and line_of(t.stopped) or nil, stops and t.stopped.at or nil
    end
  end
  return decided, waiting, trainings
end

-- The same, and writes it into the runs' status.json.
function halving.settle(plan_json, ended)
  local decided, waiting, trainings = halving.decide(plan_json, ended)
  for _, run in ipairs(plan_json.runs) do
    local path, status = run.folder .. "/status.json", results.status(run.folder)
    if run.halted then
      files.write(path, dkjson.encode({ status = "halted", code = 0, at = run.halted_at, line = run.halted },
        { keyorder = { "status", "code", "at", "line" } }) .. "\n")
    elseif status and status.status == "halted" then
      os.remove(path)
    end
  end
  return decided, waiting, trainings
end

-- What a rung has decided, in words.
function halving.said(trainings, at)
  local on, off = 0, 0
  for _, t in ipairs(trainings) do
    if t.last > at and not (t.stopped and t.stopped.at < at) then
      if t.stopped and t.stopped.at == at then off = off + 1 else on = on + 1 end
    end
  end
  return ("halving at %d: %d of %d trainings go on"):format(at, on, on + off)
end

return halving
