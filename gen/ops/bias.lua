-- bias: adds one value per column.
local bias = {
  name = "bias",
  inputs = { { "x", "N C" }, { "bias", "C" } },
  outputs = { { "y", "N C" } },
  inplace = { y = "x" },
  expr = "x + bias",
  flops = function(d) return d.N * d.C end,
}

function bias.backward(g, node, dy)
  g:append("bias_grad", { g:param_grad(node.inputs[2]) }, { dy })
  return dy
end

-- bias_grad: adds the sum over rows of dy to the bias's gradient, each column by one thread in row
-- order.
local bias_grad = {
  name = "bias_grad",
  inputs = { { "dy", "N C" } },
  outputs = { { "dbias", "C", accumulate = true } },
  template = { "bias", "bias_grad" },
  flops = function(d) return d.N * d.C end,
}

return { bias, bias_grad }
