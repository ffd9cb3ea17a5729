-- pipeline: from a checked config to planned graphs: the trainer's, and the sampler's from the same model.
local graph = require("gen.ir.graph")
local target = require("gen.ir.target")
local verify = require("gen.ir.verify")

local pipeline = {}

-- The passes, in the order in which they run. Each changes the graph in place and knows nothing of
-- the others; gen/ir/verify.lua checks the graph after each.
pipeline.passes = { "autodiff", "recompute", "fuse", "layout", "plan" }

-- Tokens of a prompt that the sampler takes in one call: whole tiles (runtime/kernel/product.h).
local SAMPLER_ROWS = 264

local function run_passes(g, names, dump)
  verify.run(g, "build")
  dump("1-build", g:text())
  for i, name in ipairs(names) do
    local pass = require("gen.passes." .. name)
    pass.run(g)
    verify.run(g, name)
    dump(("%d-%s"):format(i + 1, name), g:text(pass.text))
  end
end

local function new_graph(t)
  local g = graph.new()
  g.target = t
  return g
end

-- The model's forward pass and its loss, before any pass of the compiler.
function pipeline.forward(c)
  local g = new_graph(target.of(c))
  g.recompute, g.logits_rows, g.decay_all = c.recompute, c.logits_rows, c.decay_params == "all"
  local model = require("gen.models." .. c.model)
  g.rows = c.batch_size * c.block_size
  local logits = model.forward(g, c, g.rows)
  local targets = g:input("targets", { g.rows }, "i32")
  g.phase, g.site, g.line = "loss", "loss", "gen/passes/pipeline.lua"
  local losses = g:append("cross_entropy", { "losses" }, { logits, targets }, { cap = c.logit_softcap })
  g:append("mean_loss", {}, { losses, targets })
  g.losses = losses
  g.phase, g.site, g.line = "forward", nil, nil
  return g
end

-- The training graph; dump(name, text) takes the graph's text after each pass.
function pipeline.train(c, dump)
  local g = pipeline.forward(c)
  run_passes(g, pipeline.passes, dump)
  return g
end

-- The sampler's graph, for the CPU whatever trains: a few rows through a cache, weights where the checkpoint has them;
-- or `kind` has weights in a type of fewer bits, where a file of the sampler's own has them, or another type of the
-- cache (gen/passes/small.lua).
function pipeline.sample(c, dump, kind)
  kind = kind or { name = "" }
  local g = new_graph(target.cpu(c.isa))
  local decode = setmetatable({ decode = true, has_dropout = false, cache_type = kind.cache }, { __index = c })
  g.decode = true
  g.rows = math.min(c.block_size, SAMPLER_ROWS)
  g.logits = require("gen.models." .. c.model).forward(g, decode, g.rows)
  g.logits.kind = "output" -- in the caller's memory
  g.weights, g.cache_type = kind.weights, kind.cache
  run_passes(g, g.weights and { "small", "fuse", "plan" } or { "fuse", "plan" }, function(name, text)
    dump(("sample%s-%s"):format(kind.name ~= "" and "-" .. kind.name or "", name), text)
  end)
  return g
end

-- The same for a microcontroller: one row at a time, a cache of no more rows than the context has, products without
-- vectors, weights in q8_0.
function pipeline.core(c)
  local g = new_graph(target.cpu("generic"))
  g.target.scalar = true
  local decode = setmetatable({ decode = true, has_dropout = false, tight = true }, { __index = c })
  g.decode, g.rows, g.weights = true, 1, "q8_0"
  g.logits = require("gen.models." .. c.model).forward(g, decode, g.rows)
  g.logits.kind = "output"
  run_passes(g, { "small", "fuse", "plan" }, function() end)
  return g
end

return pipeline
