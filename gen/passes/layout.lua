-- layout: how tensors lie for the kernels that read them.
--
-- Rows of activations are padded (target.width). Products read weights from an image, a copy of all
-- parameters in the type of their factors, which the update writes together with them; in float32
-- they read the parameters themselves. Weights and images lie as in a checkpoint: on the CPU a product
-- packs the panel that it works on, which costs less than packed copies in memory. Those would be two,
-- since y = x w^T and dx = dy w sum along different axes: in bfloat16 4 bytes a weight to write at each
-- update in place of the image's 2, and as many to read in a step as of the image.
local graph = require("gen.ir.graph")
local target = require("gen.ir.target")

local layout = {}

-- Lets products, and on CUDA their stores, read the image instead of the parameters.
local function use_image(g)
  local cuda = g:backend() == "cuda"
  local type = cuda and g:elem() or g.target.products
  if type == "f32" or g.decode then return end
  local images = {}
  local function image(tensor)
    if not tensor or tensor.kind ~= "param" then return tensor end
    images[tensor] = images[tensor] or g:tensor("image." .. tensor.called, tensor.dims,
      { kind = "packed", type = type, image_of = tensor })
    return images[tensor]
  end
  for _, node in ipairs(g.nodes) do
    if node.op.product and node.inputs[2].kind == "param" then node.inputs[2] = image(node.inputs[2]) end
    for step in graph.steps(node) do
      for i, tensor in ipairs(cuda and node.op.product and step.operands or {}) do step.operands[i] = image(tensor) end
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
  use_image(g)
  if g:backend() == "cuda" then give_workspaces(g) end
end

return layout
