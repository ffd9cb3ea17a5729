-- show: what a sweep prints: the plan before, a line while it runs, the table at the end.
local cost = require("gen.sweep.cost")
local file = require("gen.sweep.file")
local files = require("gen.base.files")
local progress = require("gen.sweep.progress")
local results = require("gen.sweep.results")

local show = {}

-- ---- words --------------------------------------------------------------------------------------

function show.count(n)
  local text = ("%d"):format(n):reverse():gsub("(%d%d%d)", "%1,"):reverse():gsub("^,", "")
  return text
end

local function scaled(x, unit)
  local prefixes = { { 1e15, "P" }, { 1e12, "T" }, { 1e9, "G" }, { 1e6, "M" }, { 1e3, "k" } }
  for _, prefix in ipairs(prefixes) do
    if x >= prefix[1] then return ("%.3g %s%s"):format(x / prefix[1], prefix[2], unit) end
  end
  return ("%.3g %s"):format(x, unit)
end

-- Whole numbers up to 999 of a unit; %.3g would write 1e+03.
local function bytes(x)
  local unit = "B"
  for _, next_unit in ipairs({ "kB", "MB", "GB", "TB" }) do
    if x < 1000 then break end
    x, unit = x / 1000, next_unit
  end
  return (x < 10 and "%.1f %s" or "%.0f %s"):format(x, unit)
end

function show.time(seconds)
  if seconds < 9.95 then return ("%.1fs"):format(seconds) end
  local s = math.floor(seconds + 0.5)
  if s < 60 then return s .. "s" end
  if s < 3600 then return ("%dm%02ds"):format(s // 60, s % 60) end
  return ("%dh%02dm"):format(s // 3600, s % 3600 // 60)
end

local function loss(x) return x and ("%.4f"):format(x) or "-" end

-- Prints rows in columns; a header with a leading '>' aligns its column to the right.
local function columns(headers, rows)
  local widths, right = {}, {}
  for i, header in ipairs(headers) do
    right[i] = header:sub(1, 1) == ">"
    headers[i] = header:gsub("^>", "")
    widths[i] = utf8.len(headers[i]) or #headers[i]
    for _, row in ipairs(rows) do widths[i] = math.max(widths[i], utf8.len(row[i]) or #row[i]) end
  end
  local function line(row)
    local cells = {}
    for i, text in ipairs(row) do
      local pad = (" "):rep(widths[i] - (utf8.len(text) or #text))
      cells[i] = right[i] and pad .. text or text .. pad
    end
    return (table.concat(cells, "  "):gsub("%s+$", ""))
  end
  print(line(headers))
  for _, row in ipairs(rows) do print(line(row)) end
end

show.scaled, show.bytes, show.columns = scaled, bytes, columns

-- ---- the plan -----------------------------------------------------------------------------------

local KINDS = { grid = "all combinations", vary = "one setting at a time", random = "random runs",
  runs = "listed runs" }
local MOST_VALUES, MOST_SKIPPED = 8, 8

local function list_factors(p)
  local words = {}
  for i, factor in ipairs(p.sweep.factors) do
    local values, list = {}, factor.values
    for n, value in ipairs(list) do values[n] = file.text(value) end
    words[i] = factor.key .. " " .. (#list <= MOST_VALUES and table.concat(values, "|") or
      ("%d values from %s to %s"):format(#list, values[1], values[#list]))
    if factor.with then words[i] = words[i] .. " with " .. factor.with end
  end
  return table.concat(words, ", ")
end

-- The table's last column: what a run still has to do.
local function standing(run)
  if run.elsewhere then return "elsewhere" end
  if run.finished then return "done" end
  if run.halted then return "stopped: " .. run.halted end
  if run.left_from > run.first then return ("resumes at %s"):format(show.count(run.left_from)) end
  return run.from and "after " .. run.from.name:match("^exp%d+") or ""
end

local function plural(n, one, many) return ("%d %s"):format(n, n == 1 and one or many) end

-- Prints a measured plan: runs have first, flops, left_from, left_flops, finished; p has rate and rate_from.
function show.plan(p, jobs, threads)
  print(("sweep %s: %s around %s: %s"):format(p.sweep.name, KINDS[p.sweep.kind], p.sweep.base_path, list_factors(p)))
  local set = {}
  for i, item in ipairs(p.sweep.set) do set[i] = item.key .. "=" .. file.text(item.value) end
  if #set > 0 then print("set for all: " .. table.concat(set, " ")) end
  if #p.seeds > 1 then print("seeds: " .. table.concat(p.seeds, ", ")) end
  print("")
  local rows = {}
  for i, run in ipairs(p.runs) do
    rows[i] = { run.name, tostring(run.shape.index), show.count(run.shape.params), show.count(run.config.max_iters),
      show.count(run.first), scaled(run.flops, "FLOP"), p.rate and show.time(run.flops / (p.rate / jobs)) or "-",
      bytes(run.shape.plan_bytes), standing(run) }
  end
  columns({ "run", ">shape", ">parameters", ">max_iters", ">from", ">work", ">time", ">memory", "" }, rows)
  print("")
  local read_twice = #p.runs - p.trainings
  print(("runs: %d; distinct shapes to compile: %d; trainings: %d%s"):format(#p.runs, #p.shapes, p.trainings,
    read_twice > 0 and (" (%s of a longer one: trained once, read twice)"):format(
      plural(read_twice, "run is the beginning", "runs are beginnings")) or ""))
  for i, item in ipairs(p.skipped) do
    if i <= MOST_SKIPPED then print(("skipped: %s: %s"):format(item.name, item.why)) end
  end
  if #p.skipped > MOST_SKIPPED then print(("skipped: %d more"):format(#p.skipped - MOST_SKIPPED)) end
  if p.shard then
    local shapes, trainings, count = {}, {}, { 0, 0 }
    for _, run in ipairs(p.own) do
      if not shapes[run.shape] then shapes[run.shape], count[1] = true, count[1] + 1 end
      if not trainings[run.training] then trainings[run.training], count[2] = true, count[2] + 1 end
    end
    print(("shard %d/%d: %s, %s, %s; all else is of other machines"):format(p.shard.index, p.shard.count,
      plural(#p.own, "run", "runs"), plural(count[2], "training", "trainings"), plural(count[1], "shape", "shapes")))
  end
  if p.done_elsewhere then
    print(("finished elsewhere, and not trained here: %s"):format(plural(p.done_elsewhere, "run", "runs")))
  end
  if p.halving then
    local words = {}
    for i, at in ipairs(p.halving.rungs) do words[i] = show.count(at) end
    print(("halving: of the trainings the better %s goes on at %s"):format(file.text(p.halving.keep),
      table.concat(words, ", ")))
  end
  if p.finished > 0 then print(("done already: %d of %d runs"):format(p.finished, #p.own)) end
  print(("work: %s%s"):format(scaled(p.left_flops, "FLOP"), p.left_flops < p.flops and
    (" of %s are left"):format(scaled(p.flops, "FLOP")) or ""))
  if p.finished < #p.own then
    local budgets = 0
    for _, run in ipairs(p.own) do if run.config.max_seconds > 0 then budgets = budgets + 1 end end
    if budgets > 0 then
      print(("budgets: max_seconds ends %d of %d runs, by seconds of this machine, which runs at the same time share")
        :format(budgets, #p.own))
    end
    print(("time: %s, %s at a time with %s each, %s"):format(p.rate and "about " .. show.time(p.left_seconds) or
      "not known before something was trained", plural(jobs, "run", "runs"), plural(threads, "thread", "threads"),
      p.rate and ("at %s (%s)"):format(scaled(p.rate, "FLOP/s"), p.rate_from) or "no figure of this device"))
  end
  local available = p.backend == "cpu" and cost.memory_available() or nil
  print(("memory: %s for %s%s"):format(bytes(p.memory), plural(math.min(jobs, #p.own), "run", "runs"), available and
    (" at a time, of %s available%s"):format(bytes(available), p.memory > available and
    "; that is not enough: take a smaller JOBS" or "") or ""))
  local free = cost.disk_available()
  print(("disk: %s of checkpoints%s"):format(bytes(p.disk), free and (", of %s free%s"):format(bytes(free),
    p.disk > free and "; that may not be enough" or "") or ""))
  print("baseline: " .. p.baseline.name)
end

-- ---- while it runs ------------------------------------------------------------------------------

-- "12 of 32 done, best 4.7123 at 900 by exp03-…, 1h20m to go"
local function summary(plan_json)
  local t = progress.totals(plan_json)
  local words = { ("%d of %d runs done"):format(t.done, t.count) }
  if t.failed > 0 then words[#words + 1] = t.failed .. " failed" end
  if t.best then
    words[#words + 1] = ("best so far %s at %s, %s"):format(loss(t.best.val), show.count(t.best.iter), t.best.name)
  end
  if t.left and t.flops_left > 0 then words[#words + 1] = show.time(t.left) .. " to go" end
  return table.concat(words, "; ")
end

local clear = os.getenv("SWEEP_LIVE") == "1" and "\r\27[K" or ""

function show.line(text) print(clear .. text) end

-- A run has ended.
function show.finish(plan_json, run, status)
  local m = results.metrics(run.folder)
  local how = status.status
  if how == "done" then
    how = ("val %s, best %s at %s, %s"):format(loss((m.evaluations[#m.evaluations] or {}).val), loss(m.best and
      m.best.val), m.best and show.count(m.best.iter) or "-", show.time(m.seconds))
  elseif how == "failed" then
    how = ("failed with code %d: %s"):format(status.code, status.line or "its log is empty")
  else
    how = ("stopped before iteration %s"):format(show.count(m.iters))
  end
  print(("%s%s: %s\n  %s"):format(clear, run.name, how, summary(plan_json)))
end

-- The line that a terminal shows while the sweep runs: at most its width, so that the next one replaces it. `since` is
-- when the sweep was started.
function show.progress(plan_json, folder, since)
  local t, now, path = progress.totals(plan_json), os.time(), folder .. "/progress.txt"
  local marks, rate = progress.recent(files.read(path), now, t.flops)
  files.write(path, marks)
  local parts = { ("%d of %d done"):format(t.done, t.count) }
  if t.halted > 0 then parts[1] = ("%s, %d stopped"):format(parts[1], t.halted) end
  if t.failed > 0 then parts[#parts + 1] = t.failed .. " failed" end
  local left = rate and t.flops_left / rate or t.left
  if left and t.flops_left > 0 then parts[#parts + 1] = show.time(left) .. " to go" end
  if since then parts[#parts + 1] = show.time(now - since) .. " so far" end
  if #t.running > 0 then parts[#parts + 1] = table.concat(t.running, ", ") end
  if t.best then parts[#parts + 1] = ("best %s, %s"):format(loss(t.best.val), t.best.short) end
  if t.compiling then parts[#parts + 1] = "compiling" end
  io.stdout:write(clear, progress.fit(parts, progress.columns()))
  io.stdout:flush()
end

-- ---- the end ------------------------------------------------------------------------------------

-- Why a run has no status: the build or the run that it waited for.
local function reason(plan_json, run, by_name)
  local output = results.does_not_build(plan_json, run)
  if output then return "does not build: see " .. output end
  local before = run.continues and by_name[run.continues]
  local status = before and results.status(before.folder)
  if status and status.status == "failed" then return ("continues %s, which failed"):format(before.name) end
end

-- Prints the table, best validation loss first, then what failed. Returns the exit code.
function show.table(plan_json, was_stopped)
  local rows, failures, unfinished, by_name, code, halted = {}, {}, {}, {}, 0, 0
  for _, run in ipairs(plan_json.runs) do by_name[run.name] = run end
  local list, own = {}, progress.own(plan_json)
  for i, run in ipairs(own) do
    list[i] = { run = run, index = i, m = results.metrics(run.folder), status = results.status(run.folder) }
  end
  table.sort(list, function(a, b)
    local x, y = a.m.best and a.m.best.val or math.huge, b.m.best and b.m.best.val or math.huge
    if x ~= y then return x < y end
    return a.index < b.index
  end)
  for rank, item in ipairs(list) do
    local run, m = item.run, item.m
    local last = m.evaluations[#m.evaluations] or {}
    local how = item.status and item.status.status or "unfinished"
    if how == "halted" then
      how, halted = "stopped: " .. (item.status.line or "by halving"), halted + 1
    elseif how ~= "done" then
      local why = item.status and item.status.status == "failed" and ("code %d: %s"):format(item.status.code,
        item.status.line or "its log is empty") or not item.status and reason(plan_json, run, by_name)
      if why then
        how = "failed"
        failures[#failures + 1] = { item.index, ("failed: %s: %s"):format(run.name, why) }
        if code == 0 then code = item.status and item.status.code or 70 end
      else
        unfinished[#unfinished + 1] = run.name
      end
    end
    local row = { tostring(rank), run.name }
    for _, factor in ipairs(plan_json.factors) do row[#row + 1] = file.text(run.settings[factor.key]) end
    for _, cell in ipairs({ show.count(run.params), loss(m.best and m.best.val),
      m.best and show.count(m.best.iter) or "-", loss(last.train), loss(last.val), show.time(m.seconds),
      how == "done" and "" or how }) do
      row[#row + 1] = cell
    end
    rows[rank] = row
  end
  local headers = { ">", "run" }
  for _, factor in ipairs(plan_json.factors) do headers[#headers + 1] = ">" .. factor.key end
  for _, header in ipairs({ ">parameters", ">best val", ">at", ">final train", ">final val", ">time", "" }) do
    headers[#headers + 1] = header
  end
  io.stdout:write(clear, "\n")
  columns(headers, rows)
  print("")
  table.sort(failures, function(a, b) return a[1] < b[1] end)
  for _, failure in ipairs(failures) do print(failure[2]) end
  local done = #own - #failures - #unfinished - halted
  local folder = "out/sweeps/" .. plan_json.sweep
  if #unfinished > 0 then
    print(("%s: %d of %d runs are done; the same command resumes what is left"):format(
      was_stopped and "stopped" or "ended", done, #own))
    return 75
  end
  print(("%d of %d runs%s are done%s%s; runs in %s"):format(done, #own,
    plan_json.shard and " of shard " .. plan_json.shard or "", halted > 0 and
    (", %d stopped by halving"):format(halted) or "", #failures > 0 and
    (", %d failed, and the same command tries them again"):format(#failures) or "", folder))
  if halted > 0 then
    print(("a run that was stopped goes on with: make sweep SWEEP=%s CONTINUE=exp01"):format(plan_json.sweep))
  end
  if #failures == 0 and plan_json.shard then
    print(("next: copy %s of each machine here, and make report RUNS=\"COPY1 COPY2\""):format(folder))
  elseif #failures == 0 then print(("next: make report SWEEP=%s"):format(plan_json.sweep)) end
  return code
end

return show
