-- inplace: the rule for working in place: over which of a node's operands its kernel may write the node's first output.
-- Plan gives addresses by it, verify and tests/gen/test_plan.lua check them by it, and the op harness runs each kernel
-- once more for each such operand.
--
-- They are operands of the output's shape and type whose every element the kernel has read before it stores to its
-- place:
--
--   * the input that the op declares (its field `inplace`), unless the kernel has the same tensor as another input;
--   * what the store alone reads, element by element: a residual, the input of an activation.
--
-- Whether others read the operand later is not a matter of the kernel: plan and verify look.
local graph = require("gen.ir.graph")

local inplace = {}

-- Whether a step of the node's store reads after the kernel has stored elsewhere. A CPU's product keeps partial sums
-- where its result goes, before its store reads anything; the sampler's does not. cuBLASLt may have its C, a residual,
-- in place, but does not say so of the aux of a GELU's derivative.
local function reads_late(g, node, step)
  if not node.op.product then return false end
  if g:backend() == "cpu" then return not g.decode end
  return step.op.gemm ~= "residual"
end

-- The operands, those of the store first.
function inplace.operands(g, node)
  local list, out, inputs = {}, node.outputs[1], {}
  if not out then return list end
  local function add(tensor)
    if tensor.type == out.type and graph.shape_text(tensor.dims) == graph.shape_text(out.dims) then
      list[#list + 1] = tensor
    end
  end

  for _, tensor in ipairs(node.inputs) do
    if tensor then inputs[tensor] = (inputs[tensor] or 0) + 1 end
  end
  for _, step in ipairs(node.epilogue) do
    local late = step.op and reads_late(g, node, step)
    for _, tensor in ipairs(not late and step.operands or {}) do
      if not inputs[tensor] then add(tensor) end
    end
  end
  local declared = node.op.inplace[node.op.outputs[1][1]]
  for i, operand in ipairs(node.op.inputs) do
    local tensor = node.inputs[i]
    -- A pointwise kernel reads each of its inputs at the element's own place.
    if operand[1] == declared and tensor and (inputs[tensor] == 1 or node.op.expr) then add(tensor) end
  end
  return list
end

return inplace
