-- plan: `make plan`: what a job of many GPUs would take, on paper: memory of a rank, bytes that it sends, a step's
-- time, and its efficiency, the share of that time for which one GPU alone would have to work.
--
--   lua5.4 gen/plan.lua [--ranks N] [--nodes M] [--rates "NAME=NUMBER ..."] CONFIG.lua ... [key=value ...]
package.path = "./?.lua;" .. package.path
local assumed = require("gen.ranks.rates")
local command = require("gen.base.command")
local config = require("gen.config.load")
local cost = require("gen.sweep.cost")
local sandbox = require("gen.config.sandbox")
local scaling = require("gen.ranks.scaling")
local show = require("gen.sweep.show")

local MOST_RANKS = 65536
local EFFICIENT = 0.9 -- below it a job is said to scale no more

local function fail(format, ...) error({ code = 64, message = format:format(...) }, 0) end

-- ---- words --------------------------------------------------------------------------------------

local function count_of(word, text)
  if text == "" then return 1 end
  local count = text:find("^%d+$") and math.tointeger(tonumber(text))
  if not count or count < 1 or count > MOST_RANKS then
    fail("%s: '%s' is not a whole number from 1 to %d; give one, as in RANKS=64 NODES=8", word,
      sandbox.printable(text, 40), MOST_RANKS)
  end
  return count
end

-- The rates that are assumed, with those that a text states.
local function rates_of(text)
  local rates, names = {}, {}
  for name, value in pairs(assumed) do rates[name], names[#names + 1] = value, name end
  table.sort(names)
  for word in text:gmatch("%S+") do
    local name, number = word:match("^(%l+)=([%d.]+)$")
    local value = tonumber(number)
    if not rates[name] or not value or value <= 0 or value == math.huge or name == "share" and value > 100 then
      fail("RATES: '%s' is not NAME=NUMBER, a number above 0, of share at most 100; the names are: %s",
        sandbox.printable(word, 40), table.concat(names, ", "))
    end
    rates[name] = value
  end
  return rates
end

local function parse_arguments()
  local parser = command.parser("gen/plan.lua", "Says what a job of many GPUs would take, on paper.")
  parser:option("--ranks", "GPUs", "")
  parser:option("--nodes", "machines, with as many of them each", "")
  parser:option("--rates", "other rates than those of gen/ranks/rates.lua, as \"share=40 infiniband=25\"", "")
  parser:usage_max_width(100)
  local args = command.arguments("gen/plan.lua", parser)
  local configs, assignments = command.split(args.words)
  local ranks, nodes = count_of("RANKS", args.ranks), count_of("NODES", args.nodes)
  if ranks % nodes ~= 0 then
    fail("NODES: %d do not divide RANKS=%d; every node has as many GPUs, as in RANKS=64 NODES=8", nodes, ranks)
  end
  return configs, assignments, { ranks = ranks, nodes = nodes, each = ranks // nodes, rates = rates_of(args.rates) }
end

-- A config for a backend, with its planned graph's figures.
local function measured(configs, assignments, backend, warn)
  local shape = { config = config.load(configs, assignments, { backend = backend, warn = warn }) }
  cost.measure_shape(shape)
  return shape
end

-- ---- what it says -------------------------------------------------------------------------------

local function plural(n, one, many) return ("%s %s"):format(show.count(n), n == 1 and one or many) end

local function print_memory(p, cpu, cuda)
  local rows = {}
  local function row(title, shape, zero, kept, most)
    local s = scaling.states(shape, p.ranks, zero)
    local each = ("%g"):format(s.whole)
    if s.shared > 0 then each = ("%s + %g/%d"):format(each, s.shared, p.ranks) end
    if kept > 0 then each = ("%s + %d kept of 4"):format(each, kept) end
    local states = s.bytes + kept * shape.parts.gradients
    local all = states + shape.parts.activations + shape.parts.rest
    rows[#rows + 1] = { title, each, show.bytes(states), show.bytes(shape.parts.activations), show.bytes(all),
      most and (all <= most and "yes" or "no") or "" }
  end
  local c = cpu.config
  local groups, kept = scaling.groups(c.reduce_groups, p.micro_steps, p.ranks)
  if c.reduce == "fast" then groups, kept = p.ranks, 0 end
  local most = p.rates.gigabytes * 1e9
  row("CPU, as it is", cpu, false, kept or 0)
  if p.ranks > 1 then row("CPU, zero=1", cpu, true, kept or 0) end
  row(p.ranks > 1 and "CUDA, as CPUs do it: not there yet" or "CUDA, as it is", cuda, false, 0, most)
  if p.ranks > 1 then row("CUDA, ZeRO 1: not there yet", cuda, true, 0, most) end
  show.columns({ p.ranks > 1 and "memory of a rank" or "memory", ">bytes a parameter", ">weights, gradients, moments",
    ">activations", ">all", (">fits in %g GB"):format(p.rates.gigabytes) }, rows)
  if not kept then
    print(("CPU: a trainer refuses %d ranks here: they do not divide reduce_groups = %d; " ..
      "it takes them with reduce=fast"):format(p.ranks, groups))
  elseif kept > 0 then
    print(("CPU: gradients add in %d groups, so that %s kept beside the one that is computed"):format(groups,
      kept == 1 and "1 is" or kept .. " are"))
  end
end

local function milliseconds(seconds) return ("%.2f"):format(1e3 * seconds) end
local function percent(share) return ("%.1f%%"):format(100 * share) end

-- One step in both ways, line by line.
local function print_step(p, job)
  local s = scaling.step(job, p.ranks, p.each, p.rates)
  local rows = {}
  local function row(title, of)
    rows[#rows + 1] = { title, of(s.plain), p.ranks > 1 and of(s.zero) or "" }
  end
  if p.ranks > 1 then
    row(p.nodes > 1 and "a rank sends, and a node to others" or "a rank sends",
      function(way) return show.bytes(way.sent) end)
  end
  row("forward and backward, ms", function() return milliseconds(s.compute) end)
  if p.ranks > 1 then
    row("travel, ms", function(way) return milliseconds(way.travel) end)
    row("  of it not hidden, ms", function(way) return milliseconds(way.shown) end)
  end
  row("update, ms", function(way) return milliseconds(way.update) end)
  row("the step, ms", function(way) return milliseconds(way.seconds) end)
  row("tokens/s", function(way) return show.count(math.floor(way.tokens_per_s + 0.5)) end)
  if p.ranks > 1 then row("efficiency", function(way) return percent(way.efficiency) end) end
  show.columns({ ("a step of %s tokens"):format(show.count(job.micro_steps * job.micro_tokens)),
    p.ranks > 1 and ">all moments everywhere" or ">", p.ranks > 1 and ">ZeRO 1, overlapped" or ">" }, rows)
  local r = p.rates
  print(("assumed: passes at %g%% of %g TFLOP/s, in nanoGPT's FLOP; updates at %g TB/s of memory%s"):format(r.share,
    r.peak, r.memory, p.ranks > 1 and ";" or ""))
  if p.ranks > 1 then
    print(("  NVLink %g GB/s, InfiniBand %g GB/s, a GPU and way; nothing for latency, waiting, evaluations"):format(
      r.nvlink, r.infiniband))
  end
end

-- The same batch on fewer ranks, and where it ends.
local function print_ladder(p, job)
  local rows, ranks = {}, 1
  while ranks <= p.ranks do
    if job.micro_steps % ranks == 0 then
      local s = scaling.step(job, ranks, p.each, p.rates)
      rows[#rows + 1] = { tostring(ranks), tostring((ranks + p.each - 1) // p.each), tostring(job.micro_steps // ranks),
        milliseconds(s.plain.seconds), percent(s.plain.efficiency), milliseconds(s.zero.seconds),
        percent(s.zero.efficiency) }
    end
    ranks = ranks < p.ranks and math.min(2 * ranks, p.ranks) or ranks + 1
  end
  show.columns({ ">ranks", ">nodes", ">micro-steps each", ">ms a step", ">efficiency", ">ZeRO 1: ms a step",
    ">efficiency" }, rows)
  local function most(way)
    return plural(scaling.most(job, p.each, p.rates, way, EFFICIENT), "rank", "ranks")
  end
  print(("this batch, %s a step, is %g%% efficient up to %s with all moments everywhere, up to %s with ZeRO 1"):format(
    plural(job.sequences, "sequence", "sequences"), 100 * EFFICIENT, most("plain"), most("zero")))
  print(("  (powers of two, %s a node; beyond %s batch_size has to be smaller)"):format(
    plural(p.each, "GPU", "GPUs"), plural(job.micro_steps, "rank", "ranks")))
end

local function main()
  local configs, assignments, p = parse_arguments()
  local cuda = measured(configs, assignments, "cuda")
  assignments[#assignments + 1] = "dtype=float32" -- a CPU's memory, whatever dtype is; it has no float16
  local cpu = measured(configs, assignments, "cpu", function() end)
  local stated = cuda.config.gradient_accumulation_steps
  p.micro_steps = scaling.micro_steps(stated, p.ranks)
  local job = scaling.job(cuda, p.micro_steps)
  print(("%s: %s parameters, %s a token; %s"):format(cuda.config.name, show.count(cuda.params),
    show.scaled(cuda.flops_per_token, "FLOP"), p.ranks == 1 and "one process" or
    ("%s, %d on each of %s"):format(plural(p.ranks, "rank", "ranks"), p.each, plural(p.nodes, "node", "nodes"))))
  print("on paper: nothing here was measured")
  if p.ranks > 1 then
    print("ranks on GPUs have run on an emulator alone, without overlap; their ZeRO 1 keeps all weights in float:")
    print("  10 + 8/N bytes a parameter, not 6 + 12/N, and these travel (runtime/ranks)")
  end
  if p.micro_steps ~= stated then
    print(("planned with gradient_accumulation_steps = %d: a trainer refuses %d, which %d ranks do not divide"):format(
      p.micro_steps, stated, p.ranks))
  end
  print("")
  print_memory(p, cpu, cuda)
  print("")
  print_step(p, job)
  if p.ranks > 1 then
    print("")
    print_ladder(p, job)
  end
end

command.run(main)
