-- Cases of add: alone, and in a store with either operand as the one that the kernel computes.
return function(case)
  for _, size in ipairs({ { 1, 1 }, { 7, 17 }, { 13, 100 } }) do
    case(("%dx%d"):format(size[1], size[2]), { tolerance = 1e-7, forward = true }, function(g, given)
      return g:append("add", { "y" }, { given("x", size), given("addend", size) })
    end)
  end
  for _, swapped in ipairs({ false, true }) do
    case("behind a product" .. (swapped and ", swapped" or ""), { tolerance = 1e-6 }, function(g, given)
      local h = g:append("matmul", { "h" }, { given("x", { 7, 5 }), g:param("w", { 17, 5 }, { init = "zeros" }) })
      local residual = given("residual", { 7, 17 })
      return g:append("add", { "y" }, swapped and { residual, h } or { h, residual })
    end)
  end
end
