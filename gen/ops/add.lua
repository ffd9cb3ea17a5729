-- add: the sum of two tensors of one shape; the residual stream's only op.
return {
  name = "add",
  inputs = { { "x", "N C" }, { "addend", "N C" } },
  outputs = { { "y", "N C" } },
  inplace = { y = "x" },
  expr = "x + addend",
  commutes = true,
  gemm = "residual",
  flops = function(d) return d.N * d.C end,
  backward = function(_, _, dy) return dy, dy end,
}
