-- test_scaling: `make plan`: what a job of many ranks takes, against figures computed by hand; and its command, with
-- good and bad words.
local check = require("tests.gen.check")
local config = require("gen.config.load")
local cost = require("gen.sweep.cost")
local files = require("gen.base.files")
local scaling = require("gen.ranks.scaling")

local PARAMS = 124373760 -- of gpt2: 12 (12 C^2 + 2 C) + 50304 C + 1024 C + C, C = 768

local function near(got, wanted, what)
  if math.abs(got - wanted) > 1e-6 * math.abs(wanted) then
    error(("%s: got %.9g, wanted %.9g"):format(what, got, wanted), 2)
  end
end

local function measured(backend, words)
  local shape = { config = config.load({ "configs/gpt2.lua" }, words or {}, { backend = backend }) }
  cost.measure_shape(shape)
  return shape
end

local cpu, cuda = measured("cpu"), measured("cuda")

-- ---- memory -------------------------------------------------------------------------------------

check.test("bytes a parameter: all moments everywhere, and shared out", function()
  local function states(shape, ranks, zero) return scaling.states(shape, ranks, zero).bytes / PARAMS end
  near(states(cpu, 8, false), 16, "a CPU")
  near(states(cpu, 8, true), 8 + 8 / 8, "a CPU, ZeRO 1")
  near(states(cuda, 8, false), 18, "CUDA")
  near(states(cuda, 64, true), 6 + 12 / 64, "CUDA, ZeRO 1")
  local plain = measured("cuda", { "dtype=float32", "n_layer=1" }) -- no image: as on a CPU
  near(scaling.states(plain, 4, true).bytes / (plain.parts.weights / 4), 8 + 8 / 4, "float32")
  local sgd = measured("cuda", { "optimizer=sgd", "n_layer=1" }) -- no moments
  near(scaling.states(sgd, 4, true).bytes / (sgd.parts.weights / 4), 6 + 4 / 4, "sgd")
  local half = measured("cpu", { "dtype=bfloat16", "n_layer=1" }) -- an image, and all weights, since they travel
  near(scaling.states(half, 4, true).bytes / (half.parts.weights / 4), 10 + 8 / 4, "a CPU in bfloat16")
end)

check.test("a plan's parts are all of it; in bfloat16 the weights' image, on a device a workspace", function()
  for _, shape in ipairs { cpu, cuda } do
    local sum = 0
    for _, bytes in pairs(shape.parts) do sum = sum + bytes end
    check.equal(sum, shape.plan_bytes)
  end
  check.equal(cuda.parts.image, 2 * PARAMS)
  check.equal(cuda.parts.rest, 256 << 20, "eight times that are less than the model")
  check.equal(measured("cuda", { "n_layer=1", "batch_size=1" }).parts.rest, 32 << 20)
  check.equal(cpu.parts.image, 0)
  local half = measured("cpu", { "dtype=bfloat16", "n_layer=1" })
  check.equal(half.parts.image, half.parts.weights // 2)
end)

check.test("a CPU's groups of micro-steps are those of reduce.c", function()
  local most = files.read("runtime/ranks/reduce.c"):match("REDUCE_MOST_CHOSEN = (%d+)")
  local function groups(stated, micro_steps, ranks)
    local count, kept = scaling.groups(stated, micro_steps, ranks)
    return ("%d %s"):format(count, kept)
  end
  check.equal(groups(1, 1 << 20, 2), most .. " 2", "four groups of a rank: two are kept")
  check.equal(groups(1, 40, 1), "1 0")
  check.equal(groups(1, 40, 8), "8 0")
  check.equal(groups(1, 12, 2), "4 1")
  check.equal(groups(8, 40, 1), "8 3")
  check.equal(groups(1, 64, 64), "8 nil", "a trainer refuses that")
  check.equal(groups(1, 42, 3), "2 nil")
end)

check.test("micro-steps that the ranks divide", function()
  check.equal(scaling.micro_steps(40, 8), 40)
  check.equal(scaling.micro_steps(40, 64), 64)
  check.equal(scaling.micro_steps(40, 3), 39)
  check.equal(scaling.micro_steps(41, 3), 42)
  check.equal(scaling.micro_steps(1, 1), 1)
end)

-- ---- a step -------------------------------------------------------------------------------------

-- 8 micro-steps of 1,000 tokens, 1 MFLOP each, at 0.5 TFLOP/s: 16 ms; an update of 1 ms.
local rates = { peak = 1, share = 50, memory = 1, nvlink = 100, infiniband = 10, gigabytes = 1 }
local job = { micro_steps = 8, micro_tokens = 1000, sequences = 32, flops = 1e6, update_flops = 0, update_bytes = 1e9,
  gradients = 4e8, weights = 2e8 }

check.test("one rank sends nothing and is efficient", function()
  local s = scaling.step(job, 1, 1, rates)
  near(s.compute, 16e-3, "passes")
  near(s.plain.seconds, 17e-3, "the step")
  near(s.zero.seconds, 17e-3, "the step, ZeRO 1")
  near(s.plain.efficiency, 1, "efficiency")
  check.equal(s.plain.sent, 0.0)
  check.equal(s.zero.sent, 0.0)
  near(s.plain.tokens_per_s, 8000 / 17e-3, "tokens/s")
end)

check.test("four ranks of one node", function()
  local s = scaling.step(job, 4, 4, rates)
  near(s.plain.sent, 2 * 3 / 4 * 4e8, "an all-reduce")
  near(s.plain.seconds, (4 + 6 + 1) * 1e-3, "passes, 0.6 GB at 100 GB/s, the whole update")
  near(s.plain.efficiency, 17 / (4 * 11), "efficiency")
  near(s.zero.sent, 3 / 4 * (4e8 + 2e8), "a reduce-scatter and an all-gather")
  -- 3 ms of gradients beside 4/3 ms of the last backward pass; 1.5 ms of weights beside 0.25 of the update.
  near(s.zero.travel, 4.5e-3, "travel")
  near(s.zero.shown, (3 - 4 / 3 + 1.25) * 1e-3, "what nothing hides")
  near(s.zero.update, 0.25e-3, "a quarter of the update")
  near(s.zero.seconds, (4 + 3 - 4 / 3 + 1.5) * 1e-3, "the step")
end)

check.test("two nodes: the ports of one together, or NVLink if that is less", function()
  near(scaling.step(job, 4, 2, rates).plain.travel, 0.6 / 20, "two ports of 10 GB/s")
  near(scaling.step(job, 32, 16, rates).plain.travel, 2 * 31 / 32 * 0.4 / 100, "16 ports are more than NVLink")
end)

check.test("more ranks than micro-steps: a part of one each", function()
  local s = scaling.step(job, 16, 16, rates)
  near(s.compute, 1e-3, "half a micro-step")
  near(s.zero.shown, (3.75 - 2 / 3 + 1.875 - 1 / 16) * 1e-3, "hidden behind two thirds of that")
end)

check.test("Muon's products are a part of the update", function()
  local muon = setmetatable({ update_flops = 1e9 }, { __index = job })
  near(scaling.step(muon, 4, 4, rates).plain.update, 3e-3, "1 ms of bytes, 2 of FLOP")
end)

check.test("where a job stops scaling", function()
  local fast = setmetatable({ nvlink = 1e4 }, { __index = rates })
  -- 2 ranks: 8 + 0.04 + 1 ms, 17 / 18.08; 4: 4 + 0.06 + 1, 17 / 20.24.
  check.equal(scaling.most(job, 64, fast, "plain", 0.9), 2)
  check.equal(scaling.most(job, 64, fast, "plain", 0.95), 1)
  check.equal(scaling.most(job, 64, fast, "zero", 0.9), 32, "one sequence each")
end)

-- ---- the command --------------------------------------------------------------------------------

local function run(words)
  local pipe = io.popen("lua5.4 gen/plan.lua " .. words .. " 2>&1")
  local said = pipe:read("a")
  local _, _, code = pipe:close()
  return said, code
end

-- The cells of the row that begins with `title`, two blanks apart.
local function cells(said, title)
  local line = ("\n" .. said):match("\n" .. title:gsub("%p", "%%%0") .. "  +([^\n]*)")
  if not line then error(("no row '%s' in:\n%s"):format(title, said), 2) end
  return (line:gsub("  +", "|"))
end

check.test("64 GPUs on 8 nodes", function()
  local said, code = run("--ranks=64 --nodes=8 configs/gpt2.lua")
  check.equal(code, 0, said)
  for _, words in ipairs { "nothing here was measured", "ranks on GPUs have run on an emulator alone",
    "planned with gradient_accumulation_steps = 64: a trainer refuses 40, which 64 ranks do not divide",
    "CPU: a trainer refuses 64 ranks here: they do not divide reduce_groups = 8; it takes them with reduce=fast" } do
    if not said:find(words, 1, true) then error(("no '%s' in:\n%s"):format(words, said)) end
  end
  local function begins(title, wanted) check.equal(cells(said, title):sub(1, #wanted), wanted, title) end
  begins("CPU, as it is", "16|2.0 GB|")
  begins("CPU, zero=1", "8 + 8/64|1.0 GB|")
  begins("CUDA, as CPUs do it: not there yet", "18|2.2 GB|")
  begins("CUDA, ZeRO 1: not there yet", "6 + 12/64|770 MB|")
  -- 63/64 of 8 and of 6 bytes a parameter; at 8 * 50 GB/s.
  begins("a rank sends, and a node to others", "979 MB|735 MB")
  begins("travel, ms", "2.45|1.84")
  -- 12,288 tokens of 6 (N - 1024 C) + 12 L C T FLOP at 494.5 TFLOP/s; 34 bytes a parameter at 4.3 TB/s.
  begins("forward and backward, ms", "21.24|21.24")
  begins("update, ms", "0.98|0.02")
  begins("the step, ms", "24.67|21.85")
  begins("efficiency", "86.2%|97.3%")
end)

check.test("one process, and other rates", function()
  local said, code = run("--rates='share=25 memory=8.6' configs/gpt2.lua")
  check.equal(code, 0, said)
  check.equal(cells(said, "forward and backward, ms"), "1699.24") -- 40 times 21.24, twice
  check.equal(cells(said, "update, ms"), "0.49")
  check.equal(said:find("ZeRO"), nil, "nothing of several ranks")
end)

check.test("bad words end in one line", function()
  for _, case in ipairs {
    { "--ranks=0 configs/gpt2.lua", "RANKS: '0' is not a whole number from 1 to 65536" },
    { "--ranks=x configs/gpt2.lua", "RANKS: 'x' is not" },
    { "--ranks=99999999999999999999 configs/gpt2.lua", "RANKS: '9" },
    { "--ranks=8 --nodes=-1 configs/gpt2.lua", "NODES: '-1' is not" },
    { "--ranks=8 --nodes=3 configs/gpt2.lua", "NODES: 3 do not divide RANKS=8" },
    { "--nodes=2 configs/gpt2.lua", "NODES: 2 do not divide RANKS=1" },
    { "--rates=fast configs/gpt2.lua", "RATES: 'fast' is not NAME=NUMBER" },
    { "--rates=speed=1 configs/gpt2.lua", "RATES: 'speed=1' is not" },
    { "--rates=share=101 configs/gpt2.lua", "RATES: 'share=101' is not" },
    { "--rates=nvlink=0 configs/gpt2.lua", "RATES: 'nvlink=0' is not" },
    { "--rates=nvlink=1.2.3 configs/gpt2.lua", "RATES: 'nvlink=1.2.3' is not" },
    { "--ranks=8", "none is named" },
    { "--ranks=8 configs/gpt2.lua n_head=7", "n_head = 7 does not divide n_embd = 768" },
  } do
    local said, code = run(case[1])
    check.equal(code, 64, case[1])
    check.equal(select(2, said:gsub("\n", "\n")), 1, "lines of: " .. said)
    if not said:find(case[2], 1, true) then error(("%s: '%s', wanted '%s'"):format(case[1], said, case[2])) end
  end
end)

check.test("make plan", function()
  local pipe = io.popen("MAKEFLAGS= make plan CONFIG=gpt2 SET=n_layer=1 RUN=--gradient_accumulation_steps=16 " ..
    "RANKS=16 NODES=2 RATES='share=40 nvlink=300' 2>&1")
  local said = pipe:read("a")
  assert(pipe:close(), said)
  for _, words in ipairs { "16 ranks, 8 on each of 2 nodes", "passes at 40% of 989 TFLOP/s", "NVLink 300 GB/s",
    "a step of 196,608 tokens", "next: make train CONFIG=gpt2" } do
    if not said:find(words, 1, true) then error(("no '%s' in:\n%s"):format(words, said)) end
  end
  check.equal(said:find("planned with", 1, true), nil, "as the command says")
end)

check.finish()
