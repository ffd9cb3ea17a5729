-- schedule: the nodes of a planned graph as a program would run them: one by one, in blocks of rows, or as
-- a loop over layers that repeat. Layers repeat where they have the same kernels and every address moves
-- by the same distance from one to the next; a layer that differs (the first one's gradient, say) is a
-- run of its own.
local graph = require("gen.ir.graph")

local schedule = {}

-- What decides a node's kernel; dropout sites are numbers that it is called with.
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

-- How far the addresses and dropout sites of a layer's nodes are from another's, for each layer between
-- them: { of = tensor -> floats, site = node -> number }. Nil where the layers do not repeat.
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

-- Whether a layer goes on what item.layers began; if so, item.strides says how.
local function goes_on(item, layer)
  local first, last = item.layers[1], item.layers[#item.layers]
  if math.abs(layer.layer - last.layer) ~= 1 then return false end
  local strides = strides_between(first, layer)
  if not strides then return false end
  if item.strides and not (equal(strides.of, item.strides.of)
    and equal(strides.site, item.strides.site)) then return false end
  item.strides = strides
  return true
end

-- The nodes of a layer that stand together, as one run.
local function runs(nodes)
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

-- Nodes of one phase as items: { node = n }, { block = b, nodes = { ... } }, or { layers = { { nodes of
-- one, layer = l }, ... }, strides = s }.
function schedule.items(nodes)
  local items = {}
  for _, run in ipairs(runs(nodes)) do
    local last, node = items[#items], run[1]
    if run.layer and last and last.layers and goes_on(last, run) then
      last.layers[#last.layers + 1] = run
    elseif run.layer then
      items[#items + 1] = { layers = { run } }
    elseif node.block and last and last.block == node.block then
      last.nodes[#last.nodes + 1] = node
    elseif node.block then
      items[#items + 1] = { block = node.block, nodes = { node } }
    else
      items[#items + 1] = { node = node }
    end
  end
  return items
end

return schedule
