-- Cases of bias and of bias_grad, which is a separate kernel if no product reads its dy.
return function(case)
  for _, size in ipairs({ { 1, 1 }, { 7, 5 }, { 13, 17 }, { 7, 65 }, { 100, 100 }, { 300, 264 } }) do
    case(("%dx%d"):format(size[1], size[2]), { tolerance = 1e-6 }, function(g, given)
      return g:append("bias", { "y" }, { given("x", size), g:param("b", { size[2] }, { init = "zeros" }) })
    end)
  end
end
