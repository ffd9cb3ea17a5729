-- autodiff: appends the backward pass. Each op's rule gives the gradients of its inputs; if a tensor
-- is used more than once, they are added. The ops themselves accumulate parameters' gradients.
local name = require("gen.ir.name")

local autodiff = {}

-- Names partial gradients: ops propose "d.x"; the second and later ones for x also get the name of
-- the op, so that names are alike in all layers.
local function unique_append(g, node)
  local append = g.append
  return function(self, op_name, names, inputs, attrs)
    if name.is(names[1]) and g.tensors[names[1].text] then names[1] = names[1] .. "." .. node.op.name end
    return append(self, op_name, names, inputs, attrs)
  end
end

-- "d.x.sum", and "d.x.sum3" of three gradients.
local function sum_name(g, input)
  local gradient, count = "d." .. input.called, 2
  while g.tensors[gradient:sum(count).text] do count = count + 1 end
  return gradient:sum(count)
end

function autodiff.run(g)
  local forward = {}
  for i, node in ipairs(g.nodes) do forward[i] = node end

  local grads = {} -- tensor -> its gradient so far
  g.phase = "backward"
  for i = #forward, 1, -1 do
    local node = forward[i]
    local given, any = {}, node.op.loss == "rows"
    for o, output in ipairs(node.outputs) do
      given[o] = grads[output] or false
      any = any or grads[output]
    end
    if any and node.op.backward then
      g.site, g.line, g.layer = node.site, node.line, node.layer
      g.append = unique_append(g, node)
      local results = { node.op.backward(g, node, table.unpack(given)) }
      g.append = nil
      for k, input in ipairs(node.inputs) do
        local grad = results[k]
        if grad and input and input.kind == "value" then
          local before = grads[input]
          grads[input] = before
            and g:append("add", { sum_name(g, input) }, { grad, before }) or grad
        end
      end
    end
  end

  for tensor, grad in pairs(grads) do tensor.gradient = grad end

  for _, node in ipairs(forward) do
    if node.op.loss == "mean" then
      g.site, g.line = node.site, node.line
      g:append(node.op.name, {}, { node.inputs[1].again, node.inputs[2] })
    end
  end
  g.site, g.line, g.layer, g.phase = nil, nil, nil, "forward"
end

return autodiff
