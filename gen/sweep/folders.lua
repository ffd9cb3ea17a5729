-- folders: finds what earlier starts of a sweep have left, and arranges it for this one. A run's folder says in
-- resolved.json what it computes, so that a run is found under another name, and a change is noticed.
local dkjson = require("dkjson")
local schema = require("gen.config.schema")
local files = require("gen.base.files")
local plan = require("gen.sweep.plan")
local results = require("gen.sweep.results")
local whole = require("gen.sweep.whole")

local folders = {}

local MOVING = "moving-"

local function rename(from, to)
  local ok, message = os.rename(from, to)
  if not ok then
    error({ code = 74, message = ("%s: cannot be renamed to %s: %s"):format(from, to, message) }, 0)
  end
end

local function exists(path) return os.rename(path, path) ~= nil end

local function read_identity(folder)
  local ok, resolved = pcall(dkjson.decode, files.read(folder .. "/resolved.json") or "")
  return ok and type(resolved) == "table" and type(resolved.run) == "table" and resolved.run or nil
end

-- Whether anything was trained there.
local function has_work(folder)
  return exists(folder .. "/state.safetensors") or exists(folder .. "/metrics.jsonl")
end

-- The run folders in a sweep's folder, those with a resolved.json or a state: { name, folder, identity }.
function folders.list(folder)
  local found = {}
  local pipe = io.popen("cd " .. files.quoted(folder) .. " 2>/dev/null && ls -d */resolved.json */state.safetensors " ..
    "2>/dev/null | LC_ALL=C sort", "r")
  local seen = {}
  for line in pipe:lines() do
    local name = line:match("^(.*)/[^/]*$")
    if not name:find(".previous", 1, true) and not seen[name] then
      seen[name] = true
      local path = folder .. "/" .. name
      found[#found + 1] = { name = name, folder = path, identity = read_identity(path) }
    end
  end
  pipe:close()
  return found
end

-- Finds the folder of each run. Sets run.has (an entry of the list, or nil), and returns the remaining folders: changed
-- = { { run, entry, difference } } have the name of a run but compute something else; others have a name that is not in
-- the plan.
function folders.match(p)
  local entries, by_name, taken = folders.list(p.folder), {}, {}
  for _, entry in ipairs(entries) do by_name[entry.name] = entry end
  for _, run in ipairs(p.runs) do
    local entry = by_name[run.name]
    local difference = entry and entry.identity and plan.difference(entry.identity, run.identity)
    if difference == "" or difference and plan.is_longer(entry.identity, run.identity) then
      run.has, taken[entry] = entry, true
      run.grown = difference ~= "" and difference or nil
    end
  end
  for _, run in ipairs(p.runs) do
    for _, entry in ipairs(run.has and {} or entries) do
      if not taken[entry] and entry.identity and plan.difference(entry.identity, run.identity) == "" then
        run.has, taken[entry] = entry, true
        break
      end
    end
  end
  local changed, others = {}, {}
  for _, run in ipairs(p.runs) do
    local entry = run.has
    local damage = entry and results.is_done(entry.folder) and whole.damage(entry.folder, entry.identity)
    if damage then
      changed[#changed + 1] = { run = run, entry = entry, difference = damage, damaged = true }
      run.has, run.grown = nil, nil
    end
  end
  for _, run in ipairs(p.runs) do
    local entry = by_name[run.name]
    if entry and not taken[entry] then
      changed[#changed + 1] = { run = run, entry = entry, difference = entry.identity and
        plan.difference(entry.identity, run.identity) or "it does not say what it is" }
      taken[entry] = true
    end
  end
  for _, entry in ipairs(entries) do
    if not taken[entry] then others[#others + 1] = entry end
  end
  return changed, others
end

-- A folder's name that is not taken: NAME.previous, NAME.previous2, ...
local function previous(folder)
  local n = 1
  while true do
    local path = folder .. ".previous" .. (n > 1 and n or "")
    if not exists(path) then return path end
    n = n + 1
  end
end

-- Puts a run's new name into its run.json.
local function rename_within(folder, old, new)
  local path = folder .. "/run.json"
  local text = files.read(path)
  if not text then return end
  local function plain(word) return (word:gsub("%p", "%%%0")) end
  local safe = new:gsub("%%", "%%%%")
  files.write(path, (text:gsub('"' .. plain(old) .. '"', '"' .. safe .. '"')
    :gsub("/" .. plain(old) .. '"', "/" .. safe .. '"')))
end

-- Sets aside the folders of changed runs, renames those of renamed runs, and writes into each what its run computes.
function folders.arrange(p, changed, say)
  for _, item in ipairs(changed) do
    if has_work(item.entry.folder) then
      local aside = previous(item.entry.folder)
      rename(item.entry.folder, aside)
      say(("%s: %s (%s), so it is trained from scratch; its old folder is now %s"):format(item.run.name,
        item.damaged and "not whole" or "changed", item.difference, aside))
    elseif item.damaged then
      os.remove(item.entry.folder .. "/status.json")
      say(("%s: %s, so it is trained from scratch"):format(item.run.name, item.difference))
    end
  end
  local moves = {}
  for _, run in ipairs(p.runs) do
    if run.has and run.has.name ~= run.name then moves[#moves + 1] = run end
  end
  -- First to temporary names: two runs may swap theirs.
  for _, run in ipairs(moves) do
    run.moving = ("%s/%s%s"):format(p.folder, MOVING, run.name)
    rename(run.has.folder, run.moving)
  end
  for _, run in ipairs(moves) do
    if exists(run.folder) then rename(run.folder, previous(run.folder)) end -- nothing was trained there
    rename(run.moving, run.folder)
    rename_within(run.folder, run.has.name, run.name)
    say(("%s: was %s before, and keeps what it has"):format(run.name, run.has.name))
  end
  local prompt = files.read(p.folder .. "/prompt.txt")
  local sampled = prompt == nil or prompt == p.sweep.prompt
  if not sampled then say("the prompt has changed: runs that are trained write their samples again") end
  for _, run in ipairs(p.own or p.runs) do
    if not sampled then os.remove(run.folder .. "/status.json") end
    if run.grown and results.is_done(run.folder) then
      os.remove(run.folder .. "/status.json")
      say(("%s: %s, so it resumes where it ended"):format(run.name, run.grown))
    end
    if not exists(run.folder) then os.execute("mkdir -p " .. files.quoted(run.folder)) end
    local order = { "format", "name", "run" }
    for _, key in ipairs(schema.keys) do order[#order + 1] = key.name end
    local text = dkjson.encode({ format = 1, name = run.name, run = run.identity }, { keyorder = order })
    files.write(run.folder .. "/resolved.json", text .. "\n", true)
  end
end

return folders
