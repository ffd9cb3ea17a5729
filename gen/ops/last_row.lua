-- last_row: the last row of each of some runs of rows of a sampler's batch, the only ones whose logits are needed; at
-- most `runs` of them.
return {
  name = "last_row",
  inputs = { { "x", "N C" } },
  outputs = { { "y", "R C" } },
  attrs = { runs = 1 },
  derive = function(d, attrs) d.R = attrs.runs end,
  template = { "last_row", "last_row" },
  takes_runs = true,
  by_run = true,
  flops = function() return 0 end,
}
