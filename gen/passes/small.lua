-- small: a sampler's weights in a type of few bits, g.weights: each product reads its weight in that type, and rows
-- that are rounded for it before. The table of tokens, and a head that is tied to it, are in q8_0 where the other
-- weights are in q4_0: their numbers matter more (runtime/files/small.c decides the same for files).
local op = require("gen.ir.op")

local small = { types = { "bfloat16", "q8_0", "q4_0" } }

local function refuse(word, type, types)
  error({ code = 64, message = ("%s: '%s' is not known to a sampler; there are: float32, %s"):format(word, type,
    table.concat(types, ", ")) }, 0)
end

-- A kind of sampler by its name, the type of its weights with "-kv_bfloat16" behind it if its cache of keys and values
-- is in bfloat16: { name, weights, cache }, of which the types are nil where they are float32; or nil if both are.
-- Raises { code, message } for a type that is not known.
function small.kind(name)
  local weights, cache = name:match("^(.-)%-kv_(.*)$")
  weights = weights or name
  if cache and cache ~= "bfloat16" then refuse("KV", cache, { "bfloat16" }) end
  for _, known in ipairs(small.types) do
    if weights == known then return { name = name, weights = weights, cache = cache and "bf16" } end
  end
  if weights ~= "" and weights ~= "float32" then refuse("TYPE", weights, small.types) end
  return cache and { name = name, cache = "bf16" } or nil
end

local function type_of(g, weight, tables)
  return tables[weight] and g.weights == "q4_0" and "q8_0" or g.weights
end

function small.run(g)
  local tables = {} -- weights of which rows are looked up
  for _, node in ipairs(g.nodes) do
    for i, tensor in ipairs(node.inputs) do
      if tensor and node.op.inputs[i].table and not tensor.uncounted then tables[tensor] = true end
    end
  end
  for weight in pairs(tables) do weight.type = type_of(g, weight, tables) end
  local nodes, quantised = g.nodes, {}
  g.nodes = {}
  for _, node in ipairs(nodes) do
    if node.op.product then
      local x, weight = table.unpack(node.inputs)
      if not quantised[x] then
        g.phase, g.layer, g.site, g.line = node.phase, node.layer, node.site, node.line
        local rounds = g.weights == "bfloat16" and "round_bfloat16" or "quantise"
        quantised[x] = g:append(rounds, { x.called .. ".small" }, { x })
      end
      weight.type = type_of(g, weight, tables)
      node.op = op.all()["matmul_" .. weight.type]
      node.inputs = { quantised[x], weight, x }
      node.dims.Q = quantised[x].dims[2]
    end
    g.nodes[#g.nodes + 1] = node
  end
  g.phase, g.layer, g.site, g.line = "forward", nil, nil, nil
end

return small
