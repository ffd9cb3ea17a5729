-- scale: is there a cliff? Times a step of many sizes of one model, each a build, and compares it with
-- its floor: the sum over kernels of the larger of FLOP / peak and bytes / bandwidth.
--
--   lua5.4 tests/bench/scale.lua [--full] [--continue] [--only=N] [--out=FOLDER] [key=value ...]
--
-- n_layer 4, vocabulary 65; n_embd 64 … 1024, block_size 32 … 1024, batch_size 1 … 64, powers of two;
-- heads of 64 columns (of 32 if n_embd is 64). Sizes whose plan is more than 4 GiB or that would take, at
-- half the peak, more than 5 s a step are left out. Of the rest, the default is the smallest and the largest
-- batch for each n_embd and for block_size 32, 256 and 1024, and 15 others by a fixed seed; --full is all.
-- --continue keeps the sizes that a stopped run has left in FOLDER's file of this machine, isa and compiler.
-- --only=N takes the first N, to try this script. key=value goes to every config (isa=avx2).
--
-- A size that seems too slow is timed again, up to three times, and the fastest run counts: the machine may
-- have been slow, not the program.
--
-- Then, in turns: odd sizes with round ones, and one thread with all. Writes FOLDER/scale-MACHINE-ISA.json,
-- .md and .svg again after each size; FOLDER is tests/bench/results by default.
-- BENCH_RUN: a command that runs each timed program (taskset, nice, flock).
package.path = "./?.lua;" .. package.path
local json = require("dkjson")
local results = require("tests.bench.results")
local draw = require("tests.bench.scale_svg")

local BASE, BUILD = "tests/bench/scale_base.lua", "build/scale"
local LIMIT_BYTES, LIMIT_SECONDS = 4 << 30, 5
local CLIFF, LEAST_FLOP = 0.6, 0.2e9
local OTHERS, TURNS, TRIES = 15, 3, 3
local SECONDS = 1 -- of timed steps for each size

-- Odd sizes, and the nearest round ones.
local pairs_of_sizes = {
  { { n_embd = 100, n_head = 5, block_size = 100, batch_size = 12 },
    { n_embd = 96, n_head = 3, block_size = 96, batch_size = 12 } },
  { { n_embd = 100, n_head = 5, block_size = 100, batch_size = 12 },
    { n_embd = 128, n_head = 4, block_size = 128, batch_size = 12 } },
  { { n_embd = 200, n_head = 10, block_size = 100, batch_size = 8 },
    { n_embd = 192, n_head = 6, block_size = 96, batch_size = 8 } },
  { { n_embd = 390, n_head = 6, block_size = 250, batch_size = 3 },
    { n_embd = 384, n_head = 6, block_size = 256, batch_size = 3 } },
}
-- Sizes whose time is nearly all products: here a second core should double the speed.
local sizes_for_threads = {
  { n_embd = 128, n_head = 2, block_size = 256, batch_size = 16 },
  { n_embd = 256, n_head = 4, block_size = 256, batch_size = 8 },
  { n_embd = 512, n_head = 8, block_size = 256, batch_size = 8 },
  { n_embd = 1024, n_head = 16, block_size = 256, batch_size = 4 },
}
local size_keys = { "n_embd", "n_head", "block_size", "batch_size" }

-- ---- one size ------------------------------------------------------------------------------------

local function text_of(size)
  local words = {}
  for i, key in ipairs(size_keys) do words[i] = ("%s=%d"):format(key, size[key]) end
  return table.concat(words, " ")
end

-- Runs a command; returns its output, and whether it succeeded.
local function run(command)
  local pipe = assert(io.popen(command .. " 2>&1", "r"))
  local output = pipe:read("a")
  return output, pipe:close()
end

-- Runs a command that must succeed; if it fails, the error is its last line.
local function must(size, command)
  local output, ok = run(command)
  if not ok then results.fail(70, "scale: %s: %s", text_of(size), output:match("([^\n]*)\n*$")) end
end

local function compile(size, words)
  must(size, ("make build CONFIG=%s SET=%s BUILD=%s PROGRAMS=bench"):format(BASE,
    results.quoted(text_of(size) .. " " .. table.concat(words, " ")), BUILD))
end

-- Emits the size's C and reads from it how many bytes and FLOP a step takes.
local function generate(size, words)
  local all = text_of(size) .. (#words > 0 and " " or "") .. table.concat(words, " ")
  must(size, ("lua5.4 gen/main.lua --build %s %s %s"):format(BUILD, BASE, all))
  local name = "scale_base-" .. all:gsub(" ", "-")
  local mk = results.read_text(("%s/%s/cpu/build.mk"):format(BUILD, name))
  size.program = ("%s/%s/cpu/bench"):format(BUILD, name)
  local text = results.read_text(mk:match("MODEL_DIR := (%S+)") .. "/train.c")
  local function number(field)
    local value = text:match("%." .. field .. " = ([%d.]+)")
    if not value then results.fail(70, "scale: %s: the emitted train.c does not say %s", text_of(size), field) end
    return tonumber(value)
  end
  size.bytes = 4 * (4 * number("state_floats") + number("acts_floats"))
  size.flop = number("flops_per_token") * size.batch_size * size.block_size
end

local function bench(size, flags)
  local path = os.tmpname()
  must(size, ("%s %s --seconds=%g --json=%s %s"):format(os.getenv("BENCH_RUN") or "", results.quoted(size.program),
    SECONDS, path, flags or ""))
  local figures = results.read(path)
  os.remove(path)
  figures.kernels = nil
  return figures
end

-- Figures of the fastest of up to TRIES runs; one is enough if it shows no cliff.
local function bench_fairly(size)
  local best
  for try = 1, TRIES do
    local figures = bench(size)
    if not best or figures.ms_median < best.ms_median then best = figures end
    best.runs = try
    if best.share_of_floor >= CLIFF then break end
  end
  return best
end

local function median(list)
  table.sort(list)
  local n = #list
  return n % 2 == 1 and list[n // 2 + 1] or (list[n // 2] + list[n // 2 + 1]) / 2
end

-- ---- which sizes ---------------------------------------------------------------------------------

local function powers(from, to)
  local list = {}
  while from <= to do
    list[#list + 1] = from
    from = from * 2
  end
  return list
end

-- All sizes, in order of n_embd, block_size, batch_size.
local function all_sizes()
  local list = {}
  for _, C in ipairs(powers(64, 1024)) do
    for _, T in ipairs(powers(32, 1024)) do
      for _, B in ipairs(powers(1, 64)) do
        list[#list + 1] = { n_embd = C, n_head = math.max(2, C // 64), block_size = T, batch_size = B }
      end
    end
  end
  return list
end

-- A rough FLOP count, so that sizes which are too large need not be emitted: 6 N + 12 L C T a token.
local function rough_flop(size)
  local C, tokens = size.n_embd, size.batch_size * size.block_size
  return tokens * (6 * 48 * C * C + 48 * C * size.block_size)
end

-- Chooses which of the sizes that fit are timed.
local function take(list, full)
  if full then return list end
  local first, last, taken = {}, {}, {}
  for i, size in ipairs(list) do
    local T = size.block_size
    if T == 32 or T == 256 or T == 1024 then
      local key = size.n_embd .. " " .. T
      first[key] = first[key] or i
      last[key] = i
    end
  end
  for _, ends in ipairs { first, last } do
    for _, i in pairs(ends) do taken[i] = true end
  end
  local rest = {}
  for i in ipairs(list) do
    if not taken[i] then rest[#rest + 1] = i end
  end
  local seed = 1337
  for _ = 1, math.min(OTHERS, #rest) do
    seed = (seed * 1103515245 + 12345) % 2147483648
    taken[table.remove(rest, seed // 65536 % #rest + 1)] = true
  end
  local sizes = {}
  for i, size in ipairs(list) do
    if taken[i] then sizes[#sizes + 1] = size end
  end
  return sizes
end

-- ---- the report ----------------------------------------------------------------------------------

local function row(cells) return "| " .. table.concat(cells, " | ") .. " |" end

local function is_cliff(size)
  return size.flop >= LEAST_FLOP and size.share_of_floor < CLIFF
end

local function size_row(size)
  return row { size.n_embd, size.n_head, size.block_size, size.batch_size, ("%.2f"):format(size.flop / 1e9),
    ("%.2f"):format(size.ms_median), ("%.2f"):format(size.floor_ms), ("%.0f%%"):format(100 * size.share_of_floor),
    ("%.0f%%"):format(100 * size.share_of_peak) }
end

local function markdown(all)
  local lines = {}
  local function add(...) lines[#lines + 1] = (...):format(select(2, ...)) end
  local counted, cliffs = 0, {}
  for _, size in ipairs(all.sizes) do
    if size.flop >= LEAST_FLOP then counted = counted + 1 end
    if is_cliff(size) then cliffs[#cliffs + 1] = size end
  end
  table.sort(cliffs, function(a, b) return a.share_of_floor < b.share_of_floor end)
  add("%s, %d cores, %d threads, %s, %s; %s.", all.machine, all.cores, all.threads, all.isa, all.compiler,
    all.date:sub(1, 10))
  add("")
  add("%d sizes, %d of them of at least %.1f GFLOP a step; %d of these below %.0f%% of their floor%s", #all.sizes,
    counted, LEAST_FLOP / 1e9, #cliffs, 100 * CLIFF, #cliffs > 0 and ":" or ".")
  if #cliffs > 0 then
    add("")
    add("%s", row { "n_embd", "n_head", "block_size", "batch_size", "GFLOP", "ms", "floor, ms", "of floor", "of peak" })
    add("%s", row { "---", "---", "---", "---", "---", "---", "---", "---", "---" })
    for _, size in ipairs(cliffs) do add("%s", size_row(size)) end
  end
  if #all.odd > 0 then
    add("")
    add("Odd sizes beside round ones, in turns:")
    add("")
    add("%s", row { "odd", "ms", "round", "ms", "time per FLOP, odd over round" })
    add("%s", row { "---", "---", "---", "---", "---" })
    for _, pair in ipairs(all.odd) do
      add("%s", row { pair.odd, ("%.2f"):format(pair.odd_ms), pair.round, ("%.2f"):format(pair.round_ms),
        ("%.2f"):format(pair.ratio) })
    end
  end
  if #all.second > 0 then
    add("")
    add("One thread beside %d, in turns:", all.threads)
    add("")
    add("%s", row { "size", "ms, 1 thread", ("ms, %d threads"):format(all.threads), "gain", "gain of the peak" })
    add("%s", row { "---", "---", "---", "---", "---" })
    for _, one in ipairs(all.second) do
      add("%s", row { one.size, ("%.2f"):format(one.ms_one), ("%.2f"):format(one.ms_all), ("%.2f×"):format(one.gain),
        ("%.2f×"):format(one.gain_of_peak) })
    end
  end
  return table.concat(lines, "\n") .. "\n"
end

local order = { "program", "machine", "cores", "threads", "isa", "compiler", "date", "sizes", "odd", "second" }

local function base_of(all, folder)
  return ("%s/scale-%s-%s"):format(folder, results.machine_slug(all), all.isa)
end

local function write(all, folder)
  local base = base_of(all, folder)
  local parts = {}
  for _, key in ipairs(order) do
    local value = all[key]
    if type(value) == "table" then
      local rows = {}
      for i, element in ipairs(value) do rows[i] = "    " .. json.encode(element) end
      value = #rows > 0 and "[\n" .. table.concat(rows, ",\n") .. "\n  ]" or "[]"
    else
      value = json.encode(value)
    end
    parts[#parts + 1] = ("  %s: %s"):format(json.encode(key), value)
  end
  results.write_text(base .. ".json", "{\n" .. table.concat(parts, ",\n") .. "\n}\n")
  results.write_text(base .. ".md", markdown(all))
  results.write_text(base .. ".svg", draw(all))
  return base
end

-- ---- the run -------------------------------------------------------------------------------------

local kept = { "runs", "ms_median", "ms_p10", "ms_p90", "steps", "gflops", "peak_gflops", "share_of_peak", "floor_ms",
  "share_of_floor", "peak_rss_bytes", "plan_bytes" }

local function new_record(figures)
  return { program = "bench-scale", machine = figures.machine, cores = figures.cores, threads = figures.threads,
    isa = figures.isa, compiler = figures.compiler, date = figures.date, sizes = {}, odd = {}, second = {} }
end

-- An earlier run's record of the same machine, isa and compiler, or an empty record.
local function continued(record, folder)
  local file = io.open(base_of(record, folder) .. ".json")
  if not file then return record end
  local before = json.decode(file:read("a"))
  file:close()
  if type(before) ~= "table" then return record end
  for key, value in pairs(record) do
    if type(value) == "table" then
      if type(before[key]) ~= "table" then return record end
    elseif key ~= "date" and before[key] ~= value then
      return record
    end
  end
  return before
end

-- The element of a list that has all the fields of `wanted`.
local function find(list, wanted)
  for _, element in ipairs(list) do
    local same = true
    for key, value in pairs(wanted) do same = same and element[key] == value end
    if same then return element end
  end
end

-- The sizes that fit, by the rough count and by their plan; `peak` in FLOP a second.
local function fitting(words, peak)
  local list = {}
  for _, size in ipairs(all_sizes()) do
    if rough_flop(size) / (peak / 2) <= LIMIT_SECONDS then
      generate(size, words)
      if size.bytes <= LIMIT_BYTES and size.flop / (peak / 2) <= LIMIT_SECONDS then list[#list + 1] = size end
    end
  end
  return list
end

-- Times several programs in turns: for each the medians of its median times and of its peaks.
local function in_turns(runs)
  local ms, peak = {}, {}
  for i = 1, #runs do ms[i], peak[i] = {}, {} end
  for turn = 1, TURNS do
    for i, one in ipairs(runs) do
      local figures = bench(one.size, one.flags)
      ms[i][turn], peak[i][turn] = figures.ms_median, figures.peak_gflops
    end
  end
  local list = {}
  for i = 1, #runs do list[i] = { ms = median(ms[i]), peak = median(peak[i]) } end
  return list
end

local function built(size, words)
  generate(size, words)
  compile(size, words)
  return size
end

local function compare_odd(all, pair, words)
  if find(all.odd, { odd = text_of(pair[1]), round = text_of(pair[2]) }) then return end
  local odd, round = built(pair[1], words), built(pair[2], words)
  local figures = in_turns { { size = odd }, { size = round } }
  local ratio = (figures[1].ms / odd.flop) / (figures[2].ms / round.flop)
  all.odd[#all.odd + 1] = { odd = text_of(odd), odd_ms = figures[1].ms, odd_flop = odd.flop, round = text_of(round),
    round_ms = figures[2].ms, round_flop = round.flop, ratio = ratio }
  print(("scale: %s beside %s: %.2f of its time per FLOP"):format(text_of(odd), text_of(round), ratio))
end

local function compare_threads(all, size, words)
  if find(all.second, { size = text_of(size) }) then return end
  built(size, words)
  local one, most = table.unpack(in_turns { { size = size, flags = "--threads=1" },
    { size = size, flags = "--threads=" .. all.threads } })
  all.second[#all.second + 1] = { size = text_of(size), ms_one = one.ms, ms_all = most.ms, gain = one.ms / most.ms,
    gain_of_peak = most.peak / one.peak }
  print(("scale: %s: %d threads are %.2f times as fast as one, their peak %.2f times one's"):format(text_of(size),
    all.threads, one.ms / most.ms, most.peak / one.peak))
end

local function parse_arguments()
  local options = { out = "tests/bench/results", words = {} }
  for _, word in ipairs(arg) do
    local name, value = word:match("^%-%-(%w+)=(.+)$")
    if word == "--full" or word == "--continue" then
      options[word:sub(3)] = true
    elseif name == "out" then
      options.out = value
    elseif name == "only" and tonumber(value) then
      options.only = tonumber(value)
    elseif word:find("^[a-z_]+=[^'%s]+$") then
      options.words[#options.words + 1] = word
    else
      results.fail(64, "scale: '%s' is not known; wanted [--full] [--continue] [--only=N] [--out=FOLDER] [key=...]",
        word)
    end
  end
  return options
end

results.main(function()
  io.stdout:setvbuf("line")
  local options = parse_arguments()
  local words = options.words
  -- The first size is to find out the machine and its peak.
  local first = built({ n_embd = 128, n_head = 2, block_size = 64, batch_size = 8 }, words)
  local figures = bench(first)
  local all = new_record(figures)
  if options.continue then all = continued(all, options.out) end
  local before = all.sizes
  all.sizes = {}
  local fit = fitting(words, figures.peak_gflops * 1e9)
  local sizes = take(fit, options.full)
  print(("scale: %d sizes fit, %d are timed"):format(#fit, #sizes))
  for i, size in ipairs(sizes) do
    if options.only and i > options.only then break end
    local is = {}
    for _, key in ipairs(size_keys) do is[key] = size[key] end
    local one = find(before, is)
    if not one then
      compile(size, words)
      figures = bench_fairly(size)
      one = is
      one.flop = figures.flop_per_step
      for _, key in ipairs(kept) do one[key] = figures[key] end
    end
    all.sizes[i] = one
    print(("scale: %d of %d, %s: %.2f ms, %.0f%% of the floor, %.0f%% of the peak"):format(i, #sizes, text_of(size),
      one.ms_median, 100 * one.share_of_floor, 100 * one.share_of_peak))
    write(all, options.out)
  end
  for i, pair in ipairs(pairs_of_sizes) do
    if options.only and i > options.only then break end
    compare_odd(all, pair, words)
    write(all, options.out)
  end
  for i, size in ipairs(sizes_for_threads) do
    if all.threads == 1 or options.only and i > options.only then break end
    compare_threads(all, size, words)
  end
  print(("written: %s.json, .md and .svg"):format(write(all, options.out)))
end)
