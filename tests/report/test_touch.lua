-- test_touch: what a click does in the report, a tap on a phone does: the same steps with a mouse and with a finger, in
-- headless Chromium.
package.path = "./?.lua;" .. package.path
local browser = require("tests.report.browser")
local check = require("tests.gen.check")
local files = require("gen.base.files")
local fixture = require("tests.report.fixture")
local library = require("gen.report.library")

if not browser.find() or not pcall(library.text) then
  print("skipped: " .. (browser.find() and "there is no Chart.js (package libjs-chart.js)" or
    "there is no Chromium here (package chromium)"))
  os.exit(77)
end

local root = fixture.project()
fixture.sweep(root, "grid", "grid", { { key = "n_head", values = { 4, 8 } }, { key = "n_embd", values = { 64, 128 } } },
  { 1337 }, function(spec) spec.every, spec.max_iters = 100, 600 end)
local output, ok = fixture.report(root, "--sweep grid")
if not ok then error(output, 0) end
local b = browser.start(root)

-- Presses what a script finds, a node or a point, and waits until another script is true.
local function press(where, becomes)
  local at = b:value(("(found => (found instanceof Node ? middle(found) : found))(%s)"):format(where))
  b:press(at.x, at.y)
  b:wait(becomes, where)
end

local CURVES, SIZES = "'validation loss, all runs'", "'parameters and validation loss'"

-- { what holds, how it is tried }
local STEPS = {
  { "a run's name shows that run", function()
    press("document.querySelectorAll('#runs-table tbody th button')[2]",
      "one('#run-chart b').textContent.startsWith(R.runs_table.rows()[2].name)")
  end },
  { "a heading sorts", function() press("button_of('params')", "R.runs_table.key === 'params'") end },
  { "a legend chooses runs, and takes the choice back", function()
    press("legend_of('validation loss by n_embd')", "R.selection.text === 'n_embd=64' && R.selection.chosen.size === 2")
    press("legend_of('validation loss by n_embd')", "R.selection.all()")
  end },
  { "the chosen runs are given up by a button", function()
    b:value("R.selection.set('n_head=8')")
    press("one('#chosen-all')", "R.selection.all()")
  end },
  { "a point of a curve says its value", function()
    press(("point_of(%s, 5, 3)"):format(CURVES), ("figure(%s).chart.tooltip.opacity > 0"):format(CURVES))
  end },
  { "a rectangle chooses runs", function()
    -- Sideways first: a finger that begins up or down scrolls.
    b:drag(b:value(("[[0.01, 0.01], [0.5, 0.01], [0.5, 0.99]].map(at => in_area(%s, ...at))"):format(SIZES)))
    b:wait("R.selection.chosen.size === 2 && /params>=/.test(R.selection.text)", "a rectangle")
    b:value("R.selection.set('')")
  end },
  { "a finger that moves up scrolls the page, and chooses nothing", function()
    if not b.touch then return end
    local from = b:value(("in_area(%s, 0.5, 0.5)"):format(SIZES))
    b:value("window.before = scrollY")
    b:drag({ from, { x = from.x, y = from.y - 150 } })
    b:wait("scrollY > before && R.selection.all()", "scrolling")
  end },
  { "a map is enlarged, says its cells, and is closed", function()
    press("R.maps[0].canvas", "one('#large').open")
    press("cell_of(1, 0)",
      [[/^\S+ \(2\) looks at \S+ \(1\): [01]\.\d/.test(one('#large [role=status]').textContent)]])
    press("one('#large-close')", "!one('#large').open")
  end },
  { "a tensor of the memory plan says what it is", function()
    b:value("one('#large').close()") -- if the step before has failed
    press("one('#memory-fold summary')", "one('#memory-fold').open")
    press("tensor_of(R.D.builds[0].plan.tensors[0])",
      "!one('.tip').hidden && one('.tip').textContent.includes(R.D.builds[0].plan.tensors[0][0])")
  end },
  { "controls are high enough to be hit", function()
    if b.touch then check.equal(b:value("too_low()"), "", "lower than 24 px") end
  end },
}

for _, view in ipairs({ { 1280, false }, { 390, true } }) do
  b:open(("file://%s/out/reports/grid.html"):format(root), view[1], view[2])
  b:value(files.read("tests/report/touch.js"))
  for _, step in ipairs(STEPS) do
    check.test(("%s, %s"):format(step[1], view[2] and "by a finger" or "by a mouse"), function()
      local done, problem = pcall(step[2])
      if not done then error({ message = tostring(problem) }, 0) end
    end)
  end
end

b:close()
fixture.remove(root)
check.finish()
