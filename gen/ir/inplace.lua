-- inplace: the rule for working in place: over which of a node's operands its kernel may write the node's first output.
-- plan uses it to give addresses, verify and tests/gen/test_plan.lua to check them, and the op harness runs each kernel
-- once more for each such operand.
--
-- These are operands of the output's shape and type whose every element the kernel has read before it stores to the
-- element's place:
--
--   * the input that the op declares (its field `inplace`), unless the kernel has the same tensor as another input;
--   * operands that only the store reads, element by element: a residual, the input of an activation.
--
-- Whether a later node reads the operand is not checked here, but by plan and verify.
local graph = require("gen.ir.graph")

local inplace = {}

-- Whether a step of the node's store may read after the kernel has written to that place. A CPU's product keeps partial
-- sums in its result before its store reads anything; the sampler's does not. cuBLASLt allows its C, a residual, in
-- place, but does not say so of the aux of a GELU's derivative.
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
