-- layout: every matmul reads its weight as panels, packed once after each update: one copy for
-- y = x w^T, another for dx = dy w. A panel is as wide as the register tile (gen/isa.lua).
local layout = {}

local pack_for = { matmul = "pack", matmul_dx = "pack_dx" }

function layout.run(g)
  local panel = g.isa.vec * g.isa.tile_vecs
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

return layout
