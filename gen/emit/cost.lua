-- cost: FLOP and bytes of one call of a node's kernel, for its comment and for profiles. Depends on
-- nothing of this room.
local graph = require("gen.ir.graph")
local target = require("gen.ir.target")

local cost = {}

-- Each operand is read or written once; a gradient that is added to is both.
function cost.bytes(node)
  local total, seen = 0, {}
  local function add(tensor)
    if not tensor or seen[tensor] then return end
    seen[tensor] = true
    local bytes = target.bytes(tensor) * graph.count(tensor)
    if node.sliced and node.sliced[tensor] then bytes = bytes // node.row_block.count end
    total = total + bytes
  end
  for i, tensor in ipairs(node.inputs) do
    -- A table counts with the rows that are looked up, at most all.
    if tensor and node.op.inputs[i].table then
      total = total + target.bytes(tensor) * math.min(graph.count(tensor), node.dims.N * node.dims.C)
    else
      add(tensor)
    end
  end
  for i, tensor in ipairs(node.outputs) do
    if tensor then
      add(tensor)
      if node.op.outputs[i].accumulate then total = total + 4 * graph.count(tensor) end -- read too
    end
  end
  for step in graph.steps(node) do
    add(step.keep)
    for _, tensor in ipairs(step.operands or {}) do add(tensor) end
  end
  return total
end

-- A pointwise op that stands alone is a step of its own node (fusion.standalone).
function cost.flops(node)
  local total = node.op.expr and 0 or node.op.flops(node.dims, node.attrs)
  local cols = node.op.product and node.dims[node.op.product.cols] or node.dims.C
  for step in graph.steps(node) do
    if step.op then total = total + step.op.flops({ N = node.dims.N, C = cols }) end
  end
  return total
end

return cost
