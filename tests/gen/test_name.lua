-- test_name: a name's text, layer and family follow from its parts, which are also read from a graph's text.
local check = require "tests.gen.check"
local name = require "gen.ir.name"

-- A name's fields as one text.
local function said(n) return ("%s %s %s %s"):format(n.text, n.layer, n.family, n.short) end

local x = name.within("block", 3)("x")

check.test("a name within a layer", function()
  check.equal(said(x), "block.3.x 3 block.%s.x x")
  check.equal(tostring(x), "block.3.x")
end)

check.test("a name within a scope that has no layers", function()
  check.equal(said(name.within("h")("wte.weight")), "h.wte.weight nil h.wte.weight wte.weight")
end)

check.test("a string is a name without a layer, whatever it looks like", function()
  check.equal(said(name.of("block.3.x")), "block.3.x nil block.3.x block.3.x")
  check.equal(name.of(x), x)
end)

check.test("names made from a name keep its layer", function()
  check.equal(said("d." .. x), "d.block.3.x 3 d.block.%s.x d.x")
  check.equal(said(x .. ".y"), "block.3.x.y 3 block.%s.x.y x.y")
  check.equal(said(x:again()), "block.3.again.x 3 block.%s.again.x again.x")
  check.equal(said("d." .. x .. ".partial"), "d.block.3.x.partial 3 d.block.%s.x.partial d.x.partial")
end)

check.test("a sum of gradients is of their family", function()
  local d = "d." .. x
  check.equal(said(d:sum(2)), "d.block.3.x.sum 3 d.block.%s.x d.x.sum")
  check.equal(said(d:sum(3)), "d.block.3.x.sum3 3 d.block.%s.x d.x.sum3")
  check.equal(said(d:sum(2) .. ".more"), "d.block.3.x.sum.more 3 d.block.%s.x.sum.more d.x.sum.more")
end)

check.test("a name without its suffix", function()
  check.equal(said((x .. ".y"):without(".y")), said(x))
  check.equal(said((x .. ".yy"):without(".y")), said(x .. ".yy"))
end)

check.test("the parts are read from a graph's text", function()
  for _, n in ipairs { x, "d." .. x, ("d." .. x):sum(2), name.of("logits"), name.of("train.losses"),
    name.within("transformer.h", 12)("attn.c_attn.weight"), name.within("h", 3)("mlp.0.weight") } do
    check.equal(said(name.read(n.text)), said(n))
  end
end)

check.finish()
