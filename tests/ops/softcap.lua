-- Cases of softcap, the sampler's: alone, near 0 and far out; fusion.lua has it behind a product. The loss's own cap is
-- in cross_entropy.lua.
return function(case)
  for _, size in ipairs({ { 1, 1 }, { 1, 17 }, { 7, 100 } }) do
    for _, spread in ipairs({ 1, 100 }) do
      case(("%dx%d%s"):format(size[1], size[2], spread > 1 and " far out" or ""),
        { tolerance = 1e-6, decode = { rows = size[1], pos = 0, most = size[1] } }, function(g, given)
          return (g:append("softcap", { "y" }, { given("x", size, { spread = spread }) }, { cap = 7.5 }))
        end)
    end
  end
end
