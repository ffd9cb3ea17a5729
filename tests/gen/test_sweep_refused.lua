-- test_sweep_refused: what is no sweep, and what is said of it.
package.path = "./?.lua;" .. package.path
local check = require("tests.gen.check")
local file = require("gen.sweep.file")
local made_sweep = require("tests.gen.made_sweep")
local plan = require("gen.sweep.plan")

local read = made_sweep.read

local nl = '{ "n_layer", { 1, 2 } }'
local refused = {
  { "a number", "return 4", 64, "returns a number; wanted a table" },
  { "nothing", "", 64, "returns nothing; wanted a table" },
  { "no base", "return { grid = { " .. nl .. " } }", 64, "has no base" },
  { "no such base", 'return { base = "nobody", grid = { ' .. nl .. " } }", 66, "configs/nobody.lua: no such config" },
  { "a cycle", "local t = {} t.t = t return t", 64, "deeper than a sweep's" },
  { "a function", "return { base = math.floor }", 64, "is a function" },
  { "too many values", 'local v = {} for i = 1, 1900 do v[i] = i end ' ..
    'return { base = "bigram", grid = { { "seed", v }, { "seed", v }, { "seed", v } } }', 64, "more than 4000 values" },
  { "the system", "return os.execute('true')", 64, "global 'os'" },
}
for _, case in ipairs({
  { "neither", "", "has neither grid nor vary" },
  { "both", "grid = { " .. nl .. " }, vary = { " .. nl .. " }", "has both grid and vary" },
  { "an empty grid", "grid = {}", "grid is empty" },
  { "three ways", "grid = { " .. nl .. " }, runs = { {} }", "has both grid and runs" },
  { "linked keys without a value", 'grid = { { { "n_embd", "n_head" }, { { 64, 4 }, { 128 } } } }',
    "grid[1][2][2]: 1 values for 2 keys" },
  { "linked keys, one value", 'grid = { { { "n_embd", "n_head" }, { 64, 128 } } }', "wanted a list of values" },
  { "linked keys that tell nothing", 'grid = { { { "n_embd", "n_head" }, { { 64, 4 }, { 64, 8 } } } }',
    "n_embd has a value twice" },
  { "a linked key twice", 'grid = { { { "n_embd", "n_embd" }, { { 64, 4 } } } }', "n_embd is varied twice" },
  { "a list of no runs", "runs = { 4 }", "runs[1] is a number" },
  { "a run twice", "runs = { { n_head = 4 }, {} }", "is the same run as" },
  { "random without runs", "random = { n_head = { 4 } }", "random: runs = nil" },
  { "random without keys", "random = { runs = 4 }", "random varies nothing" },
  { "random, too few", "random = { runs = 4, n_head = { 2, 4 } }", "only 2 different runs were found, wanted 4" },
  { "random, an unknown key", "random = { runs = 4, n_heads = { 2, 4 } }", "did you mean 'n_head'?" },
  { "random, a range upside down", "random = { runs = 4, dropout = uniform(0.5, 0.1) }",
    "a lower and a higher number" },
  { "random, a logarithm of 0", "random = { runs = 4, dropout = log(0, 0.1) }", "number above 0" },
  { "random, a range of names", 'random = { runs = 4, dataset = log(1, 2) }', "as it is no number" },
  { "nothing left", 'grid = { { "n_head", { 5 } } }, skip_invalid = true', "no run is left: exp01-nh5: n_head = 5" },
  { "a key without values", 'grid = { { "n_layer", {} } }', "n_layer is empty" },
  { "a key alone", 'grid = { { "n_layer" } }', 'wanted { "n_layer", { value, ... } }' },
  { "no list", "grid = { n_layer = { 1 } }", "without names and gaps" },
  { "a number as grid", "grid = 4", "grid is a number" },
  { "unknown field", "grid = { " .. nl .. " }, jobs = 2", "unknown field 'jobs'" },
  { "unknown key", 'grid = { { "n_heads", { 4 } } }', "unknown key 'n_heads'; did you mean 'n_head'?" },
  { "unknown key in set", "grid = { " .. nl .. " }, set = { dropuot = 0 }", "did you mean 'dropout'?" },
  { "a list in set", "grid = { " .. nl .. " }, set = { 4 }", "wanted a key's name" },
  { "text for a number", 'grid = { { "n_head", { "4" } } }', "n_head = 4 is a string; wanted a number" },
  { "out of range", 'grid = { { "n_head", { 4, 0 } } }', "exp02-nh0: n_head = 0; wanted a whole number" },
  { "half a head", 'grid = { { "n_head", { 1.5 } } }', "n_head = 1.5; wanted a whole number" },
  { "not a number", 'grid = { { "dropout", { 0/0 } } }', "dropout = " },
  { "heads that do not divide", 'grid = { { "n_head", { 4, 5 } }, { "n_embd", { 64 } } }',
    "exp02-nh5-ne64: n_head = 5 does not divide n_embd = 64" },
  { "the same value twice", 'grid = { { "n_head", { 4, 4 } } }', "is the same run as exp01-nh4" },
  { "the base's value again", 'vary = { { "n_head", { 1, 4 } } }', "exp02-nh4 is the same run as exp00-base" },
  { "a key twice", 'grid = { { "n_head", { 4 } }, { "n_head", { 8 } } }', "n_head is varied twice" },
  { "varied and set", "grid = { " .. nl .. " }, set = { n_layer = 1 }", "n_layer is varied too" },
  { "a seed twice", "grid = { " .. nl .. " }, seeds = { 1, 1 }", "seeds: 1 twice" },
  { "a seed below 0", "grid = { " .. nl .. " }, seeds = { -1 }", "wanted whole numbers" },
  { "no seeds", "grid = { " .. nl .. " }, seeds = {}", "seeds is empty" },
  { "seed as a factor", 'grid = { { "seed", { 1, 2 } } }', "seeds = { 1, 2 } lists them" },
  { "threads", "grid = { " .. nl .. " }, set = { threads = 1 }", "threads is the sweep's own" },
  { "out_dir", 'grid = { { "out_dir", { "x" } } }', "out_dir is the sweep's own" },
  { "a derived key", "grid = { { 'has_dropout', { true } } }", "has_dropout follows from dropout" },
  { "a shell's word", 'grid = { { "dataset", { "$(x)" } } }', "wanted letters, digits" },
  { "a grid too large", "grid = { { 'max_iters', { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 } }, " ..
    "{ 'eval_iters', { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 } }, { 'eval_interval', { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 } }, " ..
    "{ 'n_layer', { 1, 2 } } }", "more than 1000 combinations" },
  { "an empty prompt", "grid = { " .. nl .. ' }, prompt = ""', "prompt is empty" },
}) do
  refused[#refused + 1] = { case[1], 'return { base = "notebook_small", ' .. case[2] .. " }", 64, case[3] }
end
for _, case in ipairs(refused) do
  check.test("refused: " .. case[1], function()
    check.raises(function() plan.make(read(case[2]), { backend = "cpu" }) end, case[3],
      (case[4]:gsub("%p", "%%%0")))
  end)
end

check.test("a sweep's name must be a folder's name", function()
  check.raises(function() file.read("..") end, 64, "a sweep's name has letters")
  check.raises(function() file.read("nobody") end, 66, "configs/sweeps/nobody.lua: no such sweep")
end)

made_sweep.remove()
check.finish()
