-- write: the plan as files: plan.json for the report and for progress, sweep.mk for make, the prompt for the sampler.
local dkjson = require("dkjson")
local files = require("gen.base.files")
local schema = require("gen.config.schema")
local file = require("gen.sweep.file")
local results = require("gen.sweep.results")

local write = {}

-- ---- plan.json ----------------------------------------------------------------------------------

local function values_of(p, factor)
  if p.sweep.kind ~= "vary" then return factor.values end
  local values = { p.base_values[factor.key] }
  for _, value in ipairs(factor.values) do
    if value ~= values[1] then values[#values + 1] = value end
  end
  return values
end

function write.plan_json(p, jobs)
  local order = { "format", "sweep", "base", "kind", "factors", "key", "values", "with", "seeds", "baseline", "jobs",
    "prompt",    "runs", "name", "settings", "seed", "folder", "build", "continues", "first_iter", "iters", "params",
    "params_nanogpt", "flops", "whole_flops", "skipped", "why" }
  local factors, runs = {}, {}
  for i, factor in ipairs(p.sweep.factors) do
    order[#order + 1] = factor.key
    factors[i] = { key = factor.key, values = values_of(p, factor), with = factor.with }
  end
  for i, run in ipairs(p.runs) do
    local shape = run.shape
    runs[i] = { name = run.name, settings = run.settings, seed = run.seed, folder = run.folder, build = shape.folder,
      continues = run.from and run.from.name, first_iter = run.first, iters = run.last + 1,
      params = shape.params, params_nanogpt = shape.params_nanogpt, flops = math.floor(run.flops),
      whole_flops = math.floor(run.whole_flops) }
  end
  return dkjson.encode({ format = 1, sweep = p.sweep.name, base = p.sweep.base_name, kind = p.sweep.kind,
    factors = factors, seeds = p.seeds, baseline = p.baseline.name, jobs = jobs, prompt = p.sweep.prompt,
    runs = runs, skipped = #p.skipped > 0 and p.skipped or nil }, { keyorder = order, indent = true }) .. "\n"
end

local function is_word(value) return type(value) == "string" and not value:find("[%c\127]") end
local function is_count(value) return type(value) == "number" and value >= 0 and value < 1e30 end
local function is_whole(value) return math.type(value) == "integer" and value >= 0 and value < 1 << 53 end
local RUN = { name = is_word, folder = is_word, build = is_word, first_iter = is_count, iters = is_count,
  params = is_whole, flops = is_count, whole_flops = is_count }

-- What show has to find in a plan.json.
local function is_plan(p)
  local good = type(p) == "table" and is_word(p.sweep) and is_whole(p.jobs) and p.jobs > 0 and
    type(p.runs) == "table" and type(p.factors) == "table"
  for _, run in ipairs(good and p.runs or {}) do
    good = good and type(run) == "table" and type(run.settings) == "table"
    for key, is in pairs(good and RUN or {}) do good = good and is(run[key]) end
  end
  for _, factor in ipairs(good and p.factors or {}) do
    good = good and type(factor) == "table" and is_word(factor.key)
  end
  return good
end

-- The plan in a sweep's folder, as it was written. Raises { code, message } if there is none.
function write.read_plan(folder)
  local path = tostring(folder) .. "/plan.json"
  local text = files.read(path)
  local ok, p = pcall(dkjson.decode, text or "")
  if not ok or not is_plan(p) then
    error({ code = text and 65 or 66, message = path .. ": no plan of a sweep; make sweep SWEEP=... writes it" }, 0)
  end
  return p
end

-- ---- sweep.mk -----------------------------------------------------------------------------------

-- The word, quoted for the shell in a recipe.
local function word(text) return (files.quoted(text):gsub("%$", "$$")) end

-- Runs a script with arguments; it ends with the make that runs it.
local function recipe(script, ...)
  local words = { ... }
  for i, text in ipairs(words) do words[i] = word(text) end
  return ("\t@exec setpriv --pdeathsig TERM gen/sweep/%s %s"):format(script, table.concat(words, " "))
end

-- The trainer's flags: all run keys, since the defaults in a build may be others than the sweep's.
local function flags(run, checkpoint_interval)
  local list, given = {}, { out_dir = true, init_from = true, threads = true, eval_only = true }
  for _, key in ipairs(schema.run_keys()) do
    local value = run.config[key.name]
    if key.name == "checkpoint_interval" then value = checkpoint_interval end
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

function write.sweep_mk(p, jobs, threads)
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
    for _, run in ipairs(shape.runs) do wanted = wanted or not run.done end
    if wanted then
      -- One compilation at a time, as they share the runtime's objects; if one fails, the next is made all the same.
      local try, mark = "try-" .. shape.index, ("%s/builds/%s"):format(p.folder, shape.name)
      rules[#rules + 1] = { try .. ":" .. last, recipe("build.sh", mark, p.sweep.base_path,
        table.concat(shape.words, " "), p.backend) }
      rules[#rules + 1] = { ("build-%d: %s"):format(shape.index, try), "\t@test -e " .. word(mark .. ".ok") }
      goals[#goals + 1], goals[#goals + 2] = try, "build-" .. shape.index
      last = " | " .. try
    end
  end
  for _, run in ipairs(p.runs) do
    if not run.done then
      goals[#goals + 1] = "run-" .. run.index
      local after = run.from and not run.from.done and (" run-%d"):format(run.from.index) or ""
      rules[#rules + 1] = { ("run-%d: build-%d%s"):format(run.index, run.shape.index, after),
        recipe("step.sh", p.folder, run.name, run.shape.folder, run.from and run.from.folder or "-",
          tostring(threads), table.unpack(flags(run, checkpoint_interval(p, run)))) }
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

-- Writes all of them. Marks the runs that are done.
function write.all(p, jobs, threads)
  for _, run in ipairs(p.runs) do run.done = results.is_done(run.folder) end
  files.write(p.folder .. "/prompt.txt", p.sweep.prompt)
  files.write(p.folder .. "/plan.json", write.plan_json(p, jobs))
  files.write(p.folder .. "/sweep.mk", write.sweep_mk(p, jobs, threads))
end

return write
