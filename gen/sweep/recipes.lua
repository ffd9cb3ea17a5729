-- recipes: sweep.mk, by which make builds and trains what a sweep has left.
local schema = require("gen.config.schema")
local file = require("gen.sweep.file")
local files = require("gen.base.files")
local results = require("gen.sweep.results")

local recipes = {}

-- The word, quoted for the shell in a recipe.
local function word(text) return (files.quoted(text):gsub("%$", "$$")) end

-- Runs a script with arguments; it ends with the make that runs it.
local function recipe(script, ...)
  local words = { ... }
  for i, text in ipairs(words) do words[i] = word(text) end
  return ("\t@exec setpriv --pdeathsig TERM gen/sweep/%s %s"):format(script, table.concat(words, " "))
end

-- The trainer's flags: all run keys, since the defaults in a build may be others than the sweep's. `to` is the last
-- iteration, if that is not the run's own.
local function flags(run, checkpoint_interval, to)
  local list, given = {}, { out_dir = true, init_from = true, threads = true, eval_only = true }
  for _, key in ipairs(schema.run_keys()) do
    local value = run.config[key.name]
    if key.name == "checkpoint_interval" then value = checkpoint_interval end
    if key.name == "max_iters" then value = to or value end
    if not given[key.name] then list[#list + 1] = ("--%s=%s"):format(key.name, file.text(value)) end
  end
  return list
end

-- A run that is killed should lose little: its state is saved at each evaluation, unless an interval was stated.
local function checkpoint_interval(p, run)
  local c = run.config
  if p.sweep.states.checkpoint_interval or p.sweep.base_stated.checkpoint_interval then return c.checkpoint_interval end
  return math.min(c.checkpoint_interval, c.eval_interval)
end

local function mark_of(p, shape) return ("%s/builds/%s"):format(p.folder, shape.name) end

-- The recipe that trains a run to its end, or with halving to a rung. Without a build, or the end of the run that it
-- continues, a training with halving is out, which the next rung finds: no recipe fails then, so that make goes on.
local function train(p, run, threads, to)
  local line = recipe("step.sh", p.folder, run.name, run.shape.folder, run.from and run.from.folder or "-",
    tostring(threads), p.halving and tostring(to or "end") or "-",
    table.unpack(flags(run, checkpoint_interval(p, run), to)))
  if not p.halving then return line end
  return (line:gsub("^\t@", ("\t@test -e %s || exit 0; "):format(word(mark_of(p, run.shape) .. ".ok"))))
end

local function target(run, to) return ("run-%d%s"):format(run.index, to and "-to-" .. to or "") end

-- The rungs that are not decided and where a run goes on if it is not stopped there: { place in the list, iteration }.
local function stops(p, run)
  local list, reached = {}, {}
  for _, e in ipairs(results.metrics(run.folder).evaluations) do reached[e.iter] = true end
  local from = run.from and run.from.config.max_iters or 0
  for k, at in ipairs(run.by_hand and {} or p.halving.rungs) do
    if at > from and at < run.config.max_iters and not reached[at] then list[#list + 1] = { k, at } end
  end
  return list
end

-- The last rung before an iteration, if it is not decided yet: a run does not go beyond it before that.
local function rung_before(p, at)
  local last
  for k, rung in ipairs(p.halving.rungs) do if rung < at and k > p.halving.decided then last = k end end
  return last
end

-- With halving: the rules of all runs that may go on, rung by rung, and of the decisions at the rungs.
local function halved(p, threads, goals, rules)
  local needs = {} -- what a rung waits for
  local first = p.halving.decided + 1
  for k = first, #p.halving.rungs do needs[k] = k > first and { "rung-" .. k - 1 } or {} end
  local function add(run, k, at, after)
    local name, last = target(run, at), at or run.config.max_iters
    local rung = not run.by_hand and rung_before(p, last)
    local list = { "try-" .. run.shape.index, after, rung and "rung-" .. rung }
    local there = {}
    for i = 1, 3 do there[#there + 1] = list[i] or nil end
    rules[#rules + 1] = { ("%s: %s"):format(name, table.concat(there, " ")), train(p, run, threads, at) }
    goals[#goals + 1] = name
    if needs[k] then table.insert(needs[k], name) end
    return name
  end
  for _, run in ipairs(p.runs) do
    if not run.done and not run.halted then
      local after = run.from and not run.from.done and target(run.from)
      for _, stop in ipairs(stops(p, run)) do after = add(run, stop[1], stop[2], after) end
      local name = add(run, nil, nil, after)
      local from = run.from and run.from.config.max_iters or 0
      for k, at in ipairs(p.halving.rungs) do
        local own = at == run.config.max_iters or run.by_hand and at > from and at < run.config.max_iters
        if own and needs[k] then table.insert(needs[k], name) end
      end
    end
  end
  for k = first, #p.halving.rungs do
    goals[#goals + 1] = "rung-" .. k
    rules[#rules + 1] = { ("rung-%d: %s"):format(k, table.concat(needs[k], " ")),
      ("\t@exec setpriv --pdeathsig TERM lua5.4 -E gen/sweep.lua --rung %d --folder %s"):format(k, word(p.folder)) }
  end
end

function recipes.sweep_mk(p, jobs, threads)
  local lines = {
    ("# The sweep %s, written by gen/sweep.lua: what is left to build and to train."):format(p.sweep.name),
    "# jobs: " .. jobs,
    "SHELL := /bin/sh",
    "MAKEFLAGS += --no-builtin-rules",
    ".SUFFIXES:",
    "",
  }
  local function add(format, ...) lines[#lines + 1] = format:format(...) end
  local goals, rules, last = {}, {}, ""
  for _, shape in ipairs(p.shapes) do
    local wanted = false
    for _, run in ipairs(shape.runs) do wanted = wanted or not (run.done or run.halted or run.elsewhere) end
    if wanted then
      -- One compilation at a time, as they share the runtime's objects; if one fails, the next is made all the same.
      local try, mark = "try-" .. shape.index, mark_of(p, shape)
      rules[#rules + 1] = { try .. ":" .. last, recipe("build.sh", mark, p.sweep.base_path,
        table.concat(shape.words, " "), p.backend) }
      rules[#rules + 1] = { ("build-%d: %s"):format(shape.index, try), "\t@test -e " .. word(mark .. ".ok") }
      goals[#goals + 1], goals[#goals + 2] = try, "build-" .. shape.index
      last = " | " .. try
    end
  end
  if p.halving then halved(p, threads, goals, rules) end
  for _, run in ipairs(p.halving and {} or p.runs) do
    if not run.done and not run.elsewhere then
      goals[#goals + 1] = target(run)
      local after = run.from and not run.from.done and " " .. target(run.from) or ""
      rules[#rules + 1] = { ("%s: build-%d%s"):format(target(run), run.shape.index, after), train(p, run, threads) }
    end
  end
  add(".PHONY: all %s", table.concat(goals, " "))
  add("all: %s\n\t@:", table.concat(goals, " "))
  for _, rule in ipairs(rules) do
    add("")
    add("%s", rule[1])
    add("%s", rule[2])
  end
  return table.concat(lines, "\n") .. "\n"
end

return recipes
