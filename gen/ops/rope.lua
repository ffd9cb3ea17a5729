-- rope: rotary positions. In each head of the queries and keys, columns j and j + D/2 are a point in a plane, turned by
-- the angle t * rate[j] at position t, so that a score depends on the distance of its query and key alone. qkv (N, E)
-- has the columns of H heads of queries, KV of keys and KV of values, D each; values are not turned. The cosines (D/2)
-- and sines (D/2) of each position's angles are computed once for all layers, by rope_table.
local function check(d, attrs)
  d.H, d.KV = attrs.H, attrs.KV
  if d.D % 2 ~= 0 then return ("heads have %d columns, which are no pairs"):format(d.D) end
  if d.E ~= (d.H + 2 * d.KV) * d.D then
    return ("qkv has %d columns, not those of %d + 2 * %d heads of %d"):format(d.E, d.H, d.KV, d.D)
  end
  return nil
end

-- Llama 3.1's, for a context longer than the first, `original`: rates that turn fewer than `low` times in it are
-- divided by `factor`, those of more than `high` times stay, and between the two is a line.
local function scaled(rate, attrs)
  local turns = attrs.original * rate / (2 * math.pi)
  local stays = math.max(0.0, math.min(1.0, (turns - attrs.low) / (attrs.high - attrs.low)))
  return rate * ((1 - stays) / attrs.factor + stays)
end

-- Radians for each position, of the D/2 pairs. With a sign of -1 pairs turn the other way.
local function rates(d, attrs)
  local list = {}
  for j = 0, d.D // 2 - 1 do
    local rate = attrs.theta ^ (-2 * j / d.D)
    list[j + 1] = attrs.sign * (attrs.factor ~= 1.0 and scaled(rate, attrs) or rate)
  end
  return list
end

-- In training N is T; in the sampler, the rows of a call, with their positions.
local rope_table = {
  name = "rope_table",
  inputs = {},
  outputs = { { "table", "N D", type = "f32" } },
  attrs = { N = false, D = false, theta = 10000.0, factor = 1.0, low = 1.0, high = 4.0, original = 8192,
    sign = 1 },
  quiet = { factor = true, low = true, high = true, original = true, sign = true },
  derive = function(d, attrs) d.N, d.D = attrs.N, attrs.D end,
  constants = rates,
  template = { "rope", "rope_table" },
  takes_pos = true,
  flops = function(d) return 20 * d.N * d.D end, -- about what a cosine and a sine take, in double
}

local function rotation(name, output, input, template, backward)
  return {
    name = name,
    inputs = { { input, "N E" }, { "table", "T D" } },
    outputs = { { output, "N E" } },
    attrs = { H = false, KV = false },
    derive = check,
    inplace = { [output] = input },
    named_by = { "N", "E", "H", "KV", "D" },
    template = { "rope", template },
    flops = function(d) return 3 * d.N * (d.H + d.KV) * d.D end,
    backward = backward,
  }
end

return {
  rope_table,
  rotation("rope", "y", "qkv", "rope", function(g, node, dy)
    local qkv, angles = table.unpack(node.inputs)
    return (g:append("rope_backward", { "d." .. qkv.called }, { dy, angles }, node.attrs))
  end),
  rotation("rope_backward", "dqkv", "dy", "rope_backward"),
}
