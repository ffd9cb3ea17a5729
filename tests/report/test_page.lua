-- test_page: the report in headless Chromium: every page at phone and desktop width, light and dark. selftest.js in the
-- page checks that each chart is drawn, sorts every table, picks runs, filters, and reports what is wrong. clicks.js
-- asks two studies for what the write-ups of grid32 and notebook show, by at most two clicks. orphans.js looks for
-- headings above nothing.
package.path = "./?.lua;" .. package.path
local check = require("tests.gen.check")
local chromium = require("tests.report.browser")
local files = require("gen.base.files")
local fixture = require("tests.report.fixture")
local json = require("dkjson")
local library = require("gen.report.library")

local PHONE, DESKTOP, WIDE = 360, 1280, 1920
local EACH = { { PHONE, "light" }, { PHONE, "dark" }, { DESKTOP, "light" }, { DESKTOP, "dark" } }
local ALL = { { PHONE, "light" }, { PHONE, "dark" }, { DESKTOP, "light" }, { DESKTOP, "dark" }, { WIDE, "light" },
  { WIDE, "dark" } }
local AXE = os.getenv("AXE") -- axe-core's script, as tests/report/axe.sh has it: then each page in every view
local SELFTEST, CLICKS, ORPHANS = "selftest.js", "clicks.js", "orphans.js"
-- Of a page, so that a test that checks nothing fails.
local LEAST_CHECKS = { [SELFTEST] = 30, [CLICKS] = 10, [ORPHANS] = 4 }

local browser = chromium.find()
if not browser or not pcall(library.text) then
  print("skipped: " .. (browser and "there is no Chart.js (package libjs-chart.js)" or
    "there is no Chromium here (package chromium)"))
  os.exit(77)
end

-- A page with the test in it.
local function prepare(root, page)
  local text = assert(files.read(("%s/out/reports/%s.html"):format(root, page.name)))
  local wanted = ("window.wanted = %s;\n"):format(json.encode(page.wanted or {}))
  local function script(s) return "<script>\n" .. s .. "</script>\n" end
  local at = text:find("<title>", 1, true)
  local close = text:find("</body>\n</html>\n$")
  files.write(("%s/out/reports/%s-test.html"):format(root, page.name), text:sub(1, at - 1) ..
    script(files.read("tests/report/head.js") .. wanted) .. text:sub(at, close - 1) ..
    script(files.read("tests/report/headings.js")) ..
    script(files.read("tests/report/" .. (page.script or SELFTEST))) ..
    (AXE and script((assert(files.read(AXE)):gsub("</script", "<\\/script"))) ..
    script(files.read("tests/report/axe.js")) or "") .. text:sub(close))
end

-- Frames of every width and colour scheme around the pages: a window cannot be narrower than 500, and a frame has the
-- scheme of the element that contains it.
local function frames(root, pages)
  local out, count = {}, 0
  for _, page in ipairs(pages) do
    for _, view in ipairs(AXE and ALL or page.views) do
      count = count + 1
      local style = ("width:%dpx;height:900px;color-scheme:%s;border:0"):format(view[1], view[2])
      out[count] = ('<iframe name="%s" data-src="%s-test.html%s" style="%s"></iframe>'):format(page.name, page.name,
        page.address or "", style)
    end
  end
  local path = root .. "/out/reports/frames.html"
  files.write(path, [[<!DOCTYPE html><meta charset="utf-8"><script>
addEventListener('message', event => {
  document.body.append(Object.assign(document.createElement('pre'), { textContent: event.data }));
});
// A page begins when its frame has its width.
addEventListener('load', () => {
  document.body.getBoundingClientRect();
  for (const frame of document.querySelectorAll('iframe')) frame.src = frame.dataset.src;
});
</script><body>]] .. table.concat(out, "\n") .. "</body>")
  return path
end

-- The results of selftest.js in each frame, by page: { frame, width, scheme, checks, failures }; and Chromium's lines
-- about the console.
local function visit(root, path)
  local log = root .. "/chromium.log"
  local command = ("timeout %d %s %s --enable-logging=stderr --window-size=1400,1000 --virtual-time-budget=60000 " ..
    "--dump-dom %s 2>%s"):format(AXE and 1800 or 300, browser, chromium.flags(root), files.quoted("file://" .. path),
    log)
  local pipe = io.popen(command)
  local dom = pipe:read("a")
  pipe:close()
  local results, complaints = {}, {}
  for text in dom:gmatch("<pre>(.-)</pre>") do
    text = text:gsub("&lt;", "<"):gsub("&gt;", ">"):gsub("&amp;", "&")
    local result = json.decode(text)
    results[result.frame] = results[result.frame] or {}
    table.insert(results[result.frame], result)
  end
  for line in io.lines(log) do
    if line:find("CONSOLE", 1, true) then complaints[#complaints + 1] = line:sub(1, 300) end
  end
  return results, complaints
end

local root = fixture.project()

-- A complete grid; the same with everything that can be wrong; one change at a time with seeds; any runs; a live one.
fixture.sweep(root, "grid", "grid", { { key = "n_head", values = { 4, 8 } }, { key = "n_embd", values = { 128, 256 } },
  { key = "max_iters", values = { 1000, 2000 } } }, { 1337 }, function(spec, i)
    spec.evaluated = i == 3 and "later" or i ~= 2
  end)
fixture.sweep(root, "broken", "grid", { { key = "n_head", values = { 4, 8 } },
  { key = "dropout", values = { 0.1, 0.2, 0.3 } } }, { 1 }, function(spec, i)
    if i == 2 then return false end
    if i == 3 then spec.last, spec.cut = 430, true end
    if i == 4 then spec.nan_from = 500 end
    if i == 5 then spec.evaluations = 1 end
    if i == 6 then spec.no_info, spec.no_checkpoint = true, true end
  end)
fixture.sweep(root, "seeds", "vary", { { key = "n_head", values = { 4, 1 } },
  { key = "dropout", values = { 0.1, 0.3 } } }, { 1, 2, 3 })
-- The two studies: 32 runs, and one change at a time; with a step's line at each evaluation alone.
local function sparse(spec) spec.every = 100 end
fixture.sweep(root, "grid32", "grid", fixture.GRID32, { 1337 }, sparse)
fixture.sweep(root, "notebook", "vary", { { key = "n_head", values = { 4, 1, 8 } },
  { key = "n_layer", values = { 4, 1, 8 } }, { key = "n_embd", values = { 64, 32, 128 } },
  { key = "dropout", values = { 0.1, 0, 0.3 } } }, { 1337 }, sparse)
-- Little: nothing done of a sweep, one run of it, a sweep of one run, of several seeds some, a run that has no samples.
local function few(started)
  return function(spec, i)
    if i > started then return false end
    spec.no_checkpoint = i == 2
  end
end
local HEADS, SIZES = { key = "n_head", values = { 4, 8 } }, { key = "n_embd", values = { 64, 128 } }
fixture.sweep(root, "none", "grid", { HEADS, SIZES }, { 1 }, few(0))
fixture.sweep(root, "first", "grid", { HEADS, SIZES }, { 1 }, few(1))
fixture.sweep(root, "only", "grid", { { key = "n_head", values = { 4 } } }, { 1 }, few(1))
fixture.sweep(root, "some", "grid", { { key = "batch_size", values = { 8, 128 } }, SIZES }, { 1, 2 }, few(5))
fixture.run(root, "out/bare", { name = "bare", max_iters = 300, no_checkpoint = true })
fixture.run(root, "out/one </script>&", { name = "one </script>&", settings = { n_embd = 256 } })
fixture.run(root, "out/still", { name = "still", settings = { n_embd = 64 }, max_iters = 600, last = 430 })
fixture.run(root, "out/other", { name = "other", settings = { n_embd = 64 }, max_iters = 600 })

local function with(...)
  return { "#runs-table table", "#notes", "#curve-charts canvas", "#run-chart canvas", "#bar-chart canvas",
    "#attention-maps canvas", "#samples .sample pre", "#kernel-table table", "#memory-map canvas", ... }
end
local PAGES = {
  { name = "grid", views = EACH, words = "--sweep grid", wanted = with("#small-charts canvas", "#factor-charts canvas",
    "#effect-charts canvas", "#effect-table table", "#size-chart canvas") },
  { name = "broken", words = "--sweep broken", views = { { PHONE, "light" }, { DESKTOP, "dark" } },
    wanted = with("#factor-charts canvas", "#effect-table table") },
  { name = "seeds", words = "--sweep seeds", views = { { PHONE, "dark" } }, address = "#curves&filter=dropout%3D0.3",
    wanted = with("#seed-charts canvas", "#seed-table table") },
  { name = "pair", views = { { WIDE, "light" } },
    words = "--out out/reports/pair.html 'out/one </script>&' out/other",
    wanted = with("#factor-charts canvas", "#compare-table table", "#compare-chart canvas") },
  { name = "single", views = { { PHONE, "dark" } }, words = "--live --out out/reports/single.html out/still",
    wanted = with("#reload") },
  { name = "grid32", views = { { DESKTOP, "light" }, { PHONE, "dark" } }, words = "--quick --sweep grid32",
    script = CLICKS },
  { name = "notebook", views = { { DESKTOP, "dark" }, { PHONE, "light" } }, words = "--quick --sweep notebook",
    script = CLICKS },
  { name = "none", words = "--sweep none", views = { { PHONE, "light" } }, script = ORPHANS },
  { name = "first", words = "--sweep first", views = { { DESKTOP, "light" } }, script = ORPHANS },
  { name = "only", words = "--sweep only", views = { { PHONE, "dark" } }, script = ORPHANS },
  { name = "some", words = "--sweep some", views = { { DESKTOP, "light" } }, script = ORPHANS },
  { name = "bare", words = "--out out/reports/bare.html out/bare", views = { { DESKTOP, "light" } }, script = ORPHANS },
}
for _, page in ipairs(PAGES) do
  local output, ok = fixture.report(root, page.words)
  if not ok then error(output, 0) end
  prepare(root, page)
end
local results, complaints = visit(root, frames(root, PAGES))

for _, page in ipairs(PAGES) do
  check.test(page.name, function()
    local wrong, views, by_axe = {}, {}, {}
    for _, result in ipairs(results[page.name] or {}) do
      local view = ("%d px, %s"):format(result.width, result.scheme)
      views[view] = true
      by_axe[view] = by_axe[view] or result.axe
      for _, failure in ipairs(result.failures) do wrong[#wrong + 1] = view .. ": " .. failure end
      local least = LEAST_CHECKS[page.script or SELFTEST]
      if result.checks < least then wrong[#wrong + 1] = ("%s: only %d checks"):format(view, result.checks) end
    end
    for _, view in ipairs(AXE and ALL or page.views) do
      local name = ("%d px, %s"):format(view[1], view[2])
      if AXE and not by_axe[name] then wrong[#wrong + 1] = name .. ": no answer from axe" end
      if not views[name] then wrong[#wrong + 1] = name .. ": no answer from the page" end
    end
    if page.name == "grid" then
      local text = files.read(("%s/out/reports/grid.html"):format(root))
      for _, said in ipairs({ '"title":"whole val: perplexity"', "(char, 65 characters), ",
        "eval-val.json is of an earlier ckpt.safetensors" }) do
        if not text:find(said, 1, true) then wrong[#wrong + 1] = "does not say " .. said end
      end
      local _, count = text:gsub('"eval whole val loss":%d', "")
      -- A page of 64 runs like these has at most 1 MB, attention apart.
      local function size_of(id) return #text:match('id="' .. id .. '">(.-)</script>') end
      local most = #text - size_of("attention%-data") + size_of("data") * (64 / 8 - 1)
      if most > 1e6 then wrong[#wrong + 1] = ("of 64 runs it would have %d bytes"):format(most) end
      if count ~= 6 then wrong[#wrong + 1] = ("has %d evaluations, wanted 6"):format(count) end
    end
    if #wrong > 0 then error({ message = table.concat(wrong, "\n  ") }, 0) end
  end)
end
check.test("the console is silent", function()
  if #complaints > 0 then error({ message = table.concat(complaints, "\n  ") }, 0) end
end)

if os.getenv("KEEP") then print("kept: " .. root) else fixture.remove(root) end
check.finish()
