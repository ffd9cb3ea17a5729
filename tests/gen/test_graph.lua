-- test_graph: shapes bind to letters or are refused, with the model's line; a graph's text parses to the same graph.
local check = require "tests.gen.check"
local pipeline = require "gen.passes.pipeline"
local graph = require "gen.ir.graph"
local samples = require "tests.gen.samples"

-- Runs `body` as a line of a model, on a new graph.
local function in_model(body)
  local chunk = assert(load("local g = ...\n\n" .. body, "@gen/models/fake.lua"))
  local g = graph.new()
  chunk(g)
  return g
end

local function fails(body, message)
  return function() check.fails(function() in_model(body) end, message) end
end

local operands = "local x = g:input('x', { 8, 384 }, 'f32') local w = g:param('w', { 512, 384 }, {}) "

-- ---- shapes ----

check.test("an op binds its letters", function()
  local g = in_model(operands .. "g:append('matmul', { 'y' }, { x, w })")
  local node = g.nodes[1]
  check.equal(node.dims.N, 8)
  check.equal(node.dims.C, 384)
  check.equal(node.dims.O, 512)
  check.equal(graph.shape_text(g.tensors.y.dims), "8x512")
  check.equal(node.site.text, "y")
  check.equal(node.line, "gen/models/fake.lua:3")
end)

check.test("a tensor's layer and family are those of its name", function()
  local g = graph.new()
  local w = g:param(g.within("h", 3)("w"), { 4, 6 }, {})
  check.equal(w.name, "h.3.w")
  check.equal(w.layer, 3)
  check.equal(g:param_grad(w).name, "d.h.3.w")
  check.equal(g:param_grad(w).layer, 3)
  check.equal(g:param_grad(w).family, g:param_grad(g:param(g.within("h", 4)("w"), { 4, 6 }, {})).family)
  check.equal(g:param("w", { 6 }, {}).layer, nil)
end)

check.test("a name without its layer, in a layer", fails(
  operands .. "g.layer = 3 g:append('matmul', { 'd.' .. x.name }, { x, w })",
  "gen/models/fake.lua:3: matmul: in layer 3 'd.x' is a plain text; a name within it is g.within(SCOPE, 3)(WORD), " ..
  'and one made from a tensor\'s "d." .. x.called'))

check.test("a stem without its layer, in a layer", fails(
  "g.layer = 3 local x = g:input('x', { 4, 6 }, 'f32') local s = g:param('s', { 6 }, {}) " ..
  "g:append('layernorm', 'ln', { x, s })",
  "gen/models/fake.lua:3: layernorm: in layer 3 'ln.y' is a plain text"))

check.test("a stem gives every output its name", function()
  local g = in_model("local x = g:input('x', { 4, 6 }, 'f32') local s = g:param('s', { 6 }, {}) " ..
    "g:append('layernorm', 'ln', { x, s })")
  check.equal(graph.shape_text(g.tensors["ln.y"].dims), "4x6")
  check.equal(graph.shape_text(g.tensors["ln.mean"].dims), "4")
  check.equal(graph.shape_text(g.tensors["ln.rstd"].dims), "4")
end)

check.test("a size that differs from the earlier operand's", fails(
  "local x = g:input('x', { 8, 384 }, 'f32') local s = g:param('s', { 512 }, {}) " ..
  "g:append('layernorm', 'ln', { x, s })",
  "gen/models/fake.lua:3: layernorm: scale is (512) but axis 1 should be C = 384, as in x"))
check.test("a transposed weight", fails(
  "local x = g:input('x', { 8, 384 }, 'f32') local w = g:param('w', { 384, 512 }, {}) " ..
  "g:append('matmul', { 'y' }, { x, w })",
  "gen/models/fake.lua:3: matmul: w is (384, 512) but axis 2 should be C = 384, as in x"))
check.test("a wrong number of axes", fails(
  "local x = g:input('x', { 8 }, 'f32') local w = g:param('w', { 512, 384 }, {}) " ..
  "g:append('matmul', { 'y' }, { x, w })",
  "gen/models/fake.lua:3: matmul: x is (8) but should have 2 axes (N C)"))
check.test("a missing input", fails(operands .. "g:append('matmul', { 'y' }, { x })",
  "gen/models/fake.lua:3: matmul: input 'w' is missing"))
check.test("an unknown attribute", fails(
  operands .. "g:append('matmul', { 'y' }, { x, w }, { bias = true })",
  "gen/models/fake.lua:3: matmul: unknown attribute 'bias'"))
check.test("a missing attribute", fails(operands .. "g:append('dropout', { 'y' }, { x })",
  "gen/models/fake.lua:3: dropout: attribute 'site' is missing"))
check.test("an unknown op", fails("g:append('matmull', { 'y' }, {})", "no op is named 'matmull'"))
check.test("two tensors with the same name", fails(
  operands .. "g:append('matmul', { 'w' }, { x, w })", "two tensors are named 'w'"))
check.test("an op's own check", fails(
  "local x = g:input('x', { 8, 15 }, 'f32') g:append('attention', 'a', { x }, { T = 4, H = 2, scale = 1.0 })",
  "gen/models/fake.lua:3: attention: H = 2 does not divide C = 5"))
check.test("rows that are not a whole number of contexts", fails(
  "local x = g:input('x', { 9, 12 }, 'f32') g:append('attention', 'a', { x }, { T = 4, H = 2, scale = 1.0 })",
  "gen/models/fake.lua:3: attention: T = 4 does not divide N = 9"))
check.test("a gradient whose shape is not its parameter's", fails(
  operands .. "local b = g:param('b', { 7 }, {}) g:append('bias_grad', { g:param_grad(b) }, { x })",
  "gen/models/fake.lua:3: bias_grad: dbias is (7) but axis 1 should be C = 384, as in dy"))

-- ---- text ----

check.test("a node's text", function()
  local g = in_model(operands .. "g:append('matmul', { 'y' }, { x, w })")
  check.equal(graph.node_text(g.nodes[1]), "y:8x512 = matmul x w")
end)

check.test("an absent input is a dash, attributes are sorted", function()
  local g = in_model("local t = g:input('t', { 8 }, 'i32') local w = g:param('w', { 9, 4 }, {}) " ..
    "g:append('embed', { 'e' }, { t, w, nil }, { T = 4 })" ..
    "local q = g:input('q', { 8, 12 }, 'f32')" ..
    "g:append('attention', 'a', { q }, { scale = 0.5, H = 2, T = 4 })")
  check.equal(graph.node_text(g.nodes[1]), "e:8x4 = embed t w - T=4")
  check.equal(graph.node_text(g.nodes[2]),
    "a.y:8x4, a.lse:2x8 = attention q H=2 T=4 scale=0.5 site=0")
end)

check.test("a site is shown if it is not the output's name", function()
  local g = in_model(operands .. "g.site = 'block.0.fc' g:append('matmul', { 'y' }, { x, w }) " ..
    "g.site = nil g:append('matmul', { 'z.y' }, { x, w })")
  check.equal(graph.node_text(g.nodes[1]), "y:8x512 = matmul x w  @block.0.fc")
  check.equal(graph.node_text(g.nodes[2]), "z.y:8x512 = matmul x w")
  check.equal(g.nodes[2].site.text, "z")
end)

check.test("the text of a model parses to the same graph, before and after autodiff", function()
  local read = 0
  samples.random(12, function(c, words)
    pipeline.train(c, function(name, text)
      if name == "1-build" or name == "2-autodiff" then
        check.same_text(graph.parse(text):text(), text, name .. " of " .. words)
        read = read + 1
      end
    end)
  end)
  check.equal(read, 24)
end)

-- What names say of tensors and nodes, as a text.
local function said(g)
  local lines = {}
  for _, tensor in pairs(g.tensors) do
    lines[#lines + 1] = ("%s: %s of %s"):format(tensor.name, tensor.layer, tensor.family)
  end
  for i, node in ipairs(g.nodes) do
    lines[#lines + 1] = ("node %d: %s of %s"):format(i, node.site.layer, node.site.family)
  end
  table.sort(lines)
  return table.concat(lines, "\n") .. "\n"
end

check.test("text tells layers and families", function()
  samples.random(12, function(c, words)
    local g = pipeline.forward(c)
    require("gen.passes.autodiff").run(g)
    check.same_text(said(graph.parse(g:text())), said(g), words)
  end)
end)

check.test("the text of a bigram parses to the same graph", function()
  pipeline.train(samples.config("model=bigram"), function(name, text)
    if name == "1-build" or name == "2-autodiff" then
      check.same_text(graph.parse(text):text(), text, name)
    end
  end)
end)

check.test("text with an undefined name", function()
  check.fails(function() graph.parse("y:2x3 = add x x\n") end, "y:2x3 = add x x: 'x' is not defined")
end)

check.test("text with shapes that do not fit", function()
  check.fails(function()
    graph.parse("x:2x3 = input type=f32\nz:3x2 = input type=f32\ny:2x3 = add x z  @a.lua:1\n")
  end, "a.lua:1: add: addend is (3, 2) but axis 1 should be N = 2, as in x")
end)

check.finish()
