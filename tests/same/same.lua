-- same: checks that no number has changed: `make same`.
--
--   lua5.4 tests/same/same.lua [--update] [--quick] [--jobs N] [WORD ...]
--
-- Trains each case of cases.lua on each backend, instruction set and number of threads, a few steps each, samples
-- from the checkpoint, and compares the results with the stored list, MACHINE.txt (`uname -m`), a line for each:
--
--   CASE BACKEND ISA THREADS state=… ckpt=… losses=… samples=…
--
-- state, ckpt and losses are hashes by hash.lua: of tensors, without the file's header, and of metrics.jsonl, without
-- speeds; samples is the hash of texts, greedy and not, and of a prompt's attention weights.
--
-- The list holds on every machine of its kind: results depend on the instruction set alone, not on the compiler
-- (CC=clang) or on which of libm's variants a processor uses. CUDA is emulated: its results do not depend on the
-- instruction set ("any"), but on the versions of g++ (whatever CC is) and libm, which stand for the device there. If
-- these differ from those in the list's head, its lines are skipped. Its sampler is the CPU's, built for this machine,
-- so only its texts count, which rounding does not change.
--
--   --update   rewrites the list; lines of instruction sets that this machine lacks are kept
--   --quick    the cases marked quick, on the machine's best instruction set
--   WORD       only the lines that have one of the words
--
-- It uses the commands of the Makefile, the files that hash.lua reads, and of the generator's modules only
-- gen/base/files.lua. Everything that it makes is in build/same.
package.path = "./?.lua;" .. package.path
local files = require("gen.base.files")
local cases = require("tests.same.cases")
local hash = require("tests.same.hash")

local BUILD = "build/same"
local THREADS = { 1, 3 }
local isas_of = { -- the instruction sets that a machine runs, by its best one
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

-- Runs a command that must succeed. Returns its output; `what` names it in an error.
local function run(command, what)
  local errors = ("%s/run/%s.txt"):format(BUILD, what)
  local text, ok = output(("{ %s; } 2>%s"):format(command, files.quoted(errors)))
  if not ok then fail(("%s: failed: %s\n%s%s"):format(what, command, text:sub(-2000), files.read(errors) or "")) end
  os.remove(errors)
  return text
end

-- ---- one case -------------------------------------------------------------------------------------

-- The hash of samples. `sample` is the sampler's command, without a prompt and the like.
local function samples(case, backend, sample, scratch, title)
  local said = {}
  local function say(flags) said[#said + 1] = run(sample .. flags, title) end
  say(" --num_samples=2 --max_new_tokens=40 --temperature=0.9 --top_p=0.95")
  -- A prompt, and more text after it than fits into a short context.
  say(" --num_samples=1 --max_new_tokens=30 --temperature=0 --start='The gull sings of a ferry.'")
  if case.model ~= "bigram" and backend == "cpu" then
    local path = scratch .. "/attention.json"
    say((" --num_samples=0 --start='%s' --attention=%s"):format(("A net"):sub(1, case.block_size), path))
    said[#said + 1] = files.read(path):match('"attention":.*')
  end
  return hash.text(table.concat(said))
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
    backend, BUILD, backend == "cuda" and "EMULATED=1 CC=gcc" or ""), title)
  local bin = ("%s%s/%s-isa@%s/%s"):format(BUILD, backend == "cuda" and "/emulated" or "", name, built_for, backend)
  for _, threads in ipairs(THREADS) do
    local out = ("%s/%d"):format(scratch, threads)
    local checkpoint = out .. "/ckpt.safetensors"
    run(("%s %s/train --out_dir=%s --threads=%d"):format(case.env or "", bin, out, threads), title)
    local sample = ("%s/sample --checkpoint=%s --threads=%d --seed=7"):format(bin, checkpoint, threads)
    print(("%s %s %s %d %s samples=%s"):format(name, backend, isa, threads, hash.run(out),
      samples(case, backend, sample, scratch, title)))
  end
  os.execute("rm -r " .. scratch)
end

-- ---- all of them ----------------------------------------------------------------------------------

-- A line's key (case, backend, instruction set, threads), and the rest of it.
local function split(line)
  return line:match("^(%S+ %S+ %S+ %S+) (.*)$")
end

local function read_list(path)
  local list = {}
  for line in (files.read(path) or ""):gmatch("[^\n]+") do
    local key, value = split(line)
    if key and line:sub(1, 1) ~= "#" then list[key] = value end
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

-- The best instruction set of this machine.
local function native()
  local config = BUILD .. "/native.lua"
  files.write(config, cases.text({ name = "native", model = "bigram" }, "cpu"))
  local isa = output("lua5.4 -E gen/main.lua --print isa " .. config):gsub("\n", "")
  return isas_of[isa] and isa or fail("the generator does not say what isa=native is")
end

-- The tasks, as arguments of --one, and the keys of the lines that they give. The first task of each backend and
-- instruction set builds what others share, so these run before all others, one at a time.
local function plan(isas, quick, words)
  local first, others, keys = {}, {}, {}
  local function wanted(title)
    for _, word in ipairs(words) do
      if title:find(word, 1, true) then return true end
    end
    return #words == 0
  end
  local function add(case, backend, isa)
    local title, kind = ("%s %s %s"):format(case.name, backend, isa), backend .. isa
    if not cases.text(case, backend) or not wanted(title) then return end
    local into = first[kind] and others or first
    first[kind] = true
    into[#into + 1] = title
    for _, threads in ipairs(THREADS) do keys[title .. " " .. threads] = true end
  end
  for _, case in ipairs(cases.list) do
    if not quick or case.quick then
      for _, isa in ipairs(isas) do add(case, "cpu", isa) end
      add(case, "cuda", "any")
    end
  end
  if #first == 0 then fail("no line has one of these words: " .. table.concat(words, " ")) end
  return first, others, keys
end

-- Does the tasks, `jobs` at a time; their lines go to `came`, by key. A task prints its own errors.
local function run_all(tasks, jobs, came)
  if #tasks == 0 then return end
  local list = BUILD .. "/run/tasks"
  files.write(list, table.concat(tasks, "\n") .. "\n")
  -- So that every machine runs as many threads as are asked for.
  local text = output(("DIECAST_PROCESSORS=4 xargs -P %s -L 1 lua5.4 -E tests/same/same.lua --one <%s"):format(jobs,
    list))
  for line in text:gmatch("[^\n]+") do
    local key, value = split(line)
    if key then came[key] = value end
  end
end

-- Lines of the list that no task of a whole run gives: those of instruction sets that this machine lacks are counted;
-- for others there is no case any more.
local function leftovers(stored, keys, isas)
  local here, lacking, stale = { any = true }, {}, {}
  for _, isa in ipairs(isas) do here[isa] = true end
  for _, key in ipairs(sorted(stored)) do
    local isa = key:match("^%S+ %S+ (%S+)")
    if not here[isa] then
      lacking[isa] = (lacking[isa] or 0) + 1
    elseif not keys[key] then
      stale[#stale + 1] = key
    end
  end
  return lacking, stale
end

-- The versions that emulated CUDA's numbers depend on, here and in the list.
local function emulated_by()
  local compiler, libc = output("g++ -dumpversion"):match("%d+"), output("getconf GNU_LIBC_VERSION"):match("[^\n]+")
  return ("g++ %s, %s"):format(compiler, libc)
end
local HEAD = "# CUDA's lines: "
local function stated(path)
  return (files.read(path) or ""):match("^" .. HEAD .. "([^\n]*)\n")
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
  local path = ("tests/same/%s.txt"):format((output("uname -m"):gsub("\n", "")))
  local stored = read_list(path)
  if not next(stored) and not update then
    print(path .. ": no list of this machine's kind is stored; make same UPDATE=1 writes one")
    os.exit(77)
  end

  local best = native()
  local isas = quick and { best } or isas_of[best]
  local first, others, keys = plan(isas, quick, words)
  local came = {}
  run_all(first, 1, came)
  run_all(others, jobs or math.min(2, tonumber((output("nproc"))) or 1), came)

  local passed, failed, unfinished, skipped = 0, 0, 0, 0
  local emulated, other = emulated_by(), 0
  local comparable = emulated == stated(path)
  local function is_wrong(key, what)
    print(key .. ": " .. what)
    failed = failed + 1
  end
  for _, key in ipairs(sorted(keys)) do
    if not came[key] then
      is_wrong(key, "did not come to its end")
      unfinished = unfinished + 1
    elseif came[key] == stored[key] then
      passed = passed + 1
    elseif key:find(" cuda ", 1, true) and stored[key] and not comparable then
      other = other + 1
    else
      is_wrong(key, stored[key] and "differs: " .. differing(stored[key], came[key]) or "is not in the list")
    end
    if update then stored[key] = came[key] or stored[key] end
  end
  if other > 0 then
    print(("skipped: %d lines of emulated CUDA that differ: they are of %s, and this is %s"):format(other,
      stated(path) or "another system", emulated))
    skipped = other
  end
  if not quick and #words == 0 then
    local lacking, stale = leftovers(stored, keys, isas)
    for _, isa in ipairs(sorted(lacking)) do
      print(("skipped: %d lines of %s, which this machine has not"):format(lacking[isa], isa))
      skipped = skipped + lacking[isa]
    end
    for _, key in ipairs(stale) do
      is_wrong(key, "is in the list, and no case gives it")
      if update then stored[key] = nil end
    end
  end
  if update then
    local lines = {}
    for n, key in ipairs(sorted(stored)) do lines[n] = key .. " " .. stored[key] end
    files.write(path, HEAD .. emulated .. "\n" .. table.concat(lines, "\n") .. "\n")
    print(path .. ": written; review the diff")
    os.exit(unfinished == 0)
  end
  if failed > 0 then print("make same UPDATE=1 rewrites the list, if the numbers are meant to differ") end
  print(("%d passed, %d failed, %d skipped"):format(passed, failed, skipped))
  os.exit(failed == 0)
end

main()
