-- Cases of the pointwise functions: near 0, far out on both sides, and in the stores of products.
local sizes = { { 1, 1 }, { 7, 5 }, { 13, 17 }, { 7, 65 }, { 13, 100 } }
local tolerance = { gelu_erf = 1e-6, gelu_tanh = 1e-6, relu = 1e-7, silu = 1e-6 }

return function(case)
  for _, name in ipairs({ "gelu_erf", "gelu_tanh", "relu", "silu" }) do
    for _, size in ipairs(sizes) do
      case(("%s %dx%d"):format(name, size[1], size[2]), { tolerance = tolerance[name] }, function(g, given)
        return g:append(name, { "y" }, { given("x", size) })
      end)
    end
    case(name .. " far out", { tolerance = tolerance[name] }, function(g, given)
      return g:append(name, { "y" }, { given("x", { 13, 17 }, { spread = 100 }) })
    end)
    -- The backward op in the store of the product that makes its dy.
    case(name .. " before a product", { tolerance = 2e-6 }, function(g, given)
      local h = g:append(name, { "h" }, { given("x", { 13, 17 }) })
      return g:append("matmul", { "y" }, { h, g:param("w", { 5, 17 }, { init = "zeros" }) })
    end)
    case(name .. " behind a product", { tolerance = 2e-6 }, function(g, given)
      local h = g:append("matmul", { "h" }, { given("x", { 13, 7 }), g:param("w", { 33, 7 }, { init = "zeros" }) })
      return g:append(name, { "y" }, { h })
    end)
  end
end
