-- table: a model's parameters as lines for build/import and build/export: "NAME LAYERS COPY ROWS COLUMNS", layers
-- folded; COPY is 1 for a tied head, 2 for rows that follow those of the entry before in one tensor in memory. Depends
-- on passes, which build the model's graph.
local pipeline = require "gen.passes.pipeline"

local parameters = {}

function parameters.text(c)
  local entries, by_name = {}, {}
  for _, stored in ipairs(pipeline.forward(c):stored()) do
    local name, dims = stored.name.family:format("%d"), stored.dims
    local entry = by_name[name]
    if not entry then
      local copy = stored.param.copy_of and 1 or stored.row > 0 and 2 or 0
      entry = { name = name, layers = 0, copy = copy, rows = dims[1], columns = dims[2] or 0 }
      by_name[name] = entry
      entries[#entries + 1] = entry
    end
    entry.layers = entry.layers + 1
  end
  local lines = {}
  for i, entry in ipairs(entries) do
    lines[i] = ("%s %d %d %d %d\n"):format(entry.name, entry.layers, entry.copy, entry.rows, entry.columns)
  end
  return table.concat(lines)
end

return parameters
