-- attention: causal softmax attention of H heads, read from qkv (N, 3C) and written to y (N, C).
-- lse (H, N) is each row's log of the sum of exponentials, from which the backward pass makes the
-- weights again. `site` is the first of its dropout sites; 0 where there is no dropout.
local function check(d, attrs)
  d.C, d.H, d.T = d.E // 3, attrs.H, attrs.T
  if d.E ~= 3 * d.C then return ("qkv has %d columns, not three times a width"):format(d.E) end
  if d.C % d.H ~= 0 then return ("H = %d does not divide C = %d"):format(d.H, d.C) end
  d.D, d.B = d.C // d.H, d.N // d.T
  if d.N ~= d.B * d.T and not d.Two then return ("T = %d does not divide N = %d"):format(d.T, d.N) end
  return nil
end

-- Half of the T x T square, two products forward and five backward.
local function half_square(d) return d.B * d.H * d.T * (d.T + 1) * d.D end

local attention = {
  name = "attention",
  inputs = { { "qkv", "N E" } },
  outputs = { { "y", "N C" }, { "lse", "H N", optional = true } },
  attrs = { T = false, H = false, scale = false, site = 0 },
  derive = check,
  template = { "attention", "attention" },
  named_by = { "B", "T", "H", "D" },
  common = "heads",
  scratch = true,
  flops = function(d) return 2 * half_square(d) end,
}

function attention.backward(g, node, dy)
  local qkv = node.inputs[1]
  local y, lse = table.unpack(node.outputs)
  return g:append("attention_backward", { "d." .. qkv.name }, { dy, qkv, y, lse }, node.attrs)
end

local attention_backward = {
  name = "attention_backward",
  inputs = { { "dy", "N C" }, { "qkv", "N E" }, { "y", "N C" }, { "lse", "H N" } },
  outputs = { { "dqkv", "N E" } },
  attrs = { T = false, H = false, scale = false, site = 0 },
  derive = check,
  template = { "attention", "attention_backward" },
  named_by = { "B", "T", "H", "D" },
  common = "heads",
  scratch = true,
  flops = function(d) return 5 * half_square(d) end,
}

-- attention_decode: the sampler's. Appends the rows' keys and values to the cache, two planes of
-- (T, C), and attends to all that it holds.
local attention_decode = {
  name = "attention_decode",
  inputs = { { "qkv", "N E" }, { "cache", "Two T C" } },
  outputs = { { "y", "N C" }, { "weights", "H S" } },
  attrs = { T = false, H = false, scale = false },
  derive = function(d, attrs)
    d.S = (attrs.T + 15) // 16 * 16 -- a row of weights, in whole vectors of any width
    return check(d, attrs)
  end,
  template = { "attention", "attention_decode" },
  named_by = { "T", "H", "D" },
  takes_pos = true,
  flops = function(d) return 4 * d.N * d.T * d.C end,
}

return { attention, attention_backward, attention_decode }
