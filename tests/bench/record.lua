-- record: keeps a result of bench: copies bench.json to tests/bench/results/NAME-MACHINE-ISA.json,
-- over an older one of the same name.
--
--   lua5.4 tests/bench/record.lua build/NAME/cpu/bench.json [FOLDER]
package.path = "./?.lua;" .. package.path
local results = require("tests.bench.results")

results.main(function()
  local path, folder = arg[1], arg[2] or "tests/bench/results"
  if not path then results.fail(64, "record: which file? as in: record.lua build/NAME/cpu/bench.json") end
  local figures = results.read(path)
  if not figures then results.fail(65, "%s: was not written by bench", path) end
  local model = figures.name:gsub("%-isa=[^-]*", "", 1) -- if SET has it, since isa comes last
  local name = ("%s-%s-%s"):format(model, results.machine_slug(figures), figures.isa)
  if figures.threads ~= figures.cores then name = ("%s-%d-threads"):format(name, figures.threads) end
  local to = ("%s/%s.json"):format(folder, name)
  results.write_text(to, results.read_text(path))
  print("recorded: " .. to)
end)
