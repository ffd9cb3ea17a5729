-- helpers: what the report's tests in tests/gen share: checks of figures and of lines, and a made-up project's runs,
-- plans and pages.
local check = require("tests.gen.check")
local files = require("gen.base.files")
local fixture = require("tests.report.fixture")
local library = require("gen.report.library")
local plan = require("gen.report.plan")
local run = require("gen.report.run")

local helpers = {}

function helpers.near(got, wanted, what, tolerance)
  if not got or math.abs(got - wanted) > (tolerance or 1e-9) then
    error(("%s: got %s, wanted %s"):format(what or "value", tostring(got), tostring(wanted)), 2)
  end
end

function helpers.has(list, pattern)
  for _, line in ipairs(list) do if line:find(pattern) then return end end
  error(("no line of %q has %q"):format(table.concat(list, " | "), pattern), 2)
end

-- A run with these lines in metrics.jsonl, and without run.json.
function helpers.run_of(root, lines, name)
  local folder = root .. "/out/" .. (name or "lines")
  files.write(folder .. "/metrics.jsonl", lines)
  return run.read(folder)
end

function helpers.evaluation(iter, train, val)
  return ('{"iter":%d,"train_loss":%s,"val_loss":%s,"ms":10}\n'):format(iter, train, val)
end

-- plan.of_sweep reads from the current folder: make io.open read from the temporary folder meanwhile.
function helpers.plan_of(root, name)
  local original = io.open
  rawset(io, "open", function(path, mode) -- luacheck: ignore
    return original(path:sub(1, 1) == "/" and path or root .. "/" .. path, mode)
  end)
  local ok, p = pcall(plan.of_sweep, name)
  rawset(io, "open", original) -- luacheck: ignore
  if not ok then error(p, 0) end
  return p
end

-- Runs the report; skips the test where it cannot.
function helpers.report(root, arguments)
  if not pcall(library.text) then check.skip("there is no Chart.js (package libjs-chart.js)") end
  local output, ok, code = fixture.report(root, arguments)
  return output, ok, code
end

return helpers
