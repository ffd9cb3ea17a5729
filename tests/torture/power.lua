-- power: cuts the power of scenes (scenes.lua) at every call that they make, on a disk that keeps no more than it must
-- (disk.lua).
--
--   lua5.4 tests/torture/power.lua TMP BIN TEXTS SEED cut RANDOM SHARE [WORD ...]
--   lua5.4 tests/torture/power.lua TMP BIN TEXTS SEED without RANDOM SHARE [WORD ...]
--
-- At each call, and for each way in which what is not synced may be lost: a file that came by a rename is one that was
-- whole; what was saved before the program went on is there, or what was saved later; nothing of before is lost; and
-- the same command again comes to the same bytes as without the cut.
--
-- without: the same with each fsync left out of the record in turn, which must be found. Those that do the same thing,
-- as the fsync of each state, count as one.
--
-- RANDOM: random ways at each call, beside those that disk.lua names. SHARE: of the disks whose names and bytes are in
-- order, on one of so many, taken at random, the command is run again; 1: on all. WORD: scenes whose name has one.
package.path = "./?.lua;" .. package.path
local break_off = require("tests.torture.break")
local disk = require("tests.torture.disk")
local scenes = require("tests.torture.scenes")

local tmp, bin, texts, seed, how, random_ways, share = table.unpack(arg, 1, 7)
seed, random_ways, share = tonumber(seed), tonumber(random_ways), tonumber(share)
local words = { table.unpack(arg, 8) }
local MOST_SAID = 5 -- of a scene's faults

local function wanted(name)
  for _, word in ipairs(words) do
    if name:find(word, 1, true) then return true end
  end
  return #words == 0
end

-- Numbers for bytes, so that two disks are easily compared.
local known, known_count = {}, 0
local function number_of(bytes)
  if not known[bytes] then
    known_count = known_count + 1
    known[bytes] = known_count
  end
  return known[bytes]
end

local function key_of(found, folders, required)
  local list = {}
  for path, bytes in pairs(found) do list[#list + 1] = path .. "=" .. number_of(bytes) end
  for path in pairs(folders) do list[#list + 1] = path end
  for path, n in pairs(required) do list[#list + 1] = path .. " saved " .. n end
  table.sort(list)
  return table.concat(list, "\n")
end

-- What is wrong with a disk by its names and bytes alone. versions: path to all bytes that it had under that name by
-- a rename, in order; required: path to the place in that list which was saved; beside: what lay beside each version of
-- the first saved file, path to bytes.
local function broken(stage, found, versions, required, beside)
  for path, list in pairs(versions) do
    local bytes, least = found[path], required[path] or 0
    local good = not bytes and least == 0
    for i = math.max(1, least), #list do good = good or bytes and bytes:sub(1, #list[i]) == list[i] end
    -- What lay there before; its rename, to be kept, may be lost.
    good = good or bytes and least == 0 and bytes == stage.before[path]
    if not good then
      local name = path:sub(#stage.box + 2)
      return bytes and ("%s is none of its %d whole versions, or older than number %d"):format(name, #list, least) or
        name .. " was saved and is not there"
    end
  end
  local first = stage.scene.saved[1] and stage.box .. "/" .. stage.scene.saved[1]
  for i, others in ipairs(beside) do
    for path, bytes in pairs(found[first] == versions[first][i] and others or {}) do
      local named = (stage.scene.becomes or {})[path:sub(#stage.box + 2)]
      local there = found[path] or named and found[stage.box .. "/" .. named] or ""
      if there:sub(1, #bytes) ~= bytes then
        return ("%s has not what it had beside version %d of %s"):format(path:sub(#stage.box + 2), i,
          stage.scene.saved[1])
      end
    end
  end
  return stage:lost(found)
end

-- Cuts the power behind each call of a record. one_of: how many of the disks that are in order the command is run
-- again on, 0 for none. on_problem(call, way, problem) returns true to stop. Returns how many cuts there were, and how
-- many different disks.
local function cut_power(stage, calls, said, one_of, on_problem)
  local d = disk.new(stage.box, stage.before, stage.folders)
  local saved, versions, required, beside, seen = {}, {}, {}, {}, {}
  for _, list in ipairs { stage.scene.saved, stage.scene.measured or {} } do
    for _, path in ipairs(list) do saved[stage.box .. "/" .. path] = true end
  end
  local ways = { table.unpack(disk.ways) }
  for i = 1, random_ways do ways[#ways + 1] = disk.random_way("random way " .. i, math.random) end
  local cuts, disks = 0, 0

  local function try(call, way)
    local found, folders = d:after_cut(way)
    local key = key_of(found, folders, required)
    cuts = cuts + 1
    if seen[key] then return false end
    seen[key] = true
    disks = disks + 1
    local problem = broken(stage, found, versions, required, beside)
    if not problem and one_of > 0 and math.random(one_of) == 1 then
      stage:put(found, folders)
      problem = stage:goes_on()
    end
    return problem and on_problem(call, way, problem)
  end

  for _, call in ipairs(calls) do
    d:apply(call)
    if call.call:find("^rename") and call.result == 0 then
      versions[call.path2] = versions[call.path2] or {}
      table.insert(versions[call.path2], d.now[call.path2].bytes)
      -- What is kept under another name is made anew.
      if not saved[call.path] then versions[call.path] = nil end
      if call.path2 == stage.box .. "/" .. (stage.scene.saved[1] or "") then
        local others = {}
        for _, path in ipairs(stage.scene.beside or {}) do
          others[stage.box .. "/" .. path] = d.now[stage.box .. "/" .. path].bytes
        end
        beside[#beside + 1] = others
      end
    end
    -- As soon as it turns to another file, or says anything, what it saved counts.
    local of = d.now[call.path]
    for path in pairs(saved) do
      if call.path == said or of and not of.folder and call.path ~= path and call.path2 ~= path then
        required[path] = versions[path] and #versions[path] or nil
      end
    end
    for _, way in ipairs(ways) do
      if try(call, way) then return cuts, disks end
    end
  end
  for path in pairs(versions) do required[path] = #versions[path] end
  local last = { number = #calls + 1, call = "its end", path = "" }
  for _, way in ipairs(ways) do
    if try(last, way) then break end
  end
  return cuts, disks
end

local function short(stage, path) return path:sub(#stage.box + 2) end

local total = { calls = 0, cuts = 0, disks = 0, failed = 0 }

local function cut_scene(scene)
  local stage = break_off.stage(scene, tmp, bin, texts)
  local log, said = stage:record(true)
  local calls, failed = disk.read(log), 0
  local cuts, disks = cut_power(stage, calls, said, share, function(call, way, problem)
    failed = failed + 1
    if failed <= MOST_SAID then
      print(("%s: power cut behind call %d (%s %s), %s: %s"):format(scene.name, call.number, call.call,
        short(stage, call.path), way.name, problem))
    end
  end)
  print(("%s: %d calls, %d different disks, %d bad"):format(scene.name, #calls, disks, failed))
  total.calls, total.cuts = total.calls + #calls, total.cuts + cuts
  total.disks, total.failed = total.disks + disks, total.failed + failed
end

-- What an fsync is of: its file, or its folder and what was done there last.
local function purpose(stage, calls, i)
  local path = calls[i].path
  for k = i - 1, 1, -1 do
    local call = calls[k]
    local entry = call.path2 ~= "" and call.path2 or call.path
    local makes = call.made or call.call:find("^rename") or call.call:find("^mkdir") or call.call:find("^link")
    if makes and call.result >= 0 and entry:match("^(.*)/") == path then
      return ("folder of %s, behind %s"):format(short(stage, entry), call.call)
    end
    if call.data and call.path == path then break end
  end
  return "bytes of " .. short(stage, path)
end

-- Which fsyncs there are, and which of them were found missing: purpose to true or false.
local needed = {}

local function without_each(scene, one_of)
  local stage = break_off.stage(scene, tmp, bin, texts)
  local log, said = stage:record(true)
  local calls = disk.read(log)
  local d = disk.new(stage.box, stage.before, stage.folders)
  for i, call in ipairs(calls) do
    local syncs = call.call == "fsync" or call.call == "fdatasync"
    local what = syncs and d:is_unsynced(call.path) and purpose(stage, calls, i)
    d:apply(call)
    if what and not needed[what] then
      needed[what] = false
      local left = table.move(calls, 1, #calls, 1, {})
      table.remove(left, i)
      cut_power(stage, left, said, one_of, function(_, way, problem)
        needed[what] = true
        print(("%s without %s: %s: %s"):format(scene.name, what, way.name, problem))
        return true
      end)
    end
  end
end

local function of_each_scene(run, ...)
  for _, scene in ipairs(scenes.list) do
    if wanted(scene.name) then run(scene, ...) end
  end
end

math.randomseed(seed)
if how == "without" then
  of_each_scene(without_each, 0) -- most show in names and bytes alone
  of_each_scene(without_each, share)
  local found, all = 0, 0
  for what, is in pairs(needed) do
    all, found = all + 1, found + (is and 1 or 0)
    if not is then print("not missed: " .. what) end
  end
  print(("%d of %d fsyncs are missed where they are left out"):format(found, all))
  os.exit(found == all)
end
of_each_scene(cut_scene)
print(("%d calls, %d power cuts, %d different disks, %d bad"):format(total.calls, total.cuts, total.disks,
  total.failed))
os.exit(total.failed == 0)
