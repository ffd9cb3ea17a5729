-- test_sweep: the plans of sweeps: which runs, their names, what is compiled and trained once, and what is written.
package.path = "./?.lua;" .. package.path
local check = require("tests.gen.check")
local dkjson = require("dkjson")
local cost = require("gen.sweep.cost")
local file = require("gen.sweep.file")
local files = require("gen.base.files")
local halving = require("gen.sweep.halving")
local keys = require("gen.config.keys")
local load = require("gen.config.load")
local made_sweep = require("tests.gen.made_sweep")
local names = require("gen.sweep.names")
local plan = require("gen.sweep.plan")
local recipes = require("gen.sweep.recipes")
local show = require("gen.sweep.show")
local write = require("gen.sweep.write")

local made = made_sweep.plan
local measured = made_sweep.measured
local read = made_sweep.read
local root = made_sweep.root

local function named(p)
  local list = {}
  for i, run in ipairs(p.runs) do list[i] = run.name end
  return table.concat(list, " ")
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

check.test("random64_quick", function()
  local p = shipped("random64_quick")
  check.equal(#p.runs, 64, "runs")
  check.equal(#p.shapes, 8, "shapes")
  check.equal(p.trainings, 64, "trainings")
  check.equal(table.concat(halving.rungs(p.sweep.halving, 800), " "), "160 320 640")
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

check.test("on a device two rows of blocks of a symmetric product are three quarters of it", function()
  local function on_device(more)
    return plan.make(read('return { base = "notebook_small", grid = { { "max_iters", { 100 } } }, set = { ' ..
      "eval_interval = 50, n_layer = 1, n_embd = 512, n_head = 8" .. more .. " } }"), { backend = "cuda" })
  end
  local p, q = on_device(""), on_device(', optimizer = "muon"')
  cost.measure_shape(p.shapes[1])
  cost.measure_shape(q.shapes[1])
  local C = 512
  local each = 5 * ((3 + 1 + 4 + 4) * (3 / 4 * 2 * C ^ 3 + 2 * C ^ 3) + 4 * 3 / 4 * 2 * C ^ 3)
  check.equal(cost.flops(q.runs[1], 0, 9) - cost.flops(p.runs[1], 0, 9), 10 * each)
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

made_sweep.remove()
check.finish()
