-- test_table: record.lua and table.lua on made-up results: under which name a result is kept, which results
-- count, how the table looks, and the messages for wrong files.
local check = require("tests.gen.check")
local files = require("gen.base.files")
local json = require("dkjson")

local folder = os.tmpname()
os.remove(folder)
os.execute("mkdir -p '" .. folder .. "/results'")

local function write(name, text)
  local path = folder .. "/" .. name
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
  return path
end

-- Figures as bench writes them, with some fields changed.
local function figures(changes)
  local f = { program = "bench", name = "tiny", config = "n_layer=4 isa=avx2", machine = "Acme (R) One @ 3 GHz",
    compiler = "gcc 12.2.0", isa = "avx2", date = "2026-01-02T03:04:05Z", cores = 2, threads = 2, steps = 9,
    ms_median = 12.34, ms_p10 = 11.96, ms_p90 = 150.4, flop_per_step = 2e9, gflops = 162.07, peak_gflops = 200.2,
    share_of_peak = 0.8095, floor_ms = 9.872, peak_rss_bytes = 48 << 20, plan_bytes = 45 << 20,
    kernels = { { name = "product", ms = 7, roofline = 0.8 }, { name = "rows", ms = 2, roofline = 0.416 },
      { name = "batch", ms = 1, roofline = 0 } } }
  for key, value in pairs(changes or {}) do f[key] = value end
  return f
end

local function write_figures(name, changes) return write(name, json.encode(figures(changes))) end

-- Runs a script of tests/bench; its output, and its exit code.
local function run(script, ...)
  local words = {}
  for i, word in ipairs { ... } do words[i] = "'" .. word .. "'" end
  local pipe = assert(io.popen(("lua5.4 tests/bench/%s %s 2>&1"):format(script, table.concat(words, " "))))
  local output = pipe:read("a")
  local _, _, code = pipe:close()
  return output, code
end

local function table_of() return run("table.lua", "--results=" .. folder .. "/results") end
local function empty() os.execute("rm -f '" .. folder .. "'/results/*") end

local head = "| config | isa | ms (p10–p90) | share of peak | of the peak held "
  .. "| GFLOP/s | measured peak (held) | share of floor | sizes not baked in takes "
  .. "| in turns: ours, ms | PyTorch as installed, ms "
  .. "| PyTorch at its best, ms | ours against the best "
  .. "| ours against the best in float32 | ours against PyTorch held to AVX2 | MiB: ours, plan, PyTorch |\n"
  .. ("| --- "):rep(16) .. "|\n"

check.test("the newest of each config, machine and isa; PyTorch if it was measured", function()
  empty()
  write_figures("results/a.json", { date = "2025-12-31T23:59:59Z", ms_median = 99 })
  write_figures("results/b.json")
  write_figures("results/c.json", { name = "large-isa=avx2", flop_per_step = 4e9, date = "2026-01-03T00:00:00Z",
    torch = "2.15.0", ms_in_turns = 12.2, torch_ms_best = 30.06, torch_ms_installed = 123.6,
    ratio_best = 2.436, ratio_float32 = 3.1, ratio_held = 2.575, held_gflops = 190.7, share_of_held = 0.8499,
    generic = { ratio = 1.141 }, torch_rss_bytes = 700 << 20 })
  write_figures("results/d.json", { isa = "avx512" })
  write_figures("results/e.json", { machine = "Acme Two" })
  write("results/scale.json", '{"program": "bench-scale"}')
  write("results/gpu.json", '{"device": "H200"}')
  local plain = "12.3 (12.0–150) | 81% | – | 162 | 200 (–) | 80% | – | – | – | – | – | – | – | 48, 45, – |\n"
  check.equal(table_of(), "Acme (R) One @ 3 GHz, 2 cores, 2 threads; gcc 12.2.0; PyTorch 2.15.0; "
    .. "2026-01-02 to 2026-01-03:\n\n" .. head .. "| tiny | avx2 | " .. plain
    .. "| large | avx2 | 12.3 (12.0–150) | 81% | 85% | 162 | 200 (191) | 80% | 1.14× "
    .. "| 12.2 | 124 | 30.1 | 2.44× | 3.10× | 2.58× | 48, 45, 700 |\n"
    .. "| tiny | avx512 | " .. plain
    .. "\nAcme Two, 2 cores, 2 threads; gcc 12.2.0; 2026-01-02:\n\n" .. head .. "| tiny | avx2 | " .. plain)
end)

check.test("into a page, between its two lines, repeatedly", function()
  empty()
  write_figures("results/a.json")
  local text = table_of()
  local page = write("page.md", "Before.\n<!-- bench-table -->\nold\n<!-- end of bench-table -->\nAfter.\n")
  for _ = 1, 2 do
    local _, code = run("table.lua", "--results=" .. folder .. "/results", page)
    check.equal(code, 0)
    check.equal(files.read(page), "Before.\n<!-- bench-table -->\n" .. text .. "<!-- end of bench-table -->\nAfter.\n")
  end
end)

check.test("the kernels below 80% of their roofline, if a page has a place for them", function()
  empty()
  write_figures("results/a.json")
  write_figures("results/b.json", { isa = "avx512", kernels = { { name = "product", ms = 7, roofline = 0.93 } } })
  local page = write("page.md", "<!-- bench-table -->\n<!-- end of bench-table -->\n<!-- slow-kernels -->\nold\n"
    .. "<!-- end of slow-kernels -->\nAfter.\n")
  local _, code = run("table.lua", "--results=" .. folder .. "/results", page)
  check.equal(code, 0)
  check.equal(files.read(page), "<!-- bench-table -->\n" .. table_of() .. "<!-- end of bench-table -->\n"
    .. "<!-- slow-kernels -->\n| config | isa | kernel, of its roofline (of the step) |\n| --- | --- | --- |\n"
    .. "| tiny | avx2 | rows 42% (20.0%) |\n| tiny | avx512 | none |\n<!-- end of slow-kernels -->\nAfter.\n")
end)

check.test("a page without a place for it is unchanged", function()
  local page = write("none.md", "Before.\n<!-- bench-table -->\n")
  local output, code = run("table.lua", "--results=" .. folder .. "/results", page)
  check.equal(code, 65)
  check.equal(output, page .. ": has no place for the table; wanted the lines '<!-- bench-table -->' and "
    .. "'<!-- end of bench-table -->'\n")
  check.equal(files.read(page), "Before.\n<!-- bench-table -->\n")
end)

-- One line that begins with the file's name and has the pattern.
local function complains(text, pattern)
  empty()
  local path = write("results/wrong.json", text)
  local output, code = table_of()
  check.equal(code, 65)
  check.equal(select(2, output:gsub("\n", "")), 1, "lines")
  check.equal(output:sub(1, #path + 2), path .. ": ")
  if not output:find(pattern) then error(("%q has no %q"):format(output, pattern)) end
end

check.test("wrong files: one line, with the file's name", function()
  complains('{"program": "bench",', "is not a JSON object")
  complains("[", "is not a JSON object")
  complains("12", "is not a JSON object %(number%)")
  complains("", "is not a JSON object")
  complains(json.encode(figures { ms_median = "12" }), "ms_median: is a string, wanted a number")
  local f = figures()
  f.machine = nil
  complains(json.encode(f), "machine: is missing, wanted a string")
  complains(json.encode(figures { kernels = { { name = "product", ms = "7", roofline = 1 } } }), "kernels%[1%]: wanted")
end)

check.test("no results, no such flag", function()
  empty()
  local output, code = table_of()
  check.equal(code, 66)
  check.equal(output, folder .. "/results: no results; keep one with make bench CONFIG=x RECORD=1\n")
  output, code = run("table.lua", "--result=x")
  check.equal(code, 64)
  check.equal(output, "table: '--result=x' is not known; wanted [--results=FOLDER] [PAGE.md ...]\n")
end)

check.test("record: a name of config, machine and isa; the same bytes", function()
  empty()
  local path = write_figures("bench.json", { name = "tiny-batch_size=2-isa=avx2" })
  local output = run("record.lua", path, folder .. "/results")
  local to = folder .. "/results/tiny-batch_size=2-acme-one-3-ghz-2-cores-avx2.json"
  check.equal(output, "recorded: " .. to .. "\n")
  check.equal(files.read(to), files.read(path))
  write_figures("bench.json", { threads = 1 })
  output = run("record.lua", path, folder .. "/results")
  check.equal(output, "recorded: " .. folder .. "/results/tiny-acme-one-3-ghz-2-cores-avx2-1-threads.json\n")
end)

check.test("record refuses other files than bench's", function()
  local output, code = run("record.lua", write("bench.json", '{"program": "other"}'), folder .. "/results")
  check.equal(code, 65)
  check.equal(output, folder .. "/bench.json: was not written by bench\n")
  local function code_of(...) return select(2, run("record.lua", ...)) end
  check.equal(code_of(write_figures("bench.json"), folder .. "/nowhere"), 74)
  check.equal(code_of(folder .. "/missing.json"), 66)
  check.equal(code_of(), 64)
end)

os.execute("rm -rf '" .. folder .. "'")
check.finish()
