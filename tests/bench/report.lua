-- report.lua: how long a report of a sweep takes to open: `make bench-report`.
--
--   lua5.4 tests/bench/report.lua [FACTORS [OPENINGS]]
--
-- A page of every combination of two values each of six factors, 64 made-up runs of 2,000 iterations, with a line for
-- each step and 21 evaluations, is opened from disk in headless Chromium, 1,280 pixels wide, seven times, each in a
-- browser that is started for it. Measured is from the navigation to the second frame after the page is loaded: its
-- tables are there, and the figures that are seen. The aim is 1,500 ms on a quiet machine.
package.path = "./?.lua;" .. package.path
local browser = require("tests.report.browser")
local command = require("gen.base.command")
local files = require("gen.base.files")
local fixture = require("tests.report.fixture")

local FACTORS = { { key = "n_head", values = { 4, 8 } }, { key = "n_embd", values = { 128, 256 } },
  { key = "batch_size", values = { 8, 16 } }, { key = "dropout", values = { 0.1, 0.2 } },
  { key = "n_layer", values = { 2, 4 } }, { key = "block_size", values = { 32, 64 } } }

local function count(text, default, most)
  local n = math.tointeger(tonumber(text or default))
  if not n or n < 1 or n > most then
    error({ code = 64, message = ("tests/bench/report.lua: '%s': wanted a number from 1 to %d"):format(text, most) })
  end
  return n
end

local NOTE = [[addEventListener('load', () => requestAnimationFrame(() => requestAnimationFrame(() => {
  window.opened_after = performance.now();
})));]]

-- Milliseconds from the navigation on, in a new browser.
local function open(folder, address)
  assert(os.execute("mkdir -p " .. files.quoted(folder)))
  local b = browser.start(folder)
  b:call("Page.enable")
  b:call("Page.addScriptToEvaluateOnNewDocument", { source = NOTE })
  b:open(address, 1280, false)
  b:wait("window.opened_after && window.report", address)
  local ms = b:value("opened_after")
  b:close()
  return ms
end

local function main()
  local factors, openings = count(arg[1], #FACTORS, #FACTORS), count(arg[2], 7, 99)
  if not browser.find() then
    error({ code = 69, message = "no browser here; gen/tools/setup.sh browser installs one" })
  end
  local root = fixture.project()
  local runs = #fixture.sweep(root, "many", "grid", table.move(FACTORS, 1, factors, 1, {}), { 1337 }, function(spec)
    spec.max_iters, spec.no_checkpoint = 2000, true
  end)
  local said, ok = fixture.report(root, "--quick --sweep many")
  if not ok then error({ code = 70, message = said }) end
  local page, times, words = root .. "/out/reports/many.html", {}, {}
  for i = 1, openings do times[i] = open(("%s/%d"):format(root, i), "file://" .. page) end
  table.sort(times)
  for i, ms in ipairs(times) do words[i] = ("%.0f"):format(ms) end
  local half = openings // 2
  local median = openings % 2 == 1 and times[half + 1] or (times[half] + times[half + 1]) / 2
  print(("a page of %d runs, %d kB, opens in %.0f ms (median of %s)"):format(runs, #files.read(page) // 1000, median,
    table.concat(words, " ")))
  fixture.remove(root)
end

command.run(main)
