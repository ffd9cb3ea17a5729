-- layout: how tensors lie for the kernels that read them.
--
-- Rows of activations are padded (target.width). On the CPU weights lie as in a checkpoint: a product
-- packs the panel that it works on, which costs less than a packed copy in memory. On CUDA products
-- read weights from an image, a copy of all parameters in the type of activations, which the
-- optimizer writes together with them; in float32 they read the parameters themselves.
local graph = require("gen.ir.graph")
local target = require("gen.ir.target")

local layout = {}

-- Lets products and their stores read the image instead of the parameters.
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

-- A node's letters, with the sizes on which workspaces depend: X_LD, the distance between rows of X, and sms.
function layout.sizes(t, node)
  local d = { sms = t.sms }
  for letter, size in pairs(node.dims) do
    d[letter] = size
    if letter:find("^[CEFOV]$") then d[letter .. "_LD"] = target.width(t, size) end
  end
  return d
end

-- Adds a tensor for the memory that a kernel needs while it runs.
local function give_workspaces(g)
  for _, node in ipairs(g.nodes) do
    local floats = node.op.workspace and node.op.workspace(layout.sizes(g.target, node), g.target, node.attrs)
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
