-- readers: what Lua reads of runs and sweeps (run.json, metrics.jsonl, plan.json, status.json, resolved.json,
-- eval-val.json), of a model to import (config.json) and of an imported one (NAME.lua): changed at random, each bit
-- flipped, and cut to each length: the report is made of whatever is there, the sweep trains from scratch what it does
-- not know, or each refuses with one line; nothing is raised that is not one. test_readers.sh runs it:
--
--     lua5.4 tests/torture/readers.lua SEED COUNT SHARE     in a fixture's project: COUNT files changed at random, and
--                                                           one of SHARE flips and cuts
package.path = "./?.lua;" .. package.path
local json = require("dkjson")
local config = require("gen.config.load")
local effects = require("gen.report.effects")
local figures = require("gen.report.figures")
local files = require("gen.base.files")
local fixture = require("tests.report.fixture")
local folder = require("gen.import.folder")
local folders = require("gen.sweep.folders")
local gpt2 = require("gen.import.gpt2")
local plan = require("gen.report.plan")
local prose = require("gen.report.prose")
local results = require("gen.sweep.results")
local schema = require("gen.config.schema")
local show = require("gen.sweep.show")
local text = require("gen.report.text")
local words = require("gen.report.words")
local write = require("gen.sweep.write")

local seed, count, share = math.tointeger(arg[1]), math.tointeger(arg[2]), math.tointeger(arg[3])
math.randomseed(seed)

-- ---- what is there -------------------------------------------------------------------------------

local factors = { { key = "n_head", values = { 4, 8 } } }
fixture.sweep(".", "random", "grid", factors, { 1, 2 }, function(spec)
  spec.max_iters, spec.evaluated = 120, true
end)
files.write("out/sweeps/random/status.json", "{}")
local runs = json.decode(files.read("out/sweeps/random/plan.json")).runs
local first = runs[1].folder
-- What gen/sweep.lua's plan has beside what a report reads.
local swept = json.decode(files.read("out/sweeps/random/plan.json"))
swept.sweep, swept.jobs, runs = "random", 1, swept.runs
for _, run in ipairs(runs) do
  run.first_iter, run.iters, run.flops, run.whole_flops, run.params = 0, 121, 1e9, 1e9, 1000
  run.build = run.build or "build/random/cpu"
end
files.write("out/sweeps/random/plan.json", json.encode(swept))
assert(#write.read_plan("out/sweeps/random").runs == #runs)
local targets = {
  "out/sweeps/random/plan.json", first .. "/run.json", first .. "/metrics.jsonl", first .. "/status.json",
  first .. "/eval-val.json",
}
files.write(first .. "/status.json", '{"status":"done","code":0,"line":"all is well"}')
-- Ten lines will do.
local lines = {}
for line in files.read(first .. "/metrics.jsonl"):gmatch("[^\n]*\n") do lines[#lines + 1] = line end
files.write(first .. "/metrics.jsonl", table.concat(lines, "", 1, 10))
local model = "out/sweeps/random/config.json"
files.write(model, '{"model_type":"gpt2","n_layer":2,"n_head":2,"n_embd":16,"n_positions":8,"vocab_size":300,' ..
  '"activation_function":"gelu_new","n_inner":null,"layer_norm_epsilon":1e-05,"scale_attn_weights":true,' ..
  '"add_cross_attention":false,"resid_pdrop":0.1,"tie_word_embeddings":true}')
targets[#targets + 1] = model
-- What a run of a sweep computes, and such a model's config.
local imported, resolved = "out/sweeps/random/imported.lua", first .. "/resolved.json"
files.write(imported, "-- Imported.\nreturn {\n  n_layer = 2,\n  n_head = 2,\n  n_embd = 16,\n  block_size = 8,\n" ..
  "  vocab_size = 300,\n  bias = true,\n  dropout = 0.1,\n}\n")
local loaded = config.load({ imported }, { "isa=generic" }, { backend = "cpu" })
local identity = { data = "0123456789abcdef" }
for _, key in ipairs(schema.keys) do
  if not key.derived and not key.machine then identity[key.name] = loaded[key.name] end
end
files.write(resolved, json.encode({ format = 1, name = runs[1].name, run = identity }))
targets[#targets + 1] = imported
targets[#targets + 1] = resolved
local original = {}
for _, path in ipairs(targets) do original[path] = files.read(path) end

-- ---- changes -------------------------------------------------------------------------------------

local values = { "null", "true", "false", "0", "-1", "1", "1.5", "1e999", "-1e999", "1e308", "9223372036854775807",
  "9223372036854775808", "-9223372036854775808", "4294967296", '""', '"x"', '"\\u0000"', '"\\ud800"', '"<\\/script>"',
  '"../../x"', "[]", "{}", "[[]]", '{"a":1}', "[1,2]", '"NaN"', '"' .. ("y"):rep(400) .. '"', "nan", '"out/x"',
  '[null]', "[0]", '["x"]', '[{"key":"n_head","values":[1]}]', '"\xff\xfe"' }
local function pick(list) return list[math.random(#list)] end

-- A value of the JSON text, or a key, for another; a byte; a piece taken out, doubled, or moved; cut.
local function changed(s)
  local way = math.random(10)
  local at = math.random(1, #s)
  local to = math.min(#s, at + math.random(0, 30))
  if way <= 5 then
    local spots = {}
    for from, _, last in s:gmatch('()"[%w_]+":%s*(.)()') do spots[#spots + 1] = { from, last - 1 } end
    local spot = #spots > 0 and pick(spots)
    if spot then
      local value = s:match('^"[^"]*"', spot[2]) or s:match("^%b[]", spot[2]) or s:match("^%b{}", spot[2]) or
        s:match("^[^,}%]%s]+", spot[2]) or ""
      return s:sub(1, spot[2] - 1) .. pick(values) .. s:sub(spot[2] + #value)
    end
  elseif way == 6 then return s:sub(1, at - 1) .. string.char(math.random(0, 255)) .. s:sub(at + 1)
  elseif way == 7 then return s:sub(1, at - 1) .. s:sub(to + 1)
  elseif way == 8 then return s:sub(1, to) .. s:sub(at)
  elseif way == 9 then return s:sub(1, at - 1) .. pick(values) .. s:sub(at)
  end
  return s:sub(1, at - 1)
end

-- ---- readers -------------------------------------------------------------------------------------

local function report_of(p)
  for _, r in ipairs(p.runs) do r.overfitting = words.overfitting(r) end
  local report = { plan = p, order = words.rank(p), trainings = effects.trainings(p), prompts = {}, samples = {},
    attention = {}, notes = {}, builds = {}, seed = 1, characters = 1 }
  report.effects, report.effects_tested = effects.of(p)
  report.seeds, report.best_tested, report.baseline_tested = effects.over_seeds(p)
  for i in ipairs(p.runs) do report.prompts[i], report.samples[i] = "", { final = "x" } end
  local html = prose.summary(report) .. prose.notes(report) .. prose.samples(report) .. text.html(prose.kind(report)) ..
    prose.footer(report) .. prose.effects_hint(report)
  local data = figures.data(report)
  if not utf8.len(html) or not utf8.len(data) then
    error("the page is not UTF-8: " .. (utf8.len(html) and data or html):sub(1, 2000))
  end
  local _, _, problem = json.decode(data)
  if problem then error("the page's data is not JSON: " .. problem) end
end

-- Keys that an import takes from config.json are what a config may have.
local function import()
  local assignments = { "isa=generic" }
  for _, key in ipairs((gpt2.keys(folder.read_config(model), model))) do
    table.insert(assignments, key[1] .. "=" .. tostring(key[2]))
  end
  config.load({ imported }, assignments, { backend = "cpu" })
end

-- A sweep that finds the first run's folder takes it for that run, or trains it from scratch.
local function match()
  local run = { name = runs[1].name, identity = identity }
  local difference = folders.match({ folder = "out/sweeps/random", runs = { run } })
  if not run.has and #difference ~= 1 then error("the folder is neither taken nor set aside") end
end

local own = {
  [model] = { import },
  [imported] = { function() config.load({ imported }, { "isa=generic" }, { backend = "cpu" }) end },
  [resolved] = { match },
}
local readers = {
  function() report_of(plan.of_sweep("random")) end,
  function() report_of(plan.of_folders({ first, runs[2].folder })) end,
  function()
    for _, r in ipairs(runs) do
      results.metrics(r.folder)
      results.status(r.folder)
      results.is_done(r.folder)
    end
  end,
  function() show.progress(write.read_plan("out/sweeps/random"), "out/sweeps/random", os.time()) end,
  function()
    local code = show.table(write.read_plan("out/sweeps/random"), false)
    if math.type(code) ~= "integer" or code < 0 or code > 255 then error("its exit code is " .. tostring(code)) end
  end,
}

-- What is shown is not looked at.
local say, nowhere = print, assert(io.open("/dev/null", "w"))
_G.print = function() end
rawset(io, "stdout", nowhere)

local refused, failed = 0, {}
local function try(path, content)
  local file = assert(io.open(path, "wb"))
  file:write(content)
  file:close()
  for _, reader in ipairs(own[path] or readers) do
    local ok, problem = xpcall(reader, function(e)
      return type(e) == "table" and e.message and e or debug.traceback(tostring(e), 2)
    end)
    if not ok and type(problem) == "table" and not problem.message:find("[%c\127]") then
      refused = refused + 1
    elseif not ok and #failed < 5 then
      failed[#failed + 1] = ("SEED=%d: %s:\n%s\n%s"):format(seed, path, content:sub(1, 1500),
        type(problem) == "table" and problem.message or problem)
    end
  end
  file = assert(io.open(path, "wb"))
  file:write(original[path])
  file:close()
end
for _ = 1, count do
  local path = pick(targets)
  local content = original[path]
  for _ = 1, math.random(3) do
    content = #content > 0 and changed(content) or content
  end
  try(path, content)
end
local damages, whole = 0, 0
for _, path in ipairs(targets) do
  local content = original[path]
  whole = whole + 9 * #content
  for n = seed % share, 9 * #content - 1, share do
    local at, bit = n // 9, n % 9
    local byte = bit < 8 and string.char(content:byte(at + 1) ~ 1 << bit)
    try(path, content:sub(1, at) .. (byte and byte .. content:sub(at + 2) or ""))
    damages = damages + 1
  end
end
for _, line in ipairs(failed) do say(line) end
say(("readers: %d files changed at random, %d of %d flips and cuts, %d refusals, %d failures"):format(count, damages,
  whole, refused, #failed))
os.exit(#failed == 0)
