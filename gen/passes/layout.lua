-- layout: how tensors lie for the kernels that read them.
--
-- Rows of activations are padded (target.width). On the CPU weights lie as in a checkpoint: a product
-- packs the panel that it works on, which costs less than a packed copy in memory. On CUDA products
-- read weights from an image of all parameters in the type of activations, which the optimizer writes
-- beside them; in float32 they read the parameters themselves.
local graph = require("gen.ir.graph")
local target = require("gen.ir.target")

local layout = {}

-- The parameters that products and their stores read, in the type of activations.
local function use_image(g)
  if g:elem() == "f32" then return end
  local images = {}
  local function image(tensor)
    if not tensor or tensor.kind ~= "param" then return tensor end
    images[tensor] = images[tensor] or g:tensor("image." .. tensor.called, tensor.dims,
      { kind = "packed", type = g:elem(), image_of = tensor })
    return images[tensor]
  end
  for _, node in ipairs(g.nodes) do
    if node.op.product and node.inputs[2].kind == "param" then node.inputs[2] = image(node.inputs[2]) end
    for step in graph.steps(node) do
      for i, tensor in ipairs(node.op.product and step.operands or {}) do step.operands[i] = image(tensor) end
    end
  end
end

-- A node's letters with what its kernel may be cut by: X_LD, from one row of X to the next, and sms.
function layout.sizes(t, node)
  local d = { sms = t.sms }
  for letter, size in pairs(node.dims) do
    d[letter] = size
    if letter:find("^[CEOV]$") then d[letter .. "_LD"] = target.width(t, size) end
  end
  return d
end

-- Memory that a kernel wants while it runs.
local function give_workspaces(g)
  for _, node in ipairs(g.nodes) do
    local floats = node.op.workspace and node.op.workspace(layout.sizes(g.target, node), g.target)
    if floats and floats > 0 then
      node.workspace = g:tensor(node.inputs[1].called .. "." .. node.op.name .. ".workspace", { floats },
        { dense = true })
    end
  end
end

function layout.run(g)
  if g:backend() == "cpu" then return end
  use_image(g)
  give_workspaces(g)
end

return layout
