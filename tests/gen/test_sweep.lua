-- test_sweep: the plans of sweeps: which runs, their names, what is compiled and trained once, what is refused, and
-- what happens to the folders that an edited sweep finds.
package.path = "./?.lua;" .. package.path
local check = require("tests.gen.check")
local dkjson = require("dkjson")
local cost = require("gen.sweep.cost")
local file = require("gen.sweep.file")
local files = require("gen.base.files")
local folders = require("gen.sweep.folders")
local keys = require("gen.config.keys")
local load = require("gen.config.load")
local names = require("gen.sweep.names")
local plan = require("gen.sweep.plan")
local progress = require("gen.sweep.progress")
local recipes = require("gen.sweep.recipes")
local results = require("gen.sweep.results")
local show = require("gen.sweep.show")
local whole = require("gen.sweep.whole")
local write = require("gen.sweep.write")

local root = os.tmpname()
os.remove(root)
os.execute("mkdir -p " .. root)
local path = root .. "/try.lua"

local function read(text)
  local f = assert(io.open(path, "w"))
  f:write(text)
  f:close()
  return file.read(path)
end

-- A sweep around notebook_small, from the text of its fields; its folder is in /tmp.
local function made(fields)
  local p = plan.make(read('return { base = "notebook_small", ' .. fields .. " }"), { backend = "cpu" })
  p.folder = root .. "/out"
  for _, run in ipairs(p.runs) do run.folder = p.folder .. "/" .. run.name end
  return p
end

local function named(p)
  local list = {}
  for i, run in ipairs(p.runs) do list[i] = run.name end
  return table.concat(list, " ")
end

local function measured(p)
  for _, shape in ipairs(p.shapes) do cost.measure_shape(shape) end
  for _, run in ipairs(p.runs) do
    run.first, run.last = run.from and run.from.config.max_iters + 1 or 0, run.config.max_iters
    run.flops, run.whole_flops = cost.flops(run, run.first, run.config.max_iters), cost.flops(run, 0,
      run.config.max_iters)
  end
  return p
end

local function shipped(name) return plan.make(file.read(name), { backend = "cpu" }) end

-- ---- the shipped ones ---------------------------------------------------------------------------

for _, name in ipairs({ "grid32", "grid32_quick" }) do
  check.test(name, function()
    local p = shipped(name)
    check.equal(#p.runs, 32, "runs")
    check.equal(#p.shapes, 8, "shapes")
    check.equal(p.trainings, 16, "trainings")
    check.equal(#p.runs[1].shape.runs, 4, "runs of the first shape")
  end)
end

check.test("grid32's names, order and baseline", function()
  local p = shipped("grid32")
  check.equal(p.runs[1].name, "exp01-nh4-ne128-b8-mi1000-d0.1")
  check.equal(p.runs[2].name, "exp02-nh4-ne128-b8-mi1000-d0.2")
  check.equal(p.runs[32].name, "exp32-nh8-ne256-b16-mi2000-d0.2")
  check.equal(p.baseline.name, "exp06-nh4-ne128-b16-mi1000-d0.2")
  check.equal(p.runs[3].from, p.runs[1], "the run that 3 continues")
  check.equal(p.runs[1].from, nil)
  check.equal(p.runs[6].shape.name, "grid_base", "the base's own shape needs no SET")
  check.equal(p.runs[32].shape.name, "grid_base-n_head@8-n_embd@256")
  check.equal(p.runs[1].shape.name, "grid_base-batch_size@8")
end)

for _, name in ipairs({ "notebook", "notebook_quick" }) do
  check.test(name, function()
    local p = shipped(name)
    check.equal(#p.runs, 11, "runs")
    check.equal(#p.shapes, 10, "shapes")
    check.equal(p.trainings, 11, "trainings")
    check.equal(named(p), "exp00-base exp01-nh1 exp02-nh8 exp03-nl1 exp04-nl8 exp05-ne32 exp06-ne128 exp07-d0 " ..
      "exp08-d0.3 exp09-bs32 exp10-bs256")
    check.equal(p.baseline.name, "exp00-base")
    check.equal(p.runs[9].shape, p.runs[1].shape, "another dropout is no other shape")
    check.equal(p.runs[8].shape.name, "notebook_small-dropout@0", "no dropout is")
  end)
end

check.test("modern goes from shakespeare_char_cpu to speedrun_char, a part at a time", function()
  local p = shipped("modern")
  check.equal(#p.runs, 16, "runs")
  check.equal(#p.shapes, 7, "shapes: one run changes only the schedule")
  for name, config in pairs({ shakespeare_char_cpu = p.runs[1].config, speedrun_char = p.runs[16].config }) do
    local want = load.load({ "configs/" .. name .. ".lua" }, { "backend=cpu" })
    for _, key in ipairs(keys) do
      local own = key.name == "seed" or key.name:match("^eval_")
      if key.changes ~= "nothing" and not own then
        check.equal(config[key.name], want[key.name], name .. ": " .. key.name)
      end
    end
  end
end)

check.test("quick sweeps evaluate each run six times or more", function()
  for _, name in ipairs({ "grid32_quick", "notebook_quick" }) do
    for _, run in ipairs(shipped(name).runs) do
      if run.config.max_iters // run.config.eval_interval + 1 < 6 then error(run.name) end
    end
  end
end)

-- ---- names, seeds, prefixes ---------------------------------------------------------------------

check.test("short forms", function()
  local forms = names.short({ "n_layer", "gradient_accumulation_steps", "bias", "beta2", "eval_iters",
    "eval_interval" })
  check.equal(forms.n_layer, "nl")
  check.equal(forms.gradient_accumulation_steps, "gas")
  check.equal(forms.eval_iters, "eval_iters", "two of the same form")
  check.equal(names.setting(forms.bias, true), "bias_true")
  check.equal(names.setting(forms.beta2, 0.99), "beta2_0.99")
  check.equal(names.setting("lr", 3e-5), "lr3e-05")
  check.equal(names.setting("activation", "gelu/erf"), "activation_gelu_erf")
  check.equal(names.run(7, 120, { "nh4" }), "exp007-nh4")
end)

check.test("seeds", function()
  local p = made('grid = { { "dropout", { 0.1, 0.2 } } }, seeds = { 1, 2 }')
  check.equal(named(p), "exp01-d0.1-s1 exp01-d0.1-s2 exp02-d0.2-s1 exp02-d0.2-s2")
  check.equal(p.trainings, 4)
  check.equal(#p.shapes, 1)
  check.equal(p.runs[2].config.seed, 2)
  check.equal(p.baseline.name, "exp01-d0.1-s1")
  check.equal(named(made('vary = { { "n_head", { 1 } } }, seeds = { 7 }')), "exp00-base exp01-nh1")
end)

check.test("three lengths are a chain, in whatever order they are listed", function()
  local p = made('grid = { { "max_iters", { 300, 100, 200 } } }')
  check.equal(p.trainings, 1)
  check.equal(p.runs[1].from, p.runs[3])
  check.equal(p.runs[3].from, p.runs[2])
  check.equal(p.runs[2].from, nil)
end)

check.test("a run with another schedule is not a beginning", function()
  local p = made('grid = { { "max_iters", { 100, 200 } }, { "lr_decay_iters", { 100, 200 } } }, ' ..
    "set = { decay_lr = true }")
  check.equal(p.trainings, 2)
  check.equal(p.runs[3].from, p.runs[1])
  check.equal(p.runs[4].from, p.runs[2])
end)

check.test("a budget is a factor, and runs with one share no training", function()
  local p = made('grid = { { "max_seconds", { 60, 0 } }, { "max_iters", { 100, 200 } } }')
  check.equal(named(p), "exp01-ms60-mi100 exp02-ms60-mi200 exp03-ms0-mi100 exp04-ms0-mi200")
  check.equal(p.trainings, 3)
  check.equal(p.runs[2].from, nil)
  check.equal(p.runs[4].from, p.runs[3])
  check.equal(p.runs[1].identity.max_seconds, 60.0)
  check.equal(p.runs[3].identity.max_seconds, nil, "no budget is written nowhere")
end)

check.test("a run with a budget is planned to end there", function()
  local p = made('grid = { { "max_seconds", { 60, 1e9, 0 } } }')
  for _, shape in ipairs(p.shapes) do cost.measure_shape(shape) end
  local a, b, c = p.runs[1], p.runs[2], p.runs[3]
  local rate = cost.flops(c, 1, 100) / 100 -- a step each second
  check.equal(cost.last(a, rate), 60)
  check.equal(cost.last(b, rate), b.config.max_iters)
  check.equal(cost.last(c, rate), c.config.max_iters)
  check.equal(cost.last(a, nil), a.config.max_iters)
end)

check.test("another data set names its vocabulary in the build", function()
  os.execute("mkdir -p " .. root .. "/tiny")
  files.write(root .. "/tiny/meta.json", '{"vocab_size": 12}')
  local p = made(('grid = { { "dropout", { 0.1 } } }, set = { dataset = "tiny", data_dir = "%s" }'):format(root))
  check.equal(p.shapes[1].name, "notebook_small-vocab_size@12")
end)

check.test("the FLOP of a run that continues another are those that it adds", function()
  local p = made('grid = { { "max_iters", { 100, 200 } } }, set = { eval_interval = 50, eval_iters = 3 }')
  cost.measure_shape(p.shapes[1])
  local token = p.shapes[1].flops_per_token
  local batch = 32 * 128
  check.equal(p.shapes[1].params, 215873)
  check.equal(cost.flops(p.runs[1], 0, 100), token * (101 * batch + 3 * 2 * 3 * batch / 3))
  check.equal(cost.flops(p.runs[2], 101, 200), token * (100 * batch + 2 * 2 * 3 * batch / 3))
  check.equal(cost.flops(p.runs[2], 201, 200), 0.0)
end)

check.test("Muon's products are counted, once an iteration, and its memory", function()
  local fields = 'grid = { { "max_iters", { 100 } } }, set = { eval_interval = 50, gradient_accumulation_steps = 3'
  local p, q = made(fields .. " }"), made(fields .. ', optimizer = "muon" }')
  cost.measure_shape(p.shapes[1])
  cost.measure_shape(q.shapes[1])
  local c = p.runs[1].config
  local C, L = c.n_embd, c.n_layer
  -- XX^T and AA are symmetric; q, k, v together, attention's output, and both layers behind it.
  local each = 5 * L * ((3 + 1 + 4 + 4) * (C * C * (C + 1) + 2 * C ^ 3) + 4 * C * C * (C + 1))
  check.equal(cost.flops(q.runs[1], 0, 9) - cost.flops(p.runs[1], 0, 9), 10 * each)
  local more = q.shapes[1].plan_bytes - p.shapes[1].plan_bytes
  check.equal(more >= 4 * L * (2 * 4 + 2) * C * C and more < 4 * L * (2 * 4 + 3) * C * C, true, more)
end)

check.test("evaluations of HellaSwag are counted, by the items in the file's header", function()
  os.execute("mkdir -p " .. root .. "/hellaswag")
  files.write(root .. "/hellaswag/hellaswag_val.bin", string.pack("<i4i4i4", 20240522, 1, 10) .. ("\0"):rep(1012))
  local fields = 'grid = { { "max_iters", { 100, 200 } } }, set = { eval_interval = 50, eval_iters = 3'
  local p, q = made(fields .. " }"), made(fields .. ", hellaswag_interval = 40 }")
  cost.measure_shape(p.shapes[1])
  cost.measure_shape(q.shapes[1])
  -- 40 rows are two batches of 32; at 0, 40, 80 and, in the run that goes on, at 120, 160, 200.
  for i, range in ipairs({ { 0, 100 }, { 101, 200 } }) do
    p.runs[i].config.data_dir, q.runs[i].config.data_dir = root, root
    local more = cost.flops(q.runs[i], range[1], range[2]) - cost.flops(p.runs[i], range[1], range[2])
    check.equal(more, p.shapes[1].flops_per_token * (3 * 2 * 32 * 128) / 3)
  end
  check.equal(cost.hellaswag_items(root .. "/nowhere"), 0)
  files.write(root .. "/other/hellaswag/hellaswag_val.bin", ("x"):rep(1024))
  check.equal(cost.hellaswag_items(root .. "/other"), 0)
end)

check.test("keys that change together", function()
  local p = made('grid = { { { "n_embd", "n_head" }, { { 64, 4 }, { 128, 8 } } }, { "dropout", { 0.1, 0.2 } } }')
  check.equal(named(p), "exp01-ne64-nh4-d0.1 exp02-ne64-nh4-d0.2 exp03-ne128-nh8-d0.1 exp04-ne128-nh8-d0.2")
  check.equal(p.runs[3].config.n_head, 8)
  check.equal(#p.shapes, 2)
  measured(p)
  local factors = dkjson.decode(write.plan_json(p, 1)).factors
  check.equal(factors[1].key .. " " .. factors[2].key .. " with " .. factors[2].with, "n_embd n_head with n_embd")
  p = made('vary = { { { "n_embd", "n_head" }, { { 128, 8 }, { 32, 4 } } } }')
  check.equal(named(p), "exp00-base exp01-ne128-nh8 exp02-ne32-nh4")
  measured(p)
  check.equal(table.concat(dkjson.decode(write.plan_json(p, 1)).factors[2].values, " "), "4 8", "the base's once")
end)

check.test("a plain list of runs", function()
  local p = made("runs = { {}, { n_head = 8, dropout = 0.0 }, { n_layer = 2 } }, seeds = { 1, 2 }")
  check.equal(named(p), "exp01-base-s1 exp01-base-s2 exp02-nh8-d0-s1 exp02-nh8-d0-s2 exp03-nl2-s1 exp03-nl2-s2")
  check.equal(p.baseline.name, "exp01-base-s1")
  measured(p)
  local read_back = dkjson.decode(write.plan_json(p, 1))
  check.equal(read_back.kind, "runs")
  check.equal(read_back.factors[1].key .. " " .. table.concat(read_back.factors[1].values, " "), "n_layer 2 4")
  check.equal(read_back.runs[1].settings.n_head, 4)
end)

check.test("random runs: the same for a seed, more of them begin with the fewer", function()
  local fields = "random = { runs = %d, seed = %d, n_head = { 2, 4, 8 }, learning_rate = log(1e-4, 1e-2), " ..
    "warmup_iters = uniform(10, 500) }"
  local p = made(fields:format(12, 3))
  check.equal(#p.runs, 12)
  check.equal(named(p), named(made(fields:format(12, 3))))
  check.equal(named(made(fields:format(14, 3))):sub(1, #named(p)), named(p))
  if named(made(fields:format(12, 4))) == named(p) then error("another seed gives the same runs") end
  local low, heads = 0, {}
  for _, run in ipairs(p.runs) do
    local c = run.config
    heads[c.n_head] = true
    if c.learning_rate < 1e-4 or c.learning_rate > 1e-2 then error(c.learning_rate) end
    if c.learning_rate < 1e-3 then low = low + 1 end
    if math.type(c.warmup_iters) ~= "integer" or c.warmup_iters < 10 or c.warmup_iters > 500 then error(run.name) end
  end
  if low < 2 or low > 10 then error(low .. " of 12 below the middle of a logarithmic range") end
  check.equal(#p.shapes, (heads[2] and 1 or 0) + (heads[4] and 1 or 0) + (heads[8] and 1 or 0), "shapes")
end)

check.test("what is no model is skipped, and said", function()
  local p = made('grid = { { "n_head", { 4, 5 } }, { "n_embd", { 64, 80 } } }, skip_invalid = true')
  check.equal(named(p), "exp01-nh4-ne64 exp02-nh4-ne80 exp04-nh5-ne80")
  check.equal(#p.skipped, 1)
  check.equal(p.skipped[1].name, "exp03-nh5-ne64")
  if not p.skipped[1].why:find("^n_head = 5 does not divide n_embd = 64") then error(p.skipped[1].why) end
  check.equal(p.runs[3].index, 3)
  measured(p)
  check.equal(dkjson.decode(write.plan_json(p, 1)).skipped[1].name, "exp03-nh5-ne64")
end)

check.test("did you mean", function()
  check.raises(function() file.read("grid32_quik") end, 66, "no such sweep; did you mean grid32_quick%?")
  check.raises(function() read('return { base = "notebook_smal", grid = { { "n_head", { 4 } } } }') end, 66,
    "configs/notebook_smal.lua: no such config; did you mean notebook_small%?")
  check.raises(function() file.read("nothing_like_it") end, 66, "configs/sweeps/ holds those that there are")
end)

-- ---- what is refused ----------------------------------------------------------------------------

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

-- ---- what is written ----------------------------------------------------------------------------

check.test("plan.json", function()
  local p = measured(made('vary = { { "n_head", { 1, 8 } }, { "dropout", { 0.3 } } }'))
  local read_back = dkjson.decode(write.plan_json(p, 2))
  check.equal(read_back.format, 1)
  check.equal(read_back.kind, "vary")
  check.equal(read_back.base, "notebook_small")
  check.equal(table.concat(read_back.factors[1].values, " "), "4 1 8", "the base's value first")
  check.equal(read_back.runs[1].settings.n_head, 4)
  check.equal(read_back.runs[4].settings.dropout, 0.3)
  check.equal(read_back.runs[2].build, "build/notebook_small-n_head@1/cpu")
  check.equal(read_back.baseline, "exp00-base")
  check.equal(write.plan_json(p, 2), write.plan_json(p, 2), "the same text each time")
end)

check.test("sweep.mk has what is left to do", function()
  local p = measured(made('grid = { { "n_head", { 1, 4 } }, { "max_iters", { 100, 200 } } }'))
  local text = recipes.sweep_mk(p, 2, 1)
  check.equal(select(2, text:gsub("\nbuild%-%d+:", "")), 2, "builds")
  check.equal(text:match("\n(run%-2: [^\n]*)"), "run-2: build-1 run-1")
  if not text:find("'--checkpoint_interval=500'", 1, true) then error("no checkpoint at each evaluation") end
  p.runs[1].done, p.runs[3].done, p.runs[4].done = true, true, true
  text = recipes.sweep_mk(p, 2, 1)
  check.equal(text:match("\nall: ([^\n]*)"), "try-1 build-1 run-2")
  check.equal(text:match("\n(run%-2: [^\n]*)"), "run-2: build-1", "what is done is waited for by nobody")
end)

-- ---- edits --------------------------------------------------------------------------------------

-- A checkpoint without tensors, which names its run.
local function state_of(name)
  local header = ('{"__metadata__":{"of":"%s"}}'):format(name)
  header = header .. (" "):rep(-#header % 8)
  return string.pack("<I8", #header) .. header
end

-- The metrics.jsonl of a complete run.
local function metrics_of(c)
  local lines = {}
  for i = 0, c.max_iters do
    if i % c.eval_interval == 0 then
      lines[#lines + 1] = ('{"iter":%d,"train_loss":2,"val_loss":%g,"ms":10}'):format(i, 4 - i / c.max_iters)
    end
    lines[#lines + 1] = ('{"iter":%d,"loss":1,"ms":10}'):format(i)
  end
  return table.concat(lines, "\n") .. "\n"
end

-- Makes the folders of a plan's runs, as if all were trained and done.
local function train(p)
  folders.arrange(p, {}, function() end)
  for _, run in ipairs(p.runs) do
    files.write(run.folder .. "/metrics.jsonl", metrics_of(run.config))
    files.write(run.folder .. "/state.safetensors", state_of(run.name))
    files.write(run.folder .. "/ckpt.safetensors", state_of(run.name))
    files.write(run.folder .. "/run.json", ('{"name":"%s","run":{"out_dir":"out/sweeps/try/%s"}}'):format(run.name,
      run.name))
    files.write(run.folder .. "/status.json", '{"status":"done","code":0}\n')
  end
end

-- Plans `fields` over the folders that exist. Returns the plan, the output, and the names of runs that are done.
local function again(fields)
  local p, said, done = made(fields), {}, {}
  local changed, others = folders.match(p)
  folders.arrange(p, changed, function(line) said[#said + 1] = line end)
  for _, run in ipairs(p.runs) do
    if results.is_done(run.folder) then done[#done + 1] = run.name end
  end
  local left = {}
  for i, entry in ipairs(others) do left[i] = entry.name end
  return p, table.concat(said, "\n"), table.concat(done, " "), table.concat(left, " ")
end

local function fresh(fields)
  os.execute("rm -rf " .. root .. "/out")
  local p = made(fields)
  train(p)
  return p
end

local two = 'grid = { { "dropout", { 0.1, 0.2 } } }'

check.test("an unchanged sweep prints nothing", function()
  fresh(two)
  local _, said, done = again(two)
  check.equal(said, "")
  check.equal(done, "exp01-d0.1 exp02-d0.2")
end)

check.test("a changed setting sets all runs aside and says which setting", function()
  fresh(two)
  local _, said, done = again(two .. ", set = { learning_rate = 1e-3 }")
  check.equal(done, "")
  if not said:find("exp01-d0.1: changed (learning_rate 0.0003 → 0.001), so it is trained from scratch", 1, true) then
    error(said)
  end
  check.equal(files.read(root .. "/out/exp02-d0.2.previous/state.safetensors"), state_of("exp02-d0.2"), "kept")
end)

check.test("a key that changes no result changes nothing", function()
  fresh(two)
  local _, said, done = again(two .. ", set = { log_interval = 7 }")
  check.equal(said .. done, "exp01-d0.1 exp02-d0.2")
end)

check.test("a value put in between: runs keep their work under their new names", function()
  fresh(two)
  local p, said, done, left = again('grid = { { "dropout", { 0.05, 0.1, 0.15, 0.2 } } }')
  check.equal(done, "exp02-d0.1 exp04-d0.2")
  check.equal(left, "")
  check.equal(files.read(p.runs[2].folder .. "/state.safetensors"), state_of("exp01-d0.1"))
  if not said:find("exp04-d0.2: was exp02-d0.2 before", 1, true) then error(said) end
  check.equal(dkjson.decode(files.read(p.runs[2].folder .. "/run.json")).name, "exp02-d0.1")
  check.equal(dkjson.decode(files.read(p.runs[2].folder .. "/run.json")).run.out_dir, "out/sweeps/try/exp02-d0.1")
end)

check.test("another prompt: only the samples are made again", function()
  local p = fresh(two .. ', prompt = "a"')
  files.write(p.folder .. "/prompt.txt", "a")
  local _, said, done = again(two .. ', prompt = "b"')
  check.equal(done, "")
  check.equal(said, "the prompt has changed: runs that are trained write their samples again")
  check.equal(files.read(p.runs[1].folder .. "/state.safetensors"), state_of("exp01-d0.1"))
end)

check.test("runs that swap names", function()
  fresh(two)
  local p, _, done = again('grid = { { "dropout", { 0.2, 0.1 } } }')
  check.equal(done, "exp01-d0.2 exp02-d0.1")
  check.equal(files.read(p.runs[1].folder .. "/state.safetensors"), state_of("exp02-d0.2"))
end)

check.test("runs that are no longer wanted stay", function()
  fresh(two)
  local _, said, done, left = again('grid = { { "dropout", { 0.1 } } }')
  check.equal(said .. done .. left, "exp01-d0.1exp02-d0.2")
end)

check.test("more iterations resume the run; fewer start from scratch", function()
  fresh(two)
  local p, said, done = again(two .. ", set = { max_iters = 5000 }")
  check.equal(done, "")
  check.equal(files.read(p.runs[1].folder .. "/state.safetensors"), state_of("exp01-d0.1"))
  if not said:find("exp01-d0.1: max_iters 3000 → 5000, so it resumes", 1, true) then error(said) end
  fresh(two)
  p = again(two .. ", set = { max_iters = 50 }")
  check.equal(files.read(p.runs[1].folder .. "/state.safetensors"), nil)
end)

-- A sweep with budgets of 60 s, each of whose runs ended after 1,200 steps; result is what run.json says of them.
local timed = two .. ", set = { max_seconds = 60 }"
local function spent(result)
  local p = fresh(timed)
  for _, run in ipairs(p.runs) do
    local lines = metrics_of(setmetatable({ max_iters = 1199 }, { __index = run.config }))
    files.write(run.folder .. "/metrics.jsonl", lines .. '{"iter":1200,"train_loss":2,"val_loss":3,"ms":10}\n')
    files.write(run.folder .. "/run.json", result)
  end
  return p
end

check.test("runs that their budget ended are done", function()
  spent('{"result":{"num_steps":1200}}')
  local _, said, done = again(timed)
  check.equal(said .. done, "exp01-d0.1 exp02-d0.2")
  spent('{"result":3}') -- killed before run.json had its result
  _, said, done = again(timed)
  check.equal(said .. done, "exp01-d0.1 exp02-d0.2")
  spent('{"result":{"num_steps":1300}}')
  _, said, done = again(timed)
  check.equal(done, "")
  if not said:find("exp01-d0.1: not whole (metrics.jsonl has 1200 steps of 1300)", 1, true) then error(said) end
end)

check.test("a larger budget resumes the run, and so does none; a smaller one, or a first one, starts from scratch",
  function()
    local function kept(p) return files.read(p.runs[1].folder .. "/state.safetensors") == state_of("exp01-d0.1") end
    for _, set in ipairs({ "max_seconds = 90", "log_interval = 1", "max_seconds = 60, max_iters = 5000" }) do
      spent('{"result":{"num_steps":1200}}')
      local p, _, done = again(("%s, set = { %s }"):format(two, set))
      check.equal(done, "", set)
      check.equal(kept(p), true, set)
    end
    for _, set in ipairs({ "max_seconds = 30", "max_seconds = 90, max_iters = 50", "max_seconds = 90, beta2 = 0.9" }) do
      spent('{"result":{"num_steps":1200}}')
      check.equal(kept((again(("%s, set = { %s }"):format(two, set)))), false, set)
    end
    fresh(two)
    check.equal(kept((again(timed))), false)
  end)

check.test("a folder that does not say what it is is set aside", function()
  local p = fresh(two)
  files.write(p.runs[1].folder .. "/resolved.json", "{")
  local _, said, done = again(two)
  check.equal(done, "exp02-d0.2")
  if not said:find("it does not say what it is", 1, true) then error(said) end
end)

-- The files that a report or a longer run would read are checked, whatever status.json says.
for _, case in ipairs({
  { "an emptied state", "state.safetensors", "", "state.safetensors: has 0 bytes" },
  { "a cut state", "state.safetensors", state_of("exp01-d0.1"):sub(1, 30), "state.safetensors: its header would take" },
  { "no state", "state.safetensors", nil, "state.safetensors: cannot open" },
  { "no best weights", "ckpt.safetensors", nil, "ckpt.safetensors: cannot open" },
  { "best weights of another length", "ckpt.safetensors", state_of("exp01-d0.1") .. "more",
    "ckpt.safetensors: its tensors take 0 bytes, but 4 are there" },
  { "no log", "metrics.jsonl", nil, "metrics.jsonl has 0 steps of 3001" },
  { "half a log", "metrics.jsonl", '{"iter":0,"loss":1,"ms":10}\n', "metrics.jsonl has 1 steps of 3001" },
}) do
  check.test("status done, but incomplete: " .. case[1], function()
    local p = fresh(two)
    local damaged = p.runs[1].folder .. "/" .. case[2]
    os.remove(damaged)
    if case[3] then files.write(damaged, case[3]) end
    local _, said, done = again(two)
    check.equal(done, "exp02-d0.2")
    local wanted = "exp01-d0.1: not whole (" .. case[4]
    if said:sub(1, #wanted) ~= wanted or not said:find("so it is trained from scratch", 1, true) then error(said) end
    check.equal(files.read(root .. "/out/exp02-d0.2/state.safetensors"), state_of("exp02-d0.2"))
    local _, more = again(two)
    check.equal(more, "", "said once")
  end)
end

check.test("status done, but nothing is left", function()
  local p = fresh(two)
  for _, name in ipairs({ "state.safetensors", "ckpt.safetensors", "metrics.jsonl" }) do
    os.remove(p.runs[1].folder .. "/" .. name)
  end
  local _, said, done = again(two)
  check.equal(done, "exp02-d0.2")
  check.equal(said, "exp01-d0.1: metrics.jsonl has 0 steps of 3001, so it is trained from scratch")
end)

check.test("best weights need not exist if no evaluation saved any", function()
  local p = fresh(two .. ", set = { always_save_checkpoint = false, eval_interval = 5000 }")
  os.remove(p.runs[1].folder .. "/ckpt.safetensors")
  local _, said = again(two .. ", set = { always_save_checkpoint = false, eval_interval = 5000 }")
  check.equal(said, "")
end)

check.test("another text under a data set's name is another run", function()
  local function tokens(text)
    files.write(root .. "/words/train.bin", text:rep(100))
    files.write(root .. "/words/val.bin", text:rep(100))
    files.write(root .. "/words/meta.json", '{ "tokenizer": "char 61 62 63", "vocab_size": 3, "train_tokens": 200, ' ..
      '"val_tokens": 200 }')
    whole.forget()
  end
  local fields = ('%s, set = { dataset = "words", data_dir = "%s" }'):format(two, root)
  tokens("\0\0\1\0")
  fresh(fields)
  local _, said, done = again(fields)
  check.equal(said .. done, "exp01-d0.1 exp02-d0.2")
  tokens("\0\0\2\0")
  _, said, done = again(fields)
  check.equal(done, "")
  local wanted = "exp02%-d0.2: changed %(the data's hash %x+ → %x+%), so it is trained from scratch"
  if not said:find(wanted) then error(said) end
end)

-- ---- what runs wrote ----------------------------------------------------------------------------

check.test("metrics with a NaN and half a line", function()
  files.write(root .. "/m/metrics.jsonl", table.concat({
    '{"iter":0,"train_loss":4.25,"val_loss":4.5,"ms":100.5}',
    '{"iter":0,"loss":4.5,"lr":0.001,"grad_norm":1,"skipped":false,"ms":10.5,"tokens_per_s":5,"mfu":null}',
    '{"iter":1,"train_loss":null,"val_loss":null,"ms":100}',
    '{"iter":1,"hellaswag":0.25,"hellaswag_sum":0.5,"ms":0}',
    '{"iter":1,"loss":null,"lr":0.001,"ms":10}',
    '{"iter":2,"train_loss":2.5,"val_loss":2.75,"ms":100}',
    '{"iter":2,"loss":2.5,"lr":0.0',
  }, "\n"))
  local m = results.metrics(root .. "/m")
  check.equal(m.iters, 2)
  check.equal(m.steps, 2)
  check.equal(#m.evaluations, 3)
  check.equal(m.evaluations[2].val, nil)
  check.equal(m.best.val, 2.75)
  check.equal(m.best.iter, 2)
  check.equal(("%.4f"):format(m.seconds), "0.3210")
  check.equal(results.metrics(root .. "/nowhere").iters, 0)
end)

check.test("the line of a terminal fits, and names what is under way", function()
  local parts = { "12 of 32 done", "1 failed", "1h20m to go", ("x"):rep(60), "best 4.7123, exp03" }
  check.equal(progress.fit(parts, 80), "12 of 32 done; 1 failed; 1h20m to go; best 4.7123, exp03")
  for columns = 20, 130 do
    if #progress.fit(parts, columns) >= columns then error(columns) end
  end
  check.equal(progress.fit({ "1 of 2 done", "exp\xff1" }, 80), "1 of 2 done; exp\xff1") -- of a damaged plan
  local plan_json = { sweep = "line", jobs = 2, runs = {} }
  for i = 1, 3 do
    local folder = ("%s/line/exp0%d-x"):format(root, i)
    files.write(folder .. "/metrics.jsonl", ('{"iter":%d,"loss":1,"ms":10}\n'):format(10 * i - 1))
    plan_json.runs[i] = { name = ("exp0%d-x"):format(i), folder = folder, build = "build/none/cpu", first_iter = 0,
      iters = 100, flops = 1e6, whole_flops = 1e6 }
  end
  files.write(root .. "/line/exp02-x/lock", files.read("/proc/self/stat"):match("^%d+") .. "\n")
  files.write(root .. "/line/exp03-x/lock", "999999999\n")
  local t = progress.totals(plan_json)
  check.equal(table.concat(t.running, ", "), "exp02 20%")
  check.equal(t.flops, 6e5)
  check.equal(t.flops_left, 24e5)
end)

check.test("what is left is told from the speed of the last minutes", function()
  local marks, rate = progress.recent(nil, 1000, 5)
  check.equal(marks, "1000 5\n")
  check.equal(rate, nil)
  marks, rate = progress.recent(marks, 1010, 100)
  check.equal(rate, nil, "ten seconds say nothing")
  marks, rate = progress.recent(marks, 1100, 1005)
  check.equal(rate, 10.0)
  marks, rate = progress.recent(marks, 1400, 1305)
  check.equal(marks, "1100 1005\n1400 1305\n", "old marks are dropped")
  check.equal(rate, 1.0)
  check.equal(progress.recent("nonsense\n5 x\n", 1400, 7), "1400 7\n")
end)

check.test("numbers in words", function()
  check.equal(show.count(1234567), "1,234,567")
  check.equal(show.count(100), "100")
  check.equal(show.time(7.25), "7.2s")
  check.equal(show.time(61), "1m01s")
  check.equal(show.time(7260), "2h01m")
  check.equal(file.text(0.1), "0.1")
  check.equal(file.text(1 / 3), "0.3333333333333333")
  check.equal(file.text(0.0), "0")
end)

os.execute("rm -rf " .. root)
check.finish()
