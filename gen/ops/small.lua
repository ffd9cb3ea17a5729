-- small: the sampler's products with weights in bfloat16, or in eight or four bits, and what they read: rows of x
-- (N, C) rounded to bfloat16, or in blocks of 32, quantised to bytes with a scale each: Q floats hold a row
-- (runtime/kernel/small.h). gen/passes/small.lua puts both in the place of a matmul.
--
-- A call's only row is rounded by each thread for itself, as a part of the product, which costs less than to wait for
-- each other once more; unless the row is too long for a thread's stack.
local BLOCK, MOST_OWN = 32, 16384

local function own_row(d) return d.C <= MOST_OWN end

local function rows_of(name, block_floats)
  return {
    name = name,
    inputs = { { "x", "N C" } },
    outputs = { { "q", "N Q", type = "f32" } },
    derive = function(d) d.Q = (d.C + BLOCK - 1) // BLOCK * block_floats end,
    named_by = { "N", "C" },
    decode_only = true,
    in_bytes = true,
    own_row = own_row,
    template = { "small", name },
    flops = function(d) return 3 * d.N * d.C end,
  }
end

-- y (N, O) = x w^T, with w (O, C) of the type that its name says.
local function product(type)
  return {
    name = "matmul_" .. type,
    inputs = { { "q", "N Q" }, { "w", "O C" }, { "x", "N C" } },
    outputs = { { "y", "N O" } },
    named_by = { "N", "C", "O" },
    epilogue = true,
    decode_only = true,
    in_bytes = true,
    product = { a = "q", y = "y", inner = "C", cols = "O", transposed = true },
    own_row = own_row,
    template = { "small", "matmul_small" },
    flops = function(d) return 2 * d.N * d.C * d.O end,
  }
end

return { rows_of("quantise", 10), rows_of("round_bfloat16", BLOCK // 2), product("bfloat16"), product("q8_0"),
  product("q4_0") }
