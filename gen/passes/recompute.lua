-- recompute: trades time for memory. Values that the backward pass would read from the forward pass
-- are recomputed, so that fewer are kept:
--
--   gelu    the feed-forward layer's activated values, from the activation's input
--   block   all values of a transformer block, from its input
--
-- A node is repeated with the same parameters and dropout sites, so its values are the same.
local recompute = {}

-- Whether a forward node is repeated, by g.recompute.
local function again_node(g, node)
  if g.recompute == "gelu" then return node.op.activation end
  return node.layer ~= nil
end

-- A second tensor like this one, for the backward pass.
local function twin(g, tensor, producer)
  tensor.again = g:tensor(tensor.called:again(), tensor.dims,
    { type = tensor.type, dense = tensor.dense, producer = producer })
  return tensor.again
end

-- Appends the nodes that recompute `tensor` to `list`, in order; returns its twin.
local function make_again(g, tensor, twins, list)
  local node = tensor.producer
  if twins[tensor] then return twins[tensor] end
  if not node or node.phase ~= "forward" or not again_node(g, node) then return tensor end
  -- A layer's input is kept: the values of the layer before are not recomputed.
  local clone = { op = node.op, inputs = {}, outputs = {}, attrs = node.attrs, dims = {},
    site = node.site, line = node.line, phase = "backward", layer = node.layer, epilogue = {} }
  for letter, size in pairs(node.dims) do clone.dims[letter] = size end
  for i, input in ipairs(node.inputs) do
    local own = input and input.producer and input.producer.layer == node.layer
    clone.inputs[i] = own and make_again(g, input, twins, list) or input
  end
  for i, output in ipairs(node.outputs) do
    clone.outputs[i] = output and twin(g, output, clone)
    if output then twins[output] = clone.outputs[i] end
  end
  list[#list + 1] = clone
  return twins[tensor]
end

function recompute.run(g)
  if (g.recompute or "none") == "none" then return end
  local twins, nodes = {}, {}
  for _, node in ipairs(g.nodes) do
    if node.phase == "backward" and node.layer then
      for i, input in ipairs(node.inputs) do
        -- A tensor of another layer is this one's input, and kept.
        local kept = input and input.producer and input.producer.layer ~= node.layer
        if input and not kept then node.inputs[i] = make_again(g, input, twins, nodes) end
      end
    end
    nodes[#nodes + 1] = node
  end
  g.nodes = nodes
end

return recompute
