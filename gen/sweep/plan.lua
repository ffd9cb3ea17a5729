-- plan: from a sweep file to its runs: names, configs, the shapes to compile, and which run is the beginning of
-- another.
--
-- A run is the beginning of another if all but max_iters is the same: the learning rate follows from lr_decay_iters
-- and never from max_iters, so both compute the same until the shorter one ends. The longer one then continues from a
-- copy of the shorter one's folder. A run with a budget (max_seconds) shares nothing: where it ends is known only when
-- it is there.
local hash = require("gen.config.hash")
local config = require("gen.config.load")
local schema = require("gen.config.schema")
local file = require("gen.sweep.file")
local halving = require("gen.sweep.halving")
local names = require("gen.sweep.names")
local sandbox = require("gen.config.sandbox")
local whole = require("gen.sweep.whole")

local plan = {}

local USAGE = 64
local MOST_RUNS = 1000
local MOST_BUILD_NAME = 200

local function fail(format, ...)
  error({ code = USAGE, message = sandbox.printable(format:format(...), 400) }, 0)
end

-- ---- combinations -------------------------------------------------------------------------------

-- A dimension's row as settings, and the keys that it changes.
local function put(dimension, row, settings, changed)
  for k, key in ipairs(dimension.keys) do
    settings[key] = row[k]
    changed[#changed + 1] = key
  end
end

-- Lists of { index, settings = { [key] = value }, changed = { key, ... } } in the sweep's order; those of a vary
-- begin with the base, which changes nothing.
local function combinations(sweep)
  local list = {}
  if sweep.list then
    for i, settings in ipairs(sweep.list) do
      list[i] = { index = i, settings = settings, changed = {} }
      for _, factor in ipairs(sweep.factors) do
        if settings[factor.key] ~= nil then table.insert(list[i].changed, factor.key) end
      end
    end
    return list
  end
  if sweep.kind == "vary" then
    list[1] = { index = 0, settings = {}, changed = {} }
    for _, dimension in ipairs(sweep.dimensions) do
      for _, row in ipairs(dimension.rows) do
        local combo = { index = #list, settings = {}, changed = {} }
        put(dimension, row, combo.settings, combo.changed)
        list[#list + 1] = combo
      end
    end
    return list
  end
  local count = 1
  for _, dimension in ipairs(sweep.dimensions) do
    count = count * #dimension.rows
    if count > MOST_RUNS then fail("%s: the grid has more than %d combinations; take fewer", sweep.path, MOST_RUNS) end
  end
  for i = 0, count - 1 do
    local at, rest = {}, i
    for d = #sweep.dimensions, 1, -1 do
      at[d], rest = rest % #sweep.dimensions[d].rows + 1, rest // #sweep.dimensions[d].rows
    end
    list[i + 1] = { index = i + 1, settings = {}, changed = {} }
    for d, dimension in ipairs(sweep.dimensions) do
      put(dimension, dimension.rows[at[d]], list[i + 1].settings, list[i + 1].changed)
    end
  end
  return list
end

-- ---- configs ------------------------------------------------------------------------------------

local function assignment(key, value) return key .. "=" .. file.text(value) end

-- Loads the base with `assignments`; an error in them names `who`. If the data sets may be missing, stand_in sets a
-- vocab_size, all that a config takes from them.
local function load_config(sweep, assignments, who, options, stand_in)
  if stand_in and not sweep.base_stated.vocab_size then
    assignments = { "vocab_size=1", table.unpack(assignments) }
  end
  local ok, result = pcall(config.load, { sweep.base_path }, assignments, { backend = options.backend,
    warn = function() end })
  if ok then return result end
  if type(result) == "table" then
    result.message = result.message:gsub("^SET: ", (("%s: %s: "):format(sweep.path, who):gsub("%%", "%%%%")))
  end
  error(result, 0)
end

-- What a run computes: each key that changes results, how they round, or where it ends, and the hash of its data, if
-- there is any yet.
local function identity(c, stand_in)
  local values = {}
  for _, key in ipairs(schema.keys) do
    local counts = key.changes ~= "nothing" or key.length
    if counts and not key.derived and not key.machine and not schema.is_absent(key, c[key.name]) then
      values[key.name] = c[key.name]
    end
  end
  if not stand_in then values.data = whole.data_hash(c.data_dir .. "/" .. c.dataset) end
  return values
end

local function identity_text(values, without)
  local words = {}
  for _, key in ipairs(schema.keys) do
    if values[key.name] ~= nil and key.name ~= without then
      words[#words + 1] = key.name .. "=" .. file.text(values[key.name])
    end
  end
  return table.concat(words, " ")
end

-- ---- shapes -------------------------------------------------------------------------------------

-- The words of SET that make a run's build from the base's file: baked keys that differ, dropout if only one of the two
-- has any, and vocab_size if the sweep states it or another data set to take it from.
local function build_words(sweep, base, c)
  local words = {}
  for _, key in ipairs(schema.baked_keys()) do
    local name = key.name
    if name == "has_dropout" then
      if c.has_dropout ~= base.has_dropout then words[#words + 1] = assignment("dropout", c.dropout) end
    elseif name == "vocab_size" then
      local moved = sweep.states.dataset or sweep.states.data_dir
      if sweep.states.vocab_size or moved and not sweep.base_stated.vocab_size then
        words[#words + 1] = assignment(name, c[name])
      end
    elseif c[name] ~= base[name] then
      words[#words + 1] = assignment(name, c[name])
    end
  end
  return words
end

local function build_name(sweep, words)
  local name = sweep.base_name
  for _, word in ipairs(words) do name = name .. "-" .. word:gsub("/", "_") end
  if #name > MOST_BUILD_NAME then
    fail("%s: a build's name would have %d characters, more than %d; put what is set for all into the base config",
      sweep.path, #name, MOST_BUILD_NAME)
  end
  return name
end

-- ---- the plan -----------------------------------------------------------------------------------

local function check_names(sweep, runs)
  local by_name, by_identity = {}, {}
  for _, run in ipairs(runs) do
    local most = names.too_long(run.name)
    if most then fail("%s: %s: a name of more than %d characters; vary fewer keys", sweep.path, run.name, most) end
    local twin = by_identity[run.identity_text]
    if twin then
      fail("%s: %s is the same run as %s; take one of them out", sweep.path, run.name, twin.name)
    end
    if by_name[run.name] then fail("%s: two runs would be called %s", sweep.path, run.name) end
    by_name[run.name], by_identity[run.identity_text] = run, run
  end
end

-- Sets each run's `from`, the longest run that is a beginning of it, and `training`, a number that is the same for runs
-- that are one training. Returns the number of trainings.
local function find_beginnings(runs)
  local families, trainings = {}, 0
  for _, run in ipairs(runs) do
    local text = identity_text(run.identity, run.config.max_seconds == 0 and "max_iters" or nil)
    if not families[text] then
      trainings = trainings + 1
      families[text] = { number = trainings }
    end
    run.training = families[text].number
    table.insert(families[text], run)
  end
  for _, family in pairs(families) do
    table.sort(family, function(a, b) return a.config.max_iters < b.config.max_iters end)
    for i = 2, #family do family[i].from = family[i - 1] end
  end
  return trainings
end

local function find_shapes(sweep, base, runs, backend)
  local shapes, by_text = {}, {}
  for _, run in ipairs(runs) do
    local text = hash.baked_text(run.config)
    local shape = by_text[text]
    if not shape then
      local words = build_words(sweep, base, run.config)
      shape = { index = #shapes + 1, words = words, name = hash.folder(build_name(sweep, words)),
        config = run.config, runs = {} }
      shape.folder = ("build/%s/%s"):format(shape.name, backend)
      by_text[text], shapes[#shapes + 1] = shape, shape
    end
    run.shape = shape
    table.insert(shape.runs, run)
  end
  return shapes
end

-- The run that others are compared with: the one with the base's settings, else the first.
local function find_baseline(base, runs)
  local first = runs[1]
  for _, run in ipairs(runs) do
    local same = run.seed == first.seed
    for key, value in pairs(run.settings) do same = same and base[key] == value end
    if same then return run end
  end
  return first
end

-- A run's settings as the plan and the report name them: every factor's value.
local function settings_of(sweep, c)
  local settings = {}
  for _, factor in ipairs(sweep.factors) do settings[factor.key] = c[factor.key] end
  return settings
end

-- A list's factors have the values of its runs.
local function set_values(sweep, runs)
  for _, factor in ipairs(sweep.list and sweep.factors or {}) do
    local seen = {}
    factor.values = {}
    for _, run in ipairs(runs) do
      local value = run.settings[factor.key]
      if not seen[value] then
        table.insert(factor.values, value)
        seen[value] = true
      end
    end
    table.sort(factor.values, function(a, b)
      if type(a) == "number" and type(b) == "number" then return a < b end
      return tostring(a) < tostring(b)
    end)
  end
end

-- options: backend; stand_in = true plans without the data sets' vocabularies. Returns { sweep, runs, shapes,
-- trainings, baseline, seeds, forms (short forms of the factors), folder, backend, skipped = { { name, why } } }.
function plan.make(sweep, options)
  local set, keys = {}, {}
  for i, item in ipairs(sweep.set) do set[i] = assignment(item.key, item.value) end
  for i, factor in ipairs(sweep.factors) do keys[i] = factor.key end
  -- Without the data set: only values that the base itself states are used.
  local plain = load_config(sweep, {}, "base", options, true)
  local base = load_config(sweep, set, "set", options, true)
  local forms = names.short(keys)
  local seeds = sweep.seeds or { plain.seed }
  local combos = combinations(sweep)
  if #combos * #seeds > MOST_RUNS then
    fail("%s: %d combinations with %d seeds are more than %d runs; take fewer", sweep.path, #combos, #seeds, MOST_RUNS)
  end
  local runs, skipped = {}, {}
  -- A run's config, or nil if it is none and the sweep skips such.
  local function config_of(words, name)
    local ok, c = pcall(load_config, sweep, words, name, options, options.stand_in)
    if ok then return c end
    if not sweep.skip_invalid or type(c) ~= "table" or c.code ~= USAGE then error(c, 0) end
    skipped[#skipped + 1] = { name = name, why = (c.message:gsub("^.*" .. name:gsub("%p", "%%%0") .. ": ", "")) }
  end
  for _, combo in ipairs(combos) do
    local settings, assignments = {}, { table.unpack(set) }
    for i, key in ipairs(combo.changed) do
      settings[i] = names.setting(forms[key], combo.settings[key])
      assignments[#assignments + 1] = assignment(key, combo.settings[key])
    end
    if #settings == 0 then settings[1] = "base" end
    for _, seed in ipairs(seeds) do
      local name = names.run(combo.index, combos[#combos].index, settings, #seeds > 1 and seed or nil)
      local words = { table.unpack(assignments) }
      words[#words + 1] = assignment("seed", seed)
      local c = config_of(words, name)
      local own = c and identity(c, options.stand_in)
      runs[#runs + 1] = c and { name = name, index = #runs + 1, seed = seed, config = c,
        settings = settings_of(sweep, c), identity = own, identity_text = identity_text(own) }
    end
  end
  if #runs == 0 then fail("%s: no run is left: %s: %s", sweep.path, skipped[1].name, skipped[1].why) end
  set_values(sweep, runs)
  check_names(sweep, runs)
  local p = { sweep = sweep, runs = runs, forms = forms, seeds = seeds, backend = options.backend, skipped = skipped,
    folder = "out/sweeps/" .. sweep.name, base_values = settings_of(sweep, base) }
  for _, run in ipairs(runs) do run.folder = p.folder .. "/" .. run.name end
  p.trainings = find_beginnings(runs)
  if sweep.halving then halving.check_runs(sweep, runs) end
  if options.stand_in then return p end
  p.shapes = find_shapes(sweep, plain, runs, options.backend)
  p.baseline = find_baseline(base, runs)
  return p
end

-- A number as resolved.json has it, with 14 digits.
local function as_stored(value)
  return type(value) == "number" and ("%.14g"):format(value) or tostring(value)
end

-- A key's value in an identity; one that lacks the key has its `absent` value, or nil if there is no such value.
local function value_in(values, key)
  local value = values[key.name]
  if value == nil then value = key.absent end
  return value
end

-- The difference of two identities, "max_iters 1000 → 1500, ...", in the order of the schema; "" if there is none. A
-- key that one of them lacks is ignored if it has no `absent` value. counts(key), if given: whether it is looked at.
function plan.difference(then_, now, counts)
  local words = {}
  for _, key in ipairs(schema.keys) do
    local a, b = value_in(then_, key), value_in(now, key)
    if a ~= nil and b ~= nil and as_stored(a) ~= as_stored(b) and (not counts or counts(key)) then
      words[#words + 1] = ("%s %s → %s"):format(key.name, file.text(a), file.text(b))
    end
  end
  if then_.data and now.data and then_.data ~= now.data then
    words[#words + 1] = ("the data's hash %s → %s"):format(then_.data, now.data)
  end
  return (table.concat(words, ", "):gsub("[%c\127]", "?")) -- what is stored may be damaged
end

-- Whether `now` differs from `then_` in a run's length alone, and no limit of it is lower: the run that exists is then
-- the beginning of the one that is wanted. A limit at its `absent` value is none.
function plan.is_longer(then_, now)
  local is_longer = false
  for _, key in ipairs(schema.keys) do
    if key.length then
      local a, b = value_in(then_, key), value_in(now, key)
      if a == key.absent then a = math.huge end
      if b == key.absent then b = math.huge end
      if type(a) ~= "number" or type(b) ~= "number" or b < a then return false end
      is_longer = is_longer or b > a
    end
  end
  return is_longer and plan.difference(then_, now, function(key) return not key.length end) == ""
end

return plan
