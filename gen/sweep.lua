-- sweep: the planner behind `make sweep` (gen/sweep/run.sh), and the commands that its steps call.
--
--   lua5.4 gen/sweep.lua --plan SWEEP [--jobs N] [--backend cpu] [--continue RUNS] [--shard 2/4] [--done FOLDERS]
--                     [--dry]                                             prints the plan; writes it, unless dry
--   lua5.4 gen/sweep.lua --finish RUN --code N --folder out/sweeps/SWEEP   records that a run has ended; says how
--   lua5.4 gen/sweep.lua --rung K --folder out/sweeps/SWEEP                decides which trainings go on; says so
--   lua5.4 gen/sweep.lua --watch PROCESS --folder out/sweeps/SWEEP         keeps the sweep's page fresh until that ends
--   lua5.4 gen/sweep.lua --progress --folder out/sweeps/SWEEP [--since T]  a line for a terminal
--   lua5.4 gen/sweep.lua --table --folder out/sweeps/SWEEP [--stopped]     the table at the end
--
-- In out/sweeps/SWEEP: plan.json (all runs, for the report too), sweep.mk (what is left, for make), prompt.txt,
-- builds/ (the output of each compilation), and a folder for each run:
--   resolved.json   what it computes: all keys that change results
--   status.json     how it ended: done, failed, stopped, halted (by halving); missing until it ends
--   log.txt         what its trainer printed; metrics.jsonl, ckpt.safetensors, state.safetensors as of any run
--   sample-final.txt, sample-best.txt
package.path = "./?.lua;" .. package.path
local argparse = require("argparse")
local dkjson = require("dkjson")
local command = require("gen.base.command")
local cost = require("gen.sweep.cost")
local elsewhere = require("gen.sweep.elsewhere")
local file = require("gen.sweep.file")
local files = require("gen.base.files")
local halving = require("gen.sweep.halving")
local folders = require("gen.sweep.folders")
local plan = require("gen.sweep.plan")
local results = require("gen.sweep.results")
local shard = require("gen.sweep.shard")
local show = require("gen.sweep.show")
local watch = require("gen.sweep.watch")
local write = require("gen.sweep.write")

local MOST_JOBS = 256

local function fail(code, message)
  error({ code = code, message = message }, 0)
end

-- ---- the plan -----------------------------------------------------------------------------------

local function read_jobs(text, backend)
  if not text then return backend == "cpu" and math.min(2, cost.cores()) or 1 end
  local jobs = text:find("^%d+$") and tonumber(text)
  if not jobs or jobs < 1 or jobs > MOST_JOBS then
    fail(64, ("JOBS=%s: wanted how many runs train at a time, from 1 to %d"):format(text, MOST_JOBS))
  end
  return jobs
end

-- Makes the data sets that are missing, as `make train` does.
local function prepare_data(p)
  local seen = {}
  for _, run in ipairs(p.runs) do
    local c = run.config
    local words = files.quoted(c.dataset) .. " " .. files.quoted(c.data_dir)
    if not seen[words] then
      seen[words] = true
      local _, _, code = os.execute("make --no-print-directory build/prepare && data/prepare.sh --if-missing " .. words)
      if code ~= 0 then fail(code or 70, ("%s: its data set %s is not there"):format(p.sweep.path, c.dataset)) end
    end
  end
end

-- The runs that halving has stopped are run.halted, a line; p.halving = { first, keep, by, rungs }.
local function halve(p)
  if not p.sweep.halving then return end
  local most, runs = 0, {}
  for i, run in ipairs(p.runs) do
    most = math.max(most, run.config.max_iters)
    runs[i] = { folder = run.has and run.has.folder or run.folder, training = run.training, data = run.config.dataset,
      max_iters = run.config.max_iters, by_hand = run.by_hand }
  end
  local h = p.sweep.halving
  p.halving = { first = h.first, keep = h.keep, by = h.by, rungs = halving.rungs(h, most) }
  halving.decide({ halving = p.halving, runs = runs })
  for i, run in ipairs(p.runs) do run.halted = runs[i].halted end
end

-- FLOP of a run's iterations from `from` on: where halving has not decided, the part of them that is expected.
local function expected_flops(p, run, from, last)
  if run.halted then return 0 end
  if not p.halving or run.by_hand then return cost.flops(run, from, last) end
  local share, flops, begin = 1, 0, from
  for _, at in ipairs(p.halving.rungs) do
    if at >= from and at < last then
      flops = flops + share * cost.flops(run, begin, at)
      begin, share = at + 1, share * p.halving.keep
    elseif at < from and run.from and at <= run.from.config.max_iters and from == run.first then
      share = share * p.halving.keep -- its beginning is still to be trained
    end
  end
  return flops + share * cost.flops(run, begin, last)
end

-- The runs that are continued although halving has stopped them, and those that they continue themselves.
local function by_hand(p, text)
  for wanted in (text or ""):gmatch("%S+") do
    local found = false
    for _, run in ipairs(p.runs) do
      if run.name == wanted or run.name:match("^exp%d+") == wanted then
        found = true
        while run do run, run.by_hand = run.from, true end
      end
    end
    if not found then fail(64, ("CONTINUE=%s: no run of %s is called that"):format(wanted, p.sweep.name)) end
  end
  if text and not p.sweep.halving then
    fail(64, ("CONTINUE: %s has no halving: all its runs go on"):format(p.sweep.path))
  end
end

-- What the sweep costs, and how much of that is left.
local function measure(p, jobs, done_in)
  for _, shape in ipairs(p.shapes) do cost.measure_shape(shape) end
  if p.shard then shard.divide(p, p.shard) end
  p.done_elsewhere = done_in and elsewhere.mark(p, done_in)
  local ok, before = pcall(dkjson.decode, files.read(p.folder .. "/plan.json") or "")
  p.jobs_before = ok and type(before) == "table" and tonumber(before.jobs) or nil
  p.flops, p.left_flops, p.finished, p.disk = 0, 0, 0, 0
  p.rate, p.rate_from = cost.rate(p, jobs)
  local left, builds = {}, {}
  for _, run in ipairs(p.runs) do
    local last = cost.last(run, p.rate and p.rate / jobs)
    run.last = last
    run.first = run.from and run.from.config.max_iters + 1 or 0
    run.flops, run.whole_flops = cost.flops(run, run.first, last), cost.flops(run, 0, last)
    local there = run.has and run.has.folder
    run.finished = there ~= nil and not run.grown and results.is_done(there)
    run.left_from = math.max(run.first, there and results.metrics(there).iters or 0)
    if not run.elsewhere then
      p.flops = p.flops + run.flops
      p.disk = p.disk + run.shape.disk_bytes
    end
    if run.elsewhere then
      run.finished = false
    elseif run.finished then
      p.finished = p.finished + 1
    elseif not run.halted then
      p.left_flops = p.left_flops + expected_flops(p, run, run.left_from, last)
      left[#left + 1], builds[run.shape] = run, true
    end
  end
  local shapes = 0
  for _ in pairs(builds) do shapes = shapes + 1 end
  p.own = {}
  for _, run in ipairs(p.runs) do if not run.elsewhere then p.own[#p.own + 1] = run end end
  p.memory = cost.memory(#left > 0 and left or p.own, jobs)
  p.left_seconds = p.rate and cost.seconds(p.left_flops, #left, shapes, p.rate, jobs)
end

local function make_plan(args)
  local backend = args.backend
  local jobs = read_jobs(args.jobs, backend)
  local threads = math.max(1, cost.cores() // jobs)
  local sweep = file.read(args.plan)
  -- First without the data sets, so that errors come before anything is made.
  local p = plan.make(sweep, { backend = backend, stand_in = true })
  if not args.dry then prepare_data(p) end
  p = plan.make(sweep, { backend = backend })
  p.shard = args.shard and shard.read(args.shard)
  by_hand(p, args.continue)
  local changed, others = folders.match(p)
  halve(p)
  measure(p, jobs, args.done)
  show.plan(p, jobs, threads)
  for _, item in ipairs(changed) do
    if args.dry then
      print(("%s: %s (%s): to be trained from scratch"):format(item.run.name, item.damaged and "not whole" or "changed",
        item.difference))
    end
  end
  if #others > 0 then
    local list = {}
    for i, entry in ipairs(others) do list[i] = entry.name end
    print("no longer in the sweep, left as they are: " .. table.concat(list, ", "))
  end
  if args.dry then return end
  print("")
  folders.arrange(p, changed, print)
  write.all(p, jobs, threads)
end

-- ---- the steps' commands --------------------------------------------------------------------------

-- A trainer that finds another run in its folder advises flags of the trainer, which a sweep does not take.
local function advised(line, folder)
  local found = line:match("^(.*); %-%-init_from=resume resumes it all the same")
  return found and ("%s; move %s away, and the same command trains it from scratch"):format(found, folder) or line
end

local function finish(args)
  local p, code, run = write.read_plan(args.folder), tonumber(args.code), nil
  for _, candidate in ipairs(p.runs) do
    if candidate.name == args.finish then run = candidate end
  end
  if not run or not code then fail(64, "gen/sweep.lua: --finish wants a run of the plan, and --code") end
  local status = { status = code == 0 and "done" or code == 75 and "stopped" or "failed", code = code }
  if status.status == "failed" then
    local line = (results.last_line(run.folder .. "/log.txt") or ""):gsub("[%c\127]", "?")
    status.line = advised(line, run.folder)
  end
  files.write(run.folder .. "/status.json", dkjson.encode(status, { keyorder = { "status", "code", "line" } }) .. "\n")
  show.finish(p, run, status)
end

-- Decides at a rung, once all runs that go on have reached it or failed.
local function decide(args)
  local p, k = write.read_plan(args.folder), tonumber(args.rung)
  local at = p.halving and p.halving.rungs[k]
  if not at then fail(64, "gen/sweep.lua: --rung wants a rung of a sweep with halving") end
  local decided, waiting, trainings = halving.settle(p, true)
  if decided < k then
    fail(75, ("halving at %d waits for %s"):format(at, waiting[1] and waiting[1].runs[1].name or "an earlier rung"))
  end
  show.line(halving.said(trainings, at))
end

local function main()
  local parser = argparse("gen/sweep.lua", "Plans the runs of a sweep, and says how they stand.")
  parser:option("--plan", "the sweep: a name in configs/sweeps, or the path of a .lua file")
  parser:option("--jobs", "runs that train at a time")
  parser:option("--backend", "cpu or cuda", "cpu")
  parser:flag("--dry", "print the plan and stop")
  parser:option("--folder", "out/sweeps/SWEEP")
  parser:option("--continue", "runs that go on although halving has stopped them, as \"exp03 exp07\"")
  parser:option("--shard", "which part of how many, as 2/4")
  parser:option("--done", "folders of the sweep that have finished runs, as \"copy1 copy2\"")
  parser:option("--rung", "the rung of halving that is to be decided")
  parser:option("--finish", "the run that has ended")
  parser:option("--code", "its exit code")
  parser:option("--watch", "keep the sweep's page fresh until the process with this ID ends"):convert(tonumber)
  parser:flag("--progress", "print how far all runs are")
  parser:option("--since", "with --progress: when the sweep was started, in seconds of date +%s")
  parser:flag("--table", "print the table at the end")
  parser:flag("--stopped", "with --table: a stop was asked for")
  local args = command.arguments("gen/sweep.lua", parser)
  if args.plan then
    make_plan(args)
  elseif args.finish then
    finish(args)
  elseif args.rung then
    decide(args)
  elseif args.watch then
    watch.run(write.read_plan(args.folder), args.watch, show.line)
  elseif args.progress then
    show.progress(write.read_plan(args.folder), args.folder, tonumber(args.since))
  elseif args.table then
    os.exit(show.table(write.read_plan(args.folder), args.stopped))
  else
    fail(64, "gen/sweep.lua: wanted --plan, --finish, --rung, --watch, --progress or --table")
  end
end

command.run(main)
