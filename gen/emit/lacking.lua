-- lacking: if a backend has no template for an op of a planned graph, one line says so, with the keys that ask for the
-- op.
local graph = require "gen.ir.graph"
local kernels = require "gen.emit.kernels"
local pipeline = require "gen.passes.pipeline"
local schema = require "gen.config.schema"

local lacking = {}

-- Whether a config's graph has the op, alone or in a kernel's load or store.
local function asks_for(c, op)
  local ok, g = pcall(pipeline.train, c, function() end)
  if not ok then return true end -- there is no such model, so the key decides nothing
  for _, node in ipairs(g.nodes) do
    if node.op == op then return true end
    for step in graph.steps(node) do
      if step.op == op then return true end
    end
  end
  return false
end

-- The keys that ask for the op: with their default value the graph does not have it. { "norm=rmsnorm" }
local function keys_of(c, op)
  local words = {}
  for _, key in ipairs(schema.baked_keys()) do
    local value = c[key.name]
    local names = key.type == "enum" or key.type == "bool"
    if names and key.name ~= "backend" and key.default ~= nil and value ~= key.default and
      not asks_for(setmetatable({ [key.name] = key.default }, { __index = c }), op) then
      words[#words + 1] = ("%s=%s"):format(key.name, tostring(value))
    end
  end
  return words
end

-- Raises { code = 64, message } for the first node without a template.
function lacking.check(g, c)
  for _, node in ipairs(g.nodes) do
    local path, fn = kernels.lacks(node, g.target, g.decode)
    if path then
      local words = keys_of(c, node.op)
      error({ code = 64, message = ("the %s backend has no %s (no function %s in %s)%s"):format(g.target.backend,
        node.op.name, fn, path, #words == 0 and "" or ("; %s asks for it"):format(table.concat(words, ", "))) }, 0)
    end
  end
end

return lacking
