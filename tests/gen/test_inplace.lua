-- test_inplace: over which of its operands a kernel may write: what ops declare and what stores alone read, but not
-- what the kernel reads after it has stored elsewhere.
local check = require "tests.gen.check"
local fuse = require "gen.passes.fuse"
local graph = require "gen.ir.graph"
local inplace = require "gen.ir.inplace"
local target = require "gen.ir.target"

local targets = { cpu = target.cpu("avx2", true), decode = target.cpu "avx2",
  cuda = target.cuda { elem = "bf16" } }

-- The names of the operands, of the last node of a graph that `build` appends to.
local function operands(words, where, build)
  return function()
    local g = graph.new()
    g.target, g.decode = targets[where], where == "decode"
    local function given(name, dims) return g:tensor(name, dims, { type = g:elem() }) end
    build(g, given)
    fuse.run(g)
    local names = {}
    for i, tensor in ipairs(inplace.operands(g, g.nodes[#g.nodes])) do names[i] = tensor.name end
    check.equal(table.concat(names, " "), words)
  end
end

local function product(g, given) return g:append("matmul", { "h" }, { given("x", { 8, 4 }), given("w", { 4, 4 }) }) end

local function of_residual(g, given) g:append("add", { "y" }, { product(g, given), given("r", { 8, 4 }) }) end
check.test("a residual in a CPU's product, which keeps partial sums", operands("", "cpu", of_residual))
check.test("a residual in the sampler's product", operands("r", "decode", of_residual))
check.test("a residual in cuBLASLt's product", operands("r", "cuda", of_residual))

local function of_itself(g, given) g:append("add", { "y" }, { product(g, given), g.tensors.x }) end
check.test("a residual that the product reads too", operands("", "decode", of_itself))
check.test("a residual that cuBLASLt reads too", operands("", "cuda", of_itself))

local function of_bias(g, given) g:append("bias", { "y" }, { product(g, given), given("b", { 4 }) }) end
check.test("a bias, which has another shape", operands("", "decode", of_bias))

local function of_gelu(g, given)
  local dh = g:append("matmul_dx", { "dh" }, { given("dy", { 8, 4 }), given("w", { 4, 4 }) })
  g:append("gelu_tanh_backward", { "dx" }, { dh, given("pre", { 8, 4 }) })
end
check.test("the aux of a GELU's derivative in cuBLASLt's store", operands("", "cuda", of_gelu))

local function of_norm(more)
  return function(g, given)
    local x, dy = given("x", { 8, 4 }), given("dy", { 8, 4 })
    local stats = { type = "f32", dense = true }
    local dx = g:append("rmsnorm_backward", { "dx", g:param_grad(g:param("scale", { 4 }, {})), "partial" },
      { dy, more == "twice" and dy or x, g.tensors.scale, g:tensor("rstd", { 8 }, stats) })
    if more == "add" then g:append("add", { "sum" }, { dx, given("other", { 8, 4 }) }) end
  end
end
check.test("what the op declares", operands("dy", "cpu", of_norm()))
check.test("what the store reads comes before what the op declares", operands("other dy", "cpu", of_norm "add"))
check.test("what the op declares, if it is another input too", operands("", "cpu", of_norm "twice"))

check.test("a pointwise kernel's input twice", operands("x", "cpu", function(g, given)
  local x = given("x", { 8, 4 })
  g:append("add", { "y" }, { x, x })
end))
check.test("a kernel that declares nothing", operands("", "cpu", product))

check.finish()
