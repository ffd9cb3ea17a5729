-- embed: a row of wte for each token, plus a row of wpe for each position where there is one.
local function positions(d, attrs)
  if d.T and d.T ~= attrs.T then return ("wpe has %d rows, not T = %d"):format(d.T, attrs.T) end
  d.T = attrs.T
  return nil
end

local embed = {
  name = "embed",
  inputs = { { "tokens", "N" }, { "wte", "V C", table = true },
    { "wpe", "T C", optional = true, table = true } },
  outputs = { { "y", "N C" } },
  attrs = { T = false },
  derive = positions,
  epilogue = true,
  template = { "embed", "embed" },
  decode = { "embed", "embed_decode" },
  takes_pos = true,
  flops = function(d) return d.N * d.C end,
}

function embed.backward(g, node, dy)
  local tokens, wte, wpe = table.unpack(node.inputs)
  g:append("embed_backward", { g:param_grad(wte), wpe and g:param_grad(wpe) },
    { dy, tokens }, { T = node.attrs.T, V = node.dims.V })
end

-- embed_backward: each row of dwte is summed by one thread, over its tokens in row order.
local embed_backward = {
  name = "embed_backward",
  inputs = { { "dy", "N C" }, { "tokens", "N", sorted = true } },
  outputs = { { "dwte", "V C", accumulate = true }, { "dwpe", "T C", accumulate = true } },
  attrs = { T = false, V = false },
  derive = function(d, attrs) d.T, d.V = attrs.T, attrs.V end,
  template = { "embed", "embed_backward" },
  betas = true,
  -- On CUDA, for each 64 rows, two rows of sums and a token.
  workspace = function(d) return (d.N + 63) // 64 * (2 * d.C_LD + 1) end,
  flops = function(d) return 2 * d.N * d.C end,
}

return { embed, embed_backward }
