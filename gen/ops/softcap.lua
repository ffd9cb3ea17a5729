-- softcap: logits that stay between -cap and cap, y = cap * tanh(x / cap). The sampler's alone: in a trainer the loss
-- caps the logits as it loads them (cross_entropy.lua).
return {
  name = "softcap",
  inputs = { { "x", "N C" } },
  outputs = { { "y", "N C" } },
  attrs = { cap = false },
  inplace = { y = "x" },
  expr = "softcap(x, cap)",
  long = true,
  decode_only = true,
  flops = function(d) return 20 * d.N * d.C end,
}
