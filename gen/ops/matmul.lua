-- matmul: y = x w^T, a linear layer's product, w being (out, in) as in nanoGPT's state dict; and
-- the two products of its backward pass. gen/passes/layout.lua replaces w by packed copies of it.
local function product_flops(d) return 2 * d.N * d.C * d.O end

local matmul = {
  name = "matmul",
  inputs = { { "x", "N C" }, { "w", "O C" } },
  outputs = { { "y", "N O" } },
  epilogue = true,
  template = { "matmul", "matmul" },
  product = { a = "x", y = "y", inner = "C", cols = "O" },
  decode = { "matmul_decode", "matmul_decode" },
  flops = product_flops,
}

function matmul.backward(g, node, dy)
  local x, w = table.unpack(node.inputs)
  local dx = g:append("matmul_dx", { "d." .. x.name }, { dy, w })
  g:append("matmul_dw", { g:param_grad(w) }, { dy, x })
  return dx
end

-- dx = dy w
local matmul_dx = {
  name = "matmul_dx",
  inputs = { { "dy", "N O" }, { "w", "O C" } },
  outputs = { { "dx", "N C" } },
  epilogue = true,
  template = { "matmul", "matmul" },
  product = { a = "dy", y = "dx", inner = "O", cols = "C" },
  flops = product_flops,
}

-- dw += dy^T x, and, where fused, dbias += the sum over rows of dy
local matmul_dw = {
  name = "matmul_dw",
  inputs = { { "dy", "N O" }, { "x", "N C" } },
  outputs = { { "dw", "O C", accumulate = true }, { "dbias", "O", accumulate = true } },
  template = { "matmul", "matmul_dw" },
  flops = product_flops,
}

-- pack: w as panels of S columns for y = x w^T (PanelsO, C, S), or, `pack_dx`, for dx = dy w
-- (PanelsC, O, S). Columns beyond the last are 0.
local function pack_op(name, columns, rows)
  return {
    name = name,
    inputs = { { "w", "O C" } },
    outputs = { { "packed", "P " .. rows .. " S", type = "f32" } },
    attrs = { panel = false },
    derive = function(d, attrs)
      d.S = attrs.panel
      d.P = (d[columns] + d.S - 1) // d.S
    end,
    template = { "matmul", name },
    flops = function() return 0 end,
  }
end

return { matmul, matmul_dx, matmul_dw, pack_op("pack", "O", "C"), pack_op("pack_dx", "C", "O") }
