-- test_verify: a fault planted after any pass is found, and the error names that pass.
local check = require "tests.gen.check"
local pipeline = require "gen.passes.pipeline"
local graph = require "gen.ir.graph"
local samples = require "tests.gen.samples"
local verify = require "gen.ir.verify"

local function literal(text) return (text:gsub("%p", "%%%0")) end

-- The graph of a small model after all passes up to `last`; "build" means no pass.
local function model(last, ...)
  local g = pipeline.forward(samples.config(...))
  local done = last == "build"
  for _, name in ipairs(pipeline.passes) do
    if done then break end
    require("gen.passes." .. name).run(g)
    done = name == last
  end
  return g
end

local function find(g, op_name, nth)
  for i, node in ipairs(g.nodes) do
    if node.op.name == op_name then
      nth = (nth or 1) - 1
      if nth == 0 then return node, i end
    end
  end
  error("no " .. op_name)
end

-- A test that the graph is accepted as it is, and refused after plant(g).
local function caught(last, plant, message, ...)
  local words = { ... }
  return function()
    local g = model(last, table.unpack(words))
    verify.run(g, last)
    local expected = plant(g)
    local place = last == "build" and "gen/passes/pipeline.lua: " or ("gen/passes/%s.lua: "):format(last)
    check.raises(function() verify.run(g, last) end, 70, literal(place) .. ".*" .. literal(expected or message))
  end
end

local function swap(g, i, j)
  g.nodes[i], g.nodes[j] = g.nodes[j], g.nodes[i]
end

for _, last in ipairs { "build", "autodiff", "fuse", "layout", "plan" } do
  check.test("use before definition, after " .. last, caught(last, function(g)
    local _, at = find(g, "attention")
    swap(g, at, at - 1)
  end, "attention reads block.0.qkv before it is written"))

  check.test("written twice, after " .. last, caught(last, function(g)
    local node = find(g, "layernorm", 2)
    node.outputs[1] = find(g, "layernorm").outputs[1]
    for _, reader in ipairs(g.nodes) do
      for i, tensor in ipairs(reader.inputs) do
        if tensor and tensor.name == "block.0.ln_2.y" then reader.inputs[i] = node.outputs[1] end
      end
    end
  end, "block.0.ln_1.y is written twice"))

  check.test("another size, after " .. last, caught(last, function(g)
    g.tensors["block.1.attention.y"].dims = { 24, 15 }
  end, "block.1.attention.y is (24, 15) but C = 16"))

  check.test("an axis beyond an int, after " .. last, caught(last, function(g)
    g:input("more", { 2, 1 << 31 }, "f32")
  end, "more has an axis of 2147483648, more than an int holds"))
end

for _, last in ipairs { "autodiff", "fuse", "layout", "plan" } do
  check.test("a missing gradient, after " .. last, caught(last, function(g)
    local node, at = find(g, "matmul_dw", 3)
    table.remove(g.nodes, at)
    return node.outputs[1].of.name .. " has no gradient"
  end))

  check.test("a bias's missing gradient, after " .. last, caught(last, function(g)
    for _, node in ipairs(g.nodes) do
      for i, tensor in ipairs(node.outputs) do
        if tensor and tensor.name == "d.transformer.h.1.mlp.c_fc.bias" then node.outputs[i] = false end
      end
    end
  end, "transformer.h.1.mlp.c_fc.bias has no gradient", "bias=true"))

  check.test("a gradient of another shape, after " .. last, caught(last, function(g)
    g.tensors["d.transformer.wpe.weight"].dims = { 16, 8 }
  end, "d.transformer.wpe.weight is not of its parameter's shape"))

  check.test("a gradient used before it is there, after " .. last, caught(last, function(g)
    local node, at = find(g, "attention_backward")
    table.remove(g.nodes, at)
    table.insert(g.nodes, select(2, find(g, "cross_entropy_backward")) + 1, node)
  end, "attention_backward reads d.block.1.attention.y before it is written"))
end

check.test("a kept tensor that no kernel keeps", caught("fuse", function(g)
  for _, node in ipairs(g.nodes) do
    for i, step in ipairs(node.epilogue) do
      if step.keep and step.keep.name == "block.0.fc" then table.remove(node.epilogue, i) end
    end
  end
end, "matmul_dx reads block.0.fc before it is written"))

check.test("a row block that does not divide the rows", caught("fuse", function(g)
  local node = find(g, "cross_entropy")
  node.row_block.rows = node.row_block.rows - 1
end, "is not in whole row blocks"))

-- ---- addresses ----

-- Moves one of two tensors that are live at the same time onto the other.
local function onto(name, other, by)
  return function(g)
    local a, b = g.tensors[name], g.tensors[other]
    local lives = g.lives
    assert(lives[a].first <= lives[b].last and lives[b].first <= lives[a].last, "never live together")
    a.offset = b.offset + (by or 0)
  end
end

check.test("two live tensors at one address",
  caught("plan", onto("block.0.qkv", "block.0.x"), "overlap while both live"))
check.test("one element of overlap", caught("plan", function(g)
  local x, qkv = g.tensors["block.0.x"], g.tensors["block.0.qkv"]
  onto("block.0.qkv", "block.0.x", graph.count(x) - 1)(g)
  return ("%s and %s overlap while both live"):format(x.name, qkv.name)
end))
check.test("an activation that the backward pass still needs",
  caught("plan", onto("block.1.activated", "block.0.activated"), "overlap while both live"))
check.test("a product's output over its input",
  caught("plan", onto("block.0.qkv", "block.0.ln_1.y"), "overlap while both live"))
check.test("attention's output over its input, of which it reads more than it writes",
  caught("plan", onto("block.0.attention.y", "block.0.qkv"), "overlap while both live"))
check.test("a CPU's product over what its store reads, in which it first keeps partial sums", caught("plan", function(g)
  local node = g.tensors["d.block.1.fc"].producer
  local pre = node.epilogue[1].operands[1]
  node.outputs[1].offset = pre.offset
  return "overlap while both live"
end))
check.test("a kept tensor over the stored one",
  caught("plan", onto("block.0.fc", "block.0.activated"), "overlap while both live"))
check.test("over an operand that is read again later", caught("plan", function(g)
  -- A sum may be written over its addend, but not if a later node reads that too.
  g.tensors["block.0.x_mid"].offset = g.tensors["block.0.x"].offset
end, "block.0.x and block.0.x_mid overlap while both live"))
check.test("an output in place of its input is accepted", function()
  local g = model("plan")
  local a, b = g.tensors["train.logits"], g.tensors["d.logits"]
  check.equal(a.offset, b.offset, "logits and their gradient")
  verify.run(g, "plan")
end)

check.finish()
