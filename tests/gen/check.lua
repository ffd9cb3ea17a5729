-- check: a small test runner for the Lua tests. Run a test file from the root of the repository.
package.path = "./?.lua;" .. package.path

local check = { passed = 0, failed = 0, skipped = 0 }
local SKIP = {}

-- Ends the running test as skipped.
function check.skip(reason)
  error(setmetatable({ reason = reason }, SKIP), 0)
end

-- Runs fn as one test; an error that it raises is a failure.
function check.test(name, fn)
  local ok, err = xpcall(fn, function(e)
    if getmetatable(e) == SKIP then return e end
    if type(e) == "table" and e.message then return e.message end
    return debug.traceback(tostring(e), 2)
  end)
  if ok then
    check.passed = check.passed + 1
  elseif getmetatable(err) == SKIP then
    check.skipped = check.skipped + 1
    print(("%s: %s: skipped: %s"):format(arg[0], name, err.reason))
  else
    check.failed = check.failed + 1
    print(("%s: %s: failed: %s"):format(arg[0], name, err))
  end
end

function check.equal(got, wanted, what)
  if got ~= wanted or math.type(got) ~= math.type(wanted) then
    error(("%s: got %s, wanted %s"):format(what or "value", tostring(got), tostring(wanted)), 2)
  end
end

-- fn must raise { code, message }: this code, and one line in which the pattern is found.
function check.raises(fn, code, pattern)
  local ok, err = pcall(fn)
  if ok then error("nothing was raised, wanted: " .. pattern, 2) end
  if type(err) ~= "table" then error("raised something else than a table: " .. tostring(err), 2) end
  local message = tostring(err.message)
  if message:find("[%c]") then error(("not one plain line: %q"):format(message), 2) end
  if err.code ~= code then
    error(("code %s, wanted %d: %s"):format(tostring(err.code), code, message), 2)
  end
  if not message:find(pattern) then
    error(("message %q, wanted a match of %q"):format(message, pattern), 2)
  end
end

-- fn must raise a string, or a table with a message, of one line that contains `text` literally.
function check.fails(fn, text)
  local ok, err = pcall(fn)
  if ok then error("nothing was raised, wanted: " .. text, 2) end
  local message = type(err) == "table" and tostring(err.message) or tostring(err)
  if message:find("[%c]") then error(("not one plain line: %q"):format(message), 2) end
  if not message:find(text, 1, true) then
    error(("message %q, wanted %q"):format(message, text), 2)
  end
end

-- Two texts must be the same; the error names the first line that differs.
function check.same_text(got, wanted, what)
  if got == wanted then return end
  local theirs, n = wanted:gmatch("([^\n]*)\n?"), 0
  for line in got:gmatch("([^\n]*)\n?") do
    n = n + 1
    local other = theirs()
    if line ~= other then
      error(("%s: line %d differs\n  got    %s\n  wanted %s"):format(what or "text", n, line,
        other or "(nothing)"), 2)
    end
  end
  error(("%s: got %d lines, wanted more"):format(what or "text", n), 2)
end

-- Prints the totals and ends the program.
function check.finish()
  print(("%s: %d passed, %d failed, %d skipped"):format(
    arg[0], check.passed, check.failed, check.skipped))
  os.exit(check.failed == 0)
end

return check
