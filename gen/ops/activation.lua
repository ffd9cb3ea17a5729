-- activation: the pointwise functions of the feed-forward layer and their derivatives. C functions NAME and NAME_grad
-- are in runtime/kernel/vec_math.h for CPUs and kernel_math.cuh for GPUs.
local ops = {}

-- About how many operations one element takes: polynomial, division, selects.
local cost = { gelu_erf = 30, gelu_tanh = 30, relu = 1, silu = 20, relu2 = 2 }

for _, name in ipairs({ "gelu_erf", "gelu_tanh", "relu", "silu", "relu2" }) do
  ops[#ops + 1] = {
    name = name,
    inputs = { { "x", "N C" } },
    outputs = { { "y", "N C" } },
    expr = name .. "(x)",
    activation = true,
    long = true,
    gemm = name == "gelu_tanh" and "activation" or nil,
    rounds = name == "relu2" and 1 or nil, -- a square's relative error is twice its root's
    flops = function(d) return cost[name] * d.N * d.C end,
    backward = function(g, node, dy)
      return g:append(name .. "_backward", { "d." .. node.inputs[1].called }, { dy, node.inputs[1] })
    end,
  }
  ops[#ops + 1] = {
    name = name .. "_backward",
    inputs = { { "dy", "N C" }, { "pre", "N C" } },
    outputs = { { "dx", "N C" } },
    inplace = { dx = "dy" },
    expr = ("dy * %s_grad(pre)"):format(name),
    long = true,
    gemm = name == "gelu_tanh" and "activation_gradient" or nil,
    flops = function(d) return (cost[name] + 1) * d.N * d.C end,
  }
end

return ops
