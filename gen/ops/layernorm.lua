-- layernorm: gives each row of x zero mean and unit variance, then scales and shifts it.
local layernorm = {
  name = "layernorm",
  inputs = { { "x", "N C" }, { "scale", "C" }, { "shift", "C", optional = true } },
  outputs = { { "y", "N C" }, { "mean", "N", optional = true, type = "f32", cancels = true },
    { "rstd", "N", optional = true, type = "f32" } },
  attrs = { eps = 1e-5 },
  template = { "layernorm", "layernorm" },
  prologue = true,
  flops = function(d) return 8 * d.N * d.C end,
}

function layernorm.backward(g, node, dy)
  local x, scale, shift = table.unpack(node.inputs)
  local _, mean, rstd = table.unpack(node.outputs)
  return (g:append("layernorm_backward",
    { "d." .. x.called, g:param_grad(scale), shift and g:param_grad(shift),
      "d." .. x.called .. ".partial" },
    { dy, x, scale, mean, rstd }))
end

local layernorm_backward = {
  name = "layernorm_backward",
  inputs = { { "dy", "N C" }, { "x", "N C" }, { "scale", "C" }, { "mean", "N" }, { "rstd", "N" } },
  outputs = { { "dx", "N C" }, { "dscale", "C", accumulate = true },
    { "dshift", "C", accumulate = true }, { "partial", "P Two C", cpu = true } },
  -- P partial sums of dscale and dshift, added in order: the same for any number of threads.
  derive = function(d) d.P, d.Two = math.min(d.N, 16), 2 end,
  inplace = { dx = "dy" },
  epilogue = true,
  template = { "layernorm", "layernorm_backward" },
  -- On CUDA, a pair of partial sums for each thread block of four rows or more; at most three thread
  -- blocks for each multiprocessor.
  workspace = function(d) return math.min(3 * d.sms, (d.N + 3) // 4) * 2 * d.C_LD end,
  flops = function(d) return 16 * d.N * d.C end,
}

return { layernorm, layernorm_backward }
