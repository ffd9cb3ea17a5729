-- readers: what Lua reads of runs and sweeps (run.json, metrics.jsonl, plan.json, status.json, eval-val.json) and of a
-- model to import (config.json), changed at random: the report is made of whatever is there, or refuses with one line;
-- nothing is raised that is not one. test_readers.sh runs it:
--
--     lua5.4 tests/torture/readers.lua SEED COUNT      in a fixture's project
package.path = "./?.lua;" .. package.path
local json = require("dkjson")
local config = require("gen.config.load")
local effects = require("gen.report.effects")
local figures = require("gen.report.figures")
local files = require("gen.base.files")
local fixture = require("tests.report.fixture")
local folder = require("gen.import.folder")
local gpt2 = require("gen.import.gpt2")
local plan = require("gen.report.plan")
local prose = require("gen.report.prose")
local results = require("gen.sweep.results")
local show = require("gen.sweep.show")
local text = require("gen.report.text")
local words = require("gen.report.words")

local seed, count = math.tointeger(arg[1]), math.tointeger(arg[2])
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
local swept = { sweep = "random", jobs = 1, factors = factors, runs = runs }
for _, run in ipairs(runs) do
  run.first_iter, run.iters, run.flops, run.whole_flops, run.params = 0, 121, 1e9, 1e9, 1000
end
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
  local report = { plan = p, order = words.rank(p), effects = effects.of(p), seeds = effects.over_seeds(p),
    prefixes = {}, prompts = {}, samples = {}, attention = {}, notes = {}, builds = {}, seed = 1, characters = 1 }
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
  local assignments = { "isa=generic", "dataset=" }
  for _, key in ipairs((gpt2.keys(folder.read_config(model), model))) do
    table.insert(assignments, key[1] .. "=" .. tostring(key[2]))
  end
  config.load({ "configs/gpt2.lua" }, assignments, { backend = "cpu" })
end

local readers = {
  import,
  function() report_of(plan.of_sweep("random")) end,
  function() report_of(plan.of_folders({ first, runs[2].folder })) end,
  function()
    for _, r in ipairs(runs) do
      results.metrics(r.folder)
      results.status(r.folder)
      results.is_done(r.folder)
    end
  end,
  function() show.progress(swept) end,
  function()
    local code = show.table(swept, false)
    if math.type(code) ~= "integer" or code < 0 or code > 255 then error("its exit code is " .. tostring(code)) end
  end,
}

-- What is shown is not looked at.
local say, nowhere = print, assert(io.open("/dev/null", "w"))
_G.print = function() end
rawset(io, "stdout", nowhere)

local refused, failed = 0, {}
for _ = 1, count do
  local path = pick(targets)
  local content = original[path]
  for _ = 1, math.random(3) do
    content = #content > 0 and changed(content) or content
  end
  local file = assert(io.open(path, "wb"))
  file:write(content)
  file:close()
  for _, reader in ipairs(readers) do
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
for _, line in ipairs(failed) do say(line) end
say(("readers: %d files, %d refusals, %d failures"):format(count, refused, #failed))
os.exit(#failed == 0)
