-- build: from a checked config to planned graphs: the trainer's, and the sampler's from the same model.
local graph = require("gen.graph")
local isas = require("gen.isa")
local passes = require("gen.passes")
local verify = require("gen.verify")

local build = {}

local SAMPLER_ROWS = 16 -- tokens of a prompt that the sampler takes in one call

local function run_passes(g, names, dump)
  verify.run(g, "build")
  dump("1-build", g:text())
  for i, name in ipairs(names) do
    require("gen.passes." .. name).run(g)
    verify.run(g, name)
    dump(("%d-%s"):format(i + 1, name), g:text())
  end
end

local function new_graph(c)
  local g = graph.new()
  g.isa = isas[c.isa]
  return g
end

-- The training graph; dump(name, text) takes the graph's text after each pass.
function build.train(c, dump)
  local g = new_graph(c)
  local model = require("gen.models." .. c.model)
  g.rows = c.batch_size * c.block_size
  local logits = model.forward(g, c, g.rows)
  local targets = g:input("targets", { g.rows }, "i32")
  g.phase, g.at = "loss", "gen/build.lua"
  local losses = g:append("cross_entropy", { "losses" }, { logits, targets })
  g:append("mean_loss", {}, { losses, targets })
  g.phase, g.at = "forward", nil
  run_passes(g, passes, dump)
  return g
end

-- The sampler's graph: a few rows through a cache, weights where the checkpoint has them.
function build.sample(c, dump)
  local g = new_graph(c)
  local decode = setmetatable({ decode = true, has_dropout = false }, { __index = c })
  g.decode = true
  g.rows = math.min(c.block_size, SAMPLER_ROWS)
  g.logits = require("gen.models." .. c.model).forward(g, decode, g.rows)
  g.logits.kind = "output" -- the caller's memory
  run_passes(g, { "fuse", "plan" }, function(name, text) dump("sample-" .. name, text) end)
  -- The runtime hands weights over one by one, in the order of the table, layers together.
  local index, order, count = {}, {}, 0
  for _, param in ipairs(g.params) do
    local family = param.name:gsub("%.h%.%d+%.", ".h.#.")
    if not index[family] then
      index[family] = {}
      order[#order + 1] = index[family]
    end
    table.insert(index[family], param)
  end
  for _, family in ipairs(order) do
    for _, param in ipairs(family) do
      param.region, param.offset = "weight", count
      count = count + 1
    end
  end
  return g
end

return build
