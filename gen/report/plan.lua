-- plan: a report's runs, and its factors, the settings that it studies: from a sweep's plan.json, or from any folders,
-- whose factors are the settings in which they differ.
local schema = require("gen.config.schema")
local read = require("gen.report.read")
local run = require("gen.report.run")

local plan = {}

local MOST_PLAN = 16 << 20
local MOST_RUNS = 4096
-- Keys that are no factors: those that change no result (except a run's length), and those that differ anyway.
local NO_FACTOR = { seed = true, always_save_checkpoint = true }
for _, key in ipairs(schema.keys) do
  if key.machine or key.changes == "nothing" and not key.length then NO_FACTOR[key.name] = true end
end

local function fail(path, what)
  error({ code = 65, message = ("%s: %s; run make sweep again, which writes it"):format(path, what) })
end

-- The order of a factor's values: numbers by size, all else as text.
local function before(a, b)
  if type(a) == "number" and type(b) == "number" then return a < b end
  return tostring(a) < tostring(b)
end

-- 0.10 as 0.1, 1000.0 as 1000.
function plan.text(value)
  if type(value) == "number" then return ("%.10g"):format(value) end
  return tostring(value)
end

local function index_of(list, value)
  for i, other in ipairs(list) do if other == value then return i end end
end

-- ---- a sweep ------------------------------------------------------------------------------------

-- Whether a path is inside the folder, with no way out of it.
local function is_inside(path, folder)
  return type(path) == "string" and path:find("^" .. folder .. "/[%w_.,=@+/-]+$") and not path:find("..", 1, true)
end

local function factor_list(path, list)
  local factors = {}
  for i, f in ipairs(type(list) == "table" and list or {}) do
    if type(f) ~= "table" or type(f.key) ~= "string" or type(f.values) ~= "table" or #f.values == 0 then
      fail(path, ("factor %d is not { key, values }"):format(i))
    end
    local values = {}
    for j, value in ipairs(f.values) do
      if type(value) == "table" then fail(path, ("value %d of %s is a table"):format(j, f.key)) end
      values[j] = value
    end
    factors[i] = { key = f.key, values = values, with = type(f.with) == "string" and f.with or nil }
  end
  return factors
end

-- The plan of a sweep in a file, as `name`, each run as read_run(item, name, max_iters) reads it; max_iters is nil
-- unless halving trains runs in parts.
local function from_object(path, name, object, read_run)
  if type(object.runs) ~= "table" or #object.runs == 0 then fail(path, "it lists no runs") end
  if #object.runs > MOST_RUNS then fail(path, ("more than %d runs"):format(MOST_RUNS)) end
  local factors = factor_list(path, object.factors)
  -- Runs that were drawn, or listed, are like any runs side by side.
  local kinds = { grid = "grid", vary = "vary", random = "runs", runs = "runs" }
  local p = { name = name, kind = kinds[object.kind] or "grid", how = read.string(object, "kind"),
    base = read.string(object, "base"), sweep = true, skipped = {}, factors = factors,
    runs = {}, seeds = {}, baseline = nil }
  local notes = read.string(object, "notes")
  p.notes = notes and notes:gsub("%c+", " ") or nil
  for _, item in ipairs(type(object.skipped) == "table" and object.skipped or {}) do
    local plain = read.plain(item)
    p.skipped[#p.skipped + 1] = ("%s: %s"):format(plain.name, plain.why)
  end
  local halved = type(object.halving) == "table"
  for i, item in ipairs(object.runs) do
    local run_name = type(item) == "table" and read.string(item, "name")
    if not run_name or run_name:find("/", 1, true) then fail(path, ("run %d has no name"):format(i)) end
    local r = read_run(item, run_name, halved and read.whole(item, "max_iters") or nil)
    r.training = halved and read.whole(item, "training") or nil
    r.settings, r.seed = read.plain(item.settings), read.whole(item, "seed")
    r.tags = {}
    for _, tag in ipairs(type(item.tags) == "table" and item.tags or {}) do
      if type(tag) == "string" then r.tags[#r.tags + 1] = tag end
    end
    r.build = is_inside(item.build, "build") and item.build or nil
    r.max_iters = r.max_iters or read.whole(r.settings, "max_iters")
    if r.seed and not index_of(p.seeds, r.seed) then p.seeds[#p.seeds + 1] = r.seed end
    if run_name == object.baseline then p.baseline = i end
    p.runs[i] = r
  end
  return p
end

-- A sweep's runs. Raises { code, message } if there is no plan, or what it holds is not one.
function plan.of_sweep(word)
  local name = word:gsub("^.*/", ""):gsub("%.lua$", "") -- a sweep can also be given by its file
  if not name:find("^[%w_.-]+$") or name:find("..", 1, true) then
    error({ code = 64, message = ("--sweep: '%s' is not a sweep's name; wanted letters, digits, _ . -"):format(
      name:gsub("%c", "?")) })
  end
  local path = ("out/sweeps/%s/plan.json"):format(name)
  local object, problem = read.object(path, MOST_PLAN)
  if not object then
    error({ code = problem == "is missing" and 66 or 65,
      message = ("%s %s; make sweep SWEEP=%s writes it"):format(path, problem, word) })
  end
  return from_object(path, name, object, function(item, run_name, max_iters)
    if not is_inside(item.folder, "out") then fail(path, ("the folder of %s is not in out/"):format(run_name)) end
    return run.read(item.folder, run_name, max_iters)
  end)
end

-- ---- copies of a sweep --------------------------------------------------------------------------

-- What tells a plan from another: its runs' names, seeds and settings.
local function runs_text(object)
  local lines = {}
  for i, item in ipairs(type(object.runs) == "table" and object.runs or {}) do
    local words = {}
    for key, value in pairs(type(item) == "table" and read.plain(item.settings) or {}) do
      words[#words + 1] = key .. "=" .. plan.text(value)
    end
    table.sort(words)
    lines[i] = ("%s %s %s"):format(type(item) == "table" and read.string(item, "name") or "?",
      type(item) == "table" and tostring(read.whole(item, "seed")) or "?", table.concat(words, " "))
  end
  return table.concat(lines, "\n")
end

-- The runs of one sweep from copies of its folder, as machines that each trained a part of it have them: of a run that
-- several have, the one that came furthest. Each run has r.copy, its folder of `folders`, and r.copies, the runs of all
-- that have begun it. Returns nil if they are no copies of one plan.
function plan.of_copies(folders)
  local first
  for _, folder in ipairs(folders) do
    local object = read.object(folder .. "/plan.json", MOST_PLAN)
    first = first or object
    if not object or object.sweep ~= first.sweep or runs_text(object) ~= runs_text(first) then return nil end
  end
  local name = (read.string(first, "sweep") or ""):gsub("[^%w_.-]", "_")
  local p = from_object(folders[1] .. "/plan.json", name ~= "" and name or "sweep", first,
    function(_, run_name, max_iters)
      local best, copies = nil, {}
      for _, folder in ipairs(folders) do
        local r = run.read(folder .. "/" .. run_name, run_name, max_iters)
        r.copy = folder
        if r.last_iter >= 0 then copies[#copies + 1] = r end
        if not best or r.last_iter > best.last_iter then best = r end
      end
      best.copies = copies
      return best
    end)
  p.copies = folders
  return p
end

-- ---- any runs -----------------------------------------------------------------------------------

-- The value of a key for a run; if the run does not state it, the key's `absent` value.
local function setting(r, key)
  local value = r.config[key]
  if value == nil then value = r.run[key] end
  if value == nil and next(r.config) ~= nil and schema.key(key) then value = schema.key(key).absent end
  return value
end

local function is_derived(key) return schema.key(key) ~= nil and schema.key(key).derived ~= nil end

-- The keys that any of the runs states and that follow from no other, sorted, and for each the list of its values in
-- the runs that have one.
local function stated(runs)
  local keys, values = {}, {}
  for _, r in ipairs(runs) do
    for _, source in ipairs({ r.config, r.run }) do
      for key in pairs(source) do
        if not values[key] and not is_derived(key) then keys[#keys + 1], values[key] = key, {} end
      end
    end
  end
  table.sort(keys)
  for _, key in ipairs(keys) do
    for _, r in ipairs(runs) do table.insert(values[key], (setting(r, key))) end
  end
  return keys, values
end

local function all_same(values)
  for _, value in ipairs(values) do
    if value ~= values[1] then return false end
  end
  return true
end

-- Keys whose value differs between the runs that state it, sorted.
local function differing(runs)
  local list = {}
  local keys, values = stated(runs)
  for _, key in ipairs(keys) do
    if not NO_FACTOR[key] and not all_same(values[key]) then list[#list + 1] = key end
  end
  return list
end

-- Runs with the same name are called by their folders.
local function tell_apart(runs)
  local count = {}
  for _, r in ipairs(runs) do count[r.name] = (count[r.name] or 0) + 1 end
  for _, r in ipairs(runs) do if count[r.name] > 1 then r.name = r.folder end end
end

function plan.of_folders(folders)
  local p = { kind = "runs", factors = {}, runs = {}, seeds = {}, baseline = #folders > 1 and 1 or nil }
  local seen = {}
  for _, folder in ipairs(folders) do
    folder = folder:gsub("(.)/+$", "%1")
    if not seen[folder] then p.runs[#p.runs + 1] = run.read(folder) end
    seen[folder] = true
  end
  tell_apart(p.runs)
  p.title = p.runs[1].name
  if #p.runs == 2 then p.title = ("%s and %s"):format(p.title, p.runs[2].name) end
  if #p.runs > 2 then p.title = ("%s and %d more"):format(p.title, #p.runs - 1) end
  p.name = p.title:gsub("[^%w_.,=+-]", "_")
  for _, key in ipairs(differing(p.runs)) do
    local values = {}
    for _, r in ipairs(p.runs) do
      local value = setting(r, key)
      if value ~= nil and not index_of(values, value) then values[#values + 1] = value end
    end
    table.sort(values, before)
    p.factors[#p.factors + 1] = { key = key, values = values }
  end
  for _, r in ipairs(p.runs) do
    r.settings, r.seed = {}, read.whole(r.run, "seed")
    for _, f in ipairs(p.factors) do r.settings[f.key] = setting(r, f.key) end
    if r.seed and not index_of(p.seeds, r.seed) then p.seeds[#p.seeds + 1] = r.seed end
  end
  return p
end

-- ---- both ---------------------------------------------------------------------------------------

-- The names of the data sets that the runs train on, in their order. Each run gets `on`, its own: of a run that does
-- not say, the one that its settings name, or the only one.
function plan.datasets(p)
  if p.datasets then return p.datasets end
  local names, seen = {}, {}
  for _, r in ipairs(p.runs) do
    r.on = r.dataset or read.string(r.settings, "dataset")
    if r.on and not seen[r.on] then names[#names + 1], seen[r.on] = r.on, true end
  end
  for _, r in ipairs(p.runs) do
    if not r.on then
      r.on = #names == 1 and names[1] or "unknown data"
      if #names ~= 1 and not seen[r.on] then names[#names + 1], seen[r.on] = r.on, true end
    end
  end
  p.datasets = names
  return names
end

-- The settings that are the same in all runs that state them, as { key, value } sorted by key.
function plan.in_common(p)
  local varies = { out_dir = true, init_from = true }
  for _, f in ipairs(p.factors) do varies[f.key] = true end
  local list = {}
  local keys, values = stated(p.runs)
  for _, key in ipairs(keys) do
    if not varies[key] and all_same(values[key]) then
      list[#list + 1] = { key = key, value = plan.text(values[key][1]) }
    end
  end
  return list
end

-- The settings of a run as words, without a seed: "n_head=4 dropout=0.1".
function plan.settings_text(p, r)
  local words = {}
  for _, f in ipairs(p.factors) do
    local value = r.settings[f.key]
    if value ~= nil then words[#words + 1] = f.key .. "=" .. plan.text(value) end
  end
  return table.concat(words, " ")
end

-- How many factors a run differs in from another, and the last of them; one that changes with another does not count.
function plan.differences(p, a, b)
  local count, which = 0, nil
  for i, f in ipairs(p.factors) do
    if not f.with and a.settings[f.key] ~= b.settings[f.key] then count, which = count + 1, i end
  end
  return count, which
end

return plan
