-- test_lacking: if a backend has no template for an op, one line says so, with the config keys that ask for the op.
local check = require "tests.gen.check"
local graph = require "gen.ir.graph"
local kernels = require "gen.emit.kernels"
local lacking = require "gen.emit.lacking"
local pipeline = require "gen.passes.pipeline"
local samples = require "tests.gen.samples"

local function no_dump() end

-- The error if a backend has no kernel for this op; without fusion, so that each op needs its own kernel.
local function without(name, word)
  local c = samples.config(word)
  local g = pipeline.train(c, no_dump)
  for i, node in ipairs(g.nodes) do
    for step in graph.steps(node) do
      if step.op and step.op.name == name then g.nodes[i] = { op = step.op } end
    end
  end
  local has = kernels.lacks
  function kernels.lacks(node) -- luacheck: ignore 122
    if node.op.name == name then return ("templates/cpu/%s.c"):format(node.op.family), name end
  end
  local ok, problem = pcall(lacking.check, g, c)
  kernels.lacks = has -- luacheck: ignore 122
  return not ok and problem
end

check.test("nothing is lacking", function()
  for _, word in ipairs { "n_layer=1", "model=bigram", "dropout=0.1", "recompute=block" } do
    local c = samples.config(word)
    lacking.check(pipeline.train(c, no_dump), c)
  end
end)

check.test("an op that every model has", function()
  local problem = without("cross_entropy")
  check.equal(problem.code, 64)
  check.equal(problem.message, "the cpu backend has no cross_entropy (no function cross_entropy in " ..
    "templates/cpu/cross_entropy.c)")
end)

check.test("an op that a key asks for", function()
  check.equal(without("silu", "activation=silu").message, "the cpu backend has no silu (no function silu in " ..
    "templates/cpu/activation.c); activation=silu asks for it")
end)

check.test("a missing template file, and a missing function in one", function()
  local g = pipeline.train(samples.config(), no_dump)
  local node = g.nodes[1]
  check.equal(kernels.lacks(node, g.target), nil)
  local nowhere = setmetatable({ op = setmetatable({ template = { "nowhere", "f" } }, { __index = node.op }) },
    { __index = node })
  check.equal(kernels.lacks(nowhere, g.target), "templates/cpu/nowhere.c")
  nowhere.op.template = { "embed", "f" }
  local path, fn = kernels.lacks(nowhere, g.target)
  check.equal(path .. " " .. fn, "templates/cpu/embed.c f")
end)

check.finish()
