-- matmul: y = x w^T, a linear layer's product, w being (out, in) as in nanoGPT's state dict; and
-- the two products of its backward pass.
local function product_flops(d) return 2 * d.N * d.C * d.O end

local matmul = {
  name = "matmul",
  inputs = { { "x", "N C" }, { "w", "O C" } },
  outputs = { { "y", "N O" } },
  epilogue = true,
  template = { "matmul", "matmul" },
  product = { a = "x", y = "y", inner = "C", cols = "O", transposed = true },
  decode = { "matmul_decode", "matmul_decode" },
  flops = product_flops,
}

function matmul.backward(g, node, dy)
  local x, w = table.unpack(node.inputs)
  local dx = g:append("matmul_dx", { "d." .. x.called }, { dy, w })
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
  outputs = { { "dw", "O C", accumulate = true }, { "dbias", "O", accumulate = true, in_name = true } },
  template = { "matmul", "matmul_dw" },
  weight_gradient = true,
  betas = true,
  flops = product_flops,
}

return { matmul, matmul_dx, matmul_dw }
