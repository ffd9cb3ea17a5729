-- schedule: the nodes of a planned graph as a program runs them: one by one, in a loop over row blocks, or in
-- a loop over layers. Layers are in one loop if they have the same kernels and every address moves by the same
-- distance from one to the next; a layer that differs (the first one's backward pass, for example) is alone.
local graph = require("gen.ir.graph")

local schedule = {}

-- Text that is the same for nodes with the same kernel; dropout sites are arguments, so they do not count.
local function signature(node)
  local words = { node.op.name }
  for i in ipairs(node.op.inputs) do
    words[#words + 1] = node.inputs[i] and graph.shape_text(node.inputs[i].dims) or "-"
  end
  for i in ipairs(node.op.outputs) do
    words[#words + 1] = node.outputs[i] and graph.shape_text(node.outputs[i].dims) or "-"
  end
  for step in graph.steps(node) do words[#words + 1] = step.keep and "keep" or step.op.name end
  local attrs = {}
  for key, value in pairs(node.attrs) do
    if key ~= "site" then attrs[#attrs + 1] = ("%s=%s"):format(key, value) end
  end
  table.sort(attrs)
  table.move(attrs, 1, #attrs, #words + 1, words)
  return table.concat(words, " ")
end

local function node_tensors(node)
  local list = {}
  graph.each_tensor(node, function(tensor) list[#list + 1] = tensor end)
  return list
end

local function node_site(node)
  for step in graph.steps(node) do
    if step.attrs and step.attrs.site then return step.attrs.site end
  end
  return node.attrs.site or 0
end

-- The distances of addresses and dropout sites between two layers' nodes, divided by the number of layers
-- between them: { of = tensor -> floats, site = node -> number }. Nil if they cannot be in one loop.
local function strides_between(layer, other)
  local strides, step = { of = {}, site = {} }, other.layer - layer.layer
  if #layer ~= #other then return nil end
  for n, node in ipairs(layer) do
    local twin = other[n]
    if signature(node) ~= signature(twin) then return nil end
    local mine, theirs = node_tensors(node), node_tensors(twin)
    for t, tensor in ipairs(mine) do
      if tensor.offset then
        local distance = theirs[t].offset - tensor.offset
        local stride = distance // step
        if tensor.region ~= theirs[t].region or distance % step ~= 0
          or (strides.of[tensor] or stride) ~= stride then return nil end
        strides.of[tensor] = stride
      end
    end
    strides.site[node] = (node_site(twin) - node_site(node)) // step
  end
  return strides
end

local function equal(a, b)
  for key, value in pairs(a) do if b[key] ~= value then return false end end
  return true
end

-- Whether a layer can join the loop over item.layers; if so, sets item.strides.
local function joins(item, layer)
  local first, last = item.layers[1], item.layers[#item.layers]
  if math.abs(layer.layer - last.layer) ~= 1 then return false end
  local strides = strides_between(first, layer)
  if not strides then return false end
  if item.strides and not (equal(strides.of, item.strides.of)
    and equal(strides.site, item.strides.site)) then return false end
  item.strides = strides
  return true
end

-- Groups consecutive nodes of the same layer; any other node is a group alone.
local function groups(nodes)
  local list = {}
  for _, node in ipairs(nodes) do
    local last = list[#list]
    if node.layer and last and last.layer == node.layer then
      last[#last + 1] = node
    else
      list[#list + 1] = { node, layer = node.layer }
    end
  end
  return list
end

-- Nodes of one phase as items: { node = n }, { row_block = b, nodes = { ... } }, or { layers = { { nodes
-- of one, layer = l }, ... }, strides = s }.
function schedule.items(nodes)
  local items = {}
  for _, group in ipairs(groups(nodes)) do
    local last, node = items[#items], group[1]
    if group.layer and last and last.layers and joins(last, group) then
      last.layers[#last.layers + 1] = group
    elseif group.layer then
      items[#items + 1] = { layers = { group } }
    elseif node.row_block and last and last.row_block == node.row_block then
      last.nodes[#last.nodes + 1] = node
    elseif node.row_block then
      items[#items + 1] = { row_block = node.row_block, nodes = { node } }
    else
      items[#items + 1] = { node = node }
    end
  end
  return items
end

return schedule
