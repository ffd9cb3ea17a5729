-- kill: kills scenes (scenes.lua) at every call that they make, and at random times.
--
--   lua5.4 tests/torture/kill.lua TMP BIN TEXTS SEED calls SHARE [WORD ...]
--   lua5.4 tests/torture/kill.lua TMP BIN TEXTS SEED times KILLS [WORD ...]
--
-- calls: SIGKILL before, within and behind each call that touches a file; one of SHARE places is tried, taken at
-- random. What was saved then is there to the byte (a record of the same run says what that is).
-- times: KILLS kills at random times, of trainings that go on after each, until they are done. Other scenes are over
-- before a clock could meet them.
-- After each kill all that has a final name can be read, nothing of before is lost, and the same command again comes to
-- the same bytes as without the kill. WORD: scenes whose name has one of them.
package.path = "./?.lua;" .. package.path
local break_off = require("tests.torture.break")
local disk = require("tests.torture.disk")
local scenes = require("tests.torture.scenes")

local tmp, bin, texts, seed, how, count = table.unpack(arg, 1, 6)
seed, count = tonumber(seed), tonumber(count)
local words = { table.unpack(arg, 7) }
local MOST_SAID = 5 -- of a scene's faults

local kills, failed = 0, 0

local function wanted(name)
  for _, word in ipairs(words) do
    if name:find(word, 1, true) then return true end
  end
  return #words == 0
end

-- Counts a kill; says what is wrong after it.
local said_of = 0
local function counted(stage, where, problem)
  kills = kills + 1
  if not problem then return end
  failed, said_of = failed + 1, said_of + 1
  if said_of <= MOST_SAID then print(("%s: killed %s: %s"):format(stage.scene.name, where, problem)) end
end

-- ---- at a call ------------------------------------------------------------------------------------------

-- Whether the saved files in the box are those of the record so far.
local function saved_differ(stage, found, expected)
  for _, path in ipairs(stage.scene.saved) do
    local whole = stage.box .. "/" .. path
    if found[whole] ~= expected[whole] then return path .. " is not what was saved by then" end
  end
end

local function kill_at_calls(scene)
  local stage = break_off.stage(scene, tmp, bin, texts)
  local calls = disk.read((stage:record(false)))
  local d = disk.new(stage.box, stage.before, stage.folders)
  local function kill(number, call, when, expected)
    if math.random(count) > 1 then return end
    stage:reset()
    local code = stage:traced(("kill %d %s"):format(number, when))
    local where = ("%s call %d (%s %s)"):format(when, number, call.call, call.path:sub(#stage.box + 2))
    if code ~= 137 then
      counted(stage, where, ("it has not come there: exit code %d"):format(code))
      return
    end
    local found = stage:look()
    counted(stage, where, saved_differ(stage, found, expected) or stage:lost(found) or stage:goes_on())
  end
  for i, call in ipairs(calls) do
    local expected = d:after_kill()
    kill(i, call, "before", expected)
    if call.data and #call.data > 1 then kill(i, call, "within", expected) end
    d:apply(call)
    kill(i, call, "after", d:after_kill())
  end
end

-- ---- at a time ------------------------------------------------------------------------------------------

local function seconds()
  local file = io.open("/proc/uptime")
  local now = file:read("n")
  file:close()
  return now
end

-- Kills until it has killed so often; each chain of runs begins as the scene does and ends as it should.
local function kill_at_times(scene, wanted_kills)
  local stage = break_off.stage(scene, tmp, bin, texts)
  stage:reset()
  local start = seconds()
  stage:must(scene.command)
  local longest = math.max(seconds() - start, 0.02) * 1.2
  local done = 0
  while done < wanted_kills do
    stage:reset()
    local code, where = 137
    while code == 137 and done < wanted_kills do
      local after = math.random() * longest
      -- Waits until it is dead: its lock on the folder goes with it.
      code = stage:sh(("%s & sleep %.4f; kill -KILL $! 2>/dev/null; wait $!"):format(scene.command, after))
      where = ("%.1f ms after its start"):format(after * 1e3)
      if code == 137 then
        done = done + 1
        local found = stage:look()
        local problem = stage:lost(found) or stage:unreadable()
        counted(stage, where, problem)
        if problem then break end
      elseif code ~= 0 then
        kills = kills - 1
        counted(stage, where, stage:said(code))
      end
    end
    local problem = stage:goes_on()
    if problem then
      kills = kills - 1
      counted(stage, where .. " at last", problem)
    end
  end
end

math.randomseed(seed)
local chosen = {}
for _, scene in ipairs(scenes.list) do
  if wanted(scene.name) and (how == "calls" or scene.beside) then chosen[#chosen + 1] = scene end
end
for i, scene in ipairs(chosen) do
  local before, before_failed = kills, failed
  said_of = 0
  if how == "calls" then
    kill_at_calls(scene)
  else
    kill_at_times(scene, count * i // #chosen - count * (i - 1) // #chosen)
  end
  print(("%s: %d kills, %d bad"):format(scene.name, kills - before, failed - before_failed))
end
print(("%d kills, %d bad"):format(kills, failed))
os.exit(failed == 0)
