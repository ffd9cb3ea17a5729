-- buckets: neighbouring gradients that ranks exchange as soon as the backward pass has made them. Depends on nothing.
local graph = require("gen.ir.graph")

local buckets = {}

-- Floats of a bucket at least, where there are as many: each takes a few messages; and at most, if it is of several
-- tensors.
local LEAST, MOST = 8192, 4 << 20

-- The kernels of a micro-step in the order in which they run: for each, visit(its node, its number from 1). Returns
-- how many there are.
local function each_kernel(g, visit)
  local count = 0
  local function all(nodes)
    for _, node in ipairs(nodes) do
      count = count + 1
      visit(node, count)
    end
  end
  for _, phase in ipairs({ "forward", "backward" }) do
    for _, item in ipairs(g.schedule[phase] or {}) do
      if item.layers then
        for _, layer in ipairs(item.layers) do all(layer) end
      elseif item.row_block then
        for _ = 1, item.row_block.count do all(item.nodes) end
      else
        all({ item.node })
      end
    end
  end
  return count
end

-- Gradients from the end of the arena to its beginning, as the backward pass makes most of them: { param =, from =,
-- to =, after = }, in floats; `after` is the last kernel that uses it.
local function gradients(g, last)
  local list = {}
  for _, param in ipairs(g.params) do
    if not param.copy_of then
      list[#list + 1] = { param = param, from = param.offset, after = last[param.gradient] or 0 }
    end
  end
  table.sort(list, function(a, b) return a.from > b.from end)
  for i, gradient in ipairs(list) do gradient.to = i > 1 and list[i - 1].from or g.sizes.params end
  return list
end

-- The table of a planned graph: buckets in the order in which they are final, which together are the whole arena,
-- { from =, to =, after =, first =, last = }, with the names of the first and last tensor; and how many kernels a
-- micro-step has. Each bucket is of whole tensors: layers are together where they are small.
function buckets.table(g)
  local last = {}
  local kernels = each_kernel(g, function(node, number)
    graph.each_tensor(node, function(tensor)
      if tensor.region == "grads" then last[tensor] = number end
    end)
  end)
  local list, bucket, layer = {}, nil, nil
  for _, gradient in ipairs(gradients(g, last)) do
    local size = bucket and bucket.to - bucket.from
    if not bucket or size >= LEAST and gradient.param.layer ~= layer or gradient.to - gradient.from + size > MOST then
      bucket = { to = gradient.to, last = gradient.param.name, after = 0, order = #list }
      list[#list + 1] = bucket
    end
    layer = gradient.param.layer
    bucket.from, bucket.first = gradient.from, gradient.param.name
    bucket.after = math.max(bucket.after, gradient.after)
  end
  table.sort(list, function(a, b)
    if a.after ~= b.after then return a.after < b.after end
    return a.order < b.order
  end)
  return list, kernels
end

return buckets
