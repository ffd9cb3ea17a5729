-- same: whether every number is what it was: `make same`.
--
--   lua5.4 tests/same/same.lua [--update] [--quick] [--jobs N] [WORD ...]
--
-- Trains each case of cases.lua on each backend, instruction set and number of threads, a few steps each, samples
-- from the checkpoint, and holds what came out against the stored list, MACHINE.txt (`uname -m`), a line for each:
--
--   CASE BACKEND ISA THREADS state=… ckpt=… losses=… samples=…
--
-- state and ckpt are hashes of the files' tensors, in the order of their names, with types and shapes: how a file
-- begins and what else its header says does not count. losses is of what metrics.jsonl says of each iteration but for
-- speeds; samples of text, greedy and not, and of a prompt's attention weights.
--
-- The list holds on every machine of its kind: a value's arithmetic depends on its instruction set alone. CUDA is
-- emulated, whose arithmetic depends on none ("any"). Its sampler is the CPU's, built for this machine: of that the
-- texts alone, which a rounding does not change.
--
--   --update   writes the list anew; lines of instruction sets that this machine lacks stay
--   --quick    the cases marked quick, on the machine's best instruction set
--   WORD       only the lines that have one of the words
--
-- It uses the commands of the Makefile, metrics.jsonl and the safetensors format, and no module of the generator but
-- gen/base/files.lua. Everything that it makes lies in build/same.
package.path = "./?.lua;" .. package.path
local dkjson = require("dkjson")
local files = require("gen.base.files")
local cases = require("tests.same.cases")

local BUILD = "build/same"
local THREADS = { 1, 3 }
local isas_of = { -- what a machine runs, by the best that it has
  avx512 = { "avx512", "avx2", "generic" },
  avx2 = { "avx2", "generic" },
  neon = { "neon", "generic" },
  generic = { "generic" },
}

local function fail(message)
  io.stderr:write("same: ", message, "\n")
  os.exit(70)
end

local function output(command)
  local pipe = assert(io.popen(command, "r"))
  local text = pipe:read("a")
  return text, pipe:close()
end

-- Runs a command that must succeed. Returns what it printed; `what` is of whom an error speaks.
local function run(command, what)
  local errors = ("%s/run/%s.txt"):format(BUILD, what)
  local text, ok = output(("{ %s; } 2>%s"):format(command, files.quoted(errors)))
  if not ok then fail(("%s: failed: %s\n%s%s"):format(what, command, text:sub(-2000), files.read(errors) or "")) end
  os.remove(errors)
  return text
end

-- ---- hashes ---------------------------------------------------------------------------------------

local function hash(text, scratch)
  local path = scratch .. "/hashed"
  local file = assert(io.open(path, "wb"))
  assert(file:write(text) and file:close())
  return (output("sha256sum <" .. files.quoted(path))):sub(1, 12)
end

local function tensors(path, scratch)
  local text = files.read(path)
  if not text then return "none" end
  local length = string.unpack("<I8", text)
  local header, data = dkjson.decode(text:sub(9, 8 + length)), text:sub(9 + length)
  header.__metadata__ = nil
  local names, parts = {}, {}
  for name in pairs(header) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    local tensor = header[name]
    local from, to = table.unpack(tensor.data_offsets)
    parts[#parts + 1] = ("%s %s %s\n"):format(name, tensor.dtype, table.concat(tensor.shape, "x"))
    parts[#parts + 1] = data:sub(from + 1, to)
  end
  return hash(table.concat(parts), scratch)
end

local function losses(path, scratch)
  local lines = {}
  for line in io.lines(path) do
    local said = {}
    for _, key in ipairs { "iter", "loss", "lr", "grad_norm", "skipped", "train_loss", "val_loss" } do
      -- As it is written, not as a number that Lua writes again.
      local value = line:match('"' .. key .. '": *([^,}]+)')
      if value then said[#said + 1] = key .. "=" .. value end
    end
    lines[#lines + 1] = table.concat(said, " ") .. "\n"
  end
  return hash(table.concat(lines), scratch)
end

-- ---- one case -------------------------------------------------------------------------------------

-- sample: the command, without a prompt and the like.
local function samples(case, backend, sample, scratch, title)
  local said = {}
  local function say(flags) said[#said + 1] = run(sample .. flags, title) end
  say(" --num_samples=2 --max_new_tokens=40 --temperature=0.9 --top_p=0.95")
  -- A prompt, and more text behind it than fits into a short context.
  say(" --num_samples=1 --max_new_tokens=30 --temperature=0 --start='The gull sings of a ferry.'")
  if case.model ~= "bigram" and backend == "cpu" then
    local path = scratch .. "/attention.json"
    say((" --num_samples=0 --start='%s' --attention=%s"):format(("A net"):sub(1, case.block_size), path))
    said[#said + 1] = files.read(path):match('"attention":.*')
  end
  return hash(table.concat(said), scratch)
end

-- Prints the lines of a case on a backend and an instruction set.
local function one(name, backend, isa)
  local case
  for _, candidate in ipairs(cases.list) do
    if candidate.name == name then case = candidate end
  end
  local title = ("%s-%s-%s"):format(name, backend, isa)
  local scratch = ("%s/run/%s"):format(BUILD, title)
  assert(os.execute(("rm -rf %s && mkdir -p %s"):format(scratch, scratch)))
  local config = ("%s/%s/%s.lua"):format(BUILD, backend, name)
  files.write(config, cases.text(case, backend))
  local built_for = isa == "any" and "native" or isa
  run(("make build CONFIG=%s SET=isa=%s BACKEND=%s BUILD=%s PROGRAMS='train sample' %s"):format(config, built_for,
    backend, BUILD, backend == "cuda" and "EMULATED=1" or ""), title)
  local bin = ("%s%s/%s-isa@%s/%s"):format(BUILD, backend == "cuda" and "/emulated" or "", name, built_for, backend)
  for _, threads in ipairs(THREADS) do
    local out = ("%s/%d"):format(scratch, threads)
    local checkpoint = out .. "/ckpt.safetensors"
    run(("%s %s/train --out_dir=%s --threads=%d"):format(case.env or "", bin, out, threads), title)
    local sample = ("%s/sample --checkpoint=%s --threads=%d --seed=7"):format(bin, checkpoint, threads)
    print(("%s %s %s %d state=%s ckpt=%s losses=%s samples=%s"):format(name, backend, isa, threads,
      tensors(out .. "/state.safetensors", scratch), tensors(checkpoint, scratch),
      losses(out .. "/metrics.jsonl", scratch), samples(case, backend, sample, scratch, title)))
  end
  os.execute("rm -r " .. scratch)
end

-- ---- all of them ----------------------------------------------------------------------------------

-- What a line is of, and the rest of it.
local function split(line)
  return line:match("^(%S+ %S+ %S+ %S+) (.*)$")
end

local function read_list(path)
  local list = {}
  for line in (files.read(path) or ""):gmatch("[^\n]+") do
    local key, value = split(line)
    if key and not key:find("^%-%-") then list[key] = value end
  end
  return list
end

local function sorted(list)
  local keys = {}
  for key in pairs(list) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

-- The fields of two lines that differ, as "state, losses".
local function differing(a, b)
  local names = {}
  for name, value in b:gmatch("(%w+)=(%S+)") do
    if a:match(name .. "=(%S+)") ~= value then names[#names + 1] = name end
  end
  return table.concat(names, ", ")
end

local function main()
  local update, quick, jobs, words = false, false, nil, {}
  local i = 1
  while arg[i] do
    if arg[i] == "--one" then return one(arg[i + 1], arg[i + 2], arg[i + 3]) end
    if arg[i] == "--update" then update = true
    elseif arg[i] == "--quick" then quick = true
    elseif arg[i] == "--jobs" then jobs, i = arg[i + 1], i + 1
    else words[#words + 1] = arg[i] end
    i = i + 1
  end
  local machine = output("uname -m"):gsub("\n", "")
  local path = ("tests/same/%s.txt"):format(machine)
  local stored = read_list(path)
  if not next(stored) and not update then
    print(("%s: no list of this machine's kind is stored; make same UPDATE=1 writes one"):format(path))
    os.exit(77)
  end
  jobs = jobs or math.min(2, tonumber((output("nproc"))) or 1)

  -- A config, for what isa=native is here.
  files.write(BUILD .. "/cpu/bigram.lua", cases.text({ name = "bigram", model = "bigram" }, "cpu"))
  local native = output(("lua5.4 -E gen/main.lua --print isa %s/cpu/bigram.lua"):format(BUILD)):gsub("\n", "")
  local has = { any = true }
  for _, isa in ipairs(isas_of[native]) do has[isa] = true end

  local function wanted(case, backend, isa)
    if #words == 0 then return true end
    for _, word in ipairs(words) do
      if (case.name .. " " .. backend .. " " .. isa):find(word, 1, true) then return true end
    end
    return false
  end
  local tasks, first, computed = {}, {}, {}
  local function add(case, backend, isa)
    if not cases.text(case, backend) or not wanted(case, backend, isa) then return end
    -- The first of each builds what the others share.
    local shared = backend .. isa
    local into = first[shared] and tasks or first
    first[shared] = true
    into[#into + 1] = ("%s %s %s"):format(case.name, backend, isa)
    for _, threads in ipairs(THREADS) do computed[("%s %s %s %d"):format(case.name, backend, isa, threads)] = true end
  end
  for _, case in ipairs(cases.list) do
    if not quick or case.quick then
      for _, isa in ipairs(quick and { native } or isas_of[native]) do add(case, "cpu", isa) end
      add(case, "cuda", "any")
    end
  end
  if #first == 0 then fail("no line has one of these words: " .. table.concat(words, " ")) end

  local result = {}
  local function do_all(list, side_by_side)
    local input = BUILD .. "/run/tasks"
    files.write(input, table.concat(list, "\n") .. "\n")
    -- As many threads as are asked for, on every machine.
    local text = output(("DIECAST_PROCESSORS=4 xargs -P %s -L 1 lua5.4 -E tests/same/same.lua --one <%s"):format(
      side_by_side, input))
    for line in text:gmatch("[^\n]+") do
      local key, value = split(line)
      if not computed[key] then fail(line) end
      result[key] = value
    end
  end
  do_all(first, 1)
  if #tasks > 0 then do_all(tasks, jobs) end

  local passed, failed, broken, skipped = 0, 0, 0, 0
  local lacking = {}
  for _, key in ipairs(sorted(stored)) do
    local isa = key:match("^%S+ %S+ (%S+)")
    if not has[isa] then lacking[isa] = (lacking[isa] or 0) + 1 end
  end
  if not quick and #words == 0 then
    for _, isa in ipairs(sorted(lacking)) do
      print(("skipped: %d lines of %s, which this machine has not"):format(lacking[isa], isa))
      skipped = skipped + lacking[isa]
    end
    for _, key in ipairs(sorted(stored)) do
      if has[key:match("^%S+ %S+ (%S+)")] and not computed[key] then
        if update then stored[key] = nil else print(key .. ": no case makes this line") failed = failed + 1 end
      end
    end
  end
  for _, key in ipairs(sorted(computed)) do
    if not result[key] then
      print(key .. ": did not come to its end")
      broken = broken + 1
    elseif result[key] == stored[key] then
      passed = passed + 1
    elseif not stored[key] then
      print(key .. ": is new")
      failed = failed + 1
    else
      print(("%s: differs: %s"):format(key, differing(stored[key], result[key])))
      failed = failed + 1
    end
    if update then stored[key] = result[key] or stored[key] end
  end
  if update then
    local lines = {}
    for n, key in ipairs(sorted(stored)) do lines[n] = key .. " " .. stored[key] end
    files.write(path, table.concat(lines, "\n") .. "\n")
    print(path .. ": written; review the diff")
    os.exit(broken == 0)
  end
  if failed > 0 then print("make same UPDATE=1 writes the list anew, where the numbers are meant to differ") end
  print(("%d passed, %d failed, %d skipped"):format(passed, failed + broken, skipped))
  os.exit(failed + broken == 0)
end

main()
