-- cost: how much a sweep will take: FLOP, time, memory, disk. FLOP are nanoGPT's 6N + 12LHQT a token, a third of that
-- for an evaluation's tokens, which have no backward pass, and Muon's products in each iteration.
local dkjson = require("dkjson")
local bench = require("gen.base.bench")
local pipeline = require("gen.passes.pipeline")
local hash = require("gen.config.hash")
local emit = require("gen.emit.frames")
local files = require("gen.base.files")
local results = require("gen.sweep.results")

local cost = {}

local BUILD_SECONDS = 4  -- to compile a shape while others train
local PROGRAM_BYTES = 3 << 20 -- of a trainer besides its memory plan: its code and its libraries
local WORKSPACES = { 32 << 20, 256 << 20 } -- of cuBLASLt's products
local CHOICES_MAGIC, CHOICES = 20240522, 4 -- of HellaSwag's file; endings of an item (runtime/files/choices.c)
local START_SECONDS = 1  -- of a run besides training: its start, its two samples
-- For a guess if nothing was measured: lanes times pipes, with 2 FLOP for a multiply-add.
local FLOP_A_CYCLE = { avx512 = 64, avx512_bf16 = 128, avx2 = 32, neon = 16, neon_bf16 = 32, generic = 8 }
local SHARE = 0.7 -- of that: what small models reached on the machines that were tried

-- ---- FLOP and bytes -----------------------------------------------------------------------------

-- Bytes of the workspaces of products, as runtime/gpu/gemm.c chooses between them: the second where a model takes eight
-- times as much.
cost.workspaces = WORKSPACES
function cost.workspace(model) return WORKSPACES[model // 8 >= WORKSPACES[2] and 2 or 1] end

-- Reads from a shape's planned graph its parameters, FLOP a token and an update, bytes that an update moves on a
-- device, bytes of the plan, part by part too, and of a checkpoint.
function cost.measure_shape(shape)
  local c = setmetatable({}, { __index = shape.config })
  c.baked_text = hash.baked_text(c)
  local facts = emit.facts(pipeline.train(c, function() end), c, "", {})
  local state = 4 * facts.state_floats
  local moments = c.optimizer == "sgd" and 0 or 2
  local on_device = c.backend == "cuda"
  local weights = on_device and 4 * facts.device_floats or state
  shape.params, shape.params_nanogpt = facts.num_params, facts.num_params_nanogpt
  shape.flops_per_token, shape.flops_per_update = facts.flops_per_token, facts.flops_per_update
  shape.update_bytes = facts.update_bytes
  shape.parts = { weights = weights, gradients = weights, moments = moments * weights,
    image = 4 * facts.packed_floats, -- the weights as products read them
    activations = 4 * (facts.acts_floats + facts.muon_floats) }
  local model = 0
  for _, bytes in pairs(shape.parts) do model = model + bytes end
  shape.parts.rest = on_device and cost.workspace(model) or PROGRAM_BYTES
  shape.plan_bytes = model + shape.parts.rest
  shape.disk_bytes = state * (2 + moments) -- both checkpoints
end

-- The last iteration of a run, where max_seconds ends it if it makes `rate` FLOP/s; if that is nil, max_iters.
function cost.last(run, rate)
  local c, each = run.config, run.shape.flops_per_token
  if c.max_seconds == 0 or not rate then return c.max_iters end
  local steps = c.max_seconds * rate /
    (each * c.gradient_accumulation_steps * c.batch_size * c.block_size + run.shape.flops_per_update)
  return math.min(c.max_iters, math.tointeger(steps // 1))
end

local function evaluations(first, last, interval)
  return last // interval - (first + interval - 1) // interval + 1
end

-- The items of HellaSwag's file in a folder of data sets, by its header; 0 where there is no such file.
local items = {}
function cost.hellaswag_items(data_dir)
  if not items[data_dir] then
    local file = io.open(data_dir .. "/hellaswag/hellaswag_val.bin", "rb")
    local header = file and file:read(12)
    if file then file:close() end
    local magic, version, count = 0, 0, 0
    if header and #header == 12 then magic, version, count = string.unpack("<i4i4i4", header) end
    items[data_dir] = magic == CHOICES_MAGIC and version == 1 and math.max(0, count) or 0
  end
  return items[data_dir]
end

-- Tokens of an evaluation of HellaSwag: batches of rows, one for each ending of each item, the last one filled up
-- (runtime/train/hellaswag.c).
local function hellaswag_tokens(c)
  local rows = CHOICES * cost.hellaswag_items(c.data_dir)
  return (rows + c.batch_size - 1) // c.batch_size * c.batch_size * c.block_size
end

-- FLOP of iterations first .. last of a run, with the evaluations in between, of HellaSwag too.
function cost.flops(run, first, last)
  local c, each = run.config, run.shape.flops_per_token
  local batch = c.batch_size * c.block_size
  local iterations = math.max(0, last - first + 1)
  local steps = iterations * c.gradient_accumulation_steps * batch
  local evaluated = math.max(0, evaluations(first, last, c.eval_interval)) * 2 * c.eval_iters * batch
  if c.hellaswag_interval > 0 then
    evaluated = evaluated + math.max(0, evaluations(first, last, c.hellaswag_interval)) * hellaswag_tokens(c)
  end
  return each * (steps + evaluated / 3) + iterations * run.shape.flops_per_update
end

-- ---- how fast this machine is -------------------------------------------------------------------

-- How many threads may run at once, and how many bytes can be allocated, as the trainer itself finds out.
local known
local function limits()
  if not known then
    local pipe = io.popen("make --no-print-directory build/limits >&2 && build/limits", "r")
    local cores, bytes = pipe:read("n", "n")
    local _, _, code = pipe:close()
    if not bytes then
      error({ code = code ~= 0 and code or 70, message = "build/limits: could not be built or run" }, 0)
    end
    known = { cores = cores, bytes = bytes }
  end
  return known
end

function cost.cores() return limits().cores end

-- FLOP/s that the runs of this sweep have reached so far, JOBS at a time.
local function rate_of_runs(runs, jobs)
  local flops, seconds = 0, 0
  for _, run in ipairs(runs) do
    local m = results.metrics(run.folder)
    if m.steps > 0 then
      flops = flops + cost.flops(run, 0, m.iters - 1)
      seconds = seconds + m.seconds
    end
  end
  if seconds < 5 then return nil end
  return jobs * flops / seconds
end

-- The median of the results of bench on this machine, in FLOP/s, of those that no other process disturbed.
local function rate_of_benches()
  local list = {}
  local pipe = io.popen("ls build/*/cpu/bench.json 2>/dev/null", "r")
  for path in pipe:lines() do
    local ok, result = pcall(dkjson.decode, files.read(path) or "")
    local rate = ok and type(result) == "table" and not bench.is_disturbed(result) and tonumber(result.gflops)
    if rate and rate > 0 then list[#list + 1] = rate * 1e9 end
  end
  pipe:close()
  table.sort(list)
  return list[#list // 2 + 1], #list
end

local function rate_of_clock(isa)
  local text = files.read("/proc/cpuinfo") or ""
  local mhz = tonumber(text:match("cpu MHz%s*:%s*([%d.]+)")) or 2000
  return SHARE * mhz * 1e6 * (FLOP_A_CYCLE[isa] or 8) * cost.cores(), mhz
end

-- FLOP/s of all jobs together, and where that figure is from.
function cost.rate(p, jobs)
  local before = rate_of_runs(p.runs, p.jobs_before or jobs)
  if before then return before, "what its runs reached so far" end
  if p.backend ~= "cpu" then return nil end
  local benches, count = rate_of_benches()
  if benches then return benches, ("%d of make bench's results here"):format(count) end
  local guess, mhz = rate_of_clock(p.runs[1].config.isa)
  return guess, ("a guess: %d%% of %d cores at %.1f GHz, %d FLOP a cycle each"):format(100 * SHARE, cost.cores(),
    mhz / 1000, FLOP_A_CYCLE[p.runs[1].config.isa] or 8)
end

-- Seconds that `todo` runs with `flops` FLOP in all and `shapes` builds take.
function cost.seconds(flops, todo, shapes, rate, jobs)
  return flops / rate + (todo * START_SECONDS + shapes * BUILD_SECONDS) / jobs
end

-- ---- what the machine has -----------------------------------------------------------------------

function cost.memory_available() return limits().bytes end

function cost.disk_available()
  local pipe = io.popen("df -Pk . 2>/dev/null", "r")
  local kilobytes = tonumber((pipe:read("a")):match("\n%S+%s+%d+%s+%d+%s+(%d+)"))
  pipe:close()
  return kilobytes and kilobytes * 1024
end

-- Bytes of the largest plans that may be in memory at a time.
function cost.memory(runs, jobs)
  local plans = {}
  for i, run in ipairs(runs) do plans[i] = run.shape.plan_bytes end
  table.sort(plans, function(a, b) return a > b end)
  local total = 0
  for i = 1, math.min(jobs, #plans) do total = total + plans[i] end
  return total
end

return cost
