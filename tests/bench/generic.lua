-- generic: times a config's step and its kernels in turns with those of the same config whose kernels take
-- their sizes as arguments (specialise=false), to show what baked sizes gain.
--
--   lua5.4 tests/bench/generic.lua [--rounds=3] PROGRAM OTHER [FLAG ...]
--
-- PROGRAM is build/NAME/cpu/bench, run before with the same FLAGs; OTHER is the bench of the config with
-- specialise=false. A round is a run of each, for the kernels, and short turns of steps. The results are
-- printed, and go into PROGRAM's bench.json as "generic".
package.path = "./?.lua;" .. package.path
local json = require("dkjson")
local results = require("tests.bench.results")
local serve = require("tests.bench.serve")

local SECONDS = "--seconds=0.5" -- of a run, unless the FLAGs have another
local TURNS, TURN_SECONDS = 4, 0.4 -- of steps in a round, for each; a turn has at least 2 steps

-- The op of a kernel's name: matmul_dx of matmul_dx_768x128x512_gelu_erf_backward, and of matmul_dx_any.
local function op_of(kernel)
  return kernel:match("^(.-)_%d") or kernel:match("^(.-)_any") or kernel
end

local function median(list)
  local sorted = { table.unpack(list) }
  table.sort(sorted)
  local middle = #sorted // 2
  return #sorted % 2 == 1 and sorted[middle + 1] or (sorted[middle] + sorted[middle + 1]) / 2
end

local function rounded(number, digits)
  return tonumber(("%." .. digits .. "f"):format(number))
end

local function read_arguments()
  local rounds, words, flags = 3, {}, {}
  local path
  for _, word in ipairs(arg) do
    local count = word:match("^%-%-rounds=(.*)$")
    if count and #words == 0 then
      rounds = tonumber(count:match("^%d%d?$"))
      if not rounds or rounds == 0 then
        results.fail(64, "generic: --rounds=%s: wanted a number from 1 to 99", count)
      end
    elseif #words < 2 then
      words[#words + 1] = word
    elseif word:find("^%-%-json=") then
      path = word:sub(8)
    else
      flags[#flags + 1] = results.quoted(word)
    end
  end
  if #words < 2 then
    results.fail(64, "generic: which programs? as in: generic.lua build/NAME/cpu/bench build/OTHER/cpu/bench")
  end
  return rounds, words[1], words[2], flags, path or words[1]:gsub("[^/]*$", "bench.json")
end

-- Runs a bench once; returns its figures.
local function run(program, flags, path)
  local ok, _, code = os.execute(("%s %s %s --json=%s >/dev/null"):format(results.quoted(program), SECONDS,
    table.concat(flags, " "), path))
  if not ok then results.fail(code, "generic: %s stopped with %d; run it alone", program, code) end
  return results.read(path)
end

-- Checks that both are of one config, and differ only in specialise and the tiling.
local function check_pair(ours, other, program)
  local function without_tiling(config) return (config:gsub(" tiling=[^ ]*", "")) end
  local text, found = without_tiling(other.config):gsub(" specialise=false", "")
  if found ~= 1 or text ~= without_tiling(ours.config) then
    results.fail(65, "%s: is not of the same config with specialise=false; build it so", program)
  end
end

-- Adds up a turn's kernels by op: sums[op] has a number for each turn.
local function add_ops(sums, figures, round)
  for _, kernel in ipairs(figures.kernels) do
    local op = op_of(kernel.name)
    sums[op] = sums[op] or {}
    sums[op][round] = (sums[op][round] or 0) + kernel.ms
  end
end

local function play(folder, rounds, programs, flags)
  local times, sums, last, servers = { {}, {} }, { {}, {} }, {}, {}
  for round = 1, rounds do
    for side, program in ipairs(programs) do
      last[side] = run(program, flags, folder .. "/bench.json")
      add_ops(sums[side], last[side], round)
    end
    check_pair(last[1], last[2], programs[2])
    for turn = 1, 2 * TURNS do
      local side = turn % 2 + 1
      servers[side] = servers[side] or serve.start(folder, side, programs[side], flags)
      local ms = serve.turn(servers[side], TURN_SECONDS)
      table.move(ms, 1, #ms, #times[side] + 1, times[side])
    end
    print(("generic: after round %d, ms: %.3f with its sizes baked in, %.3f without"):format(round,
      median(times[1]), median(times[2])))
  end
  return times, sums, last
end

local function summary(rounds, times, sums, last)
  local ours, other = median(times[1]), median(times[2])
  local ops = {}
  for op, turns in pairs(sums[1]) do
    local with, without = median(turns), median(sums[2][op] or { 0 })
    ops[#ops + 1] = setmetatable({ name = op, ms = rounded(with, 5), ms_generic = rounded(without, 5) },
      { __jsonorder = { "name", "ms", "ms_generic" } })
  end
  table.sort(ops, function(a, b) return a.ms > b.ms or a.ms == b.ms and a.name < b.name end)
  return setmetatable({ build = last[2].build, rounds = rounds, ms_median = rounded(ours, 4),
    ms_median_generic = rounded(other, 4), ratio = rounded(other / ours, 3), ops = ops },
    { __jsonorder = { "build", "rounds", "ms_median", "ms_median_generic", "ratio", "ops" } })
end

local function show(generic)
  print(("\n%-28s %9s %9s %9s"):format("in turns", "baked in", "generic", "ratio"))
  local function row(name, with, without)
    print(("%-28s %9.3f %9.3f %8.2fx"):format(name, with, without, without / with))
  end
  row("step, ms", generic.ms_median, generic.ms_median_generic)
  for _, op in ipairs(generic.ops) do
    if op.ms > 0 then row(op.name, op.ms, op.ms_generic) end
  end
end

-- bench.json with "generic" as its last member, on a separate line.
local function with_member(text, generic)
  text = text:gsub(',\n  "generic": [^\n]*', "")
  local body = text:match("^(.*)\n}\n*$")
  local whole = body and ('%s,\n  "generic": %s\n}\n'):format(body, json.encode(generic))
  return whole and json.decode(whole) and whole
end

results.main(function()
  io.stdout:setvbuf("line")
  local rounds, program, other, flags, path = read_arguments()
  local figures = results.read(path)
  if not figures then results.fail(65, "%s: was not written by the CPU's bench", path) end
  local times, sums, last = serve.in_folder(play, rounds, { program, other }, flags)
  if last[1].config ~= figures.config then
    results.fail(65, "%s: is of another config than %s; run bench first", path, program)
  end
  local generic = summary(rounds, times, sums, last)
  show(generic)
  local text = with_member(results.read_text(path), generic)
  if not text then results.fail(65, "%s: is not as bench writes it; measure again", path) end
  results.write_text(path, text)
  print(("\nkernels that take their sizes as arguments take %.2f times as long\nwritten: %s"):format(generic.ratio,
    path))
end)
