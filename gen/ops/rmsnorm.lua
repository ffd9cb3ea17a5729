-- rmsnorm: divides each row of x by the root of the mean of its squares, then scales it; rmsnorm_plain does not scale.
local rmsnorm = {
  name = "rmsnorm",
  inputs = { { "x", "N C" }, { "scale", "C" } },
  outputs = { { "y", "N C" }, { "rstd", "N", optional = true, type = "f32" } },
  attrs = { eps = 1e-5 },
  template = { "rmsnorm", "rmsnorm" },
  prologue = true,
  flops = function(d) return 4 * d.N * d.C end,
}

function rmsnorm.backward(g, node, dy)
  local x, scale = table.unpack(node.inputs)
  local _, rstd = table.unpack(node.outputs)
  return (g:append("rmsnorm_backward",
    { "d." .. x.called, g:param_grad(scale), "d." .. x.called .. ".partial" }, { dy, x, scale, rstd }))
end

local rmsnorm_backward = {
  name = "rmsnorm_backward",
  inputs = { { "dy", "N C" }, { "x", "N C" }, { "scale", "C" }, { "rstd", "N" } },
  outputs = { { "dx", "N C" }, { "dscale", "C", accumulate = true }, { "partial", "P C", cpu = true } },
  -- P partial sums of dscale, added in order: the same for any number of threads.
  derive = function(d) d.P = math.min(d.N, 16) end,
  inplace = { dx = "dy" },
  epilogue = true,
  template = { "rmsnorm", "rmsnorm_backward" },
  -- On CUDA, a partial sum for each thread block of four rows or more; at most three thread blocks
  -- for each multiprocessor.
  workspace = function(d) return math.min(3 * d.sms, (d.N + 3) // 4) * d.C_LD end,
  flops = function(d) return 12 * d.N * d.C end,
}

local plain = {
  name = "rmsnorm_plain",
  inputs = { { "x", "N C" } },
  outputs = { { "y", "N C" }, { "rstd", "N", optional = true, type = "f32" } },
  attrs = { eps = 1e-5 },
  template = rmsnorm.template,
  prologue = true,
  flops = function(d) return 3 * d.N * d.C end,
}

function plain.backward(g, node, dy)
  local x, rstd = node.inputs[1], node.outputs[2]
  return (g:append("rmsnorm_plain_backward", { "d." .. x.called }, { dy, x, rstd }))
end

local plain_backward = {
  name = "rmsnorm_plain_backward",
  inputs = { { "dy", "N C" }, { "x", "N C" }, { "rstd", "N" } },
  outputs = { { "dx", "N C" } },
  inplace = { dx = "dy" },
  epilogue = true,
  template = rmsnorm_backward.template,
  flops = function(d) return 8 * d.N * d.C end,
}

return { rmsnorm, rmsnorm_backward, plain, plain_backward }
