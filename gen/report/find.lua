-- find: the run folders that a command's words mean: patterns such as out/a* are expanded, and a sweep's folder
-- stands for its runs.
local read = require("gen.report.read")

local find = {}

local MOST_PLAN = 16 << 20
local OF_A_RUN = { "run.json", "metrics.jsonl", "resolved.json", "lock" }

local function fail(word, what) error({ code = 66, message = ("%s: %s"):format(word:gsub("%c", "?"), what) }, 0) end

local function is_run(folder)
  for _, name in ipairs(OF_A_RUN) do if read.exists(folder .. "/" .. name) then return true end end
  return false
end

local function is_sweep(folder) return read.exists(folder .. "/plan.json") end

-- The paths that a pattern matches, sorted.
local function matches(word)
  local escaped = word:gsub("[^%w/._*?%[%]-]", "\\%0")
  local pipe = io.popen(("LC_ALL=C; for f in %s; do printf '%%s\\n' \"$f\"; done"):format(escaped))
  local list = {}
  for path in pipe:lines() do if read.exists(path) then list[#list + 1] = path end end
  pipe:close()
  return list
end

-- The folders of a sweep's runs that there are, in its order, wherever the sweep's folder was copied to.
local function runs_of(folder)
  local object = read.object(folder .. "/plan.json", MOST_PLAN)
  local list = {}
  for _, item in ipairs(object and type(object.runs) == "table" and object.runs or {}) do
    local name = type(item) == "table" and read.string(item, "name")
    if name and not name:find("/", 1, true) and is_run(folder .. "/" .. name) then
      list[#list + 1] = folder .. "/" .. name
    end
  end
  if #list == 0 then fail(folder, "holds a sweep of which no run has started") end
  return list
end

-- The run folders of these words; or, if they are the folder of one sweep in out/sweeps, nil and its name. If they are
-- folders of sweeps alone, returns those as well.
function find.runs(words)
  local list, sweeps, others = {}, {}, false
  for _, word in ipairs(words) do
    word = word:gsub("(.)/+$", "%1")
    local there = read.exists(word)
    local found = there and { word } or word:find("[*?%[]") and matches(word) or {}
    local sweep = #words == 1 and #found == 1 and found[1]:match("^out/sweeps/([^/]+)$")
    if sweep and is_sweep(found[1]) then return nil, sweep end
    local count = #list
    for _, folder in ipairs(found) do
      if is_sweep(folder) then
        sweeps[#sweeps + 1] = folder
        for _, run in ipairs(runs_of(folder)) do list[#list + 1] = run end
      elseif is_run(folder) then
        list[#list + 1], others = folder, true
      end
    end
    if #found == 0 then fail(word, "there is no such folder; a run writes out/NAME") end
    if #list == count then
      fail(word, "holds no run; wanted the folder of a run or of a sweep, as out/NAME or out/sweeps/NAME")
    end
  end
  return list, nil, #sweeps > 0 and not others and sweeps or nil
end

return find
