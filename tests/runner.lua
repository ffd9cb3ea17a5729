-- runner: runs commands, several at a time, and adds up what they report.
--
-- A command is a table:
--     title     printed on its line
--     command   for the shell
--     shares    names of what both it and others write. Two commands with a name in common never run at the same
--               time. One without this list runs alone: after all before it, and before all after it.
-- They start in the order of the list, except that later ones that share nothing with a waiting command may start
-- before it. So commands that share a name run in order. Their lines are printed as they end.
--
-- A command's tests are counted from the last line that it prints of the form
--     … N passed, N failed, N skipped
--     NN%: Checks: N, Failures: N, Errors: N          (Check)
-- and without such a line it is one test. Exit code 0 is passed, 77 skipped. Warnings of an untried compiler, which
-- tests/strict.sh writes to the file that DIECAST_WARNINGS names, are shown and count as one skipped test.
local files = require "gen.base.files"

local runner = {}

local seconds_allowed = 2400 -- for one command, beside another one on a busy machine
local tail_lines = 30        -- of a failing command's output
local environment = table.concat({
  "JOBS=", -- is for the runner, not for the tests
  -- gcc 13.2 misaligns 64-byte vectors on the stack that this check of ASan's moves (GCC bug 110027).
  "ASAN_OPTIONS=detect_stack_use_after_return=0",
}, " ")

local function clash(a, b)
  if not a.shares or not b.shares then return true end
  for _, name in ipairs(a.shares) do
    for _, other in ipairs(b.shares) do
      if name == other then return true end
    end
  end
  return false
end

-- Counts from a command's output: the last report that it printed.
local function report(output)
  local passed, failed, skipped
  for line in output:gmatch("[^\n]+") do
    local p, f, s = line:match("(%d+) passed, (%d+) failed, (%d+) skipped$")
    if p then passed, failed, skipped = tonumber(p), tonumber(f), tonumber(s) end
    local checks, failures, errors =
      line:match("^%d+%%: Checks: (%d+), Failures: (%d+), Errors: (%d+)")
    if checks then
      failed = failures + errors
      passed, skipped = checks - failed, 0
    end
  end
  return passed, failed, skipped
end

local function last_line(output)
  return output:match("([^\n]+)\n*$") or ""
end

-- The line for a command that a signal killed, or nil: the shell's own line about it is not always in the output.
local function signal(code)
  return code > 128 and code < 160 and ("killed by signal %d"):format(code - 128) or nil
end

local function say_tail(text, say)
  local lines = {}
  for line in text:gmatch("[^\n]*") do lines[#lines + 1] = line end
  for i = math.max(1, #lines - tail_lines), #lines do say("    " .. lines[i]) end
end

-- Prints a line about a command that has ended, and more if it failed or warned; returns its counts.
local function judge(item, output, warnings, code, seconds, say)
  local passed, failed, skipped = report(output)
  if not passed and (code == 77 or code == 0 and warnings ~= "") then
    passed, failed, skipped = 0, 0, 1
  elseif not passed then
    passed, failed, skipped = code == 0 and 1 or 0, code == 0 and 0 or 1, 0
  elseif code ~= 0 and failed == 0 then
    failed = 1 -- it ended badly after, or beside, what it counted
  elseif warnings ~= "" then
    skipped = skipped + 1
  end
  say(("%-8s%3d s  %s: %s"):format(failed > 0 and "FAILED" or skipped > 0 and passed == 0 and "skipped"
    or "ok", seconds, item.title, signal(code) or last_line(output)))
  if warnings ~= "" then say_tail(warnings, say) end
  if failed > 0 then
    say("    " .. item.command)
    say_tail(output, say)
    if code == 124 or code == 137 then
      say(("    stopped after %d s"):format(seconds_allowed))
    end
  end
  return passed, failed, skipped
end

-- The index in `waiting` of the first command that may start: it shares nothing with one that runs or waits before it.
local function first_free(waiting, running)
  for i, item in ipairs(waiting) do
    local free = true
    for _, other in pairs(running) do free = free and not clash(item, other.item) end
    for before = 1, i - 1 do free = free and not clash(item, waiting[before]) end
    if free then return i end
  end
end

-- Runs the commands, at most `jobs` at a time; say(text) gets the lines. Returns the totals: passed, failed, skipped.
function runner.run(commands, jobs, say)
  local folder = io.popen("mktemp -d"):read("l")
  -- Each command writes its number here when it ends. Opened for reading and writing, so that a read waits while nobody
  -- writes.
  local bell = folder .. "/bell"
  assert(os.execute("mkfifo " .. bell))
  local ended = assert(io.open(bell, "r+"))
  local waiting, running = { table.unpack(commands) }, {} -- running: by number
  local started, under_way = 0, 0
  local total = { passed = 0, failed = 0, skipped = 0 }

  local function start(item)
    started = started + 1
    under_way = under_way + 1
    local log = ("%s/%d"):format(folder, started)
    local warnings = log .. ".warnings"
    -- timeout has its own process group, which a Ctrl-C does not reach.
    local script = ("exec >%s 2>&1 </dev/null; DIECAST_WARNINGS=%s %s timeout -k 10 %d sh -c %s & " ..
      "trap \"kill $!\" INT; wait $!; code=$?; echo %d >%s; exit $code"):format(log, warnings, environment,
      seconds_allowed, files.quoted(item.command), started, bell)
    running[started] = { item = item, log = log, warnings = warnings, process = assert(io.popen(script)),
      began = os.time() }
  end
  local function finish(number)
    local one = running[number]
    running[number] = nil
    under_way = under_way - 1
    local _, _, code = one.process:close()
    local output, warnings = files.read(one.log), files.read(one.warnings) or ""
    os.remove(one.log)
    os.remove(one.warnings)
    local passed, failed, skipped = judge(one.item, output, warnings, code, os.time() - one.began, say)
    total.passed = total.passed + passed
    total.failed = total.failed + failed
    total.skipped = total.skipped + skipped
  end

  while #waiting > 0 or under_way > 0 do
    local next_one = under_way < jobs and first_free(waiting, running)
    if next_one then
      start(table.remove(waiting, next_one))
    else
      finish(assert(tonumber(ended:read("l"))))
    end
  end
  ended:close()
  os.execute("rm -r " .. folder)
  return total
end

return runner
