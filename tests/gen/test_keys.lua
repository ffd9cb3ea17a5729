-- test_keys: the schema with keys that are made up here: at their `absent` value they are written nowhere, and a file
-- without them has that value.
local check = require("tests.gen.check")
local keys = require("gen.config.keys")

-- Added before other modules read the table.
table.insert(keys, 3, { name = "made_up", type = "enum", values = { "plain", "odd" }, default = "plain", baked = true,
  changes = "function", absent = "plain", help = "made up" })
keys[#keys + 1] = { name = "made_up_rate", type = "float", min = 0, max = 1, default = 0.1, changes = "results",
  absent = 0.1, help = "made up" }
keys[#keys + 1] = { name = "made_up_flag", type = "bool", default = false, changes = "results", absent = false,
  help = "made up" }

local config = require("gen.config.load")
local file = require("gen.sweep.file")
local files = require("gen.base.files")
local hash = require("gen.config.hash")
local plan = require("gen.sweep.plan")
local report = require("gen.report.plan")
local run_keys = require("gen.emit.run_keys")
local schema = require("gen.config.schema")

local root = os.tmpname()
os.remove(root)

local function load(...)
  return config.load({ "configs/shakespeare_char_cpu.lua" }, { "isa=avx2", "vocab_size=65", ... })
end

-- The value of a Lua expression in a process without the made-up keys.
local function without(word)
  local pipe = io.popen(("lua5.4 -e 'package.path = \"./?.lua;\" .. package.path; local c = require(" ..
    '"gen.config.load").load({ "configs/shakespeare_char_cpu.lua" }, { "isa=avx2", "vocab_size=65" }); print(%s)'
    .. "'"):format(word))
  local text = pipe:read("l")
  pipe:close()
  return text
end

check.test("at its `absent` value, a key is in no text and no hash", function()
  check.equal(hash.baked_text(load()), without('require("gen.config.hash").baked_text(c)'))
  check.equal(hash.of(load()), without('require("gen.config.hash").of(c)'))
  check.equal(hash.of(load("made_up=plain")), hash.of(load()))
end)

check.test("at another value it is", function()
  check.equal(hash.baked_text(load("made_up=odd")):find("n_layer=%d+ made_up=odd n_head=") ~= nil, true)
  check.equal(hash.of(load("made_up=odd")) ~= hash.of(load()), true)
end)

check.test("the C table has what a key changes and its `absent` value", function()
  local text = run_keys.header()
  for _, line in ipairs({ 'KEY(made_up, function, false, "plain")', 'KEY(made_up_rate, results, false, "0.1")',
    'KEY(made_up_flag, results, false, "False")', 'KEY(specialise, nothing, false, "true")',
    "KEY(n_layer, results, true, NULL)" }) do
    check.equal(text:find("\n" .. line .. "\n", 1, true) ~= nil, true, line)
  end
end)

check.test("a sweep's record of a run states it only at another value", function()
  local function identity(set)
    files.write(root .. "/try.lua", ('return { base = "notebook_small", set = { vocab_size = 65%s }, grid = { ' ..
      '{ "n_layer", { 2 } } } }'):format(set))
    return plan.make(file.read(root .. "/try.lua"), { backend = "cpu", stand_in = true }).runs[1].identity
  end
  check.equal(identity("").made_up, nil)
  check.equal(identity("").made_up_rate, nil)
  check.equal(identity("").n_layer, 2)
  check.equal(identity(', made_up = "odd", made_up_rate = 0.5').made_up, "odd")
  check.equal(identity(', made_up = "odd", made_up_rate = 0.5').made_up_rate, 0.5)
end)

check.test("the difference of two records", function()
  local old = { n_layer = 4, seed = 1 }
  check.equal(plan.difference(old, { n_layer = 4, seed = 1 }), "")
  check.equal(plan.difference(old, { n_layer = 4, seed = 1, made_up = "odd" }), "made_up plain → odd")
  check.equal(plan.difference({ n_layer = 4, seed = 1, made_up = "odd", made_up_rate = 0.5 }, old),
    "made_up odd → plain, made_up_rate 0.5 → 0.1")
  check.equal(plan.difference({ n_layer = 4, seed = 1, bias = true }, old), "") -- bias has no `absent` value
end)

check.test("the table of keys says what each changes", function()
  check.equal(schema.markdown():find("\n| `made_up` | plain | one of plain, odd | baked | function | made up |\n", 1,
    true) ~= nil, true)
end)

check.test("a report of runs of two versions", function()
  local function run(name, more)
    local folder = root .. "/" .. name
    files.write(folder .. "/run.json", ('{"format": 1, "name": "%s", "config": {"n_layer": 4%s}, "run": {"seed": 1}}')
      :format(name, more))
    files.write(folder .. "/metrics.jsonl", "")
    return folder
  end
  local old, new, odd = run("old", ""), run("new", ', "made_up": "plain"'), run("odd", ', "made_up": "odd"')
  check.equal(#report.of_folders({ old, new }).factors, 0)
  local p = report.of_folders({ old, odd })
  check.equal(#p.factors, 1)
  check.equal(p.factors[1].key, "made_up")
  check.equal(p.runs[1].settings.made_up, "plain")
  check.equal(report.differences(p, p.runs[1], p.runs[2]), 1)
end)

os.execute("rm -rf " .. files.quoted(root))
check.finish()
