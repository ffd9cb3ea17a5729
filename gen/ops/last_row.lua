-- last_row: the last row of one call of the sampler, the only one whose logits are needed.
return {
  name = "last_row",
  inputs = { { "x", "N C" } },
  outputs = { { "y", "One C" } },
  derive = function(d) d.One = 1 end,
  template = { "last_row", "last_row" },
  flops = function() return 0 end,
}
