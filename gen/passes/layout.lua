-- layout: how each weight lies for the products that read it.
--
-- On the CPU, as panels, packed once after each update: one copy for y = x w^T, another for
-- dx = dy w. A panel is as wide as the register tile (gen/isa.lua). On CUDA, in an image of all
-- parameters in the type of activations, which the optimizer writes beside them; in float32 the
-- parameters are read themselves.
local graph = require("gen.graph")
local target = require("gen.target")

local layout = {}

local pack_for = { matmul = "pack", matmul_dx = "pack_dx" }

local function pack_panels(g)
  local panel = g.target.isa.vec * g.target.isa.tile_vecs
  local packed = {} -- op name -> weight -> its packed copy
  local nodes, prepare = g.nodes, {}
  g.nodes = prepare
  for _, node in ipairs(nodes) do
    local pack = pack_for[node.op.name]
    if pack then
      local w = node.inputs[2]
      packed[pack] = packed[pack] or {}
      if not packed[pack][w] then
        g.phase, g.at, g.layer = "prepare", node.at, w.layer
        packed[pack][w] = g:append(pack, { pack .. "." .. w.name }, { w }, { panel = panel })
        packed[pack][w].kind = "packed"
      end
      node.inputs[2] = packed[pack][w]
    end
  end
  g.phase, g.at, g.layer = "forward", nil, nil
  table.sort(prepare, function(a, b)
    if a.op.name ~= b.op.name then return a.op.name < b.op.name end
    return a.inputs[1].index < b.inputs[1].index
  end)
  for _, node in ipairs(nodes) do prepare[#prepare + 1] = node end
end

-- The parameters that products and their stores read, in the type of activations.
local function use_image(g)
  if g:elem() == "f32" then return end
  local images = {}
  local function image(tensor)
    if not tensor or tensor.kind ~= "param" then return tensor end
    images[tensor] = images[tensor] or g:tensor("image." .. tensor.name, tensor.dims,
      { kind = "packed", type = g:elem(), image_of = tensor, layer = tensor.layer })
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
      node.workspace = g:tensor(("%s.%s.workspace"):format(node.inputs[1].name, node.op.name),
        { floats }, { dense = true, layer = node.layer })
    end
  end
end

function layout.run(g)
  if g:backend() == "cpu" then
    pack_panels(g)
  else
    use_image(g)
    give_workspaces(g)
  end
end

return layout
