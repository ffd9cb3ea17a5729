-- test_report: make bench-report's line, of a small page opened once, and its refusals.
package.path = "./?.lua;" .. package.path
local browser = require("tests.report.browser")
local check = require("tests.gen.check")
local library = require("gen.report.library")

local function run(words)
  local pipe = io.popen("lua5.4 tests/bench/report.lua " .. words .. " 2>&1")
  local said = pipe:read("a")
  local _, _, code = pipe:close()
  return said, code
end

check.test("how long a page takes to open", function()
  if not browser.find() then check.skip("there is no Chromium here (package chromium)") end
  if not pcall(library.text) then check.skip("there is no Chart.js (package libjs-chart.js)") end
  local said = run("1 2")
  local median, low, high = said:match("^a page of 2 runs, %d+ kB, opens in (%d+) ms %(median of (%d+) (%d+)%)\n$")
  if not median then error(said, 0) end
  low, median, high = tonumber(low), tonumber(median), tonumber(high)
  if not (10 < low and low <= median and median <= high) then error("no times of openings: " .. said, 0) end
end)

check.test("numbers that are none", function()
  for _, words in ipairs({ "0", "7", "x", "1 0", "1 1.5" }) do
    local said, code = run(words)
    check.equal(code, 64, words)
    if not said:find("wanted a number from 1 to", 1, true) then error(said, 0) end
  end
end)

check.finish()
