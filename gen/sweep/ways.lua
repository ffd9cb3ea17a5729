-- ways: the ways in which a sweep's file says its runs: a grid, a vary, a random, a list of runs.
local random = require("gen.sweep.random")
local schema = require("gen.config.schema")
local stated = require("gen.sweep.stated")

local ways = {}

local MOST_RUNS = 1000
local fail = stated.fail

-- What a random may call.
ways.FUNCTIONS = { log = function(low, high) return { log = { low, high } } end,
  uniform = function(low, high) return { uniform = { low, high } } end }
-- One item of a grid or a vary: { keys, rows }, of one key or of several that change together.
local function check_dimension(path, here, item, seen)
  stated.list(path, here, item, "a key and its values")
  local linked = type(item[1]) == "table"
  if linked then stated.list(path, here .. "[1]", item[1], "keys") end
  local keys, dimension = {}, { keys = {}, rows = {} }
  for n, name in ipairs(linked and item[1] or { item[1] }) do
    keys[n] = stated.key(path, here, name)
    dimension.keys[n] = keys[n].name
    if seen[keys[n].name] then fail(path, "%s: %s is varied twice; wanted each key once", here, keys[n].name) end
    seen[keys[n].name] = true
  end
  local first = keys[1].name
  if #item ~= 2 then fail(path, "%s: wanted { \"%s\", { value, ... } }", here, first) end
  stated.list(path, here .. ": " .. first, item[2], "values")
  local firsts = {}
  for n, row in ipairs(item[2]) do
    if linked then
      stated.list(path, ("%s[2][%d]"):format(here, n), row, "values")
      if #row ~= #keys then fail(path, "%s[2][%d]: %d values for %d keys", here, n, #row, #keys) end
    end
    dimension.rows[n] = {}
    for k, key in ipairs(keys) do
      local value = row
      if linked then value = row[k] end
      dimension.rows[n][k] = stated.value(path, here, key, value)
    end
    firsts[n] = dimension.rows[n][1]
  end
  if linked and #stated.distinct(firsts) < #firsts then
    fail(path, "%s: %s has a value twice; wanted first, of the keys that change together, one that tells them", here,
      first)
  end
  return dimension
end

-- The dimensions of a grid or a vary, and its factors, { key, values, with }: `with` is the first of the keys with
-- which this one changes.
local function check_factors(path, place, list)
  stated.list(path, place, list, "{ key, { value, ... } }")
  local dimensions, factors, seen = {}, {}, {}
  for i, item in ipairs(list) do
    local dimension = check_dimension(path, ("%s[%d]"):format(place, i), item, seen)
    dimensions[i] = dimension
    for k, key in ipairs(dimension.keys) do
      local values = {}
      for n, row in ipairs(dimension.rows) do values[n] = row[k] end
      factors[#factors + 1] = { key = key, values = stated.distinct(values), with = k > 1 and dimension.keys[1] or nil }
    end
  end
  return dimensions, factors, seen
end

local function check_choice(path, key, choice)
  local place = "random: " .. key.name
  local range = type(choice) == "table" and (choice.log or choice.uniform)
  if not range then
    stated.list(path, place, choice, "values")
    local values = {}
    for n, value in ipairs(choice) do values[n] = stated.value(path, place, key, value) end
    return { key = key.name, values = values }
  end
  local low, high = range[1], range[2]
  if stated.kinds[key.type] ~= "number" then fail(path, "%s: wanted a list of values, as it is no number", place) end
  local numbers = type(low) == "number" and type(high) == "number" and low > -math.huge and high < math.huge
  if not numbers or low >= high or (choice.log and low <= 0) then
    fail(path, "%s: wanted a lower and a higher number%s, as in log(1e-4, 1e-2)", place,
      choice.log and " above 0" or "")
  end
  return { key = key.name, low = low, high = high, log = choice.log ~= nil, is_int = key.type == "int" }
end

-- The runs of a random, and the choices that they are drawn from, in the schema's order.
local function check_random(path, fields)
  local count = stated.whole(path, "random: runs", fields.runs, nil, 1, MOST_RUNS)
  local seed = stated.whole(path, "random: seed", fields.seed, 1, 0, 1 << 53)
  local by_name, choices = {}, {}
  for _, name in ipairs(stated.names(fields)) do
    if name ~= "runs" and name ~= "seed" then
      local key = stated.key(path, "random", name)
      by_name[key.name] = check_choice(path, key, fields[name])
    end
  end
  for _, key in ipairs(schema.keys) do choices[#choices + 1] = by_name[key.name] end
  if #choices == 0 then fail(path, "random varies nothing; wanted keys, as in n_head = { 4, 8 }") end
  local list = random.draw(choices, count, seed)
  if #list < count then
    fail(path, "random: only %d different runs were found, wanted %d; give more values", #list, count)
  end
  return list
end

local function check_runs(path, items)
  stated.list(path, "runs", items, "{ key = value, ... }")
  local list = {}
  for i, item in ipairs(items) do
    local here = ("runs[%d]"):format(i)
    if type(item) ~= "table" then fail(path, "%s is a %s; wanted { key = value, ... }", here, type(item)) end
    list[i] = {}
    for _, name in ipairs(stated.names(item)) do
      local key = stated.key(path, here, name)
      list[i][key.name] = stated.value(path, here, key, item[name])
    end
  end
  return list
end

-- The factors of a list of runs, in the schema's order; their values are known when the runs' configs are.
local function factors_of(list)
  local seen, factors = {}, {}
  for _, settings in ipairs(list) do for key in pairs(settings) do seen[key] = true end end
  for _, key in ipairs(schema.keys) do
    if seen[key.name] then factors[#factors + 1] = { key = key.name, values = {} } end
  end
  return factors, seen
end
-- Which of its ways a sweep takes to say its runs.
local function kind_of(path, fields)
  local kinds_stated = {}
  for _, kind in ipairs({ "grid", "vary", "random", "runs" }) do
    if fields[kind] then kinds_stated[#kinds_stated + 1] = kind end
  end
  if #kinds_stated ~= 1 then
    fail(path, "has %s; wanted one: grid = { ... } for all combinations, vary = { ... } for one setting at a time, " ..
      "random = { ... } or runs = { ... }", #kinds_stated == 0 and "neither grid nor vary, random, runs" or
      "both " .. table.concat(kinds_stated, " and "))
  end
  return kinds_stated[1]
end
-- The runs that a file's fields say: { kind, dimensions = { { keys, rows } } of a grid or a vary, list = { { [key] =
-- value } } of others, factors = { { key, values, with } }, varied = { [key] = true } }.
function ways.read(path, fields)
  local way = { kind = kind_of(path, fields) }
  if way.kind == "grid" or way.kind == "vary" then
    way.dimensions, way.factors, way.varied = check_factors(path, way.kind, fields[way.kind])
  else
    way.list = way.kind == "random" and check_random(path, fields.random) or check_runs(path, fields.runs)
    way.factors, way.varied = factors_of(way.list)
  end
  return way
end

return ways
