-- gated: feed-forward layers whose activated half is multiplied by the other. Of x (N, 2 C), the first C columns are
-- the gate and the others go up: y = act(gate) * up. Both are one product's, whose weight has the gate's rows first.
-- On the CPU fuse.lua puts these ops into the product that makes what they read: matmul_swiglu, matmul_dx_swiglu.
local function halves(d)
  if d.E % 2 ~= 0 then return ("x has %d columns, which are no two halves"):format(d.E) end
  d.C = d.E // 2
  return nil
end

-- The same for the product of gate and up, (O, C) of which F rows each.
local function halves_of_product(d)
  if d.O % 2 ~= 0 then return ("w has %d rows, which are no two halves"):format(d.O) end
  d.F = d.O // 2
  return nil
end

-- And for the product that makes the gradient of y (N, C).
local function halves_of_gradient(d)
  if d.E ~= 2 * d.C then return ("x has %d columns, which are not twice %d"):format(d.E, d.C) end
  return nil
end

-- About how many operations the activation of an element takes.
local cost = { swiglu = 20, geglu = 30 }

local ops = {}
for _, name in ipairs({ "swiglu", "geglu" }) do
  local function forward_flops(d, cols) return (cost[name] + 1) * d.N * cols end
  local function backward_flops(d) return (2 * cost[name] + 3) * d.N * d.C end
  local function product_flops(d) return 2 * d.N * d.C * d.O end

  ops[#ops + 1] = {
    name = name,
    inputs = { { "x", "N E" } },
    outputs = { { "y", "N C" } },
    derive = halves,
    template = { "gated", name },
    store_of = { matmul = "matmul_" .. name },
    activation = true,
    flops = function(d) return forward_flops(d, d.C) end,
    backward = function(g, node, dy)
      return (g:append(name .. "_backward", { "d." .. node.inputs[1].called }, { dy, node.inputs[1] }))
    end,
  }
  ops[#ops + 1] = {
    name = name .. "_backward",
    inputs = { { "dy", "N C" }, { "x", "N E" } },
    outputs = { { "dx", "N E" } },
    derive = halves,
    template = { "gated", name .. "_backward" },
    store_of = { matmul_dx = "matmul_dx_" .. name },
    flops = backward_flops,
  }

  -- y = act(gate) * up, with gate and up, side by side, = x w^T + bias. A trainer's kernel keeps them in `pre`, and
  -- before that its partial sums.
  ops[#ops + 1] = {
    name = "matmul_" .. name,
    inputs = { { "x", "N C" }, { "w", "O C" }, { "bias", "O", optional = true } },
    outputs = { { "y", "N F" }, { "pre", "N O" } },
    derive = halves_of_product,
    named_by = { "N", "C", "F" },
    template = { "gated", "matmul_" .. name },
    decode = { "gated", "matmul_" .. name .. "_decode" },
    product = { a = "x", y = "y", inner = "C", cols = "F", transposed = true, halves = true },
    flops = function(d) return product_flops(d) + forward_flops(d, d.F) end,
  }
  -- dx, the gradients of gate and up, x, side by side: of their y it is dy w.
  ops[#ops + 1] = {
    name = "matmul_dx_" .. name,
    inputs = { { "dy", "N O" }, { "w", "O C" }, { "x", "N E" } },
    outputs = { { "dx", "N E" } },
    derive = halves_of_gradient,
    named_by = { "N", "O", "C" },
    template = { "gated", "matmul_dx_" .. name },
    product = { a = "dy", y = "dx", inner = "O", cols = "C" },
    flops = function(d) return product_flops(d) + backward_flops(d) end,
  }
end
return ops
