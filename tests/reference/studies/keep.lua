-- keep: copies the finished runs of sweeps to here, small: what each computes, and its evaluations.
--
--   lua5.4 tests/reference/studies/keep.lua [--to FOLDER] out/sweeps/grid32 ...
--
-- Of a sweep: plan.json; of each run that is done: resolved.json, run.json, status.json, and of metrics.jsonl the
-- evaluations and the last step. Times are left out, since runs that go on beside other work say nothing of them, and
-- weights and samples too. `make report RUNS=tests/reference/studies/grid32` reads them, and `make sweep SWEEP=grid32
-- DONE=tests/reference/studies/grid32` does not train those again. Exit codes: 0, 64 wrong arguments, 66 no sweep.
package.path = "./?.lua;" .. package.path
local argparse = require("argparse")
local command = require("gen.base.command")
local files = require("gen.base.files")
local results = require("gen.sweep.results")
local sweep_plan = require("gen.sweep.write")

local WHOLE = { "resolved.json", "run.json", "status.json" }

-- The evaluations and the last step, without their times; the last line ends the file if it is whole.
local function evaluations(text)
  local kept, step, steps_at = {}, nil, nil
  for line in text:gmatch("([^\n]*)\n") do
    line = line:gsub(',"ms":[%d.]+', ""):gsub(',"tokens_per_s":%d+', ""):gsub(',"mfu":[%d.eE+nul-]+', "")
    if line:find('"val_loss"', 1, true) then
      kept[#kept + 1] = line
    elseif not line:find('"hellaswag"', 1, true) then
      step, steps_at = line, #kept + 1
    end
  end
  if step then table.insert(kept, steps_at, step) end
  return table.concat(kept, "\n") .. "\n"
end

local function main()
  local parser = argparse("tests/reference/studies/keep.lua", "Copies the finished runs of sweeps, small.")
  parser:argument("sweeps", "folders of sweeps, as out/sweeps/grid32"):args("+")
  parser:option("--to", "the folder to copy to", "tests/reference/studies")
  local args = command.arguments("tests/reference/studies/keep.lua", parser)
  for _, folder in ipairs(args.sweeps) do
    local p, count = sweep_plan.read_plan(folder), 0
    local to = args.to .. "/" .. p.sweep
    for _, run in ipairs(p.runs) do
      local from, metrics = folder .. "/" .. run.name, nil
      if results.is_done(from) then metrics = files.read(from .. "/metrics.jsonl") end
      if metrics then
        count = count + 1
        for _, name in ipairs(WHOLE) do
          local text = files.read(from .. "/" .. name)
          if name == "run.json" and text then text = text:gsub(',%s*"result": %b{}', "") end
          if text then files.write(("%s/%s/%s"):format(to, run.name, name), text) end
        end
        files.write(("%s/%s/metrics.jsonl"):format(to, run.name), evaluations(metrics))
      end
    end
    if count > 0 then files.write(to .. "/plan.json", (files.read(folder .. "/plan.json"))) end
    print(("%s: %d of %d runs are done and kept in %s"):format(folder, count, #p.runs, to))
  end
end

command.run(main)
