-- bias: adds one value per column.
local bias = {
  name = "bias",
  inputs = { { "x", "N C" }, { "bias", "C" } },
  outputs = { { "y", "N C" } },
  inplace = { y = "x" },
  expr = "x + bias",
  gemm = "bias",
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
  bias_gradient = true,
  -- On CUDA, partial sums over parts of the rows, each of 64 rows or more: with slices of 256 columns, about eight
  -- thread blocks for each multiprocessor.
  workspace = function(d)
    local slices = (d.C_LD + 255) // 256
    return math.max(1, math.min(8 * d.sms // slices, (d.N + 63) // 64)) * d.C_LD
  end,
  flops = function(d) return d.N * d.C end,
}

return { bias, bias_grad }
