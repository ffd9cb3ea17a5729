-- Cases of dropout; in the large ones harness.c also counts how many elements are dropped.
return function(case)
  for _, size in ipairs({ { 1, 1 }, { 7, 5 }, { 13, 65 }, { 7, 128 }, { 100, 100 } }) do
    case(("%dx%d"):format(size[1], size[2]), { tolerance = 1e-6 }, function(g, given)
      return g:append("dropout", { "y" }, { given("x", size) }, { site = 3 })
    end)
  end
  case("behind a product", { tolerance = 1e-6 }, function(g, given)
    local h = g:append("matmul", { "h" }, { given("x", { 13, 5 }), g:param("w", { 100, 5 }, { init = "zeros" }) })
    return g:append("dropout", { "y" }, { h }, { site = 1 })
  end)
end
