-- Cases of the products with a weight, of the weight's packing, and of the sampler's product.
local function product(g, given, N, C, O)
  return g:append("matmul", { "y" }, { given("x", { N, C }), g:param("w", { O, C }, { init = "zeros" }) })
end

return function(case)
  -- Partial tiles of rows and columns, whole tiles, and no bias.
  for _, size in ipairs({ { 1, 1, 1 }, { 13, 5, 65 }, { 24, 32, 64 }, { 100, 17, 100 } }) do
    local N, C, O = table.unpack(size)
    case(("%dx%dx%d"):format(N, C, O), { tolerance = 1e-6 }, function(g, given)
      return product(g, given, N, C, O)
    end)
  end
  -- Threads that share panels; more rows and more outputs than matmul_dw packs at once.
  for _, size in ipairs({ { 7, 17, 5 }, { 13, 65, 100 }, { 7, 100, 17 }, { 300, 7, 257 } }) do
    local N, C, O = table.unpack(size)
    case(("%dx%dx%d with dbias"):format(N, C, O), { tolerance = 1e-6 }, function(g, given)
      local y = product(g, given, N, C, O)
      return g:append("bias", { "biased" }, { y, g:param("b", { O }, { init = "zeros" }) })
    end)
  end
  -- Sums in several slices, with the slices outside and inside, of odd length, and of many panels.
  for _, size in ipairs({ { 9, 1001, 50 }, { 30, 20, 901 }, { 400, 33, 530 } }) do
    local N, C, O = table.unpack(size)
    case(("%dx%dx%d in slices"):format(N, C, O), { tolerance = 1e-6, backend = "cpu" }, function(g, given)
      return product(g, given, N, C, O)
    end)
  end
  -- Products near the smallest normal number, and subnormal numbers, which products in bfloat16 take as 0: that leaves
  -- little to compare with the reference, but the bytes are to be the same on every instruction set.
  for _, tiny in ipairs({ { 1e-19, 1e-19, 0.5 }, { 1e-39, 1, 1.5 } }) do
    case(("tiny 13x37x50 of %g"):format(tiny[1]), { tolerance = tiny[3], backend = "cpu" }, function(g, given)
      local w = g:param("w", { 50, 37 }, { init = "zeros", spread = tiny[2] })
      return g:append("matmul", { "y" }, { given("x", { 13, 37 }, { spread = tiny[1] }), w })
    end)
  end
  for _, size in ipairs({ { 1, 1, 1 }, { 1, 17, 65 }, { 3, 5, 17 }, { 4, 65, 5 }, { 16, 100, 257 },
    { 5, 7, 31 }, { 40, 531, 70 } }) do
    local rows, C, O = table.unpack(size)
    local most = math.max(16, rows)
    local decode = { rows = rows, pos = 0, most = most }
    case(("decode %dx%dx%d"):format(rows, C, O), { tolerance = 1e-6, decode = decode }, function(g, given)
      return product(g, given, most, C, O)
    end)
    case(("decode %dx%dx%d with a store"):format(rows, C, O), { tolerance = 2e-6, decode = decode },
      function(g, given)
        local y = product(g, given, most, C, O)
        y = g:append("bias", { "biased" }, { y, g:param("b", { O }, { init = "zeros" }) })
        y = g:append("gelu_erf", { "activated" }, { y })
        return g:append("add", { "sum" }, { given("residual", { most, O }), y })
      end)
  end
  for _, size in ipairs({ { 768, 128, 384 }, { 768, 512, 128 }, { 1024, 768, 768 } }) do
    local N, C, O = table.unpack(size)
    case(("%dx%dx%d"):format(N, C, O), { tolerance = 3e-6, bench = true }, function(g, given)
      return product(g, given, N, C, O)
    end)
  end
end
