-- elsewhere: DONE="folder ...", runs of a sweep that are finished elsewhere: in copies of its folder, of which each
-- run's resolved.json and status.json are enough, as under tests/reference/studies. They are not trained here.
local folders = require("gen.sweep.folders")
local plan = require("gen.sweep.plan")
local results = require("gen.sweep.results")

local elsewhere = {}

local function fail(format, ...) error({ code = 64, message = format:format(...) }, 0) end

-- Marks the runs that are finished in one of these folders and not here: run.elsewhere. A run that would continue one
-- of them has no weights to continue, and trains that part itself. Returns how many are marked.
function elsewhere.mark(p, words)
  if p.sweep.halving then
    fail("DONE: %s has halving, which compares all its runs; wanted a sweep without", p.sweep.path)
  end
  local entries, marked = {}, 0
  for folder in words:gmatch("%S+") do
    local found = folders.list(folder)
    if #found == 0 then fail("DONE=%s: holds no run of a sweep, which has a resolved.json", folder) end
    table.move(found, 1, #found, #entries + 1, entries)
  end
  for _, run in ipairs(p.runs) do
    local here = run.has and results.is_done(run.has.folder)
    for _, entry in ipairs(here and {} or entries) do
      local same = entry.identity and plan.difference(entry.identity, run.identity) == ""
      if same and results.is_done(entry.folder) and not run.elsewhere then
        run.elsewhere, marked = true, marked + 1
      end
    end
  end
  for _, run in ipairs(p.runs) do
    while run.from and run.from.elsewhere do run.from = run.from.from end
  end
  return marked
end

return elsewhere
