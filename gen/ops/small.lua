-- small: the sampler's products with weights in eight or four bits, and what they read: rows of x (N, C) in blocks of
-- 32, quantised to bytes, with a scale each: Q floats hold a row (runtime/kernel/small.h). gen/passes/small.lua puts
-- both in the place of a matmul.
local BLOCK, BLOCK_FLOATS = 32, 10

local quantise = {
  name = "quantise",
  inputs = { { "x", "N C" } },
  outputs = { { "q", "N Q", type = "f32" } },
  derive = function(d) d.Q = (d.C + BLOCK - 1) // BLOCK * BLOCK_FLOATS end,
  named_by = { "N", "C" },
  decode_only = true,
  in_bytes = true,
  template = { "small", "quantise" },
  flops = function(d) return 3 * d.N * d.C end,
}

-- y (N, O) = x w^T, with w (O, C) of the type that its name says.
local function product(type)
  return {
    name = "matmul_" .. type,
    inputs = { { "q", "N Q" }, { "w", "O C" } },
    outputs = { { "y", "N O" } },
    named_by = { "N", "C", "O" },
    epilogue = true,
    decode_only = true,
    in_bytes = true,
    product = { a = "q", y = "y", inner = "C", cols = "O", transposed = true },
    template = { "small", "matmul_small" },
    flops = function(d) return 2 * d.N * d.C * d.O end,
  }
end

return { quantise, product("q8_0"), product("q4_0") }
