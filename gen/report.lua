-- report: one HTML page of a sweep, or of any runs side by side.
--
--   lua5.4 gen/report.lua [--out FILE] [--prompt TEXT] [--build build] [--live] [--quick] --sweep NAME
--   lua5.4 gen/report.lua [--out FILE] [--prompt TEXT] [--build build] [--live] [--quick] FOLDER ...
--
-- Reads run.json and metrics.jsonl of each run, has its sampler write samples and attention and its bench measure
-- kernels (gen/report/README.md), and writes out/reports/NAME.html, and beside it NAME.attention/RUN.json with the
-- exact attention weights; with a prompt, NAME.prompt-… of both. A folder is a run's or a sweep's, or a pattern.
-- --live is for what is still training: no bench, and the page loads itself again. --quick runs no program at all: no
-- bench, no attention, and of samples those that a sweep has left. The same run files give the same page.
package.path = "./?.lua;" .. package.path
local argparse = require("argparse")
local attention = require("gen.report.attention")
local command = require("gen.base.command")
local effects = require("gen.report.effects")
local files = require("gen.base.files")
local find = require("gen.report.find")
local machines = require("gen.report.machines")
local page = require("gen.report.page")
local plan = require("gen.report.plan")
local prompt = require("gen.report.prompt")
local samples = require("gen.report.samples")
local speed = require("gen.report.speed")
local words = require("gen.report.words")

local MOST_FACTORS = 8 -- in which runs side by side differ: with more, no effect can be put down to one setting

local fail = command.fail

local function parse_arguments()
  local parser = argparse("gen/report.lua", "Writes one HTML page of a sweep, or of any runs side by side.")
  parser:argument("folders", "folders of runs or of sweeps, as out/NAME, or patterns, as out/a*"):args("*")
  parser:option("--sweep", "a sweep's name: out/sweeps/NAME")
  parser:option("--out", "the page to write; by default out/reports/NAME.html")
  parser:option("--prompt", "what samples and attention begin with; by default the beginning of the validation text")
  parser:option("--build", "the folder of builds", "build")
  parser:flag("--live", "for what is still training: no bench, and the page loads itself again")
  parser:flag("--quick", "run no program: no bench, no attention, and only the samples that are there")
  parser:usage_max_width(100)
  local args = command.arguments("gen/report.lua", parser)
  if args.sweep and #args.folders > 0 then fail(64, "gen/report.lua: --sweep beside run folders; give one of both") end
  if not args.sweep and #args.folders == 0 then
    fail(64, "gen/report.lua: nothing to report on; give --sweep NAME, or run folders, as out/NAME")
  end
  if args.prompt == "" then fail(64, "--prompt: is empty; give one character at least") end
  return args
end

-- The name of a run's file of exact attention weights: its own name, without what a file's name cannot have.
local function attention_name(r, taken)
  local name = r.name:gsub("[^%w_.,=+-]", "_"):gsub("^%.", "_")
  while taken[name] do name = name .. "_" end
  taken[name] = true
  return name .. ".json"
end

-- Whether any of the runs may still get an evaluation: a sweep's that are not begun, too.
local function is_under_way(p)
  for _, r in ipairs(p.runs) do if p.sweep or not r.finished then return true end end
  return false
end

local function main()
  local args = parse_arguments()
  local folders, sweep, copies = nil, args.sweep, nil
  if not sweep then folders, sweep, copies = find.runs(args.folders) end
  local p = sweep and plan.of_sweep(sweep) or copies and plan.of_copies(copies) or plan.of_folders(folders)
  local out = args.out or ("out/reports/%s%s.html"):format(p.name, args.prompt and prompt.suffix(args.prompt) or "")
  local beside = out:gsub("%.html$", "") .. ".attention"
  for _, r in ipairs(p.runs) do r.overfitting = words.overfitting(r) end
  local order = words.rank(p)
  local report = { plan = p, order = order, trainings = effects.trainings(p),
    prompts = prompt.of(p.runs), samples = {}, attention = {}, notes = {},
    live = args.live and is_under_way(p), seed = samples.SEED, characters = samples.CHARACTERS }
  report.machines = machines.of(p)
  report.effects, report.effects_tested = effects.of(p)
  report.seeds, report.best_tested, report.baseline_tested = effects.over_seeds(p)

  for _, skipped in ipairs(p.skipped or {}) do table.insert(report.notes, "skipped, as no model: " .. skipped) end
  if p.kind == "runs" and #p.factors > MOST_FACTORS then
    report.effects = {}
    table.insert(report.notes, ("the runs differ in %d settings: there are no figures by setting"):format(#p.factors))
  end

  local taken, made, left = {}, false, args.quick and prompt.of_sweep(p) or nil
  for i, r in ipairs(p.runs) do
    local start = args.prompt or left or report.prompts[i]
    report.prompts[i] = start
    report.samples[i] = samples.of(r, not args.quick and args.build, start)
    local name = attention_name(r, taken)
    if (r.has_state or r.has_ckpt) and not made and not args.quick then
      made = os.execute("mkdir -p " .. files.quoted(beside))
      if not made then
        error({ code = 74, message = beside .. ": cannot be made a folder; move what is there, or use --out" })
      end
    end
    report.attention[i] = not args.quick and attention.of(r, args.build, start, beside .. "/" .. name) or nil
    if report.attention[i] then report.attention[i].file = beside:match("[^/]+$") .. "/" .. name end
  end
  report.builds = speed.of(p.runs, args.build, args.live or args.quick)
  for _, b in ipairs(report.builds) do
    if b.problem and not args.live and not args.quick then
      table.insert(report.notes, ("no kernel figures of %s: %s"):format(b.name, b.problem))
    end
  end

  local text = page.text(report)
  files.write(out:find("/") and out or "./" .. out, text)
  print(("report: %s, %d kB, %d runs"):format(out, #text // 1000, #p.runs))
end

command.run(main)
