-- Cases of the pointwise functions alone, near 0 and for large numbers; fusion.lua has them in stores.
local sizes = { { 1, 1 }, { 7, 5 }, { 13, 17 }, { 7, 65 }, { 13, 100 } }
local tolerance = { gelu_erf = 1e-6, gelu_tanh = 1e-6, relu = 1e-7, silu = 1e-6, relu2 = 1e-6 }

return function(case)
  for _, name in ipairs({ "gelu_erf", "gelu_tanh", "relu", "silu", "relu2" }) do
    for _, size in ipairs(sizes) do
      case(("%s %dx%d"):format(name, size[1], size[2]), { tolerance = tolerance[name] }, function(g, given)
        return g:append(name, { "y" }, { given("x", size) })
      end)
    end
    case(name .. " far out", { tolerance = tolerance[name] }, function(g, given)
      -- A square stays within float16.
      return g:append(name, { "y" }, { given("x", { 13, 17 }, { spread = name == "relu2" and 10 or 100 }) })
    end)
  end
end
