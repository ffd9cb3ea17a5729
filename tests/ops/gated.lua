-- Cases of the gated activations: halves that are whole vectors or not, far numbers, the sampler.
return function(case)
  for _, name in ipairs({ "swiglu", "geglu" }) do
    for _, size in ipairs({ { 1, 1 }, { 7, 5 }, { 13, 17 }, { 7, 64 }, { 13, 100 } }) do
      case(("%s %dx%d"):format(name, size[1], size[2]), { tolerance = 2e-6 }, function(g, given)
        return g:append(name, { "y" }, { given("x", { size[1], 2 * size[2] }) })
      end)
    end
    case(name .. " far out", { tolerance = 1e-6 }, function(g, given)
      return g:append(name, { "y" }, { given("x", { 13, 34 }, { spread = 30 }) })
    end)
    case("decode " .. name, { tolerance = 1e-6, decode = { rows = 3, pos = 0, most = 16 } }, function(g, given)
      return g:append(name, { "y" }, { given("x", { 16, 34 }) })
    end)
  end
end
