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
