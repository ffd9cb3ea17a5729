-- dropout: zeroes elements with the run's probability and scales the others. The mask is a function
-- of (seed, micro-step, site, element), so the backward pass draws the same one again.
local dropout = {
  name = "dropout",
  inputs = { { "x", "N C" } },
  outputs = { { "y", "N C" } },
  attrs = { site = false },
  mask = true,
  long = true,
  inplace = { y = "x" },
  expr = "x * dropout_mask(&drop, site, row, DROPOUT_CHUNKS(COLS), col)",
  flops = function(d) return 5 * d.N * d.C end,
}

function dropout.backward(g, node, dy)
  return g:append("dropout", { "d." .. node.inputs[1].called }, { dy }, { site = node.attrs.site })
end

return dropout
