-- test_wings.lua: the runtime's wings keep their order (runtime/wings.mk): none includes or calls a later one, except
-- for the few functions that emitted code calls, which the wing kernel declares. Faults are planted in copies.
--
-- It reads objects that all tests share: those of build/reference/bigram, for the CPU and for the emulated device.
local check = require "tests.gen.check"
local files = require "gen.base.files"

local place, wings = {}, {}
for wing in files.read("runtime/wings.mk"):match("\nwings := ([^\n]+)"):gmatch("%S+") do
  wings[#wings + 1] = wing
  place[wing] = #wings
end

local function lines(command)
  local pipe, list = assert(io.popen(command)), {}
  for line in pipe:lines() do list[#list + 1] = line end
  assert(pipe:close(), command)
  return list
end

local function must(command)
  assert(os.execute(command), command)
end

local tmp = lines("mktemp -d")[1]
local isa = files.read("build/reference/bigram/cpu/build.mk"):match("ISA := (%S+)")

-- ---- includes ----------------------------------------------------------------------------------------

-- The lines of folder/runtime that include a file of a later wing, or one that is in no wing.
local function wrong_includes(folder)
  local wrong = {}
  for _, line in ipairs(lines(("cd %s && grep -rn '#include \"runtime/' runtime"):format(folder))) do
    local wing, included = line:match("^runtime/(%w+)/.*#include \"runtime/(%w+)/")
    if not (place[wing] and place[included] and place[included] <= place[wing]) then wrong[#wrong + 1] = line end
  end
  return table.concat(wrong, "\n")
end

check.test("every folder of runtime is a wing", function()
  for _, folder in ipairs(lines("ls -d runtime/*/")) do
    local wing = folder:match("^runtime/(.*)/$")
    if not place[wing] then error(folder .. " is not in runtime/wings.mk") end
  end
end)

check.test("includes", function() check.equal(wrong_includes("."), "") end)

check.test("a planted include is found", function()
  must(("cp -r runtime %s && echo '#include \"runtime/train/train.h\"' >>%s/runtime/base/log.c"):format(tmp, tmp))
  local wrong = wrong_includes(tmp)
  check.equal(wrong:gsub(":%d+:", ":"), 'runtime/base/log.c:#include "runtime/train/train.h"')
end)

check.test("each header compiles alone", function()
  for _, header in ipairs(lines("ls runtime/*/*.h runtime/programs/*/*.h")) do
    must(("tests/strict.sh gcc -std=gnu11 -Wall -Wextra -fsyntax-only -I. -Ibuild/include -Itests/cuda/emulator " ..
      "-include %s -x c /dev/null"):format(header))
  end
end)

-- Emitted code includes only headers of kernel, also indirectly: a change in the trainer's header recompiles no kernel.
for _, name in ipairs { "train", "sample" } do
  check.test("emitted " .. name .. ".c includes nothing but kernel", function()
    local model = files.read("build/reference/bigram/cpu/build.mk"):match("MODEL_DIR := (%S+)")
    local seen = 0
    for wing in files.read(("%s/%s.d"):format(model, name)):gmatch("%sruntime/(%w+)/") do
      check.equal(wing, "kernel")
      seen = seen + 1
    end
    assert(seen > 0)
  end)
end

-- ---- calls -------------------------------------------------------------------------------------------

-- The objects of each wing that was built, without programs, which may call all others.
local function objects()
  local list = {}
  for _, wing in ipairs(wings) do
    list[wing] = {}
    local built = (wing == "gpu" and "build/emulated/runtime/%s/emulated" or "build/runtime/%s"):format(isa)
    local sources = wing == "programs" and {} or lines(("ls runtime/%s/*.c 2>/dev/null || :"):format(wing))
    for _, source in ipairs(sources) do
      local object = source:gsub("^runtime", built):gsub("%.c$", ".o")
      assert(files.read(object), object .. " is not there; make test builds it")
      table.insert(list[wing], object)
    end
  end
  return list
end

-- Calls fn(object, letter, name) for all global symbols of some objects, with nm's letter for each.
local function each_symbol(list, fn)
  for _, line in ipairs(lines("nm -gA " .. table.concat(list, " "))) do
    local object, letter, name = line:match("^(.-):%x* +(%a) ([%w_]+)$")
    if object then fn(object, letter, name) end
  end
end

-- Calls of a later wing than the caller's. For a caller, what gpu defines in place of model is model's.
local function wrong_calls(list)
  local definer, wrong = {}, {}
  for _, wing in ipairs(wings) do
    if #list[wing] > 0 then
      each_symbol(list[wing], function(_, letter, name)
        if letter ~= "U" and not definer[name] then definer[name] = wing end
      end)
    end
  end
  for _, wing in ipairs(wings) do
    if #list[wing] > 0 then
      each_symbol(list[wing], function(object, letter, name)
        if letter == "U" and definer[name] and place[definer[name]] > place[wing] then
          wrong[#wrong + 1] = ("%s calls %s of %s"):format(object, name, definer[name])
        end
      end)
    end
  end
  return table.concat(wrong, "\n"), definer
end

check.test("calls", function()
  local wrong, definer = wrong_calls(objects())
  check.equal(wrong, "")
  -- Some of each, so that the test fails if nm prints nothing.
  for name, wing in pairs { die = "base", tokenizer_parse = "text", data_open = "files", sampler_open = "sample",
    model_init = "model", checkpoint_load = "train", gpu_open = "gpu" } do
    check.equal(definer[name], wing, name)
  end
end)

check.test("a planted call is found", function()
  local source, object = tmp .. "/planted.c", tmp .. "/planted.o"
  files.write(source, "int stop_asked(void);\nint log_planted(void) { return stop_asked(); }\n")
  must(("gcc -c -o %s %s"):format(object, source))
  local list = objects()
  table.insert(list.base, object)
  check.equal(wrong_calls(list), object .. " calls stop_asked of train")
end)

check.test("emitted code calls what kernel declares", function()
  local _, definer = wrong_calls(objects())
  local declared = table.concat(lines("cat runtime/kernel/*.h"), "\n")
  local model = files.read("build/reference/bigram/cpu/build.mk"):match("MODEL_DIR := (%S+)")
  local device = files.read("build/reference/bigram/cuda/build.mk"):match("MODEL_DIR := (%S+)")
  local calls = 0
  each_symbol({ model .. "/train.o", model .. "/sample.o",
    (device:gsub("^build/reference", "build/reference/emulated")) .. "/train.o" }, function(object, letter, name)
    if letter == "U" and definer[name] then
      calls = calls + 1
      assert(declared:find("%f[%w_]" .. name .. "%("), ("%s calls %s"):format(object, name))
    end
  end)
  assert(calls >= 6, calls)
end)

check.test("a sampler has nothing of the wing model, nor of its threads", function()
  local _, definer = wrong_calls(objects())
  local own = 0
  each_symbol({ "build/reference/bigram/cpu/sample" }, function(_, letter, name)
    own = own + (definer[name] == "sample" and 1 or 0)
    if letter ~= "U" and definer[name] and place[definer[name]] > place.sample then error(name) end
  end)
  assert(own > 0)
end)

os.execute("rm -r " .. tmp)
check.finish()
