-- gated: feed-forward layers whose activated half is multiplied by the other. Of x (N, 2 C), the first C columns are
-- the gate and the others go up: y = act(gate) * up. Both are one product's, whose weight has the gate's rows first.
local function halves(d)
  if d.E % 2 ~= 0 then return ("x has %d columns, which are no two halves"):format(d.E) end
  d.C = d.E // 2
  return nil
end

-- About how many operations the activation of an element takes.
local cost = { swiglu = 20, geglu = 30 }

local ops = {}
for _, name in ipairs({ "swiglu", "geglu" }) do
  ops[#ops + 1] = {
    name = name,
    inputs = { { "x", "N E" } },
    outputs = { { "y", "N C" } },
    derive = halves,
    template = { "gated", name },
    activation = true,
    flops = function(d) return (cost[name] + 1) * d.N * d.C end,
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
    flops = function(d) return (2 * cost[name] + 3) * d.N * d.C end,
  }
end
return ops
